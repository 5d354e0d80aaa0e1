use super::super::carriage::{Scheme, is_token, token};
use super::*;
use http::Request;
use portcullis_core::Transport;

/// The scheme and the token that are found in a request, with tokens of at most eight bytes.
fn found(asked: &Asked, place: &CredentialLocation) -> Result<Option<(Scheme, String)>, Code> {
    let world = World::default();
    let facts = asked.facts(&world);
    match token(&facts, place, 8) {
        Ok(found) => Ok(found.map(|(scheme, token)| (scheme, token.into_owned()))),
        Err(denial) => Err(denial.code()),
    }
}

fn plain(token: &str) -> Result<Option<(Scheme, String)>, Code> {
    Ok(Some((Scheme::Bearer, token.to_owned())))
}

#[test]
fn a_token_stands_in_authorization_behind_its_scheme() {
    let place = CredentialLocation::Header(header::AUTHORIZATION);
    let dpop = Ok(Some((Scheme::Dpop, "abc".to_owned())));
    for (value, expected) in [
        ("Bearer abc", plain("abc")),
        ("bearer abc", plain("abc")),
        ("BEARER   abc", plain("abc")),
        ("DPoP abc", dpop.clone()),
        ("dpop abc", dpop),
        ("Bearer 12345678", plain("12345678")),
        ("Bearer 123456789", Err(Code::TokenMalformed)),
        ("Bearer a b", plain("a b")),
        ("Bearer", Err(Code::TokenMalformed)),
        ("DPoP", Err(Code::TokenMalformed)),
        ("Basic YTpi", Ok(None)),
        ("Negotiate", Ok(None)),
        ("AWS4-HMAC-SHA256 Credential=x", Ok(None)),
        ("Bearers abc", Ok(None)),
        ("", Err(Code::CredentialMalformed)),
        ("Bearer\tabc", Err(Code::CredentialMalformed)),
        ("Bearer,abc", Err(Code::CredentialMalformed)),
        ("a.b.c", Err(Code::CredentialMalformed)),
        ("é", Err(Code::CredentialMalformed)),
    ] {
        assert_eq!(found(&with_field(value), &place), expected, "{value}");
    }
    assert_eq!(found(&Asked::get(&[]), &place), Ok(None));
    let twice = Asked::get(&[("authorization", "Bearer abc"), ("authorization", "Basic YTpi")]);
    assert_eq!(found(&twice, &place), Err(Code::CredentialRepeated));
}

#[test]
fn a_token_stands_in_another_header_with_or_without_its_scheme() {
    let place = CredentialLocation::Header(http::HeaderName::from_static("x-token"));
    for (value, expected) in [
        ("abc", plain("abc")),
        ("Bearer abc", plain("abc")),
        ("bearer  abc", plain("abc")),
        ("DPoP abc", plain("DPoP abc")),
        ("Basic ab", plain("Basic ab")),
        ("Bearer 12345678", plain("12345678")),
        ("123456789", Err(Code::TokenMalformed)),
        ("Bearer", plain("Bearer")),
        ("", Err(Code::TokenMalformed)),
        ("é", Err(Code::CredentialMalformed)),
    ] {
        let asked = Asked::get(&[("x-token", value), ("authorization", "Bearer other")]);
        assert_eq!(found(&asked, &place), expected, "{value}");
    }
    assert_eq!(found(&with_field("Bearer abc"), &place), Ok(None), "nowhere else");
    let twice = Asked::get(&[("x-token", "abc"), ("x-token", "abc")]);
    assert_eq!(found(&twice, &place), Err(Code::CredentialRepeated));
}

#[test]
fn a_token_stands_in_a_query_parameter() {
    let place = CredentialLocation::Query("token".into());
    let asked = |path: &str| Asked::new(Request::get(path).header("host", "api.example"));
    for (path, expected) in [
        ("/orders?token=abc", plain("abc")),
        ("/orders?page=1&token=a%2Eb", plain("a.b")),
        ("/orders?token=Bearer%20a", plain("Bearer a")),
        ("/orders?token=", Err(Code::TokenMalformed)),
        ("/orders?token=123456789", Err(Code::TokenMalformed)),
        ("/orders?token=a&token=b", Err(Code::CredentialRepeated)),
        ("/orders?Token=abc", Ok(None)),
        ("/orders", Ok(None)),
    ] {
        assert_eq!(found(&asked(path), &place), expected, "{path}");
    }
}

#[test]
fn another_site_changes_nothing_by_a_token_in_a_cookie() {
    let place = CredentialLocation::Cookie("token".into());
    let ask = |transport, method: &str, origin: Option<&str>| {
        let request = Request::builder().method(method).uri("/orders").header("host", "api.example");
        let request = request.header("cookie", "token=abc");
        found(&Asked::over(transport, origin.iter().fold(request, |r, o| r.header("origin", *o))), &place)
    };
    use Transport::{Plaintext, Tls};
    let (good, bad) = (plain("abc"), Err(Code::CrossSite));
    for (transport, method, origin, expected) in [
        (Tls, "GET", None, &good),
        (Tls, "GET", Some("https://evil.example"), &good),
        (Tls, "POST", None, &bad),
        (Tls, "POST", Some("https://evil.example"), &bad),
        (Tls, "POST", Some("http://api.example"), &bad),
        (Tls, "POST", Some("https://api.example:8443"), &bad),
        (Tls, "POST", Some("https://api.example"), &good),
        (Tls, "DELETE", Some("null"), &bad),
        (Plaintext, "POST", Some("http://api.example"), &good),
        (Plaintext, "POST", Some("https://api.example"), &good),
        (Plaintext, "POST", Some("https://evil.example"), &bad),
    ] {
        assert_eq!(&ask(transport, method, origin), expected, "{method} {origin:?}");
    }
    // In a header, a browser sends no token for anybody.
    let request = Request::post("/orders").header("host", "api.example").header("x-token", "abc");
    let place = CredentialLocation::Header(http::HeaderName::from_static("x-token"));
    assert_eq!(found(&Asked::new(request), &place), plain("abc"));
}

#[test]
fn a_token_is_made_of_certain_characters() {
    for good in ["abc", "ABC.def_ghi-jkl", "0~1+2/3==", "="] {
        assert!(is_token(good), "{good}");
    }
    for bad in ["a b", "a,b", "a\"b", "a:b", "a%b", "é", "a\tb", "{}"] {
        assert!(!is_token(bad), "{bad}");
    }
}
