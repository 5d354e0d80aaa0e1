//! What a decision costs: judges requests without a network, so that instructions can be counted.
//!
//! ```sh
//! cargo run --profile dist --example judge -- --routes 10000 --keys 100000 --requests 100000
//! ```
//!
//! Every request is for another route and by another consumer, and passes an API key, a role and a limit. With
//! `--issuer FOLDER`, it is a signed token instead: the folder holds `keys.json`, the issuer's key set, and `tokens`, one
//! value of the Authorization field a line; `--cached` says how many tokens are remembered. The program fails if one
//! request is refused, or if a wrong key or token is not.

#![expect(clippy::print_stdout, reason = "the program says what it measured")]

use portcullis::Loaded;
use portcullis::load::Context;
use portcullis_core::{Cleared, Code, Conn, Plan, Record, RecordSink, Recording, Snapshot, Transport, judge};
use std::fmt::Write;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

struct Nowhere;

impl RecordSink for Nowhere {
    fn write(&self, _: &Record, _: &Plan) {}
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let routes = number("--routes")?.unwrap_or(10);
    let keys = number("--keys")?.unwrap_or(10);
    let requests = number("--requests")?.unwrap_or(1000);
    let (credentials, text) = match argument("--issuer") {
        None => {
            let credentials = Credentials {
                field: "x-api-key",
                values: (0..keys).map(key).collect(),
                wrong: "wrong".into(),
            };
            (credentials, document(routes, keys))
        }
        Some(folder) => {
            let values: Vec<String> =
                std::fs::read_to_string(format!("{folder}/tokens"))?.lines().map(str::to_owned).collect();
            // The last token with the signature of the first.
            let first = values.first().and_then(|token| token.rsplit_once('.'));
            let last = values.last().and_then(|token| token.rsplit_once('.'));
            let (Some((_, signature)), Some((signed, _))) = (first, last) else {
                return Err("no tokens".into());
            };
            let wrong = format!("{signed}.{signature}");
            let text = token_document(routes, &folder, number("--cached")?.unwrap_or(10_000));
            (Credentials { field: "authorization", values, wrong }, text)
        }
    };

    let begun = Instant::now();
    let blueprint = Loaded::yaml("judge.yaml", text, Context::for_code()).into_blueprint()?;
    println!("loaded in {} ms", begun.elapsed().as_millis());

    let snapshot = Snapshot::new(blueprint.plan, Arc::new(blueprint.world), Arc::new(Nowhere));
    let begun = Instant::now();
    for number in 0..requests {
        // A step that shares no factor with the counts visits all of them in a scattered order.
        let place = number.wrapping_mul(7_919);
        let credential =
            credentials.values.get(place as usize % credentials.values.len()).ok_or("no credential")?;
        let cleared = decide(&snapshot, &path(place % routes), (credentials.field, credential));
        drop(cleared.map_err(|code| format!("request {number} was refused: {code}"))?);
    }
    let nanoseconds = begun.elapsed().as_nanos() / u128::from(requests.max(1));
    match decide(&snapshot, &path(0), (credentials.field, &credentials.wrong)) {
        Err(Code::CredentialUnknown | Code::TokenSignature) => {}
        Err(other) => return Err(format!("a wrong credential was refused as {other}").into()),
        Ok(_) => return Err("a wrong credential was let through".into()),
    }
    println!("{requests} requests, {nanoseconds} ns each");
    Ok(())
}

/// What clients send.
struct Credentials {
    field: &'static str,
    values: Vec<String>,
    wrong: String,
}

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn number(name: &str) -> Result<Option<u32>, Failure> {
    Ok(argument(name).map(|value| value.parse()).transpose()?)
}

// Names and keys are of one length, so that what is compared is how many there are.
fn path(number: u32) -> String {
    format!("/route{number:06}/items")
}

fn key(number: u32) -> String {
    format!("key-{number:028}")
}

fn document(routes: u32, keys: u32) -> String {
    let mut text = String::from(
        "listeners: [{ bind: \"127.0.0.1:0\" }]\n\
         security:\n  \
           authentication: { type: api_key, header: x-api-key }\n  \
           authorization: { roles_allowed: [reader] }\n  \
           rate_limiting: { max_requests: 1000000000, per: minute, by: consumer }\n",
    );
    text.push_str("consumers:\n");
    for number in 0..keys {
        let _ = writeln!(text, "  - {{ name: c{number}, roles: [reader], keys: [\"{}\"] }}", key(number));
    }
    add_routes(&mut text, routes);
    text
}

fn token_document(routes: u32, issuer: &str, cached: u32) -> String {
    let mut text = format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\n\
         security:\n  \
           authentication: {{ type: jwt, issuer: \"https://issuer.example\", jwks_file: \"{issuer}/keys.json\", audience: bench, cached_tokens: {cached} }}\n  \
           authorization: {{ roles_allowed: [reader] }}\n  \
           rate_limiting: {{ max_requests: 1000000000, per: minute, by: consumer }}\n"
    );
    add_routes(&mut text, routes);
    text
}

fn add_routes(text: &mut String, routes: u32) {
    text.push_str("routes:\n");
    for number in 0..routes {
        let _ = writeln!(
            text,
            "  - {{ path: \"{}\", methods: [GET], upstream: \"http://127.0.0.1:9\" }}",
            path(number)
        );
    }
}

fn decide(snapshot: &Snapshot, path: &str, (field, value): (&str, &str)) -> Result<Cleared, Code> {
    let conn = Conn {
        peer: ([192, 0, 2, 1], 4711).into(),
        local: ([127, 0, 0, 1], 3000).into(),
        transport: Transport::Memory,
        certificate: None,
    };
    let request = http::Request::get(path)
        .header("host", "api.example.com")
        .header("user-agent", "judge")
        .header("accept", "*/*")
        .header(field, value)
        .body(());
    let Ok(request) = request else { return Err(Code::MalformedRequest) };
    let deciding =
        pin!(judge(request.into_parts().0, conn.clone(), Recording::open(snapshot.clone(), &conn)));
    match deciding.poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(cleared)) => Ok(cleared),
        Poll::Ready(Err(refused)) => Err(refused.denial.code()),
        Poll::Pending => Err(Code::Fault),
    }
}
