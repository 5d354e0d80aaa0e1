//! Limits, quotas, bounds and stores in every form, in every place where they can stand.

use super::indented;

const AUTHENTICATION: &str = "authentication:\n  type: api_key\n";

/// Limits over time.
const RATES: [&str; 8] = [
    "max_requests: 10
per: minute
by:
  header: x-tenant
burst: 5
name: tenants
mode: observe
algorithm: gcra
cost:
  default: 2
  methods: { POST: 5 }
  operations: { 'GET /a': 5 }
  max: 10
legacy_headers: true
",
    "max_requests: 10
per: day
by:
  claim: org.id
algorithm: fixed_window
cost:
  response_header: x-cost
",
    "max_requests: 10
per: hour
by:
  - header: x-tenant
  - address
algorithm: sliding_window
cost: 2
only_statuses: [401, 4xx]
",
    "max_requests: 10
per_second: true
by:
  - claim: tenant
  - route
",
    "max_requests: 10
per_minute: true
by: key
",
    "max_requests: 10
per_hour: true
by: [consumer, route]
",
    "max_requests: 10
per_day: true
by: gateway
",
    "max_requests: 10
per: second
",
];

const QUOTAS: [&str; 3] = [
    "max_requests: 1000
per: month
time_zone: Europe/Berlin
by:
  header: x-tenant
cost:
  default: 2
  methods: { POST: 5 }
  operations: { 'GET /a': 5 }
  max: 10
legacy_headers: true
name: monthly
mode: observe
",
    "max_requests: 1000
per: day
by:
  - claim: org.id
  - header: x-tenant
cost:
  response_header: x-cost
",
    "max_requests: 1000
per: hour
by:
  claim: org.id
only_statuses: [2xx]
",
];

const BOUNDS: [&str; 3] = [
    "max_requests: 10
by:
  header: x-tenant
queue: 5
max_wait: 500ms
mode: observe
",
    "max_requests: 10
by:
  claim: org.id
",
    "max_requests: 10
by:
  - claim: org.id
  - header: x-tenant
",
];

fn in_a_list(blocks: &[&str]) -> String {
    blocks.iter().map(|block| format!("  - {}", indented(block, 4).trim_start())).collect()
}

fn all() -> [(&'static str, &'static [&'static str]); 3] {
    [("rate_limiting", &RATES), ("quota", &QUOTAS), ("concurrency", &BOUNDS)]
}

/// Sections of `security` that a public route can inherit.
pub(super) fn sections() -> Vec<String> {
    let all = every_section().into_iter();
    let elsewhere = ["claim:", "by: key", "operations:"];
    all.filter(|section| !elsewhere.iter().any(|word| section.contains(word))).collect()
}

fn every_section() -> Vec<String> {
    let mut sections = Vec::new();
    for (name, blocks) in all() {
        for block in blocks {
            sections.push(format!("{AUTHENTICATION}{name}:\n{}", indented(block, 2)));
        }
        sections.push(format!("{AUTHENTICATION}{name}:\n{}", in_a_list(blocks)));
    }
    sections
}

const REST: &str = "listeners:\n  - bind: 127.0.0.1:3000\nsecurity:\n  authentication:\n    type: api_key\nroutes:\n  - path: /a\n    upstream: http://127.0.0.1:8080\n";

/// Documents with plans and stores.
pub(super) fn documents() -> Vec<String> {
    let mut documents: Vec<String> = every_section()
        .iter()
        .map(|section| {
            let (gateway, own) = (indented(section, 2), indented(section, 6));
            format!(
                "listeners:\n  - bind: 127.0.0.1:3000\nsecurity:\n{gateway}routes:\n  - path: /a\n    upstream: http://127.0.0.1:8080\n    security:\n{own}"
            )
        })
        .collect();
    let plans = "plans:\n  free:\n    rate_limiting:\n      max_requests: 60\n      per: minute\n    quota:\n      max_requests: 10000\n      per: month\n";
    let consumer = |lines: &str| {
        format!(
            "consumers:\n  - name: alice\n    plan: free\n    keys:\n      - env: ALICE_API_KEY\n{lines}{plans}{REST}"
        )
    };
    for (name, blocks) in &all()[..2] {
        for block in *blocks {
            documents.push(consumer(&format!("    {name}:\n{}", indented(block, 6))));
        }
        documents.push(consumer(&format!("    {name}:\n{}", indented(&in_a_list(blocks), 4))));
        // The same for whoever has a plan.
        let planned = |lines: &str| {
            format!(
                "consumers:\n  - name: alice\n    plan: own\n    keys:\n      - env: ALICE_API_KEY\nplans:\n  own:\n    {name}:\n{lines}{REST}"
            )
        };
        documents.extend(blocks.iter().map(|block| planned(&indented(block, 6))));
        documents.push(planned(&indented(&in_a_list(blocks), 4)));
    }
    for (url, more) in [
        (
            "url:\n  literal: redis://gateway:secret@127.0.0.1:6379/0\n",
            "on_failure: local_share\nsync: leased\n",
        ),
        ("url:\n  env: STORE_URL\n", "insecure_allow: a limit is not worth an outage here\n"),
        ("url:\n  file: store-url.txt\n", "ca: CERTIFICATES/ca.pem\ntimeout: 50ms\nprefix: orders\n"),
        ("cluster:\n  - literal: rediss://10.0.0.1:6379\n  - env: STORE_URL\n  - file: store-url.txt\n", ""),
        (
            "url:\n  literal: redis://127.0.0.1/0\nsentinel:\n  service: counters\n  urls:\n    - literal: redis://127.0.0.1:26379\n    - env: STORE_URL\n    - file: store-url.txt\n",
            "",
        ),
    ] {
        let store = format!("{url}{more}");
        documents.push(format!("store:\n  counters:\n    redis:\n{}{REST}", indented(&store, 6)));
    }
    documents.push(format!(
        "overload:\n  max_delay: 80ms\n  mode: observe\nplans:\n  free:\n    priority: low\n{REST}"
    ));
    // What counts by operation needs a document.
    for document in documents.iter_mut().filter(|document| document.contains("operations:")) {
        document.push_str("openapi:\n  file: a.yaml\n  base_path: /\n");
    }
    documents
}
