//! Lets a connection, or a stream, go on until it is over or one of its deadlines has passed.
//!
//! All of them go through this one loop. The clock is read once for each turn, and what happens in the turn goes by that time.

use super::timer::Timer;
use crate::drain::Drain;
use crate::exchange::life::Life;
use crate::state::Due;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// What goes on.
pub(super) trait Driven {
    /// How it ends.
    type End;

    /// Goes on as far as it can.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Self::End>;

    /// A deadline has passed.
    fn passed(&mut self, due: Due) -> Then<Self::End>;
}

/// What follows a deadline that has passed.
pub(super) enum Then<T> {
    /// It is over.
    End(T),
    /// Something has changed, with which it goes on.
    GoOn,
    /// Nothing, at least until then.
    Wait(Instant),
}

/// Drives something to its end. If its deadlines depend on a drain, [`Begins`] must wake it.
pub(super) async fn drive<D: Driven>(life: &Life, drain: Option<&Drain>, driven: &mut D) -> D::End {
    let sleep = pin!(tokio::time::sleep_until(life.now().into()));
    let mut timer = Timer::new(sleep);
    poll_fn(|cx| {
        loop {
            life.tick();
            life.driven_by(cx);
            if let Poll::Ready(end) = driven.poll(cx) {
                return Poll::Ready(end);
            }
            let Some((mut when, due)) = life.due(drain.and_then(Drain::since)) else { return Poll::Pending };
            if when <= life.now() {
                match driven.passed(due) {
                    Then::End(end) => return Poll::Ready(end),
                    Then::GoOn => continue,
                    Then::Wait(until) => when = until,
                }
            }
            ready!(timer.poll(when, life.now(), cx));
        }
    })
    .await
}

/// Wakes a connection when its drain begins.
pub(super) struct Begins<'a, B>(Option<Pin<&'a mut B>>);

impl<'a, B: Future<Output = ()>> Begins<'a, B> {
    pub(super) fn new(begins: Pin<&'a mut B>) -> Begins<'a, B> {
        Begins(Some(begins))
    }

    /// Once is enough: the wake-up comes to this very task, and then the drain says since when it is.
    pub(super) fn wake(&mut self, cx: &mut Context<'_>) {
        if let Some(begins) = self.0.take() {
            let _begun = begins.poll(cx);
        }
    }
}

/// Lets something go on for as long as the state of the connection lasts. `None` where it was not done by then.
pub(super) async fn within_its_state<F: Future>(life: &Life, drain: &Drain, future: F) -> Option<F::Output> {
    let (future, begins) = (pin!(future), pin!(drain.begins()));
    let begins = Begins::new(begins);
    drive(life, Some(drain), &mut Within { life, future, begins }).await
}

struct Within<'a, F, B> {
    life: &'a Life,
    future: Pin<&'a mut F>,
    begins: Begins<'a, B>,
}

impl<F: Future, B: Future<Output = ()>> Driven for Within<'_, F, B> {
    type End = Option<F::Output>;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Self::End> {
        self.begins.wake(cx);
        self.future.as_mut().poll(cx).map(Some)
    }

    fn passed(&mut self, due: Due) -> Then<Self::End> {
        match due {
            Due::Leave | Due::Head | Due::Over | Due::Answer | Due::Revoked => Then::End(None),
            Due::Upload => {
                self.life.expire_upload();
                Then::GoOn
            }
            Due::Upstream => Then::Wait(self.life.now()),
        }
    }
}
