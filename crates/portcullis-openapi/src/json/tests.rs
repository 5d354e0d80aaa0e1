#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn fault(text: impl AsRef<[u8]>) -> Fault {
    read(text.as_ref(), &Limits::default()).unwrap_err()
}

#[test]
fn a_member_stands_once() {
    assert_eq!(fault(r#"{"a":1,"a":2}"#), Fault::Duplicate);
    assert_eq!(fault(r#"{"a":1,"\u0061":2}"#), Fault::Duplicate);
    assert_eq!(fault(r#"[{"b":{"a":1,"c":2,"a":1}}]"#), Fault::Duplicate);
    assert!(read(br#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#, &Limits::default()).is_ok());
}

#[test]
fn only_json_is_json() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "nul",
        "NaN",
        "-NaN",
        "Infinity",
        "-",
        "01",
        "-01",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "'a'",
        "{a:1}",
        "[1,]",
        "{\"a\":1,}",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "\"\t\"",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u+123\"",
        "// c\n1",
        "True",
        "\u{a0}1",
    ] {
        assert_eq!(fault(text), Fault::Syntax, "{text:?}");
    }
    assert_eq!(fault("1 2"), Fault::Trailing);
    assert_eq!(fault("0x10"), Fault::Trailing);
    assert_eq!(fault("1_000"), Fault::Trailing);
    assert_eq!(fault("{} x"), Fault::Trailing);
    assert_eq!(fault("null\0"), Fault::Trailing);
    assert_eq!(fault("\u{feff}{}"), Fault::ByteOrderMark);
    assert_eq!(fault(b"\"\xff\""), Fault::Encoding);
    assert_eq!(fault(b"\"\xc0\xaf\""), Fault::Encoding);
    assert_eq!(fault(b"\"\xed\xa0\x80\""), Fault::Encoding);
    for text in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800x""#, r#""\ud800\n""#] {
        assert_eq!(fault(text), Fault::Surrogate, "{text}");
    }
    assert_eq!(read(br#""\ud83d\ude00\u0000""#, &Limits::default()).unwrap(), json!("😀\0"));
}

#[test]
fn no_number_is_rounded() {
    let limits = Limits::default();
    for exact in
        ["9007199254740993", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "0.1"]
    {
        assert_eq!(read(exact.as_bytes(), &limits).unwrap().to_string(), exact);
    }
    assert_eq!(read(b"1.50000000000000000000000", &limits).unwrap(), json!(1.5));
    assert_eq!(read(b"-0", &limits).unwrap(), json!(0));
    assert_eq!(read(b"1e3", &limits).unwrap(), json!(1000.0));
    for inexact in [
        "18446744073709551616",
        "-9223372036854775809",
        "100.00000000000000000001",
        "1e400",
        "1e-400",
        "5e-324",
    ] {
        let strict = Limits { strict_numbers: true, ..limits };
        assert_eq!(read(inexact.as_bytes(), &strict).unwrap_err(), Fault::Inexact, "{inexact}");
        let rounded = read(inexact.as_bytes(), &limits);
        assert_eq!(rounded.is_ok(), inexact != "1e400", "{inexact}");
    }
    assert_eq!(read(b"18446744073709551616", &limits).unwrap(), json!(18_446_744_073_709_551_616.0));
    assert_eq!(fault("1".repeat(65)), Fault::NumberLength);
    assert_eq!(fault(format!("0.{}", "0".repeat(100_000))), Fault::NumberLength);
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(nested(64).as_bytes(), &Limits::default()).is_ok());
    assert_eq!(fault(nested(65)), Fault::Depth);
    assert_eq!(fault("[".repeat(64 * 1024)), Fault::Depth);
    assert_eq!(fault("{\"a\":".repeat(64 * 1024)), Fault::Depth);
}

#[test]
fn size_is_bounded() {
    let limits =
        Limits { members: 2, items: 3, string_bytes: 4, name_bytes: 2, nodes: 6, ..Limits::default() };
    let read = |text: &str| super::read(text.as_bytes(), &limits);
    assert!(read(r#"{"a":1,"bb":2}"#).is_ok());
    assert_eq!(read(r#"{"a":1,"b":2,"c":3}"#), Err(Fault::Members));
    assert!(read("[1,2,3]").is_ok());
    assert_eq!(read("[1,2,3,4]"), Err(Fault::Items));
    assert!(read(r#""abcd""#).is_ok());
    assert_eq!(read(r#""abcde""#), Err(Fault::StringLength));
    assert_eq!(read(r#""ab\u0063de""#), Err(Fault::StringLength));
    assert_eq!(read(r#"{"abc":1}"#), Err(Fault::NameLength));
    assert!(read("[[1],[2],3]").is_ok());
    assert_eq!(read("[[1],[2],[3]]"), Err(Fault::Nodes));
}

/// Values whose numbers both readers hold exactly.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300f64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_another_writes_is_read_back(value in value()) {
        for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert_eq!(read(text.as_bytes(), &Limits::default()).unwrap(), value.clone());
        }
    }

    /// Whatever is accepted here, another strict reader accepts, and reads the same.
    #[test]
    fn nothing_is_read_otherwise(text in r#"[\[\]{},:"\\u0-9a-f.eE+\- truefalsn]{0,40}"#) {
        if let Ok(value) = read(text.as_bytes(), &Limits::default()) {
            let other: Value = serde_json::from_str(&text).unwrap();
            prop_assert!(value == other || text.contains("-0"), "{} {} {}", text, value, other);
        }
    }

    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(read(&bytes, &Limits::default()));
    }
}
