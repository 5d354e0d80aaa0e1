//! How the command ends.

use std::process::ExitCode;

/// The exit codes. 2 is clap's, for a command line that it cannot understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Well,
    /// The configuration cannot be used.
    Configuration,
    /// The gateway could not start, or had to end.
    Failed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Well => 0,
            Exit::Configuration => 1,
            Exit::Failed => 3,
        })
    }
}
