//! What each key outside `security` does.

use super::super::harness::{Gate, gate, get, load, request};
use super::DocumentRow;
use portcullis::document::{AccessLogConfig, LogOutput, LogSettings, OnFullConfig};
use portcullis_core::Code;
use portcullis_core::trace::Sampling;
use portcullis_proxy::{Listener, ProxyProtocol, Target, Upstream};
use portcullis_telemetry::Traces;
use portcullis_telemetry::access_log::{Addresses, Field, Format, Rotation, Style, Template};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const KEY: (&str, &str) = ("x-api-key", "alice-key-0123456789");
const SECONDS: fn(u64) -> Duration = Duration::from_secs;

/// What each key does.
pub(crate) const ROWS: &[DocumentRow] = &[
    ("listeners", || assert_eq!(open(&json!({})).front.listeners.len(), 1)),
    ("listeners[].bind", || {
        assert_eq!(listener(json!({ "bind": "127.0.0.9:4321" })).bind.to_string(), "127.0.0.9:4321");
    }),
    ("listeners[].insecure_plaintext", || {
        let listeners = |listener: Value| document(&json!({ "listeners": [listener] }));
        assert!(load(&listeners(json!({ "bind": "0.0.0.0:3000" }))).blueprint().is_none());
        gate(&listeners(
            json!({ "bind": "0.0.0.0:3000", "insecure_plaintext": "TLS ends at the load balancer" }),
        ));
    }),
    ("listeners[].max_connections", || {
        assert_eq!(listener(json!({})).max_connections, None);
        assert_eq!(listener(json!({ "max_connections": 7 })).max_connections, Some(7))
    }),
    ("listeners[].max_connections_per_address", || {
        assert_eq!(listener(json!({ "max_connections_per_address": 8 })).max_connections_per_address, 8);
    }),
    ("listeners[].max_requests_per_address", || {
        assert_eq!(listener(json!({ "max_requests_per_address": 9 })).max_requests_per_address, 9);
    }),
    ("listeners[].timeouts", || assert_eq!(timeouts("header").timeouts.header, SECONDS(3))),
    ("listeners[].timeouts.header", || assert_eq!(timeouts("header").timeouts.header, SECONDS(3))),
    ("listeners[].timeouts.idle", || assert_eq!(timeouts("idle").timeouts.idle, SECONDS(3))),
    ("listeners[].timeouts.body", || assert_eq!(timeouts("body").timeouts.body, SECONDS(3))),
    ("listeners[].timeouts.request", || assert_eq!(timeouts("request").timeouts.request, Some(SECONDS(3)))),
    ("security", || {
        let gate = protected(json!({ "env": "ALICE_API_KEY" }));
        assert_eq!(gate.send(get(&[])).refusal(), Some(Code::CredentialMissing));
    }),
    ("consumers", || {
        protected(json!({ "env": "ALICE_API_KEY" })).send(get(&[KEY])).permitted();
    }),
    ("consumers[].name", || {
        let gate = protected(json!({ "env": "ALICE_API_KEY" }));
        assert_eq!(gate.send(get(&[KEY])).permitted().headers["x-consumer-name"], "alice");
    }),
    ("consumers[].roles", || {
        let gate = protected(json!({ "env": "ALICE_API_KEY" }));
        assert_eq!(gate.send(get(&[KEY])).permitted().headers["x-consumer-roles"], "user,auditor");
    }),
    ("consumers[].scopes", || {
        let gate = protected(json!({ "env": "ALICE_API_KEY" }));
        assert_eq!(gate.send(get(&[KEY])).permitted().headers["x-consumer-scopes"], "read,write");
    }),
    ("consumers[].keys", || knows(json!("literal-key-0123456789"), "literal-key-0123456789")),
    ("consumers[].keys[].literal", || {
        knows(json!({ "literal": "literal-key-0123456789" }), "literal-key-0123456789")
    }),
    ("consumers[].keys[].env", || knows(json!({ "env": "ADMIN_API_KEY" }), "admin-key-0123456789")),
    ("consumers[].keys[].file", || knows(json!({ "file": "key.txt" }), "file-key-0123456789")),
    ("consumers[].keys[].hash", || {
        knows(
            json!({ "hash": "sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5" }),
            "12345",
        );
    }),
    ("consumers[].keys[].expires", || {
        let gate = protected(json!({ "env": "ALICE_API_KEY", "expires": "2027-01-15T08:00:01Z" }));
        gate.send(get(&[KEY])).permitted();
        gate.clock.advance(1);
        assert_eq!(gate.send(get(&[KEY])).refusal(), Some(Code::CredentialExpired));
    }),
    ("request_headers", || passes(json!({ "remove": ["x-debug"] }), "192.0.2.1", "x-debug", false)),
    ("request_headers.remove", || {
        for name in ["x-debug", "x_debug", "x.debug", "x-acme-role", "x_acme_role"] {
            passes(json!({}), "192.0.2.1", name, true);
            passes(json!({ "remove": ["X-Debug", "x-acme-*"] }), "192.0.2.1", name, false);
        }
    }),
    ("request_headers.keep_from_trusted_proxies", || kept_from_proxies()),
    ("request_headers.keep_from_trusted_proxies[].name", || kept_from_proxies()),
    ("request_headers.keep_from_trusted_proxies[].reason", || {
        let kept = json!({ "keep_from_trusted_proxies": [{ "name": "cf-ipcountry", "reason": "prices" }] });
        let loaded = load(&with_headers(kept).to_string());
        assert_eq!(loaded.blueprint().unwrap().headers.kept[0].reason, "prices");
    }),
    ("request_headers.insecure_keep", || kept_from_everybody()),
    ("request_headers.insecure_keep[].name", || kept_from_everybody()),
    ("request_headers.insecure_keep[].reason", || {
        let loaded = load(
            &with_headers(json!({ "insecure_keep": [{ "name": "x-user", "reason": "ours" }] })).to_string(),
        );
        let kept = &loaded.blueprint().unwrap().headers.kept[0];
        assert_eq!((kept.reason.as_str(), kept.from_everybody), ("ours", true));
    }),
    ("request_headers.method_override", || {
        let sent = |method_override| {
            let gate = gate(&with_headers(json!({ "method_override": method_override })).to_string());
            let answer = gate.send(request("POST", "/a", &[("x-http-method-override", "DELETE")]));
            assert!(!answer.permitted().headers.contains_key("x-http-method-override"));
            answer.permitted().method.clone()
        };
        assert_eq!((sent("remove").as_str(), sent("apply").as_str()), ("POST", "DELETE"));
    }),
    ("key_pepper", || pepper(json!("Jefe"))),
    ("key_pepper.literal", || pepper(json!({ "literal": "Jefe" }))),
    ("key_pepper.env", || pepper(json!({ "env": "PEPPER" }))),
    ("key_pepper.file", || pepper(json!({ "file": "pepper.txt" }))),
    ("trusted_proxies", || {
        let gate = open(&json!({ "trusted_proxies": ["10.0.0.0/8"] }));
        let forwarded = || get(&[("x-forwarded-for", "203.0.113.9")]);
        assert_eq!(gate.send_from("10.0.0.1", forwarded()).client, Some("203.0.113.9".parse().unwrap()));
        assert_eq!(gate.send_from("11.0.0.1", forwarded()).client, Some("11.0.0.1".parse().unwrap()));
    }),
    ("outbound", || assert_eq!(allowed(), ["10.0.0.0/8"])),
    ("outbound.allow", || assert_eq!(allowed(), ["10.0.0.0/8"])),
    ("outbound.ca", || {
        assert!(open(&json!({})).outbound.roots.is_empty());
        assert_eq!(open(&json!({ "outbound": { "ca": "ca.pem" } })).outbound.roots.len(), 1);
    }),
    ("access_log", || {
        assert!(matches!(open(&json!({ "access_log": "insecure_off" })).access_log, AccessLogConfig::Off));
        assert_eq!(open(&json!({ "access_log": "stdout" })).access_log, AccessLogConfig::usual());
    }),
    ("access_log.file", || match log(json!({ "file": "logs/access.log" })).output {
        LogOutput::File { path, rotation: None } => {
            assert!(path.ends_with("tests/config/files/logs/access.log"), "{path:?}")
        }
        other @ (LogOutput::Stdout | LogOutput::File { .. } | LogOutput::Syslog(_)) => panic!("{other:?}"),
    }),
    ("access_log.syslog", || assert!(matches!(log(json!({})).output, LogOutput::Stdout))),
    ("access_log.syslog.server", || {
        use portcullis_telemetry::access_log::syslog::Server;
        let server = |server: &str| syslog(json!({ "server": server })).server;
        assert_eq!(server("udp://127.0.0.1:514"), Server::Udp("127.0.0.1:514".to_owned()));
        assert_eq!(server("tcp://[::1]:601"), Server::Tcp("[::1]:601".to_owned()));
        assert_eq!(server("unix:/dev/log"), Server::Unix("/dev/log".into()));
    }),
    ("access_log.syslog.facility", || {
        assert_eq!(syslog(json!({})).facility, 16);
        assert_eq!(syslog(json!({ "facility": "authpriv" })).facility, 10);
    }),
    ("access_log.syslog.name", || {
        assert_eq!(syslog(json!({})).app_name, "portcullis");
        assert_eq!(syslog(json!({ "name": "edge" })).app_name, "edge");
    }),
    ("access_log.syslog.insecure_plaintext", || {
        let loads = |syslog: Value| {
            load(&document(&json!({ "access_log": { "syslog": syslog } }))).blueprint().is_some()
        };
        assert!(!loads(json!({ "server": "udp://10.0.0.1:514" })));
        assert!(loads(
            json!({ "server": "udp://10.0.0.1:514", "insecure_plaintext": "a network of its own" })
        ));
    }),
    ("access_log.format", || {
        assert!(matches!(style(json!({})).format, Format::Json));
        let combined = style(json!({ "format": "combined" })).format;
        assert!(matches!(combined, Format::Template(template) if template == Template::combined()));
    }),
    ("access_log.template", || {
        let format = style(json!({ "template": "{time} {path}" })).format;
        assert!(
            matches!(format, Format::Template(template) if template == Template::parse("{time} {path}").unwrap())
        );
    }),
    ("access_log.fields", || {
        let fields = style(json!({ "fields": ["time", "path"] })).format;
        assert!(matches!(fields, Format::Fields(fields) if fields == [Field::Time, Field::Path]));
    }),
    ("access_log.addresses", || {
        assert!(matches!(style(json!({})).addresses, Addresses::Whole));
        assert!(matches!(style(json!({ "addresses": "truncated" })).addresses, Addresses::Truncated));
        assert!(matches!(style(json!({ "addresses": "hashed" })).addresses, Addresses::Hashed(_)));
    }),
    ("access_log.sample", || {
        assert_eq!(style(json!({})).sample, None);
        assert_eq!(style(json!({ "sample": "0.5%" })).sample, Some(5000));
    }),
    ("access_log.rotate", || assert_eq!(rotation(json!({ "file": "a.log" })), None)),
    ("access_log.rotate.size", || {
        let rotation = rotation(json!({ "file": "a.log", "rotate": { "size": "1KiB" } })).unwrap();
        assert_eq!(rotation, Rotation { bytes: Some(1024), every: None, keep: 7, keep_for: None });
    }),
    ("access_log.rotate.every", || {
        let rotation = rotation(json!({ "file": "a.log", "rotate": { "every": "1h" } })).unwrap();
        assert_eq!(rotation.every, Some(SECONDS(3600)));
    }),
    ("access_log.rotate.keep", || {
        assert_eq!(rotation(json!({ "file": "a.log", "rotate": { "keep": 3 } })).unwrap().keep, 3);
    }),
    ("access_log.rotate.keep_for", || {
        // a_time_to_keep_files_rotates_them_daily
        let rotation = rotation(json!({ "file": "a.log", "rotate": { "keep_for": "30d" } })).unwrap();
        assert_eq!((rotation.keep_for, rotation.every), (Some(SECONDS(30 * 86400)), Some(SECONDS(86400))));
    }),
    ("accepted_findings", || assert_eq!(unlimited(json!({})), ["/other"])),
    ("accepted_findings[].finding", || {
        assert_eq!(unlimited(json!({ "finding": "public_write" })), ["/a", "/other"]);
    }),
    ("accepted_findings[].route", || assert_eq!(unlimited(json!({ "route": "/other" })), ["/a"])),
    ("accepted_findings[].reason", || {
        let loaded = load(&with_findings(json!({ "reason": "" })).to_string());
        assert!(loaded.blueprint().is_none(), "an acceptance says why");
    }),
    ("accepted_findings[].until", || {
        assert_eq!(unlimited(json!({ "until": "2026-12-31" })), ["/a", "/other"]);
        assert_eq!(unlimited(json!({ "until": "2027-01-01" })), ["/other"], "the last day counts");
    }),
    ("audit_log", || assert_eq!(audit_files(json!({ "file": "audit.log" })), ["audit.log", "audit.log.key"])),
    ("audit_log.file", || assert_eq!(audit_files(json!({ "file": "a.log" })), ["a.log", "a.log.key"])),
    ("audit_log.key", || {
        assert_eq!(audit_files(json!({ "file": "a.log", "key": "b.key" })), ["a.log", "b.key"])
    }),
    ("detection", || {
        assert!(open(&json!({})).observe.detection.is_none());
        assert!(!detection(json!({})).blocks, "nobody is blocked until it is switched on");
    }),
    ("detection.mode", || assert!(detection(json!({ "mode": "enforce" })).blocks)),
    ("detection.disabled", || {
        assert_eq!(detection(json!({ "disabled": ["scanner"] })).disabled, ["scanner"]);
    }),
    ("detection.block_for", || {
        assert_eq!(detection(json!({ "block_for": "2h" })).block_for.as_secs(), 7200);
    }),
    ("detection.block_severity", || {
        assert_eq!(detection(json!({})).block_severity.as_str(), "high");
        assert_eq!(detection(json!({ "block_severity": "low" })).block_severity.as_str(), "low");
    }),
    ("detection.exempt_addresses", || {
        let exempt = detection(json!({ "exempt_addresses": ["192.0.2.0/24"] })).exempt_addresses;
        assert_eq!(exempt[0].to_string(), "192.0.2.0/24");
    }),
    ("detection.exempt_consumers", || {
        assert_eq!(detection(json!({ "exempt_consumers": ["alice"] })).exempt_consumers, ["alice"]);
    }),
    ("detection.webhook", || assert!(detection(json!({})).webhook.is_none())),
    ("detection.webhook.url", || {
        let webhook = detection(webhook(json!({}))).webhook.unwrap();
        assert_eq!(webhook.url().host(), Some("alerts.example.com"));
    }),
    ("detection.webhook.secret", || {
        let loads = |secret: &str| {
            let keys = json!({ "detection": webhook(json!({ "secret": secret })) });
            load(&document(&keys)).blueprint().is_some()
        };
        assert!(!loads("short") && loads(&"s".repeat(32)));
    }),
    ("detection.webhook.secret.env", || signs(json!({ "env": "TOKEN_SECRET" }))),
    ("detection.webhook.secret.file", || signs(json!({ "file": "token-secret.txt" }))),
    ("detection.webhook.secret.literal", || signs(json!({ "literal": "s".repeat(32) }))),
    ("detection.webhook.severity", || {
        assert_eq!(detection(webhook(json!({}))).webhook.unwrap().severity().as_str(), "medium");
        let high = detection(webhook(json!({ "severity": "high" })));
        assert_eq!(high.webhook.unwrap().severity().as_str(), "high");
    }),
    ("metrics", || assert_eq!(open(&json!({})).observe.metrics, None)),
    ("metrics.bind", || {
        let metrics = open(&json!({ "metrics": { "bind": "127.0.0.1:9464" } })).observe.metrics;
        assert_eq!(metrics.unwrap().to_string(), "127.0.0.1:9464");
    }),
    ("metrics.insecure_plaintext", || {
        let metrics = |metrics: Value| {
            let document = json!({
                "listeners": [{ "bind": "127.0.0.1:3000" }],
                "routes": [{ "path": "/a", "public": "a test", "upstream": "http://127.0.0.1:8080" }],
                "metrics": metrics,
            });
            load(&document.to_string()).blueprint().is_some()
        };
        assert!(!metrics(json!({ "bind": "0.0.0.0:9464" })));
        assert!(metrics(json!({ "bind": "0.0.0.0:9464", "insecure_plaintext": "a network of its own" })));
    }),
    ("metrics.otlp", || {
        let url = |otlp: &str| export(json!({ "otlp": otlp })).target().0.url.to_string();
        assert_eq!(url("https://collector.example.com"), "https://collector.example.com/v1/metrics");
        assert_eq!(url("http://127.0.0.1:4318/elsewhere"), "http://127.0.0.1:4318/elsewhere");
    }),
    ("metrics.every", || {
        assert_eq!(export(json!({})).target().1, SECONDS(60));
        assert_eq!(export(json!({ "every": "5s" })).target().1, SECONDS(5));
    }),
    ("metrics.headers", || measured(json!({ "env": "ALICE_API_KEY" }), "alice-key-0123456789")),
    ("metrics.headers.*.env", || measured(json!({ "env": "ADMIN_API_KEY" }), "admin-key-0123456789")),
    ("metrics.headers.*.file", || {
        measured(json!({ "file": "key.txt" }), include_str!("../files/key.txt").trim())
    }),
    ("metrics.headers.*.literal", || {
        measured(json!({ "literal": "token token token token" }), "token token token token")
    }),
    ("metrics.service", || {
        assert_eq!(export(json!({})).target().0.service, "portcullis");
        assert_eq!(export(json!({ "service": "orders" })).target().0.service, "orders");
    }),
    ("tracing", || {
        assert!(open(&json!({})).traces.is_none() && open(&json!({})).plan.head.tracing.is_none())
    }),
    ("tracing.otlp", || {
        let url = |otlp: &str| traces(json!({ "otlp": otlp })).collector().url.to_string();
        assert_eq!(url("https://collector.example.com"), "https://collector.example.com/v1/traces");
        assert_eq!(url("http://127.0.0.1:4318/elsewhere"), "http://127.0.0.1:4318/elsewhere");
    }),
    ("tracing.sample", || {
        let sampling = |sample: &str| {
            let tracing = json!({ "otlp": "http://127.0.0.1:4318", "sample": sample });
            open(&json!({ "tracing": tracing })).plan.head.tracing.unwrap()
        };
        assert_eq!(sampling("100%"), Sampling::per_million(1_000_000));
        assert_eq!(sampling("0.5%"), Sampling::per_million(5_000));
    }),
    ("tracing.headers", || told(json!({ "env": "ALICE_API_KEY" }), "alice-key-0123456789")),
    ("tracing.headers.*.env", || told(json!({ "env": "ADMIN_API_KEY" }), "admin-key-0123456789")),
    ("tracing.headers.*.file", || {
        told(json!({ "file": "key.txt" }), include_str!("../files/key.txt").trim())
    }),
    ("tracing.headers.*.literal", || {
        told(json!({ "literal": "token token token token" }), "token token token token")
    }),
    ("tracing.service", || {
        let traces = traces(json!({ "otlp": "http://127.0.0.1:4318", "service": "orders" }));
        assert_eq!(traces.collector().service, "orders");
    }),
    ("access_log.on_full", || {
        assert_eq!(log(json!({ "file": "a.log", "on_full": "drop" })).on_full, OnFullConfig::Drop);
        assert_eq!(log(json!({ "on_full": "drop" })).on_full, OnFullConfig::Drop);
        assert_eq!(log(json!({ "file": "a.log" })).on_full, OnFullConfig::Wait);
    }),
    ("audit_log.syslog", || {
        assert_eq!(open(&json!({ "audit_log": { "file": "audit.log" } })).audit_log.unwrap().syslog, None);
    }),
    ("audit_log.syslog.server", || assert_eq!(head_server(json!({})).facility, 16)),
    ("audit_log.syslog.facility", || {
        assert_eq!(head_server(json!({ "facility": "auth" })).facility, 4);
    }),
    ("audit_log.syslog.name", || assert_eq!(head_server(json!({ "name": "edge" })).app_name, "edge")),
    ("audit_log.syslog.insecure_plaintext", || {
        let far = json!({ "server": "udp://10.0.0.1:514", "insecure_plaintext": "a network of its own" });
        assert_eq!(head_server(far).app_name, "portcullis");
    }),
    ("workers", || assert_eq!(open(&json!({ "workers": 3 })).front.workers.get(), 3)),
    ("state_dir", || {
        let folder = open(&json!({ "state_dir": "state" })).state_dir.unwrap();
        assert!(folder.ends_with("tests/config/files/state"), "{}", folder.display());
    }),
    ("drain", || assert_eq!(open(&json!({ "drain": "7s" })).front.drain, SECONDS(7))),
    ("include", || {
        let gate = open(&json!({ "include": ["included/*.yaml"] }));
        gate.send(request("GET", "/reports/7", &[])).permitted();
        gate.send(get(&[])).permitted();
        assert_eq!(
            open(&json!({})).send(request("GET", "/reports/7", &[])).refusal(),
            Some(Code::RouteNotFound)
        );
    }),
    ("security_profiles", profiles),
    ("security.use", profiles),
    ("routes", || assert_eq!(open(&json!({})).plan.routes.iter().count(), 1)),
    ("routes[].path", || {
        let gate = route(json!({ "path": "/files/{*rest}" }));
        gate.send(request("GET", "/files/a/b", &[])).permitted();
        assert_eq!(gate.send(get(&[])).refusal(), Some(Code::RouteNotFound));
        assert_eq!(gate.listing[0], "/files/{*rest} -> http://127.0.0.1:8080");
    }),
    ("routes[].encoded_paths", || kept("slash", "/a%2Fb")),
    ("routes[].encoded_paths.slash", || kept("slash", "/a%2Fb")),
    ("routes[].encoded_paths.backslash", || kept("backslash", "/a%5Cb")),
    ("routes[].encoded_paths.semicolon", || kept("semicolon", "/a;b")),
    ("routes[].encoded_paths.double_slash", || kept("double_slash", "/a//b")),
    ("routes[].encoded_paths.percent", || kept("percent", "/a%252Fb")),
    ("routes[].hosts", || {
        assert_eq!(
            route(json!({ "hosts": ["other.example.com"] })).send(get(&[])).refusal(),
            Some(Code::RouteNotFound)
        );
        route(json!({ "hosts": ["API.example.com"] })).send(get(&[])).permitted();
        route(json!({ "hosts": ["*.Example.com"] })).send(get(&[])).permitted();
        let below = route(json!({ "hosts": ["*.api.example.com"] }));
        assert_eq!(below.send(get(&[])).refusal(), Some(Code::RouteNotFound));
    }),
    ("routes[].methods", || {
        let gate = route(json!({ "methods": ["POST"] }));
        gate.send(request("POST", "/a", &[])).permitted();
        assert_eq!(gate.send(get(&[])).refusal(), Some(Code::MethodNotAllowed));
        let sent = |methods: Value, method| {
            route(json!({ "methods": methods })).send(request(method, "/a", &[])).refusal()
        };
        assert_eq!(sent(json!(["PROPFIND", "GET"]), "PROPFIND"), None);
        assert_eq!(sent(json!(["PROPFIND", "GET"]), "REPORT"), Some(Code::MethodNotAllowed));
        assert_eq!(sent(json!("any"), "WHATEVER"), None);
        assert_eq!(sent(json!("any"), "TRACE"), Some(Code::MethodNotAllowed));
    }),
    ("routes[].upstream", || {
        assert_eq!(upstream(json!("http://127.0.0.1:9999")).authority, "127.0.0.1:9999")
    }),
    ("routes[].upstream.url", || {
        let upstream = upstream(json!({ "url": "http://127.0.0.1:9999/base/" }));
        assert_eq!((upstream.authority.as_str(), upstream.base_path.as_str()), ("127.0.0.1:9999", "/base"));
    }),
    ("routes[].upstream.proxy_protocol", || {
        let with = |version: &str| json!({ "url": "http://127.0.0.1:9999", "proxy_protocol": version });
        assert_eq!(upstream(with("v1")).proxy_protocol, Some(ProxyProtocol::V1));
        assert_eq!(upstream(with("v2")).proxy_protocol, Some(ProxyProtocol::V2));
    }),
    ("routes[].upstream.connect_timeout", || {
        assert_eq!(timeout("connect_timeout").connect_timeout, SECONDS(9))
    }),
    ("routes[].upstream.response_timeout", || {
        assert_eq!(timeout("response_timeout").response_timeout, SECONDS(9))
    }),
    ("routes[].upstream.body_timeout", || assert_eq!(timeout("body_timeout").idle_body_timeout, SECONDS(9))),
    ("routes[].upstream.max_response_head", || {
        let with = |size: &str| json!({ "url": "http://127.0.0.1:9999", "max_response_head": size });
        assert_eq!(upstream(with("256KiB")).max_head_bytes, 256 * 1024);
    }),
    ("routes[].upstream.max_response_fields", || {
        let with = |number: u16| json!({ "url": "http://127.0.0.1:9999", "max_response_fields": number });
        assert_eq!(upstream(with(400)).max_head_fields, 400);
    }),
    ("routes[].upstream.tunnel_timeout", || {
        assert_eq!(timeout("tunnel_timeout").tunnel_idle_timeout, SECONDS(9))
    }),
    ("routes[].upstream.tunnel_drain", || assert_eq!(timeout("tunnel_drain").tunnel_grace, SECONDS(9))),
    ("routes[].upstream.connections", || {
        let upstream = upstream(json!("http://127.0.0.1:9999"));
        assert_eq!((upstream.max_age, upstream.max_requests), (SECONDS(300), 10_000));
    }),
    ("routes[].upstream.connections.max_age", || {
        let with = |age: &str| json!({ "url": "http://127.0.0.1:9999", "connections": { "max_age": age } });
        assert_eq!(upstream(with("9s")).max_age, SECONDS(9));
    }),
    ("routes[].upstream.connections.max_requests", || {
        let with =
            |most: u32| json!({ "url": "http://127.0.0.1:9999", "connections": { "max_requests": most } });
        assert_eq!(upstream(with(7)).max_requests, 7);
    }),
    ("routes[].upstream.idle_timeout", || assert_eq!(timeout("idle_timeout").idle_timeout, SECONDS(9))),
    ("routes[].public", || {
        let gate = route(json!({ "public": "liveness probe, no data" }));
        gate.send(get(&[])).permitted();
        assert_eq!(gate.listing[1], "authn.public off nobody is asked who they are: liveness probe, no data");
    }),
    ("routes[].security", || {
        let gate = route(json!({ "security": { "addresses": { "deny": ["192.0.2.1"] } } }));
        assert_eq!(gate.send(get(&[])).refusal(), Some(Code::AddressRefused));
    }),
    ("routes[].upgrade", || {
        let upgrade = || get(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        route(json!({ "upgrade": ["websocket"] })).send(upgrade()).permitted();
        assert_eq!(route(json!({})).send(upgrade()).refusal(), Some(Code::UpgradeRefused));
    }),
];

/// To which networks the gateway may speak that are not public.
fn allowed() -> Vec<String> {
    assert!(open(&json!({})).outbound.allowed.is_empty());
    let gate = open(&json!({ "outbound": { "allow": ["10.0.0.0/8"] } }));
    gate.outbound.allowed.iter().map(ToString::to_string).collect()
}

fn public_route() -> Value {
    json!({ "path": "/a", "public": "a test", "upstream": "http://127.0.0.1:8080" })
}

/// The mapping with these keys in place of its own.
fn with(mut mapping: Value, keys: Value) -> Value {
    let Value::Object(keys) = keys else { panic!("not a mapping") };
    mapping.as_object_mut().unwrap().extend(keys);
    mapping
}

fn document(keys: &Value) -> String {
    let base = json!({ "listeners": [{ "bind": "127.0.0.1:3000" }], "routes": [public_route()] });
    with(base, keys.clone()).to_string()
}

/// The collector of traces gets this header.
fn told(secret: Value, text: &str) {
    let traces = traces(json!({ "otlp": "http://127.0.0.1:4318", "headers": { "x-token": secret } }));
    let (name, value) = &traces.collector().headers[0];
    assert!(name == "x-token" && value.is_sensitive());
    assert_eq!(value.as_bytes(), text.as_bytes());
}

/// The collector of metrics gets this header.
fn measured(secret: Value, text: &str) {
    let export = export(json!({ "headers": { "x-token": secret } }));
    let (name, value) = &export.target().0.headers[0];
    assert!(name == "x-token" && value.is_sensitive());
    assert_eq!(value.as_bytes(), text.as_bytes());
}

/// What sends metrics, with these keys beside the URL.
fn export(mut metrics: Value) -> Arc<portcullis_telemetry::MetricsExport> {
    metrics.as_object_mut().unwrap().entry("otlp").or_insert_with(|| "http://127.0.0.1:4318".into());
    open(&json!({ "metrics": metrics })).observe.metrics_export.unwrap()
}

/// A gateway with one public route, `/a`, and these keys.
fn traces(tracing: Value) -> Arc<Traces> {
    open(&json!({ "tracing": tracing })).traces.unwrap()
}

fn open(keys: &Value) -> Gate {
    gate(&document(keys))
}

/// The access log, with these keys.
fn log(keys: Value) -> LogSettings {
    match open(&json!({ "access_log": keys })).access_log {
        AccessLogConfig::On(settings) => *settings,
        AccessLogConfig::Off => panic!("no log"),
    }
}

/// How it is written.
fn style(keys: Value) -> Style {
    log(keys).style.style(&[7; 32])
}

fn rotation(keys: Value) -> Option<Rotation> {
    match log(keys).output {
        LogOutput::File { rotation, .. } => rotation,
        LogOutput::Stdout | LogOutput::Syslog(_) => panic!("no file"),
    }
}

/// Its syslog server, with these keys beside the URL.
fn syslog(mut keys: Value) -> portcullis_telemetry::access_log::syslog::Settings {
    keys.as_object_mut().unwrap().entry("server").or_insert_with(|| "udp://127.0.0.1:514".into());
    match log(json!({ "syslog": keys })).output {
        LogOutput::Syslog(server) => server,
        LogOutput::Stdout | LogOutput::File { .. } => panic!("no syslog"),
    }
}

/// The syslog server of the audit log, with these keys beside the URL.
fn head_server(mut keys: Value) -> portcullis_telemetry::access_log::syslog::Settings {
    keys.as_object_mut().unwrap().entry("server").or_insert_with(|| "udp://127.0.0.1:514".into());
    let audit = open(&json!({ "audit_log": { "file": "audit.log", "syslog": keys } })).audit_log.unwrap();
    audit.syslog.unwrap().settings().clone()
}

/// What looks for suspicious activity, with these keys.
fn detection(keys: Value) -> portcullis::document::DetectionPolicy {
    open(&json!({ "detection": keys })).observe.detection.unwrap()
}

fn signs(secret: Value) {
    assert!(detection(webhook(json!({ "secret": secret }))).webhook.is_some());
}

fn webhook(more: Value) -> Value {
    let secret = "0123456789abcdef0123456789abcdef";
    json!({ "webhook": with(json!({ "url": "https://alerts.example.com/", "secret": secret }), more) })
}

/// The listener with these keys.
fn listener(keys: Value) -> Listener {
    open(&json!({ "listeners": [with(json!({ "bind": "127.0.0.1:3000" }), keys)] })).front.listeners.remove(0)
}

fn timeouts(key: &str) -> Listener {
    listener(json!({ "timeouts": { key: "3s" } }))
}

/// A gateway whose route has these keys.
fn route(keys: Value) -> Gate {
    open(&json!({ "routes": [with(public_route(), keys)] }))
}

fn upstream(upstream: Value) -> Upstream {
    match route(json!({ "upstream": upstream })).front.targets.remove(0) {
        Target::Upstream(upstream) => upstream,
        Target::Group(_) | Target::Handler(_) | Target::Fixed(_) => panic!("not a server"),
    }
}

fn timeout(key: &str) -> Upstream {
    upstream(json!({ "url": "http://127.0.0.1:9999", key: "9s" }))
}

/// A gateway with the consumer alice, who has this key.
fn protected(key: Value) -> Gate {
    gate(&protected_document(key).to_string())
}

fn protected_document(key: Value) -> Value {
    json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": { "authentication": { "type": "api_key" } },
        "consumers": [{ "name": "alice", "roles": ["user", "auditor"], "scopes": ["read", "write"], "keys": [key] }],
        "routes": [{ "path": "/a", "upstream": "http://127.0.0.1:8080" }],
    })
}

fn knows(key: Value, sent: &str) {
    let gate = protected(key);
    gate.send(get(&[("x-api-key", sent)])).permitted();
    assert_eq!(gate.send(get(&[("x-api-key", "another")])).refusal(), Some(Code::CredentialUnknown));
}

/// RFC 4231, section 4.3: a key, its hash and the pepper under which it is made.
fn pepper(pepper: Value) {
    let key =
        json!({ "hash": "hmac-sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" });
    let document = with(protected_document(key), json!({ "key_pepper": pepper }));
    gate(&document.to_string()).send(get(&[("x-api-key", "what do ya want for nothing?")])).permitted();
}

/// A route's own sections come first, then the profile's, then the gateway's.
fn profiles() {
    let document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": {
            "addresses": { "deny": ["198.51.100.0/24"] },
            "authentication": { "type": "api_key" },
            "rate_limiting": { "max_requests": 100, "per": "minute", "by": "consumer" },
        },
        "security_profiles": {
            "partner": {
                "authentication": { "type": "api_key", "header": "x-partner-key" },
                "rate_limiting": { "max_requests": 1, "per": "minute", "by": "consumer" },
            },
        },
        "consumers": [{ "name": "alice", "roles": ["user"], "keys": [{ "env": "ALICE_API_KEY" }] }],
        "routes": [
            { "path": "/a", "upstream": "http://127.0.0.1:8080" },
            { "path": "/b", "upstream": "http://127.0.0.1:8080", "security": { "use": "partner" } },
            {
                "path": "/c",
                "upstream": "http://127.0.0.1:8080",
                "security": { "use": "partner", "authorization": { "roles_allowed": ["user"] } },
            },
            {
                "path": "/d",
                "upstream": "http://127.0.0.1:8080",
                "security": {
                    "use": "partner",
                    "rate_limiting": { "max_requests": 50, "per": "minute", "by": "consumer" },
                },
            },
        ],
    });
    let gate = gate(&document.to_string());
    let partner = ("x-partner-key", "alice-key-0123456789");
    gate.send(get(&[KEY])).permitted();
    // The profile's method takes the place of the gateway's.
    assert_eq!(gate.send(request("GET", "/b", &[KEY])).refusal(), Some(Code::CredentialMissing));
    // The gateway's address list holds, since neither the route nor the profile has one.
    let denied = gate.send_from("198.51.100.7", request("GET", "/b", &[partner]));
    assert_eq!(denied.refusal(), Some(Code::AddressRefused));
    // One limit for all routes that use the profile, unless a route has its own.
    gate.send(request("GET", "/b", &[partner])).permitted();
    assert_eq!(gate.send(request("GET", "/c", &[partner])).refusal(), Some(Code::RateLimited));
    gate.send(request("GET", "/d", &[partner])).permitted();
}

/// An open gateway with this to say of request headers, behind proxies of 10.0.0.0/8.
fn with_headers(headers: Value) -> Value {
    json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "trusted_proxies": ["10.0.0.0/8"],
        "request_headers": headers,
        "routes": [{ "path": "/{*rest}", "public": "a test", "upstream": "http://127.0.0.1:8080" }],
    })
}

/// Whether a header from this peer goes on.
fn passes(headers: Value, peer: &str, name: &str, expected: bool) {
    let gate = gate(&with_headers(headers).to_string());
    let answer = gate.send_from(peer, get(&[(name, "1")]));
    assert_eq!(answer.permitted().headers.contains_key(name), expected, "{name} from {peer}");
}

fn kept_from_proxies() {
    let kept = || json!({ "keep_from_trusted_proxies": [{ "name": "Cf-IPCountry", "reason": "a test" }] });
    passes(json!({}), "10.0.0.1", "cf-ipcountry", false);
    passes(kept(), "10.0.0.1", "cf-ipcountry", true);
    passes(kept(), "192.0.2.1", "cf-ipcountry", false);
    passes(kept(), "10.0.0.1", "cf_ipcountry", false);
}

fn kept_from_everybody() {
    let kept = || json!({ "insecure_keep": [{ "name": "x-user", "reason": "a test" }] });
    passes(json!({}), "192.0.2.1", "x-user", false);
    passes(kept(), "192.0.2.1", "x-user", true);
    passes(kept(), "192.0.2.1", "remote-user", false);
}

/// The names of the files of an audit log.
fn audit_files(config: Value) -> [String; 2] {
    assert!(open(&json!({})).audit_log.is_none());
    let config = open(&json!({ "audit_log": config })).audit_log.unwrap();
    [config.file.clone(), config.key_file()]
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
}

/// That a path goes on where its route keeps this, and is refused where it does not.
fn kept(key: &str, path: &str) {
    for (said, refusal) in [("keep", None), ("refuse", Some(Code::AmbiguousPath))] {
        let mut document = with_headers(json!({}));
        document["routes"][0]["encoded_paths"] = json!({ key: said });
        assert_eq!(
            gate(&document.to_string()).send(request("GET", path, &[])).refusal(),
            refusal,
            "{key} {said}"
        );
    }
}

/// Two routes without a limit, of which the first is accepted, except that `changes` says otherwise.
fn with_findings(changes: Value) -> Value {
    let accepted = with(
        json!({ "finding": "no_rate_limit", "route": "/a", "reason": "a test", "until": "2027-06-30" }),
        changes,
    );
    json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "routes": [public_route(), with(public_route(), json!({ "path": "/other" }))],
        "accepted_findings": [accepted],
    })
}

/// The routes that have no limit, on the first day of 2027, as a check shows them.
fn unlimited(changes: Value) -> Vec<String> {
    let loaded = load(&with_findings(changes).to_string());
    assert!(loaded.blueprint().is_some(), "{}", loaded.text(portcullis::Style::Plain));
    let findings = loaded.findings("2027-01-01");
    let unlimited = findings.iter().filter(|finding| finding.rule.id == "no_rate_limit");
    unlimited.map(|finding| finding.route.clone().unwrap()).collect()
}
