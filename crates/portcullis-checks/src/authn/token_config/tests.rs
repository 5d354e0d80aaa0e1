use super::*;
use crate::authn::declared::{compiled_with, help_on, method, said_of, trusts, trusts_and_codes};
use crate::authn::key_digest::KeyHasher;
use crate::authn::method::Compiled;
use crate::build::Build;
use crate::token::rules::Profile;
use crate::token::tests::world::World;
use portcullis_core::Effects;
use portcullis_store::Kept;

/// A method for tokens of `https://issuer.example` with more keys.
fn with(more: &str) -> String {
    format!("{{ type: jwt, issuer: 'https://issuer.example', audience: api{more} }}")
}

fn said(more: &str) -> Vec<&'static str> {
    said_of(&with(more))
}

fn trust(more: &str) -> Trust {
    trusts(&with(more)).remove(0)
}

/// What is asked of the tokens of a method, as it is written.
fn written<T>(more: &str, read: impl FnOnce(&TokenConfig) -> T) -> T {
    read(method(&with(more)).token().unwrap())
}

const NONE: Vec<&str> = Vec::new();

#[test]
fn clocks_differ_by_five_minutes_at_most() {
    assert_eq!(said(", leeway: 5m"), NONE);
    assert_eq!(said(", leeway: 0s"), NONE);
    assert_eq!(said(", leeway: 301s"), ["config.leeway"]);
    assert_eq!(trust(", leeway: 5m").rules.leeway, Duration::from_secs(300));
    assert_eq!(trust("").rules.leeway, Duration::from_secs(30));
}

#[test]
fn unknown_keys_cause_a_fetch_every_tenth_of_a_second_at_most() {
    assert_eq!(said(", min_refresh: 100ms"), NONE);
    assert_eq!(said(", min_refresh: 99ms"), ["config.min_refresh"]);
    assert_eq!(said(", min_refresh: 1h"), NONE);
    // Both are told at once.
    assert_eq!(said(", min_refresh: 0s, leeway: 1h"), ["config.min_refresh", "config.leeway"]);
}

#[test]
fn what_is_asked_of_tokens_is_what_is_written() {
    let rules = trust(
        ", profile: access_token, max_age: 1h, audience_claim: client_id, scopes_claim: perms, subject_claim: oid",
    )
    .rules;
    let path = |text: &str| portcullis_core::ClaimPath::parse(text);
    assert_eq!((rules.profile, rules.max_age), (Profile::AccessToken, Some(Duration::from_secs(3600))));
    assert_eq!(
        (rules.audience_claim, rules.scopes, rules.subject),
        (path("client_id"), path("perms"), path("oid"))
    );
    let usual = trust("").rules;
    assert_eq!((usual.profile, usual.max_age), (Profile::Any, None));
    assert_eq!((usual.audience_claim, usual.scopes, usual.subject), (None, None, None));
    assert!(trust(", insecure_forward_credential: 'it asks others'").forward);
    let named = trust(", openapi_schemes: [staff, partner]").schemes.named;
    assert_eq!(named, Some(vec!["staff".to_owned(), "partner".to_owned()]));
    assert_eq!(trust("").schemes.named, None);
}

#[test]
fn roles_have_a_prefix_that_can_be_seen() {
    for good in ["partner:", "p", "a-b/c~", "!#$%&*"] {
        let more = format!(", roles_prefix: '{good}'");
        assert_eq!(trust(&more).rules.roles.prefix, good);
        assert_eq!(written(&more, TokenConfig::prefix), good);
    }
    for bad in ["", "a b", "a,b", ",", " ", "é"] {
        assert_eq!(said(&format!(", roles_prefix: '{bad}'")), ["config.role_name"], "{bad}");
    }
    assert_eq!((trust("").rules.roles.prefix.as_str(), written("", TokenConfig::prefix).as_str()), ("", ""));
    assert_eq!(said(", roles_separator: ''"), ["config.roles_separator"]);
    assert_eq!(trust(", roles_separator: ' '").rules.roles.separator.as_deref(), Some(" "));
    let several = trust(", roles_claim: a.b, more_roles_claims: [groups]").rules.roles.claims;
    assert_eq!(several.iter().map(|path| path.names().len()).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn algorithms_fit_the_kind_of_key() {
    let secret = ", secret: 0123456789abcdef0123456789abcdef";
    for (more, expected) in [
        (", algorithms: [RS256, ES512, EdDSA, Ed25519]".to_owned(), NONE),
        (format!("{secret}, algorithms: [HS256, HS512]"), NONE),
        (", algorithms: [HS256]".to_owned(), vec!["config.token_algorithm"]),
        (", algorithms: [RS256, HS256]".to_owned(), vec!["config.token_algorithm"]),
        (format!("{secret}, algorithms: [RS256]"), vec!["config.token_algorithm"]),
        (", algorithms: [none]".to_owned(), vec!["config.token_algorithm"]),
        (", algorithms: [rs256]".to_owned(), vec!["config.token_algorithm"]),
        (", algorithms: []".to_owned(), vec!["config.empty_list"]),
        (format!("{secret}, algorithms: []"), vec!["config.empty_list"]),
    ] {
        assert_eq!(said(&more), expected, "{more}");
    }
    let settings = |more: &str| trust(more).issuer.settings().to_owned();
    assert!(settings("").contains(&format!("{:?}", keys::asymmetric())));
    assert!(settings(", algorithms: [ES256]").contains("[Es256]"));
    assert!(settings(secret).contains("[Hs256]"));
    assert_eq!(
        help_on(&with(&format!("{secret}, algorithms: [none]"))),
        "the algorithms are HS256, HS384, HS512"
    );
    let help = help_on(&with(", algorithms: [none]"));
    assert!(help.contains("RS256") && help.contains("EdDSA") && !help.contains("HS256"), "{help}");
}

#[test]
fn a_url_is_protected_unless_the_operator_says_otherwise() {
    let plain = ", jwks_url: 'http://keys.internal/a'";
    let reason = ", insecure_plaintext: 'a mesh encrypts it'";
    for (more, expected) in [
        (", jwks_url: 'https://keys.example/a'".to_owned(), NONE),
        (", jwks_url: 'http://127.0.0.1:8080/a'".to_owned(), NONE),
        (plain.to_owned(), vec!["config.issuer_url"]),
        (format!("{plain}{reason}"), NONE),
        (format!(", jwks_url: 'ftp://keys.internal/a'{reason}"), vec!["config.issuer_url"]),
        (", jwks_url: keys".to_owned(), vec!["config.issuer_url"]),
        (", more_jwks_urls: ['http://keys.internal/b']".to_owned(), vec!["config.issuer_url"]),
        (format!(", more_jwks_urls: ['http://keys.internal/b']{reason}"), NONE),
        (", resource: 'https://api.example'".to_owned(), NONE),
        (format!(", resource: 'http://api.internal'{reason}"), vec!["config.issuer_url"]),
    ] {
        assert_eq!(said(&more), expected, "{more}");
    }
    let settings = trust(&format!("{plain}{reason}")).issuer.settings().to_owned();
    assert!(settings.contains("http://keys.internal/a") && settings.contains("insecure_plaintext: true"));
    assert!(trust("").issuer.settings().contains("insecure_plaintext: false"));
    let resource = trust(", resource: 'https://api.example/v1'");
    assert_eq!(resource.resource.unwrap().to_string(), "https://api.example/v1");
    assert_eq!(
        resource.metadata_url.as_deref(),
        Some("https://api.example/.well-known/oauth-protected-resource/v1")
    );
}

#[test]
fn a_token_for_keys_is_read_from_a_file() {
    let path = std::env::temp_dir().join(format!("portcullis-keys-token-{}", std::process::id()));
    std::fs::write(&path, "of-the-pod").unwrap();
    let permit = |mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    permit(0o600);
    let more = format!(", jwks_token_file: {}", path.display());
    let settings = trust(&more).issuer.settings().to_owned();
    assert!(settings.contains(&path.display().to_string()), "{settings}");
    assert!(settings.contains("issuer.example") && !settings.contains("of-the-pod"), "{settings}");
    permit(0o666);
    assert_eq!(said(&more), ["config.secret_writable"]);
    permit(0o600);
    std::fs::write(&path, "").unwrap();
    assert_eq!(said(&more), ["config.jwks_token"]);
    std::fs::remove_file(&path).unwrap();
    let (trusts, codes) = trusts_and_codes(&with(&more));
    assert_eq!((trusts.len(), codes), (1, vec!["config.jwks_token"]), "it may be there later");
}

#[test]
fn a_token_stands_where_the_file_says_and_is_shown_there() {
    let authorization = || CredentialLocation::Header(AUTHORIZATION);
    let bearer = Credential::header("authorization", "Bearer abc");
    let pair = || vec![("t".to_owned(), "abc".to_owned())];
    let query = Credential { query: pair(), ..Credential::default() };
    let cookie = Credential::header("sec-fetch-site", "same-origin")
        .and(Credential { cookies: pair(), ..Credential::default() });
    for (more, place, is_authorization, shown, codes) in [
        ("", authorization(), true, bearer.clone(), NONE),
        (", header: Authorization", authorization(), true, bearer, NONE),
        (
            ", header: X-Token",
            CredentialLocation::Header(http::HeaderName::from_static("x-token")),
            false,
            Credential::header("X-Token", "abc"),
            NONE,
        ),
        (", query: t", CredentialLocation::Query("t".into()), false, query, vec!["config.token_in_query"]),
        (", cookie: t", CredentialLocation::Cookie("t".into()), false, cookie, NONE),
    ] {
        let (trusts, said) = trusts_and_codes(&with(more));
        assert_eq!((&trusts[0].place, said), (&place, codes), "{more}");
        assert_eq!(written(more, TokenConfig::is_authorization), is_authorization, "{more}");
        assert_eq!(written(more, |token| token.shown("abc")), shown, "{more}");
    }
    assert_eq!(said(", query: t, cookie: t"), ["config.key_location"]);
    assert_eq!(said(", header: 'a b'").len(), 1);
}

#[test]
fn a_proof_goes_with_a_token_in_authorization() {
    let dpop = ", dpop: { required: true }";
    for (more, expected) in [
        (dpop.to_owned(), NONE),
        (format!("{dpop}, header: authorization"), NONE),
        (format!("{dpop}, header: x-token"), vec!["config.token_place"]),
        (format!("{dpop}, query: t"), vec!["config.token_place"]),
        (format!("{dpop}, cookie: t"), vec!["config.token_place"]),
    ] {
        assert_eq!(said(&more), expected, "{more}");
    }
    assert!(trust(dpop).binding_required);
    assert!(!trust(", dpop: {}").binding_required);
    assert!(!trust("").binding_required);
}

#[test]
fn nonces_are_made_of_a_long_secret() {
    let secret = |bytes: usize| format!("nonce_secret: {}", "s".repeat(bytes));
    let nonces = |more: &str| trust(&format!(", dpop: {{ {more} }}")).nonces.is_some();
    assert!(!nonces("") && !nonces("required: true"));
    assert!(nonces("nonce: true"));
    assert!(nonces(&format!("nonce: true, {}", secret(MIN_NONCE_SECRET_BYTES))));
    let wrong = ["config.nonce_secret"];
    assert_eq!(said(&format!(", dpop: {{ {} }}", secret(MIN_NONCE_SECRET_BYTES))), wrong);
    assert_eq!(said(&format!(", dpop: {{ nonce: true, {} }}", secret(MIN_NONCE_SECRET_BYTES - 1))), wrong);
    // The secret says which gateways take each other's nonces.
    let now = World::default().now().unix;
    let current = |more: &str, pepper: Option<&[u8]>, process: u8| {
        let mut build = Build::new(KeyHasher::new(&[process; 32], pepper), Kept::default());
        let method = with(&format!(", dpop: {{ nonce: true{more} }}"));
        let (Some(Compiled::Tokens(trusts)), _) = compiled_with(&method, &mut build) else {
            panic!("no tokens")
        };
        trusts[0].nonces.as_ref().unwrap().current(now)
    };
    let own = format!(", {}", secret(32));
    assert_eq!(current(&own, None, 1), current(&own, None, 2));
    assert_ne!(current(&own, None, 1), current(&format!(", {}", secret(33)), None, 1));
    assert_ne!(current("", None, 1), current("", None, 2));
    assert_eq!(current("", None, 1), current("", None, 1), "a reload changes none");
    assert_eq!(current("", Some(b"pepper"), 1), current("", Some(b"pepper"), 2));
}

#[test]
fn methods_of_one_place_agree() {
    let agreed = |one: &str, other: &str| {
        let (one, other) = (method(&with(one)), method(&with(other)));
        let configs = [one.token().unwrap(), other.token().unwrap()];
        let mut cx = Context::for_code();
        let agreed = agree(&configs, Span::NONE, &mut cx).is_some();
        let codes: Vec<_> = cx.diagnostics.into_iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes, Vec::from_iter((!agreed).then_some("config.tokens_differ")));
        agreed
    };
    assert!(agreed("", "") && agreed(", leeway: 1s", ", leeway: 2s"));
    let changes =
        [", cached_tokens: 1", ", max_token_size: 1KiB", ", insecure_forward_credential: 'it asks'"];
    for change in changes {
        assert!(agreed(change, change));
        assert!(!agreed(change, "") && !agreed("", change), "{change}");
    }
}
