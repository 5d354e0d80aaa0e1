//! What a connection is doing, by when that must be over, and what may come next.
//!
//! One table for HTTP/1.1 and HTTP/2. A connection changes its state by what happens on it ([`Event`]) and in no other way; an
//! event that a state does not know changes nothing. What takes time for other reasons stands in
//! [`Life`](crate::exchange::life::Life), which puts all deadlines together.
//!
//! | state | lasts | in a drain | and then |
//! |---|---|---|---|
//! | `Preface`: HTTP/2 has not begun | `header` | | the connection is over |
//! | `Fresh`: nothing was asked yet | `header` (HTTP/1.1: `idle`, if that is shorter) | 250 ms (HTTP/1.1), 0 (HTTP/2) | the client is told to go |
//! | `Idle`: between two requests | `idle` | 250 ms (HTTP/1.1), 0 (HTTP/2) | the client is told to go |
//! | `Head`: a request head has begun | `header` | | the connection is over, with a record |
//! | `Serving`: requests run | as long as they do | 0 (HTTP/2) | the client is told to go |
//! | `Uploading`: answered, and the body still goes on | as long as the upload | | `Idle` |
//! | `Leaving`: the client was told to go | as long as requests run, and then 1 s (HTTP/2), 250 ms (HTTP/1.1) | | the connection is over |
//! | `Condemned`: the client is abusive, and was told to go | as long as requests run, and then 1 s | | the connection is over |
//! | `Lingering`: what the client still sends is skipped | 2 s | 0 | the connection is over |
//! | `Closing`: the end of TLS is said | 250 ms | | the connection is over |
//! | `Switched`: another protocol goes on | as long as its tunnel | | |
//!
//! `header` and `idle` are the listener's [`Timeouts`]. A client of HTTP/1.1 is told to go by the end of the stream or by
//! `Connection: close` in an answer, one of HTTP/2 by GOAWAY. In every state, a client is cut off that takes nothing of what
//! there is to write for `timeouts.body`.

use crate::timeouts::Timeouts;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a connection of HTTP/1.1 without a request may stay once the drain has begun. A client that sends requests without
/// pause has sent one by then, and its answer tells it to close.
const FAREWELL: Duration = Duration::from_millis(250);
/// How long the end of TLS may take to be said to a client that does not read.
const GOODBYE: Duration = Duration::from_millis(250);
/// How long a connection of HTTP/2 without a stream may stay after it was told to go.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long the rest of a refused request is read so that the client sees its answer.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// What has the states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A connection of HTTP/1.1: one request after the other.
    Http1,
    /// A connection of HTTP/2: many requests at once.
    Http2,
    /// A stream of such a connection, which has one request and ends with it.
    Stream,
}

/// Whether requests run on a connection whose client was told to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Requests {
    Running,
    Done,
}

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// What begins a connection of HTTP/2 has not come.
    Preface,
    /// There was no request yet.
    Fresh,
    /// It is between two requests.
    Idle,
    /// It has begun to send a request head. In HTTP/2, whose heads h2 reads, it is `Fresh` or `Idle` then.
    Head,
    /// A request is served, or several.
    Serving,
    /// The answer has gone out, and somebody still reads the body of its request.
    Uploading,
    /// The client was told to go.
    Leaving(Requests),
    /// The client is abusive, and was told to go. What runs finishes, and anything new is refused.
    Condemned(Requests),
    /// Nothing is served any more. What the client still sends is skipped, so that it sees its answer.
    Lingering,
    /// Nothing is served any more, and the end of the stream is on its way.
    Closing,
    /// Another protocol goes on.
    Switched,
}

/// What happens on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// What begins a connection of HTTP/2 has come.
    Preface,
    /// A part of a request head has come.
    HeadBegins,
    /// A request begins to be served.
    RequestBegins,
    /// No request is served any more.
    Answered,
    /// No request is served any more, but the body of the last one is still read.
    AnsweredEarly,
    /// Nobody reads that body any more.
    UploadEnds,
    /// The client is told to go.
    Told,
    /// The client is found abusive, and is told to go.
    Abuse,
    /// Nothing more is served, and the client may not have seen the last answer.
    Lingers,
    /// Nothing more is served.
    Closes,
    /// Another protocol goes on.
    Switches,
}

/// What follows when a deadline has passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// The client is told to go.
    Leave,
    /// The connection is over, and the record says that a request head was not complete in time.
    Head,
    /// The connection is over.
    Over,
    /// The client does not take its answer: it is cut off.
    Answer,
    /// The client does not send its body, which ends.
    Upload,
    /// The upstream keeps us waiting; what waits for it sees that on its next turn.
    Upstream,
    /// What let the request in is gone, and the request did not end by itself: it is cut off.
    Revoked,
}

/// How long a state may last.
struct Terms {
    /// From its beginning; `None` where something else ends it.
    lasts: Option<Duration>,
    /// From its beginning, or from that of a drain if that is later; `None` where a drain changes nothing.
    in_a_drain: Option<Duration>,
    then: Due,
}

impl Terms {
    const fn new(lasts: Option<Duration>, in_a_drain: Option<Duration>, then: Due) -> Terms {
        Terms { lasts, in_a_drain, then }
    }

    const fn over_after(lasts: Duration) -> Terms {
        Terms::new(Some(lasts), None, Due::Over)
    }

    /// Something else ends it.
    const fn unbounded() -> Terms {
        Terms::new(None, None, Due::Over)
    }
}

impl State {
    /// The table of deadlines.
    fn terms(self, kind: Kind, timeouts: &Timeouts) -> Terms {
        const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
        let Timeouts { header, idle, .. } = *timeouts;
        match self {
            State::Preface => Terms::over_after(header),
            State::Fresh => match kind {
                Kind::Http1 => Terms::new(Some(header.min(idle)), Some(FAREWELL), Due::Leave),
                Kind::Http2 => Terms::new(Some(header), AT_ONCE, Due::Leave),
                Kind::Stream => Terms::unbounded(),
            },
            State::Idle => match kind {
                Kind::Http1 => Terms::new(Some(idle), Some(FAREWELL), Due::Leave),
                Kind::Http2 => Terms::new(Some(idle), AT_ONCE, Due::Leave),
                Kind::Stream => Terms::unbounded(),
            },
            State::Head => Terms::new(Some(header), None, Due::Head),
            State::Serving => match kind {
                Kind::Http2 => Terms::new(None, AT_ONCE, Due::Leave),
                // In a drain, the answer tells the client to go.
                Kind::Http1 | Kind::Stream => Terms::unbounded(),
            },
            State::Uploading => Terms::unbounded(),
            State::Leaving(Requests::Running) | State::Condemned(Requests::Running) => Terms::unbounded(),
            State::Leaving(Requests::Done) => match kind {
                Kind::Http1 => Terms::over_after(GOODBYE),
                Kind::Http2 | Kind::Stream => Terms::over_after(LAST_WORDS),
            },
            State::Condemned(Requests::Done) => Terms::over_after(LAST_WORDS),
            State::Lingering => Terms::new(Some(LINGER_TIME), AT_ONCE, Due::Over),
            State::Closing => Terms::over_after(GOODBYE),
            State::Switched => Terms::unbounded(),
        }
    }

    /// The state after an event; `None` where it changes nothing.
    const fn after(self, event: Event) -> Option<State> {
        use Requests::{Done, Running};
        use State::{
            Closing, Condemned, Fresh, Head, Idle, Leaving, Lingering, Preface, Serving, Switched, Uploading,
        };
        match event {
            Event::Preface => match self {
                Preface => Some(Fresh),
                Fresh | Idle | Head | Serving | Uploading | Leaving(_) | Condemned(_) => None,
                Lingering | Closing | Switched => None,
            },
            Event::HeadBegins => match self {
                Fresh | Idle => Some(Head),
                Preface | Head | Serving | Uploading | Leaving(_) | Condemned(_) => None,
                Lingering | Closing | Switched => None,
            },
            // SECURITY: a condemned client gets nothing more, and nothing is served where a connection ends
            // (what_is_over_takes_no_request).
            Event::RequestBegins => match self {
                Fresh | Idle | Head | Uploading => Some(Serving),
                // It was sent before the client knew.
                Leaving(Done) => Some(Leaving(Running)),
                Preface | Serving | Leaving(Running) | Condemned(_) => None,
                Lingering | Closing | Switched => None,
            },
            Event::Answered => match self {
                Serving => Some(Idle),
                Leaving(Running) => Some(Leaving(Done)),
                Condemned(Running) => Some(Condemned(Done)),
                Preface | Fresh | Idle | Head | Uploading | Leaving(Done) | Condemned(Done) => None,
                Lingering | Closing | Switched => None,
            },
            Event::AnsweredEarly => match self {
                Serving => Some(Uploading),
                Preface | Fresh | Idle | Head | Uploading | Leaving(_) | Condemned(_) => None,
                Lingering | Closing | Switched => None,
            },
            Event::UploadEnds => match self {
                Uploading => Some(Idle),
                Preface | Fresh | Idle | Head | Serving | Leaving(_) | Condemned(_) => None,
                Lingering | Closing | Switched => None,
            },
            Event::Told => match self {
                Fresh | Idle => Some(Leaving(Done)),
                Serving => Some(Leaving(Running)),
                Preface | Head | Uploading | Leaving(_) | Condemned(_) => None,
                Lingering | Closing | Switched => None,
            },
            Event::Abuse => match self {
                Fresh | Idle | Leaving(Done) => Some(Condemned(Done)),
                Serving | Leaving(Running) => Some(Condemned(Running)),
                Preface | Head | Uploading | Condemned(_) => None,
                Lingering | Closing | Switched => None,
            },
            Event::Switches => match self {
                Serving => Some(Switched),
                Preface | Fresh | Idle | Head | Uploading | Leaving(_) | Condemned(_) => None,
                Lingering | Closing | Switched => None,
            },
            Event::Lingers => match self {
                Preface | Fresh | Idle | Head | Serving | Uploading | Leaving(_) | Condemned(_) => {
                    Some(Lingering)
                }
                Lingering | Closing | Switched => None,
            },
            Event::Closes => match self {
                Preface | Fresh | Idle | Head | Serving | Uploading | Leaving(_) | Condemned(_) => {
                    Some(Closing)
                }
                // An answer that switches may find its client gone.
                Lingering | Switched => Some(Closing),
                Closing => None,
            },
        }
    }

    /// Whether a request that comes is served.
    pub(crate) const fn takes_requests(self) -> bool {
        match self {
            State::Fresh
            | State::Idle
            | State::Head
            | State::Serving
            | State::Uploading
            | State::Leaving(_) => true,
            State::Preface | State::Condemned(_) | State::Lingering | State::Closing | State::Switched => {
                false
            }
        }
    }

    /// Whether a request is served, or another protocol that one has begun.
    pub(crate) const fn runs(self) -> bool {
        match self {
            State::Serving
            | State::Uploading
            | State::Leaving(Requests::Running)
            | State::Condemned(Requests::Running)
            | State::Switched => true,
            State::Preface
            | State::Fresh
            | State::Idle
            | State::Head
            | State::Leaving(Requests::Done)
            | State::Condemned(Requests::Done)
            | State::Lingering
            | State::Closing => false,
        }
    }
}

/// The state of a connection, and since when it has it.
pub(crate) struct Machine {
    kind: Kind,
    state: Cell<State>,
    since: Cell<Instant>,
}

impl Machine {
    /// The state of a connection that begins now.
    pub(crate) fn new(kind: Kind, now: Instant) -> Machine {
        let state = match kind {
            Kind::Http1 | Kind::Stream => State::Fresh,
            Kind::Http2 => State::Preface,
        };
        Machine { kind, state: Cell::new(state), since: Cell::new(now) }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn state(&self) -> State {
        self.state.get()
    }

    /// Something happens now. Whether it changes anything.
    pub(crate) fn happens(&self, event: Event, now: Instant) -> bool {
        let Some(next) = self.state.get().after(event) else { return false };
        self.state.set(next);
        self.since.set(now);
        true
    }

    /// By when the state must be over, and what follows; `None` for as long as it takes. `draining` since when, if it is so.
    pub(crate) fn deadline(&self, timeouts: &Timeouts, draining: Option<Instant>) -> Option<(Instant, Due)> {
        let since = self.since.get();
        let Terms { lasts, in_a_drain, then } = self.state.get().terms(self.kind, timeouts);
        let own = lasts.and_then(|lasts| since.checked_add(lasts));
        let drained = draining.zip(in_a_drain).and_then(|(begun, lasts)| begun.max(since).checked_add(lasts));
        own.into_iter().chain(drained).min().map(|when| (when, then))
    }
}

#[cfg(test)]
mod tests;
