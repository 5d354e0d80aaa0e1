//! Which server of a group a request gets.
//!
//! One that is left out comes last. Where a value decides, each server has a score for it and the best one is taken
//! (rendezvous hashing): a server that goes or comes moves only the values that it had or gets. The scores are the same in every
//! gateway. A client that chooses the value can choose the server as well; see docs/upstreams.md.

use super::config::Balance;
use super::state::Standing;
use super::{Group, MOST_SERVERS, Member, Running};
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::time::Instant;

/// The servers that a request was sent to, by their places.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried([u64; MOST_SERVERS / 64]);

impl Tried {
    fn has(self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    fn add(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    /// How many there are.
    fn count(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether it was sent nowhere.
    pub(crate) fn is_empty(self) -> bool {
        self.count() == 0
    }
}

/// Numbers that are random enough to spread requests.
pub(super) struct Dice(Cell<u64>);

impl Default for Dice {
    fn default() -> Dice {
        Dice(Cell::new(RandomState::new().hash_one(0) | 1))
    }
}

impl Dice {
    /// A number below `most`; 0 where there is none.
    pub(super) fn below(&self, most: u64) -> u64 {
        // xorshift64*
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).checked_rem(most).unwrap_or(0)
    }
}

/// What decides where the value of a request comes first (FNV-1a, and a finish that spreads it).
pub(crate) fn hash(value: &[u8]) -> u64 {
    let sum = value.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    finish(sum)
}

fn finish(mut sum: u64) -> u64 {
    sum = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    sum = (sum ^ (sum >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ (sum >> 31)
}

/// A server that may be taken, and what of the requests it gets.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    place: usize,
    member: &'a Rc<Member>,
    weight: u64,
}

/// Servers that may be taken, by their places.
#[derive(Clone, Copy)]
struct Set<'a> {
    group: &'a Group,
    members: &'a [Rc<Member>],
    places: Tried,
    now: Instant,
}

impl<'a> Set<'a> {
    fn of(
        (group, members): (&'a Group, &'a [Rc<Member>]),
        now: Instant,
        mut fits: impl FnMut(usize, &Rc<Member>) -> bool,
    ) -> Set<'a> {
        let mut places = Tried::default();
        let weighted = members.iter().enumerate().filter(|(_, member)| member.weight > 0);
        for (place, member) in weighted {
            if fits(place, member) {
                places.add(place);
            }
        }
        Set { group, members, places, now }
    }

    fn iter(self) -> impl Iterator<Item = Candidate<'a>> {
        let Set { group, members, places, now } = self;
        let members = members.iter().enumerate().filter(move |(place, _)| places.has(*place));
        members.map(move |(place, member)| {
            let weight = member.state.weight(member.weight, group.config.slow_start, now);
            Candidate { place, member, weight }
        })
    }

    fn one(self, value: Option<u64>) -> Option<Candidate<'a>> {
        match (self.places.count(), &self.group.config.balance, value) {
            (0, ..) => None,
            (1, ..) => self.iter().next(),
            (_, Balance::Hash(_), Some(value)) => self.best(value),
            (_, Balance::RoundRobin, _) | (_, Balance::Hash(_), None) => self.in_turn(),
            (_, Balance::Random, _) => self.at_random(None),
            (_, Balance::LeastRequests, _) => {
                let one = self.at_random(None)?;
                Some(less_loaded(one, self.at_random(Some(one.place))?))
            }
        }
    }

    fn at_random(self, but: Option<usize>) -> Option<Candidate<'a>> {
        let some = || self.iter().filter(move |one| Some(one.place) != but);
        let mut left = self.group.dice.below(some().map(|one| one.weight).sum());
        for one in some() {
            match left.checked_sub(one.weight) {
                Some(rest) => left = rest,
                None => return Some(one),
            }
        }
        some().next()
    }

    /// The one that is furthest behind, by weight. Spreads its turns, so that no server gets all of its requests in a row.
    fn in_turn(self) -> Option<Candidate<'a>> {
        let mut sum = 0_i64;
        let mut next: Option<Candidate<'a>> = None;
        for one in self.iter() {
            let weight = i64::try_from(one.weight).unwrap_or(i64::MAX);
            sum = sum.saturating_add(weight);
            one.member.turn.set(one.member.turn.get().saturating_add(weight));
            if next.is_none_or(|next| one.member.turn.get() > next.member.turn.get()) {
                next = Some(one);
            }
        }
        let next = next?;
        next.member.turn.set(next.member.turn.get().saturating_sub(sum));
        Some(next)
    }

    /// The one with the best score for this value, by weight.
    fn best(self, value: u64) -> Option<Candidate<'a>> {
        let score = |one: &Candidate<'_>| {
            let mixed = finish(value ^ one.member.hash);
            // In (0, 1], so that the logarithm is finite.
            #[expect(clippy::cast_precision_loss, reason = "any number of bits spreads well")]
            let (part, weight) = (((mixed >> 11) as f64 + 1.0) / (1_u64 << 53) as f64, one.weight as f64);
            -part.ln() / weight.max(1.0)
        };
        let scored = self.iter().map(|one| (score(&one), one));
        scored.min_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, one)| one)
    }
}

/// Of two, the one with fewer requests for its weight.
fn less_loaded<'a>(one: Candidate<'a>, other: Candidate<'a>) -> Candidate<'a> {
    let load = |this: Candidate<'_>, that: Candidate<'_>| {
        u64::from(this.member.running()).saturating_add(1).saturating_mul(that.weight)
    };
    if load(one, other) <= load(other, one) { one } else { other }
}

impl Group {
    /// A server for a request that was sent to those in `tried` so far. `value` decides where the balance goes by one. `None`
    /// only where no server has a weight.
    pub(crate) fn choose(
        &self,
        members: &[Rc<Member>],
        value: Option<u64>,
        tried: &mut Tried,
        now: Instant,
    ) -> Option<Running> {
        let all = (self, members);
        let again = !tried.is_empty();
        let before = *tried;
        let mut probe = None;
        let well = Set::of(all, now, |place, member| match member.standing(now) {
            Standing::In => !before.has(place),
            Standing::HalfOpen if probe.is_none() && !before.has(place) && member.state.probe() => {
                probe = Some((place, Rc::clone(member)));
                false
            }
            Standing::HalfOpen | Standing::Ejected | Standing::Ill => false,
        });
        if let Some((place, member)) = probe {
            tried.add(place);
            return Some(member.begin(true, again));
        }
        if let Some(one) = well.one(value) {
            tried.add(one.place);
            return Some(one.member.begin(false, again));
        }
        // What is left out for a time may be well again, which a server that has just failed is less likely to be.
        let untried =
            || Set::of(all, now, |place, member| !before.has(place) && member.standing(now) != Standing::Ill);
        let one = untried()
            .one(value)
            .or_else(|| Set::of(all, now, |_, one| one.standing(now) == Standing::In).one(value))
            .or_else(|| Set::of(all, now, |place, _| !before.has(place)).one(value))
            .or_else(|| Set::of(all, now, |_, _| true).one(value))?;
        tried.add(one.place);
        let mut running = one.member.begin(false, again);
        running.left_out = one.member.standing(now) == Standing::Ejected;
        Some(running)
    }

    /// Whether a server that is not left out was not tried yet.
    pub(crate) fn has_another(members: &[Rc<Member>], tried: Tried, now: Instant) -> bool {
        let mut untried = members.iter().enumerate().filter(|(place, _)| !tried.has(*place));
        untried.any(|(_, member)| member.weight > 0 && member.standing(now) == Standing::In)
    }
}
