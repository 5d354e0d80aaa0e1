//! Who says whose connection it is.

use crate::support::{Backend, Client, World};

#[tokio::test(flavor = "multi_thread")]
async fn only_a_balancer_says_whose_connection_it_is() {
    let backend = Backend::start().await;
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\", proxy_protocol_from: [127.0.0.7], timeouts: {{ header: 300ms }} }}]\n\
         security: {{ addresses: {{ deny: [203.0.113.0/24] }} }}\n\
         routes: [{{ path: /a, public: a test, upstream: \"http://{}\" }}]\n",
        backend.address
    ));
    let ask = async |from: &str, header: &[u8]| {
        let mut client = Client::connect_from(from, world.address).await;
        client.send(&[header, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).await;
        client.answer(false).await.map(|answer| answer.status)
    };
    let two: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x09\x7f\x00\x00\x01\x00\x50\x01\xbb";
    assert_eq!(ask("127.0.0.7", b"PROXY TCP4 198.51.100.7 127.0.0.1 5000 443\r\n").await, Some(200));
    assert_eq!(ask("127.0.0.7", two).await, Some(200));
    assert_eq!(ask("127.0.0.7", b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 443\r\n").await, Some(403));
    // A balancer must say it; whoever is none cannot.
    assert_eq!(ask("127.0.0.7", b"").await, None);
    assert_eq!(ask("127.0.0.7", b"PROXY TCP4 198.51.100.7 127.0.0.1 5000\r\n").await, None);
    assert_eq!(ask("127.0.0.1", b"PROXY TCP4 198.51.100.7 127.0.0.1 5000 443\r\n").await, Some(400));
    assert_eq!(ask("127.0.0.1", b"").await, Some(200));
    let seen: Vec<_> =
        backend.seen().iter().map(|seen| seen.fields("x-forwarded-for")[0].to_owned()).collect();
    assert_eq!(seen, ["198.51.100.7", "198.51.100.9", "127.0.0.1"]);
    let records = world.end().await.all();
    let refused = records.iter().filter(|record| record["denied"]["code"] == "proxy_header");
    assert_eq!(refused.count(), 2, "{records:#?}");
}
