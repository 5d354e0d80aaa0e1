//! A first configuration, from little: an upstream and paths, a line of curl, or an OpenAPI document.
//!
//! What is written needs a key for everything, limits each consumer, bounds bodies, and serves nothing but what was named. It
//! passes `check --deny warnings`; where something that was asked for does not, the file says so, with a day on which it ends.

use crate::import::flow;
use portcullis_checks::inspect::openapi::read_document;
use serde_json::{Value, json};
use std::fmt::Write;

/// The methods of OpenAPI that are served.
const METHODS: [&str; 7] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH"];
/// How long a key and an accepted finding last.
const KEY_DAYS: i64 = 365;
const FINDING_DAYS: i64 = 90;

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where requests go.
    pub upstream: Option<String>,
    /// The header with the key.
    pub header: String,
    listen: String,
    openapi: Option<String>,
    routes: Vec<(String, Vec<String>)>,
}

impl Plan {
    /// A plan without a route, that listens here.
    pub fn new(listen: &str) -> Plan {
        let header = "x-api-key".to_owned();
        Plan { upstream: None, header, listen: listen.to_owned(), openapi: None, routes: Vec::new() }
    }

    /// Serves this path with this method.
    pub fn add(&mut self, path: &str, method: &str) {
        let methods = match self.routes.iter_mut().find(|(there, _)| there == path) {
            Some((_, methods)) => methods,
            None => {
                self.routes.push((path.to_owned(), Vec::new()));
                match self.routes.last_mut() {
                    Some((_, methods)) => methods,
                    None => return,
                }
            }
        };
        if !methods.iter().any(|there| there == method) {
            methods.push(method.to_owned());
        }
    }

    /// Whether it serves nothing.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// A path to try.
    pub fn example(&self) -> String {
        let path = self.routes.first().map_or("/", |(path, _)| path.as_str());
        path.split('/')
            .map(|segment| if segment.starts_with('{') { "1" } else { segment })
            .collect::<Vec<_>>()
            .join("/")
    }

    /// The file. `hash` is that of the first consumer's key.
    pub fn written(&self, hash: &str) -> String {
        let upstream = self.upstream.as_deref().unwrap_or("http://127.0.0.1:8080");
        let text = |value: &str| flow(&json!(value));
        let mut yaml = format!(
            "# Written by `portcullis init`. `portcullis check` says what is wrong or weak in it, `portcullis schema --markdown` is the reference.\n\
             listeners:\n  - bind: {}                       # this machine alone; another address needs `tls`\n\n\
             # Holds for every route, unless the route says otherwise.\n\
             security:\n  authentication: {{ type: api_key, header: {} }}\n  authorization: {{ roles_allowed: [user] }}\n  \
             rate_limiting: {{ max_requests: 100, per: minute, by: consumer }}\n  body: {{ max_size: 256KiB }}\n",
            text(&self.listen),
            text(&self.header),
        );
        if let Some(file) = &self.openapi {
            let _ = write!(yaml, "\n# What it does not declare is rejected.\nopenapi: {}\n", text(file));
        }
        let _ = write!(
            yaml,
            "\n# Who may use it. `portcullis hash-key` makes the hash of another key.\n\
             consumers:\n  - name: first\n    roles: [user]\n    keys: [{{ hash: \"{hash}\", expires: \"{}T00:00:00Z\" }}]\n",
            day_in(KEY_DAYS)
        );
        let writes = |methods: &[String]| {
            methods.iter().any(|method| ["POST", "PUT", "PATCH"].contains(&method.as_str()))
        };
        let mut accepted = Vec::new();
        if is_plain_to_another_host(upstream) {
            accepted.push(("plaintext_upstream", "the upstream is reached in plain text; move it to https"));
        }
        if self.openapi.is_none() && self.routes.iter().any(|(_, methods)| writes(methods)) {
            accepted.push(("no_schema", "there is no schema yet; add `openapi` or `security.validation`"));
        }
        if !accepted.is_empty() {
            yaml.push_str(
                "\n# Open, and known. `check` reports them again after that day.\naccepted_findings:\n",
            );
            for (finding, reason) in accepted {
                let entry = json!({ "finding": finding, "reason": reason, "until": day_in(FINDING_DAYS) });
                let _ = writeln!(yaml, "  - {}", flow(&entry));
            }
        }
        yaml.push_str("\n# Whatever is not listed is 404, and another method 405.\nroutes:\n");
        for (path, methods) in &self.routes {
            let route = json!({ "path": path, "methods": methods, "upstream": upstream });
            let _ = writeln!(yaml, "  - {}", flow(&route));
        }
        yaml.push_str("\n# What must stay true. `portcullis test` tries these and many more; a reload that breaks one is not taken.\ntests:\n");
        for test in self.tests() {
            let _ = writeln!(yaml, "  - {}", flow(&test));
        }
        yaml
    }

    /// What the first route lets through, what it rejects, and what is not there.
    fn tests(&self) -> Vec<Value> {
        let method = self.routes.first().and_then(|(_, methods)| methods.first());
        let method = method.map_or("GET", String::as_str);
        let request = format!("{method} {}", self.example());
        let mut tests = Vec::new();
        // What else an OpenAPI document asks of a request, it alone knows.
        if self.openapi.is_none() {
            tests.push(json!({ "request": request, "as": "first", "expect": "pass" }));
        }
        let denied = json!({ "status": 401, "code": "credential_missing" });
        tests.push(json!({ "request": request, "expect": denied }));
        if !self.routes.iter().any(|(path, _)| path.contains("{*")) {
            tests.push(
                json!({ "request": "GET /this-is-no-route", "as": "first", "expect": { "status": 404 } }),
            );
        }
        tests
    }
}

/// A day from now on, in UTC, in the form `2027-01-31`.
fn day_in(days: i64) -> String {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    today.checked_add(jiff::Span::new().days(days)).unwrap_or(today).to_string()
}

fn is_plain_to_another_host(upstream: &str) -> bool {
    let Some(rest) = upstream.strip_prefix("http://") else { return false };
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    !(host == "localhost" || host.starts_with("127.") || rest.starts_with("[::1]"))
}

/// Takes upstream, path, method and the header with the key from a line of curl.
///
/// # Errors
/// It is none, or asks for something that is not served from a key.
pub fn from_curl(plan: &mut Plan, line: &str) -> Result<(), String> {
    let words = words(line)?;
    let mut words = words.iter().map(String::as_str);
    if words.next() != Some("curl") {
        return Err("this is no line of curl".to_owned());
    }
    let (mut method, mut url, mut has_body) = (None, None, false);
    while let Some(word) = words.next() {
        let value = |words: &mut dyn Iterator<Item = &str>| {
            words.next().map(str::to_owned).ok_or(format!("`{word}` has no value"))
        };
        match word {
            "-X" | "--request" => method = Some(value(&mut words)?),
            "-H" | "--header" => {
                let header = value(&mut words)?;
                let name = header.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
                if name.contains("key") {
                    plan.header = name;
                }
            }
            "-d" | "--data" | "--data-raw" | "--data-binary" | "--json" | "-F" | "--form" => {
                value(&mut words)?;
                has_body = true;
            }
            "-o" | "--output" | "-u" | "--user" | "-b" | "--cookie" | "-A" | "--user-agent" | "-e"
            | "--referer" | "-m" | "--max-time" | "--cacert" | "--cert" | "--key" => drop(value(&mut words)?),
            "--url" => url = Some(value(&mut words)?),
            _ if word.starts_with('-') => {}
            _ => url = Some(word.to_owned()),
        }
    }
    let url = url.ok_or("the line has no URL")?;
    let url = if url.contains("://") { url } else { format!("http://{url}") };
    let after = url.find("://").map_or(0, |at| at + 3);
    let path_at =
        url.get(after..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(url.len(), |at| at + after);
    let (origin, rest) = url.split_at(path_at);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    plan.upstream = Some(origin.to_owned());
    let method = method.unwrap_or_else(|| if has_body { "POST" } else { "GET" }.to_owned());
    plan.add(if path.is_empty() { "/" } else { path }, &method.to_ascii_uppercase());
    Ok(())
}

/// The words of a shell line, with single and double quotes, backslashes and continued lines.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    let mut characters = line.trim().chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some('"') | None, '\\') => match characters.next() {
                Some('\n') => {}
                Some(next) => {
                    word.push(next);
                    begun = true;
                }
                None => return Err("the line ends with a backslash".to_owned()),
            },
            (None, '\'' | '"') => {
                quote = Some(character);
                begun = true;
            }
            (None, _) if character.is_whitespace() => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            (_, _) => {
                word.push(character);
                begun = true;
            }
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    if begun {
        words.push(word);
    }
    Ok(words)
}

/// Serves the operations of an OpenAPI document, which is called `file` in the configuration.
///
/// # Errors
/// It is none, or has no operation.
pub fn from_openapi(plan: &mut Plan, file: &str, text: &[u8]) -> Result<(), String> {
    let document = read_document(file, text)?;
    let paths = document.get("paths").and_then(Value::as_object).ok_or("the document has no `paths`")?;
    let server = document.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default();
    let (origin, base) = match server.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('/') {
            Some((host, base)) => (Some(format!("{scheme}://{host}")), format!("/{base}")),
            None => (Some(server.to_owned()), String::new()),
        },
        None => (None, server.to_owned()),
    };
    let base = base.trim_end_matches('/');
    if let Some(origin) = origin.filter(|origin| !origin.contains('{')) {
        plan.upstream = Some(origin);
    }
    for (path, item) in paths {
        for method in METHODS {
            if item.get(method.to_ascii_lowercase()).is_some() {
                plan.add(&format!("{base}{path}"), method);
            }
        }
    }
    let schemes = document.pointer("/components/securitySchemes").and_then(Value::as_object);
    let key = schemes.into_iter().flatten().find_map(|(_, scheme)| {
        let kind = |key: &str| scheme.get(key).and_then(Value::as_str);
        (kind("type") == Some("apiKey") && kind("in") == Some("header")).then(|| kind("name")).flatten()
    });
    if let Some(name) = key {
        plan.header = name.to_ascii_lowercase();
    }
    plan.openapi = Some(file.to_owned());
    if plan.is_empty() { Err("the document has no operation".to_owned()) } else { Ok(()) }
}
