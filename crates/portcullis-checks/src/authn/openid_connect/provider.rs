//! What the provider is asked: to log somebody in (OpenID Connect Core, section 3.1), for tokens (RFC 6749, section 4.1.3),
//! for fresh ones (section 6), and to log somebody out (OpenID Connect RP-Initiated Logout).
//!
//! A provider that says that a code or refresh token is not good is believed. Whatever else goes wrong with it, also an
//! answer that cannot be read, is a fault: the browser's session is then neither given nor taken.

use crate::token::client_auth::ClientAuthentication;
use crate::token::introspection::form;
use crate::token::json;
use aws_lc_rs::digest::{SHA256, digest};
use base64ct::{Base64UrlUnpadded, Encoding};
use http::{Method, StatusCode, Uri};
use portcullis_core::{Claim, Effects, Fault, Fetch, Fetched};
use std::time::Duration;
use zeroize::Zeroizing;

/// The largest answer of a token endpoint.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The gateway's name, its secret, and where browsers come back to.
#[derive(Clone)]
pub struct Client {
    /// The name.
    pub id: String,
    /// The provider's issuer.
    pub issuer: String,
    /// Name and secret, as the token endpoint wants them.
    pub authentication: ClientAuthentication,
    /// Where browsers come back to after they logged in.
    pub redirect: String,
    /// What the tokens are to be used for.
    pub scope: String,
    /// Whether browsers come back with a form (OAuth 2.0 Form Post Response Mode).
    pub comes_by_form: bool,
}

/// What the browser is sent with, and what the way back is checked with.
pub struct Request<'a> {
    /// Comes back as it is.
    pub state: &'a str,
    /// Comes back in the ID token.
    pub nonce: &'a str,
    /// Known here alone until the code is exchanged (RFC 7636).
    pub verifier: &'a str,
}

/// What a token endpoint gave.
#[derive(Clone, Default)]
pub struct Tokens {
    /// Who logged in.
    pub id: Option<String>,
    /// What the ID token's `at_hash` is the hash of.
    pub access: Option<String>,
    /// For the next ones.
    pub refresh: Option<Zeroizing<String>>,
    /// How long they are good.
    pub lifetime: Option<Duration>,
    /// What was granted, if that is not what was asked for.
    pub scopes: Option<Vec<String>>,
}

/// Why there are no tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoTokens {
    /// The provider says that the code or refresh token is not good.
    Refused,
    /// The provider failed, or does not take the gateway for its client.
    Fault(String),
}

impl Client {
    /// Where the browser is sent to log in.
    pub fn authorization_url(&self, endpoint: &Uri, request: &Request<'_>) -> String {
        let challenge =
            Base64UrlUnpadded::encode_string(digest(&SHA256, request.verifier.as_bytes()).as_ref());
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", &self.redirect),
            ("scope", &self.scope),
            ("state", request.state),
            ("nonce", request.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        if self.comes_by_form {
            fields.push(("response_mode", "form_post"));
        }
        with_query(endpoint, &fields)
    }

    /// Where the browser is sent to log out at the provider too.
    pub fn logout_url(&self, endpoint: &Uri, after: &str, id_token: Option<&str>) -> String {
        let mut fields = vec![("client_id", self.id.as_str()), ("post_logout_redirect_uri", after)];
        fields.extend(id_token.map(|token| ("id_token_hint", token)));
        with_query(endpoint, &fields)
    }

    /// Asks for the tokens of a code.
    pub fn exchange(&self, endpoint: Uri, code: &str, verifier: &str, effects: &dyn Effects) -> Fetch {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect.as_str()),
            ("code_verifier", verifier),
        ];
        self.ask(endpoint, &fields, effects)
    }

    /// Asks for fresh tokens.
    pub fn refresh(&self, endpoint: Uri, token: &str, effects: &dyn Effects) -> Fetch {
        self.ask(endpoint, &[("grant_type", "refresh_token"), ("refresh_token", token)], effects)
    }

    fn ask(&self, endpoint: Uri, fields: &[(&str, &str)], effects: &dyn Effects) -> Fetch {
        Fetch {
            method: Method::POST,
            headers: self.authentication.fields(),
            body: self.authentication.body(
                &encoded(fields),
                &self.issuer,
                effects.now().unix,
                effects.random(),
            ),
            max_bytes: MAX_ANSWER_BYTES,
            ..Fetch::get(endpoint)
        }
    }
}

fn encoded(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", form(value))).collect::<Vec<_>>().join("&")
}

/// The URL with more parameters; its own stay (RFC 6749, section 3.1).
fn with_query(url: &Uri, fields: &[(&str, &str)]) -> String {
    let separator = if url.query().is_some() { '&' } else { '?' };
    format!("{url}{separator}{}", encoded(fields))
}

/// What a token endpoint's answer says.
///
/// # Errors
/// It gave no tokens.
pub fn tokens(answer: &Result<Fetched, Fault>) -> Result<Tokens, NoTokens> {
    let fault = |detail: String| NoTokens::Fault(format!("token endpoint: {detail}"));
    let fetched = answer.as_ref().map_err(|failed| fault(failed.detail.clone()))?;
    let document = json::object(&fetched.body);
    if fetched.status != StatusCode::OK {
        let error = document.as_ref().ok().and_then(|document| document.member("error")?.as_text());
        return Err(match error {
            Some("invalid_grant") if fetched.status.is_client_error() => NoTokens::Refused,
            Some(error) => fault(format!("status {}, {}", fetched.status.as_u16(), error_word(error))),
            None => fault(format!("status {}", fetched.status.as_u16())),
        });
    }
    let document = document.map_err(|why| fault(why.to_owned()))?;
    let text = |name: &str| match document.given(name) {
        None => Ok(None),
        Some(value) => value
            .as_text()
            .map(str::to_owned)
            .map(Some)
            .ok_or_else(|| fault(format!("its {name} is no string"))),
    };
    Ok(Tokens {
        id: text("id_token")?,
        access: text("access_token")?,
        refresh: text("refresh_token")?.map(Zeroizing::new),
        lifetime: json::seconds(document.member("expires_in")),
        scopes: document.given("scope").map(Claim::words),
    })
}

/// An error code of the provider (RFC 6749, section 5.2), for the record.
pub fn error_word(error: &str) -> &str {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !error.is_empty() && error.len() <= 64 && error.bytes().all(harmless) {
        error
    } else {
        "an error that has no name"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::client_auth::ClientAuthenticationConfig;
    use bytes::Bytes;
    use http::HeaderMap;

    fn client() -> Client {
        Client {
            id: "a client".into(),
            issuer: "https://issuer.example".into(),
            authentication: ClientAuthentication::new(
                ClientAuthenticationConfig::Public,
                "a client",
                None,
                None,
            )
            .unwrap(),
            redirect: "https://app.example/auth/callback".into(),
            scope: "openid orders".into(),
            comes_by_form: false,
        }
    }

    fn answer(status: u16, body: &str) -> Result<Tokens, NoTokens> {
        tokens(&Ok(Fetched {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_owned()),
        }))
    }

    #[test]
    fn a_browser_is_sent_with_a_challenge_and_not_its_verifier() {
        // The example of RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let request = Request { state: "0s", nonce: "n", verifier };
        let url = client().authorization_url(&"https://issuer.example/auth?t=1".parse().unwrap(), &request);
        assert_eq!(
            url,
            "https://issuer.example/auth?t=1&response_type=code&client_id=a%20client\
             &redirect_uri=https%3A%2F%2Fapp.example%2Fauth%2Fcallback&scope=openid%20orders&state=0s&nonce=n\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
        );
    }

    #[test]
    fn only_a_refused_grant_is_the_browsers_affair() {
        let tokens = answer(
            200,
            r#"{"id_token":"a","access_token":"b","refresh_token":"c","expires_in":60,"scope":"x y"}"#,
        );
        let tokens = tokens.unwrap_or_else(|_| panic!("tokens"));
        assert_eq!((tokens.id.as_deref(), tokens.lifetime), (Some("a"), Some(Duration::from_secs(60))));
        assert_eq!(tokens.scopes.unwrap(), ["x", "y"]);
        // Many servers write out what they do not give, and some the time as a string.
        let spare = answer(
            200,
            r#"{"id_token":"a","access_token":"b","refresh_token":null,"expires_in":"60","scope":null}"#,
        );
        let spare = spare.unwrap_or_else(|_| panic!("tokens"));
        assert_eq!((spare.refresh, spare.scopes), (None, None));
        assert_eq!(spare.lifetime, Some(Duration::from_secs(60)));
        let failed = |status, body| answer(status, body).map(|_| ()).unwrap_err();
        assert_eq!(failed(400, r#"{"error":"invalid_grant"}"#), NoTokens::Refused);
        for (status, body) in [
            (500, r#"{"error":"invalid_grant"}"#),
            (302, r#"{"error":"invalid_grant"}"#),
            (401, r#"{"error":"invalid_client"}"#),
            (400, r#"{"error":"invalid_grant","error":"x"}"#),
            (400, "<html>"),
            (503, ""),
            (200, ""),
            (200, "[]"),
            (200, r#"{"id_token":1}"#),
            (200, r#"{"id_token":"a","id_token":"b"}"#),
        ] {
            assert!(matches!(failed(status, body), NoTokens::Fault(_)), "{status} {body}");
        }
        let down = super::tokens(&Err(Fault { detail: "down".into() }));
        assert!(matches!(down, Err(NoTokens::Fault(_))));
    }

    #[test]
    fn what_a_provider_calls_an_error_is_written_only_if_it_is_a_word() {
        assert_eq!(error_word("access_denied"), "access_denied");
        for bad in ["", "a b", "a\nb", "<b>", &"a".repeat(65)] {
            assert_eq!(error_word(bad), "an error that has no name");
        }
    }

    #[test]
    fn a_browser_is_sent_to_log_out_with_where_it_goes_next() {
        let to = |endpoint: &str, id_token: Option<&str>| {
            client().logout_url(&endpoint.parse().unwrap(), "https://app.example/bye", id_token)
        };
        let next = "client_id=a%20client&post_logout_redirect_uri=https%3A%2F%2Fapp.example%2Fbye";
        assert_eq!(to("https://issuer.example/end", None), format!("https://issuer.example/end?{next}"));
        assert_eq!(
            to("https://issuer.example/end?t=1", Some("a.b.c")),
            format!("https://issuer.example/end?t=1&{next}&id_token_hint=a.b.c")
        );
    }
}
