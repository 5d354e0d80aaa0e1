//! What the keys of `compression` do, for the whole gateway and for a route.
//!
//! What becomes of the bytes is seen through a running gateway in `tests/compression.rs`.

use super::super::harness::{gate, get};
use super::DocumentRow;
use http::HeaderMap;
use portcullis_core::route::compression::{Coding, Compression, Level};
use serde_json::{Value, json};

/// What each key does.
pub(crate) const ROWS: &[DocumentRow] = &[
    ("compression", || switched(everywhere)),
    ("compression.codings", || codings(everywhere)),
    ("compression.min_size", || min_size(everywhere)),
    ("compression.media_types", || media_types(everywhere)),
    ("compression.level", || level(everywhere)),
    ("compression.insecure_with_credentials", || with_credentials(everywhere)),
    ("routes[].compression", || {
        switched(in_a_route);
        // A route's own says it all, also that there is none.
        let off = document(json!(true), json!(false));
        assert!(compiled(&off).is_none());
        let own = document(json!({ "codings": ["br"], "level": "small" }), json!({ "codings": ["gzip"] }));
        let own = compiled(&own).unwrap();
        assert_eq!((own.codings, own.level), (vec![Coding::Gzip], Level::Balanced));
    }),
    ("routes[].compression.codings", || codings(in_a_route)),
    ("routes[].compression.min_size", || min_size(in_a_route)),
    ("routes[].compression.media_types", || media_types(in_a_route)),
    ("routes[].compression.level", || level(in_a_route)),
    ("routes[].compression.insecure_with_credentials", || with_credentials(in_a_route)),
];

/// How a route is compressed by a value that stands in one of the places.
type Read = fn(Value) -> Option<Compression>;

fn document(top: Value, route: Value) -> Value {
    json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "compression": top,
        "routes": [{ "path": "/a", "public": "a test", "upstream": "http://127.0.0.1:8080", "compression": route }],
    })
}

fn compiled(document: &Value) -> Option<Compression> {
    let answer = gate(&document.to_string()).send(get(&[]));
    let shaped = answer.permitted();
    let compression = shaped.changes.as_ref().and_then(|changes| changes.compression.clone());
    assert_eq!(shaped.compression.is_some(), compression.is_some(), "the client is asked where it matters");
    compression
}

fn everywhere(value: Value) -> Option<Compression> {
    let mut document = document(value, json!(null));
    document["routes"][0].as_object_mut().unwrap().remove("compression");
    compiled(&document)
}

fn in_a_route(value: Value) -> Option<Compression> {
    let mut document = document(json!(null), value);
    document.as_object_mut().unwrap().remove("compression");
    compiled(&document)
}

fn switched(read: Read) {
    assert!(read(json!(false)).is_none());
    let on = read(json!(true)).unwrap();
    assert_eq!(on.codings, [Coding::Zstd, Coding::Brotli, Coding::Gzip]);
    assert!(!on.with_credentials && on.min_bytes == 1024);
    assert_eq!(Some(on), read(json!({})));
}

fn codings(read: Read) {
    assert_eq!(
        read(json!({ "codings": ["gzip", "br", "gzip"] })).unwrap().codings,
        [Coding::Gzip, Coding::Brotli]
    );
}

fn suits(compression: &Compression, media: &str, length: u64, cookie: bool) -> bool {
    let mut asked = HeaderMap::new();
    asked.insert("accept-encoding", "gzip".parse().unwrap());
    let mut answered = HeaderMap::new();
    answered.insert("content-type", media.parse().unwrap());
    if cookie {
        answered.insert("set-cookie", "a=1".parse().unwrap());
    }
    compression.suits(compression.wish(&asked, cookie), &answered, Some(length))
}

fn min_size(read: Read) {
    let of = |settings| read(settings).unwrap();
    assert!(suits(&of(json!({ "min_size": "10B" })), "text/css", 10, false));
    assert!(!suits(&of(json!({ "min_size": "2KiB" })), "text/css", 2047, false));
}

fn media_types(read: Read) {
    let own = read(json!({ "media_types": ["image/*", "*+cbor", "application/pdf"] })).unwrap();
    for (media, suited) in
        [("image/bmp", true), ("a/b+cbor", true), ("application/pdf", true), ("text/html", false)]
    {
        assert_eq!(suits(&own, media, 5000, false), suited, "{media}");
    }
    assert!(suits(&read(json!(true)).unwrap(), "image/svg+xml", 5000, false));
}

fn level(read: Read) {
    for (word, level) in [("fast", Level::Fast), ("balanced", Level::Balanced), ("small", Level::Small)] {
        assert_eq!(read(json!({ "level": word })).unwrap().level, level);
    }
}

fn with_credentials(read: Read) {
    let open = read(json!({ "insecure_with_credentials": "nothing in it is secret" })).unwrap();
    assert!(
        suits(&open, "text/css", 5000, true) && !suits(&read(json!(true)).unwrap(), "text/css", 5000, true)
    );
}
