//! A public route that suddenly gets credentials: a client is set up wrongly, or somebody collects what others send.

use super::{Most, Pace, Paced, Raised, WINDOW};
use crate::detector::{Detector, Raise};
use crate::event::Event;
use crate::finding::{Severity, Subject};
use crate::table::{Entry, Table};
use crate::window::Window;
use std::time::Duration;

pub(crate) const NAME: &str = "public_credentials";
pub(crate) const FINDS: &str = "A public route that suddenly is sent credentials.";
pub(crate) const THRESHOLD: &str = "12 requests with a credential in 10 minutes, or 36 in an hour to a public route known for 2 hours, five times as many as it ever had in 10 minutes, and half of that in an hour.";

const REQUESTS: u32 = 12;
/// What is left of an attack an hour later is no other one.
const IN_AN_HOUR: u32 = 36;
const TIMES: u32 = 5;
const KNOWN: Duration = Duration::from_secs(2 * 3600);

#[derive(Default)]
struct Route {
    first: Option<Duration>,
    last: Duration,
    requests: u32,
    with: Window<u32>,
    /// The most that there were in a window.
    most: Most,
    raised: Raised,
}

impl Entry for Route {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        self.requests
    }
}

pub(crate) struct PublicCredentials {
    pace: Pace,
    routes: Table<u32, Route>,
}

impl PublicCredentials {
    fn at(bytes: usize, pace: Pace) -> PublicCredentials {
        PublicCredentials { pace, routes: Table::new(bytes / 8, Duration::from_secs(8 * 24 * 3600)) }
    }
}

/// At both paces.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(Paced::of(bytes, PublicCredentials::at))
}

impl Detector for PublicCredentials {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let pace = self.pace;
        if !event.public || event.route == 0 {
            return;
        }
        let now = event.at.steady;
        let route = self.routes.entry(event.route, now);
        route.last = now;
        route.requests = route.requests.saturating_add(1);
        let first = *route.first.get_or_insert(now);
        let new = now.saturating_sub(first) < KNOWN;
        let least = if pace.window > WINDOW { IN_AN_HOUR } else { REQUESTS };
        let is_remarkable = |with: u32, most: Most| {
            !new && with >= least && f64::from(with) >= pace.part(f64::from(most.get().saturating_mul(TIMES)))
        };
        route.with.now(now, pace.window);
        let with = route.with.sum();
        route.most.learn(now, pace.window, with, is_remarkable(with, route.most));
        if new {
            route.most.accept(with);
        }
        if !event.unasked_credential {
            return;
        }
        let with = route.with.add(now, pace.window);
        if is_remarkable(with, route.most) && route.raised.is_due(now) {
            raise(
                Raise::new(
                    Severity::Medium,
                    "A public route is suddenly sent credentials. They are removed, but somebody sends them there.",
                    Subject::default(),
                )
                .because("requests with a credential", with)
                .because("most before", route.most.get())
                .because("last from", event.source)
                .on(event.route)
                .since(pace.window),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.routes.bytes()
    }
}
