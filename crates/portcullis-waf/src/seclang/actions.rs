//! The list of actions of a rule.

use super::targets::{self, macros};
use super::tree::{
    Actions, BodyProcessor, Change, Control, Disruption, Engine, Ids, Macro, Phase, Piece, RuleSelector,
    SetVariable,
};
use crate::error::{LoadError, Location};
use crate::operator::pattern;
use crate::transform::Transformation;

/// Actions that can have no effect here and whose absence changes no verdict: they shape logs.
const IGNORED: [&str; 12] = [
    "accuracy",
    "auditlog",
    "maturity",
    "noauditlog",
    "rev",
    "sanitisearg",
    "sanitisematched",
    "sanitisematchedbytes",
    "sanitiserequestheader",
    "sanitiseresponseheader",
    "ver",
    "xmlns",
];

/// Actions that the language has and the engine does not. A rule with one of them loads only if it can never match.
const UNSUPPORTED: [&str; 13] = [
    "append",
    "deprecatevar",
    "exec",
    "expirevar",
    "initcol",
    "pause",
    "prepend",
    "proxy",
    "redirect",
    "setenv",
    "setrsc",
    "setsid",
    "setuid",
];

/// Reads `id:1,phase:2,msg:'text, with a comma',t:none`.
pub(super) fn parse(at: &Location, text: &[u8]) -> Result<Actions, LoadError> {
    let mut actions = Actions::default();
    for part in split(at, text)? {
        let (name, value) = match part.iter().position(|byte| *byte == b':') {
            Some(colon) => (part.get(..colon).unwrap_or_default(), part.get(colon + 1..).unwrap_or_default()),
            None => (part.as_slice(), b"".as_slice()),
        };
        let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
        let value = value.trim_ascii();
        let value = value.strip_prefix(b"'").and_then(|inner| inner.strip_suffix(b"'")).unwrap_or(value);
        one(at, &mut actions, &name, value)?;
    }
    Ok(actions)
}

/// Splits at commas outside single quotes; inside, `\'` is a quote.
fn split(at: &Location, text: &[u8]) -> Result<Vec<Vec<u8>>, LoadError> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut quoted = false;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if quoted => match bytes.next() {
                Some(b'\'') => part.push(b'\''),
                Some(next) => part.extend([b'\\', next]),
                None => part.push(byte),
            },
            b'\'' => {
                quoted = !quoted;
                part.push(byte);
            }
            b',' if !quoted => parts.push(std::mem::take(&mut part)),
            _ => part.push(byte),
        }
    }
    if quoted {
        return Err(LoadError::new(at, "a quoted action is not closed"));
    }
    parts.push(part);
    Ok(parts.into_iter().map(|part| part.trim_ascii().to_vec()).filter(|part| !part.is_empty()).collect())
}

fn one(at: &Location, actions: &mut Actions, name: &str, value: &[u8]) -> Result<(), LoadError> {
    let text = String::from_utf8_lossy(value).into_owned();
    match name {
        "id" => {
            let id =
                text.parse().map_err(|_| LoadError::new(at, format!("the id `{text}` is not a number")))?;
            actions.id = Some(id);
        }
        "phase" => actions.phase = Some(phase(at, &text)?),
        "msg" => {
            actions.message = Some(macros(at, value)?);
            actions.message_text = Some(text);
        }
        "logdata" => actions.log_data = Some(macros(at, value)?),
        "tag" => actions.tags.push(text),
        "severity" => actions.severity = Some(severity(at, &text)?),
        "log" => actions.log = Some(true),
        "nolog" => actions.log = Some(false),
        "pass" => actions.disruption = Some(Disruption::Pass),
        "block" => actions.disruption = Some(Disruption::Block),
        "deny" | "drop" => actions.disruption = Some(Disruption::Deny),
        "allow" => {
            actions.disruption = Some(match text.to_ascii_lowercase().as_str() {
                "" => Disruption::Allow,
                "phase" => Disruption::AllowPhase,
                "request" => Disruption::AllowRequest,
                _ => return Err(LoadError::new(at, format!("there is no allow:{text}"))),
            });
        }
        "status" => {
            let status = text.parse().ok().filter(|status| (100..=599).contains(status));
            actions.status =
                Some(status.ok_or_else(|| LoadError::new(at, format!("`{text}` is no status")))?);
        }
        "chain" => actions.chain = true,
        "capture" => actions.capture = true,
        "multimatch" => actions.multi_match = true,
        "t" if text.eq_ignore_ascii_case("none") => {
            actions.transformations.clear();
            actions.no_default_transformations = true;
        }
        "t" => actions.transformations.push(transformation(at, &text)?),
        "setvar" => match set_variable(at, value)? {
            Ok(set) => actions.set.push(set),
            Err(collection) => actions.unsupported.push(format!("setvar of the collection {collection}")),
        },
        "ctl" => match control(at, &text)? {
            Ok(Some(control)) => actions.control.push(control),
            Ok(None) => {}
            Err(what) => actions.unsupported.push(what),
        },
        "skip" => {
            let count =
                text.parse().map_err(|_| LoadError::new(at, format!("skip:{text} is not a number")))?;
            actions.skip = Some(count);
        }
        "skipafter" => actions.skip_after = Some(text),
        _ if IGNORED.contains(&name) => {}
        _ if UNSUPPORTED.contains(&name) => actions.unsupported.push(format!("the action {name}")),
        _ => return Err(LoadError::new(at, format!("there is no action {name}"))),
    }
    Ok(())
}

fn phase(at: &Location, text: &str) -> Result<Phase, LoadError> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "1" => Phase::RequestHeaders,
        "2" | "request" => Phase::RequestBody,
        "3" => Phase::ResponseHeaders,
        "4" | "response" => Phase::ResponseBody,
        "5" | "logging" => Phase::Logging,
        _ => return Err(LoadError::new(at, format!("there is no phase {text}")).help("phases are 1 to 5")),
    })
}

fn severity(at: &Location, text: &str) -> Result<u8, LoadError> {
    const NAMES: [&str; 8] =
        ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];
    let by_name = NAMES.iter().position(|name| name.eq_ignore_ascii_case(text));
    by_name
        .and_then(|place| u8::try_from(place).ok())
        .or_else(|| text.parse().ok().filter(|number| *number < 8))
        .ok_or_else(|| LoadError::new(at, format!("there is no severity {text}")))
}

fn transformation(at: &Location, text: &str) -> Result<Transformation, LoadError> {
    Transformation::named(text).ok_or_else(|| {
        let close = Transformation::names().find(|name| name.starts_with(&text.to_ascii_lowercase()));
        let error = LoadError::new(at, format!("there is no transformation t:{text}"));
        match close {
            Some(close) => error.help(format!("did you mean t:{close}?")),
            None => error,
        }
    })
}

/// Reads `tx.name=+1` or `!tx.name`. The error within is the name of a collection that is not supported.
fn set_variable(at: &Location, text: &[u8]) -> Result<Result<SetVariable, String>, LoadError> {
    let (remove, text) = match text.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let dot = text.iter().position(|byte| matches!(byte, b'.' | b':'));
    let Some((collection, rest)) = dot.and_then(|dot| Some((text.get(..dot)?, text.get(dot + 1..)?))) else {
        return Err(LoadError::new(at, "setvar needs a collection and a name").help("setvar:tx.name=value"));
    };
    if !collection.eq_ignore_ascii_case(b"tx") {
        return Ok(Err(String::from_utf8_lossy(collection).to_ascii_uppercase()));
    }
    let (name, value) = match rest.iter().position(|byte| *byte == b'=') {
        Some(equals) => (rest.get(..equals).unwrap_or_default(), rest.get(equals + 1..).unwrap_or_default()),
        None => (rest, b"1".as_slice()),
    };
    let name = lowered(macros(at, name.trim_ascii())?);
    let change = if remove {
        Change::Remove
    } else if let Some(more) = value.strip_prefix(b"+") {
        Change::Add(macros(at, more)?)
    } else if let Some(less) = value.strip_prefix(b"-") {
        Change::Subtract(macros(at, less)?)
    } else {
        Change::Set(macros(at, value)?)
    };
    Ok(Ok(SetVariable { name, change }))
}

fn lowered(mut name: Macro) -> Macro {
    for piece in &mut name.0 {
        if let Piece::Text(text) = piece {
            text.make_ascii_lowercase();
        }
    }
    name
}

/// Reads `ruleRemoveById=1-2`. `None` for what has no effect here; the error within is what is not supported.
fn control(at: &Location, text: &str) -> Result<Result<Option<Control>, String>, LoadError> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let on = || match value.to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(LoadError::new(at, format!("ctl:{name} is On or Off"))),
    };
    let halves = || {
        value.split_once(';').ok_or_else(|| {
            LoadError::new(at, format!("ctl:{name} needs a rule and a target, with `;` between them"))
        })
    };
    let target = |text: &str| targets::target(at, text.as_bytes());
    Ok(Ok(Some(match name.to_ascii_lowercase().as_str() {
        "ruleremovebyid" => Control::RemoveRules(RuleSelector::Ids(ids(at, value)?)),
        "ruleremovebytag" => Control::RemoveRules(RuleSelector::Tag(found_in(at, value)?)),
        "ruleremovebymsg" => Control::RemoveRules(RuleSelector::Message(found_in(at, value)?)),
        "ruleremovetargetbyid" => {
            let (rules, what) = halves()?;
            Control::RemoveTarget(RuleSelector::Ids(ids(at, rules)?), target(what)?)
        }
        "ruleremovetargetbytag" => {
            let (rules, what) = halves()?;
            Control::RemoveTarget(RuleSelector::Tag(found_in(at, rules)?), target(what)?)
        }
        "ruleremovetargetbymsg" => {
            let (rules, what) = halves()?;
            Control::RemoveTarget(RuleSelector::Message(found_in(at, rules)?), target(what)?)
        }
        "ruleengine" => Control::Engine(engine(at, value)?),
        "requestbodyprocessor" => match value.to_ascii_uppercase().as_str() {
            "URLENCODED" => Control::RequestBodyProcessor(BodyProcessor::Urlencoded),
            "MULTIPART" => Control::RequestBodyProcessor(BodyProcessor::Multipart),
            "JSON" => Control::RequestBodyProcessor(BodyProcessor::Json),
            "XML" => Control::RequestBodyProcessor(BodyProcessor::Xml),
            _ => return Err(LoadError::new(at, format!("there is no body processor {value}"))),
        },
        "forcerequestbodyvariable" => Control::ForceRequestBodyVariable(on()?),
        "requestbodyaccess" => Control::RequestBodyAccess(on()?),
        "responsebodyaccess" => Control::ResponseBodyAccess(on()?),
        "auditengine" | "auditlogparts" | "debugloglevel" => return Ok(Ok(None)),
        "hashengine" | "hashenforcement" | "requestbodylimit" | "responsebodylimit" | "parsexmlintoargs" => {
            return Ok(Err(format!("ctl:{name}")));
        }
        _ => return Err(LoadError::new(at, format!("there is no ctl:{name}"))),
    })))
}

/// `On`, `Off` or `DetectionOnly`.
pub(super) fn engine(at: &Location, value: &str) -> Result<Engine, LoadError> {
    Ok(match value.to_ascii_lowercase().as_str() {
        "on" => Engine::On,
        "detectiononly" => Engine::DetectionOnly,
        "off" => Engine::Off,
        _ => return Err(LoadError::new(at, "the rule engine is On, DetectionOnly or Off")),
    })
}

/// `1`, `1-5`, and several of them with spaces or commas between.
pub(super) fn ids(at: &Location, text: &str) -> Result<Vec<Ids>, LoadError> {
    let ranges: Option<Vec<Ids>> = text
        .split([' ', ',', '\t'])
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to) = (from.parse().ok()?, to.parse().ok()?);
            (from <= to).then_some(from..=to)
        })
        .collect();
    ranges
        .filter(|ranges| !ranges.is_empty())
        .ok_or_else(|| LoadError::new(at, format!("`{text}` is no rule id and no range of them")))
}

/// A tag's or a message's expression: found anywhere in it.
pub(super) fn found_in(at: &Location, text: &str) -> Result<regex::bytes::Regex, LoadError> {
    pattern::plain(text.as_bytes(), false).map_err(|error| LoadError::new(at, format!("`{text}`: {error}")))
}
