//! Whether somebody else lets the request on: a policy server in the REST form of Open Policy Agent, or a service that
//! answers like one behind `forward_auth` of Caddy and Traefik.
//!
//! Only a clear yes lets the request on. A clear no is 403. No answer in time, an answer that is none, or one that cannot be
//! read refuses as by a fault. A decision is remembered only if the configuration says for how long and for which requests, and
//! only a clear one. The gateway connects to addresses that `outbound` allows, and no others.

use crate::authn::counted_field_name;
use crate::byte_cache::ByteCache;
use crate::reason::Reason;
use crate::token::access::Access;
use crate::token::json;
use aws_lc_rs::digest::{Context as Digest, SHA256};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use portcullis_config::{Context, Spanned, keyword, object};
use portcullis_core::check::Check;
use portcullis_core::pool::Client;
use portcullis_core::{
    Authorize, CheckId, Claim, Code, Denial, Effects, Facts, Fetch, Fetched, Once, Principal, Step,
};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How many decisions each worker remembers, and how many bytes of them.
const ENTRIES: usize = 10_000;
const BYTES: usize = 2 * 1024 * 1024;
/// The largest answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The longest that a decision may be waited for, and remembered.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_CACHED: Duration = Duration::from_secs(3600);
/// What is said of whom `forward_auth` asks about.
const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const CONSUMER_NAME: HeaderName = HeaderName::from_static("x-consumer-name");
const CONSUMER_ISSUER: HeaderName = HeaderName::from_static("x-consumer-issuer");
const CONSUMER_ROLES: HeaderName = HeaderName::from_static("x-consumer-roles");

keyword! {
    /// How the decision is asked for.
    pub enum FormConfig {
        /// As Open Policy Agent: `POST` with `{"input": …}`, and `{"result": true}` in the answer.
        Opa = "opa",
        /// As `forward_auth`: `GET` with `X-Forwarded-…`, and a status of 2xx.
        ForwardAuth = "forward_auth",
    }
}

keyword! {
    /// What a decision depends on.
    pub enum PartConfig {
        /// Who it is, with all that is said of them. Always counts.
        Principal = "principal",
        /// The method.
        Method = "method",
        /// The host.
        Host = "host",
        /// The path.
        Path = "path",
        /// The client's address.
        Client = "client",
        /// The headers under `headers`. Always count.
        Headers = "headers",
    }
}

object! {
    /// A decision that another service makes. If it does not answer, the request is rejected with 503.
    pub struct ExternalConfig {
        /// Where the decision is asked for, such as `http://127.0.0.1:8181/v1/data/orders/allow`.
        pub url: Spanned<String>,
        /// `opa`: the REST form of Open Policy Agent; only `{"result": true}` or `{"result": {"allow": true}}` lets the request on.
        /// `forward_auth`: any status of 2xx does, and 401 and 403 reject. Default: opa.
        pub form: FormConfig = FormConfig::Opa,
        /// The request headers that the service is told. Default: none.
        pub headers: Vec<Spanned<String>> = Vec::new(),
        /// How long the decision is waited for, at most 30s. Default: 1s.
        pub timeout: Spanned<Duration> = Spanned::nowhere(Duration::from_secs(1)),
        /// How long a decision is remembered, at most 1h. Needs `cached_by`. Default: not at all.
        pub cached_for: Option<Spanned<Duration>>,
        /// What a remembered decision depends on besides the caller: requests of one caller that agree in all of these get the same
        /// decision. Of `method`, `host`, `path` and `client`. The caller (`principal`; the address, if nobody is known) and the
        /// headers under `headers` always count, whether or not they are listed.
        pub cached_by: Vec<PartConfig> = Vec::new(),
        /// Why plain HTTP to another machine is allowed. Anyone on the path can then decide. Default: only TLS.
        pub insecure_plaintext: Option<Spanned<Reason>>,
    }
}

impl ExternalConfig {
    /// The check that runs.
    pub fn compile(&self, cx: &mut Context) -> Option<External> {
        let access = Access { insecure_plaintext: self.insecure_plaintext.is_some(), token: None };
        let url = match access.endpoint(&self.url.value) {
            Ok(url) => Some(url),
            Err(why) => {
                cx.error("config.external_url", self.url.span, format!("this URL cannot be used: {why}"))
                    .help("write an `https://` URL, one of this machine, or `insecure_plaintext: \"why\"`");
                None
            }
        };
        let headers: Option<Vec<_>> = self.headers.iter().map(|name| counted_field_name(name, cx)).collect();
        if self.timeout.value > MAX_TIMEOUT || self.timeout.value < Duration::from_millis(10) {
            cx.error("config.external_timeout", self.timeout.span, "the timeout must be from 10ms to 30s")
                .help("write a duration such as `1s`");
            return None;
        }
        let cached = match (&self.cached_for, self.cached_by.as_slice()) {
            (None, []) => None,
            (Some(cached), [_, ..]) if cached.value <= MAX_CACHED => Some(cached.value),
            (Some(Spanned { span, .. }), _) => {
                cx.error(
                    "config.external_cache",
                    *span,
                    "a decision is remembered for at most 1h, and by what `cached_by` lists",
                )
                .help("write for instance `cached_for: 10s` and `cached_by: [principal, method, path]`");
                return None;
            }
            (None, [_, ..]) => {
                cx.error("config.external_cache", self.at, "`cached_by` has no effect without `cached_for`")
                    .help("add `cached_for: 10s`, or remove `cached_by`");
                return None;
            }
        };
        Some(External {
            url: url?,
            form: self.form,
            headers: headers?,
            timeout: self.timeout.value,
            cached,
            by: self.cached_by.clone(),
            insecure_plaintext: access.insecure_plaintext,
            decisions: ByteCache::new(ENTRIES, BYTES),
        })
    }
}

/// A decision, and until when it is remembered, on the clock that never goes back.
#[derive(Clone, Copy)]
struct Decision {
    allowed: bool,
    until: Duration,
}

/// The check.
pub struct External {
    url: Uri,
    form: FormConfig,
    headers: Vec<HeaderName>,
    timeout: Duration,
    cached: Option<Duration>,
    by: Vec<PartConfig>,
    insecure_plaintext: bool,
    decisions: ByteCache<[u8; 32], Decision>,
}

impl Check for External {
    fn id(&self) -> CheckId {
        CheckId::new("authz.external")
    }

    fn describe(&self) -> String {
        let cached = match self.cached {
            Some(time) => format!(", remembered for {}s", time.as_secs()),
            None => String::new(),
        };
        format!("the decision of {} ({}){cached}", self.url, self.form.as_str())
    }
}

impl Authorize for External {
    fn authorize<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        let key = self.cached.map(|_| self.key(facts, principal));
        let known = key.and_then(|key| self.decisions.find(&key, |decision| Some(*decision)));
        if let Some(decision) = known.filter(|decision| facts.now.monotonic < decision.until) {
            return Step::Ready(judged(decision.allowed));
        }
        Step::Later(Box::pin(async move {
            let fault = |detail: String| Denial::new(Code::Fault, format!("the external decision: {detail}"));
            let request = self.request(facts, principal).map_err(fault)?;
            let fetched = effects.fetch(request).await.map_err(|failed| fault(failed.detail))?;
            let allowed = self.decided(&fetched).map_err(fault)?;
            if let (Some(key), Some(time)) = (key, self.cached) {
                let until = effects.monotonic().saturating_add(time);
                self.decisions.insert(key, Decision { allowed, until }, 0);
            }
            judged(allowed)
        }))
    }
}

fn judged(allowed: bool) -> Result<(), Denial> {
    match allowed {
        true => Ok(()),
        false => Err(Denial::new(Code::ExternalRefused, "the external decision is no")),
    }
}

impl External {
    /// Where the decision is asked for.
    pub(super) fn url(&self) -> &Uri {
        &self.url
    }

    /// What a decision depends on, as one number. Each part is written with its length, so that no two requests that differ in
    /// one part are one.
    fn key(&self, facts: &Facts<'_>, principal: &Principal) -> [u8; 32] {
        let head = facts.head;
        let mut digest = Digest::new(&SHA256);
        let mut add = |text: &[u8]| {
            digest.update(&(text.len() as u64).to_be_bytes());
            digest.update(text);
        };
        // A path belongs to its route.
        add(&facts.route_id.0.to_be_bytes());
        add(head.origin().0.as_bytes());
        // SECURITY: what is decided of one caller is never another's, whatever is listed
        // (a_decision_is_the_callers_whatever_is_listed).
        add(told(facts, principal).to_string().as_bytes());
        match principal.name(&facts.plan.consumers) {
            Some(name) => add(name.as_bytes()),
            None => add(head.client().to_string().as_bytes()),
        }
        for name in &self.headers {
            let values: Vec<_> = head.headers().get_all(name).iter().collect();
            add(&(values.len() as u64).to_be_bytes());
            values.into_iter().for_each(|value| add(value.as_bytes()));
        }
        for part in &self.by {
            add(part.as_str().as_bytes());
            match part {
                PartConfig::Principal | PartConfig::Headers => {}
                PartConfig::Method => add(head.method().as_str().as_bytes()),
                PartConfig::Host => add(head.authority().as_bytes()),
                PartConfig::Path => add(head.path().as_bytes()),
                PartConfig::Client => add(head.client().to_string().as_bytes()),
            }
        }
        let mut key = [0; 32];
        key.iter_mut().zip(digest.finish().as_ref()).for_each(|(byte, of)| *byte = *of);
        key
    }

    fn request(&self, facts: &Facts<'_>, principal: &Principal) -> Result<Fetch, String> {
        let client = Client { address: facts.head.client(), known: true };
        let usual = Fetch {
            client: Some(client),
            timeout: self.timeout,
            max_bytes: MAX_ANSWER_BYTES,
            insecure_plaintext: self.insecure_plaintext,
            ..Fetch::get(self.url.clone())
        };
        match self.form {
            FormConfig::Opa => Ok(Fetch {
                method: Method::POST,
                headers: vec![
                    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                    (header::ACCEPT, HeaderValue::from_static("application/json")),
                ],
                body: Bytes::from(self.input(facts, principal)?.to_string()),
                ..usual
            }),
            FormConfig::ForwardAuth => Ok(Fetch { headers: self.forwarded(facts, principal)?, ..usual }),
        }
    }

    /// The headers that are told, each once.
    // SECURITY: which of two values counts is a matter of taste, so a repeated header gets no decision
    // (tests/config/effects/tokens.rs).
    fn told_headers(&self, facts: &Facts<'_>) -> Result<Vec<(&HeaderName, String)>, String> {
        let mut told = Vec::new();
        for name in &self.headers {
            match facts.head.once(name.as_str()) {
                Once::Absent => {}
                Once::One(value) => told.push((name, value.into_owned())),
                Once::Repeated | Once::Unreadable => {
                    return Err(format!("the header {name} repeats, or is not text"));
                }
            }
        }
        Ok(told)
    }

    /// What Open Policy Agent gets.
    fn input(&self, facts: &Facts<'_>, principal: &Principal) -> Result<Value, String> {
        let head = facts.head;
        let headers: Map<String, Value> = self
            .told_headers(facts)?
            .into_iter()
            .map(|(name, value)| (name.to_string(), json!(value)))
            .collect();
        let path: Vec<&str> = head.path().trim_matches('/').split('/').collect();
        Ok(json!({ "input": {
            "request": {
                "method": head.method().as_str(), "path": head.path(), "segments": path,
                "host": head.authority().to_str().unwrap_or_default(), "client": head.client().to_string(), "headers": headers,
            },
            "principal": told(facts, principal),
        } }))
    }

    fn forwarded(
        &self,
        facts: &Facts<'_>,
        principal: &Principal,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let head = facts.head;
        let consumers = &facts.plan.consumers;
        let mut fields = vec![
            (FORWARDED_METHOD, head.method().as_str().to_owned()),
            (FORWARDED_PROTO, head.origin().0.to_owned()),
            // SECURITY: without the query, in which a credential may stand (a_policy_server_decides_by_what_it_is_told).
            (FORWARDED_URI, head.path().to_owned()),
            (FORWARDED_FOR, head.client().to_string()),
            (CONSUMER_ROLES, principal.roles(consumers).join(",")),
        ];
        fields.extend(principal.name(consumers).map(|name| (CONSUMER_NAME, name.to_owned())));
        fields.extend(principal.as_subject().map(|subject| (CONSUMER_ISSUER, subject.issuer.clone())));
        // What the gateway says comes first, and is never the client's.
        let own: Vec<HeaderName> =
            fields.iter().map(|(name, _)| name.clone()).chain([FORWARDED_HOST]).collect();
        let more = self.told_headers(facts)?.into_iter().filter(|(name, _)| !own.contains(name));
        fields.extend(more.map(|(name, value)| (name.clone(), value)));
        let mut sent = vec![(FORWARDED_HOST, head.authority())];
        for (name, value) in fields {
            let value = HeaderValue::try_from(value).map_err(|_| format!("{name} cannot be sent"))?;
            sent.push((name, value));
        }
        Ok(sent)
    }

    /// What the answer says.
    fn decided(&self, fetched: &Fetched) -> Result<bool, String> {
        let status = fetched.status;
        match self.form {
            FormConfig::ForwardAuth if status.is_success() => Ok(true),
            FormConfig::ForwardAuth if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Ok(false)
            }
            FormConfig::Opa if status == StatusCode::OK => {
                let document = json::object(&fetched.body).map_err(str::to_owned)?;
                // SECURITY: a rule that is not defined has no `result`, and `"true"`, 1 and objects are no yes
                // (only_a_clear_yes_lets_a_request_on).
                Ok(match document.given("result") {
                    None => false,
                    Some(Claim::Bool(decision)) => *decision,
                    Some(result @ Claim::Object(_)) => result.member("allow") == Some(&Claim::Bool(true)),
                    Some(_) => return Err("its result is neither true nor false".to_owned()),
                })
            }
            FormConfig::ForwardAuth | FormConfig::Opa => {
                Err(format!("{} answered with status {}", self.url, status.as_u16()))
            }
        }
    }
}

/// What is said of somebody.
fn told(facts: &Facts<'_>, principal: &Principal) -> Value {
    let consumers = &facts.plan.consumers;
    let subject = principal.as_subject();
    json!({
        "name": principal.name(consumers),
        "issuer": subject.map(|subject| subject.issuer.as_str()),
        "client": subject.and_then(|subject| subject.client.as_deref()),
        "roles": principal.roles(consumers),
        "scopes": principal.scopes(consumers),
        "claims": subject.map(|subject| json::plain(&subject.claims)),
    })
}

#[cfg(test)]
mod tests;
