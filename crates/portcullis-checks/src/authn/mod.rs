//! Who sends the request.
//!
//! A route's statement names one method, several of which one must succeed, or several that all must. A method whose
//! credential is absent is passed over where one is enough; one whose credential is there and bad ends the search.
//! Methods that take a token from one place are one check, [`bearer`]. What a method
//! establishes is [`Evidence`](portcullis_core::Evidence), which names the method.

pub mod api_key;
pub mod basic;
pub mod bearer;
#[cfg(test)]
mod declared;
pub mod jwt;
pub mod key_config;
pub mod key_digest;
pub mod method;
pub mod mtls;
pub mod oauth2;
pub mod openid_connect;
pub mod password_config;
pub mod place;
pub mod resource_metadata;
pub mod right;
pub mod signature;
pub mod token_config;
mod token_maker;
pub mod token_schemes;
pub mod users;

pub use key_config::KeyConfig;
pub use method::MethodConfig;
pub use password_config::PasswordConfig;

use crate::build::Build;
use crate::mode::ModeConfig;
use crate::section::{Part, Section};
use http::HeaderName;
use method::{Compiled, Establishes};
use portcullis_config::{
    Context, Decode, Definitions, Entry, Key, Node, ObjectSchema, Span, Spanned, Value, suggest,
};
use portcullis_core::head::FieldRules;
use portcullis_core::{Authenticate, Authentication, CredentialLocation, Inspect};
use serde_json::json;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A number for the rules that a credential is accepted by, from their texts: the same for the same texts.
pub(crate) fn rules_of(texts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    hasher.finish()
}

/// How many of several methods must succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// The first whose credential is there.
    Any,
    /// Every one.
    All,
}

/// A place in which tokens stand, and the issuers whose tokens are taken from it.
struct TokenPlace<'a> {
    place: CredentialLocation,
    /// Where its check stands among the methods.
    before: usize,
    trusts: Vec<bearer::Trust>,
    configs: Vec<&'a token_config::TokenConfig>,
}

/// A route's statement on authentication.
#[derive(Clone, Debug)]
pub struct AuthenticationConfig {
    /// The methods, asked in this order; at least one.
    pub methods: Vec<MethodConfig>,
    /// Whether one is enough.
    pub needed: Needed,
    /// What a refusal does.
    pub mode: ModeConfig,
    /// Where it stands.
    pub at: Span,
}

const ANY: Key<'static> = Key::new("any");
const ALL: Key<'static> = Key::new("all");

/// Whether `any` or `all` was meant, so that what is missing is not `type`.
fn misspells_a_list(node: &Node) -> bool {
    let Value::Mapping(entries) = &node.value else { return false };
    let meant = |entry: &Entry| suggest::closest(&entry.key, ["type", "mode", ANY.name(), ALL.name()]);
    !entries.iter().any(|entry| entry.key == "type")
        && entries.iter().any(|entry| [Some(ANY.name()), Some(ALL.name())].contains(&meant(entry)))
}

impl Decode for AuthenticationConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let mut fields = cx.fields(node)?;
        let at = fields.span();
        let mode =
            fields.or_else::<Spanned<ModeConfig>>("mode", || Spanned::nowhere(ModeConfig::Enforce), cx);
        let mut needed = Needed::Any;
        let methods = match (fields.has(ANY), fields.has(ALL)) {
            (true, true) => {
                cx.error("config.any_and_all", at, "`any` and `all` exclude each other")
                    .help("write one of `any` and `all`");
                fields.abandon(cx);
                return None;
            }
            (true, false) => fields.required::<Vec<MethodConfig>>(ANY, cx),
            (false, true) => {
                needed = Needed::All;
                fields.required::<Vec<MethodConfig>>(ALL, cx)
            }
            // `finish` says so.
            (false, false) if misspells_a_list(node) => None,
            (false, false) => MethodConfig::decode_fields(&mut fields, cx).map(|method| vec![method]),
        };
        fields.finish(cx)?;
        let (mode, methods) = (mode?, methods?);
        if methods.is_empty() {
            cx.error("config.empty_list", at, "the list of methods is empty")
                .help("list at least one method, or make the route public with `public: \"why\"`");
            return None;
        }
        if needed == Needed::All && methods.iter().filter(|method| method.is_authorization()).count() > 1 {
            cx.error(
                "config.several_tokens",
                at,
                "a request has only one `Authorization` header, so these methods cannot both be required",
            )
            .help("list the issuers under `any`, and leave one method that takes a token under `all`");
            return None;
        }
        match mode.value {
            ModeConfig::Enforce => {}
            ModeConfig::Observe => {
                cx.warning(
                    "config.authentication_observed",
                    mode.span,
                    "failed authentication is only recorded, so every request is accepted",
                )
                .help("remove the key when the log shows what you expect");
            }
            ModeConfig::Off => {
                cx.error(
                    "config.authentication_off",
                    mode.span,
                    "authentication cannot be switched off by a mode",
                )
                .help("make the route public with `public: \"why\"`, so that the reason is documented");
                return None;
            }
        }
        Some(AuthenticationConfig { methods, needed, mode: mode.value, at })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.define::<Self>("Authentication", |definitions| {
            let with_mode = |mut schema: serde_json::Value, definitions: &mut Definitions| {
                let mut mode = ModeConfig::schema(definitions);
                if let Some(mode) = mode.as_object_mut() {
                    mode.insert("description".into(), json!("`enforce` rejects the request. `observe` lets it through and records what would have been rejected. `off` does not load here: an open route says `public: \"why\"`. Default: enforce."));
                    mode.insert("default".into(), json!(ModeConfig::Enforce.as_str()));
                }
                if let Some(properties) = schema.pointer_mut("/properties").and_then(|found| found.as_object_mut()) {
                    properties.insert("mode".into(), mode);
                }
                schema
            };
            let mut forms = MethodConfig::schemas(definitions);
            let mut any = ObjectSchema::new("One of several methods must succeed.");
            let methods = Vec::<MethodConfig>::schema(definitions);
            any.property(ANY, "The methods, in this order.", methods.clone(), None, true);
            let mut all = ObjectSchema::new("All of several methods must succeed. The first one determines the principal.");
            all.property(ALL, "The methods, in this order. No two may identify different consumers.", methods, None, true);
            forms.extend([any.into_json(), all.into_json()]);
            let forms: Vec<_> = forms.into_iter().map(|form| with_mode(form, definitions)).collect();
            json!({ "oneOf": forms })
        })
    }
}

impl Section for AuthenticationConfig {
    const ABOUT: &'static str = "How the principal is authenticated.";
    const CHECKS: &'static [&'static str] = &["authn"];
    const ASKS_WHO: bool = true;

    fn compile(&self, _: Span, build: &mut Build, cx: &mut Context) -> Option<Part> {
        let (authentication, bodies) = self.authentication(build, cx)?;
        let part = Part::new().authenticate(authentication);
        // SECURITY: before whatever else looks into a body (a_body_that_nobody_signed_is_looked_at_by_nobody).
        Some(bodies.into_iter().fold(part, |part, check| part.inspect(self.mode, check)))
    }
}

impl AuthenticationConfig {
    /// What runs, and what of it has yet to see the body.
    fn authentication(
        &self,
        build: &mut Build,
        cx: &mut Context,
    ) -> Option<(Authentication, Vec<Arc<dyn Inspect>>)> {
        // All are compiled before the first failure counts, so that all failures are reported.
        let compiled: Vec<_> = self.methods.iter().map(|method| method.compile(build, cx)).collect();
        let compiled = compiled.into_iter().collect::<Option<Vec<_>>>()?;
        let mut methods: Vec<Arc<dyn Authenticate>> = Vec::new();
        // What several issuers' tokens are taken from is one place, and one check.
        let mut bodies = Vec::new();
        let mut places: Vec<TokenPlace<'_>> = Vec::new();
        for (method, compiled) in self.methods.iter().zip(compiled) {
            match (compiled, method.token()) {
                (Compiled::Check(check), _) => methods.push(check),
                (Compiled::WithBody(check, body), _) => {
                    methods.push(check);
                    bodies.push(body);
                }
                (Compiled::Tokens(_), None) => {}
                (Compiled::Tokens(trusts), Some(config)) => {
                    let Some(place) = trusts.first().map(|trust| trust.place.clone()) else { continue };
                    match places.iter_mut().find(|there| there.place == place) {
                        Some(there) => {
                            there.trusts.extend(trusts);
                            there.configs.push(config);
                        }
                        None => {
                            let before = methods.len() + places.len();
                            places.push(TokenPlace { place, before, trusts, configs: vec![config] });
                        }
                    }
                }
            }
        }
        for TokenPlace { place, before, trusts, configs } in places {
            token_config::agree(&configs, self.at, cx)?;
            let check = token_config::bearer(place, trusts, &configs, build);
            methods.insert(before.min(methods.len()), Arc::new(check));
        }
        let mode = self.mode.into();
        let authentication = match self.needed {
            Needed::Any => Authentication::AnyOf { mode, methods },
            Needed::All => Authentication::AllOf { mode, methods },
        };
        Some((authentication, bodies))
    }

    /// Whether any method establishes consumers that the configuration names; `None` where one establishes others.
    pub fn knows_consumers(&self) -> Option<bool> {
        self.methods.iter().try_fold(false, |any, method| match method.establishes() {
            Establishes::Consumers => Some(true),
            Establishes::Unnamed => Some(any),
            Establishes::Subjects { .. } => None,
        })
    }

    /// Whether every request that it accepts carries a token.
    pub fn brings_token(&self) -> bool {
        let mut methods = self.methods.iter();
        let brings = |method: &MethodConfig| method.token().is_some();
        match self.needed {
            Needed::Any => methods.all(brings),
            Needed::All => methods.any(brings),
        }
    }

    /// What stands before the roles of each issuer that has such a prefix.
    pub fn role_prefixes(&self) -> impl Iterator<Item = String> {
        self.methods.iter().filter_map(|method| match method.establishes() {
            Establishes::Subjects { roles_prefix, .. } => {
                Some(roles_prefix).filter(|prefix| !prefix.is_empty())
            }
            Establishes::Consumers | Establishes::Unnamed => None,
        })
    }

    /// Two issuers of which either is enough and each can give the roles of the other.
    pub fn shared_roles(&self) -> Option<(String, String)> {
        let mut before: Vec<(String, String)> = Vec::new();
        for method in self.methods.iter().filter(|_| self.needed == Needed::Any) {
            let Establishes::Subjects { issuer, roles_prefix } = method.establishes() else { continue };
            let shared = before.iter().find(|(other, prefix)| *other != issuer && *prefix == roles_prefix);
            if let Some((other, _)) = shared {
                return Some((other.clone(), issuer));
            }
            before.push((issuer, roles_prefix));
        }
        None
    }
}

/// The name of a header field by which requests are counted: one that is there when they are.
pub(crate) fn counted_field_name(name: &Spanned<String>, cx: &mut Context) -> Option<HeaderName> {
    let field = field_name(name, cx)?;
    // SECURITY: a field that is taken away before a check looks would never be found, so a limit by `X-Real-IP` would be
    // another limit than the one that was asked for (every_code_points_to_its_place_and_says_what_to_do).
    if FieldRules::standard().removes(field.as_str()) {
        cx.error(
            "config.reserved_field",
            name.span,
            format!("the header `{field}` is removed from every request"),
        )
        .help("use a header that only clients set, such as `x-api-key`");
        return None;
    }
    Some(field)
}

/// The name of a header field that may carry a credential, or what the gateway says.
pub(crate) fn field_name(name: &Spanned<String>, cx: &mut Context) -> Option<HeaderName> {
    match HeaderName::from_bytes(name.value.to_ascii_lowercase().as_bytes()) {
        Ok(field) if FieldRules::is_fixed(field.as_str()) => {
            cx.error(
                "config.reserved_field",
                name.span,
                format!("the header `{field}` is set or used by the gateway itself"),
            )
            .help("use a header that only clients set, such as `x-api-key`");
            None
        }
        Ok(field) if field.as_str().contains(|mark: char| !mark.is_ascii_alphanumeric() && mark != '-') => {
            cx.error(
                "config.field_name",
                name.span,
                format!(
                    "the name `{field}` has a character such as `_` or `.`, which backends confuse with `-`"
                ),
            )
            .help(format!(
                "use `{}`",
                field.as_str().replace(|mark: char| !mark.is_ascii_alphanumeric(), "-")
            ));
            None
        }
        Ok(field) => Some(field),
        Err(_) => {
            cx.error("config.field_name", name.span, "this is not a header name")
                .help("write a name such as `x-api-key`");
            None
        }
    }
}

#[cfg(test)]
mod tests;
