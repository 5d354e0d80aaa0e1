//! `multipart/form-data` (RFC 7578), with the flags that say how far a body strays from it.
//!
//! Servers disagree about bodies that are not quite right, and an attacker shows one thing to the gateway and another
//! to the server. The flags are ModSecurity's; what each means is in its reference manual.

use memchr::{memchr, memmem};

/// A header line is longer than this, and the part is invalid.
const LONGEST_HEADER: usize = 16 << 10;

/// How a body strays from the standard.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of ModSecurity's variables")]
pub struct Flags {
    pub boundary_quoted: bool,
    pub boundary_whitespace: bool,
    pub data_before: bool,
    pub data_after: bool,
    pub header_folding: bool,
    pub invalid_header_folding: bool,
    pub lf_line: bool,
    pub missing_semicolon: bool,
    pub invalid_quoting: bool,
    pub invalid_part: bool,
    pub file_limit_exceeded: bool,
    /// A line in a part that starts with the boundary and goes on otherwise.
    pub unmatched_boundary: bool,
    /// A line in a part that starts as a boundary might, with two hyphens.
    pub boundary_like_line: bool,
}

impl Flags {
    /// Whether any flag of `MULTIPART_STRICT_ERROR` is set.
    #[must_use]
    pub fn any_strict(&self) -> bool {
        self.boundary_quoted
            || self.boundary_whitespace
            || self.data_before
            || self.data_after
            || self.header_folding
            || self.invalid_header_folding
            || self.lf_line
            || self.missing_semicolon
            || self.invalid_quoting
            || self.invalid_part
            || self.file_limit_exceeded
    }
}

/// One part.
#[derive(Debug, Default)]
pub(crate) struct Part<'b> {
    pub(crate) name: Vec<u8>,
    /// The names of the file, if it is one. `filename*` may give a second.
    pub(crate) file_names: Vec<Vec<u8>>,
    /// Header lines, unfolded.
    pub(crate) headers: Vec<Vec<u8>>,
    pub(crate) content: &'b [u8],
}

/// What a body says.
#[derive(Debug, Default)]
pub(crate) struct Multipart<'b> {
    pub(crate) parts: Vec<Part<'b>>,
    pub(crate) flags: Flags,
    pub(crate) error: Option<&'static str>,
}

/// Reads a body by the boundary of `content_type`.
pub(crate) fn parse<'b>(content_type: &[u8], body: &'b [u8]) -> Multipart<'b> {
    let mut read = Multipart::default();
    if let Err(error) = run(content_type, body, &mut read) {
        read.error = Some(error);
    }
    read
}

fn run<'b>(content_type: &[u8], body: &'b [u8], read: &mut Multipart<'b>) -> Result<(), &'static str> {
    let boundary = boundary(content_type, &mut read.flags)?;
    let delimiter = [b"--", boundary.as_slice()].concat();
    let mut lines = Lines { rest: body, at: 0 };
    // Before the first boundary nothing may stand.
    loop {
        let Some(line) = lines.next() else { return Err("no boundary was found") };
        match delimits(line.bytes, &delimiter) {
            Delimits::Next => break,
            Delimits::Last => return Err("the first boundary is the last one"),
            Delimits::Almost | Delimits::Like | Delimits::No => read.flags.data_before = true,
        }
    }
    loop {
        if read.parts.len() >= super::MOST_ENTRIES {
            read.flags.file_limit_exceeded = true;
            return Err("there are too many parts");
        }
        let headers = headers(&mut lines, &mut read.flags)?;
        let start = lines.at;
        let (end, last) = loop {
            let before = lines.at;
            let Some(line) = lines.next() else { break (lines.at, None) };
            match delimits(line.bytes, &delimiter) {
                Delimits::Next => break (before, Some(false)),
                Delimits::Last => break (before, Some(true)),
                Delimits::Almost => read.flags.unmatched_boundary = true,
                Delimits::Like => read.flags.boundary_like_line = true,
                Delimits::No => {}
            }
        };
        let content = body.get(start..end).unwrap_or_default();
        let content = match last {
            // The line end before a boundary belongs to the boundary.
            Some(_) => match content.strip_suffix(b"\r\n") {
                Some(content) => content,
                None => {
                    read.flags.lf_line = true;
                    content.strip_suffix(b"\n").unwrap_or(content)
                }
            },
            None => content,
        };
        let part = part(headers, content, read)?;
        read.parts.push(part);
        match last {
            Some(false) => {}
            Some(true) => break,
            None => return Err("the last boundary is missing"),
        }
    }
    if !lines.rest.is_empty() && lines.rest != b"\r\n" {
        read.flags.data_after = true;
    }
    Ok(())
}

struct Lines<'b> {
    rest: &'b [u8],
    at: usize,
}

struct Line<'b> {
    /// Without its end.
    bytes: &'b [u8],
    crlf: bool,
}

impl<'b> Lines<'b> {
    fn next(&mut self) -> Option<Line<'b>> {
        if self.rest.is_empty() {
            return None;
        }
        let length = memchr(b'\n', self.rest).map_or(self.rest.len(), |end| end + 1);
        let (line, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        self.at += length;
        let (bytes, crlf) = match line.strip_suffix(b"\r\n") {
            Some(bytes) => (bytes, true),
            None => (line.strip_suffix(b"\n").unwrap_or(line), false),
        };
        Some(Line { bytes, crlf })
    }
}

enum Delimits {
    Next,
    Last,
    /// It begins with the boundary and is none.
    Almost,
    /// It begins with two hyphens.
    Like,
    No,
}

fn delimits(line: &[u8], delimiter: &[u8]) -> Delimits {
    match line.strip_prefix(delimiter) {
        Some(rest) => match rest.trim_ascii_end() {
            b"" => Delimits::Next,
            b"--" => Delimits::Last,
            _ => Delimits::Almost,
        },
        None if line.starts_with(b"--") => Delimits::Like,
        None => Delimits::No,
    }
}

/// The boundary of a content type, with flags for what is odd about it.
fn boundary(content_type: &[u8], flags: &mut Flags) -> Result<Vec<u8>, &'static str> {
    let lower = content_type.to_ascii_lowercase();
    // A boundary may itself be called so: only what a value follows is the parameter.
    let has_value = |start: &usize| {
        let after = lower.get(start + b"boundary".len()..).unwrap_or_default();
        after.trim_ascii_start().starts_with(b"=")
    };
    let mut places = memmem::find_iter(&lower, b"boundary").filter(has_value);
    let start = places.next().ok_or("the content type has no boundary")?;
    if places.next().is_some() {
        return Err("the content type has more than one boundary");
    }
    let before = content_type.get(..start).unwrap_or_default();
    if !before.trim_ascii_end().ends_with(b";") {
        flags.missing_semicolon = true;
    }
    let after = content_type.get(start + b"boundary".len()..).unwrap_or_default();
    let trimmed = after.trim_ascii_start();
    let value = trimmed.strip_prefix(b"=").ok_or("the boundary has no value")?;
    if trimmed.len() != after.len() || value.trim_ascii().len() != value.len() {
        flags.boundary_whitespace = true;
    }
    let value = value.trim_ascii();
    let value = match value.strip_prefix(b"\"") {
        Some(quoted) => {
            flags.boundary_quoted = true;
            let end = memchr(b'"', quoted).ok_or("the boundary's quote is not closed")?;
            let rest = quoted.get(end + 1..).unwrap_or_default().trim_ascii_start();
            if !(rest.is_empty() || rest.starts_with(b";")) {
                return Err("something follows the boundary");
            }
            quoted.get(..end).unwrap_or_default()
        }
        None => {
            let end = value.iter().position(|byte| matches!(byte, b';' | b',')).unwrap_or(value.len());
            let bare = value.get(..end).unwrap_or_default();
            if bare.trim_ascii_end().len() != bare.len() {
                flags.boundary_whitespace = true;
            }
            bare.trim_ascii_end()
        }
    };
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    if value.is_empty() || value.len() > 200 || !value.iter().all(allowed) {
        return Err("the boundary is not a valid one");
    }
    Ok(value.to_vec())
}

/// The header lines of a part, up to its empty line.
fn headers(lines: &mut Lines<'_>, flags: &mut Flags) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut headers: Vec<Vec<u8>> = Vec::new();
    loop {
        let Some(line) = lines.next() else { return Err("a part has no end of its headers") };
        if !line.crlf {
            flags.lf_line = true;
        }
        if line.bytes.is_empty() {
            return Ok(headers);
        }
        if line.bytes.len() > LONGEST_HEADER || headers.len() >= 64 {
            flags.invalid_part = true;
            return Err("a part's headers are too large");
        }
        if let [b' ' | b'\t', rest @ ..] = line.bytes {
            flags.header_folding = true;
            match headers.last_mut() {
                Some(last) if last.len() <= LONGEST_HEADER => {
                    last.push(b' ');
                    last.extend(rest.trim_ascii());
                }
                Some(_) | None => flags.invalid_header_folding = true,
            }
            continue;
        }
        if !line.bytes.contains(&b':') {
            flags.invalid_part = true;
        }
        headers.push(line.bytes.to_vec());
    }
}

fn part<'b>(
    headers: Vec<Vec<u8>>,
    content: &'b [u8],
    read: &mut Multipart<'b>,
) -> Result<Part<'b>, &'static str> {
    let mut part = Part { content, ..Part::default() };
    let mut described = 0;
    for header in &headers {
        let Some(colon) = memchr(b':', header) else { continue };
        let name = header.get(..colon).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-disposition") {
            described += 1;
            let value = header.get(colon + 1..).unwrap_or_default();
            disposition(value.trim_ascii(), &mut part, &mut read.flags);
        }
    }
    part.headers = headers;
    if described != 1 {
        read.flags.invalid_part = true;
    }
    Ok(part)
}

/// Reads `form-data; name="a"; filename="b"`.
fn disposition(value: &[u8], part: &mut Part<'_>, flags: &mut Flags) {
    let end = memchr(b';', value).unwrap_or(value.len());
    if !value.get(..end).is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"form-data")) {
        flags.invalid_part = true;
    }
    let mut rest = value.get(end..).unwrap_or_default();
    let mut named = false;
    let mut file = false;
    while let Some(after) = rest.strip_prefix(b";") {
        let after = after.trim_ascii_start();
        if after.is_empty() {
            break;
        }
        let Some(equals) = memchr(b'=', after) else {
            flags.invalid_part = true;
            return;
        };
        let key = after.get(..equals).unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let (text, quoted, following) =
            parameter(after.get(equals + 1..).unwrap_or_default().trim_ascii_start());
        if !quoted || text.first() == Some(&b'\'') {
            flags.invalid_quoting |=
                key != b"filename*" && (text.first() == Some(&b'\'') || text.contains(&b'"'));
        }
        match key.as_slice() {
            b"name" => {
                flags.invalid_part |= std::mem::replace(&mut named, true);
                part.name = text;
            }
            b"filename" => {
                flags.invalid_part |= std::mem::replace(&mut file, true);
                part.file_names.push(text);
            }
            b"filename*" => {
                let encoded = text.splitn(3, |byte| *byte == b'\'').last().unwrap_or_default();
                let decoded = crate::transform::Transformation::UrlDecode.apply(encoded);
                part.file_names.push(decoded.unwrap_or_else(|| encoded.to_vec()));
            }
            _ => {}
        }
        rest = following.trim_ascii_start();
    }
    if !rest.is_empty() {
        flags.missing_semicolon = true;
        flags.invalid_part = true;
    }
    if !named {
        flags.invalid_part = true;
    }
}

/// A parameter's value, whether it was quoted, and what follows it.
fn parameter(text: &[u8]) -> (Vec<u8>, bool, &[u8]) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = memchr(b';', text).unwrap_or(text.len());
        let value = text.get(..end).unwrap_or_default().trim_ascii().to_vec();
        return (value, false, text.get(end..).unwrap_or_default());
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return (value, true, quoted.get(at + 1..).unwrap_or_default()),
            // Only a quote is escaped: browsers send the backslashes of a path as they are.
            b'\\' if quoted.get(at + 1) == Some(&b'"') => {
                bytes.next();
                value.push(b'"');
            }
            _ => value.push(*byte),
        }
    }
    (value, false, b"")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &[u8] = b"multipart/form-data; boundary=----B";

    fn flags(edit: impl Fn(&mut Flags)) -> Flags {
        let mut flags = Flags::default();
        edit(&mut flags);
        flags
    }

    #[test]
    fn parts_are_found_with_their_names_files_and_headers() {
        let body = b"------B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n2\r\n------B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"C:\\x.txt\"\r\nContent-Type: text/plain\r\n\r\n--x\r\n------B--\r\n";
        let read = parse(TYPE, body);
        assert_eq!(read.error, None);
        assert_eq!(read.flags, flags(|flags| flags.boundary_like_line = true));
        let [first, second] = read.parts.as_slice() else { panic!("{:?}", read.parts) };
        assert_eq!((first.name.as_slice(), first.content), (b"a".as_slice(), b"1\r\n2".as_slice()));
        assert!(first.file_names.is_empty());
        assert_eq!(second.file_names, [b"C:\\x.txt"]);
        assert_eq!(second.headers.len(), 2);
        assert_eq!(second.content, b"--x");
    }

    #[test]
    fn what_strays_is_flagged() {
        let body = |head: &str| format!("------B\r\n{head}\r\n\r\nv\r\n------B--\r\n").into_bytes();
        let good = "Content-Disposition: form-data; name=\"a\"";
        assert_eq!(parse(TYPE, &body(good)).flags, Flags::default());
        let cases: [(Vec<u8>, Flags); 7] = [
            (body(&good.replace("; name", " name")), flags(|f| f.invalid_part = true)),
            (body(&good.replace("form-data;", "form-data;\r\n")), flags(|f| f.header_folding = true)),
            (body(&good.replace("name=\"a\"", "name='a'")), flags(|f| f.invalid_quoting = true)),
            (body(&format!("{good}\r\nno colon")), flags(|f| f.invalid_part = true)),
            (body(&format!("{good}; name=\"b\"")), flags(|f| f.invalid_part = true)),
            ([b"x\r\n".as_slice(), &body(good)].concat(), flags(|f| f.data_before = true)),
            ([body(good).as_slice(), b"x"].concat(), flags(|f| f.data_after = true)),
        ];
        for (body, expected) in cases {
            assert_eq!(parse(TYPE, &body).flags, expected, "{}", body.escape_ascii());
        }
        assert!(parse(TYPE, &body(good).replace_lf()).flags.lf_line);
        assert!(parse(b"multipart/form-data; boundary=\"----B\"", &body(good)).flags.boundary_quoted);
        assert!(parse(b"multipart/form-data; boundary=a; boundary=b", &body(good)).error.is_some());
        assert!(parse(TYPE, b"------B\r\n").error.is_some());
    }

    trait ReplaceLf {
        fn replace_lf(&self) -> Vec<u8>;
    }

    impl ReplaceLf for Vec<u8> {
        fn replace_lf(&self) -> Vec<u8> {
            self.iter().copied().filter(|byte| *byte != b'\r').collect()
        }
    }
}
