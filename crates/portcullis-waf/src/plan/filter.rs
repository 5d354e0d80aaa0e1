//! The prefilter: one pass over a value finds the expressions that can match it.
//!
//! Every expression says which texts it cannot do without. All of them together make one automaton. What a value does
//! not have cannot match, so nothing is decided here that the expression would decide otherwise; a property test
//! compares verdicts with and without it.

use crate::operator::required::Required;
use crate::operator::spec::{ByteSet, Operator};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use std::collections::HashMap;

/// An expression's place in the sets of candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FilterBit(u32);

/// What has to be so before an expression is run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Precondition {
    /// The value has one of the expression's necessary texts.
    pub(crate) bit: Option<FilterBit>,
    /// The value has a byte of each set.
    pub(crate) sets: Vec<ByteSet>,
    /// The value has at least so many bytes.
    pub(crate) length: usize,
}

impl Precondition {
    /// Whether every value meets it.
    pub(crate) fn is_empty(&self) -> bool {
        self.bit.is_none() && self.sets.is_empty() && self.length == 0
    }
}

impl FilterBit {
    pub(crate) fn word(self) -> usize {
        (self.0 >> 6) as usize
    }

    pub(crate) fn mask(self) -> u64 {
        1 << (self.0 & 63)
    }
}

/// The automaton of all necessary texts.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    automaton: Option<AhoCorasick>,
    /// For each text, the expressions that it is necessary for.
    bits: Vec<Vec<FilterBit>>,
    count: u32,
}

/// Collects texts.
#[derive(Debug, Default)]
pub(super) struct Builder {
    texts: HashMap<Vec<u8>, Vec<FilterBit>>,
    count: u32,
}

impl Builder {
    /// The precondition of an operator.
    pub(super) fn precondition(&mut self, operator: &Operator) -> Precondition {
        match operator {
            Operator::Rx(pattern) => {
                let Required { texts, sets, length } = pattern.required();
                Precondition { bit: self.bit(texts), sets: sets.clone(), length: *length }
            }
            Operator::Pm(phrases) => {
                let texts = phrases.words();
                let usable = texts.iter().all(|text| text.len() >= 2);
                let length = texts.iter().map(Vec::len).min().unwrap_or(0);
                Precondition { bit: if usable { self.bit(texts) } else { None }, sets: Vec::new(), length }
            }
            // In libinjection only a tag or the value of an attribute is one; see `Detector::xss`.
            Operator::DetectXss => Precondition { bit: None, sets: vec![ByteSet::of(b"<=")], length: 1 },
            Operator::BeginsWith(text)
            | Operator::Contains(text)
            | Operator::ContainsWord(text)
            | Operator::EndsWith(text)
            | Operator::Streq(text)
            | Operator::Strmatch(text) => match text.as_text() {
                Some(text) => self.text(text),
                None => Precondition::default(),
            },
            Operator::NoMatch => Precondition { bit: None, sets: vec![ByteSet::NONE], length: 1 },
            Operator::ValidateByteRange(allowed) => {
                Precondition { bit: None, sets: vec![allowed.complement()], length: 1 }
            }
            Operator::ValidateUrlEncoding => {
                Precondition { bit: None, sets: vec![ByteSet::of(b"%")], length: 1 }
            }
            Operator::ValidateUtf8Encoding => {
                Precondition { bit: None, sets: vec![ByteSet::NONE.with_high()], length: 1 }
            }
            Operator::VerifyCc(pattern)
            | Operator::VerifyCpf(pattern)
            | Operator::VerifySsn(pattern)
            | Operator::VerifySvnr(pattern) => {
                let Required { sets, length, .. } = pattern.required();
                Precondition { bit: None, sets: sets.clone(), length: *length }
            }
            Operator::DetectSqli
            | Operator::Eq(_)
            | Operator::Ge(_)
            | Operator::Gt(_)
            | Operator::IpMatch(_)
            | Operator::Le(_)
            | Operator::Lt(_)
            | Operator::UnconditionalMatch
            | Operator::Within(_) => Precondition::default(),
        }
    }

    /// The value has this text.
    fn text(&mut self, text: &[u8]) -> Precondition {
        let lower = text.to_ascii_lowercase();
        let bit = if lower.len() >= 2 { self.bit(&[lower]) } else { None };
        // Its rarest byte: one that is no letter, if there is one.
        let rarest = text.iter().find(|byte| !byte.is_ascii_alphanumeric()).or(text.first());
        let sets = rarest.map(|byte| ByteSet::NONE.with(&[*byte])).into_iter().collect();
        Precondition { bit, sets, length: text.len() }
    }

    fn bit(&mut self, texts: &[Vec<u8>]) -> Option<FilterBit> {
        if texts.is_empty() {
            return None;
        }
        let bit = FilterBit(self.count);
        self.count += 1;
        for text in texts {
            self.texts.entry(text.clone()).or_default().push(bit);
        }
        Some(bit)
    }

    pub(super) fn build(self) -> Result<Filter, String> {
        let (texts, bits): (Vec<Vec<u8>>, Vec<Vec<FilterBit>>) = self.texts.into_iter().unzip();
        if texts.is_empty() {
            return Ok(Filter::default());
        }
        // A table is several times faster than links between states, and with few texts it is small.
        let kind = if texts.len() < 2_500 { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(kind))
            .build(&texts)
            .map_err(|error| error.to_string())?;
        Ok(Filter { automaton: Some(automaton), bits, count: self.count })
    }
}

impl Filter {
    /// How many words a set of expressions has.
    pub(crate) fn words(&self) -> usize {
        (self.count as usize).div_ceil(64)
    }

    /// Adds the expressions that can match `value` to a set of them.
    pub(crate) fn candidates(&self, value: &[u8], set: &mut [u64]) {
        let Some(automaton) = &self.automaton else { return };
        for found in automaton.find_overlapping_iter(value) {
            for bit in self.bits.get(found.pattern().as_usize()).into_iter().flatten() {
                if let Some(word) = set.get_mut(bit.word()) {
                    *word |= bit.mask();
                }
            }
        }
    }
}
