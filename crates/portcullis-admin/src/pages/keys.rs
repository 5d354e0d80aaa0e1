//! Keys of the store: made, shown once, replaced, revoked.

use super::frame::{csrf, field, may_operate, page, time, to};
use crate::desk::{self, KeyOrder, OVERLAP};
use crate::endpoints::Call;
use crate::problem::Problem;
use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use portcullis_keys::model::now;
use portcullis_keys::{Key, KeyFilter, KeySettings, KeyStatus, NewKey};

/// How many keys a page shows.
const SHOWN: u32 = 100;

/// The words of a list with commas or spaces.
pub(super) fn words(text: &str) -> Vec<String> {
    let words = text.split([',', ' ']).map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub(crate) async fn keys(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let Some(desk) = call.gateway.desk() else {
        let main = html! {
            p class="empty" {
                "Keys that come and go without a change of the configuration are in a store, and the configuration names none. Add "
                code { "store: { keys: { sqlite: portcullis.db } }" } " to it and reload."
            }
        };
        return Ok(page(call, "/keys", "Keys", false, &main));
    };
    let mut filter = KeyFilter { most: Some(SHOWN + 1), ..KeyFilter::default() };
    let query = call.asked.request.uri().query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "consumer" => filter.consumer = Some(value.trim().to_owned()).filter(|name| !name.is_empty()),
            "after" => filter.after = value.parse().ok(),
            _ => {}
        }
    }
    let consumer = filter.consumer.clone();
    let mut found = desk::ask(call.gateway, move |desk| desk.keys(&filter)).await?;
    let more = found.len() > SHOWN as usize;
    found.truncate(SHOWN as usize);
    let (known, ago) = desk.standing();
    let main = html! {
        p class="hint" {
            (known) @if known == 1 { " valid key in " } @else { " valid keys in " } (desk.place()) ". The store answered " (ago.as_secs()) " s ago."
        }
        (create_form(call, consumer.as_deref()))
        section {
            h2 { "Keys" @if let Some(consumer) = &consumer { " of " (consumer) } }
            @if consumer.is_some() { p { a href="/keys" { "Show the keys of all consumers" } } }
            @if found.is_empty() {
                p class="empty" {
                    @match &consumer {
                        Some(consumer) => { (consumer) " has no keys here. Make one above." }
                        None => "There are no keys yet. Add a consumer on the page Consumers, or use one of the configuration, and make a key for it above.",
                    }
                }
            } @else {
                (table(call, &found))
            }
            @if more && let Some(last) = found.last() { p { a href=(next(consumer.as_deref(), last)) { "Show the next keys" } } }
        }
    };
    Ok(page(call, "/keys", "Keys", false, &main))
}

fn next(consumer: Option<&str>, last: &Key) -> String {
    let mut query = form_urlencoded::Serializer::new(String::from("/keys?"));
    if let Some(consumer) = consumer {
        query.append_pair("consumer", consumer);
    }
    query.append_pair("after", &last.id.to_string()).finish()
}

fn table(call: &Call<'_>, keys: &[Key]) -> Markup {
    let at = now();
    let moment = |at: Option<u64>, never: &'static str| at.map_or_else(|| never.to_owned(), time);
    html! {
        div class="wide" tabindex="0" role="region" aria-label="Keys" { table {
            thead { tr {
                th scope="col" { "Key" } th scope="col" { "Consumer" } th scope="col" { "Begins with" } th scope="col" { "Status" }
                th scope="col" { "Expires" } th scope="col" { "Last used" } th scope="col" { "Note" } th scope="col" { "Action" }
            } }
            tbody {
                @for key in keys {
                    @let status = key.status(at);
                    tr {
                        th scope="row" { code { (key.id) } }
                        td { (key.consumer) }
                        td { code { (key.hint) } }
                        td {
                            span class={ "status " (status.as_str()) } { (status.as_str()) }
                            @if let Some(next) = key.replaced_by { " " span class="unit" { "replaced by " code { (next) } } }
                        }
                        td class="time" { (moment(key.expires, "never")) }
                        td class="time" { (moment(key.used, "not yet")) }
                        td class="long" { (key.settings.note) }
                        td { @if status == KeyStatus::Active && may_operate(call) { (actions(call, key)) } @else { "–" } }
                    }
                }
            }
        } }
        p class="hint" { "“Last used” is written about every ten seconds, to the minute." }
    }
}

fn actions(call: &Call<'_>, key: &Key) -> Markup {
    html! {
        @if key.replaced_by.is_none() {
            details class="sure" {
                summary aria-label={ "Rotate " (key.id) } { "Rotate" }
                form method="post" action="/keys/rotate" {
                    (csrf(call))
                    input type="hidden" name="id" value=(key.id);
                    label { "Accept the old key for another" input name="overlap" value=(OVERLAP) required autocomplete="off"; }
                    button { "Make a new key" }
                }
            }
        }
        details class="sure" {
            summary aria-label={ "Revoke " (key.id) } { "Revoke" }
            form method="post" action="/keys/revoke" {
                (csrf(call))
                input type="hidden" name="id" value=(key.id);
                button class="danger" { "Revoke it now" }
            }
        }
    }
}

fn create_form(call: &Call<'_>, consumer: Option<&str>) -> Markup {
    html! {
        section {
            h2 { "Make a key" }
            @if may_operate(call) {
                form method="post" action="/keys/create" class="fields" {
                    (csrf(call))
                    div { label for="consumer" { "Consumer" } input id="consumer" name="consumer" value=[consumer] required maxlength="256" autocomplete="off"; }
                    div { label for="expires" { "Valid for, or until" } input id="expires" name="expires" value="90d" placeholder="90d, 2027-06-30, never" required autocomplete="off"; }
                    div { label for="roles" { "Roles" } input id="roles" name="roles" placeholder="all of the consumer’s" autocomplete="off"; }
                    div { label for="scopes" { "Scopes" } input id="scopes" name="scopes" placeholder="the consumer’s" autocomplete="off"; }
                    div { label for="plan" { "Plan" } input id="plan" name="plan" placeholder="the consumer’s" autocomplete="off"; }
                    div { label for="addresses" { "From these addresses only" } input id="addresses" name="addresses" placeholder="10.0.0.0/8" autocomplete="off"; }
                    div { label for="routes" { "For these routes only" } input id="routes" name="routes" placeholder="/orders/{id}" autocomplete="off"; }
                    div { label for="note" { "Note" } input id="note" name="note" maxlength="4096" autocomplete="off"; }
                    button { "Make a key" }
                }
            } @else {
                p class="hint" { "Your token may only read. Making keys takes the role operator." }
            }
        }
    }
}

pub(crate) async fn create_key(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let text = |name| field(call.asked, name).unwrap_or_default().trim().to_owned();
    let some = |words: Vec<String>| Some(words).filter(|words| !words.is_empty());
    let settings = KeySettings {
        roles: some(words(&text("roles"))),
        scopes: some(words(&text("scopes"))),
        plan: Some(text("plan")).filter(|plan| !plan.is_empty()),
        addresses: desk::networks(&words(&text("addresses")))?,
        routes: words(&text("routes")),
        note: text("note"),
    };
    let order = KeyOrder { consumer: text("consumer"), settings, expires: desk::end(&text("expires"))? };
    let made = desk::create(call, order).await?;
    Ok(answer(call, made))
}

pub(crate) async fn rotate_key(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let id = desk::number(&field(call.asked, "id").unwrap_or_default())?;
    let overlap = field(call.asked, "overlap").unwrap_or_default();
    let made = desk::rotate(call, id, desk::rotation(&overlap, None)?).await?;
    Ok(answer(call, made))
}

/// Sends a browser to the page with the key, so that loading it again makes no second one. What is no browser gets the page at once.
fn answer(call: &Call<'_>, made: NewKey) -> Response<Bytes> {
    match call.caller.and_then(|caller| caller.csrf.as_deref()) {
        Some(session) => {
            call.once.put(session, made);
            to("/keys/made")
        }
        None => shown(call, &made),
    }
}

pub(crate) fn made_key(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let made =
        call.caller.and_then(|caller| caller.csrf.as_deref()).and_then(|session| call.once.take(session));
    Ok(match made {
        Some(made) => shown(call, &made),
        None => {
            let main = html! {
                p class="problem" role="alert" { "A key is shown once, and this one was shown already." }
                p { "If you do not have it, rotate it on the page " a href="/keys" { "Keys" } ": that makes another one." }
            };
            page(call, "/keys", "A new key", false, &main)
        }
    })
}

/// A key that was made a moment ago. Nothing may keep this page, and no other page shows the key.
fn shown(call: &Call<'_>, made: &NewKey) -> Response<Bytes> {
    let key = &made.key;
    let main = html! {
        p role="status" { "The key of " strong { (key.consumer) } " is:" }
        p class="key-text" { code id="key" tabindex="0" { (made.text.as_str()) } }
        p class="problem" { strong { "Keep it now." } " It is not shown again, and nobody can read it from the store." }
        dl class="facts" {
            div { dt { "Number" } dd { code { (key.id) } } }
            div { dt { "Valid until" } dd { (key.expires.map_or_else(|| "for ever".to_owned(), time)) } }
        }
        p { a href="/keys" { "Back to the keys" } }
    };
    page(call, "/keys", "A new key", false, &main)
}

pub(crate) async fn revoke_key(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let id = desk::number(&field(call.asked, "id").unwrap_or_default())?;
    desk::revoke(call, id).await?;
    Ok(to("/keys"))
}
