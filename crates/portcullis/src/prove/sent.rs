//! How a request to a target is made: its host, path, fields and body, and where its credential stands.

use super::attacks::{Base, Builder};
use super::people::Candidate;
use crate::judge::Request;
use bytes::Bytes;
use portcullis_checks::Cidr;
use portcullis_checks::authn::MethodConfig;
use portcullis_checks::rehearsal::{Credential, Stage as Circumstances};
use portcullis_core::route::conditions::Wanted;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses of documents (RFC 5737, RFC 3849) and others, of which one is let in almost everywhere.
pub(super) const ADDRESSES: [&str; 6] =
    ["192.0.2.1", "198.51.100.7", "203.0.113.9", "2001:db8::1", "10.20.30.40", "127.0.0.1"];

impl<'a> Builder<'a> {
    pub(super) fn stage(&self) -> Circumstances<'a> {
        let scheme = if self.tls() { "https" } else { "http" };
        Circumstances {
            doubles: &self.rehearsal.doubles,
            consumers: &[],
            now: self.rehearsal.judge.bench().time(),
            method: &self.target.method,
            url: format!("{scheme}://{}{}", self.host(), self.path(&BTreeMap::new())),
            body: self.body().map(|(_, content)| Bytes::from(content)).unwrap_or_default(),
        }
    }

    fn tls(&self) -> bool {
        self.rehearsal.config.listeners.first().is_some_and(|listener| listener.tls.is_some())
    }

    /// A host of the route; of a pattern, one that it covers.
    fn host(&self) -> String {
        let host = self.target.compiled.hosts.first().map_or("api.example.com", String::as_str);
        host.replace("*.", "rehearsal.")
    }

    /// The path with these parameters, and others made up.
    pub(super) fn path(&self, parameters: &BTreeMap<String, String>) -> String {
        let operation = self.target.operation.as_ref();
        let value = |name: &str| {
            let own = parameters.get(name).cloned();
            let sample = operation.and_then(|operation| {
                operation.parameters.iter().find(|(there, _)| there == name).map(|(_, value)| value.clone())
            });
            own.or(sample).unwrap_or_else(|| format!("rehearsal-{name}"))
        };
        // A route knows its parameters by its own names, and an operation by others.
        let template =
            operation.map_or(Vec::new(), |operation| operation.template.split('/').rev().collect());
        let mut segments: Vec<String> = Vec::new();
        let route: Vec<&str> = self.target.compiled.path.split('/').collect();
        for (index, segment) in route.iter().enumerate() {
            let inner = segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
            let Some(name) = inner else {
                segments.push((*segment).to_owned());
                continue;
            };
            if let Some(rest) = name.strip_prefix('*') {
                match operation {
                    // What stands in place of the rest is the operation's own path, without what stood before it.
                    Some(operation) => {
                        let whole: Vec<&str> =
                            operation.template.trim_start_matches('/').split('/').collect();
                        let before = segments.iter().filter(|segment| !segment.is_empty()).count();
                        let is_before =
                            whole.iter().zip(segments.iter().filter(|segment| !segment.is_empty()));
                        let shared = is_before.take_while(|(own, there)| **own == there.as_str()).count();
                        let skipped = if shared == before { before } else { 0 };
                        for part in whole.iter().skip(skipped) {
                            let inner = part.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
                            segments
                                .push(inner.map_or_else(|| (*part).to_owned(), |name| escaped(&value(name))));
                        }
                    }
                    None => segments.push(escaped(&value(rest))),
                }
                continue;
            }
            let from_end = route.len() - 1 - index;
            let theirs = template
                .get(from_end)
                .and_then(|part| part.strip_prefix('{'))
                .and_then(|part| part.strip_suffix('}'));
            let own = parameters.get(name).cloned();
            segments.push(escaped(&own.unwrap_or_else(|| value(theirs.unwrap_or(name)))));
        }
        segments.join("/")
    }

    pub(super) fn request(
        &self,
        parameters: &BTreeMap<String, String>,
        credential: &Credential,
        client: IpAddr,
    ) -> Request {
        let mut request = Request::new(&self.target.method, &self.path(parameters));
        request.headers = vec![
            ("host".to_owned(), self.host()),
            ("user-agent".to_owned(), "portcullis-rehearsal/1".to_owned()),
            ("accept".to_owned(), "*/*".to_owned()),
        ];
        request.client = client;
        request.tls = self.tls();
        if let Some(operation) = &self.target.operation {
            request.headers.extend(operation.headers.iter().cloned());
            for (name, value) in &operation.query {
                add_query(&mut request, name, value);
            }
        }
        // What the route is chosen by.
        let chosen = |wanted: &Wanted| match wanted {
            Wanted::Present => "rehearsal".to_owned(),
            Wanted::Value(value) => value.clone(),
        };
        let conditions = &self.target.compiled.conditions;
        request
            .headers
            .extend(conditions.headers.iter().map(|(name, wanted)| (name.to_string(), chosen(wanted))));
        for (name, wanted) in &conditions.query {
            add_query(&mut request, name, &chosen(wanted));
        }
        if let Some((media_type, content)) = self.body() {
            request.headers.push(("content-type".to_owned(), media_type));
            request.body = Bytes::from(content);
        }
        with(request, credential)
    }

    /// A body that the route takes, with its media type; `None` where it needs none, as far as is known.
    fn body(&self) -> Option<(String, String)> {
        let bodiless = matches!(self.target.method.as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS");
        if let Some(operation) = &self.target.operation {
            return operation.body.clone();
        }
        let security = self.target.security.as_ref()?;
        if bodiless {
            return None;
        }
        if let Some(graphql) = &security.graphql {
            let registered = graphql.safelist.as_ref().and_then(|safelist| safelist.sample());
            let query = registered.unwrap_or_else(|| "{ __typename }".to_owned());
            return Some(("application/json".to_owned(), serde_json::json!({ "query": query }).to_string()));
        }
        security.validation.as_ref()?.sample()
    }

    /// The same request with a credential that was not used yet.
    pub(super) fn fresh(
        &self,
        candidate: &Candidate,
        methods: &[&MethodConfig],
        address: IpAddr,
    ) -> (Request, Credential) {
        let consumers = self.rehearsal.consumers();
        let mut stage = Circumstances { consumers: &consumers, ..self.stage() };
        stage.url = self.url(&candidate.parameters);
        let made: Result<Vec<_>, _> =
            methods.iter().map(|method| method.good(&candidate.person, &stage)).collect();
        let credential = made.map_or_else(
            |_| candidate.credential.clone(),
            |made| made.into_iter().fold(Credential::default(), Credential::and),
        );
        (self.request(&candidate.parameters, &credential, address), credential)
    }

    /// The same request once more, with a credential of its own.
    pub(super) fn again(&self, base: &Base<'_>) -> Request {
        self.fresh(&base.candidate, &base.methods, base.request.client).0
    }

    pub(super) fn url(&self, parameters: &BTreeMap<String, String>) -> String {
        let scheme = if self.tls() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host(), self.path(parameters))
    }

    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let addresses = self.target.security.as_ref().and_then(|security| security.addresses.as_ref());
        let allowed = addresses.and_then(|addresses| addresses.allow.as_ref());
        let allowed = allowed.into_iter().flatten().map(|Cidr(network)| network.addr());
        allowed.chain(ADDRESSES.iter().filter_map(|address| address.parse().ok())).collect()
    }
}

/// A request with this credential.
pub(super) fn with(mut request: Request, credential: &Credential) -> Request {
    request.headers.extend(credential.headers.iter().cloned());
    for (name, value) in &credential.query {
        add_query(&mut request, name, value);
    }
    if !credential.cookies.is_empty() {
        let cookies: Vec<_> =
            credential.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.headers.push(("cookie".to_owned(), cookies.join("; ")));
    }
    if let Some(certificate) = &credential.certificate {
        request.certificate = Some(Arc::new(certificate.clone()));
    }
    request
}

pub(super) fn add_query(request: &mut Request, name: &str, value: &str) {
    let mark = if request.target.contains('?') { '&' } else { '?' };
    request.target.push_str(&format!(
        "{mark}{}={}",
        escaped(name).replace('&', "%26"),
        escaped(value).replace('&', "%26").replace('+', "%2B")
    ));
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

pub(super) fn copied<'a>(stage: &Circumstances<'a>) -> Circumstances<'a> {
    Circumstances {
        doubles: stage.doubles,
        consumers: stage.consumers,
        now: stage.now,
        method: stage.method,
        url: stage.url.clone(),
        body: stage.body.clone(),
    }
}
