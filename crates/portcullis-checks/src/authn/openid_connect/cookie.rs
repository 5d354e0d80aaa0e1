//! The cookies that a browser keeps: their names, their attributes and their size.
//!
//! One cookie holds the session, or several where it is larger than a browser keeps in one, and one for each of a few attempts to
//! log in at once holds what the way back is checked with. No cookie is larger than every browser takes. A session is sealed as a
//! whole before it is split, so parts of two sessions make none.

use http::{HeaderMap, HeaderValue};
use portcullis_core::head::cookie;
use portcullis_core::{CredentialLocation, Once};
use std::borrow::Cow;
use std::time::Duration;

/// The largest cookie that every browser keeps, with its name and attributes (RFC 6265, section 6.1).
pub const MAX_COOKIE_BYTES: usize = 4096;

/// How many attempts to log in a browser can have open at once. One more takes the place of the oldest.
// SECURITY: whoever opens pages of the site in somebody's browser fills these; with a session of the largest size they still
// leave room in the head of a request (nothing_of_a_request_says_where_a_login_leads).
pub const SLOTS: u8 = 3;

/// The most cookies of one session.
pub const PARTS: usize = 4;

/// The most bytes of a cookie beside its name and value: the number of parts, the attributes, a lifetime of ten digits.
const ATTRIBUTES: usize = "=9~; Path=/; Max-Age=9999999999; HttpOnly; SameSite=None; Secure".len();

/// What stands between the number of parts and the first of them; no sealed text has it.
const MANY: char = '~';

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
    /// The further parts of a session.
    parts: Vec<String>,
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
            parts: (1..PARTS).map(|part| format!("{prefix}{name}-part-{part}")).collect(),
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
        let all = std::iter::once(&self.session).chain(&self.parts).chain(&self.slots);
        all.map(|name| CredentialLocation::Cookie(name.clone())).collect()
    }

    /// The sealed text of the session that a request brings.
    pub fn read<'a>(&self, headers: &'a HeaderMap) -> Once<'a> {
        let first = cookie(headers, &self.session);
        let Once::One(text) = &first else { return first };
        let Some((count, begin)) = text.split_once(MANY) else { return first };
        let Some(more) = count.parse().ok().filter(|count| (2..=PARTS).contains(count)) else { return first };
        let mut whole = begin.to_owned();
        for name in self.parts.iter().take(more - 1) {
            match cookie(headers, name) {
                Once::One(part) => whole.push_str(&part),
                // What is there of it does not open.
                Once::Absent => return first,
                // SECURITY: which of two parts counts is a matter of taste, so neither does
                // (parts_of_two_sessions_make_none).
                Once::Repeated => return Once::Repeated,
                Once::Unreadable => return Once::Unreadable,
            }
        }
        Once::One(Cow::Owned(whole))
    }

    /// The `Set-Cookie` fields of a session with this sealed text, for a browser that sent these fields: parts that it has from a
    /// larger one are taken away. `Err` with its size where it is larger than `limit` or than [`PARTS`] cookies.
    pub fn keep(
        &self,
        text: &str,
        lifetime: Duration,
        limit: usize,
        sent: &HeaderMap,
    ) -> Result<Vec<HeaderValue>, usize> {
        if text.len() > limit {
            return Err(text.len());
        }
        let mut fields = Vec::new();
        let names = std::iter::once(&self.session).chain(&self.parts);
        if let Ok(field) = self.set(&self.session, text, lifetime) {
            fields.push(field);
        } else {
            // The names differ by a few bytes, and each part has room for the longest.
            let longest = names.clone().map(String::len).max().unwrap_or_default();
            let around = longest + ATTRIBUTES;
            let size = MAX_COOKIE_BYTES.saturating_sub(around).max(1);
            let count = text.len().div_ceil(size);
            if count > PARTS {
                return Err(text.len());
            }
            let mut rest = text;
            for (number, name) in names.clone().take(count).enumerate() {
                let (part, after) = rest.split_at_checked(size).unwrap_or((rest, ""));
                rest = after;
                let part = if number == 0 { format!("{count}{MANY}{part}") } else { part.to_owned() };
                fields.push(self.set(name, &part, lifetime)?);
            }
        }
        let stale = names.skip(fields.len()).filter(|name| !matches!(cookie(sent, name), Once::Absent));
        let stale: Vec<_> = stale.map(|name| self.clear(name)).collect();
        fields.extend(stale);
        Ok(fields)
    }

    /// The `Set-Cookie` fields that take a session away from a browser that sent these fields.
    pub fn end(&self, sent: &HeaderMap) -> Vec<HeaderValue> {
        let parts = self.parts.iter().filter(|name| !matches!(cookie(sent, name), Once::Absent));
        std::iter::once(&self.session).chain(parts).map(|name| self.clear(name)).collect()
    }

    /// A `Set-Cookie` field (RFC 6265, section 4.1). `Err` with its size where a browser might not keep it.
    pub fn set(&self, name: &str, value: &str, lifetime: Duration) -> Result<HeaderValue, usize> {
        self.set_for(name, value, lifetime, "Lax")
    }

    /// The same of an attempt that a form of the provider's page comes back to: other cookies do not come along with it.
    pub fn set_for_forms(&self, name: &str, value: &str, lifetime: Duration) -> Result<HeaderValue, usize> {
        // Browsers take `None` with `Secure` alone. Without TLS the provider is on this machine, and so the same site.
        let site = if self.protection == Protection::Tls { "None" } else { "Lax" };
        self.set_for(name, value, lifetime, site)
    }

    fn set_for(&self, name: &str, value: &str, lifetime: Duration, site: &str) -> Result<HeaderValue, usize> {
        let secure = match self.protection {
            Protection::Tls => "; Secure",
            Protection::LoopbackOnly => "",
        };
        let seconds = lifetime.as_secs();
        let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={site}{secure}");
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

    /// The fields that a browser sends back after it was sent these.
    fn sent_back(fields: &[HeaderValue]) -> HeaderMap {
        let pairs = fields.iter().map(|field| field.to_str().unwrap().split(';').next().unwrap());
        let text = pairs.filter(|pair| !pair.ends_with('=')).collect::<Vec<_>>().join("; ");
        HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::try_from(text).unwrap())])
    }

    #[test]
    fn a_session_that_is_too_large_for_one_cookie_has_several() {
        let cookies = Cookies::new("session", Protection::Tls);
        let (lifetime, nobody) = (Duration::from_secs(30 * 24 * 3600), HeaderMap::new());
        for (size, parts) in [(1, 1), (3900, 1), (4096, 2), (8000, 2), (9000, 3), (15_900, 4)] {
            let text: String =
                (0..size).map(|at| char::from(b'a' + u8::try_from(at % 26).unwrap())).collect();
            let fields = cookies.keep(&text, lifetime, 16_000, &nobody).unwrap();
            assert_eq!(fields.len(), parts, "{size}");
            assert!(fields.iter().all(|field| field.len() <= MAX_COOKIE_BYTES));
            assert_eq!(cookies.read(&sent_back(&fields)), Once::One(text.into()), "{size}");
        }
        assert!(cookies.keep(&"a".repeat(6000), lifetime, 6000, &nobody).is_ok());
        assert_eq!(cookies.keep(&"a".repeat(6001), lifetime, 6000, &nobody), Err(6001));
        assert_eq!(cookies.keep(&"a".repeat(17_000), lifetime, 99_999, &nobody), Err(17_000));
        // A smaller one takes the parts of a larger one away.
        let large = sent_back(&cookies.keep(&"a".repeat(9000), lifetime, 16_000, &nobody).unwrap());
        let fields = cookies.keep("b", lifetime, 16_000, &large).unwrap();
        let said: Vec<_> =
            fields.iter().map(|field| field.to_str().unwrap().split(';').next().unwrap()).collect();
        assert_eq!(said, ["__Host-session=b", "__Host-session-part-1=", "__Host-session-part-2="]);
        assert_eq!(cookies.end(&large).len(), 3);
        assert_eq!(cookies.end(&nobody).len(), 1);
    }

    #[test]
    fn what_is_no_whole_session_is_not_put_together() {
        let cookies = Cookies::new("s", Protection::LoopbackOnly);
        let read = |text: &'static str| {
            let headers = HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_static(text))]);
            match cookies.read(&headers) {
                Once::One(text) => text.into_owned(),
                other @ (Once::Absent | Once::Repeated | Once::Unreadable) => format!("{other:?}"),
            }
        };
        assert_eq!(read("s=2~a; s-part-1=b"), "ab");
        assert_eq!(read("s-part-1=b; s=2~a; s-part-2=c"), "ab", "one part more is left out");
        for (text, expected) in [
            ("s=3~a; s-part-1=b", "3~a"),
            ("s=2~a", "2~a"),
            ("s=1~a; s-part-1=b", "1~a"),
            ("s=5~a; s-part-1=b", "5~a"),
            ("s=99999999999999999999999~a", "99999999999999999999999~a"),
            ("s=-2~a; s-part-1=b", "-2~a"),
            ("s=~a", "~a"),
            ("s=2~a; s=2~a; s-part-1=b", "Repeated"),
            ("s=2~a; s-part-1=b; s-part-1=c", "Repeated"),
            ("s-part-1=b", "Absent"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn an_attempt_that_a_form_comes_back_to_is_sent_from_other_sites() {
        let said = |protection| {
            let cookies = Cookies::new("s", protection);
            cookies.set_for_forms("a", "b", Duration::from_secs(1)).unwrap().to_str().unwrap().to_owned()
        };
        assert!(said(Protection::Tls).ends_with("; SameSite=None; Secure"));
        assert!(said(Protection::LoopbackOnly).ends_with("; SameSite=Lax"));
    }
}
