//! The Core Rule Set's own regression tests, run in this process.
//!
//! What a web server would do before the rules is done here: the request's head is checked, a length is added where
//! the test format adds it, and the backend of the tests (`/reflect` answers what it is told) is imitated.

use super::yaml;
use portcullis_waf::{Loader, Plan, Report, Request, Response, Settings, Transaction};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// The settings that the tests are written for: paranoia 4 and small limits.
pub(crate) const TEST_SETUP: &str = r#"SecAction "id:900005,phase:1,nolog,pass,\
setvar:tx.crs_setup_version=4250,setvar:tx.blocking_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1,\
setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,\
setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535""#;
const DEFAULTS: &str =
    "SecDefaultAction \"phase:1,log,auditlog,pass\"\nSecDefaultAction \"phase:2,log,auditlog,pass\"\n";

/// The plan of the tests.
pub(crate) fn plan(directory: &Path) -> Plan {
    let loader = Loader::new()
        .text("setup", format!("{DEFAULTS}{TEST_SETUP}\n").as_bytes())
        .path(&directory.join("rules"));
    match Plan::new(loader, &Settings::default()) {
        Ok(plan) => plan,
        Err(errors) => panic!("{errors}"),
    }
}

/// One stage of one test.
pub(crate) struct Stage {
    pub(crate) key: String,
    pub(crate) rule_id: u64,
    pub(crate) input: Value,
    pub(crate) output: Value,
}

/// All stages below a folder.
pub(crate) fn stages(directory: &Path) -> Vec<Stage> {
    let mut files = Vec::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut stages = Vec::new();
    for file in files {
        for document in yaml::documents(&std::fs::read_to_string(&file).unwrap()) {
            let rule_id = document["rule_id"].as_u64().unwrap();
            for (place, test) in document["tests"].as_array().unwrap().iter().enumerate() {
                let test_id = test["test_id"].as_u64().unwrap_or(place as u64 + 1);
                for (number, stage) in test["stages"].as_array().unwrap().iter().enumerate() {
                    let end = if number == 0 { String::new() } else { format!("/{}", number + 1) };
                    stages.push(Stage {
                        key: format!("{rule_id}-{test_id}{end}"),
                        rule_id,
                        input: stage["input"].clone(),
                        output: stage["output"].clone(),
                    });
                }
            }
        }
    }
    stages
}

/// A request as bytes would make it.
#[derive(Default, Debug)]
pub(crate) struct Message {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) protocol: Vec<u8>,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    malformed: bool,
}

impl Message {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    /// The request of a stage.
    pub(crate) fn of(input: &Value) -> Self {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        if let Some(encoded) = input["encoded_request"].as_str() {
            let encoded: String = encoded.replace("\\n", "").split_whitespace().collect();
            let raw = portcullis_waf::transform::Transformation::Base64Decode.apply(encoded.as_bytes());
            let mut message = Self::parse(&raw.unwrap());
            message.frame();
            return message;
        }
        let mut message = Self {
            method: input["method"].as_str().unwrap_or("GET").into(),
            target: input["uri"].as_str().unwrap_or("/").into(),
            protocol: input["version"].as_str().unwrap_or("HTTP/1.1").into(),
            headers: Vec::new(),
            body: text(&input["data"]).into_bytes(),
            malformed: false,
        };
        for (name, value) in input["headers"].as_object().into_iter().flatten() {
            message.headers.push((name.clone().into_bytes(), text(value).into_bytes()));
        }
        if message.protocol.is_empty() {
            // A request line without a version.
            message.protocol = b"HTTP/0.9".to_vec();
        } else if message.protocol == b"HTTP/0.9" {
            message.malformed = true;
        }
        if input["autocomplete_headers"] != Value::Bool(false) {
            if !message.body.is_empty() {
                if message.header("content-type").is_none() {
                    let value = b"application/x-www-form-urlencoded".to_vec();
                    message.headers.push((b"Content-Type".to_vec(), value));
                }
                if message.header("content-length").is_none() && message.header("transfer-encoding").is_none()
                {
                    let length = message.body.len().to_string().into_bytes();
                    message.headers.push((b"Content-Length".to_vec(), length));
                }
            }
            let has_body = matches!(message.method.as_slice(), b"POST" | b"PUT" | b"PATCH");
            if has_body && message.header("content-length").is_none() && message.body.is_empty() {
                message.headers.push((b"Content-Length".to_vec(), b"0".to_vec()));
            }
            if message.header("connection").is_none() {
                message.headers.push((b"Connection".to_vec(), b"close".to_vec()));
            }
        }
        message.frame();
        message
    }

    /// Reads the body as a server does: by its chunks, by its length, or not at all.
    fn frame(&mut self) {
        if self.header("transfer-encoding").is_some() {
            self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
            let mut body = Vec::new();
            let mut rest = self.body.as_slice();
            while let Some(end) = rest.windows(2).position(|end| end == b"\r\n") {
                let size = std::str::from_utf8(&rest[..end]).unwrap_or("").trim();
                let Ok(size @ 1..) = usize::from_str_radix(size, 16) else { break };
                rest = &rest[end + 2..];
                let (chunk, after) = rest.split_at(size.min(rest.len()));
                body.extend(chunk);
                rest = after.strip_prefix(b"\r\n").unwrap_or(after);
            }
            self.body = body;
        } else if self.header("content-length").is_none() {
            self.body.clear();
        }
    }

    fn parse(raw: &[u8]) -> Self {
        let text = raw.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(raw.len());
        let mut lines = raw[..text].split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
        let mut first = lines.next().unwrap().splitn(3, |byte| *byte == b' ').map(<[u8]>::to_vec);
        let mut next = || first.next().unwrap_or_default();
        let (method, target, protocol) = (next(), next(), next());
        let headers = lines
            .filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                Some((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
            })
            .collect();
        let body = raw.get(text + 4..).unwrap_or_default().to_vec();
        Self { method, target, protocol, headers, body, malformed: false }
    }

    /// The request as it is sent over a connection, which ends after it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [self.method.as_slice(), b" ", &self.target, b" ", &self.protocol, b"\r\n"].concat();
        let is = |name: &[u8], known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let chunked = self.header("transfer-encoding").is_some();
        for (name, value) in self.headers.iter().filter(|(name, _)| !is(name, "connection")) {
            bytes.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"Connection: close\r\n\r\n");
        if chunked {
            if !self.body.is_empty() {
                bytes.extend(format!("{:x}\r\n", self.body.len()).into_bytes());
                bytes.extend(&self.body);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }

    /// Whether a strict server would answer 400 before any rule runs.
    pub(crate) fn is_malformed(&self) -> bool {
        let token = |text: &[u8]| {
            !text.is_empty()
                && text.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
        };
        let target = &self.target;
        let authority = self.method == b"CONNECT" && target.contains(&b':');
        let path = target.starts_with(b"/") || target.windows(3).any(|part| part == b"://");
        let target_is_good = (path || authority || target == b"*")
            && !target.iter().any(|byte| *byte <= b' ' || matches!(byte, b'#' | 0x7f));
        let value_is_bad = |value: &[u8]| value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'));
        let lengths: Vec<&Vec<u8>> = self
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"content-length"))
            .map(|(_, value)| value)
            .collect();
        let hosts = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"host")).count();
        let host = self.header("host").unwrap_or_default();
        let host_is_bad = host.contains(&b'%') || (host.is_empty() && self.protocol == b"HTTP/1.1");
        self.malformed
            || host_is_bad
            || !token(&self.method)
            || !target_is_good
            || !(self.protocol == b"HTTP/0.9"
                || matches!(
                    self.protocol.as_slice(),
                    [b'H', b'T', b'T', b'P', b'/', b'1'..=b'9', b'.', b'0'..=b'9']
                ))
            || self.headers.iter().any(|(name, value)| !token(name) || value_is_bad(value))
            || lengths.iter().any(|value| value.is_empty() || !value.iter().all(u8::is_ascii_digit))
            || (hosts != 1 && self.protocol == b"HTTP/1.1")
    }
}

/// Runs a request and the answer of the tests' backend through the rules.
pub(crate) fn run(plan: &Plan, message: &Message) -> Report {
    let headers: Vec<(&[u8], &[u8])> =
        message.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let request = Request {
        method: &message.method,
        target: &message.target,
        protocol: &message.protocol,
        headers: &headers,
        client: (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 50_000),
        server: (here, 80),
        unique_id: b"0123456789abcdef",
    };
    let reflected: Value = if message.target.starts_with(b"/reflect") {
        serde_json::from_slice(&message.body).unwrap_or_default()
    } else {
        Value::Null
    };
    let encoded = reflected["encodedBody"].as_str().map(|text| {
        portcullis_waf::transform::Transformation::Base64Decode.apply(text.as_bytes()).unwrap_or_default()
    });
    let body = encoded.unwrap_or_else(|| reflected["body"].as_str().unwrap_or("").as_bytes().to_vec());
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (name, value) in reflected["headers"].as_object().into_iter().flatten() {
        fields.push((name.clone().into_bytes(), value.as_str().unwrap_or("").as_bytes().to_vec()));
    }
    let fields: Vec<(&[u8], &[u8])> = fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
    let status = reflected["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    let mut transaction = Transaction::new(plan, request).observe();
    transaction.request_headers();
    transaction.request_body(&message.body);
    transaction.response_headers(Response { status, protocol: b"HTTP/1.1", headers: &fields });
    transaction.response_body(&body);
    transaction.finish()
}

/// What is wrong with a stage's result, if anything.
pub(crate) fn judge(plan: &Plan, stage: &Stage) -> Option<String> {
    let message = Message::of(&stage.input);
    let refused = message.is_malformed();
    let report = run(plan, &message);
    // A server that answers 400 by itself logs no rule.
    let ids: Vec<u64> = report.ids().filter(|_| !refused).collect();
    if let Some(status) = stage.output["status"].as_u64() {
        let answered = if refused { 400 } else { 200 };
        if status != answered {
            return Some(format!("the status is {answered}, not {status}"));
        }
    }
    let log = &stage.output["log"];
    for id in log["expect_ids"].as_array().into_iter().flatten() {
        if !ids.contains(&id.as_u64().unwrap()) {
            return Some(format!("{id} is missing among {ids:?}"));
        }
    }
    for id in log["no_expect_ids"].as_array().into_iter().flatten() {
        if ids.contains(&id.as_u64().unwrap()) {
            return Some(format!("{id} is among {ids:?}"));
        }
    }
    let lines: String = report
        .matches
        .iter()
        .map(|found| {
            let targets: Vec<String> = found
                .targets
                .iter()
                .map(|target| format!("found within {}:{}", target.variable.name(), target.name))
                .collect();
            format!(
                "[id \"{}\"] [msg \"{}\"] {}\n",
                found.id,
                plan.rules()[found.rule].message,
                targets.join(" ")
            )
        })
        .collect();
    let matches = |pattern: &str| regex::Regex::new(pattern).unwrap().is_match(&lines);
    if let Some(pattern) = log["match_regex"].as_str()
        && !matches(pattern)
    {
        return Some(format!("the log does not match {pattern}: {ids:?}"));
    }
    if let Some(pattern) = log["no_match_regex"].as_str()
        && matches(pattern)
    {
        return Some(format!("the log matches {pattern}: {ids:?}"));
    }
    None
}
