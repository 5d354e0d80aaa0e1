//! Whether requests that run for long would still be let in, as each worker asks now and then.
//!
//! A request that is over within [`YOUNG`] costs nothing. One that runs longer is judged again, by the plan that is current
//! then and without its fields ([`Admission::judge`](portcullis_core::Admission::judge)). One that would not be let in any
//! more ends: a WebSocket with a close frame, a gRPC call with its status, any other answer by breaking off. From the moment at
//! which its ground is gone, that takes [`EACH`] + [`YOUNG`] + 1 s at most, which is less than 5 s. Where it cannot be told,
//! since a store does not answer, the request goes on for [`PATIENCE`], and ends then.

use super::delay;
use super::life::Life;
use super::worker::Worker;
use portcullis_core::{Admission, Code, Denial};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often the requests of a worker are looked at.
const EACH: Duration = Duration::from_secs(1);
/// How old a judgement is before it is made again.
const YOUNG: Duration = Duration::from_secs(2);
/// How long a judgement may take.
const JUDGING: Duration = Duration::from_secs(1);
/// How long a request may go on while nobody can tell whether it would be let in.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks at the requests of a worker until it is dropped.
pub(crate) async fn run(worker: Rc<Worker>) {
    loop {
        delay::rest(&worker, EACH).await;
        let now = Instant::now();
        let Some(before) = now.checked_sub(YOUNG) else { continue };
        for life in worker.lives() {
            if let Some((number, admission)) = life.to_review(before) {
                // Each by itself, so that one that waits for a store keeps no other waiting.
                tokio::task::spawn_local(review(Rc::clone(&worker), life, number, admission));
            }
        }
    }
}

async fn review(worker: Rc<Worker>, life: Rc<Life>, number: u64, admission: Admission) {
    let current = worker.current();
    let judged = tokio::time::timeout(JUDGING, admission.judge(&current.snapshot)).await;
    let slow =
        |_| Err(Denial::new(Code::Fault, "it could not be told in time whether the request may go on"));
    let now = Instant::now();
    match judged.unwrap_or_else(slow) {
        Ok(()) => life.holds(number, now),
        // SECURITY: a store that is down for long is no leave to go on (a_request_outlives_a_store_for_a_while_alone).
        Err(denial) if may_wait(&denial, life.held_at(), now) => {}
        Err(denial) => life.revoke(number, denial, now),
    }
}

/// Whether a request may go on although it could not be told that it would be let in, which was last told at `held`.
fn may_wait(denial: &Denial, held: Option<Instant>, now: Instant) -> bool {
    denial.code() == Code::Fault && held.is_some_and(|held| now.saturating_duration_since(held) < PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_outlives_a_store_for_a_while_alone() {
        let held = Instant::now();
        let after = |seconds| held + Duration::from_secs(seconds);
        let fault = Denial::new(Code::Fault, "the store is down");
        assert!(may_wait(&fault, Some(held), after(29)));
        assert!(!may_wait(&fault, Some(held), after(30)));
        assert!(!may_wait(&fault, None, after(0)));
        assert!(!may_wait(&Denial::new(Code::CredentialUnknown, "revoked"), Some(held), after(0)));
    }
}
