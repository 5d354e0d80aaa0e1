//! Many phrases at once, without regard to case.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

/// A set of phrases.
#[derive(Debug)]
pub struct Phrases {
    words: Vec<Vec<u8>>,
    automaton: AhoCorasick,
}

impl Phrases {
    /// The phrases of `@pm`: between spaces, with `|41 42|` for bytes in hexadecimal.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        Self::new(
            text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(with_bytes).collect(),
        )
    }

    /// The phrases of a file: one a line, without spaces at its ends; `#` starts a comment line.
    pub(crate) fn lines(text: &[u8]) -> Result<Self, String> {
        Self::new(
            text.split(|byte| *byte == b'\n')
                .map(<[u8]>::trim_ascii)
                .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
                .map(<[u8]>::to_vec)
                .collect(),
        )
    }

    fn new(mut words: Vec<Vec<u8>>) -> Result<Self, String> {
        words.iter_mut().for_each(|word| word.make_ascii_lowercase());
        words.sort();
        words.dedup();
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(&words)
            .map_err(|error| error.to_string())?;
        Ok(Self { words, automaton })
    }

    /// The phrases, in lower case.
    pub(crate) fn words(&self) -> &[Vec<u8>] {
        &self.words
    }

    /// The text of the first phrase that ends in `value`.
    pub(super) fn find<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        self.automaton.find(value).and_then(|found| value.get(found.range()))
    }
}

fn with_bytes(word: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = word.split(|byte| *byte == b'|').collect();
    if parts.len().is_multiple_of(2) {
        return word.to_vec();
    }
    let mut output = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        if number % 2 == 0 {
            output.extend(*part);
            continue;
        }
        let digits: Option<Vec<u8>> = part.iter().map(|byte| crate::transform::hex(*byte)).collect();
        match digits {
            Some(digits) if !digits.is_empty() && digits.len() % 2 == 0 => {
                output.extend(digits.chunks_exact(2).map(|two| two.iter().fold(0_u8, |b, d| (b << 4) | d)));
            }
            _ => return word.to_vec(),
        }
    }
    output
}
