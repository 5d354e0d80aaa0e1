//! Which denial a message is that has no single reading.

use http::Method;
use http::uri::PathAndQuery;
use portcullis_core::{Code, Denial};
use portcullis_http1::Refusal;

/// The method and the target that these bytes begin with, as far as they are such, for the record.
pub(super) fn named(bytes: &[u8]) -> (Option<Method>, Option<PathAndQuery>) {
    let line =
        bytes.trim_ascii_start().split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let method = words.next().and_then(|word| Method::from_bytes(word).ok());
    // Only what was followed by a space is known to be whole.
    let Some(method) = method.filter(|method| method.as_str().len() < line.len()) else {
        return (None, None);
    };
    let target = words.next().filter(|target| target.starts_with(b"/"));
    (Some(method), target.and_then(|target| PathAndQuery::try_from(target).ok()))
}

/// What the record says, and which status the client gets.
pub(super) fn denial(refusal: Refusal) -> Denial {
    Denial::new(code(refusal), refusal.to_string())
}

fn code(refusal: Refusal) -> Code {
    match refusal {
        Refusal::TargetTooLong => Code::TargetTooLong,
        Refusal::TooManyFields | Refusal::FieldTooLarge | Refusal::HeadTooLarge => Code::HeadTooLarge,
        Refusal::HostMissing | Refusal::HostRepeated | Refusal::HostInvalid | Refusal::HostConflict => {
            Code::AmbiguousHost
        }
        Refusal::TargetForm
        | Refusal::AuthorityForm
        | Refusal::AsteriskForm
        | Refusal::Scheme
        | Refusal::TargetCharacter
        | Refusal::Fragment => Code::TargetForm,
        Refusal::LengthAndCoding
        | Refusal::LengthRepeated
        | Refusal::LengthInvalid
        | Refusal::LengthTooLarge
        | Refusal::Coding
        | Refusal::CodingInHttp10 => Code::AmbiguousFraming,
        Refusal::Tls
        | Refusal::Http2Preface
        | Refusal::EmptyLines
        | Refusal::BareLineFeed
        | Refusal::BareCarriageReturn
        | Refusal::Nul
        | Refusal::ControlByte
        | Refusal::RequestLine
        | Refusal::Method
        | Refusal::Version
        | Refusal::StatusLine
        | Refusal::Status
        | Refusal::ObsoleteFold
        | Refusal::SpaceBeforeColon
        | Refusal::FieldWithoutColon
        | Refusal::FieldName
        | Refusal::FieldValue => Code::MalformedRequest,
        Refusal::ChunkSize
        | Refusal::ChunkTooLarge
        | Refusal::ChunkExtension
        | Refusal::ChunkExtensionTooLong
        | Refusal::ChunkEnd
        | Refusal::TrailersTooLarge
        | Refusal::ForbiddenTrailer
        | Refusal::Incomplete => Code::BodyMalformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_names_what_there_was() {
        let of = |bytes: &[u8]| {
            let (method, target) = named(bytes);
            (method.map(|method| method.to_string()), target.map(|target| target.to_string()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of(b"GET /a?b HTTP/1.1\r\n\r\n"), (some("GET"), some("/a?b")));
        assert_eq!(of(b"\r\nGET * HTTP/1.1\r\n"), (some("GET"), None));
        assert_eq!(of(b"GET"), (None, None));
        assert_eq!(of(b"\x16\x03\x01 /"), (None, None));
        assert_eq!(of(b""), (None, None));
    }
}
