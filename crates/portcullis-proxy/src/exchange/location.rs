//! Where an answer sends its client, and where its cookies hold.
//!
//! An upstream that does not know of the gateway names itself in `Location` and `Content-Location`. Its address is nobody's
//! business, and clients can seldom reach it: what lies on the upstream itself is named by its path alone (RFC 9110,
//! section 10.2.2). Where the path of the request was changed on its way, paths are changed back, and so is the path of a
//! cookie (RFC 6265, section 5.2.4). References to anywhere else are passed on.

use crate::upstream::Upstream;
use http::header::{self, HeaderMap, HeaderValue};
use portcullis_core::route::template::Places;

/// What the upstream's paths and hosts are outside.
pub(crate) struct Outside {
    /// The host that the client asked for, with its port.
    pub(crate) host: HeaderValue,
    /// How the route has changed the path; `None` where it has not.
    pub(crate) places: Option<Places>,
}

/// Makes the references to this upstream paths for clients.
pub(crate) fn hide(headers: &mut HeaderMap, upstream: &Upstream, outside: &Outside) {
    let Upstream { authority, base_path, .. } = upstream;
    let places = places(base_path, outside.places.as_ref());
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let header::Entry::Occupied(mut entry) = headers.entry(name) else { continue };
        for value in entry.iter_mut() {
            let outer = value
                .to_str()
                .ok()
                .and_then(|url| located(url, authority, base_path, outside, places.as_ref()));
            if let Some(Ok(path)) = outer.map(HeaderValue::try_from) {
                *value = path;
            }
        }
    }
    if let Some(places) = &places
        && let header::Entry::Occupied(mut entry) = headers.entry(header::SET_COOKIE)
    {
        for value in entry.iter_mut() {
            if let Some(Ok(cookie)) =
                value.to_str().ok().and_then(|text| cookie(text, places)).map(HeaderValue::try_from)
            {
                *value = cookie;
            }
        }
    }
}

/// How paths at the upstream are called outside: the path of its URL comes before what the route makes of a path. `None`
/// where they are the same.
fn places(base_path: &str, changed: Option<&Places>) -> Option<Places> {
    if base_path.is_empty() && changed.is_none() {
        return None;
    }
    let Places { inner, outer } = changed.cloned().unwrap_or_default();
    Some(Places { inner: format!("{base_path}{inner}"), outer })
}

/// The reference for clients, where it is another one.
fn located(
    url: &str,
    authority: &str,
    base_path: &str,
    outside: &Outside,
    places: Option<&Places>,
) -> Option<String> {
    // Only a path, which is one at the upstream. `//` and `/\` begin a host.
    if url.starts_with('/') && !url.starts_with("//") && !url.starts_with("/\\") {
        return places?.outside(url);
    }
    if let Some(own) = on_own_host(url, outside) {
        let (origin, path) = url.split_at_checked(own)?;
        return Some(format!("{origin}{}", places?.outside(path)?));
    }
    let path = path_on(url, authority, base_path)?;
    let changed = outside.places.as_ref().and_then(|places| places.outside(&path));
    Some(changed.unwrap_or(path))
}

/// Where the path begins in a URL on the host that the client asked for.
fn on_own_host(url: &str, outside: &Outside) -> Option<usize> {
    let (scheme, rest) = url.split_once("://")?;
    let named = rest.split(['/', '?', '#', '\\']).next()?;
    let own = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        && outside.host.to_str().is_ok_and(|host| host.eq_ignore_ascii_case(named));
    own.then_some(scheme.len() + "://".len() + named.len())
}

/// A cookie that holds where the path of the upstream is outside. `None` where nothing changes.
fn cookie(text: &str, places: &Places) -> Option<String> {
    // Such a cookie must be for the whole host (RFC 6265bis, section 4.1.3.2).
    if text.trim_start().get(..7).is_some_and(|prefix| prefix.eq_ignore_ascii_case("__Host-")) {
        return None;
    }
    let mut changed = false;
    let parts: Vec<String> = text
        .split(';')
        .enumerate()
        .map(|(index, part)| {
            let path = part
                .split_once('=')
                .filter(|(name, _)| index > 0 && name.trim().eq_ignore_ascii_case("path"));
            match path.and_then(|(_, path)| places.outside(path.trim())) {
                Some(path) => {
                    changed = true;
                    format!(" Path={path}")
                }
                None => part.to_owned(),
            }
        })
        .collect();
    changed.then(|| parts.join(";"))
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

    fn outside(places: Option<(&str, &str)>) -> Outside {
        let places = places.map(|(inner, outer)| Places { inner: inner.to_owned(), outer: outer.to_owned() });
        Outside { host: HeaderValue::from_static("api.example.com"), places }
    }

    /// What becomes of a field of an answer of `http://backend:8080` with this base path.
    fn hidden(base: &str, changed: Option<(&str, &str)>, name: &'static str, value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        let upstream = Upstream { base_path: base.to_owned(), ..Upstream::new("backend:8080".to_owned()) };
        hide(&mut headers, &upstream, &outside(changed));
        headers[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_reference_is_changed_back_where_the_path_was_changed() {
        for (base, changed, url, outer) in [
            // Without a prefix.
            ("", Some(("", "/api")), "/orders/7?a#b", "/api/orders/7?a#b"),
            ("", Some(("", "/api")), "/", "/api/"),
            ("", Some(("", "/api")), "http://backend:8080/orders", "/api/orders"),
            ("", Some(("", "/api")), "https://api.example.com/orders", "https://api.example.com/api/orders"),
            // Another path.
            ("", Some(("/v2", "/api")), "/v2/orders", "/api/orders"),
            ("", Some(("/v2", "/api")), "/v20/orders", "/v20/orders"),
            ("", Some(("/v2", "/api")), "/login", "/login"),
            // The path of the upstream's URL.
            ("/base", None, "/base/orders", "/orders"),
            ("/base", None, "/base", "/"),
            ("/base", None, "/baseless", "/baseless"),
            ("/base", Some(("/v2", "/api")), "/base/v2/orders", "/api/orders"),
            ("/base", Some(("", "/api")), "http://backend:8080/base/orders", "/api/orders"),
            // Elsewhere.
            ("", Some(("", "/api")), "https://login.example.com/x", "https://login.example.com/x"),
            ("", Some(("", "/api")), "//evil.example/x", "//evil.example/x"),
            ("", Some(("", "/api")), "orders/7", "orders/7"),
            ("/base", None, "/base//evil.example", "/evil.example"),
            ("/base", None, "/base/\\evil.example", "/evil.example"),
            ("", None, "/orders", "/orders"),
        ] {
            assert_eq!(hidden(base, changed, "location", url), outer, "{base} {changed:?} {url}");
        }
    }

    #[test]
    fn a_cookie_holds_where_its_path_is_outside() {
        let cookie = |base, changed, text| hidden(base, changed, "set-cookie", text);
        let api = Some(("", "/api"));
        assert_eq!(cookie("", api, "a=1; Path=/; HttpOnly"), "a=1; Path=/api/; HttpOnly");
        assert_eq!(cookie("", api, "a=1; path=/x"), "a=1; Path=/api/x");
        assert_eq!(cookie("/base", None, "a=1; Path=/base"), "a=1; Path=/");
        assert_eq!(cookie("/base", None, "a=1; Path=/"), "a=1; Path=/");
        assert_eq!(cookie("", api, "__Host-a=1; Path=/; Secure"), "__Host-a=1; Path=/; Secure");
        assert_eq!(cookie("", api, "path=/x"), "path=/x");
        assert_eq!(cookie("", api, "a=1"), "a=1");
        assert_eq!(cookie("", None, "a=1; Path=/x"), "a=1; Path=/x");
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
        hide(&mut headers, &Upstream::new("backend:8080".to_owned()), &outside(None));
        let values: Vec<_> = headers.values().collect();
        assert_eq!(values, ["/a", "/b", "/c"]);
    }
}
