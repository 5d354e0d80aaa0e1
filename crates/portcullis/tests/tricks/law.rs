//! The law that holds for every request that a backend sees.

use super::*;

/// How the laxest backend would read a path: every escape is taken for what it stands for, as often as there are any,
/// overlong forms and backslashes too; parameters are cut off, dots and empty segments resolved, case is ignored.
fn laxest(target: &str) -> String {
    let mut bytes = target.split(['?', '#']).next().unwrap_or_default().as_bytes().to_vec();
    for _ in 0..4 {
        let mut decoded = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let escape = bytes
                .get(at + 1..at + 3)
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            match (bytes[at], escape) {
                (b'%', Some(byte)) => {
                    decoded.push(byte);
                    at += 3;
                }
                (byte, _) => {
                    decoded.push(byte);
                    at += 1;
                }
            }
        }
        bytes = decoded;
    }
    for (overlong, plain) in [
        (&b"\xc0\xae"[..], b'.'),
        (b"\xc0\xaf", b'/'),
        (b"\xe0\x80\xae", b'.'),
        (b"\xe0\x80\xaf", b'/'),
        (b"\xf0\x80\x80\xaf", b'/'),
    ] {
        while let Some(at) = bytes.windows(overlong.len()).position(|window| window == overlong) {
            bytes.splice(at..at + overlong.len(), [plain]);
        }
    }
    let text = String::from_utf8_lossy(&bytes).to_lowercase().replace('\\', "/");
    let text = text.split('\0').next().unwrap_or_default();
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('/').map(|segment| segment.split(';').next().unwrap_or_default().trim()) {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Who may send a request that is read like this. `None` for a path that no route leads to.
fn allowed(path: &str, host: &str) -> Option<&'static [Option<&'static str>]> {
    const ANYBODY: &[Option<&str>] = &[None, Some("root"), Some("alice"), Some("bob")];
    const USERS: &[Option<&str>] = &[Some("root"), Some("alice"), Some("bob")];
    const ADMINS: &[Option<&str>] = &[Some("root")];
    let first = path.split('/').nth(1).unwrap_or_default();
    Some(match (first, path) {
        ("files", _) | (_, "/public") => ANYBODY,
        ("admin", _) | (_, "/q" | "/c") => ADMINS,
        (_, "/data" | "/ws") => USERS,
        (_, "/vhost") if host == "a.example" => ANYBODY,
        (_, "/vhost") => ADMINS,
        _ => return None,
    })
}

/// What is wrong with a request that a backend saw, where `record` is the account of it.
pub(super) fn breaches(seen: &Seen, record: &Value) -> Vec<String> {
    let mut breaches = Vec::new();
    let consumer = record["consumer"].as_str();
    let asked = seen.fields("x-forwarded-host").join(",");
    let (host, port) = asked.split_once(':').unwrap_or((&asked, "80"));
    match allowed(&laxest(&seen.target), host) {
        Some(who) if who.contains(&consumer) => {}
        Some(_) => breaches.push(format!("{consumer:?} reached {:?}", laxest(&seen.target))),
        None => breaches.push(format!("no route leads to {:?}", laxest(&seen.target))),
    }
    let head = String::from_utf8_lossy(&seen.head).to_lowercase();
    for secret in [ADMIN_KEY, USER_KEY, EXPIRED_KEY, "spoofed", "9.9.9.9"] {
        if head.contains(secret) {
            breaches.push(format!("{secret:?} went on"));
        }
    }
    // Under every spelling that some backend takes for the same field.
    let folded = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    for (name, value) in &seen.fields {
        match folded(name).as_str() {
            "x-api-key"
            | "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "upgrade"
            | "expect"
            | "proxy"
            | "proxy-connection"
            | "proxy-authorization"
            | "http2-settings"
            | "x-original-url"
            | "x-rewrite-url"
            | "x-original-uri"
            | "x-http-method-override"
            | "x-http-method"
            | "x-method-override"
            | "forwarded"
            | "x-real-ip"
            | "x-client-ip"
            | "true-client-ip"
            | "x-original-host"
            | "x-host" => breaches.push(format!("{name}: {value} went on")),
            own if own.starts_with("x-consumer-") || own.starts_with("x-forwarded") => {
                let roles = match consumer {
                    Some("root") => "admin",
                    _ => "user",
                };
                let right = match name.as_str() {
                    "x-consumer-name" => consumer == Some(value),
                    "x-consumer-roles" => consumer.is_some() && value == roles,
                    "x-forwarded-for" => value == "127.0.0.1",
                    "x-forwarded-proto" => value == "http",
                    "x-forwarded-host" => ["a.example", "b.example"].contains(&host),
                    "x-forwarded-port" => value == port,
                    _ => false,
                };
                if !right || seen.fields(name).len() != 1 {
                    breaches.push(format!("{name}: {value} is not the gateway's"));
                }
            }
            _ => {}
        }
    }
    for name in [
        "host",
        "x-request-id",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
    ] {
        if seen.fields(name).len() != 1 {
            breaches.push(format!("{name} is there {} times", seen.fields(name).len()));
        }
    }
    if consumer.is_some() == seen.fields("x-consumer-name").is_empty() {
        breaches.push("the identity is missing".to_owned());
    }
    let framings = seen.fields("content-length").len() + seen.fields("transfer-encoding").len();
    if framings > 1 {
        breaches.push("more than one framing".to_owned());
    }
    let clean = head
        .bytes()
        .enumerate()
        .all(|(at, byte)| byte != b'\n' || at > 0 && head.as_bytes()[at - 1] == b'\r');
    if !clean || head.contains('\0') {
        breaches.push("a head with control bytes".to_owned());
    }
    breaches
}
