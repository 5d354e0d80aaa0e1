//! What a client may see of an answer.
//!
//! Fields that concern the inner connection, that tell what the upstream is made of, that would steer the client around
//! the gateway, or that only the gateway may set are removed; the protective fields are added. An answer that cannot
//! be passed on without guessing is refused.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use portcullis_core::answer::{REQUEST_ID, Told, secure};
use portcullis_core::head::IDENTITY_PREFIX;
use portcullis_core::route::changes::{Changes, Protection, UpstreamErrors};
use portcullis_core::{Code, Denial, RequestId};

/// Whether an answer with this head can be passed on at all.
///
/// # Errors
/// A status outside 200 to 599, two different media types, or a transfer coding other than `chunked` (RFC 9112, section 6.1).
pub(crate) fn judge(status: StatusCode, version: Version, headers: &HeaderMap) -> Result<(), Denial> {
    let malformed = |detail: String| Err(Denial::new(Code::UpstreamMalformed, detail));
    if !(200..600).contains(&status.as_u16()) {
        return malformed(format!("the upstream answered with status {}", status.as_u16()));
    }
    // SECURITY: an answer is judged by its media type, and a browser may go by another line than the gateway
    // (an_answer_with_two_media_types_is_refused).
    let mut media_types = headers.get_all(header::CONTENT_TYPE).iter();
    if let Some(first) = media_types.next()
        && media_types.any(|other| other != first)
    {
        return malformed("the upstream says two media types".to_owned());
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    // SECURITY: any other coding would be read up to the end of the connection, and the client would get its bytes without
    // the field that explains them (an_unknown_transfer_coding_is_refused).
    if codings.next().is_some()
        || !coding.as_bytes().eq_ignore_ascii_case(b"chunked")
        || version != Version::HTTP_11
    {
        return malformed("the upstream's Transfer-Encoding is not chunked, once".to_owned());
    }
    Ok(())
}

/// Cleans the fields of an answer that is passed on. `bodiless` where the answer has no body of its own.
pub(crate) fn clean(
    headers: &mut HeaderMap,
    method: &Method,
    bodiless: bool,
    id: &RequestId,
    changes: Option<&Changes>,
    told: Option<&Told>,
) {
    let mut leaving: Vec<HeaderName> = Vec::new();
    let mut connection = false;
    for name in headers.keys() {
        match removed(name.as_str()) {
            Removed::Stays => {}
            Removed::Goes => leaving.push(name.clone()),
            Removed::Connection => connection = true,
        }
    }
    if connection {
        named_by_connection(headers, &mut leaving);
    }
    // The front frames the body anew. Only the answer to HEAD has a length without a body (RFC 9110, section 8.6).
    let length_stays = bodiless && method == Method::HEAD && !headers.contains_key(header::TRANSFER_ENCODING);
    if !length_stays || !has_one_length(headers) {
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in leaving {
        headers.remove(name);
    }
    // The lines of one media type are the same, or the answer would have been refused. One says it as well.
    if let header::Entry::Occupied(mut media_type) = headers.entry(header::CONTENT_TYPE)
        && media_type.iter().nth(1).is_some()
    {
        let said = media_type.get().clone();
        media_type.insert(said);
    }
    protect(headers, changes.map(|changes| changes.protection).unwrap_or_default());
    // What the gateway itself says comes after, so that nothing here takes its place.
    if let Some(changes) = changes.filter(|changes| !changes.answer.is_empty()) {
        changes.answer.apply(headers);
    }
    headers.insert(REQUEST_ID, id.to_value());
    if let Some(told) = told {
        told.write(headers);
    }
}

/// Whether the body of a server error passes: where the route says so, and a program reads it. HTML and what has no media type
/// tell of the inside.
pub(crate) fn passes_errors(changes: Option<&Changes>, headers: &HeaderMap) -> bool {
    let passes = changes.is_some_and(|changes| changes.upstream_errors == UpstreamErrors::Pass);
    passes && matches!(media(headers), Media::Json | Media::Xml)
}

/// What kind of content an answer has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Media {
    Json,
    Xml,
    Html,
    Other,
}

fn media(headers: &HeaderMap) -> Media {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(one), None) = (types.next(), types.next()) else { return Media::Other };
    let essence = one.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let subtype = essence.split_once('/').map_or("", |(_, subtype)| subtype);
    match subtype {
        "json" => Media::Json,
        _ if subtype.ends_with("+json") || subtype.ends_with("-json") => Media::Json,
        "html" | "xhtml+xml" => Media::Html,
        "xml" => Media::Xml,
        _ if subtype.ends_with("+xml") && essence != "image/svg+xml" => Media::Xml,
        _ => Media::Other,
    }
}

/// Adds the protective fields that answers of this kind can have. What is there already stays.
// SECURITY: a policy that forbids everything breaks a page that brings none; a page keeps what it brings
// (protective_fields_go_by_the_kind_of_content).
fn protect(headers: &mut HeaderMap, protection: Protection) {
    const PAGE: [(HeaderName, HeaderValue); 3] = [
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN")),
        (header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("frame-ancestors 'self'; base-uri 'self'; object-src 'none'"),
        ),
    ];
    match (protection, media(headers)) {
        (Protection::Off, _) => return,
        (Protection::Api, _) | (Protection::Auto | Protection::Html, Media::Json) => return secure(headers),
        (Protection::Html, Media::Html) => {
            for (name, value) in PAGE {
                if let header::Entry::Vacant(entry) = headers.entry(name) {
                    entry.insert(value);
                }
            }
        }
        (Protection::Auto, Media::Html)
        | (Protection::Auto | Protection::Html, Media::Xml | Media::Other) => {}
    }
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
}

const MAX_TRAILERS: usize = 64;
const MAX_TRAILER_BYTES: usize = 16 * 1024;

/// Cleans what comes after the body: what no head may say, or only a head (RFC 9110, section 6.5.1), goes.
///
/// # Errors
/// More fields than anybody needs there.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) -> Result<(), Denial> {
    let size: usize = trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if trailers.len() > MAX_TRAILERS || size > MAX_TRAILER_BYTES {
        return Err(Denial::new(Code::UpstreamMalformed, "too many trailer fields"));
    }
    let leaving: Vec<HeaderName> =
        trailers.keys().filter(|name| belongs_to_heads(name.as_str())).cloned().collect();
    for name in leaving {
        trailers.remove(name);
    }
    Ok(())
}

fn belongs_to_heads(name: &str) -> bool {
    const HEADS: [&str; 23] = [
        "age",
        "allow",
        "authorization",
        "authentication-info",
        "cache-control",
        "clear-site-data",
        "content-security-policy",
        "cookie",
        "date",
        "expires",
        "host",
        "location",
        "max-forwards",
        "pragma",
        "range",
        "refresh",
        "retry-after",
        "set-cookie",
        "strict-transport-security",
        "vary",
        "warning",
        "www-authenticate",
        "x-request-id",
    ];
    removed(name) != Removed::Stays
        || HEADS.contains(&name)
        || name.starts_with("access-control-")
        || (name.starts_with("content-") && name != "content-digest")
}

/// Leaves in an informational answer what it is for: `Link` in a 103 (RFC 8297, section 2).
pub(crate) fn clean_interim(headers: &mut HeaderMap) {
    let links: Vec<HeaderValue> = headers.get_all(header::LINK).iter().cloned().collect();
    headers.clear();
    for link in links {
        headers.append(header::LINK, link);
    }
}

/// The fields with which an upstream accepts an upgrade, and no others (RFC 9110, section 7.8; RFC 6455, section 4.2.2).
pub(crate) fn clean_upgrade(headers: &mut HeaderMap, protocol: HeaderValue, id: &RequestId) {
    let accepted: Vec<(HeaderName, HeaderValue)> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("sec-websocket-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    headers.clear();
    headers.extend(accepted);
    headers.insert(header::CONNECTION, super::fields::UPGRADE);
    headers.insert(header::UPGRADE, protocol);
    headers.insert(REQUEST_ID, id.to_value());
}

fn has_one_length(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let digits = |value: &HeaderValue| !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    lengths.next().is_none_or(digits) && lengths.next().is_none()
}

/// Adds what `Connection` names, and the field itself.
fn named_by_connection(headers: &HeaderMap, leaving: &mut Vec<HeaderName>) {
    for value in headers.get_all(header::CONNECTION) {
        let tokens =
            value.to_str().unwrap_or_default().split(',').map(|token| token.trim_matches([' ', '\t']));
        leaving.extend(tokens.filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok()));
    }
    leaving.push(header::CONNECTION);
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Removed {
    Stays,
    Goes,
    Connection,
}

/// What becomes of a field, by its first letter first, since most fields are ordinary ones.
fn removed(name: &str) -> Removed {
    let goes = match name.as_bytes().first() {
        // `Alt-Svc` tells a client where else to reach the server: around the gateway.
        Some(b'a') => name == "alt-svc",
        Some(b'c') if name == "connection" => return Removed::Connection,
        Some(b'h') => name == "host-header",
        Some(b'k') => name == "keep-alive",
        Some(b'l') => name == "liferay-portal",
        Some(b'p') => matches!(
            name,
            "proxy-connection" | "proxy-authenticate" | "proxy-authentication-info" | "powered-by"
        ),
        Some(b's') => matches!(name, "server" | "sourcemap"),
        Some(b't') => matches!(name, "te" | "trailer" | "transfer-encoding"),
        Some(b'u') => name == "upgrade",
        Some(b'v') => name == "via",
        Some(b'x') => extension_goes(name),
        Some(_) | None => false,
    };
    if goes { Removed::Goes } else { Removed::Stays }
}

/// The `X-` fields that tell what an upstream is made of or where it stands, are orders to an inner proxy, or say who a
/// client is. The list follows "headers to remove" of the OWASP Secure Headers Project.
fn extension_goes(name: &str) -> bool {
    const PREFIXES: [&str; 10] = [
        "x-accel-",
        "x-aspnet",
        "x-backend",
        "x-debug",
        "x-drupal-",
        "x-envoy-",
        "x-generat",
        "x-litespeed-",
        "x-powered-",
        "x-varnish",
    ];
    match name {
        "x-runtime"
        | "x-version"
        | "x-php-version"
        | "x-framework"
        | "x-cms"
        | "x-server"
        | "x-served-by"
        | "x-server-powered-by"
        | "x-turbo-charged-by"
        | "x-sourcefiles"
        | "x-sourcemap"
        | "x-sendfile"
        | "x-pingback"
        | "x-beserver"
        | "x-feserver"
        | "x-page-speed"
        | "x-mod-pagespeed"
        | "x-umbraco-version"
        | "x-original-content-length"
        | "x-real-ip"
        | "x-forwarded-for"
        | "x-forwarded-host"
        | "x-forwarded-port"
        | "x-forwarded-proto" => true,
        _ => name.starts_with(IDENTITY_PREFIX) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(method: &Method, bodiless: bool, fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        clean(&mut headers, method, bodiless, &RequestId::new([7; 16]), None, None);
        headers
    }

    #[test]
    fn what_tells_of_the_inside_is_gone_and_the_rest_stays() {
        let gone = [
            ("server", "x"),
            ("x-powered-by", "x"),
            ("x-aspnet-version", "x"),
            ("x-aspnetmvc-version", "x"),
            ("x-generator", "x"),
            ("via", "x"),
            ("x-runtime", "x"),
            ("x-debug-token", "x"),
            ("x-consumer-name", "x"),
            ("connection", "x-hop, close"),
            ("x-hop", "x"),
            ("keep-alive", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "x"),
            ("te", "x"),
            ("trailer", "x"),
            ("proxy-authenticate", "x"),
            ("alt-svc", "x"),
            ("x-accel-redirect", "/x"),
            ("content-length", "5"),
        ];
        let stay = [
            ("content-type", "text/plain"),
            ("set-cookie", "a=1"),
            ("etag", "x"),
            ("x-own", "x"),
            ("retry-after", "1"),
        ];
        let headers = cleaned(&Method::GET, false, &[&gone[..], &stay[..]].concat());
        for (name, _) in gone {
            assert!(!headers.contains_key(name), "{name}");
        }
        for (name, value) in stay {
            assert_eq!(headers.get(name).unwrap(), value);
        }
        assert_eq!(headers.get("x-content-type-options").unwrap(), "nosniff");
    }

    #[test]
    fn protective_fields_go_by_the_kind_of_content() {
        let of = |protection, fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            protect(&mut headers, protection);
            let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            ["x-content-type-options", "x-frame-options", "content-security-policy", "referrer-policy"]
                .map(value)
        };
        let content = |media| [("content-type", media)];
        let all = [true; 4];
        let first = [true, false, false, false];
        for (protection, media, there) in [
            (Protection::Auto, "application/json", all),
            (Protection::Auto, "application/problem+json; charset=utf-8", all),
            (Protection::Auto, "TEXT/HTML; charset=utf-8", first),
            (Protection::Auto, "text/plain", first),
            (Protection::Auto, "image/svg+xml", first),
            (Protection::Html, "text/html", all),
            (Protection::Html, "image/png", first),
            (Protection::Api, "text/html", all),
            (Protection::Off, "application/json", [false; 4]),
        ] {
            let said = of(protection, &content(media));
            assert_eq!(said.map(|value| value.is_some()), there, "{protection:?} {media}");
        }
        assert_eq!(of(Protection::Auto, &[])[0].as_deref(), Some("nosniff"));
        assert_eq!(of(Protection::Html, &content("text/html"))[1].as_deref(), Some("SAMEORIGIN"));
        let own = [("content-type", "text/html"), ("content-security-policy", "default-src 'self'")];
        assert_eq!(of(Protection::Html, &own)[2].as_deref(), Some("default-src 'self'"));
    }

    #[test]
    fn only_what_programs_read_passes_of_server_errors() {
        let passes = |errors, media: Option<&'static str>| {
            let changes = Changes { upstream_errors: errors, ..Changes::default() };
            let mut headers = HeaderMap::new();
            headers.extend(media.map(|media| (header::CONTENT_TYPE, HeaderValue::from_static(media))));
            passes_errors(Some(&changes), &headers)
        };
        for (media, passed) in [
            (Some("application/json"), true),
            (Some("application/problem+json"), true),
            (Some("text/xml"), true),
            (Some("application/soap+xml"), true),
            (Some("text/html"), false),
            (Some("application/xhtml+xml"), false),
            (Some("text/plain"), false),
            (None, false),
        ] {
            assert_eq!(passes(UpstreamErrors::Pass, media), passed, "{media:?}");
            assert!(!passes(UpstreamErrors::Replace, media), "{media:?}");
        }
        assert!(!passes_errors(None, &HeaderMap::new()));
    }

    #[test]
    fn what_comes_after_a_call_is_cleaned() {
        let mut trailers = HeaderMap::new();
        for name in ["grpc-status", "grpc-message", "x-own-bin"] {
            trailers.insert(name, HeaderValue::from_static("0"));
        }
        let clean = trailers.clone();
        for name in [
            "set-cookie",
            "server",
            "content-length",
            "transfer-encoding",
            "x-consumer-name",
            "connection",
            "location",
        ] {
            trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        clean_trailers(&mut trailers).unwrap();
        assert_eq!(trailers, clean);
        for number in 0..70 {
            trailers
                .insert(HeaderName::try_from(format!("x-{number}")).unwrap(), HeaderValue::from_static("1"));
        }
        assert_eq!(
            clean_trailers(&mut trailers).map_err(|denial| denial.code()),
            Err(Code::UpstreamMalformed)
        );
    }

    #[test]
    fn the_request_id_is_the_gateways_own() {
        let headers = cleaned(&Method::GET, false, &[("x-request-id", "a"), ("x-request-id", "b")]);
        assert_eq!(headers.get_all("x-request-id").iter().count(), 1);
        assert_eq!(headers.get("x-request-id").unwrap(), RequestId::new([7; 16]).as_str());
    }

    #[test]
    fn only_an_answer_to_head_has_a_length_without_a_body() {
        assert!(cleaned(&Method::HEAD, true, &[("content-length", "5")]).contains_key("content-length"));
        assert!(!cleaned(&Method::HEAD, true, &[("content-length", "5, 6")]).contains_key("content-length"));
        assert!(
            !cleaned(&Method::HEAD, true, &[("content-length", "5"), ("content-length", "6")])
                .contains_key("content-length")
        );
        assert!(!cleaned(&Method::GET, true, &[("content-length", "5")]).contains_key("content-length"));
    }

    #[test]
    fn an_answer_with_two_media_types_is_refused() {
        let answer = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("content-type", HeaderValue::from_static(value));
            }
            let judged = judge(StatusCode::OK, Version::HTTP_11, &headers).map_err(|denial| denial.code());
            clean(&mut headers, &Method::GET, false, &RequestId::new([7; 16]), None, None);
            (judged, headers.get_all("content-type").iter().count())
        };
        assert_eq!(answer(&[]), (Ok(()), 0));
        assert_eq!(answer(&["text/html"]), (Ok(()), 1));
        assert_eq!(answer(&["text/html", "text/html"]), (Ok(()), 1));
        for bad in [
            &["application/json", "text/html"][..],
            &["text/html", "text/event-stream"],
            &["text/html", ""],
            &["text/html", "text/html", "text/html; charset=utf-7"],
        ] {
            assert_eq!(answer(bad).0, Err(Code::UpstreamMalformed), "{bad:?}");
        }
    }

    #[test]
    fn an_unknown_transfer_coding_is_refused() {
        let judged = |version, values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("transfer-encoding", HeaderValue::from_static(value));
            }
            judge(StatusCode::OK, version, &headers).map_err(|denial| denial.code())
        };
        assert_eq!(judged(Version::HTTP_11, &["chunked"]), Ok(()));
        assert_eq!(judged(Version::HTTP_11, &[]), Ok(()));
        for bad in [&["gzip"][..], &["gzip, chunked"], &["chunked", "chunked"], &["identity"]] {
            assert_eq!(judged(Version::HTTP_11, bad), Err(Code::UpstreamMalformed), "{bad:?}");
        }
        for status in [100, 103, 199, 600, 999] {
            let judged = judge(StatusCode::from_u16(status).unwrap(), Version::HTTP_11, &HeaderMap::new());
            assert_eq!(judged.map_err(|denial| denial.code()), Err(Code::UpstreamMalformed), "{status}");
        }
    }
}
