//! Finds the end of a head, line by line, and counts while it does.
//!
//! It remembers where the search stopped, so that each byte is searched once, however few arrive at a time. Every line
//! must end with CRLF (RFC 9112, section 2.2); a bare LF is refused here, because `httparse` takes it.

use crate::diagnose;
use crate::field::is_token;
use crate::limits::HeadLimits;
use crate::refusal::Refusal;
use memchr::memchr;

/// How many empty lines are skipped before a request line. The RFC asks for at least one (RFC 9112, section 2.2).
const MAX_EMPTY_LINES: usize = 4;
/// The longest method. The longest one that is registered has 17 bytes.
pub(crate) const MAX_METHOD_BYTES: usize = 64;
/// The offsets of a head are kept in 32 bits; this is far below, whatever a caller asks for.
const MAX_HEAD_BYTES: usize = 16 * 1024 * 1024;

/// What a head begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
}

/// Where a complete head lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where the first line begins, after the empty lines before it.
    pub(crate) start: usize,
    /// Behind the empty line at its end.
    pub(crate) end: usize,
    /// How many field lines it has.
    pub(crate) fields: usize,
}

/// How far the search has come.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    kind: Kind,
    /// Behind the empty lines before the head.
    start: usize,
    /// Where the current line begins.
    line: usize,
    /// Everything before it has been searched.
    searched: usize,
    /// Complete lines of the head.
    lines: usize,
    empty: usize,
    /// Whether the first line was judged before the head was complete.
    judged: bool,
    /// Everything before it was judged for control bytes before the head was complete.
    clean: usize,
}

impl Lines {
    pub(crate) fn new(kind: Kind) -> Lines {
        Lines { kind, start: 0, line: 0, searched: 0, lines: 0, empty: 0, judged: false, clean: 0 }
    }

    /// Whether more than empty lines has been searched.
    pub(crate) fn has_begun(&self) -> bool {
        self.searched > self.start
    }

    /// Goes on with the search. `bytes` are those of the calls before, with what has arrived since.
    pub(crate) fn find(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<Found>, Refusal> {
        let largest = limits.max_head_bytes.min(MAX_HEAD_BYTES);
        loop {
            let Some(rest) = bytes.get(self.searched..) else { return Ok(None) };
            let Some(position) = memchr(b'\n', rest) else {
                return self.unfinished(bytes, limits, largest).map(|()| None);
            };
            let feed = self.searched + position;
            let line = bytes.get(self.line..feed).unwrap_or_default();
            // SECURITY: `httparse` takes a bare LF, and some servers do not (a_line_ends_with_crlf).
            let Some(line) = line.strip_suffix(b"\r") else {
                return Err(self.diagnose(bytes, feed).unwrap_or(Refusal::BareLineFeed));
            };
            self.searched = feed + 1;
            if line.is_empty() {
                if self.lines > 0 || self.kind == Kind::Response {
                    self.within(self.searched, largest)?;
                    let fields = self.lines.saturating_sub(1);
                    return Ok(Some(Found { start: self.start, end: self.searched, fields }));
                }
                self.empty += 1;
                if self.empty > MAX_EMPTY_LINES {
                    return Err(Refusal::EmptyLines);
                }
                self.start = self.searched;
            } else {
                self.limit(line, limits)?;
                self.lines += 1;
                self.within(self.searched, largest)?;
            }
            self.line = self.searched;
        }
    }

    /// Judges what there is of a line that has not ended, so that what can only be refused is refused at once.
    fn unfinished(&mut self, bytes: &[u8], limits: &HeadLimits, largest: usize) -> Result<(), Refusal> {
        let line = bytes.get(self.line..).unwrap_or_default();
        let fresh = bytes.get(self.searched..).unwrap_or_default();
        self.limit(line.strip_suffix(b"\r").unwrap_or(line), limits)?;
        self.within(bytes.len(), largest)?;
        if self.lines > 0 && !self.judged {
            self.judged = true;
            let first = bytes.get(self.start..self.line).unwrap_or_default();
            let first = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let first = first.strip_suffix(b"\r").unwrap_or(first);
            if let Some(refusal) = diagnose::first_line(self.kind, first) {
                return Err(refusal);
            }
        }
        // A CR may be the last byte so far; what follows it is judged with it next time.
        let last = usize::from(fresh.ends_with(b"\r"));
        if self.lines == 0 && self.kind == Kind::Request {
            // What is not HTTP at all often has no line end to wait for.
            let method = line.get(..line.len() - last).unwrap_or_default();
            let method = method.split(|byte| *byte == b' ').next().unwrap_or_default();
            let method = method.get(..MAX_METHOD_BYTES + 1).unwrap_or(method);
            if self.searched <= self.line + MAX_METHOD_BYTES && !method.iter().all(|byte| is_token(*byte)) {
                return Err(diagnose::request_line(line));
            }
        }
        if let Some(refusal) = diagnose::control(bytes.get(self.clean..).unwrap_or_default()) {
            return Err(refusal);
        }
        self.clean = bytes.len() - last;
        self.searched = bytes.len() - last;
        Ok(())
    }

    /// Whether a line, complete or not, is within its limit.
    fn limit(&self, line: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
        if self.lines > 0 {
            if self.lines > limits.max_fields {
                return Err(Refusal::TooManyFields);
            }
            if line.len() > limits.max_field_bytes {
                return Err(Refusal::FieldTooLarge);
            }
            return Ok(());
        }
        match self.kind {
            Kind::Response if line.len() > limits.max_field_bytes => Err(Refusal::FieldTooLarge),
            // The shortest line that must be too long: no method has no byte.
            Kind::Request if line.len() > limits.max_target_bytes.saturating_add(2) => {
                let method = memchr(b' ', line.get(..=MAX_METHOD_BYTES).unwrap_or(line));
                let Some(method) = method else { return Err(Refusal::Method) };
                let rest = line.get(method + 1..).unwrap_or_default();
                let target = memchr(b' ', rest).unwrap_or(rest.len());
                if target > limits.max_target_bytes {
                    return Err(Refusal::TargetTooLong);
                }
                // A method, a target and a version are shorter.
                if rest.len() > target + 64 { Err(Refusal::RequestLine) } else { Ok(()) }
            }
            Kind::Request | Kind::Response => Ok(()),
        }
    }

    fn within(&self, end: usize, largest: usize) -> Result<(), Refusal> {
        if end - self.start > largest { Err(Refusal::HeadTooLarge) } else { Ok(()) }
    }

    /// What else is wrong up to this LF, and comes before it.
    fn diagnose(&self, bytes: &[u8], feed: usize) -> Option<Refusal> {
        let before = bytes.get(self.start..self.line).unwrap_or_default();
        let line = bytes.get(self.line..feed).unwrap_or_default();
        diagnose::control(before).or_else(|| diagnose::control(line)).or_else(|| {
            // A TLS record holds an LF by chance.
            let first = bytes.get(self.start).copied();
            (self.lines == 0 && self.kind == Kind::Request && first.is_some_and(|byte| !is_token(byte)))
                .then_some(Refusal::Method)
                .filter(|_| feed > self.start)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(bytes: &[u8]) -> Result<Option<Found>, Refusal> {
        Lines::new(Kind::Request).find(bytes, &HeadLimits::default())
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        assert_eq!(find(head), Ok(Some(Found { start: 0, end: head.len() - 4, fields: 1 })));
        for end in 0..head.len() - 4 {
            assert_eq!(find(&head[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn a_line_ends_with_crlf() {
        for bad in [
            &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\n",
            b"\nGET / HTTP/1.1\r\n",
            b"\n",
        ] {
            assert_eq!(find(bad), Err(Refusal::BareLineFeed), "{:?}", String::from_utf8_lossy(bad));
        }
        for bad in [&b"GET / HTTP/1.1\r\rHost"[..], b"GET / HTTP/1.1\r\nA: b\rc\r\n", b"\r\r\n"] {
            let found = find(bad);
            assert!(matches!(found, Err(Refusal::BareCarriageReturn) | Ok(None)), "{bad:?} {found:?}");
        }
    }

    #[test]
    fn empty_lines_before_a_request_are_skipped_and_counted() {
        let mut bytes = b"\r\n".repeat(MAX_EMPTY_LINES);
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(find(&bytes).unwrap().unwrap().start, 2 * MAX_EMPTY_LINES);
        assert_eq!(find(&b"\r\n".repeat(MAX_EMPTY_LINES + 1)), Err(Refusal::EmptyLines));
        let answer = Lines::new(Kind::Response).find(b"\r\nHTTP/1.1 200 OK\r\n\r\n", &HeadLimits::default());
        assert_eq!(answer.unwrap().unwrap().end, 2, "what is empty is judged as a status line");
    }

    #[test]
    fn what_can_only_be_refused_is_refused_at_once() {
        assert_eq!(find(b"\x16\x03\x01\x02\x00\x01"), Err(Refusal::Tls));
        assert_eq!(find(b"GET\0"), Err(Refusal::Nul));
        assert_eq!(find(b"GET / HTTP/1.1\r\nA: \0"), Err(Refusal::Nul));
        assert_eq!(find(b"(GET"), Err(Refusal::Method));
        assert_eq!(find(b"GET / HTTP/1.1\r\nA: b\rc"), Err(Refusal::BareCarriageReturn));
        assert_eq!(find(&[b'A'; 100]), Ok(None));
        let limits = HeadLimits { max_target_bytes: 10, ..HeadLimits::default() };
        let long = |bytes: &[u8]| Lines::new(Kind::Request).find(bytes, &limits);
        assert_eq!(long(b"GET /234567890"), Ok(None));
        assert_eq!(long(b"GET /234567890 HTTP/1.1"), Ok(None));
        assert_eq!(long(b"GET /2345678901"), Err(Refusal::TargetTooLong));
        assert_eq!(long(&[b'A'; 100]), Err(Refusal::Method));
    }

    #[test]
    fn limits_are_counted_while_reading() {
        let limits =
            HeadLimits { max_fields: 2, max_field_bytes: 6, max_head_bytes: 60, ..HeadLimits::default() };
        let find = |bytes: &[u8]| Lines::new(Kind::Request).find(bytes, &limits);
        assert!(find(b"GET / HTTP/1.1\r\na: 123\r\nb: 123\r\n\r\n").unwrap().is_some());
        assert_eq!(find(b"GET / HTTP/1.1\r\na: 1234"), Err(Refusal::FieldTooLarge));
        assert_eq!(find(b"GET / HTTP/1.1\r\na: 1\r\nb: 1\r\nc"), Err(Refusal::TooManyFields));
        let mut long = b"GET /".to_vec();
        long.resize(61, b'a');
        assert_eq!(find(&long), Err(Refusal::HeadTooLarge));
        assert_eq!(find(&long[..60]), Ok(None));
    }

    /// Byte by byte, the same comes out, and every byte is searched once.
    #[test]
    fn a_slow_client_costs_no_more() {
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        for _ in 0..90 {
            head.extend_from_slice(b"A: ");
            head.resize(head.len() + 600, b'x');
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let mut lines = Lines::new(Kind::Request);
        for end in 0..head.len() {
            let before = lines.searched;
            assert_eq!(lines.find(&head[..end], &HeadLimits::default()), Ok(None));
            assert!(lines.searched + 1 >= end && lines.searched >= before);
        }
        assert!(lines.find(&head, &HeadLimits::default()).unwrap().is_some());
    }
}
