//! What the keys of a route do that choose its requests, and change them and their answers.
//!
//! What becomes of answers on their way is seen through a running gateway in `tests/routing/`.

use super::super::harness::{Gate, gate, get, request};
use super::DocumentRow;
use http::HeaderMap;
use portcullis_core::Code;
use portcullis_core::route::changes::{Changes, Protection, UpstreamErrors};
use portcullis_proxy::{FixedAnswer, Target};
use serde_json::{Value, json};

/// What each key does.
pub(crate) const ROWS: &[DocumentRow] = &[
    ("routes[].match", || matches(json!({ "headers": { "x-version": "2" } }), &[("x-version", "2")], "/a")),
    ("routes[].match.headers", || {
        matches(json!({ "headers": { "X-Version": "2" } }), &[("x-version", "2")], "/a");
        matches(json!({ "headers": { "x-version": "*" } }), &[("x-version", "7")], "/a");
    }),
    ("routes[].match.query", || matches(json!({ "query": { "v": "a b" } }), &[], "/a?v=a%20b")),
    ("routes[].rewrite", || rewritten(json!({ "strip_prefix": "/api" }), "/x?q=1")),
    ("routes[].rewrite.strip_prefix", || rewritten(json!({ "strip_prefix": "/api/" }), "/x?q=1")),
    ("routes[].rewrite.path", || rewritten(json!({ "path": "/v2/{rest}" }), "/v2/x?q=1")),
    ("routes[].preserve_host", || {
        assert!(changes(json!({ "preserve_host": true })).preserve_host);
        assert_eq!(route(json!({})).send(get(&[])).permitted().changes, None);
    }),
    ("routes[].request_headers", || assert_eq!(sent(json!({ "set": { "x-a": "b" } }), &[])["x-a"], "b")),
    ("routes[].request_headers.set", || {
        let headers = sent(json!({ "set": { "X-A": "b" } }), &[("x-a", "theirs"), ("x_a", "theirs")]);
        assert_eq!((headers.get_all("x-a").iter().count(), &headers["x-a"]), (1, &"b".parse().unwrap()));
        assert!(!headers.contains_key("x_a"));
    }),
    ("routes[].request_headers.add", || {
        let headers = sent(json!({ "add": { "x-a": "b" } }), &[("x-a", "theirs")]);
        assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["theirs", "b"]);
    }),
    ("routes[].request_headers.remove", || {
        let headers =
            sent(json!({ "remove": ["x-a", "x-b-*"] }), &[("x-a", "1"), ("x_b_c", "1"), ("x-d", "1")]);
        assert!(
            headers.contains_key("x-d") && !headers.contains_key("x-a") && !headers.contains_key("x_b_c")
        );
    }),
    ("routes[].response_headers", || answered(json!({ "set": { "x-a": "b" } }))),
    ("routes[].response_headers.set", || answered(json!({ "set": { "x-a": "b" } }))),
    ("routes[].response_headers.add", || answered(json!({ "add": { "x-a": "b" }, "remove": ["x-a"] }))),
    ("routes[].response_headers.remove", || {
        let mut headers = HeaderMap::new();
        headers.insert("x-inner-a", "1".parse().unwrap());
        changes(json!({ "response_headers": { "remove": ["x-inner-*"] } })).answer.apply(&mut headers);
        assert!(headers.is_empty());
    }),
    ("routes[].response_headers.security", || {
        for (word, protection) in
            [("api", Protection::Api), ("html", Protection::Html), ("off", Protection::Off)]
        {
            assert_eq!(changes(json!({ "response_headers": { "security": word } })).protection, protection);
        }
        assert_eq!(changes(json!({ "preserve_host": true })).protection, Protection::Auto);
    }),
    ("routes[].upstream_errors", || {
        assert_eq!(changes(json!({ "upstream_errors": "pass" })).upstream_errors, UpstreamErrors::Pass);
        assert_eq!(changes(json!({ "preserve_host": true })).upstream_errors, UpstreamErrors::Replace);
    }),
    ("routes[].redirect", || {
        assert!(matches!(redirect(json!({ "to": "/b" })), FixedAnswer::Redirect { .. }))
    }),
    ("routes[].redirect.to", || match redirect(json!({ "to": "https://b.example/{rest}?x=1" })) {
        FixedAnswer::Redirect { to, .. } => {
            assert_eq!((to.origin.as_str(), to.query.as_deref()), ("https://b.example", Some("x=1")));
        }
        FixedAnswer::Respond { .. } => panic!("not a redirect"),
    }),
    ("routes[].redirect.status", || match redirect(json!({ "to": "/b", "status": 301 })) {
        FixedAnswer::Redirect { status, .. } => assert_eq!(status, 301),
        FixedAnswer::Respond { .. } => panic!("not a redirect"),
    }),
    ("routes[].respond", || assert_eq!(respond(json!({})), (200, None, String::new()))),
    ("routes[].respond.status", || assert_eq!(respond(json!({ "status": 503 })).0, 503)),
    ("routes[].respond.body", || assert_eq!(respond(json!({ "body": "ok" })).2, "ok")),
    ("routes[].respond.content_type", || {
        let typed = |keys| respond(keys).1;
        assert_eq!(typed(json!({ "body": "ok" })).as_deref(), Some("text/plain; charset=utf-8"));
        let json = json!({ "body": "{}", "content_type": "application/json" });
        assert_eq!(typed(json).as_deref(), Some("application/json"));
    }),
    ("request_headers.set", || {
        let gate = open(json!({ "request_headers": { "set": { "x-a": "b" } } }));
        assert_eq!(gate.send(get(&[("x_a", "theirs")])).permitted().headers["x-a"], "b");
        // A route's own wins.
        let own = json!({ "request_headers": { "set": { "x-a": "b" } }, "routes": [with(json!({ "request_headers": { "set": { "x-a": "c" } } }))] });
        assert_eq!(open(own).send(get(&[])).permitted().headers["x-a"], "c");
        let removed = json!({ "request_headers": { "set": { "x-a": "b" } }, "routes": [with(json!({ "request_headers": { "remove": ["x-a"] } }))] });
        assert!(!open(removed).send(get(&[])).permitted().headers.contains_key("x-a"));
    }),
    ("request_headers.add", || {
        let gate = open(json!({ "request_headers": { "add": { "x-a": "b" } } }));
        let answer = gate.send(get(&[("x-a", "theirs")]));
        assert_eq!(answer.permitted().headers.get_all("x-a").iter().count(), 2);
    }),
    ("request_headers.request_id", || {
        let gate = open(
            json!({ "trusted_proxies": ["10.0.0.0/8"], "request_headers": { "request_id": "from_trusted_proxies" } }),
        );
        let id = "4edd0e27-61ca-483a-8932-ae74fb835d6a";
        let sent = |peer| {
            let answer = gate.send_from(peer, get(&[("x-request-id", id)]));
            answer.permitted().headers["x-request-id"].to_str().unwrap().to_owned()
        };
        assert_eq!(sent("10.0.0.1"), id);
        assert_ne!(sent("192.0.2.1"), id);
    }),
    ("request_headers.forwarded", || {
        let gate = open(json!({ "request_headers": { "forwarded": true } }));
        let answer = gate.send(get(&[("forwarded", "for=evil")]));
        assert_eq!(
            answer.permitted().headers["forwarded"],
            "for=192.0.2.1;host=\"api.example.com\";proto=http"
        );
        assert!(!open(json!({})).send(get(&[])).permitted().headers.contains_key("forwarded"));
    }),
    ("error_bodies", || own_body()),
    ("error_bodies[].statuses", || own_body()),
    ("error_bodies[].file", || own_body()),
    ("error_bodies[].content_type", || own_body()),
    ("response_headers", || everywhere(json!({ "set": { "x-a": "b" } }))),
    ("response_headers.set", || everywhere(json!({ "set": { "x-a": "b" } }))),
    ("response_headers.add", || everywhere(json!({ "add": { "x-a": "b" } }))),
    ("response_headers.remove", || {
        let gate = open(json!({ "response_headers": { "remove": ["x-inner"] } }));
        let mut headers = HeaderMap::new();
        headers.insert("x-inner", "1".parse().unwrap());
        changed(&gate).answer.apply(&mut headers);
        assert!(headers.is_empty());
    }),
    ("response_headers.security", || {
        let gate = open(json!({ "response_headers": { "security": "off" } }));
        assert_eq!(changed(&gate).protection, Protection::Off);
    }),
];

/// A public route with these keys.
fn with(keys: Value) -> Value {
    let mut route = json!({ "path": "/a", "public": "a test", "upstream": "http://127.0.0.1:8080" });
    route.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    if keys.get("redirect").is_some() || keys.get("respond").is_some() {
        route.as_object_mut().unwrap().remove("upstream");
    }
    route
}

fn open(keys: Value) -> Gate {
    let mut document = json!({ "listeners": [{ "bind": "127.0.0.1:3000" }], "routes": [with(json!({}))] });
    document.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    gate(&document.to_string())
}

fn route(keys: Value) -> Gate {
    open(json!({ "routes": [with(keys)] }))
}

fn changed(gate: &Gate) -> Changes {
    Changes::clone(gate.send(get(&[])).permitted().changes.as_ref().unwrap())
}

fn changes(keys: Value) -> Changes {
    changed(&route(keys))
}

/// The headers with which a request with these goes upstream.
fn sent(request_headers: Value, fields: &[(&str, &str)]) -> HeaderMap {
    let gate = route(json!({ "request_headers": request_headers }));
    gate.send(get(fields)).permitted().headers.clone()
}

fn answered(response_headers: Value) {
    let mut headers = HeaderMap::new();
    headers.insert("x-a", "theirs".parse().unwrap());
    changes(json!({ "response_headers": response_headers })).answer.apply(&mut headers);
    assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["b"]);
}

/// An error with the body of a file.
fn own_body() {
    let gate = open(
        json!({ "error_bodies": [{ "statuses": [404], "file": "not-found.html", "content_type": "text/html" }] }),
    );
    assert_eq!(gate.send(request("GET", "/other", &[])).headers["content-type"], "text/html");
    let other = gate.send(request("GET", "/a%00", &[]));
    assert_eq!(
        (other.refusal(), &other.headers["content-type"]),
        (Some(Code::AmbiguousPath), &"application/problem+json".parse().unwrap())
    );
}

fn everywhere(response_headers: Value) {
    let gate = open(json!({ "response_headers": response_headers }));
    let mut headers = HeaderMap::new();
    changed(&gate).answer.apply(&mut headers);
    assert_eq!(headers["x-a"], "b");
}

/// A request with these fields has a route that others do not have.
fn matches(conditions: Value, fields: &[(&str, &str)], target: &str) {
    let routes = json!([
        with(json!({ "match": conditions, "upgrade": ["websocket"] })),
        with(json!({ "upstream": "http://127.0.0.1:8081" })),
    ]);
    let gate = open(json!({ "routes": routes }));
    let place = |target, fields: &[_]| gate.send(request("GET", target, fields)).permitted().route.0;
    assert_eq!((place(target, fields), place("/a", &[])), (0, 1));
    let alone = route(json!({ "match": conditions }));
    alone.send(request("GET", target, fields)).permitted();
    assert_eq!(alone.send(get(&[])).refusal(), Some(Code::RouteNotFound));
}

fn rewritten(rewrite: Value, target: &str) {
    let gate = route(json!({ "path": "/api/{*rest}", "rewrite": rewrite }));
    let answer = gate.send(request("GET", "/api/x?q=1", &[]));
    assert_eq!(answer.permitted().path_and_query, target);
    assert_eq!(answer.permitted().recording.record().target.as_ref().unwrap(), "/api/x?q=1");
}

fn fixed(keys: Value) -> FixedAnswer {
    match route(keys).front.targets.remove(0) {
        Target::Fixed(answer) => FixedAnswer::clone(&answer),
        Target::Upstream(_) | Target::Group(_) | Target::Handler(_) => panic!("not a fixed answer"),
    }
}

fn redirect(redirect: Value) -> FixedAnswer {
    fixed(json!({ "path": "/a/{*rest}", "redirect": redirect }))
}

fn respond(respond: Value) -> (u16, Option<String>, String) {
    match fixed(json!({ "respond": respond })) {
        FixedAnswer::Respond { status, content_type, body } => (
            status.as_u16(),
            content_type.map(|value| value.to_str().unwrap().to_owned()),
            String::from_utf8(body.to_vec()).unwrap(),
        ),
        FixedAnswer::Redirect { .. } => panic!("a redirect"),
    }
}
