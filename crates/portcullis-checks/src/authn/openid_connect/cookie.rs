//! The cookies that a browser keeps: their names, their attributes and their size.
//!
//! One cookie holds the session, and one for each of a few attempts to log in at once holds what the way back is checked
//! with. No cookie is larger than every browser takes, and together they leave room in a request's head for others.

use http::HeaderValue;
use portcullis_core::CredentialLocation;
use std::time::Duration;

/// The largest cookie that every browser keeps, with its name and attributes (RFC 6265, section 6.1).
pub const MAX_COOKIE_BYTES: usize = 4096;

/// How many attempts to log in a browser can have open at once. One more takes the place of the oldest.
// SECURITY: whoever opens pages of the site in somebody's browser fills these; with a session of the largest size they still
// leave room in the head of a request (nothing_of_a_request_says_where_a_login_leads).
pub const SLOTS: u8 = 3;

/// Whether a browser may send a cookie without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// With TLS only: `Secure`, and a name with which no other host can plant one (`__Host-`).
    Tls,
    /// For a gateway that is reached at an address of this machine, while it is developed.
    LoopbackOnly,
}

/// The cookies of one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookies {
    session: String,
    slots: Vec<String>,
    protection: Protection,
}

impl Cookies {
    /// The cookies that are called so.
    pub fn new(name: &str, protection: Protection) -> Cookies {
        // SECURITY: a neighbouring host cannot set a cookie with this prefix (RFC 6265bis, section 4.1.3.2), so it cannot
        // put its own session in place of the user's (cookies_cannot_be_planted_by_a_neighbour).
        let prefix = match protection {
            Protection::Tls => "__Host-",
            Protection::LoopbackOnly => "",
        };
        Cookies {
            session: format!("{prefix}{name}"),
            slots: (0..SLOTS).map(|slot| format!("{prefix}{name}-attempt-{slot}")).collect(),
            protection,
        }
    }

    /// The name of the one that holds the session.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The name of the one that holds an attempt. `None` for a slot that there is not.
    pub fn slot(&self, slot: u8) -> Option<&str> {
        self.slots.get(usize::from(slot)).map(String::as_str)
    }

    /// The slots and the names of their cookies.
    pub fn slots(&self) -> impl Iterator<Item = (u8, &str)> {
        (0..SLOTS).zip(self.slots.iter().map(String::as_str))
    }

    /// All of them.
    pub fn locations(&self) -> Vec<CredentialLocation> {
        let all = std::iter::once(&self.session).chain(&self.slots);
        all.map(|name| CredentialLocation::Cookie(name.clone())).collect()
    }

    /// A `Set-Cookie` field (RFC 6265, section 4.1). `Err` with its size where a browser might not keep it.
    pub fn set(&self, name: &str, value: &str, lifetime: Duration) -> Result<HeaderValue, usize> {
        let secure = match self.protection {
            Protection::Tls => "; Secure",
            Protection::LoopbackOnly => "",
        };
        let seconds = lifetime.as_secs();
        let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        // SECURITY: a cookie that a browser drops would send it to log in for ever (a_session_that_is_too_large_is_refused).
        if text.len() > MAX_COOKIE_BYTES {
            return Err(text.len());
        }
        let size = text.len();
        let mut field = HeaderValue::try_from(text).map_err(|_| size)?;
        field.set_sensitive(true);
        Ok(field)
    }

    /// A `Set-Cookie` field that takes a cookie away.
    pub fn clear(&self, name: &str) -> HeaderValue {
        self.set(name, "", Duration::ZERO).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_cannot_be_planted_by_a_neighbour() {
        let cookies = Cookies::new("session", Protection::Tls);
        let field = cookies.set(cookies.session(), "x", Duration::from_secs(60)).unwrap();
        assert_eq!(field, "__Host-session=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(cookies.slot(2), Some("__Host-session-attempt-2"));
        assert_eq!(cookies.slot(3), None);
        let clear = cookies.clear(cookies.session());
        assert_eq!(clear, "__Host-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        let plain = Cookies::new("session", Protection::LoopbackOnly);
        let field = plain.set(plain.session(), "x", Duration::from_secs(60)).unwrap();
        assert_eq!(field, "session=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn no_cookie_is_larger_than_browsers_take() {
        let cookies = Cookies::new("session", Protection::Tls);
        let set = |size: usize| cookies.set(cookies.session(), &"x".repeat(size), Duration::from_secs(60));
        let around = cookies.clear(cookies.session()).len() + 1;
        assert!(set(MAX_COOKIE_BYTES - around).is_ok());
        assert_eq!(set(MAX_COOKIE_BYTES - around + 1), Err(MAX_COOKIE_BYTES + 1));
    }
}
