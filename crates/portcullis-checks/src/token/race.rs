//! Whichever of two futures is done first.

use portcullis_core::Wait;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// `Some` if `future` is done before `timeout`.
pub(crate) async fn within<T>(timeout: Wait<'_, ()>, future: impl Future<Output = T>) -> Option<T> {
    let mut timeout = timeout;
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => timeout.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Twice as long each time, from 1 s to 60 s.
pub(crate) fn back_off(failures: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(failures.saturating_sub(1).min(6)).unwrap_or(60).min(60))
}
