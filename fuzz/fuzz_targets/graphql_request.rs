//! Any request asks a GraphQL server for something in one reading, or is refused: the first line is the request target,
//! and the rest is the body.

#![no_main]

use bytes::Bytes;
use http::Request;
use libfuzzer_sys::fuzz_target;
use portcullis_checks::inspect::graphql::request;
use portcullis_core::{Conn, Head, HeadPolicy, Transport};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (target, body) = input.split_at(end);
    let body = Bytes::copy_from_slice(body.get(1..).unwrap_or_default());
    for (method, kind) in
        [
            ("POST", "application/json"),
            ("POST", "application/graphql"),
            ("POST", "multipart/form-data; boundary=B"),
            ("GET", "text/plain"),
        ]
    {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", "a.example")
            .header("content-type", kind);
        let Ok(request) = request.body(()) else { return };
        let conn = Conn {
            peer: ([192, 0, 2, 1], 5).into(),
            local: ([127, 0, 0, 1], 1).into(),
            transport: Transport::Memory,
            certificate: None,
        };
        let Ok(head) = Head::admit(request.into_parts().0, &conn, &HeadPolicy::default()) else { return };
        if request::judge_head(&head, true).is_err() {
            continue;
        }
        if let Ok(asked) = request::read(&head, &body, 3, true, &()) {
            assert!((1..=3).contains(&asked.len()));
        }
    }
});
