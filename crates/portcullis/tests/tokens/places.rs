//! Tokens in another place than `Authorization`: where the file says, there alone, once, and gone before anything is forwarded.

use super::get;
use super::support::{Backend, Client, World};
use crate::forge::{Signer, now};
use serde_json::json;

const SECRET: &str = "a-secret-that-is-shared-0123456789abcdef";

fn token() -> String {
    let key = Signer::secret("", "HS256", SECRET.as_bytes());
    key.token(&json!({ "iss": "https://s.example", "sub": "alice", "aud": "api", "exp": now() + 600 }))
}

fn world(backend: &Backend) -> World {
    let method = |more: &str| {
        format!("{{ type: jwt, issuer: \"https://s.example\", audience: api, secret: {SECRET}{more} }}")
    };
    let header = method(", header: Cf-Access-Jwt-Assertion");
    let (query, cookie) = (method(", query: access_token"), method(", cookie: access"));
    World::start(&super::document(
        backend,
        &[
            ("/header", &header),
            ("/query", &query),
            ("/cookie", &cookie),
            ("/usual", &method("")),
            ("/any", &format!("{{ any: [{query}, {header}, {}] }}", method(""))),
        ],
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_stands_where_the_file_says() {
    let backend = Backend::start().await;
    let world = world(&backend);
    let token = token();
    let header = format!("Cf-Access-Jwt-Assertion: {token}");
    let usual = format!("Authorization: Bearer {token}");
    let cookie = format!("Cookie: a=1; access={token}; b=2");
    let query = |path: &str| format!("{path}?a=1&access_token={token}&b=2");
    for (path, fields, status) in [
        ("/header".to_owned(), vec![header.as_str()], 200),
        ("/header".to_owned(), vec![&usual], 401),
        ("/header".to_owned(), vec![&header, &header], 401),
        ("/header".to_owned(), vec!["Cf-Access-Jwt-Assertion:"], 401),
        ("/header".to_owned(), vec![&cookie], 401),
        (query("/header"), vec![], 401),
        (query("/query"), vec![], 200),
        (format!("{}&access_token=x", query("/query")), vec![], 401),
        (format!("/query?ACCESS_TOKEN={token}"), vec![], 401),
        ("/query?access_token=".to_owned(), vec![], 401),
        ("/query".to_owned(), vec![&usual], 401),
        ("/cookie".to_owned(), vec![&cookie], 200),
        ("/cookie".to_owned(), vec![&cookie, &cookie], 401),
        ("/cookie".to_owned(), vec![&header], 401),
        (query("/usual"), vec![], 401),
        // Several places, each of which is enough; a bad credential in the first one ends the search.
        (query("/any"), vec![], 200),
        ("/any".to_owned(), vec![&header], 200),
        ("/any".to_owned(), vec![&usual], 200),
        ("/any?access_token=x".to_owned(), vec![&usual], 401),
    ] {
        let answer = get(&world, &path, &fields).await;
        assert_eq!(answer.status, status, "{path} {fields:?}: {:?}", world.records.lines().last());
    }
    assert_eq!(backend.seen().len(), 6);
    for seen in backend.seen() {
        let text = String::from_utf8_lossy(&seen.head).into_owned();
        assert!(!text.contains(&token), "a credential went on: {text}");
        assert!(!text.contains("access_token"), "{text}");
    }
    assert_eq!(backend.seen()[1].target, "/query?a=1&b=2");
    assert_eq!(backend.seen()[2].fields("cookie"), ["a=1; b=2"]);
    // Neither the token nor its beginning is in any record.
    let records = world.end().await;
    let all = [records.lines(), records.notices()].concat().join("\n");
    assert!(!all.contains(&token[..40]), "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_site_changes_nothing_by_a_token_in_a_cookie() {
    let backend = Backend::start().await;
    let world = world(&backend);
    let cookie = format!("Cookie: access={}", token());
    let ask = async |method: &str, fields: &str| {
        let request = format!(
            "{method} /cookie HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: 0\r\n{cookie}\r\n{fields}\r\n"
        );
        Client::connect_from("127.0.0.1", world.address).await.ask(&request).await.status
    };
    for (method, fields, status) in [
        ("POST", "Origin: http://a.example\r\n", 200),
        ("POST", "Origin: https://a.example\r\nSec-Fetch-Site: same-origin\r\n", 200),
        ("DELETE", "Sec-Fetch-Site: same-origin\r\n", 200),
        ("GET", "Sec-Fetch-Site: cross-site\r\n", 200),
        ("POST", "", 403),
        ("POST", "Origin: https://evil.example\r\n", 403),
        ("POST", "Origin: https://a.example.evil.example\r\n", 403),
        ("POST", "Origin: null\r\n", 403),
        ("POST", "Origin: https://a.example\r\nSec-Fetch-Site: cross-site\r\n", 403),
        ("PUT", "Sec-Fetch-Site: same-site\r\n", 403),
        ("DELETE", "Sec-Fetch-Site: none\r\n", 403),
    ] {
        assert_eq!(
            ask(method, fields).await,
            status,
            "{method} {fields}: {:?}",
            world.records.lines().last()
        );
    }
    assert_eq!(backend.seen().len(), 4);
}
