//! Documents that together contain every key. A new key needs a place here before it can be released.
//!
//! One key a line, so that a test can misspell it: lists and mappings are never written in brackets, unless they hold
//! nothing but plain values.

use super::harness::load;
use super::keys;
use portcullis::Style;
use std::collections::BTreeSet;

/// What judges, each form that a section has.
const SECURITY: [&str; 3] = [
    "
addresses:
  allow: [10.0.0.0/8, 192.0.2.1]
  deny: [10.6.6.6]
  mode: observe
authentication:
  type: api_key
  header: x-token
  keys:
    - env: ALICE_API_KEY
      expires: 2030-01-01T00:00:00Z
    - file: key.txt
    - literal: literal-key-0123456789
    - hash: sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5
  mode: observe
authorization:
  roles_allowed: [admin]
  mode: observe
rate_limiting:
  max_requests: 10
  per: minute
  by:
    header: x-tenant
  burst: 5
  name: tenants
  mode: observe
body:
  max_size: 10kB
",
    "
authentication:
  any:
    - type: api_key
      header: x-token
      keys:
        - env: ALICE_API_KEY
          expires: 2030-01-01T00:00:00Z
        - file: key.txt
        - literal: literal-key-0123456789
        - hash: sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5
    - type: api_key
      query: key
    - type: api_key
      cookie: key
  mode: enforce
rate_limiting:
  - max_requests: 10
    per: minute
    by:
      header: x-tenant
    burst: 5
    name: tenants
    mode: observe
  - max_requests: 10
    per_second: true
  - max_requests: 10
    per_minute: true
  - max_requests: 10
    per_hour: true
  - max_requests: 10
    per_day: true
",
    "
authentication:
  type: api_key
  query: key
rate_limiting:
  max_requests: 10
  per_second: true
",
];

/// More forms of single sections.
const SECTIONS: [&str; 6] = [
    "
authentication:
  type: api_key
  cookie: key
rate_limiting:
  max_requests: 10
  per_minute: true
",
    "
authentication:
  type: api_key
rate_limiting:
  max_requests: 10
  per_hour: true
",
    "
authentication:
  type: api_key
rate_limiting:
  max_requests: 10
  per_day: true
",
    "
authentication:
  type: api_key
rate_limiting:
  max_requests: 10
  per: day
  by: route
",
    UNSUPPORTED[0],
    UNSUPPORTED[1],
];

/// What can be written and is refused, since this version does not do it.
const UNSUPPORTED: [&str; 2] = [
    "
authentication:
  type: OAuth2
  token_url: https://auth.example.com/token
  issuer: https://auth.example.com
  jwks_url: https://auth.example.com/keys
  introspection_url: https://auth.example.com/introspect
  audience: orders
",
    "
authentication:
  any:
    - type: OAuth2
      token_url: https://auth.example.com/token
      issuer: https://auth.example.com
      jwks_url: https://auth.example.com/keys
      introspection_url: https://auth.example.com/introspect
      audience: orders
",
];

const TOP: &str = "
listeners:
  - bind: 192.0.2.1:3000
    insecure_plaintext: TLS ends at the load balancer
    max_connections: 100
    max_connections_per_address: 10
    timeouts:
      header: 5s
      idle: 30s
      body: 20s
      request: 2m
consumers:
  - name: alice
    roles: [user, admin]
    keys:
      - env: ADMIN_API_KEY
        expires: 2030-01-01T00:00:00Z
  - name: bob
    keys:
      - file: key.txt
  - name: carol
    keys:
      - literal: carols-key-0123456789
  - name: dave
    keys:
      - hash: sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5
trusted_proxies: [10.0.0.0/8]
access_log:
  file: access.log
workers: 2
drain: 5s
";

/// The other sources of a pepper, which no two of can be in one document.
const PEPPERS: [&str; 3] =
    ["key_pepper:\n  env: PEPPER\n", "key_pepper:\n  file: key.txt\n", "key_pepper:\n  literal: my-pepper\n"];

const ROUTES: &str = "
routes:
  - path: /orders/{id}
    hosts: [api.example.com]
    methods: [GET, PUT]
    upstream:
      url: http://127.0.0.1:8080/base
      connect_timeout: 1s
      response_timeout: 2s
      body_timeout: 3s
      tunnel_timeout: 4s
      idle_timeout: 5s
    upgrade: [websocket]
  - path: /health
    upstream: http://127.0.0.1:8080
    public: liveness probe, no data
";

const OPENAPI: &str = "
listeners:
  - bind: 127.0.0.1:3000
routes:
  - path: /orders
    public: a test
    upstream: http://127.0.0.1:8080
    openapi: orders.yaml
";

fn indented(block: &str, by: usize) -> String {
    block.trim_matches('\n').lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

/// The documents.
pub(crate) fn documents() -> Vec<String> {
    let mut documents = vec![OPENAPI.trim_start().to_owned()];
    for security in SECURITY.iter().chain(&SECTIONS) {
        let gateway =
            format!("{}security:\n{}{}", indented(TOP, 0), indented(security, 2), indented(ROUTES, 0));
        let route = indented(
            &format!(
                "  - path: /own\n    upstream: http://127.0.0.1:8080\n    security:\n{}",
                indented(security, 6)
            ),
            0,
        );
        documents.push(format!("{gateway}{route}"));
    }
    for pepper in PEPPERS {
        let rest = "listeners:\n  - bind: 127.0.0.1:3000\nroutes:\n  - path: /a\n    public: a test\n    upstream: http://127.0.0.1:8080\n";
        documents.push(format!("{pepper}{rest}"));
    }
    documents
}

/// A key in a document's text.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The way to it, such as `routes[].path`.
    pub(crate) path: String,
    pub(crate) key: String,
    /// Its line and column, from 1.
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Every key of a document in the form described above.
pub(crate) fn written(document: &str) -> Vec<Written> {
    let mut found = Vec::new();
    // The columns and paths of what is open.
    let mut open: Vec<(usize, String)> = Vec::new();
    for (index, line) in document.lines().enumerate() {
        let mut column = line.len() - line.trim_start().len();
        let mut rest = line.trim_start();
        open.retain(|(of, _)| *of < column);
        while let Some(item) = rest.strip_prefix("- ") {
            let list = open.last().map_or("", |(_, path)| path.as_str());
            open.push((column, format!("{list}[]")));
            column += 2;
            rest = item;
        }
        let Some((key, _)) = rest.split_once(':') else { continue };
        let parent = open.last().map_or("", |(_, path)| path.as_str());
        let path = if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
        found.push(Written { path: path.clone(), key: key.to_owned(), line: index + 1, column: column + 1 });
        open.push((column, path));
    }
    found
}

#[test]
fn every_key_has_an_example() {
    let written: BTreeSet<String> =
        documents().iter().flat_map(|document| written(document)).map(|one| one.path).collect();
    let declared: BTreeSet<String> = keys::declared().into_keys().collect();
    let missing: Vec<_> = declared.difference(&written).collect();
    assert!(missing.is_empty(), "no example has these keys: {missing:#?}");
    let unknown: Vec<_> = written.difference(&declared).collect();
    assert!(unknown.is_empty(), "no such keys: {unknown:#?}");
}

#[test]
fn the_examples_load_or_say_that_they_ask_for_too_much() {
    for document in documents() {
        let loaded = load(&document);
        let unsupported = document.contains("OAuth2") || document.contains("openapi");
        assert_eq!(loaded.blueprint().is_none(), unsupported, "{}\n{document}", loaded.text(Style::Plain));
        let codes: Vec<_> = loaded
            .json()
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["severity"] == "error")
            .map(|one| one["code"].clone())
            .collect();
        assert!(codes.iter().all(|code| code == "config.unsupported"), "{codes:?}");
    }
}
