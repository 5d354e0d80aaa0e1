//! The trace of a request: which one it belongs to (W3C Trace Context), whether it is recorded, and when each stage began.
//!
//! What a client says of its trace is not believed; what a trusted proxy says is, if it is written as the recommendation demands.
//! Anything else begins a new trace. Where tracing is off, nothing here runs, and where a request is not sampled no clock is read.

use http::HeaderValue;
use std::fmt;
use std::time::Duration;

/// The most bytes of `tracestate` that go on (W3C Trace Context, section 3.3.1.5); a longer one is left out.
pub const MAX_STATE_BYTES: usize = 512;
/// The most members of `tracestate` (section 3.3.1.1); a longer list is left out.
const MAX_STATE_MEMBERS: usize = 32;

/// Of how many new traces spans are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// A trace is sampled if the last 64 bits of its id are below this; `None` for every trace.
    below: Option<u64>,
}

impl Sampling {
    /// So many of a million.
    pub fn per_million(share: u32) -> Sampling {
        match share {
            1_000_000.. => Sampling { below: None },
            share => Sampling { below: Some(u64::MAX / 1_000_000 * u64::from(share)) },
        }
    }

    fn takes(self, id: [u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g, h] = id;
        self.below.is_none_or(|below| u64::from_be_bytes([a, b, c, d, e, f, g, h]) < below)
    }
}

/// What a trusted proxy says of the trace of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    trace: [u8; 16],
    span: [u8; 8],
    sampled: bool,
    state: Option<HeaderValue>,
}

impl Incoming {
    /// What these fields say. `None` where there is not exactly one valid `traceparent`.
    pub fn read<'a>(
        mut parents: impl Iterator<Item = &'a HeaderValue>,
        states: impl Iterator<Item = &'a HeaderValue>,
    ) -> Option<Incoming> {
        let parent = parents.next().filter(|_| parents.next().is_none())?;
        let (trace, span, sampled) = parse(parent.as_bytes())?;
        Some(Incoming { trace, span, sampled, state: state(states) })
    }
}

/// Section 3.2.2: the version, the ids and the flags of a `traceparent`.
fn parse(text: &[u8]) -> Option<([u8; 16], [u8; 8], bool)> {
    let [version] = hex::<1>(text.get(..2)?)?;
    let is_whole = match version {
        0 => text.len() == 55,
        // Not a version.
        0xff => false,
        // A later one may add something behind another dash.
        _ => text.len() == 55 || text.get(55) == Some(&b'-'),
    };
    if !is_whole || [2, 35, 52].iter().any(|dash| text.get(*dash) != Some(&b'-')) {
        return None;
    }
    let trace = hex::<16>(text.get(3..35)?)?;
    let span = hex::<8>(text.get(36..52)?)?;
    let [flags] = hex::<1>(text.get(53..55)?)?;
    (trace != [0; 16] && span != [0; 8]).then_some((trace, span, flags & 1 == 1))
}

/// Bytes of lower-case hexadecimal digits.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    let mut pairs = text.chunks_exact(2);
    for byte in &mut bytes {
        let [high, low] = pairs.next()? else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// The `tracestate` of these fields, as one. `None` where there is none, or it is too long to go on.
fn state<'a>(fields: impl Iterator<Item = &'a HeaderValue>) -> Option<HeaderValue> {
    let mut whole = Vec::new();
    for field in fields {
        if whole.len() + field.len() > MAX_STATE_BYTES {
            return None;
        }
        if !whole.is_empty() {
            whole.push(b',');
        }
        whole.extend_from_slice(field.as_bytes());
    }
    let members = whole.split(|byte| *byte == b',').count();
    let plain = whole.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    if whole.is_empty() || whole.len() > MAX_STATE_BYTES || members > MAX_STATE_MEMBERS || !plain {
        return None;
    }
    HeaderValue::from_bytes(&whole).ok()
}

/// A span's number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// When a part of a request's life began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The part.
    pub stage: &'static str,
    /// On the clock that never goes back.
    pub at: Duration,
}

/// The name of the part in which an upstream is asked.
pub const UPSTREAM: &str = "upstream";

/// The trace of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: [u8; 16],
    /// The span of the trusted proxy before; `None` where the trace begins here.
    pub parent: Option<SpanId>,
    /// The span of the request.
    pub span: SpanId,
    /// The span of its way to the upstream, which the upstream is told of.
    pub upstream: SpanId,
    /// Whether spans are recorded.
    pub sampled: bool,
    /// The parts of its life, in their order. One ends where the next begins.
    pub parts: Vec<Begun>,
    state: Option<HeaderValue>,
}

impl Trace {
    /// The trace of a request that a trusted proxy said this of, or a new one. `random` gives new bytes each time.
    pub fn begin(sampling: Sampling, incoming: Option<&Incoming>, random: impl Fn() -> [u8; 16]) -> Trace {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = random();
        // An id of nothing but zeros is no id.
        let (span, upstream) = (SpanId([a | 1, b, c, d, e, f, g, h]), SpanId([i | 1, j, k, l, m, n, o, p]));
        let (id, parent, sampled, state) = match incoming {
            Some(from) => (from.trace, Some(SpanId(from.span)), from.sampled, from.state.clone()),
            None => {
                let [first, rest @ ..] = random();
                let mut id = [first | 1; 16];
                id.iter_mut().skip(1).zip(rest).for_each(|(place, byte)| *place = byte);
                (id, None, sampling.takes(id), None)
            }
        };
        Trace { id, parent, span, upstream, sampled, parts: Vec::new(), state }
    }

    /// What an upstream is told: `traceparent`, and `tracestate` if there is one.
    pub fn fields(&self) -> (HeaderValue, Option<HeaderValue>) {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let mut place = |from: usize, bytes: &[u8]| {
            let digits = text.get_mut(from..).unwrap_or_default().chunks_exact_mut(2);
            digits.zip(bytes).for_each(|(pair, byte)| pair.copy_from_slice(&crate::hex::digits(*byte)));
        };
        place(3, &self.id);
        place(36, &self.upstream.0);
        place(53, &[u8::from(self.sampled)]);
        (HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("")), self.state.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(parents: &[&'static str], states: &[&'static str]) -> Option<Incoming> {
        let values = |texts: &[&'static str]| {
            texts.iter().map(|text| HeaderValue::from_static(text)).collect::<Vec<_>>()
        };
        let (parents, states) = (values(parents), values(states));
        Incoming::read(parents.iter(), states.iter())
    }

    #[test]
    fn only_a_valid_traceparent_is_read() {
        let good = read(&[GOOD], &["a=1", "b=2"]).unwrap();
        assert!(good.sampled && good.state == Some(HeaderValue::from_static("a=1,b=2")));
        for also in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later",
        ] {
            assert!(read(&[also], &[]).is_some(), "{also}");
        }
        for bad in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1g",
            "00 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7--01",
        ] {
            assert_eq!(read(&[bad], &[]), None, "{bad}");
        }
        assert_eq!(read(&[GOOD, GOOD], &[]), None, "twice");
        assert_eq!(read(&[], &["a=1"]), None);
    }

    #[test]
    fn a_state_that_is_too_long_does_not_go_on() {
        let long: &'static str = Box::leak(format!("a={}", "x".repeat(MAX_STATE_BYTES - 2)).into_boxed_str());
        assert!(read(&[GOOD], &[long]).unwrap().state.is_some());
        let longer: &'static str = Box::leak(format!("{long}y").into_boxed_str());
        assert_eq!(read(&[GOOD], &[longer]).unwrap().state, None);
        assert_eq!(read(&[GOOD], &[long, "b=1"]).unwrap().state, None);
        let many: &'static str = Box::leak(vec!["a=1"; MAX_STATE_MEMBERS + 1].join(",").into_boxed_str());
        assert_eq!(read(&[GOOD], &[many]).unwrap().state, None);
    }

    #[test]
    fn a_trace_goes_on_or_begins() {
        let random = || [7; 16];
        let incoming = read(&[GOOD], &["a=1"]).unwrap();
        let trace = Trace::begin(Sampling::per_million(0), Some(&incoming), random);
        assert!(trace.sampled, "as the proxy says");
        assert_eq!(format!("{:?}", trace.parent.unwrap()), "00f067aa0ba902b7");
        let (parent, state) = trace.fields();
        assert_eq!(parent, "00-4bf92f3577b34da6a3ce929d0e0e4736-0707070707070707-01");
        assert_eq!(state.unwrap(), "a=1");
        let new = Trace::begin(Sampling::per_million(1_000_000), None, random);
        assert!(new.sampled && new.parent.is_none() && new.fields().1.is_none());
        assert!(!Trace::begin(Sampling::per_million(0), None, random).sampled);
        assert!(Trace::begin(Sampling::per_million(0), None, || [0; 16]).id != [0; 16]);
    }

    #[test]
    fn a_share_of_new_traces_is_sampled() {
        let sampling = Sampling::per_million(250_000);
        let sampled = (0_u32..4096)
            .filter(|number| {
                let mut id = [9; 16];
                id[8..12].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
                sampling.takes(id)
            })
            .count();
        assert!((900..1150).contains(&sampled), "{sampled}");
    }
}
