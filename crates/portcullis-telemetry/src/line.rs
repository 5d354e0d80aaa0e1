//! A record as one line: JSON, or the fields of a text.
//!
//! The line holds who, what, when, the decision and its reason: everything that an operator paged at night asks first. It
//! holds no credential, no query and no body. What a client wrote stands in JSON strings or is escaped, so it can neither
//! start a line or a field of its own nor reach a terminal as a control character.

use crate::access_log::{Addresses, Field, Shown};
use crate::json::{self, Object};
use http::Version;
use jiff::Timestamp;
use portcullis_core::{Denial, KeyId, Level, Outcome, Plan, Record, Searched};
use serde::{Serialize, Serializer};
use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::time::Duration;

/// A record as it is written, with addresses as they are to be written.
pub(crate) struct Line<'a> {
    pub(crate) record: &'a Record,
    pub(crate) plan: &'a Plan,
    pub(crate) addresses: &'a Addresses,
}

/// The value of a field.
pub(crate) enum Value<'a> {
    /// It is not known.
    Absent,
    /// A status that was never sent.
    NoStatus,
    /// A word of ours, or a name of the configuration.
    Text(&'a str),
    /// What somebody else wrote.
    Foreign(&'a [u8]),
    /// The same of words with spaces between them.
    Words(&'a [u8]),
    Number(u64),
    Time(Time),
    /// Seconds since 1970.
    ClfTime(u64),
    Address(Shown<'a>),
    /// Not known yet, so that JSON has nothing, and a text the peer.
    Peer(Shown<'a>),
    Key(KeyId),
    Denial(&'a Denial),
    Denials(&'a [Denial]),
    Search(Search<'a>),
}

/// What concerns no single request.
#[derive(Serialize)]
struct Notice<'a> {
    time: Time,
    level: &'static str,
    about: Printable<'a>,
    notice: Printable<'a>,
}

#[derive(Serialize)]
struct Reason<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<&'static str>,
    detail: Printable<'a>,
}

/// What rules found. Left out where they found nothing and searched every value.
#[derive(Serialize)]
pub(crate) struct Search<'a> {
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    rules: &'a [u64],
    values: u64,
    /// How many of the values were not searched, since a document proves them harmless.
    #[serde(skip_serializing_if = "is_zero")]
    harmless: u64,
}

impl<'a> Search<'a> {
    fn of(searched: &'a Searched) -> Option<Search<'a>> {
        let Searched { rules, values, harmless } = searched;
        let says_something = !rules.is_empty() || *harmless > 0;
        says_something.then_some(Search { rules, values: *values, harmless: *harmless })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> Reason<'a> {
    fn of(denial: &'a Denial) -> Reason<'a> {
        Reason {
            code: denial.code().as_str(),
            check: denial.check().map(|check| check.as_str()),
            detail: Printable(denial.detail().as_bytes()),
        }
    }
}

/// Bytes of which only printable ASCII is written as it is; anything else becomes `\u{..}` or `\x..` text. JSON alone
/// would let bidirectional overrides and C1 controls through to a terminal.
pub(crate) struct Printable<'a>(pub(crate) &'a [u8]);

impl Serialize for Printable<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let plain = |text: &&str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        match std::str::from_utf8(self.0).ok().filter(plain) {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_str(&self.0.escape_ascii().to_string()),
        }
    }
}

/// The text of [`Printable`].
pub(crate) fn printable(bytes: &[u8]) -> String {
    let plain = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    match std::str::from_utf8(bytes).ok().filter(|_| plain) {
        Some(text) => text.to_owned(),
        None => bytes.escape_ascii().to_string(),
    }
}

/// Time since 1970, written as RFC 3339 in UTC with microseconds.
pub(crate) struct Time(pub(crate) Duration);

thread_local! {
    /// The last second that was written, and its text: thousands of lines share one.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Time {
    /// Shows the text of its second.
    fn second<T>(&self, show: impl FnOnce(&str) -> T) -> T {
        SECOND.with_borrow_mut(|(second, text)| {
            if *second != self.0.as_secs() {
                *second = self.0.as_secs();
                *text = calendar(*second).strftime("%Y-%m-%dT%H:%M:%S").to_string();
            }
            show(text)
        })
    }

    fn json(&self, to: &mut impl Write) -> io::Result<()> {
        self.second(|text| {
            to.write_all(b"\"")?;
            to.write_all(text.as_bytes())?;
            to.write_all(b".")?;
            json::six_digits(self.0.subsec_micros(), to)?;
            to.write_all(b"Z\"")
        })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.second(|text| write!(f, "{text}.{:06}Z", self.0.subsec_micros()))
    }
}

/// A second since 1970. Out of the calendar only where the clock is wrong; the line is worth more than its time.
fn calendar(second: u64) -> Timestamp {
    let time = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
    time.unwrap_or(Timestamp::UNIX_EPOCH)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Writes what concerns no single request as one line.
///
/// # Errors
/// The output fails.
pub fn write_notice(
    time: Duration,
    level: Level,
    about: &str,
    notice: &str,
    mut to: impl Write,
) -> io::Result<()> {
    let line = Notice {
        time: Time(time),
        level: level.as_str(),
        about: Printable(about.as_bytes()),
        notice: Printable(notice.as_bytes()),
    };
    serde_json::to_writer(&mut to, &line)?;
    to.write_all(b"\n")
}

/// Writes the line of a record, with its newline: every usual field, and whole addresses.
///
/// # Errors
/// Those of `to`.
pub fn write(record: &Record, plan: &Plan, mut to: impl Write) -> io::Result<()> {
    let line = Line { record, plan, addresses: &Addresses::Whole };
    line.json(Field::usual(), &mut to)?;
    to.write_all(b"\n")
}

impl<'a> Line<'a> {
    /// Writes these fields as a JSON object, as far as they are known.
    pub(crate) fn json(&self, fields: impl Iterator<Item = Field>, to: impl Write) -> io::Result<()> {
        let mut object = Object::new(to);
        for field in fields {
            let value = self.value(field);
            if value.is_known() {
                value.json(object.member(field.member())?)?;
            }
        }
        object.end()
    }

    /// The value of a field.
    pub(crate) fn value(&self, field: Field) -> Value<'a> {
        let Line { record, plan, addresses } = *self;
        let who = || record.principal.as_ref();
        let subject = || who().and_then(|who| who.as_subject());
        let upstream = record.upstream.as_ref();
        let some = |value: Option<Value<'a>>| value.unwrap_or(Value::Absent);
        let text = |text: Option<&'a str>| some(text.map(Value::Text));
        let foreign = |text: Option<&'a [u8]>| some(text.map(Value::Foreign));
        match field {
            Field::Time => Value::Time(Time(record.arrived.unix)),
            Field::ClfTime => Value::ClfTime(record.arrived.unix.as_secs()),
            Field::RequestId => Value::Text(record.id.as_str()),
            Field::Peer => Value::Address(addresses.peer(record.peer)),
            Field::Client => match record.client {
                Some(client) => Value::Address(addresses.client(client)),
                None => Value::Peer(addresses.client(record.peer.ip())),
            },
            Field::Method => foreign(record.method.as_ref().map(|method| method.as_str().as_bytes())),
            Field::Protocol => text(record.version.and_then(protocol)),
            Field::Host => foreign(record.host.as_ref().map(|host| host.as_bytes())),
            Field::Path => foreign(record.target.as_ref().map(|target| target.path().as_bytes())),
            Field::Route => {
                text(record.route.and_then(|id| plan.routes.route(id)).map(|route| route.path.as_str()))
            }
            Field::User => {
                foreign(who().and_then(|who| who.name(&plan.consumers)).map(|name| name.as_bytes()))
            }
            Field::Consumer => text(who().and_then(|who| who.consumer(&plan.consumers))),
            Field::Issuer => foreign(subject().map(|subject| subject.issuer.as_bytes())),
            Field::Subject => foreign(subject().map(|subject| subject.name.as_bytes())),
            Field::AuthenticatedBy => {
                text(who().and_then(|who| who.authenticated_by()).map(|check| check.as_str()))
            }
            Field::Key => some(who().and_then(|who| who.keys().next()).map(Value::Key)),
            Field::Outcome => Value::Text(match &record.outcome {
                Outcome::Served => "served",
                Outcome::Refused(_) => "refused",
                Outcome::Failed(_) => "failed",
                Outcome::Aborted => "aborted",
            }),
            Field::Denied => match &record.outcome {
                Outcome::Refused(denial) | Outcome::Failed(denial) => Value::Denial(denial),
                Outcome::Served | Outcome::Aborted => Value::Absent,
            },
            Field::Observed if record.observed.is_empty() => Value::Absent,
            Field::Observed => Value::Denials(&record.observed),
            Field::Searched => some(record.searched.as_deref().and_then(Search::of).map(Value::Search)),
            Field::Status => match record.status {
                Some(status) => Value::Number(status.as_u16().into()),
                None => Value::NoStatus,
            },
            Field::BytesReceived => Value::Number(record.bytes_received()),
            Field::BytesSent => Value::Number(record.bytes_sent),
            Field::ElapsedUs => Value::Number(micros(record.elapsed)),
            Field::Upstream => text(upstream.map(|upstream| &*upstream.name)),
            Field::UpstreamStatus => some(
                upstream
                    .and_then(|upstream| upstream.status)
                    .map(|status| Value::Number(status.as_u16().into())),
            ),
            Field::UpstreamUs => some(upstream.map(|upstream| Value::Number(micros(upstream.elapsed)))),
            Field::UpstreamGroup => text(upstream.and_then(|upstream| upstream.group.as_deref())),
            Field::Referer => {
                let sent = record.agent.as_ref().and_then(|agent| agent.referer.as_ref());
                foreign(sent.and_then(|value| referrer(value.as_bytes())))
            }
            Field::UserAgent => {
                let sent = record.agent.as_ref().and_then(|agent| agent.user_agent.as_ref());
                some(sent.map(|value| Value::Words(cut(value.as_bytes()))))
            }
            Field::UpstreamTries => some(
                upstream
                    .filter(|upstream| upstream.group.is_some())
                    .map(|upstream| Value::Number(upstream.tries.into())),
            ),
        }
    }
}

/// The most bytes of a header field.
const LONGEST: usize = 512;

fn cut(value: &[u8]) -> &[u8] {
    value.get(..LONGEST).unwrap_or(value)
}

/// Where a client comes from, up to the path.
// SECURITY: what stands behind the path can be a secret of another site, such as a token, and so can what stands before the host
// (a_referrer_ends_with_its_path).
fn referrer(value: &[u8]) -> Option<&[u8]> {
    let path = value.split(|byte| matches!(byte, b'?' | b'#' | b';')).next()?;
    let host =
        path.windows(2).position(|pair| pair == b"//").and_then(|at| path.get(at + 2..)).unwrap_or(path);
    let host = host.split(|byte| matches!(byte, b'/' | b'\\')).next()?;
    (!path.is_empty() && !host.contains(&b'@')).then(|| cut(path))
}

/// The version of HTTP as it is written.
fn protocol(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("HTTP/1.0"),
        Version::HTTP_11 => Some("HTTP/1.1"),
        Version::HTTP_2 => Some("HTTP/2.0"),
        Version::HTTP_3 => Some("HTTP/3.0"),
        _ => None,
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Absent | Value::NoStatus | Value::Peer(_) => serializer.serialize_none(),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Foreign(bytes) | Value::Words(bytes) => Printable(bytes).serialize(serializer),
            Value::Number(number) => serializer.serialize_u64(*number),
            Value::Time(time) => time.serialize(serializer),
            Value::ClfTime(_) => serializer.collect_str(self),
            Value::Address(address) => serializer.collect_str(address),
            Value::Key(key) => serializer.collect_str(key),
            Value::Denial(denial) => Reason::of(denial).serialize(serializer),
            Value::Denials(denials) => serializer.collect_seq(denials.iter().map(Reason::of)),
            Value::Search(search) => search.serialize(serializer),
        }
    }
}

impl Value<'_> {
    fn is_known(&self) -> bool {
        !matches!(self, Value::Absent | Value::NoStatus | Value::Peer(_))
    }

    /// Writes it as JSON: what most lines have without detours, which cost several times as much, and the rest by its
    /// `Serialize`. The two write the same.
    fn json(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Value::Text(text) if json::is_plain(text.as_bytes()) => json::quoted(text.as_bytes(), to),
            Value::Foreign(bytes) | Value::Words(bytes) if json::is_plain(bytes) => json::quoted(bytes, to),
            Value::Number(number) => json::number(*number, to),
            Value::Time(time) => time.json(to),
            Value::Address(address) => match address.as_ipv4() {
                Some((address, port)) => json::ipv4(address, port, to),
                None => Ok(serde_json::to_writer(to, self)?),
            },
            Value::Absent
            | Value::NoStatus
            | Value::Text(_)
            | Value::Foreign(_)
            | Value::Words(_)
            | Value::ClfTime(_)
            | Value::Peer(_)
            | Value::Key(_)
            | Value::Denial(_)
            | Value::Denials(_)
            | Value::Search(_) => Ok(serde_json::to_writer(to, self)?),
        }
    }

    /// Writes it into a text, in which `end` follows it and stands nowhere in it.
    pub(crate) fn text(&self, end: Option<char>, to: &mut impl Write) -> io::Result<()> {
        let words = matches!(self, Value::Words(_));
        let mut to = Escaped { to, end, foreign: words || self.is_foreign(), words, error: None };
        match write!(to, "{self}") {
            Ok(()) => Ok(()),
            Err(_) => Err(to.error.unwrap_or_else(|| io::Error::other("a value cannot be written"))),
        }
    }

    fn is_foreign(&self) -> bool {
        matches!(self, Value::Foreign(_) | Value::Text(_))
    }
}

/// With `+` between them, or `-` if there are none.
fn joined(all: impl Iterator<Item = impl fmt::Display>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut none = true;
    for one in all {
        f.write_str(if std::mem::replace(&mut none, false) { "" } else { "+" })?;
        one.fmt(f)?;
    }
    if none { f.write_str("-") } else { Ok(()) }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Absent => f.write_str("-"),
            Value::NoStatus => f.write_str("000"),
            Value::Text(text) => f.write_str(text),
            Value::Foreign(bytes) | Value::Words(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => f.write_str(text),
                Err(_) => write!(f, "{}", bytes.escape_ascii()),
            },
            Value::Number(number) => number.fmt(f),
            Value::Time(time) => time.fmt(f),
            Value::ClfTime(second) => calendar(*second).strftime("%d/%b/%Y:%H:%M:%S +0000").fmt(f),
            Value::Address(address) | Value::Peer(address) => address.fmt(f),
            Value::Key(key) => key.fmt(f),
            Value::Denial(denial) => f.write_str(denial.code().as_str()),
            Value::Denials(denials) => joined(denials.iter().map(|denial| denial.code().as_str()), f),
            Value::Search(search) => joined(search.rules.iter(), f),
        }
    }
}

/// A text in which nothing can end the field, or, of what others wrote, a line or a quotation, or reach a terminal.
struct Escaped<'t, W> {
    to: &'t mut W,
    end: Option<char>,
    foreign: bool,
    /// Whether a space is one of what others wrote.
    words: bool,
    error: Option<io::Error>,
}

impl<W: Write> fmt::Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let plain = |byte: u8| {
            let harmless = byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
            Some(char::from(byte)) != self.end && (!self.foreign || harmless || self.words && byte == b' ')
        };
        let written = text.as_bytes().chunk_by(|one, other| plain(*one) && plain(*other)).try_for_each(
            |part| match part {
                [byte] if !plain(*byte) => write!(self.to, "\\x{byte:02x}"),
                part => self.to.write_all(part),
            },
        );
        written.map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: &Value<'_>, end: Option<char>) -> String {
        let mut to = Vec::new();
        value.text(end, &mut to).unwrap();
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn a_value_is_as_it_was_if_it_is_harmless() {
        assert_eq!(text(&Value::Foreign(b"/a/b,c%20d"), Some(' ')), "/a/b,c%20d");
        assert_eq!(text(&Value::Foreign(b"/a,b"), Some(',')), "/a\\x2cb");
        assert_eq!(text(&Value::Foreign(b"a\"b\\c d"), None), "a\\x22b\\x5cc\\x20d");
        assert_eq!(text(&Value::ClfTime(971_186_136), Some(']')), "10/Oct/2000:13:55:36 +0000");
        assert_eq!(text(&Value::Absent, Some('-')), "\\x2d");
        assert_eq!(text(&Value::NoStatus, Some(' ')), "000");
    }

    #[test]
    fn a_referrer_ends_with_its_path() {
        let read =
            |text: &'static str| referrer(text.as_bytes()).map(|path| std::str::from_utf8(path).unwrap());
        for (sent, kept) in [
            ("https://a.example/b/@c?token=1#d", Some("https://a.example/b/@c")),
            ("https://a.example/b;jsessionid=1", Some("https://a.example/b")),
            ("https://a.example/#token=1", Some("https://a.example/")),
            ("/b?token=1", Some("/b")),
            ("https://alice:secret@a.example/b", None),
            ("//alice:secret@a.example/b", None),
            ("alice:secret@a.example", None),
            ("https://alice:secret@a.example\\b", None),
            ("?token=1", None),
            ("", None),
        ] {
            assert_eq!(read(sent), kept, "{sent}");
        }
        assert_eq!(referrer(&[b'a'; 9_000]).map(<[u8]>::len), Some(LONGEST));
    }

    #[test]
    fn words_keep_their_spaces_where_none_ends_them() {
        let words = Value::Words(b"a \"b\" \\c\t");
        assert_eq!(text(&words, Some('"')), "a \\x22b\\x22 \\x5cc\\x09");
        assert_eq!(text(&Value::Words(b"a b"), Some(' ')), "a\\x20b");
    }

    fn both(value: &Value<'_>) -> (String, String) {
        let mut to = Vec::new();
        value.json(&mut to).unwrap();
        (String::from_utf8(to).unwrap(), serde_json::to_string(value).unwrap())
    }

    proptest! {
        #[test]
        fn json_is_what_serde_writes(
            bytes in prop::collection::vec(any::<u8>(), 0..20),
            printable in "[ -~]{0,20}",
            text in any::<String>(),
            number in any::<u64>(),
            (seconds, micros) in (0_u64..4_000_000_000, 0_u32..1_000_000),
            peer in any::<std::net::SocketAddr>(),
        ) {
            let addresses = [Addresses::Whole, Addresses::Truncated, Addresses::hashed(b"a secret of this test")];
            let shown = addresses.iter().flat_map(|how| [how.peer(peer), how.client(peer.ip())]).map(Value::Address);
            let time = Time(Duration::new(seconds, micros * 1000));
            let values = [
                Value::Foreign(&bytes),
                Value::Foreign(printable.as_bytes()),
                Value::Text(&text),
                Value::Text(&printable),
                Value::Number(number),
                Value::Number(number % 100),
                Value::Time(time),
            ];
            for value in values.into_iter().chain(shown) {
                let (ours, theirs) = both(&value);
                prop_assert_eq!(ours, theirs);
            }
        }

        #[test]
        fn what_a_client_wrote_ends_neither_line_nor_field(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            end in prop::option::of(any::<char>()),
        ) {
            let written = text(&Value::Foreign(&bytes), end);
            let bad = |character: char| !character.is_ascii_graphic() || character == '"';
            prop_assert!(!written.contains(bad), "{written}");
            // A backslash and an `x` begin every escape, so they cannot be escaped themselves.
            let end = end.filter(|end| *end != '\\' && !end.is_ascii_alphanumeric());
            prop_assert!(!end.is_some_and(|end| written.contains(end)), "{written}");
        }
    }
}
