//! Reads the body of a connection's request, for whoever the request is given to.

use super::incoming::Incoming;
use super::io::Io;
use crate::body::{BodyFault, Reader};
use bytes::Bytes;
use portcullis_http1::BodyReader;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Reads the body of a connection's request.
pub(super) struct Handle(Rc<RefCell<Io>>);

impl Handle {
    /// Something that reads this body, which is that of the connection's request from now on.
    pub(super) fn new(io: &Rc<RefCell<Io>>, decoder: BodyReader, expects: bool) -> Handle {
        io.borrow_mut().body = Some(Incoming::new(decoder, expects));
        Handle(Rc::clone(io))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.borrow_mut().give_up_body();
    }
}

impl Reader for Handle {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        let data = self.0.borrow_mut().poll_body(cx);
        data.map(|data| data.map(|data| data.map_err(|refusal| BodyFault::new(refusal.to_string()))))
    }

    fn remaining(&self) -> Option<u64> {
        self.0.borrow().body.as_ref().map_or(Some(0), Incoming::left)
    }

    fn is_complete(&self) -> bool {
        self.0.borrow().body.as_ref().is_none_or(|body| !body.is_incomplete())
    }
}
