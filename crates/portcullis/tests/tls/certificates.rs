//! Which certificate a client gets, which versions are spoken, and what happens when files change.

use crate::authority::{Authority, Wanted, folder, write};
use crate::commands::{curl, s_client};
use crate::support::{Backend, World};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Setup {
    folder: PathBuf,
    authority: Authority,
    ca: PathBuf,
}

fn setup() -> Setup {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    let ca = folder.join("ca.pem");
    write(&ca, &authority.pem);
    Setup { folder, authority, ca }
}

impl Setup {
    /// A gateway with these certificates, and more lines under `tls`.
    fn gateway(&self, backend: &Backend, certificates: &[&str], more: &str) -> World {
        let folder = self.folder.display();
        let pairs: Vec<String> = certificates
            .iter()
            .map(|name| format!("{{ certificate: {folder}/{name}.pem, key: {folder}/{name}.key }}"))
            .collect();
        World::start(&format!(
            "listeners:\n  - bind: 127.0.0.1:0\n    tls:\n      certificates: [{}]\n{more}\
             routes: [{{ path: \"/{{*rest}}\", public: a test, upstream: \"http://{}\" }}]\n",
            pairs.join(", "),
            backend.address
        ))
    }

    fn issue(&self, name: &str, names: &[&'static str]) {
        self.authority.issue(&self.folder, name, &Wanted::server(names));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_certificate_of_the_host_that_it_asks_for() {
    let setup = setup();
    let backend = Backend::start().await;
    setup.issue("first", &["first.example"]);
    setup.issue("second", &["second.example", "*.second.example"]);
    setup.issue("exact", &["exact.second.example"]);
    let world = setup.gateway(&backend, &["first", "second", "exact"], "");
    for host in ["first.example", "second.example", "any.second.example", "exact.second.example"] {
        let said = curl(world.address, host, "/a", &setup.ca, &["--http1.1"]);
        assert!(said.ok && said.out.starts_with("HTTP/1.1 200"), "{host}: {said:?}");
        assert!(
            said.out.to_lowercase().contains("strict-transport-security: max-age=31536000\r\n"),
            "{said:?}"
        );
    }
    let of = |name: &[&str]| s_client(world.address, &setup.ca, name).out;
    let exact = of(&["-servername", "exact.second.example"]);
    let wildcard = of(&["-servername", "any.second.example"]);
    assert_ne!(certificate(&exact), certificate(&wildcard));
    assert_eq!(certificate(&of(&["-noservername"])), certificate(&of(&["-servername", "first.example"])));
    assert_eq!(certificate(&of(&["-servername", "FIRST.example"])), certificate(&of(&["-noservername"])));
    // A host that no certificate is for, and a label too many for a wildcard.
    for host in ["third.example", "a.b.second.example"] {
        let said = s_client(world.address, &setup.ca, &["-servername", host]);
        assert!(!said.ok && certificate(&said.out).is_empty(), "{said:?}");
    }
    let seen = backend.seen();
    assert!(seen.iter().all(|seen| seen.fields("x-forwarded-proto") == ["https"]), "{seen:?}");
    let refused = world.end().await.all();
    let refused: Vec<_> =
        refused.iter().filter(|record| record["denied"]["code"] == "tls_handshake").collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
}

fn certificate(said: &str) -> &str {
    let Some((_, rest)) = said.split_once("-----BEGIN CERTIFICATE-----") else { return "" };
    rest.split_once("-----END").unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_and_weak_suites_are_not_spoken() {
    let setup = setup();
    let backend = Backend::start().await;
    setup.issue("api", &["api.example"]);
    let world = setup.gateway(&backend, &["api"], "");
    let said =
        |more: &[&str]| s_client(world.address, &setup.ca, &[&["-servername", "api.example"], more].concat());
    let best = said(&[]);
    assert!(best.ok && best.out.contains("TLSv1.3"), "{best:?}");
    let older = said(&["-tls1_2"]);
    assert!(older.ok && older.out.contains("ECDHE-ECDSA-AES256-GCM-SHA384"), "{older:?}");
    for more in [
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA"],
    ] {
        assert!(!said(more).ok, "{more:?}");
    }
    let strict = setup.gateway(&backend, &["api"], "      min_version: \"1.3\"\n");
    let said = s_client(strict.address, &setup.ca, &["-servername", "api.example", "-tls1_2"]);
    assert!(!said.ok, "{said:?}");
    world.end().await;
    strict.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_with_a_ticket() {
    let setup = setup();
    let backend = Backend::start().await;
    setup.issue("api", &["api.example"]);
    let world = setup.gateway(&backend, &["api"], "");
    let session = setup.folder.join("session");
    let session = session.to_str().unwrap();
    let first =
        s_client(world.address, &setup.ca, &["-tls1_2", "-servername", "api.example", "-sess_out", session]);
    assert!(first.ok && first.out.contains("New, TLSv1.2"), "{first:?}");
    let second =
        s_client(world.address, &setup.ca, &["-tls1_2", "-servername", "api.example", "-sess_in", session]);
    assert!(second.ok && second.out.contains("Reused, TLSv1.2"), "{second:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_served_and_bad_ones_are_not() {
    let setup = setup();
    let backend = Backend::start().await;
    setup.issue("api", &["api.example"]);
    let world = setup.gateway(&backend, &["api"], "      reload_interval: 20ms\n");
    let shown =
        || certificate(&s_client(world.address, &setup.ca, &["-servername", "api.example"]).out).to_owned();
    let becomes = |test: &dyn Fn(&str) -> bool| {
        let begun = Instant::now();
        while !test(&shown()) {
            assert!(begun.elapsed() < Duration::from_secs(10), "the new files are not served");
        }
    };
    let first = shown();
    // A connection of before goes on.
    let mut running = crate::clients::connect(world.address, &setup.ca, "api.example", None).await.unwrap();
    assert_eq!(crate::clients::get(&mut running, "/before").await, 200);
    setup.issue("api", &["api.example"]);
    becomes(&|now| now != first && !now.is_empty());
    let second = shown();
    // A key without its certificate, then nonsense: what there is stays.
    let key = setup.folder.join("api.key");
    let good = std::fs::read_to_string(&key).unwrap();
    setup.authority.issue(&setup.folder, "other", &Wanted::server(&["api.example"]));
    write(&key, &std::fs::read_to_string(setup.folder.join("other.key")).unwrap());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(shown(), second);
    write(&setup.folder.join("api.pem"), "nonsense");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(shown(), second);
    write(&key, &good);
    setup.issue("api", &["api.example", "more.example"]);
    becomes(&|now| now != second && !now.is_empty());
    assert_eq!(crate::clients::get(&mut running, "/after").await, 200);
    drop(running);
    let notices = world.records.notices();
    assert!(notices.iter().any(|notice| notice.contains("the key is another certificate's")), "{notices:?}");
    assert!(notices.iter().any(|notice| notice.contains("it holds no certificate")), "{notices:?}");
    world.end().await;
}

/// A key that others can read is refused until only its permissions change; meanwhile another certificate is renewed.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_pair_blocks_no_other_and_is_tried_until_it_works() {
    use std::os::unix::fs::PermissionsExt;
    let setup = setup();
    let backend = Backend::start().await;
    setup.issue("first", &["first.example"]);
    setup.issue("second", &["second.example"]);
    let world = setup.gateway(&backend, &["first", "second"], "      reload_interval: 20ms\n");
    let shown =
        |host: &str| certificate(&s_client(world.address, &setup.ca, &["-servername", host]).out).to_owned();
    let becomes = |host: &str, before: &str| {
        let begun = Instant::now();
        while shown(host) == before {
            assert!(begun.elapsed() < Duration::from_secs(10), "{host}: the new files are not served");
        }
    };
    let (first, second) = (shown("first.example"), shown("second.example"));
    let allow = |mode| {
        let key = setup.folder.join("first.key");
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    setup.issue("first", &["first.example"]);
    allow(0o644);
    setup.issue("second", &["second.example"]);
    becomes("second.example", &second);
    allow(0o600);
    becomes("first.example", &first);
    let notices = world.records.notices();
    let names = |notice: &&String| {
        notice.contains("first.pem") && notice.contains("first.key") && notice.contains("0644")
    };
    assert!(notices.iter().any(|notice| names(&notice)), "{notices:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handshake_is_cut_off() {
    let setup = setup();
    let backend = Backend::start().await;
    setup.issue("api", &["api.example"]);
    let world =
        setup.gateway(&backend, &["api"], "      handshake_timeout: 200ms\n      max_handshakes: 3\n");
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        // The beginning of a record that never ends.
        stream.write_all(&[22, 3, 1, 1, 0, 1]).await.unwrap();
        slow.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Nobody who has not said what it wants takes a place.
    let said = curl(world.address, "api.example", "/a", &setup.ca, &[]);
    assert!(said.ok, "{said:?}");
    for mut stream in slow {
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut Vec::new())).await;
        closed.expect("it is closed").unwrap_or(0);
    }
    // Whoever speaks in the clear is told so.
    let mut plain = TcpStream::connect(world.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _reset = plain.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer:?}");
    assert!(answer.contains("This port speaks HTTPS."), "{answer:?}");
    let records = world.end().await.all();
    let details: Vec<_> = records.iter().filter_map(|record| record["denied"]["detail"].as_str()).collect();
    assert_eq!(details.iter().filter(|detail| detail.contains("in time")).count(), 3, "{details:?}");
    assert_eq!(details.iter().filter(|detail| detail.contains("in the clear")).count(), 1, "{details:?}");
    assert_eq!(details.len(), 4, "{details:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_certificate_is_for_this_machine() {
    let backend = Backend::start().await;
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\", tls: {{ self_signed: true }} }}]\n\
         routes: [{{ path: /a, public: a test, upstream: \"http://{}\" }}]\n",
        backend.address
    ));
    let ca = folder().join("trusted.pem");
    let shown = s_client(world.address, &ca, &["-servername", "localhost"]);
    assert!(!shown.ok, "nobody trusts it yet");
    let trust = world.trust().expect("a certificate to trust");
    write(&ca, &trust);
    for host in ["localhost", "127.0.0.1"] {
        let said = curl(world.address, host, "/a", &ca, &[]);
        assert!(said.ok && !said.out.to_lowercase().contains("strict-transport-security"), "{said:?}");
    }
    world.end().await;
}
