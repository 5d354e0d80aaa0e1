//! Where the audit log goes.

use portcullis_config::object;
use std::path::PathBuf;

object! {
    /// The audit log: refused credentials, refused roles and scopes, limits that were passed, reloads and changes, each an
    /// entry that carries the hash of the entry before it. `portcullis audit verify FILE` finds every edit.
    #[derive(PartialEq, Eq)]
    pub struct AuditLogConfig {
        /// The file, relative to the folder of the file that names it, readable by its owner alone. Log rotation may move
        /// it away: the chain goes on in a new file.
        pub file: PathBuf,
        /// The file with the key that signs checkpoints, made at the first start, mode 0600. Default: the log's name with
        /// `.key`. Its public half stands beside it, with `.pub`.
        pub key: Option<PathBuf>,
    }
}

impl AuditLogConfig {
    /// The file with the key.
    pub fn key_file(&self) -> PathBuf {
        let beside = || {
            let mut name = self.file.clone().into_os_string();
            name.push(".key");
            PathBuf::from(name)
        };
        self.key.clone().unwrap_or_else(beside)
    }
}
