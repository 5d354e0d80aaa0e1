//! Tokens that an issuer signed, and that are not good here, or not now.

use super::Expected::{Passes, Refused};
use super::{Stage, Table};
use crate::forge::now;
use serde_json::{Value, json};

pub fn rows(table: &mut Table, stage: &Stage) {
    table.family("claims");
    let signed = |other: &Value| stage.ec.token(&stage.but(other));
    let text = stage.claims().to_string();
    for (name, other) in [
        ("a good token", json!({})),
        ("one that ended within the leeway", json!({ "exp": now() - 20 })),
        ("one that begins within the leeway", json!({ "nbf": now() + 20, "iat": now() + 20 })),
        ("one for several audiences", json!({ "aud": ["other", "api"] })),
        ("one with a fraction of a second", json!({ "exp": 4_102_444_800.5 })),
        ("one of a client", json!({ "sub": null, "client_id": "machine" })),
    ] {
        table.bearer(name, "/jwt", &signed(&other), Passes);
    }
    for (name, other, code) in [
        ("ended an hour ago", json!({ "exp": now() - 3600 }), "credential_expired"),
        ("ended just beyond the leeway", json!({ "exp": now() - 31 }), "credential_expired"),
        ("ended in 1970", json!({ "exp": 0 }), "credential_expired"),
        ("no end", json!({ "exp": null }), "token_claims"),
        ("an end in a string", json!({ "exp": (now() + 600).to_string() }), "token_claims"),
        ("an end in a list", json!({ "exp": [now() + 600] }), "token_claims"),
        ("an end before 1970", json!({ "exp": -1 }), "token_claims"),
        ("an end beyond all time", json!({ "exp": 1e300 }), "token_claims"),
        ("an end that overflows", json!({ "exp": u64::MAX }), "token_claims"),
        ("an end that is true", json!({ "exp": true }), "token_claims"),
        ("an end under another name", json!({ "exp": null, "Exp": now() + 600 }), "token_claims"),
        ("an end in milliseconds, which is no end", json!({ "exp": -(now() * 1000) }), "token_claims"),
        ("begins in an hour", json!({ "nbf": now() + 3600 }), "token_not_yet_valid"),
        ("begins just beyond the leeway", json!({ "nbf": now() + 40 }), "token_not_yet_valid"),
        ("begins in milliseconds", json!({ "nbf": now() * 1000 }), "token_not_yet_valid"),
        ("a beginning in a string", json!({ "nbf": "0" }), "token_claims"),
        ("issued in an hour", json!({ "iat": now() + 3600 }), "token_not_yet_valid"),
        ("issued at no time", json!({ "iat": {} }), "token_claims"),
        ("no issuer", json!({ "iss": null }), "token_issuer"),
        ("another issuer", json!({ "iss": "https://x.example" }), "token_issuer"),
        ("the issuer with a slash", json!({ "iss": format!("{}/", stage.issuer) }), "token_issuer"),
        ("the issuer in upper case", json!({ "iss": stage.issuer.to_uppercase() }), "token_issuer"),
        ("the issuer with a space", json!({ "iss": format!(" {}", stage.issuer) }), "token_issuer"),
        ("the issuer in a list", json!({ "iss": [stage.issuer] }), "token_issuer"),
        ("the issuer as a user", json!({ "iss": format!("{}@x.example", stage.issuer) }), "token_issuer"),
        ("an empty issuer", json!({ "iss": "" }), "token_issuer"),
        ("no audience", json!({ "aud": null }), "token_audience"),
        ("another audience", json!({ "aud": "other" }), "token_audience"),
        ("no audience in a list", json!({ "aud": [] }), "token_audience"),
        ("an empty audience", json!({ "aud": "" }), "token_audience"),
        ("the beginning of the audience", json!({ "aud": "ap" }), "token_audience"),
        ("more than the audience", json!({ "aud": "api.x.example" }), "token_audience"),
        ("the audience in upper case", json!({ "aud": "API" }), "token_audience"),
        ("two audiences in a string", json!({ "aud": "other api" }), "token_audience"),
        ("a list in a list", json!({ "aud": [["api"]] }), "token_audience"),
        ("an audience and a number", json!({ "aud": ["api", 1] }), "token_audience"),
        ("an audience for a name", json!({ "aud": { "api": true } }), "token_audience"),
        ("an audience that is true", json!({ "aud": true }), "token_audience"),
        ("nobody", json!({ "sub": null, "client_id": null }), "token_claims"),
        ("an empty subject", json!({ "sub": "" }), "token_claims"),
        ("a subject of spaces", json!({ "sub": "   " }), "token_claims"),
        ("a number for a subject", json!({ "sub": 1 }), "token_claims"),
        ("a list of subjects", json!({ "sub": ["alice", "root"] }), "token_claims"),
        ("an object for a subject", json!({ "sub": { "$ne": 1 } }), "token_claims"),
        ("a subject with a line end", json!({ "sub": "alice\r\nX-Consumer-Name: root" }), "token_claims"),
        ("a subject with a NUL", json!({ "sub": "alice\u{0}root" }), "token_claims"),
        ("a client with a line end", json!({ "client_id": "a\nb" }), "token_claims"),
        ("bound in an unknown way", json!({ "cnf": { "kid": "1" } }), "token_binding"),
        ("bound to nothing", json!({ "cnf": {} }), "token_binding"),
        ("bound to half a thumbprint", json!({ "cnf": { "jkt": "AAAA" } }), "token_binding"),
        ("bound in a string", json!({ "cnf": "jkt" }), "token_binding"),
        (
            "bound to a certificate",
            json!({ "cnf": { "x5t#S256": stage.holder.thumbprint() } }),
            "token_binding",
        ),
    ] {
        table.bearer(name, "/jwt", &signed(&other), Refused(code));
    }
    for (name, from, to) in [
        ("null for an end", "\"exp\":", "\"exp\":null,\"was\":"),
        ("null for a subject", "\"sub\":", "\"sub\":null,\"was\":"),
    ] {
        let token = stage.ec.raw(stage.ec.header().to_string(), text.replacen(from, to, 1));
        table.bearer(name, "/jwt", &token, Refused("token_claims"));
    }

    table.family("age");
    table.bearer("issued now", "/fresh", &stage.token(), Passes);
    let old = signed(&json!({ "iat": now() - 3600 }));
    table.bearer("good for long, issued an hour ago", "/fresh", &old, Refused("credential_expired"));
    table.bearer(
        "issued nobody knows when",
        "/fresh",
        &signed(&json!({ "iat": null })),
        Refused("token_claims"),
    );
}
