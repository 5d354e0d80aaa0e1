//! Whoever comes in the clear is sent to HTTPS, and nobody elsewhere.

use crate::authority::{Authority, Wanted, folder};
use crate::support::{Backend, Client, World};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_elsewhere() {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    authority.issue(&folder, "api", &Wanted::server(&["api.example", "*.shop.example"]));
    let backend = Backend::start().await;
    let place = folder.display();
    let world = World::start(&format!(
        "listeners:\n  - {{ bind: \"0.0.0.0:0\", redirect_to_https: 8443 }}\n  - {{ bind: \"127.0.0.1:0\", redirect_to_https: 443 }}\n  \
         - bind: 127.0.0.1:0\n    tls: {{ certificates: [{{ certificate: {place}/api.pem, key: {place}/api.key }}] }}\n\
         routes: [{{ path: /a, hosts: [api.example, other.example], public: a test, upstream: \"http://{}\" }}]\n",
        backend.address
    ));
    let mut client = Client::connect(world.addresses[1]).await;
    for (method, host, target, location) in [
        ("GET", "api.example", "/a?b=c%20d", "https://api.example/a?b=c%20d"),
        ("GET", "API.example:80", "/", "https://api.example/"),
        ("GET", "eu.shop.example", "/%61", "https://eu.shop.example/a"),
        ("PUT", "other.example", "/any/path", "https://other.example/any/path"),
    ] {
        let answer = client
            .ask(&format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"))
            .await;
        assert_eq!((answer.status, answer.field("location")), (308, location), "{answer:?}");
        assert!(answer.fields("strict-transport-security").is_empty(), "{answer:?}");
    }
    for (host, target, status) in [
        ("evil.example", "/a", 404),
        ("api.example.evil.example", "/a", 404),
        ("a.b.shop.example", "/a", 404),
        ("api.example", "//evil.example/a", 400),
        ("api.example", "/..//evil.example", 400),
        ("api.example\r\nHost: evil.example", "/a", 400),
        ("api.example", "http://evil.example/a", 400),
        ("api.example@evil.example", "/a", 400),
    ] {
        let mut client = Client::connect(world.addresses[1]).await;
        let answer = client.ask(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(answer.fields("location").is_empty(), "{answer:?}");
        assert_eq!(answer.status, status, "{host:?} {target}");
    }
    let other = std::net::SocketAddr::new("127.0.0.1".parse().unwrap(), world.addresses[0].port());
    let answer = Client::connect(other).await.ask("GET /a HTTP/1.1\r\nHost: api.example\r\n\r\n").await;
    assert_eq!(answer.field("location"), "https://api.example:8443/a");
    assert!(backend.seen().is_empty());
    let records = world.end().await.all();
    assert_eq!(records.iter().filter(|record| record["status"] == 308).count(), 5, "{records:#?}");
}
