use super::*;

fn request(command: &str) -> Request {
    parse(command).unwrap().request
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut found = request.headers.iter().filter(|(there, _)| there.eq_ignore_ascii_case(name));
    let first = found.next().map(|(_, value)| value.as_str());
    assert!(found.next().is_none(), "{name} is there twice");
    first
}

#[test]
fn a_plain_command_is_a_get() {
    let request = request("curl https://api.example.com:8443/a?b=c#d");
    assert_eq!((request.method.as_str(), request.target.as_str(), request.tls), ("GET", "/a?b=c", true));
    assert_eq!(header(&request, "host"), Some("api.example.com:8443"));
    assert_eq!(header(&request, "accept"), Some("*/*"));
}

#[test]
fn quotes_are_a_shells() {
    let words = |text: &str| split(text).unwrap();
    assert_eq!(words(r#"a 'b c' "d \" e" f\ g h'i'"j""#), ["a", "b c", "d \" e", "f g", "hij"]);
    assert_eq!(words("a \\\n b"), ["a", "b"]);
    assert_eq!(words(r"$'a\n\u00e9' '$HOME' ''"), ["a\n\u{e9}", "$HOME", ""]);
    assert_eq!(words("a$ b"), ["a$", "b"]);
}

#[test]
fn a_command_within_a_command_is_an_error() {
    for command in [
        "curl $(id)",
        "curl `id`",
        "curl \"$HOME\"",
        "curl a | sh",
        "curl a; b",
        "curl 'a",
        "curl a\\",
        "curl a > b",
    ] {
        assert!(split(command).is_err(), "{command}");
    }
}

#[test]
fn data_makes_a_post_and_get_puts_it_into_the_query() {
    let posted = request("curl http://a/b -d x=1 --data-raw '@y' --data-urlencode 'z= &'");
    assert_eq!((posted.method.as_str(), &posted.body[..]), ("POST", &b"x=1&@y&z=%20%26"[..]));
    assert_eq!(header(&posted, "content-type"), Some("application/x-www-form-urlencoded"));
    let got = request("curl -G -d x=1 'http://a/b?c' -d y=2");
    assert_eq!((got.method.as_str(), got.target.as_str()), ("GET", "/b?c&x=1&y=2"));
    assert!(got.body.is_empty() && header(&got, "content-type").is_none());
    assert_eq!(request("curl -XPUT a -d ''").method, "PUT");
    assert_eq!(request("curl -sXDELETE a").method, "DELETE");
    assert_eq!(request("curl -I a").method, "HEAD");
}

#[test]
fn json_sets_two_headers_unless_others_are_given() {
    let sent = request(r#"curl a/b --json '{"a":' --json '1}'"#);
    assert_eq!((sent.method.as_str(), &sent.body[..]), ("POST", &br#"{"a":1}"#[..]));
    assert_eq!(header(&sent, "content-type"), Some("application/json"));
    assert_eq!(header(&sent, "accept"), Some("application/json"));
    let other = request("curl a --json '{}' -H 'Content-Type: application/merge-patch+json' -H 'accept:'");
    assert_eq!(header(&other, "content-type"), Some("application/merge-patch+json"));
    assert_eq!(header(&other, "accept"), None);
}

#[test]
fn users_cookies_and_names_are_headers() {
    let sent = request("curl -u alice:secret -b 'a=1; b=2' -A me -e http://x --compressed http://a");
    assert_eq!(header(&sent, "authorization"), Some("Basic YWxpY2U6c2VjcmV0"));
    assert_eq!(header(&sent, "cookie"), Some("a=1; b=2"));
    assert_eq!(header(&sent, "user-agent"), Some("me"));
    assert_eq!(header(&sent, "referer"), Some("http://x"));
    assert!(header(&sent, "accept-encoding").is_some());
    assert_eq!(header(&request("curl http://bob:pw@a/"), "authorization"), Some("Basic Ym9iOnB3"));
    assert_eq!(header(&request("curl a -H 'Host: b' -H 'X-Empty;'"), "x-empty"), Some(""));
}

#[test]
fn a_form_is_multipart() {
    let sent = request("curl http://a/ -F 'name=a b' -F 'note=x;type=text/plain'");
    let body = String::from_utf8(sent.body.to_vec()).unwrap();
    assert!(header(&sent, "content-type").unwrap().starts_with("multipart/form-data; boundary="));
    assert!(body.contains("name=\"name\"\r\n\r\na b\r\n"), "{body}");
    assert!(body.contains("name=\"note\"\r\nContent-Type: text/plain\r\n\r\nx\r\n"), "{body}");
}

#[test]
fn what_is_not_known_is_an_error() {
    for command in [
        "curl",
        "curl http://a http://b",
        "curl --frobnicate a",
        "curl -X",
        "curl ftp://a",
        "curl http:///a",
        "curl -H nocolon a",
        "curl -F a=b -d c d",
        "curl -b cookies.txt a",
    ] {
        assert!(parse(command).is_err(), "{command}");
    }
}
