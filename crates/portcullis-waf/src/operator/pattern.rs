//! Compiled expressions, shared by the whole process.

use super::dialect;
pub(crate) use super::dialect::Unreadable;
use super::required::Required;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// The most bytes that one expression's lazy DFA may use, for each thread that runs it.
const MOST_DFA_BYTES: usize = 1 << 20;
/// The most bytes that a compiled expression may have.
const MOST_PROGRAM_BYTES: usize = 16 << 20;
/// The most steps back that an expression with look-around or backreferences may take on one value.
const MOST_STEPS_BACK: usize = 100_000;

/// An expression that backtracks took too many steps. The request is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted;

/// An expression.
#[derive(Debug)]
pub struct Pattern {
    source: Vec<u8>,
    engine: Engine,
    required: Required,
}

#[derive(Debug)]
enum Engine {
    /// Time is linear in the value.
    Linear(regex::bytes::Regex),
    /// For look-around, backreferences, possessive and atomic groups. It reads each byte as the character of that
    /// number, and its steps are bounded.
    Backtracking(Box<fancy_regex::Regex>),
}

type Pool = Mutex<HashMap<Vec<u8>, Weak<Pattern>>>;

impl Pattern {
    /// Compiles a PCRE expression: bytes and not characters, `.` matches line ends, `$` only at the very end. One that
    /// is compiled already, for another route or another generation of the configuration, is shared.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or which part of PCRE's syntax is not supported.
    pub(crate) fn shared(source: &[u8]) -> Result<Arc<Self>, Unreadable> {
        static POOL: OnceLock<Pool> = OnceLock::new();
        let pool = POOL.get_or_init(Pool::default);
        let known = pool.lock().unwrap_or_else(PoisonError::into_inner).get(source).and_then(Weak::upgrade);
        if let Some(known) = known {
            return Ok(known);
        }
        let made = Arc::new(Self::compile(source)?);
        let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.retain(|_, pattern| pattern.strong_count() > 0);
        pool.insert(source.to_vec(), Arc::downgrade(&made));
        Ok(made)
    }

    fn compile(source: &[u8]) -> Result<Self, Unreadable> {
        let read = dialect::translate(source)?;
        if read.backtracks {
            let regex = fancy_regex::RegexBuilder::new(&format!("(?s){}", read.text))
                .backtrack_limit(MOST_STEPS_BACK)
                .build()
                .map_err(|error| Unreadable::Wrong(error.to_string()))?;
            let engine = Engine::Backtracking(Box::new(regex));
            return Ok(Self { source: source.to_vec(), engine, required: Required::default() });
        }
        let regex = regex::bytes::RegexBuilder::new(&read.text)
            .unicode(false)
            .dot_matches_new_line(true)
            .dfa_size_limit(MOST_DFA_BYTES)
            .size_limit(MOST_PROGRAM_BYTES)
            .build()
            .map_err(|error| Unreadable::Wrong(error.to_string()))?;
        let hir = regex_syntax::ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .dot_matches_new_line(true)
            .build()
            .parse(&read.text)
            .map_err(|error| Unreadable::Wrong(error.to_string()))?;
        Ok(Self { source: source.to_vec(), engine: Engine::Linear(regex), required: Required::of(&hir) })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// What a value must have for the expression to match.
    pub(crate) fn required(&self) -> &Required {
        &self.required
    }

    /// Whether it matches anywhere in `value`.
    ///
    /// # Errors
    ///
    /// [`Exhausted`], only for expressions that backtrack.
    pub(crate) fn is_match(&self, value: &[u8]) -> Result<bool, Exhausted> {
        match &self.engine {
            Engine::Linear(regex) => Ok(regex.is_match(value)),
            Engine::Backtracking(regex) => regex.is_match(&widened(value)).map_err(|_| Exhausted),
        }
    }

    /// The first match and its groups, at most ten in all; a group that took no part is empty.
    ///
    /// # Errors
    ///
    /// [`Exhausted`], only for expressions that backtrack.
    pub(crate) fn captures(&self, value: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Exhausted> {
        match &self.engine {
            Engine::Linear(regex) => {
                // Most values do not match, and finding that out costs less than finding the groups.
                if !regex.is_match(value) {
                    return Ok(None);
                }
                Ok(regex.captures(value).map(|found| {
                    found
                        .iter()
                        .take(10)
                        .map(|group| group.map_or_else(Vec::new, |text| text.as_bytes().to_vec()))
                        .collect()
                }))
            }
            Engine::Backtracking(regex) => {
                Ok(regex.captures(&widened(value)).map_err(|_| Exhausted)?.map(|found| {
                    found
                        .iter()
                        .take(10)
                        .map(|group| group.map_or_else(Vec::new, |text| narrowed(text.as_str())))
                        .collect()
                }))
            }
        }
    }

    /// All matches, one after the other.
    ///
    /// # Errors
    ///
    /// [`Exhausted`], only for expressions that backtrack.
    pub(crate) fn find_all(&self, value: &[u8]) -> Result<Vec<Vec<u8>>, Exhausted> {
        match &self.engine {
            Engine::Linear(regex) => {
                Ok(regex.find_iter(value).map(|found| found.as_bytes().to_vec()).collect())
            }
            Engine::Backtracking(regex) => regex
                .find_iter(&widened(value))
                .map(|found| found.map(|found| narrowed(found.as_str())).map_err(|_| Exhausted))
                .collect(),
        }
    }
}

/// Each byte as the character of that number.
fn widened(value: &[u8]) -> String {
    value.iter().map(|byte| char::from(*byte)).collect()
}

fn narrowed(text: &str) -> Vec<u8> {
    text.chars().filter_map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

/// A small expression that is not shared: a selector's, or a tag's.
pub(crate) fn plain(source: &[u8], ignore_case: bool) -> Result<regex::bytes::Regex, String> {
    let read = dialect::translate(source).map_err(|unreadable| match unreadable {
        Unreadable::Unsupported(message) | Unreadable::Wrong(message) => message,
    })?;
    if read.backtracks {
        return Err("look-around and backreferences are not supported here".to_owned());
    }
    regex::bytes::RegexBuilder::new(&read.text)
        .unicode(false)
        .dot_matches_new_line(true)
        .case_insensitive(ignore_case)
        .dfa_size_limit(1 << 15)
        .build()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Loader, Plan, Settings};

    #[test]
    fn an_expression_is_compiled_once_for_all_plans() {
        let source = b"(?i)only-in-this-test[0-9]{2,5}x";
        let rules = [b"SecRule ARGS \"@rx ".as_slice(), source, b"\" \"id:1,phase:2,deny\"\n"].concat();
        let plan = || Plan::new(Loader::new().text("rules", &rules), &Settings::default()).unwrap();
        let (one, other) = (plan(), plan());
        let shared = Pattern::shared(source).unwrap();
        // One for this test, one for each plan.
        assert_eq!(Arc::strong_count(&shared), 3);
        drop((one, other));
        assert_eq!(Arc::strong_count(&shared), 1, "a plan that is gone keeps nothing");
    }
}
