//! A certificate is renewed before it ends, and nobody notices.

use crate::commands::{curl, s_client};
use crate::pebble::{LONG, Pebble, document, files, until, until_noticed};
use crate::support::{Backend, World};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn renewal_under_load_drops_no_request() {
    // Of forty seconds thirteen are left when it is renewed.
    let pebble = Pebble::start(40);
    let backend = Backend::start().await;
    let world = pebble.gateway("api.example", "", backend.address);
    until_noticed(&world, "a new certificate serves");
    let root = pebble.root();
    let renewed = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut load = Vec::new();
    // A new connection for each request, and many requests on one.
    for requests in [1, 1, 200] {
        let (renewed, served, root, address) =
            (Arc::clone(&renewed), Arc::clone(&served), root.clone(), world.address);
        load.push(std::thread::spawn(move || {
            let mut failed = Vec::new();
            while !renewed.load(Ordering::Relaxed) {
                let resolve = format!("api.example:{}:127.0.0.1", address.port());
                let url = format!("https://api.example:{}/[1-{requests}]", address.port());
                let output = std::process::Command::new("curl")
                    .args([
                        "-sS",
                        "--max-time",
                        "20",
                        "--cacert",
                        root.to_str().unwrap(),
                        "--resolve",
                        &resolve,
                    ])
                    .args(["-o", "/dev/null", "-w", "%{http_code}\n", &url])
                    .output()
                    .unwrap();
                let codes = String::from_utf8(output.stdout).unwrap();
                let good = codes.lines().filter(|code| *code == "200").count();
                if !output.status.success() || good != requests {
                    failed.push(format!("{codes} {}", String::from_utf8_lossy(&output.stderr)));
                }
                served.fetch_add(good, Ordering::Relaxed);
            }
            failed
        }));
    }
    let begun = Instant::now();
    while pebble.count("Issued certificate serial ") < 3 && begun.elapsed() < LONG {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    renewed.store(true, Ordering::Relaxed);
    let failed: Vec<String> = load.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(failed, [""; 0]);
    assert!(served.load(Ordering::Relaxed) > 100);
    assert!(pebble.orders() >= 3, "{}", pebble.orders());
    assert!(pebble.orders() <= 6, "it is not renewed without need: {}", pebble.orders());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_folder_orders_once() {
    let pebble = Pebble::start(3600);
    let backend = Backend::start().await;
    // The one that orders has a port at which nobody looks: the other one proves the host for it.
    let first = World::start(&document(
        &format!("  - bind: 127.0.0.1:0\n    tls: {{ acme: {} }}\n", pebble.acme("api.example", "")),
        backend.address,
    ));
    let proofs = || {
        pebble.storage().exists()
            && files(&pebble.storage())
                .iter()
                .any(|file| file.extension().is_some_and(|kind| kind == "proofs"))
    };
    until("the first one orders", proofs);
    let second = pebble.gateway("api.example", "", backend.address);
    let root = pebble.root();
    until("both serve", || {
        [&first, &second].iter().all(|world| curl(world.address, "api.example", "/a", &root, &[]).ok)
    });
    assert_eq!(pebble.orders(), 1);
    assert_eq!(pebble.count("Issued certificate serial "), 1);
    assert!(!proofs(), "they are gone when the order is over");
    assert!(
        second
            .records
            .notices()
            .iter()
            .any(|notice| notice.contains("a stored certificate serves api.example"))
    );
    first.end().await;
    second.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_given_to_nobody_who_does_not_ask_for_it() {
    let pebble = Pebble::start(3600);
    let backend = Backend::start().await;
    // Pebble looks elsewhere, so that the proof stays pending for a while.
    let world = World::start(&document(
        &format!("  - bind: 127.0.0.1:0\n    tls: {{ acme: {} }}\n", pebble.acme("api.example", "")),
        backend.address,
    ));
    // A listener that takes Pebble's connection and says nothing holds the order up.
    let held = std::net::TcpListener::bind(("127.0.0.1", pebble.tls_port)).unwrap();
    let _asking = held.accept().unwrap();
    let ask = |more: &[&str]| s_client(world.address, &pebble.ca, more);
    let proof = ask(&["-servername", "api.example", "-alpn", "acme-tls/1"]);
    // It is nobody's certificate, so that openssl ends there.
    assert!(
        proof.out.contains("Certificate chain") && proof.out.contains("ALPN protocol: acme-tls/1"),
        "{proof:?}"
    );
    for other in [
        &["-servername", "other.example", "-alpn", "acme-tls/1"][..],
        &["-servername", "api.example", "-alpn", "acme-tls/1,http/1.1"],
        &["-servername", "api.example", "-alpn", "http/1.1,acme-tls/1"],
        &["-servername", "api.example", "-alpn", "http/1.1"],
        &["-servername", "api.example"],
        &["-noservername", "-alpn", "acme-tls/1"],
    ] {
        let said = ask(other);
        assert!(!said.ok && !said.out.contains("Certificate chain"), "{other:?} {said:?}");
    }
    world.end().await;
}
