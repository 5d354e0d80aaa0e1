//! What is printed, and in which colours: only on a terminal, and not where `NO_COLOR` is set.

use crate::exit::Exit;
use anstream::stream::IsTerminal as _;
use anstyle::{AnsiColor, Style};
use portcullis::{Listener, Loaded};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const CARE: Style = AnsiColor::Yellow.on_default();

/// Prints to standard output. A reader that has gone away, such as `head`, is no failure.
pub(crate) fn print(text: impl AsRef<str>) {
    let _ = anstream::stdout().write_all(text.as_ref().as_bytes());
}

/// Prints to standard error.
pub(crate) fn print_error(text: impl AsRef<str>) {
    let _ = anstream::stderr().write_all(text.as_ref().as_bytes());
}

/// Reads a configuration file, and prints what there is to say of it.
pub(crate) fn load(file: &Path) -> Result<Loaded, Exit> {
    let loaded = Loaded::file(file).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let hint = if missing {
            "\n  help: is this the right folder? `portcullis quickstart` needs no file"
        } else {
            ""
        };
        print_error(format!("{BAD}error{BAD:#}: cannot read {}: {error}{hint}\n", file.display()));
        Exit::Configuration
    })?;
    let style = if std::io::stderr().is_terminal()
        && anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
    {
        portcullis::Style::Colour
    } else {
        portcullis::Style::Plain
    };
    let text = loaded.text(style);
    if !text.is_empty() {
        print_error(format!("{text}\n"));
    }
    Ok(loaded)
}

/// Whether standard output shows colours.
pub(crate) fn colours() -> bool {
    std::io::stdout().is_terminal()
        && anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// Where a listener can be reached.
pub(crate) fn url(listener: &Listener, address: SocketAddr) -> String {
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// `2 errors`, `1 warning`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
