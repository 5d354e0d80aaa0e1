//! The rules, each with what it means and what to do.
//!
//! A rule is one entry in [`RULES`] and one function. Ids are stable: they stand in files, in SARIF and in the documentation.

use super::{Report, RouteSubject, Subject, admin, scope};
use crate::document::{AccessLogConfig, UpstreamConfig, UpstreamTarget};
use portcullis_checks::SecurityConfig;
use portcullis_config::Span;
use portcullis_core::Mode;
use portcullis_proxy::Upstream;
use std::fmt;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Worth closing, or accepting with a reason.
    Medium,
    /// A hole, unless something in front of the gateway closes it.
    High,
}

impl Severity {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        }
    }
}

/// What is looked for.
pub struct Rule {
    /// Its stable name.
    pub id: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// The item of the OWASP API Security Top 10 (2023).
    pub owasp: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
    pub(super) look: fn(&Subject<'_>, &mut Report),
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Rule) -> bool {
        self.id == other.id
    }
}

impl Eq for Rule {}

const BROKEN_AUTHENTICATION: &str = "API2:2023 Broken Authentication";
const BROKEN_PROPERTIES: &str = "API3:2023 Broken Object Property Level Authorization";
const CONSUMPTION: &str = "API4:2023 Unrestricted Resource Consumption";
const BROKEN_FUNCTIONS: &str = "API5:2023 Broken Function Level Authorization";
const SSRF: &str = "API7:2023 Server Side Request Forgery";
const MISCONFIGURATION: &str = "API8:2023 Security Misconfiguration";
const UNSAFE_CONSUMPTION: &str = "API10:2023 Unsafe Consumption of APIs";

/// A body of more is worth a question, in bytes.
const LARGE_BODY: u64 = 16 * 1024 * 1024;

/// Every rule.
pub static RULES: [Rule; 26] = [
    Rule {
        id: "public_wildcard",
        severity: Severity::High,
        owasp: BROKEN_FUNCTIONS,
        title: "a public route covers everything below a path",
        why: "Everything that the upstream serves below this path, now or later, is accessible without authentication.",
        fix: "add one route for each public path, or authenticate this route",
        look: |subject, report| {
            for route in subject.routes.iter().filter(|route| route.config.public.is_some()) {
                if route.config.path.value.contains("{*") && !answers_itself(route) {
                    report.route(
                        route,
                        route.config.path.span,
                        "this public route covers everything below its path",
                    );
                }
            }
        },
    },
    Rule {
        id: "public_write",
        severity: Severity::Medium,
        owasp: BROKEN_AUTHENTICATION,
        title: "a public route accepts requests that change data",
        why: "Everyone can send such a request, and the log does not tell who sent it.",
        fix: "write `methods: [GET]` if the route only reads, or authenticate it",
        look: |subject, report| {
            for route in subject.routes.iter().filter(|route| route.config.public.is_some()) {
                let writes = changes_something(route);
                if !writes.is_empty() {
                    let message = format!("this public route accepts {}", writes.join(", "));
                    report.route(route, route.config.path.span, message);
                }
            }
        },
    },
    Rule {
        id: "authentication_observed",
        severity: Severity::High,
        owasp: BROKEN_AUTHENTICATION,
        title: "authentication is only observed",
        why: "Requests with a wrong credential, or without one, reach the upstream.",
        fix: "remove `mode: observe` when the log shows what you expect",
        look: |subject, report| {
            each_observed(subject, |route, at, stage, _| {
                if stage == "authn" {
                    report.route(route, at, "every request is accepted: authentication is only observed");
                }
            });
        },
    },
    Rule {
        id: "control_observed",
        severity: Severity::Medium,
        owasp: MISCONFIGURATION,
        title: "a control is only observed",
        why: "Requests that the control would reject are recorded, and reach the upstream.",
        fix: "remove `mode: observe` when the log shows what you expect",
        look: |subject, report| {
            each_observed(subject, |route, at, stage, id| {
                // Answers are observed by default: the request was served already.
                if stage != "authn" && stage != "answer" {
                    report.route(route, at, format!("`{id}` only observes"));
                }
            });
        },
    },
    Rule {
        id: "no_rate_limit",
        severity: Severity::Medium,
        owasp: CONSUMPTION,
        title: "no rate limit",
        why: "One client can exhaust the upstream, or try credentials and ids without limit.",
        fix: "add `rate_limiting: { max_requests: 60, per: minute }` to the route or the gateway",
        look: |subject, report| {
            for route in &subject.routes {
                if !route
                    .listing
                    .controls
                    .iter()
                    .any(|control| limits_over_time(control) && control.mode != Mode::Off)
                {
                    report.route(route, route.config.path.span, "this route has no rate limit");
                }
            }
        },
    },
    Rule {
        id: "limit_by_address_instead",
        severity: Severity::Low,
        owasp: CONSUMPTION,
        title: "an inherited limit by key or claim counts by address",
        why: "Nobody is authenticated on a public route, so all clients behind one address share one limit there.",
        fix: "give the public route a limit of its own, such as `rate_limiting: { max_requests: 60, per: minute, by: address }`",
        look: scope::limit_by_address_instead,
    },
    Rule {
        id: "limit_by_header",
        severity: Severity::Low,
        owasp: CONSUMPTION,
        title: "the only limit counts by a header that clients choose",
        why: "A client that invents values gets a new limit for each.",
        fix: "add a limit by consumer or address beside it: `rate_limiting` can be a list",
        look: |subject, report| {
            for (route, security) in subject.routes.iter().map(|route| (route, effective(subject, route))) {
                let limits = security.rate_limiting();
                if !limits.is_empty() && limits.iter().all(|limit| limit.by.is_by_headers_alone()) {
                    report.route(
                        route,
                        route.config.path.span,
                        "every limit counts by a header that clients choose",
                    );
                }
            }
        },
    },
    Rule {
        id: "no_authorization",
        severity: Severity::Low,
        owasp: BROKEN_FUNCTIONS,
        title: "every authenticated client may do everything",
        why: "The route authenticates clients, but does not check what they may do.",
        fix: "add `authorization`, such as `{ roles_allowed: [admin] }` or `{ scopes_required: [orders.read] }`",
        look: |subject, report| {
            for route in subject.routes.iter().filter(|route| route.config.public.is_none()) {
                if !route
                    .listing
                    .controls
                    .iter()
                    .any(|control| control.stage == "authz" && control.mode != Mode::Off)
                {
                    report.route(
                        route,
                        route.config.path.span,
                        "every authenticated client may send every request here",
                    );
                }
            }
        },
    },
    Rule {
        id: "roles_of_several_issuers",
        severity: Severity::Medium,
        owasp: BROKEN_FUNCTIONS,
        title: "several issuers share one namespace of roles",
        why: "Each issuer can grant the roles that are meant for users of another issuer.",
        fix: "give each issuer a `roles_prefix`, use separate routes, or add `claims_required: { iss: ... }`",
        look: |subject, report| {
            for (route, security) in subject.routes.iter().map(|route| (route, effective(subject, route))) {
                let Some(authentication) = security.authentication() else { continue };
                let issuers = authentication.methods.iter().filter(|method| method.token().is_some()).count();
                if let Some(roles) = security.roles_allowed()
                    && route.config.public.is_none()
                    && issuers > 1
                {
                    report.route(route, roles, format!("the roles of {issuers} issuers are not kept apart"));
                }
            }
        },
    },
    Rule {
        id: "any_audience",
        severity: Severity::Medium,
        owasp: BROKEN_AUTHENTICATION,
        title: "tokens for any audience are accepted",
        why: "A token that was sent to another API of the same issuer is valid here too.",
        fix: "write `audience`, the issuer's name for this API",
        look: |subject, report| {
            let sections = subject.config.security.iter().chain(subject.config.security_profiles.values());
            let sections = sections.chain(subject.config.routes.iter().filter_map(|route| route.sections()));
            let methods = sections.filter_map(|security| security.authentication.as_ref());
            for token in
                methods.flat_map(|authentication| &authentication.methods).filter_map(|method| method.token())
            {
                if token.audience.is_none() {
                    let at = token.insecure_any_audience.as_ref().map_or(token.at, |reason| reason.span);
                    report.gateway(at, "tokens that were issued for other APIs are accepted");
                }
            }
        },
    },
    Rule {
        id: "no_schema",
        severity: Severity::Low,
        owasp: BROKEN_PROPERTIES,
        title: "bodies are not validated",
        why: "Unexpected members, such as `\"role\": \"admin\"`, reach the upstream.",
        fix: "add `openapi` with the document of the API, or `validation` with a JSON Schema",
        look: |subject, report| {
            for route in &subject.routes {
                let looks = route.listing.controls.iter().any(|control| {
                    control.stage == "inspect"
                        && control.id != "inspect.body_size"
                        && control.mode != Mode::Off
                });
                let bodies = ["POST", "PUT", "PATCH"];
                let takes = changes_something(route).into_iter().any(|method| bodies.contains(&method));
                if takes && !looks {
                    report.route(route, route.config.path.span, "request bodies are not validated here");
                }
            }
        },
    },
    Rule {
        id: "large_body",
        severity: Severity::Low,
        owasp: CONSUMPTION,
        title: "very large bodies are accepted",
        why: "Each request can make the upstream read and store that much.",
        fix: "lower `body: { max_size: ... }` to what honest clients send",
        look: |subject, report| {
            for route in &subject.routes {
                let most = route.listing.route.controls.max_body_bytes;
                if most > LARGE_BODY {
                    let message = format!("a body of up to {} MiB is accepted", most / (1024 * 1024));
                    report.route(route, route.config.path.span, message);
                }
            }
        },
    },
    Rule {
        id: "guessing_is_free",
        severity: Severity::High,
        owasp: BROKEN_AUTHENTICATION,
        title: "guessing credentials is not slowed down",
        why: "Keys and passwords can be tried as fast as the gateway answers.",
        fix: "remove `brute_force`, or its `mode`",
        look: |subject, report| {
            if subject.blueprint.failures_mode != Mode::Enforce {
                let at =
                    subject.config.brute_force.as_ref().map_or(subject.config.at, |config| config.mode.span);
                report.gateway(at, "clients that guess credentials are not slowed down");
            }
        },
    },
    Rule {
        id: "key_without_end",
        severity: Severity::Low,
        owasp: BROKEN_AUTHENTICATION,
        title: "an API key never expires",
        why: "A key that leaked years ago still works.",
        fix: "write `expires`, such as `{ env: ALICE_API_KEY, expires: \"2027-06-30T00:00:00Z\" }`, and rotate it",
        look: |subject, report| {
            for consumer in &subject.config.consumers {
                for key in consumer.keys.iter().filter(|key| key.expires.is_none()) {
                    report.gateway(key.at, format!("a key of `{}` never expires", consumer.name.value));
                }
            }
        },
    },
    Rule {
        id: "consumer_without_credential",
        severity: Severity::Low,
        owasp: MISCONFIGURATION,
        title: "a consumer without a credential",
        why: "It has no key, password or certificate, so its roles have no effect.",
        fix: "give it a credential, or remove it",
        look: |subject, report| {
            for consumer in &subject.config.consumers {
                if consumer.keys.is_empty() && consumer.password.is_none() && consumer.certificates.is_empty()
                {
                    report
                        .gateway(consumer.name.span, format!("`{}` has no credential", consumer.name.value));
                }
            }
        },
    },
    Rule {
        id: "plaintext_listener",
        severity: Severity::Medium,
        owasp: MISCONFIGURATION,
        title: "credentials cross the network unencrypted",
        why: "Anyone between a client and the gateway can read keys and tokens, and use them.",
        fix: "add `tls` to the listener",
        look: |subject, report| {
            for listener in &subject.config.listeners {
                if listener.insecure_plaintext.is_some() {
                    report
                        .gateway(listener.bind.span, format!("{} speaks in the clear", listener.bind.value));
                }
            }
        },
    },
    Rule {
        id: "plaintext_upstream",
        severity: Severity::Medium,
        owasp: UNSAFE_CONSUMPTION,
        title: "requests go to another host unencrypted",
        why: "Anyone between the gateway and the upstream can read and change requests and responses.",
        fix: "write an `https://` URL",
        look: |subject, report| {
            let unencrypted = |upstream: &UpstreamConfig| match &upstream.target {
                UpstreamTarget::Server(server) if upstream.tls.is_none() && !is_this_machine(server) => {
                    Some(format!("requests go to {} unencrypted", server.authority))
                }
                UpstreamTarget::Server(_) | UpstreamTarget::Group(_) | UpstreamTarget::Handler(_) => None,
            };
            for route in &subject.routes {
                if let Some(upstream) = &route.config.upstream
                    && let Some(message) = unencrypted(upstream)
                {
                    report.route(route, upstream.at, message);
                }
            }
            for server in subject.config.upstreams.values().flat_map(|group| &group.servers) {
                if let Some(message) = unencrypted(&server.upstream) {
                    report.gateway(server.upstream.at, message);
                }
            }
        },
    },
    Rule {
        id: "unverified_upstream",
        severity: Severity::High,
        owasp: UNSAFE_CONSUMPTION,
        title: "an upstream's certificate is not verified",
        why: "Anyone between the gateway and the upstream can pretend to be the upstream.",
        fix: "remove `insecure_skip_verify`, and give `ca` if the certificate is your own",
        look: |subject, report| {
            for route in &subject.routes {
                if let Some(upstream) = &route.config.upstream
                    && upstream.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify)
                {
                    report.route(route, upstream.at, "any certificate is accepted for this upstream");
                }
            }
            for server in subject.config.upstreams.values().flat_map(|group| &group.servers) {
                if server.upstream.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify) {
                    report.gateway(server.upstream.at, "any certificate is accepted for this server");
                }
            }
        },
    },
    Rule {
        id: "wide_network",
        severity: Severity::Medium,
        owasp: SSRF,
        title: "a very wide network is trusted",
        why: "Every host in it can forge the client's address, or can be reached by the gateway's own requests.",
        fix: "list single hosts or small networks",
        look: |subject, report| {
            for network in &subject.config.trusted_proxies {
                if is_wide(&network.value.0) {
                    report.gateway(
                        network.span,
                        format!("every host in {} can set the client's address", network.value.0),
                    );
                }
            }
            if let Some(outbound) = &subject.config.outbound {
                for network in outbound.allow.iter().filter(|network| is_wide(&network.0)) {
                    report.gateway(
                        outbound.at,
                        format!("the gateway itself may connect to all of {}", network.0),
                    );
                }
            }
        },
    },
    Rule {
        id: "no_access_log",
        severity: Severity::Medium,
        owasp: MISCONFIGURATION,
        title: "there is no access log",
        why: "You cannot find out later who did what, or why a request was rejected.",
        fix: "write `access_log: stdout`, or `access_log: { file: access.log }`",
        look: |subject, report| {
            if subject.config.access_log == AccessLogConfig::Off {
                report.gateway(subject.config.at, "requests are not logged");
            }
        },
    },
    Rule {
        id: "cors_wide",
        severity: Severity::Medium,
        owasp: MISCONFIGURATION,
        title: "pages of many origins may read answers",
        why: "A script on any of these pages reads what the person in front of the browser may see.",
        fix: "name the few origins that need it, with `https`, and leave `credentials` out where no cookie is needed",
        look: scope::cors_wide,
    },
    Rule {
        id: "open_below_protected",
        severity: Severity::Medium,
        owasp: BROKEN_FUNCTIONS,
        title: "what lies below a protected path is public",
        why: "The route protects its own path alone; a longer path goes to the public wildcard.",
        fix: "add a route for what lies below the path, such as `/admin/{*rest}`, or narrow the public one",
        look: scope::open_below_protected,
    },
    Rule {
        id: "role_of_nobody",
        severity: Severity::Medium,
        owasp: BROKEN_FUNCTIONS,
        title: "nobody has a role that the route asks for",
        why: "Every request is rejected, so a role was probably misspelt, here or at a consumer.",
        fix: "give a consumer one of the roles, or correct the name",
        look: scope::role_of_nobody,
    },
    Rule {
        id: "unused_profile",
        severity: Severity::Low,
        owasp: MISCONFIGURATION,
        title: "no route uses a security profile",
        why: "Its controls look configured, and do not run.",
        fix: "write `security: { use: NAME }` in the routes that it is for, or remove it",
        look: scope::unused_profile,
    },
    Rule {
        id: "admin_exposed",
        severity: Severity::Medium,
        owasp: MISCONFIGURATION,
        title: "others on the network can reach the admin listener",
        why: "With an operator's token, anyone who reaches it can block addresses and reload the configuration.",
        fix: "bind it to 127.0.0.1 and use a tunnel, or let a firewall allow only the operators' network",
        look: admin::exposed,
    },
    Rule {
        id: "admin_token_weak",
        severity: Severity::High,
        owasp: BROKEN_AUTHENTICATION,
        title: "a token of the admin listener can be guessed or read",
        why: "Its holder sees all traffic and, as an operator, changes what the gateway does.",
        fix: "make a new one: `openssl rand -hex 32 > admin.token && chmod 600 admin.token`",
        look: admin::weak_token,
    },
];

/// The sections that hold for a route: its own, its profile's, the gateway's.
pub(super) struct Effective<'a>([Option<&'a SecurityConfig>; 3]);

pub(super) fn effective<'a>(subject: &Subject<'a>, route: &RouteSubject<'a>) -> Effective<'a> {
    let profile = route.config.security.as_ref().and_then(|security| security.profile.as_ref());
    let profile = profile.and_then(|name| subject.config.security_profiles.get(&name.value));
    Effective([route.config.sections(), profile, subject.config.security.as_ref()])
}

impl<'a> Effective<'a> {
    pub(super) fn find<T>(&self, section: impl Fn(&'a SecurityConfig) -> Option<T>) -> Option<T> {
        self.0.iter().flatten().find_map(|security| section(security))
    }

    fn authentication(&self) -> Option<&'a portcullis_checks::authn::AuthenticationConfig> {
        self.find(|security| security.authentication.as_ref())
    }

    fn roles_allowed(&self) -> Option<Span> {
        self.find(|security| security.authorization.as_ref())?.roles_allowed.as_ref().map(|roles| roles.span)
    }

    fn rate_limiting(&self) -> &'a [portcullis_checks::quota::rate_limit::RateLimitConfig] {
        self.find(|security| security.rate_limiting.as_ref()).map_or(&[], |limits| &limits.0)
    }
}

/// Whether it bounds how many requests come over time, and not only how many at once.
fn limits_over_time(control: &portcullis_core::Control) -> bool {
    control.stage == "quota" && control.id != "quota.concurrency"
}

/// Whether the gateway answers the requests of a route, so that they reach nothing else.
fn answers_itself(route: &RouteSubject<'_>) -> bool {
    route.config.redirect.is_some() || route.config.respond.is_some()
}

/// The methods of a route that are meant to change something.
fn changes_something(route: &RouteSubject<'_>) -> Vec<&'static str> {
    if answers_itself(route) {
        return Vec::new();
    }
    let methods = &route.listing.route.methods;
    ["POST", "PUT", "PATCH", "DELETE"]
        .into_iter()
        .filter(|name| {
            http::Method::from_bytes(name.as_bytes()).is_ok_and(|method| methods.contains(&method))
        })
        .collect()
}

/// Every control that only observes: the route, where it is written, its stage and id.
fn each_observed(
    subject: &Subject<'_>,
    mut found: impl FnMut(&RouteSubject<'_>, Span, &'static str, &'static str),
) {
    for route in &subject.routes {
        let own = route.config.sections().map(|security| security.at);
        for control in route.listing.controls.iter().filter(|control| control.mode == Mode::Observe) {
            found(route, own.unwrap_or(route.config.path.span), control.stage, control.id);
        }
    }
}

/// Whether `host:port` is an address of this machine.
fn is_this_machine(server: &Upstream) -> bool {
    if server.socket.is_some() {
        return true;
    }
    let authority = server.authority.as_str();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a network is wider than any that one operator has: more than a private range of IPv4, or more than a provider's of
/// IPv6.
fn is_wide(network: &ipnet::IpNet) -> bool {
    match network {
        ipnet::IpNet::V4(network) => network.prefix_len() < 8,
        ipnet::IpNet::V6(network) => network.prefix_len() < 32,
    }
}
