//! What judges requests, said in types.
//!
//! Each type writes the same document that a file would hold, so a program's configuration passes the same validation.

use serde_json::{Map, Value, json};

/// What judges the requests of a route, or of a whole gateway.
#[derive(Clone, Debug, Default)]
pub struct Security(pub(crate) Map<String, Value>);

impl Security {
    /// Says nothing yet.
    pub fn new() -> Security {
        Security::default()
    }

    /// Who sends a request.
    #[must_use]
    pub fn authentication(mut self, method: impl Into<Authentication>) -> Security {
        self.0.insert("authentication".into(), method.into().0);
        self
    }

    /// Who may, of those who are authenticated: whoever has one of these roles.
    #[must_use]
    pub fn roles_allowed<R: Into<String>>(self, roles: impl IntoIterator<Item = R>) -> Security {
        let roles: Vec<String> = roles.into_iter().map(Into::into).collect();
        self.authorization("roles_allowed", json!(roles))
    }

    /// Who may, besides: whoever's credential has every one of these scopes.
    #[must_use]
    pub fn scopes_required<S: Into<String>>(self, scopes: impl IntoIterator<Item = S>) -> Security {
        let scopes: Vec<String> = scopes.into_iter().map(Into::into).collect();
        self.authorization("scopes_required", json!(scopes))
    }

    /// Who may, besides: whoever's claim is exactly what the path names; for `/users/{id}`, `("id", "sub")`.
    #[must_use]
    pub fn path_parameter_equals(
        mut self,
        parameter: impl Into<String>,
        claim: impl Into<String>,
    ) -> Security {
        let authorization = self.0.entry("authorization").or_insert_with(|| json!({}));
        if let Value::Object(keys) = authorization
            && let Value::Object(pairs) = keys.entry("path_parameters_equal").or_insert_with(|| json!({}))
        {
            pairs.insert(parameter.into(), json!(claim.into()));
        }
        self
    }

    /// Who may, besides: those for whom this expression in CEL is true, such as `claims.tenant == "blue"`.
    #[must_use]
    pub fn condition(self, expression: impl Into<String>) -> Security {
        self.authorization("condition", json!(expression.into()))
    }

    /// How many requests. Each call adds a limit.
    #[must_use]
    pub fn rate_limiting(mut self, limit: RateLimit) -> Security {
        if let Value::Array(limits) = self.0.entry("rate_limiting").or_insert_with(|| json!([])) {
            limits.push(Value::Object(limit.0));
        }
        self
    }

    /// Only these addresses and networks may, such as `10.0.0.0/8`.
    #[must_use]
    pub fn allow_addresses<A: Into<String>>(self, networks: impl IntoIterator<Item = A>) -> Security {
        self.addresses("allow", networks)
    }

    /// These addresses and networks may not.
    #[must_use]
    pub fn deny_addresses<A: Into<String>>(self, networks: impl IntoIterator<Item = A>) -> Security {
        self.addresses("deny", networks)
    }

    /// The largest body in bytes.
    #[must_use]
    pub fn max_body_size(mut self, bytes: u64) -> Security {
        self.0.insert("body".into(), json!({ "max_size": bytes }));
        self
    }

    fn authorization(mut self, key: &str, value: Value) -> Security {
        if let Value::Object(keys) = self.0.entry("authorization").or_insert_with(|| json!({})) {
            keys.insert(key.into(), value);
        }
        self
    }

    fn addresses<A: Into<String>>(mut self, list: &str, networks: impl IntoIterator<Item = A>) -> Security {
        let networks: Vec<String> = networks.into_iter().map(Into::into).collect();
        if let Value::Object(lists) = self.0.entry("addresses").or_insert_with(|| json!({})) {
            lists.insert(list.into(), json!(networks));
        }
        self
    }
}

/// A statement on authentication.
#[derive(Clone, Debug)]
pub struct Authentication(Value);

impl Authentication {
    /// One of these methods must establish who sends the request; they are asked in this order.
    pub fn any<M: Into<Authentication>>(methods: impl IntoIterator<Item = M>) -> Authentication {
        let methods: Vec<Value> = methods.into_iter().map(|method| method.into().0).collect();
        Authentication(json!({ "any": methods }))
    }

    /// All of these methods must agree on who sends the request; the first one says who it is.
    pub fn all<M: Into<Authentication>>(methods: impl IntoIterator<Item = M>) -> Authentication {
        let methods: Vec<Value> = methods.into_iter().map(|method| method.into().0).collect();
        Authentication(json!({ "all": methods }))
    }

    pub(crate) fn of(method: Value) -> Authentication {
        Authentication(method)
    }
}

/// Authentication by an API key.
#[derive(Clone, Debug)]
pub struct ApiKey(Map<String, Value>);

impl ApiKey {
    /// The key stands in this header field.
    pub fn header(name: impl Into<String>) -> ApiKey {
        ApiKey::at("header", name)
    }

    /// The key stands in this query parameter. URLs end up in logs and histories; prefer a header field.
    pub fn query(name: impl Into<String>) -> ApiKey {
        ApiKey::at("query", name)
    }

    /// The key stands in this cookie.
    pub fn cookie(name: impl Into<String>) -> ApiKey {
        ApiKey::at("cookie", name)
    }

    /// Exactly these keys are valid. Without this, those of all consumers are.
    #[must_use]
    pub fn keys<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> ApiKey {
        let keys: Vec<String> = keys.into_iter().map(Into::into).collect();
        self.0.insert("keys".into(), json!(keys));
        self
    }

    fn at(place: &str, name: impl Into<String>) -> ApiKey {
        let mut fields = Map::new();
        fields.insert("type".into(), json!("api_key"));
        fields.insert(place.into(), json!(name.into()));
        ApiKey(fields)
    }
}

impl From<ApiKey> for Authentication {
    fn from(method: ApiKey) -> Authentication {
        Authentication(Value::Object(method.0))
    }
}

/// Authentication by a name and a password (RFC 7617): those of the consumers that have a password.
#[derive(Clone, Debug)]
pub struct Basic(Map<String, Value>);

impl Basic {
    /// For this realm, which browsers show when they ask for the password.
    pub fn realm(realm: impl Into<String>) -> Basic {
        let mut fields = Map::new();
        fields.insert("type".into(), json!("basic"));
        fields.insert("realm".into(), json!(realm.into()));
        Basic(fields)
    }
}

impl From<Basic> for Authentication {
    fn from(method: Basic) -> Authentication {
        Authentication(Value::Object(method.0))
    }
}

/// A limit on the number of requests.
#[derive(Clone, Debug)]
pub struct RateLimit(Map<String, Value>);

impl RateLimit {
    /// So many requests in a second, counted for each consumer.
    pub fn per_second(max_requests: u32) -> RateLimit {
        RateLimit::new(max_requests, "second")
    }

    /// So many requests in a minute, counted for each consumer.
    pub fn per_minute(max_requests: u32) -> RateLimit {
        RateLimit::new(max_requests, "minute")
    }

    /// So many requests in an hour, counted for each consumer.
    pub fn per_hour(max_requests: u32) -> RateLimit {
        RateLimit::new(max_requests, "hour")
    }

    /// So many requests in a day, counted for each consumer.
    pub fn per_day(max_requests: u32) -> RateLimit {
        RateLimit::new(max_requests, "day")
    }

    /// Counted for each address instead; the addresses of an IPv6 /64 count as one.
    #[must_use]
    pub fn by_address(mut self) -> RateLimit {
        self.0.insert("by".into(), json!("address"));
        self
    }

    /// Counted for all clients of a route together instead.
    #[must_use]
    pub fn by_route(mut self) -> RateLimit {
        self.0.insert("by".into(), json!("route"));
        self
    }

    /// Counted for each value of this header field instead.
    #[must_use]
    pub fn by_header(mut self, name: impl Into<String>) -> RateLimit {
        self.0.insert("by".into(), json!({ "header": name.into() }));
        self
    }

    /// How many may come at once.
    #[must_use]
    pub fn burst(mut self, requests: u32) -> RateLimit {
        self.0.insert("burst".into(), json!(requests));
        self
    }

    fn new(max_requests: u32, per: &str) -> RateLimit {
        let mut fields = Map::new();
        fields.insert("max_requests".into(), json!(max_requests));
        fields.insert("per".into(), json!(per));
        RateLimit(fields)
    }
}

/// A client or person who uses the API.
#[derive(Clone, Debug)]
pub struct Consumer(pub(crate) Map<String, Value>);

impl Consumer {
    /// With this name, and nothing else yet.
    pub fn new(name: impl Into<String>) -> Consumer {
        let mut fields = Map::new();
        fields.insert("name".into(), json!(name.into()));
        Consumer(fields)
    }

    /// With these roles.
    #[must_use]
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Consumer {
        let roles: Vec<String> = roles.into_iter().map(Into::into).collect();
        self.0.insert("roles".into(), json!(roles));
        self
    }

    /// With this key besides any that it has.
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Consumer {
        self.add_key(json!(key.into()))
    }

    /// With the key that has this hash besides any that it has: `sha256:` and hexadecimal digits.
    #[must_use]
    pub fn key_hash(self, hash: impl Into<String>) -> Consumer {
        self.add_key(json!({ "hash": hash.into() }))
    }

    /// With the password that has this hash, as [`password::hash`](crate::password::hash) makes it.
    #[must_use]
    pub fn password_hash(mut self, hash: impl Into<String>) -> Consumer {
        self.0.insert("password".into(), json!({ "hash": hash.into() }));
        self
    }

    fn add_key(mut self, key: Value) -> Consumer {
        if let Value::Array(keys) = self.0.entry("keys").or_insert_with(|| json!([])) {
            keys.push(key);
        }
        self
    }
}
