//! What is wrong with what TLS needs.

use super::PairFiles;
use portcullis_permissions::Exposed;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What is wrong with what TLS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The certificate cannot be read.
    Certificate(String),
    /// The key cannot be read or used.
    Key(String),
    /// Others than its owner can read or change the key's file.
    KeyPermissions(Exposed),
    /// The key is not the certificate's.
    Mismatch,
    /// The certificate is no longer valid.
    Expired {
        /// For so long.
        since: Duration,
    },
    /// The certificate is not valid yet.
    NotYetValid {
        /// It will be in so long.
        within: Duration,
    },
    /// The certificate is for no host at all.
    Nameless,
    /// The certificates of the clients' authorities cannot be read.
    Authorities(String),
    /// A list of revoked certificates cannot be read.
    Revoked {
        /// The list's file.
        file: PathBuf,
        /// Why.
        detail: String,
    },
    /// The cryptography cannot be set up.
    Unusable(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = |time: &Duration| time.as_secs().div_ceil(3600);
        match self {
            Problem::Certificate(detail) => write!(f, "the certificate cannot be used: {detail}"),
            Problem::Key(detail) => write!(f, "the key cannot be used: {detail}"),
            Problem::KeyPermissions(exposed) => write!(f, "the key's file is not private: {exposed}"),
            Problem::Mismatch => f.write_str("the key is another certificate's"),
            Problem::Expired { since } => write!(f, "the certificate expired {} h ago", hours(since)),
            Problem::NotYetValid { within } => {
                write!(f, "the certificate is not valid before {} h from now", hours(within))
            }
            Problem::Nameless => {
                f.write_str("the certificate has no subjectAltName, so no client accepts it")
            }
            Problem::Authorities(detail) => {
                write!(f, "the certificates of the clients' authorities cannot be used: {detail}")
            }
            Problem::Revoked { file, detail } => {
                write!(f, "the list of revoked certificates {} cannot be used: {detail}", file.display())
            }
            Problem::Unusable(detail) => write!(f, "TLS cannot be set up: {detail}"),
        }
    }
}

impl std::error::Error for Problem {}

/// Files that cannot be used while the gateway serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The certificate that stays as it was; `None` where everything does.
    pub files: Option<PairFiles>,
    /// Why.
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.files {
            None => write!(f, "all certificates stay as they were: {}", self.problem),
            Some(PairFiles { certificate, key }) => write!(
                f,
                "the certificate of {} (key: {}) stays as it was: {}",
                certificate.display(),
                key.display(),
                self.problem
            ),
        }
    }
}
