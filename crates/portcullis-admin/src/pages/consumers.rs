//! Consumers: those of the configuration and of the store, and what they send.

use super::frame::{csrf, field, may_operate, page, to};
use crate::desk;
use crate::endpoints::Call;
use crate::problem::Problem;
use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use portcullis_keys::Consumer;
use portcullis_keys::model::now;
use portcullis_telemetry::metrics::counted::Ending;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What is known of a consumer.
#[derive(Default)]
struct Row {
    /// Where it stands; empty for one that sent requests and is in neither place any more.
    place: &'static str,
    roles: Vec<String>,
    scopes: Vec<String>,
    plan: Option<String>,
    note: String,
    counts: BTreeMap<Ending, u64>,
}

impl Row {
    fn count(&self, ending: Ending) -> u64 {
        self.counts.get(&ending).copied().unwrap_or(0)
    }
}

fn rows(call: &Call<'_>, stored: Vec<Consumer>) -> Vec<(String, Row)> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for one in call.gateway.consumers() {
        let row = Row { place: "configuration", roles: one.roles, scopes: one.scopes, ..Row::default() };
        rows.insert(one.name, row);
    }
    for Consumer { name, roles, scopes, plan, note, .. } in stored {
        let scopes = scopes.unwrap_or_default();
        rows.insert(name, Row { place: "store", roles, scopes, plan, note, ..Row::default() });
    }
    let metrics = &call.gateway.watch().metrics;
    for ((consumer, ending), count) in metrics.total().consumers {
        let row = rows.entry(metrics.consumer(consumer).to_string()).or_default();
        *row.counts.entry(ending).or_default() += count;
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(name, row)| (Reverse(row.counts.values().sum::<u64>()), name.clone()));
    rows
}

pub(crate) async fn consumers(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let has_store = call.gateway.desk().is_some();
    let stored = match has_store {
        true => desk::ask(call.gateway, |desk| desk.consumers()).await,
        false => Ok(Vec::new()),
    };
    let (stored, failed) = match stored {
        Ok(stored) => (stored, None),
        // What the configuration says is worth showing without the store.
        Err(problem) => (Vec::new(), Some(problem.detail)),
    };
    let rows = rows(call, stored);
    let main = html! {
        @if let Some(why) = &failed { p class="problem" role="status" { "Consumers of the store are missing here: " (why) } }
        p class="hint" { "Requests since the start. The busiest consumers come first." }
        @if rows.is_empty() {
            p class="empty" {
                "There are no consumers, and nobody has sent a request yet. "
                @if has_store { "Add the first one below." } @else { "Add some under " code { "consumers" } " in the configuration." }
            }
        } @else {
            (table(call, &rows, has_store))
        }
        @if has_store { (add_form(call)) } @else {
            p class="hint" { "To add consumers here, name a store in the configuration: " code { "store: { keys: { sqlite: portcullis.db } }" } "." }
        }
    };
    Ok(page(call, "/consumers", "Consumers", false, &main))
}

fn table(call: &Call<'_>, rows: &[(String, Row)], has_store: bool) -> Markup {
    html! {
        div class="wide" tabindex="0" role="region" aria-label="Consumers" { table {
            thead { tr {
                th scope="col" { "Consumer" } th scope="col" class="minor" { "Defined in" } th scope="col" { "Roles" } th scope="col" class="minor" { "Scopes" }
                th scope="col" class="minor" { "Plan" } th scope="col" class="number" { "Served" } th scope="col" class="number" { "Refused" }
                th scope="col" class="number" { "Failed" } th scope="col" { "Note" }
                @if has_store { th scope="col" { "Action" } }
            } }
            tbody {
                @for (name, row) in rows {
                    tr {
                        th scope="row" { (name) }
                        td class="minor" { (if row.place.is_empty() { "–" } else { row.place }) }
                        td { (row.roles.join(", ")) }
                        td class="minor" { (row.scopes.join(", ")) }
                        td class="minor" { (row.plan.as_deref().unwrap_or_default()) }
                        td class="number" { (row.count(Ending::Served)) }
                        td class="number" { (row.count(Ending::Refused)) }
                        td class="number" { (row.count(Ending::Failed)) }
                        td class="long" { (row.note) }
                        @if has_store { td { (actions(call, name, row)) } }
                    }
                }
            }
        } }
    }
}

fn actions(call: &Call<'_>, name: &str, row: &Row) -> Markup {
    let keys: String =
        form_urlencoded::Serializer::new(String::from("/keys?")).append_pair("consumer", name).finish();
    html! {
        @if !row.place.is_empty() { a href=(keys) { "Keys" } }
        @if row.place == "store" && may_operate(call) {
            details class="sure" {
                summary { "Remove" }
                form method="post" action="/consumers/remove" {
                    (csrf(call))
                    input type="hidden" name="name" value=(name);
                    button class="danger" { "Remove " (name) " and revoke its keys" }
                }
            }
        }
    }
}

fn add_form(call: &Call<'_>) -> Markup {
    html! {
        section {
            h2 { "Add a consumer" }
            @if may_operate(call) {
                form method="post" action="/consumers/add" class="fields" {
                    (csrf(call))
                    div { label for="name" { "Name" } input id="name" name="name" required maxlength="256" autocomplete="off"; }
                    div { label for="roles" { "Roles" } input id="roles" name="roles" placeholder="user, admin" autocomplete="off"; }
                    div { label for="scopes" { "Scopes" } input id="scopes" name="scopes" placeholder="orders:read" autocomplete="off"; }
                    div { label for="plan" { "Plan" } input id="plan" name="plan" autocomplete="off"; }
                    div { label for="note" { "Note" } input id="note" name="note" maxlength="4096" autocomplete="off"; }
                    button { "Add" }
                }
                p class="hint" { "Then make a key for it on the page " a href="/keys" { "Keys" } ". Without scopes here, each key may say its own." }
            } @else {
                p class="hint" { "Your token may only read. Adding takes the role operator." }
            }
        }
    }
}

pub(crate) async fn add_consumer(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let text = |name| field(call.asked, name).unwrap_or_default().trim().to_owned();
    let scopes = super::keys::words(&text("scopes"));
    let consumer = Consumer {
        name: text("name"),
        roles: super::keys::words(&text("roles")),
        scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
        plan: Some(text("plan")).filter(|plan| !plan.is_empty()),
        note: text("note"),
        created: now(),
    };
    desk::add_consumer(call, consumer).await?;
    Ok(to("/consumers"))
}

pub(crate) async fn remove_consumer(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    desk::remove_consumer(call, field(call.asked, "name").unwrap_or_default()).await?;
    Ok(to("/consumers"))
}
