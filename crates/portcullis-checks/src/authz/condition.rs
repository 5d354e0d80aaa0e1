//! Whether an expression in CEL, the operator's own, is true: see [`crate::expression`].
//!
//! It is checked when the configuration is read: names, functions and types must fit, and what comes out must be true or
//! false. What can only be seen later, such as a claim that is not there, refuses the request. It sees the request's head
//! and the principal, and nothing else. Each claim that the expression names is converted once per request.

use crate::expression::judge::TEXT_UNIT;
use crate::expression::{Expression, Kind, Reads};
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::Val;
use percent_encoding::percent_decode_str;
use portcullis_config::{Context, Spanned};
use portcullis_core::check::Check;
use portcullis_core::{Authorize, CheckId, Claim, Code, Denial, Effects, Facts, Principal, Step};
use std::collections::HashMap;
use std::sync::LazyLock;

static REQUEST: LazyLock<[(&str, Kind); 5]> = LazyLock::new(|| {
    [
        ("method", Kind::Text),
        ("path", Kind::Text),
        ("host", Kind::Text),
        ("client", Kind::Text),
        ("parameters", Kind::map(Kind::Text)),
    ]
});

static PRINCIPAL: LazyLock<[(&str, Kind); 5]> = LazyLock::new(|| {
    [
        ("name", Kind::Text),
        ("issuer", Kind::Text),
        ("client", Kind::Text),
        ("roles", Kind::list(Kind::Text)),
        ("scopes", Kind::list(Kind::Text)),
    ]
});

/// What an expression can name.
static VARIABLES: LazyLock<[(&str, Kind); 3]> = LazyLock::new(|| {
    [
        ("request", Kind::Record(REQUEST.as_slice())),
        ("principal", Kind::Record(PRINCIPAL.as_slice())),
        ("claims", Kind::map(Kind::Dyn)),
    ]
});

/// The check.
pub struct Condition {
    text: String,
    expression: Expression,
}

impl Condition {
    /// The check that runs for `condition`.
    pub fn compile(text: &Spanned<String>, cx: &mut Context) -> Option<Condition> {
        let mut refuse = |why: &str| {
            cx.error("config.condition", text.span, format!("the expression cannot be used: {why}"))
                .help("an expression names request.method, .path, .host, .client, .parameters, principal.name, .issuer, .client, .roles, .scopes and claims, such as `\"mfa\" in claims.amr`");
            None
        };
        match Expression::compile(&text.value, VARIABLES.as_slice()) {
            Err(flaw) => refuse(&flaw.0),
            Ok(expression) if !expression.kind().may_be(&Kind::Bool) => {
                refuse(&format!("it is neither true nor false, but a {}", expression.kind()))
            }
            Ok(expression) => Some(Condition { text: text.value.clone(), expression }),
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
        let refused = |detail: String| Err(Denial::new(Code::ExpressionRefused, detail));
        let mut world = World { facts, principal, converter: Converter::default() };
        let variables = world.variables(&self.expression);
        let largest = self.expression.largest();
        // SECURITY: what an expression costs is bounded by the size of what it sees (a_costly_condition_is_refused).
        let size = world.converter.size;
        if size > usize::try_from(largest).unwrap_or(usize::MAX) {
            return Step::Ready(refused(format!(
                "what the condition names has a size of {}, and it can judge {largest} at a bounded cost",
                size
            )));
        }
        // SECURITY: only what is true lets a request on; what cannot be evaluated is not
        // (what_cannot_be_evaluated_denies).
        Step::Ready(match self.expression.holds(variables) {
            Ok(true) => Ok(()),
            Ok(false) => refused("the condition is not true".to_owned()),
            Err(why) => refused(format!("the condition could not be evaluated: {why}")),
        })
    }
}

type Value<'v> = Box<dyn Val + 'v>;

/// What an expression sees of one request.
struct World<'a> {
    facts: &'a Facts<'a>,
    principal: &'a Principal,
    converter: Converter,
}

impl<'a> World<'a> {
    /// The variables that an expression names. One that has no value is not there, and so an error.
    fn variables(&mut self, expression: &Expression) -> Vec<(&'static str, Value<'a>)> {
        let mut found = Vec::with_capacity(3);
        if let Some(reads) = expression.reads("request") {
            found.push(("request", self.request(reads)));
        }
        if let Some(reads) = expression.reads("principal") {
            found.push(("principal", self.principal(reads)));
        }
        if let Some(reads) = expression.reads("claims")
            && let Some(subject) = self.principal.claimant()
        {
            found.push(("claims", self.converter.claims(&subject.claims, reads)));
        }
        found
    }

    fn request(&mut self, reads: &Reads) -> Value<'a> {
        let facts = self.facts;
        let head = facts.head;
        let mut members = HashMap::new();
        for (name, _) in REQUEST.iter().filter(|(name, _)| reads.includes(name)) {
            let value = match *name {
                "method" => self.converter.text(head.method().as_str()),
                "path" => self.converter.text(head.path()),
                "host" => self.converter.text(head.host().to_str().unwrap_or_default()),
                "client" => self.converter.owned(head.client().to_string()),
                "parameters" => self.parameters(),
                _ => continue,
            };
            members.insert(CelMapKey::from(*name), value);
        }
        Box::new(CelMap::from(members))
    }

    fn principal(&mut self, reads: &Reads) -> Value<'a> {
        let consumers = &self.facts.plan.consumers;
        let principal = self.principal;
        let subject = principal.as_subject();
        let mut members = HashMap::new();
        for (name, _) in PRINCIPAL.iter().filter(|(name, _)| reads.includes(name)) {
            let value = match *name {
                "name" => principal.name(consumers).map(|name| self.converter.text(name)),
                "issuer" => subject.map(|subject| self.converter.text(&subject.issuer)),
                "client" => subject
                    .and_then(|subject| subject.client.as_deref())
                    .map(|name| self.converter.text(name)),
                "roles" => Some(self.converter.texts(principal.roles(consumers))),
                "scopes" => Some(self.converter.texts(principal.scopes(consumers))),
                _ => None,
            };
            if let Some(value) = value {
                members.insert(CelMapKey::from(*name), value);
            }
        }
        Box::new(CelMap::from(members))
    }

    fn parameters(&mut self) -> Value<'a> {
        let facts = self.facts;
        let names = facts.route.path.split('/').filter_map(|segment| {
            let inner = segment.strip_prefix('{')?.strip_suffix('}')?;
            Some(inner.strip_prefix('*').unwrap_or(inner))
        });
        let mut members = HashMap::new();
        for name in names {
            let raw = facts.route.parameter(facts.head.path(), name);
            if let Some(decoded) = raw.and_then(|raw| percent_decode_str(raw).decode_utf8().ok()) {
                let value = self.converter.owned(decoded.into_owned());
                members.insert(CelMapKey::from(name), value);
            }
        }
        Box::new(CelMap::from(members))
    }
}

/// Makes values of an expression, and counts what it makes: each is made once for a request.
#[derive(Default)]
struct Converter {
    /// Elements, members and 32 bytes of text count 1 each.
    size: usize,
}

impl Converter {
    fn claims<'a>(&mut self, claims: &'a Claim, reads: &Reads) -> Value<'a> {
        match claims {
            // Only what the expression names is converted.
            Claim::Object(members) => {
                let named = members.iter().filter(|(name, _)| reads.includes(name));
                let members = named.map(|(name, claim)| (CelMapKey::from(name.as_str()), self.claim(claim)));
                Box::new(CelMap::from(members.collect::<HashMap<_, _>>()))
            }
            Claim::Null
            | Claim::Bool(_)
            | Claim::Integer(_)
            | Claim::Number(_)
            | Claim::Text(_)
            | Claim::List(_) => self.claim(claims),
        }
    }

    fn claim<'a>(&mut self, claim: &'a Claim) -> Value<'a> {
        self.size += 1;
        match claim {
            Claim::Null => Box::new(CelNull),
            Claim::Bool(value) => Box::new(CelBool::from(*value)),
            Claim::Integer(number) => Box::new(CelInt::from(*number)),
            Claim::Number(number) => Box::new(CelDouble::from(*number)),
            Claim::Text(text) => self.text(text),
            Claim::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.claim(item)).collect();
                Box::new(CelList::from(items))
            }
            Claim::Object(members) => {
                let members = members.iter().map(|(name, claim)| {
                    self.size += 1 + name.len() / TEXT_UNIT;
                    (CelMapKey::from(name.as_str()), self.claim(claim))
                });
                Box::new(CelMap::from(members.collect::<HashMap<_, _>>()))
            }
        }
    }

    fn text<'a>(&mut self, text: &'a str) -> Value<'a> {
        self.size += 1 + text.len() / TEXT_UNIT;
        Box::new(CelString::from(text))
    }

    fn owned<'a>(&mut self, text: String) -> Value<'a> {
        self.size += 1 + text.len() / TEXT_UNIT;
        Box::new(CelString::from(text))
    }

    fn texts<'a>(&mut self, texts: &'a [String]) -> Value<'a> {
        let texts: Vec<_> = texts.iter().map(|text| self.text(text)).collect();
        Box::new(CelList::from(texts))
    }
}

#[cfg(test)]
mod tests;
