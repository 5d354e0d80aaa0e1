//! Memory for bodies that are held until they are judged.
//!
//! Whoever holds a body takes its memory from one account, as the bytes come in and not as they are announced, and gives
//! it back when the last byte is gone. Where the account is used up, the request is refused with 503: a crowd of large
//! bodies must not take the process down.

use crate::denial::{Advice, Code, Denial};
use bytes::Bytes;
use http_body::Body;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The account of what is held at once. Its clones are the same account.
#[derive(Clone, Debug)]
pub struct HeldMemory(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: usize,
    used: AtomicUsize,
}

impl HeldMemory {
    /// What a worker may hold where nobody says otherwise: 64 MiB.
    pub const DEFAULT_BYTES: usize = 64 * 1024 * 1024;

    /// An account of so many bytes.
    pub fn new(limit: usize) -> HeldMemory {
        HeldMemory(Arc::new(Account { limit, used: AtomicUsize::new(0) }))
    }

    /// Bytes that are held now.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    fn take(&self, more: usize) -> Result<(), Denial> {
        let limit = self.0.limit;
        let fits = |used: usize| used.checked_add(more).filter(|sum| *sum <= limit);
        match self.0.used.try_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(used) => Err(overloaded(format!("{used} of {limit} bytes for held bodies are used"))),
        }
    }
}

fn overloaded(detail: String) -> Denial {
    Denial::new(Code::Overloaded, detail).advising(Advice::RetryAfter { seconds: 1 })
}

/// What was taken from an account; given back when it is dropped.
struct Taken {
    memory: HeldMemory,
    bytes: usize,
}

impl Taken {
    fn grow_to(&mut self, bytes: usize) -> Result<(), Denial> {
        self.memory.take(bytes.saturating_sub(self.bytes))?;
        self.bytes = self.bytes.max(bytes);
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.memory.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
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

/// Reads a body to its end, or until it is larger than `most`. `announced` is how much it says that it will be.
///
/// # Errors
/// The reader's own, and that no memory is left.
pub(crate) async fn collect<R>(
    reader: &mut R,
    announced: Option<u64>,
    most: usize,
    memory: &HeldMemory,
) -> Result<Collected, Denial>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<Denial>,
{
    let mut data: Vec<u8> = Vec::new();
    let mut taken = Taken { memory: memory.clone(), bytes: 0 };
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *reader).poll_frame(cx)).await {
        // Trailer fields come last, and nobody judges them.
        let Ok(part) = frame.map_err(Into::into)?.into_data() else { break };
        let size = data.len().saturating_add(part.len());
        if size > data.capacity() {
            // SECURITY: memory is taken as bytes come in; what is merely announced costs the sender nothing and must cost
            // nothing here (an_announced_body_takes_no_memory).
            let capacity = data.capacity().saturating_mul(2).max(1024).min(announced).max(size);
            taken.grow_to(capacity)?;
            data.try_reserve_exact(capacity - data.len())
                .map_err(|_| overloaded("the system has no memory left".into()))?;
        }
        data.extend_from_slice(&part);
        if size > most {
            return Ok(Collected::Beyond(own(data, taken)));
        }
    }
    Ok(Collected::Whole(own(data, taken)))
}

/// Takes memory for what an inspector has made of a body.
///
/// # Errors
/// No memory is left.
pub(crate) fn keep(bytes: Bytes, memory: &HeldMemory) -> Result<Bytes, Denial> {
    let mut taken = Taken { memory: memory.clone(), bytes: 0 };
    taken.grow_to(bytes.len())?;
    Ok(own(bytes, taken))
}

fn own<T: AsRef<[u8]> + Send + 'static>(bytes: T, taken: Taken) -> Bytes {
    if bytes.as_ref().is_empty() { Bytes::new() } else { Bytes::from_owner(Owned { bytes, _taken: taken }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_with_the_last_of_the_bytes() {
        let memory = HeldMemory::new(100);
        let kept = keep(Bytes::from_static(&[1; 60]), &memory).unwrap();
        assert_eq!(
            keep(Bytes::from_static(&[1; 41]), &memory).map_err(|denial| denial.code()),
            Err(Code::Overloaded)
        );
        let part = kept.slice(10..20);
        drop(kept);
        assert_eq!(memory.used(), 60, "a part keeps the whole alive");
        drop(part);
        assert_eq!(memory.used(), 0);
        assert!(keep(Bytes::from_static(&[1; 100]), &memory).is_ok());
        let mut taken = Taken { memory, bytes: 0 };
        assert!(taken.grow_to(usize::MAX).is_err());
    }
}
