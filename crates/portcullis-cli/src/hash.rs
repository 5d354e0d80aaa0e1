//! `portcullis hash-password` and `portcullis hash-key`: what a file may hold in place of a secret.
//!
//! The secret is never an argument, since arguments are seen by other users and stay in histories.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, CARE, print, print_error};
use std::io::IsTerminal as _;
use std::io::Read as _;
use zeroize::Zeroizing;

/// More than any secret has.
const MOST_BYTES: u64 = 4096;

pub(crate) fn password() -> Outcome {
    let secret = read("Password")?;
    if secret.chars().any(char::is_control) {
        return Err(failed("control characters cannot be sent (RFC 7617, section 2)"));
    }
    if secret.chars().count() < 12 {
        print_error(format!(
            "{CARE}warning{CARE:#}: a password of fewer than 12 characters can be guessed\n"
        ));
    }
    let hash = portcullis::password::hash(secret.as_bytes()).map_err(|error| failed(&error))?;
    print(format!("{hash}\n"));
    hint("password: { hash: \"$argon2id$...\" }");
    Ok(Exit::Well)
}

pub(crate) fn key() -> Outcome {
    let secret = read("Key")?;
    if !secret.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
        return Err(failed("a key must consist of visible ASCII characters without spaces"));
    }
    print(format!("{}\n", portcullis::password::hash_of_key(secret.as_bytes())));
    hint("keys: [{ hash: \"sha256:...\" }]");
    Ok(Exit::Well)
}

/// For whoever sees both outputs.
fn hint(line: &str) {
    if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        print_error(format!("In the file, with quotes: {line}\n"));
    }
}

fn failed(why: &str) -> Exit {
    print_error(format!("{BAD}error{BAD:#}: {why}\n"));
    Exit::Failed
}

fn read(what: &str) -> Result<Zeroizing<String>, Exit> {
    let unreadable = |error: std::io::Error| failed(&format!("it cannot be read: {error}"));
    let secret = if std::io::stdin().is_terminal() {
        let ask = |prompt: String| rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(unreadable);
        let first = ask(format!("{what}: "))?;
        if *ask("Once more: ".to_owned())? != *first {
            return Err(failed("the two differ"));
        }
        first
    } else {
        let mut text = Zeroizing::new(String::with_capacity(MOST_BYTES as usize + 1));
        std::io::stdin().lock().take(MOST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        if let Some(length) = line.map(str::len) {
            text.truncate(length);
        }
        text
    };
    if secret.is_empty() {
        return Err(failed("it is empty"));
    }
    if secret.len() > 512 {
        return Err(failed("it is longer than 512 bytes"));
    }
    Ok(secret)
}
