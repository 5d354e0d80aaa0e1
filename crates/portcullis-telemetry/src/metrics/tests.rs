use super::*;
use portcullis_core::{Code, Denial, Outcome};
use std::time::Duration;

// What whole plans and records give is tested over a running gateway (crates/portcullis-cli/tests/metrics.rs).

#[test]
fn lanes_of_threads_add_up() {
    let metrics = Arc::new(Metrics::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    metrics.lanes.with(|lane| {
                        lane.routes.entry(1).or_default().whole.observe(Duration::from_millis(3));
                    });
                }
            });
        }
        for _ in 0..50 {
            let _ = metrics.text(|_| {});
        }
    });
    assert_eq!(metrics.total().routes[&1].whole.count(), 4000);
}

#[test]
fn an_ending_has_the_reason_of_its_outcome() {
    let denial = Denial::new(Code::RateLimited, "too much");
    let endings =
        [Outcome::Served, Outcome::Refused(denial.clone()), Outcome::Failed(denial), Outcome::Aborted];
    let found: Vec<_> = endings
        .iter()
        .map(|outcome| {
            let (ending, denial) = counted::Ending::of(outcome);
            (ending.as_str(), denial.map(Denial::code))
        })
        .collect();
    let limited = Some(Code::RateLimited);
    assert_eq!(found, [("served", None), ("refused", limited), ("failed", limited), ("aborted", None)]);
}
