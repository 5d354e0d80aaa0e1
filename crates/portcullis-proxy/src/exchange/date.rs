//! The `Date` of answers (RFC 9110, section 6.6.1), written once a second.

use http::header::{DATE, HeaderMap, HeaderValue};
use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

thread_local! {
    static LAST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// Adds the date to an answer that has none.
pub(crate) fn date(headers: &mut HeaderMap) {
    if headers.contains_key(DATE) {
        return;
    }
    // A clock that stands before 1970 is not known to be right, and an answer needs no date then.
    let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else { return };
    let value = LAST.with_borrow_mut(|last| match last {
        Some((second, value)) if *second == now.as_secs() => Some(value.clone()),
        Some(_) | None => {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now.as_secs()));
            let value = HeaderValue::try_from(text).ok()?;
            *last = Some((now.as_secs(), value.clone()));
            Some(value)
        }
    });
    if let Some(value) = value {
        headers.insert(DATE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_one_date() {
        let mut headers = HeaderMap::new();
        date(&mut headers);
        let first = headers.get(DATE).unwrap().clone();
        assert!(first.to_str().unwrap().ends_with(" GMT"), "{first:?}");
        date(&mut headers);
        assert_eq!(headers.get_all(DATE).iter().count(), 1);
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        date(&mut headers);
        assert_eq!(headers.get(DATE).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
