//! Why there is no certificate, and what the authority's server said of it.

use instant_acme::Error;
use std::time::Duration;

/// Why there is no certificate.
#[derive(Debug, Default)]
pub(super) struct Failure {
    pub(super) what: String,
    /// How long the server asked to wait.
    pub(super) retry_after: Option<Duration>,
    /// The server does not know the account.
    pub(super) account_is_gone: bool,
}

impl Failure {
    pub(super) fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), ..Failure::default() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let account_is_gone = matches!(&error, Error::Api(problem)
            if problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist"));
        Failure { account_is_gone, ..Failure::new(error.to_string()) }
    }
}
