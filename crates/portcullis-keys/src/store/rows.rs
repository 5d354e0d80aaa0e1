//! How consumers and keys stand in tables. Lists are JSON.

use crate::fault::StoreError;
use crate::model::{Consumer, Key, KeySettings, Owner};
use crate::sql::{Row, Value};
use portcullis_core::KeyId;

/// A key with its hash.
pub(crate) type Stored = (Key, [u8; 32]);

pub(super) const CONSUMERS: &str =
    "SELECT name, roles, scopes, plan, note, created FROM portcullis_consumers";
pub(super) const KEYS: &str = "SELECT id, consumer, stored, pepper, hash, hint, roles, scopes, plan, addresses, routes, note, \
    created, expires, revoked, used, replaced_by FROM portcullis_keys";
pub(super) const INSERT_KEY: &str = "INSERT INTO portcullis_keys (id, consumer, stored, pepper, hash, hint, roles, scopes, plan, \
    addresses, routes, note, created, expires, revoked, used, replaced_by) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

pub(super) fn list(words: &[String]) -> Value {
    Value::Text(serde_json::Value::from(words).to_string())
}

pub(super) fn optional_list(words: Option<&Vec<String>>) -> Value {
    words.map_or(Value::Null, |words| list(words))
}

fn words(text: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str::<Vec<String>>(text).map_err(|_| Row::wrong())
}

fn optional_words(text: Option<String>) -> Result<Option<Vec<String>>, StoreError> {
    text.map(|text| words(&text)).transpose()
}

pub(super) fn consumer_values(consumer: &Consumer) -> [Value; 6] {
    let Consumer { name, roles, scopes, plan, note, created } = consumer;
    [
        name.as_str().into(),
        list(roles),
        optional_list(scopes.as_ref()),
        plan.as_deref().into(),
        note.as_str().into(),
        (*created).into(),
    ]
}

pub(super) fn consumer(row: &mut Row) -> Result<Consumer, StoreError> {
    Ok(Consumer {
        name: row.text()?,
        roles: words(&row.text()?)?,
        scopes: optional_words(row.optional_text()?)?,
        plan: row.optional_text()?,
        note: row.text()?,
        created: row.number()?,
    })
}

pub(super) fn key_values(key: &Key, hash: &[u8; 32]) -> [Value; 17] {
    let Key { id, consumer, owner, pepper, hint, settings, created, expires, revoked, used, replaced_by } =
        key;
    let KeySettings { roles, scopes, plan, addresses, routes, note } = settings;
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    [
        id.0.into(),
        consumer.as_str().into(),
        u64::from(*owner == Owner::Stored).into(),
        pepper.as_str().into(),
        Value::Bytes(hash.to_vec()),
        hint.as_str().into(),
        optional_list(roles.as_ref()),
        optional_list(scopes.as_ref()),
        plan.as_deref().into(),
        list(&addresses),
        list(routes),
        note.as_str().into(),
        (*created).into(),
        (*expires).into(),
        (*revoked).into(),
        (*used).into(),
        replaced_by.map(|id| id.0).into(),
    ]
}

pub(super) fn key(row: &mut Row) -> Result<Stored, StoreError> {
    let id = KeyId(row.number()?);
    let consumer = row.text()?;
    let owner = match row.number()? {
        0 => Owner::Configured,
        1 => Owner::Stored,
        _ => return Err(Row::wrong()),
    };
    let (pepper, hash, hint) = (row.text()?, row.hash()?, row.text()?);
    let settings = KeySettings {
        roles: optional_words(row.optional_text()?)?,
        scopes: optional_words(row.optional_text()?)?,
        plan: row.optional_text()?,
        // SECURITY: a binding that cannot be read must not become none (a_binding_that_cannot_be_read_is_an_error).
        addresses: words(&row.text()?)?
            .iter()
            .map(|text| text.parse().map_err(|_| Row::wrong()))
            .collect::<Result<_, _>>()?,
        routes: words(&row.text()?)?,
        note: row.text()?,
    };
    let (created, expires, revoked) = (row.number()?, row.optional_number()?, row.optional_number()?);
    let (used, replaced_by) = (row.optional_number()?, row.optional_number()?.map(KeyId));
    Ok((
        Key { id, consumer, owner, pepper, hint, settings, created, expires, revoked, used, replaced_by },
        hash,
    ))
}
