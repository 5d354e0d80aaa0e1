//! Configurations whose checks are weakened, so that each shipped check is in one. Those of the repository's pages are in `examples`.

const LISTENER: &str = "listeners: [{ bind: \"127.0.0.1:3000\" }]\n";

const CONSUMERS: &str = "consumers:
  - { name: alice, roles: [user], scopes: [read], keys: [{ env: A }] }
  - { name: bob, roles: [admin, user], scopes: [read, write], keys: [{ hash: \"sha256:0000000000000000000000000000000000000000000000000000000000000001\" }] }
";

const UPSTREAM: &str = "upstream: \"http://127.0.0.1:8080\"";

/// Name and text of each configuration.
pub(crate) fn all() -> Vec<(String, String)> {
    let own = vec![
        ("keys", with_consumers(&format!(
            "security:
  addresses: {{ deny: [198.51.100.0/24] }}
  authentication: {{ type: api_key, header: x-api-key }}
  authorization: {{ roles_allowed: [admin, user], scopes_required: [read] }}
  rate_limiting: {{ max_requests: 5, per: minute, burst: 3, by: consumer }}
  body: {{ max_size: 1KiB }}
routes:
  - {{ path: \"/orders/{{id}}\", methods: [GET, PUT], {UPSTREAM} }}
  - {{ path: /admin, {UPSTREAM}, security: {{ authorization: {{ roles_allowed: [admin] }} }} }}
  - {{ path: /write, {UPSTREAM}, security: {{ authorization: {{ scopes_required: [write] }} }} }}
  - {{ path: \"/users/{{name}}\", methods: [GET], {UPSTREAM}, security: {{ authorization: {{ path_parameters_equal: {{ name: sub }} }} }} }}
  - {{ path: /inside, methods: [GET], {UPSTREAM}, security: {{ addresses: {{ allow: [10.20.0.0/16] }} }} }}
  - {{ path: /query, {UPSTREAM}, security: {{ authentication: {{ type: api_key, query: key }} }} }}
  - {{ path: /cookie, {UPSTREAM}, security: {{ authentication: {{ type: api_key, cookie: key }} }} }}
  - {{ path: /health, public: a probe, methods: [GET], {UPSTREAM} }}
"
        ))),
        ("tokens", format!(
            "{LISTENER}security:
  authentication: {{ type: jwt, issuer: \"https://i.example\", jwks_file: keys.json, audience: orders, algorithms: [ES256], max_age: 1h, leeway: 5s, profile: access_token }}
  authorization:
    roles_allowed: [admin]
    scopes_required: [read, write]
    claims_required: {{ tenant.id: 7, verified: true }}
  rate_limiting: {{ max_requests: 4, per: minute }}
routes:
  - {{ path: /a, methods: [GET], {UPSTREAM} }}
  - {{ path: \"/users/{{id}}\", methods: [GET], {UPSTREAM}, security: {{ authorization: {{ path_parameters_equal: {{ id: sub }} }} }} }}
  - {{ path: /mfa, methods: [GET], {UPSTREAM}, security: {{ authorization: {{ condition: '\"mfa\" in claims.amr' }} }} }}
  - path: /shared
    methods: [GET]
    {UPSTREAM}
    security: {{ authentication: {{ type: jwt, issuer: \"https://s.example\", secret: {{ env: SECRET }}, audience: orders, roles_claim: realm_access.roles, roles_prefix: \"s:\" }}, authorization: {{ roles_allowed: [\"s:admin\"] }} }}
  - path: /bound
    methods: [GET]
    {UPSTREAM}
    security: {{ authentication: {{ type: jwt, issuer: \"https://i.example\", jwks_file: keys.json, audience: orders, dpop: {{ required: true }} }} }}
"
        )),
        ("an authorization server", format!(
            "{LISTENER}security:
  authentication: {{ type: OAuth2, token_url: \"https://auth.example.com/token\", audience: \"https://api.example.com\", client_id: gateway, client_secret: {{ env: SECRET }} }}
  authorization: {{ roles_allowed: [admin, user] }}
  rate_limiting: {{ max_requests: 1000, per_minute: true }}
routes: [{{ path: /a, methods: [GET], {UPSTREAM} }}]
"
        )),
        ("either and both", with_consumers(&format!(
            "security:
  authorization: {{ roles_allowed: [user] }}
  rate_limiting: {{ max_requests: 10, per: hour }}
routes:
  - path: /either
    methods: [GET]
    {UPSTREAM}
    security: {{ authentication: {{ any: [{{ type: api_key }}, {{ type: jwt, issuer: \"https://i.example\", jwks_file: keys.json, audience: a }}] }} }}
  - path: /both
    methods: [GET]
    {UPSTREAM}
    security: {{ authentication: {{ all: [{{ type: api_key }}, {{ type: api_key, header: x-second-key }}] }} }}
"
        ))),
        ("passwords", format!(
            "{LISTENER}consumers:
  - {{ name: alice, roles: [user], password: {{ file: password.txt }} }}
  - {{ name: bob, roles: [], password: {{ file: password.txt }} }}
security: {{ authentication: {{ type: basic }}, authorization: {{ roles_allowed: [user] }}, rate_limiting: {{ max_requests: 10, per: minute }} }}
routes: [{{ path: /a, methods: [GET], {UPSTREAM} }}]
"
        )),
        ("bodies", with_consumers(&format!(
            "security: {{ authentication: {{ type: api_key }}, rate_limiting: {{ max_requests: 10, per: minute }} }}
routes:
  - path: /schema
    methods: [POST]
    {UPSTREAM}
    security: {{ validation: {{ schema: {{ type: object, required: [name], properties: {{ name: {{ type: string }} }}, additionalProperties: false }} }} }}
  - {{ path: /graphql, methods: [POST], {UPSTREAM}, security: {{ graphql: {{ max_depth: 3 }} }} }}
"
        ))),
        ("certificates", format!(
            "listeners: [{{ bind: \"127.0.0.1:3000\", tls: {{ certificates: [{{ certificate: server.pem, key: server.key }}], client_certificates: {{ need: required, ca: ca.pem }} }} }}]
consumers:
  - {{ name: alice, roles: [user], certificates: [{{ subject: \"CN=alice\" }}, {{ dns: alice.example.com }}] }}
  - {{ name: bob, roles: [], certificates: [{{ fingerprint: \"{}\" }}] }}
security: {{ authentication: {{ type: mtls }}, authorization: {{ roles_allowed: [user] }} }}
routes: [{{ path: /a, hosts: [api.example.com], methods: [GET], {UPSTREAM} }}]
", "ab".repeat(32)
        )),
        ("logins", format!(
            "{LISTENER}security:
  authentication: {{ type: openid_connect, issuer: \"https://login.example.com\", client_id: shop, client_secret: {{ env: SECRET }}, public_url: \"https://shop.example.com\", session_secret: {{ env: SESSION_SECRET }}, session_lifetime: 2h, idle_timeout: 10m, roles_claim: groups, roles_prefix: \"login:\" }}
  authorization: {{ roles_allowed: [\"login:user\"] }}
routes:
  - {{ path: /a, methods: [GET], {UPSTREAM} }}
  - {{ path: /change, methods: [POST], {UPSTREAM} }}
"
        )),
        ("signatures", format!(
            "{LISTENER}consumers: [{{ name: payments, roles: [hook] }}, {{ name: nobody, roles: [] }}]
routes:
  - {{ path: /github, methods: [POST], {UPSTREAM}, security: {{ authentication: {{ type: signature, signed_by: github, secret: {{ env: GITHUB }} }} }} }}
  - {{ path: /stripe, methods: [POST], {UPSTREAM}, security: {{ authentication: {{ type: signature, signed_by: stripe, secret: {{ env: STRIPE }}, consumer: payments, tolerance: 1m }}, authorization: {{ roles_allowed: [hook] }} }} }}
"
        )),
        ("pages", with_consumers(&format!(
            "security:
  authentication: {{ type: api_key }}
  cors: {{ origins: [\"https://app.example.com\"], methods: [GET, PUT], headers: [x-api-key, content-type], exposed_headers: [x-total-count], credentials: true, max_age: 10m, private_network: true }}
routes:
  - {{ path: /listed, methods: [GET, PUT, DELETE], {UPSTREAM} }}
  - {{ path: /below, methods: [GET], {UPSTREAM}, security: {{ cors: {{ origins: [\"https://*.example.com\", \"http://localhost:*\"] }} }} }}
  - {{ path: /open, public: data for everybody, methods: [GET], {UPSTREAM}, security: {{ cors: {{ origins: \"*\" }} }} }}
"
        ))),
        ("a firewall", with_consumers(&format!(
            "security: {{ authentication: {{ type: api_key }} }}
routes:
  - {{ path: /search, methods: [GET], {UPSTREAM}, security: {{ waf: {{ paranoia: 1, responses: enforce }} }} }}
"
        ))),
        ("a document", with_consumers(&format!(
            "openapi: {{ file: secured.yaml, responses: enforce, limits: {{ depth: 8 }} }}
security:
  authentication: {{ any: [{{ type: api_key, header: x-api-key }}, {{ type: jwt, issuer: \"https://i.example\", jwks_file: keys.json, audience: items }}] }}
routes:
  - {{ path: /items, methods: [GET, POST], {UPSTREAM} }}
  - {{ path: \"/items/{{id}}\", methods: [GET], {UPSTREAM} }}
"
        ))),
        ("what back ends get", with_consumers(&format!(
            "security:
  authentication: {{ type: api_key }}
  identity_token: {{ issuer: \"https://api.example.com\", audience: orders }}
routes:
  - {{ path: /told, methods: [GET], {UPSTREAM} }}
  - {{ path: /token, methods: [GET], {UPSTREAM}, security: {{ upstream_token: {{ token_url: \"https://auth.example.com/token\", client_id: gateway, client_secret: {{ env: SECRET }}, scopes: [orders] }} }} }}
"
        ))),
        ("somebody else decides", with_consumers(&format!(
            "security: {{ authentication: {{ type: api_key }} }}
routes:
  - {{ path: /opa, methods: [GET], {UPSTREAM}, security: {{ authorization: {{ roles_allowed: [user], external: {{ url: \"http://127.0.0.1:8181/v1/data/allow\" }} }} }} }}
  - {{ path: /forward, methods: [GET], {UPSTREAM}, security: {{ authorization: {{ external: {{ url: \"http://127.0.0.1:8182/auth\", form: forward_auth }} }} }} }}
"
        ))),
        ("how much", format!(
            "{LISTENER}plans:
  free: {{ rate_limiting: {{ max_requests: 6, per: minute }}, quota: {{ max_requests: 10, per: day }} }}
  paid: {{ rate_limiting: {{ max_requests: 60, per: minute }} }}
consumers:
  - {{ name: alice, plan: free, keys: [{{ env: A }}] }}
  - {{ name: bob, plan: paid, keys: [{{ env: B }}], quota: {{ max_requests: 9, per: hour }} }}
security:
  authentication: {{ type: api_key }}
  concurrency: {{ max_requests: 2 }}
  quota: {{ max_requests: 100, per: month }}
  rate_limiting:
    - {{ max_requests: 9, per: second, by: address, name: burst }}
    - {{ max_requests: 1000, per: minute }}
routes: [{{ path: /a, methods: [GET], {UPSTREAM} }}]
"
        )),
    ];
    own.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

fn with_consumers(text: &str) -> String {
    format!("{LISTENER}{CONSUMERS}{text}")
}
