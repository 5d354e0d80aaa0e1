//! When a certificate is renewed, and when a failure is tried again.
//!
//! A certificate is renewed when a third of its life is left, or when the authority wishes it (RFC 9773), each a little
//! earlier than it could be, so that many gateways do not come at once. A failure is tried again after a pause that doubles,
//! and never before the authority said.

use std::time::Duration;

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// The longest pause of our own after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// The longest pause that the authority can ask for. Limits of a week are common.
pub(super) const LONGEST_ASKED: Duration = Duration::from_secs(7 * 24 * 3600);

/// When the authority wants a certificate renewed, since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: Duration,
    pub(super) end: Duration,
}

/// A number between 0 and 1 of random bytes.
pub(super) fn share(random: [u8; 16]) -> f64 {
    let [a, b, ..] = random;
    f64::from(u16::from_le_bytes([a, b])) / f64::from(u16::MAX)
}

/// When a certificate that is valid in `life` is renewed, since 1970.
pub(super) fn due(
    life: (Duration, Duration),
    renew_before: Option<Duration>,
    window: Option<&Window>,
    share: f64,
) -> Duration {
    let (starts, ends) = life;
    let whole = ends.saturating_sub(starts);
    // Never so early that a new certificate would be due at once.
    let before = renew_before.map_or(whole / 3, |before| before.min(whole * 9 / 10));
    let early = (whole / 30).mul_f64(share);
    let ours = ends.saturating_sub(before).saturating_sub(early);
    let Some(window) = window else { return ours };
    let theirs = window.start + window.end.saturating_sub(window.start).mul_f64(share);
    // The authority knows better, but neither what the operator wrote nor the certificate's end.
    let latest = if renew_before.is_some() { ours } else { ends.saturating_sub(whole / 6) };
    theirs.min(latest)
}

/// How long to wait after so many failures.
pub(super) fn pause(first: Duration, failures: u32, asked: Option<Duration>, share: f64) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    // An operator who wrote a longer one gets it.
    let own = doubled.min(LONGEST_PAUSE.max(first));
    let own = own + (own / 4).mul_f64(share);
    own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(count: u64) -> Duration {
        DAY * u32::try_from(count).unwrap()
    }

    #[test]
    fn a_third_of_the_life_is_left() {
        let life = (days(1000), days(1090));
        assert_eq!(due(life, None, None, 0.0), days(1060));
        assert_eq!(due(life, None, None, 1.0), days(1057));
        assert_eq!(due(life, Some(days(10)), None, 0.0), days(1080));
        // More than its life would order without end.
        assert_eq!(due(life, Some(days(1000)), None, 0.0), days(1009));
        assert!(due(life, Some(days(1000)), None, 1.0) > days(1000) + DAY * 5);
    }

    #[test]
    fn the_authority_says_when() {
        let life = (days(1000), days(1090));
        let window = |start, end| Window { start: days(start), end: days(end) };
        assert_eq!(due(life, None, Some(&window(1002, 1004)), 0.5), days(1003), "after a mistake of theirs");
        assert_eq!(due(life, None, Some(&window(1070, 1072)), 0.5), days(1071));
        assert_eq!(due(life, None, Some(&window(2000, 2002)), 0.5), days(1075), "never after its end");
        assert_eq!(due(life, Some(days(30)), Some(&window(1070, 1072)), 0.0), days(1060));
        assert_eq!(
            due(life, None, Some(&window(1004, 1002)), 0.5),
            days(1004),
            "a window that makes no sense"
        );
    }

    #[test]
    fn pauses_double_and_the_authority_is_heard() {
        let minute = Duration::from_secs(60);
        let pauses = |asked| [1, 2, 3, 100].map(|failures| pause(minute, failures, asked, 0.0).as_secs());
        assert_eq!(pauses(None), [60, 120, 240, 6 * 3600]);
        assert_eq!(pauses(Some(Duration::from_secs(200))), [200, 200, 240, 6 * 3600]);
        assert_eq!(pauses(Some(Duration::MAX)), [7 * 24 * 3600; 4]);
        assert_eq!(pause(minute, 1, None, 1.0).as_secs(), 75);
        assert_eq!(pause(DAY, 5, None, 0.0), DAY);
    }
}
