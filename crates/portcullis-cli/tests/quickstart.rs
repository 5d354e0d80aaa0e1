//! A newcomer's first minute: `portcullis quickstart`, and curl.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Process, curl, portcullis};

struct Started {
    gateway: Process,
    url: String,
    key: String,
    guest_key: String,
}

fn start() -> Started {
    let gateway = Process::start(portcullis().args(["quickstart", "--port", "0"]), "Ctrl-C stops");
    let said = gateway.said.clone();
    let url = said
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap()
        .trim_end_matches(',')
        .to_owned();
    let mut keys: Vec<String> =
        said.split("x-api-key: ").skip(1).map(|rest| rest.split('\'').next().unwrap().to_owned()).collect();
    keys.dedup();
    let [key, guest_key] = keys.try_into().unwrap();
    Started { gateway, url, key, guest_key }
}

#[test]
fn curl_sees_what_quickstart_promises() {
    let Started { gateway, url, key, guest_key } = start();
    let (data, header) = (format!("{url}/data"), format!("x-api-key: {key}"));

    let answer = curl(&data, &["-H", &header]);
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"message":"Secure data accessed"}"#));
    assert!(answer.field("ratelimit").unwrap().contains("r=4"), "{answer:?}");

    // No key, a wrong one, the right one twice.
    for arguments in [&[][..], &["-H", "x-api-key: wrong"], &["-H", &header, "-H", &header]] {
        let answer = curl(&data, arguments);
        answer.assert_refusal(401);
        assert!(answer.field("www-authenticate").is_some());
    }
    curl(&data, &["-H", &format!("x-api-key: {guest_key}")]).assert_refusal(403);
    curl(&format!("{url}/nothing"), &["-H", &header]).assert_refusal(404);
    let answer = curl(&data, &["-X", "DELETE", "-H", &header]);
    answer.assert_refusal(405);
    assert_eq!(answer.field("allow"), Some("GET, HEAD, POST"));
    let large = "x".repeat(1025);
    curl(&data, &["-H", &header, "-d", &large]).assert_refusal(413);
    curl(&format!("{url}/data/../health"), &[]).assert_refusal(400);
    assert_eq!(curl(&format!("{url}/health"), &[]).body, r#"{"status":"ok"}"#);

    // Five a minute; some of them are used up above. None of the refusals above but the last was counted.
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let answer = curl(&data, &["-H", &header]);
        if answer.status == 429 {
            answer.assert_refusal(429);
            let seconds: u32 = answer.field("retry-after").unwrap().parse().unwrap();
            assert!((1..=12).contains(&seconds), "{answer:?}");
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses.first(), Some(&200), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn two_quickstarts_do_not_meet() {
    let (one, other) = (start(), start());
    assert_ne!(one.key, other.key, "keys are made anew");
    curl(&format!("{}/data", other.url), &["-H", &format!("x-api-key: {}", one.key)]).assert_refusal(401);
}

#[test]
fn a_port_in_use_is_said_and_is_exit_code_3() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = support::run(&["quickstart", "--port", &port]);
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&port), "{text}");
}
