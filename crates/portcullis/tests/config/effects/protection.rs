//! What each key does by which connections are protected, and clients known by their certificates.

use super::super::certificates;
use super::super::harness::{gate, get, load};
use super::DocumentRow;
use portcullis_core::{CertificateName, ClientCertificate, Code};
use portcullis_proxy::tls::{ClientSettings, Oldest, PairFiles, Protocol, Source, TlsSettings};
use portcullis_proxy::{Listener, Target};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// What each key does.
pub(crate) const ROWS: &[DocumentRow] = &[
    ("listeners[].tls", || {
        let open = |listener: Value| document(listener, json!({})).to_string();
        assert!(load(&open(json!({ "bind": "0.0.0.0:3000" }))).blueprint().is_none());
        assert!(
            gate(&open(json!({ "bind": "0.0.0.0:3000", "tls": tls(json!({})) }))).front.listeners[0]
                .tls
                .is_some()
        );
    }),
    ("listeners[].tls.certificates", || assert_eq!(settings(json!({})).source, pair("api"))),
    ("listeners[].tls.certificates[].certificate", || assert_eq!(settings(json!({})).source, pair("api"))),
    ("listeners[].tls.certificates[].key", || assert_eq!(settings(json!({})).source, pair("api"))),
    ("listeners[].tls.self_signed", || {
        let listener = listener(json!({ "self_signed": true, "certificates": [] }));
        let settings = listener.tls.as_ref().unwrap().settings();
        assert_eq!(settings.source, Source::Memory);
        assert!(settings.trust.as_ref().unwrap().contains("BEGIN CERTIFICATE"));
        assert_eq!(listener.hsts, None, "a browser would remember it for every port of this machine");
    }),
    ("listeners[].tls.min_version", || {
        assert_eq!(settings(json!({})).oldest, Oldest::Tls12);
        assert_eq!(settings(json!({ "min_version": "1.3" })).oldest, Oldest::Tls13);
    }),
    ("listeners[].tls.hsts", || {
        let hsts = |tls| listener(tls).hsts.map(|time: Duration| time.as_secs());
        assert_eq!(hsts(json!({})), Some(31_536_000));
        assert_eq!(hsts(json!({ "hsts": "1d" })), Some(86_400));
        assert_eq!(hsts(json!({ "hsts": "0s" })), Some(0));
    }),
    ("listeners[].tls.handshake_timeout", || {
        assert_eq!(settings(json!({ "handshake_timeout": "3s" })).handshake_timeout, Duration::from_secs(3));
    }),
    ("listeners[].tls.max_handshakes", || {
        assert_eq!(settings(json!({ "max_handshakes": 7 })).max_handshakes, 7);
    }),
    ("listeners[].tls.reload_interval", || {
        assert_eq!(settings(json!({ "reload_interval": "1m" })).reload_interval, Duration::from_secs(60));
    }),
    ("listeners[].tls.client_certificates", || assert!(clients(json!({})).required)),
    ("listeners[].tls.client_certificates.need", || {
        assert!(clients(json!({ "need": "required" })).required);
        assert!(!clients(json!({ "need": "optional" })).required);
    }),
    ("listeners[].tls.client_certificates.ca", || assert_eq!(clients(json!({})).authorities, file("ca.pem"))),
    ("listeners[].tls.client_certificates.crls", || {
        let clients = clients(json!({ "crls": ["CERTIFICATES/revoked.crl"] }));
        assert_eq!(clients.revoked, [file("revoked.crl")]);
    }),
    ("listeners[].protocols", || {
        let both = vec![Protocol::Http2, Protocol::Http1];
        assert_eq!(settings(json!({})).protocols, both);
        let spoken = |more: Value| {
            let mut listener = json!({ "bind": "127.0.0.1:3000" });
            listener.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            gate(&document(listener, json!({})).to_string()).front.listeners.remove(0)
        };
        assert_eq!(spoken(json!({})).protocol, Protocol::Http1);
        assert_eq!(spoken(json!({ "protocols": ["h2"] })).protocol, Protocol::Http2);
        let under_tls = spoken(json!({ "protocols": ["http/1.1"], "tls": tls(json!({})) }));
        assert_eq!(under_tls.tls.unwrap().settings().protocols, [Protocol::Http1]);
    }),
    ("routes[].upstream.protocol", || {
        let spoken = |protocol: &str| {
            let upstream = json!({ "url": "http://127.0.0.1:9999", "protocol": protocol });
            let route = json!({ "path": "/a", "public": "a test", "upstream": upstream });
            let document = document(json!({ "bind": "127.0.0.1:3000" }), json!({ "routes": [route] }));
            match &gate(&document.to_string()).front.targets[0] {
                Target::Upstream(upstream) => upstream.http2,
                Target::Group(_) | Target::Handler(_) | Target::Fixed(_) => panic!("not a server"),
            }
        };
        assert!(spoken("h2") && !spoken("http/1.1"));
    }),
    ("listeners[].proxy_protocol_from", || {
        let listener = json!({ "bind": "127.0.0.1:3000", "proxy_protocol_from": ["10.0.0.0/8"] });
        let balancers = gate(&document(listener, json!({})).to_string()).front.listeners.remove(0).balancers;
        assert_eq!(balancers, ["10.0.0.0/8".parse().unwrap()]);
    }),
    ("listeners[].redirect_to_https", || {
        let redirecting = json!({ "bind": "0.0.0.0:80", "redirect_to_https": 8443 });
        let protected = json!({ "bind": "127.0.0.1:8443", "tls": tls(json!({})) });
        let more = json!({ "listeners": [redirecting, protected] });
        let mut gate = gate(&document(json!({}), more).to_string());
        let redirect = gate.front.listeners.remove(0).redirect.unwrap();
        assert_eq!(
            (redirect.port, redirect.hosts),
            (8443, vec!["*.example.org".to_owned(), "api.example.com".to_owned()])
        );
    }),
    ("routes[].upstream.tls", || {
        assert!(upstream(json!({ "ca": "CERTIFICATES/ca.pem" })).is_ok());
        assert!(upstream(json!({ "ca": "CERTIFICATES/nonsense.pem" })).is_err());
    }),
    ("routes[].upstream.tls.ca", || assert!(upstream(json!({ "ca": "CERTIFICATES/nonsense.pem" })).is_err())),
    ("routes[].upstream.tls.client_certificate", || {
        let shown = |key: &str| {
            upstream(
                json!({ "client_certificate": { "certificate": "CERTIFICATES/client.pem", "key": key } }),
            )
        };
        assert!(shown("CERTIFICATES/client.key").is_ok());
        assert!(shown("CERTIFICATES/other.key").is_err());
    }),
    ("routes[].upstream.tls.client_certificate.certificate", || {
        let shown = |certificate: &str| {
            upstream(
                json!({ "client_certificate": { "certificate": certificate, "key": "CERTIFICATES/client.key" } }),
            )
        };
        assert!(shown("CERTIFICATES/client.pem").is_ok());
        assert!(shown("CERTIFICATES/other.pem").is_err());
    }),
    ("routes[].upstream.tls.client_certificate.key", || {
        assert!(upstream(json!({ "client_certificate": { "certificate": "CERTIFICATES/client.pem", "key": "CERTIFICATES/open.key" } })).is_err());
    }),
    ("routes[].upstream.tls.server_name", || {
        let shown = upstream(json!({ "server_name": "inner.example" })).unwrap();
        assert!(shown.contains("inner.example"), "{shown}");
    }),
    ("routes[].upstream.tls.insecure_skip_verify", || {
        assert!(upstream(json!({ "insecure_skip_verify": "a test" })).is_ok());
        assert!(upstream(json!({ "insecure_skip_verify": true })).is_err());
    }),
    ("consumers[].certificates", || known(json!({ "name": "alice.example" }))),
    ("consumers[].certificates[].name", || known(json!({ "name": "alice.example" }))),
    ("consumers[].certificates[].dns", || known(json!({ "dns": "Alice.example" }))),
    ("consumers[].certificates[].uri", || known(json!({ "uri": "spiffe://example/alice" }))),
    ("consumers[].certificates[].email", || known(json!({ "email": "alice@Example.com" }))),
    ("consumers[].certificates[].ip", || known(json!({ "ip": "192.0.2.7" }))),
    ("consumers[].certificates[].subject", || known(json!({ "subject": "CN=alice,O=Example" }))),
    ("consumers[].certificates[].fingerprint", || known(json!({ "fingerprint": "07".repeat(32) }))),
];

fn document(listener: Value, more: Value) -> Value {
    let mut document = json!({
        "listeners": [listener],
        "routes": [{ "path": "/a", "public": "a test", "upstream": "http://127.0.0.1:8080" }],
    });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document
}

fn tls(more: Value) -> Value {
    let mut tls =
        json!({ "certificates": [{ "certificate": "CERTIFICATES/api.pem", "key": "CERTIFICATES/api.key" }] });
    tls.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    tls
}

fn listener(keys: Value) -> Listener {
    let listener = json!({ "bind": "127.0.0.1:3000", "tls": tls(keys) });
    gate(&document(listener, json!({})).to_string()).front.listeners.remove(0)
}

fn settings(keys: Value) -> TlsSettings {
    listener(keys).tls.unwrap().settings().clone()
}

fn clients(keys: Value) -> ClientSettings {
    let mut clients = json!({ "ca": "CERTIFICATES/ca.pem" });
    clients.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    settings(json!({ "client_certificates": clients })).clients.unwrap()
}

/// The TLS to an upstream with these keys, or what is wrong with it.
fn upstream(keys: Value) -> Result<String, String> {
    let listener = json!({ "bind": "127.0.0.1:3000" });
    let upstream = json!({ "url": "https://127.0.0.1:9443", "tls": keys });
    let route = json!({ "path": "/a", "public": "a test", "upstream": upstream });
    let loaded = load(&document(listener, json!({ "routes": [route] })).to_string());
    let said = loaded.text(portcullis::Style::Plain);
    let blueprint = loaded.into_blueprint().map_err(|_| said)?;
    match &blueprint.front.targets[0] {
        Target::Upstream(upstream) => Ok(format!("{:?}", upstream.tls.as_ref().unwrap())),
        Target::Group(_) | Target::Handler(_) | Target::Fixed(_) => panic!("not a server"),
    }
}

fn file(name: &str) -> PathBuf {
    certificates::made().join(name)
}

fn pair(name: &str) -> Source {
    let [certificate, key] = ["pem", "key"].map(|kind| file(&format!("{name}.{kind}")));
    Source::Files(vec![PairFiles { certificate, key }])
}

/// Alice, who is known by this, is let in, and nobody else.
fn known(certificate: Value) {
    let listener = json!({ "bind": "127.0.0.1:3000", "tls": tls(json!({ "client_certificates": { "ca": "CERTIFICATES/ca.pem" } })) });
    let more = json!({
        "security": { "authentication": { "type": "mtls" } },
        "consumers": [{ "name": "alice", "certificates": [certificate] }],
        "routes": [{ "path": "/a", "upstream": "http://127.0.0.1:8080" }],
    });
    let gate = |shown: Option<ClientCertificate>| {
        let mut gate = gate(&document(listener.clone(), more.clone()).to_string());
        gate.certificate = shown;
        gate
    };
    let alice = ClientCertificate {
        thumbprint: [7; 32],
        subject: "CN=alice,O=Example".to_owned(),
        names: vec![
            CertificateName::dns("alice.example"),
            CertificateName::Uri("spiffe://example/alice".to_owned()),
            CertificateName::email("alice@example.com"),
            CertificateName::Ip("192.0.2.7".parse().unwrap()),
        ],
        not_after: Duration::MAX,
    };
    let other = ClientCertificate {
        thumbprint: [8; 32],
        subject: "CN=bob".to_owned(),
        names: Vec::new(),
        not_after: Duration::MAX,
    };
    assert_eq!(gate(Some(alice)).send(get(&[])).permitted().headers["x-consumer-name"], "alice");
    assert_eq!(gate(Some(other)).send(get(&[])).refusal(), Some(Code::CredentialUnknown));
    assert_eq!(gate(None).send(get(&[])).refusal(), Some(Code::CredentialMissing));
}
