//! Orders about the consumers and keys of a store: what they may say, and that each stands in the audit log.
//!
//! A store can be slow, so orders run on a thread beside the listener's. An order is carried out and logged even if the client
//! has closed its connection. If the store does not answer in time, the client gets 503: the order may still be carried out, and
//! the audit log says whether it was.

use crate::endpoints::{Call, by, object};
use crate::gateway::{Desk, Gateway};
use crate::problem::Problem;
use http::StatusCode;
use portcullis_core::KeyId;
use portcullis_keys::import::network;
use portcullis_keys::model::now;
use portcullis_keys::span::{End, lasting, span};
use portcullis_keys::{Consumer, ErrorKind, Key, KeyFilter, KeySettings, NewKey, Rotation, StoreError};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long an answer waits for the store.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a key that was replaced is accepted beside the new one, unless the order says otherwise.
pub(crate) const OVERLAP: &str = "24h";

fn bad(what: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, what)
}

/// What a failure of the store is to an operator.
fn told(error: StoreError) -> Problem {
    let status = match error.kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Unreachable | ErrorKind::Unusable | ErrorKind::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, error.text)
}

/// The store of this gateway.
///
/// # Errors
/// It has none.
pub(crate) fn of(gateway: &dyn Gateway) -> Result<Arc<dyn Desk>, Problem> {
    gateway.desk().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "the configuration names no store of keys; add `store: { keys: { sqlite: portcullis.db } }`",
        )
    })
}

/// Asks the store, on another thread.
pub(crate) async fn ask<T: Send + 'static>(
    gateway: &Arc<dyn Gateway>,
    work: impl FnOnce(&dyn Desk) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let desk = of(gateway.as_ref())?;
    let late = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store of keys does not answer");
    let asked = tokio::task::spawn_blocking(move || work(desk.as_ref()));
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => answer.map_err(told),
        Ok(Err(_)) | Err(_) => Err(late()),
    }
}

/// Orders something, and tells what came of it. `what` names the order, such as `create a key for alice`; it holds no secret.
async fn order<T: Send + 'static>(
    call: &Call<'_>,
    what: String,
    work: impl FnOnce(&dyn Desk) -> Result<T, StoreError> + Send + 'static,
    done: impl FnOnce(&T) -> String + Send + 'static,
) -> Result<T, Problem> {
    let (by, gateway) = (by(call), Arc::clone(call.gateway));
    ask(call.gateway, move |desk| {
        let outcome = work(desk);
        match &outcome {
            Ok(made) => gateway.tell(&short(&format!("{by} {}", done(made)))),
            Err(error) => gateway.tell(&short(&format!("{by} could not {what}: {}", error.text))),
        }
        outcome
    })
    .await
}

/// The part of a text that goes into the audit log. Clients choose names, so its length is bounded.
fn short(text: &str) -> String {
    text.chars().take(1000).collect()
}

/// A new key as it is asked for.
pub(crate) struct KeyOrder {
    pub(crate) consumer: String,
    pub(crate) settings: KeySettings,
    /// In seconds since 1970.
    pub(crate) expires: Option<u64>,
}

/// Makes a key.
pub(crate) async fn create(call: &Call<'_>, order_of: KeyOrder) -> Result<NewKey, Problem> {
    let KeyOrder { consumer, settings, expires } = order_of;
    let what = format!("create a key for {consumer}");
    order(
        call,
        what,
        move |desk| desk.create_key(&consumer, &settings, expires),
        |made| format!("created {} for {}", made.key.id, made.key.consumer),
    )
    .await
}

/// Makes a key in the place of another one.
pub(crate) async fn rotate(call: &Call<'_>, id: KeyId, rotation: Rotation) -> Result<NewKey, Problem> {
    let overlap = rotation.overlap.as_secs();
    order(
        call,
        format!("rotate {id}"),
        move |desk| desk.rotate_key(id, rotation),
        move |made| {
            format!(
                "created {} for {} in the place of {id}, which ends in {overlap} s",
                made.key.id, made.key.consumer
            )
        },
    )
    .await
}

/// Revokes a key.
pub(crate) async fn revoke(call: &Call<'_>, id: KeyId) -> Result<Key, Problem> {
    order(
        call,
        format!("revoke {id}"),
        move |desk| desk.revoke_key(id),
        |key| format!("revoked {} of {}", key.id, key.consumer),
    )
    .await
}

/// Adds a consumer.
pub(crate) async fn add_consumer(call: &Call<'_>, consumer: Consumer) -> Result<Consumer, Problem> {
    let what = format!("add the consumer {}", consumer.name);
    order(
        call,
        what,
        move |desk| desk.add_consumer(&consumer).map(|()| consumer),
        |added| format!("added the consumer {}", added.name),
    )
    .await
}

/// Removes a consumer; how many of its keys were revoked.
pub(crate) async fn remove_consumer(call: &Call<'_>, name: String) -> Result<u64, Problem> {
    let (what, said) = (format!("remove the consumer {name}"), name.clone());
    order(
        call,
        what,
        move |desk| desk.remove_consumer(&name),
        move |revoked| format!("removed the consumer {said} and revoked its keys: {revoked}"),
    )
    .await
}

/// A key's number.
// SECURITY: a key that stands in its place is not repeated (what_an_operator_sends_by_mistake_is_not_repeated).
pub(crate) fn number(text: &str) -> Result<KeyId, Problem> {
    text.trim().parse().map_err(|_| bad("this is not the number of a key, such as `key_0123456789abcdef`"))
}

/// When a key ends; an empty text is never.
pub(crate) fn end(text: &str) -> Result<Option<u64>, Problem> {
    match text.trim() {
        "" => Ok(None),
        text => End::parse(text).map(End::moment).map_err(|why| bad(format!("`expires`: {why}"))),
    }
}

/// How a key gives way.
pub(crate) fn rotation(overlap: &str, expires: Option<&str>) -> Result<Rotation, Problem> {
    let valid_for = expires.map(|text| lasting(text.trim())).transpose();
    let valid_for = valid_for.map_err(|why| bad(format!("`expires`: {why}")))?;
    let overlap = span(overlap.trim()).map_err(|why| bad(format!("`overlap`: {why}")))?;
    Ok(Rotation { overlap, valid_for })
}

/// The networks of a list.
pub(crate) fn networks(texts: &[String]) -> Result<Vec<ipnet::IpNet>, Problem> {
    let all: Option<Vec<_>> = texts.iter().map(|text| network(text.trim())).collect();
    all.ok_or_else(|| bad("`addresses` are addresses or networks, such as `10.0.0.0/8`"))
}

/// A text of an order; empty where it is not there.
fn text(body: &Map<String, Value>, name: &str) -> Result<String, Problem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(bad(format!("`{name}` is a text"))),
    }
}

/// A list of texts of an order.
fn list(body: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, Problem> {
    let wrong = || bad(format!("`{name}` is a list of texts"));
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => {
            let texts: Option<Vec<_>> = list.iter().map(|one| one.as_str().map(str::to_owned)).collect();
            texts.map(Some).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// What a new key says, with the key itself.
pub(crate) fn shown(made: &NewKey) -> Value {
    let mut value = made.key.json(now());
    if let Some(object) = value.as_object_mut() {
        object.insert("key".to_owned(), json!(made.text.as_str()));
    }
    value
}

/// `GET /api/v1/keys`.
pub(crate) async fn list_keys(call: &Call<'_>) -> Result<Value, Problem> {
    let mut filter = KeyFilter { most: Some(100), ..KeyFilter::default() };
    let query = call.asked.request.uri().query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "consumer" => filter.consumer = Some(value.into_owned()),
            "after" => filter.after = Some(number(&value)?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=1000).contains(limit));
                filter.most = Some(limit.ok_or_else(|| bad("`limit` is a number from 1 to 1000"))?);
            }
            _ => return Err(bad("the query may have `consumer`, `after` and `limit`")),
        }
    }
    let keys = ask(call.gateway, move |desk| desk.keys(&filter)).await?;
    let at = now();
    Ok(json!({ "keys": keys.iter().map(|key| key.json(at)).collect::<Vec<_>>() }))
}

/// `GET /api/v1/keys/{id}`.
pub(crate) async fn show_key(call: &Call<'_>) -> Result<Value, Problem> {
    let id = number(call.parameter.unwrap_or_default())?;
    Ok(ask(call.gateway, move |desk| desk.key(id)).await?.json(now()))
}

/// `POST /api/v1/keys`.
pub(crate) async fn create_key(call: &Call<'_>) -> Result<Value, Problem> {
    let body =
        object(call, &["consumer", "expires", "roles", "scopes", "plan", "addresses", "routes", "note"])?;
    let consumer = text(&body, "consumer")?;
    if consumer.is_empty() {
        return Err(bad("`consumer` says for which consumer the key is"));
    }
    let settings = KeySettings {
        roles: list(&body, "roles")?,
        scopes: list(&body, "scopes")?,
        plan: some(text(&body, "plan")?),
        addresses: networks(&list(&body, "addresses")?.unwrap_or_default())?,
        routes: list(&body, "routes")?.unwrap_or_default(),
        note: text(&body, "note")?,
    };
    let order = KeyOrder { consumer, settings, expires: end(&text(&body, "expires")?)? };
    create(call, order).await.map(|made| shown(&made))
}

/// `POST /api/v1/keys/{id}/rotate`.
pub(crate) async fn rotate_key(call: &Call<'_>) -> Result<Value, Problem> {
    let id = number(call.parameter.unwrap_or_default())?;
    let body = object(call, &["overlap", "expires"])?;
    let overlap = some(text(&body, "overlap")?);
    let rotation = rotation(overlap.as_deref().unwrap_or(OVERLAP), some(text(&body, "expires")?).as_deref())?;
    rotate(call, id, rotation).await.map(|made| shown(&made))
}

/// `DELETE /api/v1/keys/{id}`.
pub(crate) async fn revoke_key(call: &Call<'_>) -> Result<Value, Problem> {
    let id = number(call.parameter.unwrap_or_default())?;
    Ok(revoke(call, id).await?.json(now()))
}

/// `GET /api/v1/consumers`: those of the configuration, and those of the store.
pub(crate) async fn list_consumers(call: &Call<'_>) -> Result<Value, Problem> {
    let mut all: Vec<Value> = call
        .gateway
        .consumers()
        .into_iter()
        .map(|one| json!({ "name": one.name, "roles": one.roles, "scopes": one.scopes, "in": "configuration" }))
        .collect();
    if call.gateway.desk().is_some() {
        let stored = ask(call.gateway, |desk| desk.consumers()).await?;
        all.extend(stored.iter().map(|one| {
            let mut value = one.json();
            if let Some(object) = value.as_object_mut() {
                object.insert("in".to_owned(), json!("store"));
            }
            value
        }));
    }
    Ok(json!({ "consumers": all }))
}

/// `POST /api/v1/consumers`.
pub(crate) async fn create_consumer(call: &Call<'_>) -> Result<Value, Problem> {
    let body = object(call, &["name", "roles", "scopes", "plan", "note"])?;
    let consumer = Consumer {
        name: text(&body, "name")?,
        roles: list(&body, "roles")?.unwrap_or_default(),
        scopes: list(&body, "scopes")?,
        plan: some(text(&body, "plan")?),
        note: text(&body, "note")?,
        created: now(),
    };
    add_consumer(call, consumer).await.map(|consumer| consumer.json())
}

/// `DELETE /api/v1/consumers?name=NAME`: a name may have characters that no path of this listener has.
pub(crate) async fn delete_consumer(call: &Call<'_>) -> Result<Value, Problem> {
    let query = call.asked.request.uri().query().unwrap_or_default();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let [(name, value)] = pairs.as_slice() else { return Err(bad("the query has `name` alone")) };
    if name != "name" {
        return Err(bad("the query has `name` alone"));
    }
    let name = value.to_string();
    let revoked = remove_consumer(call, name.clone()).await?;
    Ok(json!({ "name": name, "revoked_keys": revoked }))
}
