//! Percent-decoding (RFC 3986, section 2.1) with one reading: a `%` without two digits, and bytes that are not UTF-8 once
//! decoded, are refused.

/// What `+` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plus {
    /// Itself, as in a path.
    Literal,
    /// A space, as in a form and in the queries that forms make.
    Space,
}

/// The text that `raw` stands for.
pub(crate) fn decode(raw: &str, plus: Plus) -> Option<String> {
    let special = |byte: u8| byte == b'%' || (byte == b'+' && plus == Plus::Space);
    if !raw.bytes().any(special) {
        return Some(raw.to_owned());
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            b'+' if plus == Plus::Space => b' ',
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_an_escape_is_refused() {
        assert_eq!(decode("a%20b+c", Plus::Space).as_deref(), Some("a b c"));
        assert_eq!(decode("a%20b+c", Plus::Literal).as_deref(), Some("a b+c"));
        assert_eq!(decode("%E2%82%AC", Plus::Literal).as_deref(), Some("€"));
        for bad in ["%", "%2", "%zz", "%+1", "a%", "%ff", "%c0%af"] {
            assert_eq!(decode(bad, Plus::Literal), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn another_encoder_is_read_back(text in any::<String>()) {
            let raw: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            prop_assert_eq!(decode(&raw, Plus::Space), Some(text));
        }
    }
}
