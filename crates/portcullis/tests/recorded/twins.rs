//! The twins of recorded requests: as they were sent but for a few bytes, and refused.

use crate::replay::{self, Stand};
use crate::requests::{Recorded, recorded};

/// The file, the beginning of the request line, what is replaced by what, and the status.
type Twin = (&'static str, &'static str, &'static str, &'static str, u16);

const TWINS: &[Twin] = &[
    // Paths
    ("curl", "GET /plain/a%20b", "a%20b", "a%00b", 400),
    ("curl", "GET /plain/a+b", "a+b", "a%2Fb", 400),
    ("curl", "GET /plain/%41", "%41", "%2e%2e", 400),
    ("curl", "GET /plain/[1]", "[1]", "[1]%5C", 400),
    ("wget", "GET /plain/a,b", "a,b", "a;b", 400),
    ("curl", "GET /slash/group", "group%2Fproject", "..%2Fproject", 400),
    ("npm", "GET /npm/@babel%2fcore", "%2fcore", "%2f..%2f..%2fadmin", 400),
    ("curl", "GET /double/", "http://images", "http:///../images", 400),
    ("curl", "GET /percent/", "x%252Fy", "%252e%252e%252Fy", 400),
    ("curl", "GET /semicolon/", "heroes;id=15", "..;id=15", 400),
    ("curl", "GET /backslash/", "a%5Cb", "..%5Cb", 400),
    ("python", "PUT /bucket/a//b", "a//b", "a//..%2Fb", 400),
    ("git", "GET /git/group", "/git/group", "/git/../group", 400),
    // Methods
    ("rclone", "PROPFIND /dav/folder ", "PROPFIND", "SEARCH", 405),
    ("curl", "DELETE /plain/delete ", "DELETE", "TRACE", 405),
    // Framing
    (
        "curl",
        "POST /plain/chunked",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        400,
    ),
    ("curl", "POST /plain/chunked", "Encoding: chunked", "Encoding: identity", 400),
    ("curl", "PUT /plain/put-stdin", "\r\n\r\n8\r\n", "\r\n\r\n-8\r\n", 400),
    ("python", "POST /plain/bytes", "Content-Length: ", "Content-Length: +", 400),
    ("go", "POST /plain/go-stream", "Host:", "Host :", 400),
    ("java", "POST /plain/java-chunked", "Encoding: chunked", "Encoding: chunked, gzip", 400),
    // Credentials
    ("curl", "GET /basic/a", "Basic YWxpY2U6", "Basic YWxpY2U7", 401),
    ("python", "GET /basic/a", "Basic YWxpY2U6b3", "Basic YWxpY2U6b4", 401),
    ("curl", "GET /key/a", "rec-31c2", "rec-31c3", 401),
    ("curl", "GET /bearer-key/a", "rec-31c2", "rec-31c3", 401),
    ("curl", "GET /query-key/a", "rec-31c2", "rec-31c3", 401),
    ("curl", "GET /jwt/a", ".eyJ", ".eyK", 401),
    ("python", "GET /jwt/a", "Bearer ", "Bearer x", 401),
    ("curl", "GET /cookie-jwt/a", ".eyJ", ".eyK", 401),
    ("curl", "GET /query-jwt/a", ".eyJ", ".eyK", 401),
    ("curl", "GET /header-jwt/a", ".eyJ", ".eyK", 401),
    // Bodies
    ("curl", "POST /json/a", "{\"name\"", "[\"name\"", 400),
    ("curl", "POST /json/charset ", "utf-8", "utf-16", 415),
    ("curl", "POST /json/charset ", "ü", "\\ud800", 400),
    ("curl", "POST /json/gzip", "Content-Encoding: gzip", "Content-Encoding: br", 415),
    ("curl", "POST /json/identity", "Encoding: identity", "Encoding: gzip", 400),
    ("python", "POST /json/requests", "{\"name\"", "{\"name\": 1, \"name\"", 400),
    ("node", "POST /json/axios", "{", "[{", 400),
    ("java", "POST /json/java", "application/json;charset=UTF-8", "application/xml", 415),
    ("curl", "POST /upload/file", "name=\"note\"", "name=\"other\"", 422),
    ("curl", "POST /upload/png", "form-data; name=\"file\"", "form-data; name=\"file\"; name=\"note\"", 400),
    ("python", "POST /upload/a", "name=\"note\"", "name=\"Note\"", 422),
    ("node", "POST /upload/fetch", "form-data; name=\"note\"", "form-data", 400),
    // GraphQL
    ("curl", "POST /graphql", "hero(id: $id) { name }", "__schema { types { name } }", 400),
    ("graphql", "POST /graphql ", "__typename", "a{b{c{d{e{f{g{h{i{j{k}}}}}}}}}}", 400),
    ("graphql", "POST /graphql-batch", "[{", "[{\"query\":\"subscription{a}\"},{", 400),
    ("graphql", "POST /graphql ", "\"variables\"", "\"Variables\"", 400),
];

/// The bytes with this replaced once, and a length that fits.
fn altered(request: &Recorded, from: &str, to: &str) -> Vec<u8> {
    let bytes = request.bytes().unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("`{from}` is not in {}", request.line()));
    let mut twin = bytes[..at].to_vec();
    twin.extend_from_slice(to.as_bytes());
    twin.extend_from_slice(&bytes[at + from.len()..]);
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let length = bytes.len() - head;
    if at < head || length == 0 {
        return twin;
    }
    let new = length + to.len() - from.len();
    let text: String = twin[..head].iter().map(|byte| char::from(*byte)).collect();
    let lower = text.to_ascii_lowercase();
    let Some(start) = lower.find("content-length: ") else { return twin };
    let (start, end) = (start + 16, start + 16 + length.to_string().len());
    let mut framed = text.as_bytes()[..start].to_vec();
    assert!(text.is_ascii(), "a head in ASCII");
    framed.extend_from_slice(new.to_string().as_bytes());
    framed.extend_from_slice(&text.as_bytes()[end..]);
    framed.extend_from_slice(&twin[head..]);
    framed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_of_recorded_requests_are_refused() {
    let all = recorded();
    let stand = Stand::start(&replay::document(None)).await;
    let mut wrong = Vec::new();
    for (file, line, from, to, status) in TWINS {
        let original = all.iter().find(|request| {
            request.file == *file && request.line().starts_with(line) && {
                request
                    .bytes()
                    .is_some_and(|bytes| bytes.windows(from.len()).any(|part| part == from.as_bytes()))
            }
        });
        let Some(original) = original else {
            wrong.push(format!("{file}: no `{line}` with `{from}`"));
            continue;
        };
        let found = stand.send_bytes(&altered(original, from, to)).await;
        if found != *status {
            wrong.push(format!("{file}: {found} and not {status}: {line}, {to}"));
        }
    }
    let reasons = stand.refusals().await;
    assert!(wrong.is_empty(), "{}\n{reasons}", wrong.join("\n"));
}

/// Every request of HTTP/1.1, with a second host or a second length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_recorded_request_passes_with_two_hosts_or_two_lengths() {
    let stand = Stand::start(&replay::document(None)).await;
    let mut tried = 0;
    for request in recorded() {
        let Some(bytes) = request.bytes().filter(|_| request.line().ends_with("HTTP/1.1")) else { continue };
        let end = bytes.windows(2).position(|window| window == b"\r\n").unwrap() + 2;
        let head = String::from_utf8_lossy(&bytes[..bytes.len() - request.body.len()]).to_ascii_lowercase();
        let mut more = vec!["Host: other.example\r\n"];
        if head.contains("\r\ncontent-length:") {
            more.push("Content-Length: 7\r\n");
        }
        for line in more {
            let twin = [&bytes[..end], line.as_bytes(), &bytes[end..]].concat();
            assert_eq!(stand.send_bytes(&twin).await, 400, "{} with {line}", request.line());
            tried += 1;
        }
    }
    assert!(tried > 250, "{tried}");
    stand.end().await;
}
