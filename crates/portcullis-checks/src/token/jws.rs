//! The form of a signed token: JWS compact serialization (RFC 7515, section 7.1).
//!
//! Reading it decides nothing about who made it. Of the header only what chooses a key and tells the token's purpose is
//! looked at: `jku`, `x5u`, `x5c` and `jwk`, with which a token would bring its own key, are not.

use super::algorithm::Algorithm;
use super::json;
use base64ct::{Base64UrlUnpadded, Encoding};
use portcullis_core::{Claim, Code, Denial};
use std::fmt;

/// A token that has the right form.
pub struct Jws<'a> {
    /// The whole header.
    pub header: Claim,
    /// What it says it is signed with. Only good for comparing with what the key is for.
    pub algorithm: Algorithm,
    /// The key's name, if it says one.
    pub kid: Option<String>,
    /// The token's purpose, in lower case and without `application/`.
    pub typ: Option<String>,
    /// The claims.
    pub claims: Claim,
    /// What is signed.
    pub signed: &'a str,
    /// The signature.
    pub signature: Vec<u8>,
}

// SECURITY: a token is a credential (a_token_that_was_read_does_not_show).
impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws")
            .field("algorithm", &self.algorithm)
            .field("typ", &self.typ)
            .finish_non_exhaustive()
    }
}

/// The longest `kid` in bytes.
const MAX_KID_BYTES: usize = 256;

fn malformed(detail: &'static str) -> Denial {
    Denial::new(Code::TokenMalformed, detail)
}

/// Whether `token` has the three parts of a signed token, of which the first is a JSON object. Opaque tokens have dots too.
pub fn looks_signed(token: &str) -> bool {
    let mut parts = token.split('.');
    let (header, rest) = (parts.next().unwrap_or_default(), parts.count());
    // `{` and a quote or white space, in base64url.
    rest == 2 && ["ey", "ew", "e3"].iter().any(|begin| header.starts_with(begin))
}

/// Unpadded base64url with no bit left over (RFC 7515, section 2).
pub fn decode(text: &str) -> Result<Vec<u8>, Denial> {
    // SECURITY: strict, so that one signature has one spelling, and a token one digest (a_token_has_one_spelling).
    Base64UrlUnpadded::decode_vec(text).map_err(|_| malformed("a part is not base64url"))
}

impl<'a> Jws<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// Another form than three parts of base64url, a header or claims that are no JSON object with one reading, an
    /// algorithm that is unknown or `none`, any extension in `crit`, a token within the token.
    pub fn parse(token: &'a str) -> Result<Jws<'a>, Denial> {
        let (signed, signature) =
            token.rsplit_once('.').ok_or_else(|| malformed("it has not three parts"))?;
        let (header, payload) = signed.split_once('.').ok_or_else(|| malformed("it has not three parts"))?;
        if payload.contains('.') {
            return Err(malformed("it has not three parts"));
        }
        let header = json::object(&decode(header)?).map_err(malformed)?;
        let text = |name: &str| match header.member(name) {
            None => Ok(None),
            Some(value) => {
                value.as_text().map(Some).ok_or_else(|| malformed("a header parameter is no string"))
            }
        };
        let algorithm = text("alg")?.ok_or_else(|| malformed("it names no algorithm"))?;
        // SECURITY: `none`, in any spelling, is no algorithm (tests/tokens/attacks.rs).
        let algorithm = Algorithm::named(algorithm)
            .ok_or_else(|| Denial::new(Code::TokenAlgorithm, "there is no such algorithm"))?;
        if header.member("crit").is_some() || header.member("b64").is_some() {
            return Err(Denial::new(Code::TokenType, "it has an extension that is not known here"));
        }
        if header.member("cty").is_some() || header.member("zip").is_some() || header.member("enc").is_some()
        {
            return Err(Denial::new(Code::TokenType, "it holds something else than claims"));
        }
        let kid = text("kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(malformed("its kid is too long"));
        }
        let typ = text("typ")?.map(|typ| {
            let typ = typ.to_ascii_lowercase();
            typ.strip_prefix("application/").map_or(typ.clone(), str::to_owned)
        });
        let claims = json::object(&decode(payload)?).map_err(malformed)?;
        let signature = decode(signature)?;
        Ok(Jws { algorithm, kid, typ, claims, signed, signature, header })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let part = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
        format!("{}.{}.AAAA", part(header), part(claims))
    }

    fn code(token: &str) -> Result<(), Code> {
        Jws::parse(token).map(|_| ()).map_err(|denial| denial.code())
    }

    #[test]
    fn a_token_that_was_read_does_not_show() {
        let token = token(r#"{"alg":"RS256"}"#, r#"{"sub":"alice"}"#);
        let shown = format!("{:?}", Jws::parse(&token).unwrap());
        assert!(shown.contains("Jws"), "{shown}");
        assert!(!shown.contains("alice") && !shown.contains(token.split('.').next().unwrap()), "{shown}");
    }

    #[test]
    fn an_opaque_token_may_have_dots() {
        for signed in [r#"{"alg":"RS256"}"#, "{}", "{ }", "{\n}", "{\"alg\":1}"] {
            assert!(looks_signed(&token(signed, "{}")), "{signed}");
        }
        for opaque in
            ["ya29.a0AfH6.SMBx", "gho_1.2.3", "v1.local.abc", "a.b", "..", "eyJ.a", "eyJ.a.b.c", "[].{}.x"]
        {
            assert!(!looks_signed(opaque), "{opaque}");
        }
    }

    #[test]
    fn a_token_has_one_spelling() {
        let good = token(r#"{"alg":"RS256"}"#, "{}");
        assert_eq!(code(&good), Ok(()));
        for bad in [
            good.replace("AAAA", "AAAA="),
            good.replace("AAAA", "AAAB="),
            good.replace("AAAA", "AAA A"),
            good.replace("AAAA", "AA+A"),
            good.replace("AAAA", "AB"),
            format!("{good}.AAAA"),
            format!(".{good}"),
            good.replacen('.', "..", 1),
            good.replace(".AAAA", ""),
            good.replace('.', ""),
            String::new(),
            "..".to_owned(),
        ] {
            assert_eq!(code(&bad), Err(Code::TokenMalformed), "{bad}");
        }
    }

    #[test]
    fn a_header_says_one_thing() {
        for (header, expected) in [
            (r#"{"alg":"none"}"#, Code::TokenAlgorithm),
            (r#"{"alg":"NONE"}"#, Code::TokenAlgorithm),
            (r#"{"alg":"rs256"}"#, Code::TokenAlgorithm),
            (r#"{"alg":"RS256 "}"#, Code::TokenAlgorithm),
            (r#"{"alg":null}"#, Code::TokenMalformed),
            (r#"{"alg":["RS256"]}"#, Code::TokenMalformed),
            (r#"{"alg":"RS256","alg":"none"}"#, Code::TokenMalformed),
            (r#"{"alg":"RS256","kid":1}"#, Code::TokenMalformed),
            (r#"{"alg":"RS256","crit":["exp"]}"#, Code::TokenType),
            (r#"{"alg":"RS256","crit":[]}"#, Code::TokenType),
            (r#"{"alg":"RS256","b64":false}"#, Code::TokenType),
            (r#"{"alg":"RS256","cty":"JWT"}"#, Code::TokenType),
            (r#"{"alg":"RS256","zip":"DEF"}"#, Code::TokenType),
            (r#"{"alg":"RS256","enc":"A128GCM"}"#, Code::TokenType),
            ("{}", Code::TokenMalformed),
            ("[]", Code::TokenMalformed),
        ] {
            assert_eq!(code(&token(header, "{}")), Err(expected), "{header}");
        }
        let named = |bytes| token(&format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(bytes)), "{}");
        assert_eq!(code(&named(MAX_KID_BYTES)), Ok(()));
        assert_eq!(code(&named(MAX_KID_BYTES + 1)), Err(Code::TokenMalformed));
        let with_typ = token(r#"{"alg":"ES256","typ":"Application/AT+jwt","kid":"1"}"#, "{}");
        let jws = Jws::parse(&with_typ).unwrap();
        assert_eq!((jws.typ.as_deref(), jws.kid.as_deref()), (Some("at+jwt"), Some("1")));
    }
}
