//! The words of a command, as a POSIX shell splits it (POSIX.1-2024, Shell Command Language, section 2.2).
//!
//! Nothing is expanded: a variable or a command in it would be something else here than where the command was meant to run, so
//! either is an error unless it is quoted. Of `$'...'`, which bash and browsers write, the escapes are read.

/// The words of a command.
///
/// # Errors
/// A quote that does not end, or something that a shell would expand.
pub fn split(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = command.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            // SECURITY: nothing here is run, so nothing that would run is passed over (a_command_within_a_command_is_an_error).
            '`' | '|' | '&' | ';' | '<' | '>' | '(' | ')' => {
                return Err(format!(
                    "a shell would take `{char}` for more than a part of this command; quote it"
                ));
            }
            '\\' => match rest.next() {
                // A line that goes on.
                Some('\n') => {}
                Some('\r') if rest.peek() == Some(&'\n') => {
                    rest.next();
                }
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("the command ends with a backslash".to_owned()),
            },
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(char) => word.push(char),
                        None => return Err("a single quote does not end".to_owned()),
                    }
                }
            }
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            '$' => match rest.peek() {
                Some('\'') => {
                    rest.next();
                    ansi_quoted(&mut rest, word.get_or_insert_default())?;
                }
                Some(next) if next.is_alphanumeric() || matches!(next, '{' | '(' | '_') => {
                    return Err(expands());
                }
                Some(_) | None => word.get_or_insert_default().push('$'),
            },
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    Ok(words)
}

fn expands() -> String {
    "a shell would put something in place of a `$` here; write what that is".to_owned()
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn double_quoted(rest: &mut Rest<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match rest.next() {
            Some('"') => return Ok(()),
            Some('`') => return Err("a shell would run what stands between backquotes; quote it".to_owned()),
            Some('$') => match rest.peek() {
                Some(next) if next.is_alphanumeric() || matches!(next, '{' | '(' | '_') => {
                    return Err(expands());
                }
                Some(_) | None => word.push('$'),
            },
            Some('\\') => match rest.next() {
                Some('\n') => {}
                Some(escaped @ ('$' | '`' | '"' | '\\')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => return Err("a double quote does not end".to_owned()),
            },
            Some(char) => word.push(char),
            None => return Err("a double quote does not end".to_owned()),
        }
    }
}

/// What stands in `$'...'`.
fn ansi_quoted(rest: &mut Rest<'_>, word: &mut String) -> Result<(), String> {
    let unended = || "a quote does not end".to_owned();
    loop {
        match rest.next().ok_or_else(unended)? {
            '\'' => return Ok(()),
            '\\' => match rest.next().ok_or_else(unended)? {
                'n' => word.push('\n'),
                'r' => word.push('\r'),
                't' => word.push('\t'),
                'u' => word.push(code(rest, 4)?),
                'x' => word.push(code(rest, 2)?),
                other @ ('\\' | '\'' | '"' | '?') => word.push(other),
                other => return Err(format!("`\\{other}` is not an escape that is known here")),
            },
            char => word.push(char),
        }
    }
}

fn code(rest: &mut Rest<'_>, digits: usize) -> Result<char, String> {
    let mut number = 0;
    for _ in 0..digits {
        let Some(digit) = rest.peek().and_then(|digit| digit.to_digit(16)) else { break };
        rest.next();
        number = number * 16 + digit;
    }
    char::from_u32(number).ok_or_else(|| "an escape that is no character".to_owned())
}
