//! An authority says when it wants a certificate renewed (RFC 9773).

use crate::authority::{Authority, folder, write};
use crate::commands::curl;
use crate::pebble::{document, files, free_port, until, until_noticed};
use crate::server::{Server, answer, directory};
use crate::support::{Backend, World};
use rcgen::{CertificateParams, KeyPair, SerialNumber};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PAST: &str = r#"{"suggestedWindow":{"start":"2020-01-01T00:00:00Z","end":"2020-01-02T00:00:00Z"}}"#;
const FUTURE: &str = r#"{"suggestedWindow":{"start":"2090-01-01T00:00:00Z","end":"2090-01-02T00:00:00Z"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_wishes_it_earlier_is_heard() {
    let folder = folder();
    let authority = Authority::new("the authority of a test's server");
    let ca = folder.join("server-ca.pem");
    write(&ca, &authority.pem);
    let wish = Arc::new(Mutex::new(FUTURE));
    let said = Arc::clone(&wish);
    let script = move |line: &str, port| {
        let nonce = "Replay-Nonce: bm9uY2U\r\n";
        if line.contains("/dir") {
            directory(port)
        } else if line.contains("/renewal/") {
            answer("200 OK", "Retry-After: 21600\r\n", *said.lock().unwrap())
        } else if line.contains("/nonce") {
            answer("200 OK", nonce, "")
        } else if line.contains("/account") {
            answer("201 Created", &format!("{nonce}Location: https://localhost:{port}/me\r\n"), "{}")
        } else {
            answer(
                "403 Forbidden",
                nonce,
                r#"{"type":"urn:ietf:params:acme:error:unauthorized","detail":"no"}"#,
            )
        }
    };
    let server = Server::start(&folder, &authority, Arc::new(script));
    let backend = Backend::start().await;
    let storage = folder.join("storage");
    let gateway = || {
        let acme = format!(
            "{{ domains: [api.example], agree_to_terms: true, directory: \"https://localhost:{}/dir\", ca: {}, \
             storage: {}, retry_interval: 1h }}",
            server.port,
            ca.display(),
            storage.display()
        );
        World::start(&document(
            &format!("  - bind: 127.0.0.1:0\n    tls: {{ acme: {acme} }}\n"),
            backend.address,
        ))
    };
    // Refused once, so that there is an account, and the names of the files are known.
    let world = gateway();
    until_noticed(&world, "no certificate for api.example");
    world.end().await;
    let retry: PathBuf = files(&storage)
        .into_iter()
        .find(|file| file.extension().is_some_and(|kind| kind == "retry"))
        .unwrap();
    write(&retry.with_extension("pem"), &self_issued((-1, 89)));

    let asked = |text: &str| server.lines.lock().unwrap().iter().filter(|line| line.contains(text)).count();
    for (window, orders) in [(FUTURE, 1), (PAST, 2)] {
        *wish.lock().unwrap() = window;
        std::fs::remove_file(&retry).unwrap_or_default();
        let before = asked("GET /renewal/");
        let world = gateway();
        until("the authority is asked for its wish", || asked("GET /renewal/") > before);
        if orders > 1 {
            until_noticed(&world, "no certificate for api.example");
        } else {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(asked("POST /order"), orders, "{window}");
        assert_eq!(asked("GET /renewal/"), before + 1, "no more often than it said");
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_comes_near_without_a_new_certificate_is_told() {
    let folder = folder();
    let backend = Backend::start().await;
    let storage = folder.join("storage");
    // Nobody is there to be asked.
    let directory = format!("https://localhost:{}/dir", free_port());
    let gateway = || {
        let acme = format!(
            "{{ domains: [api.example], agree_to_terms: true, storage: {}, directory: \"{directory}\" }}",
            storage.display()
        );
        World::start(&document(
            &format!("  - bind: 127.0.0.1:0\n    tls: {{ acme: {acme} }}\n"),
            backend.address,
        ))
    };
    let world = gateway();
    until_noticed(&world, "no certificate for api.example");
    assert!(!world.records.notices().iter().any(|notice| notice.contains("expire")), "there is none");
    world.end().await;
    let retry = files(&storage).into_iter().find(|file| file.extension().is_some_and(|kind| kind == "retry"));
    let stored = retry.unwrap().with_extension("pem");
    for (days, told) in [((-80, 10), true), ((-70, 20), false), ((-5, 1), true), ((-3, 3), false)] {
        let world = {
            let text = self_issued(days);
            write(&stored, &text);
            let world = gateway();
            let said = curl(world.address, "api.example", "/a", &stored, &[]);
            assert!(said.ok && said.out.contains(" 200"), "it serves all the same: {said:?}");
            world
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
        let notices = world.end().await.notices();
        let near = notices.iter().any(|notice| notice.contains("a certificate expires in"));
        assert_eq!(near, told, "{days:?} {notices:?}");
    }
}

/// A certificate that is valid for these days from now on, with what an authority calls it by, and its key.
fn self_issued(days: (i64, i64)) -> String {
    let mut params = CertificateParams::new(vec!["api.example".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from(77));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = |days: i64| {
        let moment = i64::try_from(now).unwrap() + days * 86_400;
        x509_parser::time::ASN1Time::from_timestamp(moment).unwrap().to_datetime()
    };
    (params.not_before, params.not_after) = (at(days.0), at(days.1));
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    format!("{}{}", key.serialize_pem(), certificate.pem())
}
