//! Which header fields are removed, kept or guarded, from all that a configuration says of them.

use crate::document::{GatewayConfig, KeptHeader};
use http::HeaderName;
use http::header::COOKIE;
use portcullis_checks::Build;
use portcullis_config::{Context, Spanned};
use portcullis_core::head::FieldRules;
use portcullis_core::{CredentialLocation, Route};
use std::collections::BTreeSet;

/// What a configuration says of header fields, for a listing.
#[derive(Clone, Debug, Default)]
pub struct HeaderListing {
    /// Removed since the operator says so: names, and prefixes with `*`.
    pub removed: Vec<String>,
    /// Of other products, and not removed.
    pub kept: Vec<KeptHeader>,
}

/// Reads `request_headers` into the rules of `build`. `None` means that an error was pushed.
pub(super) fn configured(
    config: &GatewayConfig,
    build: &mut Build,
    cx: &mut Context,
) -> Option<HeaderListing> {
    let Some(headers) = &config.request_headers else { return Some(HeaderListing::default()) };
    let has_proxies = !config.trusted_proxies.is_empty();
    let kept = cx.at("request_headers", |cx| headers.compile(has_proxies, &mut build.fields, cx))?;
    let removed = headers.remove.iter().map(|name| name.value.to_ascii_lowercase()).collect();
    Some(HeaderListing { removed, kept })
}

/// The headers in which any route tells its upstream who sends a request.
pub(super) fn of_identity(routes: &[Route]) -> BTreeSet<String> {
    let shapes = routes.iter().flat_map(|route| &route.controls.shape);
    shapes.flat_map(|shape| shape.identity_fields()).map(|field| field.as_str().to_owned()).collect()
}

/// That a check reads no header that is gone before it: an error for each that does.
// SECURITY: a limit by such a header would be another limit than the one that was asked for
// (every_code_points_to_its_place_and_says_what_to_do).
pub(super) fn readable(identity_fields: &BTreeSet<String>, build: &Build, cx: &mut Context) {
    let mut of_gateway = build.fields.clone();
    identity_fields.iter().for_each(|field| of_gateway.set_by_gateway(field));
    for Spanned { value: field, span } in &build.read_fields {
        if build.fields.removes(field.as_str()) {
            cx.error(
                "config.reserved_field",
                *span,
                format!("`request_headers` removes the field `{field}` before it is read"),
            )
            .help("choose another field, or do not remove this one");
        } else if of_gateway.removes(field.as_str()) {
            cx.error(
                "config.reserved_field",
                *span,
                format!("the gateway removes the field `{field}` of clients before it is read"),
            )
            .help("choose a field that clients may send, or `consumer`");
        }
    }
}

/// The headers that OpenAPI documents declare and that do not go upstream as clients send them.
pub(super) fn judged_first(rules: &FieldRules, build: &Build) -> Vec<HeaderName> {
    let declared = build.declared_fields.iter().filter(|field| rules.removes(field));
    declared.filter_map(|field| HeaderName::from_bytes(field.as_bytes()).ok()).collect()
}

/// The rules, with all places where credentials are looked for. `None` means that an error was pushed.
pub(super) fn rules(
    config: &GatewayConfig,
    identity_fields: &BTreeSet<String>,
    credentials: &[CredentialLocation],
    build: &Build,
    cx: &mut Context,
) -> Option<FieldRules> {
    let mut rules = build.fields.clone();
    // SECURITY: from every client and on every route, since an upstream that trusts the header does not know which route a
    // request came by (an_identity_header_comes_from_the_gateway_alone).
    identity_fields.iter().for_each(|field| rules.set_by_gateway(field));
    let mut complete = true;
    let removes = config.request_headers.iter().flat_map(|headers| &headers.remove);
    for location in credentials {
        let field = match location {
            CredentialLocation::Header(field) => field.as_str(),
            CredentialLocation::Cookie(_) => COOKIE.as_str(),
            CredentialLocation::Query(_) => continue,
        };
        let removed = removes.clone().find(|name| name.value.eq_ignore_ascii_case(field));
        if let Some(name) = removed {
            cx.error("config.reserved_field", name.span, format!("an authentication method reads `{field}`"))
                .help("remove it here: credentials are never forwarded to upstreams");
            complete = false;
        }
        rules.credential(field);
    }
    complete.then_some(rules)
}
