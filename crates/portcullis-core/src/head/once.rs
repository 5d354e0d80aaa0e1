//! A field that may stand in a request at most once.

use std::borrow::Cow;
use std::fmt;

/// What a request holds under a name that must not repeat.
///
/// Whoever reads a credential must say what happens in each case: a repeated one is not an absent one.
#[derive(Clone, PartialEq, Eq)]
pub enum Once<'a> {
    /// It is not there.
    Absent,
    /// It is there once.
    One(Cow<'a, str>),
    /// It is there more than once.
    Repeated,
    /// It is there once, and it is not text.
    Unreadable,
}

// SECURITY: it may be a credential (what_holds_a_credential_does_not_show_it).
impl fmt::Debug for Once<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Once::Absent => f.write_str("Absent"),
            Once::One(value) => write!(f, "One({} bytes)", value.len()),
            Once::Repeated => f.write_str("Repeated"),
            Once::Unreadable => f.write_str("Unreadable"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_by_its_length_alone() {
        let shown = |once: Once<'_>| format!("{once:?}");
        assert_eq!(shown(Once::One("hunter2".into())), "One(7 bytes)");
        assert_eq!(shown(Once::Absent), "Absent");
        assert_eq!(shown(Once::Repeated), "Repeated");
        assert_eq!(shown(Once::Unreadable), "Unreadable");
    }
}
