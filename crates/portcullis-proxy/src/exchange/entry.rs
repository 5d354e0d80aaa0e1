//! What a request must know of the listener that it came by.

use super::loops::LoopName;
use super::misdirected::Neighbours;
use super::redirect::Redirect;
use super::shares::Most;
use crate::drain::Drain;
use crate::timeouts::Timeouts;
use crate::tls::acme::Challenges;
use http::HeaderValue;
use std::sync::Arc;

/// A listener, as its requests see it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) timeouts: Timeouts,
    /// What one address may have in a worker.
    pub(crate) most: Most,
    /// `Strict-Transport-Security`, for every answer.
    pub(crate) hsts: Option<HeaderValue>,
    /// Where every request is sent that comes here.
    pub(crate) redirect: Option<Arc<Redirect>>,
    /// What proves in the clear that hosts are ours.
    pub(crate) challenges: Arc<[Arc<Challenges>]>,
    /// The name under which the gateway knows requests that come back to it.
    pub(crate) loop_name: Arc<LoopName>,
    /// The listeners that ask for other client certificates; `None` where there is none.
    pub(crate) neighbours: Option<Arc<Neighbours>>,
    /// Whether its connections are to end, in this worker.
    pub(crate) drain: Arc<Drain>,
}

impl Entry {
    /// Whether a request that comes by `next` is read and answered as one that comes by `self`.
    pub(crate) fn continues_as(&self, next: &Entry) -> bool {
        self.hsts == next.hsts
            && self.redirect == next.redirect
            && self.timeouts == next.timeouts
            && self.most == next.most
            && self.challenges.len() == next.challenges.len()
            && self
                .challenges
                .iter()
                .zip(next.challenges.iter())
                .all(|(before, after)| Arc::ptr_eq(before, after))
    }
}
