//! A client's messages, put together from its frames (RFC 6455, section 5). Needs no stream: it is given bytes as they come.
//!
//! What a frame's head says is read by a library; what may follow what, and how much of it, is decided here. A message is text,
//! masked, of at most so many bytes and frames, and takes its memory from the account for held bodies as its bytes come in, whatever
//! length a frame announces. A breach ends the connection. Where no memory is left, it ends as well.

use bytes::Bytes;
use portcullis_core::{Breach, Code, Denial, Holding, Taken};
use std::io::Cursor;
use std::time::Duration;
use tokio::time::Instant;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// The most frames of a message. Clients send one, or some hundred where a message is large.
const MOST_FRAMES: u32 = 10_000;
/// How long a message or a frame may take from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(30);
/// Memory is taken in steps of this many bytes, and of the size so far where that is more.
const STEP: usize = 1024;
/// The longest payload of a control frame (RFC 6455, section 5.5).
const LONGEST_CONTROL: u64 = 125;

/// What a client has sent.
#[derive(Debug)]
pub(super) enum Event {
    /// A message.
    Text(Message),
    /// A control frame. Nothing follows one that closes.
    Control(Control, Vec<u8>),
}

/// A message, and the memory that it is held in.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) text: Bytes,
    _taken: Option<Taken>,
}

/// Why a connection ends, for its client and for the record.
pub(super) type Broken = (Breach, Denial);

fn broken(status: u16, reason: &'static str) -> Broken {
    let code = if status == 1009 { Code::BodyTooLarge } else { Code::ContentMalformed };
    (Breach { status, reason }, Denial::new(code, format!("WebSocket: {reason}")))
}

/// Reads the frames of one client.
pub(super) struct Reader {
    /// The beginning of a frame, until its head is known.
    head: Vec<u8>,
    frame: Option<Frame>,
    partial: Option<Partial>,
    control: Vec<u8>,
    most: u64,
    /// When what is not complete yet began.
    begun: Option<Instant>,
}

/// A frame of which something is still to come.
struct Frame {
    header: FrameHeader,
    mask: [u8; 4],
    at: usize,
    left: u64,
}

/// A message of which something is still to come.
#[derive(Default)]
struct Partial {
    bytes: Vec<u8>,
    taken: Option<Taken>,
    frames: u32,
}

impl Reader {
    /// Messages are no larger than `most` bytes.
    pub(super) fn new(most: u64) -> Reader {
        Reader { head: Vec::new(), frame: None, partial: None, control: Vec::new(), most, begun: None }
    }

    /// By when more must have come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.begun.and_then(|begun| begun.checked_add(PATIENCE))
    }

    /// The refusal of a client that is too slow.
    pub(super) fn too_slow() -> Broken {
        let breach = Breach { status: 1008, reason: "Too slow" };
        (breach, Denial::new(Code::BodyTimeout, "a WebSocket message was not complete in time"))
    }

    /// Takes bytes from the input until something is complete. `None` where all of it was taken before.
    ///
    /// # Errors
    /// The connection must end.
    pub(super) fn read(
        &mut self,
        input: &mut &[u8],
        holding: &Holding,
        now: Duration,
    ) -> Result<Option<Event>, Broken> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.next_frame(input)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            self.fill(&mut frame, input, holding, now)?;
            if frame.left > 0 {
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(event) = self.finish(&frame.header)? {
                return Ok(Some(event));
            }
        }
    }

    /// The frame that begins here, once its head is complete.
    fn next_frame(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Broken> {
        while let Some((first, rest)) = input.split_first() {
            self.begun.get_or_insert_with(Instant::now);
            self.head.push(*first);
            *input = rest;
            let mut cursor = Cursor::new(&self.head);
            let parsed = FrameHeader::parse(&mut cursor);
            let Some((header, length)) = parsed.map_err(|_| broken(1002, "A frame of no known kind"))? else {
                continue;
            };
            let minimal = header.len(length) == self.head.len();
            self.head.clear();
            return self.begin(header, length, minimal).map(Some);
        }
        Ok(None)
    }

    /// Judges the head of a frame.
    fn begin(&mut self, header: FrameHeader, length: u64, minimal: bool) -> Result<Frame, Broken> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(broken(1002, "An extension that was not agreed on"));
        }
        if !minimal {
            return Err(broken(1002, "A length in more bytes than it needs"));
        }
        let Some(mask) = header.mask else { return Err(broken(1002, "A frame without a mask")) };
        match (header.opcode, &mut self.partial) {
            (OpCode::Control(_), _) if !header.is_final || length > LONGEST_CONTROL => {
                return Err(broken(1002, "A control frame in parts, or too long"));
            }
            (OpCode::Control(_), _) => self.control.clear(),
            (OpCode::Data(Data::Binary), _) => return Err(broken(1003, "Messages are text")),
            (OpCode::Data(Data::Text), None) => self.partial = Some(Partial::default()),
            (OpCode::Data(Data::Continue), Some(_)) => {}
            (OpCode::Data(_), _) => {
                return Err(broken(1002, "A part of no message, or a message within one"));
            }
        }
        if let (OpCode::Data(_), Some(partial)) = (header.opcode, &mut self.partial) {
            partial.frames += 1;
            if partial.frames > MOST_FRAMES {
                return Err(broken(1008, "A message in too many parts"));
            }
            // SECURITY: before anything of it is read (a_length_takes_no_memory).
            if (partial.bytes.len() as u64).checked_add(length).is_none_or(|all| all > self.most) {
                return Err(broken(1009, "Message too big"));
            }
        }
        Ok(Frame { header, mask, at: 0, left: length })
    }

    /// Takes what has come of a frame.
    fn fill(
        &mut self,
        frame: &mut Frame,
        input: &mut &[u8],
        holding: &Holding,
        now: Duration,
    ) -> Result<(), Broken> {
        let size = usize::try_from(frame.left).unwrap_or(usize::MAX).min(input.len());
        let Some((part, rest)) = input.split_at_checked(size) else { return Ok(()) };
        *input = rest;
        frame.left -= size as u64;
        let buffer = match (&frame.header.opcode, &mut self.partial) {
            (OpCode::Data(_), Some(partial)) => {
                partial.reserve(size, holding, now)?;
                &mut partial.bytes
            }
            (OpCode::Data(_) | OpCode::Control(_), _) => &mut self.control,
        };
        let keys = frame.mask.iter().cycle().skip(frame.at % 4);
        buffer.extend(part.iter().zip(keys).map(|(byte, key)| byte ^ key));
        frame.at = (frame.at + size) % 4;
        Ok(())
    }

    /// A frame is complete.
    fn finish(&mut self, header: &FrameHeader) -> Result<Option<Event>, Broken> {
        let event = match header.opcode {
            OpCode::Control(kind) => {
                let payload = std::mem::take(&mut self.control);
                if kind == Control::Close {
                    judge_close(&payload)?;
                }
                Some(Event::Control(kind, payload))
            }
            OpCode::Data(_) if !header.is_final => None,
            OpCode::Data(_) => self.partial.take().map(Partial::text).transpose()?.map(Event::Text),
        };
        if self.partial.is_none() {
            self.begun = None;
        }
        Ok(event)
    }
}

impl Partial {
    /// Makes room for so many bytes more.
    fn reserve(&mut self, size: usize, holding: &Holding, now: Duration) -> Result<(), Broken> {
        let spare = self.bytes.capacity() - self.bytes.len();
        let Some(lacking) = size.checked_sub(spare).filter(|lacking| *lacking > 0) else { return Ok(()) };
        let more = lacking.max(STEP).max(self.bytes.len());
        let grown = match &mut self.taken {
            Some(taken) => taken.grow(more, now),
            None => holding.take(more, now).map(|taken| self.taken = Some(taken)),
        };
        grown.map_err(|denial| (Breach { status: 1013, reason: "Try again later" }, denial))?;
        self.bytes.reserve_exact(spare + more);
        Ok(())
    }

    fn text(self) -> Result<Message, Broken> {
        if std::str::from_utf8(&self.bytes).is_err() {
            return Err(broken(1007, "Text that is not UTF-8"));
        }
        Ok(Message { text: Bytes::from(self.bytes), _taken: self.taken })
    }
}

/// A close frame has no payload, or a status that may be sent and a text (RFC 6455, section 5.5.1).
fn judge_close(payload: &[u8]) -> Result<(), Broken> {
    let text = match payload.split_first_chunk::<2>() {
        None if payload.is_empty() => return Ok(()),
        Some((status, text)) if CloseCode::from(u16::from_be_bytes(*status)).is_allowed() => text,
        None | Some(_) => return Err(broken(1002, "A close frame with a bad status")),
    };
    if std::str::from_utf8(text).is_err() {
        return Err(broken(1007, "Text that is not UTF-8"));
    }
    Ok(())
}

/// A frame with a whole message, masked with `mask` where it is a client's.
pub(super) fn frame(opcode: OpCode, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { is_final: true, rsv1: false, rsv2: false, rsv3: false, opcode, mask };
    let length = payload.len() as u64;
    let mut frame = Vec::with_capacity(header.len(length) + payload.len());
    // A vector takes everything.
    let _never = header.format(length, &mut frame);
    match mask {
        None => frame.extend_from_slice(payload),
        Some(mask) => frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key)),
    }
    frame
}

/// A close frame.
pub(super) fn close(mask: Option<[u8; 4]>, status: u16, reason: &str) -> Vec<u8> {
    let mut payload = status.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    frame(OpCode::Control(Control::Close), mask, &payload)
}

#[cfg(test)]
mod tests;
