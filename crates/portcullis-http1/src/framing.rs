//! Where a body ends (RFC 9112, section 6).
//!
//! Two servers that read this differently see different requests, so there is one spelling of each framing and no
//! repair: no list of lengths, no length beside a coding, no coding but `chunked`.

use crate::Version;
use crate::refusal::Refusal;

/// How a request says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// It has neither field, so there is no body (RFC 9112, section 6.3, rule 7).
    None,
    /// `Content-Length`: so many bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// After so many bytes; there is none if that is 0.
    Exact(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection. Only answers can end so (RFC 9112, section 6.3, rule 8).
    UntilClose,
}

impl From<Framing> for BodyLength {
    fn from(framing: Framing) -> BodyLength {
        match framing {
            Framing::None => BodyLength::Exact(0),
            Framing::Length(length) => BodyLength::Exact(length),
            Framing::Chunked => BodyLength::Chunked,
        }
    }
}

/// What the framing fields say so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FramingFields {
    length: Option<u64>,
    chunked: bool,
}

impl FramingFields {
    /// A `Content-Length` (RFC 9110, section 8.6).
    pub(crate) fn length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::LengthRepeated);
        }
        self.length = Some(decimal(value)?);
        Ok(())
    }

    /// A `Transfer-Encoding` (RFC 9112, section 6.1).
    pub(crate) fn coding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::Coding);
        }
        self.chunked = true;
        Ok(())
    }

    /// What they say together.
    pub(crate) fn framing(self, version: Version) -> Result<Framing, Refusal> {
        match (self.length, self.chunked) {
            (None, false) => Ok(Framing::None),
            (Some(length), false) => Ok(Framing::Length(length)),
            (Some(_), true) => Err(Refusal::LengthAndCoding),
            (None, true) => match version {
                Version::Http11 => Ok(Framing::Chunked),
                Version::Http10 => Err(Refusal::CodingInHttp10),
            },
        }
    }
}

/// Digits and nothing else: no sign, no list, no whitespace, below 2^63, which every server can hold.
fn decimal(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::LengthInvalid);
    }
    let number = value
        .iter()
        .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    number.filter(|number| *number <= i64::MAX as u64).ok_or(Refusal::LengthTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(fields: &[(&str, &str)], version: Version) -> Result<Framing, Refusal> {
        let mut framing = FramingFields::default();
        for (name, value) in fields {
            match *name {
                "length" => framing.length(value.as_bytes())?,
                _ => framing.coding(value.as_bytes())?,
            }
        }
        framing.framing(version)
    }

    #[test]
    fn framing_has_one_spelling() {
        let judge = |fields: &[_]| judge(fields, Version::Http11);
        assert_eq!(judge(&[]), Ok(Framing::None));
        assert_eq!(judge(&[("length", "0")]), Ok(Framing::Length(0)));
        assert_eq!(judge(&[("length", "0005")]), Ok(Framing::Length(5)));
        assert_eq!(judge(&[("length", "9223372036854775807")]), Ok(Framing::Length(i64::MAX as u64)));
        assert_eq!(judge(&[("coding", "ChUnKeD")]), Ok(Framing::Chunked));
        for (bad, refusal) in [
            ("", Refusal::LengthInvalid),
            ("+5", Refusal::LengthInvalid),
            ("-5", Refusal::LengthInvalid),
            ("5, 5", Refusal::LengthInvalid),
            ("5 5", Refusal::LengthInvalid),
            ("0x5", Refusal::LengthInvalid),
            ("5.0", Refusal::LengthInvalid),
            ("1_000", Refusal::LengthInvalid),
            ("five", Refusal::LengthInvalid),
            ("٥", Refusal::LengthInvalid),
            ("9223372036854775808", Refusal::LengthTooLarge),
            ("18446744073709551616", Refusal::LengthTooLarge),
            ("99999999999999999999999999", Refusal::LengthTooLarge),
        ] {
            assert_eq!(judge(&[("length", bad)]), Err(refusal), "{bad}");
        }
        for bad in [
            "",
            "gzip",
            "gzip, chunked",
            "chunked, chunked",
            "chunked,",
            "chunked;q=1",
            "xchunked",
            "identity",
            "\"chunked\"",
        ] {
            assert_eq!(judge(&[("coding", bad)]), Err(Refusal::Coding), "{bad}");
        }
    }

    #[test]
    fn two_framings_are_none() {
        let judge = |fields: &[_]| judge(fields, Version::Http11);
        assert_eq!(judge(&[("length", "5"), ("length", "5")]), Err(Refusal::LengthRepeated));
        assert_eq!(judge(&[("length", "5"), ("length", "6")]), Err(Refusal::LengthRepeated));
        assert_eq!(judge(&[("coding", "chunked"), ("coding", "chunked")]), Err(Refusal::Coding));
        for order in [[("length", "5"), ("coding", "chunked")], [("coding", "chunked"), ("length", "0")]] {
            assert_eq!(judge(&order), Err(Refusal::LengthAndCoding));
        }
    }

    #[test]
    fn http_1_0_knows_no_coding() {
        assert_eq!(judge(&[("coding", "chunked")], Version::Http10), Err(Refusal::CodingInHttp10));
        assert_eq!(judge(&[("length", "5")], Version::Http10), Ok(Framing::Length(5)));
    }
}
