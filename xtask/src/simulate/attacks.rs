//! Attacks, in the terms of what documentation promises to find: so many different things within ten minutes.
//!
//! Each is at a time of its own, in the day after a day of history, and lasts as long as such an attack would at least.

use super::random::Random;
use super::traffic::{Consumer, Habit, PUBLIC, World, asking, request, stranger};
use portcullis_detect::{Ending, Event, Finding, Name, Text, Who};
use std::net::IpAddr;
use std::time::Duration;

/// The minutes of a run.
pub(super) const MINUTES: u64 = 52 * 60;
/// The first attack,
const FIRST: u64 = 25 * 60;
/// and how long after it the next one begins.
const APART: u64 = 100;
/// How long an attack lasts that is slower than promised to be found in minutes.
const SLOW: u64 = 60;

/// Makes the events of an attack within a minute: the minute since its beginning, and how many.
type Make = Box<dyn Fn(u64, &mut Random) -> Vec<Event>>;

/// An attack.
pub(super) struct Attack {
    /// The detector that is to find it.
    pub(super) detector: &'static str,
    /// When it begins and ends, in minutes.
    pub(super) from: u64,
    pub(super) to: u64,
    /// Who does it, or whom it is done to.
    who: Marks,
    seed: u64,
    make: Make,
}

/// How a finding about an attack is told from one about somebody else.
#[derive(Clone, Default)]
struct Marks {
    addresses: Vec<IpAddr>,
    names: Vec<String>,
    route: Option<u32>,
    /// Whom it is done to is not named, since it is done to all.
    everybody: bool,
}

impl Attack {
    /// Adds what it sends in a minute.
    pub(super) fn minute(&self, minute: u64, events: &mut Vec<Event>) {
        if (self.from..self.to).contains(&minute) {
            let mut random = Random::new(self.seed, minute);
            let mut made = (self.make)(minute - self.from, &mut random);
            for event in &mut made {
                let at = Duration::from_millis(minute * 60_000 + random.below(60_000));
                event.at = super::traffic::moment(at);
            }
            events.append(&mut made);
        }
    }

    /// Whether a finding, first raised in this second, is about this attack.
    pub(super) fn is_meant(&self, finding: &Finding, second: u64) -> bool {
        let minute = second / 60;
        let subject = &finding.subject;
        let name = subject.consumer.as_ref().or(subject.target.as_ref());
        let same = subject.address.is_some_and(|address| self.who.addresses.contains(&address))
            || name.is_some_and(|name| self.who.names.contains(name))
            || self.who.route.is_some_and(|route| subject.route == Some(format!("/route-{route}")))
            || self.who.everybody && subject.address.is_none() && name.is_none();
        same && (self.from..self.to + 15).contains(&minute)
    }
}

/// `count` things over `minutes`, as evenly as whole numbers go: how many of them in this minute.
fn spread(count: u64, minutes: u64, minute: u64) -> u64 {
    count * (minute + 1) / minutes - count * minute / minutes
}

fn times(count: u64, strength: f64) -> u64 {
    (count as f64 * strength).round() as u64
}

/// Every attack of a run.
pub(super) fn all(world: &World, seed: u64, strength: f64) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let mut add = |detector, lasts: u64, who, make: Make| {
        let number = attacks.len() as u64;
        let from = FIRST + number * APART + seed % 7;
        // Whoever is slow needs longer for the same list.
        let lasts = if strength < 1.0 { lasts.max(SLOW) } else { lasts };
        attacks.push(Attack { detector, from, to: from + lasts, who, seed: seed ^ (number << 32), make });
    };
    let several =
        |count: u64, first: u64| (0..count).map(|number| stranger(first + number)).collect::<Vec<_>>();
    let victim = |habit: Habit, skip: usize| {
        let found = world.consumers.iter().filter(|one| one.habit == habit);
        let mut found: Vec<&Consumer> = found.collect();
        found.sort_by(|one, other| other.rate.total_cmp(&one.rate));
        found.get(skip).copied().cloned()
    };
    let named = |consumer: &Consumer| consumer.name.text.as_str().to_owned();

    // A list of passwords of another site, from one server.
    let source = stranger(20_000 + seed);
    let count = times(33, strength);
    add(
        "credential_stuffing",
        20,
        Marks { addresses: vec![source], ..Marks::default() },
        Box::new(move |minute, random| {
            let wrong = |random: &mut Random| wrong(source, random.next(), None);
            (0..spread(count, 10, minute)).map(|_| wrong(random)).collect()
        }),
    );

    // The same, from a botnet, of which each address tries a few.
    let (count, bots) = (times(225, strength), times(60, strength.max(1.0)));
    let addresses = several(bots, 30_000 + seed * 1000);
    let everybody = Marks { addresses: addresses.clone(), everybody: true, ..Marks::default() };
    add(
        "credential_stuffing",
        20,
        everybody,
        Box::new(move |minute, random| {
            (0..spread(count, 10, minute))
                .filter_map(|_| {
                    let bot = usize::try_from(random.below(bots)).ok()?;
                    Some(wrong(*addresses.get(bot)?, random.next(), None))
                })
                .collect()
        }),
    );

    // One consumer's password, from a few addresses.
    if let Some(target) = victim(Habit::Program, 0) {
        let count = times(22, strength);
        let addresses = several(5, 40_000 + seed * 10);
        let who = Marks { addresses: addresses.clone(), names: vec![named(&target)], ..Marks::default() };
        add(
            "brute_force",
            20,
            who,
            Box::new(move |minute, random| {
                (0..spread(count, 10, minute))
                    .filter_map(|_| {
                        let from = usize::try_from(random.below(5)).ok()?;
                        Some(wrong(*addresses.get(from)?, random.next(), Some(target.name)))
                    })
                    .collect()
            }),
        );
    }

    // A stolen key, used elsewhere while its owner goes on.
    if let Some(owner) = victim(Habit::Program, 1) {
        let (source, count) = (stranger(50_000 + seed), times(11, strength));
        let who = Marks { addresses: vec![source], names: vec![named(&owner)], ..Marks::default() };
        add(
            "shared_key",
            40,
            who,
            Box::new(move |minute, random| {
                (0..spread(count, 20, minute)).map(|_| as_consumer(&owner, source, random)).collect()
            }),
        );
    }

    // A key that was published, and is used from everywhere.
    if let Some(owner) = victim(Habit::Program, 2) {
        let many = times(9, strength);
        let addresses: Vec<IpAddr> = (0..many)
            .map(|number| IpAddr::V4((0xb000_0000 + ((seed % 50 * 50 + number) as u32) * 0x1_0000).into()))
            .collect();
        let who = Marks { addresses: addresses.clone(), names: vec![named(&owner)], ..Marks::default() };
        add(
            "shared_key",
            15,
            who,
            Box::new(move |minute, random| {
                let parts = addresses.iter().enumerate();
                parts
                    .filter(|(number, _)| (*number as u64) % 5 == minute % 5)
                    .map(|(_, address)| as_consumer(&owner, *address, random))
                    .collect()
            }),
        );
    }

    // Proofs that somebody has recorded.
    let (source, count) = (stranger(60_000 + seed), times(7, strength));
    add(
        "token_replay",
        20,
        Marks { addresses: vec![source], ..Marks::default() },
        Box::new(move |minute, _| {
            let replayed = Event { ending: Ending::Replayed, status: 401, ..request(Duration::ZERO, source) };
            vec![asking(replayed, 2, 1); usize::try_from(spread(count, 10, minute)).unwrap_or(0)]
        }),
    );

    // Somebody with an account walks through the orders of others, beside a few of its own.
    let walker = Name { number: 90_000 + seed, text: Text::new("walker") };
    let (source, count) = (stranger(70_000 + seed), times(44, strength));
    add(
        "enumeration",
        20,
        Marks { addresses: vec![source], names: vec!["walker".to_owned()], ..Marks::default() },
        Box::new(move |minute, random| {
            let mut events = Vec::new();
            for number in 0..spread(count, 10, minute) {
                let id = 10_000 + minute * 1000 + number;
                let mut event = asking(request(Duration::ZERO, source), 4, id);
                (event.who, event.credential) = (Who::Is(walker), Some(walker.number));
                event.status = if random.chance(0.5) { 403 } else { 404 };
                if random.chance(0.5) {
                    events.push(Event { status: 200, path: 1, ..event });
                }
                events.push(event);
            }
            events
        }),
    );

    // A scanner with its list of paths.
    let (source, count) = (stranger(80_000 + seed), times(28, strength));
    add(
        "scanner",
        20,
        Marks { addresses: vec![source], ..Marks::default() },
        Box::new(move |minute, random| {
            (0..spread(count, 10, minute))
                .map(|number| {
                    let mut event =
                        asking(request(Duration::ZERO, source), 0, 50_000 + minute * 1000 + number);
                    (event.ending, event.status) = match random.below(3) {
                        0 => (Ending::Malformed, 400),
                        1 => (Ending::NotFound, 404),
                        _ => (Ending::Attack, 403),
                    };
                    event
                })
                .collect()
        }),
    );

    // Somebody tries out what an operation takes.
    let prober = Name { number: 91_000 + seed, text: Text::new("prober") };
    let (source, count) = (stranger(90_000 + seed), times(22, strength));
    add(
        "schema_probing",
        20,
        Marks { addresses: vec![source], names: vec!["prober".to_owned()], ..Marks::default() },
        Box::new(move |minute, random| {
            (0..spread(count, 10, minute))
                .map(|number| {
                    let mut event = asking(request(Duration::ZERO, source), 5, 1);
                    (event.who, event.credential) = (Who::Is(prober), Some(prober.number));
                    event.mistake = 1 + minute * 1000 + number;
                    (event.ending, event.status) =
                        if random.chance(0.5) { (Ending::Invalid, 422) } else { (Ending::Served, 400) };
                    event
                })
                .collect()
        }),
    );

    // Somebody who does not wait when told to.
    let grinder = Name { number: 92_000 + seed, text: Text::new("grinder") };
    let (source, count) = (stranger(100_000 + seed), times(7, strength));
    add(
        "limit_grinding",
        25,
        Marks { addresses: vec![source], names: vec!["grinder".to_owned()], ..Marks::default() },
        Box::new(move |_, _| {
            let mut served = asking(request(Duration::ZERO, source), 6, 1);
            (served.who, served.credential) = (Who::Is(grinder), Some(grinder.number));
            let refused = Event { ending: Ending::Limited, status: 429, ..served };
            (0..count).map(|_| refused).chain((0..count).map(|_| served)).collect()
        }),
    );

    // A key whose thief is in a hurry: as many requests in five minutes as never before.
    if let Some(owner) = victim(Habit::Program, 3) {
        let count = times((owner.rate * 5.0 * 2.2 * 5.5) as u64 + 340, strength);
        let who = Marks { names: vec![named(&owner)], ..Marks::default() };
        add(
            "volume_change",
            10,
            who,
            Box::new(move |minute, random| {
                (0..spread(count, 4, minute))
                    .map(|_| {
                        let source = owner.address(random);
                        as_consumer(&owner, source, random)
                    })
                    .collect()
            }),
        );
    }

    // Somebody copies the database.
    if let Some(owner) = victim(Habit::Program, 4) {
        let each = times(30_000_000, strength);
        let who = Marks { names: vec![named(&owner)], ..Marks::default() };
        add(
            "data_volume",
            10,
            who,
            Box::new(move |_, random| {
                let source = owner.address(random);
                vec![Event { sent: each / 4, ..as_consumer(&owner, source, random) }]
            }),
        );
    }

    // Somebody with a stolen account finds out what it may do.
    if let Some(owner) = victim(Habit::Program, 5) {
        let count = times(40, strength);
        let who = Marks { names: vec![named(&owner)], ..Marks::default() };
        add(
            "error_change",
            15,
            who,
            Box::new(move |minute, random| {
                (0..spread(count, 4, minute))
                    .map(|number| {
                        let source = owner.address(random);
                        let event = as_consumer(&owner, source, random);
                        let path = u32::try_from(number % 5).unwrap_or(0);
                        Event { ending: Ending::Forbidden, status: 403, ..asking(event, 1 + path, 1) }
                    })
                    .collect()
            }),
        );
    }

    // A page that looks like a login collects what people send. In ten minutes three come by themselves at most.
    let count = times(18, strength);
    add(
        "public_credentials",
        20,
        Marks { route: Some(PUBLIC), ..Marks::default() },
        Box::new(move |minute, random| {
            (0..spread(count, 10, minute))
                .map(|_| {
                    let event = asking(request(Duration::ZERO, stranger(random.below(3000))), PUBLIC, 3);
                    Event { unasked_credential: true, public: true, ..event }
                })
                .collect()
        }),
    );
    attacks
}

/// A wrong credential.
fn wrong(source: IpAddr, tried: u64, target: Option<Name>) -> Event {
    let mut event = asking(request(Duration::ZERO, source), 1, 1);
    (event.ending, event.status, event.tried) = (Ending::WrongCredential, 401, Some(tried));
    event.who = target.map_or(Who::Nobody, Who::Claims);
    event
}

/// A request with a consumer's good credential.
fn as_consumer(consumer: &Consumer, source: IpAddr, random: &mut Random) -> Event {
    let mut event = asking(request(Duration::ZERO, source), 1, random.below(5000));
    event.who = Who::Is(consumer.name);
    event.credential = Some(10_000 + consumer.number);
    event
}
