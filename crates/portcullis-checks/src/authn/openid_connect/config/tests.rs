use super::*;
use crate::authn::declared::{asked, build, compiled_with, method, rehearsed, said_of, stage};
use crate::token::tests::at_once;
use crate::token::tests::world::World;
use portcullis_core::{Authn, Code};
use serde_json::json;

const NONE: Vec<&str> = Vec::new();
const REQUIRED: [(&str, &str); 6] = [
    ("issuer", "https://id.example"),
    ("client_id", "gate"),
    ("client_secret", "s3cret"),
    ("public_url", "https://api.example"),
    ("session_secret", "0123456789abcdef0123456789abcdef"),
    ("type", "openid_connect"),
];

/// A login with these keys in place of the usual ones, or beside them.
fn with(changes: &[(&str, &str)]) -> String {
    let changed = |name: &str| changes.iter().any(|(other, _)| *other == name);
    let kept = REQUIRED.iter().filter(|(name, _)| !changed(name));
    let keys: Vec<String> = kept.chain(changes).map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{{ {} }}", keys.join(", "))
}

fn said(changes: &[(&str, &str)]) -> Vec<&'static str> {
    said_of(&with(changes))
}

/// The login that is built of these keys.
fn login(changes: &[(&str, &str)]) -> Arc<Login> {
    let mut build = build();
    assert!(compiled_with(&with(changes), &mut build).0.is_some(), "{changes:?}");
    Arc::clone(&build.logins.first().unwrap().login)
}

#[test]
fn a_login_is_what_is_written() {
    let usual = login(&[]);
    assert_eq!((usual.client.id.as_str(), usual.client.scope.as_str()), ("gate", "openid"));
    assert_eq!(usual.client.redirect, "https://api.example/auth/callback");
    assert!(!usual.client.comes_by_form && usual.session.keeps_id_token && !usual.session.ended_by_provider);
    assert_eq!(usual.tokens.audience, Some(vec!["gate".to_owned()]));
    assert!(login(&[("response_mode", "form_post")]).client.comes_by_form);
    assert!(!login(&[("id_token_hint", "false")]).session.keeps_id_token);
    assert!(login(&[("backchannel_logout_path", "/auth/ended")]).session.ended_by_provider);
    assert_eq!(
        login(&[("scopes", "[openid, profile, offline_access]")]).client.scope,
        "openid profile offline_access"
    );
    assert_eq!(login(&[("scopes", "[]")]).client.scope, "openid");
    assert_eq!(said(&[("scopes", "[profile, 'a b']")]), ["config.scope_name"]);
    assert!(!method(&with(&[])).is_authorization());
    assert_eq!(
        method(&with(&[("roles_prefix", "'staff/'")])).establishes(),
        Establishes::Subjects { issuer: "https://id.example".into(), roles_prefix: "staff/".into() }
    );
}

#[test]
fn the_provider_is_asked_where_it_is() {
    let asked = |changes: &[(&str, &str)]| {
        let mut build = build();
        compiled_with(&with(changes), &mut build);
        build.asked.into_iter().map(|url| url.value).collect::<Vec<_>>()
    };
    assert_eq!(asked(&[]), ["https://id.example"]);
    assert_eq!(asked(&[("metadata_url", "https://id.example/b2c")]), ["https://id.example/b2c"]);
    assert_eq!(said(&[("metadata_url", "id")]), ["config.issuer_url"]);
    assert_eq!(said(&[("issuer", "http://id.example")]), ["config.issuer_url"]);
}

#[test]
fn browsers_find_the_gateway_at_one_origin() {
    for (url, origin, host) in [
        ("https://api.example", "https://api.example", "api.example"),
        ("https://api.example/", "https://api.example", "api.example"),
        ("https://API.example:443", "https://api.example", "api.example"),
        ("https://api.example:8443", "https://api.example:8443", "api.example"),
        ("https://api.example:80", "https://api.example:80", "api.example"),
    ] {
        let login = login(&[("public_url", url)]);
        assert_eq!((login.origin.as_str(), login.host.as_str()), (origin, host), "{url}");
        assert!(login.cookies.session().starts_with("__Host-"), "{url}");
    }
    for (url, origin) in [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
    ] {
        assert_eq!(said(&[("public_url", url)]), ["config.login_without_tls"], "{url}");
        let login = login(&[("public_url", url)]);
        assert_eq!((login.origin.as_str(), login.cookies.session()), (origin, "gateway-session"), "{url}");
    }
    for bad in [
        "http://api.example",
        "https://api.example/app",
        "'https://api.example/?a=b'",
        "'https://api.example?a=b'",
        "https://user@api.example",
        "api.example",
    ] {
        assert_eq!(said(&[("public_url", bad)]), ["config.public_url"], "{bad}");
    }
}

#[test]
fn sessions_are_sealed_with_long_secrets() {
    let secret = |bytes: usize| "s".repeat(bytes);
    let list = |count: usize| format!("[{}]", vec![secret(MIN_SECRET_BYTES); count].join(", "));
    for (secrets, expected) in [
        (secret(MIN_SECRET_BYTES), NONE),
        (secret(MIN_SECRET_BYTES - 1), vec!["config.session_secret"]),
        (list(MAX_SECRETS), NONE),
        (list(MAX_SECRETS + 1), vec!["config.session_secret"]),
        (list(0), vec!["config.session_secret"]),
        (format!("[{}, short]", secret(MIN_SECRET_BYTES)), vec!["config.session_secret"]),
    ] {
        assert_eq!(said(&[("session_secret", &secrets)]), expected, "{secrets}");
    }
}

#[test]
fn a_session_is_neither_too_long_nor_too_large() {
    for key in ["session_lifetime", "idle_timeout"] {
        for (time, expected) in [
            ("1s", NONE),
            ("30d", NONE),
            ("999ms", vec!["config.session_lifetime"]),
            ("2592001s", vec!["config.session_lifetime"]),
        ] {
            assert_eq!(said(&[(key, time)]), expected, "{key} {time}");
        }
    }
    for (size, expected) in [
        ("1KiB", NONE),
        ("16KiB", NONE),
        ("1023", vec!["config.session_size"]),
        ("16385", vec!["config.session_size"]),
    ] {
        assert_eq!(said(&[("max_session_size", size)]), expected, "{size}");
    }
    let rules = login(&[("session_lifetime", "2h"), ("idle_timeout", "10m"), ("max_session_size", "2KiB")]);
    let rules = &rules.session;
    assert_eq!((rules.lifetime.as_secs(), rules.idle.as_secs(), rules.max_bytes), (7200, 600, 2048));
    assert_eq!(said(&[("roles_prefix", "'a b'")]), ["config.role_name"]);
}

#[test]
fn each_page_has_a_path_of_its_own() {
    for key in ["callback_path", "logout_path", "logged_out_path", "backchannel_logout_path"] {
        assert_eq!(said(&[(key, "/a/page")]), NONE, "{key}");
        for bad in
            ["page", "/a/../b", "/a//b", "'/a/{id}'", "'/a{'", "'/a}'", "'/a/:id'", "'/a/*'", "/%61", "''"]
        {
            assert_eq!(said(&[(key, bad)]), ["config.route_path"], "{key} {bad}");
        }
    }
    let conflict = ["config.login_conflict"];
    assert_eq!(said(&[("callback_path", "/x"), ("logout_path", "/x")]), conflict);
    assert_eq!(said(&[("callback_path", "/x"), ("backchannel_logout_path", "/x")]), conflict);
    assert_eq!(said(&[("logout_path", "/x"), ("backchannel_logout_path", "/x")]), conflict);
    assert_eq!(said(&[("logout_path", "/x"), ("logged_out_path", "/x")]), NONE);
}

#[test]
fn the_gateway_answers_the_pages_of_a_login_itself() {
    let served = |changes: &[(&str, &str)]| {
        let mut build = build();
        compiled_with(&with(changes), &mut build);
        let keeps = build.logins.first().unwrap().login.cookies.locations();
        assert_eq!(keeps.len(), 7, "the session, three further parts, and three attempts");
        let allows = |methods: &MethodSet, name: &str| methods.contains(&name.parse().unwrap());
        build
            .endpoints
            .iter()
            .map(|served| {
                assert_eq!(served.keeps, keeps);
                let methods = ["GET", "POST", "PUT"].map(|name| allows(&served.methods, name));
                (served.path.clone(), served.hosts.clone(), methods, served.endpoint.describe())
            })
            .collect::<Vec<_>>()
    };
    let on_each = |path: &str, methods: [bool; 3], told: &str| {
        [Vec::new(), vec!["api.example".to_owned()]]
            .map(|hosts| (path.to_owned(), hosts, methods, told.to_owned()))
    };
    let (get, post, both) = ([true, false, false], [false, true, false], [true, true, false]);
    let back = "where browsers come back to from https://id.example";
    let out = "where browsers end their session of https://id.example, and go on to https://api.example/";
    assert_eq!(
        served(&[]),
        [on_each("/auth/callback", get, back), on_each("/auth/logout", post, out)].concat()
    );
    assert_eq!(
        served(&[("response_mode", "form_post"), ("backchannel_logout_path", "/ended")]),
        [
            on_each("/auth/callback", both, back),
            on_each("/auth/logout", post, out),
            on_each("/ended", post, "where https://id.example ends sessions")
        ]
        .concat()
    );
}

/// What is said where both are logins of one site.
fn together(one: &[(&str, &str)], other: &[(&str, &str)]) -> (Vec<&'static str>, usize) {
    let mut build = build();
    assert!(compiled_with(&with(one), &mut build).0.is_some());
    let (_, codes) = compiled_with(&with(other), &mut build);
    (codes, build.logins.len())
}

#[test]
fn a_login_that_is_written_twice_is_one() {
    assert_eq!(together(&[], &[]), (NONE, 1));
    for change in [
        ("issuer", "https://other.example"),
        ("client_id", "other"),
        ("client_secret", "other"),
        ("client_authentication", "client_secret_post"),
        ("session_secret", "another-0123456789abcdef0123456789"),
        ("scopes", "[profile]"),
        ("metadata_url", "https://id.example/meta"),
        ("roles_claim", "groups"),
        ("more_roles_claims", "[groups]"),
        ("roles_separator", "';'"),
        ("roles_prefix", "p"),
        ("response_mode", "form_post"),
        ("claims", "[tenant]"),
        ("session_lifetime", "11h"),
        ("idle_timeout", "59m"),
        ("max_session_size", "4000"),
        ("id_token_hint", "false"),
        ("logged_out_path", "/bye"),
        ("backchannel_logout_path", "/ended"),
    ] {
        assert_eq!(together(&[], &[change]), (vec!["config.login_conflict"], 1), "{change:?}");
        assert_eq!(together(&[change], &[change]), (NONE, 1), "{change:?}");
    }
}

#[test]
fn two_logins_share_neither_paths_nor_cookies() {
    let paths = [("callback_path", "/b/callback"), ("logout_path", "/b/logout")];
    let cookie = ("cookie_name", "b");
    let elsewhere = ("public_url", "https://b.example");
    let conflict = (vec!["config.login_conflict"], 1);
    let apart = (NONE, 2);
    assert_eq!(together(&[], &[paths[0], paths[1], cookie]), apart);
    assert_eq!(together(&[], &[paths[0], paths[1], elsewhere]), apart, "each host has its own cookies");
    assert_eq!(together(&[], &[paths[0], paths[1]]), conflict, "the same cookie");
    assert_eq!(together(&[], &[paths[0], cookie]), conflict, "the same path for the logout");
    assert_eq!(together(&[], &[paths[1], cookie]), conflict, "the same path for the callback");
    assert_eq!(together(&[], &[cookie, elsewhere]), conflict, "paths are for every host");
    assert_eq!(
        together(&[], &[("callback_path", "/auth/logout"), ("logout_path", "/b/logout"), cookie]),
        conflict
    );
    let ended = ("backchannel_logout_path", "/ended");
    assert_eq!(together(&[ended], &[paths[0], ("logout_path", "/ended"), cookie]), conflict);
    assert_eq!(together(&[ended], &[paths[0], paths[1], cookie, ended]), conflict);
}

#[test]
fn a_rehearsal_has_sessions_that_are_good_and_others() {
    let person = Person {
        name: "alice".into(),
        roles: vec!["user".into()],
        scopes: vec!["read".into()],
        claims: [("tenant.id".to_owned(), json!("blue"))].into_iter().collect(),
    };
    for (changes, roles) in [
        (vec![], vec!["user"]),
        (vec![("roles_prefix", "us")], vec!["user"]),
        (vec![("roles_claim", "realm.roles"), ("roles_separator", "','")], vec!["user"]),
        (vec![("roles_prefix", "x")], vec![]),
        (vec![("session_lifetime", "1h"), ("idle_timeout", "2h")], vec!["user"]),
    ] {
        let (mut build, doubles) = rehearsed();
        let (Some(Compiled::Check(check)), _) = compiled_with(&with(&changes), &mut build) else {
            panic!("no check")
        };
        let (method, world) = (method(&with(&changes)), World::default());
        let says = |verb: &str, credential: &Credential| {
            let asked = asked(verb, credential);
            let facts = asked.facts(&world);
            match at_once(check.authenticate(&facts, &world).resolve()) {
                Authn::ClaimAndTell(evidence, _) | Authn::Claim(evidence) => Ok(evidence),
                Authn::Deny(denial) => Err(denial.code()),
                Authn::NotMine => panic!("it is there"),
            }
        };
        for (verb, expected) in [
            ("GET", vec![Attack::Expired, Attack::Expired, Attack::Wrong]),
            (
                "POST",
                vec![Attack::Expired, Attack::Expired, Attack::CrossSite, Attack::CrossSite, Attack::Wrong],
            ),
        ] {
            let stage = stage(&doubles, verb);
            let evidence = says(verb, &method.good(&person, &stage).unwrap()).unwrap();
            let portcullis_core::Identity::Subject(subject) = evidence.identity() else {
                panic!("a subject")
            };
            assert_eq!(
                (subject.name.as_str(), &subject.roles),
                ("alice", &roles.iter().map(|role| (*role).to_owned()).collect())
            );
            assert_eq!(subject.scopes, ["read"]);
            let tenant = subject.claims.member("tenant").and_then(|tenant| tenant.member("id"));
            assert_eq!(tenant.and_then(portcullis_core::Claim::as_text), Some("blue"));
            let wrong = method.wrong(&person, &stage);
            assert_eq!(wrong.iter().map(|(attack, _)| *attack).collect::<Vec<_>>(), expected, "{changes:?}");
            for (attack, credential) in wrong {
                let code = if attack == Attack::Expired {
                    Code::CredentialExpired
                } else if attack == Attack::CrossSite {
                    Code::CrossSite
                } else {
                    Code::CredentialMalformed
                };
                assert_eq!(says(verb, &credential).err(), Some(code), "{attack}");
            }
        }
    }
}
