//! What a message says about its connection (RFC 9112, section 9.3; RFC 9110, section 7.6.1).

use crate::Version;
use crate::field::members;

/// Whether a connection may carry another message after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// It may.
    KeepAlive,
    /// It ends with this message.
    Close,
}

/// What the `Connection` and `Upgrade` fields say so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionFields {
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade_field: bool,
}

impl ConnectionFields {
    /// A `Connection` field.
    pub(crate) fn connection(&mut self, value: &[u8]) {
        for option in members(value) {
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade_option = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ => {}
            }
        }
    }

    /// An `Upgrade` field.
    pub(crate) fn upgrade(&mut self) {
        self.upgrade_field = true;
    }

    /// Whether the connection stays open: by default in HTTP/1.1, only by word in HTTP/1.0; `close` always wins.
    pub(crate) fn persistence(self, version: Version) -> Persistence {
        match version {
            _ if self.close => Persistence::Close,
            Version::Http11 => Persistence::KeepAlive,
            Version::Http10 if self.keep_alive => Persistence::KeepAlive,
            Version::Http10 => Persistence::Close,
        }
    }

    /// Whether `Upgrade` counts: only in HTTP/1.1, and only if `Connection` names it (RFC 9110, section 7.8).
    pub(crate) fn upgrades(self, version: Version) -> bool {
        version == Version::Http11 && self.upgrade_field && self.upgrade_option
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Persistence::{Close, KeepAlive};

    #[test]
    fn close_wins_and_versions_differ() {
        for (value, new, old) in [
            ("", KeepAlive, Close),
            ("keep-alive", KeepAlive, KeepAlive),
            ("Keep-Alive, Upgrade", KeepAlive, KeepAlive),
            ("close", Close, Close),
            ("keep-alive,CLOSE", Close, Close),
            ("closed", KeepAlive, Close),
        ] {
            let mut fields = ConnectionFields::default();
            fields.connection(value.as_bytes());
            assert_eq!(fields.persistence(Version::Http11), new, "{value}");
            assert_eq!(fields.persistence(Version::Http10), old, "{value}");
        }
    }

    #[test]
    fn an_upgrade_counts_only_where_connection_names_it_in_http_1_1() {
        let mut fields = ConnectionFields::default();
        fields.upgrade();
        assert!(!fields.upgrades(Version::Http11));
        fields.connection(b"keep-alive, Upgrade");
        assert!(fields.upgrades(Version::Http11));
        assert!(!fields.upgrades(Version::Http10));
    }
}
