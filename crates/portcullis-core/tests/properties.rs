//! Whatever bytes come, reading them never panics, and what is admitted has one reading.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use portcullis_core::head::{client, host, path, query};
use portcullis_core::{Conn, Head, HeadPolicy, Once, Transport};
use proptest::prelude::*;

/// Pieces of which tricks are made, more likely together than random bytes would be.
fn path_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/".to_owned()),
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just("%2e".to_owned()),
        Just("%2F".to_owned()),
        Just("%5c".to_owned()),
        Just("%25".to_owned()),
        Just("%00".to_owned()),
        Just("%c0%ae".to_owned()),
        Just("%C3%A9".to_owned()),
        Just("%".to_owned()),
        Just(";".to_owned()),
        Just("\\".to_owned()),
        Just("?".to_owned()),
        "[a-z0-9A-Z%]{1,3}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// Paths of what a route may allow, and what it may be combined with.
fn reserved_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/"),
        Just("//"),
        Just("%2F"),
        Just("%2f"),
        Just("%5C"),
        Just(";"),
        Just("%3B"),
        Just("%252F"),
        Just("%255c"),
        Just("%25"),
        Just("%2e"),
        Just("%252e"),
        Just("."),
        Just(".."),
        Just("a"),
        Just("A"),
        Just("admin"),
        Just("x=1"),
        Just("[1]"),
        Just("|"),
        Just("%20"),
    ];
    proptest::collection::vec(piece, 0..9).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// Paths that are nearly nothing but escapes, also of what escapes are made of.
fn escapes_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => Just("%25".to_owned()),
        4 => "%[2-7][0-9a-fA-F]",
        2 => "%3[0-9]",
        2 => "%[46][1-6]",
        3 => "[0-9a-fA-F]",
        1 => "[/.;% ]",
        1 => "%[cC]3%[aA]9",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// All ways in which a server might read a path: decoded once, decoded twice, backslashes as slashes, parameters cut.
fn readings(path: &str) -> Vec<String> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            let mut ahead = rest.clone();
            let digits = (ahead.next(), ahead.next());
            let value = match digits {
                (Some(high), Some(low)) if byte == b'%' => {
                    u8::from_str_radix(&String::from_utf8_lossy(&[high, low]), 16)
                        .ok()
                        .filter(|_| high != b'+')
                }
                _ => None,
            };
            bytes.push(value.unwrap_or(byte));
            if value.is_some() {
                rest = ahead;
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let once = decode(path);
    let twice = decode(&once);
    let slashes = twice.replace('\\', "/");
    let cut: Vec<&str> =
        path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    vec![cut.join("/"), once, twice, slashes]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn an_admitted_path_has_as_many_segments_however_it_is_read(raw in path_like()) {
        let Ok(canonical) = path::canonical(&raw) else { return Ok(()) };
        let again = path::canonical(&canonical);
        prop_assert_eq!(again.as_deref(), Ok(&*canonical), "canonical once and for all");
        let segments = canonical.split('/').count();
        for reading in readings(&canonical) {
            prop_assert_eq!(reading.split('/').count(), segments, "{:?} reads as {:?}", canonical, reading);
            prop_assert!(!reading.split('/').any(|segment| segment == "." || segment == ".."), "{:?}", reading);
            prop_assert!(!reading.chars().any(char::is_control) || canonical.contains("%C2%"), "{:?}", reading);
        }
    }

    #[test]
    fn a_canonical_path_is_its_own_canonical_form(raw in escapes_like()) {
        let Ok(canonical) = path::canonical(&raw) else { return Ok(()) };
        let again = path::canonical(&canonical);
        prop_assert_eq!(again.as_deref(), Ok(&*canonical), "{:?}", raw);
    }

    /// Whatever a route allows of it.
    #[test]
    fn a_spelled_path_is_its_own_spelling(raw in prop_oneof![escapes_like(), path_like(), reserved_like()]) {
        let Ok(spelled) = path::spelled(&raw) else { return Ok(()) };
        let again = path::spelled(&spelled.path);
        prop_assert_eq!(again.as_ref().map(|again| (&*again.path, again.reserved)), Ok((&*spelled.path, spelled.reserved)), "{:?}", raw);
        prop_assert_eq!(path::canonical(&raw).is_ok(), spelled.reserved.is_none());
    }

    /// However often it is decoded, and whatever is taken for a slash or cut off.
    #[test]
    fn no_reading_of_a_spelled_path_has_a_dot_segment_or_a_host(raw in reserved_like()) {
        let Ok(spelled) = path::spelled(&raw) else { return Ok(()) };
        for reading in readings(&spelled.path) {
            let slashes = reading.replace('\\', "/");
            prop_assert!(!slashes.starts_with("//"), "{:?} reads as {:?}", raw, reading);
            for segment in slashes.split('/') {
                let cut = segment.split(';').next().unwrap_or_default().trim();
                prop_assert!(!matches!(cut, "." | ".."), "{:?} reads as {:?}", raw, reading);
            }
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>(), name in "[a-z%+]{1,4}") {
        let _ = path::canonical(&text);
        let _ = query::well_formed(&text);
        let _ = query::parameter(Some(&text), &name);
        let _ = client::address([127, 0, 0, 1].into(), &["127.0.0.0/8".parse().unwrap()], [text.as_str()].into_iter());
        if let Ok(canonical) = host::canonical(&text) {
            prop_assert_eq!(host::canonical(&canonical), Ok(canonical.clone()));
        }
    }

    #[test]
    fn a_parameter_that_was_removed_is_gone(text in "[a-c&=%+0-9]{0,24}", name in "[a-c]{1,2}") {
        if let Some(left) = query::without(&text, &[&name]) {
            prop_assert_eq!(query::parameter(Some(&left), &name), Once::Absent);
        }
    }

    #[test]
    fn any_head_is_admitted_or_refused(
        fields in proptest::collection::vec(("[a-z_.-]{1,20}", proptest::collection::vec(any::<u8>(), 0..20)), 0..12),
        target in path_like(),
    ) {
        let Ok(uri) = target.parse::<http::Uri>() else { return Ok(()) };
        let mut request = http::Request::new(());
        *request.uri_mut() = uri;
        request.headers_mut().insert("host", http::HeaderValue::from_static("a"));
        for (name, value) in fields {
            if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::from_bytes(&value)) {
                request.headers_mut().append(name, value);
            }
        }
        let local = "127.0.0.1:1".parse().unwrap();
        let conn = Conn { peer: local, local, transport: Transport::Memory, certificate: None };
        let mut policy = HeadPolicy::default();
        policy.rules.credential("x-api-key");
        if let Ok(head) = Head::admit(request.into_parts().0, &conn, &policy) {
            for gone in ["connection", "transfer-encoding", "content-length", "host", "te", "upgrade", "x-forwarded-for", "x-consumer-name"] {
                prop_assert!(!head.headers().contains_key(gone));
            }
            prop_assert!(!head.headers().keys().any(|name| name.as_str().replace(['_', '.'], "-") == "x-forwarded-for"));
        }
    }
}
