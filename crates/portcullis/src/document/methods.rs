//! The methods that a route allows.

use portcullis_config::{Context, Decode, Definitions, Node, Span, Spanned, Value, suggest};
use portcullis_core::MethodSet;
use serde_json::json;

/// What stands for every method.
const ANY: &str = "any";

/// The registered methods (IANA, HTTP Method Registry) and others in wide use: what is close to one of them and not one is a
/// slip.
const REGISTERED: [&str; 44] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PRI",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
    "NOTIFY",
];

/// The methods that a route allows.
#[derive(Clone, Debug)]
pub enum MethodsConfig {
    /// Every one but `CONNECT` and `TRACE`.
    Any,
    /// These.
    These(Vec<Spanned<String>>),
}

impl MethodsConfig {
    /// As they are written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (any, these) = match self {
            MethodsConfig::Any => (Some(ANY), [].as_slice()),
            MethodsConfig::These(these) => (None, these.as_slice()),
        };
        any.into_iter().chain(these.iter().map(|method| method.value.as_str()))
    }

    /// The set. `None` means that an error was pushed.
    pub(crate) fn compile(&self, at: Span, cx: &mut Context) -> Option<MethodSet> {
        let these = match self {
            MethodsConfig::Any => return Some(MethodSet::ANY),
            MethodsConfig::These(these) => these,
        };
        if these.is_empty() {
            cx.error("config.empty_list", at, "a route that allows no method serves nothing")
                .help("name a method, or leave the key out for the usual ones");
            return None;
        }
        // Each was judged when it was read.
        let sets = these.iter().filter_map(|method| MethodSet::named(&method.value));
        Some(sets.fold(MethodSet::NONE, MethodSet::union).with_head())
    }
}

/// Whether a route can allow this method; `false` means that an error was pushed.
fn is_method(method: &Spanned<String>, cx: &mut Context) -> bool {
    let name = method.value.as_str();
    let known = REGISTERED.contains(&name);
    let closest = suggest::closest(&name.to_ascii_uppercase(), REGISTERED).filter(|_| !known);
    let allowed = MethodSet::named(name).is_some();
    if allowed && closest.is_none() {
        return true;
    }
    let message = if known {
        format!("a route cannot allow the method `{name}`")
    } else {
        format!("unknown method `{name}`")
    };
    let problem = cx.error("config.unknown_value", method.span, message);
    match closest.filter(|closest| MethodSet::named(closest).is_some()) {
        Some(closest) => problem.label(format!("did you mean `{closest}`?")),
        None => problem
            .help("write a method in upper case, such as `PROPFIND`; CONNECT and TRACE are never allowed"),
    };
    false
}

impl Decode for MethodsConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if matches!(node.value, Value::Sequence(_)) {
            let these = Vec::<Spanned<String>>::decode(node, cx)?;
            // Each is judged before the first fault counts, so that all are reported.
            let bad = these.iter().filter(|method| !is_method(method, cx)).count();
            return (bad == 0).then_some(MethodsConfig::These(these));
        }
        let text = cx.text(node)?;
        if text == ANY {
            return Some(MethodsConfig::Any);
        }
        let message = format!("`{text}` is not a list of methods");
        cx.error("config.unknown_value", node.span, message)
            .help("write `any`, or a list such as `[GET, PUT]`");
        None
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        let list = Vec::<String>::schema(definitions);
        json!({ "anyOf": [{ "const": ANY }, list] })
    }
}
