//! What holds of every request head, whatever its bytes: driven by the fuzz targets `head_*`, and for a bounded time by
//! `crates/portcullis-core/tests/fuzz_head.rs`.

use http::header::{HeaderName, HeaderValue};
use portcullis_core::head::{path, query};
use portcullis_core::{Conn, CredentialLocation, Head, HeadPolicy, Once, Transport};
use std::sync::LazyLock;

static POLICY: LazyLock<HeadPolicy> = LazyLock::new(|| {
    let trusted_proxies = "127.0.0.0/8".parse().into_iter().collect();
    let mut policy = HeadPolicy { trusted_proxies, ..HeadPolicy::default() };
    policy.rules.credential("x-api-key");
    policy
});

/// The head that these bytes would be, as far as they are one: a target in the first line, a field in each other one.
fn read(bytes: &[u8]) -> Option<http::request::Parts> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut request = http::Request::new(());
    *request.uri_mut() = http::Uri::try_from(lines.next()?).ok()?;
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next()?).ok()?;
        let value = HeaderValue::from_bytes(parts.next()?).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request.into_parts().0)
}

fn judged(parts: http::request::Parts) -> Option<Head> {
    let conn = Conn {
        peer: ([127, 0, 0, 1], 1).into(),
        local: ([127, 0, 0, 1], 2).into(),
        transport: Transport::Memory,
        certificate: None,
    };
    Head::admit(parts, &conn, &POLICY).ok()
}

/// An admitted head has one canonical path, fields that a check may see and no others, and loses its credentials whole.
/// Whether it was admitted.
pub(crate) fn admit(bytes: &[u8]) -> bool {
    let Some(mut head) = read(bytes).and_then(judged) else { return false };
    assert_eq!(path::canonical(head.path()).as_deref(), Ok(head.path()), "canonical once and for all");
    assert!(!head.path().split('/').any(|segment| matches!(segment, "." | "..")));
    let query = head.query().unwrap_or_default();
    assert_eq!(query::well_formed(query), Ok(()));
    for name in head.headers().keys().map(HeaderName::as_str) {
        let folded: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        assert!(folded != "host" && !POLICY.rules.removes(&folded), "{name}");
        assert!(folded == name || folded != "x-api-key", "{name}");
    }
    let path = head.path().to_owned();
    for location in [
        CredentialLocation::Header(HeaderName::from_static("x-api-key")),
        CredentialLocation::Query("key".to_owned()),
        CredentialLocation::Cookie("session".to_owned()),
    ] {
        head.remove_credential(&location);
    }
    assert_eq!(head.path(), path, "what was judged goes on");
    assert_eq!(head.once("x-api-key"), Once::Absent);
    assert_eq!(head.query_once("key"), Once::Absent);
    assert_eq!(head.cookie_once("session"), Once::Absent);
    true
}

/// A parameter that is taken away is gone in every spelling, and nothing else is.
pub(crate) fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (name, text) = text.split_once('\n').unwrap_or(("key", text));
    let before = query::parameter(Some(text), name);
    match query::without(text, &[name]) {
        Some(left) => {
            assert_eq!(query::parameter(Some(&left), name), Once::Absent);
            assert!(before != Once::Absent || left == text, "nothing was there to be taken");
            if query::well_formed(text).is_ok() {
                assert_eq!(query::well_formed(&left), Ok(()));
            }
        }
        None => assert!(before != Once::Absent || text.is_empty()),
    }
}

/// A cookie that is taken away is gone, and the others stay as they are.
pub(crate) fn cookie(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let mut request = http::Request::new(());
    request.headers_mut().insert("host", HeaderValue::from_static("a"));
    request.headers_mut().insert("cookie", value);
    let Some(mut head) = judged(request.into_parts().0) else { return };
    let other = |head: &Head| format!("{:?}", head.cookie_once("other"));
    let kept = other(&head);
    let readable = head.cookie_once("session") != Once::Unreadable;
    head.remove_credential(&CredentialLocation::Cookie("session".to_owned()));
    assert_eq!(head.cookie_once("session"), Once::Absent);
    let left = head.headers().get("cookie").and_then(|left| left.to_str().ok()).unwrap_or_default();
    assert!(!left.split(';').any(|pair| pair.split('=').next().unwrap_or_default().trim() == "session"));
    assert!(!readable || other(&head) == kept);
}
