//! Tokens that are bound to a key, stolen or sent with a proof of something else (RFC 9449).

use super::Expected::{Passes, Refused};
use super::{Stage, Table};
use crate::forge::{Proof, Signer, compact, now, sha256};
use serde_json::json;

const URL: &str = "https://api.example/bound";

pub fn rows(table: &mut Table, stage: &Stage) {
    table.family("proof");
    let token = stage.bound_token();
    let proof = || Proof::new(&stage.holder, "GET", URL, &token);
    let dpop = format!("Authorization: DPoP {token}");
    let send = |table: &mut Table, name: &str, proof: &str, expected| {
        table.fields(name, "/bound", &[&dpop, &format!("DPoP: {proof}")], expected);
    };
    send(table, "a good proof", &proof().sign(), Passes);
    send(
        table,
        "a good proof for another spelling of the URL",
        &proof().claims(&json!({ "htu": "https://API.example:443/bound?x#y" })).sign(),
        Passes,
    );

    let unbound = stage.token();
    for (name, field, proof, code) in [
        ("a stolen token without proof", format!("Authorization: Bearer {token}"), None, "token_binding"),
        (
            "a stolen token as bearer, with a good proof",
            format!("Authorization: Bearer {token}"),
            Some(proof().sign()),
            "token_binding",
        ),
        (
            "a token that is not bound",
            format!("Authorization: DPoP {unbound}"),
            Some(Proof::new(&stage.holder, "GET", URL, &unbound).sign()),
            "token_binding",
        ),
        (
            "a bearer token where binding is needed",
            format!("Authorization: Bearer {unbound}"),
            None,
            "token_binding",
        ),
        ("no proof", dpop.clone(), None, "proof_invalid"),
    ] {
        let proof = proof.map(|proof| format!("DPoP: {proof}"));
        let fields: Vec<&str> = [Some(field.as_str()), proof.as_deref()].into_iter().flatten().collect();
        table.fields(name, "/bound", &fields, Refused(code));
    }
    let (one, two) = (format!("DPoP: {}", proof().sign()), format!("DPoP: {}", proof().sign()));
    table.fields("two proofs", "/bound", &[&dpop, &one, &two], Refused("proof_invalid"));
    let joined = format!("{}, {}", proof().sign(), proof().sign());
    send(table, "two proofs in a field", &joined, Refused("proof_invalid"));

    for (name, claims) in [
        ("another method", json!({ "htm": "POST" })),
        ("the method in lower case", json!({ "htm": "get" })),
        ("no method", json!({ "htm": null })),
        ("a list of methods", json!({ "htm": ["GET"] })),
        ("another path", json!({ "htu": "https://api.example/other" })),
        ("a path below", json!({ "htu": "https://api.example/bound/more" })),
        ("a path that leads to it", json!({ "htu": "https://api.example/x/../bound" })),
        ("no path", json!({ "htu": "https://api.example" })),
        ("another host", json!({ "htu": "https://lure.example/bound" })),
        ("the host for a user", json!({ "htu": "https://api.example@lure.example/bound" })),
        ("a user at the host", json!({ "htu": "https://x@api.example/bound" })),
        ("another port", json!({ "htu": "https://api.example:8443/bound" })),
        ("another scheme", json!({ "htu": "http://api.example/bound" })),
        ("the path alone", json!({ "htu": "/bound" })),
        ("no URL", json!({ "htu": null })),
        ("a list of URLs", json!({ "htu": [URL] })),
        // The client was lured to another host, which sends the proof on and says that it is that host.
        ("the host that the request says it is for", json!({ "htu": "http://a.example/bound" })),
        ("another token", json!({ "ath": sha256("another") })),
        ("no token", json!({ "ath": null })),
        ("the token itself", json!({ "ath": token })),
        ("a minute ago", json!({ "iat": now() - 61 })),
        ("1970", json!({ "iat": 0 })),
        ("in five minutes", json!({ "iat": now() + 300 })),
        ("no time", json!({ "iat": null })),
        ("a time in a string", json!({ "iat": now().to_string() })),
        ("a time before 1970", json!({ "iat": -1 })),
        ("no number", json!({ "jti": null })),
        ("an empty number", json!({ "jti": "" })),
        ("a huge number", json!({ "jti": "j".repeat(300) })),
        ("a number that is none", json!({ "jti": 7 })),
    ] {
        send(
            table,
            &format!("a proof for {name}"),
            &proof().claims(&claims).sign(),
            Refused("proof_invalid"),
        );
    }
    let thief = Signer::ec("");
    send(
        table,
        "a proof by the thief's key",
        &Proof::new(&thief, "GET", URL, &token).sign(),
        Refused("token_binding"),
    );
    let borrowed =
        Proof::new(&thief, "GET", URL, &token).header(&json!({ "jwk": stage.holder.jwk() })).sign();
    send(table, "a proof by the thief that shows the holder's key", &borrowed, Refused("proof_invalid"));
    let mut private = stage.holder.jwk();
    private["d"] = json!("AAAA");
    let shared = Signer::secret("", "HS256", b"secret");
    for (name, header) in [
        ("without a key", json!({ "jwk": null })),
        ("with a private key", json!({ "jwk": private })),
        ("with a string for a key", json!({ "jwk": "key" })),
        (
            "with a key of another curve",
            json!({ "jwk": { "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" } }),
        ),
        (
            "with a point that is not on the curve",
            json!({ "jwk": { "kty": "EC", "crv": "P-256", "x": "A".repeat(43), "y": "A".repeat(43) } }),
        ),
        ("without a typ", json!({ "typ": null })),
        ("of another typ", json!({ "typ": "JWT" })),
        ("of another algorithm", json!({ "alg": "ES384" })),
        ("of no algorithm", json!({ "alg": "none" })),
        ("with an extension", json!({ "crit": ["exp"] })),
    ] {
        send(table, &format!("a proof {name}"), &proof().header(&header).sign(), Refused("proof_invalid"));
    }
    send(
        table,
        "a proof with a shared secret",
        &Proof::new(&shared, "GET", URL, &token).sign(),
        Refused("proof_invalid"),
    );
    let claims = proof().claims.to_string();
    let unsigned = compact(proof().header(&json!({ "alg": "none" })).header.to_string(), &claims, "");
    send(table, "a proof without a signature", &unsigned, Refused("proof_invalid"));
    let zeros = compact(proof().header.to_string(), &claims, [0; 64]);
    send(table, "a proof with a signature of zeros", &zeros, Refused("proof_invalid"));
    send(table, "a proof that is no token", "proof", Refused("proof_invalid"));
    send(table, "the access token for a proof", &token, Refused("proof_invalid"));
    let repeated =
        stage.holder.raw(proof().header.to_string(), claims.replacen('{', "{\"htm\":\"POST\",", 1));
    send(table, "a proof that names two methods", &repeated, Refused("proof_invalid"));

    let once = proof().sign();
    send(table, "a proof, the first time", &once, Passes);
    send(table, "a proof, the second time", &once, Refused("proof_replayed"));
    // The same number again, signed anew: another signature, and the same proof.
    let number = json!({ "jti": "the-same-number" });
    send(table, "a number, the first time", &proof().claims(&number).sign(), Passes);
    send(table, "a number, the second time", &proof().claims(&number).sign(), Refused("proof_replayed"));

    table.family("nonce");
    let proof =
        |claims| Proof::new(&stage.holder, "GET", "http://a.example/nonce", &token).claims(&claims).sign();
    table.bearer("a token that is not bound, where it need not be", "/nonce", &unbound, Passes);
    for (name, claims) in [
        ("no nonce", json!({})),
        ("a nonce that was made up", json!({ "nonce": "AAAA" })),
        ("an empty nonce", json!({ "nonce": "" })),
        ("a nonce of another gateway", json!({ "nonce": sha256("another") })),
        ("a number for a nonce", json!({ "nonce": 1 })),
    ] {
        table.fields(name, "/nonce", &[&dpop, &format!("DPoP: {}", proof(claims))], Refused("proof_nonce"));
    }
}
