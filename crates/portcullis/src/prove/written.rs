//! Tests that stand in the document: a request, who sends it, and what must come of it.

use super::report::{Report, WrittenResult};
use super::sent::with;
use super::stand::{Rehearsal, effective};
use crate::judge::{Decision, Request, Verdict, curl};
use crate::load::Loaded;
use bytes::Bytes;
use portcullis_checks::authn::Needed;
use portcullis_checks::authn::method::Establishes;
use portcullis_checks::rehearsal::{Credential, Person, Stage};
use portcullis_config::{Context, Decode, Definitions, Node, Spanned, Value, object};
use portcullis_core::Code;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::IpAddr;

object! {
    /// A test of this configuration: `portcullis test` judges the request, and so does a reload. Nothing of it is sent anywhere.
    pub struct TestConfig {
        /// What it shows. Default: the request.
        pub name: Option<String>,
        /// The request: `GET /orders/7`, a `curl` command, or a mapping.
        pub request: Spanned<TestRequestConfig>,
        /// Who sends it: the name of a consumer, or a mapping. The key, token or certificate that it needs is made for the test.
        /// Default: nobody.
        #[alias("as")]
        pub sender: Option<Spanned<SenderConfig>>,
        /// What must come of it: `pass`, a status such as `403`, or a mapping.
        pub expect: Spanned<ExpectConfig>,
    }
}

object! {
    /// A request.
    pub struct RequestParts {
        /// The method. Default: GET.
        pub method: String = "GET".to_owned(),
        /// The path, with a query if need be.
        pub path: String,
        /// The host. Default: the first host of the route, or api.example.com.
        pub host: Option<String>,
        /// Header fields.
        pub headers: BTreeMap<String, String> = BTreeMap::new(),
        /// The body, as it is sent.
        pub body: Option<String>,
        /// The client's address. Default: 192.0.2.1.
        pub client: Option<String>,
    }
}

/// A request of a test.
#[derive(Clone, Debug)]
pub struct TestRequestConfig(Request, /* whether it says its host */ bool);

impl Decode for TestRequestConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if let Value::Mapping(_) = &node.value {
            let parts = RequestParts::decode(node, cx)?;
            let mut request = Request::new(&parts.method, &parts.path);
            if let Some(host) = &parts.host {
                request = request.only_header("host", host);
            }
            for (name, value) in &parts.headers {
                request = request.header(name, value);
            }
            request.body = Bytes::from(parts.body.unwrap_or_default());
            if let Some(client) = &parts.client {
                match client.parse::<IpAddr>() {
                    Ok(client) => request.client = client,
                    Err(_) => {
                        cx.error("config.test_request", node.span, format!("`{client}` is not an address"))
                            .help("write an address such as `192.0.2.1`");
                        return None;
                    }
                }
            }
            return Some(TestRequestConfig(request, parts.host.is_some()));
        }
        let text = cx.text(node)?;
        let read = if text.trim_start().starts_with("curl ") {
            curl::parse(text).map(|command| TestRequestConfig(command.request, true))
        } else {
            match text.split_once(' ') {
                Some((method, path)) if path.starts_with('/') => {
                    Ok(TestRequestConfig(Request::new(method, path.trim_end()), false))
                }
                _ => Err("this is no request".to_owned()),
            }
        };
        match read {
            Ok(request) => Some(request),
            Err(why) => {
                cx.error("config.test_request", node.span, why)
                    .help("write `GET /orders/7`, a `curl` command, or `{ method: POST, path: /orders, body: ... }`");
                None
            }
        }
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [{ "type": "string", "examples": ["GET /orders/7"] }, RequestParts::schema(definitions)] })
    }
}

object! {
    /// Who sends a request.
    pub struct SenderParts {
        /// The consumer.
        pub consumer: Option<String>,
        /// The subject of a token. Default: somebody.
        pub subject: String = "somebody".to_owned(),
        /// The roles that the issuer gives, as the route names them.
        pub roles: Vec<String> = Vec::new(),
        /// The scopes that the issuer gives.
        pub scopes: Vec<String> = Vec::new(),
        /// What else the issuer says: claims by their path, such as `tenant.id`.
        pub claims: BTreeMap<String, String> = BTreeMap::new(),
        /// The issuer, where the route accepts several. Default: the first.
        pub issuer: Option<String>,
    }
}

/// Who sends a request of a test.
#[derive(Clone, Debug)]
pub struct SenderConfig(SenderParts);

impl Decode for SenderConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if let Value::Mapping(_) = &node.value {
            return SenderParts::decode(node, cx).map(SenderConfig);
        }
        let name = cx.text(node)?.to_owned();
        Some(SenderConfig(SenderParts {
            consumer: Some(name),
            subject: "somebody".to_owned(),
            roles: Vec::new(),
            scopes: Vec::new(),
            claims: BTreeMap::new(),
            issuer: None,
            at: node.span,
        }))
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [{ "type": "string", "examples": ["alice"] }, SenderParts::schema(definitions)] })
    }
}

object! {
    /// What must come of a request. Every key that is given must be true.
    pub struct ExpectParts {
        /// The status of the gateway's own answer.
        pub status: Option<u16>,
        /// The code of the refusal, as the access log has it.
        pub code: Option<String>,
        /// The check that refuses, such as `authz.roles`.
        pub check: Option<String>,
        /// A part of the reason that the access log has.
        pub reason: Option<String>,
        /// Header fields that go upstream, with their values.
        pub upstream_headers: BTreeMap<String, String> = BTreeMap::new(),
        /// Header fields that do not go upstream.
        pub upstream_without: Vec<String> = Vec::new(),
    }
}

/// What must come of a request of a test.
#[derive(Clone, Debug)]
pub enum ExpectConfig {
    /// It passes.
    Pass,
    /// All of this.
    Parts(ExpectParts),
}

impl Decode for ExpectConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let status = |status: u16| {
            ExpectConfig::Parts(ExpectParts {
                status: Some(status),
                code: None,
                check: None,
                reason: None,
                upstream_headers: BTreeMap::new(),
                upstream_without: Vec::new(),
                at: node.span,
            })
        };
        match &node.value {
            Value::String(word) if word == "pass" => Some(ExpectConfig::Pass),
            Value::Integer(number) if (100..=599).contains(number) => u16::try_from(*number).ok().map(status),
            Value::Mapping(_) => {
                let parts = ExpectParts::decode(node, cx)?;
                let unknown =
                    parts.code.as_ref().filter(|code| !Code::ALL.iter().any(|known| known.as_str() == *code));
                if let Some(code) = unknown {
                    cx.error(
                        "config.test_expect",
                        node.span,
                        format!("there is no refusal with the code `{code}`"),
                    )
                    .help("`portcullis denials` lists the codes");
                    return None;
                }
                Some(ExpectConfig::Parts(parts))
            }
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Sequence(_) => {
                cx.error("config.test_expect", node.span, "this does not say what must come of the request")
                    .help("write `pass`, a status such as `403`, or `{ status: 403, code: role_missing }`");
                None
            }
        }
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        let parts = ExpectParts::schema(definitions);
        json!({ "anyOf": [{ "const": "pass" }, { "type": "integer", "minimum": 100, "maximum": 599 }, parts] })
    }
}

/// Runs the tests of a document.
pub(super) fn run(rehearsal: &Rehearsal, loaded: &Loaded, report: &mut Report) {
    for test in &rehearsal.config.tests {
        let TestRequestConfig(request, _) = &test.request.value;
        let name = test.name.clone().unwrap_or_else(|| {
            let who = match test.sender.as_ref().map(|sender| &sender.value.0) {
                Some(SenderParts { consumer: Some(name), .. }) => format!(" as {name}"),
                Some(sender) => format!(" as {}", sender.subject),
                None => String::new(),
            };
            format!("{} {}{who}", request.method, request.target)
        });
        let place = loaded.places().of_span(test.at).map_or_else(String::new, |place| place.to_string());
        let faults = match sent(rehearsal, test) {
            Err(why) => vec![why],
            Ok(request) => {
                rehearsal.judge.forget();
                let verdict = rehearsal.judge.decide(&request);
                faults(&test.expect.value, &verdict)
            }
        };
        report.written.push(WrittenResult { name, place, faults });
    }
}

/// The request with what proves who sends it.
fn sent(rehearsal: &Rehearsal, test: &TestConfig) -> Result<Request, String> {
    let TestRequestConfig(request, says_host) = &test.request.value;
    let mut request = request.clone();
    // The first try finds out which route it is.
    rehearsal.judge.forget();
    let mut found = rehearsal.judge.decide(&request).route;
    if found.is_none() && !says_host {
        let hosts = rehearsal.config.routes.iter().flat_map(|route| &route.hosts);
        for host in hosts {
            let elsewhere = request.clone().only_header("host", &host.value);
            if let Some(route) = rehearsal.judge.decide(&elsewhere).route {
                (request, found) = (elsewhere, Some(route));
                break;
            }
        }
    }
    let Some(sender) = test.sender.as_ref().map(|sender| &sender.value.0) else { return Ok(request) };
    let Some(route) = found.and_then(|route| rehearsal.config.routes.get(route.0 as usize)) else {
        return Ok(request);
    };
    let security = effective(&rehearsal.config, route);
    let Some(authentication) = security.and_then(|security| security.authentication) else {
        return Ok(request);
    };
    let mut consumers = rehearsal.consumers();
    consumers.extend(sender.consumer.as_ref().and_then(|name| rehearsal.consumer(name)));
    let host = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.map_or("", |(_, value)| value.as_str());
    let path = request.target.split('?').next().unwrap_or_default();
    let scheme = if request.tls { "https" } else { "http" };
    let stage = Stage {
        doubles: &rehearsal.doubles,
        consumers: &consumers,
        now: rehearsal.judge.bench().time(),
        method: &request.method,
        url: format!("{scheme}://{host}{path}"),
        body: request.body.clone(),
    };
    let person = match &sender.consumer {
        Some(name) => match stage.consumer(name) {
            Some(known) => known.person(),
            None => return Err(format!("there is no consumer `{name}`")),
        },
        None => Person {
            name: sender.subject.clone(),
            roles: sender.roles.clone(),
            scopes: sender.scopes.clone(),
            claims: sender.claims.iter().map(|(path, value)| (path.clone(), typed(value))).collect(),
        },
    };
    let meant = |establishes: &Establishes| match (establishes, &sender.consumer, &sender.issuer) {
        (Establishes::Consumers, Some(_), _) | (Establishes::Subjects { .. }, None, None) => true,
        (Establishes::Subjects { issuer, .. }, None, Some(wanted)) => issuer == wanted,
        (Establishes::Consumers | Establishes::Unnamed, None, _)
        | (Establishes::Subjects { .. } | Establishes::Unnamed, Some(_), _) => false,
    };
    let methods = authentication.methods.iter();
    let made: Vec<Result<Credential, String>> = match authentication.needed {
        Needed::All => methods.map(|method| method.good(&person, &stage)).collect(),
        Needed::Any => {
            let fitting: Vec<_> = methods.filter(|method| meant(&method.establishes())).collect();
            let made: Vec<_> = fitting.iter().map(|method| method.good(&person, &stage)).collect();
            match made.iter().position(Result::is_ok) {
                Some(good) => made.into_iter().skip(good).take(1).collect(),
                None if made.is_empty() => {
                    vec![Err("the route has no method that knows such a sender".to_owned())]
                }
                None => made.into_iter().take(1).collect(),
            }
        }
    };
    let made: Result<Vec<_>, _> = made.into_iter().collect();
    let credential = made?.into_iter().fold(Credential::default(), Credential::and);
    Ok(with(request, &credential))
}

/// `true`, `7` and `[a, b]` are what they look like; anything else is text.
fn typed(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

fn faults(expected: &ExpectConfig, verdict: &Verdict) -> Vec<String> {
    let came = match &verdict.decision {
        Decision::Forwarded(_) => "it passes".to_owned(),
        Decision::Refused(refusal) => {
            format!("it is refused with {} {}: {}", refusal.status.as_u16(), refusal.code, refusal.detail)
        }
        Decision::Unknown { because } => format!("it depends on {because}"),
    };
    let ExpectConfig::Parts(parts) = expected else {
        return if verdict.is_forwarded() {
            Vec::new()
        } else {
            vec![format!("expected that it passes; {came}")]
        };
    };
    let mut faults = Vec::new();
    let refusal = verdict.refusal();
    let mut wants = |what: &str, wanted: Option<&str>, there: Option<&str>, within: bool| {
        let Some(wanted) = wanted else { return };
        let fits = there.is_some_and(|there| if within { there.contains(wanted) } else { there == wanted });
        if !fits {
            faults.push(format!("expected the {what} {wanted}; {came}"));
        }
    };
    let status = parts.status.map(|status| status.to_string());
    let got = refusal.map(|refusal| refusal.status.as_u16().to_string());
    wants("status", status.as_deref(), got.as_deref(), false);
    wants("code", parts.code.as_deref(), refusal.map(|refusal| refusal.code), false);
    wants("check", parts.check.as_deref(), refusal.and_then(|refusal| refusal.check), false);
    wants("reason", parts.reason.as_deref(), refusal.map(|refusal| refusal.detail.as_str()), true);
    if parts.upstream_headers.is_empty() && parts.upstream_without.is_empty() {
        return faults;
    }
    let Decision::Forwarded(upstream) = &verdict.decision else {
        faults.push(format!("expected that it goes upstream; {came}"));
        return faults;
    };
    let values = |wanted: &str| {
        let fields = upstream.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        fields.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    for (name, value) in &parts.upstream_headers {
        let there = values(name);
        if there != [value.clone()] {
            faults.push(format!("expected the upstream field {name}: {value}; it is {there:?}"));
        }
    }
    for name in &parts.upstream_without {
        if !values(name).is_empty() {
            faults.push(format!("expected no upstream field {name}; it is {:?}", values(name)));
        }
    }
    faults
}
