//! The gateway's own access token for the upstream (RFC 6749, section 4.4).
//!
//! A job gets it at the start and again when a fifth of its life is left; requests never do. While there is none that is
//! valid, requests to the upstream are refused as by a fault: one without the token would only be refused there.

use crate::authn::token_config::url;
use crate::build::Build;
use crate::section::{Part, Section};
use crate::token::assertion::ClientAssertionConfig;
use crate::token::client_auth::{ClientAuthentication, ClientAuthenticationConfig, Written};
use crate::token::introspection::form;
use crate::token::{json, race};
use arc_swap::ArcSwapOption;
use event_listener::Event;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use portcullis_config::{Context, Secret, Span, Spanned, object};
use portcullis_core::check::Check;
use portcullis_core::{
    CheckId, Claim, Code, Denial, Effects, Facts, Fetch, Job, Principal, Shape, Step, Wait,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a token is used whose life the server does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
/// The longest that a server is believed, so that a token is renewed now and then.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long a request waits for the first token.
const PATIENCE: Duration = Duration::from_secs(5);

object! {
    /// An access token for the upstream that the gateway gets with its own credentials. It replaces the client's.
    pub struct ClientCredentialsConfig {
        /// The token endpoint.
        pub token_url: Spanned<String>,
        /// The gateway's client id there.
        pub client_id: Spanned<String>,
        /// The gateway's client secret there. With `private_key_jwt` it is the private key, in PEM (PKCS #8).
        pub client_secret: Secret,
        /// How the gateway authenticates there: `client_secret_basic`, `client_secret_post` or
        /// `private_key_jwt`. Default: client_secret_basic.
        pub client_authentication: ClientAuthenticationConfig = ClientAuthenticationConfig::Basic,
        /// What the assertion of `private_key_jwt` contains. Default: nothing that is optional.
        pub client_assertion: Option<ClientAssertionConfig>,
        /// The requested scopes. Default: the server decides.
        pub scopes: Spanned<Vec<String>> = Spanned::nowhere(Vec::new()),
        /// The API for which the token is requested (RFC 8707). Default: the server decides.
        pub resource: Option<Spanned<String>>,
    }
}

impl Section for ClientCredentialsConfig {
    const ABOUT: &'static str = "An access token for the upstream that the gateway gets with its own credentials. It replaces the client's.";
    const CHECKS: &'static [&'static str] = &["shape.client_credentials"];

    fn compile(&self, _: Span, build: &mut Build, cx: &mut Context) -> Option<Part> {
        Some(Part::new().shape(Arc::new(self.check(build, cx)?)))
    }
}

impl ClientCredentialsConfig {
    /// The check that runs.
    fn check(&self, build: &mut Build, cx: &mut Context) -> Option<ClientCredentials> {
        let url = url(&self.token_url, cx)?;
        build.asked.push(self.token_url.clone());
        if !self.scopes.value.iter().all(|scope| crate::authz::is_scope(scope)) {
            cx.error("config.scope_name", self.scopes.span, "a scope is made of visible ASCII characters without quotes and backslashes (RFC 6749, section 3.3)")
                .help("write names such as `[orders.read]`");
            return None;
        }
        let client = Written {
            how: self.client_authentication,
            id: &self.client_id,
            secret: Some(&self.client_secret),
            assertion: self.client_assertion.as_ref(),
        }
        .compile(cx)?;
        let mut body = "grant_type=client_credentials".to_owned();
        if !self.scopes.value.is_empty() {
            body.push_str(&format!("&scope={}", form(&self.scopes.value.join(" "))));
        }
        if let Some(resource) = &self.resource {
            body.push_str(&format!("&resource={}", form(&resource.value)));
        }
        let name = format!("{url} {} {body}", client.named());
        let source = build.kept.keep(&name, || TokenSource {
            url,
            server: self.token_url.value.clone(),
            form: body,
            client,
            current: ArcSwapOption::empty(),
            tried: AtomicBool::new(false),
            changed: Event::new(),
        });
        // Nobody gives a token for what is only rehearsed.
        if let Some(doubles) = &build.doubles {
            let mut authorization =
                HeaderValue::try_from(format!("Bearer {}", doubles.upstream_token(&source.url))).ok()?;
            authorization.set_sensitive(true);
            source.current.store(Some(Arc::new(Current { authorization, expires: Duration::MAX })));
        }
        build.add_job(Arc::clone(&source) as Arc<dyn Job>);
        Some(ClientCredentials { source })
    }
}

struct Current {
    authorization: HeaderValue,
    /// On the clock that never goes back.
    expires: Duration,
}

/// Keeps a token fresh.
struct TokenSource {
    url: Uri,
    /// The same as it is written.
    server: String,
    client: ClientAuthentication,
    form: String,
    current: ArcSwapOption<Current>,
    tried: AtomicBool,
    changed: Event,
}

impl TokenSource {
    fn valid(&self, now: Duration) -> Option<HeaderValue> {
        let current = self.current.load();
        current.as_ref().filter(|current| now < current.expires).map(|current| current.authorization.clone())
    }

    async fn get(&self, effects: &dyn Effects) -> Result<(Current, Duration), String> {
        let begun = effects.monotonic();
        let request = Fetch {
            method: Method::POST,
            headers: self.client.fields(),
            body: self.client.body(&self.form, &self.server, effects.now().unix, effects.random()),
            ..Fetch::get(self.url.clone())
        };
        let fetched = effects.fetch(request).await.map_err(|fault| fault.detail)?;
        if fetched.status != StatusCode::OK {
            return Err(format!("{} answered with status {}", self.url, fetched.status.as_u16()));
        }
        let answer = json::object(&fetched.body).map_err(|why| format!("{}: {why}", self.url))?;
        let text = |name: &str| answer.member(name).and_then(Claim::as_text);
        if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(format!("{}: the token is not a bearer token", self.url));
        }
        let token = text("access_token").ok_or_else(|| format!("{}: there is no token", self.url))?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| format!("{}: the token cannot be sent", self.url))?;
        authorization.set_sensitive(true);
        let lifetime = json::seconds(answer.member("expires_in")).unwrap_or(DEFAULT_LIFETIME);
        // SECURITY: whatever a server says is a time that can be counted with (a_token_of_the_gateway_has_an_end).
        let lifetime = lifetime.min(MAX_LIFETIME);
        let renewal = (lifetime * 4 / 5).max(Duration::from_secs(1));
        Ok((Current { authorization, expires: begun.saturating_add(lifetime) }, renewal))
    }
}

impl Job for TokenSource {
    fn name(&self) -> String {
        format!("the gateway's token of {}", self.url)
    }

    fn run<'a>(&'a self, effects: &'a dyn Effects) -> Wait<'a, ()> {
        Box::pin(async move {
            let mut failures: u32 = 0;
            loop {
                let next = match self.get(effects).await {
                    Ok((current, renewal)) => {
                        failures = 0;
                        self.current.store(Some(Arc::new(current)));
                        renewal
                    }
                    Err(detail) => {
                        failures = failures.saturating_add(1);
                        if failures.is_power_of_two() {
                            effects.warn(&self.name(), &detail);
                        }
                        race::back_off(failures)
                    }
                };
                self.tried.store(true, Ordering::Release);
                self.changed.notify(usize::MAX);
                effects.sleep(next).await;
            }
        })
    }
}

/// The check.
pub struct ClientCredentials {
    source: Arc<TokenSource>,
}

impl Check for ClientCredentials {
    fn id(&self) -> CheckId {
        CheckId::new("shape.client_credentials")
    }

    fn describe(&self) -> String {
        format!("adds Authorization with the gateway's own token of {}", self.source.url)
    }
}

impl Shape for ClientCredentials {
    fn identity_fields(&self) -> Vec<HeaderName> {
        // `Authorization` says who the gateway is, on this route; on others it is the client's own.
        Vec::new()
    }

    fn shape<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Vec<(HeaderName, HeaderValue)>, Denial>> {
        if let Some(authorization) = self.source.valid(facts.now.monotonic) {
            return Step::Ready(Ok(vec![(header::AUTHORIZATION, authorization)]));
        }
        Step::Later(Box::pin(async move {
            let changed = self.source.changed.listen();
            if !self.source.tried.load(Ordering::Acquire) {
                let _ = race::within(effects.sleep(PATIENCE), changed).await;
            }
            match self.source.valid(effects.monotonic()) {
                Some(authorization) => Ok(vec![(header::AUTHORIZATION, authorization)]),
                None => Err(Denial::new(Code::Fault, "the gateway has no valid token for the upstream")),
            }
        }))
    }
}
