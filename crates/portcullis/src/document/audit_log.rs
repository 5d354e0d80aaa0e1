//! Where the audit log goes.

use super::syslog::SyslogServer;
use portcullis_config::object;
use std::path::PathBuf;

object! {
    /// The audit log: rejected credentials, missing roles and scopes, exceeded limits, reloads and changes. Each entry
    /// carries the hash of the previous one, so `portcullis audit verify FILE` detects every edit.
    #[derive(PartialEq, Eq)]
    pub struct AuditLogConfig {
        /// The file. A relative path is relative to the file that names it. Only its owner can read it. Log rotation may
        /// move it: the chain continues in a new file.
        pub file: PathBuf,
        /// The file with the key that signs checkpoints, created at the first start with mode 0600. The public key is
        /// written beside it with the suffix `.pub`. Default: the log's name with `.key`.
        pub key: Option<PathBuf>,
        /// A syslog server that is sent the hash of each checkpoint, so that a truncated file is detected on another machine. The
        /// access log and `/api/v1/audit` have it as well. Default: none.
        pub syslog: Option<SyslogServer>,
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
