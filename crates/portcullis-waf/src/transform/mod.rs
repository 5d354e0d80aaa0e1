//! Transformations: what is done to a value before an operator looks at it.
//!
//! Each is the algorithm of ModSecurity, byte for byte, because the rules of the Core Rule Set are written against
//! it. A transformation says `None` where it changes nothing, so that a value keeps one identity under all chains
//! that leave it as it is. None of them can fail; each output is bounded by a small multiple of its input.

mod best_fit;
mod codec;
mod comments;
mod escape;
mod path;
mod space;
mod triggers;
mod unicode;
mod url;

/// One step of a chain, as `t:` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transformation {
    /// `base64Decode`
    Base64Decode,
    /// `base64DecodeExt`: as `base64Decode`, and what is not in the alphabet is skipped.
    Base64DecodeExt,
    /// `base64Encode`
    Base64Encode,
    /// `cmdLine`
    CmdLine,
    /// `compressWhitespace`
    CompressWhitespace,
    /// `cssDecode`
    CssDecode,
    /// `escapeSeqDecode`
    EscapeSeqDecode,
    /// `hexDecode`
    HexDecode,
    /// `hexEncode`
    HexEncode,
    /// `htmlEntityDecode`
    HtmlEntityDecode,
    /// `jsDecode`
    JsDecode,
    /// `length`
    Length,
    /// `lowercase`
    Lowercase,
    /// `md5`
    Md5,
    /// `normalisePath`, `normalizePath`
    NormalisePath,
    /// `normalisePathWin`, `normalizePathWin`
    NormalisePathWin,
    /// `parityEven7bit`
    ParityEven7bit,
    /// `parityOdd7bit`
    ParityOdd7bit,
    /// `parityZero7bit`
    ParityZero7bit,
    /// `removeComments`
    RemoveComments,
    /// `removeCommentsChar`
    RemoveCommentsChar,
    /// `removeNulls`
    RemoveNulls,
    /// `removeWhitespace`
    RemoveWhitespace,
    /// `replaceComments`
    ReplaceComments,
    /// `replaceNulls`
    ReplaceNulls,
    /// `sha1`
    Sha1,
    /// `sqlHexDecode`
    SqlHexDecode,
    /// `trim`
    Trim,
    /// `trimLeft`
    TrimLeft,
    /// `trimRight`
    TrimRight,
    /// `uppercase`
    Uppercase,
    /// `urlDecode`
    UrlDecode,
    /// `urlDecodeUni`
    UrlDecodeUni,
    /// `urlEncode`
    UrlEncode,
    /// `utf8toUnicode`
    Utf8ToUnicode,
}

use Transformation as T;

/// Every name, in lower case. Names are compared without regard to case, as ModSecurity does.
const NAMES: [(&str, Transformation); 37] = [
    ("base64decode", T::Base64Decode),
    ("base64decodeext", T::Base64DecodeExt),
    ("base64encode", T::Base64Encode),
    ("cmdline", T::CmdLine),
    ("compresswhitespace", T::CompressWhitespace),
    ("cssdecode", T::CssDecode),
    ("escapeseqdecode", T::EscapeSeqDecode),
    ("hexdecode", T::HexDecode),
    ("hexencode", T::HexEncode),
    ("htmlentitydecode", T::HtmlEntityDecode),
    ("jsdecode", T::JsDecode),
    ("length", T::Length),
    ("lowercase", T::Lowercase),
    ("md5", T::Md5),
    ("normalisepath", T::NormalisePath),
    ("normalizepath", T::NormalisePath),
    ("normalisepathwin", T::NormalisePathWin),
    ("normalizepathwin", T::NormalisePathWin),
    ("parityeven7bit", T::ParityEven7bit),
    ("parityodd7bit", T::ParityOdd7bit),
    ("parityzero7bit", T::ParityZero7bit),
    ("removecomments", T::RemoveComments),
    ("removecommentschar", T::RemoveCommentsChar),
    ("removenulls", T::RemoveNulls),
    ("removewhitespace", T::RemoveWhitespace),
    ("replacecomments", T::ReplaceComments),
    ("replacenulls", T::ReplaceNulls),
    ("sha1", T::Sha1),
    ("sqlhexdecode", T::SqlHexDecode),
    ("trim", T::Trim),
    ("trimleft", T::TrimLeft),
    ("trimright", T::TrimRight),
    ("uppercase", T::Uppercase),
    ("urldecode", T::UrlDecode),
    ("urldecodeuni", T::UrlDecodeUni),
    ("urlencode", T::UrlEncode),
    ("utf8tounicode", T::Utf8ToUnicode),
];

impl Transformation {
    /// The transformation of that name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, this)| *this)
    }

    /// All names that [`named`](Self::named) knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// How many there are.
    pub(crate) const COUNT: usize = T::Utf8ToUnicode as usize + 1;

    /// What becomes of `input`; `None` if that is `input` itself.
    #[must_use]
    pub fn apply(self, input: &[u8]) -> Option<Vec<u8>> {
        let output = match self {
            T::Base64Decode => codec::base64_decode(input, false),
            T::Base64DecodeExt => codec::base64_decode(input, true),
            T::Base64Encode => codec::base64_encode(input),
            T::CmdLine => space::command_line(input),
            T::CompressWhitespace => space::compress(input),
            T::CssDecode => return has(input, b'\\').then(|| escape::css(input)).filter(|out| out != input),
            T::EscapeSeqDecode => {
                return has(input, b'\\').then(|| escape::ansi_c(input)).filter(|out| out != input);
            }
            T::HexDecode => codec::hex_decode(input),
            T::HexEncode => codec::hex_encode(input),
            T::HtmlEntityDecode => {
                return has(input, b'&').then(|| escape::html(input)).filter(|out| out != input);
            }
            T::JsDecode => return has(input, b'\\').then(|| escape::js(input)).filter(|out| out != input),
            T::Length => input.len().to_string().into_bytes(),
            T::Lowercase => {
                return input.iter().any(u8::is_ascii_uppercase).then(|| input.to_ascii_lowercase());
            }
            T::Uppercase => {
                return input.iter().any(u8::is_ascii_lowercase).then(|| input.to_ascii_uppercase());
            }
            T::Md5 => codec::md5(input),
            T::Sha1 => codec::sha1(input),
            T::NormalisePath => path::normalise(input),
            T::NormalisePathWin => {
                path::normalise(&input.iter().map(|&b| if b == b'\\' { b'/' } else { b }).collect::<Vec<_>>())
            }
            T::ParityEven7bit => codec::parity(input, codec::Parity::Even),
            T::ParityOdd7bit => codec::parity(input, codec::Parity::Odd),
            T::ParityZero7bit => codec::parity(input, codec::Parity::Zero),
            T::RemoveComments => comments::remove(input),
            T::RemoveCommentsChar => comments::remove_marks(input),
            T::ReplaceComments => {
                return has(input, b'/').then(|| comments::replace(input)).filter(|o| o != input);
            }
            T::RemoveNulls => {
                return has(input, 0).then(|| input.iter().copied().filter(|b| *b != 0).collect());
            }
            T::ReplaceNulls => {
                return has(input, 0).then(|| input.iter().map(|&b| if b == 0 { b' ' } else { b }).collect());
            }
            T::RemoveWhitespace => {
                return input
                    .iter()
                    .any(|b| space::is_space_or_nbsp(*b))
                    .then(|| input.iter().copied().filter(|b| !space::is_space_or_nbsp(*b)).collect());
            }
            T::SqlHexDecode => {
                return has(input, b'0').then(|| codec::sql_hex_decode(input)).filter(|o| o != input);
            }
            T::Trim => space::trim(input, true, true).to_vec(),
            T::TrimLeft => space::trim(input, true, false).to_vec(),
            T::TrimRight => space::trim(input, false, true).to_vec(),
            T::UrlDecode => {
                return has_url(input).then(|| url::decode(input, false)).filter(|out| out != input);
            }
            T::UrlDecodeUni => {
                return has_url(input).then(|| url::decode(input, true)).filter(|out| out != input);
            }
            T::UrlEncode => url::encode(input),
            T::Utf8ToUnicode => {
                return (!input.is_ascii())
                    .then(|| unicode::utf8_to_unicode(input))
                    .filter(|out| out != input);
            }
        };
        (output != input).then_some(output)
    }
}

fn has(input: &[u8], byte: u8) -> bool {
    memchr::memchr(byte, input).is_some()
}

fn has_url(input: &[u8]) -> bool {
    memchr::memchr2(b'%', b'+', input).is_some()
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The value of two hexadecimal digits at `at`.
pub(crate) fn hex_pair(input: &[u8], at: usize) -> Option<u8> {
    Some((hex(*input.get(at)?)? << 4) | hex(*input.get(at + 1)?)?)
}

/// The low byte of four hexadecimal digits at `at`. A full-width ASCII character (FF01 to FF5E) becomes its ASCII one.
pub(crate) fn hex_quad_as_byte(input: &[u8], at: usize) -> Option<u8> {
    let high = hex_pair(input, at)?;
    let low = hex_pair(input, at + 2)?;
    Some(full_width(high, low))
}

/// ASCII for the full-width character whose code has these two bytes, else the low byte.
pub(crate) fn full_width(high: u8, low: u8) -> u8 {
    if high == 0xff && low > 0 && low < 0x5f { low + 0x20 } else { low }
}
