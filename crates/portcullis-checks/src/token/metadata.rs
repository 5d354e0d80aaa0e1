//! What an authorization server says of itself: RFC 8414, and OpenID Connect Discovery 1.0.

use super::{issuer, json};
use http::Uri;
use portcullis_core::{Claim, Effects};

/// The parts of a metadata document that are used here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The issuer's name.
    pub issuer: String,
    /// Where its keys are.
    pub jwks: Option<Uri>,
    /// Where clients get tokens.
    pub token: Option<String>,
    /// Where opaque tokens are introspected.
    pub introspection: Option<Uri>,
    /// Where browsers log in.
    pub authorization: Option<Uri>,
    /// Where browsers log out.
    pub end_session: Option<Uri>,
    /// Whether it names itself when it sends a browser back (RFC 9207, section 3).
    pub names_itself: bool,
}

/// How many folders of a token endpoint's path are looked into.
const MAX_FOLDERS: usize = 6;

/// A URL that the gateway may send something to: `https`, or `http` to this machine.
///
/// # Errors
/// It is another one; the text says why.
pub fn endpoint(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "it is not a URL")?;
    let host = uri.host().ok_or("it has no host")?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("it has a name or password in it");
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        // SECURITY: in clear only where nobody can listen (an_issuer_is_reached_by_tls).
        Some("http") if is_loopback(host) => Ok(uri),
        Some("http") => Err("it is not protected by TLS"),
        Some(_) | None => Err("it is not an https URL"),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The two places in which the metadata of `issuer` can be: OpenID Connect's and RFC 8414's.
fn places(issuer: &str) -> Vec<String> {
    let issuer = issuer.trim_end_matches('/');
    let openid = format!("{issuer}/.well-known/openid-configuration");
    let (origin, path) = match issuer.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('/') {
            Some((host, path)) => (format!("{scheme}://{host}"), format!("/{path}")),
            None => (issuer.to_owned(), String::new()),
        },
        None => return Vec::new(),
    };
    vec![openid, format!("{origin}/.well-known/oauth-authorization-server{path}")]
}

/// The metadata of the issuer with this name.
///
/// # Errors
/// There is none, or it is another issuer's (RFC 8414, section 3.3).
pub async fn of_issuer(name: &str, effects: &dyn Effects) -> Result<Metadata, String> {
    let mut errors = Vec::new();
    for place in places(name) {
        match read(&place, effects).await {
            // SECURITY: one issuer must not speak for another (metadata_speaks_for_its_own_issuer_and_token_endpoint).
            Ok(metadata) if metadata.issuer == name => return Ok(metadata),
            Ok(_) => errors.push(format!("{place} is another issuer's")),
            Err(error) => errors.push(error),
        }
    }
    Err(errors.join("; "))
}

/// The metadata of the authorization server that has this token endpoint, and this name if one is given.
///
/// # Errors
/// No folder above the endpoint has metadata that names the very same endpoint.
pub async fn of_token_endpoint(
    url: &Uri,
    name: Option<&str>,
    effects: &dyn Effects,
) -> Result<Metadata, String> {
    let wanted = url.to_string();
    let candidates = match name {
        Some(name) => vec![name.to_owned()],
        None => folders(url),
    };
    let mut errors = Vec::new();
    for candidate in candidates {
        for place in places(&candidate) {
            let metadata = match read(&place, effects).await {
                Ok(metadata) => metadata,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            if metadata.issuer.trim_end_matches('/') != candidate.trim_end_matches('/') {
                errors.push(format!("{place} is another issuer's"));
            } else if metadata.token.as_deref() != Some(wanted.as_str()) {
                errors.push(format!("{place} names another token endpoint"));
            } else {
                return Ok(metadata);
            }
        }
    }
    // One reason is enough: the folder at the top is where most servers have it.
    Err(errors.pop().unwrap_or_else(|| "there is nowhere to look for its metadata".to_owned()))
}

/// The folders above a URL, the nearest first.
fn folders(url: &Uri) -> Vec<String> {
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else { return Vec::new() };
    let mut path = url.path();
    let mut folders = Vec::new();
    while let Some((folder, _)) = path.rsplit_once('/') {
        folders.push(format!("{scheme}://{authority}{folder}"));
        path = folder;
        if folder.is_empty() || folders.len() >= MAX_FOLDERS {
            break;
        }
    }
    folders
}

async fn read(place: &str, effects: &dyn Effects) -> Result<Metadata, String> {
    let url = endpoint(place).map_err(|why| format!("{place}: {why}"))?;
    let fetched = issuer::get(url, effects).await?;
    parse(&fetched.body).map_err(|why| format!("{place}: {why}"))
}

/// Reads a metadata document.
///
/// # Errors
/// It is no JSON object, names no issuer, or names an endpoint that is no protected URL.
pub fn parse(bytes: &[u8]) -> Result<Metadata, String> {
    let document = json::object(bytes).map_err(str::to_owned)?;
    let text = |name: &str| document.member(name).and_then(Claim::as_text);
    let url = |name: &str| match text(name) {
        None => Ok(None),
        Some(text) => endpoint(text).map(Some).map_err(|why| format!("its {name}: {why}")),
    };
    Ok(Metadata {
        issuer: text("issuer").ok_or("it names no issuer")?.to_owned(),
        jwks: url("jwks_uri")?,
        token: text("token_endpoint").map(str::to_owned),
        introspection: url("introspection_endpoint")?,
        authorization: url("authorization_endpoint")?,
        end_session: url("end_session_endpoint")?,
        names_itself: document.member("authorization_response_iss_parameter_supported")
            == Some(&Claim::Bool(true)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_reached_by_tls() {
        for good in
            ["https://issuer.example/a", "http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1"]
        {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in [
            "http://issuer.example/",
            "http://127.0.0.1.example/",
            "http://localhost.example/",
            "ftp://issuer.example/",
            "https://a:b@issuer.example/",
            "/keys",
            "",
            "file:///etc/passwd",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn metadata_is_looked_for_where_the_standards_put_it() {
        assert_eq!(
            places("https://a.example/t/x"),
            [
                "https://a.example/t/x/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server/t/x",
            ]
        );
        let url = |text: &str| text.parse::<Uri>().unwrap();
        assert_eq!(folders(&url("https://a.example/token")), ["https://a.example"]);
        assert_eq!(
            folders(&url("https://a.example/r/x/token")),
            ["https://a.example/r/x", "https://a.example/r", "https://a.example"]
        );
        assert_eq!(folders(&url(&format!("https://a.example{}", "/a".repeat(50)))).len(), MAX_FOLDERS);
    }
}
