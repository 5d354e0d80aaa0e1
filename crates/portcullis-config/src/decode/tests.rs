use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::schema::ObjectSchema;
use crate::{Renderer, Span, Style, keyword, object};

mod misspelt;
mod tagged;

keyword! {
    /// The period.
    enum Per {
        /// One second.
        Second = "second",
        /// Sixty seconds.
        Minute = "minute" | "min",
    }
}

object! {
    /// How many requests a client may make.
    #[derive(PartialEq)]
    struct Limit {
        /// The most requests in one period.
        max_requests: NonZeroU32,
        /// The period.
        per: Per = Per::Minute,
        /// At once.
        #[alias("burst_size", "spike_allowance")]
        burst: Option<NonZeroU32>,
    }
}

object! {
    /// A client.
    struct Client {
        /// The secret.
        client_secret: Secret,
        /// The name.
        title: Option<String>,
    }
}

/// The value, if any, and what is printed.
fn read<T: Decode>(yaml: &str) -> (Option<T>, String) {
    let source = Source::new("test.yaml", yaml);
    let mut cx = Context::for_file(".").with_environment(|_| Err(std::env::VarError::NotPresent));
    let value = from_yaml(&source, &mut cx);
    assert_eq!(value.is_none(), cx.diagnostics.has_errors());
    assert_eq!(cx.path(), "");
    (value, Renderer::new(&cx.diagnostics, Some(&source), Style::Plain).text())
}

fn good<T: Decode>(yaml: &str) -> T {
    let (value, text) = read(yaml);
    assert_eq!(text, "", "{yaml}");
    value.unwrap()
}

#[track_caller]
fn refused<T: Decode>(yaml: &str, parts: &[&str]) {
    let (value, text) = read::<T>(yaml);
    assert!(value.is_none(), "{yaml}");
    for part in parts {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn truth_values() {
    assert!(good::<bool>("true") && !good::<bool>("False"));
    refused::<bool>("yes", &["config.wrong_type", "did you mean `true`?"]);
    refused::<bool>("off", &["did you mean `false`?"]);
    refused::<bool>("1", &["expected `true` or `false`, found a whole number"]);
}

#[test]
fn numbers() {
    assert_eq!(good::<u16>("65535"), u16::MAX);
    assert_eq!(good::<u64>("18446744073709551615"), u64::MAX);
    assert_eq!(good::<i64>("-5"), -5);
    assert_eq!(good::<NonZeroU64>("1").get(), 1);
    assert!((good::<f64>("0.5") - 0.5).abs() < f64::EPSILON && (good::<f64>("2") - 2.0).abs() < f64::EPSILON);
    refused::<u16>("65536", &["config.out_of_range", "65536 is out of range", "from 0 to 65535"]);
    refused::<u32>("-1", &["config.out_of_range"]);
    refused::<u64>("18446744073709551616", &["at least 0"]);
    refused::<NonZeroU32>("0", &["from 1 to 4294967295"]);
    refused::<u32>("\"5\"", &["write it without quotes"]);
    refused::<u32>("1.5", &["found a number"]);
    refused::<u32>("[1]", &["found a list"]);
    refused::<f64>(".inf", &["finite"]);
    refused::<f64>("many", &["expected a number, found text"]);
}

#[test]
fn text() {
    assert_eq!(good::<String>("\"12345\""), "12345");
    assert_eq!(good::<String>("no"), "no");
    refused::<String>("12345", &["expected text, found a whole number", "write it in quotes"]);
    refused::<String>("1.10", &["write it in quotes"]);
    refused::<String>("null", &["found nothing"]);
    refused::<String>("{ a: b }", &["found a mapping"]);
}

#[test]
fn addresses() {
    assert_eq!(good::<SocketAddr>("127.0.0.1:3000"), ([127, 0, 0, 1], 3000).into());
    assert_eq!(good::<SocketAddr>("\"[::1]:3000\"").port(), 3000);
    assert_eq!(good::<IpAddr>("192.0.2.1"), IpAddr::from([192, 0, 2, 1]));
    refused::<SocketAddr>("3000", &["did you mean `127.0.0.1:3000`?"]);
    refused::<SocketAddr>("localhost:3000", &["did you mean `127.0.0.1:3000`?"]);
    refused::<SocketAddr>("127.0.0.1", &["the port is missing"]);
    refused::<IpAddr>("192.0.2.1/24", &["config.invalid_address"]);
    refused::<IpAddr>("example.com", &["host names are not looked up"]);
}

#[test]
fn paths_are_relative_to_the_document() {
    let mut cx = Context::for_file("/etc/portcullis");
    let path: std::path::PathBuf = from_yaml(&Source::new("a", "orders.yaml"), &mut cx).unwrap();
    assert_eq!(path.to_str(), Some("/etc/portcullis/orders.yaml"));
    refused::<std::path::PathBuf>("\"\"", &["config.invalid_path"]);
}

#[test]
fn lists_report_every_faulty_element() {
    assert_eq!(good::<Vec<u16>>("[1, 2]"), [1, 2]);
    refused::<Vec<u16>>("[x, 2, 70000]", &["test.yaml:1:2", "test.yaml:1:8"]);
    refused::<Vec<u16>>("1", &["expected a list", "put it in brackets"]);
}

#[test]
fn one_or_many() {
    assert_eq!(*good::<OneOrMany<u16>>("1"), [1]);
    assert_eq!(*good::<OneOrMany<u16>>("[1, 2]"), [1, 2]);
    refused::<OneOrMany<u16>>("[1, x]", &["test.yaml:1:5"]);
    refused::<OneOrMany<u16>>("x", &["test.yaml:1:1"]);
}

#[test]
fn mappings_with_free_names() {
    let map: BTreeMap<String, Duration> = good("a: 1s\nb: 2m\n");
    assert_eq!(map["b"], Duration::from_secs(120));
    refused::<BTreeMap<String, Duration>>("a: 1\nb: 2m\nc: 3\n", &["test.yaml:1:4", "test.yaml:3:4"]);
}

#[test]
fn values_know_their_place() {
    let value: Spanned<String> = good("  word");
    assert_eq!((value.len(), value.span), (4, Span::new(2, 6)));
    assert_eq!(value, Spanned::nowhere("word".to_owned()));
}

#[test]
fn an_object_is_read() {
    let limit: Limit = good("max_requests: 5\nper: second\nburst: 2\n");
    assert_eq!(
        (limit.max_requests.get(), limit.per, limit.burst.map(NonZeroU32::get)),
        (5, Per::Second, Some(2))
    );
    assert_eq!(limit.at, Span::new(0, 36));
    let limit: Limit = good("{ max_requests: 5 }");
    assert_eq!((limit.per, limit.burst), (Per::Minute, None));
    assert_eq!(limit.written(), Some(json!({ "max_requests": 5, "per": "minute" })));
}

#[test]
fn other_spellings_are_read() {
    for yaml in [
        "{ maxRequests: 5, burstSize: 2, per: min }",
        "{ max_requests: 5, burst_size: 2 }",
        "{ maxRequests: 5, spike_allowance: 2 }",
    ] {
        let limit: Limit = good(yaml);
        assert_eq!((limit.max_requests.get(), limit.burst.map(NonZeroU32::get)), (5, Some(2)), "{yaml}");
    }
    refused::<Limit>(
        "max_requests: 5\nmaxRequests: 6\n",
        &[
            "config.duplicate_key",
            "`max_requests` and `maxRequests` are the same key",
            "test.yaml:2:1",
            "test.yaml:1:1",
        ],
    );
    refused::<Limit>("{ max_requests: 5, spike_allowance: 2, burst: 2 }", &["config.duplicate_key"]);
}

#[test]
fn every_fault_of_an_object_is_reported() {
    let (_, text) = read::<Limit>("max_requests: 0\nper: hour\nburst: x\nother: 1\n");
    for part in ["test.yaml:1:15", "test.yaml:2:6", "test.yaml:3:8", "test.yaml:4:1"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_missing_key_is_reported_at_its_mapping() {
    refused::<Vec<Limit>>(
        "- max_requests: 1\n- per: second\n",
        &["config.missing_key", "`max_requests` is missing", "test.yaml:2:3"],
    );
    refused::<Limit>("{}", &["config.missing_key"]);
    refused::<Limit>("5", &["expected a mapping, found a whole number"]);
}

#[test]
fn a_misspelt_required_key_is_one_fault() {
    let (_, text) = read::<Limit>("max_request: 5\n");
    assert_eq!(text.matches("error[").count(), 1, "{text}");
    assert!(text.contains("did you mean `max_requests`?"));
}

#[test]
fn an_unknown_key_like_no_other_gets_the_list() {
    refused::<Limit>(
        "max_requests: 5\nupstream: x\n",
        &["config.unknown_key", "`burst`, `max_requests`, `per`"],
    );
}

#[test]
fn an_explicit_nothing_is_refused() {
    refused::<Limit>(
        "max_requests: 5\nburst:\n",
        &["config.null_value", "remove the key or give it a value"],
    );
    refused::<Limit>("max_requests: ~\n", &["expected a whole number", "found nothing"]);
}

#[test]
fn keywords() {
    assert_eq!((good::<Per>("minute"), good::<Per>("min")), (Per::Minute, Per::Minute));
    refused::<Per>("minuet", &["config.unknown_value", "did you mean `minute`?", "`second`, `minute`"]);
    refused::<Per>("Second", &["did you mean `second`?"]);
    refused::<Per>("fortnight", &["not one of the known words"]);
    refused::<Per>("60", &["expected text"]);
}

#[test]
fn paths_lead_to_the_value() {
    let mut cx = Context::for_code();
    assert!(
        from_json::<Vec<Limit>>(
            json!([{ "max_requests": 1 }, { "max_requests": "x", "oops_this": 1 }]),
            &mut cx
        )
        .is_none()
    );
    let paths: Vec<_> = cx.diagnostics.into_iter().map(|one| one.path).collect();
    assert_eq!(paths, ["[1].max_requests", "[1].oops_this"]);
}

#[test]
fn the_value_of_a_misspelt_key_is_not_printed_if_it_may_be_a_secret() {
    for yaml in [
        "client_secrt: hunter2\n",
        "client_secret: x\nclient_secret_2: hunter2\n",
        "client_secret: x\nunheard_of: [hunter2]\n",
        "{ client_secret: x, clientSecret: hunter2 }",
        "client_secret: [hunter2]\n",
        "{ client_secret: hunter2, tilte: x }",
    ] {
        let (value, text) = read::<Client>(yaml);
        assert!(value.is_none() && !text.contains("hunter2"), "{text}");
    }
    let (_, text) = read::<Vec<Secret>>("hunter2");
    assert!(text.contains("expected a list") && !text.contains("hunter2"), "{text}");
    let (_, text) = read::<Client>("{ client_secret: x, tilte: shown }");
    assert!(text.contains("tilte: shown"), "a key that holds no secret is printed with its value: {text}");
}

#[test]
fn what_was_not_read_is_not_printed() {
    for yaml in [
        "{ title: x, client_secret: { evn: hunter2 } }",
        "{ titel: { a: hunter2 }, client_secret: x }",
        "{ unheard: [{ a: [hunter2] }], client_secret: x }",
        "{ title: [hunter2], client_secret: x }",
        "hunter2",
        "[hunter2]",
    ] {
        let (value, text) = read::<Client>(yaml);
        assert!(value.is_none() && !text.contains("hunter2"), "{text}");
    }
    let (_, text) = read::<Vec<Client>>("{ client_secret: hunter2 }");
    assert!(text.contains("expected a list") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_document_with_any_error_is_refused() {
    refused::<Limit>("max_requests: 5\nmax_requests: 6\n", &["config.duplicate_key"]);
    refused::<Limit>("max_requests: !!int 5\n", &["config.tag"]);
    refused::<Limit>("max_requests: 5\n1: 2\n", &["config.key_not_text"]);
    refused::<Limit>("", &["config.empty"]);
}
