//! How the command ends.

use std::process::ExitCode;

/// The exit codes, the same for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Well,
    /// There are findings, or a test failed.
    Findings,
    /// The configuration cannot be used.
    Configuration,
    /// The command line cannot be understood.
    Usage,
    /// The gateway could not start, had to end, or does not answer.
    Failed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Well => 0,
            Exit::Findings => 1,
            Exit::Configuration => 2,
            Exit::Usage => 3,
            Exit::Failed => 4,
        })
    }
}
