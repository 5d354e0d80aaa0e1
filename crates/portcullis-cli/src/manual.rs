//! What helps at a terminal, made from the command line's own declaration: shell completions, manual pages and the reference.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, print, print_error};
use clap::{Arg, Command};
use clap_complete::Shell;
use std::fmt::Write;
use std::path::Path;

/// `portcullis completions SHELL`.
pub(crate) fn completions(shell: Shell, command: &mut Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "portcullis", &mut script);
    print(String::from_utf8_lossy(&script));
    Ok(Exit::Well)
}

/// `portcullis manual FOLDER`: a page for the command, and one for each of its commands.
pub(crate) fn pages(folder: &Path, command: Command) -> Outcome {
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    match written {
        Ok(()) => Ok(Exit::Well),
        Err(error) => {
            print_error(format!(
                "{BAD}error{BAD:#}: the manual pages cannot be written to {}: {error}\n",
                folder.display()
            ));
            Err(Exit::Failed)
        }
    }
}

/// The reference of all commands, which docs/cli.md holds.
pub(crate) fn reference(mut command: Command) -> Outcome {
    command.build();
    let mut text = String::from("# Commands\n");
    if let Some(about) = command.get_long_about() {
        let _ = write!(text, "\n{about}\n");
    }
    text.push_str("\nThis page is written from the code: `cargo xtask gen`.\n");
    for child in shown(&command) {
        section(child, "portcullis", &mut text);
    }
    print(text);
    Ok(Exit::Well)
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help")
}

/// A command with its arguments, or each of its own commands.
fn section(command: &Command, above: &str, text: &mut String) {
    let name = format!("{above} {}", command.get_name());
    if command.has_subcommands() {
        return shown(command).for_each(|child| section(child, &name, text));
    }
    let arguments: Vec<&Arg> = command.get_arguments().filter(|arg| is_shown(arg)).collect();
    let places = arguments.iter().filter(|arg| arg.is_positional()).fold(String::new(), |mut places, arg| {
        let _ = match arg.is_required_set() {
            true => write!(places, " {}", placeholder(arg)),
            false => write!(places, " [{}]", placeholder(arg)),
        };
        places
    });
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string);
    let _ = write!(text, "\n## `{name}{places}`\n");
    if let Some(about) = about {
        let _ = write!(text, "\n{}\n", ended(about));
    }
    if arguments.is_empty() {
        return;
    }
    text.push_str("\n| argument | meaning |\n|---|---|\n");
    for arg in arguments {
        let _ = writeln!(text, "| `{}` | {} |", spelled(arg), meaning(arg));
    }
}

fn is_shown(arg: &Arg) -> bool {
    !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version")
}

/// How an argument is written: `--format FORMAT`, `FILE`.
fn spelled(arg: &Arg) -> String {
    let Some(long) = arg.get_long() else { return placeholder(arg) };
    match arg.get_action().takes_values() {
        true => format!("--{long} {}", placeholder(arg)),
        false => format!("--{long}"),
    }
}

fn placeholder(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    if names.is_empty() { arg.get_id().as_str().to_uppercase() } else { names.join(" ") }
}

/// What it means, which values it takes, and what it is without a word of the user.
fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut text = ended(help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|"));
    let takes_values = arg.get_action().takes_values();
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| takes_values && !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() {
        let _ = write!(text, " One of {}.", values.join(", "));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if takes_values && !defaults.is_empty() {
        let _ = write!(text, " Default: {}.", defaults.join(", "));
    }
    text
}

/// The text as a sentence: clap takes the last full stop away.
fn ended(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with(['.', '!', '?', ':']) {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// For a test.
    #[derive(Parser)]
    #[command(name = "portcullis")]
    enum Sample {
        /// Runs it.
        Run {
            /// The file | or folder.
            file: String,
            /// How fast.
            #[arg(long, default_value_t = 3)]
            speed: u8,
        },
    }

    #[test]
    fn arguments_are_shown_with_their_defaults() {
        let mut command = <Sample as clap::CommandFactory>::command();
        command.build();
        let mut text = String::new();
        shown(&command).for_each(|child| section(child, "portcullis", &mut text));
        assert_eq!(
            text,
            "\n## `portcullis run FILE`\n\nRuns it.\n\n| argument | meaning |\n|---|---|\n\
             | `FILE` | The file \\| or folder. |\n| `--speed SPEED` | How fast. Default: `3`. |\n"
        );
    }
}
