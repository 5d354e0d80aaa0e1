//! Memory for judging, counted by whoever lends it.

/// An account from which the judging of one message takes its memory. What was taken is given back when the message has been
/// judged.
pub trait Memory {
    /// Takes so many bytes more. `false`: there are none left, and the message is refused.
    fn take(&self, bytes: usize) -> bool;
}

/// Nobody counts.
impl Memory for () {
    fn take(&self, _: usize) -> bool {
        true
    }
}
