//! A document for each diagnostic of connections; `§` stands where it points to.

use super::cases::PUBLIC;

/// A document whose listener has this `tls`.
fn tls(tls: &str) -> String {
    format!("listeners:\n  - bind: 127.0.0.1:3000\n    tls: {tls}\n{PUBLIC}")
}

/// A document whose listener has this pair.
fn pair(certificate: &str, key: &str) -> String {
    let place = |name: &str| match name.strip_prefix('§') {
        Some(name) => format!("§CERTIFICATES/{name}"),
        None => format!("CERTIFICATES/{name}"),
    };
    tls(&format!("{{ certificates: [{{ certificate: {}, key: {} }}] }}", place(certificate), place(key)))
}

/// A document whose listener asks for these client certificates.
fn clients(clients: &str) -> String {
    tls(&format!(
        "{{ certificates: [{{ certificate: CERTIFICATES/api.pem, key: CERTIFICATES/api.key }}], client_certificates: {clients} }}"
    ))
}

/// A document whose consumers are these, known by their certificates.
fn known(consumers: &str) -> String {
    format!(
        "security: {{ authentication: {{ type: mtls }} }}\nconsumers: {consumers}\n{}",
        clients("{ ca: CERTIFICATES/ca.pem }").replace("    public: a test\n", "")
    )
}

/// A document whose route goes there.
fn upstream(upstream: &str) -> String {
    format!(
        "listeners:\n  - bind: 127.0.0.1:3000\nroutes:\n  - path: /a\n    public: a test\n    upstream: {upstream}\n"
    )
}

/// Each code with a document.
pub(super) fn cases() -> Vec<(&'static str, String)> {
    vec![
        ("config.tls_source", tls("§{}")),
        ("config.tls_source", pair("api.pem", "api.key").replace("tls: {", "tls: §{ self_signed: true,")),
        (
            "config.self_signed",
            format!("listeners:\n  - bind: 0.0.0.0:3000\n    tls: §{{ self_signed: true }}\n{PUBLIC}"),
        ),
        (
            "config.tls_and_plaintext",
            format!(
                "listeners:\n  - bind: 127.0.0.1:3000\n    insecure_plaintext: why\n    tls: §{{ self_signed: true }}\n{PUBLIC}"
            ),
        ),
        ("config.tls_certificate", pair("§nonsense.pem", "api.key")),
        ("config.tls_certificate", pair("§missing.pem", "api.key")),
        ("config.tls_key", pair("api.pem", "§nonsense.pem")),
        ("config.tls_key", pair("api.pem", "§missing.key")),
        ("config.tls_key_permissions", pair("open.pem", "§open.key")),
        ("config.tls_mismatch", pair("api.pem", "§other.key")),
        ("config.tls_validity", pair("§expired.pem", "expired.key")),
        ("config.tls_validity", pair("§early.pem", "early.key")),
        ("config.tls_names", pair("§nameless.pem", "nameless.key")),
        ("config.timeout", tls("§{ self_signed: true, handshake_timeout: 0s }")),
        ("config.timeout", tls("§{ self_signed: true, reload_interval: 0s }")),
        ("config.client_authorities", clients("{ ca: §CERTIFICATES/nonsense.pem }")),
        ("config.client_authorities", clients("{ ca: §CERTIFICATES/missing.pem }")),
        ("config.revoked_certificates", clients("{ ca: CERTIFICATES/ca.pem, crls: [§CERTIFICATES/ca.pem] }")),
        ("config.certificate_identity", known("[{ name: alice, certificates: [{ name: a }, §{}] }]")),
        (
            "config.certificate_identity",
            known("[{ name: alice, certificates: [{ name: a }, §{ name: b, subject: CN=a }] }]"),
        ),
        (
            "config.certificate_identity",
            known("[{ name: alice, certificates: [{ name: a }, §{ subject: alice }] }]"),
        ),
        (
            "config.certificate_identity",
            known("[{ name: alice, certificates: [{ name: a }, §{ fingerprint: abc }] }]"),
        ),
        (
            "config.duplicate_certificate",
            known(
                "[{ name: alice, certificates: [{ name: a }] }, { name: bob, certificates: [§{ name: A }] }]",
            ),
        ),
        (
            "config.no_certificates",
            known("[{ name: alice }]").replace("authentication: {", "authentication: §{"),
        ),
        (
            "config.mtls_without_certificates",
            format!(
                "security: {{ authentication: §{{ type: mtls }} }}\nconsumers: [{{ name: alice, certificates: [{{ name: a }}] }}]\n{}",
                tls("{ self_signed: true }").replace("    public: a test\n", "")
            ),
        ),
        (
            "config.protocols",
            format!("listeners:\n  - bind: 127.0.0.1:3000\n    protocols: §[h2, http/1.1]\n{PUBLIC}"),
        ),
        ("config.empty_list", format!("listeners:\n  - bind: 127.0.0.1:3000\n    protocols: §[]\n{PUBLIC}")),
        (
            "config.redirect_under_tls",
            tls("{ self_signed: true }").replace("    tls:", "    redirect_to_https: §443\n    tls:"),
        ),
        (
            "config.redirect_to_nowhere",
            format!("listeners:\n  - bind: 127.0.0.1:3000\n    redirect_to_https: §443\n{PUBLIC}"),
        ),
        ("config.upstream_tls", upstream("{ url: \"http://a:1\", tls: §{ server_name: a } }")),
        (
            "config.upstream_tls",
            upstream("{ url: \"https://a:1\", tls: §{ server_name: a, insecure_skip_verify: a test } }"),
        ),
        (
            "config.upstream_tls",
            upstream("§{ url: \"https://a:1\", tls: { ca: CERTIFICATES/nonsense.pem } }"),
        ),
        ("config.upstream_tls", upstream("§{ url: \"https://a:1\", tls: { server_name: \"a b\" } }")),
        ("config.reason", upstream("{ url: \"https://a:1\", tls: { insecure_skip_verify: §true } }")),
        (
            "config.host_not_covered",
            pair("api.pem", "api.key").replace(
                "- path: /a",
                "- path: /a\n    hosts: [api.example.com, a.example.org, §example.org]",
            ),
        ),
    ]
}
