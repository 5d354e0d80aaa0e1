//! Which sessions the provider ends: OpenID Connect Back-Channel Logout 1.0.
//!
//! The provider posts a signed logout token. It must come from this issuer, be for this client, be new, be made for a logout, and
//! not have been used before. Otherwise the answer is 400, and nobody is logged out. The token names a session of the provider, or
//! a user. For a user, all sessions end that have begun by now. The gateway's logs contain neither. If the issuer's keys or the
//! store of used tokens are not available, the answer is 503, and the provider may send the token again.

use super::Login;
use super::config::LEEWAY;
use super::ended::Named;
use crate::token::jws::Jws;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use portcullis_core::endpoint::{Endpoint, refused};
use portcullis_core::head::query;
use portcullis_core::{Claim, ClientAddress, Code, Denial, Effects, Fault, Once, Step};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// What a logout is called among events.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The longest logout token.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// The longest number of one.
const MAX_NUMBER_BYTES: usize = 512;
/// The oldest that is taken. Providers make one when they need it, and try again for a while.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Answers the provider's requests to end sessions.
pub struct BackChannel(pub(super) Arc<Login>);

impl Endpoint for BackChannel {
    fn describe(&self) -> String {
        format!("where {} ends sessions", self.0.session.issuer)
    }

    fn answer<'a>(
        &'a self,
        request: &'a Request<Bytes>,
        effects: &'a dyn Effects,
    ) -> Step<'a, Response<Bytes>> {
        Step::Later(Box::pin(async move {
            match self.0.end_by_provider(request, effects).await {
                Ok(()) => {
                    let mut response = Response::new(Bytes::new());
                    let no_store = HeaderValue::from_static("no-store");
                    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
                    response
                }
                Err(denial) => refused(denial),
            }
        }))
    }
}

/// What a logout token asks for.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    session: Option<String>,
    person: Option<String>,
    number: String,
    /// Time since 1970 until which it could be taken once more.
    until: Duration,
}

fn bad(detail: &'static str) -> Denial {
    Denial::new(Code::LogoutRefused, detail)
}

fn fault(fault: Fault) -> Denial {
    Denial::new(Code::Fault, fault.detail)
}

impl Login {
    async fn end_by_provider(&self, request: &Request<Bytes>, effects: &dyn Effects) -> Result<(), Denial> {
        let body = std::str::from_utf8(request.body()).map_err(|_| bad("its form is not text"))?;
        let token = match query::parameter(Some(body), "logout_token") {
            Once::One(token) if token.len() <= MAX_TOKEN_BYTES => token,
            Once::One(_) => return Err(bad("its token is too long")),
            Once::Absent => return Err(bad("it brings no logout token")),
            Once::Repeated | Once::Unreadable => return Err(bad("it brings several logout tokens")),
        };
        let now = effects.now();
        let jws = Jws::parse(&token).map_err(|_| bad("the logout token cannot be read"))?;
        // SECURITY: before anything is fetched or verified for it, and again by the keys (made_up_logout_tokens_end_nothing).
        let order = order(&jws, &self.session.issuer, &self.client.id, now.unix).map_err(bad)?;
        let loaded = self.loaded(effects).await?;
        self.issuer.verify(&jws, loaded, now.monotonic, effects).await.map_err(|denial| {
            match denial.code() == Code::Fault {
                true => denial,
                false => Denial::new(Code::LogoutRefused, format!("the logout token: {}", denial.detail())),
            }
        })?;
        // SECURITY: a copy of one ends nothing of what has begun since (a_provider_ends_sessions).
        let text = format!("logout {:?} {:?} {}", self.session.issuer, self.client.id, order.number);
        let used = digest(&SHA256, text.as_bytes());
        let used: [u8; 32] = used.as_ref().try_into().map_err(|_| Denial::new(Code::Fault, "no digest"))?;
        let client = request.extensions().get::<ClientAddress>();
        let client = client.map_or(Ipv4Addr::UNSPECIFIED.into(), |client| client.0);
        if !effects.first_use(client, used, order.until).resolve().await.map_err(fault)? {
            return Err(bad("the logout token was used before"));
        }
        if let Err(failed) = self.carry_out(&order, now.unix, effects).await {
            effects.unused(used).resolve().await.map_err(fault)?;
            return Err(fault(failed));
        }
        Ok(())
    }

    async fn carry_out(&self, order: &Order, now: Duration, effects: &dyn Effects) -> Result<(), Fault> {
        let until = now.saturating_add(self.session.lifetime);
        let all = match (&order.session, &order.person) {
            (Some(session), person) => {
                let nameless = person.as_deref().map(|person| (Named::Nameless(person), now));
                [Some((Named::Session(session), Duration::MAX)), nameless]
            }
            (None, person) => [person.as_deref().map(|person| (Named::Person(person), now)), None],
        };
        for (named, by) in all.into_iter().flatten() {
            self.ended.end(&named.name(&self.session), by, until, effects).resolve().await?;
        }
        Ok(())
    }
}

/// What a token asks for whose signature is looked at afterwards (section 2.6).
fn order(jws: &Jws<'_>, issuer: &str, client: &str, now: Duration) -> Result<Order, &'static str> {
    // An ID token or an access token says who somebody is, and nothing of a logout.
    if !matches!(jws.typ.as_deref(), None | Some("jwt" | "logout+jwt")) {
        return Err("the token is for another purpose, by its typ");
    }
    let claims = &jws.claims;
    let text = |name: &str| match claims.given(name) {
        None => Ok(None),
        Some(Claim::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err("a claim of the logout token is no text"),
    };
    if text("iss")?.as_deref() != Some(issuer) {
        return Err("the logout token is of another issuer");
    }
    let audience = claims.member("aud");
    let alone = audience.and_then(Claim::as_text) == Some(client);
    let among = audience.and_then(Claim::as_texts).is_some_and(|all| all.contains(&client));
    if !alone && !among {
        return Err("the logout token is for another client");
    }
    // SECURITY: an ID token has one, and is given to browsers (made_up_logout_tokens_end_nothing).
    if claims.member("nonce").is_some() {
        return Err("the logout token has a nonce, as an ID token has");
    }
    let event = claims.member("events").and_then(|events| events.member(LOGOUT_EVENT));
    if !matches!(event, Some(Claim::Object(_))) {
        return Err("the token is of no logout");
    }
    let moment = |name: &str| match claims.given(name) {
        None => Ok(None),
        Some(Claim::Integer(seconds)) => u64::try_from(*seconds)
            .map(|seconds| Some(Duration::from_secs(seconds)))
            .map_err(|_| "a time before 1970"),
        Some(Claim::Number(seconds)) => {
            Duration::try_from_secs_f64(*seconds).map(Some).map_err(|_| "a time that is none")
        }
        Some(_) => Err("a time of the logout token is no number"),
    };
    let made = moment("iat")?.ok_or("the logout token has no iat")?;
    if made > now.saturating_add(LEEWAY) || now > made.saturating_add(MAX_AGE).saturating_add(LEEWAY) {
        return Err("the logout token is too old, or of the future");
    }
    let mut until = made.saturating_add(MAX_AGE);
    // Older providers leave it out.
    if let Some(expires) = moment("exp")? {
        if now >= expires.saturating_add(LEEWAY) {
            return Err("the logout token has expired");
        }
        until = until.min(expires);
    }
    let number = text("jti")?.filter(|number| (1..=MAX_NUMBER_BYTES).contains(&number.len()));
    let number = number.ok_or("the logout token has no jti")?;
    let (session, person) = (text("sid")?, text("sub")?);
    if session.is_none() && person.is_none() {
        return Err("the logout token names neither session nor person");
    }
    // A second more than it is good, since it may be looked at with a clock that is behind.
    Ok(Order { session, person, number, until: until.saturating_add(LEEWAY) + Duration::from_secs(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64ct::{Base64UrlUnpadded, Encoding};
    use serde_json::{Value, json};

    fn judged(typ: Option<&str>, change: impl FnOnce(&mut Value)) -> Result<Order, &'static str> {
        let mut claims = json!({
            "iss": "https://issuer.example", "aud": "gate", "iat": 1000, "exp": 1120, "jti": "n", "sub": "alice", "sid": "s",
            "events": { LOGOUT_EVENT: {} },
        });
        change(&mut claims);
        let mut header = json!({ "alg": "RS256" });
        if let Some(typ) = typ {
            header["typ"] = json!(typ);
        }
        let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
        let token = format!("{}.{}.AA", part(&header), part(&claims));
        order(&Jws::parse(&token).unwrap(), "https://issuer.example", "gate", Duration::from_secs(1010))
    }

    #[test]
    fn a_logout_token_is_what_the_standard_says() {
        for typ in [None, Some("JWT"), Some("logout+jwt"), Some("application/logout+jwt")] {
            let order = judged(typ, |_| {}).unwrap();
            assert_eq!((order.session.as_deref(), order.person.as_deref()), (Some("s"), Some("alice")));
            assert_eq!(order.until, Duration::from_secs(1151));
        }
        for good in [
            json!({ "aud": ["other", "gate"] }),
            json!({ "sid": null }),
            json!({ "sub": null }),
            json!({ "exp": null }),
            json!({ "iat": 1000.5 }),
            json!({ "iat": 1040 }),
            json!({ "iat": 380, "exp": null }),
            json!({ "exp": 981 }),
            json!({ "events": { LOGOUT_EVENT: {}, "urn:other": 1 } }),
        ] {
            let added = |claims: &mut Value| {
                claims.as_object_mut().unwrap().extend(good.as_object().unwrap().clone())
            };
            assert!(judged(None, added).is_ok(), "{good}");
        }
        for (bad, why) in [
            (json!({ "iss": "https://issuer.example/" }), "another issuer"),
            (json!({ "iss": null }), "another issuer"),
            (json!({ "aud": "gate2" }), "another client"),
            (json!({ "aud": null }), "another client"),
            (json!({ "aud": [["gate"]] }), "another client"),
            (json!({ "nonce": "n" }), "nonce"),
            (json!({ "nonce": null }), "nonce"),
            (json!({ "events": null }), "no logout"),
            (json!({ "events": [LOGOUT_EVENT] }), "no logout"),
            (json!({ "events": { LOGOUT_EVENT: null } }), "no logout"),
            (json!({ "events": { "urn:other": {} } }), "no logout"),
            (json!({ "iat": null }), "no iat"),
            (json!({ "iat": "1000" }), "no number"),
            (json!({ "iat": -1 }), "before 1970"),
            (json!({ "iat": 1e300 }), "none"),
            (json!({ "iat": 1041 }), "of the future"),
            (json!({ "iat": 379, "exp": null }), "too old"),
            (json!({ "exp": 980 }), "expired"),
            (json!({ "exp": 0 }), "expired"),
            (json!({ "jti": null }), "no jti"),
            (json!({ "jti": "" }), "no jti"),
            (json!({ "jti": 7 }), "no text"),
            (json!({ "jti": "x".repeat(513) }), "no jti"),
            (json!({ "sid": null, "sub": null }), "neither"),
            (json!({ "sid": 7 }), "no text"),
            (json!({ "sub": ["alice"] }), "no text"),
        ] {
            let added =
                |claims: &mut Value| claims.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
            let said = judged(None, added).unwrap_err();
            assert!(said.contains(why), "{bad}: {said}");
        }
        for typ in ["at+jwt", "id_token", "secevent+jwt", "logout"] {
            assert!(judged(Some(typ), |_| {}).unwrap_err().contains("typ"), "{typ}");
        }
    }
}
