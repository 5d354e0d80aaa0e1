//! How deeply an expression nests, told from its characters alone.
//!
//! Parsers, checks and evaluation of CEL are recursive, so the depth is bounded before any of them
//! sees the text. The bound counts what makes a tree deeper: brackets, operators, prefixes, member access and
//! conditionals, for each bracket that is open and since the last comma, `&&` or `||` in it. Texts and comments are
//! passed over.

/// The deepest expression. Ordinary ones reach ten.
pub const MAX_DEPTH: usize = 32;

#[derive(Clone, Copy, Default)]
struct Level {
    /// Operators since the last comma, `&&` or `||`.
    chain: usize,
    /// Conditionals, which nest to the right.
    conditionals: usize,
}

/// Refuses an expression that nests too deeply.
///
/// # Errors
/// That it does.
pub fn check(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    let at = |place: usize| bytes.get(place).copied().unwrap_or(0);
    let mut levels = vec![Level::default()];
    // Of all levels but the last.
    let mut outside = 0;
    let mut place = 0;
    while place < bytes.len() {
        let level = levels.last_mut();
        let Some(level) = level else { return Err("a bracket closes that did not open".to_owned()) };
        let (byte, next) = (at(place), at(place + 1));
        match byte {
            b'"' | b'\'' => {
                place = string_end(bytes, place);
                continue;
            }
            b'`' => {
                place += 1;
                while place < bytes.len() && at(place) != b'`' {
                    place += 1;
                }
            }
            b'/' if next == b'/' => {
                while place < bytes.len() && at(place) != b'\n' {
                    place += 1;
                }
            }
            b'(' | b'[' | b'{' => {
                outside += level.chain + level.conditionals + 1;
                levels.push(Level::default());
            }
            b')' | b']' | b'}' => {
                levels.pop();
                if let Some(level) = levels.last_mut() {
                    outside -= level.chain + level.conditionals + 1;
                    // What follows is applied to it.
                    level.chain += 1;
                }
            }
            b',' => *level = Level::default(),
            b'&' | b'|' => level.chain = 0,
            b'?' => {
                level.conditionals += 1;
                level.chain = 0;
            }
            b':' => level.chain = 0,
            b'!' | b'-' | b'+' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'.' => {
                level.chain += 1;
                if next == b'=' {
                    place += 1;
                }
            }
            b'i' if next == b'n' && !is_word(at(place + 2)) && (place == 0 || !is_word(at(place - 1))) => {
                level.chain += 1;
            }
            _ => {}
        }
        if levels.last().is_some_and(|level| outside + level.chain + level.conditionals > MAX_DEPTH) {
            return Err(format!("it nests more than {MAX_DEPTH} deep"));
        }
        place += 1;
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where a text ends that begins here; beyond its last quote.
fn string_end(bytes: &[u8], begin: usize) -> usize {
    let at = |place: usize| bytes.get(place).copied().unwrap_or(0);
    let quote = at(begin);
    // `r` before the quote, or `rb` and `br`, but not the end of a word.
    let prefix = bytes.get(..begin).unwrap_or_default().iter().rev().take_while(|byte| is_word(**byte));
    let prefix: Vec<u8> = prefix.take(3).map(u8::to_ascii_lowercase).collect();
    let raw = matches!(prefix.as_slice(), [b'r'] | [b'r', b'b'] | [b'b', b'r']);
    let triple = at(begin + 1) == quote && at(begin + 2) == quote;
    let mut place = begin + if triple { 3 } else { 1 };
    while place < bytes.len() {
        match at(place) {
            b'\\' if !raw => place += 1,
            byte if byte == quote && !triple => return place + 1,
            byte if byte == quote && at(place + 1) == quote && at(place + 2) == quote => return place + 3,
            _ => {}
        }
        place += 1;
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_expressions_are_far_from_the_bound() {
        for text in [
            "claims.realm_access.roles.exists(r, r == 'admin') && request.path.startsWith('/a')",
            &vec!["claims.department == \"sales\""; 100].join(" || "),
            "claims.a ? claims.b : claims.c ? claims.d : claims.e",
            "claims['a'][\"((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((\"] == 1",
            "r'\\'.size() == 1 // ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((",
            "'''it's (((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((''' != claims.x",
            "[1, 2, 3, -4, 5.5, 6, 7, 8, 9, 10, 11, 12, 13].all(x, x in [1.1, 1.2, 1.3])",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn whatever_nests_is_counted() {
        for part in [
            "(",
            "[",
            "{",
            "!",
            "-",
            "1+",
            "a.",
            "1-",
            "x?",
            "x==",
            "x<=",
            "x in ",
            "f(x.",
            "a[0].",
            "'a'+",
            "true?true:",
        ] {
            let deep = part.repeat(MAX_DEPTH + 1);
            assert!(check(&deep).is_err(), "{part}");
            let shallow = part.repeat(MAX_DEPTH / 4);
            assert_eq!(check(&shallow), Ok(()), "{part}");
        }
        assert!(check(")))").is_err());
    }
}
