//! What an attacker tries on the admin listener: each is refused or harmless.

use crate::place::{Place, READER, ask};
use std::fmt::Write as _;
use std::time::Duration;

/// A kind of attack, the request as it is sent, and the statuses that refuse it. `@HOST` stands for the listener's host,
/// `@PORT` for its port, `@OPERATOR` and `@READER` for tokens, `@COOKIE` for the cookie of an operator's session, `@CSRF` for
/// what its forms carry, and `@LONG` for 100,000 letters.
type Case = (&'static str, &'static str, &'static [u16]);

const BLOCK: &str = "{\"source\":\"192.0.2.9\",\"minutes\":5,\"reason\":\"hostile\"}";

const CASES: &[Case] = &[
    ("no token", "GET /api/v1/status HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[401]),
    ("no token", "GET /metrics HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[401]),
    ("no token", "GET / HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[303]),
    ("no token", "GET /api/v1/nothing HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[401]),
    ("no token", "POST /api/v1/reload HTTP/1.1\r\nHost: @HOST\r\nContent-Length: 0\r\n\r\n", &[401]),
    ("no token", "GET /api/v1/status HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer\r\n\r\n", &[401]),
    (
        "no token",
        "GET /api/v1/status HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Basic @OPERATOR\r\n\r\n",
        &[401],
    ),
    (
        "no token",
        "GET /api/v1/status HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR0\r\n\r\n",
        &[401],
    ),
    (
        "no token",
        "GET /api/v1/status HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[401],
    ),
    ("no token", "GET /api/v1/status?token=@OPERATOR HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[401]),
    (
        "no token",
        "GET /api/v1/status HTTP/1.1\r\nHost: @HOST\r\nCookie: portcullis_admin=@OPERATOR\r\n\r\n",
        &[401],
    ),
    (
        "no token",
        "GET /api/v1/status HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE; portcullis_admin=x\r\n\r\n",
        &[401],
    ),
    (
        "wrong role",
        "POST /api/v1/reload HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\nContent-Length: 0\r\n\r\n",
        &[403],
    ),
    (
        "wrong role",
        "POST /api/v1/blocks HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\nContent-Type: application/json\r\nContent-Length: @BLOCK",
        &[403],
    ),
    (
        "wrong role",
        "DELETE /api/v1/blocks/192.0.2.9 HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\n\r\n",
        &[403],
    ),
    (
        "wrong role",
        "POST /sources/block HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 38\r\n\r\nsource=192.0.2.9&minutes=5&reason=none",
        &[403],
    ),
    (
        "wrong role",
        "POST /sources/unblock HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\nContent-Length: 0\r\n\r\n",
        &[403],
    ),
    (
        "wrong role",
        "GET /api/v1/reload HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\nX-HTTP-Method-Override: POST\r\n\r\n",
        &[405],
    ),
    (
        "wrong role",
        "POST /api/v1/keys HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"consumer\":\"alice\"}",
        &[403],
    ),
    (
        "wrong role",
        "POST /keys/create HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\nconsumer=alice",
        &[403],
    ),
    (
        "wrong role",
        "DELETE /api/v1/keys/key_0123456789abcdef HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\n\r\n",
        &[403],
    ),
    (
        "wrong role",
        "PUT /api/v1/log-level HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"level\":\"off\"}",
        &[403],
    ),
    ("wrong role", "GET /keys/made HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @READER\r\n\r\n", &[403]),
    (
        "csrf",
        "PUT /api/v1/log-level HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"level\":\"off\"}",
        &[403],
    ),
    (
        "csrf",
        "POST /keys/create HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\nconsumer=alice",
        &[403],
    ),
    (
        "csrf",
        "POST /api/v1/keys HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\n{\"consumer\":\"alice\"}",
        &[415],
    ),
    (
        "csrf",
        "POST /consumers/remove HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 17\r\n\r\nname=alice&csrf=0",
        &[403],
    ),
    ("no token", "GET /keys HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[303]),
    ("no token", "GET /api/v1/keys HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[401]),
    (
        "path tricks",
        "DELETE /api/v1/keys/a/rotate/rotate HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[404],
    ),
    (
        "csrf",
        "POST /api/v1/reload HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nContent-Length: 0\r\n\r\n",
        &[403],
    ),
    (
        "csrf",
        "POST /api/v1/reload HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nX-CSRF-Token: 0\r\nContent-Length: 0\r\n\r\n",
        &[403],
    ),
    (
        "csrf",
        "POST /api/v1/reload HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nX-CSRF-Token: @CSRF\r\nOrigin: https://evil.example\r\nContent-Length: 0\r\n\r\n",
        &[403],
    ),
    (
        "csrf",
        "POST /api/v1/reload HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nX-CSRF-Token: @CSRF\r\nOrigin: null\r\nContent-Length: 0\r\n\r\n",
        &[403],
    ),
    (
        "csrf",
        "POST /api/v1/reload HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nX-CSRF-Token: @CSRF\r\nOrigin: http://127.0.0.1:3000\r\nContent-Length: 0\r\n\r\n",
        &[403],
    ),
    (
        "csrf",
        "POST /api/v1/reload HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nX-CSRF-Token: @CSRF\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n\r\n",
        &[403],
    ),
    (
        "csrf",
        "POST /api/v1/reload HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nX-CSRF-Token: @CSRF\r\nSec-Fetch-Site: same-site\r\nContent-Length: 0\r\n\r\n",
        &[403],
    ),
    (
        "csrf",
        "POST /api/v1/reload HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nX-CSRF-Token: @CSRF\r\nSec-Fetch-Site: none\r\nContent-Length: 0\r\n\r\n",
        &[403],
    ),
    (
        "csrf",
        "POST /sources/block HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nContent-Type: text/plain\r\nContent-Length: 41\r\n\r\nsource=192.0.2.9&minutes=5&reason=hostile",
        &[403],
    ),
    (
        "csrf",
        "POST /api/v1/blocks HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\nContent-Type: text/plain\r\nContent-Length: @BLOCK",
        &[415],
    ),
    (
        "csrf",
        "POST /login HTTP/1.1\r\nHost: @HOST\r\nOrigin: https://evil.example\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 47\r\n\r\ntoken=reader-token-0123456789-0123456789-abcdef",
        &[403],
    ),
    (
        "rebinding",
        "GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[421],
    ),
    (
        "rebinding",
        "GET /api/v1/status HTTP/1.1\r\nHost: evil.example:@PORT\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[421],
    ),
    (
        "rebinding",
        "GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1.evil.example:@PORT\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[421],
    ),
    (
        "rebinding",
        "GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[421],
    ),
    (
        "rebinding",
        "GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[421],
    ),
    (
        "rebinding",
        "GET /api/v1/status HTTP/1.1\r\nHost: @HOST\r\nHost: evil.example\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[400, 421],
    ),
    ("rebinding", "GET /api/v1/status HTTP/1.1\r\nAuthorization: Bearer @OPERATOR\r\n\r\n", &[400, 421]),
    (
        "rebinding",
        "GET http://evil.example/api/v1/status HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[421],
    ),
    ("rebinding", "GET /login HTTP/1.1\r\nHost: evil.example:@PORT\r\n\r\n", &[421]),
    ("rebinding", "GET /assets/live.js HTTP/1.1\r\nHost: evil.example:@PORT\r\n\r\n", &[421]),
    (
        "cross-site get",
        "GET /api/v1/status HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nSec-Fetch-Site: cross-site\r\n\r\n",
        &[403],
    ),
    (
        "cross-site get",
        "GET /api/v1/refusals HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n\r\n",
        &[403],
    ),
    (
        "cross-site get",
        "GET /metrics HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\r\n",
        &[403],
    ),
    (
        "cross-site get",
        "GET / HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\r\n",
        &[303],
    ),
    (
        "cross-site get",
        "GET / HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n\r\n",
        &[403],
    ),
    (
        "cross-site get",
        "GET /sources HTTP/1.1\r\nHost: @HOST\r\nCookie: @COOKIE\r\nOrigin: https://evil.example\r\n\r\n",
        &[403],
    ),
    (
        "path tricks",
        "GET /api/v1/../v1/status HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[400],
    ),
    (
        "path tricks",
        "GET /api/v1/%73tatus HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[400],
    ),
    (
        "path tricks",
        "GET //api/v1/status HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[400],
    ),
    ("path tricks", "GET /healthz/../api/v1/status HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[400]),
    (
        "path tricks",
        "GET /api/v1/status/ HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[400],
    ),
    (
        "path tricks",
        "GET /API/v1/status HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[404],
    ),
    ("path tricks", "GET /assets/../../../../etc/passwd HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[400]),
    ("path tricks", "GET /assets/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[400]),
    ("path tricks", "GET /healthz;/api/v1/status HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[400]),
    (
        "path tricks",
        "GET /api/v1/refusals/a/b HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[404],
    ),
    (
        "path tricks",
        "GET /api/v1/refusals/<script>alert(1)</script> HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[400],
    ),
    (
        "path tricks",
        "TRACE /api/v1/status HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[405],
    ),
    ("oversized", "GET /api/v1/status HTTP/1.1\r\nHost: @HOST\r\nX-Long: @LONG\r\n\r\n", &[431]),
    ("oversized", "GET /@LONG HTTP/1.1\r\nHost: @HOST\r\n\r\n", &[414, 431]),
    (
        "oversized",
        "POST /api/v1/blocks HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n@LONG",
        &[413],
    ),
    (
        "oversized",
        "POST /api/v1/blocks HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n@LONG\r\n0\r\n\r\n",
        &[413],
    ),
    (
        "oversized",
        "GET /api/v1/refusals?limit=1000000 HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\n\r\n",
        &[400],
    ),
    (
        "oversized",
        "POST /login HTTP/1.1\r\nHost: @HOST\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\n@LONG",
        &[413],
    ),
    (
        "oversized",
        "POST /api/v1/blocks HTTP/1.1\r\nHost: @HOST\r\nAuthorization: Bearer @OPERATOR\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400, 415],
    ),
];

#[test]
fn hostile_requests_are_refused_or_harmless() {
    let place = Place::with_roles("hostile");
    let (cookie, csrf) = place.session(&place.operator);
    let mut wrong = String::new();
    for (kind, request, statuses) in CASES {
        let block = format!("{}\r\n\r\n{BLOCK}", BLOCK.len());
        let host = format!("127.0.0.1:{}", place.admin);
        let mut sent = (*request).to_owned();
        for (name, value) in [
            ("@HOST", host.as_str()),
            ("@PORT", &place.admin.to_string()),
            ("@OPERATOR", &place.operator),
            ("@READER", READER),
            ("@COOKIE", &cookie),
            ("@CSRF", &csrf),
            ("@BLOCK", &block),
            ("@LONG", &"a".repeat(100_000)),
        ] {
            sent = sent.replace(name, value);
        }
        let answer = ask(place.admin, &sent);
        if !statuses.contains(&answer.status) {
            let _ = writeln!(wrong, "{kind}: {} for {request:?}\n  {}", answer.status, answer.body);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let kinds: std::collections::BTreeMap<&str, usize> =
        CASES.iter().fold(Default::default(), |mut kinds, case| {
            *kinds.entry(case.0).or_default() += 1;
            kinds
        });
    assert!(CASES.len() >= 60 && kinds.values().all(|count| *count >= 5), "{} {kinds:?}", CASES.len());
    // None of them has done anything: one reload was the test's own.
    assert_eq!(place.json("/api/v1/status")["generation"], 2);
    assert_eq!(place.json("/api/v1/blocks")["blocks"].as_array().unwrap().len(), 0);
    // And the session was good: the same order with what its forms carry is done.
    let host = format!("127.0.0.1:{}", place.admin);
    let good = format!(
        "POST /api/v1/reload HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nX-CSRF-Token: {csrf}\r\nOrigin: http://{host}\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(ask(place.admin, &good).status, 200);
    let audit = place.audit();
    assert!(audit.contains("may not POST /api/v1/reload"), "{audit}");
    for secret in [place.operator.as_str(), READER, &csrf, cookie.split_once('=').unwrap().1] {
        assert!(!audit.contains(secret) && !place.said().contains(secret));
    }
}

/// Markup in names, paths, hosts, reasons and ids stays text on every page.
#[test]
fn what_clients_write_is_no_markup() {
    let place = Place::start("markup", "store: { keys: { sqlite: keys.db } }\n");
    let mark = "<script>alert(1)</script>";
    for request in [
        format!("GET /{mark} HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        "GET /orders/%3Cscript%3Ealert(1)%3C%2Fscript%3E HTTP/1.1\r\nHost: a.example\r\n\r\n".to_owned(),
        "GET /orders/\"onload=alert(1) HTTP/1.1\r\nHost: a.example\r\n\r\n".to_owned(),
        format!("GET /orders/7 HTTP/1.1\r\nHost: {mark}\r\n\r\n"),
        format!("{mark} /orders/7 HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        "GET /orders/7 HTTP/1.1\r\nHost: a.example\r\nX-Api-Key: other-key-0123456789\r\n\r\n".to_owned(),
    ] {
        let _ = ask(place.gateway, &request);
    }
    let order = serde_json::json!({ "source": "192.0.2.9", "reason": mark });
    assert_eq!(place.post("/api/v1/blocks", &order).status, 200);
    let order = serde_json::json!({ "name": mark, "note": "<img src=x onerror=\"alert(1)\">" });
    assert_eq!(place.post("/api/v1/consumers", &order).status, 200);
    let order = serde_json::json!({ "consumer": mark, "note": mark });
    assert_eq!(place.post("/api/v1/keys", &order).status, 200);
    let (cookie, _) = place.session(&place.operator);
    std::thread::sleep(Duration::from_millis(100));
    for page in [
        "/",
        "/refusals",
        "/refusals?id=%3Cscript%3Ealert(1)%3C/script%3E",
        "/refusals?code=%22%3E%3Cscript%3E",
        "/sources",
        "/consumers",
        "/keys",
        "/keys?consumer=%3Cscript%3E",
        "/routes",
        "/operations",
        "/gateway",
        "/login",
    ] {
        let answer = place.get(page, &format!("Cookie: {cookie}\r\n"));
        assert_eq!(answer.status, 200, "{page}");
        let body = answer.body.to_lowercase();
        for markup in ["<script>", "<img", "<b>role", "\"onload", " onerror=\"", "style=\"", "javascript:"] {
            assert!(!body.contains(markup), "{page} has {markup}");
        }
        let policy = answer.field("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.field("x-frame-options"), Some("DENY"));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
    }
    let consumers = place.get("/consumers", &format!("Cookie: {cookie}\r\n")).body;
    assert!(consumers.contains("&lt;img/src=x/onerror=alert(1)&gt;"), "{consumers}");
    // Answers in JSON are no pages either.
    let refusals = place.get("/api/v1/refusals", &format!("Cookie: {cookie}\r\n"));
    assert_eq!(refusals.field("content-type"), Some("application/json"));
    assert_eq!(refusals.field("x-content-type-options"), Some("nosniff"));
}
