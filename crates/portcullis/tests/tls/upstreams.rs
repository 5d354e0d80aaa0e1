//! TLS towards upstreams. The upstream is a gateway too, which asks for a client certificate.

use crate::authority::{Authority, Wanted, folder, write};
use crate::support::{Backend, Client, World};
use std::path::{Path, PathBuf};

struct Setup {
    folder: PathBuf,
    backend: Backend,
    inner: World,
}

async fn setup() -> Setup {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    write(&folder.join("ca.pem"), &authority.pem);
    write(&folder.join("other-ca.pem"), &Authority::new("another authority").pem);
    authority.issue(&folder, "inner", &Wanted::server(&["inner.example"]));
    authority.issue(&folder, "gate", &Wanted::client("gate"));
    let backend = Backend::start().await;
    let inner = World::start(&format!(
        "listeners:\n  - bind: 127.0.0.1:0\n    tls:\n      certificates: [{{ certificate: {0}/inner.pem, key: {0}/inner.key }}]\n      \
         client_certificates: {{ ca: {0}/ca.pem, need: optional }}\n\
         security: {{ authentication: {{ type: mtls }} }}\n\
         consumers: [{{ name: gate, certificates: [{{ subject: \"CN=gate,O=Example\" }}] }}]\n\
         routes: [{{ path: /a, upstream: \"http://{1}\" }}]\n",
        folder.display(),
        backend.address
    ));
    Setup { folder, backend, inner }
}

impl Setup {
    /// A gateway whose upstream is the inner one, with this `tls`.
    fn outer(&self, tls: &str) -> World {
        let tls = tls.replace("FOLDER", self.folder.to_str().unwrap());
        World::start(&format!(
            "listeners: [{{ bind: \"127.0.0.1:0\" }}]\n\
             routes: [{{ path: /a, public: a test, upstream: {{ url: \"https://{}\", tls: {tls} }} }}]\n",
            self.inner.address
        ))
    }

    async fn status(&self, tls: &str) -> (u16, String) {
        let outer = self.outer(tls);
        let answer = Client::connect(outer.address).await.ask("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let records = outer.end().await.all();
        let detail = format!("{} {}", records[0]["denied"]["code"], records[0]["denied"]["detail"]);
        (answer.status, detail)
    }
}

const GATE: &str = "client_certificate: { certificate: FOLDER/gate.pem, key: FOLDER/gate.key }";

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_cannot_prove_itself_gets_nothing() {
    let setup = setup().await;
    assert!(Path::new(&setup.folder).exists());
    // The system does not know this authority; another one is not it; and the name is another one.
    for tls in [
        format!("{{ server_name: inner.example, {GATE} }}"),
        format!("{{ ca: FOLDER/other-ca.pem, server_name: inner.example, {GATE} }}"),
        format!("{{ ca: FOLDER/ca.pem, {GATE} }}"),
        format!("{{ ca: FOLDER/ca.pem, server_name: outer.example, {GATE} }}"),
    ] {
        let (status, detail) = setup.status(&tls).await;
        assert_eq!(status, 502, "{tls}: {detail}");
        assert!(detail.contains("upstream_untrusted"), "{tls}: {detail}");
    }
    assert!(setup.backend.seen().is_empty());
    let records = setup.inner.end().await.all();
    assert!(records.iter().all(|record| record["denied"]["code"] == "tls_handshake"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_proves_itself_sees_who_the_gateway_is() {
    let setup = setup().await;
    let good = format!("{{ ca: FOLDER/ca.pem, server_name: inner.example, {GATE} }}");
    assert_eq!(setup.status(&good).await.0, 200);
    assert_eq!(setup.backend.seen()[0].fields("x-consumer-name"), ["gate"]);
    let nobody = "{ ca: FOLDER/ca.pem, server_name: inner.example }";
    assert_eq!(setup.status(nobody).await.0, 401);
    // Only in so many words.
    let careless = format!("{{ insecure_skip_verify: \"a test\", {GATE} }}");
    assert_eq!(setup.status(&careless).await.0, 200);
    setup.inner.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_the_gateway_itself_is_508() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:{port}\" }}]\n\
         routes: [{{ path: /a, public: a test, upstream: \"http://127.0.0.1:{port}\" }}]\n"
    ));
    let request = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = crate::support::Client::connect(world.address).await.ask(request).await;
    assert_eq!(answer.status, 508);
    let records = world.end().await.all();
    assert_eq!(records.len(), 2, "{records:#?}");
    assert!(records.iter().any(|record| record["denied"]["code"] == "loop_detected"), "{records:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_an_answer_has_bounds_that_can_be_set() {
    let backend = crate::support::Backend::answering(|seen| {
        let (fields, size) = match seen.target.as_str() {
            "/many" => (105, 10),
            "/large" => (10, 7_000),
            _ => (300, 600),
        };
        let fields: String =
            (0..fields).map(|number| format!("x-{number}: {}\r\n", "a".repeat(size))).collect();
        crate::support::Reply::with("200 OK", &fields, "ok")
    })
    .await;
    for (bounds, path, status) in [
        ("", "/many", 200),
        ("", "/large", 200),
        ("", "/huge", 502),
        (", max_response_head: 256KiB, max_response_fields: 400", "/huge", 200),
        (", max_response_fields: 50", "/many", 502),
        (", max_response_head: 32KiB", "/large", 502),
    ] {
        let world = World::start(&format!(
            "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nroutes: [{{ path: \"/{{*rest}}\", public: a test, \
             upstream: {{ url: \"http://{}\"{bounds} }} }}]\n",
            backend.address
        ));
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = crate::support::Client::connect(world.address).await.ask(&request).await;
        assert_eq!(answer.status, status, "{bounds} {path}");
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_routes_to_a_server_have_the_bounds_that_each_is_given() {
    let fields: String = (0..60).map(|number| format!("x-{number}: a\r\n")).collect();
    let backend =
        crate::support::Backend::answering(move |_| crate::support::Reply::with("200 OK", &fields, "ok"))
            .await;
    let address = backend.address;
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nroutes:\n  \
         - {{ path: /wide, public: a test, upstream: \"http://{address}\" }}\n  \
         - {{ path: /strict, public: a test, upstream: {{ url: \"http://{address}\", max_response_fields: 50 }} }}\n"
    ));
    for (path, status) in [("/wide", 200), ("/strict", 502), ("/wide", 200)] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = crate::support::Client::connect(world.address).await.ask(&request).await;
        assert_eq!(answer.status, status, "{path}");
    }
    world.end().await;
}
