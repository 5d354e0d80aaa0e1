//! `multipart/form-data` (RFC 7578) with one reading: parts are taken apart as strictly as RFC 2046 writes them, so that
//! no backend finds other parts than were judged.
//!
//! Refused are a preamble, an epilogue, line ends other than CRLF, folded or repeated fields, a part without a name, a
//! name in a second encoding (`name*`), a `filename*` that says something else than the `filename` beside it, and a transfer
//! encoding.

use super::media_type::{MediaType, is_token};
use crate::limits::Limits;

/// One part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: Option<MediaType>,
    /// The fields apart from those above: names in lower case, values.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: &'a [u8],
}

/// Takes a body apart.
///
/// # Errors
/// A word for what is wrong.
pub(crate) fn parts<'a>(
    body: &'a [u8],
    boundary: &str,
    limits: &Limits,
) -> Result<Vec<Part<'a>>, &'static str> {
    if boundary.is_empty()
        || boundary.len() > 70
        || !boundary.bytes().all(is_boundary)
        || boundary.ends_with(' ')
    {
        return Err("multipart.boundary");
    }
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = delimiter.as_bytes();
    let first = delimiter.get(2..).unwrap_or_default();
    let mut rest = body.strip_prefix(first).ok_or("multipart.syntax")?;
    let mut parts = Vec::new();
    loop {
        if rest == b"--" || rest == b"--\r\n" {
            return if parts.is_empty() { Err("multipart.syntax") } else { Ok(parts) };
        }
        rest = rest.strip_prefix(b"\r\n").ok_or("multipart.syntax")?;
        if parts.len() >= limits.parts {
            return Err("multipart.parts");
        }
        let end = find(rest, delimiter).ok_or("multipart.syntax")?;
        let (part, after) = rest.split_at_checked(end).ok_or("multipart.syntax")?;
        parts.push(self::part(part, limits)?);
        rest = after.get(delimiter.len()..).unwrap_or_default();
    }
}

fn part<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Part<'a>, &'static str> {
    let end = match find(bytes.get(..limits.part_header_bytes + 4).unwrap_or(bytes), b"\r\n\r\n") {
        Some(end) => end,
        None if bytes.len() > limits.part_header_bytes => return Err("multipart.header_length"),
        None => return Err("multipart.syntax"),
    };
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default()).map_err(|_| "multipart.utf8")?;
    let body = bytes.get(end + 4..).unwrap_or_default();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or("multipart.header")?;
        let name = name.to_ascii_lowercase();
        let value = value.trim_matches([' ', '\t']);
        if !is_token(&name) || value.chars().any(|character| character.is_control() && character != '\t') {
            return Err("multipart.header");
        }
        if fields.iter().any(|(known, _)| *known == name) {
            return Err("multipart.header_repeated");
        }
        fields.push((name, value.to_owned()));
    }
    let mut take = |wanted: &str| {
        let at = fields.iter().position(|(name, _)| name == wanted)?;
        Some(fields.remove(at).1)
    };
    let disposition = take("content-disposition").ok_or("multipart.disposition")?;
    let (name, file_name) = names(&disposition).ok_or("multipart.disposition")?;
    let content_type = match take("content-type") {
        Some(value) => Some(MediaType::parse(&value).ok_or("content_type")?),
        None => None,
    };
    // Deprecated (RFC 7578, section 4.7), and a second reading of the body.
    if take("content-transfer-encoding").is_some_and(|value| !is_plain_encoding(&value)) {
        return Err("multipart.transfer_encoding");
    }
    Ok(Part { name, file_name, content_type, fields, body })
}

fn is_plain_encoding(value: &str) -> bool {
    ["7bit", "8bit", "binary"].iter().any(|known| value.eq_ignore_ascii_case(known))
}

/// The `name` and the `filename` of a `form-data` disposition. Both are quoted, or tokens; a quote within is `%22` or `\"`.
fn names(disposition: &str) -> Option<(String, Option<String>)> {
    let mut rest = disposition.strip_prefix("form-data")?;
    let (mut name, mut file_name, mut extended): (Option<String>, Option<String>, Option<String>) =
        (None, None, None);
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            // SECURITY: which of the two counts depends on who reads, so they must agree (file_names_agree).
            let agrees = extended.as_deref().is_none_or(|extended| agrees(file_name.as_deref(), extended));
            return if agrees { Some((name?, file_name)) } else { None };
        }
        rest = rest.strip_prefix(';')?.trim_start_matches([' ', '\t']);
        let (key, after) = rest.split_once('=')?;
        let (value, after) = value(after, key.eq_ignore_ascii_case("filename"))?;
        let place = match key.to_ascii_lowercase().as_str() {
            "name" => &mut name,
            "filename" => &mut file_name,
            "filename*" => &mut extended,
            // `name*` says the same in another encoding, and which one counts depends on who reads.
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
        rest = after;
    }
}

/// Whether a `filename*` (RFC 8187, in UTF-8) says what the `filename` beside it says, as it is or as an encoded word
/// (RFC 2047), which is how .NET writes a name that is not ASCII.
fn agrees(file_name: Option<&str>, extended: &str) -> bool {
    let Some((charset, rest)) = extended.split_once('\'') else { return false };
    let Some((_, encoded)) = rest.split_once('\'') else { return false };
    if !charset.eq_ignore_ascii_case("utf-8") {
        return false;
    }
    let Some(decoded) = crate::percent::decode(encoded, crate::percent::Plus::Literal) else { return false };
    file_name.is_some_and(|name| name == decoded || encoded_word(name).is_some_and(|word| word == decoded))
}

/// The text of an encoded word in UTF-8 and base64.
fn encoded_word(text: &str) -> Option<String> {
    let inner = text.strip_prefix("=?")?.strip_suffix("?=")?;
    let mut parts = inner.splitn(3, '?');
    let (charset, encoding, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    if !charset.eq_ignore_ascii_case("utf-8") || !encoding.eq_ignore_ascii_case("b") {
        return None;
    }
    let bytes = <base64ct::Base64 as base64ct::Encoding>::decode_vec(encoded).ok()?;
    String::from_utf8(bytes).ok()
}

/// A value and what follows it. Only the name of a file may have escapes in it.
fn value(text: &str, is_file_name: bool) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let value = text.get(..end)?;
        return is_token(value).then(|| (value.to_owned(), text.get(end..).unwrap_or_default()));
    };
    let end = quoted.find('"')?;
    let value = quoted.get(..end)?;
    if !value.contains('\\') {
        return Some((value.to_owned(), quoted.get(end + 1..).unwrap_or_default()));
    }
    if is_file_name { escaped(quoted) } else { None }
}

/// The name of a file in which `"` and `\` are escaped with a backslash, as Go and Ruby do, which comes last.
///
/// SECURITY: a backslash has two readings: browsers mean it, other clients escape with it. To who reads it as it stands, the name
/// ends earlier, and what follows would be parameters; so there must be none in it and none behind it (a_file_name_hides_no_parameter).
fn escaped(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let rest = quoted.get(at + 1..)?;
                return rest.trim_matches([' ', '\t']).is_empty().then_some((value, ""));
            }
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                Some(_) | None => return None,
            },
            ';' | '=' => return None,
            other => value.push(other),
        }
    }
    None
}

fn is_boundary(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte)
}

/// The first place of `wanted` in `bytes`.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        let place = from + at;
        if bytes.get(place..)?.starts_with(wanted) {
            return Some(place);
        }
        from = place + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<usize, &'static str> {
        parts(text.as_bytes(), "B", &Limits::default()).map(|parts| parts.len())
    }

    #[test]
    fn parts_have_one_reading() {
        let part = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1";
        assert_eq!(parse(&format!("{part}\r\n--B--")), Ok(1));
        assert_eq!(parse(&format!("{part}\r\n{part}\r\n--B--\r\n")), Ok(2));
        for (bad, reason) in [
            (String::new(), "multipart.syntax"),
            ("--B--".into(), "multipart.syntax"),
            (format!("x\r\n{part}\r\n--B--"), "multipart.syntax"),
            (format!("\r\n{part}\r\n--B--"), "multipart.syntax"),
            (format!("{part}\r\n--B--\r\nx"), "multipart.syntax"),
            (part.into(), "multipart.syntax"),
            (format!("{part}\r\n--B"), "multipart.syntax"),
            (format!("{part}\r\n--B \r\n--B--"), "multipart.syntax"),
            (format!("{part}\r\n--Bx\r\n--B--"), "multipart.syntax"),
            (part.replace("\r\n", "\n") + "\n--B--", "multipart.syntax"),
            ("--B\r\n\r\n1\r\n--B--".into(), "multipart.syntax"),
            ("--B\r\nX: 1\r\n\r\n1\r\n--B--".into(), "multipart.disposition"),
        ] {
            assert_eq!(parse(&bad), Err(reason), "{bad:?}");
        }
        for head in [
            "form-data",
            "form-data; filename=\"x\"",
            "attachment; name=\"a\"",
            "form-data; name=\"a\"; name=\"b\"",
            "form-data; name=\"a\"; name*=UTF-8''b",
            "form-data; name=\"a\"; filename*=UTF-8''b",
            "form-data; name=\"a",
            "form-data; name=\"a\\\"b\"",
            "form-data; name=\"a\" x",
            "form-datax; name=\"a\"",
        ] {
            let text = format!("--B\r\nContent-Disposition: {head}\r\n\r\n1\r\n--B--");
            assert_eq!(parse(&text), Err("multipart.disposition"), "{head}");
        }
        for (line, reason) in [
            ("Content-Disposition: form-data; name=b", "multipart.header_repeated"),
            (" folded", "multipart.header"),
            ("Content-Transfer-Encoding: base64", "multipart.transfer_encoding"),
            ("Content-Type: x", "content_type"),
            ("bad name: 1", "multipart.header"),
        ] {
            let text = format!("--B\r\nContent-Disposition: form-data; name=a\r\n{line}\r\n\r\n1\r\n--B--");
            assert_eq!(parse(&text), Err(reason), "{line}");
        }
        for boundary in ["", "a\"b", "a ", &"a".repeat(71)] {
            assert_eq!(parts(b"x", boundary, &Limits::default()), Err("multipart.boundary"), "{boundary}");
        }
    }

    #[test]
    fn file_names_agree() {
        for (names, expected) in [
            (r#"filename="a b.txt"; filename*=utf-8''a%20b.txt"#, true),
            (r#"filename=a.txt; filename*=UTF-8'en'a.txt"#, true),
            (r#"filename="=?utf-8?B?w6kudHh0?="; filename*=utf-8''%C3%A9.txt"#, true),
            (r#"filename="é.txt"; filename*=utf-8''%C3%A9.txt"#, true),
            (r#"filename=a.txt; filename*=utf-8''b.txt"#, false),
            (r#"filename="=?utf-8?B?w6kudHh0?="; filename*=utf-8''e.txt"#, false),
            (r#"filename=a.txt; filename*=iso-8859-1''a.txt"#, false),
            (r#"filename*=utf-8''a.txt"#, false),
            (r#"filename=a; filename*=utf-8''a; filename*=utf-8''a"#, false),
            (r#"filename=a; filename*=a"#, false),
        ] {
            let text = format!("--B\r\nContent-Disposition: form-data; name=f; {names}\r\n\r\n1\r\n--B--");
            assert_eq!(parse(&text).is_ok(), expected, "{names}");
        }
    }

    #[test]
    fn a_file_name_hides_no_parameter() {
        for (names, expected) in [
            (r#"name="f"; filename="ü \"x\".png""#, true),
            (r#"name="f"; filename="a\\b.txt" "#, true),
            (r#"name="f"; filename="a\"; name=\"admin""#, false),
            (r#"name="f"; filename="a\" name=\"b""#, false),
            (r#"name="f"; filename="a\"b"; x=y"#, false),
            (r#"filename="a\"b"; name="f""#, false),
            (r#"name="f"; filename="C:\temp\a.txt""#, false),
            (r#"name="f"; filename="a\""#, false),
            (r#"name="a\"b"; filename="f""#, false),
            (r#"filename="a\"b""#, false),
        ] {
            let text = format!("--B\r\nContent-Disposition: form-data; {names}\r\n\r\n1\r\n--B--");
            assert_eq!(parse(&text).is_ok(), expected, "{names}");
        }
    }

    #[test]
    fn parts_are_bounded() {
        let part = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
        assert_eq!(parse(&(part.repeat(100) + "--B--")), Ok(100));
        assert_eq!(parse(&(part.repeat(101) + "--B--")), Err("multipart.parts"));
        let long =
            format!("--B\r\nContent-Disposition: form-data; name={}\r\n\r\n1\r\n--B--", "a".repeat(5000));
        assert_eq!(parse(&long), Err("multipart.header_length"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            written in prop::collection::vec(("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..60)), 1..8),
        ) {
            // The boundary is longer than any body, so it stands in none.
            let boundary = "b".repeat(70);
            let mut bytes = Vec::new();
            for (name, body) in &written {
                let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
                bytes.extend_from_slice(head.as_bytes());
                bytes.extend_from_slice(body);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
            let read = parts(&bytes, &boundary, &Limits::default()).unwrap();
            let read: Vec<(String, Vec<u8>)> = read.into_iter().map(|part| (part.name, part.body.to_vec())).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn bytes_never_panic(bytes in "(--B|\r\n|Content-Disposition: form-data; name=|a|\"|;|--|\\PC){0,30}") {
            drop(parts(bytes.as_bytes(), "B", &Limits::default()));
        }
    }
}
