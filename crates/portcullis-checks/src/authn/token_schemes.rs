//! Which security schemes of an API description mean the tokens of an issuer.
//!
//! A scheme says by a URL whose tokens it means, or says nothing but that there is a token. An issuer's method answers what
//! names its own issuer, and never what names somebody else. Nothing is fetched: what a description says is compared with
//! what the configuration says.

use portcullis_core::{Answers, SchemeKind, SecurityScheme};

/// Paths of an issuer's metadata below the issuer's own URL (OpenID Connect Discovery, section 4; RFC 8414, section 3).
const METADATA: [&str; 2] = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

/// What tells whether a scheme means an issuer's tokens.
#[derive(Clone, Debug, Default)]
pub struct TokenSchemes {
    /// The schemes that the operator says mean them, and no others do.
    pub named: Option<Vec<String>>,
    /// The issuer, where the configuration names it.
    pub issuer: Option<String>,
    /// The token endpoint, where the configuration names it.
    pub token_url: Option<String>,
}

impl TokenSchemes {
    /// Whether `scheme` means these tokens. `None` where it means no token at all.
    pub fn answer(&self, scheme: &SecurityScheme<'_>) -> Option<Answers> {
        let by_url = match &scheme.kind {
            SchemeKind::Http("bearer" | "dpop") => Answers::Possibly,
            SchemeKind::OpenIdConnect(url) => self.of_provider(url),
            SchemeKind::OAuth2(urls) => self.of_server(urls),
            SchemeKind::Http(_) | SchemeKind::Key(_) | SchemeKind::MutualTls => return None,
        };
        Some(match &self.named {
            Some(named) if named.iter().any(|name| name == scheme.name) => Answers::Certainly,
            Some(_) => Answers::Foreign,
            None => by_url,
        })
    }

    /// The provider whose metadata is at `url`.
    fn of_provider(&self, url: &str) -> Answers {
        let provider = METADATA.iter().find_map(|path| url.strip_suffix(path)).unwrap_or(url);
        match (&self.issuer, &self.token_url) {
            (Some(issuer), _) if same(issuer, provider) => Answers::Certainly,
            (Some(_), _) => Answers::Foreign,
            (None, Some(token_url)) if below(token_url, provider) => Answers::Certainly,
            (None, Some(_) | None) => Answers::Possibly,
        }
    }

    /// The authorization server whose endpoints are at `urls`.
    fn of_server(&self, urls: &[String]) -> Answers {
        let ours = |url: &String| {
            self.token_url.as_ref().is_some_and(|token_url| same(token_url, url))
                || self.issuer.as_ref().is_some_and(|issuer| below(url, issuer))
        };
        if urls.iter().any(ours) {
            return Answers::Certainly;
        }
        // Where the endpoints of an issuer are, its metadata says, which is not read yet.
        match &self.token_url {
            Some(token_url)
                if !urls.is_empty() && !urls.iter().any(|url| origin(url) == origin(token_url)) =>
            {
                Answers::Foreign
            }
            Some(_) | None => Answers::Possibly,
        }
    }
}

/// Whether two URLs are the same, whatever slash is at their ends.
fn same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// Scheme, host and port.
fn origin(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Some((scheme.to_ascii_lowercase(), authority.to_ascii_lowercase()))
}

/// Whether `url` is below `base`.
// SECURITY: by whole segments, so that `https://a.example.evil.example` is not below `https://a.example`
// (an_issuer_answers_what_names_it).
fn below(url: &str, base: &str) -> bool {
    let base = base.trim_end_matches('/');
    url.strip_prefix(base).is_some_and(|rest| rest.starts_with('/')) && base.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(schemes: &TokenSchemes, kind: SchemeKind<'_>) -> Option<Answers> {
        schemes.answer(&SecurityScheme { name: "staff", kind })
    }

    #[test]
    fn an_issuer_answers_what_names_it() {
        let issuer = |issuer: &str| TokenSchemes { issuer: Some(issuer.into()), ..TokenSchemes::default() };
        let oidc = |url| SchemeKind::OpenIdConnect(url);
        let staff = issuer("https://staff.example");
        for own in [
            "https://staff.example",
            "https://staff.example/",
            "https://staff.example/.well-known/openid-configuration",
            "https://staff.example/.well-known/oauth-authorization-server",
        ] {
            assert_eq!(answer(&staff, oidc(own)), Some(Answers::Certainly), "{own}");
        }
        for foreign in [
            "https://partner.example/.well-known/openid-configuration",
            "https://staff.example.evil.example/.well-known/openid-configuration",
            "https://staff.example/realms/other/.well-known/openid-configuration",
            "http://staff.example",
        ] {
            assert_eq!(answer(&staff, oidc(foreign)), Some(Answers::Foreign), "{foreign}");
        }
        let urls = |url: &str| vec![url.to_owned()];
        let own = urls("https://staff.example/oauth/token");
        assert_eq!(answer(&staff, SchemeKind::OAuth2(&own)), Some(Answers::Certainly));
        let other = urls("https://staff.example.evil.example/token");
        assert_eq!(answer(&staff, SchemeKind::OAuth2(&other)), Some(Answers::Possibly));
        assert_eq!(answer(&staff, SchemeKind::Http("bearer")), Some(Answers::Possibly));
        assert_eq!(answer(&staff, SchemeKind::Http("basic")), None);
        assert_eq!(answer(&staff, SchemeKind::MutualTls), None);
    }

    #[test]
    fn a_token_endpoint_answers_what_names_it() {
        let url = "https://id.example/realms/a/protocol/openid-connect/token";
        let schemes = TokenSchemes { token_url: Some(url.into()), ..TokenSchemes::default() };
        let oidc = |url| answer(&schemes, SchemeKind::OpenIdConnect(url));
        assert_eq!(
            oidc("https://id.example/realms/a/.well-known/openid-configuration"),
            Some(Answers::Certainly)
        );
        assert_eq!(
            oidc("https://id.example/realms/b/.well-known/openid-configuration"),
            Some(Answers::Possibly)
        );
        let oauth2 = |url: &str| answer(&schemes, SchemeKind::OAuth2(&[url.to_owned()]));
        assert_eq!(oauth2(url), Some(Answers::Certainly));
        assert_eq!(
            oauth2("https://id.example/realms/b/protocol/openid-connect/token"),
            Some(Answers::Possibly)
        );
        assert_eq!(
            oauth2("https://id.example/realms/a/protocol/openid-connect/auth"),
            Some(Answers::Possibly)
        );
        assert_eq!(oauth2("https://other.example/token"), Some(Answers::Foreign));
        assert_eq!(answer(&schemes, SchemeKind::OAuth2(&[])), Some(Answers::Possibly));
    }

    #[test]
    fn what_the_operator_names_is_all_that_is_answered() {
        let schemes = TokenSchemes {
            named: Some(vec!["staff".into()]),
            issuer: Some("https://x.example".into()),
            token_url: None,
        };
        let oidc = SchemeKind::OpenIdConnect("https://other.example");
        assert_eq!(answer(&schemes, oidc.clone()), Some(Answers::Certainly));
        assert_eq!(schemes.answer(&SecurityScheme { name: "partner", kind: oidc }), Some(Answers::Foreign));
        assert_eq!(answer(&schemes, SchemeKind::Http("basic")), None, "it takes no password");
    }
}
