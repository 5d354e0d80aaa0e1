//! What is a request, and what is none: a row for each rule.

use super::*;

fn read(text: &str) -> Result<Option<RequestHead>, Refusal> {
    RequestReader::default().read(text.as_bytes(), &HeadLimits::default())
}

/// A GET with these lines after the request line, without the last empty one.
fn with(lines: &str) -> Result<RequestHead, Refusal> {
    read(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")).map(|head| head.expect("complete"))
}

#[test]
fn a_request_is_read_as_it_was_sent() {
    let text = "\r\nPOST /a?b=c HTTP/1.1\r\nHost: Example.com:80\r\nX-One:1\r\nX-Two:\t two words \t\r\nX-Empty:\r\n\
        Content-Length: 3\r\n\r\nabc";
    let head = read(text).unwrap().unwrap();
    let view = head.view(text.as_bytes());
    assert_eq!((view.method(), view.target(), head.version()), ("POST", "/a?b=c", Version::Http11));
    let fields: Vec<_> = view.fields().collect();
    assert_eq!(fields[1..4], [(&b"X-One"[..], &b"1"[..]), (b"X-Two", b"two words"), (b"X-Empty", b"")]);
    assert_eq!((head.framing(), head.length()), (Framing::Length(3), text.len() - 3));
    assert_eq!((head.form(), head.persistence()), (TargetForm::Origin, Persistence::KeepAlive));
}

#[test]
fn the_request_line_has_one_form() {
    for (line, refusal) in [
        ("GET  / HTTP/1.1", Refusal::RequestLine),
        ("GET / HTTP/1.1 ", Refusal::RequestLine),
        ("GET / a HTTP/1.1", Refusal::RequestLine),
        ("GET\t/ HTTP/1.1", Refusal::Method),
        ("GET /\tHTTP/1.1", Refusal::RequestLine),
        ("GET /", Refusal::RequestLine),
        ("GET", Refusal::RequestLine),
        (" GET / HTTP/1.1", Refusal::Method),
        ("G(T / HTTP/1.1", Refusal::Method),
        ("GET: / HTTP/1.1", Refusal::Method),
        ("GÉT / HTTP/1.1", Refusal::Method),
        ("GET / HTTP/2.0", Refusal::Version),
        ("GET / HTTP/1.2", Refusal::Version),
        ("GET / HTTP/0.9", Refusal::Version),
        ("GET / HTTP/1.10", Refusal::Version),
        ("GET / http/1.1", Refusal::Version),
        ("GET / HTTPS/1.1", Refusal::Version),
        ("GET / HTTP/11", Refusal::Version),
        ("PRI * HTTP/2.0", Refusal::Http2Preface),
        ("GET /a\u{1}b HTTP/1.1", Refusal::ControlByte),
        ("GET /a\u{7f}b HTTP/1.1", Refusal::ControlByte),
        ("GET /a\0b HTTP/1.1", Refusal::Nul),
        ("GET /a#b HTTP/1.1", Refusal::Fragment),
        ("GET * HTTP/1.1", Refusal::AsteriskForm),
        ("GET a:80 HTTP/1.1", Refusal::AuthorityForm),
        ("CONNECT / HTTP/1.1", Refusal::AuthorityForm),
        ("GET ftp://a/ HTTP/1.1", Refusal::Scheme),
        ("GET a HTTP/1.1", Refusal::TargetForm),
    ] {
        assert_eq!(read(&format!("{line}\r\nHost: a\r\n\r\n")), Err(refusal), "{line:?}");
        // With nothing after the line, too: what can only be refused is not waited for.
        let early = read(&format!("{line}\r\n"));
        assert!(matches!(early, Err(_) | Ok(None)), "{line:?}");
        if diagnose::first_line(Kind::Request, line.as_bytes()).is_some() {
            assert_eq!(early, Err(refusal), "{line:?}");
        }
    }
    for line in [
        "M-SEARCH / HTTP/1.1",
        "get / HTTP/1.1",
        "GET / HTTP/1.0",
        "OPTIONS * HTTP/1.1",
        "~!#$%&'*+-.^_`| / HTTP/1.1",
    ] {
        assert!(read(&format!("{line}\r\nHost: a\r\n\r\n")).unwrap().is_some(), "{line:?}");
    }
    let method = |length: usize| read(&format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(length)));
    assert!(method(MAX_METHOD_BYTES).is_ok());
    assert_eq!(method(MAX_METHOD_BYTES + 1), Err(Refusal::Method));
}

#[test]
fn a_field_line_has_one_form() {
    for (lines, refusal) in [
        ("A : b", Refusal::SpaceBeforeColon),
        ("A\t: b", Refusal::SpaceBeforeColon),
        ("Transfer-Encoding : chunked", Refusal::SpaceBeforeColon),
        ("A: b\r\n c", Refusal::ObsoleteFold),
        ("A: b\r\n\tc", Refusal::ObsoleteFold),
        ("A:\r\n b", Refusal::ObsoleteFold),
        (" A: b", Refusal::ObsoleteFold),
        ("A b", Refusal::FieldWithoutColon),
        ("Abc", Refusal::FieldWithoutColon),
        (": b", Refusal::FieldName),
        ("A B: c", Refusal::FieldName),
        ("A(: c", Refusal::FieldName),
        ("A/B: c", Refusal::FieldName),
        ("Ä: c", Refusal::FieldName),
        ("A\0: c", Refusal::Nul),
        ("A: b\0c", Refusal::Nul),
        ("A: b\u{1}", Refusal::ControlByte),
        ("A: b\u{b}c", Refusal::ControlByte),
        ("A: b\u{c}c", Refusal::ControlByte),
        ("A: \u{1b}[2J", Refusal::ControlByte),
        ("A: b\u{7f}", Refusal::ControlByte),
        ("A: b\rc", Refusal::BareCarriageReturn),
        ("A: b\r\rc: d", Refusal::BareCarriageReturn),
        ("A: b\nC: d", Refusal::BareLineFeed),
        ("A\r: b", Refusal::BareCarriageReturn),
    ] {
        assert_eq!(with(lines).err(), Some(refusal), "{lines:?}");
    }
    for lines in [
        "A:b",
        "A: b",
        "A: \t b \t ",
        "A:",
        "A: b\tc",
        "A: b:c",
        "A: ä",
        "a_b.c~d: e",
        "A: \"b\\\"c\"",
        "1: 2",
    ] {
        assert!(with(lines).is_ok(), "{lines:?}");
    }
    assert_eq!(read("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), Err(Refusal::ObsoleteFold));
}

#[test]
fn there_is_one_host() {
    for (text, refusal) in [
        ("GET / HTTP/1.1\r\n\r\n", Refusal::HostMissing),
        ("GET http://a/ HTTP/1.1\r\n\r\n", Refusal::HostMissing),
        ("GET http://a/ HTTP/1.0\r\n\r\n", Refusal::HostMissing),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refusal::HostRepeated),
        ("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", Refusal::HostRepeated),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", Refusal::HostRepeated),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Refusal::HostInvalid),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Refusal::HostInvalid),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refusal::HostInvalid),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refusal::HostInvalid),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Refusal::HostInvalid),
        ("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", Refusal::HostInvalid),
        ("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", Refusal::HostInvalid),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Refusal::HostInvalid),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", Refusal::HostConflict),
        ("GET http://a/ HTTP/1.1\r\nHost: a:8080\r\n\r\n", Refusal::HostConflict),
        ("GET http://a:8080/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::HostConflict),
        ("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", Refusal::HostConflict),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:80\r\n\r\n", Refusal::HostConflict),
    ] {
        assert_eq!(read(text), Err(refusal), "{text:?}");
    }
    for text in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: A.example:8080\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: A\r\n\r\n",
        "GET http://a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET https://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert!(read(text).unwrap().is_some(), "{text:?}");
    }
}

#[test]
fn framing_is_judged_with_the_head() {
    assert_eq!(with("Content-Length: 5").unwrap().framing(), Framing::Length(5));
    assert_eq!(with("transfer-ENCODING:chunked").unwrap().framing(), Framing::Chunked);
    for (lines, refusal) in [
        ("Content-Length: 5\r\nContent-Length: 5", Refusal::LengthRepeated),
        ("Content-Length: 5, 5", Refusal::LengthInvalid),
        ("Content-Length:", Refusal::LengthInvalid),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Refusal::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", Refusal::LengthAndCoding),
        ("Transfer-Encoding: gzip, chunked", Refusal::Coding),
        ("Transfer-Encoding:\r\nTransfer-Encoding: chunked", Refusal::Coding),
    ] {
        assert_eq!(with(lines).err(), Some(refusal), "{lines:?}");
    }
    let old = read("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(old, Err(Refusal::CodingInHttp10));
}

#[test]
fn what_concerns_the_connection_is_told() {
    let head = with("Connection: Upgrade\r\nUpgrade: websocket").unwrap();
    assert!(head.offers_upgrade());
    assert!(!with("Upgrade: websocket").unwrap().offers_upgrade());
    let old = read("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").unwrap().unwrap();
    assert!(!old.offers_upgrade());
    assert_eq!(old.persistence(), Persistence::Close);
    assert!(with("Expect: 100-Continue").unwrap().expects_continue());
    assert!(!with("Expect: 200-ok").unwrap().expects_continue());
    assert!(!read("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap().unwrap().expects_continue());
    assert_eq!(with("Connection: close").unwrap().persistence(), Persistence::Close);
}

#[test]
fn many_fields_are_read_as_few_are() {
    let lines: Vec<String> = (0..99).map(|number| format!("X-{number}: {number}")).collect();
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n", lines.join("\r\n"));
    let head = read(&text).unwrap().unwrap();
    assert_eq!(head.view(text.as_bytes()).fields().count(), 100);
    let more = text.replace("X-0: 0", "X-0: 0\r\nX: 1");
    assert_eq!(read(&more), Err(Refusal::TooManyFields));
}

/// The target's limit, to the byte.
#[test]
fn a_target_has_its_limit() {
    let limits = HeadLimits { max_target_bytes: 20, ..HeadLimits::default() };
    let read = |length: usize| {
        let text = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length - 1));
        RequestReader::default().read(text.as_bytes(), &limits)
    };
    assert!(read(20).unwrap().is_some());
    assert_eq!(read(21), Err(Refusal::TargetTooLong));
}

#[test]
fn a_reader_is_ready_for_the_next_head() {
    let bytes = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut reader = RequestReader::default();
    let first = reader.read(bytes, &HeadLimits::default()).unwrap().unwrap();
    assert!(!reader.has_begun());
    let rest = &bytes[first.length()..];
    let second = reader.read(rest, &HeadLimits::default()).unwrap().unwrap();
    assert_eq!((second.view(rest).target(), second.length()), ("/2", rest.len()));
    assert_eq!(reader.read(b"\r\n", &HeadLimits::default()), Ok(None));
    assert!(!reader.has_begun());
    assert_eq!(reader.read(b"\r\nG", &HeadLimits::default()), Ok(None));
    assert!(reader.has_begun());
}

/// `httparse` takes a bare LF, and more empty lines than we do; what it makes of a head must be what its lines are.
#[test]
fn both_passes_read_the_same_head() {
    for text in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut headers = [httparse::EMPTY_HEADER; 4];
        let lenient = httparse::Request::new(&mut headers).parse(text.as_bytes());
        assert!(matches!(lenient, Ok(httparse::Status::Complete(_))), "{text:?}");
        assert_eq!(read(text), Err(Refusal::BareLineFeed), "{text:?}");
    }
    // A head whose lines were counted otherwise is refused, whatever brings that about.
    let text = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    for fields in [0, 1, 3, 40] {
        let found = Found { start: 0, end: text.len(), fields };
        assert!(parse(text, found, &HeadLimits::default()).is_err(), "{fields}");
    }
}

#[test]
fn what_is_printed_holds_no_secret() {
    let text = "GET /a?key=secret HTTP/1.1\r\nHost: a\r\nX-Api-Key: secret\r\n\r\n";
    let head = read(text).unwrap().unwrap();
    let printed = format!("{head:?} {:?}", head.view(text.as_bytes()));
    assert!(printed.contains("/a") && !printed.contains("secret"), "{printed}");
}
