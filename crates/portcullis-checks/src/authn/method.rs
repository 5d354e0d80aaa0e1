//! What a method of authentication is, and the registry of all of them.
//!
//! A method is a type that implements [`Method`] and [`Declared`] in its own file, and one line in [`METHODS`]. How it is
//! decoded, its place in the JSON Schema and what is said of an unknown `type` follow from there.

use super::api_key::ApiKeyConfig;
use super::basic::BasicConfig;
use super::bearer::Trust;
use super::jwt::JwtConfig;
use super::mtls::MtlsConfig;
use super::oauth2::OAuth2Config;
use super::openid_connect::OpenIdConnectConfig;
use super::signature::SignatureConfig;
use super::token_config::TokenConfig;
use crate::build::Build;
use crate::rehearsal::{Credential, Person, Stage, Wrong};
use portcullis_config::{
    Context, Decode, DecodeFields, Definitions, Fields, Node, ObjectSchema, Spanned, suggest,
};
use portcullis_core::{Authenticate, Inspect};
use serde_json::json;
use std::fmt;
use std::sync::Arc;

/// Every method, in the order of the reference.
const METHODS: [Registered; 7] = [
    Registered::of::<ApiKeyConfig>(),
    Registered::of::<BasicConfig>(),
    Registered::of::<JwtConfig>(),
    Registered::of::<OAuth2Config>(),
    Registered::of::<MtlsConfig>(),
    Registered::of::<OpenIdConnectConfig>(),
    Registered::of::<SignatureConfig>(),
];

/// One way to authenticate, as it is written.
pub trait Method: fmt::Debug + Send + Sync {
    /// What runs. `None` means that an error was pushed.
    fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<Compiled>;

    /// Whose requests it lets in.
    fn establishes(&self) -> Establishes;

    /// Whether its credential stands in the `Authorization` field, of which a request has one.
    fn is_authorization(&self) -> bool;

    /// A credential of this person, for a rehearsal.
    ///
    /// # Errors
    /// Why none can be made, in words for the operator.
    fn good(&self, person: &Person, stage: &Stage<'_>) -> Result<Credential, String>;

    /// What somebody would try who is not this person, or no longer: credentials that must all be refused. That there is none,
    /// or the same twice, is tried for every method.
    fn wrong(&self, person: &Person, stage: &Stage<'_>) -> Vec<Wrong>;

    /// What is asked of tokens, if it takes one.
    fn token(&self) -> Option<&TokenConfig> {
        None
    }
}

/// What the registry knows of a method.
pub trait Declared: Method + DecodeFields + 'static {
    /// The words for `type`; the first is the one that is printed. Case, `_` and `-` make no difference.
    const WORDS: &'static [&'static str];

    /// What it is, as the reference says it.
    const ABOUT: &'static str;
}

/// Whom a method establishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Establishes {
    /// Consumers that the configuration names.
    Consumers,
    /// Consumers without a name and without roles.
    Unnamed,
    /// Subjects, whom only an issuer knows.
    Subjects {
        /// The issuer, in the configuration's word for it.
        issuer: String,
        /// What stands before each role that it gives. May be empty.
        roles_prefix: String,
    },
}

/// A method that was compiled: a check, or issuers for the one check of all tokens.
pub enum Compiled {
    /// A check.
    Check(Arc<dyn Authenticate>),
    /// A check that has yet to see the body of those that it let in.
    WithBody(Arc<dyn Authenticate>, Arc<dyn Inspect>),
    /// Issuers, all of them of one method.
    Tokens(Vec<Trust>),
}

impl Compiled {
    /// A check.
    pub fn check(check: impl Authenticate + 'static) -> Compiled {
        Compiled::Check(Arc::new(check))
    }
}

/// A method's entry in the registry.
struct Registered {
    words: &'static [&'static str],
    about: &'static str,
    decode: fn(&mut Fields<'_>, &mut Context) -> Option<MethodConfig>,
    describe: fn(&mut ObjectSchema, &mut Definitions),
}

impl Registered {
    const fn of<M: Declared>() -> Registered {
        Registered {
            words: M::WORDS,
            about: M::ABOUT,
            decode: |fields, cx| M::decode_fields(fields, cx).map(|method| MethodConfig(Arc::new(method))),
            describe: M::describe,
        }
    }

    fn name(&self) -> &'static str {
        self.words.first().copied().unwrap_or_default()
    }
}

/// The words for each registered method; the first of each is the one that is printed.
pub fn registered() -> impl Iterator<Item = &'static [&'static str]> {
    METHODS.iter().map(|method| method.words)
}

/// One way to authenticate.
#[derive(Clone, Debug)]
pub struct MethodConfig(Arc<dyn Method>);

impl std::ops::Deref for MethodConfig {
    type Target = dyn Method;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

/// `api_key`, `apiKey`, `APIKey`, `api-key`: one word in many spellings.
fn folded(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-')).collect::<String>().to_ascii_lowercase()
}

impl MethodConfig {
    pub(super) fn decode_fields(fields: &mut Fields<'_>, cx: &mut Context) -> Option<MethodConfig> {
        let given = fields.tag::<Spanned<String>>("type", cx)?;
        let wanted = folded(&given.value);
        let meant = METHODS.iter().find(|method| method.words.iter().any(|word| folded(word) == wanted));
        if let Some(method) = meant {
            return (method.decode)(fields, cx);
        }
        let names = METHODS.iter().map(Registered::name);
        let unknown = cx.error("config.unknown_value", given.span, "unknown type of authentication");
        match suggest::closest(&given.value, names.clone()) {
            Some(closest) => unknown.label(format!("did you mean `{closest}`?")),
            None => {
                let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
                unknown.help(format!("the types are {}", names.join(", ")))
            }
        };
        // SECURITY: keys may be among what is left unread (an_unknown_type_of_authentication_shows_no_key).
        fields.abandon(cx);
        None
    }

    /// The schema of each method.
    pub(super) fn schemas(definitions: &mut Definitions) -> Vec<serde_json::Value> {
        let schema = |method: &Registered| {
            let mut schema = ObjectSchema::new(method.about);
            schema.tag("type", method.words);
            (method.describe)(&mut schema, definitions);
            schema.into_json()
        };
        METHODS.iter().map(schema).collect()
    }
}

impl Decode for MethodConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let mut fields = cx.fields(node)?;
        let method = MethodConfig::decode_fields(&mut fields, cx);
        fields.finish(cx)?;
        method
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.define::<Self>(
            "AuthenticationMethod",
            |definitions| json!({ "oneOf": Self::schemas(definitions) }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_word_means_one_method() {
        let words = METHODS
            .iter()
            .flat_map(|method| method.words.iter().map(|word| folded(word)).collect::<BTreeSet<_>>());
        let words: Vec<String> = words.collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len(), "{words:?}");
    }
}
