//! An authority that is down, talks nonsense or refuses: the gateway serves on, and asks ever more rarely.

use crate::authority::{Authority, folder, write};
use crate::commands::curl;
use crate::pebble::{Pebble, document, files, free_port, until_noticed};
use crate::server::{Script, Server, answer, directory};
use crate::support::{Backend, Client, World};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

struct Setup {
    folder: PathBuf,
    authority: Authority,
    ca: PathBuf,
}

fn setup() -> Setup {
    let folder = folder();
    let authority = Authority::new("the authority of a test's server");
    let ca = folder.join("server-ca.pem");
    write(&ca, &authority.pem);
    Setup { folder, authority, ca }
}

impl Setup {
    fn server(&self, script: Arc<Script>) -> Server {
        Server::start(&self.folder, &self.authority, script)
    }

    /// A gateway that asks the server at this port, and has a listener in the clear besides.
    fn gateway(&self, port: u16, backend: &Backend) -> World {
        let acme = format!(
            "{{ domains: [api.example], agree_to_terms: true, directory: \"https://localhost:{port}/dir\", ca: {}, \
             storage: {}, retry_interval: 1s }}",
            self.ca.display(),
            self.folder.join("storage").display()
        );
        World::start(&document(
            &format!("  - bind: 127.0.0.1:0\n  - bind: 127.0.0.1:0\n    tls: {{ acme: {acme} }}\n"),
            backend.address,
        ))
    }
}

async fn serves(world: &World) {
    let answer = Client::connect(world.address).await.ask("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_down_is_tried_again_and_found() {
    let setup = setup();
    let backend = Backend::start().await;
    let port = free_port();
    let acme = |tls_port: u16| {
        format!(
            "  - bind: 127.0.0.1:0\n  - bind: 127.0.0.1:{tls_port}\n    tls: {{ acme: {{ domains: [api.example], \
             agree_to_terms: true, directory: \"https://localhost:{port}/dir\", ca: {}, storage: {}, challenge: http, \
             retry_interval: 1s }} }}\n",
            setup.ca.display(),
            setup.folder.join("storage").display()
        )
    };
    let world = World::start(&document(&acme(0), backend.address));
    until_noticed(&world, "no certificate for api.example");
    serves(&world).await;
    let pebble = Pebble::start_with(3600, port, &setup.folder, &setup.authority, &setup.ca);
    // Pebble looks at a port of its own: pass it on to the listener in the clear.
    let relay = tokio::net::TcpListener::bind(("127.0.0.1", pebble.http_port)).await.unwrap();
    let clear = world.address;
    tokio::spawn(async move {
        while let Ok((mut from, _)) = relay.accept().await {
            let mut to = tokio::net::TcpStream::connect(clear).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    until_noticed(&world, "a new certificate serves api.example");
    let said = curl(world.addresses[1], "api.example", "/a", &pebble.root(), &[]);
    assert!(said.ok && said.out.contains(" 200"), "{said:?}");
    let kept = files(&pebble.storage());
    assert!(!kept.iter().any(|file| file.extension().is_some_and(|kind| kind == "retry")), "{kept:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_not_believed_and_not_asked_for_often() {
    let setup = setup();
    let backend = Backend::start().await;
    let scripts: [(&str, Arc<Script>); 6] = [
        ("no HTTP", Arc::new(|_, _| "nonsense\r\n\r\n".to_owned())),
        ("HTML", Arc::new(|_, _| answer("200 OK", "", "<html>"))),
        ("an error", Arc::new(|_, _| answer("500 Internal Server Error", "", "{}"))),
        ("too much", Arc::new(|_, _| answer("200 OK", "", &"x".repeat(400_000)))),
        (
            "places that are none",
            Arc::new(|_, _| answer("200 OK", "", r#"{"newNonce":"a b","newAccount":"::","newOrder":""}"#)),
        ),
        ("a redirect", Arc::new(|_, _| answer("302 Found", "Location: https://evil.example/\r\n", ""))),
    ];
    for (what, script) in scripts {
        let server = setup.server(script);
        let world = setup.gateway(server.port, &backend);
        until_noticed(&world, "no certificate for api.example");
        tokio::time::sleep(Duration::from_secs(4)).await;
        serves(&world).await;
        // At 0, 1 and 3 seconds, each a little later.
        let requests = server.requests.load(Ordering::Relaxed);
        assert!((2..=4).contains(&requests), "{what}: {requests} requests, {:#?}", world.records.notices());
        let records = world.end().await;
        assert!(
            records.notices().iter().all(|notice| !notice.contains("panicked") && notice.len() < 1000),
            "{what}: {:#?}",
            records.notices()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_and_its_wish_to_wait_is_kept_over_a_restart() {
    let setup = setup();
    let backend = Backend::start().await;
    let server = setup.server(Arc::new(|line, port| {
        let nonce = "Replay-Nonce: bm9uY2U\r\n";
        if line.contains("/dir") {
            directory(port)
        } else if line.contains("/nonce") {
            answer("200 OK", nonce, "")
        } else if line.contains("/account") {
            answer("201 Created", &format!("{nonce}Location: https://localhost:{port}/me\r\n"), "{}")
        } else {
            let problem =
                r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many\r\ncertificates","status":429}"#;
            answer("429 Too Many Requests", &format!("{nonce}Retry-After: 3600\r\n"), problem)
        }
    }));
    let world = setup.gateway(server.port, &backend);
    until_noticed(&world, "too many");
    tokio::time::sleep(Duration::from_secs(3)).await;
    serves(&world).await;
    let notices = world.end().await.notices();
    let told: Vec<_> = notices.iter().filter(|notice| notice.contains("no certificate for")).collect();
    assert_eq!(told.len(), 1, "an hour is an hour: {notices:#?}");
    assert!(told[0].contains("tried again in 3600 s") && !told[0].contains('\n'), "{told:?}");
    let requests = server.requests.load(Ordering::Relaxed);
    for _ in 0..3 {
        let world = setup.gateway(server.port, &backend);
        until_noticed(&world, "the last order for api.example failed");
        serves(&world).await;
        world.end().await;
    }
    assert_eq!(server.requests.load(Ordering::Relaxed), requests, "starting again is no way around it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_ours_gets_no_certificate() {
    let pebble = Pebble::start(3600);
    let backend = Backend::start().await;
    // Nobody answers where Pebble looks.
    let world = World::start(&document(
        &format!("  - bind: 127.0.0.1:0\n    tls: {{ acme: {} }}\n", pebble.acme("api.example", "")),
        backend.address,
    ));
    until_noticed(&world, "no certificate for api.example: api.example: ");
    let kept = files(&pebble.storage());
    assert!(!kept.iter().any(|file| file.extension().is_some_and(|kind| kind == "pem")), "{kept:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_and_broken_is_told_and_replaced() {
    let pebble = Pebble::start(3600);
    let backend = Backend::start().await;
    let world = pebble.gateway("api.example", "", backend.address);
    until_noticed(&world, "a new certificate serves");
    world.end().await;
    for file in files(&pebble.storage()) {
        if file.extension().is_some() {
            write(&file, "-----BEGIN half of something");
        }
    }
    let world = pebble.gateway("api.example", "", backend.address);
    until_noticed(&world, "the stored certificate");
    until_noticed(&world, "the stored account cannot be used");
    until_noticed(&world, "a new certificate serves");
    let said = curl(world.address, "api.example", "/a", &pebble.root(), &[]);
    assert!(said.ok && said.out.contains(" 200"), "{said:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_the_authority_forgot_is_made_anew() {
    let setup = setup();
    let backend = Backend::start().await;
    let port = free_port();
    let first = Pebble::start_with(3600, port, &setup.folder, &setup.authority, &setup.ca);
    let world = first.gateway("api.example", "", backend.address);
    until_noticed(&world, "a new certificate serves");
    world.end().await;
    drop(first);
    // Pebble keeps nothing: started again, it knows nobody.
    let second = Pebble::start_with(3600, port, &setup.folder, &setup.authority, &setup.ca);
    let world = second.gateway("api.example, other.example", "", backend.address);
    until_noticed(&world, "a new certificate serves api.example, other.example");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_vouches_for_is_not_spoken_to() {
    let setup = setup();
    let backend = Backend::start().await;
    let other = Authority::new("another authority");
    let server = Server::start(&setup.folder, &other, Arc::new(|_, port| directory(port)));
    let world = setup.gateway(server.port, &backend);
    until_noticed(&world, "no certificate for api.example");
    assert_eq!(server.requests.load(Ordering::Relaxed), 0);
    serves(&world).await;
    assert!(server.lines.lock().unwrap().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_not_ordered_is_not_proven() {
    let setup = setup();
    let backend = Backend::start().await;
    let server = setup.server(Arc::new(|line, port| {
        let nonce = "Replay-Nonce: bm9uY2U\r\n";
        let place = format!("https://localhost:{port}");
        if line.contains("/dir") {
            directory(port)
        } else if line.contains("/nonce") {
            answer("200 OK", nonce, "")
        } else if line.contains("/account") {
            answer("201 Created", &format!("{nonce}Location: {place}/me\r\n"), "{}")
        } else if line.contains("/order") {
            let order = serde_json::json!({
                "status": "pending",
                "authorizations": [format!("{place}/authorization")],
                "finalize": format!("{place}/finalize"),
            });
            answer("201 Created", &format!("{nonce}Location: {place}/order/1\r\n"), &order.to_string())
        } else {
            let authorization = serde_json::json!({
                "status": "pending",
                "identifier": { "type": "dns", "value": "other.example" },
                "challenges": [
                    { "type": "tls-alpn-01", "url": format!("{place}/challenge"), "status": "pending", "token": "abc" }
                ],
            });
            answer("200 OK", nonce, &authorization.to_string())
        }
    }));
    let world = setup.gateway(server.port, &backend);
    until_noticed(&world, "a host that was not ordered");
    let lines = server.lines.lock().unwrap().clone();
    assert!(lines.iter().any(|line| line.contains("/authorization")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("/challenge")), "{lines:?}");
    world.end().await;
}
