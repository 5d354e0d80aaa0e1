//! What a client says over a WebSocket: the protocol `graphql-transport-ws`, read message by message.
//!
//! Decides what a message is. A `subscribe` stands for a POST of its payload and is judged as one, by the same rules; the others
//! ask for nothing. A message has one reading: each member stands there once, in its own spelling. The older protocol
//! `graphql-ws` is refused: its name is that of a library for the newer one, servers confuse both, and it has not been kept up since 2018.
//! Needs nothing that could fail.

use super::request;
use crate::json::{self, Bounds};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use portcullis_core::conversation::{Breach, Conversation, Heard};
use portcullis_core::{Code, Denial, Head, RequestId, Violation};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The protocol.
const PROTOCOL: &str = "graphql-transport-ws";
/// The longest name of an operation, in bytes. Libraries use a UUID or a number.
const LONGEST_NAME: usize = 256;
/// What a payload that is not judged may hold, such as that of `connection_init`.
const BOUNDS: Bounds = Bounds { depth: 20, values: 1000 };

/// Whether a head asks for a WebSocket.
pub(super) fn is_wanted(head: &Head) -> bool {
    head.upgrade().is_some_and(|wish| wish.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Judges the head of an upgrade.
///
/// # Errors
/// What follows would not be the protocol, or an operation stands in the URL.
pub(super) fn judge_head(head: &Head) -> Result<(), Denial> {
    if *head.method() != Method::GET {
        return Err(Denial::new(Code::UpgradeRefused, "a WebSocket begins with GET"));
    }
    request::judge_url(head, false)?;
    if offers(head.headers()) {
        return Ok(());
    }
    let detail = "a WebSocket to this route must offer the subprotocol graphql-transport-ws";
    Err(Denial::new(Code::UpgradeRefused, detail).pointing_out([Violation::new(
        "sec-websocket-protocol",
        "this must offer graphql-transport-ws",
    )
    .within("header")]))
}

fn offers(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    offers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == PROTOCOL)
}

/// The conversation of an upgrade.
pub(super) fn begin(head: &Head) -> Option<Box<dyn Conversation>> {
    (is_wanted(head) && offers(head.headers())).then(open)
}

/// A conversation in which nothing was said yet.
pub fn open() -> Box<dyn Conversation> {
    Box::new(Socket { begun: false })
}

/// One connection.
struct Socket {
    /// Whether `connection_init` was sent.
    begun: bool,
}

const INVALID: Breach = Breach { status: 4400, reason: "Invalid message" };

impl Conversation for Socket {
    fn protocol(&self) -> &'static str {
        PROTOCOL
    }

    fn hear(&mut self, message: &Bytes) -> Heard {
        match self.read(message) {
            Ok(heard) => heard,
            Err(breach) => Heard::Breach(breach),
        }
    }

    fn refusal(&self, name: &str, denial: &Denial, id: &RequestId, problem: &[u8]) -> String {
        let name = serde_json::Value::from(name);
        let error = if denial.code() == Code::GraphqlQueryUnknown {
            serde_json::json!({
                "message": "PersistedQueryNotFound",
                "extensions": { "code": "PERSISTED_QUERY_NOT_FOUND" },
            })
        } else {
            let problem = serde_json::from_slice(problem).unwrap_or_else(
                |_| serde_json::json!({ "status": denial.status().as_u16(), "request_id": id.as_str() }),
            );
            let message = denial.status().canonical_reason().unwrap_or("Error");
            serde_json::json!({ "message": message, "extensions": { "problem": problem } })
        };
        format!("{{\"id\":{name},\"type\":\"error\",\"payload\":[{error}]}}")
    }
}

impl Socket {
    fn read(&mut self, message: &Bytes) -> Result<Heard, Breach> {
        let Message { kind, id, payload } = Message::read(message).ok_or(INVALID)?;
        match (kind.as_str(), id, payload) {
            ("connection_init", None, payload) => {
                if self.begun {
                    return Err(Breach { status: 4429, reason: "Too many initialisation requests" });
                }
                harmless(payload)?;
                self.begun = true;
                Ok(Heard::Note)
            }
            ("ping" | "pong", None, payload) => harmless(payload).map(|()| Heard::Note),
            // SECURITY: a server that answers before it has been told who asks would do so for nobody
            // (nothing_is_asked_before_the_beginning).
            ("subscribe" | "complete", Some(_), _) if !self.begun => {
                Err(Breach { status: 4401, reason: "Unauthorized" })
            }
            ("subscribe", Some(name), Some(payload)) if payload.first() == Some(&b'{') => {
                Ok(Heard::Request { name, body: message.slice_ref(payload) })
            }
            ("complete", Some(_), None) => Ok(Heard::Note),
            _ => Err(INVALID),
        }
    }
}

/// A payload that asks for nothing: an object, null, or nothing.
fn harmless(payload: Option<&[u8]>) -> Result<(), Breach> {
    let Some(payload) = payload else { return Ok(()) };
    match json::read(payload, BOUNDS) {
        Ok(portcullis_core::Claim::Object(_) | portcullis_core::Claim::Null) => Ok(()),
        Ok(_) | Err(_) => Err(INVALID),
    }
}

/// A message, with its payload as it was written.
struct Message<'a> {
    kind: String,
    id: Option<String>,
    payload: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Reads the outer object only. The payload is read by the check that judges it.
    fn read(text: &'a [u8]) -> Option<Message<'a>> {
        let (mut kind, mut id, mut payload) = (None, None, None);
        let mut rest = text.trim_ascii().strip_prefix(b"{")?;
        loop {
            let (name, written): (String, _) = value(&mut rest)?;
            rest = rest.trim_ascii_start().strip_prefix(b":")?;
            // SECURITY: a member twice, or in another spelling, is another message to another reader
            // (a_message_has_one_reading).
            let is_new = match (name.as_str(), written) {
                ("type", b"\"type\"") => kind.replace(value::<String>(&mut rest)?.0).is_none(),
                ("id", b"\"id\"") => id.replace(value::<String>(&mut rest)?.0).is_none(),
                ("payload", b"\"payload\"") => payload.replace(value::<IgnoredAny>(&mut rest)?.1).is_none(),
                _ => false,
            };
            if !is_new {
                return None;
            }
            rest = rest.trim_ascii_start();
            let (next, after) = rest.split_first()?;
            rest = after;
            match next {
                b',' => {}
                b'}' if rest.is_empty() => break,
                _ => return None,
            }
        }
        if id.as_ref().is_some_and(|id: &String| id.is_empty() || id.len() > LONGEST_NAME) {
            return None;
        }
        Some(Message { kind: kind?, id, payload })
    }
}

/// The value that comes next, and how it is written.
fn value<'a, T: Deserialize<'a>>(rest: &mut &'a [u8]) -> Option<(T, &'a [u8])> {
    let from = rest.trim_ascii_start();
    let mut values = serde_json::Deserializer::from_slice(from).into_iter::<T>();
    let value = values.next()?.ok()?;
    let (written, after) = from.split_at_checked(values.byte_offset())?;
    *rest = after;
    Some((value, written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(messages: &[&str]) -> Vec<String> {
        let mut socket = Socket { begun: false };
        let heard = messages.iter().map(|text| match socket.hear(&Bytes::copy_from_slice(text.as_bytes())) {
            Heard::Note => "note".to_owned(),
            Heard::Request { name, body } => format!("{name} {}", String::from_utf8_lossy(&body)),
            Heard::Breach(breach) => breach.status.to_string(),
        });
        heard.collect()
    }

    const INIT: &str = r#"{"type":"connection_init"}"#;

    #[test]
    fn what_libraries_send_is_read() {
        let messages = [
            r#" { "type" : "connection_init", "payload": {"token":"a", "n": null} } "#,
            r#"{"id":"1","type":"subscribe","payload":{"query":"{ a }","variables":null}}"#,
            r#"{"type":"subscribe", "payload" : { "query": "{ \"}\" }" } , "id": "\u0061"}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"pong","payload":null}"#,
            r#"{"id":"1","type":"complete"}"#,
        ];
        let expected = [
            "note",
            r#"1 {"query":"{ a }","variables":null}"#,
            r#"a { "query": "{ \"}\" }" }"#,
            "note",
            "note",
            "note",
        ];
        assert_eq!(said(&messages), expected);
    }

    #[test]
    fn a_message_has_one_reading() {
        for text in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"type":"ping"}x"#,
            r#"{"type":"ping",}"#,
            r#"{"type":"ping","type":"subscribe","id":"1","payload":{}}"#,
            r#"{"type":"ping","Type":"subscribe"}"#,
            r#"{"typ\u0065":"ping"}"#,
            r#"{"type":"ping","query":"{ a }"}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }"},"payload":{"query":"{ b }"}}"#,
            r#"{"type":"subscribe","id":1,"payload":{}}"#,
            r#"{"type":"subscribe","id":"","payload":{}}"#,
            r#"{"type":"subscribe","id":"1","payload":[]}"#,
            r#"{"type":"subscribe","id":"1","payload":{"a":]}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","payload":{}}"#,
            r#"{"type":"complete","id":"1","payload":{}}"#,
            r#"{"type":"next","id":"1","payload":{}}"#,
            r#"{"type":"start","id":"1","payload":{"query":"{ a }"}}"#,
            r#"{"type":"ping","payload":{"a":1,"a":2}}"#,
            r#"{"type":"ping","payload":5}"#,
        ] {
            assert_eq!(said(&[INIT, text]), ["note", "4400"], "{text}");
        }
    }

    #[test]
    fn nothing_is_asked_before_the_beginning() {
        let subscribe = r#"{"id":"1","type":"subscribe","payload":{"query":"{ a }"}}"#;
        assert_eq!(said(&[subscribe]), ["4401"]);
        assert_eq!(said(&[INIT, INIT]), ["note", "4429"]);
        assert_eq!(said(&["{\"type\":\"ping\"}", INIT]), ["note", "note"]);
    }

    proptest! {
        /// Whatever is taken for a request is one to another reader, and the same one.
        #[test]
        fn another_reader_finds_the_same_request(
            members in proptest::collection::vec((0..8_usize, 0..11_usize, 0..3_usize), 0..5),
            cut in 0..30_usize,
        ) {
            let names = ["type", "type", "id", "payload", "Type", "query", "pay\\u006coad", "ID"];
            let values = [
                "\"subscribe\"", "\"subscribe\"", "\"ping\"", "\"1\"", "{}", "{\"query\":\"{ a }\"}", "{\"a\":{}}", "[]", "null", "1",
                "\"s\\u0075bscribe\"",
            ];
            let spaces = ["", " ", "\n\t"];
            let members = members.iter().map(|(name, value, space)| {
                let (name, value, space) = (names[*name], values[*value], spaces[*space]);
                format!("{space}\"{name}\"{space}:{space}{value}{space}")
            });
            let mut text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
            if cut < 3 {
                text.truncate(text.len() - cut);
            }
            let mut socket = Socket { begun: true };
            if let Heard::Request { name, body } = socket.hear(&Bytes::from(text.clone())) {
                let whole: serde_json::Value = serde_json::from_str(&text).expect("it is JSON to another reader");
                let payload: serde_json::Value = serde_json::from_slice(&body).expect("and so is its payload");
                let same = serde_json::json!({ "type": "subscribe", "id": name, "payload": payload });
                prop_assert_eq!(whole, same);
            }
        }
    }

    #[test]
    fn hostile_messages_are_read_soon() {
        let begun = std::time::Instant::now();
        let mib = 1 << 20;
        for text in [
            format!("{{\"type\":\"ping\",\"payload\":{}", "[".repeat(mib)),
            format!("{{\"type\":\"ping\",\"payload\":{{\"a\":\"{}\"}}}}", "\\u0000".repeat(mib / 6)),
            format!("{{\"id\":\"{}\",\"type\":\"complete\"}}", "a".repeat(mib)),
            format!("{{\"type\":\"ping\"{}", " ".repeat(mib)),
            format!("{{{}", "\"type\":\"a\",".repeat(mib / 11)),
            format!("{{\"type\":\"ping\",\"payload\":[{}0]}}", "0,".repeat(mib / 2)),
        ] {
            let _ = said(&[INIT, &text]);
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
