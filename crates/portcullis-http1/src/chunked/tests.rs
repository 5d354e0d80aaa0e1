//! Which bytes are a chunked body, and which are none.

use super::*;
use crate::{BodyLength, BodyReader};

/// The content of the body that these bytes begin with, and how many they are.
fn read_with(bytes: &[u8], limits: BodyLimits) -> Result<(Vec<u8>, Option<usize>, BodyReader), Refusal> {
    let mut reader = BodyReader::new(BodyLength::Chunked, limits);
    let (mut content, mut used) = (Vec::new(), 0);
    loop {
        match reader.read(&bytes[used..])? {
            Part::Data(range) => {
                content.extend_from_slice(&bytes[used + range.start..used + range.end]);
                used += range.end;
            }
            Part::More(size) => {
                assert_eq!(used + size, bytes.len());
                return Ok((content, None, reader));
            }
            Part::End(size) => return Ok((content, Some(used + size), reader)),
        }
    }
}

fn read(text: &str) -> Result<(Vec<u8>, Option<usize>), Refusal> {
    read_with(text.as_bytes(), BodyLimits::default()).map(|(content, end, _)| (content, end))
}

#[test]
fn chunks_are_put_together() {
    for (text, content) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", "hello world"),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
    ] {
        let more = format!("{text}GET / HTTP/1.1\r\n");
        assert_eq!(read(&more), Ok((content.as_bytes().to_vec(), Some(text.len()))), "{text:?}");
    }
    assert_eq!(read("5\r\nhel"), Ok((b"hel".to_vec(), None)));
}

/// One body, one end: a server that took the LF for the end of the trailer section would read the next request later
/// than the server behind it.
#[test]
fn a_bare_lf_ends_no_body() {
    for text in [
        "0\r\n\n",
        "0\r\n\nGET / HTTP/1.1\r\n\r\n",
        "0\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA: b\r\n\n",
        "5\nhello",
    ] {
        assert_eq!(read(text), Err(Refusal::BareLineFeed), "{text:?}");
    }
}

#[test]
fn a_size_is_digits_and_nothing_else() {
    for (text, refusal) in [
        ("\r\nhello", Refusal::ChunkSize),
        ("+5\r\nhello", Refusal::ChunkSize),
        ("-5\r\nhello", Refusal::ChunkSize),
        (" 5\r\nhello", Refusal::ChunkSize),
        ("0x5\r\nhello", Refusal::ChunkSize),
        ("5_0\r\nhello", Refusal::ChunkSize),
        ("five\r\nhello", Refusal::ChunkSize),
        ("5g\r\nhello", Refusal::ChunkSize),
        ("5\0\r\nhello", Refusal::ChunkSize),
        (";a\r\nhello", Refusal::ChunkSize),
        ("5 \r\nhello", Refusal::ChunkExtension),
        ("5\r\r\nhello", Refusal::BareCarriageReturn),
        ("5\rhello", Refusal::BareCarriageReturn),
        ("8000000000000000\r\n", Refusal::ChunkTooLarge),
        ("ffffffffffffffff\r\n", Refusal::ChunkTooLarge),
        ("10000000000000000\r\n", Refusal::ChunkTooLarge),
        ("00000000000000005\r\n", Refusal::ChunkTooLarge),
    ] {
        assert_eq!(read(text), Err(refusal), "{text:?}");
    }
    assert_eq!(read("7fffffffffffffff\r\n"), Ok((Vec::new(), None)));
}

#[test]
fn data_ends_with_crlf() {
    for text in
        ["5\r\nhello0\r\n", "5\r\nhelloGET\r\n", "5\r\nhello\n0\r\n", "5\r\nhello\rX", "3\r\nhello\r\n"]
    {
        assert_eq!(read(text), Err(Refusal::ChunkEnd), "{text:?}");
    }
}

#[test]
fn extensions_follow_their_grammar() {
    for extension in [
        ";a",
        ";a=b",
        ";a=\"b\"",
        ";a;b",
        "; a",
        " ;a",
        "\t;\ta\t=\tb\t;c",
        ";a=\"b\\\"c;\\\\\"",
        ";a=\"\"",
        ";a=\"ä\"",
        ";a =b ;c",
    ] {
        let text = format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n");
        assert_eq!(read(&text), Ok((b"hello".to_vec(), Some(text.len()))), "{extension:?}");
    }
    for (extension, refusal) in [
        (";", Refusal::ChunkExtension),
        (";;a", Refusal::ChunkExtension),
        (";a=", Refusal::ChunkExtension),
        (";a=b=c", Refusal::ChunkExtension),
        (";a b", Refusal::ChunkExtension),
        (";a ", Refusal::ChunkExtension),
        (";a=b ", Refusal::ChunkExtension),
        (";=b", Refusal::ChunkExtension),
        (";a=\"b", Refusal::ChunkExtension),
        (";a=\"b\"c", Refusal::ChunkExtension),
        (";a=\"b\rc\"", Refusal::ChunkExtension),
        (";a\0", Refusal::ChunkExtension),
        (";ä", Refusal::ChunkExtension),
        (",a", Refusal::ChunkSize),
        (";a\nb", Refusal::BareLineFeed),
        (";a=\"b\nc\"", Refusal::BareLineFeed),
        (";a\n", Refusal::BareLineFeed),
    ] {
        assert_eq!(read(&format!("5{extension}\r\nhello\r\n0\r\n\r\n")), Err(refusal), "{extension:?}");
    }
}

#[test]
fn extensions_have_a_limit_for_each_and_for_all() {
    let limits = BodyLimits { max_extension_bytes: 8, max_extensions_bytes: 20, ..BodyLimits::default() };
    let read = |text: &str| read_with(text.as_bytes(), limits).map(|(content, ..)| content.len());
    assert_eq!(read("1;aaaaaa\r\nx\r\n0\r\n\r\n"), Ok(1));
    assert_eq!(read("1;aaaaaaa\r\nx\r\n0\r\n\r\n"), Ok(1));
    assert_eq!(read("1;aaaaaaaa\r\nx"), Err(Refusal::ChunkExtensionTooLong));
    assert_eq!(read(&"1;aaaa\r\nx\r\n".repeat(4)), Ok(4));
    assert_eq!(read(&"1;aaaa\r\nx\r\n".repeat(5)), Err(Refusal::ChunkExtensionTooLong));
}

#[test]
fn trailers_are_fields() {
    let (_, end, mut reader) =
        read_with(b"0\r\nDigest: a\r\nX-B:  c \r\n\r\nGET", BodyLimits::default()).unwrap();
    assert_eq!(end, Some("0\r\nDigest: a\r\nX-B:  c \r\n\r\n".len()));
    let trailers = reader.take_trailers().unwrap();
    assert_eq!((&trailers["digest"], &trailers["x-b"]), (&"a".parse().unwrap(), &"c".parse().unwrap()));
    assert!(reader.take_trailers().is_none());
    for (line, refusal) in [
        ("a : b", Refusal::SpaceBeforeColon),
        (" a: b", Refusal::ObsoleteFold),
        ("a: b\r\n c", Refusal::ObsoleteFold),
        ("a", Refusal::FieldWithoutColon),
        (": a", Refusal::FieldName),
        ("a: \0", Refusal::Nul),
        ("a: b\rc", Refusal::BareCarriageReturn),
        ("a: \u{1}", Refusal::ControlByte),
        ("Content-Length: 5", Refusal::ForbiddenTrailer),
        ("authorization: x", Refusal::ForbiddenTrailer),
    ] {
        assert_eq!(read(&format!("0\r\n{line}\r\n\r\n")), Err(refusal), "{line:?}");
    }
}

#[test]
fn forbidden_trailers_can_be_dropped() {
    let limits = BodyLimits { forbidden_trailers: ForbiddenTrailers::Drop, ..BodyLimits::default() };
    let (_, end, mut reader) = read_with(b"0\r\nHost: a\r\nx: y\r\n\r\n", limits).unwrap();
    assert_eq!(end, Some(20));
    assert_eq!(reader.take_trailers().unwrap().len(), 1);
    let (_, _, mut reader) = read_with(b"0\r\nHost: a\r\n\r\n", limits).unwrap();
    assert!(reader.take_trailers().is_none());
}

#[test]
fn trailers_have_limits() {
    let limits = BodyLimits { max_trailers: 2, max_trailer_bytes: 20, ..BodyLimits::default() };
    let read = |text: &str| read_with(text.as_bytes(), limits).map(|(_, end, _)| end);
    assert!(read("0\r\na: 1\r\nb: 2\r\n\r\n").unwrap().is_some());
    assert_eq!(read("0\r\na: 1\r\nb: 2\r\nc:\r\n"), Err(Refusal::TrailersTooLarge));
    assert_eq!(read("0\r\na: 2345678901234567890"), Err(Refusal::TrailersTooLarge));
}

/// However long a body is, no byte of it is kept.
#[test]
fn nothing_is_kept_but_trailers() {
    let mut reader = Chunked::new(BodyLimits::default());
    let chunk = b"1;a\r\nx\r\n";
    for _ in 0..1000 {
        let Part::Data(range) = reader.read(chunk).unwrap() else { panic!("a chunk has data") };
        assert_eq!(reader.read(&chunk[range.end..]), Ok(Part::More(2)));
    }
    assert_eq!(reader.trailers.capacity(), 0);
}
