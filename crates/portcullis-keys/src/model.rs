//! What a store knows: consumers and keys.

use crate::fault::StoreError;
use ipnet::IpNet;
use portcullis_core::KeyId;
use serde_json::{Value, json};

/// Seconds since 1970.
pub type Seconds = u64;

/// A consumer in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consumer {
    /// Its name, unique in the store and in the configuration beside it.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// What its keys may be used for at most. `None`: each key says so for itself.
    pub scopes: Option<Vec<String>>,
    /// The plan that its requests are counted by.
    pub plan: Option<String>,
    /// What somebody noted.
    pub note: String,
    /// When it was added.
    pub created: Seconds,
}

/// To whom a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A consumer in the store.
    Stored,
    /// A consumer that the configuration names.
    Configured,
}

/// What a key says for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySettings {
    /// Its roles, some of its consumer's. `None`: all of them.
    pub roles: Option<Vec<String>>,
    /// What it may be used for, within its consumer's scopes. `None`: the consumer's.
    pub scopes: Option<Vec<String>>,
    /// The plan that its requests are counted by. `None`: the consumer's.
    pub plan: Option<String>,
    /// The networks from which it is accepted. Empty: everywhere.
    pub addresses: Vec<IpNet>,
    /// The routes for which it is accepted. Empty: all.
    pub routes: Vec<String>,
    /// What somebody noted.
    pub note: String,
}

/// A key in a store, without the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its number.
    pub id: KeyId,
    /// The name of its consumer.
    pub consumer: String,
    /// Whose consumer that is.
    pub owner: Owner,
    /// What the pepper is called that it was hashed with; empty for none.
    pub pepper: String,
    /// Its beginning, by which its owner recognises it. Empty for one that was imported.
    pub hint: String,
    /// What it says for itself.
    pub settings: KeySettings,
    /// When it was made.
    pub created: Seconds,
    /// From when on it is not valid.
    pub expires: Option<Seconds>,
    /// When it was revoked.
    pub revoked: Option<Seconds>,
    /// When it was last used, to the minute and told late.
    pub used: Option<Seconds>,
    /// The key that takes its place.
    pub replaced_by: Option<KeyId>,
}

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// It is accepted.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl KeyStatus {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyStatus::Active => "active",
            KeyStatus::Expired => "expired",
            KeyStatus::Revoked => "revoked",
        }
    }
}

impl Key {
    /// How it stands at `now`.
    pub fn status(&self, now: Seconds) -> KeyStatus {
        if self.revoked.is_some() {
            KeyStatus::Revoked
        } else if self.expires.is_some_and(|expires| now >= expires) {
            KeyStatus::Expired
        } else {
            KeyStatus::Active
        }
    }

    /// All of it as JSON. Times are RFC 3339.
    pub fn json(&self, now: Seconds) -> Value {
        let KeySettings { roles, scopes, plan, addresses, routes, note } = &self.settings;
        json!({
            "id": self.id.to_string(),
            "consumer": self.consumer,
            "status": self.status(now).as_str(),
            "begins_with": self.hint,
            "roles": roles,
            "scopes": scopes,
            "plan": plan,
            "addresses": addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "routes": routes,
            "note": note,
            "created": time(self.created),
            "expires": self.expires.map(time),
            "revoked": self.revoked.map(time),
            "last_used": self.used.map(time),
            "replaced_by": self.replaced_by.map(|id| id.to_string()),
            "pepper": self.pepper,
        })
    }
}

impl Consumer {
    /// All of it as JSON.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "roles": self.roles,
            "scopes": self.scopes,
            "plan": self.plan,
            "note": self.note,
            "created": time(self.created),
        })
    }

    /// That it can stand where consumers of a configuration can.
    ///
    /// # Errors
    /// A name, role, scope or plan has characters that it cannot have.
    pub fn check(&self) -> Result<(), StoreError> {
        if !is_visible(&self.name) {
            return Err(StoreError::invalid(
                "a name is made of visible ASCII characters, since upstreams get it in a header field",
            ));
        }
        check_words(Some(&self.roles), self.scopes.as_ref(), self.plan.as_ref(), &self.note)
    }
}

impl KeySettings {
    /// That every word of it can be what it is.
    ///
    /// # Errors
    /// A role, scope, route or plan has characters that it cannot have.
    pub fn check(&self) -> Result<(), StoreError> {
        if let Some(route) = self.routes.iter().find(|route| !route.contains('/') || route.len() > MAX_WORD) {
            return Err(StoreError::invalid(format!(
                "`{route}` is not the path of a route, such as `/orders/{{id}}`"
            )));
        }
        check_words(self.roles.as_ref(), self.scopes.as_ref(), self.plan.as_ref(), &self.note)
    }
}

/// The longest name, role, scope, plan or route in bytes.
const MAX_WORD: usize = 256;
/// The longest note in bytes.
const MAX_NOTE: usize = 4096;

fn is_visible(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_WORD
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.trim() == text
}

/// RFC 6749, section 3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_WORD
        && text.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'))
}

fn check_words(
    roles: Option<&Vec<String>>,
    scopes: Option<&Vec<String>>,
    plan: Option<&String>,
    note: &str,
) -> Result<(), StoreError> {
    if let Some(role) = roles.into_iter().flatten().find(|role| !is_visible(role) || role.contains(',')) {
        return Err(StoreError::invalid(format!("`{}` is not the name of a role", role.escape_debug())));
    }
    if let Some(scope) = scopes.into_iter().flatten().find(|scope| !is_scope(scope)) {
        return Err(StoreError::invalid(format!("`{}` is not a scope", scope.escape_debug())));
    }
    if let Some(plan) = plan.filter(|plan| !is_visible(plan)) {
        return Err(StoreError::invalid(format!("`{}` is not the name of a plan", plan.escape_debug())));
    }
    if note.len() > MAX_NOTE || note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(StoreError::invalid("a note has at most 4096 bytes, and no control characters"));
    }
    Ok(())
}

/// A moment in RFC 3339.
pub fn time(seconds: Seconds) -> String {
    let at = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    at.map_or_else(|| seconds.to_string(), |at| at.to_string())
}

/// This moment, on the system's clock.
pub fn now() -> Seconds {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
