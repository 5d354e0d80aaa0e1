//! What a token must say: RFC 7519, section 4.1, and RFC 9068, section 4.

use portcullis_core::{Claim, ClaimPath, Code, Denial, Subject};
use std::borrow::Cow;
use std::time::Duration;

/// The accepted kinds of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Any token that does not say another purpose.
    Any,
    /// Any token that an API can be sent: none that tells a client who logged in or out, and none that only gets others.
    Access,
    /// An access token by RFC 9068: its `typ` says so, and it has `client_id`, `jti` and `iat`.
    AccessToken,
}

/// What is asked of the claims of an issuer's tokens.
#[derive(Clone, Debug)]
pub struct Rules {
    /// For whom a token must be: one of these. `None` accepts a token for anybody.
    pub audience: Option<Vec<String>>,
    /// Where that stands; by default `aud`.
    pub audience_claim: Option<ClaimPath>,
    /// For what purpose.
    pub profile: Profile,
    /// How far the issuer's clock may be off.
    pub leeway: Duration,
    /// How long ago a token may have been issued, whatever its `exp`.
    pub max_age: Option<Duration>,
    /// What its roles are.
    pub roles: RoleRules,
    /// Where the scopes stand; by default `scope`, or else `scp`.
    pub scopes: Option<ClaimPath>,
    /// Where the subject's name stands; by default `sub`, or else the client's name.
    pub subject: Option<ClaimPath>,
}

/// Which roles an issuer gives, and what they are called here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRules {
    /// The claims that hold them; those of all of them together count.
    pub claims: Vec<ClaimPath>,
    /// What stands between the roles of a string. `None`: a string is one role.
    pub separator: Option<String>,
    /// What stands before each of them here, so that those of another issuer are not the same. May be empty.
    pub prefix: String,
    /// Beginnings that are other issuers' alone: a role that is spelled so is not given. See [`reserved`].
    pub reserved: Vec<String>,
}

/// Which of all prefixes in a configuration are not for an issuer with this one: those of others, as far as its roles could
/// be spelled so.
pub fn reserved<'a>(prefix: &str, all: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    all.into_iter().filter(|other| other.starts_with(prefix) && *other != prefix).cloned().collect()
}

impl RoleRules {
    /// The roles that stand in this claim, as they are.
    pub fn plain(claim: ClaimPath) -> RoleRules {
        RoleRules { claims: vec![claim], separator: None, prefix: String::new(), reserved: Vec::new() }
    }

    /// The roles of somebody of whom the issuer says this.
    pub fn of(&self, claims: &Claim) -> Vec<String> {
        let found = self.claims.iter().filter_map(|path| claims.at(path));
        // SECURITY: only scopes are words by their standard; a role can have a space in it
        // (a_role_with_a_space_is_one_role).
        let mut names: Vec<String> = found
            .flat_map(|found| match (found, &self.separator) {
                (Claim::Text(text), Some(separator)) => {
                    text.split(separator.as_str()).map(|name| name.trim().to_owned()).collect()
                }
                (_, None) | (_, Some(_)) => found.names(),
            })
            .collect();
        names.retain(|name| !name.trim().is_empty());
        if !self.prefix.is_empty() {
            names.iter_mut().for_each(|name| name.insert_str(0, &self.prefix));
        }
        // SECURITY: an issuer whose roles have no prefix, or a shorter one, can write another's before them
        // (a_role_that_is_spelled_as_anothers_is_not_given).
        names.retain(|name| !self.reserved.iter().any(|other| name.starts_with(other.as_str())));
        names
    }

    /// What is left out, for a listing; empty where nothing is.
    pub fn told(&self) -> String {
        if self.reserved.is_empty() {
            return String::new();
        }
        let reserved: Vec<String> = self.reserved.iter().map(|other| format!("`{other}`")).collect();
        format!(", without roles that begin with {}", reserved.join(" or "))
    }
}

/// What is known of a token's purpose beside what its claims say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is an access token, by its `typ` or by its authorization server's word.
    Access,
    /// Nothing.
    Unsaid,
}

impl Purpose {
    /// What the `typ` of a signed token says (RFC 9068, section 2.1).
    pub fn of_type(typ: Option<&str>) -> Purpose {
        if typ == Some("at+jwt") { Purpose::Access } else { Purpose::Unsaid }
    }
}

/// How a token is bound to its sender (RFC 7800, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The thumbprint of the key that must prove possession (RFC 9449, section 6.1).
    pub key: Option<[u8; 32]>,
    /// The thumbprint of the client certificate (RFC 8705, section 3.1).
    pub certificate: Option<[u8; 32]>,
}

/// A token whose claims were judged.
#[derive(Debug)]
pub struct Judged {
    /// Of whom it speaks.
    pub subject: Subject,
    /// Time since 1970 from which on it is no longer valid.
    pub expires: Duration,
    /// To whom it is bound.
    pub binding: Binding,
}

fn claims(detail: &'static str) -> Denial {
    Denial::new(Code::TokenClaims, detail)
}

/// A moment (NumericDate, RFC 7519, section 2).
fn moment(object: &Claim, name: &str) -> Result<Option<Duration>, Denial> {
    match object.given(name) {
        None => Ok(None),
        Some(Claim::Integer(seconds)) => match u64::try_from(*seconds) {
            Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
            Err(_) => Err(claims("a time before 1970")),
        },
        Some(Claim::Number(seconds)) => {
            Duration::try_from_secs_f64(*seconds).map(Some).map_err(|_| claims("a time that is none"))
        }
        Some(Claim::Null | Claim::Bool(_) | Claim::Text(_) | Claim::List(_) | Claim::Object(_)) => {
            Err(claims("a time that is no number"))
        }
    }
}

/// A name: a string with something in it, and no control characters.
fn name<'a>(object: &'a Claim, member: &str) -> Result<Option<&'a str>, Denial> {
    object.member(member).map(name_of).transpose()
}

fn name_of(value: &Claim) -> Result<&str, Denial> {
    match value.as_text() {
        Some(text) if !text.trim().is_empty() && !text.chars().any(char::is_control) => Ok(text),
        Some(_) | None => Err(claims("a name that is none")),
    }
}

/// The subject's name in another claim than `sub`: a string or a whole number.
fn subject<'a>(object: &'a Claim, path: &ClaimPath) -> Result<Option<Cow<'a, str>>, Denial> {
    match object.at(path) {
        None => Ok(None),
        Some(Claim::Integer(number)) => Ok(Some(Cow::Owned(number.to_string()))),
        Some(value) => name_of(value).map(Cow::Borrowed).map(Some),
    }
}

/// Whether the claims are those of a token that a client must keep for itself: an identity token has a digest of what it
/// was given out with (OpenID Connect Core, section 3.3.2.11), a logout token has events (Back-Channel Logout, section
/// 2.4), Keycloak says the kind of every token as `typ`, and others as `token_use`, `token_type` or `type`. An identity
/// token of the authorization code flow often has nothing but the `nonce` of its login (OpenID Connect Core, section 2),
/// which an access token does not have unless it says that it is one, or what it may be used for.
fn is_for_a_client(object: &Claim, purpose: Purpose) -> bool {
    const KINDS: [&str; 9] = [
        "id_token",
        "refresh",
        "refresh_token",
        "offline",
        "logout",
        "logout_token",
        "serialized-id",
        "registrationaccesstoken",
        "initialaccesstoken",
    ];
    let says = |name: &str, kinds: &[&str]| {
        let said = object.member(name).and_then(Claim::as_text);
        said.is_some_and(|said| kinds.iter().any(|kind| said.eq_ignore_ascii_case(kind)))
    };
    let has = |name: &&str| object.member(name).is_some();
    let answers_a_login = has(&"nonce")
        && purpose == Purpose::Unsaid
        && !says("typ", &["Bearer", "DPoP", "at+jwt"])
        && !["scope", "scp"].iter().any(has);
    ["at_hash", "c_hash", "s_hash", "events"].iter().any(has)
        || answers_a_login
        || ["typ", "token_use", "token_type", "type"].iter().any(|name| says(name, &KINDS))
        || ["typ", "token_use", "token_type"].iter().any(|name| says(name, &["id"]))
}

impl Rules {
    /// Judges the purpose that a signed token says.
    ///
    /// # Errors
    /// It is for another purpose.
    pub fn judge_type(&self, typ: Option<&str>) -> Result<(), Denial> {
        let fits = match self.profile {
            Profile::AccessToken => typ == Some("at+jwt"),
            // SECURITY: a token that was made for something else, such as a DPoP proof, is no credential
            // (an_access_token_says_that_it_is_one).
            Profile::Any | Profile::Access => matches!(typ, None | Some("jwt" | "at+jwt")),
        };
        if fits { Ok(()) } else { Err(Denial::new(Code::TokenType, "it is for another purpose, by its typ")) }
    }

    /// Judges the claims of a token whose signature is good, or whose authorization server vouches for it.
    ///
    /// # Errors
    /// The codes of tokens; each names the claim.
    pub fn judge(
        &self,
        issuer: &str,
        claims_of: Claim,
        purpose: Purpose,
        now: Duration,
    ) -> Result<Judged, Denial> {
        let object = &claims_of;
        // SECURITY: exactly this string; a list, or another spelling of the same URL, is another issuer
        // (each_claim_is_judged).
        if object.member("iss").and_then(Claim::as_text) != Some(issuer) {
            return Err(Denial::new(Code::TokenIssuer, "its iss is not the issuer's"));
        }
        let expires = moment(object, "exp")?.ok_or_else(|| claims("it has no exp"))?;
        if now >= expires.saturating_add(self.leeway) {
            return Err(Denial::new(Code::CredentialExpired, "it has expired"));
        }
        let early = now.saturating_add(self.leeway);
        if moment(object, "nbf")?.is_some_and(|not_before| not_before > early) {
            return Err(Denial::new(Code::TokenNotYetValid, "its nbf is in the future"));
        }
        let issued = moment(object, "iat")?;
        if issued.is_some_and(|issued| issued > early) {
            return Err(Denial::new(Code::TokenNotYetValid, "its iat is in the future"));
        }
        if let Some(max_age) = self.max_age {
            let issued = issued.ok_or_else(|| claims("it has no iat"))?;
            if issued.saturating_add(max_age).saturating_add(self.leeway) <= now {
                return Err(Denial::new(Code::CredentialExpired, "it was issued too long ago"));
            }
        }
        self.judge_audience(object)?;
        // SECURITY: an identity token is signed with the same keys, and every client has one of each user
        // (tests/tokens/attacks.rs).
        if self.profile != Profile::Any && is_for_a_client(object, purpose) {
            return Err(Denial::new(Code::TokenType, "it is for a client and not for an API, by its claims"));
        }
        if self.profile == Profile::AccessToken
            && (issued.is_none() || name(object, "jti")?.is_none() || name(object, "client_id")?.is_none())
        {
            return Err(claims("it lacks iat, jti or client_id, which an access token has"));
        }
        let binding = Binding::of(object)?;
        let optional = |member: &str| match object.given(member) {
            Some(_) => name(object, member),
            None => Ok(None),
        };
        let client = match optional("client_id")? {
            Some(client) => Some(client),
            None => optional("azp")?,
        };
        let subject_name = match &self.subject {
            None => name(object, "sub")?.or(client).map(Cow::Borrowed),
            Some(path) => self::subject(object, path)?,
        };
        let subject_name = subject_name.ok_or_else(|| claims("it has no claim with its subject"))?;
        let client = client.map(str::to_owned);
        let roles = self.roles.of(object);
        let scopes = match &self.scopes {
            Some(path) => object.at(path),
            None => object.member("scope").or_else(|| object.member("scp")),
        };
        let scopes = scopes.map(Claim::words).unwrap_or_default();
        let mut subject = Subject::new(issuer, subject_name.into_owned(), Claim::Null);
        (subject.client, subject.roles, subject.scopes) = (client, roles, scopes);
        subject.claims = claims_of;
        // SECURITY: whoever remembers the token must not remember it for longer (a_token_is_no_older_than_it_may_be).
        let expires = match (self.max_age, issued) {
            (Some(max_age), Some(issued)) => expires.min(issued.saturating_add(max_age)),
            (Some(_), None) | (None, _) => expires,
        };
        Ok(Judged { subject, expires, binding })
    }

    fn judge_audience(&self, object: &Claim) -> Result<(), Denial> {
        let wrong = |detail| Err(Denial::new(Code::TokenAudience, detail));
        let Some(ours) = &self.audience else { return Ok(()) };
        let found = match &self.audience_claim {
            None => object.given("aud"),
            Some(path) => object.at(path).filter(|found| **found != Claim::Null),
        };
        let theirs: Vec<&str> = match found {
            None => return wrong("it has no audience"),
            Some(Claim::Text(audience)) => vec![audience],
            Some(list) => match list.as_texts() {
                Some(list) => list,
                None => return wrong("its audience is neither a string nor a list of strings"),
            },
        };
        if theirs.iter().any(|theirs| ours.iter().any(|ours| ours == theirs)) {
            Ok(())
        } else {
            wrong("it is for somebody else")
        }
    }
}

impl Binding {
    /// The binding that the claim `cnf` says.
    ///
    /// # Errors
    /// It says one that is not known here, or in a form that has no meaning: nobody could show that it is theirs.
    pub fn of(claims: &Claim) -> Result<Binding, Denial> {
        let refused =
            || Denial::new(Code::TokenBinding, "it is bound to its sender in a way that is not known here");
        let Some(confirmation) = claims.given("cnf") else { return Ok(Binding::default()) };
        let Claim::Object(members) = confirmation else { return Err(refused()) };
        let mut binding = Binding::default();
        for (name, value) in members {
            let digest = value.as_text().and_then(|text| super::jws::decode(text).ok());
            let digest: [u8; 32] = digest.and_then(|bytes| bytes.try_into().ok()).ok_or_else(refused)?;
            match name.as_str() {
                "jkt" => binding.key = Some(digest),
                "x5t#S256" => binding.certificate = Some(digest),
                _ => return Err(refused()),
            }
        }
        if binding == Binding::default() { Err(refused()) } else { Ok(binding) }
    }

    /// Whether it binds at all.
    pub fn is_bound(&self) -> bool {
        self.key.is_some() || self.certificate.is_some()
    }
}

#[cfg(test)]
mod tests;
