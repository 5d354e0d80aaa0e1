//! The `Date` of answers (RFC 9110, section 6.6.1), written once a second.

use http::header::{DATE, HeaderMap, HeaderValue};
use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

thread_local! {
    /// The date, and until when it is right.
    static LAST: RefCell<Option<(Instant, HeaderValue)>> = const { RefCell::new(None) };
}

/// Adds the date to an answer that has none. `now` is when this turn began, so that the time of day is asked for once a second:
/// a date that somebody sets is told within a second.
pub(crate) fn date(headers: &mut HeaderMap, now: Instant) {
    if headers.contains_key(DATE) {
        return;
    }
    let value = LAST.with_borrow_mut(|last| match last {
        Some((until, value)) if now < *until => Some(value.clone()),
        Some(_) | None => {
            let (text, left) = written(SystemTime::now())?;
            let value = HeaderValue::try_from(text).ok()?;
            *last = Some((now + left, value.clone()));
            Some(value)
        }
    });
    if let Some(value) = value {
        headers.insert(DATE, value);
    }
}

/// A time as a date, and for how long it is that. `None` before 1970: such a clock is not known to be right, and an answer
/// needs no date then.
fn written(time: SystemTime) -> Option<(String, Duration)> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    let second = Duration::from_secs(since.as_secs());
    let left = (second + Duration::from_secs(1)).saturating_sub(since);
    Some((httpdate::fmt_http_date(UNIX_EPOCH + second), left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_one_date() {
        let now = Instant::now();
        let mut headers = HeaderMap::new();
        date(&mut headers, now);
        let first = headers.get(DATE).unwrap().clone();
        assert!(first.to_str().unwrap().ends_with(" GMT"), "{first:?}");
        date(&mut headers, now);
        assert_eq!(headers.get_all(DATE).iter().count(), 1);
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        date(&mut headers, now);
        assert_eq!(headers.get(DATE).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_date_is_right_until_its_second_ends() {
        let at =
            |milliseconds: u64| written(UNIX_EPOCH + Duration::from_millis(784_111_777_000 + milliseconds));
        let date = |second| format!("Sun, 06 Nov 1994 08:49:{second} GMT");
        assert_eq!(at(0), Some((date(37), Duration::from_secs(1))));
        assert_eq!(at(999), Some((date(37), Duration::from_millis(1))));
        assert_eq!(at(1000), Some((date(38), Duration::from_secs(1))));
        assert_eq!(written(UNIX_EPOCH - Duration::from_secs(1)), None);
    }

    #[test]
    fn the_time_of_day_is_asked_for_once_a_second() {
        let of = |now| {
            let mut headers = HeaderMap::new();
            date(&mut headers, now);
            headers.remove(DATE).unwrap()
        };
        let now = Instant::now();
        of(now);
        let mark = HeaderValue::from_static("as it was written");
        LAST.with_borrow_mut(|last| *last = Some((now + Duration::from_millis(500), mark.clone())));
        assert_eq!(of(now + Duration::from_millis(499)), mark);
        assert_ne!(of(now + Duration::from_millis(500)), mark);
    }
}
