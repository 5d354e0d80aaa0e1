//! Where an answer sends its client.
//!
//! An upstream that does not know of the gateway names itself in `Location` and `Content-Location`. Its address is nobody's
//! business, and clients can seldom reach it: what lies on the upstream itself is named by its path alone (RFC 9110,
//! section 10.2.2). References to anywhere else are passed on.

use http::header::{self, HeaderMap, HeaderValue};

/// Makes the references to this upstream (`host:port`, and the path before every request) paths.
pub(crate) fn hide(headers: &mut HeaderMap, authority: &str, base_path: &str) {
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let header::Entry::Occupied(mut entry) = headers.entry(name) else { continue };
        for value in entry.iter_mut() {
            let own = value.to_str().ok().and_then(|url| path_on(url, authority, base_path));
            if let Some(Ok(path)) = own.map(HeaderValue::try_from) {
                *value = path;
            }
        }
    }
}

/// What comes after the authority of a URL on this upstream. `None` for any other URL.
fn path_on(url: &str, authority: &str, base_path: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let port = if scheme.eq_ignore_ascii_case("http") {
        "80"
    } else if scheme.eq_ignore_ascii_case("https") {
        "443"
    } else {
        return None;
    };
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (named, path) = rest.split_at_checked(end)?;
    let named = named.rsplit_once('@').map_or(named, |(_, host)| host);
    let has_port = named.rsplit_once(':').is_some_and(|(_, after)| !after.contains(']'));
    let own = if has_port {
        named.eq_ignore_ascii_case(authority)
    } else {
        authority
            .strip_suffix(port)
            .and_then(|host| host.strip_suffix(':'))
            .is_some_and(|host| named.eq_ignore_ascii_case(host))
    };
    if !own {
        return None;
    }
    let path = match path.strip_prefix(base_path) {
        Some(under) if under.is_empty() || under.starts_with(['/', '?', '#']) => under,
        Some(_) | None => path,
    };
    // SECURITY: `//evil.example` would be a URL on another host (a_path_never_becomes_another_host).
    let query = path.starts_with(['?', '#']);
    Some(format!("/{}", if query { path } else { path.trim_start_matches(['/', '\\']) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(url: &str) -> Option<String> {
        path_on(url, "backend:8080", "/v1")
    }

    #[test]
    fn the_upstream_is_named_by_its_path_alone() {
        for (url, path) in [
            ("http://backend:8080/v1/orders/7?a=b#c", "/orders/7?a=b#c"),
            ("HTTP://Backend:8080/other", "/other"),
            ("https://backend:8080/v10", "/v10"),
            ("http://backend:8080", "/"),
            ("http://backend:8080/v1", "/"),
            ("http://backend:8080?a", "/?a"),
            ("http://user:secret@backend:8080/x", "/x"),
        ] {
            assert_eq!(on(url).as_deref(), Some(path), "{url}");
        }
        assert_eq!(path_on("http://backend/x", "backend:80", "").as_deref(), Some("/x"));
        assert_eq!(path_on("http://[::1]/x", "[::1]:80", "").as_deref(), Some("/x"));
        assert_eq!(path_on("https://backend/x", "backend:443", "").as_deref(), Some("/x"));
    }

    #[test]
    fn what_lies_elsewhere_stays() {
        for url in [
            "/relative",
            "relative",
            "",
            "http://backend:80801/",
            "http://backend/x",
            "http://backend:8080.evil.example/",
            "http://evil.example/?http://backend:8080/",
            "ftp://backend:8080/",
            "//backend:8080/x",
        ] {
            assert_eq!(on(url), None, "{url}");
        }
    }

    #[test]
    fn a_path_never_becomes_another_host() {
        for url in [
            "http://backend:8080//evil.example",
            "http://backend:8080/v1//evil.example",
            "http://backend:8080/\\evil.example",
            "http://backend:8080\\/evil.example",
            "http://backend:8080///evil.example",
        ] {
            assert_eq!(on(url).as_deref(), Some("/evil.example"), "{url}");
        }
    }

    #[test]
    fn every_reference_is_looked_at() {
        let mut headers = HeaderMap::new();
        headers.append("location", HeaderValue::from_static("http://backend:8080/a"));
        headers.append("location", HeaderValue::from_static("http://backend:8080/b"));
        headers.append("content-location", HeaderValue::from_static("http://backend:8080/c"));
        hide(&mut headers, "backend:8080", "");
        let values: Vec<_> = headers.values().collect();
        assert_eq!(values, ["/a", "/b", "/c"]);
    }
}
