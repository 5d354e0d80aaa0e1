use super::*;
use portcullis_core::{Code, Denial, Outcome, Searched};
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

#[test]
fn what_rules_found_is_counted_by_rule_within_a_bound() {
    let metrics = Arc::new(Metrics::default());
    metrics.lanes.with(|lane| {
        lane.count_search(&Searched { rules: vec![942_100, 11_010], values: 9, harmless: 4 });
        lane.count_search(&Searched { rules: vec![942_100], values: 1, harmless: 0 });
    });
    let text = metrics.text(|_| {});
    for line in [
        r#"portcullis_waf_rule_matches_total{rule="11010"} 1"#,
        r#"portcullis_waf_rule_matches_total{rule="942100"} 2"#,
        r#"portcullis_waf_values_total{result="searched"} 6"#,
        r#"portcullis_waf_values_total{result="harmless"} 4"#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    let many: Vec<u64> = (1..=3_000).collect();
    metrics.lanes.with(|lane| lane.count_search(&Searched { rules: many, values: 0, harmless: 0 }));
    let text = metrics.text(|_| {});
    let lines = text.lines().filter(|line| line.starts_with("portcullis_waf_rule_matches_total{")).count();
    assert_eq!(lines, counted::MOST_RULES + 1);
    assert!(text.contains(r#"portcullis_waf_rule_matches_total{rule="other"}"#));
}
