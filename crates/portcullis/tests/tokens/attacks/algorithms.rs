//! Who chooses the algorithm: the key does.

use super::Expected::{Passes, Refused};
use super::{Stage, Table};
use crate::forge::{Signer, base64url, compact};
use aws_lc_rs::signature::{RSA_PKCS1_SHA512, RSA_PSS_SHA256};
use serde_json::json;

pub fn rows(table: &mut Table, stage: &Stage) {
    table.family("algorithm");
    let claims = stage.claims();
    for signer in [&stage.rsa, &stage.ec, &stage.ed] {
        table.bearer(&format!("a good {} token", signer.algorithm), "/jwt", &signer.token(&claims), Passes);
    }
    let secret = Signer::secret("any", "HS256", super::stage::SECRET.as_bytes());
    let of_secret = stage.but(&json!({ "iss": "https://secret.example" }));
    table.bearer("a good HS256 token", "/secret", &secret.token(&of_secret), Passes);

    let text = claims.to_string();
    for spelling in ["none", "None", "NONE", "nOnE"] {
        let header = json!({ "alg": spelling, "kid": "kid-rsa", "typ": "JWT" }).to_string();
        let unsigned = compact(&header, &text, "");
        table.bearer(
            &format!("{spelling}, without a signature"),
            "/jwt",
            &unsigned,
            Refused("token_algorithm"),
        );
    }
    let kept = stage.rsa.token_with(&json!({ "alg": "none" }), &claims);
    table.bearer("none, with a signature", "/jwt", &kept, Refused("token_algorithm"));
    let unsigned = compact(r#"{"alg":"none"}"#, of_secret.to_string(), "");
    table.bearer("none, where a secret is shared", "/secret", &unsigned, Refused("token_algorithm"));

    for (name, alg, code) in [
        ("none with a space", json!("none "), "token_algorithm"),
        ("an empty algorithm", json!(""), "token_algorithm"),
        ("lower case", json!("rs256"), "token_algorithm"),
        ("a NUL after it", json!("RS256\u{0}"), "token_algorithm"),
        ("a curve that is not known", json!("ES256K"), "token_algorithm"),
        ("an algorithm of encryption", json!("RSA-OAEP"), "token_algorithm"),
        ("a list of algorithms", json!(["RS256"]), "token_malformed"),
        ("a number for an algorithm", json!(256), "token_malformed"),
        ("true for an algorithm", json!(true), "token_malformed"),
        ("PS256 with the key for RS256", json!("PS256"), "token_algorithm"),
        ("RS512 with the key for RS256", json!("RS512"), "token_algorithm"),
        ("ES256 with the key for RS256", json!("ES256"), "token_algorithm"),
        ("EdDSA with the key for RS256", json!("EdDSA"), "token_algorithm"),
    ] {
        table.bearer(name, "/jwt", &stage.rsa.token_with(&json!({ "alg": alg }), &claims), Refused(code));
    }
    let nothing = stage.rsa.token_with(&json!({ "alg": null }), &claims);
    table.bearer("no algorithm", "/jwt", &nothing, Refused("token_malformed"));
    let null = stage.rsa.raw(r#"{"alg":null,"kid":"kid-rsa"}"#, &text);
    table.bearer("null for an algorithm", "/jwt", &null, Refused("token_malformed"));
    let twice = stage.rsa.raw(r#"{"alg":"none","alg":"RS256","kid":"kid-rsa"}"#, &text);
    table.bearer("two algorithms", "/jwt", &twice, Refused("token_malformed"));
    table.bearer(
        "one that the route does not accept",
        "/es",
        &stage.rsa.token(&claims),
        Refused("token_key_unknown"),
    );

    // Signed well by the issuer's own key, and by another algorithm than the key is for.
    let same = |algorithm, encoding| Signer::rsa("kid-rsa").with_encoding(algorithm, encoding);
    table.bearer(
        "another RSA padding",
        "/jwt",
        &same("PS256", &RSA_PSS_SHA256).token(&claims),
        Refused("token_algorithm"),
    );
    table.bearer(
        "another digest",
        "/jwt",
        &same("RS512", &RSA_PKCS1_SHA512).token(&claims),
        Refused("token_algorithm"),
    );

    // The public key, which everybody has, taken for a shared secret.
    let modulus = stage.rsa.jwk()["n"].as_str().unwrap().to_owned();
    let pem = stage.rsa.pem();
    for (name, secret) in [
        ("the public key in PEM", pem.clone().into_bytes()),
        ("the public key in PEM without its last line end", pem.trim_end().as_bytes().to_vec()),
        ("the public key in DER", stage.rsa.der()),
        ("the modulus", modulus.into_bytes()),
        ("the key as published", stage.rsa.published().to_string().into_bytes()),
        ("the key set", stage.key_set.clone().into_bytes()),
        ("an empty secret", Vec::new()),
    ] {
        for algorithm in ["HS256", "HS512"] {
            let forged = Signer::secret("kid-rsa", algorithm, &secret).token(&claims);
            table.bearer(&format!("{algorithm} with {name}"), "/jwt", &forged, Refused("token_algorithm"));
        }
    }
    let point = Signer::secret("kid-ec", "HS256", stage.ec.jwk()["x"].as_str().unwrap().as_bytes());
    table.bearer(
        "HS256 with a point of the curve",
        "/jwt",
        &point.token(&claims),
        Refused("token_algorithm"),
    );
    let guess = Signer::secret("any", "HS256", b"secret").token(&of_secret);
    table.bearer("HS256 with a guess", "/secret", &guess, Refused("token_signature"));
    let longer = Signer::secret("any", "HS512", super::stage::SECRET.as_bytes()).token(&of_secret);
    table.bearer("HS512 where HS256 is meant", "/secret", &longer, Refused("token_algorithm"));
    let public = stage.rsa.token(&of_secret);
    table.bearer("RS256 where a secret is shared", "/secret", &public, Refused("token_algorithm"));
    let cut = Signer::secret("any", "HS256", super::stage::SECRET.as_bytes());
    let signed = format!("{}.{}", base64url(cut.header().to_string()), base64url(of_secret.to_string()));
    let code = cut.sign(signed.as_bytes());
    let truncated = format!("{signed}.{}", base64url(&code[..16]));
    table.bearer("half of a HS256 code", "/secret", &truncated, Refused("token_signature"));
    table.bearer("no HS256 code", "/secret", &format!("{signed}."), Refused("token_signature"));
}
