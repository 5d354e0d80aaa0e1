use super::*;
use crate::authn::declared::{build, compiled_with, method, said_of, trusts, trusts_and_codes};
use crate::authn::method::MethodConfig;
use crate::token::jws::Jws;
use crate::token::tests::at_once;
use crate::token::tests::key::{Key, base64url, key_set};
use crate::token::tests::world::World;
use portcullis_config::document_schema;
use portcullis_core::Effects;
use serde_json::json;
use std::path::Path;

/// A method for tokens of `https://issuer.example` with more keys.
fn with(more: &str) -> String {
    format!("{{ type: jwt, issuer: 'https://issuer.example', audience: api{more} }}")
}

/// The names of the issuers of a method.
fn names(yaml: &str) -> Vec<String> {
    trusts(yaml).iter().filter_map(|trust| trust.issuer.name()).collect()
}

/// A file of this test alone.
fn file(name: &str, content: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("portcullis-jwt-{}-{name}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn an_issuer_is_trusted_by_its_name() {
    let trusts = trusts(&with(""));
    let [trust] = trusts.as_slice() else { panic!("one issuer") };
    assert_eq!(trust.id.as_str(), "authn.jwt");
    assert_eq!(trust.issuer.name().as_deref(), Some("https://issuer.example"));
    assert!(trust.issuer.is_fetched(), "its keys are found through its metadata");
    assert_eq!(trust.schemes.issuer.as_deref(), Some("https://issuer.example"));
    assert_eq!(trust.summary, "a token signed by https://issuer.example");
    assert_eq!(trust.rules.audience, Some(vec!["api".to_owned()]));
    assert!(!trust.forward && !trust.binding_required && trust.introspector.is_none());
    let prefixed = method(&with(", roles_prefix: 'partner:'"));
    assert_eq!(
        prefixed.establishes(),
        Establishes::Subjects { issuer: "https://issuer.example".into(), roles_prefix: "partner:".into() }
    );
    assert!(prefixed.is_authorization() && prefixed.token().is_some());
    assert!(!method(&with(", cookie: token")).is_authorization());
}

#[test]
fn the_reference_lists_each_key_of_the_method() {
    let schema = document_schema::<MethodConfig>("test", "https://example.com/test").to_string();
    for key in ["\"jwks_file\"", "\"secret_encoding\"", "\"tenants\"", "\"audience_claim\"", "\"stale_keys\""]
    {
        assert!(schema.contains(key), "{key}");
    }
}

#[test]
fn the_issuer_is_asked_for_keys_unless_they_are_given() {
    let asked = |yaml: &str| {
        let mut build = build();
        compiled_with(yaml, &mut build);
        build.asked.into_iter().map(|url| url.value).collect::<Vec<_>>()
    };
    assert_eq!(asked(&with("")), ["https://issuer.example"]);
    assert_eq!(asked(&with(", jwks_url: 'https://keys.example/a'")), ["https://keys.example/a"]);
    assert_eq!(
        asked(&with(", more_jwks_urls: ['https://keys.example/b']")),
        ["https://issuer.example", "https://keys.example/b"]
    );
    assert_eq!(asked(&with(", secret: 0123456789abcdef0123456789abcdef")), Vec::<String>::new());
    let keys = file("asked", &key_set(&[Key::named(1, "a")]));
    assert_eq!(asked(&with(&format!(", jwks_file: {}", keys.display()))), Vec::<String>::new());
    std::fs::remove_file(keys).unwrap();
}

#[test]
fn a_token_is_for_somebody() {
    let method = |more: &str| format!("{{ type: jwt, issuer: 'https://issuer.example'{more} }}");
    for (more, expected) in [
        (", audience: api", vec![]),
        (", audience: [api, 'https://api.example']", vec![]),
        (", insecure_any_audience: 'one API alone'", vec![]),
        ("", vec!["config.no_audience"]),
        (", audience: []", vec!["config.empty_list"]),
        (", audience: ' '", vec!["config.empty_list"]),
        (", audience: [api, '']", vec!["config.empty_list"]),
        (", audience: api, insecure_any_audience: 'one API alone'", vec!["config.audience_and_any"]),
    ] {
        assert_eq!(said_of(&method(more)), expected, "{more}");
    }
    assert_eq!(trusts(&method(", insecure_any_audience: 'one API alone'"))[0].rules.audience, None);
    let several = trusts(&method(", audience: [api, 'https://api.example']"));
    assert_eq!(several[0].rules.audience, Some(vec!["api".to_owned(), "https://api.example".to_owned()]));
}

#[test]
fn each_tenant_is_an_issuer_of_its_own() {
    let method =
        |issuer: &str, tenants: &str| format!("{{ type: jwt, issuer: '{issuer}', audience: api{tenants} }}");
    let of = "https://login.example/{tenant}/v2.0";
    let listed = |count: usize| {
        let all: Vec<String> = (0..count).map(|number| format!("t{number}")).collect();
        format!(", tenants: [{}]", all.join(", "))
    };
    assert_eq!(
        names(&method(of, ", tenants: [one, a.b-c_D9]")),
        ["https://login.example/one/v2.0", "https://login.example/a.b-c_D9/v2.0"]
    );
    assert_eq!(names(&method(of, &listed(100))).len(), 100);
    for tenants in [
        ", tenants: []",
        ", tenants: ['']",
        ", tenants: [.a]",
        ", tenants: [a/b]",
        ", tenants: [one, 'a b']",
        "",
    ] {
        assert_eq!(said_of(&method(of, tenants)), ["config.tenants"], "{tenants}");
    }
    assert_eq!(said_of(&method(of, &listed(101))), ["config.tenants"]);
    assert_eq!(said_of(&method("https://login.example/", ", tenants: [one]")), ["config.tenants"]);
    // Entries are numbered in the order of the file. Together they are one method.
    let trusts = trusts(&method(of, ", tenants: [one, two]"));
    assert_eq!(trusts[0].method, trusts[1].method);
    assert_eq!(trusts[1].schemes.issuer.as_deref(), Some("https://login.example/two/v2.0"));
}

#[test]
fn keys_come_from_one_place() {
    let secret = ", secret: 0123456789abcdef0123456789abcdef";
    let (url, list) =
        (", jwks_url: 'https://keys.example/a'", ", more_jwks_urls: ['https://keys.example/b']");
    let keys = file("place", &key_set(&[Key::named(1, "a")]));
    let from_file = format!(", jwks_file: {}", keys.display());
    for (more, expected) in [
        (format!("{url}{list}"), vec![]),
        (secret.to_owned(), vec![]),
        (from_file.clone(), vec![]),
        (format!("{secret}{url}"), vec!["config.key_source"]),
        (format!("{secret}{from_file}"), vec!["config.key_source"]),
        (format!("{url}{from_file}"), vec!["config.key_source"]),
        (format!("{secret}{list}"), vec!["config.key_source"]),
        (format!("{from_file}{list}"), vec!["config.key_source"]),
    ] {
        assert_eq!(said_of(&with(&more)), expected, "{more}");
    }
    std::fs::remove_file(keys).unwrap();
    assert_eq!(said_of("{ type: jwt, issuer: ' ', audience: api }"), ["config.issuer_url"]);
    for issuer in ["http://issuer.example", "issuer.example", "https://a:b@issuer.example"] {
        let method = format!("{{ type: jwt, issuer: '{issuer}', audience: api }}");
        assert_eq!(said_of(&method), ["config.issuer_url"], "{issuer}");
        // What is never fetched need not be a place.
        assert_eq!(said_of(&method.replace(" }", &format!("{secret} }}"))), Vec::<&str>::new(), "{issuer}");
    }
}

#[test]
fn a_shared_secret_is_long_and_written_as_it_is_said() {
    let secret = |text: &str, encoding: &str| {
        said_of(&with(&format!(", secret: '{text}', secret_encoding: {encoding}")))
    };
    let (fits, short) = ("k".repeat(MIN_SECRET_BYTES), "k".repeat(MIN_SECRET_BYTES - 1));
    let none = Vec::<&str>::new();
    assert_eq!(secret(&fits, "text"), none);
    assert_eq!(secret(&short, "text"), ["config.weak_secret"]);
    assert_eq!(secret(&base64url(&fits), "base64"), none);
    assert_eq!(secret(&base64url(&short), "base64"), ["config.weak_secret"]);
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(secret(&hex(&fits), "hex"), none);
    assert_eq!(secret(&hex(&short), "hex"), ["config.weak_secret"]);
    assert_eq!(secret(&fits.replace('k', "!"), "base64"), ["config.secret_encoding"]);
    assert_eq!(secret(&fits, "hex"), ["config.secret_encoding"]);
}

#[test]
fn a_secret_means_the_same_bytes_in_each_encoding() {
    let decode = |encoding: SecretEncoding, text: &str| encoding.decode(text).map(|bytes| bytes.to_vec());
    use SecretEncoding::{Base64, Hex, Text};
    let bytes = vec![0xfb, 0xef, 0xff, 0x00];
    for text in ["++//AA==", "--__AA", "--__AA==", " ++//AA== \n"] {
        assert_eq!(decode(Base64, text), Some(bytes.clone()), "{text}");
    }
    for text in ["fbefff00", "FBEFff00", " fbefff00\n"] {
        assert_eq!(decode(Hex, text), Some(bytes.clone()), "{text}");
    }
    assert_eq!(decode(Text, " fbefff00\n"), Some(b"fbefff00".to_vec()));
    for bad in ["A", "*", "++//A"] {
        assert_eq!(decode(Base64, bad), None, "{bad}");
    }
    for bad in ["f", "fbe", "+1", "0x", "fg", "é"] {
        assert_eq!(decode(Hex, bad), None, "{bad}");
    }
}

#[test]
fn a_token_is_verified_by_the_secret_that_is_written() {
    let signer = crate::rehearsal::Signer::new("0123456789abcdef0123456789abcdef").unwrap();
    let verified = |more: &str, algorithm: Algorithm| {
        let trust = trusts(&with(more)).remove(0);
        let world = World::default();
        let token = signer.sign(algorithm, &json!({ "kid": null }), &json!({})).unwrap();
        let (jws, loaded) = (Jws::parse(&token).unwrap(), trust.issuer.usable(world.monotonic()).unwrap());
        at_once(trust.issuer.verify(&jws, loaded, world.monotonic(), &world)).is_ok()
    };
    let secret = ", secret: 0123456789abcdef0123456789abcdef";
    assert!(verified(secret, Algorithm::Hs256));
    assert!(!verified(secret, Algorithm::Hs384), "it is not among the algorithms");
    assert!(verified(&format!("{secret}, algorithms: [HS256, HS384]"), Algorithm::Hs384));
    assert!(!verified(", secret: 0123456789abcdef0123456789abcdeg", Algorithm::Hs256));
}

#[test]
fn keys_of_a_file_are_public_keys() {
    let said = |path: &Path| trusts_and_codes(&with(&format!(", jwks_file: {}", path.display())));
    let good = file("good", &key_set(&[Key::named(1, "a"), Key::named(2, "b")]));
    let (trusts, codes) = said(&good);
    assert_eq!((trusts.len(), codes), (1, vec![]));
    assert!(!trusts[0].issuer.is_fetched());
    let mixed = key_set(&[Key::named(1, "a")]).replace("]}", r#",{"kty":"oct","k":"AA"}]}"#);
    for (content, expected) in [
        (mixed.as_str(), "config.key_skipped"),
        (r#"{"keys":[{"kty":"oct","k":"AA"}]}"#, "config.key_set"),
        (r#"{"keys":[]}"#, "config.key_set"),
        ("no keys", "config.key_set"),
    ] {
        std::fs::write(&good, content).unwrap();
        assert_eq!(said(&good).1, [expected], "{content}");
    }
    std::fs::remove_file(&good).unwrap();
    assert_eq!(said(&good).1, ["config.key_set"], "it is not there");
}

#[test]
fn a_changed_key_is_another_issuer() {
    let settings = |more: &str| trusts(&with(more)).remove(0).issuer.settings().to_owned();
    let one = settings(", secret: 0123456789abcdef0123456789abcdef");
    let other = settings(", secret: 0123456789abcdef0123456789abcdeg");
    assert_ne!(one, other);
    assert!(!one.contains("0123456789abcdef"), "{one}");
}
