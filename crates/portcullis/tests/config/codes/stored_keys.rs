//! Diagnostics of `store.keys`.

use super::cases::PUBLIC;

fn keys(keys: &str) -> String {
    format!("store: {{ keys: {keys} }}\nlisteners:\n  - bind: 127.0.0.1:3000\n{PUBLIC}")
}

pub(super) fn cases() -> Vec<(&'static str, String)> {
    let url = "url: postgres://p@localhost/k";
    vec![
        ("config.store_place", keys("§{ max_stale: 10s }")),
        (
            "config.store_place",
            keys(
                "{ sqlite: keys.db, postgres: §{ url: { file: database-url.txt } }, peppers: [{ env: TOKEN_SECRET }] }",
            ),
        ),
        ("config.store_pepper", keys("{ postgres: §{ url: { file: database-url.txt } } }")),
        (
            "config.store_pepper",
            format!("state_dir: state\n{}", keys("{ postgres: §{ url: { file: database-url.txt } } }")),
        ),
        ("config.empty_list", keys("{ sqlite: keys.db, peppers: §[] }")),
        ("config.short_pepper", keys("{ sqlite: keys.db, peppers: [§{ env: PEPPER }] }")),
        (
            "config.store_url",
            keys("{ postgres: { url: §{ file: key.txt } }, peppers: [{ env: TOKEN_SECRET }] }"),
        ),
        (
            "config.literal_secret",
            keys(&format!(
                "{{ postgres: {{ {} }}, peppers: [{{ env: TOKEN_SECRET }}] }}",
                url.replace("url: ", "url: §")
            )),
        ),
        ("config.store_stale", keys("{ sqlite: keys.db, max_stale: §1s }")),
        ("config.store_stale", keys("{ sqlite: keys.db, max_stale: §2h }")),
        ("config.store_memory", keys("{ sqlite: keys.db, max_memory: §1kB }")),
    ]
}
