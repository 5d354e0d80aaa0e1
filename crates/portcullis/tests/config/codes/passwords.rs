//! A document for each diagnostic of passwords, and of those who guess them; `§` stands where it points to.

const LISTENERS: &str = "listeners:\n  - bind: 127.0.0.1:3000\n";
const ROUTES: &str = "routes:\n  - path: /a\n    upstream: http://127.0.0.1:8080\n";
const PUBLIC: &str = "routes:\n  - path: /a\n    public: a test\n    upstream: http://127.0.0.1:8080\n";
const SALT_AND_HASH: &str = "JXywo0L7Xg/Hsogn4rHbYg$ItmuTwomEpc/9nxFhCcnQeaa+gR9jYNo9IasPmHIyBw";

/// A document whose consumers are these.
fn consumers(consumers: &str) -> String {
    format!(
        "security: {{ authentication: {{ type: basic }} }}\n{LISTENERS}consumers: [{consumers}]\n{ROUTES}"
    )
}

/// A document whose consumer has this password.
fn password(password: &str) -> String {
    consumers(&format!("{{ name: alice, password: {password} }}"))
}

fn hash(algorithm: &str, parameters: &str) -> String {
    format!("{{ hash: \"${algorithm}${parameters}${SALT_AND_HASH}\" }}")
}

fn guard(guard: &str) -> String {
    format!("brute_force: {guard}\n{LISTENERS}{PUBLIC}")
}

/// Each code with a document.
pub(crate) fn cases() -> Vec<(&'static str, String)> {
    let good = hash("argon2id", "v=19$m=19456,t=2,p=1");
    let mut cases = vec![
        (
            "config.realm",
            format!(
                "security: {{ authentication: {{ type: basic, realm: §'a \"b\"' }} }}\n{LISTENERS}{ROUTES}"
            ),
        ),
        (
            "config.no_passwords",
            format!("security: {{ authentication: §{{ type: basic }} }}\n{LISTENERS}{ROUTES}"),
        ),
        ("config.user_name", consumers(&format!("{{ name: §\"a:b\", password: {good} }}"))),
        (
            "config.password_costs_differ",
            consumers(&format!(
                "{{ name: a, password: {good} }}, {{ name: b, password: §{} }}",
                hash("argon2id", "v=19$m=47104,t=1,p=1")
            )),
        ),
        ("config.brute_force_off", guard("{ mode: §off }")),
        ("config.wait", guard("{ first_wait: §0s }")),
        ("config.wait", guard("{ longest_wait: §25h }")),
        ("config.wait", guard("{ first_wait: 10s, longest_wait: §9s }")),
        ("config.password_hash", password("§open sesame")),
        ("config.password_hash", password("§{}")),
        ("config.password_hash", password("§{ hash: open sesame }")),
        (
            "config.password_hash",
            password("§{ hash: $2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW }"),
        ),
        ("config.password_hash", password("§{ env: PASSWORD_HASH, file: password.txt }")),
        ("config.password_hash", password("§{ file: key.txt }")),
    ];
    // Another algorithm, an old version, no version, a parameter that is missing, one too many, too short.
    for (algorithm, parameters) in [
        ("argon2i", "v=19$m=19456,t=2,p=1"),
        ("argon2d", "v=19$m=19456,t=2,p=1"),
        ("argon2id", "v=16$m=19456,t=2,p=1"),
        ("argon2id", "m=19456,t=2,p=1"),
        ("argon2id", "v=19$m=19456,t=2"),
        ("argon2id", "v=19$m=19456,t=2,p=1,data=c29tZQ"),
        ("argon2id", "v=19$m=19456,t=2,p=0"),
    ] {
        cases.push(("config.password_hash", password(&format!("§{}", hash(algorithm, parameters)))));
    }
    for salt_and_hash in
        ["JXywo0L7Xg", "c2FsdA$ItmuTwomEpc/9nxFhCcnQeaa", "JXywo0L7Xg/Hsogn4rHbYg$ItmuTwomEpc/9n"]
    {
        let short = format!("§{{ hash: \"$argon2id$v=19$m=19456,t=2,p=1${salt_and_hash}\" }}");
        cases.push(("config.password_hash", password(&short)));
    }
    for parameters in ["v=19$m=19455,t=2,p=1", "v=19$m=47103,t=1,p=1", "v=19$m=4096,t=9,p=1"] {
        cases.push(("config.weak_password_hash", password(&format!("§{}", hash("argon2id", parameters)))));
    }
    for parameters in
        ["v=19$m=262145,t=2,p=1", "v=19$m=131072,t=9,p=1", "v=19$m=19456,t=55,p=1", "v=19$m=65536,t=2,p=17"]
    {
        cases.push(("config.costly_password_hash", password(&format!("§{}", hash("argon2id", parameters)))));
    }
    cases
}
