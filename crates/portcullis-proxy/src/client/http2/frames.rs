//! Counts what comes in on a connection of HTTP/2, where it is read: bytes of request bodies, all others, and opened streams.
//!
//! It reads frame heads (RFC 9113, section 4.1) and nothing inside of frames, except how much of a DATA frame is padding.
//! It refuses nothing: what is no HTTP/2 is for the `h2` crate to say. A body counts even if nobody has read it yet.

/// `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n` (RFC 9113, section 3.4).
const PREFACE: u64 = 24;
const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// What came in so far.
pub(crate) struct FrameMeter {
    next: Next,
    carried: u64,
    control: u64,
    opened: u64,
    /// The highest stream that was opened.
    newest: u32,
    head: HeadOf,
}

/// Whose fields are being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HeadOf {
    Nobody,
    /// A stream that is opened by them, and whether this frame is their last.
    Opening(bool),
}

/// What the next byte is.
enum Next {
    /// One of a frame's head, of which these came.
    Head([u8; HEAD], usize),
    /// How much of a DATA frame of this length is padding.
    PadLength(u64),
    /// One of so many bytes of a body, with so many bytes of padding behind them.
    Body(u64, u64),
    /// One of so many bytes of anything else.
    Control(u64),
}

impl FrameMeter {
    /// Of a connection that has not begun.
    pub(crate) fn new() -> FrameMeter {
        FrameMeter {
            next: Next::Control(PREFACE),
            carried: 0,
            control: 0,
            opened: 0,
            newest: 0,
            head: HeadOf::Nobody,
        }
    }

    /// Bytes of request bodies.
    pub(crate) fn carried(&self) -> u64 {
        self.carried
    }

    /// Bytes of anything else: frame heads, padding, fields, settings, pings.
    pub(crate) fn control(&self) -> u64 {
        self.control
    }

    /// Streams whose fields have come in, to their end.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    /// A frame begins.
    fn begin(&mut self, head: [u8; HEAD]) {
        let [_, _, _, kind, flags, id @ ..] = head;
        let last = flags & END_HEADERS != 0;
        match kind {
            HEADERS => {
                let id = u32::from_be_bytes(id) & 0x7fff_ffff;
                if id > self.newest {
                    self.newest = id;
                    self.head = HeadOf::Opening(last);
                }
            }
            CONTINUATION if self.head != HeadOf::Nobody => self.head = HeadOf::Opening(last),
            _ => {}
        }
        self.go_on(after(&head));
    }

    /// What comes next; where that is a frame, the one before has ended.
    fn go_on(&mut self, next: Next) {
        if matches!(next, Next::Head(..)) && self.head == HeadOf::Opening(true) {
            self.opened += 1;
            self.head = HeadOf::Nobody;
        }
        self.next = next;
    }

    /// Bytes came in.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        while let [first, rest @ ..] = bytes {
            match &mut self.next {
                Next::Head(head, filled) => {
                    if let Some(place) = head.get_mut(*filled) {
                        *place = *first;
                    }
                    *filled += 1;
                    self.control += 1;
                    bytes = rest;
                    if *filled >= HEAD {
                        let head = *head;
                        self.begin(head);
                    }
                }
                Next::PadLength(length) => {
                    let padding = u64::from(*first).min(length.saturating_sub(1));
                    self.next = body(length.saturating_sub(1 + padding), padding);
                    self.control += 1;
                    bytes = rest;
                }
                Next::Body(left, padding) => {
                    let (size, after) = take(bytes, *left);
                    (*left, bytes) = (*left - size, after);
                    self.carried += size;
                    if *left == 0 {
                        self.next = control(*padding);
                    }
                }
                Next::Control(left) => {
                    let (size, after) = take(bytes, *left);
                    bytes = after;
                    self.control += size;
                    let next = control(*left - size);
                    self.go_on(next);
                }
            }
        }
    }
}

/// At most so many bytes: how many there are, and what follows them.
fn take(bytes: &[u8], most: u64) -> (u64, &[u8]) {
    let size = usize::try_from(most).map_or(bytes.len(), |most| most.min(bytes.len()));
    (size as u64, bytes.get(size..).unwrap_or_default())
}

fn after(head: &[u8; HEAD]) -> Next {
    let [high, middle, low, kind, flags, ..] = *head;
    let length = u64::from(u32::from_be_bytes([0, high, middle, low]));
    match kind {
        DATA if flags & PADDED != 0 && length > 0 => Next::PadLength(length),
        DATA => body(length, 0),
        _ => control(length),
    }
}

fn body(length: u64, padding: u64) -> Next {
    if length == 0 { control(padding) } else { Next::Body(length, padding) }
}

fn control(length: u64) -> Next {
    if length == 0 { Next::Head([0; HEAD], 0) } else { Next::Control(length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[high, middle, low, kind, flags, 0, 0, 0, 1][..], payload].concat()
    }

    fn counted(bytes: &[u8]) -> (u64, u64) {
        let mut meter = FrameMeter::new();
        meter.read(&[0; 24]);
        meter.read(bytes);
        (meter.carried(), meter.control() - 24)
    }

    #[test]
    fn a_body_is_what_is_neither_head_nor_padding() {
        assert_eq!(counted(&frame(0, 0, &[1; 100])), (100, 9));
        assert_eq!(counted(&frame(0, 0, &[])), (0, 9));
        assert_eq!(counted(&frame(0, 1 | 8, &[[3].as_slice(), &[1; 10], &[0; 3]].concat())), (10, 13));
        assert_eq!(counted(&frame(0, 8, &[[9].as_slice(), &[0; 9]].concat())), (0, 19));
        assert_eq!(counted(&frame(6, 0, &[0; 8])), (0, 17));
        // More padding than there is: h2 ends the connection, and nothing is a body.
        assert_eq!(counted(&frame(0, 8, &[255, 1, 2])), (0, 12));
        assert_eq!(counted(&frame(0, 8, &[])), (0, 9));
    }

    #[test]
    fn a_stream_is_opened_by_its_whole_head() {
        let mut meter = FrameMeter::new();
        meter.read(&[0; 24]);
        let of = |kind, flags, id: u8, payload: &[u8]| {
            let mut frame = frame(kind, flags, payload);
            frame[8] = id;
            frame
        };
        for (bytes, opened) in [
            (of(1, 4, 1, b"abc"), 1),
            (of(1, 0, 3, b"abc"), 1),
            (of(9, 0, 3, b"abc"), 1),
            (of(9, 4, 3, b""), 2),
            // Trailers, and what is no head.
            (of(1, 4, 3, b"abc"), 2),
            (of(0, 4, 5, b"abc"), 2),
            (of(1, 4, 5, b""), 3),
        ] {
            meter.read(&bytes);
            assert_eq!(meter.opened(), opened, "{bytes:?}");
        }
        let (first, rest) = (of(1, 4, 7, b"abc"), meter.opened());
        meter.read(&first[..first.len() - 1]);
        assert_eq!(meter.opened(), rest);
        meter.read(&first[first.len() - 1..]);
        assert_eq!(meter.opened(), rest + 1);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_come(
            frames in prop::collection::vec((0_u8..10, any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 0..8),
            size in 1_usize..50,
        ) {
            let bytes: Vec<u8> =
                frames.iter().flat_map(|(kind, flags, payload)| frame(*kind, *flags, payload)).collect();
            let at_once = counted(&bytes);
            prop_assert_eq!(at_once.0 + at_once.1, bytes.len() as u64);
            let mut meter = FrameMeter::new();
            for piece in [&[0; 24][..], &bytes].concat().chunks(size) {
                meter.read(piece);
            }
            prop_assert_eq!((meter.carried(), meter.control() - 24), at_once);
        }
    }
}
