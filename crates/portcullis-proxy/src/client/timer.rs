//! The timer of a connection or a stream, which costs a request nothing.
//!
//! Deadlines move later with each request, and a timer that followed them would be registered anew each time. This one moves
//! only earlier. When it fires, the connection looks at its deadline, and arms the timer again if that lies ahead.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// The timer is never set for less, so that a deadline that has passed does not keep a core busy.
const GRAIN: Duration = Duration::from_millis(5);

pub(super) struct Timer<'a> {
    sleep: Pin<&'a mut Sleep>,
    /// When it fires; `None` while it is not set.
    armed: Option<Instant>,
}

impl Timer<'_> {
    /// A timer that is not set. When `sleep` would end does not matter.
    pub(super) fn new(sleep: Pin<&mut Sleep>) -> Timer<'_> {
        Timer { sleep, armed: None }
    }

    /// Fires at `when` or before. Ready when it has fired: then it is not set any more.
    pub(super) fn poll(&mut self, when: Instant, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let when = when.max(now + GRAIN);
        if self.armed.is_none_or(|armed| when < armed) {
            self.sleep.as_mut().reset(when.into());
            self.armed = Some(when);
        }
        ready!(self.sleep.as_mut().poll(cx));
        self.armed = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Waker;

    #[tokio::test]
    async fn it_moves_only_earlier_and_is_never_set_for_less_than_its_grain() {
        let cx = &mut Context::from_waker(Waker::noop());
        let sleep = pin!(tokio::time::sleep(GRAIN));
        let mut timer = Timer::new(sleep);
        // So far ahead that it does not fire, however slow the test is.
        let now = Instant::now() + Duration::from_secs(3600);
        let after = |seconds| now + Duration::from_secs(seconds);
        for (when, armed) in [(60, after(60)), (90, after(60)), (30, after(30)), (0, now + GRAIN)] {
            assert!(timer.poll(after(when), now, cx).is_pending());
            assert_eq!(timer.armed, Some(armed), "{when}");
        }
    }

    #[tokio::test]
    async fn it_can_be_set_for_later_once_it_has_fired() {
        let sleep = pin!(tokio::time::sleep(GRAIN));
        let mut timer = Timer::new(sleep);
        let now = Instant::now();
        std::future::poll_fn(|cx| timer.poll(now, now, cx)).await;
        assert!(now.elapsed() >= GRAIN);
        assert_eq!(timer.armed, None);
        let later = now + Duration::from_secs(3600);
        assert!(timer.poll(later, now, &mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(timer.armed, Some(later));
    }
}
