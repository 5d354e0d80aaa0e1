//! The recorded requests, as the files have them.

use base64ct::{Base64, Encoding};
use serde_json::Value;
use std::path::PathBuf;

/// The folder with the recordings and the configuration.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/recorded")
}

/// What a client sent.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The file that it is from, such as `curl`.
    pub file: String,
    /// The client and its version.
    pub client: String,
    pub head: Head,
    /// The body as it stood on the wire: chunks with their lines.
    pub body: Vec<u8>,
}

/// A head by the version of HTTP.
#[derive(Clone, Debug)]
pub enum Head {
    /// Lines of HTTP/1, which may hold bytes that are no ASCII, as Latin-1.
    Lines(Vec<String>),
    /// Fields of HTTP/2 and its trailers.
    Fields(Vec<(String, String)>, Vec<(String, String)>),
}

impl Recorded {
    /// The method and the target.
    pub fn line(&self) -> String {
        match &self.head {
            Head::Lines(lines) => lines[0].clone(),
            Head::Fields(fields, _) => {
                let named =
                    |name| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
                format!("{} {}", named(":method").unwrap(), named(":path").unwrap())
            }
        }
    }

    /// The path, also of a target with a host.
    pub fn path(&self) -> String {
        let line = self.line();
        let target = line.split(' ').nth(1).unwrap();
        match target.strip_prefix("http://") {
            Some(rest) => rest[rest.find('/').unwrap()..].to_owned(),
            None => target.to_owned(),
        }
    }

    /// The status of a request that passes: the backend's, or that of a preflight, an upgrade or a challenge.
    pub fn expected(&self) -> u16 {
        let has = |start: &str| match &self.head {
            Head::Lines(lines) => lines.iter().any(|line| line.to_ascii_lowercase().starts_with(start)),
            Head::Fields(fields, _) => fields.iter().any(|(name, _)| format!("{name}:").starts_with(start)),
        };
        if has("upgrade: websocket") {
            101
        } else if self.path().starts_with("/cross/") && has("access-control-request-method:") {
            204
        } else if self.path().starts_with("/basic/challenge") && !has("authorization:") {
            // A browser waits to be asked.
            401
        } else {
            200
        }
    }

    /// The bytes of a request of HTTP/1.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let Head::Lines(lines) = &self.head else { return None };
        let text = lines.join("\r\n") + "\r\n\r\n";
        let mut bytes: Vec<u8> =
            text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
        bytes.extend_from_slice(&self.body);
        Some(bytes)
    }
}

/// All of them.
pub fn recorded() -> Vec<Recorded> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder().join("requests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(of_file).collect()
}

fn of_file(path: &PathBuf) -> Vec<Recorded> {
    let text = std::fs::read_to_string(path).unwrap();
    let file: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let client = file["client"].as_str().unwrap();
    let name = path.file_stem().unwrap().to_str().unwrap();
    file["requests"].as_array().unwrap().iter().map(|request| of_value(request, name, client)).collect()
}

fn of_value(request: &Value, file: &str, client: &str) -> Recorded {
    let pairs = |list: &Value| -> Vec<(String, String)> {
        let pair =
            |pair: &Value| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned());
        list.as_array().map(|list| list.iter().map(pair).collect()).unwrap_or_default()
    };
    let head = match request["head"].as_array() {
        Some(lines) => Head::Lines(lines.iter().map(|line| line.as_str().unwrap().to_owned()).collect()),
        None => Head::Fields(pairs(&request["fields"]), pairs(&request["trailers"])),
    };
    let body = match (request["body"].as_str(), request["body_base64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(encoded)) => Base64::decode_vec(encoded).unwrap(),
        (None, None) => Vec::new(),
    };
    Recorded { file: file.to_owned(), client: client.to_owned(), head, body }
}
