//! The configurations whose checks are weakened: the repository's examples, and others, so that each shipped check is in one.

const LISTENER: &str = "listeners: [{ bind: \"127.0.0.1:3000\" }]\n";

const CONSUMERS: &str = "consumers:
  - { name: alice, roles: [user], scopes: [read], keys: [{ env: A }] }
  - { name: bob, roles: [admin, user], scopes: [read, write], keys: [{ hash: \"sha256:0000000000000000000000000000000000000000000000000000000000000001\" }] }
";

const UPSTREAM: &str = "upstream: \"http://127.0.0.1:8080\"";

/// Name and text of each configuration.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let mut all = vec![
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
    ];
    all.extend(examples());
    all
}

fn with_consumers(text: &str) -> String {
    format!("{LISTENER}{CONSUMERS}{text}")
}

/// What the README shows.
fn examples() -> Vec<(&'static str, String)> {
    let readme = include_str!("../../../../README.md");
    let yaml = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let whole = yaml.filter(|text| text.contains("listeners:"));
    whole.map(|text| ("README.md", text.to_owned())).collect()
}
