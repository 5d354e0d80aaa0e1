//! Bodies, piece by piece (RFC 9112, sections 6 and 7).

use crate::chunked::Chunked;
use crate::framing::BodyLength;
use crate::limits::BodyLimits;
use crate::refusal::Refusal;
use http::HeaderMap;
use std::ops::Range;

/// Reads one body. It keeps no byte of it, except trailer fields.
#[derive(Debug)]
pub struct BodyReader(State);

#[derive(Debug)]
enum State {
    /// So many bytes are still to come.
    Exact(u64),
    /// Boxed, because most bodies have a length.
    Chunked(Box<Chunked>),
    UntilClose,
    Complete(Option<HeaderMap>),
}

/// What the next bytes of a body are. Each range and number counts from the start of the bytes that were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// These bytes are content. What comes before them was framing. All up to the range's end is used up.
    Data(Range<usize>),
    /// So many bytes were framing, and are used up; it goes on with bytes that have not arrived.
    More(usize),
    /// The body has ended, and so many bytes are used up. What follows is not part of it.
    End(usize),
}

impl BodyReader {
    /// A reader of a body that ends so.
    pub fn new(length: BodyLength, limits: BodyLimits) -> BodyReader {
        BodyReader(match length {
            BodyLength::Exact(0) => State::Complete(None),
            BodyLength::Exact(length) => State::Exact(length),
            BodyLength::Chunked => State::Chunked(Box::new(Chunked::new(limits))),
            BodyLength::UntilClose => State::UntilClose,
        })
    }

    /// Reads on. `bytes` are those that have arrived and are not used up.
    ///
    /// # Errors
    /// Framing outside of the grammar, or beyond a limit. Nobody knows where the body ends; the connection is of no more
    /// use.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Part, Refusal> {
        match &mut self.0 {
            State::Complete(_) => Ok(Part::End(0)),
            State::Exact(_) | State::UntilClose if bytes.is_empty() => Ok(Part::More(0)),
            State::UntilClose => Ok(Part::Data(0..bytes.len())),
            State::Exact(left) => {
                let size = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= size as u64;
                if *left == 0 {
                    self.0 = State::Complete(None);
                }
                Ok(Part::Data(0..size))
            }
            State::Chunked(chunked) => {
                let part = chunked.read(bytes)?;
                if matches!(part, Part::End(_)) {
                    self.0 = State::Complete(chunked.trailers()?);
                }
                Ok(part)
            }
        }
    }

    /// Whether the body has ended.
    pub fn is_complete(&self) -> bool {
        matches!(self.0, State::Complete(_))
    }

    /// How much is still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match &self.0 {
            State::Exact(left) => Some(*left),
            State::Complete(_) => Some(0),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// The body had not (RFC 9112, section 8).
    pub fn close(&mut self) -> Result<(), Refusal> {
        match &self.0 {
            State::Complete(_) => Ok(()),
            State::UntilClose => {
                self.0 = State::Complete(None);
                Ok(())
            }
            State::Exact(_) | State::Chunked(_) => Err(Refusal::Incomplete),
        }
    }

    /// The trailer fields of a body that has ended. `None` where it had none, and the second time.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        match &mut self.0 {
            State::Complete(trailers) => trailers.take(),
            State::Exact(_) | State::Chunked(_) | State::UntilClose => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_counted_down() {
        let mut body = BodyReader::new(BodyLength::Exact(5), BodyLimits::default());
        assert_eq!(body.read(b""), Ok(Part::More(0)));
        assert_eq!(body.read(b"he"), Ok(Part::Data(0..2)));
        assert_eq!(
            (body.left(), body.is_complete(), body.close()),
            (Some(3), false, Err(Refusal::Incomplete))
        );
        assert_eq!(body.read(b"lloGET /"), Ok(Part::Data(0..3)));
        assert!(body.is_complete());
        assert_eq!(body.read(b"GET /"), Ok(Part::End(0)));
        assert_eq!(body.close(), Ok(()));
        let mut none = BodyReader::new(BodyLength::Exact(0), BodyLimits::default());
        assert_eq!(none.read(b"GET /"), Ok(Part::End(0)));
    }

    #[test]
    fn the_connection_ends_what_has_no_other_end() {
        let mut body = BodyReader::new(BodyLength::UntilClose, BodyLimits::default());
        assert_eq!(body.read(b"hello"), Ok(Part::Data(0..5)));
        assert!(!body.is_complete());
        assert_eq!(body.close(), Ok(()));
        assert!(body.is_complete());
        assert_eq!(body.read(b"more"), Ok(Part::End(0)));
    }
}
