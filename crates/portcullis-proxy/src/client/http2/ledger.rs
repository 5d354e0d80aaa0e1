//! What a client has done on a connection, and whether it is more than one who wants answers would do.
//!
//! Bytes are counted where they are read from the socket, so a body counts as one even while nobody has read it. Streams that
//! are given up count against those that were answered, with an allowance for each second: browsers give up requests too.

use super::frames::FrameMeter;
use std::cell::{Cell, RefCell};
use std::time::Instant;

/// How many more streams than were answered a client may give up: at first, and for each second.
const GIVEN_UP: u64 = 100;
const GIVEN_UP_PER_SECOND: u64 = 5;

/// How many control bytes (anything but bodies) a connection may send: at first, for each request, for each byte of a body in
/// either direction, since small frames and window updates are no crime, and for each second, since pings keep it alive.
const CONTROL_BYTES: u64 = 1024 * 1024;
const CONTROL_BYTES_PER_REQUEST: u64 = 64 * 1024;
const CONTROL_BYTES_PER_BYTE: u64 = 16;
const CONTROL_BYTES_PER_SECOND: u64 = 256;

/// How a client behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Conduct {
    Fine,
    /// It does what nobody who wants answers would; this is what.
    Abusive(&'static str),
    /// It does twice as much of it as makes it abusive.
    Relentless,
}

/// What a client has done on a connection.
pub(super) struct Ledger {
    opened: Instant,
    /// Whether the client is a proxy that is trusted, whose streams are many clients'.
    proxy: bool,
    meter: RefCell<FrameMeter>,
    open: Cell<u64>,
    /// Streams that became requests.
    begun: Cell<u64>,
    answered: Cell<u64>,
    given_up: Cell<u64>,
    /// Streams that never became requests: their heads are malformed, or they were refused.
    rejected: Cell<u64>,
    /// Bytes of answers.
    sent: Cell<u64>,
    last_sent: Cell<Instant>,
}

impl Ledger {
    pub(super) fn new(proxy: bool) -> Ledger {
        let now = Instant::now();
        Ledger {
            opened: now,
            proxy,
            meter: RefCell::new(FrameMeter::new()),
            open: Cell::new(0),
            begun: Cell::new(0),
            answered: Cell::new(0),
            given_up: Cell::new(0),
            rejected: Cell::new(0),
            sent: Cell::new(0),
            last_sent: Cell::new(now),
        }
    }

    /// Bytes came in.
    pub(super) fn read(&self, bytes: &[u8]) {
        self.meter.borrow_mut().read(bytes);
    }

    /// A stream has become a request.
    pub(super) fn begin(&self) {
        self.open.set(self.open.get() + 1);
        self.begun.set(self.begun.get() + 1);
    }

    /// A request is over.
    pub(super) fn end(&self, answered: bool) {
        self.open.set(self.open.get().saturating_sub(1));
        let count = if answered { &self.answered } else { &self.given_up };
        count.set(count.get() + 1);
    }

    /// A stream was refused instead of becoming a request.
    pub(super) fn reject(&self) {
        self.rejected.set(self.rejected.get() + 1);
    }

    /// Bytes of an answer were handed on.
    pub(super) fn sent(&self, size: usize, now: Instant) {
        self.sent.set(self.sent.get().saturating_add(size as u64));
        self.last_sent.set(now);
    }

    /// When the client last took something of an answer, any answer.
    pub(super) fn last_sent(&self) -> Instant {
        self.last_sent.get()
    }

    /// Whether no request runs.
    pub(super) fn is_quiet(&self) -> bool {
        self.open.get() == 0
    }

    /// How many streams were opened that never became requests, and have no account yet. Call it when everything that was read
    /// has been looked at.
    pub(super) fn unaccounted(&self) -> u64 {
        let accounted = self.begun.get().saturating_add(self.rejected.get());
        self.meter.borrow().opened().saturating_sub(accounted)
    }

    /// How the client behaves.
    pub(super) fn conduct(&self, now: Instant) -> Conduct {
        let age = now.saturating_duration_since(self.opened).as_secs();
        let judge = |count: u64, allowed: u64, what| match count {
            _ if count <= allowed => Conduct::Fine,
            _ if count <= allowed.saturating_mul(2) => Conduct::Abusive(what),
            _ => Conduct::Relentless,
        };
        // SECURITY: pings, settings and empty frames are answered for nothing (a_flood_of_frames_is_cut_off).
        let (carried, control) = {
            let meter = self.meter.borrow();
            (meter.carried(), meter.control())
        };
        let bodies = carried.saturating_add(self.sent.get()).saturating_mul(CONTROL_BYTES_PER_BYTE);
        let allowed = CONTROL_BYTES
            .saturating_add(self.begun.get().saturating_mul(CONTROL_BYTES_PER_REQUEST))
            .saturating_add(bodies)
            .saturating_add(age.saturating_mul(CONTROL_BYTES_PER_SECOND));
        let flood =
            judge(control, allowed, "too many HTTP/2 control bytes for the requests on this connection");
        // SECURITY: each costs a request's work and nothing of the client's (a_rapid_reset_is_cut_off). What one client of a
        // proxy gives up must not end the requests of its others (requests_behind_a_trusted_proxy_outlive_each_other).
        let given_up = self.given_up.get().saturating_add(self.rejected.get());
        let allowed = GIVEN_UP
            .saturating_add(self.answered.get())
            .saturating_add(age.saturating_mul(GIVEN_UP_PER_SECOND));
        let cancelled = match self.proxy {
            true => Conduct::Fine,
            false => judge(given_up, allowed, "the client gives up more streams than it waits for"),
        };
        match (flood, cancelled) {
            (Conduct::Relentless, _) | (_, Conduct::Relentless) => Conduct::Relentless,
            (Conduct::Abusive(what), _) | (_, Conduct::Abusive(what)) => Conduct::Abusive(what),
            (Conduct::Fine, Conduct::Fine) => Conduct::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cancelled(ledger: &Ledger, times: u64) {
        for _ in 0..times {
            ledger.begin();
            ledger.end(false);
        }
    }

    #[test]
    fn who_gives_up_more_than_it_waits_for_is_abusive_and_then_relentless() {
        let ledger = Ledger::new(false);
        let now = Instant::now();
        cancelled(&ledger, GIVEN_UP);
        assert_eq!(ledger.conduct(now), Conduct::Fine);
        // Over an hour nobody minds.
        cancelled(&ledger, 1);
        assert_eq!(ledger.conduct(now + Duration::from_secs(3600)), Conduct::Fine);
        assert!(matches!(ledger.conduct(now), Conduct::Abusive(_)));
        for _ in 0..=GIVEN_UP {
            ledger.reject();
        }
        assert_eq!(ledger.conduct(now), Conduct::Relentless);
    }

    #[test]
    fn a_proxy_gives_up_what_its_clients_give_up() {
        let ledger = Ledger::new(true);
        cancelled(&ledger, 10_000);
        assert_eq!(ledger.conduct(Instant::now()), Conduct::Fine);
    }
}
