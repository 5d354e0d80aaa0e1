//! A request's body as hyper reads it.

use crate::body::{BodyFault, ClientBody, Reader};
use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

struct ByHyper(Incoming);

pub(super) fn hyper_body(body: Incoming) -> ClientBody {
    if body.is_end_stream() { ClientBody::empty() } else { ClientBody::new(ByHyper(body)) }
}

impl Reader for ByHyper {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        Pin::new(&mut self.0).poll_frame(cx).map(|frame| match frame {
            // What is no data is trailers, which come last.
            Some(Ok(frame)) => frame.into_data().ok().map(Ok),
            Some(Err(error)) => {
                let cause = error.source().map_or(String::new(), |source| format!(": {source}"));
                Some(Err(BodyFault::new(format!("{error}{cause}"))))
            }
            None => None,
        })
    }

    fn remaining(&self) -> Option<u64> {
        self.0.size_hint().exact()
    }

    fn is_complete(&self) -> bool {
        self.0.is_end_stream()
    }
}
