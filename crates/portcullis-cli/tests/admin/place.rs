//! A gateway with an admin listener, a backend behind it, and a client that sends bytes as they are.

use crate::support::{Process, canaries, portcullis};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const KEY: &str = "X-Api-Key: alice-key-0123456789\r\n";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}\n{}", self.head, self.body))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sends these bytes; the answer has the status 0 where the connection was closed without one.
pub(crate) fn ask(port: u16, request: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    // A server that has refused may close before it has read everything.
    let _closed = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
        if is_whole(&bytes) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Answer { status: 0, head: text, body: String::new() };
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server that answers 200 to whatever it gets.
pub(crate) fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut bytes = [0; 4096];
                while stream.read(&mut bytes).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    port
}

/// A running gateway.
pub(crate) struct Place {
    pub(crate) folder: Folder,
    pub(crate) gateway: u16,
    pub(crate) admin: u16,
    /// The token that the gateway has made.
    pub(crate) operator: String,
    pub(crate) process: Process,
}

/// What can only read.
pub(crate) const READER: &str = "reader-token-0123456789-0123456789-abcdef";

impl Place {
    pub(crate) fn start(name: &str, more: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("portcullis-admin-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let (gateway, admin, backend) = (free_port(), free_port(), backend());
        let text = format!(
            "listeners: [{{ bind: \"127.0.0.1:{gateway}\" }}]
workers: 2
access_log: {{ file: access.log }}
audit_log: {{ file: audit.log }}
state_dir: state
admin: {{ bind: \"127.0.0.1:{admin}\" }}
{more}security:
  authentication: {{ type: api_key }}
  rate_limiting: {{ max_requests: 1000, per: minute }}
consumers:
  - name: alice
    roles: [user]
    keys: [{{ literal: alice-key-0123456789 }}]
  - name: \"<img/src=x/onerror=alert(1)>\"
    roles: [\"<b>role</b>\"]
    keys: [{{ literal: other-key-0123456789 }}]
routes:
  - path: /orders/{{id}}
    upstream: http://127.0.0.1:{backend}
"
        );
        canaries::of_document(&text);
        canaries::secret(READER);
        std::fs::write(folder.join("gateway.yaml"), text).unwrap();
        Place::run(Folder(folder), gateway, admin)
    }

    fn run(folder: Folder, gateway: u16, admin: u16) -> Place {
        let process =
            Process::start(portcullis().arg("run").arg(folder.join("gateway.yaml")), "its token is in");
        let token = std::fs::read_to_string(folder.join("state/admin.token")).unwrap();
        canaries::secret(&token);
        Place { folder, gateway, admin, operator: token.trim().to_owned(), process }
    }

    /// The same with two tokens of its own.
    pub(crate) fn with_roles(name: &str) -> Place {
        let place = Place::start(name, "");
        let made = place.folder.join("state/admin.token");
        std::fs::write(place.folder.join("reader.token"), READER).unwrap();
        let admin = place.admin;
        place.rewrite(|text| {
            text.replace(
                &format!("admin: {{ bind: \"127.0.0.1:{admin}\" }}"),
                &format!(
                    "admin:\n  bind: \"127.0.0.1:{admin}\"\n  tokens:\n    - {{ file: \"{}\", role: operator }}\n    - {{ file: reader.token }}",
                    made.display()
                ),
            )
        });
        assert_eq!(place.post("/api/v1/reload", &serde_json::json!({})).status, 200);
        place
    }

    /// Ends it; its folder stays.
    pub(crate) fn stop(self) -> Folder {
        self.process.stop();
        self.folder
    }

    pub(crate) fn restart(self) -> Place {
        let Place { folder, gateway, admin, process, .. } = self;
        process.stop();
        Place::run(folder, gateway, admin)
    }

    pub(crate) fn rewrite(&self, change: impl FnOnce(&str) -> String) {
        let file = self.folder.join("gateway.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, change(&text)).unwrap();
    }

    pub(crate) fn get(&self, target: &str, fields: &str) -> Answer {
        let host = format!("127.0.0.1:{}", self.admin);
        ask(self.admin, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.operator)
    }

    pub(crate) fn text(&self, target: &str) -> String {
        let answer = self.get(target, &self.bearer());
        assert_eq!(answer.status, 200, "{target}: {}\n{}", answer.head, answer.body);
        answer.body
    }

    pub(crate) fn json(&self, target: &str) -> Value {
        serde_json::from_str(&self.text(target)).unwrap()
    }

    pub(crate) fn send(&self, method: &str, target: &str, body: &str) -> Answer {
        let (host, bearer) = (format!("127.0.0.1:{}", self.admin), self.bearer());
        let length = body.len();
        ask(
            self.admin,
            &format!(
                "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{bearer}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        )
    }

    pub(crate) fn post(&self, target: &str, body: &Value) -> Answer {
        self.send("POST", target, &body.to_string())
    }

    pub(crate) fn delete(&self, target: &str) -> Answer {
        self.send("DELETE", target, "")
    }

    /// The audit log, once everything so far stands in it.
    pub(crate) fn audit(&self) -> String {
        std::thread::sleep(Duration::from_millis(500));
        std::fs::read_to_string(self.folder.join("audit.log")).unwrap()
    }

    /// What it printed and logged.
    pub(crate) fn said(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("access.log")).unwrap();
        format!("{}{log}", self.process.said)
    }

    /// The cookie of a session of this token, and the field that its forms carry.
    pub(crate) fn session(&self, token: &str) -> (String, String) {
        let host = format!("127.0.0.1:{}", self.admin);
        let body = format!("token={token}");
        let opened = ask(
            self.admin,
            &format!(
                "POST /login HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        );
        assert_eq!(opened.status, 303, "{}", opened.body);
        let set = opened.field("set-cookie").unwrap();
        assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
        let cookie = set.split(';').next().unwrap().to_owned();
        let page = self.get("/sources", &format!("Cookie: {cookie}\r\n"));
        assert_eq!(page.status, 200);
        let csrf = page.body.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        (cookie, csrf.to_owned())
    }
}

/// A folder that is removed at the end.
pub(crate) struct Folder(PathBuf);

impl std::ops::Deref for Folder {
    type Target = PathBuf;

    fn deref(&self) -> &PathBuf {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for log in ["access.log", "audit.log"] {
            if let Ok(text) = std::fs::read(self.0.join(log)) {
                canaries::output("logs", &text);
            }
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
