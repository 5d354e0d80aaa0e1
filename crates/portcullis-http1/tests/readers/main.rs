//! Other servers read what we accept as we do, or refuse it: the same number of requests, with the same methods, targets
//! and bodies. Each stream of bytes goes to them twice: as the client sent it, and as it is forwarded.
//!
//! hyper runs in the test. gunicorn, waitress, uvicorn (on h11 and on httptools) and Node are installed by
//! `cargo xtask counterparts`; one that is not installed is named, and judges nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod cases;
mod in_process;
mod ours;
mod servers;

use ours::{Request, Stream};

/// What another server made of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    /// It read this request.
    Read(Request),
    /// It answered with this status.
    Refused(u16),
}

/// Whether a server has read a stream as we did, up to where it refused something. Whether it read all of it.
///
/// # Panics
/// It read something else, or went on after it had refused something.
fn judge(server: &str, stream: &Stream, seen: &[Seen]) -> bool {
    let told = || {
        format!(
            "{server} ({}): {:?}\nwe read {:?}\nit read {seen:?}",
            stream.form,
            String::from_utf8_lossy(&stream.bytes),
            stream.requests,
        )
    };
    for (index, seen_one) in seen.iter().enumerate() {
        match seen_one {
            Seen::Read(request) => {
                assert_eq!(Some(request), stream.requests.get(index), "{}", told());
            }
            Seen::Refused(status) => {
                assert!(*status >= 400, "{}", told());
                assert_eq!(index + 1, seen.len(), "{}", told());
                return false;
            }
        }
    }
    seen.len() == stream.requests.len()
}

/// Runs all streams through a server, and says which share of them it read to the end.
fn compare(server: &str, read: impl FnMut(&Stream) -> Vec<Seen>) {
    let mut read = read;
    let streams = cases::streams();
    assert!(streams.len() > 400, "{} streams are no test", streams.len());
    let whole = streams.iter().filter(|stream| judge(server, stream, &read(stream))).count();
    println!("{server}: {} streams, {whole} read to the end", streams.len());
    assert!(whole * 10 > streams.len() * 6, "{server} read no more than {whole} of {}", streams.len());
}

#[test]
fn hyper_reads_what_we_read() {
    in_process::with_hyper(|read| compare("hyper", read));
}

#[test]
fn gunicorn_reads_what_we_read() {
    servers::with("gunicorn", |read| compare("gunicorn", read));
}

#[test]
fn waitress_reads_what_we_read() {
    servers::with("waitress", |read| compare("waitress", read));
}

#[test]
fn uvicorn_reads_what_we_read() {
    servers::with("uvicorn", |read| compare("uvicorn on h11", read));
    servers::with("httptools", |read| compare("uvicorn on httptools", read));
}

#[test]
fn node_reads_what_we_read() {
    servers::with("node", |read| compare("Node", read));
}

/// The comparison finds a difference where there is one.
#[test]
fn a_difference_is_found() {
    let read = |target: &str| Request { method: "GET".into(), target: target.into(), body: Vec::new() };
    let stream = Stream { form: "raw", bytes: Vec::new(), requests: vec![read("/a"), read("/b")] };
    assert!(judge("x", &stream, &[Seen::Read(read("/a")), Seen::Read(read("/b"))]));
    assert!(!judge("x", &stream, &[Seen::Read(read("/a")), Seen::Refused(400)]));
    assert!(!judge("x", &stream, &[Seen::Read(read("/a"))]));
    for wrong in [
        vec![Seen::Read(read("/b"))],
        vec![Seen::Read(read("/a")), Seen::Read(read("/b")), Seen::Read(read("/c"))],
        vec![Seen::Refused(400), Seen::Read(read("/b"))],
        vec![Seen::Refused(200)],
    ] {
        assert!(std::panic::catch_unwind(|| judge("x", &stream, &wrong)).is_err(), "{wrong:?}");
    }
}
