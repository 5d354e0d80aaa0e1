//! The operators, and what each says of a value.

pub(crate) use super::network::Networks;
use super::pattern::{Exhausted, Pattern};
use super::phrases::Phrases;
pub(crate) use super::validate::ByteSet;
use super::{identity, validate};
use crate::detect::Detector;
use crate::seclang::tree::{Macro, Piece};
use std::sync::Arc;

/// An operator as a rule uses it.
#[derive(Debug, Clone)]
pub struct OperatorUse {
    /// Whether `!` stands before it.
    pub negated: bool,
    /// Which.
    pub operator: Operator,
}

/// Which operator, with its argument.
#[derive(Debug, Clone)]
pub enum Operator {
    /// `@beginsWith`
    BeginsWith(Macro),
    /// `@contains`
    Contains(Macro),
    /// `@containsWord`
    ContainsWord(Macro),
    /// `@detectSQLi`
    DetectSqli,
    /// `@detectXSS`
    DetectXss,
    /// `@endsWith`
    EndsWith(Macro),
    /// `@eq`
    Eq(Macro),
    /// `@ge`
    Ge(Macro),
    /// `@gt`
    Gt(Macro),
    /// `@ipMatch`, `@ipMatchFromFile`
    IpMatch(Arc<Networks>),
    /// `@le`
    Le(Macro),
    /// `@lt`
    Lt(Macro),
    /// `@noMatch`
    NoMatch,
    /// `@pm`, `@pmFromFile`
    Pm(Arc<Phrases>),
    /// `@rx`
    Rx(Arc<Pattern>),
    /// `@streq`
    Streq(Macro),
    /// `@strmatch`
    Strmatch(Macro),
    /// `@unconditionalMatch`
    UnconditionalMatch,
    /// `@validateByteRange`: the bytes that may be.
    ValidateByteRange(Arc<ByteSet>),
    /// `@validateUrlEncoding`
    ValidateUrlEncoding,
    /// `@validateUtf8Encoding`
    ValidateUtf8Encoding,
    /// `@verifyCC`
    VerifyCc(Arc<Pattern>),
    /// `@verifyCPF`
    VerifyCpf(Arc<Pattern>),
    /// `@verifySSN`
    VerifySsn(Arc<Pattern>),
    /// `@verifySVNR`
    VerifySvnr(Arc<Pattern>),
    /// `@within`
    Within(Macro),
}

/// What an operator caught, for `capture`: the whole, then the groups. At most ten.
#[derive(Debug, Default)]
pub struct Captures(pub Vec<Vec<u8>>);

impl Operator {
    /// The argument that has to be expanded before the operator is asked.
    #[must_use]
    pub fn argument(&self) -> Option<&Macro> {
        match self {
            Self::BeginsWith(text)
            | Self::Contains(text)
            | Self::ContainsWord(text)
            | Self::EndsWith(text)
            | Self::Eq(text)
            | Self::Ge(text)
            | Self::Gt(text)
            | Self::Le(text)
            | Self::Lt(text)
            | Self::Streq(text)
            | Self::Strmatch(text)
            | Self::Within(text) => Some(text),
            Self::DetectSqli
            | Self::DetectXss
            | Self::IpMatch(_)
            | Self::NoMatch
            | Self::Pm(_)
            | Self::Rx(_)
            | Self::UnconditionalMatch
            | Self::ValidateByteRange(_)
            | Self::ValidateUrlEncoding
            | Self::ValidateUtf8Encoding
            | Self::VerifyCc(_)
            | Self::VerifyCpf(_)
            | Self::VerifySsn(_)
            | Self::VerifySvnr(_) => None,
        }
    }

    /// Whether it searches for an attack, so that a value that is proved harmless need not be shown to it.
    #[must_use]
    pub fn is_search(&self) -> bool {
        matches!(self, Self::Rx(_) | Self::Pm(_) | Self::DetectSqli | Self::DetectXss)
    }

    /// Whether the operator matches `value`, before any negation.
    ///
    /// `argument` is what [`argument`](Self::argument) expands to. `captures` is filled where the rule asks for it.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if an expression that backtracks used up its steps.
    pub fn matches(
        &self,
        argument: &[u8],
        value: &[u8],
        detector: &dyn Detector,
        captures: Option<&mut Captures>,
    ) -> Result<bool, Exhausted> {
        Ok(match self {
            Self::BeginsWith(_) => value.starts_with(argument),
            Self::Contains(_) | Self::Strmatch(_) => memchr::memmem::find(value, argument).is_some(),
            Self::ContainsWord(_) => contains_word(value, argument),
            Self::EndsWith(_) => value.ends_with(argument),
            Self::Streq(_) => value == argument,
            Self::Within(_) => memchr::memmem::find(argument, value).is_some(),
            Self::Eq(_) => integer(value) == integer(argument),
            Self::Ge(_) => integer(value) >= integer(argument),
            Self::Gt(_) => integer(value) > integer(argument),
            Self::Le(_) => integer(value) <= integer(argument),
            Self::Lt(_) => integer(value) < integer(argument),
            Self::NoMatch => false,
            Self::UnconditionalMatch => true,
            Self::DetectSqli => match detector.sql(value) {
                Some(fingerprint) => {
                    fill(captures, [fingerprint]);
                    true
                }
                None => false,
            },
            Self::DetectXss => {
                let found = detector.xss(value);
                if found {
                    fill(captures, [value.to_vec()]);
                }
                found
            }
            Self::IpMatch(networks) => networks.contain(value),
            Self::Pm(phrases) => match phrases.find(value) {
                Some(phrase) => {
                    fill(captures, [phrase.to_vec()]);
                    true
                }
                None => false,
            },
            Self::Rx(pattern) => match captures {
                None => pattern.is_match(value)?,
                Some(captures) => match pattern.captures(value)? {
                    Some(found) => {
                        captures.0 = found;
                        true
                    }
                    None => false,
                },
            },
            Self::ValidateByteRange(allowed) => value.iter().any(|byte| !allowed.contains(*byte)),
            Self::ValidateUrlEncoding => validate::has_bad_percent(value),
            Self::ValidateUtf8Encoding => std::str::from_utf8(value).is_err(),
            Self::VerifyCc(pattern) => verify(pattern, value, identity::is_card, captures)?,
            Self::VerifyCpf(pattern) => verify(pattern, value, identity::is_cpf, captures)?,
            Self::VerifySsn(pattern) => verify(pattern, value, identity::is_ssn, captures)?,
            Self::VerifySvnr(pattern) => verify(pattern, value, identity::is_svnr, captures)?,
        })
    }
}

fn fill<const N: usize>(captures: Option<&mut Captures>, found: [Vec<u8>; N]) {
    if let Some(captures) = captures {
        captures.0 = found.into();
    }
}

/// Whether any text that the expression finds is a number of the kind.
fn verify(
    pattern: &Pattern,
    value: &[u8],
    is_kind: fn(&[u8]) -> bool,
    captures: Option<&mut Captures>,
) -> Result<bool, Exhausted> {
    let found = pattern.find_all(value)?.into_iter().find(|text| is_kind(text));
    Ok(match found {
        Some(text) => {
            fill(captures, [text.to_vec()]);
            true
        }
        None => false,
    })
}

/// Whether `word` stands in `text` with no letter, digit or underscore on either side.
fn contains_word(text: &[u8], word: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if word.is_empty() {
        return true;
    }
    memchr::memmem::find_iter(text, word).any(|start| {
        let before = start.checked_sub(1).and_then(|at| text.get(at));
        let after = text.get(start + word.len());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// A number as C's `atoi` reads it: spaces, a sign, digits; 0 if there are none. Too large a number is the largest.
#[must_use]
pub(crate) fn integer(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let number = digits
        .iter()
        .map_while(|byte| byte.is_ascii_digit().then(|| i64::from(byte - b'0')))
        .fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(digit));
    if negative { -number } else { number }
}

impl Macro {
    /// The text, if there are no macros in it.
    #[must_use]
    pub fn as_text(&self) -> Option<&[u8]> {
        match self.0.as_slice() {
            [] => Some(b""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}
