//! The page in `docs/` is what the code says, and its example runs.

use super::harness::{gate, get, request};
use super::keys;
use portcullis_core::Code;

#[test]
fn the_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let wanted = portcullis::load::reference();
    let present = std::fs::read_to_string(path).unwrap_or_default();
    if present != wanted {
        let made = concat!(env!("CARGO_TARGET_TMPDIR"), "/configuration.md");
        std::fs::write(made, wanted).unwrap();
        panic!(
            "docs/configuration.md is out of date; run `cargo xtask gen` (what it should be is in {made})"
        );
    }
}

#[test]
fn the_page_names_every_key() {
    let page = portcullis::load::reference();
    for (path, spellings) in keys::declared() {
        assert!(page.contains(&format!("| `{}` |", spellings[0])), "{path}");
    }
    for line in page.lines().filter(|line| line.starts_with('|')) {
        assert_eq!(line.replace("\\|", "").matches('|').count(), 5, "a table of four columns: {line}");
        assert!(!line.contains("||") && !line.contains("|  |  |  |"), "{line}");
    }
}

#[test]
fn every_link_leads_to_a_heading() {
    let page = portcullis::load::reference();
    let slug = |heading: &str| {
        heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
            .collect::<String>()
    };
    let headings: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| slug(&heading.replace(' ', "-")))
        .collect();
    let links: Vec<&str> =
        page.split("](#").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link).collect();
    assert!(links.len() > 10);
    for link in links {
        assert!(headings.iter().any(|heading| heading == link), "{link} of {headings:?}");
    }
}

#[test]
fn the_example_of_the_page_runs() {
    let gate = gate(portcullis::reference::EXAMPLE);
    gate.send(request("GET", "/orders/7", &[("x-api-key", "alice-key-0123456789")])).permitted();
    assert_eq!(gate.send(request("GET", "/orders/7", &[])).refusal(), Some(Code::CredentialMissing));
    assert_eq!(gate.send(get(&[])).refusal(), Some(Code::RouteNotFound));
    gate.send(request("GET", "/health", &[])).permitted();
}
