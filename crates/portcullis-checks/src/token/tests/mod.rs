//! What tests of tokens stand on: a world with a clock and a network of documents, a signer, and a request to judge.

pub(crate) mod key;
pub(crate) mod proof;
pub(crate) mod request;
pub(crate) mod world;

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// One step of a future.
pub(crate) fn step<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What comes of a future that waits for nothing.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match step(pin!(future)) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}
