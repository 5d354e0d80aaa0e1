//! Forms that two readers could read in two ways, and forms that are expensive to read.

use super::Expected::{Passes, Refused};
use super::{Stage, Table};
use crate::forge::{base64url, compact};
use base64ct::{Base64, Encoding};
use serde_json::json;

pub fn rows(table: &mut Table, stage: &Stage) {
    table.family("form");
    let good = stage.token();
    table.bearer("a good token", "/jwt", &good, Passes);
    let claims = stage.claims();
    let text = claims.to_string();
    let (header, payload, signature) = {
        let mut parts = good.split('.');
        (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
    };
    let header_text = stage.rsa.header().to_string();
    let signed = |claims: &str| stage.rsa.raw(&header_text, claims);
    let with_header = |header: &str| stage.rsa.raw(header, &text);
    // Another last character of the same bytes: the bits that are left over are set.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let spelled = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    let respelled = format!("{}{spelled}", good.strip_suffix(last).unwrap());
    let standard = |part: &str| part.replace('-', "+").replace('_', "/");
    let standard_signature = format!("{header}.{payload}.{}", standard(signature));
    assert_ne!(standard_signature, good, "a signature of 342 characters has one of the two");

    for (name, token) in [
        ("padded", format!("{good}==")),
        ("padded in each part", format!("{header}=.{payload}=.{signature}==")),
        ("the other alphabet of base64", standard_signature),
        ("another spelling of the same signature", respelled),
        ("one character missing", good[..good.len() - 1].to_owned()),
        ("four parts", format!("{good}.{signature}")),
        ("an empty part before it", format!(".{good}")),
        ("an empty part after it", format!("{good}.")),
        ("five parts, as encryption has", format!("{header}.{payload}.{signature}.{payload}.{signature}")),
        ("two parts", format!("{header}.{payload}")),
        ("one part", header.to_owned()),
        ("only dots", "..".to_owned()),
        ("no header", format!(".{payload}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("a part that is no base64", format!("{header}.{payload}.~~~~")),
        ("percent-encoded dots", good.replace('.', "%2e")),
        (
            "the JSON serialization",
            json!({ "payload": payload, "protected": header, "signature": signature }).to_string(),
        ),
        ("the JSON serialization, as a part", base64url(json!({ "payload": payload }).to_string())),
        ("quoted", format!("\"{good}\"")),
        ("two tokens with a comma", format!("{good},{good}")),
        ("two tokens with a space", format!("{good} {good}")),
        ("a token and a parameter", format!("{good}, error=\"x\"")),
        ("a token within a part", stage.rsa.raw(&header_text, &good)),
        ("base64 in base64", {
            let inner = Base64::encode_string(text.as_bytes());
            stage.rsa.raw(&header_text, inner)
        }),
        ("claims that are a list", signed(&format!("[{text}]"))),
        ("claims that are a string", signed(&json!(text).to_string())),
        ("claims that are null", signed("null")),
        ("no JSON", signed("sub=alice")),
        ("half of the claims", signed(&text[..text.len() / 2])),
        ("something after the claims", signed(&format!("{text}{{}}"))),
        ("a NUL after the claims", signed(&format!("{text}\0"))),
        ("a byte order mark", signed(&format!("\u{feff}{text}"))),
        ("a comment", signed(&text.replacen('{', "{/**/", 1))),
        ("a comma too many", signed(&text.replacen('}', ",}", 1))),
        ("single quotes", signed(&text.replace('"', "'"))),
        ("NaN", signed(&text.replacen('{', "{\"x\":NaN,", 1))),
        ("a number beyond all numbers", signed(&text.replacen('{', "{\"x\":1e999,", 1))),
        ("half of a surrogate pair", signed(&text.replacen('{', "{\"x\":\"\\ud800\",", 1))),
        ("two subjects", signed(&text.replacen('{', "{\"sub\":\"root\",", 1))),
        ("two subjects, one escaped", signed(&text.replacen('{', "{\"s\\u0075b\":\"root\",", 1))),
        ("two ends", signed(&text.replacen('{', "{\"exp\":1,", 1))),
        ("two issuers", signed(&text.replacen('{', "{\"iss\":\"https://x.example\",", 1))),
        ("a name twice, deep inside", signed(&text.replacen('{', "{\"x\":[{\"y\":1,\"y\":2}],", 1))),
        (
            "nested 17 deep",
            signed(&text.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(17), "]".repeat(17)), 1)),
        ),
        (
            "nested 1,500 deep",
            signed(&text.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(1500), "]".repeat(1500)), 1)),
        ),
        (
            "objects 300 deep",
            signed(&text.replacen(
                '{',
                &format!("{{\"x\":{}1{},", "{\"x\":".repeat(300), "}".repeat(300)),
                1,
            )),
        ),
        ("a header that is a list", with_header("[]")),
        (
            "a header that is nested deep",
            with_header(&header_text.replacen(
                '{',
                &format!("{{\"x\":{}{},", "[".repeat(500), "]".repeat(500)),
                1,
            )),
        ),
        ("a number for a typ", with_header(r#"{"alg":"RS256","kid":"kid-rsa","typ":1}"#)),
        ("two typs", with_header(r#"{"alg":"RS256","kid":"kid-rsa","typ":"dpop+jwt","typ":"JWT"}"#)),
    ] {
        table.bearer(name, "/jwt", &token, Refused("token_malformed"));
    }
    let bytes = [&text.as_bytes()[..text.len() - 1], b",\"x\":\"\xff\"}"].concat();
    table.bearer(
        "claims that are not UTF-8",
        "/jwt",
        &stage.rsa.raw(&header_text, bytes),
        Refused("token_malformed"),
    );
    let wide = format!("{{\"x\":[{}1],{}", "1,".repeat(2500), &text[1..]);
    table.bearer("2,500 values", "/jwt", &signed(&wide), Passes);

    let long = signed(&text.replacen('{', &format!("{{\"x\":\"{}\",", "x".repeat(1000)), 1));
    table.bearer("one of the longest", "/short", &good, Passes);
    table.bearer("longer than the route takes", "/short", &long, Refused("token_malformed"));

    // Extensions, all of them refused: what is not known here could change the meaning of everything.
    for (name, header) in [
        ("crit: exp", r#""crit":["exp"],"exp":1"#),
        ("crit: nothing", r#""crit":[]"#),
        ("crit: null", r#""crit":null"#),
        ("crit: b64", r#""crit":["b64"],"b64":false"#),
        ("b64 without crit", r#""b64":false"#),
        ("crit: something new", r#""crit":["http://x.example/new"],"http://x.example/new":true"#),
        ("compressed", r#""zip":"DEF""#),
        ("encrypted within", r#""enc":"A256GCM""#),
        ("a nested token", r#""cty":"JWT""#),
    ] {
        let token = with_header(&header_text.replacen('{', &format!("{{{header},"), 1));
        table.bearer(name, "/jwt", &token, Refused("token_type"));
    }
    let unencoded = compact(
        r#"{"alg":"RS256","kid":"kid-rsa","b64":false,"crit":["b64"]}"#,
        &text,
        stage.rsa.sign(text.as_bytes()),
    );
    table.bearer("claims that are signed without base64", "/jwt", &unencoded, Refused("token_type"));
    let nested = stage.rsa.raw(r#"{"alg":"RS256","kid":"kid-rsa","cty":"JWT"}"#, &good);
    table.bearer("a token within a token", "/jwt", &nested, Refused("token_type"));
}
