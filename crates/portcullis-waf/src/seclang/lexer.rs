//! Lines to directives: continuation lines, comments, quoted arguments.

use crate::error::{LoadError, Location};
use std::sync::Arc;

/// A directive's words, the first of which is its name.
pub(super) struct Words {
    pub(super) location: Location,
    pub(super) words: Vec<Vec<u8>>,
}

/// Splits a file into directives. A backslash at a line's end continues it; a line that starts with `#` is a comment.
pub(super) fn directives(file: &Arc<str>, text: &[u8]) -> Vec<Result<Words, LoadError>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut found = Vec::new();
    let mut held: Vec<u8> = Vec::new();
    let mut first = 0;
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii();
        if held.is_empty() {
            first = number;
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
        } else if line.starts_with(b"#") {
            // A comment between the lines of a directive, as where one action is commented out.
            continue;
        }
        if let Some(start) = line.strip_suffix(b"\\") {
            held.extend(start);
            continue;
        }
        held.extend(line);
        push(file, first, &mut held, &mut found);
    }
    push(file, first, &mut held, &mut found);
    found
}

fn push(file: &Arc<str>, line: u32, held: &mut Vec<u8>, found: &mut Vec<Result<Words, LoadError>>) {
    let text = std::mem::take(held);
    let location = Location { file: Arc::clone(file), line };
    match split(&text) {
        Ok(words) if words.is_empty() => {}
        Ok(words) => found.push(Ok(Words { location, words })),
        Err(message) => found.push(Err(LoadError::new(&location, message))),
    }
}

/// Splits at spaces outside quotes. Inside quotes a backslash before the quote makes it part of the word; all other
/// backslashes stay, since they belong to the regular expression.
fn split(text: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut words = Vec::new();
    let mut rest = text.trim_ascii_start();
    while let Some((&first, tail)) = rest.split_first() {
        let mut word = Vec::new();
        if matches!(first, b'"' | b'\'') {
            let mut bytes = tail.iter().enumerate();
            let end = loop {
                match bytes.next() {
                    None => return Err("a quoted argument is not closed"),
                    Some((_, b'\\')) => match bytes.next() {
                        Some((_, next)) if *next == first => word.push(first),
                        Some((_, next)) => word.extend([b'\\', *next]),
                        None => return Err("a quoted argument is not closed"),
                    },
                    Some((at, byte)) if *byte == first => break at,
                    Some((_, byte)) => word.push(*byte),
                }
            };
            rest = tail.get(end + 1..).unwrap_or_default();
            if rest.first().is_some_and(|next| !next.is_ascii_whitespace()) {
                return Err("something follows a closing quote without a space");
            }
        } else {
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            let (bare, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
            word.extend(bare);
            rest = after;
        }
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        directives(&"f".into(), text.as_bytes())
            .into_iter()
            .map(|d| d.unwrap().words.into_iter().map(|w| String::from_utf8(w).unwrap()).collect())
            .collect()
    }

    #[test]
    fn lines_continue_and_comments_go() {
        let text = "# no\nSecRule A \\\n  \"@rx \\\"x\\d\" \\\n # \"gone\"\\\n  'id:1'\n\nSecMarker END\n";
        assert_eq!(words(text), [vec!["SecRule", "A", "@rx \"x\\d", "id:1"], vec!["SecMarker", "END"]]);
        let places: Vec<u32> =
            directives(&"f".into(), text.as_bytes()).into_iter().map(|d| d.unwrap().location.line).collect();
        assert_eq!(places, [2, 7]);
    }

    #[test]
    fn a_quote_that_stays_open_is_an_error_with_its_line() {
        let error = directives(&"f".into(), b"\nSecRule A \"x").remove(0).err().unwrap();
        assert_eq!(error.to_string(), "f:2: a quoted argument is not closed");
    }
}
