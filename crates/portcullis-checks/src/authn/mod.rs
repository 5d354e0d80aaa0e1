//! Who sends the request.
//!
//! A route's statement names one method, several of which one must succeed, or several that all must. A method whose
//! credential is absent is passed over where one is enough; one whose credential is there and bad ends the search.
//! Methods that take a token are one check, [`bearer`], since there is one place in which a token can stand.

pub mod api_key;
pub mod basic;
pub mod bearer;
pub mod jwt;
pub mod key_config;
pub mod key_digest;
pub mod mtls;
pub mod oauth2;
pub mod openid_connect;
pub mod password_config;
pub mod resource_metadata;
pub mod token_config;
pub mod users;

pub use key_config::KeyConfig;
pub use password_config::PasswordConfig;

use crate::build::Build;
use crate::mode::ModeConfig;
use crate::section::{Part, Section};
use api_key::ApiKeyConfig;
use basic::BasicConfig;
use bearer::Trust;
use http::HeaderName;
use jwt::JwtConfig;
use mtls::MtlsConfig;
use oauth2::OAuth2Config;
use openid_connect::OpenIdConnectConfig;
use portcullis_config::{
    Context, Decode, DecodeFields, Definitions, Entry, Fields, Key, Node, ObjectSchema, Span, Spanned, Value,
    suggest,
};
use portcullis_core::{Authenticate, Authentication};
use serde_json::json;
use std::sync::Arc;
use token_config::TokenConfig;

/// One way to authenticate.
#[derive(Clone, Debug)]
pub enum MethodConfig {
    /// By an API key.
    ApiKey(ApiKeyConfig),
    /// By a name and a password.
    Basic(BasicConfig),
    /// By a signed token.
    Jwt(Box<JwtConfig>),
    /// By an OAuth 2 access token.
    OAuth2(Box<OAuth2Config>),
    /// By the client certificate of the connection.
    Mtls(MtlsConfig),
    /// By a browser's session.
    OpenIdConnect(Box<OpenIdConnectConfig>),
}

/// The words for `type`, as they are printed.
const TYPES: [&str; 6] = ["api_key", "basic", "jwt", "OAuth2", "mtls", "openid_connect"];

impl MethodConfig {
    fn decode_fields(fields: &mut Fields<'_>, cx: &mut Context) -> Option<MethodConfig> {
        let given = fields.tag::<Spanned<String>>("type", cx)?;
        // `api_key`, `apiKey`, `APIKey`, `api-key`: one word in many spellings.
        let folded: String =
            given.value.chars().filter(|c| !matches!(c, '_' | '-')).collect::<String>().to_ascii_lowercase();
        match folded.as_str() {
            "apikey" => ApiKeyConfig::decode_fields(fields, cx).map(MethodConfig::ApiKey),
            "basic" => BasicConfig::decode_fields(fields, cx).map(MethodConfig::Basic),
            "jwt" => JwtConfig::decode_fields(fields, cx).map(|jwt| MethodConfig::Jwt(Box::new(jwt))),
            "oauth2" => {
                OAuth2Config::decode_fields(fields, cx).map(|oauth2| MethodConfig::OAuth2(Box::new(oauth2)))
            }
            "mtls" => MtlsConfig::decode_fields(fields, cx).map(MethodConfig::Mtls),
            "openidconnect" | "oidc" => OpenIdConnectConfig::decode_fields(fields, cx)
                .map(|login| MethodConfig::OpenIdConnect(Box::new(login))),
            _ => {
                let unknown =
                    cx.error("config.unknown_value", given.span, "there is no such type of authentication");
                match suggest::closest(&given.value, TYPES) {
                    Some(closest) => unknown.label(format!("did you mean `{closest}`?")),
                    None => unknown
                        .help(format!("the types are {}", TYPES.map(|name| format!("`{name}`")).join(", "))),
                };
                // SECURITY: keys may be among what is left unread (an_unknown_type_of_authentication_shows_no_key).
                fields.abandon(cx);
                None
            }
        }
    }

    fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<Compiled> {
        match self {
            MethodConfig::ApiKey(config) => Some(Compiled::Check(Arc::new(config.compile(build, cx)?))),
            MethodConfig::Basic(config) => Some(Compiled::Check(Arc::new(config.compile(build, cx)?))),
            MethodConfig::Jwt(config) => config.compile(build, cx).map(Box::new).map(Compiled::Token),
            MethodConfig::OAuth2(config) => config.compile(build, cx).map(Box::new).map(Compiled::Token),
            MethodConfig::Mtls(config) => Some(Compiled::Check(Arc::new(config.compile(build, cx)?))),
            MethodConfig::OpenIdConnect(config) => {
                Some(Compiled::Check(Arc::new(config.compile(build, cx)?)))
            }
        }
    }

    fn token(&self) -> Option<&TokenConfig> {
        match self {
            MethodConfig::ApiKey(_)
            | MethodConfig::Basic(_)
            | MethodConfig::Mtls(_)
            | MethodConfig::OpenIdConnect(_) => None,
            MethodConfig::Jwt(config) => Some(&config.token),
            MethodConfig::OAuth2(config) => Some(&config.token),
        }
    }

    /// Whether its credential stands in the `Authorization` field, of which a request has one.
    fn is_authorization(&self) -> bool {
        self.token().is_some() || matches!(self, MethodConfig::Basic(_))
    }

    /// Whether the method establishes consumers that the configuration names; `None` where it establishes others.
    fn knows_consumers(&self) -> Option<bool> {
        match self {
            MethodConfig::ApiKey(config) => Some(config.keys.is_none()),
            MethodConfig::Basic(_) | MethodConfig::Mtls(_) => Some(true),
            MethodConfig::Jwt(_) | MethodConfig::OAuth2(_) | MethodConfig::OpenIdConnect(_) => None,
        }
    }

    fn schema_of<T: DecodeFields>(
        words: &[&str],
        description: &str,
        definitions: &mut Definitions,
    ) -> serde_json::Value {
        let mut schema = ObjectSchema::new(description);
        schema.tag("type", words);
        T::describe(&mut schema, definitions);
        schema.into_json()
    }
}

/// A method that was compiled: a check, or an issuer for the one check of all tokens.
enum Compiled {
    Check(Arc<dyn Authenticate>),
    Token(Box<Trust>),
}

impl Decode for MethodConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let mut fields = cx.fields(node)?;
        let method = MethodConfig::decode_fields(&mut fields, cx);
        fields.finish(cx)?;
        method
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.define::<Self>("AuthenticationMethod", |definitions| {
            json!({ "oneOf": [
                Self::schema_of::<ApiKeyConfig>(&["api_key", "APIKey", "apiKey"], "An API key.", definitions),
                Self::schema_of::<BasicConfig>(&["basic", "Basic"], BASIC, definitions),
                Self::schema_of::<JwtConfig>(&["jwt", "JWT"], JWT, definitions),
                Self::schema_of::<OAuth2Config>(&["OAuth2", "oauth2"], OAUTH2, definitions),
                Self::schema_of::<MtlsConfig>(&["mtls"], MTLS, definitions),
                Self::schema_of::<OpenIdConnectConfig>(&OPENID_CONNECT_WORDS, OPENID_CONNECT, definitions),
            ] })
        })
    }
}

/// How many of several methods must succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// The first whose credential is there.
    Any,
    /// Every one.
    All,
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

const BASIC: &str = "A name and a password (RFC 7617).";
const JWT: &str = "A token that an issuer signed (RFC 7519).";
const OAUTH2: &str = "An OAuth 2 access token, signed or opaque (RFC 6750).";
const MTLS: &str = "The certificate that the client showed to the listener.";
const OPENID_CONNECT: &str =
    "A login with an OpenID provider, for people in browsers. The session stands in a sealed cookie.";
const OPENID_CONNECT_WORDS: [&str; 3] = ["openid_connect", "openIdConnect", "oidc"];
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
                cx.error("config.any_and_all", at, "either one of the methods is enough or all are needed")
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
            cx.error("config.empty_list", at, "nobody can authenticate by none of these")
                .help("list at least one method, or open the route with `public: \"why\"`");
            return None;
        }
        if needed == Needed::All && methods.iter().filter(|method| method.is_authorization()).count() > 1 {
            cx.error(
                "config.several_tokens",
                at,
                "a request carries one token or password, so two cannot both be asked for",
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
                    "anybody gets in: a failed authentication is only recorded",
                )
                .help("remove the key when the records show what you expect");
            }
            ModeConfig::Off => {
                cx.error(
                    "config.authentication_off",
                    mode.span,
                    "authentication cannot be switched off by a mode",
                )
                .help("open a route with `public: \"why\"`, so that the reason stands beside it");
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
                    mode.insert("description".into(), json!("What a refusal does. `off` is refused here: an open route says why, with `public`. Default: enforce."));
                    mode.insert("default".into(), json!(ModeConfig::Enforce.as_str()));
                }
                if let Some(properties) = schema.pointer_mut("/properties").and_then(|found| found.as_object_mut()) {
                    properties.insert("mode".into(), mode);
                }
                schema
            };
            let api_key = MethodConfig::schema_of::<ApiKeyConfig>(&["api_key", "APIKey", "apiKey"], "An API key.", definitions);
            let basic = MethodConfig::schema_of::<BasicConfig>(&["basic", "Basic"], BASIC, definitions);
            let jwt = MethodConfig::schema_of::<JwtConfig>(&["jwt", "JWT"], JWT, definitions);
            let oauth2 = MethodConfig::schema_of::<OAuth2Config>(&["OAuth2", "oauth2"], OAUTH2, definitions);
            let mtls = MethodConfig::schema_of::<MtlsConfig>(&["mtls"], MTLS, definitions);
            let login =
                MethodConfig::schema_of::<OpenIdConnectConfig>(&OPENID_CONNECT_WORDS, OPENID_CONNECT, definitions);
            let mut any = ObjectSchema::new("One of several methods must succeed.");
            let methods = Vec::<MethodConfig>::schema(definitions);
            any.property(ANY, "The methods, asked in this order.", methods.clone(), None, true);
            let mut all = ObjectSchema::new("All of several methods must succeed; the first one says who sends the request.");
            all.property(ALL, "The methods, asked in this order. No two may name different consumers.", methods, None, true);
            json!({ "oneOf": [
                with_mode(api_key, definitions),
                with_mode(basic, definitions),
                with_mode(jwt, definitions),
                with_mode(oauth2, definitions),
                with_mode(mtls, definitions),
                with_mode(login, definitions),
                with_mode(any.into_json(), definitions),
                with_mode(all.into_json(), definitions),
            ] })
        })
    }
}

impl Section for AuthenticationConfig {
    const ABOUT: &'static str = "Who sends the request.";
    const ASKS_WHO: bool = true;

    fn compile(&self, _: Span, build: &mut Build, cx: &mut Context) -> Option<Part> {
        self.authentication(build, cx).map(|authentication| Part::new().authenticate(authentication))
    }
}

impl AuthenticationConfig {
    /// What runs.
    fn authentication(&self, build: &mut Build, cx: &mut Context) -> Option<Authentication> {
        // All are compiled before the first failure counts, so that all failures are reported.
        let compiled: Vec<_> = self.methods.iter().map(|method| method.compile(build, cx)).collect();
        let compiled = compiled.into_iter().collect::<Option<Vec<_>>>()?;
        let mut methods: Vec<Arc<dyn Authenticate>> = Vec::new();
        let mut trusts = Vec::new();
        let mut place = None;
        for compiled in compiled {
            match compiled {
                Compiled::Check(check) => methods.push(check),
                Compiled::Token(trust) => {
                    place.get_or_insert(methods.len());
                    trusts.push(*trust);
                }
            }
        }
        if let Some(place) = place {
            let configs: Vec<_> = self.methods.iter().filter_map(MethodConfig::token).collect();
            token_config::agree(&configs, self.at, cx)?;
            methods.insert(place, Arc::new(token_config::bearer(trusts, &configs)));
        }
        let mode = self.mode.into();
        Some(match self.needed {
            Needed::Any => Authentication::AnyOf { mode, methods },
            Needed::All => Authentication::AllOf { mode, methods },
        })
    }

    /// Whether any method establishes consumers that the configuration names; `None` where one establishes others.
    pub fn knows_consumers(&self) -> Option<bool> {
        self.methods.iter().try_fold(false, |any, method| method.knows_consumers().map(|knows| any || knows))
    }
}

/// The name of a header field that may carry a credential or a key.
pub(crate) fn field_name(name: &Spanned<String>, cx: &mut Context) -> Option<HeaderName> {
    match HeaderName::from_bytes(name.value.to_ascii_lowercase().as_bytes()) {
        // SECURITY: a field that is taken away before a check looks would never be found, so a limit by `X-Real-IP` would be
        // another limit than the one that was asked for (every_code_points_to_its_place_and_says_what_to_do).
        Ok(field) if !portcullis_core::head::is_end_to_end(field.as_str()) => {
            cx.error("config.reserved_field", name.span, format!("the field `{field}` is the gateway's own"))
                .help("use a field that only clients set, such as `x-api-key`");
            None
        }
        Ok(field) if field.as_str().contains(|mark: char| !mark.is_ascii_alphanumeric() && mark != '-') => {
            cx.error(
                "config.field_name",
                name.span,
                format!("the name `{field}` has a mark such as `_` or `.`, which backends confuse with `-`"),
            )
            .help(format!(
                "use `{}`",
                field.as_str().replace(|mark: char| !mark.is_ascii_alphanumeric(), "-")
            ));
            None
        }
        Ok(field) => Some(field),
        Err(_) => {
            cx.error("config.field_name", name.span, "this is not the name of a header field")
                .help("write a name such as `x-api-key`");
            None
        }
    }
}
