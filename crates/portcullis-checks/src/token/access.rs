//! How an issuer's own documents are asked for: over TLS unless the operator says otherwise, and with a token where the issuer
//! wants one, as the API server of Kubernetes does.

use super::metadata::endpoint;
use http::{HeaderValue, Uri, header};
use portcullis_core::Fetch;
use std::path::PathBuf;

/// The longest token that is read from a file.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// How documents of an issuer are asked for.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Whether they may come in clear from another machine.
    pub insecure_plaintext: bool,
    /// A file with a token for them, and the URL to whose origin alone it is sent.
    pub token: Option<(PathBuf, Uri)>,
}

impl Access {
    /// A URL that may be asked.
    ///
    /// # Errors
    /// It may not be asked; the text says why.
    pub fn endpoint(&self, text: &str) -> Result<Uri, &'static str> {
        match endpoint(text) {
            Err(_) if self.insecure_plaintext && text.starts_with("http://") => {
                // The same rules, but for the protection.
                endpoint(&text.replacen("http://", "https://", 1))?;
                text.parse().map_err(|_| "it is not a URL")
            }
            result => result,
        }
    }

    /// A request for a document.
    ///
    /// # Errors
    /// The token for it cannot be read.
    pub fn request(&self, url: Uri) -> Result<Fetch, String> {
        let mut headers = Vec::new();
        // SECURITY: metadata can name any place, and the token is for the issuer alone
        // (the_token_for_key_sets_goes_to_their_origin_alone).
        if let Some((file, home)) = &self.token
            && (home.scheme(), home.authority()) == (url.scheme(), url.authority())
        {
            // Each time, since the kubelet exchanges it every hour.
            let token = read_token(file)?;
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| "the token for the key set cannot be sent".to_owned())?;
            value.set_sensitive(true);
            headers.push((header::AUTHORIZATION, value));
        }
        Ok(Fetch { headers, insecure_plaintext: self.insecure_plaintext, ..Fetch::get(url) })
    }
}

/// The token in a file.
///
/// # Errors
/// It cannot be read, or holds no token.
pub fn read_token(file: &std::path::Path) -> Result<String, String> {
    let told = |why: String| format!("the file with the token for the key set: {why}");
    let text = std::fs::read_to_string(file).map_err(|error| told(error.to_string()))?;
    let token = text.trim();
    let plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain || token.len() > MAX_TOKEN_BYTES {
        return Err(told("it holds no token".to_owned()));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_is_for_those_who_say_so() {
        let open = Access { insecure_plaintext: true, token: None };
        let url = "http://keycloak.auth.svc:8080/realms/a";
        assert!(Access::default().endpoint(url).is_err());
        assert_eq!(open.endpoint(url).unwrap().to_string(), url);
        for bad in
            ["http://a:b@keycloak.svc/", "ftp://keycloak.svc/", "http://", "/keys", "file:///etc/passwd"]
        {
            assert!(open.endpoint(bad).is_err(), "{bad}");
        }
        assert!(open.request(open.endpoint(url).unwrap()).unwrap().insecure_plaintext);
        assert!(!Access::default().request(url.parse().unwrap()).unwrap().insecure_plaintext);
    }

    #[test]
    fn the_token_for_key_sets_goes_to_their_origin_alone() {
        let file = std::env::temp_dir().join(format!("portcullis-jwks-token-{}", std::process::id()));
        std::fs::write(&file, "of-the-pod\n").unwrap();
        let home: Uri = "https://kubernetes.default.svc/openid/v1/jwks".parse().unwrap();
        let access = Access { insecure_plaintext: false, token: Some((file.clone(), home)) };
        let sent = |url: &str| access.request(url.parse().unwrap()).map(|fetch| fetch.headers.len());
        assert_eq!(sent("https://kubernetes.default.svc/.well-known/openid-configuration"), Ok(1));
        for elsewhere in [
            "https://evil.example/openid/v1/jwks",
            "http://kubernetes.default.svc/openid/v1/jwks",
            "https://kubernetes.default.svc:6443/openid/v1/jwks",
            "https://kubernetes.default.svc.evil.example/",
        ] {
            assert_eq!(sent(elsewhere), Ok(0), "{elsewhere}");
        }
        for bad in ["", "a b", "a\nb", &"a".repeat(MAX_TOKEN_BYTES + 1)] {
            std::fs::write(&file, bad).unwrap();
            assert!(sent("https://kubernetes.default.svc/").is_err(), "{bad:?}");
        }
        std::fs::write(&file, "a".repeat(MAX_TOKEN_BYTES)).unwrap();
        assert_eq!(sent("https://kubernetes.default.svc/"), Ok(1), "the longest token");
        std::fs::remove_file(&file).unwrap();
        assert!(sent("https://kubernetes.default.svc/").is_err());
    }
}
