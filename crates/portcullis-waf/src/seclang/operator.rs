//! The operator of a rule: `!@rx expression`.

use super::targets;
use super::tree::Macro;
use crate::error::{LoadError, Location};
use crate::operator::Phrases;
use crate::operator::pattern::{Pattern, Unreadable};
use crate::operator::spec::{ByteSet, Networks, Operator, OperatorUse};
use std::sync::Arc;

/// Operators that the language has and the engine does not, and why.
const UNSUPPORTED: [(&str, &str); 11] = [
    ("fuzzyhash", "it needs ssdeep"),
    ("geolookup", "there is no address database"),
    ("gsblookup", "nothing is looked up outside"),
    ("inspectfile", "no program is run"),
    ("rbl", "nothing is looked up outside"),
    ("rsub", "bodies are not changed"),
    ("rxglobal", "use @rx with multiMatch"),
    ("validatedtd", "use an OpenAPI document or a JSON Schema"),
    ("validatehash", "links are not signed"),
    ("validateschema", "use an OpenAPI document or a JSON Schema"),
    ("nids", "use @rx"),
];

/// Reads a file that an operator names, relative to the rule file.
pub(super) type ReadFile<'f> = &'f dyn Fn(&Location, &str) -> Result<Vec<u8>, LoadError>;

/// Reads an operator. Without `@` it is an expression.
pub(super) fn parse(at: &Location, text: &[u8], read: ReadFile<'_>) -> Result<OperatorUse, LoadError> {
    let (negated, rest) = match text.strip_prefix(b"!") {
        Some(rest) => (true, rest.trim_ascii_start()),
        None => (false, text),
    };
    let Some(named) = rest.strip_prefix(b"@") else {
        return Ok(OperatorUse { negated, operator: Operator::Rx(expression(at, rest)?) });
    };
    let end = named.iter().position(u8::is_ascii_whitespace).unwrap_or(named.len());
    let (name, argument) = named.split_at_checked(end).unwrap_or((named, b""));
    let argument = argument.get(1..).unwrap_or_default();
    let name = String::from_utf8_lossy(name).into_owned();
    let operator = one(at, &name, argument, read)?;
    Ok(OperatorUse { negated, operator })
}

fn one(at: &Location, name: &str, argument: &[u8], read: ReadFile<'_>) -> Result<Operator, LoadError> {
    let text = || -> Result<Macro, LoadError> { targets::macros(at, argument) };
    let string = String::from_utf8_lossy(argument).into_owned();
    let lower = name.to_ascii_lowercase();
    Ok(match lower.as_str() {
        "beginswith" => Operator::BeginsWith(text()?),
        "contains" => Operator::Contains(text()?),
        "containsword" => Operator::ContainsWord(text()?),
        "detectsqli" => Operator::DetectSqli,
        "detectxss" => Operator::DetectXss,
        "endswith" => Operator::EndsWith(text()?),
        "eq" => Operator::Eq(text()?),
        "ge" => Operator::Ge(text()?),
        "gt" => Operator::Gt(text()?),
        "le" => Operator::Le(text()?),
        "lt" => Operator::Lt(text()?),
        "nomatch" => Operator::NoMatch,
        "unconditionalmatch" => Operator::UnconditionalMatch,
        "streq" => Operator::Streq(text()?),
        "strmatch" => Operator::Strmatch(text()?),
        "within" => Operator::Within(text()?),
        "rx" => Operator::Rx(expression(at, argument)?),
        "pm" => Operator::Pm(phrases(at, Phrases::parse(argument))?),
        "pmfromfile" | "pmf" => Operator::Pm(phrases(at, Phrases::lines(&files(at, &string, read)?))?),
        "ipmatch" => Operator::IpMatch(networks(at, &string)?),
        "ipmatchfromfile" | "ipmatchf" => {
            let lines = files(at, &string, read)?;
            let kept: Vec<&[u8]> = lines
                .split(|byte| *byte == b'\n')
                .map(<[u8]>::trim_ascii)
                .filter(|line| !line.starts_with(b"#"))
                .collect();
            Operator::IpMatch(networks(at, &String::from_utf8_lossy(&kept.join(&b'\n')))?)
        }
        "validatebyterange" => Operator::ValidateByteRange(Arc::new(
            ByteSet::parse(&string)
                .map_err(|part| LoadError::new(at, format!("`{part}` is no range of bytes")))?,
        )),
        "validateurlencoding" => Operator::ValidateUrlEncoding,
        "validateutf8encoding" => Operator::ValidateUtf8Encoding,
        "verifycc" => Operator::VerifyCc(expression(at, argument)?),
        "verifycpf" => Operator::VerifyCpf(expression(at, argument)?),
        "verifyssn" => Operator::VerifySsn(expression(at, argument)?),
        "verifysvnr" => Operator::VerifySvnr(expression(at, argument)?),
        _ => {
            return Err(match UNSUPPORTED.iter().find(|(known, _)| *known == lower) {
                Some((_, why)) => {
                    LoadError::unsupported(at, format!("the operator @{name} is not supported")).help(*why)
                }
                None => LoadError::new(at, format!("there is no operator @{name}")),
            });
        }
    })
}

fn expression(at: &Location, source: &[u8]) -> Result<Arc<Pattern>, LoadError> {
    if let Some(start) = memchr::memmem::find(source, b"%{")
        && source.get(start..).is_some_and(|rest| rest.contains(&b'}'))
    {
        return Err(LoadError::unsupported(at, "a macro in a regular expression is not supported")
            .help("use @streq, @within, @contains, @beginsWith or @endsWith"));
    }
    Pattern::shared(source).map_err(|unreadable| match unreadable {
        Unreadable::Unsupported(message) => LoadError::unsupported(at, message),
        Unreadable::Wrong(message) => LoadError::new(at, format!("the regular expression: {message}")),
    })
}

fn phrases(at: &Location, phrases: Result<Phrases, String>) -> Result<Arc<Phrases>, LoadError> {
    let phrases = phrases.map_err(|message| LoadError::new(at, message))?;
    if phrases.words().is_empty() {
        return Err(LoadError::new(at, "there is no phrase to look for"));
    }
    Ok(Arc::new(phrases))
}

fn files(at: &Location, names: &str, read: ReadFile<'_>) -> Result<Vec<u8>, LoadError> {
    let mut all = Vec::new();
    for name in names.split_ascii_whitespace() {
        if name.starts_with("http://") || name.starts_with("https://") {
            return Err(
                LoadError::unsupported(at, "a list from a URL is not supported").help("nothing is fetched")
            );
        }
        all.extend(read(at, name)?);
        all.push(b'\n');
    }
    Ok(all)
}

fn networks(at: &Location, text: &str) -> Result<Arc<Networks>, LoadError> {
    Networks::parse(text)
        .map(Arc::new)
        .map_err(|entry| LoadError::new(at, format!("`{entry}` is neither an address nor a network")))
}
