//! A first certificate, and what is kept of it.

use crate::commands::{curl, s_client};
use crate::pebble::{Pebble, document, files, until_noticed};
use crate::support::{Backend, Client, World};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

const HOUR: u32 = 3600;

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_proves_a_host_and_a_restart_orders_nothing() {
    let pebble = Pebble::start(HOUR);
    let backend = Backend::start().await;
    let world = pebble.gateway("api.example, other.example", "", backend.address);
    // It serves at once; who comes before the certificate is turned away, and the record says why.
    let early = s_client(world.address, &pebble.ca, &["-servername", "api.example"]);
    assert!(!early.ok, "{early:?}");
    until_noticed(&world, "a new certificate serves api.example, other.example");
    let root = pebble.root();
    for host in ["api.example", "other.example"] {
        let said = curl(world.address, host, "/a", &root, &[]);
        assert!(said.ok && said.out.contains(" 200"), "{said:?} {:?}", world.records.notices());
    }
    assert!(!curl(world.address, "third.example", "/a", &root, &[]).ok);
    assert_eq!(pebble.orders(), 1);
    assert!(pebble.count("badNonce") > 0 || pebble.count("nonce") > 0, "no nonce was rejected");

    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&pebble.storage()), 0o700);
    let kept = files(&pebble.storage());
    assert!(kept.iter().all(|file| mode(file) == 0o600), "{kept:?}");
    assert_eq!(kept.len(), 3, "an account, a certificate and a lock: {kept:?}");
    let certificate = kept.iter().find(|file| file.extension().is_some_and(|kind| kind == "pem")).unwrap();
    let text = std::fs::read_to_string(certificate).unwrap();
    let key = openssl(&["ec", "-noout", "-text"], &text);
    assert!(key.contains("prime256v1"), "{key}");
    let records = world.end().await;
    let refused: Vec<_> =
        records.all().into_iter().filter(|record| record["denied"]["code"] == "tls_handshake").collect();
    assert!(refused[0].to_string().contains("there is no certificate yet"), "{refused:#?}");

    // The same folder again: it serves with the first handshake, and asks for nothing.
    let requests = pebble.count("-> calling handler()");
    let again = pebble.gateway("other.example, api.example", "", backend.address);
    let said = curl(again.address, "api.example", "/a", &root, &[]);
    assert!(said.ok && said.out.contains(" 200"), "{said:?}");
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(pebble.orders(), 1);
    assert!(pebble.count("-> calling handler()") <= requests + 1, "only the directory is looked at");
    again.end().await;
}

fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_the_clear_proves_a_host() {
    let pebble = Pebble::start(HOUR);
    let backend = Backend::start().await;
    let world = pebble.gateway("api.example", ", challenge: http", backend.address);
    until_noticed(&world, "a new certificate serves api.example");
    let said = curl(world.address, "api.example", "/a", &pebble.root(), &[]);
    assert!(said.ok && said.out.contains(" 200"), "{said:?}");
    let records = world.end().await.all();
    let answered: Vec<_> = records
        .iter()
        .filter(|record| {
            record.to_string().contains("/.well-known/acme-challenge/") && record["status"] == 200
        })
        .collect();
    assert!(!answered.is_empty(), "{records:#?}");
    assert_eq!(backend.seen().len(), 1, "no proof goes to a backend");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_token_is_not_found() {
    let pebble = Pebble::start(HOUR);
    let backend = Backend::start().await;
    // Pebble looks here, so that the proof stays pending and its token is known.
    let held = TcpListener::bind(("127.0.0.1", pebble.http_port)).unwrap();
    // One listener in the clear that sends to HTTPS, and one that has routes.
    let acme = pebble.acme("api.example", ", challenge: http");
    let world = World::start(&document(
        &format!(
            "  - bind: 127.0.0.1:0\n    tls: {{ acme: {acme} }}\n  - {{ bind: \"127.0.0.1:0\", redirect_to_https: 443 }}\n  \
             - bind: 127.0.0.1:0\n"
        ),
        backend.address,
    ));
    let (mut asking, _) = held.accept().unwrap();
    let mut line = [0; 200];
    let size = asking.read(&mut line).unwrap();
    let line = String::from_utf8_lossy(&line[..size]).into_owned();
    let place = "/.well-known/acme-challenge";
    let token =
        line.split_whitespace().nth(1).unwrap().strip_prefix(&format!("{place}/")).unwrap().to_owned();
    for address in [world.addresses[1], world.addresses[2]] {
        for (method, host, target, status) in [
            ("GET", "api.example", format!("{place}/{token}"), 200),
            ("GET", "API.example:80", format!("{place}/{token}"), 200),
            ("GET", "api.example", format!("/.well-known/%61cme-challenge/{token}"), 200),
            ("GET", "api.example", format!("/%2ewell%2Dknown/acme-%63hallenge/{token}"), 200),
            ("GET", "api.example", "/.well-known/%61cme-challenge/unknown".to_owned(), 404),
            ("GET", "other.example", format!("{place}/{token}"), 404),
            ("GET", "api.example", format!("{place}/"), 404),
            ("GET", "api.example", format!("{place}/unknown"), 404),
            ("GET", "api.example", format!("{place}/{token}/more"), 404),
            ("GET", "api.example", format!("{place}/{token}/"), 404),
            ("GET", "api.example", format!("{place}/{token}?a=b"), 404),
            ("POST", "api.example", format!("{place}/{token}"), 404),
            ("GET", "api.example", format!("{place}/../../etc/passwd"), 400),
            ("GET", "api.example", format!("{place}/..%2f..%2fstorage"), 400),
            ("GET", "api.example", format!("{place}//{token}"), 400),
            ("GET", "api.example\r\nHost: other.example", format!("{place}/{token}"), 400),
        ] {
            let mut client = Client::connect(address).await;
            let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
            let answer = client.ask(&request).await;
            assert_eq!(answer.status, status, "{method} {host} {target} {answer:?}");
            assert!(answer.fields("location").is_empty(), "{answer:?}");
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(body.starts_with(&format!("{token}.")), status == 200, "{body}");
        }
    }
    assert!(backend.seen().is_empty(), "{:?}", backend.seen());
    world.end().await;
}
