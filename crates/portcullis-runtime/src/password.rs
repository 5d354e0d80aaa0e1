//! Passwords, verified beside the threads that serve requests.
//!
//! A verification takes tens of milliseconds and tens of MiB by design (argon2id, RFC 9106), so whoever may start one for
//! each request could starve everybody else. Here a few threads verify one password after the other: half as many as there
//! are cores, within one allowance of memory, with a [`FairQueue`] of bounded length: addresses take turns, and clients whose
//! credentials were good a while ago go first. Who finds no room in it gets a fault at once, which refuses the request; one
//! whose client went away is passed over. Whose password it is, and how often somebody may try, is not decided here.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher};
use argon2::{Algorithm, Argon2, Params, PasswordVerifier, Version};
use portcullis_core::pool::{Client, FairQueue};
use portcullis_core::{Fault, Wait};
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// How many passwords may wait for their turn: with hashes of 25 ms on one thread, 1.6 s of work.
const QUEUE: usize = 64;

const TOO_MANY: &str = "too many passwords to verify at once";

/// KiB of memory that all verifications together may use.
pub const MEMORY_KIB: u32 = 256 * 1024;

/// A new hash of a password, as a PHC string: argon2id with 19 MiB and two passes, as OWASP recommends.
///
/// # Errors
/// Why there is none.
pub fn hash(password: &[u8]) -> Result<String, String> {
    let mut salt = [0; 16];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut salt);
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| error.to_string())?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password, &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| error.to_string())
}

/// Verifies passwords.
pub struct Passwords {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    max_threads: usize,
    memory: u32,
}

struct State {
    waiting: FairQueue<Job>,
    threads: usize,
    idle: usize,
    memory: u32,
    ended: bool,
    #[cfg(test)]
    most_memory: u32,
}

struct Job {
    hash: PasswordHash,
    password: Zeroizing<Vec<u8>>,
    memory: u32,
    answer: oneshot::Sender<Result<bool, Fault>>,
}

impl Default for Passwords {
    fn default() -> Passwords {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Passwords::with_room((cores / 2).max(1), QUEUE, MEMORY_KIB)
    }
}

impl Passwords {
    /// At most so many at once, so many waiting, and so many KiB for those at once. Threads are started when they are
    /// needed first.
    pub fn with_room(max_threads: usize, queue: usize, memory: u32) -> Passwords {
        let state = State {
            waiting: FairQueue::new(queue),
            threads: 0,
            idle: 0,
            memory: 0,
            ended: false,
            #[cfg(test)]
            most_memory: 0,
        };
        let state = Mutex::new(state);
        Passwords { shared: Arc::new(Shared { state, changed: Condvar::new(), max_threads, memory }) }
    }

    /// Whether `password` belongs to `hash`, a PHC string.
    pub fn verify(&self, client: Client, hash: &str, password: &[u8]) -> Wait<'static, Result<bool, Fault>> {
        let answer = self.submit(client, hash, password);
        Box::pin(async move {
            answer?.await.unwrap_or_else(|_| Err(fault("the verification of a password broke off")))
        })
    }

    fn submit(
        &self,
        client: Client,
        hash: &str,
        password: &[u8],
    ) -> Result<oneshot::Receiver<Result<bool, Fault>>, Fault> {
        let hash = PasswordHash::new(hash).map_err(|_| fault("the hash of a password cannot be read"))?;
        let memory = hash.params.get_decimal("m").unwrap_or(u32::MAX);
        if memory > self.shared.memory {
            return Err(fault("the hash of a password needs more memory than there is for it"));
        }
        let (answer, answered) = oneshot::channel();
        let job = Job { hash, password: Zeroizing::new(password.to_vec()), memory, answer };
        let mut state = self.shared.state();
        state.waiting.retain(|job| !job.answer.is_closed());
        // SECURITY: a flood of passwords costs a queue of them, and one address keeps nobody else out of it
        // (a_flood_waits_in_a_short_queue, one_address_keeps_nobody_from_its_password).
        let Ok((ticket, gone)) = state.waiting.push(client, job) else {
            return Err(fault(TOO_MANY));
        };
        if let Some(gone) = gone {
            let _ = gone.answer.send(Err(fault(TOO_MANY)));
        }
        if state.idle < state.waiting.len() && state.threads < self.shared.max_threads {
            let shared = Arc::clone(&self.shared);
            let started = std::thread::Builder::new()
                .name("portcullis-password".to_owned())
                .spawn(move || work(&shared));
            match started {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads > 0 => {}
                Err(error) => {
                    state.waiting.remove(ticket);
                    return Err(Fault { detail: format!("no thread to verify passwords: {error}") });
                }
            }
        }
        drop(state);
        self.shared.changed.notify_one();
        Ok(answered)
    }
}

impl Drop for Passwords {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock means that a thread died between plain writes; any value is a valid state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, with its memory reserved. `None` at the end.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if state.ended {
                return None;
            }
            // Whoever went away is not waiting for an answer.
            state.waiting.retain(|job| !job.answer.is_closed());
            // Whoever is first waits until there is memory, so that small hashes do not overtake large ones for ever.
            let (mut first, used) = (true, state.memory);
            let fits = |memory: u32| used + memory <= self.memory;
            let next = state.waiting.pop(|job| std::mem::take(&mut first) && fits(job.memory));
            if let Some(job) = next {
                state.memory += job.memory;
                #[cfg(test)]
                {
                    state.most_memory = state.most_memory.max(state.memory);
                }
                return Some(job);
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// What a thread does until the end.
fn work(shared: &Shared) {
    /// Gives the thread's place back however it ends.
    struct Place<'a>(&'a Shared);
    impl Drop for Place<'_> {
        fn drop(&mut self) {
            self.0.state().threads -= 1;
        }
    }
    /// Gives a job's memory back however it ends.
    struct Memory<'a>(&'a Shared, u32);
    impl Drop for Memory<'_> {
        fn drop(&mut self) {
            self.0.state().memory -= self.1;
            self.0.changed.notify_all();
        }
    }
    let _place = Place(shared);
    while let Some(job) = shared.next() {
        let memory = Memory(shared, job.memory);
        let verified = match Argon2::default().verify_password(&job.password, &job.hash) {
            Ok(()) => Ok(true),
            Err(Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(Fault { detail: format!("a password cannot be verified: {error}") }),
        };
        drop(memory);
        let _ = job.answer.send(verified);
    }
}

fn fault(detail: &str) -> Fault {
    Fault { detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    fn from(number: u32, known: bool) -> Client {
        Client { address: std::net::IpAddr::V4((0x0a00_0000 + number).into()), known }
    }

    fn one() -> Client {
        from(1, false)
    }

    fn hash_with(memory: u32, passes: u32) -> String {
        let params = Params::new(memory, passes, 1, None).unwrap();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_with_salt(b"open sesame", b"0123456789abcdef")
            .unwrap()
            .to_string()
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_password_belongs_to_its_hash_alone() {
        let passwords = Passwords::default();
        let hash = hash(b"open sesame").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(wait(passwords.verify(one(), &hash, b"open sesame")), Ok(true));
        for wrong in [&b"open sesamE"[..], b"open sesame ", b""] {
            assert_eq!(wait(passwords.verify(one(), &hash, wrong)), Ok(false));
        }
        // Made with the reference implementation in C, by way of argon2-cffi.
        for (password, hash) in [
            (
                "Tür🔑 open:sesame",
                "$argon2id$v=19$m=19456,t=2,p=1$raRJmk2SUgCozTFL7BNqaw$sqiVtYhzP56jWTJb3yZlZDEsEO0FCXv+4PCeFnXaNI8",
            ),
            (
                "other",
                "$argon2id$v=19$m=65536,t=3,p=4$XQdmJkLbG1MmnlhOjAUJ6Q$Jg2A93Dc/YI/lpsclotczaRt8FP9tWD+VNRzDd2VxfI",
            ),
        ] {
            assert_eq!(wait(passwords.verify(one(), hash, password.as_bytes())), Ok(true), "{password}");
            assert_eq!(wait(passwords.verify(one(), hash, b"open sesame")), Ok(false), "{password}");
        }
        assert!(wait(passwords.verify(one(), "open sesame", b"open sesame")).is_err());
        let huge = "$argon2id$v=19$m=999999999,t=1,p=1$MDEyMzQ1Njc$AAAAAAAAAAAAAAAAAAAAAA";
        assert!(wait(passwords.verify(one(), huge, b"")).is_err());
    }

    #[test]
    fn a_flood_waits_in_a_short_queue() {
        let passwords = Passwords::with_room(4, 8, 20 * 1024);
        let hash = hash_with(8 * 1024, 1);
        let mut waits: Vec<Pin<Box<dyn Future<Output = _> + Send>>> =
            (0..1000).map(|_| passwords.verify(one(), &hash, b"guess")).collect();
        let mut refused = 0;
        for wait in &mut waits {
            let polled = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            refused += usize::from(matches!(polled, Poll::Ready(Err(_))));
        }
        // Eight wait; what four threads took meanwhile is gone from the queue, and no thread takes hundreds so fast.
        assert!(refused > 900, "{refused}");
        let state = passwords.shared.state();
        assert!(state.waiting.len() <= 8 && state.threads <= 4);
        drop(state);
        // Whoever comes when the flood is over is served.
        drop(waits);
        assert_eq!(wait(passwords.verify(one(), &hash, b"open sesame")), Ok(true));
        assert!(
            passwords.shared.state().most_memory <= 20 * 1024,
            "{}",
            passwords.shared.state().most_memory
        );
    }

    #[test]
    fn whoever_went_away_is_not_waited_for() {
        let passwords = Passwords::with_room(1, 64, MEMORY_KIB);
        let slow = hash_with(64 * 1024, 8);
        let first = passwords.verify(one(), &slow, b"guess");
        let gone: Vec<_> = (0..50).map(|_| passwords.verify(one(), &slow, b"guess")).collect();
        drop(gone);
        let started = std::time::Instant::now();
        assert_eq!(wait(first), Ok(false));
        let slow_one = started.elapsed();
        let started = std::time::Instant::now();
        assert_eq!(wait(passwords.verify(one(), &hash_with(8, 1), b"open sesame")), Ok(true));
        assert!(started.elapsed() < slow_one * 10, "{:?} after {slow_one:?}", started.elapsed());
    }

    /// One address fills the queue; another one, and a known client, are still served.
    #[test]
    fn one_address_keeps_nobody_from_its_password() {
        let passwords = Passwords::with_room(1, 8, MEMORY_KIB);
        let slow = hash_with(32 * 1024, 4);
        let greedy: Vec<_> = (0..100).map(|_| passwords.verify(one(), &slow, b"guess")).collect();
        let honest = passwords.verify(from(2, false), &slow, b"open sesame");
        let known = passwords.verify(from(3, true), &slow, b"open sesame");
        let others: Vec<_> =
            (0..100).map(|number| passwords.verify(from(10 + number, false), &slow, b"guess")).collect();
        let waiting = passwords.shared.state().waiting.len();
        assert!(waiting <= 8, "{waiting}");
        assert_eq!(wait(known), Ok(true));
        assert_eq!(wait(honest), Ok(true));
        drop((greedy, others));
    }
}
