//! What counts as another spelling of a declared name.
//!
//! A backend may find `limit` where the client wrote `Limit`, `limit[]`, `x_tenant` for `X-Tenant`, or `mode ` for `mode`: ASP.NET
//! ignores case in queries, Go and .NET in members of JSON; PHP and Rails cut brackets off; CGI, WSGI and PHP write other
//! characters as `_`; PHP and Ruby decode the names of cookies. What was declared would then be judged under one spelling
//! and read under another. One rule decides for headers, cookies, queries, forms, multipart and JSON.

use std::collections::{HashMap, HashSet};

use crate::percent::{Plus, decode};

/// Whether another spelling of a declared name is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtherSpellings {
    /// It is refused.
    #[default]
    Refuse,
    /// It is a name like any other that is not declared.
    Allow,
}

/// The word for it.
pub(crate) const REASON: &str = "other_spelling";

/// What all spellings of a name have in common: without escapes, white space around it and brackets after it, in lower case,
/// and with `_` for the characters that some servers write so.
pub(crate) fn folded(name: &str) -> String {
    let decoded = match name.contains('%') {
        true => decode(name, Plus::Literal),
        false => None,
    };
    let name = decoded.as_deref().unwrap_or(name);
    let surrounds = |character: char| {
        character.is_whitespace() || character.is_control() || matches!(character, '"' | '\'' | '+')
    };
    let name = name.trim_matches(surrounds);
    let end = name.find('[').filter(|at| *at > 0).unwrap_or(name.len());
    let name = name.get(..end).unwrap_or(name).trim_matches(surrounds);
    let mut folded = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '-' | '.' | ' ' | '+' => folded.push('_'),
            _ if character.is_ascii() => folded.push(character.to_ascii_lowercase()),
            // By way of upper case, since a long s and the Kelvin sign have the same lower case as `s` and `k` only so.
            _ => folded.extend(character.to_uppercase().flat_map(char::to_lowercase)),
        }
    }
    folded
}

/// Names that are declared together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    exact: HashSet<String>,
    folded: HashMap<String, String>,
}

impl Names {
    pub(crate) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut declared = Names::default();
        for name in names {
            declared.exact.insert(name.to_owned());
            declared.folded.insert(folded(name), name.to_owned());
        }
        declared
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.exact.contains(name)
    }

    /// Whether `name` is not declared, and is another spelling of a name that is.
    pub(crate) fn is_another_spelling(&self, name: &str) -> bool {
        !self.has(name) && self.folded.contains_key(folded(name).as_str())
    }

    /// The same for header fields, whose names have no case.
    pub(crate) fn is_another_field(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.is_another_spelling(&name)
    }
}

/// Whether some reader of queries and forms finds a pair behind a `;` in `raw` that the declared names do not see: any pair
/// where nothing else may be there, else one of a declared name or of another spelling of one.
pub(crate) fn hides_a_pair(raw: &str, names: &Names, closed: bool) -> bool {
    raw.split('&').filter(|pair| pair.contains(';')).flat_map(|pair| pair.split(';').skip(1)).any(|piece| {
        let (name, has_value) = piece.split_once('=').map_or((piece, false), |(name, _)| (name, true));
        let name = decode(name, Plus::Space).unwrap_or_default();
        (has_value && closed) || names.has(&name) || names.is_another_spelling(&name)
    })
}

/// The known name that a misspelt one is nearest to, if any is near.
pub(crate) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let lower = name.to_lowercase();
    let ranked =
        known.iter().map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), *known));
    let (distance, nearest) = ranked.min_by_key(|(distance, _)| *distance)?;
    let most = if name.len() < 5 { 1 } else { 2 };
    (distance <= most && distance < name.len()).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rule_says_what_another_spelling_is() {
        let names = Names::new(["limit", "x-tenant", "sort.by", "$filter", "mode", "task"]);
        for other in [
            "Limit",
            "LIMIT",
            "limit[]",
            "limit[0]",
            " limit",
            "limit ",
            "limit\t",
            "limit\0",
            "%6Cimit",
            "l\u{131}m\u{131}t",
            "x_tenant",
            "X-Tenant",
            "x.tenant",
            "x tenant",
            "sort_by",
            "sort-by",
            "$Filter",
            "\"mode\"",
            "tas\u{212a}",
            "+mode",
        ] {
            assert!(names.is_another_spelling(other), "{other:?}");
        }
        for own in
            ["limit", "x-tenant", "$filter", "limits", "filter", "xtenant", "offset", "[limit]", "", "%"]
        {
            assert!(!names.is_another_spelling(own), "{own:?}");
        }
    }

    #[test]
    fn what_was_folded_is_folded() {
        for name in ["X-Tenant", "a[b][c]", " %41 b ", "Straße", "\u{130}x", "%2541"] {
            let once = folded(name);
            if !once.contains('%') {
                assert_eq!(folded(&once), once, "{name:?}");
            }
        }
    }

    #[test]
    fn a_pair_behind_a_semicolon_is_seen() {
        let names = Names::new(["limit"]);
        for (raw, open, closed) in [
            ("q=a;admin=1", false, true),
            ("q=a;limit=1", true, true),
            ("q=a;Limit[]=1", true, true),
            ("q=a;limit", true, true),
            ("q=a;b;c", false, false),
            ("q=a%3Badmin=1", false, false),
            ("a=1&b=2", false, false),
        ] {
            assert_eq!(
                (hides_a_pair(raw, &names, false), hides_a_pair(raw, &names, true)),
                (open, closed),
                "{raw}"
            );
        }
    }
}
