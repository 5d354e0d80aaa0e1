//! What a decision costs: judges requests without a network, so that instructions can be counted.
//!
//! ```sh
//! cargo run --profile dist --example judge -- --routes 10000 --keys 100000 --requests 100000
//! ```
//!
//! Every request is for another route and by another consumer, and passes an API key, a role and a limit. The program
//! fails if one of them is refused, or if a wrong key is not.

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
    let routes = argument("--routes")?.unwrap_or(10);
    let keys = argument("--keys")?.unwrap_or(10);
    let requests = argument("--requests")?.unwrap_or(1000);

    let text = document(routes, keys);
    let begun = Instant::now();
    let blueprint = Loaded::yaml("judge.yaml", text, Context::for_code()).into_blueprint()?;
    println!("loaded in {} ms", begun.elapsed().as_millis());

    let snapshot = Snapshot::new(blueprint.plan, Arc::new(blueprint.world), Arc::new(Nowhere));
    let begun = Instant::now();
    for number in 0..requests {
        // A step that shares no factor with the counts visits all of them in a scattered order.
        let place = number.wrapping_mul(7_919);
        let cleared = decide(&snapshot, &path(place % routes), &key(place % keys));
        drop(cleared.map_err(|code| format!("request {number} was refused: {code}"))?);
    }
    let nanoseconds = begun.elapsed().as_nanos() / u128::from(requests.max(1));
    match decide(&snapshot, &path(0), "wrong") {
        Err(Code::CredentialUnknown) => {}
        Err(other) => return Err(format!("a wrong key was refused as {other}").into()),
        Ok(_) => return Err("a wrong key was let through".into()),
    }
    println!("{requests} requests, {nanoseconds} ns each");
    Ok(())
}

fn argument(name: &str) -> Result<Option<u32>, Failure> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    Ok(arguments.next().map(|value| value.parse()).transpose()?)
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
    text.push_str("routes:\n");
    for number in 0..routes {
        let _ = writeln!(
            text,
            "  - {{ path: \"{}\", methods: [GET], upstream: \"http://127.0.0.1:9\" }}",
            path(number)
        );
    }
    text
}

fn decide(snapshot: &Snapshot, path: &str, key: &str) -> Result<Cleared, Code> {
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
        .header("x-api-key", key)
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
