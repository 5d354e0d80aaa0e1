//! `portcullis headers`: the request headers that are always removed, by the product whose they are.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{FAINT, STRONG, print};
use portcullis::foreign::{OF_CLIENTS, PRODUCTS};
use std::fmt::Write;

pub(crate) fn run(markdown: bool) -> Outcome {
    print(if markdown { table() } else { list() });
    Ok(Exit::Well)
}

fn list() -> String {
    let mut text = String::new();
    for product in PRODUCTS {
        let _ = writeln!(text, "{STRONG}{}{STRONG:#}", product.name);
        for (says, names) in product.headers {
            let _ = writeln!(text, "  {FAINT}{}{FAINT:#}  {}", says.as_str(), names.join(" "));
        }
    }
    text
}

fn table() -> String {
    let mut text = String::from(
        "# Request headers that are removed\n\n\
         A backend that was set up for another product trusts the headers with which that product's proxy says who the client\n\
         is, or what was decided already. A client can send them too. So they are removed from every request, on every route,\n\
         together with other spellings such as `remote_user` and `remote.user`, which many backends take\n\
         for the same name. `X-Consumer-*` and `X-Request-ID` are the gateway's own, and `X-Forwarded-For`, `-Proto` and\n\
         `-Host` are set anew for each request.\n\n\
         - **One more, or all that begin alike:** `request_headers: { remove: [x-debug, \"x-acme-*\"] }`.\n\
         - **A proxy in front of the gateway sets one that the backend needs:** `request_headers: { keep_from_trusted_proxies:\n  \
           [{ name: cf-ipcountry, reason: \"prices depend on the country\" }] }`. Only `trusted_proxies` can then send it.\n\
         - **Your own clients send one:** `request_headers: { insecure_keep: [{ name: x-user, reason: \"why\" }] }`.\n\
         - **A method of authentication reads one**, such as `Cf-Access-Jwt-Assertion`: name it there. It stays until it was\n  \
           judged, and is then removed.\n\n\
         `portcullis check` lists what a configuration adds and keeps.\n\n\
         ## Other methods by header\n\n\
         `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override` ask a framework to treat a POST as another method.\n\
         Passed on, they would make it do what the gateway did not judge: a route that allows POST alone would take a DELETE.\n\
         By default they are removed and the request stays a POST. For clients that cannot send PUT, PATCH or DELETE, write\n\
         `request_headers: { method_override: apply }`: the POST becomes that method, is routed and judged as it, and goes\n\
         upstream as it. A field `_method` in a form or query is not removed; restrict such parameters with an OpenAPI\n\
         document, or switch the feature off in the framework.\n\n\
         ## What stays\n\n\
         What clients send as a credential (`X-Auth-Token`, `X-Access-Token`, `X-Vault-Token`), for signatures\n\
         (`X-Amz-*`), for tracing (`Traceparent`, `X-B3-*`, `X-Amzn-Trace-Id`) or as a parameter (`X-Tenant-ID`, `X-User-Id`)\n\
         is not removed. If your backend trusts such a header without proof, add it under `request_headers.remove`.\n\n\
         ## The list\n\n\
         `*` stands for any end.\n\n\
         | product | says | headers |\n|---|---|---|\n",
    );
    for product in PRODUCTS {
        for (says, names) in product.headers {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let _ = writeln!(text, "| {} | {} | {} |", product.name, says.as_str(), names.join(", "));
        }
    }
    let kept: Vec<String> = OF_CLIENTS.iter().map(|name| format!("`{name}`")).collect();
    let _ = writeln!(text, "\nNot removed, although a prefix above covers it: {}.", kept.join(", "));
    text
}
