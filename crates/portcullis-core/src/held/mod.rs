//! Memory for bodies that are held until they are judged.
//!
//! Whoever holds a body takes its memory from one account, as the bytes come in and not as they are announced, and gives
//! it back when the last byte is gone. What a check needs to judge the body, such as a parsed tree, is taken from the same
//! account. Where the account is used up, the request is refused with 503: a crowd of large bodies must not take the
//! process down. Which body is refused when memory is short, [`account`] decides.

mod account;

use crate::denial::{Advice, Code, Denial};
use account::{Id, Source, State};
use bytes::Bytes;
use http_body::Body;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

/// The account of what is held at once. Its clones are the same account.
#[derive(Clone, Debug)]
pub struct HeldMemory(Arc<Mutex<State>>);

impl HeldMemory {
    /// What a worker may hold where nobody says otherwise: 64 MiB.
    pub const DEFAULT_BYTES: usize = 64 * 1024 * 1024;

    /// An account of so many bytes.
    pub fn new(limit: usize) -> HeldMemory {
        HeldMemory(Arc::new(Mutex::new(State::new(limit))))
    }

    /// Bytes that are held now.
    pub fn used(&self) -> usize {
        self.state().used()
    }

    /// What one request of this client will hold: nothing yet.
    pub fn holding(&self, client: IpAddr) -> Holding {
        let id = self.state().open(Source::new(client));
        Holding(Arc::new(Opened { memory: self.clone(), id }))
    }

    /// What finds it for as long as it is there.
    fn downgrade(&self) -> Weak<Mutex<State>> {
        Arc::downgrade(&self.0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The accounts of all workers, for a sum of what is held. Requests never take its lock. Its clones are the same.
#[derive(Clone, Debug, Default)]
pub struct HeldAccounts(Arc<Mutex<Vec<Weak<Mutex<State>>>>>);

impl HeldAccounts {
    /// Counts this account as well, for as long as somebody has it.
    pub(crate) fn add(&self, account: &HeldMemory) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|account| account.strong_count() > 0);
        all.push(account.downgrade());
    }

    /// Bytes that are held now, in all workers.
    pub fn used(&self) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The same account may stand here twice, for two configurations of one worker.
        let mut accounts: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
        accounts.sort_by_key(Arc::as_ptr);
        accounts.dedup_by(|one, other| Arc::ptr_eq(one, other));
        accounts.into_iter().map(|account| HeldMemory(account).used()).sum()
    }
}

fn overloaded(detail: String) -> Denial {
    Denial::new(Code::Overloaded, detail).advising(Advice::RetryAfter { seconds: 1 })
}

/// What one request holds. Its clones are the same holding, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Holding(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    memory: HeldMemory,
    id: Id,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.memory.state().close(self.id);
    }
}

impl Holding {
    /// Takes memory, which is given back when what is returned is dropped.
    ///
    /// # Errors
    /// No memory is left (503).
    pub fn take(&self, bytes: usize, now: Duration) -> Result<Taken, Denial> {
        self.0.memory.state().take(self.0.id, bytes, now)?;
        Ok(Taken { holding: self.clone(), bytes })
    }
}

/// Memory that was taken; given back when it is dropped.
#[derive(Debug)]
pub struct Taken {
    holding: Holding,
    bytes: usize,
}

impl Taken {
    /// Takes more.
    ///
    /// # Errors
    /// No memory is left (503). What was taken before stays taken.
    pub fn grow(&mut self, more: usize, now: Duration) -> Result<(), Denial> {
        self.holding.0.memory.state().take(self.holding.0.id, more, now)?;
        self.bytes = self.bytes.saturating_add(more);
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.holding.0.memory.state().give_back(self.holding.0.id, self.bytes);
    }
}

/// Bytes, and the memory that was taken for them.
struct Owned<T> {
    bytes: T,
    _taken: Taken,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Owned<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// A body that was read.
pub(crate) enum Collected {
    /// To its end.
    Whole(Bytes),
    /// More than was wanted of it.
    Beyond(Bytes),
}

/// Reads a body to its end, or until it is larger than `most`. `announced` is how much it says that it will be, and `now`
/// tells the time on a clock that never goes back.
///
/// # Errors
/// The reader's own, and that no memory is left.
pub(crate) async fn collect<R>(
    reader: &mut R,
    announced: Option<u64>,
    most: usize,
    holding: &Holding,
    now: impl Fn() -> Duration,
) -> Result<Collected, Denial>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<Denial>,
{
    let Holding(opened) = holding;
    // What is beyond `most` is not kept, but for the part with which it is found out.
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(most);
    opened.memory.state().read(opened.id, now());
    let mut beyond = false;
    loop {
        let frame = poll_fn(|cx| {
            let frame = Pin::new(&mut *reader).poll_frame(cx);
            // Whoever is given up while waiting is woken for it.
            match (&frame, opened.memory.state().watch(opened.id, cx.waker())) {
                (_, Err(denial)) => Poll::Ready(Err(denial)),
                (Poll::Pending, Ok(())) => Poll::Pending,
                (Poll::Ready(_), Ok(())) => frame.map(Ok),
            }
        });
        let Some(frame) = frame.await? else { break };
        // Trailer fields come last, and nobody judges them.
        let Ok(part) = frame.map_err(Into::into)?.into_data() else { break };
        if opened.memory.state().push(opened.id, &part, announced, now())? > most {
            beyond = true;
            break;
        }
    }
    let (data, bytes) = opened.memory.state().finish(opened.id).unwrap_or_default();
    let read = own(data, Taken { holding: holding.clone(), bytes });
    Ok(if beyond { Collected::Beyond(read) } else { Collected::Whole(read) })
}

/// Takes memory for what an inspector has made of a body.
///
/// # Errors
/// No memory is left.
pub(crate) fn keep(bytes: Bytes, holding: &Holding, now: Duration) -> Result<Bytes, Denial> {
    let taken = holding.take(bytes.len(), now)?;
    Ok(own(bytes, taken))
}

fn own<T: AsRef<[u8]> + Send + 'static>(bytes: T, taken: Taken) -> Bytes {
    if bytes.as_ref().is_empty() { Bytes::new() } else { Bytes::from_owner(Owned { bytes, _taken: taken }) }
}

#[cfg(test)]
mod tests;
