//! A document for each diagnostic; `§` stands where it points to.

/// Codes that no document can cause, and why they are there.
pub(crate) const UNREACHABLE: [(&str, &str); 2] = [
    (
        "config.unreadable",
        "a reader that breaks its promise to say why it gave up must not look like a document without faults",
    ),
    (
        "config.no_randomness",
        "the system's generator fails; a_generator_that_fails_refuses_the_configuration makes it fail",
    ),
];

/// Codes whose message leaves nothing to add.
pub(crate) const ANSWERS_FOR_ITSELF: [&str; 4] =
    ["config.too_deep", "config.recursive_alias", "config.secret_empty", "config.invalid_path"];

const LISTENERS: &str = "listeners:\n  - bind: 127.0.0.1:3000\n";
pub(super) const PUBLIC: &str =
    "routes:\n  - path: /a\n    public: a test\n    upstream: http://127.0.0.1:8080\n";
const ROUTES: &str = "routes:\n  - path: /a\n    upstream: http://127.0.0.1:8080\n";
const CONSUMER: &str = "consumers:\n  - name: alice\n    roles: [user]\n    keys: [{ env: ALICE_API_KEY }]\n";

/// A document with these lines, at the top level.
fn top(lines: &str) -> String {
    format!("{lines}\n{LISTENERS}{PUBLIC}")
}

/// A document that accepts a finding in these words.
fn accepted(finding: &str) -> String {
    top(&format!("accepted_findings: [{{ {finding} }}]"))
}

/// A document whose route has these lines as well.
fn route(lines: &str) -> String {
    format!("{LISTENERS}{PUBLIC}    {lines}\n")
}

/// A document with a body of errors.
fn error_body(statuses: &str, file: &str, content_type: &str) -> String {
    top(&format!("error_bodies: [{{ statuses: {statuses}, file: {file}, content_type: {content_type} }}]"))
}

/// A document whose route redirects.
fn redirect(redirect: &str) -> String {
    format!("{LISTENERS}routes:\n  - path: \"/a/{{*rest}}\"\n    public: a test\n    redirect: {redirect}\n")
}

/// A document whose route answers by itself.
fn respond(respond: &str) -> String {
    format!("{LISTENERS}routes:\n  - path: /a\n    public: a test\n    respond: {respond}\n")
}

/// A document whose routes are judged by this, with the consumer alice.
fn security(section: &str) -> String {
    format!("security: {section}\n{LISTENERS}{CONSUMER}{ROUTES}")
}

fn method(method: &str) -> String {
    security(&format!("{{ authentication: {method} }}"))
}

fn limit(limit: &str) -> String {
    security(&format!("{{ authentication: {{ type: api_key }}, rate_limiting: {limit} }}"))
}

/// A document whose consumer has this key.
fn key(key: &str) -> String {
    format!(
        "security: {{ authentication: {{ type: api_key }} }}\n{LISTENERS}consumers: [{{ name: alice, keys: [{key}] }}]\n{ROUTES}"
    )
}

/// A document whose requests carry a token of an issuer with these keys.
fn jwt(keys: &str) -> String {
    method(&format!("{{ type: jwt, issuer: \"https://auth.example.com\", {keys} }}"))
}

/// A document with this section beside the authentication.
fn beside(section: &str) -> String {
    security(&format!("{{ authentication: {{ type: api_key }}, {section} }}"))
}

/// Each code with a document.
pub(crate) fn cases() -> Vec<(&'static str, String)> {
    let mut cases = token_cases();
    cases.extend(other_cases());
    cases
}

/// A method of a client that signs assertions.
fn signed(id: &str, secret: &str, more: &str) -> String {
    format!(
        "{{ type: OAuth2, token_url: \"https://auth.example.com/token\", client_authentication: private_key_jwt, client_id: {id}, client_secret: {secret}{more} }}"
    )
}

/// Those that are about tokens.
fn token_cases() -> Vec<(&'static str, String)> {
    let token = "{ type: OAuth2, token_url: \"https://auth.example.com/token\" }";
    let exchange = "token_url: \"https://auth.example.com/token\", client_id: gate, client_secret: { env: TOKEN_SECRET }";
    let client = "token_url: \"https://auth.example.com/token\", client_secret: { env: TOKEN_SECRET }";
    vec![
        (
            "config.nonce_secret",
            jwt("audience: orders, dpop: { nonce: true, nonce_secret: §{ env: PEPPER } }"),
        ),
        ("config.nonce_secret", jwt("audience: orders, dpop: { nonce_secret: §{ env: TOKEN_SECRET } }")),
        (
            "config.exchange_target",
            security(&format!("{{ authentication: {token}, token_exchange: §{{ {exchange} }} }}")),
        ),
        (
            "config.scope_name",
            security(&format!(
                "{{ authentication: {token}, token_exchange: {{ {exchange}, scopes: §[\"a b\"] }} }}"
            )),
        ),
        (
            "config.no_token_to_exchange",
            beside(&format!("token_exchange: §{{ {exchange}, audience: orders }}")),
        ),
        (
            "config.no_token_to_exchange",
            security(&format!(
                "{{ authentication: {{ any: [{token}, {{ type: api_key }}] }}, token_exchange: §{{ {exchange}, audience: orders }} }}"
            )),
        ),
        (
            "config.two_upstream_tokens",
            security(&format!(
                "{{ authentication: {token}, upstream_token: {{ {exchange} }}, token_exchange: §{{ {exchange}, audience: orders }} }}"
            )),
        ),
        ("config.client_key", method(&signed("§gate", "{ env: TOKEN_SECRET }", ""))),
        (
            "config.client_assertion",
            method(&signed(
                "gate",
                "{ file: issuer-key.pem }",
                ", client_assertion: { rsa_algorithm: §PS256 }",
            )),
        ),
        (
            "config.client_assertion",
            method(&signed(
                "gate",
                "{ file: issuer-key.pem }",
                ", client_assertion: { certificate: §client-certificate.pem }",
            )),
        ),
        (
            "config.client_assertion",
            method(&format!(
                "{{ type: OAuth2, client_id: gate, {client}, client_assertion: §{{ key_id: one }} }}"
            )),
        ),
        ("config.any_and_all", method("§{ any: [{ type: api_key }], all: [{ type: api_key }] }")),
        ("config.several_tokens", method(&format!("§{{ all: [{token}, {token}] }}"))),
        (
            "config.tokens_differ",
            method(&format!(
                "§{{ any: [{token}, {{ type: jwt, issuer: \"https://a.example\", audience: a, cached_tokens: 7 }}] }}"
            )),
        ),
        (
            "config.tokens_differ",
            method(&format!(
                "§{{ any: [{token}, {{ type: jwt, issuer: \"https://a.example\", audience: a, insecure_forward_credential: it verifies them }}] }}"
            )),
        ),
        ("config.cors_origin", beside("cors: { origins: §[\"https://app.example.com/\"] }")),
        ("config.cors_origin", beside("cors: { origins: §[\"*\", \"https://app.example.com\"] }")),
        ("config.cors_origin", beside("cors: { origins: §\"https://*.com\" }")),
        ("config.cors_origin", beside("cors: { origins: §\"null\" }")),
        ("config.empty_list", beside("cors: { origins: §[] }")),
        ("config.cors_credentials", beside("cors: { origins: §\"*\", credentials: true }")),
        (
            "config.cors_credentials",
            beside("cors: { origins: \"https://a.example\", credentials: true, exposed_headers: [§\"*\"] }"),
        ),
        ("config.cors_method", beside("cors: { origins: \"*\", methods: [§put] }")),
        ("config.cors_method", beside("cors: { origins: \"*\", methods: [§TRACE] }")),
        ("config.cors_header", beside("cors: { origins: \"*\", headers: [§\"x total\"] }")),
        ("config.cors_header", beside("cors: { origins: \"*\", exposed_headers: [x-total, §\"*\"] }")),
        ("config.cors_max_age", beside("cors: { origins: \"*\", max_age: §25h }")),
        (
            "config.shared_roles",
            security(
                "{ authentication: { any: [{ type: jwt, issuer: \"https://a.example\", audience: a }, { type: jwt, issuer: \"https://b.example\", audience: a }] }, authorization: { roles_allowed: §[admin] } }",
            ),
        ),
        ("config.roles_separator", jwt("audience: a, roles_separator: §\"\"")),
        ("config.role_name", jwt("audience: a, roles_prefix: §\"a b\"")),
        ("config.any_audience", method(&format!("§{token}"))),
        ("config.no_audience", method("§{ type: jwt, issuer: \"https://auth.example.com\" }")),
        ("config.audience_and_any", jwt("audience: a, insecure_any_audience: §\"the issuer has one API\"")),
        ("config.empty_list", jwt("audience: §[]")),
        ("config.empty_list", jwt("audience: a, algorithms: §[]")),
        ("config.token_algorithm", jwt("audience: a, algorithms: §[none]")),
        ("config.token_algorithm", jwt("audience: a, algorithms: §[HS256]")),
        ("config.token_algorithm", jwt("audience: a, secret: { env: TOKEN_SECRET }, algorithms: §[RS256]")),
        ("config.claim_path", jwt("audience: a, roles_claim: §\"realm..roles\"")),
        ("config.claim_path", jwt("audience: a, scopes_claim: §\"\"")),
        ("config.claim_path", jwt("audience: a, subject_claim: §[a, \"\"]")),
        ("config.claim_path", jwt("audience: a, more_roles_claims: [a, §[]]")),
        ("config.leeway", jwt("audience: a, leeway: §10m")),
        ("config.min_refresh", jwt("audience: a, min_refresh: §0s")),
        ("config.issuer_url", jwt("audience: a, more_jwks_urls: [§\"http://auth.example.com/keys\"]")),
        ("config.issuer_url", jwt("audience: a, jwks_url: §\"http://auth.example.com/keys\"")),
        ("config.issuer_url", jwt("audience: a, resource: §\"/api\"")),
        ("config.issuer_url", method("{ type: jwt, issuer: §auth.example.com, audience: a }")),
        ("config.issuer_url", method("{ type: jwt, issuer: §\"\", audience: a, jwks_file: keys.json }")),
        ("config.key_source", jwt("audience: a, jwks_file: keys.json, secret: §{ env: TOKEN_SECRET }")),
        ("config.weak_secret", jwt("audience: a, secret: §{ env: ALICE_API_KEY }")),
        ("config.key_set", jwt("audience: a, jwks_file: §not-there.json")),
        ("config.key_set", jwt("audience: a, jwks_file: §key.txt")),
        ("config.key_set", jwt("audience: a, jwks_file: §no-keys.json")),
        ("config.key_skipped", jwt("audience: a, jwks_file: §mixed-keys.json")),
        ("config.no_issuer", method("§{ type: OAuth2, audience: a }")),
        (
            "config.client_id",
            method("{ type: OAuth2, issuer: \"https://a.example\", audience: a, client_id: §b }"),
        ),
        (
            "config.client_id",
            method(
                "§{ type: OAuth2, issuer: \"https://a.example\", audience: a, introspection_url: \"https://a.example/i\" }",
            ),
        ),
        ("config.scope_name", beside("authorization: { scopes_required: §[\"a b\"] }")),
        ("config.scope_name", beside("authorization: { scopes_required: §[] }")),
        ("config.scope_name", top("consumers: [{ name: alice, scopes: §[\"a b\"] }]")),
        (
            "config.scope_name",
            beside(&format!("upstream_token: {{ client_id: a, scopes: §[\"a b\"], {client} }}")),
        ),
        ("config.claim", beside("authorization: { claims_required: §[a] }")),
        ("config.claim", beside("authorization: { claims_required: §{} }")),
        ("config.claim", beside("authorization: { claims_required: { a: §1.5 } }")),
        ("config.claim_path", beside("authorization: { claims_required: { §a..b: 1 } }")),
        ("config.condition", beside("authorization: { condition: §\"claims.a ==\" }")),
        ("config.condition", beside("authorization: { condition: §\"principal.nmae == 'a'\" }")),
        ("config.condition", beside("authorization: { condition: §\"principal.name\" }")),
        ("config.condition", beside("authorization: { condition: §\"size(principal.name)\" }")),
        // What could not be evaluated for anybody does not load.
        ("config.condition", beside("authorization: { condition: §\"claims.name.matches('(')\" }")),
        (
            "config.condition",
            beside("authorization: { condition: §\"claims.name.matches(claims.pattern)\" }"),
        ),
        ("config.condition", beside("authorization: { condition: §\"request.pth == '/'\" }")),
        ("config.empty_section", beside("authorization: §{ path_parameters_equal: {} }")),
        ("config.path_parameter", beside("authorization: { path_parameters_equal: { id: §sub } }")),
        (
            "config.claim_path",
            beside("authorization: { path_parameters_equal: { id: §\"\" } }")
                .replace("path: /a", "path: /{id}"),
        ),
        ("config.token_lifetime", beside("identity_token: { issuer: a, audience: b, lifetime: §1s }")),
        ("config.token_lifetime", beside("identity_token: { issuer: a, audience: b, lifetime: §2h }")),
        ("config.route_path", beside("identity_token: { issuer: a, audience: b, key_set_path: §keys.json }")),
        (
            "config.signing_key",
            beside("identity_token: { issuer: a, audience: b, key: §{ env: TOKEN_SECRET } }"),
        ),
        (
            "config.limit",
            security("{ authentication: { type: api_key }, graphql: {} }")
                .replace("/a", "§/a")
                .replace("routes:", "limits: { max_held_size: 1000 }\nroutes:"),
        ),
        ("config.graphql_schema", beside("graphql: { cost: { schema: §not-there.graphql } }")),
        ("config.graphql_schema", beside("graphql: { cost: { schema: §key.txt } }")),
        ("config.graphql_hash", beside("graphql: { safelist: { hashes: [§abc] } }")),
        ("config.graphql_documents", beside("graphql: { safelist: { file: §not-there.json } }")),
        ("config.graphql_documents", beside("graphql: { safelist: { file: §keys.json } }")),
        ("config.empty_list", beside("graphql: { safelist: §{} }")),
        ("config.limit", top("limits: { max_target_size: §0 }")),
        ("config.limit", top("limits: { max_target_size: §61KiB }")),
        ("config.limit", top("limits: { max_headers: §1001 }")),
        ("config.limit", top("limits: { max_header_size: §33KiB }")),
        ("config.limit", top("limits: { max_headers_size: §2MiB }")),
        ("config.ca", top("outbound: { ca: §not-there.pem }")),
        ("config.ca", top("outbound: { ca: §key.txt }")),
        ("config.network", top("outbound: { allow: [§10.0.0.1/8] }")),
    ]
}

/// All others.
fn other_cases() -> Vec<(&'static str, String)> {
    let long = "k".repeat(513);
    let deep = format!("listeners: {}§[{}\n", "[".repeat(63), "]".repeat(64));
    // The value with the anchor is kept for its aliases and counts as well, so 63 of them fit.
    let many = format!("a: &a {}\nb: [{}, §*a]\n", "x".repeat(1024 * 1024), ["*a"; 63].join(", "));
    vec![
        // The document as such.
        ("config.empty", "§".into()),
        ("config.syntax", "listeners: §[\"a\"}\n".into()),
        ("config.key_expired", key("§{ env: ALICE_API_KEY, expires: 2001-02-03T04:05:06Z }")),
        ("config.curly_quotes", top("x-a: §“a”")),
        ("config.many_documents", format!("{LISTENERS}{PUBLIC}§---\na: 1\n")),
        ("config.merge_key", top("§<<: { workers: 2 }")),
        ("config.key_not_text", top("§1: 2")),
        ("config.tag", top("workers: §!!int 2")),
        ("config.recursive_alias", "listeners: &a [§*a]\n".into()),
        ("config.too_deep", deep),
        ("config.too_large", many),
        ("config.duplicate_key", top("workers: 2\n§workers: 3")),
        (
            "config.duplicate_key",
            route("upstream_: 1").replace("upstream_: 1", "§upstream: http://127.0.0.1:8081"),
        ),
        ("config.unknown_key", top("§worker: 2")),
        ("config.missing_key", format!("§{LISTENERS}")),
        ("config.missing_key", top("consumers: [§{ roles: [a] }]")),
        ("config.null_value", top("workers§:")),
        ("config.wrong_type", top("workers: §\"2\"")),
        ("config.out_of_range", top("workers: §0")),
        ("config.out_of_range", top("workers: §1025")),
        ("config.unknown_value", route("methods: [GET, §GETS]")),
        ("config.unknown_value", route("methods: [§TRACE]")),
        ("config.unknown_value", route("methods: [§propfind]")),
        ("config.unknown_value", route("methods: §all")),
        ("config.unknown_value", method("{ type: §kerberos }")),
        // Values.
        ("config.invalid_duration", top("drain: §10 seconds")),
        ("config.invalid_size", security("{ authentication: { type: api_key }, body: { max_size: §10mb } }")),
        ("config.invalid_address", format!("listeners:\n  - bind: §localhost:3000\n{PUBLIC}")),
        ("config.invalid_path", top("access_log: { file: §\"\" }")),
        ("config.include", top("include: §gone.yaml")),
        ("config.include", top("include: [included/*.yaml, §included/reports.yaml]")),
        ("config.include", top("include: [§\"included/***.yaml\"]")),
        ("config.include_nothing", top("include: [included/*.yaml, §\"nowhere/*.yaml\"]")),
        ("config.duplicate_key", top("x-a: 1\n§x-a: 2")),
        ("config.variable", top("drain: §${DRAIN")),
        ("config.variable", top("drain: §\"${DRAIN-5s}\"")),
        ("config.variable_unset", top("drain: §${DRAIN}")),
        ("config.unknown_value", accepted("finding: §no_rate_limits, reason: a test, until: 2027-06-30")),
        (
            "config.accepted_route",
            accepted("finding: no_rate_limit, route: §/b, reason: a test, until: 2027-06-30"),
        ),
        ("config.test_request", top("tests: [{ request: §nonsense, expect: 404 }]")),
        ("config.test_expect", top("tests: [{ request: GET /a, expect: §maybe }]")),
        ("config.accepted_until", accepted("finding: no_rate_limit, reason: a test, until: §2027-02-30")),
        ("config.no_profile", route("security: { use: §partner }")),
        (
            "config.unknown_upstream",
            format!("{LISTENERS}routes:\n  - path: /a\n    public: a test\n    upstream: §orders\n"),
        ),
        ("config.redirect", redirects(&[("/a", "§/a")])),
        ("config.redirect", redirects(&[("/a/{*rest}", "§/a/{rest}")])),
        // A wildcard that catches its own target.
        ("config.redirect", redirects(&[("/{*rest}", "§/v2/{rest}")])),
        ("config.unused_upstream", top("upstreams: { a: §{ servers: [\"http://127.0.0.1:1\"] } }")),
        ("config.upstream_group", top("upstreams: { a: §{ servers: [] } }")),
        (
            "config.upstream_group",
            top(
                "upstreams: { a: { servers: [\"http://a:1\"], mirror: §{ upstream: b, timeout: 0s } }, b: { servers: [\"http://b:1\"] } }",
            ),
        ),
        // It stands for a user who was authenticated elsewhere, so clients cannot send it.
        (
            "config.reserved_field",
            top(
                "upstreams: { a: §{ servers: [\"http://a:1\"], balance: { hash: { header: x-consumer-name } } } }",
            ),
        ),
        ("config.upstream_group", top("upstreams: { a: { servers: [\"http://a:1\", §\"http://a:1\"] } }")),
        (
            "config.upstream_group",
            top("upstreams: { a: { servers: [\"http://a:1\", §{ url: \"http://b:1\", protocol: h2 }] } }"),
        ),
        (
            "config.upstream_group",
            top("upstreams: { a: §{ servers: [{ url: \"http://a:1\", weight: 0 }] } }"),
        ),
        (
            "config.upstream_group",
            top("upstreams: { a: { servers: [\"http://a:1\"], balance: { hash: { cookie: §\"a b\" } } } }"),
        ),
        (
            "config.upstream_group",
            top("upstreams: { a: { servers: [\"http://a:1\"], retry: { budget: §20 % } } }"),
        ),
        (
            "config.upstream_group",
            top("upstreams: { a: { servers: [\"http://a:1\"], retry: { on: [§404] } } }"),
        ),
        (
            "config.upstream_group",
            top("upstreams: { a: { servers: [\"http://a:1\"], health_check: { type: tcp, path: §/a } } }"),
        ),
        (
            "config.upstream_group",
            top("upstreams: { a: { servers: [\"http://a:1\"], health_check: §{ type: grpc } } }"),
        ),
        ("config.unused_profile", top("security_profiles: { a: §{ addresses: { deny: [10.0.0.0/8] } } }")),
        ("config.network", top("trusted_proxies: [§10.0.0.1/8]")),
        ("config.network", top("trusted_proxies: [§localhost]")),
        ("config.network", top("trusted_proxies: [§010.0.0.0/8]")),
        ("config.trusts_everybody", top("trusted_proxies: [10.0.0.0/8, §0.0.0.0/0]")),
        ("config.trusts_everybody", top("trusted_proxies: [§\"::/0\"]")),
        ("config.reason", format!("{LISTENERS}{ROUTES}    public: §true\n")),
        ("config.reason", format!("{LISTENERS}{ROUTES}    public: §\"?\"\n")),
        // Secrets.
        ("config.secret_source", top("key_pepper: §{}")),
        ("config.secret_source", top("key_pepper: { env: PEPPER, §file: pepper.txt }")),
        ("config.literal_secret", top("key_pepper: §\"a-literal-pepper\"")),
        ("config.short_pepper", top("key_pepper: §{ env: PEPPER }")),
        ("config.field_name", top("request_headers: { remove: [§\"x debug\"] }")),
        ("config.field_name", top("request_headers: { remove: [§\"x-*\"] }")),
        ("config.field_name", top("request_headers: { remove: [§\"x-*-role\"] }")),
        (
            "config.field_name",
            top("request_headers: { insecure_keep: [{ name: §\"cf-*\", reason: a test }] }"),
        ),
        ("config.reserved_field", top("request_headers: { remove: [§x_request_id] }")),
        ("config.reserved_field", top("request_headers: { remove: [§content-type] }")),
        (
            "config.reserved_field",
            top("request_headers: { insecure_keep: [{ name: §x-forwarded-for, reason: a test }] }"),
        ),
        (
            "config.reserved_field",
            top("request_headers: { insecure_keep: [{ name: §X-Consumer-Name, reason: a test }] }"),
        ),
        (
            "config.reserved_field",
            security(
                "{ authentication: { type: api_key }, rate_limiting: { max_requests: 5, per: minute, by: { header: §x-internal-identity } }, identity_token: { issuer: \"https://api.example.com\", audience: inside, header: X-Internal-Identity } }",
            ),
        ),
        (
            "config.reserved_field",
            method("{ type: api_key, cookie: key }").replacen(
                "security:",
                "request_headers: { remove: [§Cookie] }\nsecurity:",
                1,
            ),
        ),
        (
            "config.reserved_field",
            method("{ type: api_key, header: x-key }").replacen(
                "security:",
                "request_headers: { remove: [§X-Key] }\nsecurity:",
                1,
            ),
        ),
        (
            "config.reserved_field",
            limit("{ max_requests: 5, per: minute, by: { header: §x-tenant } }").replacen(
                "security:",
                "request_headers: { remove: [x-tenant] }\nsecurity:",
                1,
            ),
        ),
        (
            "config.kept_header",
            top("request_headers: { keep_from_trusted_proxies: [§{ name: cf-ipcountry, reason: a test }] }"),
        ),
        (
            "config.kept_header",
            top(
                "trusted_proxies: [10.0.0.0/8]\nrequest_headers: { keep_from_trusted_proxies: [{ name: §x-custom, reason: a test }] }",
            ),
        ),
        (
            "config.kept_header",
            top("request_headers: { insecure_keep: [{ name: §authorization, reason: a test }] }"),
        ),
        ("config.reason", top("request_headers: { insecure_keep: [{ name: x-user, reason: §true }] }")),
        ("config.secret_unavailable", top("key_pepper: { env: §NOT_SET }")),
        ("config.secret_unavailable", top("key_pepper: { file: §not-there.txt }")),
        ("config.secret_empty", top("key_pepper: { env: §EMPTY }")),
        ("config.outbound_refuses", jwt("audience: a, jwks_url: §https://10.0.0.1/keys")),
        (
            "config.outbound_refuses",
            jwt("audience: a").replace("\"https://auth.example.com\"", "§\"https://127.0.0.1/a\""),
        ),
        (
            "config.outbound_refuses",
            top("outbound: { allow: [10.1.0.0/16] }\ntracing: { otlp: §http://localhost:4318 }"),
        ),
        (
            "config.outbound_refuses",
            beside("authorization: { external: { url: §\"http://127.0.0.1:8181/v1/data/allow\" } }"),
        ),
        ("config.secret_readable", top("key_pepper: { file: §CERTIFICATES/readable.txt }")),
        ("config.secret_writable", top("key_pepper: { file: §CERTIFICATES/writable.txt }")),
        (
            "config.secret_writable",
            top("admin: { bind: 127.0.0.1:9901, tokens: [{ file: §CERTIFICATES/writable.txt }] }"),
        ),
        // Listeners.
        ("config.plaintext", format!("listeners:\n  - bind: §0.0.0.0:3000\n{PUBLIC}")),
        ("config.admin_address", top("admin: { bind: §0.0.0.0:9901 }")),
        ("config.admin_address", top("admin: { bind: §0.0.0.0:9901, remote_access: a test }")),
        ("config.collector", top("tracing: { otlp: §collector.example.com }")),
        ("config.tracing", top("tracing: { otlp: \"https://collector.example.com\", sample: §200% }")),
        ("config.collector", top("metrics: { otlp: §collector.example.com }")),
        ("config.metrics", top("metrics: { every: §30s }")),
        ("config.metrics", top("metrics: { otlp: \"https://collector.example.com\", every: §10ms }")),
        ("config.admin_tokens", top("admin: §{ bind: 127.0.0.1:9901 }")),
        ("config.admin_token", top("admin: { bind: 127.0.0.1:9901, tokens: [{ file: §key.txt }] }")),
        ("config.admin_token", top("admin: { bind: 127.0.0.1:9901, tokens: [{ file: §missing.txt }] }")),
        ("config.plaintext", top("metrics: { bind: §0.0.0.0:9464 }")),
        ("config.log_template", top("access_log: { template: §\"{time} {query}\" }")),
        ("config.log_template", top("access_log: { template: §\"{time}{path}\" }")),
        ("config.log_template", top("access_log: { format: combined, template: §\"{time}\" }")),
        ("config.log_field", top("access_log: { fields: [time, §authorization] }")),
        ("config.log_field", top("access_log: { fields: [time, §time] }")),
        ("config.log_field", top("access_log: { fields: §[] }")),
        ("config.log_field", top("access_log: { format: combined, fields: §[time] }")),
        ("config.log_sample", top("access_log: { sample: §150% }")),
        ("config.log_rotation", top("access_log: { file: a.log, rotate: { keep: §0 } }")),
        ("config.log_rotation", top("access_log: { file: a.log, rotate: { every: §1s } }")),
        ("config.log_rotation", top("access_log: { rotate: §{ keep: 1 } }")),
        ("config.syslog", top("access_log: { syslog: { server: §127.0.0.1:514 } }")),
        ("config.syslog", top("access_log: { file: a.log, syslog: §{ server: \"udp://127.0.0.1:514\" } }")),
        ("config.plaintext", top("access_log: { syslog: { server: §\"tcp://10.0.0.1:601\" } }")),
        ("config.detector", top("detection: { disabled: [§scaner] }")),
        ("config.block_time", top("detection: { block_for: §1s }")),
        (
            "config.webhook_url",
            top(
                "detection: { webhook: { url: §\"http://alerts.example.com\", secret: 0123456789abcdef0123456789abcdef } }",
            ),
        ),
        (
            "config.webhook_secret",
            top("detection: { webhook: { url: \"https://alerts.example.com\", secret: §short } }"),
        ),
        ("config.duplicate_listener", format!("{LISTENERS}  - bind: §127.0.0.1:3000\n{PUBLIC}")),
        ("config.timeout", format!("{LISTENERS}    timeouts: §{{ header: 0s }}\n{PUBLIC}")),
        ("config.empty_list", format!("§listeners: []\n{PUBLIC}")),
        // Routes.
        ("config.empty_list", format!("§{LISTENERS}routes: []\n")),
        ("config.empty_list", route("methods: §[]")),
        ("config.host", route("hosts: [§\"*.127.0.0.1\"]")),
        ("config.host", route("hosts: [§\"*\"]")),
        ("config.match", route("match: §{}")),
        ("config.match", route("match: { headers: { host: §a.example } }")),
        ("config.match", route("match: { headers: { x-forwarded-proto: §https } }")),
        ("config.match", route("match: { headers: { remote-user: §alice } }")),
        ("config.match", route("match: { headers: { \"x y\": §a } }")),
        (
            "config.match_weakens",
            format!(
                "{LISTENERS}{CONSUMER}security: {{ authentication: {{ type: api_key }} }}\nroutes:\n  - path: /a\n    match: §{{ headers: {{ x-open: \"1\" }} }}\n    public: a test\n    upstream: http://127.0.0.1:8080/other\n  - path: /a\n    upstream: http://127.0.0.1:8080\n"
            ),
        ),
        ("config.empty_list", route("compression: { codings: §[] }")),
        ("config.empty_list", route("compression: { media_types: §[] }")),
        ("config.compression", route("compression: { media_types: §[text] }")),
        ("config.compression", route("compression: { media_types: §[text/event-stream] }")),
        ("config.compression", top("compression: { media_types: §[\"*/*\"] }")),
        ("config.rewrite", route("rewrite: §{}")),
        ("config.rewrite", route("rewrite: §{ strip_prefix: /a, path: /b }")),
        ("config.rewrite", route("rewrite: { strip_prefix: §/b }")),
        ("config.rewrite", route("rewrite: { strip_prefix: §/ }")),
        ("config.rewrite", route("rewrite: { path: §\"/b/{rest}\" }")),
        ("config.rewrite", route("rewrite: { path: §\"//evil.example\" }")),
        ("config.header_value", route("request_headers: { set: { x-env: §\" a\" } }")),
        ("config.header_value", route("response_headers: { add: { x-env: §\"a\\nb\" } }")),
        ("config.reserved_field", route("request_headers: { set: { host: §a.example } }")),
        ("config.reserved_field", route("request_headers: { add: { X-Forwarded-For: §127.0.0.1 } }")),
        ("config.reserved_field", route("request_headers: { set: { x_consumer_name: §root } }")),
        ("config.reserved_field", route("request_headers: { set: { transfer-encoding: §chunked } }")),
        ("config.reserved_field", route("request_headers: { set: { forwarded: §for=a } }")),
        (
            "config.reserved_field",
            route("response_headers: { set: { access-control-allow-origin: §\"*\" } }"),
        ),
        ("config.reserved_field", route("response_headers: { remove: [§x-request-id] }")),
        ("config.field_name", route("response_headers: { set: { \"a b\": §c } }")),
        ("config.reserved_field", top("request_headers: { set: { content-length: §\"1\" } }")),
        ("config.kept_header", top("request_headers: §{ request_id: from_trusted_proxies }")),
        (
            "config.error_body",
            error_body("[§404]", "gone.html", "text/html")
                .replace("[§404]", "[404]")
                .replace("gone", "§gone"),
        ),
        ("config.error_body", error_body("§[200]", "not-found.html", "text/html")),
        ("config.error_body", error_body("§[]", "not-found.html", "text/html")),
        ("config.error_body", error_body("§[404, 404]", "not-found.html", "text/html")),
        ("config.error_body", error_body("[404]", "not-found.html", "§html")),
        ("config.route_target", route("respond: {}").replace("path: /a", "path: §/a")),
        ("config.route_target", format!("{LISTENERS}routes:\n  - path: §/a\n    public: a test\n")),
        (
            "config.no_upstream",
            format!(
                "{LISTENERS}routes:\n  - path: §/a\n    public: a test\n    respond: {{}}\n    preserve_host: true\n"
            ),
        ),
        ("config.redirect", redirect("{ to: §ftp://a.example/ }")),
        ("config.redirect", redirect("{ to: §\"https://{rest}/\" }")),
        ("config.redirect", redirect("{ to: §\"/b?{rest}\" }")),
        ("config.redirect", redirect("{ to: /b, status: §200 }")),
        ("config.respond", respond("{ status: §100 }")),
        ("config.respond", respond("{ status: 204, body: §a }")),
        ("config.respond", respond("{ content_type: §text/plain }")),
        ("config.respond", respond("{ body: a, content_type: §plain }")),
        ("config.route_path", format!("{LISTENERS}{}", PUBLIC.replace("/a", "§a"))),
        ("config.route_path", format!("{LISTENERS}{}", PUBLIC.replace("/a", "§/a/../b"))),
        ("config.route_path", format!("{LISTENERS}{}", PUBLIC.replace("/a", "§/a/*"))),
        ("config.route_path", format!("{LISTENERS}{}", PUBLIC.replace("/a", "§/a/\\d"))),
        ("config.route_path", beside("identity_token: { issuer: a, audience: b, key_set_path: §/keys/* }")),
        (
            "config.upstream",
            format!("{LISTENERS}{}", PUBLIC.replace("http://127.0.0.1:8080", "§http://127.0.0.1:8080/*")),
        ),
        (
            "config.open_below",
            format!(
                "{}  - path: /{{*rest}}\n    public: a test\n    upstream: http://127.0.0.1:8080\n",
                beside("body: { max_size: 1MiB }").replace("path: /a", "path: §/a/")
            ),
        ),
        (
            "config.duplicate_route",
            format!(
                "{LISTENERS}{PUBLIC}  - path: §/a\n    public: a test\n    upstream: http://127.0.0.1:8080\n"
            ),
        ),
        (
            "config.overlapping_routes",
            format!(
                "{LISTENERS}{}  - {{ path: §\"/{{b}}\", public: test, upstream: \"http://127.0.0.1:8080\" }}\n",
                PUBLIC.replace("/a", "/{a}")
            ),
        ),
        ("config.host", route("hosts: [§\"api.example.com:80\"]")),
        ("config.host", route("hosts: [§\"api example com\"]")),
        ("config.upgrade", route("upgrade: [§h2c]")),
        ("config.upstream", format!("{LISTENERS}{}", PUBLIC.replace("http://", "§ftp://"))),
        ("config.upstream", format!("{LISTENERS}{}", PUBLIC.replace("http://", "§ftp://"))),
        (
            "config.timeout",
            format!(
                "{LISTENERS}{}",
                PUBLIC
                    .replace("http://127.0.0.1:8080", "§{ url: \"http://127.0.0.1\", connect_timeout: 0s }")
            ),
        ),
        ("config.openapi", route("openapi: §not-there.yaml")),
        ("config.openapi", route("openapi: §key.txt")),
        ("config.openapi", route("openapi: { file: §order.schema.json }")),
        ("config.openapi_keyword", route("openapi: §misspelt.yaml")),
        ("config.openapi_route", route("openapi: §a.yaml")),
        ("config.openapi_route", route("openapi: { file: §orders.yaml, base_path: / }")),
        ("config.openapi_security", route("openapi: { file: §scopes.yaml }").replace("/a", "/read")),
        ("config.openapi_base_path", route("openapi: { file: a.yaml, base_path: §v1 }")),
        ("config.openapi_base_path", route("openapi: { file: a.yaml, base_path: §/a/../b }")),
        ("config.openapi_responses", route("openapi: §{ file: a.yaml, remove_undeclared: true }")),
        ("config.schema", beside("validation: { schema: §{ type: objekt } }")),
        ("config.schema", beside("validation: { schema: §{ pattern: '(' } }")),
        ("config.schema", beside("validation: { schema: §{ maximum: .inf } }")),
        ("config.schema", beside("validation: { file: §not-there.json }")),
        ("config.schema_source", beside("validation: §{ mode: observe }")),
        ("config.schema_source", beside("validation: §{ schema: {}, file: order.schema.json }")),
        ("config.empty_list", beside("validation: §{ schema: {}, content_types: [] }")),
        ("config.media_type", beside("validation: { schema: {}, content_types: [§json] }")),
        ("config.media_type", beside("validation: { schema: {}, content_types: [§application/*] }")),
        ("config.empty_list", beside("waf: §{ rules: [] }")),
        ("config.waf_rules", beside("waf: { rules: [§owasp] }")),
        ("config.waf_rules", beside("waf: §{ rules: [{ file: not-there }] }")),
        ("config.waf_rules", beside("waf: §{ rules: [{ file: key.txt }] }")),
        ("config.waf_responses", beside("waf: §{ rules: [{ file: rules }], responses: observe }")),
        ("config.waf_paranoia", beside("waf: { paranoia: §5 }")),
        ("config.waf_paranoia", beside("waf: { paranoia: §0 }")),
        ("config.waf_threshold", beside("waf: { threshold: §0 }")),
        ("config.waf_exclusion", beside("waf: { exclude: [§{ reason: it is a test }] }")),
        ("config.waf_exclusion", beside("waf: { exclude: [{ tags: [§\"a b\"], reason: it is a test }] }")),
        (
            "config.waf_exclusion",
            beside("waf: { exclude: [{ targets: [§\"TX:a\"], reason: it is a test }] }"),
        ),
        (
            "config.waf_exclusion",
            beside("waf: { exclude: [{ targets: [§\"ARGS:a|B\"], reason: it is a test }] }"),
        ),
        (
            "config.public_and_not",
            format!(
                "{LISTENERS}{}    security: {{ authorization: {{ roles_allowed: [a] }} }}\n",
                PUBLIC.replace("a test", "§a test")
            ),
        ),
        ("config.no_authentication", format!("{LISTENERS}{}", ROUTES.replace("/a", "§/a"))),
        // Consumers.
        ("config.consumer_name", top("consumers: [{ name: §\"a\\tb\" }]")),
        ("config.role_name", top("consumers: [{ name: alice, roles: §[\"a,b\"] }]")),
        ("config.duplicate_consumer", top("consumers: [{ name: alice }, { name: §alice }]")),
        ("config.duplicate_key", key("{ env: ADMIN_API_KEY }, §{ env: ADMIN_API_KEY }")),
        ("config.key_hash", key("§{ hash: md5:12 }")),
        ("config.key_characters", key("§\"a key with spaces in it\"")),
        ("config.key_length", key(&format!("§{long}"))),
        ("config.weak_key", key("§short")),
        ("config.time", key("{ env: ADMIN_API_KEY, expires: §tomorrow }")),
        ("config.key_pepper", key(&format!("§{{ hash: \"hmac-sha256:{}\" }}", "0".repeat(64)))),
        (
            "config.key_pepper",
            format!(
                "key_pepper: {{ env: PEPPER }}\n{}",
                key(&format!("§{{ hash: \"sha256:{}\" }}", "0".repeat(64)))
            ),
        ),
        (
            "config.no_keys",
            format!("§security: {{ authentication: {{ type: api_key }} }}\n{LISTENERS}{ROUTES}"),
        ),
        // Authentication.
        ("config.empty_list", method("§{ any: [] }")),
        ("config.empty_list", method("§{ type: api_key, keys: [] }")),
        ("config.key_scheme", method("{ type: api_key, query: a, scheme: §bearer }")),
        ("config.key_location", method("{ type: api_key, header: x-a, query: §a }")),
        ("config.key_in_query", method("{ type: api_key, query: §key }")),
        ("config.external_url", beside("authorization: { external: { url: §\"http://opa.example/a\" } }")),
        (
            "config.external_timeout",
            beside("authorization: { external: { url: \"https://opa.example/a\", timeout: §1h } }"),
        ),
        (
            "config.external_cache",
            beside("authorization: { external: { url: \"https://opa.example/a\", cached_for: §10s } }"),
        ),
        (
            "config.external_cache",
            beside("authorization: { external: §{ url: \"https://opa.example/a\", cached_by: [path] } }"),
        ),
        ("config.signing_secret", method("{ type: signature, signed_by: github, secret: §short }")),
        ("config.signing_secret", method("{ type: signature, signed_by: github, secret: §[] }")),
        (
            "config.signature_without_time",
            method("{ type: signature, signed_by: §github, secret: 0123456789abcdef }"),
        ),
        (
            "config.tolerance",
            method("{ type: signature, signed_by: slack, secret: 0123456789abcdef, tolerance: §2h }"),
        ),
        (
            "config.unknown_consumer",
            method("{ type: signature, signed_by: slack, secret: 0123456789abcdef, consumer: §nobody }"),
        ),
        (
            "config.signature_scheme",
            method("{ type: signature, signed_by: slack, secret: 0123456789abcdef, header: §x-a }"),
        ),
        (
            "config.signature_scheme",
            method("{ type: signature, signed_by: §hmac, secret: 0123456789abcdef }"),
        ),
        (
            "config.signed",
            method(
                "{ type: signature, signed_by: hmac, secret: 0123456789abcdef, header: x-a, signed: §\"{timestamp}{body}\" }",
            ),
        ),
        ("config.tenants", jwt("audience: a, tenants: §[a]")),
        ("config.tenants", method("{ type: jwt, issuer: §\"https://a.example/{tenant}\", audience: a }")),
        (
            "config.tenants",
            method("{ type: jwt, issuer: \"https://a.example/{tenant}\", audience: a, tenants: §[\"a/b\"] }"),
        ),
        ("config.jwks_token", jwt("audience: a, jwks_token_file: §no-such-file")),
        (
            "config.secret_encoding",
            jwt("audience: a, secret_encoding: hex, secret: §0123456789abcdef0123456789abcdef0"),
        ),
        ("config.token_in_query", jwt("audience: a, query: §access_token")),
        ("config.token_place", jwt("audience: a, cookie: §token, dpop: { nonce: true }")),
        ("config.key_location", jwt("audience: a, header: x-a, cookie: §token")),
        ("config.parameter_name", method("{ type: api_key, cookie: §\"a b\" }")),
        ("config.field_name", method("{ type: api_key, header: §x_api_key }")),
        ("config.field_name", method("{ type: api_key, header: §\"x api key\" }")),
        ("config.field_name", method("{ type: api_key, header: §x~key }")),
        ("config.reserved_field", method("{ type: api_key, header: §X-Forwarded-For }")),
        ("config.reserved_field", method("{ type: api_key, header: §Proxy-Authorization }")),
        ("config.reserved_field", method("{ type: api_key, header: §Host }")),
        ("config.reserved_field", limit("{ max_requests: 5, per: minute, by: { header: §X-Real-IP } }")),
        ("config.authentication_observed", method("{ type: api_key, mode: §observe }")),
        ("config.authentication_off", method("{ type: api_key, mode: §off }")),
        // What else judges.
        ("config.empty_list", security("{ authentication: { type: api_key }, addresses: §{ deny: [] } }")),
        ("config.empty_section", security("{ authentication: { type: api_key }, authorization: §{} }")),
        (
            "config.empty_list",
            security("{ authentication: { type: api_key }, authorization: { roles_allowed: §[] } }"),
        ),
        (
            "config.role_nobody_has",
            security("{ authentication: { type: api_key }, authorization: { roles_allowed: §[usr] } }"),
        ),
        (
            "config.keys_without_roles",
            security(
                "{ authentication: { type: api_key, keys: [{ env: ADMIN_API_KEY }] }, authorization: §{ roles_allowed: [user] } }",
            ),
        ),
        ("config.burst", limit("{ max_requests: 5, per: minute, burst: §6 }")),
        ("config.limit_name", limit("{ max_requests: 5, per: minute, name: §\"a b\" }")),
        ("config.period", limit("§{ max_requests: 5 }")),
        ("config.period", limit("{ max_requests: 5, per: minute, per_hour: §true }")),
        ("config.period", limit("{ max_requests: 5, per_hour: §false }")),
        ("config.empty_list", limit("[]").replacen("{ authentication", "§{ authentication", 1)),
    ]
}

/// A gateway with these redirects.
fn redirects(all: &[(&str, &str)]) -> String {
    let route = |(path, to): &(&str, &str)| {
        let (mark, to) = to.strip_prefix('§').map_or(("", *to), |to| ("§", to));
        format!("  - {{ path: \"{path}\", public: a test, redirect: {{ to: {mark}\"{to}\" }} }}\n")
    };
    format!("{LISTENERS}routes:\n{}", all.iter().map(route).collect::<String>())
}
