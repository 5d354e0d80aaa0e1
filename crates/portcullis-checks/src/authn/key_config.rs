//! A key as the configuration gives it.

use jiff::Timestamp;
use portcullis_config::{
    Context, Decode, DecodeFields, Definitions, Node, ObjectSchema, Secret, Span, Value,
};
use serde_json::json;
use std::time::Duration;

/// The longest key in bytes. A longer one is refused before it is hashed.
pub const MAX_KEY_BYTES: usize = 512;

/// The shortest key that is not warned of: 16 characters of a random key are beyond guessing.
const MIN_KEY_BYTES: usize = 16;

/// Where a key comes from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// The key itself.
    Key(Secret),
    /// Its hash.
    Hash {
        /// SHA-256 of the key, or HMAC-SHA-256 under the pepper.
        hash: [u8; 32],
        /// Whether it was made with the pepper.
        peppered: bool,
    },
}

/// A key.
#[derive(Clone, Debug)]
pub struct KeyConfig {
    /// Where it comes from.
    pub source: KeySource,
    /// Time since 1970 from which on it is no longer valid.
    pub expires: Option<Duration>,
    /// Where it stands in the document.
    pub at: Span,
}

impl Decode for KeyConfig {
    const SECRET: bool = true;

    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if !matches!(node.value, Value::Mapping(_)) {
            let secret = Secret::decode(node, cx)?;
            return key(secret, node.span, cx).map(|source| KeyConfig {
                source,
                expires: None,
                at: node.span,
            });
        }
        conceal_unknown(node, cx);
        let mut fields = cx.fields(node)?;
        let hash = fields.optional::<HashText>("hash", cx);
        let expires = fields.optional::<Expiry>("expires", cx);
        let source = match hash {
            Some(Some(HashText(text))) => {
                let source = parse_hash(&text);
                if source.is_none() {
                    cx.error("config.key_hash", node.span, "this is not the hash of a key")
                        .help("write `sha256:` and the 64 hexadecimal digits of the key's SHA-256, or `hmac-sha256:` and those of its HMAC-SHA-256 under `key_pepper`");
                }
                source
            }
            Some(None) => {
                Secret::decode_fields(&mut fields, cx).and_then(|secret| key(secret, node.span, cx))
            }
            None => None,
        };
        fields.finish(cx)?;
        Some(KeyConfig { source: source?, expires: expires?.map(|expiry| expiry.0), at: node.span })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.define::<Self>("Key", |definitions| {
            let mut schema = ObjectSchema::new("An API key. Give one of `env`, `file`, `hash` and `literal`.");
            Secret::describe(&mut schema, definitions);
            let hash = json!({ "type": "string", "pattern": "^(sha256|hmac-sha256):[0-9a-fA-F]{64}$" });
            schema.property("hash", "The key's SHA-256, or its HMAC-SHA-256 under `key_pepper`, in hexadecimal digits.", hash, None, false);
            let expires = json!({ "type": "string", "examples": ["2027-01-31T00:00:00Z"] });
            schema.property("expires", "When the key expires (RFC 3339). Default: never.", expires, None, false);
            json!({ "anyOf": [schema.into_json(), { "type": "string", "minLength": 1, "description": "The key itself. Prefer `env`, `file` or `hash`." }] })
        })
    }
}

/// Hides what stands under a key that nobody knows.
// SECURITY: `litteral: ...` holds a secret (an_error_beside_a_key_does_not_show_it).
fn conceal_unknown(node: &Node, cx: &mut Context) {
    let Value::Mapping(entries) = &node.value else { return };
    for entry in entries.iter().filter(|entry| !matches!(entry.key.as_str(), "env" | "file" | "expires")) {
        cx.diagnostics.conceal_values(&entry.value);
    }
}

/// A key that a client can send.
fn key(secret: Secret, at: Span, cx: &mut Context) -> Option<KeySource> {
    let text = secret.expose();
    // What stands around a field's value is not part of it, and what is not visible ASCII has no one spelling in it.
    if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
        cx.error(
            "config.key_characters",
            at,
            "a key must consist of visible ASCII characters without spaces",
        )
        .help("make one with `openssl rand -hex 32`");
        return None;
    }
    if text.len() > MAX_KEY_BYTES {
        cx.error("config.key_length", at, format!("a key can have at most {MAX_KEY_BYTES} characters"))
            .help("make one with `openssl rand -hex 32`");
        return None;
    }
    if text.len() < MIN_KEY_BYTES && cx.origin() == portcullis_config::Origin::File {
        cx.warning(
            "config.weak_key",
            at,
            format!("a key of fewer than {MIN_KEY_BYTES} characters can be guessed"),
        )
        .help("make one with `openssl rand -hex 32`");
    }
    Some(KeySource::Key(secret))
}

fn parse_hash(text: &str) -> Option<KeySource> {
    let (algorithm, digits) = text.split_once(':')?;
    let peppered = match algorithm {
        "sha256" => false,
        "hmac-sha256" => true,
        _ => return None,
    };
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(KeySource::Hash { hash, peppered })
}

/// What stands under `hash`.
// SECURITY: not shown, since a key may stand there by mistake (a_key_in_place_of_its_hash_is_not_shown).
struct HashText(String);

impl Decode for HashText {
    const SECRET: bool = true;

    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        cx.diagnostics.conceal_values(node);
        cx.text(node).map(|text| HashText(text.to_owned()))
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "string" })
    }
}

/// A moment, as time since 1970.
struct Expiry(Duration);

impl Decode for Expiry {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = cx.text(node)?;
        let parsed = text
            .parse::<Timestamp>()
            .ok()
            .and_then(|at| Duration::try_from(at.duration_since(Timestamp::UNIX_EPOCH)).ok());
        if parsed.is_none() {
            cx.error("config.time", node.span, "this is not a date and time")
                .help("write date, time and zone as in RFC 3339: `2027-01-31T00:00:00Z`");
        }
        parsed.map(Expiry)
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests;
