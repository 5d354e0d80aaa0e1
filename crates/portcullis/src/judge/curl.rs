//! A request in the words of a `curl` command.
//!
//! The command is split as a POSIX shell does it, without expanding anything, and read as `curl` reads it: `-d` makes a POST,
//! `-G` puts the data into the query, `--json` sets two headers, and so on. An option that says nothing about the request is
//! skipped; one that is not known is an error, since it could change what is sent.

mod multipart;
mod words;

use super::request::Request;
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http::Uri;
use std::path::Path;
pub use words::split;

/// A `curl` command that was read.
#[derive(Clone, Debug)]
pub struct Command {
    /// What it sends.
    pub request: Request,
    /// What it says beside the request and that has no effect here, such as `-k`.
    pub ignored: Vec<String>,
}

/// Options without a value that say nothing about what is sent.
const SILENT: &[&str] = &[
    "-k",
    "--insecure",
    "-s",
    "--silent",
    "-S",
    "--show-error",
    "-v",
    "--verbose",
    "-i",
    "--include",
    "-L",
    "--location",
    "-f",
    "--fail",
    "--fail-with-body",
    "-#",
    "--progress-bar",
    "-N",
    "--no-buffer",
    "-g",
    "--globoff",
    "--http1.1",
    "--http2",
    "--http2-prior-knowledge",
    "--path-as-is",
    "-4",
    "--ipv4",
    "-6",
    "--ipv6",
    "--tcp-nodelay",
    "--no-keepalive",
    "-O",
    "--remote-name",
];

/// Options with a value that say nothing about what is sent.
const SILENT_WITH_VALUE: &[&str] = &[
    "-o",
    "--output",
    "-w",
    "--write-out",
    "--connect-timeout",
    "-m",
    "--max-time",
    "--retry",
    "--cacert",
    "--capath",
    "--resolve",
    "--connect-to",
    "--interface",
    "-c",
    "--cookie-jar",
    "-D",
    "--dump-header",
    "--limit-rate",
    "--max-redirs",
    "--retry-delay",
    "-x",
    "--proxy",
    "--key",
    "--cert",
    "-E",
    "--unix-socket",
];

/// The short forms of options that have a value, so that `-XPOST` and `-sXPOST` are read.
const SHORT_WITH_VALUE: &str = "XHdFubAeowmcDxE";

#[derive(Default)]
struct Reading {
    method: Option<String>,
    headers: Vec<String>,
    data: Vec<Vec<u8>>,
    parts: Vec<String>,
    user: Option<String>,
    cookies: Vec<String>,
    agent: Option<String>,
    referer: Option<String>,
    urls: Vec<String>,
    get: bool,
    head: bool,
    json: bool,
    compressed: bool,
    urlencoded: bool,
    ignored: Vec<String>,
}

/// The request of a `curl` command, such as `curl -H 'x-api-key: k' https://api.example.com/orders`.
///
/// # Errors
/// What cannot be understood, in words for whoever wrote it.
pub fn parse(command: &str) -> Result<Command, String> {
    let words = split(command)?;
    let words = match words.split_first() {
        Some((first, rest)) if first == "curl" || first.ends_with("/curl") => rest.to_vec(),
        _ => words,
    };
    let mut reading = Reading::default();
    let mut words = words.into_iter();
    let mut only_urls = false;
    while let Some(word) = words.next() {
        if only_urls || !word.starts_with('-') || word == "-" {
            reading.urls.push(word);
        } else if word == "--" {
            only_urls = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (format!("--{name}"), Some(value.to_owned())),
                None => (word.clone(), None),
            };
            reading.option(&name, || value.clone().or_else(|| words.next()))?;
        } else {
            reading.short(&word, &mut words)?;
        }
    }
    reading.command()
}

impl Reading {
    /// Several short options in one word; the last may have its value in the same word.
    fn short(&mut self, word: &str, words: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let mut rest = word.trim_start_matches('-');
        while let Some(letter) = rest.chars().next() {
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            let name = format!("-{letter}");
            if SHORT_WITH_VALUE.contains(letter) {
                let own = (!rest.is_empty()).then(|| rest.to_owned());
                return self.option(&name, || own.clone().or_else(|| words.next()));
            }
            self.option(&name, || None)?;
        }
        Ok(())
    }

    fn option(&mut self, name: &str, value: impl FnOnce() -> Option<String>) -> Result<(), String> {
        if SILENT.contains(&name) {
            self.ignored.push(name.to_owned());
            return Ok(());
        }
        let value = || value().ok_or_else(|| format!("`{name}` needs a value"));
        if SILENT_WITH_VALUE.contains(&name) {
            value()?;
            self.ignored.push(name.to_owned());
            return Ok(());
        }
        match name {
            "-G" | "--get" => self.get = true,
            "-I" | "--head" => self.head = true,
            "--compressed" => self.compressed = true,
            "-X" | "--request" => self.method = Some(value()?),
            "-H" | "--header" => self.headers.push(value()?),
            "-d" | "--data" | "--data-ascii" => self.add(data(&value()?, true)?),
            "--data-binary" => self.add(data(&value()?, false)?),
            "--data-raw" => self.add(value()?.into_bytes()),
            "--data-urlencode" => self.add(urlencoded(&value()?)?),
            "--json" => {
                self.json = true;
                // Several are one text (`man curl`).
                let more = data(&value()?, false)?;
                match self.data.last_mut() {
                    Some(last) => last.extend(more),
                    None => self.data.push(more),
                }
            }
            "-F" | "--form" | "--form-string" => self.parts.push(value()?),
            "-u" | "--user" => self.user = Some(value()?),
            "--oauth2-bearer" => self.headers.push(format!("Authorization: Bearer {}", value()?)),
            "-b" | "--cookie" => self.cookies.push(value()?),
            "-A" | "--user-agent" => self.agent = Some(value()?),
            "-e" | "--referer" => self.referer = Some(value()?),
            "--url" => self.urls.push(value()?),
            other => return Err(format!("`{other}` is not an option of curl that is known here")),
        }
        Ok(())
    }

    fn add(&mut self, data: Vec<u8>) {
        self.urlencoded = true;
        self.data.push(data);
    }

    fn command(self) -> Result<Command, String> {
        let url = match self.urls.as_slice() {
            [] => return Err("there is no URL".to_owned()),
            [url] => url.clone(),
            [_, second, ..] => return Err(format!("there are several URLs, such as `{second}`; write one")),
        };
        if !self.parts.is_empty() && !self.data.is_empty() {
            return Err("a request has one body: `-F` and `-d` do not go together".to_owned());
        }
        let Url { tls, host, mut target, user } = Url::of(&url)?;
        let joined = self.data.join(&b"&"[..]);
        let mut body = if self.json { self.data.concat() } else { joined };
        let mut content_type = match (self.json, self.urlencoded) {
            (true, _) => Some("application/json".to_owned()),
            (false, true) => Some("application/x-www-form-urlencoded".to_owned()),
            (false, false) => None,
        };
        if self.get {
            let mark = if target.contains('?') { '&' } else { '?' };
            let more = String::from_utf8(body).map_err(|_| "the data for the query is not text")?;
            if !more.is_empty() {
                target = format!("{target}{mark}{more}");
            }
            (body, content_type) = (Vec::new(), None);
        }
        if !self.parts.is_empty() {
            let (media_type, content) = multipart::body(&self.parts)?;
            (body, content_type) = (content, Some(media_type));
        }
        let posts = content_type.is_some();
        let usual = match (self.head, posts) {
            (true, _) => "HEAD",
            (false, true) => "POST",
            (false, false) => "GET",
        };
        let mut request = Request::new(self.method.as_deref().unwrap_or(usual), &target);
        request.tls = tls;
        request.headers = vec![("Host".to_owned(), host)];
        let mut own: Vec<(String, String)> = Vec::new();
        if let Some(user) = self.user.or(user) {
            own.push((
                "Authorization".to_owned(),
                format!("Basic {}", Base64::encode_string(user.as_bytes())),
            ));
        }
        let agent = self.agent.unwrap_or_else(|| "curl/8".to_owned());
        own.push(("User-Agent".to_owned(), agent));
        own.push(("Accept".to_owned(), if self.json { "application/json" } else { "*/*" }.to_owned()));
        if self.compressed {
            own.push(("Accept-Encoding".to_owned(), "gzip, deflate, br, zstd".to_owned()));
        }
        own.extend(self.referer.map(|referer| ("Referer".to_owned(), referer)));
        if !self.cookies.is_empty() {
            if let Some(file) = self.cookies.iter().find(|cookie| !cookie.contains('=')) {
                return Err(format!("`-b {file}` names a file; write the cookies themselves"));
            }
            own.push(("Cookie".to_owned(), self.cookies.join("; ")));
        }
        own.extend(content_type.map(|content_type| ("Content-Type".to_owned(), content_type)));
        said(&self.headers, own, &mut request)?;
        request.body = Bytes::from(body);
        Ok(Command { request, ignored: self.ignored })
    }
}

/// What `-H` says goes before what curl says by itself; `-H 'Name:'` removes a header, `-H 'Name;'` sends an empty one.
fn said(headers: &[String], own: Vec<(String, String)>, request: &mut Request) -> Result<(), String> {
    let mut removed = Vec::new();
    let mut given = Vec::new();
    for header in headers {
        match (header.split_once(':'), header.strip_suffix(';')) {
            (Some((name, value)), _) if value.trim().is_empty() => removed.push(name.trim().to_owned()),
            (Some((name, value)), _) => given.push((name.trim().to_owned(), value.trim().to_owned())),
            (None, Some(name)) => given.push((name.trim().to_owned(), String::new())),
            (None, None) => return Err(format!("`{header}` is not a header: it has no colon")),
        }
    }
    let says = |name: &str, list: &[(String, String)]| {
        list.iter().any(|(there, _)| there.eq_ignore_ascii_case(name))
    };
    let is_removed = |name: &str| removed.iter().any(|there: &String| there.eq_ignore_ascii_case(name));
    request.headers.retain(|(name, _)| !says(name, &given) && !is_removed(name));
    request.headers.extend(own.into_iter().filter(|(name, _)| !says(name, &given) && !is_removed(name)));
    request.headers.extend(given);
    Ok(())
}

struct Url {
    tls: bool,
    host: String,
    target: String,
    user: Option<String>,
}

impl Url {
    fn of(text: &str) -> Result<Url, String> {
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, _)) => return Err(format!("`{scheme}` is not a scheme that a gateway serves")),
            // As curl guesses.
            None => (false, text),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        if host.is_empty() || format!("http://{host}/").parse::<Uri>().is_err() {
            return Err(format!("`{text}` is not a URL"));
        }
        // A fragment stays with the client.
        let path = path.split('#').next().unwrap_or_default();
        let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { tls, host: host.to_owned(), target, user })
    }
}

/// The value of `-d`: text, or `@` and a file. `strip` leaves line breaks out, as `-d` does of files.
fn data(value: &str, strip: bool) -> Result<Vec<u8>, String> {
    let Some(file) = value.strip_prefix('@') else { return Ok(value.as_bytes().to_vec()) };
    let mut content = content_of(file)?;
    if strip {
        content.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    }
    Ok(content)
}

/// The largest file that a request may carry here.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The content of a file that a command names. It goes nowhere but into the request that is judged here.
fn content_of(file: &str) -> Result<Vec<u8>, String> {
    let content = portcullis_config::reading::bytes(Path::new(file), MAX_FILE);
    content
        .map(|mut content| std::mem::take(&mut *content))
        .map_err(|error| format!("cannot read {file}: {error}"))
}

/// The value of `--data-urlencode`: `content`, `=content`, `name=content`, `@file` or `name@file`.
fn urlencoded(value: &str) -> Result<Vec<u8>, String> {
    let (name, content) = match value.find(['=', '@']) {
        None => ("", value.as_bytes().to_vec()),
        Some(at) => {
            let (name, rest) = value.split_at(at);
            let content = match rest.strip_prefix('=') {
                Some(content) => content.as_bytes().to_vec(),
                None => data(rest, false)?,
            };
            (name, content)
        }
    };
    let mut encoded = if name.is_empty() { String::new() } else { format!("{name}=") };
    for byte in content {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(encoded.into_bytes())
}

#[cfg(test)]
mod tests;
