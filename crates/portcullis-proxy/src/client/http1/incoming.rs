//! How far the body of a request has come, and what is to become of the rest of it.

use crate::upload::SPARE_BODY;
use bytes::{Buf, Bytes, BytesMut};
use portcullis_http1::{BodyReader, Part, Refusal};

/// A body that comes in.
pub(super) struct Incoming {
    decoder: BodyReader,
    /// The client waits for a 100 before it sends the body (RFC 9110, section 10.1.1).
    expects: bool,
    /// Why it broke off, once it has.
    broken: Option<Refusal>,
    /// Whether somebody can still read it.
    handed_out: bool,
}

/// What there is of a body.
pub(super) enum Piece {
    Data(Bytes),
    End,
    /// Nothing, until more comes in.
    Nothing,
}

impl Incoming {
    pub(super) fn new(decoder: BodyReader, expects: bool) -> Incoming {
        Incoming { decoder, expects, broken: None, handed_out: true }
    }

    /// The next piece of what has come in.
    ///
    /// # Errors
    /// It broke off. The error is told again: no reader may take a broken body for a complete one.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Piece, Refusal> {
        if let Some(refusal) = self.broken {
            return Err(refusal);
        }
        match self.decoder.read(input) {
            Ok(Part::Data(range)) => {
                input.advance(range.start);
                Ok(Piece::Data(input.split_to(range.len()).freeze()))
            }
            Ok(Part::End(size)) => {
                input.advance(size);
                Ok(Piece::End)
            }
            Ok(Part::More(size)) => {
                input.advance(size);
                Ok(Piece::Nothing)
            }
            Err(refusal) => self.fail(refusal),
        }
    }

    /// Nothing more of it comes in.
    pub(super) fn fail<T>(&mut self, refusal: Refusal) -> Result<T, Refusal> {
        self.broken = Some(refusal);
        Err(refusal)
    }

    /// Nobody reads it any more.
    pub(super) fn give_up(&mut self) {
        self.handed_out = false;
    }

    /// Whether the client is still to be told to go on, which it is only once.
    pub(super) fn takes_expectation(&mut self) -> bool {
        std::mem::take(&mut self.expects)
    }

    /// How much is still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.decoder.left()
    }

    /// Whether there is more to come of it, or it broke off.
    pub(super) fn is_incomplete(&self) -> bool {
        self.broken.is_some() || !self.decoder.is_complete()
    }

    /// Whether somebody still reads it.
    pub(super) fn is_being_read(&self) -> bool {
        self.handed_out && self.broken.is_none() && !self.decoder.is_complete()
    }

    /// Whether what is left of it, which nobody will read, is too much to be skipped: then the connection cannot be used
    /// again. A client that still waits for its 100 may send the body or not.
    pub(super) fn is_lost(&self) -> bool {
        let skipped = self.decoder.left().is_some_and(|left| left <= SPARE_BODY);
        self.broken.is_some() || (!self.decoder.is_complete() && (self.expects || !skipped))
    }
}
