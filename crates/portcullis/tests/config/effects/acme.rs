//! What each key does by which a listener gets its certificate by itself.

use super::super::certificates;
use super::super::harness::{gate, load};
use super::DocumentRow;
use portcullis_proxy::Listener;
use portcullis_proxy::tls::Source;
use portcullis_proxy::tls::acme::{AcmeSettings, Proof};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What each key does.
pub(crate) const ROWS: &[DocumentRow] = &[
    ("listeners[].tls.acme", || {
        let listener = listener(json!({}));
        let tls = listener.tls.unwrap();
        assert!(matches!(tls.settings().source, Source::Acme(_)));
        assert!(tls.expires().is_none(), "there is no certificate yet");
        let loaded = load(&document(json!({})).to_string());
        let jobs = loaded.blueprint().unwrap().jobs.iter().map(|job| job.name()).collect::<Vec<_>>();
        assert!(jobs.contains(&"the certificate for api.example.com".to_owned()), "{jobs:?}");
    }),
    ("listeners[].tls.acme.domains", || {
        let settings =
            settings(json!({ "domains": ["API.example.com", "b.example.com.", "api.example.com"] }));
        assert_eq!(settings.domains, ["api.example.com", "b.example.com"]);
    }),
    ("listeners[].tls.acme.agree_to_terms", || {
        assert!(load(&document(json!({ "agree_to_terms": false })).to_string()).blueprint().is_none());
    }),
    ("listeners[].tls.acme.storage", || {
        assert_eq!(settings(json!({})).storage, certificates::made().join("acme"));
    }),
    ("listeners[].tls.acme.contact", || {
        assert!(settings(json!({})).contact.is_empty());
        let settings = settings(json!({ "contact": ["mailto:a@example.com"] }));
        assert_eq!(settings.contact, ["mailto:a@example.com"]);
    }),
    ("listeners[].tls.acme.directory", || {
        assert_eq!(settings(json!({})).directory, "https://acme-v02.api.letsencrypt.org/directory");
        let settings = settings(json!({ "directory": "https://acme.example/dir" }));
        assert_eq!(settings.directory, "https://acme.example/dir");
    }),
    ("listeners[].tls.acme.staging", || {
        let listener = listener(json!({ "staging": true }));
        assert_eq!(listener.hsts, None, "a browser would insist on what it cannot trust");
        let settings = settings(json!({ "staging": true }));
        assert_eq!(settings.directory, "https://acme-staging-v02.api.letsencrypt.org/directory");
    }),
    ("listeners[].tls.acme.challenge", || {
        assert_eq!(settings(json!({})).proof, Proof::TlsAlpn);
        let mut gate = gate(&document(json!({ "challenge": "http" })).to_string());
        let listeners = std::mem::take(&mut gate.front.listeners);
        assert_eq!(acme(&listeners[0]).proof, Proof::Http);
        assert!(listeners[0].challenges.is_empty() && listeners[1].challenges.len() == 1);
    }),
    ("listeners[].tls.acme.ca", || {
        assert_eq!(settings(json!({})).authorities, None);
        let settings = settings(json!({ "ca": "CERTIFICATES/ca.pem" }));
        assert_eq!(settings.authorities.as_ref().map(|found| found.len()), Some(1));
    }),
    ("listeners[].tls.acme.renew_before", || {
        assert_eq!(settings(json!({})).renew_before, None);
        let settings = settings(json!({ "renew_before": "20d" }));
        assert_eq!(settings.renew_before, Some(Duration::from_secs(20 * 86_400)));
    }),
    ("listeners[].tls.acme.retry_interval", || {
        assert_eq!(settings(json!({})).retry_interval, Duration::from_secs(60));
        assert_eq!(settings(json!({ "retry_interval": "5m" })).retry_interval, Duration::from_secs(300));
    }),
];

fn document(more: Value) -> Value {
    let mut acme = json!({
        "domains": ["api.example.com"],
        "agree_to_terms": true,
        "storage": PathBuf::from("CERTIFICATES/acme"),
    });
    acme.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "listeners": [
            { "bind": "127.0.0.1:3000", "tls": { "acme": acme } },
            { "bind": "127.0.0.1:3001", "redirect_to_https": 443 },
        ],
        "routes": [{ "path": "/a", "public": "a test", "upstream": "http://127.0.0.1:8080" }],
    })
}

fn listener(more: Value) -> Listener {
    gate(&document(more).to_string()).front.listeners.remove(0)
}

fn acme(listener: &Listener) -> Arc<AcmeSettings> {
    Arc::clone(listener.tls.as_ref().unwrap().acme().unwrap())
}

fn settings(more: Value) -> Arc<AcmeSettings> {
    acme(&listener(more))
}
