//! Secrets: where they come from, and that they are never shown.
//!
//! Decides how a document names a secret: `{ env: NAME }`, `{ file: PATH }`, or the text itself, which is a warning in a
//! file. A source that is missing, unreadable or empty is an error: a gateway must not start with an empty key. So is a file that
//! others can change; one that others can read is a warning. It does not judge how strong a secret is.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use portcullis_permissions::Exposed;
use serde_json::json;
use zeroize::Zeroizing;

use super::fields::conceal;
use super::object::DecodeFields;
use super::{Context, Decode, Fields, Origin};
use crate::node::{Entry, Node, Value};
use crate::reading;
use crate::render::{quoted, quoted_path};
use crate::schema::{Definitions, ObjectSchema};
use crate::source::Span;

/// The most bytes that a secret's file may hold; no key comes near it.
const FILE_LIMIT: u64 = 1024 * 1024;

/// A secret's text. Its memory is overwritten when it is dropped, and `Debug` shows nothing of it. It has no `==`, since
/// comparing in constant time is the caller's business.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret made in code.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text. Never put it into a log, an error or an answer.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

// SECURITY: guarded by tests::debug_shows_nothing.
impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(•••)")
    }
}

impl Decode for Secret {
    const SECRET: bool = true;

    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if matches!(node.value, Value::Mapping(_)) {
            let mut fields = cx.fields(node)?;
            let secret = Self::decode_fields(&mut fields, cx);
            if fields.finish(cx).is_none() {
                // Under a key that is none of ours may stand the secret itself.
                cx.diagnostics.conceal_values(node);
                return None;
            }
            return secret;
        }
        literal(node, cx)
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.define::<Self>("Secret", |definitions| {
            let mut schema = ObjectSchema::default();
            Self::describe(&mut schema, definitions);
            let mut mapping = schema.into_json();
            if let Some(mapping) = mapping.as_object_mut() {
                mapping.insert("minProperties".into(), json!(1));
                mapping.insert("maxProperties".into(), json!(1));
            }
            json!({
                "description": "A secret, best taken from an environment variable or a file.",
                "anyOf": [mapping, { "type": "string", "minLength": 1 }],
            })
        })
    }
}

/// Several kinds of value may share a mapping, such as `{ env: NAME }` and `{ hash: ... }`; these are the keys of a secret.
impl DecodeFields for Secret {
    fn decode_fields(fields: &mut Fields<'_>, cx: &mut Context) -> Option<Self> {
        let sources = [("env", from_env as Reader), ("file", from_file), ("literal", from_literal)];
        let mut given: Vec<(&str, &Entry, Reader)> = Vec::new();
        for (name, read) in sources {
            if let Some(entry) = fields.take_raw(name, cx) {
                given.push((name, entry, read));
            }
        }
        // SECURITY: hidden first, so that no error about the mapping prints it. Guarded by tests::two_sources_are_refused.
        for (_, entry, _) in given.iter().filter(|(name, _, _)| *name == "literal") {
            conceal(&entry.value, cx);
        }
        match given.as_slice() {
            [(name, entry, read)] => cx.at(name, |cx| read(&entry.value, cx)),
            [] => {
                cx.error("config.secret_source", fields.span(), "the source of the secret is missing")
                    .help("write `{ env: NAME }` or `{ file: PATH }`");
                None
            }
            [(first, one, _), (second, other, _), ..] => {
                let message = format!("a secret has one source, here are `{first}` and `{second}`");
                cx.error("config.secret_source", other.key_span, message)
                    .related(one.key_span, "the other source");
                None
            }
        }
    }

    fn describe(schema: &mut ObjectSchema, _: &mut Definitions) {
        let text = json!({ "type": "string", "minLength": 1 });
        schema.property("env", "The environment variable that holds the secret.", text.clone(), None, false);
        schema.property(
            "file",
            "The file that holds the secret, relative to the configuration's folder. A line break at its end is ignored.",
            text.clone(),
            None,
            false,
        );
        schema.property("literal", "The secret itself. Prefer `env` or `file`.", text, None, false);
    }
}

type Reader = fn(&Node, &mut Context) -> Option<Secret>;

fn literal(node: &Node, cx: &mut Context) -> Option<Secret> {
    conceal(node, cx);
    from_literal(node, cx)
}

fn from_literal(node: &Node, cx: &mut Context) -> Option<Secret> {
    let text = Zeroizing::new(cx.text(node)?.to_owned());
    let secret = not_empty(text, "the secret", node.span, cx)?;
    if cx.origin() == Origin::File && !cx.is_substituted(node.span) {
        cx.warning("config.literal_secret", node.span, "the configuration file contains a secret")
            .label("everyone who can read this file can read the secret")
            .help("use `{ env: NAME }` or `{ file: PATH }`");
    }
    Some(secret)
}

fn from_env(node: &Node, cx: &mut Context) -> Option<Secret> {
    let name = cx.text(node)?;
    let found = if name.is_empty() || name.contains(['=', '\0']) {
        Err(std::env::VarError::NotPresent)
    } else {
        cx.environment(name)
    };
    match found {
        Ok(value) => {
            let what = format!("the environment variable {}", quoted(name));
            not_empty(Zeroizing::new(value), &what, node.span, cx)
        }
        Err(error) => {
            // The error itself is not printed: it can hold the value.
            let problem = match error {
                std::env::VarError::NotPresent => "is not set",
                std::env::VarError::NotUnicode(_) => "is not UTF-8",
            };
            let message = format!("the environment variable {} {problem}", quoted(name));
            cx.error("config.secret_unavailable", node.span, message)
                .help("set it before the gateway starts; `portcullis check` needs it as well");
            None
        }
    }
}

fn from_file(node: &Node, cx: &mut Context) -> Option<Secret> {
    let name = cx.text(node)?;
    let path = cx.resolve(node.span, name);
    let shown = quoted_path(&path);
    judge_permissions(&path, node.span, cx)?;
    match reading::text(&path, FILE_LIMIT) {
        Ok(mut text) => {
            let kept = text
                .strip_suffix('\n')
                .map_or(text.len(), |line| line.strip_suffix('\r').unwrap_or(line).len());
            text.truncate(kept);
            not_empty(text, &format!("the file {shown}"), node.span, cx)
        }
        Err(error) => {
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "the kinds are the standard library's, and grow"
            )]
            let reason = match error.kind() {
                ErrorKind::NotFound => "does not exist".to_owned(),
                ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
                ErrorKind::InvalidData => "is not UTF-8".to_owned(),
                ErrorKind::TimedOut => "is a pipe or device that does not come to an end".to_owned(),
                ErrorKind::FileTooLarge => format!("is larger than {FILE_LIMIT} bytes"),
                other => format!("cannot be read: {other}"),
            };
            let problem =
                cx.error("config.secret_unavailable", node.span, format!("the file {shown} {reason}"));
            if Path::new(name).is_relative() {
                problem.help("the path is relative to the folder of the configuration file");
            }
            None
        }
    }
}

/// Judges who else can use a file with a secret: a warning if others can read it, an error if they can change it. A file that
/// is missing is left to its reader.
pub fn judge_permissions(path: &Path, span: Span, cx: &mut Context) -> Option<()> {
    if let Some(exposed) = refuse_writable(path, span, cx)? {
        let message = format!("the secret in {} is not private: {exposed}", quoted_path(path));
        cx.warning("config.secret_readable", span, message).help(MAKE_PRIVATE);
    }
    Some(())
}

/// Refuses a file with a secret that others can change. `Some(Some(_))` if they can read it.
pub fn refuse_writable(path: &Path, span: Span, cx: &mut Context) -> Option<Option<Exposed>> {
    let Ok(metadata) = std::fs::metadata(path) else { return Some(None) };
    // Nothing stays in a pipe or a device that somebody else could read later.
    if !metadata.is_file() {
        return Some(None);
    }
    match portcullis_permissions::given(path, &metadata) {
        Ok(readable) => Some(readable),
        Err(exposed) => {
            let message = format!("the secret in {} is not private: {exposed}", quoted_path(path));
            cx.error("config.secret_writable", span, message).help(MAKE_PRIVATE);
            None
        }
    }
}

/// What makes a file with a secret private.
const MAKE_PRIVATE: &str =
    "run `chmod 600` on the file; if root owns it, the gateway's group may read it (mode 0440)";

fn not_empty(text: Zeroizing<String>, what: &str, span: Span, cx: &mut Context) -> Option<Secret> {
    if text.trim().is_empty() {
        cx.error("config.secret_empty", span, format!("{what} is empty"));
        return None;
    }
    Some(Secret(text))
}

#[cfg(test)]
mod tests;
