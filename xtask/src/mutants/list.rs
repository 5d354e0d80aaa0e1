//! Which mutants there are: the list of `cargo mutants`, which reads the sources and changes nothing.

use serde_json::Value;

use crate::failure::{Context, Failure, Outcome};
use crate::workspace;

/// The code with one function or operator replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mutant {
    /// `FILE: MUTATION`, without the line, so that it stays the same when something above it changes.
    pub(super) name: String,
    pub(super) file: String,
    pub(super) genre: Genre,
    /// What is replaced, from its first character up to the one behind it.
    pub(super) from: Position,
    pub(super) to: Position,
    pub(super) replacement: String,
}

impl Mutant {
    /// `FILE:LINE: MUTATION`, where it is now.
    pub(super) fn place(&self) -> String {
        let mutation = self.name.strip_prefix(&self.file).unwrap_or(&self.name);
        format!("{}:{}{mutation}", self.file, self.from.line)
    }
}

/// A place in a file: the line counts from 1, the column from 0 in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// What is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Genre {
    /// The body of a function, by a value.
    Body,
    Binary,
    Unary,
    /// An arm of a match, which is removed.
    Arm,
    Guard,
    /// A field of a literal, which is left to what fills the rest.
    Field,
    /// A kind that a later version of cargo-mutants may bring. It is not tried.
    Unknown,
}

/// The mutants of these files of a package, by patterns.
pub(super) fn mutants(package: &str, files: &[String]) -> Outcome<Vec<Mutant>> {
    let mut command = workspace::cargo();
    command.args(["mutants", "--list", "--json", "--package", package]);
    for file in files {
        command.args(["--file", file]);
    }
    let output = command.output().context(|| "running cargo mutants".into())?;
    if !output.status.success() {
        return Err(Failure::new(format!(
            "cargo mutants: {}\n{}\n`cargo install cargo-mutants --locked` installs it",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    read(&String::from_utf8_lossy(&output.stdout))
}

pub(super) fn read(text: &str) -> Outcome<Vec<Mutant>> {
    let list: Vec<Value> =
        serde_json::from_str(text).context(|| "reading the list of cargo mutants".into())?;
    list.iter().map(mutant).collect::<Option<_>>().context(|| "cargo mutants lists in another form".into())
}

fn mutant(value: &Value) -> Option<Mutant> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let file = text("file")?;
    let span = value.get("span")?;
    Some(Mutant {
        name: named(text("name")?, file),
        file: file.to_owned(),
        genre: match text("genre")? {
            "FnValue" => Genre::Body,
            "BinaryOperator" => Genre::Binary,
            "UnaryOperator" => Genre::Unary,
            "MatchArm" => Genre::Arm,
            "MatchArmGuard" => Genre::Guard,
            "StructField" => Genre::Field,
            _ => Genre::Unknown,
        },
        from: position(span.get("start")?)?,
        to: position(span.get("end")?)?,
        replacement: text("replacement")?.to_owned(),
    })
}

fn position(value: &Value) -> Option<Position> {
    let number = |key: &str| value.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    Some(Position { line: number("line")?, column: number("column")?.checked_sub(1)? })
}

/// `FILE: MUTATION` of `FILE:LINE:COLUMN: MUTATION`.
fn named(name: &str, file: &str) -> String {
    let mutation = name.strip_prefix(file).unwrap_or(name);
    let mutation = mutation.trim_start_matches(|char: char| char == ':' || char.is_ascii_digit());
    format!("{file}: {}", mutation.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_as_cargo_mutants_writes_it() {
        let text = r#"[{"name":"crates/a/src/b.rs:48:5: replace f -> bool with true","file":"crates/a/src/b.rs",
            "package":"a","genre":"FnValue","replacement":"true","function":null,
            "span":{"start":{"line":48,"column":5},"end":{"line":50,"column":20}}}]"#;
        let expected = Mutant {
            name: "crates/a/src/b.rs: replace f -> bool with true".into(),
            file: "crates/a/src/b.rs".into(),
            genre: Genre::Body,
            from: Position { line: 48, column: 4 },
            to: Position { line: 50, column: 19 },
            replacement: "true".into(),
        };
        assert_eq!(read(text).unwrap(), [expected]);
        assert_eq!(read(&text.replace("FnValue", "New")).unwrap()[0].genre, Genre::Unknown);
        assert!(read(&text.replace("genre", "kind")).is_err(), "another form is an error, not an empty list");
    }
}
