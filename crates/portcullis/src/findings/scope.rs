//! Rules on what a control reaches: further than it should, less far than it looks, or nobody at all.

use super::rules::effective;
use super::{Report, Subject};
use portcullis_checks::mode::ModeConfig;

/// More origins than one application has.
const MANY_ORIGINS: usize = 10;

/// Pages of many origins, or of origins that anybody on the way can write, may read what is not public.
pub(super) fn cors_wide(subject: &Subject<'_>, report: &mut Report) {
    for route in &subject.routes {
        let Some(cors) = effective(subject, route).find(|security| security.cors.as_ref()) else { continue };
        let origins = &cors.origins.value.0;
        // Whoever may read a public route's answers can also ask for them without a browser.
        let protected = route.config.public.is_none() || cors.credentials;
        let plain = origins.iter().find(|origin| origin.starts_with("http://") && !is_loopback(origin));
        let with = if cors.credentials { ", with cookies" } else { "" };
        if protected && origins.iter().any(|origin| origin == "*") {
            report.route(route, cors.origins.span, "pages of every origin may read what this route answers");
        } else if protected && origins.len() > MANY_ORIGINS {
            let message =
                format!("pages of {} origins may read what this route answers{with}", origins.len());
            report.route(route, cors.origins.span, message);
        } else if let (true, Some(origin)) = (protected, plain) {
            let message =
                format!("{origin} is not encrypted, so anybody on the way can write its pages{with}");
            report.route(route, cors.origins.span, message);
        }
    }
}

fn is_loopback(origin: &str) -> bool {
    let host = origin.trim_start_matches("http://");
    ["localhost", "127.", "[::1]"].iter().any(|prefix| host.starts_with(prefix))
}

/// A public wildcard takes what lies below a protected path.
pub(super) fn open_below_protected(subject: &Subject<'_>, report: &mut Report) {
    let path = |index: usize| subject.routes.get(index).map_or("", |route| route.config.path.value.as_str());
    let wide = |index: usize| path(index).split_once("{*").map(|(before, _)| before.to_owned());
    for (number, route) in subject.routes.iter().enumerate() {
        if route.config.public.is_some() || wide(number).is_some() {
            continue;
        }
        let below = format!("{}/", path(number).trim_end_matches('/'));
        // The most specific wildcard is the one that takes it.
        let takes = (0..subject.routes.len())
            .filter(|other| wide(*other).is_some_and(|before| below.starts_with(&before)))
            .max_by_key(|other| path(*other).len());
        let Some(other) = takes.and_then(|other| subject.routes.get(other)) else { continue };
        if other.config.public.is_some() {
            let message =
                format!("what lies below this path goes to `{}`, which is public", other.config.path.value);
            report.route(route, route.config.path.span, message);
        }
    }
}

/// A route asks for roles, its methods know consumers alone, and no consumer has one of them.
pub(super) fn role_of_nobody(subject: &Subject<'_>, report: &mut Report) {
    let consumers = || subject.config.consumers.iter().flat_map(|consumer| &consumer.roles.value);
    for route in subject.routes.iter().filter(|route| route.config.public.is_none()) {
        let authorization = effective(subject, route).find(|security| security.authorization.as_ref());
        let Some(roles) = authorization.and_then(|authorization| authorization.roles_allowed.as_ref()) else {
            continue;
        };
        let mut methods = route.listing.controls.iter().filter(|control| control.stage == "authn").peekable();
        let known = methods.peek().is_some()
            && methods.all(|control| matches!(control.id, "authn.api_key" | "authn.basic" | "authn.mtls"));
        if known && !consumers().any(|held| roles.value.contains(held)) {
            report.route(route, roles.span, format!("no consumer has the role {}", roles.value.join(" or ")));
        }
    }
}

/// A public route inherits a limit by what only authentication tells.
pub(super) fn limit_by_address_instead(subject: &Subject<'_>, report: &mut Report) {
    for route in subject.routes.iter().filter(|route| route.config.public.is_some()) {
        let effective = effective(subject, route);
        let by_rate = effective
            .find(|security| security.rate_limiting.as_ref())
            .into_iter()
            .flat_map(|limits| limits.0.iter().map(|limit| (&limit.by, limit.mode)));
        let by_quota = effective
            .find(|security| security.quota.as_ref())
            .into_iter()
            .flat_map(|limits| limits.0.iter().map(|limit| (&limit.by, limit.mode)));
        let at_once = effective
            .find(|security| security.concurrency.as_ref())
            .into_iter()
            .flat_map(|limits| limits.0.iter().map(|limit| (&limit.by, limit.mode)));
        let mut all = by_rate.chain(by_quota).chain(at_once);
        if let Some((by, _)) = all.find(|(by, mode)| *mode != ModeConfig::Off && by.needs_authentication()) {
            let message = format!(
                "a limit for {} counts by address here, since nobody is authenticated",
                by.describe()
            );
            report.route(route, route.config.path.span, message);
        }
    }
}

/// A profile that no route names.
pub(super) fn unused_profile(subject: &Subject<'_>, report: &mut Report) {
    for (name, profile) in &subject.config.security_profiles {
        let used = subject.routes.iter().any(|route| {
            let own = route.config.security.as_ref().and_then(|security| security.profile.as_ref());
            own.is_some_and(|used| used.value == *name)
        });
        if !used {
            report.gateway(profile.at, format!("no route uses the profile `{name}`"));
        }
    }
}
