//! Recent refusals, and why a request was refused.

use super::frame::page;
use crate::endpoints::{Call, explained};
use crate::problem::Problem;
use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use serde_json::Value;

/// How many a page shows.
const SHOWN: usize = 100;

pub(crate) fn refusals(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let query = call.asked.request.uri().query().unwrap_or_default();
    let (mut id, mut code) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match &*name {
            "id" => id = value,
            "code" => code = value,
            _ => {}
        }
    }
    let recent = &call.gateway.watch().recent;
    let found = recent.last(SHOWN, |one| code.as_ref().is_none_or(|code| code == one.code.as_str()));
    let main = html! {
        form method="get" action="/refusals" class="search" role="search" {
            label for="id" { "Why was this request refused?" }
            input id="id" name="id" value=[id.as_deref()] placeholder="request id, 32 digits" autocomplete="off" spellcheck="false";
            button { "Find" }
        }
        @if let Some(id) = &id { (why(call, id)) }
        section {
            h2 { "Latest" @if let Some(code) = &code { " with the reason " code { (code) } } }
            @if code.is_some() { p { a href="/refusals" { "Show all reasons" } } }
            @if found.is_empty() {
                p class="empty" { "Nothing was refused yet since the start. Refused requests show here at once, each with its reason." }
            } @else {
                div class="wide" tabindex="0" role="region" aria-label="Latest refusals" { table class="stack" role="table" {
                    thead role="rowgroup" { tr role="row" {
                        th scope="col" role="columnheader" { "Time" } th scope="col" role="columnheader" { "Reason" } th scope="col" role="columnheader" { "Status" }
                        th scope="col" role="columnheader" { "Request" } th scope="col" role="columnheader" { "Client" } th scope="col" role="columnheader" { "Consumer" }
                    } }
                    tbody role="rowgroup" {
                        @for one in &found {
                            @let record = explained(call.gateway.as_ref(), one);
                            tr role="row" {
                                td role="cell" class="time" { a href={ "/refusals?id=" (one.id) } { (super::frame::time(one.at.as_secs())) } }
                                td role="cell" { code { (one.code.as_str()) } @if one.observed { " " span class="tag" { "observed" } } }
                                td role="cell" class="number" { (text(&record, "status")) }
                                td role="cell" class="long" { (text(&record, "method")) " " (text(&record, "path")) }
                                td role="cell" { (text(&record, "client")) }
                                td role="cell" class="long" { (text(&record, "consumer")) }
                            }
                        }
                    }
                } }
            }
        }
    };
    Ok(page(call, "/refusals", "Refusals", id.is_none(), &main))
}

/// A member of a record as text.
fn text(record: &Value, name: &str) -> String {
    match record.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn why(call: &Call<'_>, id: &str) -> Markup {
    let Some(found) = call.gateway.watch().recent.find(id) else {
        return html! {
            p class="problem" role="status" { "No recent refusal has the request id " code { (id) } ". Older ones are in the access log." }
        };
    };
    let record = explained(call.gateway.as_ref(), &found);
    let reasons: Vec<&Value> = record
        .get("denied")
        .into_iter()
        .chain(record.get("observed").and_then(Value::as_array).into_iter().flatten())
        .collect();
    html! {
        section class="why" aria-label="Why" {
            h2 { "Why " code { (id) } " was refused" }
            p { strong { (found.code.as_str()) } ": " (text(&record, "meaning")) }
            @for reason in reasons {
                p { (text(reason, "detail")) @if reason.get("check").is_some() { " (by " code { (text(reason, "check")) } ")" } }
            }
            dl class="facts" {
                @for name in ["time", "method", "host", "path", "route", "client", "peer", "consumer", "issuer", "subject", "authenticated_by", "outcome", "status", "elapsed_us", "upstream", "upstream_status"] {
                    @if !text(&record, name).is_empty() { div { dt { (name) } dd { (text(&record, name)) } } }
                }
            }
        }
    }
}
