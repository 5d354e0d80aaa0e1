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
