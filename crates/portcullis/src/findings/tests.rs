//! Each rule finds what it is for, and nothing where it is closed.

use super::{Finding, RULES};
use crate::Loaded;
use portcullis_config::Context;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A configuration in which no rule finds anything.
const CLOSED: &str = r#"
listeners: [{ bind: "127.0.0.1:3000" }]
security:
  authentication: { type: api_key, header: x-api-key }
  authorization: { roles_allowed: [user] }
  rate_limiting: { max_requests: 60, per: minute }
consumers:
  - { name: alice, roles: [user], keys: [{ hash: "sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5", expires: "2030-01-01T00:00:00Z" }] }
routes:
  - { path: /orders, methods: [GET], upstream: "http://127.0.0.1:8080" }
  - { path: /health, methods: [GET], public: "liveness probe, no data", upstream: "http://127.0.0.1:8080" }
"#;

fn findings(text: &str) -> Vec<Finding> {
    let loaded = Loaded::yaml("gateway.yaml", text.to_owned(), Context::for_file("."));
    assert!(loaded.blueprint().is_some(), "{}\n{text}", loaded.text(portcullis_config::Style::Plain));
    loaded.findings("2027-01-15")
}

fn ids(text: &str) -> Vec<&'static str> {
    let mut ids: Vec<_> = findings(text).iter().map(|finding| finding.rule.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// For each rule, what opens it: a text that is replaced in the closed configuration.
const OPEN: [(&str, &str, &str); 26] = [
    ("public_wildcard", "path: /health,", "path: \"/health/{*rest}\","),
    ("public_write", "methods: [GET], public", "methods: [GET, DELETE], public"),
    ("authentication_observed", "header: x-api-key }", "header: x-api-key, mode: observe }"),
    ("control_observed", "[user] }\n  rate", "[user], mode: observe }\n  rate"),
    ("no_rate_limit", "  rate_limiting: { max_requests: 60, per: minute }\n", ""),
    ("limit_by_address_instead", "per: minute }", "per: minute, by: key }"),
    ("limit_by_header", "per: minute }", "per: minute, by: { header: x-tenant } }"),
    ("no_authorization", "  authorization: { roles_allowed: [user] }\n", ""),
    (
        "roles_of_several_issuers",
        "{ type: api_key, header: x-api-key }",
        "{ any: [{ type: jwt, issuer: \"https://a.example\", audience: x }, { type: jwt, issuer: \"https://b.example\", audience: x }] }",
    ),
    (
        "any_audience",
        "{ type: api_key, header: x-api-key }",
        "{ type: jwt, issuer: \"https://a.example\", insecure_any_audience: \"a test\" }",
    ),
    ("no_schema", "path: /orders, methods: [GET]", "path: /orders, methods: [GET, POST]"),
    ("large_body", "  rate_limiting", "  body: { max_size: 64MiB }\n  rate_limiting"),
    ("guessing_is_free", "consumers:", "brute_force: { mode: off }\nconsumers:"),
    ("key_without_end", ", expires: \"2030-01-01T00:00:00Z\"", ""),
    ("consumer_without_credential", "consumers:\n", "consumers:\n  - { name: nobody, roles: [user] }\n"),
    ("plaintext_listener", "127.0.0.1:3000\" }", "0.0.0.0:3000\", insecure_plaintext: \"a test\" }"),
    (
        "plaintext_upstream",
        "[GET], upstream: \"http://127.0.0.1:8080\"",
        "[GET], upstream: \"http://10.0.0.7:8080\"",
    ),
    (
        "unverified_upstream",
        "[GET], upstream: \"http://127.0.0.1:8080\"",
        "[GET], upstream: { url: \"https://127.0.0.1:8443\", tls: { insecure_skip_verify: \"a test\" } }",
    ),
    ("wide_network", "consumers:", "trusted_proxies: [32.0.0.0/3]\nconsumers:"),
    ("no_access_log", "consumers:", "access_log: insecure_off\nconsumers:"),
    ("cors_wide", "  rate_limiting", "  cors: { origins: \"*\" }\n  rate_limiting"),
    (
        "open_below_protected",
        "  - { path: /health,",
        "  - { path: \"/{*rest}\", methods: [GET], public: \"a test\", upstream: \"http://127.0.0.1:8080\" }\n  - { path: /health,",
    ),
    ("role_of_nobody", "roles_allowed: [user]", "roles_allowed: [users]"),
    (
        "unused_profile",
        "consumers:",
        "security_profiles: { partner: { body: { max_size: 1KiB } } }\nconsumers:",
    ),
    (
        "admin_exposed",
        "consumers:",
        "admin: { bind: \"192.0.2.1:9901\", remote_access: \"a test\", tokens: [{ file: FOLDER/good }], tls: { certificate: FOLDER/admin.pem, key: FOLDER/admin.key } }\nconsumers:",
    ),
    (
        "admin_token_weak",
        "consumers:",
        "admin: { bind: \"127.0.0.1:9901\", tokens: [{ file: FOLDER/weak }] }\nconsumers:",
    ),
];

/// A folder with what a configuration of the admin listener names. It is removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("portcullis-findings-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        for (file, text, mode) in [
            ("good", "9f86d081884c7d659a2feaa0c55ad015\n".to_owned(), 0o600),
            ("read", "9f86d081884c7d659a2feaa0c55ad015\n".to_owned(), 0o604),
            ("weak", "a".repeat(40), 0o600),
            ("admin.pem", pair.cert.pem(), 0o644),
            ("admin.key", pair.signing_key.serialize_pem(), 0o600),
        ] {
            std::fs::write(folder.join(file), text).unwrap();
            std::fs::set_permissions(folder.join(file), Permissions::from_mode(mode)).unwrap();
        }
        Folder(folder)
    }

    fn fill(&self, text: &str) -> String {
        text.replace("FOLDER", &self.0.display().to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_token_is_weak_if_it_can_be_guessed_or_read() {
    let folder = Folder::new("tokens");
    for (file, weak) in [("good", false), ("weak", true), ("read", true)] {
        let admin =
            format!("admin: {{ bind: \"127.0.0.1:9901\", tokens: [{{ file: FOLDER/{file} }}] }}\nconsumers:");
        let found = ids(&folder.fill(&CLOSED.replace("consumers:", &admin)));
        assert_eq!(found.contains(&"admin_token_weak"), weak, "{file}: {found:?}");
        assert!(!found.contains(&"admin_exposed"), "{found:?}");
    }
}

#[test]
fn what_is_narrow_enough_is_not_found() {
    for (closed, more) in [
        ("  rate_limiting", "  cors: { origins: [\"https://app.example.com\"] }\n  rate_limiting"),
        ("  rate_limiting", "  cors: { origins: [\"http://localhost:3000\"] }\n  rate_limiting"),
    ] {
        let text = CLOSED.replacen(closed, more, 1);
        assert_ne!(text, CLOSED);
        assert!(!ids(&text).contains(&"cors_wide"), "{text}");
    }
    // A route of its own takes what lies below.
    let wide = CLOSED.replace(
        "  - { path: /health,",
        "  - { path: \"/{*rest}\", methods: [GET], public: \"a test\", upstream: \"http://127.0.0.1:8080\" }\n  - { path: \"/orders/{*rest}\", methods: [GET], upstream: \"http://127.0.0.1:8080\" }\n  - { path: /health,",
    );
    assert!(!ids(&wide).contains(&"open_below_protected"), "{:?}", ids(&wide));
}

#[test]
fn every_rule_finds_what_it_is_for_and_nothing_where_it_is_closed() {
    assert_eq!(ids(CLOSED), Vec::<&str>::new());
    let folder = Folder::new("rules");
    for rule in &RULES {
        let open = OPEN.iter().find(|(id, ..)| *id == rule.id);
        let (id, closed, open) = open.unwrap_or_else(|| panic!("nothing opens `{}`", rule.id));
        let text = folder.fill(&CLOSED.replace(closed, open));
        assert_ne!(text, CLOSED, "{id}");
        let found = ids(&text);
        assert!(found.contains(id), "{id}: {found:?}");
        for finding in findings(&text).iter().filter(|finding| finding.rule.id == *id) {
            assert!(!finding.at.is_none(), "{id} has no place");
        }
        assert!(rule.owasp.starts_with("API") && !rule.why.is_empty() && !rule.fix.is_empty(), "{id}");
    }
}

#[test]
fn what_the_gateway_answers_itself_opens_no_upstream() {
    let more = "routes:\n  - { path: \"/old/{*rest}\", public: \"moved\", redirect: { to: /orders } }\n  - { path: /up, public: \"a probe\", respond: { body: ok } }\n";
    assert_eq!(ids(&CLOSED.replace("routes:\n", more)), Vec::<&str>::new());
    let forwarded = CLOSED.replace("path: /health, methods: [GET],", "path: \"/health/{*rest}\",");
    assert_eq!(ids(&forwarded), ["no_schema", "public_wildcard", "public_write"]);
}

#[test]
fn a_finding_is_accepted_where_and_as_long_as_the_file_says() {
    let open = CLOSED.replace("  rate_limiting: { max_requests: 60, per: minute }\n", "");
    let accept = |more: &str, until: &str| {
        let accepted = format!(
            "accepted_findings: [{{ finding: no_rate_limit, {more} reason: \"a test\", until: \"{until}\" }}]\nconsumers:"
        );
        findings(&open.replace("consumers:", &accepted)).len()
    };
    assert_eq!(findings(&open).len(), 2);
    assert_eq!(accept("", "2027-01-15"), 0, "the last day counts");
    assert_eq!(accept("", "2027-01-14"), 2, "its time is over");
    assert_eq!(accept("route: /health,", "2027-06-30"), 1, "for one route");
}

#[test]
fn what_is_accepted_must_be_something() {
    for (bad, code) in [
        ("finding: no_rate_limits, reason: \"a test\", until: \"2027-06-30\"", "config.unknown_value"),
        (
            "finding: no_rate_limit, route: /no, reason: \"a test\", until: \"2027-06-30\"",
            "config.accepted_route",
        ),
        ("finding: no_rate_limit, reason: \"a test\", until: \"someday\"", "config.accepted_until"),
    ] {
        let text = CLOSED.replace("consumers:", &format!("accepted_findings: [{{ {bad} }}]\nconsumers:"));
        let loaded = Loaded::yaml("gateway.yaml", text, Context::for_file("."));
        assert!(loaded.blueprint().is_none() && loaded.json().to_string().contains(code), "{bad}");
    }
}
