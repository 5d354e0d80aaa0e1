//! Reads the body of a connection's request, for whoever the request is given to.

use super::incoming::Incoming;
use super::io::Io;
use crate::body::{BodyFault, Reader};
use bytes::Bytes;
use portcullis_http1::BodyReader;
use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::task::{Context, Poll};

/// Reads the body of a connection's request.
pub(super) struct Handle {
    io: Rc<RefCell<Io>>,
    /// Which of the connection's bodies it reads.
    number: u64,
}

impl Handle {
    /// Something that reads this body, which is that of the connection's request from now on.
    pub(super) fn new(io: &Rc<RefCell<Io>>, decoder: BodyReader, expects: bool) -> Handle {
        let shared = Rc::clone(io);
        let mut io = io.borrow_mut();
        io.body = Some(Incoming::new(decoder, expects));
        io.number += 1;
        Handle { io: shared, number: io.number }
    }

    /// The connection, while it is at this body.
    fn current(&self) -> Option<RefMut<'_, Io>> {
        let io = self.io.borrow_mut();
        // SECURITY: a handle that outlives its request would read the body of the next one (a_handle_reads_one_body).
        (io.number == self.number).then_some(io)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(mut io) = self.current() {
            io.give_up_body();
        }
    }
}

impl Reader for Handle {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        let Some(mut io) = self.current() else { return Poll::Ready(None) };
        let data = io.poll_body(cx);
        data.map(|data| data.map(|data| data.map_err(|refusal| BodyFault::new(refusal.to_string()))))
    }

    fn remaining(&self) -> Option<u64> {
        self.current().map_or(Some(0), |io| io.body.as_ref().map_or(Some(0), Incoming::left))
    }

    fn is_complete(&self) -> bool {
        self.current().is_none_or(|io| io.body.as_ref().is_none_or(|body| !body.is_incomplete()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::life::Life;
    use crate::state::Kind;
    use crate::stream::{Socket, Stream};
    use crate::timeouts::Timeouts;
    use portcullis_http1::{BodyLength, BodyLimits};
    use std::task::Waker;
    use std::time::Instant;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_handle_reads_one_body() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let life = Rc::new(Life::new(Kind::Http1, Timeouts::default(), Instant::now()));
        let io = Rc::new(RefCell::new(Io::new(Stream::Plain(Socket::new(socket)), life)));
        let body = || BodyReader::new(BodyLength::Exact(3), BodyLimits::default());
        let cx = &mut Context::from_waker(Waker::noop());
        let mut first = Handle::new(&io, body(), false);
        io.borrow_mut().input.extend_from_slice(b"onetwo");
        assert!(matches!(first.poll_data(cx), Poll::Ready(Some(Ok(data))) if data == "one"));
        assert!(first.is_complete());
        let mut second = Handle::new(&io, body(), false);
        // It outlives its request: the next one is none of its business.
        assert!(matches!(first.poll_data(cx), Poll::Ready(None)));
        assert_eq!((first.remaining(), first.is_complete()), (Some(0), true));
        drop(first);
        assert_eq!((second.remaining(), second.is_complete()), (Some(3), false));
        assert!(io.borrow().body.as_ref().is_some_and(Incoming::is_being_read));
        assert!(matches!(second.poll_data(cx), Poll::Ready(Some(Ok(data))) if data == "two"));
    }
}
