//! When a quota begins anew: at the full hour, at midnight, or on the first of the month, in a time zone.
//!
//! A day that begins at another hour, because clocks are put forward or back, is shorter or longer; a quota is by the
//! calendar, not by so many hours.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A period of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CalendarUnit {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

/// A calendar: a unit, and where it begins.
#[derive(Clone)]
pub struct Calendar {
    unit: CalendarUnit,
    zone: TimeZone,
    /// The window that was asked about last: its begin in minutes since 1970, and its length in minutes.
    last: Arc<AtomicU64>,
}

/// No time zone has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownZone;

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {:?}", self.unit, self.zone.iana_name())
    }
}

impl Calendar {
    /// A calendar in the zone with this IANA name, such as `Europe/Berlin` or `UTC`.
    ///
    /// # Errors
    /// No zone has this name.
    pub fn new(unit: CalendarUnit, zone: &str) -> Result<Calendar, UnknownZone> {
        let zone = TimeZone::get(zone).map_err(|_| UnknownZone)?;
        Ok(Calendar { unit, zone, last: Arc::new(AtomicU64::new(0)) })
    }

    /// The window that has this moment: its begin and its end, in whole seconds since 1970.
    pub fn window(&self, unix: u64) -> (u64, u64) {
        let last = self.last.load(Ordering::Relaxed);
        let (begin, length) = ((last >> 32) * 60, (last & 0xffff_ffff) * 60);
        if (begin..begin + length).contains(&unix) {
            return (begin, begin + length);
        }
        let Some((begin, end)) = self.find(unix) else {
            // A time beyond the calendar; each day of it is a window.
            let begin = unix - unix % 86_400;
            return (begin, begin + 86_400);
        };
        // Some zones were off by seconds before 1972; those windows are not remembered.
        if begin % 60 == 0
            && end % 60 == 0
            && let (Ok(minutes), Ok(length)) = (u32::try_from(begin / 60), u32::try_from((end - begin) / 60))
        {
            self.last.store(u64::from(minutes) << 32 | u64::from(length), Ordering::Relaxed);
        }
        (begin, end)
    }

    fn find(&self, unix: u64) -> Option<(u64, u64)> {
        let now = Timestamp::from_second(i64::try_from(unix).ok()?).ok()?.to_zoned(self.zone.clone());
        let (begin, length): (Zoned, Span) = match self.unit {
            CalendarUnit::Hour => {
                // Where clocks are put back, an hour of the same name comes twice; both are one window each.
                let into = u64::try_from(now.minute()).ok()? * 60 + u64::try_from(now.second()).ok()?;
                let begin = unix.checked_sub(into)?;
                return Some((begin, begin + 3600));
            }
            CalendarUnit::Day => (now.start_of_day().ok()?, Span::new().try_days(1).ok()?),
            CalendarUnit::Month => {
                (now.first_of_month().ok()?.start_of_day().ok()?, Span::new().try_months(1).ok()?)
            }
        };
        let end = begin.checked_add(length).ok()?.start_of_day().ok()?;
        let second = |time: &Zoned| u64::try_from(time.timestamp().as_second()).ok();
        let (begin, end) = (second(&begin)?, second(&end)?);
        (end > begin).then_some((begin, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(unit: CalendarUnit, zone: &str, now: &str) -> (String, String) {
        let now: Timestamp = now.parse().unwrap();
        let (begin, end) = Calendar::new(unit, zone).unwrap().window(now.as_second() as u64);
        let text = |second: u64| Timestamp::from_second(second as i64).unwrap().to_string();
        (text(begin), text(end))
    }

    fn pair(begin: &str, end: &str) -> (String, String) {
        (begin.to_owned(), end.to_owned())
    }

    #[test]
    fn a_quota_begins_anew_by_the_calendar() {
        let at = "2026-11-27T17:10:04Z";
        for (unit, zone, begin, end) in [
            (CalendarUnit::Hour, "UTC", "2026-11-27T17:00:00Z", "2026-11-27T18:00:00Z"),
            (CalendarUnit::Hour, "Asia/Kolkata", "2026-11-27T16:30:00Z", "2026-11-27T17:30:00Z"),
            (CalendarUnit::Day, "UTC", "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z"),
            (CalendarUnit::Day, "Europe/Berlin", "2026-11-26T23:00:00Z", "2026-11-27T23:00:00Z"),
            (CalendarUnit::Month, "UTC", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            (CalendarUnit::Month, "America/New_York", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"),
        ] {
            assert_eq!(window(unit, zone, at), pair(begin, end), "{unit:?} {zone}");
        }
    }

    #[test]
    fn a_day_on_which_clocks_change_is_one_window() {
        assert_eq!(
            window(CalendarUnit::Day, "Europe/Berlin", "2026-10-25T12:00:00Z"),
            pair("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")
        );
        assert_eq!(
            window(CalendarUnit::Day, "Europe/Berlin", "2026-03-29T12:00:00Z"),
            pair("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")
        );
    }

    #[test]
    fn a_remembered_window_is_never_used_outside_of_it() {
        let calendar = Calendar::new(CalendarUnit::Day, "UTC").unwrap();
        for unix in [100, 86_399, 86_400, 10, 172_800, 86_401, 4_102_444_800] {
            let (begin, end) = calendar.window(unix);
            assert_eq!((begin, end), (unix - unix % 86_400, unix - unix % 86_400 + 86_400), "{unix}");
            assert_eq!(calendar.window(unix), (begin, end));
        }
        assert!(Calendar::new(CalendarUnit::Day, "Mars/Olympus").is_err());
    }
}
