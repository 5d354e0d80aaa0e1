//! A token for the upstream, exchanged for the caller's own at an authorization server (RFC 8693).
//!
//! The caller's token was verified before, and is not forwarded: the upstream gets one that is meant for it. It is cached by the digest
//! of the caller's token, no longer than either of the two is valid, and bounded in bytes. However many requests carry the same token
//! at once, the server is asked once. Where there is no token for the upstream, whatever the reason, the request is refused as by a
//! fault (503), and never as unauthenticated: the caller's token is good.

use crate::authn::token_config::url;
use crate::build::Build;
use crate::byte_cache::ByteCache;
use crate::flights::Flights;
use crate::section::{Part, Section};
use crate::token::assertion::ClientAssertionConfig;
use crate::token::cache::{TokenDigest, fingerprint};
use crate::token::client_auth::{ClientAuthentication, ClientAuthenticationConfig, Written};
use crate::token::introspection::form;
use crate::token::json;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use portcullis_config::{Context, OneOrMany, Secret, Span, Spanned, keyword, object};
use portcullis_core::check::Check;
use portcullis_core::pool::Client;
use portcullis_core::{
    CheckId, Claim, Code, CredentialName, Denial, Effects, Evidence, Facts, Fetch, Fetched, Identity,
    Principal, Shape, Step,
};
use std::sync::Arc;
use std::time::Duration;

/// The most tokens that are exchanged at once.
const MAX_FLIGHTS: usize = 1024;
/// How many tokens each worker keeps.
const CACHE_ENTRIES: usize = 4096;
/// The most bytes of them.
const CACHE_BYTES: usize = 4 * 1024 * 1024;
/// The largest answer of the server.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The longest token that is sent upstream.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// How long a token that the server refused to exchange is not sent to it again.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// The longest that a token is used, whatever the server says.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The longest time before its end from which on a token is exchanged again, so that it does not expire on its way.
const MARGIN: Duration = Duration::from_secs(10);

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

keyword! {
    /// What the caller's token is called (RFC 8693, section 3).
    pub enum SubjectTokenConfig {
        /// An access token.
        AccessToken = "access_token",
        /// A JWT.
        Jwt = "jwt",
    }
}

object! {
    /// A token for the upstream, exchanged for the caller's own at an authorization server (RFC 8693). The caller's token is not
    /// forwarded.
    pub struct TokenExchangeConfig {
        /// The token endpoint.
        pub token_url: Spanned<String>,
        /// The gateway's client id there.
        pub client_id: Spanned<String>,
        /// The gateway's client secret there. With `private_key_jwt` it is the private key, in PEM (PKCS #8).
        pub client_secret: Secret,
        /// How the gateway authenticates there: `client_secret_basic`, `client_secret_post` or `private_key_jwt`. Default:
        /// client_secret_basic.
        pub client_authentication: ClientAuthenticationConfig = ClientAuthenticationConfig::Basic,
        /// What the assertion of `private_key_jwt` contains. Default: nothing that is optional.
        pub client_assertion: Option<ClientAssertionConfig>,
        /// The names of the upstream at the authorization server. Give at least one of `audience`, `resource` and `scopes`.
        /// Default: none is sent.
        pub audience: Option<Spanned<OneOrMany<String>>>,
        /// The URL of the upstream's API (RFC 8707). Default: none is sent.
        pub resource: Option<Spanned<String>>,
        /// The scopes that the token is requested for. Default: the server decides.
        pub scopes: Spanned<Vec<String>> = Spanned::nowhere(Vec::new()),
        /// What the caller's token is called in the request: `access_token` or `jwt`. Default: access_token.
        pub subject_token_type: SubjectTokenConfig = SubjectTokenConfig::AccessToken,
    }
}

impl Section for TokenExchangeConfig {
    const ABOUT: &'static str = "A token for the upstream, exchanged for the caller's own at an authorization server (RFC 8693). The caller's token is not forwarded.";
    const CHECKS: &'static [&'static str] = &["shape.token_exchange"];
    const ASKS_WHO: bool = true;

    fn compile(&self, _: Span, build: &mut Build, cx: &mut Context) -> Option<Part> {
        Some(Part::new().shape(Arc::new(self.check(build, cx)?)))
    }
}

impl TokenExchangeConfig {
    /// The check that runs.
    fn check(&self, build: &mut Build, cx: &mut Context) -> Option<TokenExchange> {
        let endpoint = url(&self.token_url, cx);
        let client = Written {
            how: self.client_authentication,
            id: &self.client_id,
            secret: Some(&self.client_secret),
            assertion: self.client_assertion.as_ref(),
        }
        .compile(cx);
        let wanted = self.wanted(cx);
        let (endpoint, client, wanted) = (endpoint?, client?, wanted?);
        build.asked.push(self.token_url.clone());
        let name = format!("{endpoint} {} {wanted}", client.named());
        let rehearsed = match &build.doubles {
            None => None,
            Some(doubles) => Some(bearer(&doubles.upstream_token(&endpoint)).ok()?),
        };
        let server = self.token_url.value.clone();
        Some(TokenExchange {
            exchange: build.kept.keep(&name, || Exchange {
                url: endpoint,
                server,
                client,
                wanted,
                flights: Flights::new(MAX_FLIGHTS),
                exchanged: ByteCache::new(CACHE_ENTRIES, CACHE_BYTES),
            }),
            rehearsed,
        })
    }

    /// The form without the caller's token and without the credentials of the gateway.
    fn wanted(&self, cx: &mut Context) -> Option<String> {
        if !self.scopes.value.iter().all(|scope| crate::authz::is_scope(scope)) {
            cx.error("config.scope_name", self.scopes.span, "a scope is made of visible ASCII characters without quotes and backslashes (RFC 6749, section 3.3)")
                .help("write names such as `[orders.read]`");
            return None;
        }
        let audiences = self.audience.iter().flat_map(|audience| &audience.value.0);
        let named = audiences.clone().chain(self.resource.as_ref().map(|resource| &resource.value));
        if named.clone().any(|name| name.trim().is_empty())
            || (named.count() == 0 && self.scopes.value.is_empty())
        {
            cx.error(
                "config.exchange_target",
                self.at,
                "nothing says for which upstream the token is requested",
            )
            .help("write `audience`, the upstream's name at the authorization server, or `resource`, or `scopes`");
            return None;
        }
        let kind = match self.subject_token_type {
            SubjectTokenConfig::AccessToken => ACCESS_TOKEN,
            SubjectTokenConfig::Jwt => JWT,
        };
        let mut wanted = format!(
            "grant_type={}&requested_token_type={}&subject_token_type={}",
            form("urn:ietf:params:oauth:grant-type:token-exchange"),
            form(ACCESS_TOKEN),
            form(kind)
        );
        for audience in audiences {
            wanted.push_str(&format!("&audience={}", form(audience)));
        }
        if let Some(resource) = &self.resource {
            wanted.push_str(&format!("&resource={}", form(&resource.value)));
        }
        if !self.scopes.value.is_empty() {
            wanted.push_str(&format!("&scope={}", form(&self.scopes.value.join(" "))));
        }
        Some(wanted)
    }
}

/// What came of an exchange.
#[derive(Clone)]
struct Exchanged {
    /// The field for the upstream, or why there is none.
    field: Result<HeaderValue, Arc<str>>,
    /// Until when that holds, time since 1970.
    until: Duration,
}

/// Exchanges tokens at one server for one upstream.
struct Exchange {
    url: Uri,
    /// The same as it is written.
    server: String,
    client: ClientAuthentication,
    wanted: String,
    flights: Flights<TokenDigest, Exchanged>,
    exchanged: ByteCache<TokenDigest, Exchanged>,
}

/// The caller's token.
struct Subject {
    token: Arc<str>,
    digest: TokenDigest,
    /// Until when it is good, time since 1970.
    until: Option<Duration>,
    client: Client,
}

impl Exchange {
    /// What is known of a token at `now`.
    // SECURITY: what has expired is not used, neither of the two tokens (the_upstream_gets_a_token_that_is_meant_for_it).
    fn known(&self, digest: &TokenDigest, now: Duration) -> Option<Exchanged> {
        self.exchanged.find(digest, |known| (now < known.until).then(|| known.clone()))
    }

    async fn get(&self, subject: &Subject, effects: &dyn Effects) -> Exchanged {
        let joined = self.flights.join(subject.digest, || async {
            let asked = effects.now().unix;
            match self.ask(subject, effects).await {
                Ok((field, lifetime)) => {
                    let lifetime = lifetime.min(MAX_LIFETIME);
                    let end = asked.saturating_add(lifetime.saturating_sub(MARGIN.min(lifetime / 5)));
                    let until = subject.until.map_or(end, |until| until.min(end));
                    Exchanged { field: Ok(field), until }
                }
                Err(Failure { detail, refused }) => {
                    let lasts = if refused { REFUSED_FOR } else { Duration::ZERO };
                    Exchanged {
                        field: Err(Arc::from(detail)),
                        until: effects.now().unix.saturating_add(lasts),
                    }
                }
            }
        });
        let too_many = || Exchanged {
            field: Err(Arc::from("too many tokens to exchange at once")),
            until: Duration::ZERO,
        };
        let exchanged = joined.await.unwrap_or_else(too_many);
        if effects.now().unix < exchanged.until {
            let bytes = match &exchanged.field {
                Ok(field) => field.len(),
                Err(detail) => detail.len(),
            };
            self.exchanged.insert(subject.digest, exchanged.clone(), bytes);
        }
        exchanged
    }

    async fn ask(
        &self,
        subject: &Subject,
        effects: &dyn Effects,
    ) -> Result<(HeaderValue, Duration), Failure> {
        let fields = format!("{}&subject_token={}", self.wanted, form(&subject.token));
        let request = Fetch {
            method: Method::POST,
            headers: self.client.fields(),
            body: self.client.body(&fields, &self.server, effects.now().unix, effects.random()),
            max_bytes: MAX_ANSWER_BYTES,
            client: Some(subject.client),
            ..Fetch::get(self.url.clone())
        };
        let failed = |detail: String| Failure { detail: format!("token exchange: {detail}"), refused: false };
        let fetched = effects.fetch(request).await.map_err(|fault| failed(fault.detail))?;
        match fetched.status {
            StatusCode::OK => read(&fetched).map_err(failed),
            // What the server says of this very token (RFC 8693, section 2.2.2).
            StatusCode::BAD_REQUEST => {
                let detail = format!("{} answered with status 400{}", self.url, error(&fetched));
                Err(Failure { refused: true, ..failed(detail) })
            }
            status => Err(failed(format!(
                "{} answered with status {}{}",
                self.url,
                status.as_u16(),
                error(&fetched)
            ))),
        }
    }
}

/// Why there is no token.
struct Failure {
    detail: String,
    /// Whether the server said no to this token.
    refused: bool,
}

/// The error that the server names, if its name is one (RFC 6749, section 5.2). Its description is not shown: it can hold anything.
fn error(fetched: &Fetched) -> String {
    let named = json::object(&fetched.body).ok();
    let named = named.as_ref().and_then(|answer| answer.member("error")).and_then(Claim::as_text);
    let plain =
        |text: &&str| text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    named.filter(plain).map_or_else(String::new, |error| format!(" and `{error}`"))
}

/// The field for the upstream, and how long it is good (RFC 8693, section 2.2.1).
// SECURITY: a refresh token, an ID token, or one that is no bearer token (`N_A`) is not sent upstream
// (an_answer_that_is_not_an_access_token_is_refused).
fn read(fetched: &Fetched) -> Result<(HeaderValue, Duration), String> {
    let answer = json::object(&fetched.body).map_err(str::to_owned)?;
    let text = |name: &str| answer.member(name).and_then(Claim::as_text);
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err("the answer's `token_type` is not `Bearer`".to_owned());
    }
    if !text("issued_token_type").is_some_and(|kind| kind == ACCESS_TOKEN || kind == JWT) {
        return Err("the answer's `issued_token_type` is not an access token".to_owned());
    }
    let token = text("access_token").ok_or("the answer has no `access_token`")?;
    // Without a life that the server states, a token is used once.
    let lifetime = json::seconds(answer.member("expires_in")).unwrap_or(Duration::ZERO);
    Ok((bearer(token)?, lifetime))
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    let unusable = || "the token cannot be sent".to_owned();
    if token.is_empty() || token.len() > MAX_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(unusable());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The check.
pub struct TokenExchange {
    exchange: Arc<Exchange>,
    /// What stands for the token, where the configuration is only rehearsed.
    rehearsed: Option<HeaderValue>,
}

impl Check for TokenExchange {
    fn id(&self) -> CheckId {
        CheckId::new("shape.token_exchange")
    }

    fn describe(&self) -> String {
        format!("replaces the caller's token with one for the upstream, from {}", self.exchange.url)
    }
}

impl TokenExchange {
    /// The digest of the caller's token, and until when it is good. `None` where no token was accepted.
    fn ground(principal: &Principal) -> Option<(&Evidence, TokenDigest, Option<Duration>)> {
        principal.evidence().find_map(|evidence| {
            if !matches!(evidence.identity(), Identity::Subject(_)) {
                return None;
            }
            let ground = evidence.ground.as_ref()?;
            match &ground.credential {
                CredentialName::Digest(digest) | CredentialName::Token { digest, .. } => {
                    Some((evidence, *digest, ground.until))
                }
                CredentialName::Text(_) => None,
            }
        })
    }
}

impl Shape for TokenExchange {
    fn identity_fields(&self) -> Vec<HeaderName> {
        // `Authorization` is the client's own on other routes.
        Vec::new()
    }

    fn shape<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Vec<(HeaderName, HeaderValue)>, Denial>> {
        let fault = |detail: &str| Denial::new(Code::Fault, detail.to_owned());
        let none = || fault("token exchange: the request was accepted without a token");
        let sent = |field: HeaderValue| vec![(header::AUTHORIZATION, field)];
        let Some((evidence, digest, until)) = TokenExchange::ground(principal) else {
            return Step::Ready(Err(none()));
        };
        if let Some(field) = &self.rehearsed {
            return Step::Ready(Ok(sent(field.clone())));
        }
        if let Some(known) = self.exchange.known(&digest, facts.now.unix) {
            return Step::Ready(known.field.map(sent).map_err(|detail| fault(&detail)));
        }
        let methods = facts.route.controls.authentication.methods();
        let Some(token) = methods.iter().find_map(|method| method.token(evidence, facts)) else {
            return Step::Ready(Err(none()));
        };
        Step::Later(Box::pin(async move {
            let address = facts.head.client();
            let client = Client { address, known: effects.is_known(address, fingerprint(&digest)) };
            let subject = Subject { token, digest, until, client };
            let exchanged = self.exchange.get(&subject, effects).await;
            exchanged.field.map(sent).map_err(|detail| fault(&detail))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;
    use serde_json::{Value, json};

    fn answer(body: &str) -> Fetched {
        Fetched {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn good() -> Value {
        json!({ "access_token": "for-the-upstream", "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 60 })
    }

    #[test]
    fn an_answer_that_is_not_an_access_token_is_refused() {
        let (field, lifetime) = read(&answer(&good().to_string())).unwrap();
        assert_eq!((field.to_str().unwrap(), lifetime), ("Bearer for-the-upstream", Duration::from_secs(60)));
        assert!(field.is_sensitive());
        for (member, value) in [
            ("access_token", Value::Null),
            ("access_token", json!("")),
            ("access_token", json!("two words")),
            ("access_token", json!("a\r\nx-admin: 1")),
            ("access_token", json!(["a"])),
            ("access_token", json!("a".repeat(MAX_TOKEN_BYTES + 1))),
            ("token_type", Value::Null),
            ("token_type", json!("N_A")),
            ("token_type", json!("DPoP")),
            ("issued_token_type", Value::Null),
            ("issued_token_type", json!("urn:ietf:params:oauth:token-type:refresh_token")),
            ("issued_token_type", json!("urn:ietf:params:oauth:token-type:id_token")),
        ] {
            let mut bad = good();
            bad[member] = value.clone();
            assert!(read(&answer(&bad.to_string())).is_err(), "{member} {value}");
            bad.as_object_mut().unwrap().remove(member);
            assert!(read(&answer(&bad.to_string())).is_err(), "without {member}");
        }
        let twice = r#"{"access_token":"a","access_token":"b","issued_token_type":"urn:ietf:params:oauth:token-type:jwt","token_type":"bearer"}"#;
        for bad in ["", "[]", "null", "<html>", twice] {
            assert!(read(&answer(bad)).is_err(), "{bad}");
        }
        for (life, expected) in [(json!("60"), 60), (json!(-1), 0), (json!(null), 0), (json!("soon"), 0)] {
            let mut said = good();
            said["expires_in"] = life;
            assert_eq!(read(&answer(&said.to_string())).unwrap().1, Duration::from_secs(expected));
        }
    }

    #[test]
    fn an_error_is_shown_by_its_name_alone() {
        for (body, shown) in [
            (r#"{"error":"invalid_target","error_description":"secret"}"#, " and `invalid_target`"),
            (r#"{"error":"a b"}"#, ""),
            (r#"{"error":"<script>"}"#, ""),
            ("nothing", ""),
        ] {
            assert_eq!(error(&answer(body)), shown, "{body}");
        }
    }
}
