//! What is valid and most likely not meant: roles that nobody has, and consumers without a credential.

use crate::document::{GatewayConfig, RouteConfig};
use portcullis_checks::authz::AuthorizationConfig;
use portcullis_checks::{Build, SecurityConfig};
use portcullis_config::{Context, Secret, Span, suggest};
use std::time::{SystemTime, UNIX_EPOCH};

/// Warns of roles in `own` that nobody has. `under` is the gateway's section where `own` is a route's.
pub(super) fn roles(
    own: Option<&SecurityConfig>,
    under: Option<&SecurityConfig>,
    build: &Build,
    cx: &mut Context,
) {
    shared_roles(own, under, cx);
    exchanged_tokens(own, under, cx);
    let Some(authorization) = own.and_then(|security| security.authorization.as_ref()) else { return };
    let knows = own.and_then(SecurityConfig::knows_consumers);
    match knows.or_else(|| under.and_then(SecurityConfig::knows_consumers)) {
        Some(true) => roles_of_consumers(authorization, build, cx),
        Some(false) => {
            cx.warning(
                "config.keys_without_roles",
                authorization.at,
                "every request is rejected: keys listed under `authentication` have no roles",
            )
            .help("list the keys under `consumers`, each with its roles");
        }
        None => {}
    }
}

/// Refuses an exchange of tokens where requests may come without one, or where something else is sent in its place. `under` is
/// the gateway's section where `own` is a route's.
// SECURITY: a control that would never run does not load (every_code_points_to_its_place_and_says_what_to_do).
fn exchanged_tokens(own: Option<&SecurityConfig>, under: Option<&SecurityConfig>, cx: &mut Context) {
    fn of<'a, T>(
        own: Option<&'a SecurityConfig>,
        under: Option<&'a SecurityConfig>,
        section: fn(&SecurityConfig) -> Option<&T>,
    ) -> Option<&'a T> {
        own.and_then(section).or_else(|| under.and_then(section))
    }
    // What a route inherits as a whole was judged there.
    let says = |own: &SecurityConfig| {
        own.token_exchange.is_some() || own.upstream_token.is_some() || own.authentication.is_some()
    };
    if !own.is_some_and(says) {
        return;
    }
    let Some(exchange) = of(own, under, |security| security.token_exchange.as_ref()) else { return };
    if let Some(other) = of(own, under, |security| security.upstream_token.as_ref()) {
        cx.error(
            "config.two_upstream_tokens",
            exchange.at,
            "`token_exchange` and `upstream_token` both set the upstream's `Authorization`",
        )
        .related(other.at, "the gateway's own token")
        .help("keep one of the two: `token_exchange` acts for the caller, `upstream_token` for the gateway itself");
    }
    let authentication = of(own, under, |security| security.authentication.as_ref());
    if let Some(authentication) = authentication.filter(|authentication| !authentication.brings_token()) {
        cx.error(
            "config.no_token_to_exchange",
            exchange.at,
            "requests can be accepted here without a token, and then nothing could be exchanged",
        )
        .related(authentication.at, "by these methods")
        .help("let every method under `any` take a token (`type: jwt` or `type: OAuth2`), or move the route's `token_exchange` to a route of its own");
    }
}

/// Warns where two issuers give the roles that are asked for, without a word on whose are meant.
fn shared_roles(own: Option<&SecurityConfig>, under: Option<&SecurityConfig>, cx: &mut Context) {
    let authentication = |security: &SecurityConfig| security.authentication.clone();
    let roles = |security: &SecurityConfig| {
        security.authorization.as_ref().and_then(|authorization| authorization.roles_allowed.clone())
    };
    let says = own.is_some_and(|own| authentication(own).is_some() || own.authorization.is_some());
    let asked = match own.and_then(|own| own.authorization.as_ref()) {
        Some(_) => own.and_then(roles),
        None => under.and_then(roles),
    };
    let methods = own.and_then(authentication).or_else(|| under.and_then(authentication));
    // What a section inherits as a whole was warned of there.
    if let (true, Some(asked), Some(methods)) = (says, asked, methods)
        && let Some((one, other)) = methods.shared_roles()
    {
        cx.warning(
            "config.shared_roles",
            asked.span,
            format!("both `{one}` and `{other}` can grant these roles to their users"),
        )
        .help("give one of the two methods a `roles_prefix`, such as `partner:`, and list the roles that you mean, such as `partner:admin`");
    }
}

fn roles_of_consumers(authorization: &AuthorizationConfig, build: &Build, cx: &mut Context) {
    let Some(allowed) = &authorization.roles_allowed else { return };
    // Who has which roles in the store is not known here.
    if build.has_key_store {
        return;
    }
    for role in allowed.value.iter().filter(|role| !role.trim().is_empty()) {
        if build.consumers.iter().any(|consumer| consumer.roles.contains(role)) {
            continue;
        }
        let held = build.consumers.iter().flat_map(|consumer| consumer.roles.iter().map(String::as_str));
        let closest = suggest::closest(role, held).map(|closest| format!("did you mean `{closest}`?"));
        let warning =
            cx.warning("config.role_nobody_has", allowed.span, format!("no consumer has the role `{role}`"));
        warning.help("give it to a consumer under `roles`, or remove it here");
        if let Some(closest) = closest {
            warning.label(closest);
        }
    }
}

/// Warns of a gateway that knows consumers by credentials, of which there is none.
pub(super) fn missing_keys(config: &GatewayConfig, build: &Build, cx: &mut Context) {
    let sections = config.security.iter().chain(config.security_profiles.values());
    let relies_on_consumers = sections.chain(config.routes.iter().filter_map(RouteConfig::sections));
    if build.keys.is_empty()
        && !build.has_key_store
        && build.users.is_empty()
        && build.certificates.is_empty()
        && relies_on_consumers.into_iter().any(|security| security.knows_consumers() == Some(true))
    {
        cx.warning("config.no_keys", config.at, "no consumer has a key, so every request is rejected")
            .help("add `consumers: [{ name: alice, keys: [{ env: ALICE_API_KEY }] }]`");
    }
}

/// Warns of keys that no request can use any more.
pub(super) fn expired_keys(config: &GatewayConfig, cx: &mut Context) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for key in config.consumers.iter().flat_map(|consumer| &consumer.keys) {
        if key.expires.is_some_and(|expires| expires <= now) {
            cx.warning(
                "config.key_expired",
                key.at,
                "this key has expired, so requests with it are rejected",
            )
            .help("remove it, or write a later `expires`");
        }
    }
}

/// The shortest pepper that is not worth a word.
const GOOD_PEPPER_BYTES: usize = 16;

/// Warns of a pepper that can be guessed together with a key.
pub(crate) fn short_pepper(pepper: &Secret, at: Span, cx: &mut Context) {
    if pepper.expose().len() < GOOD_PEPPER_BYTES {
        cx.warning(
            "config.short_pepper",
            at,
            format!("a pepper of fewer than {GOOD_PEPPER_BYTES} bytes can be guessed"),
        )
        .help("make one with `openssl rand -hex 32`, and hash the keys anew");
    }
}

/// Warns of a protected path that ends with a slash where what is below it is open: elsewhere such a path is a prefix.
pub(super) fn open_below(config: &GatewayConfig, cx: &mut Context) {
    let prefix = |path: &str| path.split_once("{*").map(|(prefix, _)| prefix.to_owned());
    for route in config.routes.iter().filter(|route| route.public.is_none()) {
        let path = &route.path.value;
        if path.len() < 2 || !path.ends_with('/') {
            continue;
        }
        let is_closed = config.routes.iter().any(|other| prefix(&other.path.value).as_ref() == Some(path));
        let open = config.routes.iter().find(|other| {
            let covers = prefix(&other.path.value).is_some_and(|prefix| path.starts_with(&prefix));
            other.public.is_some()
                && covers
                && (other.hosts.is_empty() || route.hosts.is_empty() || shares_host(other, route))
        });
        if let Some(open) = open.filter(|_| !is_closed) {
            cx.warning("config.open_below", route.path.span, format!("only `{path}` itself is protected: the paths below it are public"))
                .related(open.path.span, "by this route")
                .help(format!("add a route for `{path}{{*rest}}`, or write the path without its slash if nothing is below it"));
        }
    }
}

fn shares_host(one: &RouteConfig, other: &RouteConfig) -> bool {
    one.hosts.iter().any(|host| other.hosts.iter().any(|other| host.value.eq_ignore_ascii_case(&other.value)))
}
