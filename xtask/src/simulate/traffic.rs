//! What honest clients send: days and nights, a deploy, a marketing peak, and everything that is odd and no attack.
//!
//! Programs of partners run all day, offices by day, people with telephones in the evening, a batch at night. Somebody's
//! program has a key that expired and tries on. Another one makes the same mistake each time. One looks whether things are
//! there before it sends them. People mistype. A bot follows links that are old.

use super::random::Random;
use portcullis_detect::{Ending, Event, Moment, Name, Text, Who};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// 2026-01-05, a Monday.
const FIRST_DAY: u64 = 1_767_571_200;
const MINUTES_OF_DAY: u64 = 24 * 60;

/// A moment of the simulation.
pub(super) fn moment(steady: Duration) -> Moment {
    Moment { steady, unix: Duration::from_secs(FIRST_DAY) + steady }
}

/// How somebody behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Habit {
    /// A program of a partner, all day.
    Program,
    /// An office: by day, behind one address.
    Office,
    /// People with telephones, most in the evening, from many networks.
    Telephones,
    /// A batch at night.
    Batch,
    /// Looks whether things are there before it sends them.
    Looks,
    /// Makes the same mistake in a part of its requests.
    Mistaken,
}

const HABITS: [Habit; 6] =
    [Habit::Program, Habit::Office, Habit::Telephones, Habit::Batch, Habit::Looks, Habit::Mistaken];

/// Somebody who uses the API.
#[derive(Clone)]
pub(super) struct Consumer {
    pub(super) name: Name,
    pub(super) number: u64,
    pub(super) habit: Habit,
    /// Requests in a minute, on average at its usual time.
    pub(super) rate: f64,
    /// The first two bytes of its addresses.
    network: u32,
    /// Times its usual rate in the marketing peak.
    peak: f64,
}

impl Consumer {
    /// One of its addresses.
    pub(super) fn address(&self, random: &mut Random) -> IpAddr {
        let hosts = if self.habit == Habit::Office { 1 } else { 6 };
        v4(self.network, 7 + u32::try_from(random.below(hosts)).unwrap_or(0))
    }

    /// An address, and a number for the credential that is used there. Each telephone has a credential of its own, and is at
    /// home, at work or on the way, each for some hours.
    fn sender(&self, minute: u64, random: &mut Random) -> (IpAddr, u64) {
        if self.habit != Habit::Telephones {
            return (self.address(random), 10_000 + self.number);
        }
        let telephone = random.below(500);
        let network = (telephone * 7 + minute / 150 % 3 * 11) % 60;
        let host = u32::try_from(telephone * 100 + self.number).unwrap_or(0);
        let address = v4(0x6440 + u32::try_from(network).unwrap_or(0), host);
        (address, 1_000_000 + self.number * 1000 + telephone)
    }

    /// How busy it is in this minute.
    fn busy(&self, minute: u64) -> f64 {
        let day = minute % MINUTES_OF_DAY;
        let between = |from: u64, to: u64| (from * 60..to * 60).contains(&day);
        let wave = |top: f64| {
            let turn = (day as f64 / 60.0 - top) / 24.0 * std::f64::consts::TAU;
            0.5 + 0.45 * turn.cos()
        };
        match self.habit {
            Habit::Program | Habit::Looks | Habit::Mistaken => 0.8 + 0.2 * wave(14.0),
            Habit::Office => {
                if between(8, 18) {
                    1.5
                } else {
                    0.01
                }
            }
            Habit::Telephones => 2.0 * wave(20.0),
            Habit::Batch => {
                if between(2, 3) {
                    8.0
                } else {
                    0.05
                }
            }
        }
    }
}

fn v4(network: u32, host: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits((network << 16) | (host & 0xffff)))
}

/// An address of somebody who is no consumer.
pub(super) fn stranger(number: u64) -> IpAddr {
    let number = u32::try_from(number % 0x00ff_0000).unwrap_or(0);
    IpAddr::V4(Ipv4Addr::from_bits(0x5000_0000 + number.wrapping_mul(7919) % 0x0fff_ffff))
}

/// Everybody, and when what happens to all.
pub(super) struct World {
    seed: u64,
    pub(super) consumers: Vec<Consumer>,
    scale: f64,
    deploys: Vec<u64>,
    peak: u64,
}

pub(super) const ROUTES: u64 = 8;
/// A route of which all know that it is public.
pub(super) const PUBLIC: u32 = 20;

/// A request that was answered with 200.
pub(super) fn request(at: Duration, source: IpAddr) -> Event {
    Event {
        at: moment(at),
        source,
        who: Who::Nobody,
        credential: None,
        tried: None,
        route: 0,
        path: 0,
        path_text: Text::default(),
        ending: Ending::Served,
        status: 200,
        received: 100,
        sent: 2000,
        mistake: 0,
        unasked_credential: false,
        public: false,
    }
}

/// With this path.
pub(super) fn asking(event: Event, route: u32, number: u64) -> Event {
    let path = u64::from(route) << 40 | number;
    Event { route, path, path_text: Text::new(&format!("/route-{route}/{number}")), ..event }
}

impl World {
    /// Everybody for this seed. With a larger scale all of them send more. The marketing peak begins in about this hour.
    pub(super) fn new(seed: u64, scale: f64, peak_hour: u64) -> World {
        let mut random = Random::new(seed, 1);
        let consumers = (0..36_u64)
            .map(|number| {
                let habit = HABITS.get(usize::try_from(number).unwrap_or(0) % HABITS.len());
                Consumer {
                    name: Name { number: 500 + number, text: Text::new(&format!("consumer-{number}")) },
                    number,
                    habit: habit.copied().unwrap_or(Habit::Program),
                    rate: (0.4 + 4.0 * random.unit() * random.unit()) * scale,
                    network: 0x0a00 + u32::try_from(number).unwrap_or(0),
                    peak: 3.0 + 5.0 * random.unit(),
                }
            })
            .collect();
        let deploys = vec![9 * 60 + random.below(300), MINUTES_OF_DAY + 13 * 60 + random.below(60)];
        let peak = peak_hour * 60 + random.below(30);
        World { seed, consumers, scale, deploys, peak }
    }

    /// How many times as much as usual this consumer sends.
    fn swell(&self, consumer: &Consumer, minute: u64) -> f64 {
        match minute.checked_sub(self.peak) {
            // It comes within ten minutes, and stays for an hour and a half.
            Some(since @ 0..90) => {
                let part = (since as f64 / 10.0).min(1.0);
                1.0 + (consumer.peak - 1.0) * part
            }
            Some(_) | None => 1.0,
        }
    }

    /// What all of them send in a minute.
    pub(super) fn minute(&self, minute: u64) -> Vec<Event> {
        let mut random = Random::new(self.seed, 1000 + minute);
        let mut events = Vec::new();
        let broken = self.deploys.iter().any(|deploy| (*deploy..deploy + 4).contains(&minute));
        for consumer in &self.consumers {
            let swell = self.swell(consumer, minute);
            for _ in 0..random.poisson(consumer.rate * consumer.busy(minute) * swell) {
                let mut event = self.of_consumer(consumer, minute, &mut random);
                if broken && random.chance(0.5) {
                    (event.ending, event.status, event.sent) = (Ending::Failed, 502, 200);
                } else if swell > 2.0 && random.chance(0.03) {
                    (event.ending, event.status, event.sent) = (Ending::Limited, 429, 200);
                }
                events.push(event);
            }
            if consumer.habit == Habit::Office {
                self.mistyped(consumer, minute, &mut random, &mut events);
            }
        }
        self.of_strangers(minute, &mut random, &mut events);
        events
    }

    fn of_consumer(&self, consumer: &Consumer, minute: u64, random: &mut Random) -> Event {
        let (source, credential) = consumer.sender(minute, random);
        let at = Duration::from_millis(minute * 60_000 + random.below(60_000));
        let route = 1 + u32::try_from((consumer.number + random.below(3)) % ROUTES).unwrap_or(0);
        let mut event = asking(request(at, source), route, random.below(5000));
        event.who = Who::Is(consumer.name);
        event.credential = Some(credential);
        event.sent = 500 + random.below(4000);
        // Now and then something is large.
        if random.chance(0.001) {
            event.sent = 300_000 + random.below(2_000_000);
        }
        match consumer.habit {
            Habit::Looks if random.chance(0.4) => (event.status, event.sent) = (404, 120),
            Habit::Mistaken if random.chance(0.5) => {
                (event.ending, event.status, event.sent) = (Ending::Invalid, 422, 300);
                event.mistake = 77 + consumer.number;
            }
            Habit::Program
            | Habit::Office
            | Habit::Telephones
            | Habit::Batch
            | Habit::Looks
            | Habit::Mistaken => {
                if random.chance(0.02) {
                    (event.status, event.sent) = (404, 120);
                } else if random.chance(0.005) {
                    (event.ending, event.status) = (Ending::Invalid, 422);
                    event.mistake = random.below(12);
                } else if random.chance(0.003) {
                    (event.ending, event.status) = (Ending::Limited, 429);
                } else if random.chance(0.002) {
                    (event.ending, event.status) = (Ending::Failed, 502);
                }
            }
        }
        event
    }

    /// People of an office who mistype their password.
    fn mistyped(&self, consumer: &Consumer, minute: u64, random: &mut Random, events: &mut Vec<Event>) {
        for _ in 0..random.poisson(0.02 * consumer.busy(minute) * self.scale.min(3.0)) {
            for _ in 0..=random.below(2) {
                let at = Duration::from_millis(minute * 60_000 + random.below(60_000));
                let mut event = asking(request(at, consumer.address(random)), 1, 1);
                (event.ending, event.status) = (Ending::WrongCredential, 401);
                event.who = Who::Claims(consumer.name);
                event.tried = Some(random.next());
                events.push(event);
            }
        }
    }

    /// Those who are no consumer: readers of public pages, bots, a program with an old key, a proof that came twice.
    fn of_strangers(&self, minute: u64, random: &mut Random, events: &mut Vec<Event>) {
        let at = |random: &mut Random| Duration::from_millis(minute * 60_000 + random.below(60_000));
        for _ in 0..random.poisson(12.0 * self.scale) {
            let source = stranger(random.below(3000));
            let mut event = asking(request(at(random), source), PUBLIC, random.below(40));
            event.public = true;
            // Some browsers send a cookie or a token everywhere.
            event.unasked_credential = random.chance(0.002);
            if random.chance(0.02) {
                event.status = 404;
            }
            events.push(event);
        }
        // A search engine reads everything, old links as well.
        for _ in 0..random.poisson(1.5) {
            let mut event = asking(request(at(random), stranger(9000)), PUBLIC, random.below(400));
            event.public = true;
            event.status = if random.chance(0.25) { 404 } else { 200 };
            events.push(event);
        }
        // An old key, again and again, from a program that nobody looks after.
        for _ in 0..random.poisson(2.0) {
            let mut event = asking(request(at(random), stranger(9001)), 3, 5);
            (event.ending, event.status, event.tried) = (Ending::WrongCredential, 401, Some(4242));
            events.push(event);
        }
        // A monitor asks for a page that is gone.
        for _ in 0..random.poisson(1.0) {
            let mut event = asking(request(at(random), stranger(9002)), 0, 3);
            (event.ending, event.status) = (Ending::NotFound, 404);
            events.push(event);
        }
        // A connection broke, and the client sent the same proof again.
        if random.chance(0.01) {
            let mut event = asking(request(at(random), stranger(9003 + random.below(50))), 2, 1);
            (event.ending, event.status) = (Ending::Replayed, 401);
            events.push(event);
        }
    }
}
