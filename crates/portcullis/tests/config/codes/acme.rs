//! A document for each diagnostic of certificates that are got by themselves; `§` stands where it points to.

use super::cases::PUBLIC;

/// A document with these keys besides those that are needed, and another storage if one is among them.
fn acme(domains: &str, more: &str) -> String {
    let storage = if more.contains("storage") { "" } else { ", storage: CERTIFICATES/acme" };
    format!(
        "listeners:\n  - bind: 127.0.0.1:3000\n    tls:\n      acme: {{ domains: {domains}, agree_to_terms: true{storage}{more} }}\n{PUBLIC}"
    )
}

/// Each code with a document.
pub(super) fn cases() -> Vec<(&'static str, String)> {
    let one = "[api.example.com]";
    vec![
        (
            "config.acme_terms",
            acme(one, "").replace("acme: {", "acme: §{").replace(", agree_to_terms: true", ""),
        ),
        ("config.acme_domain", acme("[]", "").replace("acme: {", "acme: §{")),
        ("config.acme_domain", acme("[api.example.com, §\"*.example.com\"]", "")),
        ("config.acme_domain", acme("[§localhost]", "")),
        ("config.acme_domain", acme("[§\"api.example.com:443\"]", "")),
        ("config.acme_domain", acme("[§192.0.2.1]", "")),
        ("config.acme_domain", acme("[§a_b.example.com]", "")),
        ("config.acme_domain", acme("[§\"https://api.example.com\"]", "")),
        ("config.acme_contact", acme(one, ", contact: [\"mailto:a@b.example\", §a@b.example]")),
        ("config.acme_contact", acme(one, ", contact: [§\"mailto:a@b@c\"]")),
        ("config.acme_directory", acme(one, ", directory: §\"http://127.0.0.1/dir\"")),
        ("config.acme_directory", acme(one, ", directory: §\"https://me:secret@acme.example/dir\"")),
        ("config.acme_directory", acme(one, ", directory: §nowhere")),
        ("config.acme_directory", acme(one, ", directory: \"https://acme.example/dir\", staging: §true")),
        ("config.acme_storage", acme(one, ", storage: §CERTIFICATES/ca.pem")),
        ("config.acme_storage", acme(one, ", storage: §CERTIFICATES/shared")),
        ("config.ca", acme(one, ", ca: §CERTIFICATES/nonsense.pem")),
        ("config.acme_without_http", acme(one, ", challenge: §http")),
        ("config.timeout", acme(one, ", renew_before: 0s").replace("acme: {", "acme: §{")),
        ("config.timeout", acme(one, ", retry_interval: 0s").replace("acme: {", "acme: §{")),
        ("config.tls_source", acme(one, "").replace("      acme:", "      §self_signed: true\n      acme:")),
    ]
}
