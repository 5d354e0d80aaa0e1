//! `application/x-www-form-urlencoded`, and query strings.

use crate::transform::{Transformation, hex_pair};
use std::borrow::Cow;

/// One argument.
pub(crate) type Pair<'b> = (Cow<'b, [u8]>, Cow<'b, [u8]>);

/// What a form says.
pub(crate) struct Form<'b> {
    pub(crate) pairs: Vec<Pair<'b>>,
    /// Whether a percent-encoding was not one.
    pub(crate) invalid: bool,
    /// Whether there were more arguments than are read.
    pub(crate) too_many: bool,
}

/// Reads `a=1&b=2`, decoded once.
pub(crate) fn parse(text: &[u8]) -> Form<'_> {
    let mut form = Form { pairs: Vec::new(), invalid: false, too_many: false };
    for part in text.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
        if form.pairs.len() >= super::MOST_ENTRIES {
            form.too_many = true;
            break;
        }
        let (name, value) = match memchr::memchr(b'=', part) {
            Some(equals) => {
                (part.get(..equals).unwrap_or_default(), part.get(equals + 1..).unwrap_or_default())
            }
            None => (part, b"".as_slice()),
        };
        let pair = (decoded(name, &mut form.invalid), decoded(value, &mut form.invalid));
        form.pairs.push(pair);
    }
    form
}

pub(crate) fn decoded<'b>(text: &'b [u8], invalid: &mut bool) -> Cow<'b, [u8]> {
    let bad = memchr::memchr_iter(b'%', text).any(|at| hex_pair(text, at + 1).is_none());
    *invalid |= bad;
    Transformation::UrlDecode.apply(text).map_or(Cow::Borrowed(text), Cow::Owned)
}
