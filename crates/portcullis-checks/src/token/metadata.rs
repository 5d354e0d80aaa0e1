//! What an authorization server says of itself: RFC 8414, and OpenID Connect Discovery 1.0.
//!
//! A document is judged by what is used of it: an endpoint that cannot be used counts as absent, and is told. Where no
//! document serves, the error is that of the place that came closest.

use super::access::Access;
use super::json;
use http::{StatusCode, Uri};
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
    /// The endpoints that it names and that cannot be used, each with the reason.
    pub unusable: Vec<String>,
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

/// How close a place came to having the metadata.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    /// There is nothing.
    Nothing,
    /// It gave no answer, or said that it failed.
    NoAnswer,
    /// What is there is no metadata.
    Unreadable,
    /// What is there is metadata of somebody else.
    Another,
}

/// Why there is no metadata at a place.
struct Miss {
    closeness: Closeness,
    why: String,
}

/// The most telling of several reasons; of equal ones the last, since most servers have their metadata at the top.
fn most_telling(misses: Vec<Miss>) -> String {
    let best = misses.into_iter().max_by_key(|miss| miss.closeness);
    best.map_or_else(|| "there is nowhere to look for its metadata".to_owned(), |miss| miss.why)
}

fn another(why: String) -> Miss {
    Miss { closeness: Closeness::Another, why }
}

/// What a document of somebody else says, as far as it can stand in a log.
fn quoted(said: &str) -> String {
    let plain = said.len() <= 200 && said.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'`');
    if plain { format!("`{said}`") } else { "a name that cannot be shown".to_owned() }
}

/// The metadata of the issuer with this name.
///
/// # Errors
/// There is none, or it is another issuer's (RFC 8414, section 3.3).
pub async fn of_issuer(name: &str, access: &Access, effects: &dyn Effects) -> Result<Metadata, String> {
    let mut misses = Vec::new();
    for place in places(name) {
        match read(&place, access, effects).await {
            // SECURITY: one issuer must not speak for another (metadata_speaks_for_its_own_issuer_and_token_endpoint).
            Ok(metadata) if metadata.issuer == name => return Ok(metadata),
            Ok(metadata) => {
                let issuer = quoted(&metadata.issuer);
                misses.push(another(format!(
                    "found {place}, but it is the metadata of issuer {issuer}; if that is the one, write `issuer: {}`",
                    metadata_name(&metadata)
                )));
            }
            Err(miss) => misses.push(miss),
        }
    }
    Err(most_telling(misses))
}

/// The metadata at this URL, which is that of the issuer with this name.
///
/// # Errors
/// There is none, or it is another issuer's.
pub async fn at(url: &Uri, name: &str, access: &Access, effects: &dyn Effects) -> Result<Metadata, String> {
    let place = url.to_string();
    let metadata = read(&place, access, effects).await.map_err(|miss| miss.why)?;
    // SECURITY: as with metadata that is found by the issuer's name (metadata_is_that_of_the_issuer_that_is_named).
    if metadata.issuer == name {
        return Ok(metadata);
    }
    let issuer = quoted(&metadata.issuer);
    Err(format!(
        "found {place}, but it is the metadata of issuer {issuer}; if that is the one, write `issuer: {}`",
        metadata_name(&metadata)
    ))
}

/// The issuer's name for a line of configuration.
fn metadata_name(metadata: &Metadata) -> &str {
    if quoted(&metadata.issuer).starts_with('`') { &metadata.issuer } else { "…" }
}

/// The metadata of the authorization server that has this token endpoint, and this name if one is given.
///
/// # Errors
/// No folder above the endpoint has metadata that names the very same endpoint.
pub async fn of_token_endpoint(
    url: &Uri,
    name: Option<&str>,
    access: &Access,
    effects: &dyn Effects,
) -> Result<Metadata, String> {
    let wanted = url.to_string();
    let candidates = match name {
        Some(name) => vec![name.to_owned()],
        None => folders(url),
    };
    let mut misses = Vec::new();
    for candidate in candidates {
        for place in places(&candidate) {
            let metadata = match read(&place, access, effects).await {
                Ok(metadata) => metadata,
                Err(miss) => {
                    misses.push(miss);
                    continue;
                }
            };
            if metadata.issuer.trim_end_matches('/') != candidate.trim_end_matches('/') {
                let issuer = quoted(&metadata.issuer);
                let name = metadata_name(&metadata);
                misses.push(another(format!(
                    "found {place}, but it is the metadata of issuer {issuer}; if that is the one, add `issuer: {name}`"
                )));
            } else if metadata.token.as_deref() != Some(wanted.as_str()) {
                let named = metadata.token.as_deref().map_or("no token endpoint".to_owned(), |named| {
                    format!("the token endpoint {}", quoted(named))
                });
                misses.push(another(format!("found {place}, but it names {named} and not `{wanted}`")));
            } else {
                return Ok(metadata);
            }
        }
    }
    Err(most_telling(misses))
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

async fn read(place: &str, access: &Access, effects: &dyn Effects) -> Result<Metadata, Miss> {
    let miss = |closeness, why: String| Miss { closeness, why };
    let request = access.endpoint(place).map_err(|why| format!("{place}: {why}"));
    let request =
        request.and_then(|url| access.request(url)).map_err(|why| miss(Closeness::NoAnswer, why))?;
    let fetched = effects.fetch(request).await;
    let fetched = fetched.map_err(|fault| miss(Closeness::NoAnswer, fault.detail))?;
    if fetched.status != StatusCode::OK {
        let closeness = match fetched.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Closeness::Nothing,
            _ => Closeness::NoAnswer,
        };
        let why = format!("{place} answered with status {}", fetched.status.as_u16());
        return Err(miss(closeness, why));
    }
    parse(&fetched.body, access).map_err(|why| miss(Closeness::Unreadable, format!("{place}: {why}")))
}

/// Reads a metadata document.
///
/// # Errors
/// It is no JSON object, or names no issuer.
pub fn parse(bytes: &[u8], access: &Access) -> Result<Metadata, String> {
    let document = json::object(bytes).map_err(str::to_owned)?;
    let text = |name: &str| document.member(name).and_then(Claim::as_text);
    let mut unusable = Vec::new();
    let mut url = |name: &str| {
        let read = text(name).map(|text| access.endpoint(text))?;
        read.map_err(|why| unusable.push(format!("its {name}: {why}"))).ok()
    };
    let (jwks, introspection) = (url("jwks_uri"), url("introspection_endpoint"));
    let (authorization, end_session) = (url("authorization_endpoint"), url("end_session_endpoint"));
    Ok(Metadata {
        issuer: text("issuer").ok_or("it names no issuer")?.to_owned(),
        jwks,
        token: text("token_endpoint").map(str::to_owned),
        introspection,
        authorization,
        end_session,
        names_itself: document.member("authorization_response_iss_parameter_supported")
            == Some(&Claim::Bool(true)),
        unusable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tests::at_once;
    use crate::token::tests::world::World;
    use serde_json::json;

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
        assert_eq!(folders(&url("https://a.example/token")), ["https://a.example"]);
        assert_eq!(
            folders(&url("https://a.example/r/x/token")),
            ["https://a.example/r/x", "https://a.example/r", "https://a.example"]
        );
        assert_eq!(folders(&url(&format!("https://a.example{}", "/a".repeat(50)))).len(), MAX_FOLDERS);
    }
    #[test]
    fn a_document_is_judged_by_what_is_used() {
        let document = r#"{"issuer":"https://a.example","jwks_uri":"https://a.example/keys","token_endpoint":null,
            "end_session_endpoint":"http://a.example/logout","introspection_endpoint":null,"authorization_endpoint":""}"#;
        let metadata = parse(document.as_bytes(), &Access::default()).unwrap();
        assert_eq!(metadata.jwks, Some("https://a.example/keys".parse().unwrap()));
        assert_eq!((metadata.end_session, metadata.introspection, metadata.token), (None, None, None));
        assert_eq!(
            metadata.unusable,
            [
                "its authorization_endpoint: it is not a URL",
                "its end_session_endpoint: it is not protected by TLS"
            ]
        );
        // What is used of it is still protected by TLS.
        let in_clear = parse(
            br#"{"issuer":"https://a.example","jwks_uri":"http://a.example/keys"}"#,
            &Access::default(),
        )
        .unwrap();
        assert_eq!(in_clear.jwks, None);
    }

    #[test]
    fn the_reason_that_came_closest_is_shown() {
        let miss = |closeness, why: &str| Miss { closeness, why: why.to_owned() };
        let told = most_telling(vec![
            another("it is another's".to_owned()),
            miss(Closeness::Nothing, "404"),
            miss(Closeness::NoAnswer, "refused"),
        ]);
        assert_eq!(told, "it is another's");
        let told =
            most_telling(vec![miss(Closeness::Nothing, "below"), miss(Closeness::Nothing, "at the top")]);
        assert_eq!(told, "at the top");
        assert_eq!(quoted("https://a.example/"), "`https://a.example/`");
        for hostile in ["a b", "a\n", "`", "\u{1b}[31m", &"a".repeat(201)] {
            assert_eq!(quoted(hostile), "a name that cannot be shown");
        }
    }

    const ISSUER: &str = "https://a.example/t";
    const OPENID: &str = "https://a.example/t/.well-known/openid-configuration";
    const OAUTH: &str = "https://a.example/.well-known/oauth-authorization-server/t";
    const TOKEN: &str = "https://a.example/t/token";

    /// A network with these documents, each of which names this issuer and this token endpoint.
    fn network(documents: &[(&str, &str, &str)]) -> World {
        let world = World::default();
        for (place, issuer, token) in documents {
            world.publish(place, &json!({ "issuer": issuer, "token_endpoint": token }).to_string());
        }
        world
    }

    fn url(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn metadata_is_that_of_the_issuer_that_is_named() {
        let of = |world: &World| {
            at_once(of_issuer(ISSUER, &Access::default(), world)).map(|metadata| metadata.token.unwrap())
        };
        assert_eq!(of(&network(&[(OPENID, ISSUER, "1"), (OAUTH, ISSUER, "2")])), Ok("1".into()));
        assert_eq!(of(&network(&[(OAUTH, ISSUER, "2")])), Ok("2".into()));
        let other = "https://b.example/";
        assert_eq!(of(&network(&[(OPENID, other, "1"), (OAUTH, ISSUER, "2")])), Ok("2".into()));
        // A slash at the end makes it another issuer.
        for other in [other, "https://a.example/t/"] {
            assert_eq!(
                of(&network(&[(OPENID, other, "1")])),
                Err(format!(
                    "found {OPENID}, but it is the metadata of issuer `{other}`; if that is the one, write `issuer: {other}`"
                ))
            );
        }
        assert_eq!(
            of(&network(&[(OPENID, "a b", "1")])),
            Err(format!(
                "found {OPENID}, but it is the metadata of issuer a name that cannot be shown; if that is the one, write `issuer: …`"
            ))
        );
    }

    #[test]
    fn metadata_at_a_place_is_that_of_the_issuer_that_is_named() {
        let place = "https://b.example/meta";
        let read = |world: &World| {
            at_once(at(&url(place), ISSUER, &Access::default(), world)).map(|metadata| metadata.issuer)
        };
        assert_eq!(read(&network(&[(place, ISSUER, TOKEN)])), Ok(ISSUER.into()));
        assert_eq!(
            read(&network(&[(place, "https://b.example", TOKEN)])),
            Err(format!(
                "found {place}, but it is the metadata of issuer `https://b.example`; if that is the one, write `issuer: https://b.example`"
            ))
        );
        assert_eq!(read(&network(&[])), Err(format!("nobody answers at {place}")));
    }

    #[test]
    fn metadata_of_a_token_endpoint_names_the_very_same_endpoint() {
        let of = |name: Option<&str>, world: &World| {
            let (endpoint, access) = (url(TOKEN), Access::default());
            at_once(of_token_endpoint(&endpoint, name, &access, world)).map(|metadata| metadata.issuer)
        };
        let top = "https://a.example/.well-known/openid-configuration";
        for issuer in [ISSUER, "https://a.example/t/"] {
            let world = network(&[(OPENID, issuer, TOKEN)]);
            assert_eq!(of(None, &world), Ok(issuer.into()), "a slash at the end is forgiven");
            assert_eq!(of(Some(issuer), &world), Ok(issuer.into()));
        }
        assert_eq!(of(None, &network(&[(top, "https://a.example", TOKEN)])), Ok("https://a.example".into()));
        // With a name, nothing is looked for elsewhere.
        assert_eq!(
            of(Some(ISSUER), &network(&[(top, "https://a.example", TOKEN)])),
            Err(format!("nobody answers at {OAUTH}"))
        );
        assert_eq!(
            of(None, &network(&[(OPENID, ISSUER, "https://a.example/other")])),
            Err(format!(
                "found {OPENID}, but it names the token endpoint `https://a.example/other` and not `{TOKEN}`"
            ))
        );
        assert_eq!(
            of(None, &network(&[(OPENID, "https://b.example", TOKEN)])),
            Err(format!(
                "found {OPENID}, but it is the metadata of issuer `https://b.example`; if that is the one, add `issuer: https://b.example`"
            ))
        );
        let silent = World::default();
        silent.publish(OPENID, &json!({ "issuer": ISSUER }).to_string());
        assert_eq!(
            of(None, &silent),
            Err(format!("found {OPENID}, but it names no token endpoint and not `{TOKEN}`"))
        );
    }

    #[test]
    fn a_server_that_fails_is_told_before_one_that_has_nothing() {
        for (first, second, told) in [
            (404, 503, format!("{OAUTH} answered with status 503")),
            (503, 404, format!("{OPENID} answered with status 503")),
            (503, 410, format!("{OPENID} answered with status 503")),
            (404, 404, format!("{OAUTH} answered with status 404")),
        ] {
            let world = World::default();
            world.answer(OPENID, first, &[], "");
            world.answer(OAUTH, second, &[], "");
            let found = at_once(of_issuer(ISSUER, &Access::default(), &world));
            assert_eq!(found.map(|_| ()), Err(told), "{first} {second}");
        }
        // Something that is no metadata came closer than that.
        let world = World::default();
        world.publish(OPENID, "[]");
        world.answer(OAUTH, 503, &[], "");
        let found = at_once(of_issuer(ISSUER, &Access::default(), &world));
        assert_eq!(found.map(|_| ()), Err(format!("{OPENID}: it is not a JSON object")));
    }

    #[test]
    fn a_server_names_itself_only_if_it_says_so() {
        for (said, names_itself) in
            [("true", true), ("false", false), ("null", false), ("\"true\"", false), ("1", false)]
        {
            let document =
                format!(r#"{{"issuer":"a","authorization_response_iss_parameter_supported":{said}}}"#);
            let metadata = parse(document.as_bytes(), &Access::default()).unwrap();
            assert_eq!(metadata.names_itself, names_itself, "{said}");
        }
        assert!(!parse(br#"{"issuer":"a"}"#, &Access::default()).unwrap().names_itself);
    }
}
