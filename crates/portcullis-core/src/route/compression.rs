//! Which answers may be compressed for which clients, and how a client says what it can read.
//!
//! What a client asks for is decided when its request is let through (RFC 9110, section 12.5.3); whether its answer is one that may
//! be compressed, when the answer comes. What cannot be read is not there: an answer without compression is always right. Nothing
//! here compresses.

use http::header::{self, HeaderMap, HeaderValue};

/// How the answers of a route are compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The codings, the best one first.
    pub codings: Vec<Coding>,
    /// The fewest bytes that are worth it.
    pub min_bytes: u64,
    /// The media types.
    pub media_types: Vec<MediaRange>,
    /// How hard it tries.
    pub level: Level,
    /// Whether answers with secrets are compressed too: those that set cookies, and those to requests with credentials.
    pub with_credentials: bool,
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `zstd` (RFC 8878).
    Zstd,
    /// `br` (RFC 7932).
    Brotli,
    /// `gzip` (RFC 1952).
    Gzip,
}

/// How much time a smaller answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The least time.
    Fast,
    /// Something between.
    Balanced,
    /// The smallest answer.
    Small,
}

/// Media types: one, or all of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaRange {
    /// This one, in lower case, without parameters.
    One(String),
    /// All that begin so: `text/`.
    Kind(String),
    /// All that end so: `+json`.
    Suffix(String),
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The coding that it gets if its answer is compressed; `None` where it can read none of them.
    pub coding: Option<Coding>,
    /// Whether it cannot read an answer without a coding.
    pub only_coded: bool,
    /// Whether it came with credentials.
    pub credentials: bool,
    /// Whether it forbids that its answer is changed on the way.
    pub no_transform: bool,
}

impl Coding {
    /// What it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    fn is_called(self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.as_str())
            // RFC 9110, section 8.4.1.3: an old name.
            || (self == Coding::Gzip && name.eq_ignore_ascii_case("x-gzip"))
    }
}

impl MediaRange {
    fn holds(&self, essence: &str) -> bool {
        match self {
            MediaRange::One(one) => one == essence,
            MediaRange::Kind(kind) => essence.starts_with(kind.as_str()),
            MediaRange::Suffix(suffix) => essence.ends_with(suffix.as_str()),
        }
    }
}

impl Compression {
    /// What a request with these fields asks for. `identified` where somebody is known to have sent it.
    pub fn wish(&self, headers: &HeaderMap, identified: bool) -> Wish {
        const CREDENTIALS: [header::HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];
        let accepted = Accepted::of(headers);
        let identity = accepted.of_identity();
        let mut best: Option<(u16, Coding)> = None;
        for &coding in &self.codings {
            let weight = accepted.of_coding(coding);
            // Of equal ones, the first.
            if weight > 0 && weight >= identity && best.is_none_or(|(known, _)| weight > known) {
                best = Some((weight, coding));
            }
        }
        Wish {
            coding: best.map(|(_, coding)| coding),
            only_coded: identity == 0 && best.is_some() && accepted.refuses_identity(),
            // SECURITY: whatever the client proves itself with, also what a check has removed or that came with the
            // connection (what_holds_secrets_is_left_alone).
            credentials: identified || CREDENTIALS.iter().any(|name| headers.contains_key(name)),
            no_transform: says(headers, &header::CACHE_CONTROL, "no-transform"),
        }
    }

    /// Whether an answer with these fields may be compressed. `length` is that of its body, where it is known.
    pub fn suits(&self, wish: Wish, headers: &HeaderMap, length: Option<u64>) -> bool {
        // What is compressed already, or is a part, and what has a proof that it is as it was sent.
        const LEFT_ALONE: [&str; 7] = [
            "content-encoding",
            "content-range",
            "content-md5",
            "digest",
            "content-digest",
            "repr-digest",
            "signature",
        ];
        let large = wish.only_coded || length.is_none_or(|length| length >= self.min_bytes);
        // SECURITY: an answer that mixes a secret with what an attacker can choose tells the secret by its length, which TLS
        // does not hide (what_holds_secrets_is_left_alone).
        let open = self.with_credentials || !(wish.credentials || headers.contains_key(header::SET_COOKIE));
        large
            && open
            && length != Some(0)
            && !wish.no_transform
            && !says(headers, &header::CACHE_CONTROL, "no-transform")
            && !LEFT_ALONE.iter().any(|name| headers.contains_key(*name))
            && self.has_media_type(headers)
    }

    fn has_media_type(&self, headers: &HeaderMap) -> bool {
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(one), None) = (types.next(), types.next()) else { return false };
        let essence = one.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        self.media_types.iter().any(|range| range.holds(&essence))
    }

    /// For a listing: `zstd, br, gzip`.
    pub fn describe(&self) -> String {
        self.codings.iter().map(|coding| coding.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a field has this member, in any of its lines.
fn says(headers: &HeaderMap, name: &header::HeaderName, member: &str) -> bool {
    headers.get_all(name).iter().any(|line| {
        line.as_bytes()
            .split(|byte| *byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(member.as_bytes()))
    })
}

/// Tells caches that the answer depends on what the client can read.
pub fn vary(headers: &mut HeaderMap) {
    let told = says(headers, &header::VARY, "accept-encoding") || says(headers, &header::VARY, "*");
    if !told {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// The codings that a client accepts, with their weights in thousandths.
#[derive(Default)]
struct Accepted<'a>(Vec<(&'a str, u16)>);

/// More codings than anybody has; those after it are not read.
const MOST: usize = 32;

impl<'a> Accepted<'a> {
    fn of(headers: &'a HeaderMap) -> Accepted<'a> {
        let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
        let items = lines.flat_map(|line| line.split(','));
        Accepted(items.take(MOST).filter_map(item).collect())
    }

    /// The least weight of those that are called so: one that is refused once is refused.
    fn of_name(&self, is_it: impl Fn(&str) -> bool) -> Option<u16> {
        self.0.iter().filter(|(name, _)| is_it(name)).map(|(_, weight)| *weight).min()
    }

    fn of_coding(&self, coding: Coding) -> u16 {
        self.of_name(|name| coding.is_called(name)).or_else(|| self.of_name(|name| name == "*")).unwrap_or(0)
    }

    /// Nothing that the client says of it: then anything else that it names is better.
    fn of_identity(&self) -> u16 {
        self.of_name(|name| name.eq_ignore_ascii_case("identity")).unwrap_or(0)
    }

    fn refuses_identity(&self) -> bool {
        let named = self.of_name(|name| name.eq_ignore_ascii_case("identity"));
        named.or_else(|| self.of_name(|name| name == "*")) == Some(0)
    }
}

/// A coding and its weight. `None` for what is neither.
fn item(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let mut weight = 1000;
    for parameter in parts {
        let (key, value) = parameter.split_once('=')?;
        if key.trim_end().eq_ignore_ascii_case("q") {
            weight = thousandths(value.trim_start())?;
        }
    }
    Some((name, weight))
}

/// `0.5` is 500; up to three digits follow the point (RFC 9110, section 12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rest: u16 = format!("{rest:0<3}").parse().ok()?;
    match (whole, rest) {
        ("0", rest) => Some(rest),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn settings() -> Compression {
        Compression {
            codings: vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
            min_bytes: 100,
            media_types: vec![
                MediaRange::Kind("text/".into()),
                MediaRange::One("application/json".into()),
                MediaRange::Suffix("+json".into()),
            ],
            level: Level::Balanced,
            with_credentials: false,
        }
    }

    fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    fn coding(lines: &[&str]) -> (Option<&'static str>, bool) {
        let lines: Vec<_> = lines.iter().map(|line| ("accept-encoding", *line)).collect();
        let wish = settings().wish(&fields(&lines), false);
        (wish.coding.map(Coding::as_str), wish.only_coded)
    }

    #[test]
    fn a_client_gets_what_it_can_read() {
        for (lines, wanted) in [
            (&[][..], None),
            (&[""], None),
            (&["identity"], None),
            (&["gzip, deflate, br, zstd"], Some("zstd")),
            (&["gzip, deflate, br"], Some("br")),
            (&["gzip, deflate"], Some("gzip")),
            (&["x-gzip"], Some("gzip")),
            (&["GZIP"], Some("gzip")),
            (&["gzip", "br"], Some("br")),
            (&["deflate, compress"], None),
            (&["*"], Some("zstd")),
            (&["*;q=0"], None),
            (&["*;q=0.5, gzip"], Some("gzip")),
            (&["*, zstd;q=0"], Some("br")),
            (&["gzip;q=1.0, br;q=0.5"], Some("gzip")),
            (&["gzip; q=0.001 , br ; Q=0"], Some("gzip")),
            (&["br;q=0, gzip;q=0, zstd;q=0.000"], None),
            (&["gzip;q=0, gzip"], None),
            (&["gzip, gzip;q=0"], None),
            (&["gzip;q=0.5, identity"], None),
            (&["gzip;q=0.5, identity;q=0.5"], Some("gzip")),
            (&["gzip;q=2"], None),
            (&["gzip;q=-1"], None),
            (&["gzip;q=0.1234"], None),
            (&["gzip;q"], None),
            (&["gzip;q=, br"], Some("br")),
            (&["gzip\t;\tq=1"], Some("gzip")),
            (&[",,gzip,,"], Some("gzip")),
        ] {
            assert_eq!(coding(lines).0, wanted, "{lines:?}");
        }
        assert_eq!(coding(&["identity;q=0, gzip"]), (Some("gzip"), true));
        assert_eq!(coding(&["*;q=0, gzip"]), (Some("gzip"), true));
        assert_eq!(coding(&["*;q=0, gzip, identity;q=0.1"]), (Some("gzip"), false));
        assert_eq!(coding(&["identity;q=0"]), (None, false), "nobody could be served");
        let many = format!("{} gzip", "x,".repeat(MOST));
        assert_eq!(coding(&[&many]).0, None, "bounded");
    }

    #[test]
    fn what_holds_secrets_is_left_alone() {
        let json = ("content-type", "application/json");
        let gzip = ("accept-encoding", "gzip");
        let open = settings().wish(&fields(&[gzip]), false);
        assert!(settings().suits(open, &fields(&[json]), Some(100)));
        assert!(!settings().suits(open, &fields(&[json, ("set-cookie", "a=1")]), Some(100)));
        for (request, identified) in [
            (&[gzip][..], true),
            (&[gzip, ("cookie", "a=1")], false),
            (&[gzip, ("authorization", "Bearer x")], false),
        ] {
            let wish = settings().wish(&fields(request), identified);
            assert!(wish.credentials && !settings().suits(wish, &fields(&[json]), Some(100)), "{request:?}");
            let all = Compression { with_credentials: true, ..settings() };
            assert!(all.suits(wish, &fields(&[json, ("set-cookie", "a=1")]), Some(100)));
        }
    }

    #[test]
    fn what_may_not_or_need_not_change_is_left_alone() {
        let wish = settings().wish(&fields(&[("accept-encoding", "gzip")]), false);
        let suits = |more: &[(&'static str, &str)], length| settings().suits(wish, &fields(more), length);
        let json = ("content-type", "application/json");
        for media in
            ["application/json", "Application/JSON; charset=utf-8", "text/css", "application/problem+json"]
        {
            assert!(suits(&[("content-type", media)], None), "{media}");
        }
        for media in ["image/png", "application/jsonp", "", "application/octet-stream", "x+json-x/y"] {
            assert!(!suits(&[("content-type", media)], None), "{media}");
        }
        assert!(!suits(&[], None) && !suits(&[json, json], None));
        assert!(suits(&[json], Some(100)) && !suits(&[json], Some(99)) && !suits(&[json], Some(0)));
        for field in [
            ("content-encoding", "gzip"),
            ("content-encoding", "identity"),
            ("content-range", "bytes 0-9/10"),
            ("cache-control", "public, No-Transform"),
            ("content-md5", "x"),
            ("digest", "x"),
            ("content-digest", "x"),
            ("repr-digest", "x"),
            ("signature", "x"),
        ] {
            assert!(!suits(&[json, field], None), "{field:?}");
        }
        assert!(suits(&[json, ("cache-control", "public"), ("vary", "origin")], None));
        let only = settings().wish(&fields(&[("accept-encoding", "gzip, identity;q=0")]), false);
        assert!(settings().suits(only, &fields(&[json]), Some(1)), "it can read nothing else");
        let as_it_is = fields(&[("accept-encoding", "gzip"), ("cache-control", "no-transform")]);
        assert!(!settings().suits(settings().wish(&as_it_is, false), &fields(&[json]), None));
    }

    #[test]
    fn a_listing_names_the_codings_in_their_order() {
        assert_eq!(settings().describe(), "zstd, br, gzip");
    }

    #[test]
    fn caches_are_told_once() {
        for (before, lines) in [
            (&[][..], 1),
            (&[("vary", "Origin")], 2),
            (&[("vary", "origin, Accept-Encoding")], 1),
            (&[("vary", "*")], 1),
        ] {
            let mut headers = fields(before);
            vary(&mut headers);
            assert_eq!(headers.get_all("vary").iter().count(), lines, "{before:?}");
        }
    }
}
