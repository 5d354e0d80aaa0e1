//! Says what is wrong with a head that is refused.
//!
//! Only refused heads come here, so it takes its time. It goes line by line and reports the first thing that is wrong.

use crate::field::is_token;
use crate::lines::{Kind, MAX_METHOD_BYTES};
use crate::refusal::Refusal;

/// The first control byte that stands where none may; a tab is none here. The bytes are no complete line and have no LF.
pub(crate) fn control(bytes: &[u8]) -> Option<Refusal> {
    let mut rest = bytes.iter().enumerate();
    rest.find_map(|(index, byte)| match byte {
        0 => Some(Refusal::Nul),
        b'\r' => match bytes.get(index + 1) {
            Some(b'\n') | None => None,
            Some(_) => Some(Refusal::BareCarriageReturn),
        },
        b'\n' | b'\t' => None,
        0x01..=0x1f | 0x7f => Some(Refusal::ControlByte),
        0x20..=0x7e | 0x80.. => None,
    })
}

/// What is wrong with a complete head, `bytes` from its first line to its empty line.
pub(crate) fn head(kind: Kind, bytes: &[u8]) -> Refusal {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    first_line(kind, first).or_else(|| lines.find_map(field_line)).unwrap_or(match kind {
        Kind::Request => Refusal::RequestLine,
        Kind::Response => Refusal::StatusLine,
    })
}

/// What is wrong with a complete first line.
pub(crate) fn first_line(kind: Kind, line: &[u8]) -> Option<Refusal> {
    match kind {
        // The CR of its CRLF is not among these bytes.
        Kind::Request | Kind::Response if line.contains(&b'\r') && !line.starts_with(&[0x16, 3]) => {
            Some(control(line).unwrap_or(Refusal::BareCarriageReturn))
        }
        Kind::Request => is_request_line(line).err(),
        Kind::Response => is_status_line(line).err(),
    }
}

/// What is wrong with a request line, complete or not, that something is wrong with.
pub(crate) fn request_line(line: &[u8]) -> Refusal {
    match line {
        // A handshake record of any version of TLS; the second byte may still be missing.
        [0x16] | [0x16, 3, ..] => Refusal::Tls,
        _ => is_request_line(line).err().unwrap_or(Refusal::Method),
    }
}

fn is_request_line(line: &[u8]) -> Result<(), Refusal> {
    if let [0x16, 3, ..] = line {
        return Err(Refusal::Tls);
    }
    if line == b"PRI * HTTP/2.0" {
        return Err(Refusal::Http2Preface);
    }
    control(line).map_or(Ok(()), Err)?;
    let mut words = line.split(|byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    if method.is_empty() || method.len() > MAX_METHOD_BYTES || !method.iter().all(|byte| is_token(*byte)) {
        return Err(Refusal::Method);
    }
    let (Some(target), Some(version), None) = (words.next(), words.next(), words.next()) else {
        return Err(Refusal::RequestLine);
    };
    if target.is_empty() || line.contains(&b'\t') {
        return Err(Refusal::RequestLine);
    }
    if matches!(version, b"HTTP/1.1" | b"HTTP/1.0") { Ok(()) } else { Err(Refusal::Version) }
}

fn is_status_line(line: &[u8]) -> Result<(), Refusal> {
    control(line).map_or(Ok(()), Err)?;
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let version = words.next().unwrap_or_default();
    if !matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
        return Err(if version.starts_with(b"HTTP/") { Refusal::Version } else { Refusal::StatusLine });
    }
    match words.next() {
        Some([b'1'..=b'9', b'0'..=b'9', b'0'..=b'9']) => Ok(()),
        Some([b'0', b'0'..=b'9', b'0'..=b'9']) => Err(Refusal::Status),
        Some(_) | None => Err(Refusal::StatusLine),
    }
}

/// What is wrong with a field line.
pub(crate) fn field_line(line: &[u8]) -> Option<Refusal> {
    if line.is_empty() {
        return None;
    }
    if matches!(line, [b' ' | b'\t', ..]) {
        return Some(Refusal::ObsoleteFold);
    }
    if let Some(refusal) =
        control(line).or_else(|| line.contains(&b'\r').then_some(Refusal::BareCarriageReturn))
    {
        return Some(refusal);
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return Some(Refusal::FieldWithoutColon);
    };
    match line.get(..colon).unwrap_or_default() {
        [.., b' ' | b'\t'] => Some(Refusal::SpaceBeforeColon),
        [] => Some(Refusal::FieldName),
        name if !name.iter().all(|byte| is_token(*byte)) => Some(Refusal::FieldName),
        _ => None,
    }
}
