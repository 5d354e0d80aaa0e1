//! Documents that together contain every key. A new key needs a place here before it can be released.
//!
//! One key a line, so that a test can misspell it: lists and mappings are never written in brackets, unless they hold
//! nothing but plain values.

mod counting;

use super::harness::load;
use super::keys;
use portcullis::Style;
use std::collections::BTreeSet;

/// What judges, each form that a section has.
const SECURITY: [&str; 3] = [
    "
cors:
  origins: ['https://app.example.com', 'https://*.example.org', 'http://localhost:*']
  methods: [GET, PUT]
  headers: [content-type, x-api-key]
  exposed_headers: [x-total-count]
  credentials: true
  max_age: 10m
  private_network: true
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
graphql:
  max_tokens: 1000
  max_depth: 8
  max_fields: 500
  max_root_fields: 5
  max_aliases: 5
  max_directives: 10
  max_batch: 2
  introspection: true
  subscriptions: true
  uploads: true
  automatic_persisted_queries: 1MiB
  cost:
    schema: schema.graphql
    max: 500
    list_size: 20
    list_arguments: [first]
  safelist:
    file: operations.json
    hashes: [5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5]
  mode: observe
validation:
  schema: { type: object }
  content_types: [application/json]
  other_spellings: allow
  strict_numbers: true
  limits:
    depth: 10
    members: 10
    items: 10
    values: 100
    string_length: 1kB
    name_length: 100B
    number_length: 20
    decoded_size: 1MB
    decoded_ratio: 10
  mode: observe
waf:
  rules:
    - builtin
    - file: rules
  paranoia: 2
  threshold: 10
  exclude:
    - rules: [11010]
      tags: [attack-xss]
      targets: [ARGS:comment, /items/0/text]
      reason: comments are about code
  grpc: unsearched
  responses: observe
  max_response_size: 100kB
  mode: observe
strict_errors: false
",
    "
validation:
  file: order.schema.json
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
      scheme: bearer
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
  type: basic
  realm: orders
  cached_for: 30s
",
    "
authentication:
  any:
    - type: basic
      realm: orders
      cached_for: 30s
    - type: api_key
      header: x-token
",
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
];

/// Methods that take a token; each is written alone, under `any` and under `all`.
const TOKEN_METHODS: [&str; 8] = [
    "
type: jwt
issuer: https://auth.example.com/{tenant}
tenants: [blue, green]
jwks_token_file: token-secret.txt
audience: orders
",
    "
type: jwt
issuer: https://auth.example.com
jwks_url: https://auth.example.com/keys
more_jwks_urls: [https://auth.example.com/other-keys]
audience: orders
algorithms: [ES256, EdDSA]
profile: access_token
leeway: 10s
max_age: 1h
roles_claim: realm_access.roles
more_roles_claims: [groups, [resource_access, my.client, roles]]
subject_claim: user.id
roles_separator: ','
roles_prefix: 'partner:'
scopes_claim: permissions
openapi_schemes: [staff]
max_token_size: 4KiB
cached_tokens: 100
dpop:
  required: true
  nonce: true
  nonce_secret:
    env: TOKEN_SECRET
stale_keys: 1h
min_refresh: 30s
resource: https://api.example.com
",
    "
type: jwt
issuer: https://auth.example.com
jwks_file: keys.json
insecure_any_audience: the issuer serves this API alone
insecure_forward_credential: the backend verifies it again
dpop:
  nonce: true
  nonce_secret:
    file: token-secret.txt
",
    "
type: jwt
issuer: https://auth.example.com
audience: orders
secret:
  env: TOKEN_SECRET
dpop:
  nonce: true
  nonce_secret:
    literal: 0123456789abcdef0123456789abcdef
",
    "
type: jwt
issuer: https://auth.example.com
audience: orders
audience_claim: client_id
header: cf-access-jwt-assertion
secret_encoding: text
secret:
  file: token-secret.txt
",
    "
type: jwt
issuer: https://auth.example.com
audience: orders
cookie: access-token
secret:
  literal: 0123456789abcdef0123456789abcdef
",
    "
type: OAuth2
token_url: https://auth.example.com/token
issuer: https://auth.example.com
introspection_url: https://auth.example.com/introspect
client_id: gate
client_secret:
  env: TOKEN_SECRET
introspect: all
client_authentication: client_secret_post
introspection_lifetime: 10s
insecure_plaintext: the mesh encrypts what goes between the pods
untyped_introspection: the server gives out no refresh tokens
audience: orders
",
    "
type: OAuth2
token_url: https://auth.example.com/token
client_id: gate
client_secret:
  file: client-key.pem
client_authentication: private_key_jwt
client_assertion:
  key_id: the-key
  audience: https://auth.example.com/token
  rsa_algorithm: PS256
  certificate: client-certificate.pem
audience: orders
",
];

/// Methods that take something else, for `all`.
const OTHER_METHODS: [&str; 3] = [
    "
type: OAuth2
token_url: https://auth.example.com/token
client_id: gate
client_secret:
  literal: 0123456789abcdef0123456789abcdef
audience: orders
",
    "
type: api_key
header: x-token
keys:
  - env: ALICE_API_KEY
    expires: 2030-01-01T00:00:00Z
  - file: key.txt
  - literal: literal-key-0123456789
  - hash: sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5
",
    "
type: api_key
query: key
",
];

/// What else judges by what tokens say, or gives one to upstreams.
const TOKEN_SECTIONS: [&str; 3] = [
    "
authorization:
  scopes_required: [orders.read]
  claims_required: { email_verified: true }
  condition: \"'mfa' in claims.amr\"
  external:
    url: http://opa.policy.svc:8181/v1/data/orders/allow
    form: opa
    headers: [x-tenant]
    timeout: 2s
    cached_for: 10s
    cached_by: [principal, method, path, headers]
    insecure_plaintext: the mesh encrypts what goes between the pods
identity_token:
  issuer: gate
  audience: orders
  lifetime: 2m
  header: x-assertion
  key_set_path: /keys.json
  key:
    env: ISSUER_KEY
upstream_token:
  token_url: https://auth.example.com/token
  client_id: gate
  client_secret:
    env: TOKEN_SECRET
  client_authentication: client_secret_post
  scopes: [orders.read]
  resource: https://orders.example.com
",
    "
identity_token:
  issuer: gate
  audience: orders
  key:
    file: issuer-key.pem
upstream_token:
  token_url: https://auth.example.com/token
  client_id: gate
  client_secret:
    file: client-key.pem
  client_authentication: private_key_jwt
  client_assertion:
    key_id: the-key
    audience: https://auth.example.com/token
    rsa_algorithm: PS256
    certificate: client-certificate.pem
",
    "
identity_token:
  issuer: gate
  audience: orders
  key:
    literal: not-the-key-itself
upstream_token:
  token_url: https://auth.example.com/token
  client_id: gate
  client_secret:
    literal: 0123456789abcdef0123456789abcdef
",
];

/// Exchanges of tokens, with each source of the secret.
const EXCHANGES: [&str; 3] = [
    "
token_exchange:
  token_url: https://auth.example.com/token
  client_id: gate
  client_secret:
    env: TOKEN_SECRET
  client_authentication: client_secret_post
  audience: [orders]
  resource: https://orders.example.com
  scopes: [orders.read]
  subject_token_type: jwt
",
    "
token_exchange:
  token_url: https://auth.example.com/token
  client_id: gate
  client_secret:
    file: client-key.pem
  client_authentication: private_key_jwt
  client_assertion:
    key_id: the-key
    audience: https://auth.example.com/token
    rsa_algorithm: PS256
    certificate: client-certificate.pem
  audience: orders
",
    "
token_exchange:
  token_url: https://auth.example.com/token
  client_id: gate
  client_secret:
    literal: 0123456789abcdef0123456789abcdef
  scopes: [orders.read]
",
];

const TOP: &str = "
listeners:
  - bind: 192.0.2.1:3000
    insecure_plaintext: TLS ends at the load balancer
    max_connections: 100
    max_connections_per_address: 10
    max_requests_per_address: 20
    timeouts:
      header: 5s
      idle: 30s
      body: 20s
      request: 2m
consumers:
  - name: alice
    roles: [user, admin]
    scopes: [orders.read]
    keys:
      - env: ADMIN_API_KEY
        expires: 2030-01-01T00:00:00Z
  - name: bob
    keys:
      - file: key.txt
  - name: carol
    keys:
      - literal: carols-key-0123456789
  - name: erin
    password:
      env: PASSWORD_HASH
  - name: frank
    password:
      file: password.txt
  - name: grace
    password:
      hash: $argon2id$v=19$m=7168,t=5,p=1$JXywo0L7Xg/Hsogn4rHbYg$ItmuTwomEpc/9nxFhCcnQeaa+gR9jYNo9IasPmHIyBw
  - name: dave
    keys:
      - hash: sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5
brute_force:
  mode: observe
  free_failures: 5
  first_wait: 2s
  longest_wait: 10m
limits:
  max_target_size: 4KiB
  max_headers: 50
  max_header_size: 4KiB
  max_headers_size: 16KiB
  max_held_size: 16MiB
include: [included/*.yaml]
security_profiles:
  partner:
    addresses: { allow: [10.0.0.0/8] }
request_headers:
  remove: [x-debug, x-acme-*]
  keep_from_trusted_proxies:
    - name: cf-ipcountry
      reason: prices depend on the country
  insecure_keep:
    - name: x-user
      reason: our own clients send it, and nothing trusts it
  method_override: apply
  request_id: from_trusted_proxies
  forwarded: true
  set: { x-gateway: a }
  add: { x-more: a }
response_headers:
  set: { x-gateway: a }
  add: { x-more: a }
  remove: [x-inner]
  security: api
compression:
  codings: [zstd, br, gzip]
  min_size: 1KiB
  media_types: [text/*]
  level: small
  insecure_with_credentials: no answer has a secret
error_bodies:
  - statuses: [404, 405]
    file: not-found.html
    content_type: text/html; charset=utf-8
trusted_proxies: [10.0.0.0/8]
audit_log:
  file: audit.log
  key: audit.key
access_log:
  file: access.log
  on_full: drop
  format: json
  fields: [time, client, status]
  addresses: truncated
  sample: 10%
  rotate:
    size: 10MB
    every: 24h
    keep: 14
    keep_for: 30d
admin:
  bind: 0.0.0.0:9901
  tokens:
    - file: admin-token.txt
      role: operator
  hosts: [gateway.internal:9901]
  tls:
    certificate: CERTIFICATES/api.pem
    key: CERTIFICATES/api.key
  remote_access: operators are on another machine
  insecure_open_metrics: only the scraper reaches this network
detection:
  mode: enforce
  disabled: [limit_grinding]
  block_for: 30m
  block_severity: medium
  exempt_addresses: [192.0.2.0/24]
  exempt_consumers: [alice]
  webhook:
    url: https://alerts.example.com/portcullis
    secret: 0123456789abcdef0123456789abcdef
    severity: high
metrics:
  bind: 0.0.0.0:9464
  insecure_plaintext: only the scraper reaches this network
  otlp: https://collector.example.com
  every: 30s
  headers:
    x-collector-token:
      env: ALICE_API_KEY
    x-second:
      file: key.txt
    x-third:
      literal: hello-hello-hello-hello
  service: orders
tracing:
  otlp: https://collector.example.com
  sample: 0.5%
  headers:
    x-collector-token:
      env: ALICE_API_KEY
    x-second:
      file: key.txt
    x-third:
      literal: hello-hello-hello-hello
  service: orders
outbound:
  allow: [10.0.0.0/8]
  ca: ca.pem
workers: 2
state_dir: state
accepted_findings:
  - finding: no_rate_limit
    route: /orders/{id}
    reason: the gateway in front limits
    until: 2027-06-30
tests:
  - name: a reader reads
    request:
      method: POST
      path: /orders/7
      host: api.example.com
      headers: { x-trace: abc }
      body: text
      client: 203.0.113.9
    sender:
      subject: carol
      roles: [user]
      scopes: [read]
      claims: { tenant.id: a }
      issuer: https://issuer.example.com
    expect:
      upstream_headers: { x-consumer-name: carol }
      upstream_without: [authorization]
  - request: GET /orders/7
    sender:
      consumer: alice
    expect:
      status: 403
      code: role_missing
      check: authz.roles
      reason: none of
drain: 5s
";

/// Stores, and where their secrets come from.
const STORES: [&str; 4] = [
    "
store:
  keys:
    postgres:
      url:
        literal: postgres://portcullis@localhost/keys
    peppers:
      - env: TOKEN_SECRET
",
    "
store:
  keys:
    sqlite: portcullis.db
    peppers:
      - env: TOKEN_SECRET
      - file: key.txt
      - literal: an-older-pepper-0123456789
    max_stale: 20s
    max_memory: 64MiB
",
    "
store:
  keys:
    postgres:
      url:
        env: DATABASE_URL
      ca: ca.pem
    peppers:
      - env: TOKEN_SECRET
",
    "
store:
  keys:
    postgres:
      url:
        file: database-url.txt
      insecure_plaintext: a tunnel protects it
    peppers:
      - env: TOKEN_SECRET
",
];

/// The other sources of a pepper, which no two of can be in one document.
const PEPPERS: [&str; 3] =
    ["key_pepper:\n  env: PEPPER\n", "key_pepper:\n  file: key.txt\n", "key_pepper:\n  literal: my-pepper\n"];

/// The sources of a webhook's secret.
const WEBHOOKS: [&str; 3] = [
    "detection:\n  webhook:\n    url: https://alerts.example.com/\n    secret:\n      env: TOKEN_SECRET\n",
    "detection:\n  webhook:\n    url: https://alerts.example.com/\n    secret:\n      file: token-secret.txt\n",
    "detection:\n  webhook:\n    url: https://alerts.example.com/\n    secret:\n      literal: 0123456789abcdef0123456789abcdef\n",
];

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
      proxy_protocol: v2
      tunnel_drain: 6s
      max_response_head: 256KiB
      max_response_fields: 400
      idle_timeout: 5s
      connections:
        max_age: 10m
        max_requests: 1000
    upgrade: [websocket]
    encoded_paths:
      slash: keep
      backslash: refuse
      semicolon: keep
      double_slash: keep
      percent: keep
    security:
      use: partner
  - path: /v1/{*rest}
    hosts: ['*.example.org']
    methods: any
    match:
      headers: { x-version: '2' }
      query: { beta: '*' }
    public: a test
    upstream: http://127.0.0.1:8080
    rewrite:
      path: /v2/{rest}
    preserve_host: true
    request_headers:
      set: { x-env: prod }
      add: { x-more: a }
      remove: [x-debug]
    response_headers:
      set: { cache-control: no-store }
      add: { x-more: a }
      remove: [x-inner-*]
      security: html
    upstream_errors: pass
    compression:
      codings: [br, gzip]
      min_size: 2KiB
      media_types: [application/json, text/*, '*+json']
      level: fast
      insecure_with_credentials: no answer has a secret
  - path: /v3/{*rest}
    public: a test
    upstream: http://127.0.0.1:8080
    rewrite:
      strip_prefix: /v3
  - path: /old/{*rest}
    public: it moved
    redirect:
      to: https://new.example.com/{rest}
      status: 308
  - path: /health
    public: liveness probe, no data
    respond:
      status: 200
      body: ok
      content_type: text/plain
  - path: /limited
    upstream: http://127.0.0.1:8080
    public: a test
    security:
      rate_limiting:
        max_requests: 10
        per: second
        by: address
      quota:
        max_requests: 100000
        per: day
        by: address
      concurrency:
        max_requests: 10
        by: address
";

/// What protects connections. `CERTIFICATES` stands for a folder.
const PROTECTION: &str = "
listeners:
  - bind: 192.0.2.1:443
    tls:
      certificates:
        - certificate: CERTIFICATES/api.pem
          key: CERTIFICATES/api.key
        - certificate: CERTIFICATES/other.pem
          key: CERTIFICATES/other.key
      client_certificates:
        need: optional
        ca: CERTIFICATES/ca.pem
        crls: [CERTIFICATES/revoked.crl]
      min_version: '1.3'
      hsts: 30d
      handshake_timeout: 5s
      max_handshakes: 100
      reload_interval: 1m
  - bind: 127.0.0.1:8443
    tls:
      self_signed: true
    protocols: [h2]
  - bind: 192.0.2.2:443
    tls:
      acme:
        domains: [api.example.com, www.example.com]
        agree_to_terms: true
        storage: CERTIFICATES/acme
        contact: [\"mailto:operator@example.com\"]
        directory: https://acme.example.com/directory
        challenge: http
        ca: CERTIFICATES/ca.pem
        renew_before: 20d
        retry_interval: 5m
  - bind: 192.0.2.3:443
    tls:
      acme:
        domains: [eu.example.com]
        agree_to_terms: true
        storage: CERTIFICATES/acme
        staging: true
  - bind: 192.0.2.1:80
    proxy_protocol_from: [10.0.0.0/8]
    redirect_to_https: 443
security:
  authentication:
    type: mtls
consumers:
  - name: alice
    certificates:
      - name: alice.example.com
      - dns: orders.example.com
      - uri: spiffe://example.com/alice
      - email: alice@example.com
      - ip: 192.0.2.1
      - subject: CN=alice,O=Example
      - fingerprint: 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
routes:
  - path: /orders
    upstream:
      url: https://orders.example.com:9443
      protocol: h2
      tls:
        ca: CERTIFICATES/ca.pem
        client_certificate:
          certificate: CERTIFICATES/client.pem
          key: CERTIFICATES/client.key
        server_name: inner.example.com
  - path: /careless
    upstream:
      url: https://127.0.0.1:9443
      tls:
        insecure_skip_verify: a test
";

/// Groups of upstreams, with all keys.
const GROUPS: [&str; 2] = [
    "
listeners:
  - bind: 127.0.0.1:3000
upstreams:
  orders:
    servers:
      - http://127.0.0.1:8080
      - url: https://orders.example.com:9443/base
        weight: 2
        protocol: http/1.1
        proxy_protocol: v2
        connect_timeout: 1s
        response_timeout: 2s
        body_timeout: 3s
        tunnel_timeout: 4s
        tunnel_drain: 6s
        max_response_head: 256KiB
        max_response_fields: 400
        idle_timeout: 5s
        connections:
          max_age: 10m
          max_requests: 1000
        tls:
          ca: CERTIFICATES/ca.pem
          client_certificate:
            certificate: CERTIFICATES/client.pem
            key: CERTIFICATES/client.key
          server_name: inner.example.com
    balance:
      hash:
        header: x-tenant
    health_check:
      type: http
      path: /healthz
      status: 200
      interval: 1s
      timeout: 500ms
      unhealthy_after: 4
      healthy_after: 1
    eject:
      failures: 3
      for: 10s
      at_most: 60%
    retry:
      attempts: 3
      on: [connect, 503]
      methods: [GET, POST]
      try_timeout: 1s
      budget: 10%
    limits:
      max_requests: 100
      max_connections: 20
    slow_start: 10s
    canary:
      upstream: next
      share: 5%
      header: { x-canary: '1' }
      cookie: { canary: '1' }
    mirror:
      upstream: shadow
      share: 10%
      timeout: 2s
  next:
    servers: [http://127.0.0.1:8081]
  shadow:
    servers:
      - url: https://127.0.0.1:9443
        tls:
          insecure_skip_verify: a test
routes:
  - path: /a
    public: a test
    upstream: orders
",
    "
listeners:
  - bind: 127.0.0.1:3000
upstreams:
  calls:
    servers:
      - url: http://127.0.0.1:8080
        protocol: h2
    balance:
      hash:
        cookie: session
    health_check:
      type: grpc
      service: orders.v1.Orders
routes:
  - path: /a
    public: a test
    upstream: calls
",
];

/// The other forms of an access log.
const LOGS: [&str; 2] = [
    "
access_log:
  syslog:
    server: udp://10.0.0.1:514
    facility: local3
    name: edge
    insecure_plaintext: a network without other machines
  template: '{time} {client} {method} {path} {status}'
",
    "
access_log:
  format: combined
audit_log:
  file: audit.log
  syslog:
    server: udp://10.0.0.1:514
    facility: local3
    name: edge
    insecure_plaintext: a network without other machines
",
];

const OPENAPI: &str = "
listeners:
  - bind: 127.0.0.1:3000
routes:
  - path: /v1/a
    public: a test
    upstream: http://127.0.0.1:8080
    openapi:
      file: a.yaml
      base_path: /v1
      unknown_parameters: allow
      other_spellings: allow
      encoded_commas: split
      read_only: ignore
      strict_numbers: true
      leave_out: {}
      insecure_unjudged: {}
      limits:
        depth: 10
        members: 10
        items: 10
        values: 100
        string_length: 1kB
        name_length: 100B
        number_length: 20
        form_fields: 10
        parts: 10
        part_headers: 1kB
        decoded_size: 1MB
        decoded_ratio: 10
      responses: enforce
      remove_undeclared: true
      max_response_size: 10kB
      max_files: 10
      mode: enforce
openapi:
  file: a.yaml
  base_path: /v1
  unknown_parameters: refuse
  other_spellings: refuse
  encoded_commas: keep
  read_only: refuse
  strict_numbers: true
  leave_out: {}
  insecure_unjudged: {}
  limits:
    depth: 10
    members: 10
    items: 10
    values: 100
    string_length: 1kB
    name_length: 100B
    number_length: 20
    form_fields: 10
    parts: 10
    part_headers: 1kB
    decoded_size: 1MB
    decoded_ratio: 10
  responses: enforce
  remove_undeclared: true
  max_response_size: 10kB
  max_files: 10
  mode: observe
";

/// An authorization that only some paths can have.
const OWNERS: &str = "
listeners:
  - bind: 127.0.0.1:3000
security:
  authentication:
    type: jwt
    issuer: https://auth.example.com
    audience: orders
  authorization:
    path_parameters_equal: { id: sub }
routes:
  - path: /users/{id}
    upstream: http://127.0.0.1:8080
  - path: /orders/{id}
    upstream: http://127.0.0.1:8080
    security:
      authorization:
        path_parameters_equal: { id: order }
";

fn indented(block: &str, by: usize) -> String {
    block.trim_matches('\n').lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

/// Requests that are signed.
const SIGNATURES: [&str; 2] = [
    "type: signature
signed_by: hmac
secret:
  - env: TOKEN_SECRET
  - file: token-secret.txt
  - literal: 0123456789abcdef0123456789abcdef
tolerance: 2m
replay: refuse
consumer: alice
header: x-signature
timestamp_header: x-timestamp
code_prefix: v1=
signed: '{timestamp}.{body}'
hash: sha512
encoding: base64
",
    "type: signature
signed_by: stripe
secret:
  env: TOKEN_SECRET
",
];

/// Logins, with each source of their secrets.
const LOGINS: [&str; 4] = [
    "type: openid_connect
issuer: https://auth.example.com
client_id: gate
client_secret:
  env: TOKEN_SECRET
public_url: https://app.example.com
session_secret:
  env: TOKEN_SECRET
scopes: [profile, offline_access]
roles_claim: realm_access.roles
more_roles_claims: [groups]
roles_separator: ','
roles_prefix: 'login:'
claims: [email, tenant.name]
session_lifetime: 8h
idle_timeout: 30m
cookie_name: shop
callback_path: /in
logout_path: /out
logged_out_path: /goodbye
backchannel_logout_path: /auth/ended
metadata_url: https://auth.example.com/metadata
response_mode: form_post
max_session_size: 8KiB
id_token_hint: false
",
    "type: openid_connect
issuer: https://auth.example.com
client_id: gate
client_secret:
  file: client-key.pem
public_url: https://app.example.com
client_authentication: private_key_jwt
client_assertion:
  key_id: the-key
  audience: https://auth.example.com/token
  rsa_algorithm: PS256
  certificate: client-certificate.pem
session_secret:
  file: token-secret.txt
",
    "type: openid_connect
issuer: https://auth.example.com
client_id: gate
client_secret:
  literal: 0123456789abcdef0123456789abcdef
public_url: https://app.example.com
session_secret:
  literal: 0123456789abcdef0123456789abcdef
",
    "type: openid_connect
issuer: https://auth.example.com
client_id: gate
client_secret:
  env: TOKEN_SECRET
public_url: https://app.example.com
session_secret:
  - env: TOKEN_SECRET
  - file: token-secret.txt
  - literal: 0123456789abcdef0123456789abcdef
",
];

/// A `security` section for each method, in each form of a statement.
fn authentications() -> Vec<String> {
    let item = |method: &str| {
        let item = indented(method, 6);
        format!("    - {}", item.trim_start())
    };
    let list = |word: &str, methods: &[&str]| {
        let items: String = methods.iter().map(|method| item(method)).collect();
        format!("authentication:\n  {word}:\n{items}")
    };
    let mut sections = Vec::new();
    for method in TOKEN_METHODS.iter().chain(OTHER_METHODS.first()).chain(&LOGINS).chain(&SIGNATURES) {
        sections.push(format!("authentication:\n{}", indented(method, 2)));
        sections.push(list("any", &[method]));
        sections.push(list("all", &[method, "type: api_key\ncookie: key"]));
    }
    sections.push(list("all", &OTHER_METHODS));
    let basic = "type: basic\nrealm: orders\ncached_for: 30s";
    sections.push(list("all", &[basic, "type: api_key\ncookie: key"]));
    let key = "type: api_key\nscheme: bearer";
    sections.push(format!("authentication:\n{}", indented(key, 2)));
    sections.push(list("all", &[key, "type: api_key\ncookie: key"]));
    sections
}

/// The documents.
pub(crate) fn documents() -> Vec<String> {
    let mut documents = vec![
        PROTECTION.trim_start().to_owned(),
        OPENAPI.trim_start().to_owned(),
        OWNERS.trim_start().to_owned(),
    ];
    let token = "authentication:\n  type: jwt\n  issuer: https://auth.example.com\n  audience: orders\n";
    let more = TOKEN_SECTIONS.iter().map(|section| format!("{token}{}", section.trim_start()));
    let written = SECURITY.iter().chain(&SECTIONS).map(|section| (*section).to_owned());
    for security in
        &written.chain(authentications()).chain(counting::sections()).chain(more).collect::<Vec<_>>()
    {
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
    for exchange in EXCHANGES {
        let security = format!("{token}{}", exchange.trim_start());
        documents.push(format!(
            "listeners:\n  - bind: 127.0.0.1:3000\nsecurity:\n{}routes:\n  - path: /own\n    upstream: http://127.0.0.1:8080\n    security:\n{}",
            indented(&security, 2),
            indented(&security, 6)
        ));
    }
    for store in STORES {
        let rest = "listeners:\n  - bind: 127.0.0.1:3000\nroutes:\n  - path: /a\n    public: a test\n    upstream: http://127.0.0.1:8080\n";
        documents.push(format!("{}{rest}", store.trim_start()));
    }
    for pepper in PEPPERS.iter().chain(&WEBHOOKS) {
        let rest = "listeners:\n  - bind: 127.0.0.1:3000\nroutes:\n  - path: /a\n    public: a test\n    upstream: http://127.0.0.1:8080\n";
        documents.push(format!("{pepper}{rest}"));
    }
    for log in LOGS {
        let rest = "listeners:\n  - bind: 127.0.0.1:3000\nroutes:\n  - path: /a\n    public: a test\n    upstream: http://127.0.0.1:8080\n";
        documents.push(format!("{}{rest}", log.trim_start()));
    }
    documents.extend(counting::documents());
    documents.extend(GROUPS.iter().map(|groups| groups.trim_start().to_owned()));
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

/// Keys below which names stand that the user chose.
const OF_NAMES: [&str; 5] = ["security_profiles", "plans", "upstreams", "tracing.headers", "metrics.headers"];

/// What the names are given here has examples elsewhere: it is a `security` section.
const ELSEWHERE: &str = "security_profiles.*";

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
        // A colon without a space behind it is a part of a value, such as a URL.
        let Some(key) = rest.split_once(": ").map(|(key, _)| key).or(rest.strip_suffix(':')) else {
            continue;
        };
        let parent = open.last().map_or("", |(_, path)| path.as_str());
        if parent.starts_with(ELSEWHERE) {
            continue;
        }
        if OF_NAMES.contains(&parent) {
            let path = format!("{parent}.*");
            open.push((column, path));
            continue;
        }
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
        // The one that is written on a line cannot be a key, which has several.
        let unusable = document.contains("not-the-key-itself");
        assert_eq!(loaded.blueprint().is_none(), unusable, "{}\n{document}", loaded.text(Style::Plain));
        let codes: Vec<_> = loaded
            .json()
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["severity"] == "error")
            .map(|one| one["code"].clone())
            .collect();
        let expected = ["config.signing_key"];
        assert!(codes.iter().all(|code| expected.iter().any(|expected| code == expected)), "{codes:?}");
    }
}
