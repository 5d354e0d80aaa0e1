//! Whether an expression of the operator's own is true, written in CEL (the Common Expression Language).
//!
//! It is checked when the configuration is read: names, functions and types must fit, and what comes out must be true or
//! false. What can only be seen later, such as a claim that is not there, refuses the request. It sees the request's head
//! and the principal, and nothing else.

use cel_core::{Activation, CelType, Env, MapKey, Program, Value, ValueMap};
use percent_encoding::percent_decode_str;
use portcullis_config::{Context, Spanned};
use portcullis_core::check::Check;
use portcullis_core::{Authorize, CheckId, Claim, Code, Denial, Effects, Facts, Principal, Step};
use std::sync::Arc;

/// The longest expression in bytes.
const MAX_BYTES: usize = 4096;

/// What an expression can name, and its type.
fn environment() -> Env {
    let strings = || CelType::List(Arc::new(CelType::String));
    let map = |value| CelType::Map(Arc::new(CelType::String), Arc::new(value));
    Env::with_standard_library()
        .with_variable("request.method", CelType::String)
        .with_variable("request.path", CelType::String)
        .with_variable("request.host", CelType::String)
        .with_variable("request.client", CelType::String)
        .with_variable("request.parameters", map(CelType::String))
        .with_variable("principal.name", CelType::String)
        .with_variable("principal.issuer", CelType::String)
        .with_variable("principal.client", CelType::String)
        .with_variable("principal.roles", strings())
        .with_variable("principal.scopes", strings())
        .with_variable("claims", map(CelType::Dyn))
}

/// The check.
pub struct Condition {
    text: String,
    program: Program,
}

impl Condition {
    /// The check that runs for `condition`.
    pub fn compile(text: &Spanned<String>, cx: &mut Context) -> Option<Condition> {
        let mut refuse = |why: String| {
            cx.error("config.condition", text.span, why)
                .help("an expression names request.method, .path, .host, .client, .parameters, principal.name, .issuer, .client, .roles, .scopes and claims, such as `\"mfa\" in claims.amr`");
            None
        };
        if text.value.len() > MAX_BYTES {
            return refuse(format!("an expression has at most {MAX_BYTES} characters"));
        }
        let environment = environment();
        let ast = match environment.compile(&text.value) {
            Ok(ast) => ast,
            Err(error) => return refuse(format!("the expression has no meaning: {error}")),
        };
        match ast.result_type() {
            Some(CelType::Bool | CelType::Dyn) => {}
            Some(_) | None => return refuse("the expression is neither true nor false".to_owned()),
        }
        match environment.program(&ast) {
            Ok(program) => Some(Condition { text: text.value.clone(), program }),
            Err(error) => refuse(format!("the expression cannot run: {error}")),
        }
    }
}

impl Check for Condition {
    fn id(&self) -> CheckId {
        CheckId::new("authz.condition")
    }

    fn describe(&self) -> String {
        format!("the condition {}", self.text)
    }
}

impl Authorize for Condition {
    fn authorize<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        let refused = |detail| Step::Ready(Err(Denial::new(Code::ExpressionRefused, detail)));
        // SECURITY: only what is true lets a request on; what cannot be evaluated is not (effects/tokens.rs).
        let value = self.program.eval(&World { facts, principal });
        if matches!(value, Value::Bool(true)) {
            Step::Ready(Ok(()))
        } else if matches!(value, Value::Bool(false)) {
            refused("the condition is not true")
        } else {
            refused("the condition could not be evaluated, or is neither true nor false")
        }
    }
}

/// What an expression sees of one request.
struct World<'a> {
    facts: &'a Facts<'a>,
    principal: &'a Principal,
}

impl Activation for World<'_> {
    fn resolve(&self, name: &str) -> Option<Value> {
        let text = |text: &str| Value::String(Arc::from(text));
        let list = |items: &[String]| Value::List(items.iter().map(|item| text(item)).collect());
        let consumers = &self.facts.plan.consumers;
        let head = self.facts.head;
        let subject = self.principal.as_subject();
        Some(match name {
            "request.method" => text(head.method().as_str()),
            "request.path" => text(head.path()),
            "request.host" => text(head.host().to_str().unwrap_or_default()),
            "request.client" => text(&head.client().to_string()),
            "request.parameters" => Value::Map(Arc::new(self.parameters())),
            "principal.name" => text(self.principal.name(consumers)?),
            "principal.issuer" => text(&subject?.issuer),
            "principal.client" => text(subject?.client.as_deref()?),
            "principal.roles" => list(self.principal.roles(consumers)),
            "principal.scopes" => list(self.principal.scopes(consumers)),
            "claims" => value(&subject?.claims),
            _ => return None,
        })
    }
}

impl World<'_> {
    fn parameters(&self) -> ValueMap {
        let names = self.facts.route.path.split('/').filter_map(|segment| {
            let inner = segment.strip_prefix('{')?.strip_suffix('}')?;
            Some(inner.strip_prefix('*').unwrap_or(inner))
        });
        ValueMap::from_entries(names.filter_map(|name| {
            let raw = self.facts.route.parameter(self.facts.head.path(), name)?;
            let decoded = percent_decode_str(raw).decode_utf8().ok()?;
            Some((MapKey::String(Arc::from(name)), Value::String(Arc::from(decoded.as_ref()))))
        }))
    }
}

fn value(claim: &Claim) -> Value {
    match claim {
        Claim::Null => Value::Null,
        Claim::Bool(value) => Value::Bool(*value),
        Claim::Integer(number) => Value::Int(*number),
        Claim::Number(number) => Value::Double(*number),
        Claim::Text(text) => Value::String(Arc::from(text.as_str())),
        Claim::List(items) => Value::List(items.iter().map(value).collect()),
        Claim::Object(members) => Value::Map(Arc::new(ValueMap::from_entries(
            members.iter().map(|(name, claim)| (MapKey::String(Arc::from(name.as_str())), value(claim))),
        ))),
    }
}
