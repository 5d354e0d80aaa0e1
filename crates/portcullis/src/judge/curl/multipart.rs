//! The body of `-F` (RFC 7578).

/// What stands between the parts. A command does not say it, so any will do.
const BOUNDARY: &str = "------------------------portcullis-explain";

/// The media type and the body of these parts: `name=content`, `name=@file` or `name=<file`, each with `;type=` and
/// `;filename=` after it if need be.
pub(super) fn body(parts: &[String]) -> Result<(String, Vec<u8>), String> {
    let mut body = Vec::new();
    for part in parts {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("`-F {part}` has no `=`"))?;
        let (value, mut media_type, mut file_name) = parameters(value);
        let content = match (value.strip_prefix('@'), value.strip_prefix('<')) {
            (Some(file), _) => {
                let last = file.rsplit('/').next().unwrap_or(file).to_owned();
                file_name.get_or_insert(last);
                media_type.get_or_insert_with(|| "application/octet-stream".to_owned());
                super::content_of(file)?
            }
            (None, Some(file)) => super::content_of(file)?,
            (None, None) => value.as_bytes().to_vec(),
        };
        let file_name =
            file_name.map_or_else(String::new, |name| format!("; filename=\"{}\"", quoted(&name)));
        let media_type = media_type.map_or_else(String::new, |name| format!("Content-Type: {name}\r\n"));
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"{file_name}\r\n{media_type}\r\n",
            quoted(name)
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    Ok((format!("multipart/form-data; boundary={BOUNDARY}"), body))
}

fn parameters(value: &str) -> (&str, Option<String>, Option<String>) {
    let (mut media_type, mut file_name) = (None, None);
    let mut value = value;
    while let Some((before, parameter)) = value.rsplit_once(';') {
        let place = match parameter.split_once('=') {
            Some(("type", _)) => &mut media_type,
            Some(("filename", _)) => &mut file_name,
            _ => break,
        };
        *place = parameter.split_once('=').map(|(_, text)| text.trim_matches('"').to_owned());
        value = before;
    }
    (value, media_type, file_name)
}

fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
