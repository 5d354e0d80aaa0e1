//! A document for each diagnostic of logins; `§` stands where it points to.

const REST: &str =
    "listeners:\n  - bind: 127.0.0.1:3000\nroutes:\n  - path: /a\n    upstream: http://127.0.0.1:8080\n";

/// A login with these keys in place of the usual ones.
fn method(keys: &[(&str, &str)]) -> String {
    let usual = [
        ("type", "openid_connect"),
        ("issuer", "https://auth.example.com"),
        ("client_id", "gate"),
        ("client_secret", "{ env: TOKEN_SECRET }"),
        ("public_url", "https://app.example.com"),
        ("session_secret", "{ env: TOKEN_SECRET }"),
    ];
    let given = |name: &str| keys.iter().any(|(key, _)| *key == name);
    let all = usual.iter().filter(|(name, _)| !given(name)).chain(keys);
    let lines: Vec<String> = all.map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{{ {} }}", lines.join(", "))
}

/// A document with this login.
fn login(keys: &[(&str, &str)]) -> String {
    format!("security: {{ authentication: {} }}\n{REST}", method(keys))
}

/// A document with the usual login, and another one on a route.
fn two(keys: &[(&str, &str)]) -> String {
    format!("{}    security: {{ authentication: §{} }}\n", login(&[]), method(keys))
}

/// Each code with a document.
pub(crate) fn cases() -> Vec<(&'static str, String)> {
    let mut cases = vec![
        ("config.login_conflict", two(&[("client_id", "another")])),
        ("config.login_conflict", two(&[("session_lifetime", "1h")])),
        ("config.login_conflict", two(&[("callback_path", "/in"), ("logout_path", "/out")])),
        ("config.login_conflict", two(&[("callback_path", "/in"), ("cookie_name", "other")])),
        ("config.login_conflict", login(&[("callback_path", "/in"), ("logout_path", "§/in")])),
        ("config.login_without_tls", login(&[("public_url", "§http://127.0.0.1:3000")])),
        ("config.session_secret", login(&[("session_secret", "§{ env: ALICE_API_KEY }")])),
        ("config.session_secret", login(&[("session_secret", "§[]")])),
        (
            "config.session_secret",
            login(&[("session_secret", "§[{ env: TOKEN_SECRET }, { env: ALICE_API_KEY }]")]),
        ),
        ("config.session_lifetime", login(&[("session_lifetime", "§31d")])),
        ("config.session_lifetime", login(&[("idle_timeout", "§0s")])),
        ("config.session_size", login(&[("max_session_size", "§17KiB")])),
        ("config.session_size", login(&[("max_session_size", "§1023")])),
        ("config.route_path", login(&[("backchannel_logout_path", "§auth")])),
        ("config.login_conflict", login(&[("backchannel_logout_path", "§/auth/logout")])),
        ("config.route_path", login(&[("callback_path", "§auth")])),
        ("config.route_path", login(&[("callback_path", "§/auth/../in")])),
        ("config.route_path", login(&[("logged_out_path", "§'//evil.example'")])),
        ("config.route_path", login(&[("logout_path", "§'/{path}'")])),
        ("config.parameter_name", login(&[("cookie_name", "§a;b")])),
        ("config.scope_name", login(&[("scopes", "§['a b']")])),
        ("config.claim_path", login(&[("claims", "[a, §a..b]")])),
        ("config.client_id", login(&[("client_id", "§' '")])),
    ];
    for url in [
        "http://app.example.com",
        "https://app.example.com/shop",
        "https://app.example.com/?a=1",
        "https://a:b@app.example.com",
        "app.example.com",
        "https://",
        "ftp://app.example.com",
        "http://localhost.example.com",
    ] {
        cases.push(("config.public_url", login(&[("public_url", &format!("§'{url}'"))])));
    }
    for issuer in ["http://auth.example.com", "auth.example.com"] {
        cases.push(("config.issuer_url", login(&[("issuer", &format!("§'{issuer}'"))])));
    }
    cases
}
