//! Everything that the admin listener serves: one table, from which the dispatch, the access rules and the OpenAPI document come.
//!
//! | file     | has                                                        |
//! |----------|------------------------------------------------------------|
//! | `tells`  | answers about the running gateway                           |
//! | `orders` | what an operator orders                                     |
//! | `body`   | the body of an order                                        |

mod body;
mod orders;
mod tells;

pub(crate) use body::object;
pub(crate) use orders::{by, order_block, unblock};
pub(crate) use tells::{explained, finding, standing};
pub use tells::{operations_json, why};

use crate::desk;
use crate::gateway::Gateway;
use crate::guard::Caller;
use crate::once::Once;
use crate::pages;
use crate::problem::Problem;
use crate::server::Asked;
use crate::tokens::Role;
use bytes::Bytes;
use http::Response;
use orders::{block, reload, set_log_level};
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;
use tells::{
    audit, counters, detectors, findings, healthz, history, log_level, metrics, readyz, refusals, sources,
};

/// What is asked or ordered.
pub(crate) struct Call<'a> {
    pub(crate) gateway: &'a Arc<dyn Gateway>,
    pub(crate) asked: &'a Asked,
    /// What stands in the place of `{…}` in the path.
    pub(crate) parameter: Option<&'a str>,
    /// Who asks; `None` where nobody has to say.
    pub(crate) caller: Option<&'a Caller>,
    /// What a page may show once.
    pub(crate) once: &'a Once,
}

/// How an endpoint answers.
pub(crate) enum Does {
    /// With JSON, from what is known.
    Tells(fn(&Call<'_>) -> Result<Value, Problem>),
    /// With JSON, after something was done or asked elsewhere.
    Orders(for<'a> fn(&'a Call<'a>) -> Later<'a, Value>),
    /// With something else: a page, a style sheet, metrics.
    Shows(fn(&Call<'_>) -> Result<Response<Bytes>, Problem>),
    /// With such a thing, after something was done or asked elsewhere.
    ShowsLater(for<'a> fn(&'a Call<'a>) -> Later<'a, Response<Bytes>>),
}

/// An answer that comes later.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// An endpoint.
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    /// At most one segment is `{…}`.
    pub(crate) path: &'static str,
    /// What the caller must be; `None` where anybody may ask.
    pub(crate) role: Option<Role>,
    pub(crate) summary: &'static str,
    pub(crate) does: Does,
}

const fn endpoint(
    method: &'static str,
    path: &'static str,
    role: Option<Role>,
    summary: &'static str,
    does: Does,
) -> Endpoint {
    Endpoint { method, path, role, summary, does }
}

const ANYBODY: Option<Role> = None;
const READ: Option<Role> = Some(Role::ReadOnly);
const OPERATE: Option<Role> = Some(Role::Operator);

pub(crate) const METRICS: &str = "/metrics";

/// All of them.
pub(crate) static ENDPOINTS: &[Endpoint] = &[
    endpoint("GET", "/healthz", ANYBODY, "Whether the process answers.", Does::Shows(healthz)),
    endpoint(
        "GET",
        "/readyz",
        ANYBODY,
        "Whether the gateway serves requests (503 if not).",
        Does::Shows(readyz),
    ),
    endpoint(
        "GET",
        "/openapi.json",
        ANYBODY,
        "This description.",
        Does::Tells(|_| Ok(crate::openapi::document())),
    ),
    endpoint("GET", METRICS, READ, "Metrics in the text format of Prometheus.", Does::Shows(metrics)),
    endpoint(
        "GET",
        "/api/v1/status",
        READ,
        "The running configuration: generation, digest, addresses, last failed reload.",
        Does::Tells(|call| Ok(call.gateway.status())),
    ),
    endpoint(
        "GET",
        "/api/v1/configuration",
        READ,
        "The configuration as it took effect, without secrets.",
        Does::Tells(|call| Ok(call.gateway.configuration())),
    ),
    endpoint(
        "GET",
        "/api/v1/routes",
        READ,
        "The routes, each with its controls in the order in which they run.",
        Does::Tells(|call| Ok(json!({ "routes": call.gateway.routes() }))),
    ),
    endpoint(
        "GET",
        "/api/v1/operations",
        READ,
        "The operations of OpenAPI documents: used, never used, deprecated and still used, and asked for without being declared.",
        Does::Tells(|call| Ok(operations_json(&call.gateway.operations()))),
    ),
    endpoint(
        "GET",
        "/api/v1/consumers",
        READ,
        "The consumers of the configuration and of the store.",
        Does::Orders(|call| Box::pin(desk::list_consumers(call))),
    ),
    endpoint(
        "POST",
        "/api/v1/consumers",
        OPERATE,
        "Add a consumer to the store. Body: `name`, `roles`, `scopes`, `plan`, `note`.",
        Does::Orders(|call| Box::pin(desk::create_consumer(call))),
    ),
    endpoint(
        "DELETE",
        "/api/v1/consumers",
        OPERATE,
        "Remove a consumer from the store, and revoke its keys. Query: `name`.",
        Does::Orders(|call| Box::pin(desk::delete_consumer(call))),
    ),
    endpoint(
        "GET",
        "/api/v1/keys",
        READ,
        "The keys of the store, without the keys themselves. Query: `consumer`, `limit` (100), `after` (the last `id`).",
        Does::Orders(|call| Box::pin(desk::list_keys(call))),
    ),
    endpoint(
        "POST",
        "/api/v1/keys",
        OPERATE,
        "Make a key; the answer alone has it. Body: `consumer`, `expires`, `roles`, `scopes`, `plan`, `addresses`, `routes`, `note`.",
        Does::Orders(|call| Box::pin(desk::create_key(call))),
    ),
    endpoint(
        "GET",
        "/api/v1/keys/{id}",
        READ,
        "What the store knows of a key.",
        Does::Orders(|call| Box::pin(desk::show_key(call))),
    ),
    endpoint(
        "DELETE",
        "/api/v1/keys/{id}",
        OPERATE,
        "Revoke a key.",
        Does::Orders(|call| Box::pin(desk::revoke_key(call))),
    ),
    endpoint(
        "POST",
        "/api/v1/keys/{id}/rotate",
        OPERATE,
        "Make a key in the place of this one. Body: `overlap` (`24h`), `expires`.",
        Does::Orders(|call| Box::pin(desk::rotate_key(call))),
    ),
    endpoint(
        "GET",
        "/api/v1/upstreams",
        READ,
        "The groups of upstreams, with the state of each server.",
        Does::Tells(|call| Ok(json!({ "upstreams": call.gateway.upstreams() }))),
    ),
    endpoint(
        "GET",
        "/api/v1/certificates",
        READ,
        "The certificates of the listeners.",
        Does::Tells(|call| Ok(json!({ "certificates": call.gateway.certificates() }))),
    ),
    endpoint(
        "GET",
        "/api/v1/counters",
        READ,
        "Requests since the start, by route and by consumer.",
        Does::Tells(|call| Ok(counters(call.gateway.as_ref()))),
    ),
    endpoint(
        "GET",
        "/api/v1/history",
        READ,
        "Requests of the last hour, in steps of five seconds.",
        Does::Tells(|call| Ok(history(call.gateway.as_ref()))),
    ),
    endpoint(
        "GET",
        "/api/v1/sources",
        READ,
        "The addresses that send most, estimated.",
        Does::Tells(|call| Ok(sources(call.gateway.as_ref()))),
    ),
    endpoint(
        "GET",
        "/api/v1/refusals",
        READ,
        "Recent refusals, the latest first. Query: `limit` (100), `code`.",
        Does::Tells(refusals),
    ),
    endpoint(
        "GET",
        "/api/v1/refusals/{request_id}",
        READ,
        "Why this request was refused.",
        Does::Tells(|call| why(call.gateway.as_ref(), call.parameter.unwrap_or_default())),
    ),
    endpoint(
        "GET",
        "/api/v1/findings",
        READ,
        "Suspicious activity, the latest first, with its evidence. Query: `limit` (100), `open`, `detector`, `severity`.",
        Does::Tells(findings),
    ),
    endpoint(
        "GET",
        "/api/v1/findings/{id}",
        READ,
        "One finding.",
        Does::Tells(|call| {
            let id = call.parameter.unwrap_or_default();
            finding(call, id).map(|finding| json!(finding))
        }),
    ),
    endpoint(
        "GET",
        "/api/v1/detectors",
        READ,
        "The detectors: what each of them finds, and from when on.",
        Does::Tells(|_| Ok(detectors())),
    ),
    endpoint(
        "GET",
        "/api/v1/blocks",
        READ,
        "The addresses that are blocked, and consumers at an address.",
        Does::Tells(|call| Ok(json!({ "blocks": call.gateway.blocks() }))),
    ),
    endpoint(
        "POST",
        "/api/v1/blocks",
        OPERATE,
        "Block an address. Body: `source`, `minutes` (60), `reason`.",
        Does::Tells(block),
    ),
    endpoint(
        "DELETE",
        "/api/v1/blocks/{source}",
        OPERATE,
        "End a block.",
        Does::Tells(|call| unblock(call, call.parameter.unwrap_or_default())),
    ),
    endpoint(
        "GET",
        "/api/v1/log-level",
        READ,
        "Which notices reach standard error and the access log: `info` and above, `warning`, or `off`.",
        Does::Tells(|call| Ok(log_level(call))),
    ),
    endpoint(
        "PUT",
        "/api/v1/log-level",
        OPERATE,
        "Change that until the process ends. Body: `level`.",
        Does::Tells(set_log_level),
    ),
    endpoint(
        "GET",
        "/api/v1/audit",
        READ,
        "The last checkpoint of the audit log, for `portcullis audit verify --head` (404 without an audit log).",
        Does::Tells(audit),
    ),
    endpoint(
        "POST",
        "/api/v1/reload",
        OPERATE,
        "Read the configuration file again (409 if that fails).",
        Does::Orders(|call| Box::pin(reload(call))),
    ),
    endpoint("GET", "/", READ, "The dashboard.", Does::Shows(pages::overview)),
    endpoint(
        "GET",
        "/refusals",
        READ,
        "Recent refusals, and why a request was refused.",
        Does::Shows(pages::refusals),
    ),
    endpoint(
        "GET",
        "/findings",
        READ,
        "Suspicious activity with its evidence.",
        Does::Shows(pages::findings),
    ),
    endpoint("GET", "/sources", READ, "Addresses and blocks.", Does::Shows(pages::sources)),
    endpoint(
        "GET",
        "/consumers",
        READ,
        "Consumers.",
        Does::ShowsLater(|call| Box::pin(pages::consumers(call))),
    ),
    endpoint(
        "POST",
        "/consumers/add",
        OPERATE,
        "Add a consumer, from a page.",
        Does::ShowsLater(|call| Box::pin(pages::add_consumer(call))),
    ),
    endpoint(
        "POST",
        "/consumers/remove",
        OPERATE,
        "Remove a consumer, from a page.",
        Does::ShowsLater(|call| Box::pin(pages::remove_consumer(call))),
    ),
    endpoint("GET", "/keys", READ, "Keys.", Does::ShowsLater(|call| Box::pin(pages::keys(call)))),
    endpoint(
        "POST",
        "/keys/create",
        OPERATE,
        "Make a key, from a page.",
        Does::ShowsLater(|call| Box::pin(pages::create_key(call))),
    ),
    endpoint(
        "GET",
        "/keys/made",
        OPERATE,
        "The key that was made a moment ago, once.",
        Does::Shows(pages::made_key),
    ),
    endpoint(
        "POST",
        "/keys/rotate",
        OPERATE,
        "Make a key in the place of another one, from a page.",
        Does::ShowsLater(|call| Box::pin(pages::rotate_key(call))),
    ),
    endpoint(
        "POST",
        "/keys/revoke",
        OPERATE,
        "Revoke a key, from a page.",
        Does::ShowsLater(|call| Box::pin(pages::revoke_key(call))),
    ),
    endpoint("GET", "/routes", READ, "Routes and controls.", Does::Shows(pages::routes)),
    endpoint(
        "GET",
        "/operations",
        READ,
        "Operations of OpenAPI documents, and what is asked for beside them.",
        Does::Shows(pages::operations),
    ),
    endpoint(
        "GET",
        "/gateway",
        READ,
        "Configuration, listeners, certificates, upstreams.",
        Does::Shows(pages::gateway),
    ),
    endpoint("POST", "/sources/block", OPERATE, "Block an address, from a page.", Does::Shows(pages::block)),
    endpoint("POST", "/sources/unblock", OPERATE, "End a block, from a page.", Does::Shows(pages::unblock)),
    endpoint(
        "GET",
        "/assets/style.css",
        ANYBODY,
        "The style sheet of the dashboard.",
        Does::Shows(pages::style),
    ),
    endpoint("GET", "/assets/icon.svg", ANYBODY, "The picture of a tab.", Does::Shows(pages::icon)),
    endpoint(
        "GET",
        "/assets/live.js",
        ANYBODY,
        "The script that keeps a page up to date.",
        Does::Shows(pages::script),
    ),
];
