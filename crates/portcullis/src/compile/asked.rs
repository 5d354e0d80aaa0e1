//! Whether the gateway may connect to the servers that it will ask itself.
//!
//! The rules of `outbound` are enforced at each connection, on the address that is connected to. An address that is written in the
//! configuration is known before, so a URL that fails every time is a warning. It is no error, since the rest of the gateway works
//! without this server. What a name resolves to is not known here.

use crate::document::{GatewayConfig, OutboundConfig};
use http::Uri;
use portcullis_config::{Context, Spanned};
use portcullis_runtime::OutboundPolicy;
use portcullis_runtime::fetch::AddressGuard;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Warns of URLs whose address `outbound` does not allow. `asked` are those of sections and methods.
pub(super) fn judge(
    config: &GatewayConfig,
    asked: Vec<Spanned<String>>,
    outbound: &OutboundPolicy,
    cx: &mut Context,
) {
    let guard = AddressGuard::new(outbound.allowed.clone());
    let mut all = asked;
    all.extend(config.tracing.as_ref().map(|tracing| tracing.otlp.clone()));
    all.extend(config.metrics.as_ref().and_then(|metrics| metrics.otlp.clone()));
    all.extend(config.detection.iter().filter_map(|detection| Some(detection.webhook.as_ref()?.url.clone())));
    let listeners = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    all.extend(listeners.filter_map(|tls| tls.acme.as_ref()?.directory.clone()));
    // A section that many routes inherit is compiled for each.
    all.sort_by(|one, other| (one.span, &one.value).cmp(&(other.span, &other.value)));
    all.dedup_by(|one, other| one.span == other.span && one.value == other.value);
    for url in all {
        let Some(address) = refused(&url.value, &guard) else { continue };
        let problem = cx.warning(
            "config.outbound_refuses",
            url.span,
            format!("the gateway may not connect to {address}: it is not a public address"),
        );
        problem
            .help(format!("write `outbound: {{ allow: [{address}] }}` at the top if this server is meant"));
        if let Some(OutboundConfig { at, .. }) = &config.outbound {
            problem.related(*at, "what is allowed");
        }
    }
}

/// The address in a URL, if the gateway may not connect to it.
fn refused(url: &str, guard: &AddressGuard) -> Option<IpAddr> {
    let url = url.trim().parse::<Uri>().ok()?;
    let host = url.host()?.trim_matches(['[', ']']);
    if host.eq_ignore_ascii_case("localhost") {
        let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let allowed = both.iter().any(|address| guard.allows(*address));
        return (!allowed).then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    host.parse::<IpAddr>().ok().filter(|address| !guard.allows(*address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_written_is_known_before_the_first_request() {
        let guard = AddressGuard::new(vec!["10.1.0.0/16".parse().unwrap(), "::1/128".parse().unwrap()]);
        for url in [
            "https://127.0.0.1:8443/realms/a",
            "http://127.0.0.1:4318",
            "https://10.2.0.1/",
            "https://169.254.169.254/latest",
            "https://[fd00::1]:8443/",
            "https://[::ffff:127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
        ] {
            assert!(refused(url, &guard).is_some(), "{url}");
        }
        for url in [
            "https://10.1.2.3/realms/a",
            "https://[::1]:8443/",
            "http://localhost:4318",
            "https://1.1.1.1/",
            "https://[2606:4700::1111]/",
            "https://login.example.com/",
            "https://internal/",
            "not a url",
            "https://login.microsoftonline.com/{tenant}/v2.0",
        ] {
            assert_eq!(refused(url, &guard), None, "{url}");
        }
        assert!(refused("http://LOCALHOST:4318/v1", &AddressGuard::default()).is_some());
    }
}
