//! A consumer's password as the configuration gives it: as its hash, and in no other way.
//!
//! A password itself is not accepted, not even with a warning as a key is: people choose passwords that can be guessed, so
//! whoever reads the file would have them for other places too, and hashing them at each start would cost the time that
//! `portcullis hash-password` takes once. A hash that is too cheap to be safe, or so costly that a few guesses would keep
//! the gateway busy, does not load.

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;
use portcullis_config::{Context, Decode, Definitions, Node, ObjectSchema, Secret, Span, Value};
use serde_json::json;

/// What OWASP's Password Storage Cheat Sheet asks of argon2id at least: memory in KiB, and passes over it.
const FLOOR: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

/// The most memory in KiB: what all verifications together may use.
const MOST_MEMORY: u32 = 256 * 1024;

/// The most KiB times passes: about a second of work.
const MOST_WORK: u64 = 1024 * 1024;

const MOST_LANES: u32 = 16;

const HELP: &str = "make one with `portcullis hash-password`";

/// What verifying a password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// What `portcullis hash-password` makes.
    pub const USUAL: Cost = Cost { memory: 19_456, passes: 2, lanes: 1 };

    /// How much work it is.
    pub fn work(self) -> u64 {
        u64::from(self.memory) * u64::from(self.passes)
    }
}

/// A password's hash.
#[derive(Clone)]
pub struct PasswordConfig {
    /// The PHC string.
    pub hash: Secret,
    /// What it costs to verify.
    pub cost: Cost,
    /// Where it stands in the document.
    pub at: Span,
}

impl std::fmt::Debug for PasswordConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordConfig({:?})", self.cost)
    }
}

impl Decode for PasswordConfig {
    const SECRET: bool = true;

    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            // SECURITY: a password may stand here (a_password_is_not_shown).
            cx.diagnostics.conceal_values(node);
            cx.error("config.password_hash", node.span, "the source of the password hash is missing")
                .help("write `{ hash: ... }`, `{ env: NAME }` or `{ file: PATH }`; make a hash with `portcullis hash-password`");
            return None;
        };
        for entry in entries.iter().filter(|entry| !matches!(entry.key.as_str(), "env" | "file")) {
            cx.diagnostics.conceal_values(&entry.value);
        }
        let mut fields = cx.fields(node)?;
        let hash = fields.optional::<Text>("hash", cx);
        let env = fields.optional::<Text>("env", cx);
        let file = fields.optional::<Text>("file", cx);
        fields.finish(cx)?;
        let (hash, env, file) = (hash?, env?, file?);
        let given = [&hash, &env, &file].into_iter().flatten().count();
        if given != 1 {
            cx.error("config.password_hash", node.span, "give only one source of the password hash")
                .help("write `{ hash: ... }`, `{ env: NAME }` or `{ file: PATH }`; make a hash with `portcullis hash-password`");
            return None;
        }
        let secret = match hash {
            Some(Text(text)) => Secret::new(text),
            None => Secret::decode(node, cx)?,
        };
        let cost = cost(secret.expose().trim(), node.span, cx)?;
        Some(PasswordConfig { hash: Secret::new(secret.expose().trim()), cost, at: node.span })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.define::<Self>("Password", |_| {
            let mut schema =
                ObjectSchema::new("The hash of a password. Give one of `hash`, `env` and `file`.");
            let text = json!({ "type": "string", "minLength": 1 });
            let hash = json!({ "type": "string", "pattern": r"^\$argon2id\$" });
            schema.property(
                "hash",
                "The argon2id hash as a PHC string, as `portcullis hash-password` prints it.",
                hash,
                None,
                false,
            );
            schema.property(
                "env",
                "The environment variable that holds the hash.",
                text.clone(),
                None,
                false,
            );
            schema.property(
                "file",
                "The file that holds the hash, relative to the configuration's folder.",
                text,
                None,
                false,
            );
            schema.into_json()
        })
    }
}

struct Text(String);

impl Decode for Text {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        cx.text(node).map(|text| Text(text.to_owned()))
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "string" })
    }
}

/// What a hash costs, if it is one that may be used.
fn cost(text: &str, at: Span, cx: &mut Context) -> Option<Cost> {
    let mut refuse = |message: &str| {
        cx.error("config.password_hash", at, message).help(HELP);
        None
    };
    let Ok(hash) = PasswordHash::new(text) else {
        return refuse(
            "this is not the hash of a password: it has the form `$argon2id$v=19$m=...,t=...,p=...$...$...`",
        );
    };
    if hash.algorithm.as_str() != "argon2id" {
        return refuse(
            "the hash of a password is made with argon2id (RFC 9106), and not with another algorithm",
        );
    }
    if hash.version != Some(0x13) {
        return refuse("the hash is of a version of argon2 that nobody should use: it must say `v=19`");
    }
    let number = |name: &str| hash.params.get_decimal(name);
    let (Some(memory), Some(passes), Some(lanes)) = (number("m"), number("t"), number("p")) else {
        return refuse("the hash does not say what it costs: `m=`, `t=` and `p=`");
    };
    let long_enough = hash.hash.as_ref().is_some_and(|hash| hash.len() >= 16)
        && hash.salt.as_ref().is_some_and(|salt| salt.len() >= 8);
    if !long_enough || hash.params.iter().count() != 3 || Params::try_from(&hash).is_err() {
        return refuse("the hash has parts that are missing, too short, or of no meaning here");
    }
    let cost = Cost { memory, passes, lanes };
    if !FLOOR.iter().any(|(floor, least)| memory >= *floor && passes >= *least) {
        let message = format!(
            "this hash is too cheap: {memory} KiB of memory and {passes} passes let whoever gets hold of it try too many passwords"
        );
        cx.error("config.weak_password_hash", at, message)
            .help("use at least 19456 KiB and two passes, as `portcullis hash-password` does");
        return None;
    }
    if memory > MOST_MEMORY || cost.work() > MOST_WORK || lanes > MOST_LANES {
        let message = format!(
            "this hash is too costly: {memory} KiB of memory, {passes} passes and {lanes} lanes would let a few guesses keep the gateway busy"
        );
        cx.error("config.costly_password_hash", at, message)
            .help("use at most 262144 KiB, 16 lanes, and as many passes as make 1 GiB together; `portcullis hash-password` makes one");
        return None;
    }
    Some(cost)
}

#[cfg(test)]
mod tests;
