//! Diagnostics about how much may be sent.

const REST: &str =
    "listeners: [{ bind: 127.0.0.1:3000 }]\nroutes: [{ path: /a, upstream: \"http://127.0.0.1:8080\" }]\n";
const KEYS: &str = "authentication: { type: api_key }";

fn section(section: &str) -> String {
    format!("security: {{ {KEYS}, {section} }}\n{REST}")
}

fn limit(more: &str) -> String {
    section(&format!("rate_limiting: {{ max_requests: 10, per: minute, {more} }}"))
}

fn plans(plans: &str, consumer: &str) -> String {
    format!(
        "plans: {{ {plans} }}\nconsumers: [{{ name: alice, keys: [{{ env: ALICE_API_KEY }}], {consumer} }}]\nsecurity: {{ {KEYS} }}\n{REST}"
    )
}

fn redis(redis: &str) -> String {
    format!("store: {{ counters: {{ redis: {redis} }} }}\nsecurity: {{ {KEYS} }}\n{REST}")
}

const URL: &str = "url: { literal: \"redis://127.0.0.1:6379\" }";

/// A document for each diagnostic.
pub(super) fn cases() -> Vec<(&'static str, String)> {
    let public = |own: &str| {
        format!(
            "listeners: [{{ bind: 127.0.0.1:3000 }}]\nroutes: [{{ path: §/a, public: a test, upstream: \"http://127.0.0.1:8080\", security: {{ {own} }} }}]\n"
        )
    };
    vec![
        ("config.limit_by", limit("by: §[consumer, consumer]")),
        ("config.limit_by", limit("by: §[]")),
        ("config.limit_by", limit("by: §[consumer, key, route, address]")),
        ("config.limit_by", limit("by: §{ header: x-a, claim: b }")),
        ("config.claim_path", limit("by: { claim: §\"a..b\" }")),
        ("config.burst", limit("algorithm: fixed_window, burst: §5")),
        ("config.limit_cost", limit("cost: §11")),
        ("config.limit_cost", limit("cost: §{ methods: { POST: 11 } }")),
        ("config.limit_cost", limit("cost: §{ methods: { post: 1 } }")),
        ("config.limit_cost", limit("cost: §{ methods: { POST: 1 }, response_header: x-cost }")),
        ("config.limit_cost", limit("cost: §{ response_header: \"x cost\" }")),
        ("config.limit_cost", limit("cost: §{ default: 2 }, only_statuses: [401]")),
        ("config.limit_cost", limit("cost: §{ operations: { \"GET /a\": 11 } }")),
        ("config.limit_cost", limit("cost: §{ operations: { a: 1 }, response_header: x-cost }")),
        ("config.no_operation", limit("cost: §{ operations: { \"GET /a\": 2 } }")),
        ("config.no_operation", section("quota: §{ max_requests: 1, per: day, by: operation }")),
        ("config.no_operation", section("concurrency: §{ max_requests: 1, by: [consumer, operation] }")),
        ("config.status", limit("only_statuses: [§99]")),
        ("config.status", limit("only_statuses: [§\"6xx\"]")),
        ("config.time_zone", section("quota: { max_requests: 1, per: day, time_zone: §Mars/Olympus }")),
        ("config.empty_list", format!("security: §{{ {KEYS}, quota: [] }}\n{REST}")),
        ("config.empty_list", format!("security: §{{ {KEYS}, concurrency: [] }}\n{REST}")),
        ("config.wait", section("concurrency: { max_requests: 1, queue: 1, max_wait: §2m }")),
        ("config.out_of_range", section("concurrency: { max_requests: 1, queue: §1000000 }")),
        (
            "config.limit_needs_authentication",
            public("rate_limiting: { max_requests: 1, per: day, by: key }"),
        ),
        (
            "config.limit_needs_authentication",
            public("quota: { max_requests: 1, per: day, by: { claim: org } }"),
        ),
        ("config.empty_plan", plans("free: §{}", "plan: free")),
        ("config.plan_priority", plans("free: { priority: §low }", "plan: free")),
        ("config.wait", format!("overload: {{ max_delay: §1ms }}\nsecurity: {{ {KEYS} }}\n{REST}")),
        ("config.no_plan", plans("free: { quota: { max_requests: 1, per: day } }", "plan: §fre")),
        ("config.no_plan", plans("", "plan: §gold")),
        ("config.store_url", redis("§{}")),
        (
            "config.store_url",
            redis(&format!("§{{ {URL}, cluster: [{{ literal: \"redis://127.0.0.1\" }}] }}")),
        ),
        ("config.store_url", redis(&format!("§{{ {URL}, sentinel: {{ service: a, urls: [] }} }}"))),
        ("config.store_url", redis("{ url: §{ literal: \"http://127.0.0.1\" } }")),
        ("config.store_url", redis("{ url: §{ literal: \"rediss://127.0.0.1/#insecure\" } }")),
        ("config.store_plain_text", redis("{ url: §{ literal: \"redis://store.example.com\" } }")),
        ("config.store_prefix", redis(&format!("{{ {URL}, prefix: §\"a b\" }}"))),
        ("config.store_ca", redis(&format!("{{ {URL}, ca: §key.txt }}"))),
        ("config.store_ca", redis(&format!("{{ {URL}, ca: §absent.pem }}"))),
        ("config.store_failure", redis(&format!("§{{ {URL}, on_failure: deny, insecure_allow: a test }}"))),
        ("config.wait", redis(&format!("{{ {URL}, timeout: §3s }}"))),
    ]
}
