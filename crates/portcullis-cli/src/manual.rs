//! What helps at a terminal, made from the command line's own declaration: shell completions and manual pages.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, print, print_error};
use clap::Command;
use clap_complete::Shell;
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
