//! A pattern of another product is no path here; what real interfaces have in their paths is, where a route allows it.

use super::harness::{Gate, gate, load, request};
use portcullis::Style;
use portcullis_core::Code;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A protected route with this path beside an open wildcard.
fn document(path: &str) -> String {
    json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "consumers": [{ "name": "alice", "roles": ["user"], "keys": [{ "env": "ALICE_API_KEY" }] }],
        "security": { "authentication": { "type": "api_key" } },
        "routes": [
            { "path": path, "upstream": "http://127.0.0.1:8080" },
            { "path": "/{*rest}", "public": "a test", "upstream": "http://127.0.0.1:8080" },
        ],
    })
    .to_string()
}

#[test]
fn patterns_of_other_products_do_not_load() {
    for (path, meant) in [
        ("/admin/*", "did you mean `/admin/{*rest}`?"),
        ("/a/**", "did you mean `/a/{*rest}`?"),
        ("/a/:id", "did you mean `/a/{id}`?"),
        ("/a/.*", "did you mean `/a/{*rest}`?"),
        ("/a/<id>", "did you mean `/a/{id}`?"),
        ("/a/<int:id>/b", "did you mean `/a/{id}/b`?"),
        ("(?i)/a", "did you mean `/a`?"),
        ("/{*rest}?x", "did you mean `/{*rest}`?"),
        ("/a$", "did you mean `/a`?"),
        ("^/a/b", "did you mean `/a/b`?"),
        ("~* ^/a", "did you mean `/a`?"),
        ("/a/{id:int}", "did you mean `/a/{id}`?"),
        ("/a/{proxy+}", "did you mean `/a/{*proxy}`?"),
        ("/a/{rest...}", "did you mean `/a/{*rest}`?"),
        ("/a/[...slug]", "did you mean `/a/{*slug}`?"),
        ("/a/\\d+", "did you mean `/a/{segment}`?"),
        ("/admin*", "write `{name}` for one whole segment"),
        ("/a/%", "no request has this path"),
        ("/a\\{b}", "this is"),
    ] {
        let loaded = load(&document(path));
        let text = loaded.text(Style::Plain);
        assert!(loaded.blueprint().is_none(), "{path} loads");
        assert!(text.contains("config.route_path") && text.contains(meant), "{path}: {text}");
        assert_eq!(loaded.errors(), 1, "{path}: {text}");
    }
}

#[test]
fn what_real_interfaces_have_in_their_paths_is_text() {
    for (path, asked) in [
        ("/items:batch", "/items:batch"),
        ("/@scope/name", "/@scope/name"),
        ("/a+b", "/a+b"),
        ("/c++", "/c%2B%2B"),
        ("/Products(7)/$count", "/Products(7)/$count"),
        ("/$metadata", "/$metadata"),
        ("/~user/x", "/%7Euser/x"),
        ("/a,b", "/a,b"),
        ("/a\\*b", "/a*b"),
        ("/\\:id", "/:id"),
        ("/cost\\$", "/cost$"),
        ("/\\.\\.\\.", "/..."),
    ] {
        let gate = gate(&document(path));
        let answer = gate.send(request("GET", asked, &[]));
        let refused = [Some(Code::CredentialMissing), Some(Code::RouteNotFound)];
        assert!(refused.contains(&answer.refusal()), "{path} protects {asked}");
        gate.send(request("GET", "/elsewhere", &[])).permitted();
    }
}

/// An open route with these paths allowed, beside protected ones that a lax server could find in them.
fn keeping(path: &str, kept: &Value) -> Gate {
    gate(
        &json!({
            "listeners": [{ "bind": "127.0.0.1:3000" }],
            "consumers": [{ "name": "alice", "roles": ["user"], "keys": [{ "env": "ALICE_API_KEY" }] }],
            "security": { "authentication": { "type": "api_key" } },
            "routes": [
                { "path": path, "public": "a test", "encoded_paths": kept, "upstream": "http://127.0.0.1:8080" },
                { "path": "/admin", "upstream": "http://127.0.0.1:8080" },
                { "path": "/admin/{*rest}", "upstream": "http://127.0.0.1:8080" },
                { "path": "/v1/{id}/export", "upstream": "http://127.0.0.1:8080" },
                { "path": "/plain/{*rest}", "public": "a test", "upstream": "http://127.0.0.1:8080" },
            ],
        })
        .to_string(),
    )
}

/// What clients send, and the one key that lets it through.
#[test]
fn paths_of_real_clients_pass_where_their_route_allows_them() {
    for (client, key, route, path) in [
        ("GitLab project", "slash", "/api/v4/projects/{id}", "/api/v4/projects/group%2Fproject"),
        (
            "GitLab file",
            "slash",
            "/api/v4/projects/{id}/repository/files/{file}",
            "/api/v4/projects/7/repository/files/lib%2Fa.rb",
        ),
        ("GitLab in lower case", "slash", "/api/v4/projects/{id}", "/api/v4/projects/group%2fsub%2fproject"),
        ("npm scope", "slash", "/{package}", "/@babel%2fcore"),
        ("npm scope, all escaped", "slash", "/{package}", "/%40types%2Fnode"),
        ("Docker repository", "slash", "/v2/repositories/{name}", "/v2/repositories/library%2Fubuntu"),
        ("Go module path", "slash", "/mod/{name}", "/mod/github.com%2Fa%2Fb"),
        (
            "Matrix room",
            "slash",
            "/_matrix/client/v3/rooms/{room}",
            "/_matrix/client/v3/rooms/%21a%2Fb%3Aexample.org",
        ),
        (
            "Matrix key backup",
            "slash",
            "/_matrix/client/v3/keys/{key}",
            "/_matrix/client/v3/keys/a%2Fb%2BcQ%3D%3D",
        ),
        ("S3 key", "double_slash", "/bucket/{*key}", "/bucket/a//b"),
        ("S3 key with an escaped slash", "slash", "/bucket/{*key}", "/bucket/a%2Fb/c"),
        ("S3 key with a slash at its end", "double_slash", "/bucket/{*key}", "/bucket/folder//"),
        ("Angular matrix parameters", "semicolon", "/app/{*rest}", "/app/heroes;id=15;foo=bar/detail"),
        ("Java session", "semicolon", "/app/{*rest}", "/app/page.jsp;jsessionid=1A2B"),
        ("Jenkins folder job", "percent", "/job/{*rest}", "/job/x%252Fy/job/z"),
        ("Jenkins branch", "percent", "/job/{*rest}", "/job/repo/job/feature%252Flogin/build"),
        ("image proxy", "double_slash", "/img/{*rest}", "/img/300x200/http://images.example/a.png"),
        ("image proxy over https", "double_slash", "/img/{*rest}", "/img/https://images.example/a.png"),
        ("web archive", "double_slash", "/web/{*rest}", "/web/2024/https://a.example/b"),
        ("Windows share", "backslash", "/files/{name}", "/files/share%5Cfolder"),
    ] {
        let gate = keeping(route, &json!({ key: "keep" }));
        let answer = gate.send(request("GET", path, &[]));
        let sent = answer.permitted().path_and_query.as_str();
        assert!(sent.eq_ignore_ascii_case(path) || sent.contains('@'), "{client}: {path} goes on as {sent}");
        // The refused twin: without the line, and on a route that does not have it.
        assert_eq!(
            keeping(route, &json!({})).send(request("GET", path, &[])).refusal(),
            Some(Code::AmbiguousPath),
            "{client}"
        );
        let elsewhere = format!("/plain{path}");
        assert_eq!(
            gate.send(request("GET", &elsewhere, &[])).refusal(),
            Some(Code::AmbiguousPath),
            "{client}"
        );
        for other in ["slash", "backslash", "semicolon", "double_slash", "percent"]
            .into_iter()
            .filter(|other| *other != key)
        {
            let gate = keeping(route, &json!({ other: "keep" }));
            assert_eq!(
                gate.send(request("GET", path, &[])).refusal(),
                Some(Code::AmbiguousPath),
                "{client}: {other}"
            );
        }
    }
    // Browsers send these raw. They have one reading, and are escaped.
    let gate = keeping("/{*rest}", &json!({}));
    let answer = gate.send(request("GET", "/a[0]|b^c", &[]));
    assert_eq!(answer.permitted().path_and_query.as_str(), "/a%5B0%5D%7Cb%5Ec");
}

const ALL: [&str; 5] = ["slash", "backslash", "semicolon", "double_slash", "percent"];

fn all() -> Value {
    Value::Object(ALL.into_iter().map(|key| (key.to_owned(), json!("keep"))).collect())
}

#[test]
fn what_is_kept_leads_to_no_other_route() {
    let gate = keeping("/{*rest}", &all());
    for path in [
        "/admin%2Fx",
        "/admin;x",
        "/admin//x",
        "/admin%5Cx",
        "/admin%252Fx",
        "/ADMIN%2Fx",
        "/Admin;x=1/y",
        "/admin%2F",
        "/admin%252F%252Fx",
        "/%61dmin%2Fx",
        "/admin.%2Fx",
        "/admin%20%2Fx",
        "/admin%3Bx%2Fy",
        "/admin%255Cx",
        "/v1/7%2Fexport",
        "/v1/7;a=b/export",
        "/v1//7//export",
        "/v1/7%5CEXPORT",
        "/v1/7/export;x",
        "/v1%2F7%2Fexport",
        "/;x/admin/y",
        "/%2561dmin",
        "/%2541DMIN/x",
    ] {
        let refusal = gate.send(request("GET", path, &[])).refusal();
        let refused = [Some(Code::RouteNotFound), Some(Code::AmbiguousPath), Some(Code::CredentialMissing)];
        assert!(refused.contains(&refusal), "{path}: {refusal:?}");
    }
    for path in ["/a%2Fadmin", "/a;x/b//c%252Fd%5Ce", "/administration%2Fx", "/v1/7%2Fimport"] {
        gate.send(request("GET", path, &[])).permitted();
    }
}

/// Where a server could come to that decodes so often, and does each of these or not.
fn found_by_a_lax_server(path: &str) -> Vec<String> {
    let decode = |text: &str| percent_decoded(text.as_bytes());
    let once = decode(path);
    let twice = decode(&once);
    let mut found = Vec::new();
    for text in [path.to_owned(), once, twice] {
        for backslash in [false, true] {
            for cut in [false, true] {
                let text = if backslash { text.replace('\\', "/") } else { text.clone() };
                let segments = text
                    .split('/')
                    .map(|segment| if cut { segment.split(';').next().unwrap() } else { segment });
                let merged: Vec<String> = segments
                    .filter(|segment| !segment.is_empty())
                    .map(|segment| decode(segment).to_lowercase().replace('/', "\u{2044}"))
                    .collect();
                found.push(format!("/{}", merged.join("/")));
            }
        }
    }
    found
}

fn percent_decoded(bytes: &[u8]) -> String {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// That a path which goes on through an open wildcard route is no protected path to any server.
fn reaches_nothing_protected(gate: &Gate, path: &str) -> Result<(), TestCaseError> {
    let sent = gate.send(request("GET", path, &[])).shaped;
    let sent = sent.as_ref().map(|shaped| shaped.path_and_query.as_str());
    for found in sent.iter().flat_map(|sent| found_by_a_lax_server(sent)) {
        prop_assert!(found != "/admin" && !found.starts_with("/admin/"), "{path} is {found}");
        let segments: Vec<&str> = found.split('/').collect();
        prop_assert!(
            !(segments.len() == 4 && segments[1] == "v1" && segments[3] == "export"),
            "{path} is {found}"
        );
    }
    Ok(())
}

#[test]
fn a_slash_that_is_escaped_twice_makes_no_segment() {
    reaches_nothing_protected(&keeping("/{*rest}", &all()), "/v1/%252Fexport").unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn what_goes_on_is_no_protected_path_to_anybody(pieces in proptest::collection::vec(prop_oneof![
        Just("/"), Just("//"), Just("%2F"), Just("%5C"), Just(";"), Just("%252F"), Just("%255C"), Just("admin"), Just("ADMIN"),
        Just("%61dmin"), Just("%2561dmin"), Just("x"), Just("v1"), Just("7"), Just("export"), Just("%253B"), Just("%3B"),
    ], 1..8)) {
        thread_local! {
            static GATE: Gate = keeping("/{*rest}", &all());
        }
        GATE.with(|gate| reaches_nothing_protected(gate, &format!("/{}", pieces.concat())))?;
    }
}
