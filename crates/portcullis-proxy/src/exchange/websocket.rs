//! Where in a WebSocket's bytes one frame ends and the next begins (RFC 6455, section 5.2).
//!
//! Nothing else of a frame is read. It is known so that a frame of the gateway can be put between two frames, and never into one.

/// A close frame of a server, unmasked: status 1008, "policy violation" (RFC 6455, section 7.4.1).
pub(super) const POLICY_VIOLATION: [u8; 4] = [0x88, 0x02, 0x03, 0xf0];

/// Follows the frames in one direction.
#[derive(Default)]
pub(super) struct Frames {
    /// The beginning of a frame, until its length is known.
    head: Vec<u8>,
    /// Bytes of the frame that are still to come.
    rest: u64,
    /// Whether further frames of a message are to come.
    open: bool,
}

impl Frames {
    /// These bytes went by.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let size = self.pass_one(bytes);
            bytes = bytes.get(size..).unwrap_or_default();
        }
    }

    /// The first of these bytes went by, as far as the end of a frame. Answers how many those are.
    pub(super) fn pass_one(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.rest > 0 {
                let size = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.rest -= size as u64;
                at += size;
            } else {
                self.head.push(*byte);
                at += 1;
                let Some(rest) = rest_of(&self.head) else { continue };
                // A control frame may stand within a message.
                if let Some(first) = self.head.first().filter(|first| **first & 0x08 == 0) {
                    self.open = *first & 0x80 == 0;
                }
                self.rest = rest;
                self.head.clear();
            }
            if self.rest == 0 {
                return at;
            }
        }
        at
    }

    /// Whether the last message is complete.
    pub(super) fn is_between_messages(&self) -> bool {
        self.is_between() && !self.open
    }

    /// Whether the last frame is complete.
    pub(super) fn is_between(&self) -> bool {
        self.rest == 0 && self.head.is_empty()
    }
}

/// How many bytes follow this beginning of a frame; `None` while it is not known.
fn rest_of(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let length = match second & 0x7f {
        126 => u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)),
        127 => u64::from_be_bytes(head.get(2..10)?.try_into().ok()?),
        short => u64::from(short),
    };
    Some(length.saturating_add(mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_end_where_their_lengths_say() {
        let mut all = Vec::new();
        let mut ends = vec![0];
        for (length, masked) in
            [(0usize, false), (5, false), (125, true), (126, false), (65_535, true), (65_536, false)]
        {
            let mask = if masked { 0x80 } else { 0 };
            all.push(0x82);
            match length {
                0..126 => all.push(mask | u8::try_from(length).unwrap()),
                126..65_536 => {
                    all.push(mask | 126);
                    all.extend(u16::try_from(length).unwrap().to_be_bytes());
                }
                _ => {
                    all.push(mask | 127);
                    all.extend((length as u64).to_be_bytes());
                }
            }
            all.extend(std::iter::repeat_n(0x81, length + if masked { 4 } else { 0 }));
            ends.push(all.len());
        }
        for step in [1, 2, 3, 7, 1000, all.len()] {
            let mut frames = Frames::default();
            assert!(frames.is_between());
            let mut at = 0;
            for part in all.chunks(step) {
                frames.pass(part);
                at += part.len();
                assert_eq!(frames.is_between(), ends.contains(&at), "{at} in steps of {step}");
            }
        }
    }
}
