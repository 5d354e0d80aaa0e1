//! Which header fields are removed, kept or guarded, from all that a configuration says of them.

use crate::document::{GatewayConfig, KeptHeader};
use portcullis_checks::Build;
use portcullis_config::Context;
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
        let CredentialLocation::Header(field) = location else { continue };
        let removed = removes.clone().find(|name| name.value.eq_ignore_ascii_case(field.as_str()));
        if let Some(name) = removed {
            cx.error("config.reserved_field", name.span, format!("an authentication method reads `{field}`"))
                .help("remove it here: credentials are never forwarded to upstreams");
            complete = false;
        }
        rules.credential(field.as_str());
    }
    complete.then_some(rules)
}
