//! The list of variables of a rule.

use super::tree::{Macro, Piece, RuleField, Selector, Target, TargetUse, Variable};
use crate::error::{LoadError, Location};

/// Collections and variables that the language has and the engine does not, and why.
const UNSUPPORTED: [(&str, &str); 31] = [
    ("RULE", "%{RULE.id}, %{RULE.msg} and %{RULE.severity} are"),
    ("GEO", "there is no address database"),
    ("GLOBAL", "there are no persistent collections; use the gateway's limits"),
    ("IP", "there are no persistent collections; use the gateway's limits"),
    ("RESOURCE", "there are no persistent collections"),
    ("SESSION", "there are no persistent collections"),
    ("USER", "there are no persistent collections"),
    ("SESSIONID", "there are no persistent collections"),
    ("USERID", "there are no persistent collections"),
    ("ENV", "rules cannot read the process's environment"),
    ("AUTH_TYPE", "use the gateway's authentication"),
    ("REMOTE_USER", "use the gateway's authentication"),
    ("REMOTE_HOST", "no name is looked up for an address"),
    ("DURATION", "the engine has no clock"),
    ("PERF_ALL", "the engine has no clock"),
    ("TIME", "the engine has no clock"),
    ("TIME_DAY", "the engine has no clock"),
    ("TIME_EPOCH", "the engine has no clock"),
    ("TIME_HOUR", "the engine has no clock"),
    ("TIME_MIN", "the engine has no clock"),
    ("TIME_MON", "the engine has no clock"),
    ("TIME_SEC", "the engine has no clock"),
    ("TIME_WDAY", "the engine has no clock"),
    ("TIME_YEAR", "the engine has no clock"),
    ("FILES_TMPNAMES", "nothing is written to disk"),
    ("FILES_TMP_CONTENT", "uploaded files are not searched"),
    ("FULL_REQUEST", "use the request's parts"),
    ("PATH_INFO", "use REQUEST_FILENAME"),
    ("SCRIPT_FILENAME", "the gateway runs no scripts"),
    ("WEBAPPID", "there are no applications"),
    ("WEBSERVER_ERROR_LOG", "there is no such log"),
];

/// Reads `ARGS|!ARGS:id|&ARGS|XML:/*`.
pub(super) fn parse(at: &Location, text: &[u8]) -> Result<Vec<(TargetUse, Target)>, LoadError> {
    let mut targets = Vec::new();
    for part in split(text) {
        let part = part.trim_ascii();
        if part.is_empty() {
            return Err(LoadError::new(at, "a variable is missing between two `|`"));
        }
        let (used, rest) = match part.split_first() {
            Some((b'&', rest)) => (TargetUse::Count, rest),
            Some((b'!', rest)) => (TargetUse::Exclude, rest),
            _ => (TargetUse::Value, part),
        };
        targets.push((used, target(at, rest)?));
    }
    Ok(targets)
}

/// Splits at `|` and `,` outside `/…/` and quotes.
fn split(text: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut inside: Option<u8> = None;
    let mut previous = b'|';
    for (at, &byte) in text.iter().enumerate() {
        match inside {
            Some(close) if byte == close && previous != b'\\' => inside = None,
            Some(_) => {}
            None if byte == b'/' && previous == b':' && closes(text.get(at + 1..)) => inside = Some(b'/'),
            None if byte == b'\'' => inside = Some(b'\''),
            None if byte == b'|' || byte == b',' => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            None => {}
        }
        previous = byte;
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// Whether a `/` after a colon opens an expression: it is closed by one before `|` or the end, which `XML:/*` is not.
fn closes(rest: Option<&[u8]>) -> bool {
    let rest = rest.unwrap_or_default();
    if rest.starts_with(b"/") || rest.starts_with(b"*") {
        return false;
    }
    rest.iter().enumerate().any(|(at, byte)| {
        *byte == b'/'
            && at.checked_sub(1).and_then(|before| rest.get(before)) != Some(&b'\\')
            && matches!(rest.get(at + 1), None | Some(b'|' | b',' | b'\''))
    })
}

/// Reads `NAME` or `NAME:selector`.
pub(super) fn target(at: &Location, text: &[u8]) -> Result<Target, LoadError> {
    let text = text.strip_prefix(b"'").and_then(|inner| inner.strip_suffix(b"'")).unwrap_or(text);
    let (name, selector) = match text.iter().position(|byte| matches!(byte, b':' | b'.')) {
        Some(colon) => (text.get(..colon).unwrap_or(text), text.get(colon + 1..)),
        None => (text, None),
    };
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    let variable = named(at, &name)?;
    let selector = match selector {
        None if variable == Variable::Xml => {
            return Err(LoadError::new(at, "XML needs a selector").help("use XML:/* or XML://@*"));
        }
        None => Selector::All,
        Some(_) if !variable.is_collection() => {
            return Err(LoadError::new(at, format!("{name} is one value and takes no selector")));
        }
        Some(selector) if variable == Variable::Xml => match selector {
            b"/*" => Selector::XmlText,
            b"//@*" => Selector::XmlAttributes,
            _ => {
                let path = String::from_utf8_lossy(selector);
                return Err(LoadError::unsupported(at, format!("the XPath `{path}` is not supported"))
                    .help("XML:/* is the document's text, XML://@* every attribute's value"));
            }
        },
        Some(selector) => self::selector(at, selector)?,
    };
    Ok(Target { variable, selector })
}

fn named(at: &Location, name: &str) -> Result<Variable, LoadError> {
    if let Some(variable) = Variable::ALL.iter().find(|variable| variable.name() == name) {
        return Ok(*variable);
    }
    if let Some((_, why)) = UNSUPPORTED.iter().find(|(known, _)| *known == name) {
        return Err(LoadError::unsupported(at, format!("the variable {name} is not supported")).help(*why));
    }
    Err(LoadError::new(at, format!("there is no variable {name}")))
}

fn selector(at: &Location, text: &[u8]) -> Result<Selector, LoadError> {
    let text = text.strip_prefix(b"'").and_then(|inner| inner.strip_suffix(b"'")).unwrap_or(text);
    let pattern =
        text.strip_prefix(b"/").filter(|rest| rest.len() > 1).and_then(|rest| rest.strip_suffix(b"/"));
    let Some(pattern) = pattern else {
        if text.is_empty() {
            return Err(LoadError::new(at, "a selector is empty"));
        }
        return Ok(Selector::Name(text.into()));
    };
    // A slash in an expression is written `\/`, which means the same without its backslash.
    let source = String::from_utf8_lossy(pattern).into_owned();
    let compiled = crate::operator::pattern::plain(pattern, true)
        .map_err(|error| LoadError::new(at, format!("the selector /{source}/: {error}")))?;
    Ok(Selector::Pattern(source.into(), compiled))
}

/// Reads a text with `%{…}` in it.
pub(super) fn macros(at: &Location, text: &[u8]) -> Result<Macro, LoadError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = memchr::memmem::find(rest, b"%{") {
        let after = rest.get(start + 2..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'}', after) else { break };
        let before = rest.get(..start).unwrap_or_default();
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_vec()));
        }
        pieces.push(piece(at, after.get(..end).unwrap_or_default())?);
        rest = after.get(end + 1..).unwrap_or_default();
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_vec()));
    }
    Ok(Macro(pieces))
}

fn piece(at: &Location, inside: &[u8]) -> Result<Piece, LoadError> {
    let split = inside.iter().position(|byte| matches!(byte, b'.' | b':'));
    let prefix = inside.get(..split.unwrap_or(inside.len())).unwrap_or_default();
    let name = split.and_then(|split| inside.get(split + 1..));
    if prefix.eq_ignore_ascii_case(b"tx") {
        return match name {
            Some(name) => Ok(Piece::Tx(name.to_ascii_lowercase())),
            None => Err(LoadError::new(at, "%{TX} needs a name: %{TX.name}")),
        };
    }
    if prefix.eq_ignore_ascii_case(b"rule") {
        return match name.map(<[u8]>::to_ascii_lowercase).as_deref() {
            Some(b"id") => Ok(Piece::Rule(RuleField::Id)),
            Some(b"msg") => Ok(Piece::Rule(RuleField::Message)),
            Some(b"severity") => Ok(Piece::Rule(RuleField::Severity)),
            _ => Err(LoadError::unsupported(
                at,
                "only %{RULE.id}, %{RULE.msg} and %{RULE.severity} are supported",
            )),
        };
    }
    target(at, inside).map(Piece::Variable)
}
