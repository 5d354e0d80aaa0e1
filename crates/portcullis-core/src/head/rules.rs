//! What becomes of a header, by its name: one table for everything that removes, refuses or keeps one.
//!
//! It holds the headers that concern a connection or where a body ends, those in which only the gateway may say who the
//! client is, those of other products ([`foreign`]), and what the configuration adds. It is built once at load and asked
//! once for each header of each request. Names are compared as a backend may see them: gateway interfaces such as CGI
//! turn every character but letters and digits into `_`, so `x_api_key` and `x.api.key` are `x-api-key` there.

use super::foreign::{OF_CLIENTS, PRODUCTS, Says};
use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

/// The prefix of the fields in which the gateway tells an upstream who the client is.
pub const IDENTITY_PREFIX: &str = "x-consumer-";

/// What a header is to the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    /// The gateway has nothing to say about it.
    EndToEnd,
    /// Concerns this connection alone (RFC 9110, section 7.6.1).
    Connection,
    /// Where the body ends.
    Framing,
    /// Says where the request came from, and is read from a trusted peer.
    Forwarding,
    /// Removed, whoever sent it.
    Removed,
    /// Asks for another method. Removed; what it says is followed where the policy says so.
    Method,
    /// Stays. Another spelling of it is refused.
    Guarded,
    /// Stays if a trusted peer sent it.
    FromTrusted,
}

/// What becomes of headers, by their names.
#[derive(Clone)]
pub struct FieldRules {
    places: Vec<Place>,
}

/// The rules whose names begin with the same letter. See [`place_of`].
#[derive(Clone, Default)]
struct Place {
    /// In the order of their heads.
    exact: Vec<Entry>,
    prefixes: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    /// The first bytes of the name, by which nearly every other name is told apart.
    head: Head,
    /// Folded: lower case, with `-` for whatever is no letter or digit. Of a prefix, without its `*`.
    name: Box<str>,
    /// As it was written, where that is not the folded name.
    written: Option<Box<str>>,
    rule: Rule,
}

/// The first eight bytes of a name, with zeros where it is shorter, and which of them it has.
#[derive(Clone, Copy)]
struct Head {
    bytes: u64,
    mask: u64,
}

impl Head {
    fn of(name: &str) -> Head {
        let name = name.as_bytes();
        if let Some(first) = name.first_chunk::<8>() {
            return Head { bytes: u64::from_le_bytes(*first), mask: u64::MAX };
        }
        let (bytes, mask) = name.iter().rev().fold((0, 0), |(bytes, mask): (u64, u64), byte| {
            (bytes << 8 | u64::from(*byte), mask << 8 | 0xff)
        });
        Head { bytes, mask }
    }

    /// Whether a name that begins so may begin with what this is the head of.
    fn begins(self, name: Head) -> bool {
        (self.bytes ^ name.bytes) & self.mask == 0
    }
}

const PLACES: usize = 64;

/// The shortest prefix. A shorter one would be in several places at once.
pub const SHORTEST_PREFIX: usize = 3;

/// Where the rules for a name stand: by its first letter, or by the third where it begins with `x-`, as half of them do.
fn place_of(name: &str) -> usize {
    let (letter, half) = match name.as_bytes() {
        [b'x', b'-', third, ..] => (*third, PLACES / 2),
        [first, ..] => (*first, 0),
        [] => (0, 0),
    };
    half + usize::from(letter) % (PLACES / 2)
}

/// The characters of a folded name, a bit for each: lower-case letters, digits and `-`.
const FOLDED: u128 = {
    let (mut set, mut byte) = (0, 0_u8);
    while byte < 128 {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' {
            set |= 1 << byte;
        }
        byte += 1;
    }
    set
};

fn is_folded(name: &str) -> bool {
    name.bytes().all(|byte| byte < 128 && FOLDED >> byte & 1 == 1)
}

/// The name that a backend may see: `-` for whatever is no letter or digit.
pub(crate) fn folded(name: &str) -> Cow<'_, str> {
    if is_folded(name) {
        return Cow::Borrowed(name);
    }
    let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    Cow::Owned(name.chars().map(fold).collect())
}

/// Names with a meaning of their own, which no configuration changes.
const FIXED: [(&str, Rule); 28] = [
    ("connection", Rule::Connection),
    ("expect", Rule::Connection),
    ("http2-settings", Rule::Connection),
    ("keep-alive", Rule::Connection),
    ("proxy-authenticate", Rule::Connection),
    ("proxy-authorization", Rule::Connection),
    ("proxy-connection", Rule::Connection),
    ("te", Rule::Connection),
    ("trailer", Rule::Connection),
    ("upgrade", Rule::Connection),
    ("content-length", Rule::Framing),
    ("transfer-encoding", Rule::Framing),
    ("x-forwarded-for", Rule::Forwarding),
    ("x-forwarded-host", Rule::Forwarding),
    ("x-forwarded-port", Rule::Forwarding),
    ("x-forwarded-proto", Rule::Forwarding),
    ("x-request-id", Rule::Removed),
    ("x-consumer-name", Rule::Removed),
    ("x-consumer-issuer", Rule::Removed),
    ("x-consumer-client", Rule::Removed),
    ("x-consumer-roles", Rule::Removed),
    ("x-consumer-scopes", Rule::Removed),
    ("host", Rule::Guarded),
    ("authorization", Rule::Guarded),
    ("content-encoding", Rule::Guarded),
    ("content-type", Rule::Guarded),
    ("cookie", Rule::Guarded),
    ("forwarded", Rule::Removed),
];

impl Default for FieldRules {
    fn default() -> Self {
        let mut rules = FieldRules { places: vec![Place::default(); PLACES] };
        for (name, rule) in FIXED {
            rules.enter(name, rule);
        }
        rules.enter("x-consumer-*", Rule::Removed);
        for name in OF_CLIENTS {
            rules.enter(name, Rule::EndToEnd);
        }
        for (says, names) in PRODUCTS.iter().flat_map(|product| product.headers) {
            let rule = if *says == Says::Method { Rule::Method } else { Rule::Removed };
            for name in *names {
                if !rules.knows(name) {
                    rules.enter(name, rule);
                }
            }
        }
        rules
    }
}

impl FieldRules {
    /// The rules that hold where a configuration adds none.
    pub fn standard() -> &'static FieldRules {
        static STANDARD: LazyLock<FieldRules> = LazyLock::new(FieldRules::default);
        &STANDARD
    }

    /// The gateway itself sets this header, so clients do not. One that a credential is looked for in is not removed here:
    /// it is, with all credentials, once it was judged.
    pub fn set_by_gateway(&mut self, name: &str) {
        self.put(name, Rule::Removed);
    }

    /// A credential is looked for here: it stays until it was judged, and an alias of it is refused.
    pub fn credential(&mut self, name: &str) {
        self.put(name, Rule::Guarded);
    }

    /// Clients do not send this header, or any that begins so if it ends with `*`. Nothing is done for a prefix of fewer
    /// than [`SHORTEST_PREFIX`] characters.
    pub fn remove(&mut self, name: &str) {
        if !Self::is_fixed(name) {
            self.enter(name, Rule::Removed);
        }
    }

    /// A trusted proxy may send this header.
    pub fn keep_from_trusted(&mut self, name: &str) {
        self.put(name, Rule::FromTrusted);
    }

    /// Whoever sends this header, it stays.
    pub fn keep(&mut self, name: &str) {
        self.put(name, Rule::EndToEnd);
    }

    /// Whether the header is removed from every request, whoever sends it. A name in lower case.
    pub fn removes(&self, name: &str) -> bool {
        matches!(
            self.of(name),
            Rule::Removed | Rule::Method | Rule::Connection | Rule::Framing | Rule::Forwarding
        )
    }

    /// Whether no configuration says what becomes of this header: it concerns the connection, the framing, the host or how
    /// a body is read, or the gateway sets it anew for each request.
    pub fn is_fixed(name: &str) -> bool {
        let name = folded(name);
        let own = ["x-request-id", "host", "content-type", "content-encoding"];
        let own = own.contains(&&*name) || name.starts_with(IDENTITY_PREFIX);
        own || FIXED.iter().any(|(fixed, rule)| {
            *fixed == name && matches!(rule, Rule::Connection | Rule::Framing | Rule::Forwarding)
        })
    }

    /// What becomes of a header with this name. A name in lower case.
    pub(super) fn of(&self, name: &str) -> Rule {
        let plain = folded(name);
        let Some(entry) = self.find(&plain) else { return Rule::EndToEnd };
        let as_written = match &entry.written {
            None => matches!(plain, Cow::Borrowed(_)),
            Some(written) => **written == *name,
        };
        entry.rule.spelled(as_written)
    }

    fn find(&self, plain: &str) -> Option<&Entry> {
        let Place { exact, prefixes } = self.places.get(place_of(plain))?;
        let head = Head::of(plain);
        let first = exact.partition_point(|entry| entry.head.bytes < head.bytes);
        let alike = exact.iter().skip(first).take_while(|entry| entry.head.bytes == head.bytes);
        if let Some(entry) = alike.into_iter().find(|entry| *entry.name == *plain) {
            return Some(entry);
        }
        prefixes.iter().find(|entry| entry.head.begins(head) && plain.starts_with(&*entry.name))
    }

    /// Whether there is a rule for this very name or prefix.
    fn knows(&self, name: &str) -> bool {
        let (name, prefix) = stem(name);
        let plain = folded(name);
        self.places.get(place_of(&plain)).is_some_and(|place| {
            let entries = if prefix { &place.prefixes } else { &place.exact };
            entries.iter().any(|entry| *entry.name == *plain)
        })
    }

    fn put(&mut self, name: &str, rule: Rule) {
        // SECURITY: nothing that a configuration says lets framing or the gateway's own fields through
        // (no_configuration_changes_what_is_fixed).
        if Self::is_fixed(name) {
            return;
        }
        let guarded = |entry: &Entry| entry.rule == Rule::Guarded;
        if rule != Rule::Guarded && self.find(&folded(name)).is_some_and(guarded) {
            return;
        }
        self.enter(name, rule);
    }

    fn enter(&mut self, name: &str, rule: Rule) {
        let (name, prefix) = stem(name);
        let plain = folded(name).into_owned().into_boxed_str();
        if prefix && plain.len() < SHORTEST_PREFIX {
            return;
        }
        let written = (*plain != *name).then(|| name.into());
        let Some(place) = self.places.get_mut(place_of(&plain)) else { return };
        let entries = if prefix { &mut place.prefixes } else { &mut place.exact };
        entries.retain(|entry| entry.name != plain);
        let head = Head::of(&plain);
        let place = entries.partition_point(|entry| entry.head.bytes < head.bytes);
        entries.insert(place, Entry { head, name: plain, written, rule });
    }
}

impl Rule {
    /// The rule for a header that is spelled as the rule, or otherwise.
    fn spelled(self, as_written: bool) -> Rule {
        match self {
            // An alias of what only a trusted peer may send is nobody's business.
            Rule::FromTrusted | Rule::Forwarding if !as_written => Rule::Removed,
            Rule::EndToEnd
            | Rule::Connection
            | Rule::Framing
            | Rule::Forwarding
            | Rule::Removed
            | Rule::Method
            | Rule::Guarded
            | Rule::FromTrusted => self,
        }
    }
}

/// A name without its `*`, and whether it had one.
fn stem(name: &str) -> (&str, bool) {
    name.strip_suffix('*').map_or((name, false), |stem| (stem, true))
}

impl fmt::Debug for FieldRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.places.iter().flat_map(|place| place.exact.iter().chain(&place.prefixes)).count();
        f.debug_struct("FieldRules").field("rules", &rules).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name of the table, with an end where any will do.
    fn listed() -> impl Iterator<Item = String> {
        let names = PRODUCTS.iter().flat_map(|product| product.headers).flat_map(|(_, names)| names.iter());
        names.map(|name| name.strip_suffix('*').map_or((*name).to_owned(), |stem| format!("{stem}x")))
    }

    #[test]
    fn every_header_of_another_product_is_removed_in_every_spelling() {
        let rules = FieldRules::default();
        for name in listed() {
            let removed = rules.removes(&name) || name == "x-forwarded-for";
            assert!(removed, "{name}");
            for mark in ["_", ".", "~", "$"] {
                let alias = name.replace('-', mark);
                assert!(rules.removes(&alias), "{alias}");
            }
        }
    }

    #[test]
    fn each_name_has_the_rule_that_stands_for_it_first() {
        let rules = FieldRules::default();
        for (name, rule) in FIXED {
            assert_eq!(rules.of(name), rule, "{name}");
        }
        for name in OF_CLIENTS {
            assert_eq!(rules.of(name), Rule::EndToEnd, "{name}");
        }
        let mut rules = rules;
        assert_eq!(rules.of("x-mine"), Rule::EndToEnd);
        rules.set_by_gateway("x-mine");
        assert!(rules.removes("x-mine") && rules.removes("x_mine"));
        // What is written in another spelling is that spelling, and the usual one its alias.
        rules.keep_from_trusted("x_geo");
        assert_eq!((rules.of("x_geo"), rules.of("x-geo")), (Rule::FromTrusted, Rule::Removed));
        rules.keep_from_trusted("x-land");
        assert_eq!((rules.of("x-land"), rules.of("x_land")), (Rule::FromTrusted, Rule::Removed));
        let shown = format!("{rules:?}");
        assert!(shown.starts_with("FieldRules { rules: ") && !shown.contains("x-mine"), "{shown}");
    }

    #[test]
    fn the_table_is_well_formed() {
        for name in PRODUCTS.iter().flat_map(|product| product.headers).flat_map(|(_, names)| names.iter()) {
            let (stem, prefix) = stem(name);
            assert!(!stem.contains('*') && (!prefix || stem.len() >= SHORTEST_PREFIX), "{name}");
            assert!(http::HeaderName::from_lowercase(stem.as_bytes()).is_ok(), "{name}");
            assert!(!FIXED.iter().any(|(fixed, rule)| *fixed == stem && *rule == Rule::Guarded), "{name}");
        }
        let mut names: Vec<&str> = PRODUCTS.iter().map(|product| product.name).collect();
        names.dedup();
        assert_eq!(names.len(), PRODUCTS.len());
    }

    #[test]
    fn what_honest_clients_send_stays() {
        let rules = FieldRules::default();
        for name in [
            "accept",
            "accept-encoding",
            "access-control-request-method",
            "api-key",
            "baggage",
            "cf-ray",
            "content-language",
            "date",
            "destination",
            "dpop",
            "elastic-apm-traceparent",
            "grpc-timeout",
            "if-none-match",
            "kong-admin-token",
            "ocp-apim-subscription-key",
            "origin",
            "prefer",
            "range",
            "referer",
            "sec-fetch-site",
            "soapaction",
            "tracestate",
            "traceparent",
            "user-agent",
            "via",
            "x-access-token",
            "x-amz-date",
            "x-amz-security-token",
            "x-amzn-trace-id",
            "x-api-key",
            "x-auth-email",
            "x-auth-key",
            "x-auth-token",
            "x-b3-traceid",
            "x-client",
            "x-client-data",
            "x-client-id",
            "x-client-info",
            "x-client-version",
            "x-correlation-id",
            "x-csrf-token",
            "x-device-id",
            "x-goog-api-client",
            "x-goog-api-key",
            "x-goog-user-project",
            "x-grafana-org-id",
            "x-hub-signature-256",
            "x-ms-client-request-id",
            "x-ms-date",
            "x-ms-version",
            "x-nextjs-data",
            "x-request-start",
            "x-requested-with",
            "x-scope-orgid",
            "x-shopify-hmac-sha256",
            "x-tenant-id",
            "x-tyk-authorization",
            "x-user-agent",
            "x-user-id",
            "x-vault-token",
            "x-vercel-signature",
            "x-xsrf-token",
            "remote",
            "proxies",
            "x",
        ] {
            assert_eq!(rules.of(name), Rule::EndToEnd, "{name}");
        }
    }

    #[test]
    fn a_credential_stays_and_its_aliases_are_refused() {
        let mut rules = FieldRules::default();
        rules.set_by_gateway("cf-access-jwt-assertion");
        rules.credential("cf-access-jwt-assertion");
        rules.set_by_gateway("cf-access-jwt-assertion");
        rules.remove("cf-*");
        assert_eq!(rules.of("cf-access-jwt-assertion"), Rule::Guarded);
        assert_eq!(rules.of("cf_access_jwt_assertion"), Rule::Guarded);
        assert_eq!(rules.of("cf-access-client-id"), Rule::Removed);
        assert_eq!(rules.of("cf-ray"), Rule::Removed, "the operator said so");
    }

    #[test]
    fn no_configuration_changes_what_is_fixed() {
        let mut rules = FieldRules::default();
        for name in [
            "content-length",
            "Connection",
            "x-forwarded-for",
            "x_request_id",
            "x-consumer-name",
            "x-consumer-x",
        ] {
            rules.keep(name);
            rules.credential(name);
            rules.keep_from_trusted(name);
            assert!(FieldRules::is_fixed(name) && rules.removes(&name.to_ascii_lowercase()), "{name}");
        }
        for name in ["authorization", "cookie"] {
            rules.set_by_gateway(name);
            rules.keep(name);
            assert_eq!(rules.of(name), Rule::Guarded);
            rules.remove(name);
            assert!(rules.removes(name), "where no credential is looked for in it");
            rules.credential(name);
            assert_eq!(rules.of(name), Rule::Guarded);
        }
    }

    #[test]
    fn what_the_operator_adds_has_no_other_spelling_either() {
        let mut rules = FieldRules::default();
        rules.remove("X-Debug");
        rules.remove("x_acme_*");
        rules.remove("x-*");
        for name in ["x-debug", "x_debug", "x.debug", "x-acme-role", "x~acme~role"] {
            assert!(rules.removes(name), "{name}");
        }
        assert!(!rules.removes("x-other") && !rules.removes("x-debugger"));
        rules.keep_from_trusted("cf-ipcountry");
        assert_eq!(rules.of("cf-ipcountry"), Rule::FromTrusted);
        assert_eq!(rules.of("cf_ipcountry"), Rule::Removed);
        rules.keep("x-user");
        assert_eq!((rules.of("x-user"), rules.of("x-user-id")), (Rule::EndToEnd, Rule::EndToEnd));
    }
}
