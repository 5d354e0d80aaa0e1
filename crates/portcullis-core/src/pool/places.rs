//! A bounded number of units that clients share: slots, or bytes.
//!
//! [`Pool::try_take`] answers at once; [`Pool::take`] waits its turn. A [`Place`] holds units until it is dropped. It can
//! grow and shrink, which never waits. The lock is held for a few plain operations and never while waiting. It
//! guards work that costs far more than a lock; do not put one in the way of every request.

use super::fair::{Client, FairQueue, Ticket};
use crate::network::{Network, SITE};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The bounds of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Units in all.
    pub units: usize,
    /// Units that one address may hold; an IPv6 /64 counts as one. An IPv6 /48 may hold four times as many, and no more than
    /// three quarters of all.
    pub share: usize,
    /// How many may wait for units.
    pub waiting: usize,
}

/// Why there is nothing for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Its address holds its whole share.
    Share,
    /// All units are held.
    Pool,
    /// Too many wait already, or an address with fewer entries needed the place in the queue.
    Queue,
    /// Its turn did not come in time.
    Late,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Full::Share => "the client's address has used up its share",
            Full::Pool => "everything is in use",
            Full::Queue => "too many clients wait",
            Full::Late => "its turn did not come in time",
        })
    }
}

/// The pool. Its clones are the same pool.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    used: usize,
    held: HashMap<Network, usize>,
    queue: FairQueue<Arc<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    address: IpAddr,
    units: usize,
    turn: Mutex<Turn>,
}

#[derive(Debug)]
enum Turn {
    Waits(Option<Waker>),
    /// Its units are held for it already.
    Came,
    GaveWay,
}

/// Units of a pool; they go back when this is dropped.
#[derive(Debug)]
pub struct Place {
    pool: Pool,
    address: IpAddr,
    units: usize,
}

// A poisoned lock means that a thread died between plain writes; any value is a valid state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// A pool with these bounds. A share larger than the pool is no share at all.
    pub fn new(bounds: Bounds) -> Pool {
        let state = State { used: 0, held: HashMap::new(), queue: FairQueue::new(bounds.waiting) };
        Pool(Arc::new(Shared { bounds, state: Mutex::new(state) }))
    }

    /// Its bounds.
    pub fn bounds(&self) -> Bounds {
        self.0.bounds
    }

    /// Units that are held now.
    pub fn used(&self) -> usize {
        lock(&self.0.state).used
    }

    /// Units that this address holds now.
    pub fn used_by(&self, address: IpAddr) -> usize {
        lock(&self.0.state).held.get(&Network::of(address)).copied().unwrap_or(0)
    }

    /// How many wait now.
    pub fn waiting(&self) -> usize {
        lock(&self.0.state).queue.len()
    }

    /// Units for a client, without waiting. Those that wait and could be served were served before.
    ///
    /// # Errors
    /// What is used up.
    pub fn try_take(&self, address: IpAddr, units: usize) -> Result<Place, Full> {
        lock(&self.0.state).take(&self.0.bounds, address, units)?;
        Ok(Place { pool: self.clone(), address, units })
    }

    /// Units for a client, when its turn comes. Bound the wait with [`Take::within`].
    pub fn take(&self, client: Client, units: usize) -> Take {
        Take { pool: self.clone(), client, units, step: Step::Begins }
    }
}

impl Bounds {
    /// The networks that hold what this address takes, and how much each may hold.
    fn networks(&self, address: IpAddr) -> impl Iterator<Item = (Network, usize)> {
        let site = self.share.saturating_mul(SITE).min(self.units - self.units / SITE).max(self.share);
        let own = (Network::of(address), self.share);
        std::iter::once(own).chain(Network::site(address).map(|network| (network, site)))
    }
}

impl State {
    fn fits(&self, bounds: &Bounds, address: IpAddr, units: usize) -> Result<(), Full> {
        // SECURITY: what one address holds is no more than its share, and a customer with a /48 has no share for each of its
        // 65,536 networks (one_address_holds_no_more_than_its_share, a_site_leaves_room_for_others).
        let fits = bounds.networks(address).all(|(network, most)| {
            let held = self.held.get(&network).copied().unwrap_or(0);
            held.checked_add(units).is_some_and(|sum| sum <= most)
        });
        if !fits {
            return Err(Full::Share);
        }
        if self.used.checked_add(units).is_none_or(|sum| sum > bounds.units) {
            return Err(Full::Pool);
        }
        Ok(())
    }

    fn take(&mut self, bounds: &Bounds, address: IpAddr, units: usize) -> Result<(), Full> {
        self.fits(bounds, address, units)?;
        self.hold(bounds, address, units);
        Ok(())
    }

    fn hold(&mut self, bounds: &Bounds, address: IpAddr, units: usize) {
        if units > 0 {
            self.used += units;
            for (network, _) in bounds.networks(address) {
                *self.held.entry(network).or_insert(0) += units;
            }
        }
    }

    fn give_back(&mut self, bounds: &Bounds, address: IpAddr, units: usize) {
        self.used = self.used.saturating_sub(units);
        for (network, _) in bounds.networks(address) {
            if let Some(held) = self.held.get_mut(&network) {
                *held = held.saturating_sub(units);
                if *held == 0 {
                    self.held.remove(&network);
                }
            }
        }
        self.serve(bounds);
    }

    /// Hands what is free to those whose turn it is.
    fn serve(&mut self, bounds: &Bounds) {
        loop {
            // Apart from the rest of the state, which says who is ready.
            let mut queue = std::mem::replace(&mut self.queue, FairQueue::new(0));
            let next = queue.pop(|waiter| self.fits(bounds, waiter.address, waiter.units).is_ok());
            self.queue = queue;
            let Some(waiter) = next else { return };
            self.hold(bounds, waiter.address, waiter.units);
            waiter.tell(Turn::Came);
        }
    }
}

impl Waiter {
    fn tell(&self, turn: Turn) {
        let before = std::mem::replace(&mut *lock(&self.turn), turn);
        if let Turn::Waits(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl Place {
    /// Units that it holds.
    pub fn units(&self) -> usize {
        self.units
    }

    /// Takes `more` units, without waiting.
    ///
    /// # Errors
    /// What is used up; the place holds what it held before.
    pub fn grow(&mut self, more: usize) -> Result<(), Full> {
        lock(&self.pool.0.state).take(&self.pool.0.bounds, self.address, more)?;
        self.units += more;
        Ok(())
    }

    /// Gives back all units beyond `units`.
    pub fn shrink_to(&mut self, units: usize) {
        let less = self.units.saturating_sub(units);
        if less > 0 {
            self.units -= less;
            lock(&self.pool.0.state).give_back(&self.pool.0.bounds, self.address, less);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// Waits for units.
#[must_use = "nothing is taken before it is awaited"]
#[derive(Debug)]
pub struct Take {
    pool: Pool,
    client: Client,
    units: usize,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Begins,
    Waits(Ticket, Arc<Waiter>),
    Ended,
}

impl Take {
    /// Waits no longer than `limit` does.
    ///
    /// # Errors
    /// What is used up, or that the turn did not come before `limit` was over.
    pub async fn within(mut self, limit: impl Future<Output = ()>) -> Result<Place, Full> {
        let mut limit = std::pin::pin!(limit);
        std::future::poll_fn(|cx| match Pin::new(&mut self).poll(cx) {
            Poll::Ready(taken) => Poll::Ready(taken),
            Poll::Pending => limit.as_mut().poll(cx).map(|()| Err(Full::Late)),
        })
        .await
    }

    fn begin(&mut self, waker: &Waker) -> Poll<Result<Place, Full>> {
        let Shared { bounds, state } = self.pool.0.as_ref();
        let (address, units) = (self.client.address, self.units);
        let mut state = lock(state);
        match state.take(bounds, address, units) {
            Ok(()) => {}
            // It could not have so many in an empty pool either.
            Err(full) if units > bounds.share.min(bounds.units) => return Poll::Ready(Err(full)),
            Err(_) => {
                let waiter = Waiter { address, units, turn: Mutex::new(Turn::Waits(Some(waker.clone()))) };
                let waiter = Arc::new(waiter);
                let Ok((ticket, gone)) = state.queue.push(self.client, Arc::clone(&waiter)) else {
                    return Poll::Ready(Err(Full::Queue));
                };
                drop(state);
                if let Some(gone) = gone {
                    gone.tell(Turn::GaveWay);
                }
                self.step = Step::Waits(ticket, waiter);
                return Poll::Pending;
            }
        }
        drop(state);
        Poll::Ready(Ok(Place { pool: self.pool.clone(), address, units }))
    }
}

impl Future for Take {
    type Output = Result<Place, Full>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &self.step {
            Step::Begins => match self.begin(cx.waker()) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => return Poll::Pending,
            },
            Step::Waits(_, waiter) => {
                let mut turn = lock(&waiter.turn);
                match &mut *turn {
                    Turn::Waits(waker) => {
                        *waker = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                    Turn::Came => Ok(()),
                    Turn::GaveWay => Err(Full::Queue),
                }
                .map(|()| Place {
                    pool: self.pool.clone(),
                    address: self.client.address,
                    units: self.units,
                })
            }
            Step::Ended => Err(Full::Late),
        };
        self.step = Step::Ended;
        Poll::Ready(outcome)
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        let Step::Waits(ticket, waiter) = std::mem::replace(&mut self.step, Step::Ended) else { return };
        let Shared { bounds, state } = self.pool.0.as_ref();
        let mut state = lock(state);
        state.queue.remove(ticket);
        // SECURITY: a turn that came just before the client went away is passed on (a_turn_that_nobody_takes_is_passed_on).
        if matches!(*lock(&waiter.turn), Turn::Came) {
            state.give_back(bounds, waiter.address, waiter.units);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    const POOL: Bounds = Bounds { units: 4, share: 2, waiting: 3 };

    fn address(number: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + number).into())
    }

    fn client(number: u32) -> Client {
        Client::unknown(address(number))
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll(take: &mut Take) -> Poll<Result<Place, Full>> {
        Pin::new(take).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn full(polled: &Poll<Result<Place, Full>>) -> Option<Full> {
        match polled {
            Poll::Ready(Err(full)) => Some(*full),
            Poll::Ready(Ok(_)) | Poll::Pending => None,
        }
    }

    #[test]
    fn one_address_holds_no_more_than_its_share() {
        let pool = Pool::new(POOL);
        let mut first = pool.try_take(address(1), 1).unwrap();
        first.grow(1).unwrap();
        assert_eq!(first.grow(1), Err(Full::Share));
        assert_eq!(pool.try_take(address(1), 1).err(), Some(Full::Share));
        let second = pool.try_take(address(2), 2).unwrap();
        assert_eq!(pool.try_take(address(3), 1).err(), Some(Full::Pool));
        assert_eq!((pool.used(), pool.used_by(address(1))), (4, 2));
        first.shrink_to(1);
        assert!(pool.try_take(address(3), 1).is_ok());
        drop((first, second));
        assert_eq!(pool.used(), 0);
        assert!(lock(&pool.0.state).held.is_empty(), "an address without units takes no memory");
        assert_eq!(pool.try_take(address(1), usize::MAX).err(), Some(Full::Share));
    }

    #[test]
    fn the_addresses_of_an_ipv6_customer_have_one_share() {
        let pool = Pool::new(POOL);
        let _held = pool.try_take("2001:db8:1:2::1".parse().unwrap(), 2).unwrap();
        assert_eq!(pool.try_take("2001:db8:1:2:ffff::9".parse().unwrap(), 1).err(), Some(Full::Share));
        assert!(pool.try_take("2001:db8:1:3::1".parse().unwrap(), 1).is_ok());
    }

    #[test]
    fn a_site_leaves_room_for_others() {
        let pool = Pool::new(Bounds { units: 8, share: 4, waiting: 8 });
        let from = |network: u32| -> IpAddr { format!("2001:db8:1:{network:x}::1").parse().unwrap() };
        let mut held: Vec<_> = (0..100).filter_map(|network| pool.try_take(from(network), 1).ok()).collect();
        assert_eq!(held.len(), 6, "three quarters");
        let mut waits: Vec<_> =
            (0..100).map(|network| pool.take(Client::unknown(from(network)), 1)).collect();
        waits.iter_mut().for_each(|take| _ = poll(take));
        let honest = pool.try_take(address(1), 2).unwrap();
        let mut late = pool.take(client(2), 1);
        assert!(poll(&mut late).is_pending(), "the site's entry gives way to it");
        drop(honest);
        assert!(matches!(poll(&mut late), Poll::Ready(Ok(_))));
        held.clear();
        drop((waits, late));
        assert_eq!((pool.used(), pool.waiting()), (0, 0));
        assert!(lock(&pool.0.state).held.is_empty());
        // A pool without shares has none for sites either.
        let open = Pool::new(Bounds { units: 8, share: 8, waiting: 0 });
        assert!(open.try_take(from(1), 8).is_ok());
    }

    #[test]
    fn whoever_waits_is_woken_in_turn() {
        let pool = Pool::new(POOL);
        let (a, b) = (pool.try_take(address(1), 2).unwrap(), pool.try_take(address(2), 2).unwrap());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut greedy = pool.take(client(1), 1);
        let mut honest = pool.take(client(3), 1);
        for take in [&mut greedy, &mut honest] {
            assert!(Pin::new(take).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        drop(b);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "whose share is used up waits on");
        assert!(matches!(poll(&mut honest), Poll::Ready(Ok(_))));
        assert!(poll(&mut greedy).is_pending());
        drop(a);
        assert!(matches!(poll(&mut greedy), Poll::Ready(Ok(_))));
    }

    #[test]
    fn a_greedy_address_gives_way_in_the_queue() {
        let pool = Pool::new(POOL);
        let _held = [pool.try_take(address(8), 2).unwrap(), pool.try_take(address(9), 2).unwrap()];
        let mut greedy: Vec<_> = (0..3).map(|_| pool.take(client(1), 1)).collect();
        assert!(greedy.iter_mut().all(|take| poll(take).is_pending()));
        assert_eq!(full(&poll(&mut pool.take(client(1), 1))), Some(Full::Queue));
        let mut honest = pool.take(client(2), 1);
        assert!(poll(&mut honest).is_pending());
        assert_eq!(full(&poll(&mut greedy[2])), Some(Full::Queue));
        assert_eq!(pool.waiting(), 3);
        drop((greedy, honest));
        assert_eq!((pool.waiting(), pool.used()), (0, 4));
    }

    #[test]
    fn a_turn_that_nobody_takes_is_passed_on() {
        let pool = Pool::new(Bounds { units: 1, share: 1, waiting: 2 });
        let held = pool.try_take(address(9), 1).unwrap();
        let (mut first, mut second) = (pool.take(client(1), 1), pool.take(client(2), 1));
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        drop(held);
        drop(first);
        assert!(matches!(poll(&mut second), Poll::Ready(Ok(_))));
    }

    #[test]
    fn waiting_ends_with_its_limit() {
        let pool = Pool::new(POOL);
        let _held = pool.try_take(address(1), 2).unwrap();
        let mut late = Box::pin(pool.take(client(1), 1).within(std::future::ready(())));
        let polled = late.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(full(&polled), Some(Full::Late));
        drop(late);
        assert_eq!(pool.waiting(), 0);
        let too_much = full(&poll(&mut pool.take(client(2), 3)));
        assert_eq!(too_much, Some(Full::Share), "what never fits does not wait");
    }

    proptest! {
        /// Whatever clients do, no bound is exceeded, and all comes back.
        #[test]
        fn no_bound_is_exceeded(steps in prop::collection::vec((0..5_u8, 0..4_u32, 0..3_usize), 0..200)) {
            let pool = Pool::new(POOL);
            let (mut places, mut takes) = (Vec::new(), Vec::new());
            for (step, number, units) in steps {
                match step {
                    0 => places.extend(pool.try_take(address(number), units)),
                    1 => takes.push(pool.take(client(number), units)),
                    2 => drop(takes.pop()),
                    3 => drop(places.pop()),
                    _ => places.iter_mut().for_each(|place| _ = place.grow(units)),
                }
                takes.retain_mut(|take| match poll(take) {
                    Poll::Pending => true,
                    Poll::Ready(taken) => {
                        places.extend(taken);
                        false
                    }
                });
                prop_assert!(pool.used() <= 4 && pool.waiting() <= 3);
                prop_assert_eq!(pool.used(), places.iter().map(Place::units).sum::<usize>());
                prop_assert!((0..4).all(|number| pool.used_by(address(number)) <= 2));
            }
            drop((places, takes));
            prop_assert_eq!((pool.used(), pool.waiting()), (0, 0));
        }
    }
}
