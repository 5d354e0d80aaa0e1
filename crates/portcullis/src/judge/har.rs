//! Requests of a HAR file, as the developer tools of browsers save it (HTTP Archive 1.2).

use super::request::Request;
use bytes::Bytes;
use serde_json::Value;

/// The requests of a HAR file in their order.
///
/// # Errors
/// It is not such a file, or an entry has no request that could be sent.
pub fn parse(text: &str) -> Result<Vec<Request>, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))?;
    let entries = document.pointer("/log/entries").and_then(Value::as_array);
    let entries = entries.ok_or("this is not a HAR file: it has no `log.entries`")?;
    let numbered = entries.iter().enumerate();
    numbered.map(|(index, entry)| request(entry).map_err(|why| format!("entry {index}: {why}"))).collect()
}

fn request(entry: &Value) -> Result<Request, String> {
    let sent = entry.get("request").ok_or("it has no request")?;
    let text =
        |name: &str| sent.get(name).and_then(Value::as_str).ok_or(format!("its request has no `{name}`"));
    let (method, url) = (text("method")?, text("url")?);
    let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("`{url}` is not a URL"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let path = path.split('#').next().unwrap_or_default();
    let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut request = Request::new(method, &target);
    request.tls = scheme.eq_ignore_ascii_case("https");
    request.headers = vec![("host".to_owned(), host.to_owned())];
    for header in sent.get("headers").and_then(Value::as_array).into_iter().flatten() {
        let of = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = of("name");
        // HTTP/2 has these in place of a request line; a length is made from the body.
        if name.starts_with(':')
            || ["host", "content-length"].iter().any(|own| name.eq_ignore_ascii_case(own))
        {
            continue;
        }
        request.headers.push((name.to_ascii_lowercase(), of("value").to_owned()));
    }
    if let Some(body) = sent.pointer("/postData/text").and_then(Value::as_str) {
        request.body = Bytes::copy_from_slice(body.as_bytes());
    }
    Ok(request)
}
