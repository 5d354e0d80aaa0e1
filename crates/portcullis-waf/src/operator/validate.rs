//! Byte ranges and percent-encoding.

use crate::transform::hex_pair;

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// No byte.
    pub const NONE: Self = Self([0; 4]);

    /// The set with these bytes too.
    #[must_use]
    pub(crate) const fn with(mut self, bytes: &[u8]) -> Self {
        let mut rest = bytes;
        while let [byte, others @ ..] = rest {
            let bit = 1 << (*byte & 63);
            match (self.0.as_mut_slice(), *byte >> 6) {
                ([word, ..], 0) | ([_, word, ..], 1) | ([_, _, word, _], 2) | ([_, _, _, word], _) => {
                    *word |= bit;
                }
                _ => {}
            }
            rest = others;
        }
        self
    }

    /// The set with all bytes from 128 on too.
    #[must_use]
    pub(crate) const fn with_high(self) -> Self {
        let [one, two, _, _] = self.0;
        Self([one, two, u64::MAX, u64::MAX])
    }

    /// The bytes that are not in it.
    #[must_use]
    pub(crate) fn complement(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// Adds a byte.
    pub fn insert(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    /// Whether the byte is in the set.
    #[must_use]
    pub fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }

    /// Whether the sets share a byte.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        (a & e) | (b & f) | (c & g) | (d & h) != 0
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: &Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([a | e, b | f, c | g, d | h])
    }

    /// How many bytes are in it.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a text.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let mut set = Self::default();
        for byte in text {
            set.insert(*byte);
        }
        set
    }

    /// Reads `32-36,38,40-126`.
    ///
    /// # Errors
    ///
    /// The part that is no byte and no range of bytes.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut set = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            match (from.trim().parse::<u8>(), to.trim().parse::<u8>()) {
                (Ok(from), Ok(to)) if from <= to => (from..=to).for_each(|byte| set.insert(byte)),
                _ => return Err(part.to_owned()),
            }
        }
        Ok(set)
    }
}

/// Whether a `%` is not followed by two hexadecimal digits.
pub(super) fn has_bad_percent(value: &[u8]) -> bool {
    let mut at = 0;
    while let Some(offset) = value.get(at..).and_then(|rest| memchr::memchr(b'%', rest)) {
        at += offset;
        if hex_pair(value, at + 1).is_none() {
            return true;
        }
        at += 3;
    }
    false
}
