//! Which bytes a value must have for a transformation to change it. Most values have none of them, so most
//! transformations need not be tried.

use super::Transformation;
use crate::operator::spec::ByteSet;

const UPPER: ByteSet = ByteSet::NONE.with(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ");
const LOWER: ByteSet = ByteSet::NONE.with(b"abcdefghijklmnopqrstuvwxyz");
const SPACES: ByteSet = ByteSet::NONE.with(b" \t\n\x0b\x0c\r");
const SPACES_AND_NBSP: ByteSet = SPACES.with(b"\xa0");
const OF_COMMAND_LINES: ByteSet = UPPER.with(b"\"'\\^ ,;\t\r\n");
const OF_PATHS: ByteSet = ByteSet::NONE.with(b"/.");
const OF_WINDOWS_PATHS: ByteSet = ByteSet::NONE.with(b"/.\\");
const OF_COMMENTS: ByteSet = ByteSet::NONE.with(b"/*<-#");
const OF_URLS: ByteSet = ByteSet::NONE.with(b"%+");
const AMPERSAND: ByteSet = ByteSet::NONE.with(b"&");
const BACKSLASH: ByteSet = ByteSet::NONE.with(b"\\");
const SLASH: ByteSet = ByteSet::NONE.with(b"/");
const NUL: ByteSet = ByteSet::NONE.with(b"\0");
const ZERO: ByteSet = ByteSet::NONE.with(b"0");
const HIGH: ByteSet = ByteSet::NONE.with_high();

impl Transformation {
    /// The bytes. `None`: it may change any value.
    pub(crate) fn triggers(self) -> Option<&'static ByteSet> {
        use Transformation as T;
        Some(match self {
            T::Base64Decode
            | T::Base64DecodeExt
            | T::Base64Encode
            | T::HexDecode
            | T::HexEncode
            | T::Length
            | T::Md5
            | T::ParityEven7bit
            | T::ParityOdd7bit
            | T::Sha1
            | T::UrlEncode => return None,
            T::CmdLine => &OF_COMMAND_LINES,
            T::CompressWhitespace | T::RemoveWhitespace => &SPACES_AND_NBSP,
            T::CssDecode | T::EscapeSeqDecode | T::JsDecode => &BACKSLASH,
            T::HtmlEntityDecode => &AMPERSAND,
            T::Lowercase => &UPPER,
            T::Uppercase => &LOWER,
            T::NormalisePath => &OF_PATHS,
            T::NormalisePathWin => &OF_WINDOWS_PATHS,
            T::ParityZero7bit | T::Utf8ToUnicode => &HIGH,
            T::RemoveComments | T::RemoveCommentsChar => &OF_COMMENTS,
            T::RemoveNulls | T::ReplaceNulls => &NUL,
            T::ReplaceComments => &SLASH,
            T::SqlHexDecode => &ZERO,
            T::Trim | T::TrimLeft | T::TrimRight => &SPACES,
            T::UrlDecode | T::UrlDecodeUni => &OF_URLS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn transformations() -> Vec<Transformation> {
        Transformation::names().filter_map(Transformation::named).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_value_without_a_trigger_stays(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            some in "[A-Za-z0-9 .,/%+\\\\&#'\"*<-]{0,30}",
        ) {
            for step in transformations() {
                let Some(triggers) = step.triggers() else { continue };
                for value in [bytes.as_slice(), some.as_bytes()] {
                    let kept: Vec<u8> =
                        value.iter().copied().filter(|byte| !triggers.contains(*byte)).collect();
                    prop_assert_eq!(step.apply(&kept), None, "{:?} of {:?}", step, kept);
                }
            }
        }
    }

    #[test]
    fn most_transformations_say_what_triggers_them() {
        let known = transformations().iter().filter(|step| step.triggers().is_some()).count();
        assert_eq!(known, 26, "of {} names", transformations().len());
    }
}
