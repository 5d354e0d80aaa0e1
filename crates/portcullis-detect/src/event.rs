//! What a detector gets to know of a request.
//!
//! An event is small, has a fixed size and holds no credential: numbers stand for credentials and paths. The texts in it are
//! cut, and only for people to read.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Never goes back. Everything is measured on it.
    pub steady: Duration,
    /// Time since 1970, for people. May jump.
    pub unix: Duration,
}

/// A text of at most `N` bytes; a longer one is cut, between two characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> Text<N> {
    /// The beginning of this text.
    pub fn new(text: &str) -> Text<N> {
        let most = N.min(usize::from(u8::MAX));
        let end = (0..=text.len().min(most)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let mut bytes = [0; N];
        bytes.iter_mut().zip(text.bytes().take(end)).for_each(|(place, byte)| *place = byte);
        Text { bytes, length: u8::try_from(end).unwrap_or(0) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// A consumer, or somebody for whom an issuer vouches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// A number for it. No two names that matter share one.
    pub number: u64,
    /// Its beginning, for people.
    pub text: Text<48>,
}

/// Who sent a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Who {
    /// Nobody in particular.
    #[default]
    Nobody,
    /// It was established that it is this one.
    Is(Name),
    /// Somebody who tried to be this one, and could not show it. Anybody can.
    Claims(Name),
}

/// How a request ended, as far as a detector cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// It was answered; see the status.
    #[default]
    Served,
    /// The credential is nobody's, or its sender must wait for having guessed.
    WrongCredential,
    /// There was no credential.
    NoCredential,
    /// The credential was good once, or is good elsewhere.
    StaleCredential,
    /// A proof of possession was used before.
    Replayed,
    /// A role, a scope or a claim is missing.
    Forbidden,
    /// The path names something of somebody else.
    NotOwner,
    /// Nothing has this path or method.
    NotFound,
    /// The head or the path is not one that honest software sends.
    Malformed,
    /// A limit is used up.
    Limited,
    /// The request is not as the interface describes it.
    Invalid,
    /// It looks like an attack, by the rules of the route.
    Attack,
    /// Its sender is blocked.
    Blocked,
    /// The upstream or the gateway failed.
    Failed,
    /// The client went away.
    Aborted,
    /// Refused for another reason.
    Other,
}

/// What a detector gets to know of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it ended.
    pub at: Moment,
    /// Where it came from: an IPv4 address, or the /64 of an IPv6 one.
    pub source: IpAddr,
    /// Who sent it.
    pub who: Who,
    /// A number for the credential that established who.
    pub credential: Option<u64>,
    /// A number for a credential that was refused.
    pub tried: Option<u64>,
    /// A number for its route that outlives a reload; 0 for none.
    pub route: u32,
    /// A number for its path.
    pub path: u64,
    /// The beginning of its path, for people.
    pub path_text: Text<64>,
    /// How it ended.
    pub ending: Ending,
    /// The status that the client got; 0 for none.
    pub status: u16,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// A number for what was wrong with the request. The same mistake has the same one.
    pub mistake: u64,
    /// Whether a public route was sent a credential.
    pub unasked_credential: bool,
    /// Whether its route is public.
    pub public: bool,
}

impl Event {
    /// Who sent it, if that was established.
    pub fn established(&self) -> Option<Name> {
        match self.who {
            Who::Is(name) => Some(name),
            Who::Nobody | Who::Claims(_) => None,
        }
    }

    /// What its sender is counted by: who it is, or else where it comes from.
    pub fn sender(&self) -> Sender {
        self.established().map_or(Sender::Source(self.source), |name| Sender::Name(name.number))
    }

    /// The network that its address belongs to: the /16 of an IPv4 address, the /40 of an IPv6 one. Servers of one
    /// customer, and a phone in one mobile network, usually stay in one.
    pub fn network(&self) -> IpAddr {
        match self.source {
            IpAddr::V4(address) => IpAddr::V4((address.to_bits() & 0xffff_0000).into()),
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !((1 << 88) - 1)).into()),
        }
    }
}

/// What a sender is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// A name's number.
    Name(u64),
    /// An address.
    Source(IpAddr),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(Text::<5>::new("abcdefg").as_str(), "abcde");
        assert_eq!(Text::<5>::new("abcdé").as_str(), "abcd");
        assert_eq!(Text::<5>::new("").as_str(), "");
        assert_eq!(Text::<2>::new("é").as_str(), "é");
    }
}
