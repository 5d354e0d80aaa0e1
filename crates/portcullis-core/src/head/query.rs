//! The query: well-formed or refused, otherwise left as the client spelled it.
//!
//! What a parameter means is for whoever declared it to say; here only its bytes are judged, and a parameter can be
//! asked for by its decoded name.

use super::once::Once;
use super::path::escape;
use std::borrow::Cow;

/// Whether `raw` (without the `?`) is a query that every server reads in the same bytes.
///
/// Browsers send some characters raw that RFC 3986 wants escaped (`[`, `]`, `|`, `{`, `}`, `^`, `` ` ``, `"`, `\`);
/// they have one reading, so they pass. Control characters, also escaped ones, and broken escapes do not.
pub fn well_formed(raw: &str) -> Result<(), &'static str> {
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match escape(&mut bytes) {
                Some(0) => return Err("the query has an escaped NUL"),
                Some(_) => {}
                None => return Err("the query has a broken percent escape"),
            },
            b'#' | b'<' | b'>' | 0..=0x20 | 0x7f.. => {
                return Err("the query has a character that must be escaped");
            }
            _ => {}
        }
    }
    Ok(())
}

/// The parameter with this decoded name, decoded as a form would (`+` is a space).
pub fn parameter<'a>(query: Option<&'a str>, name: &str) -> Once<'a> {
    let mut found = Once::Absent;
    for pair in query.unwrap_or_default().split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !matches!(decode(key), Some(key) if key == name) {
            continue;
        }
        if !matches!(found, Once::Absent) {
            return Once::Repeated;
        }
        found = decode(value).map_or(Once::Unreadable, Once::One);
    }
    found
}

/// The decoded names of all parameters, in their order; `None` for one that is not UTF-8.
pub fn names(query: Option<&str>) -> impl Iterator<Item = Option<Cow<'_, str>>> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| decode(pair.split_once('=').map_or(pair, |(key, _)| key)))
}

/// The query without the parameters that have one of these decoded names. `None` where nothing is left.
pub fn without(query: &str, names: &[&str]) -> Option<String> {
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let key = pair.split_once('=').map_or(*pair, |(key, _)| key);
            !matches!(decode(key), Some(key) if names.contains(&key.as_ref()))
        })
        .collect();
    let kept = kept.join("&");
    (!kept.is_empty()).then_some(kept)
}

fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(raw));
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => escape(&mut bytes)?,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_queries_pass_and_others_do_not() {
        for good in ["", "a=1&b=2", "q=%C3%A9+x", "filter[name]=x|y", "a=b=c&&=", "path=/../x;y"] {
            assert_eq!(well_formed(good), Ok(()), "{good}");
        }
        for bad in ["a=%", "a=%2", "a=%zz", "a=%00", "a=\u{1}", "a= b", "a=\u{e9}", "a=<b>"] {
            assert!(well_formed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_parameter_is_found_by_its_decoded_name_and_only_once() {
        assert_eq!(parameter(Some("a=1&key=k%2B1+x"), "key"), Once::One("k+1 x".into()));
        assert_eq!(parameter(Some("a=1&k%65y=2"), "key"), Once::One("2".into()));
        assert_eq!(parameter(Some("key=1&k%65y=2"), "key"), Once::Repeated);
        assert_eq!(parameter(Some("key"), "key"), Once::One("".into()));
        assert_eq!(parameter(Some("key=%ff"), "key"), Once::Unreadable);
        assert_eq!(parameter(Some("KEY=1"), "key"), Once::Absent);
        assert_eq!(parameter(None, "key"), Once::Absent);
    }

    #[test]
    fn names_are_decoded() {
        let found: Vec<_> = names(Some("a=1&&k%65y&x+y=2&%ff=3")).collect();
        assert_eq!(found, [Some("a".into()), Some("key".into()), Some("x y".into()), None]);
        assert_eq!(names(None).count(), 0);
    }

    #[test]
    fn a_credential_leaves_the_query_in_every_spelling() {
        assert_eq!(without("a=1&key=s&b=2", &["key"]).as_deref(), Some("a=1&b=2"));
        assert_eq!(without("k%65y=s", &["key"]), None);
        assert_eq!(without("keys=1", &["key"]).as_deref(), Some("keys=1"));
    }
}
