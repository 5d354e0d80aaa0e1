//! Many different wrong credentials: from one address, or from many addresses together.
//!
//! A client with an old password tries one credential again and again, and an office behind one address has many people of
//! whom most log in. So different credentials are counted, and compared with those that were good. Many addresses with few
//! tries each show in the whole: a share of wrong credentials that the gateway never had before.

use super::{Pace, Paced, Raised, percent, share};
use crate::detector::{Detector, Raise};
use crate::event::{Ending, Event};
use crate::finding::{Severity, Subject};
use crate::table::{Entry, Table};
use crate::window::{Distinct, Window};
use std::net::IpAddr;
use std::time::Duration;

pub(crate) const NAME: &str = "credential_stuffing";
pub(crate) const FINDS: &str = "Many different wrong credentials, from one address or from many together.";
pub(crate) const THRESHOLD: &str = "30 different wrong credentials from one address in 10 minutes, or twice as many in an hour, at least half of all its credentials. Or 200 from at least 50 addresses, a tenth of all credentials and five times the usual share; in an hour, 400 from at least 50, half of these shares.";

const ONE_ADDRESS: u32 = 30;
const ONE_ADDRESS_SHARE: f64 = 0.5;
const TOGETHER: u32 = 200;
const TOGETHER_ADDRESSES: u32 = 50;
const TOGETHER_SHARE: f64 = 0.1;
const TIMES_USUAL: f64 = 5.0;

#[derive(Default)]
struct Source {
    last: Duration,
    wrong: Window<Distinct>,
    tries: Window<u32>,
    good: Window<u32>,
    raised: Raised,
}

impl Entry for Source {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        self.tries.sum()
    }
}

pub(crate) struct CredentialStuffing {
    pace: Pace,
    sources: Table<IpAddr, Source>,
    wrong: Window<Distinct>,
    from: Window<Distinct>,
    tries: Window<u32>,
    good: Window<u32>,
    raised: Raised,
    /// The share of wrong credentials that is usual, and when it was last learned.
    usual: f64,
    learned: Duration,
}

impl CredentialStuffing {
    fn at(bytes: usize, pace: Pace) -> CredentialStuffing {
        CredentialStuffing {
            pace,
            sources: Table::new(bytes, pace.window * 2),
            wrong: Window::default(),
            from: Window::default(),
            tries: Window::default(),
            good: Window::default(),
            raised: Raised::default(),
            usual: 0.0,
            learned: Duration::ZERO,
        }
    }

    /// Learns what is usual from a window that was not remarkable; each counts for a twentieth.
    fn learn(&mut self, now: Duration) {
        let pace = self.pace;
        if now.saturating_sub(self.learned) < pace.window {
            return;
        }
        self.learned = now;
        let different = self.wrong.count();
        let now_share = share(different, different.saturating_add(self.good.sum()));
        if now_share < pace.part(f64::max(TOGETHER_SHARE, self.usual * TIMES_USUAL)) {
            self.usual += (now_share - self.usual) / 20.0;
        }
    }

    fn together(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let pace = self.pace;
        let now = event.at.steady;
        let different = self.wrong.count();
        let part = share(different, different.saturating_add(self.good.sum()));
        let many = different >= pace.many(TOGETHER) && self.from.count() >= TOGETHER_ADDRESSES;
        if many
            && part >= pace.part(f64::max(TOGETHER_SHARE, self.usual * TIMES_USUAL))
            && self.raised.is_due(now)
        {
            raise(
                Raise::new(
                    Severity::High,
                    "Many addresses together try credentials that are wrong, each only a few.",
                    Subject::default(),
                )
                .because("different wrong credentials", different)
                .because("addresses", self.from.count())
                .because("share of all credentials", percent(part))
                .because("usual share", percent(self.usual))
                .since(pace.window),
            );
        }
    }
}

/// At both paces.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(Paced::of(bytes, CredentialStuffing::at))
}

impl Detector for CredentialStuffing {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let pace = self.pace;
        let now = event.at.steady;
        if event.credential.is_some() {
            self.good.add(now, pace.window);
            if let Some(source) = self.sources.find(&event.source) {
                source.good.add(now, pace.window);
            }
            return;
        }
        let (Ending::WrongCredential, Some(tried)) = (event.ending, event.tried) else { return };
        self.learn(now);
        self.good.now(now, pace.window);
        self.wrong.now(now, pace.window).see(tried);
        self.from.now(now, pace.window).see(number(event.source));
        let all = self.tries.add(now, pace.window);
        if all >= pace.many(TOGETHER) && all.is_multiple_of(16) {
            self.together(event, raise);
        }
        let source = self.sources.entry(event.source, now);
        source.last = now;
        let tries = source.tries.add(now, pace.window);
        source.good.now(now, pace.window);
        let new = source.wrong.now(now, pace.window).see(tried);
        if tries < pace.many(ONE_ADDRESS) || !new {
            return;
        }
        let (different, good) = (source.wrong.count(), source.good.sum());
        let part = share(different, different + good);
        if different >= pace.many(ONE_ADDRESS) && part >= ONE_ADDRESS_SHARE && source.raised.is_due(now) {
            let subject = Subject { address: Some(event.source), ..Subject::default() };
            raise(
                Raise::new(Severity::High, "One address tries many different wrong credentials.", subject)
                    .because("different wrong credentials", different)
                    .because("requests with a wrong credential", tries)
                    .because("requests with a good credential", good)
                    .from(event.source)
                    .since(pace.window),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.sources.bytes() + size_of::<CredentialStuffing>()
    }
}

/// A number for an address.
pub(crate) fn number(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            u64::try_from(bits >> 64).unwrap_or(0) ^ u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0)
        }
    }
}
