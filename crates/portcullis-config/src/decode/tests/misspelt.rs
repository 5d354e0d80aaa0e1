//! No slip of the pen is accepted: every key at every level, misspelt by one edit, is refused with its line and the name
//! that was meant.

#![allow(dead_code, reason = "what is declared matters here, not what is read")]

use super::*;

object! {
    /// The whole document.
    struct Document {
        /// Where to listen.
        listeners: Vec<Listener>,
        /// For all routes.
        security: Security,
        /// How long to wait.
        timeout: Duration = Duration::from_secs(30),
        /// Paths.
        routes: Vec<Route> = Vec::new(),
    }
}

object! {
    /// Where to listen.
    struct Listener {
        /// The address.
        bind: SocketAddr,
        /// The largest head.
        max_head_bytes: ByteSize = ByteSize::kib(64),
    }
}

object! {
    /// For all routes.
    struct Security {
        /// The limit.
        rate_limiting: Option<Limit>,
        /// Who may.
        roles_allowed: OneOrMany<String>,
        /// The key.
        signing_secret: Secret,
    }
}

object! {
    /// A path.
    struct Route {
        /// The path.
        path: Spanned<String>,
        /// The methods.
        methods: Option<Vec<String>>,
        /// The limit of this route.
        rate_limiting: Option<Limit>,
    }
}

const LINES: [&str; 17] = [
    "listeners:",
    "  - bind: 127.0.0.1:3000",
    "    max_head_bytes: 16KiB",
    "security:",
    "  rate_limiting:",
    "    max_requests: 100",
    "    per: minute",
    "    burst: 10",
    "  roles_allowed: [admin]",
    "  signing_secret: hunter2",
    "timeout: 10s",
    "routes:",
    "  - path: /orders",
    "    methods: [GET]",
    "  - path: /data",
    "    rate_limiting:",
    "      max_requests: 5",
];

fn keys() -> Vec<(usize, &'static str)> {
    let key = |line: &'static str| line.trim_start_matches([' ', '-']).split(':').next().unwrap();
    LINES.iter().enumerate().map(|(index, line)| (index, key(line))).collect()
}

fn edited(key: &str, at: usize, with: char, edit: u8) -> String {
    let mut characters: Vec<char> = key.chars().collect();
    let at = at % characters.len();
    match edit {
        0 => characters.insert(at, with),
        1 => {
            characters.remove(at);
        }
        2 => characters[at] = with,
        _ if at + 1 < characters.len() => characters.swap(at, at + 1),
        _ => characters.push(with),
    }
    characters.into_iter().collect()
}

#[test]
fn the_document_without_a_slip_is_read() {
    let (document, text) = read::<Document>(&LINES.join("\n"));
    assert_eq!(document.unwrap().routes[1].rate_limiting.as_ref().unwrap().max_requests.get(), 5);
    assert_eq!(text.matches("warning[config.literal_secret]").count(), 1);
    assert!(!text.contains("hunter2"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_slip_in_any_key_is_refused(which in 0..LINES.len(), at in 0usize..20, with in "[a-zA-Z_]", edit in 0u8..4) {
        let (line, key) = keys()[which];
        let misspelt = edited(key, at, with.chars().next().unwrap(), edit);
        // The edit may have changed nothing, or made the camelCase spelling or an alias.
        let accepted = |key: &str| [key.to_owned(), super::super::fields::camel_case(key)];
        prop_assume!(!accepted(key).contains(&misspelt));

        let mut lines: Vec<String> = LINES.iter().map(|line| (*line).to_owned()).collect();
        lines[line] = lines[line].replacen(&format!("{key}:"), &format!("{misspelt}:"), 1);
        let (document, text) = read::<Document>(&lines.join("\n"));
        prop_assert!(document.is_none());
        let place = format!("--> test.yaml:{}:", line + 1);
        let suggestion = format!("did you mean `{key}`?");
        prop_assert!(text.contains(&place) && text.contains(&suggestion), "{}\n{}", misspelt, text);
        prop_assert!(!text.contains("hunter2"), "{}", text);
        prop_assert_eq!(text.matches("error[").count(), 1, "{}", text);
    }

    #[test]
    fn any_document_is_read_or_refused(text in "\\PC{0,100}") {
        read::<Document>(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read::<Document>(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_damage_to_a_good_document_is_read_or_refused(at in 0usize..400, with in "\\PC|[\n\t:\\[{}\\]\"'&*!-]", length in 0usize..20) {
        let mut text = LINES.join("\n");
        let start = at.min(text.len());
        text.replace_range(start..(start + length).min(text.len()), &with);
        let (_, printed) = read::<Document>(&text);
        prop_assert!(printed.lines().all(|line| line.chars().count() < 250));
    }

    #[test]
    fn any_json_is_read_or_refused(number in any::<f64>(), text in ".*", key in ".*", integer in any::<u64>()) {
        let mut cx = Context::for_code();
        let inner = json!({ key.as_str(): [number, integer, null, { text: true }] });
        from_json::<Document>(json!({ "security": inner, "routes": [inner], key: inner }), &mut cx);
        prop_assert!(cx.diagnostics.has_errors());
        Renderer::new(&cx.diagnostics, None, Style::Colour).text();
    }
}
