//! Conditions in CEL, the Common Expression Language (<https://github.com/cel-expr/cel-spec>).
//!
//! The crate `cel` parses and evaluates. Around it stands what it does not do:
//!
//! | file          | decides                                                                         |
//! |---------------|---------------------------------------------------------------------------------|
//! | [`nesting`]   | how deeply an expression may nest, before a recursive parser sees it            |
//! | [`judge`]     | whether names, functions and types fit, and how large and costly a value can be |
//! | [`kind`]      | the types                                                                       |
//! | [`functions`] | the functions that can be called                                                |
//!
//! An error of any kind is no value: [`Expression::holds`] then says why, and the request is refused. `&&`, `||`,
//! `all` and `exists` give a value despite an error where the other side alone decides, as the
//! specification says; the outcome is the same whatever the failed part would have been.

pub mod functions;
pub mod judge;
pub mod kind;
pub mod nesting;

use cel::common::types::CelBool;
use cel::common::value::Val;
use cel::extractors::This;
use cel::parser::PrattParser;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};
use judge::{Judged, judge};
pub use kind::Kind;
use regex::Regex;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

/// The longest expression in bytes.
pub const MAX_BYTES: usize = 4096;

/// The most steps that one evaluation may take: about 50 ms in the worst case.
pub const MAX_STEPS: f64 = 500_000.0;

/// An expression must be able to judge values of this size (see [`Expression::largest`]) within [`MAX_STEPS`].
pub const LEAST_SIZE: u32 = 128;

/// The most memory of a regular expression once it is compiled.
const MAX_REGEX_BYTES: usize = 256 * 1024;

/// The functions of the language.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let make = || Arc::new(Env::default().with_optional_support(false).with_stdlib());
    // Making it takes more stack than some threads have: almost 2 MiB without optimisation.
    let thread = std::thread::Builder::new().stack_size(8 * 1024 * 1024).spawn(make);
    thread.ok().and_then(|thread| thread.join().ok()).unwrap_or_else(make)
});

/// What an expression can name.
pub type Variables = [(&'static str, Kind)];

/// The values of variables, by their names. A variable that is not here is an error where it is read.
pub type Values<'v> = Vec<(&'static str, Box<dyn Val + 'v>)>;

/// Something in an expression that is not as it must be.
#[derive(Debug, PartialEq, Eq)]
pub struct Flaw(pub String);

/// An expression that was checked.
pub struct Expression {
    tree: IdedExpr,
    patterns: Arc<HashMap<String, Regex>>,
    kind: Kind,
    largest: u32,
    reads: Vec<(&'static str, Reads)>,
}

/// What an expression reads of a variable.
#[derive(Debug, PartialEq, Eq)]
pub enum Reads {
    /// Possibly all of it.
    All,
    /// These members.
    Members(BTreeSet<String>),
}

impl Reads {
    /// Whether the member `name` is read.
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Reads::All => true,
            Reads::Members(members) => members.contains(name),
        }
    }
}

impl Expression {
    /// Checks an expression over these variables.
    ///
    /// # Errors
    /// It is too long or too deep, has no meaning, names something that does not exist, or can cost too much.
    pub fn compile(text: &str, variables: &Variables) -> Result<Expression, Flaw> {
        if text.len() > MAX_BYTES {
            return Err(Flaw(format!("an expression has at most {MAX_BYTES} bytes")));
        }
        // SECURITY: before a recursive parser sees it (deep_expressions_are_refused_at_load).
        nesting::check(text).map_err(Flaw)?;
        let tree = parse(text)?;
        let judged = |size: u32| judge(&tree, variables, f64::from(size));
        let Judged { kind, cost, patterns, uses } = judged(LEAST_SIZE)?;
        if cost > MAX_STEPS {
            return Err(Flaw("it can cost too much: use fewer nested macros, or smaller values".to_owned()));
        }
        // The largest power of two that is still within the bound.
        let mut largest = LEAST_SIZE;
        while largest < 1 << 20 && judged(largest * 2)?.cost <= MAX_STEPS {
            largest *= 2;
        }
        let compiled = patterns.into_iter().map(|pattern| Ok((pattern.clone(), regex(&pattern)?)));
        let patterns = Arc::new(compiled.collect::<Result<_, Flaw>>()?);
        // So that no request is the first to need it.
        LazyLock::force(&ENVIRONMENT);
        let reads = uses.into_iter().map(|name| (name, judge::reads(&tree, name))).collect();
        Ok(Expression { tree, patterns, kind, largest, reads })
    }

    /// The type of its value.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The largest values that it can judge within [`MAX_STEPS`]: elements, members and 32 bytes of text count 1 each, for
    /// all variables together.
    pub fn largest(&self) -> u32 {
        self.largest
    }

    /// What it reads of this variable; `None` where it does not name it.
    pub fn reads(&self, name: &str) -> Option<&Reads> {
        self.reads.iter().find(|(there, _)| *there == name).map(|(_, reads)| reads)
    }

    fn context<'p, 'v>(&self, variables: Values<'v>) -> Result<Context<'p, 'v>, String> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for (name, value) in variables {
            context.add_variable_as_val(name, value);
        }
        if !self.patterns.is_empty() {
            let patterns = Arc::clone(&self.patterns);
            let matches = move |This(text): This<Arc<String>>, pattern: Arc<String>| {
                let regex = patterns.get(pattern.as_str());
                let unknown =
                    || ExecutionError::function_error("matches", "the pattern was not there at load");
                regex.map(|regex| regex.is_match(&text)).ok_or_else(unknown)
            };
            context.add_function("matches", matches).map_err(|error| error.to_string())?;
        }
        Ok(context)
    }

    /// Whether it is true of these variables.
    ///
    /// # Errors
    /// Why it is neither true nor false. Holds nothing of the values.
    pub fn holds<'v>(&self, variables: Values<'v>) -> Result<bool, String> {
        let context = self.context(variables)?;
        match Value::resolve_val(&self.tree, &context) {
            Ok(value) => match value.downcast_ref::<CelBool>() {
                Some(truth) => Ok(*truth.inner()),
                None => Err("its value is neither true nor false".to_owned()),
            },
            Err(error) => Err(describe(&error).to_owned()),
        }
    }

    /// Its value, whatever it is.
    ///
    /// # Errors
    /// What failed. May hold values.
    pub fn value<'v>(&self, variables: Values<'v>) -> Result<Value, ExecutionError> {
        let context = self.context(variables).map_err(ExecutionError::InternalError)?;
        Value::resolve(&self.tree, &context)
    }
}

fn parse(text: &str) -> Result<IdedExpr, Flaw> {
    let mut parser = PrattParser::new();
    parser.enable_ident_escape_syntax = true;
    parser.parse(text).map_err(|errors| {
        let first = errors.errors.first().map_or_else(String::new, |error| error.msg.clone());
        let single = first.contains("mismatched input '='").then_some("; `==` compares");
        Flaw(format!("it has no meaning: {first}{}", single.unwrap_or_default()))
    })
}

fn regex(pattern: &str) -> Result<Regex, Flaw> {
    let built =
        regex::RegexBuilder::new(pattern).size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES).build();
    built.map_err(|error| Flaw(format!("a regular expression cannot be used: {error}")))
}

/// What failed, without the values: they belong to somebody.
fn describe(error: &ExecutionError) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open, and each of its errors denies")]
    match error {
        ExecutionError::NoSuchKey(_) => "something that it names is not there",
        ExecutionError::UndeclaredReference(_) => "a variable that it names has no value for this request",
        ExecutionError::NoSuchOverload(_)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnsupportedKeyType(_)
        | ExecutionError::UnsupportedIndex(..) => "something that it names has another type",
        ExecutionError::IndexOutOfBounds(_) => "a list that it names is shorter",
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "it divides by zero",
        ExecutionError::Overflow(..) => "a number in it overflows",
        _ => "it could not be evaluated",
    }
}

#[cfg(test)]
mod tests;
