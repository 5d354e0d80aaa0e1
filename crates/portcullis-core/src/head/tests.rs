use super::*;
use crate::conn::Transport;
use crate::plan::CredentialLocation;
use http::Request;

fn conn(peer: &str) -> Conn {
    Conn {
        peer: format!("{peer}:4711").parse().unwrap(),
        local: "127.0.0.1:3000".parse().unwrap(),
        transport: Transport::Plaintext,
        certificate: None,
    }
}

fn admit(target: &str, fields: &[(&str, &str)]) -> Result<Head, Code> {
    admit_from("203.0.113.9", target, fields)
}

fn admit_from(peer: &str, target: &str, fields: &[(&str, &str)]) -> Result<Head, Code> {
    let mut request = Request::builder().uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let parts = request.body(()).unwrap().into_parts().0;
    let policy = HeadPolicy { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..HeadPolicy::default() };
    Head::admit(parts, &conn(peer), &policy).map_err(|denial| denial.code())
}

#[test]
fn a_plain_request_keeps_its_one_reading() {
    let head = admit("/orders/%61?b=1", &[("host", "API.example.com:80"), ("accept", "*/*")]).unwrap();
    assert_eq!(head.path(), "/orders/a");
    assert_eq!(head.query(), Some("b=1"));
    assert_eq!(head.host(), "api.example.com");
    assert_eq!(head.client().to_string(), "203.0.113.9");
    assert_eq!(head.framing(), Framing::None);
    assert!(head.headers().get("host").is_none());
    let way = head.way();
    assert_eq!((way.before.as_deref(), way.scheme, way.host.as_ref()), (None, "http", None));
}

#[test]
fn the_host_is_one() {
    assert_eq!(admit("/", &[]).map(|_| ()), Err(Code::AmbiguousHost));
    assert_eq!(admit("/", &[("host", "a"), ("host", "a")]).map(|_| ()), Err(Code::AmbiguousHost));
    assert_eq!(admit("/", &[("host", "a/b")]).map(|_| ()), Err(Code::AmbiguousHost));
    assert_eq!(admit("http://b.example/", &[("host", "a.example")]).map(|_| ()), Err(Code::AmbiguousHost));
    assert_eq!(
        admit("http://user@a.example/", &[("host", "a.example")]).map(|_| ()),
        Err(Code::AmbiguousHost)
    );
    let head = admit("http://A.example:80/x", &[("host", "a.example")]).unwrap();
    assert_eq!((head.host().to_str().unwrap(), head.path()), ("a.example", "/x"));
    assert_eq!(admit("ftp://a.example/", &[("host", "a.example")]).map(|_| ()), Err(Code::TargetForm));
}

#[test]
fn targets_are_bounded_and_well_formed() {
    let host = [("host", "a")];
    assert!(admit(&format!("/{}", "a".repeat(8191)), &host).is_ok());
    assert_eq!(admit(&format!("/{}", "a".repeat(8192)), &host).map(|_| ()), Err(Code::TargetTooLong));
    assert_eq!(admit("/a?b=%zz", &host).map(|_| ()), Err(Code::MalformedQuery));
    assert_eq!(admit("/a//b", &host).map(|_| ()), Err(Code::AmbiguousPath));
    assert_eq!(admit("*", &host).map(|_| ()), Err(Code::AmbiguousPath));
}

#[test]
fn a_target_with_a_fragment_is_refused() {
    let host = [("host", "a.example")];
    for target in ["http://a.example#f", "http://a.example#"] {
        assert_eq!(admit(target, &host).map(|_| ()), Err(Code::TargetForm), "{target}");
    }
    for (target, meant) in [
        ("http://a.example", "/"),
        ("http://a.example/", "/"),
        ("http://a.example?a=b", "/?a=b"),
        ("/?a=b", "/?a=b"),
    ] {
        assert_eq!(admit(target, &host).unwrap().target().as_str(), meant, "{target}");
    }
}

#[test]
fn a_method_in_a_field_is_the_one_that_is_judged() {
    let judged = |method: Method, fields: &[(&str, &str)], method_override| {
        let mut request = Request::builder().method(method).uri("/").header("host", "a");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let policy = HeadPolicy { method_override, ..HeadPolicy::default() };
        let head = Head::admit(request.body(()).unwrap().into_parts().0, &conn("203.0.113.9"), &policy);
        head.map(|head| (head.method().clone(), head.headers().len())).map_err(|denial| denial.code())
    };
    let wish = |value| [("x-http-method-override", value)];
    use MethodOverride::{Apply, Remove};
    assert_eq!(judged(Method::POST, &wish("DELETE"), Remove), Ok((Method::POST, 0)));
    assert_eq!(judged(Method::GET, &wish("DELETE"), Remove), Ok((Method::GET, 0)));
    assert_eq!(judged(Method::POST, &[("x-http-method", "PATCH")], Apply), Ok((Method::PATCH, 0)));
    assert_eq!(judged(Method::POST, &[("x_method_override", "put")], Apply), Ok((Method::PUT, 0)));
    assert_eq!(judged(Method::POST, &wish("POST"), Apply), Ok((Method::POST, 0)));
    assert_eq!(judged(Method::GET, &[], Apply), Ok((Method::GET, 0)));
    for (method, fields) in [
        (Method::GET, &wish("DELETE")[..]),
        (Method::PUT, &wish("PUT")),
        (Method::POST, &wish("GET")),
        (Method::POST, &wish("CONNECT")),
        (Method::POST, &wish("")),
        (Method::POST, &wish("DELETE, PUT")),
        (Method::POST, &[("x-http-method-override", "PUT"), ("x-http-method", "PUT")]),
        (Method::POST, &[("x-http-method-override", "PUT"), ("x-http-method-override", "PUT")]),
    ] {
        assert_eq!(judged(method, fields, Apply), Err(Code::AmbiguousHeader), "{fields:?}");
    }
}

#[test]
fn a_trusted_proxy_tells_the_way() {
    let fields = [
        ("host", "inner"),
        ("x-forwarded-for", "1.2.3.4, 198.51.100.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "api.example.com"),
    ];
    let head = admit_from("10.0.0.1", "/", &fields).unwrap();
    assert_eq!(head.client().to_string(), "198.51.100.7");
    assert_eq!(head.way().before.as_deref(), Some("1.2.3.4, 198.51.100.7"));
    assert_eq!(
        (head.way().scheme, head.way().host.as_ref().unwrap().to_str().unwrap()),
        ("https", "api.example.com")
    );

    let head = admit_from("203.0.113.9", "/", &fields).unwrap();
    assert_eq!(head.client().to_string(), "203.0.113.9");
    assert_eq!(
        head.way(),
        &Way { before: None, scheme: "http", host: None, port: 80, request_id: None, trace: None }
    );

    let bad = [("host", "inner"), ("x-forwarded-for", "nobody")];
    assert_eq!(admit_from("10.0.0.1", "/", &bad).map(|_| ()), Err(Code::ForwardedAddress));
}

#[test]
fn a_credential_is_there_once_or_not_as_it_should_be() {
    let head = admit(
        "/?k=1",
        &[
            ("host", "a"),
            ("x-key", "v"),
            ("two", "1"),
            ("two", "1"),
            ("cookie", "k=1; s=2"),
            ("cookie", "s=3"),
        ],
    );
    let head = head.unwrap();
    assert_eq!(head.once("x-key"), Once::One("v".into()));
    assert_eq!(head.once("two"), Once::Repeated);
    assert_eq!(head.once("none"), Once::Absent);
    assert_eq!(head.query_once("k"), Once::One("1".into()));
    assert_eq!(head.cookie_once("k"), Once::One("1".into()));
    assert_eq!(head.cookie_once("s"), Once::Repeated);
    assert_eq!(head.cookie_once("K"), Once::Absent);
}

#[test]
fn a_removed_credential_is_nowhere() {
    let fields = [("host", "a"), ("x-key", "v"), ("x-key", "w"), ("cookie", "k=1; s=2"), ("cookie", "k=3")];
    let mut head = admit("/p?k=1&a=2&%6b=3", &fields).unwrap();
    head.remove_credential(&CredentialLocation::Header(http::HeaderName::from_static("x-key")));
    head.remove_credential(&CredentialLocation::Query("k".into()));
    head.remove_credential(&CredentialLocation::Cookie("k".into()));
    assert!(head.headers().get("x-key").is_none());
    assert_eq!(head.target().as_str(), "/p?a=2");
    assert_eq!(head.headers().get("cookie").unwrap(), "s=2");
    head.remove_credential(&CredentialLocation::Cookie("s".into()));
    assert!(head.headers().get("cookie").is_none());
}

#[test]
fn what_holds_a_credential_does_not_show_it() {
    let fields =
        [("host", "a"), ("x-key", "hunter2"), ("cookie", "k=hunter2"), ("authorization", "Bearer hunter2")];
    let head = admit("/p?k=hunter2", &fields).unwrap();
    let shown =
        format!("{head:?} {:?} {:?} {:?}", head.once("x-key"), head.cookie_once("k"), head.query_once("k"),);
    assert!(shown.contains("/p") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_cookie_with_a_space_after_its_name_is_that_cookie() {
    let cookie = |value| admit("/", &[("host", "a"), ("cookie", value)]).unwrap();
    assert_eq!(cookie("a=b; session =x").cookie_once("session"), Once::One("x".into()));
    assert_eq!(cookie("session=good; session =x").cookie_once("session"), Once::Repeated);
    let mut head = cookie("a=b; session =x; session\t=y; sessions=z");
    head.remove_credential(&CredentialLocation::Cookie("session".to_owned()));
    assert_eq!(head.headers()["cookie"], "a=b; sessions=z");
}

/// A head with this method and version, from a connection of this kind.
fn admit_as(
    method: &Method,
    version: Version,
    transport: Transport,
    target: &str,
    fields: &[(&str, &str)],
) -> Result<Head, Code> {
    let mut request = Request::builder().method(method).version(version).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let parts = request.body(()).unwrap().into_parts().0;
    let policy = HeadPolicy { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..HeadPolicy::default() };
    let conn = Conn { transport, ..conn("10.0.0.1") };
    Head::admit(parts, &conn, &policy).map_err(|denial| denial.code())
}

#[test]
fn methods_and_versions_that_are_not_spoken_here_are_refused() {
    let plain = |method: &Method, version, fields: &[(&str, &str)]| {
        admit_as(method, version, Transport::Plaintext, "/", fields).map(|head| head.framing())
    };
    let host = [("host", "a")];
    let chunked = [("host", "a"), ("transfer-encoding", "chunked")];
    let length = [("host", "a"), ("content-length", "3")];
    assert_eq!(plain(&Method::CONNECT, Version::HTTP_11, &host), Err(Code::TargetForm));
    for version in [Version::HTTP_09, Version::HTTP_3] {
        assert_eq!(plain(&Method::GET, version, &host), Err(Code::MalformedRequest), "{version:?}");
    }
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        assert_eq!(plain(&Method::GET, version, &host), Ok(Framing::None), "{version:?}");
        assert_eq!(plain(&Method::POST, version, &length), Ok(Framing::Length(3)), "{version:?}");
    }
    assert_eq!(plain(&Method::POST, Version::HTTP_10, &chunked), Err(Code::AmbiguousFraming));
    assert_eq!(plain(&Method::POST, Version::HTTP_11, &chunked), Ok(Framing::Chunked));
}

#[test]
fn the_authority_has_the_port_that_is_not_its_schemes_own() {
    for (transport, host, authority) in [
        (Transport::Plaintext, "API.example.com", "api.example.com"),
        (Transport::Plaintext, "api.example.com:80", "api.example.com"),
        (Transport::Plaintext, "api.example.com:443", "api.example.com:443"),
        (Transport::Plaintext, "api.example.com:8080", "api.example.com:8080"),
        (Transport::Tls, "api.example.com:443", "api.example.com"),
        (Transport::Tls, "api.example.com:80", "api.example.com:80"),
        (Transport::Tls, "[::1]:8443", "[::1]:8443"),
    ] {
        let head = admit_as(&Method::GET, Version::HTTP_11, transport, "/", &[("host", host)]).unwrap();
        assert_eq!(head.authority(), authority, "{host}");
    }
    let absolute = "http://api.example.com:8080/";
    let head = admit_as(
        &Method::GET,
        Version::HTTP_11,
        Transport::Plaintext,
        absolute,
        &[("host", "api.example.com")],
    );
    assert_eq!(head.unwrap().authority(), "api.example.com:8080", "the target's port counts");
}

#[test]
fn the_origin_is_what_the_client_asked_for() {
    let origin = |transport, fields: &[(&str, &str)]| {
        admit_as(&Method::GET, Version::HTTP_11, transport, "/", fields).unwrap().origin()
    };
    let own = |scheme, host: &str, port| (scheme, host.to_owned(), port);
    assert_eq!(origin(Transport::Plaintext, &[("host", "A.example")]), own("http", "a.example", None));
    assert_eq!(origin(Transport::Plaintext, &[("host", "a.example:80")]), own("http", "a.example", None));
    assert_eq!(
        origin(Transport::Plaintext, &[("host", "a.example:443")]),
        own("http", "a.example", Some(443))
    );
    assert_eq!(origin(Transport::Tls, &[("host", "a.example:443")]), own("https", "a.example", None));
    assert_eq!(origin(Transport::Tls, &[("host", "a.example:80")]), own("https", "a.example", Some(80)));
    let outer = |host| {
        origin(
            Transport::Plaintext,
            &[("host", "inner:8080"), ("x-forwarded-host", host), ("x-forwarded-proto", "https")],
        )
    };
    assert_eq!(outer("API.example.com"), own("https", "api.example.com", None));
    assert_eq!(outer("api.example.com:443"), own("https", "api.example.com", None));
    assert_eq!(outer("api.example.com:8443"), own("https", "api.example.com", Some(8443)));
}

#[test]
fn a_preflight_is_options_with_one_origin_and_one_method() {
    let asked = |method: &Method, fields: &[(&str, &str)]| {
        let fields = [&[("host", "a")], fields].concat();
        admit_as(method, Version::HTTP_11, Transport::Tls, "/", &fields).unwrap().preflight()
    };
    let origin = ("origin", "https://app.example.com");
    let put = ("access-control-request-method", "PUT");
    assert_eq!(asked(&Method::OPTIONS, &[origin, put]), Some(Method::PUT));
    assert_eq!(asked(&Method::GET, &[origin, put]), None);
    assert_eq!(asked(&Method::OPTIONS, &[origin]), None);
    assert_eq!(asked(&Method::OPTIONS, &[put]), None);
    assert_eq!(asked(&Method::OPTIONS, &[origin, put, put]), None);
    assert_eq!(asked(&Method::OPTIONS, &[origin, origin, put]), None);
    assert_eq!(asked(&Method::OPTIONS, &[origin, ("access-control-request-method", "P UT")]), None);
}

/// A head from this address, by this policy.
fn admit_by(policy: &HeadPolicy, peer: &str, fields: &[(&str, &str)]) -> Result<Head, Code> {
    let mut request = Request::builder().uri("/").header("host", "a.example");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let parts = request.body(()).unwrap().into_parts().0;
    Head::admit(parts, &conn(peer), policy).map_err(|denial| denial.code())
}

#[test]
fn sizes_are_bounded_to_the_byte() {
    let fits = |policy: HeadPolicy| admit_by(&policy, "203.0.113.9", &[("x-a", "bcd")]).map(|_| ());
    // `x-a` and `bcd`, and `host` and `a.example`.
    assert_eq!(fits(HeadPolicy { max_field_bytes: 6, ..HeadPolicy::default() }), Ok(()));
    assert_eq!(fits(HeadPolicy { max_field_bytes: 5, ..HeadPolicy::default() }), Err(Code::HeadTooLarge));
    assert_eq!(fits(HeadPolicy { max_head_bytes: 19, ..HeadPolicy::default() }), Ok(()));
    assert_eq!(fits(HeadPolicy { max_head_bytes: 18, ..HeadPolicy::default() }), Err(Code::HeadTooLarge));
    assert_eq!(fits(HeadPolicy { max_fields: 2, ..HeadPolicy::default() }), Ok(()));
    assert_eq!(fits(HeadPolicy { max_fields: 1, ..HeadPolicy::default() }), Err(Code::HeadTooLarge));
}

#[test]
fn what_only_a_trusted_peer_may_send_is_taken_from_it_alone() {
    const TRUSTED: &str = "10.0.0.1";
    const OTHER: &str = "203.0.113.9";
    const ID: &str = "0123456789abcdef0123456789abcdef";
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut policy =
        HeadPolicy { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..HeadPolicy::default() };
    policy.rules.keep_from_trusted("x-geo");
    let fields = [("x-geo", "AT"), ("x-request-id", ID), ("traceparent", PARENT)];
    let of = |policy: &HeadPolicy, peer| {
        let head = admit_by(policy, peer, &fields).unwrap();
        let way = head.way();
        assert!(!head.headers().contains_key("x-request-id"));
        (head.headers().contains_key("x-geo"), way.request_id.is_some(), way.trace.is_some())
    };
    assert_eq!(of(&policy, TRUSTED), (true, false, false));
    assert_eq!(of(&policy, OTHER), (false, false, false));
    policy.request_id = RequestIdPolicy::FromTrusted;
    assert_eq!(of(&policy, TRUSTED), (true, true, false));
    assert_eq!(of(&policy, OTHER), (false, false, false));
    policy.tracing = Some(Sampling::per_million(1_000_000));
    policy.rules.set_by_gateway("traceparent");
    policy.rules.set_by_gateway("tracestate");
    assert_eq!(of(&policy, TRUSTED), (true, true, true));
    assert_eq!(of(&policy, OTHER), (false, false, false));
}

#[test]
fn a_credential_is_found_wherever_it_is_looked_for() {
    let head = admit("/?k=1", &[("host", "a"), ("x-key", "v"), ("cookie", "c=1")]).unwrap();
    let has = |location| head.has_credential(&location);
    assert!(has(CredentialLocation::Header(http::HeaderName::from_static("x-key"))));
    assert!(!has(CredentialLocation::Header(http::HeaderName::from_static("x-other"))));
    assert!(has(CredentialLocation::Query("k".into())) && !has(CredentialLocation::Query("c".into())));
    assert!(has(CredentialLocation::Cookie("c".into())) && !has(CredentialLocation::Cookie("k".into())));
}

#[test]
fn what_a_path_reserves_and_an_upgrade_wants_is_kept() {
    let policy = HeadPolicy { reserved: Reserved::SEMICOLON, ..HeadPolicy::default() };
    let parts =
        |path: &str| Request::builder().uri(path).header("host", "a").body(()).unwrap().into_parts().0;
    let head = |path: &str| Head::admit(parts(path), &conn("203.0.113.9"), &policy).unwrap();
    assert_eq!(head("/a;b").reserved(), Reserved::SEMICOLON);
    assert_eq!(head("/a").reserved(), Reserved::NONE);
    let upgrade = [("host", "a"), ("connection", "upgrade"), ("upgrade", "websocket")];
    assert_eq!(admit("/", &upgrade).unwrap().upgrade().unwrap(), "websocket");
    assert_eq!(admit("/", &upgrade[..1]).unwrap().upgrade(), None);
}

#[test]
fn each_reason_why_a_path_is_refused_says_something_else() {
    use path::PathError::*;
    let errors = [
        NotAbsolute,
        EmptySegment,
        DotSegment,
        Slash,
        Parameter,
        Escape,
        DoubleEncoding,
        Control,
        Character,
        Utf8,
    ];
    let said: std::collections::BTreeSet<_> = errors.into_iter().map(|error| error.as_str()).collect();
    assert_eq!(said.len(), errors.len());
    assert!(said.iter().all(|text| text.starts_with("the path ")), "{said:?}");
    let products: std::collections::BTreeSet<_> = foreign::PRODUCTS
        .iter()
        .flat_map(|product| product.headers.iter().map(|(says, _)| says.as_str()))
        .collect();
    assert!(products.len() >= 5 && products.contains("another method"), "{products:?}");
}
