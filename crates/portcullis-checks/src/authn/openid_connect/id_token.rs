//! Whether an ID token says who logged in here, just now (OpenID Connect Core, sections 3.1.3.7 and 12.2).
//!
//! It must be signed with a public key of the issuer, be for this client alone, and answer this very login by its nonce.
//! One without `sub`, `exp` or `iat`, or made for another purpose, is refused. If the issuer's keys cannot be had, that is a
//! fault.

use crate::token::algorithm::Algorithm;
use crate::token::issuer::{Issuer, Loaded};
use crate::token::jws::{self, Jws};
use crate::token::rules::{Purpose, Rules};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use portcullis_core::{Claim, Code, Denial, Effects};
use std::sync::Arc;
use std::time::Duration;

/// Which nonce an ID token has.
#[derive(Clone, Copy)]
pub enum Nonce<'a> {
    /// This one.
    Is(&'a str),
    /// This one, or none: it came with a refresh.
    IsIfThere(&'a str),
}

/// What an ID token is judged by.
pub struct Expected<'a> {
    /// The gateway's name.
    pub client: &'a str,
    /// The claims that every token has.
    pub rules: &'a Rules,
    /// Of which login it is.
    pub nonce: Nonce<'a>,
    /// The access token that came with it.
    pub access_token: Option<&'a str>,
}

/// What an ID token says.
#[derive(Debug)]
pub struct IdToken {
    /// Who logged in.
    pub subject: String,
    /// All that the issuer says of them.
    pub claims: Claim,
    /// Time since 1970 from which on it is no longer valid.
    pub expires: Duration,
}

fn refused(detail: &'static str) -> Denial {
    Denial::new(Code::TokenClaims, detail)
}

/// Verifies an ID token.
///
/// # Errors
/// The codes of tokens, or `Fault` where the issuer has no usable keys.
pub async fn verify(
    token: &str,
    issuer: &Issuer,
    loaded: &Arc<Loaded>,
    expected: &Expected<'_>,
    effects: &dyn Effects,
) -> Result<IdToken, Denial> {
    let jws = Jws::parse(token)?;
    let now = effects.now();
    let loaded = issuer.verify(&jws, Arc::clone(loaded), now.monotonic, effects).await?;
    judge(jws, &loaded.issuer, expected, now.unix)
}

/// Judges the claims of an ID token whose signature is good.
fn judge(jws: Jws<'_>, issuer: &str, expected: &Expected<'_>, now: Duration) -> Result<IdToken, Denial> {
    // SECURITY: an access token of the same issuer says who is meant, not who logged in (an_id_token_says_who_logged_in).
    if !matches!(jws.typ.as_deref(), None | Some("jwt")) {
        return Err(Denial::new(Code::TokenType, "it is for another purpose, by its typ"));
    }
    let judged = expected.rules.judge(issuer, jws.claims, Purpose::Unsaid, now)?;
    if judged.binding.is_bound() {
        return Err(Denial::new(Code::TokenBinding, "an ID token that is bound to somebody"));
    }
    let claims = judged.subject.claims;
    if claims.member("iat").is_none() {
        return Err(refused("it has no iat"));
    }
    let text = |name: &str| claims.member(name).and_then(Claim::as_text);
    let Some(subject) = text("sub").map(str::to_owned) else { return Err(refused("it has no sub")) };
    let parties = claims.member("aud").and_then(Claim::as_texts).map_or(1, |audiences| audiences.len());
    if (parties > 1 || claims.member("azp").is_some()) && text("azp") != Some(expected.client) {
        return Err(Denial::new(Code::TokenAudience, "it is for others too, and not given to this client"));
    }
    let same = |one: &str, other: &str| verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok();
    let answers = match (expected.nonce, claims.member("nonce")) {
        (Nonce::Is(nonce) | Nonce::IsIfThere(nonce), Some(Claim::Text(given))) => same(nonce, given),
        (Nonce::IsIfThere(_), None) => true,
        (Nonce::Is(_), None) | (Nonce::Is(_) | Nonce::IsIfThere(_), Some(_)) => false,
    };
    if !answers {
        return Err(refused("its nonce is of another login"));
    }
    if let Some(given) = claims.member("at_hash") {
        let hash = expected.access_token.map(|token| half_hash(jws.algorithm, token));
        let given = given.as_text().and_then(|text| jws::decode(text).ok());
        if given.is_none() || hash.flatten() != given {
            return Err(refused("its at_hash is not that of the access token"));
        }
    }
    Ok(IdToken { subject, claims, expires: judged.expires })
}

/// The left half of the hash of a token, by the algorithm that signs (OpenID Connect Core, section 3.1.3.6).
fn half_hash(algorithm: Algorithm, token: &str) -> Option<Vec<u8>> {
    let hash = match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 | Algorithm::Hs256 => &SHA256,
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 | Algorithm::Hs384 => &SHA384,
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::Es512 | Algorithm::Hs512 | Algorithm::EdDsa => {
            &SHA512
        }
    };
    let digest = digest::digest(hash, token.as_bytes());
    digest.as_ref().get(..digest.as_ref().len() / 2).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::rules::{Profile, RoleRules};
    use base64ct::{Base64UrlUnpadded, Encoding};
    use portcullis_core::ClaimPath;

    const GOOD: &str =
        r#"{"iss":"https://issuer.example","sub":"alice","aud":"gateway","exp":1100,"iat":1000,"nonce":"n"}"#;

    fn rules() -> Rules {
        Rules {
            audience: Some(vec!["gateway".into()]),
            profile: Profile::Any,
            leeway: Duration::from_secs(30),
            max_age: None,
            roles: RoleRules::plain(ClaimPath::parse("roles").unwrap()),
            subject: None,
            audience_claim: None,
            scopes: None,
        }
    }

    fn code(header: &str, claims: &str, nonce: Nonce<'_>) -> Result<String, Code> {
        let part = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
        let token = format!("{}.{}.AAAA", part(header), part(claims));
        let rules = rules();
        let expected = Expected { client: "gateway", rules: &rules, nonce, access_token: Some("token") };
        let jws = Jws::parse(&token).unwrap();
        judge(jws, "https://issuer.example", &expected, Duration::from_secs(1010))
            .map(|judged| judged.subject)
            .map_err(|denial| denial.code())
    }

    #[test]
    fn an_id_token_says_who_logged_in() {
        let header = r#"{"alg":"RS256"}"#;
        let with = |more: &str| GOOD.replacen('{', &format!("{{{more},"), 1);
        let half = Base64UrlUnpadded::encode_string(&half_hash(Algorithm::Rs256, "token").unwrap());
        for good in [
            GOOD.to_owned(),
            GOOD.replace("\"gateway\"", "[\"gateway\"]"),
            with("\"azp\":\"gateway\""),
            with("\"azp\":\"gateway\"").replace("\"aud\":\"gateway\"", "\"aud\":[\"gateway\",\"other\"]"),
            with(&format!("\"at_hash\":\"{half}\"")),
        ] {
            assert_eq!(code(header, &good, Nonce::Is("n")).as_deref(), Ok("alice"), "{good}");
        }
        for (bad, expected) in [
            (GOOD.replace("issuer.example", "other.example"), Code::TokenIssuer),
            (GOOD.replace("\"gateway\"", "\"other\""), Code::TokenAudience),
            (GOOD.replace("\"gateway\"", "[\"gateway\",\"other\"]"), Code::TokenAudience),
            (with("\"azp\":\"other\""), Code::TokenAudience),
            (with("\"azp\":[\"gateway\"]"), Code::TokenClaims),
            (GOOD.replace("1100", "980"), Code::CredentialExpired),
            (GOOD.replace("\"iat\":1000,", ""), Code::TokenClaims),
            (GOOD.replace("\"iat\":1000", "\"iat\":1041"), Code::TokenNotYetValid),
            (GOOD.replace("\"sub\":\"alice\",", "\"client_id\":\"alice\","), Code::TokenClaims),
            (GOOD.replace("\"n\"", "\"m\""), Code::TokenClaims),
            (GOOD.replace("\"n\"", "[\"n\"]"), Code::TokenClaims),
            (GOOD.replace(",\"nonce\":\"n\"", ""), Code::TokenClaims),
            (with("\"at_hash\":\"AAAAAAAAAAAAAAAAAAAAAA\""), Code::TokenClaims),
            (with("\"at_hash\":7"), Code::TokenClaims),
            (with("\"cnf\":{\"jkt\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"), Code::TokenBinding),
        ] {
            assert_eq!(code(header, &bad, Nonce::Is("n")), Err(expected), "{bad}");
        }
        for typ in ["at+jwt", "dpop+jwt", "logout+jwt"] {
            let header = format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#);
            assert_eq!(code(&header, GOOD, Nonce::Is("n")), Err(Code::TokenType), "{typ}");
        }
    }

    #[test]
    fn the_hash_of_the_access_token_is_half_of_what_the_algorithm_hashes_with() {
        // The first halves of what coreutils' sha256sum, sha384sum and sha512sum say of `token`.
        let (short, middle, long) = (
            "PEaenWxYddN6Q_NT1PiOYQ",
            "Cm6hANx1qgPTYYSWu3KFaieklEAsPkh3",
            "ImXaughy_DrvFp0Hk2XlkPDLyO1GwqeYTIpkKAPP2Ww",
        );
        let hashes =
            [("RS256", short), ("ES256", short), ("PS384", middle), ("RS512", long), ("EdDSA", long)];
        for (algorithm, hash) in hashes {
            let header = format!(r#"{{"alg":"{algorithm}"}}"#);
            let with = |hash: &str| GOOD.replacen('{', &format!("{{\"at_hash\":\"{hash}\","), 1);
            assert_eq!(code(&header, &with(hash), Nonce::Is("n")).as_deref(), Ok("alice"), "{algorithm}");
            for other in [short, middle, long, "", "AA"].into_iter().filter(|other| *other != hash) {
                let refused = code(&header, &with(other), Nonce::Is("n"));
                assert_eq!(refused, Err(Code::TokenClaims), "{algorithm} {other}");
            }
        }
    }

    #[test]
    fn a_refreshed_one_may_leave_its_nonce_out_and_not_change_it() {
        let header = r#"{"alg":"RS256","typ":"JWT"}"#;
        let without = GOOD.replace(",\"nonce\":\"n\"", "");
        assert!(code(header, &without, Nonce::IsIfThere("n")).is_ok());
        assert!(code(header, GOOD, Nonce::IsIfThere("n")).is_ok());
        assert_eq!(code(header, GOOD, Nonce::IsIfThere("m")), Err(Code::TokenClaims));
    }
}
