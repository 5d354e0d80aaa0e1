//! A session: who logged in, what is known of them, and how long that is believed.
//!
//! The browser keeps it, sealed. It ends at its age, and when it was not used for too long; a session of the future, which a
//! clock that was set back leaves behind, has ended too. Little is kept, so that it fits into a cookie: the subject, the
//! claims that the configuration names, the scopes, and a refresh token if the provider gave one.

use crate::token::json;
use crate::token::rules::RoleRules;
use portcullis_core::{Claim, ClaimPath, Subject};
use serde_json::{Map, Value, json};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How far the clocks of two gateways may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// A session is told that it was used again when this part of its idle time has passed.
const NEWS: u32 = 10;

/// What a session is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRules {
    /// Who vouches for its subject.
    pub issuer: String,
    /// The gateway's client id there.
    pub client: String,
    /// What the roles are, among the claims.
    pub roles: RoleRules,
    /// The claims that are kept, besides the roles.
    pub claims: Vec<ClaimPath>,
    /// How long a session lasts, however much it is used.
    pub lifetime: Duration,
    /// How long it lasts without being used.
    pub idle: Duration,
    /// Whether the provider may end it.
    pub ended_by_provider: bool,
    /// Whether the ID token is kept for the logout.
    pub keeps_id_token: bool,
    /// The most bytes of its cookies.
    pub max_bytes: usize,
}

/// With what, and when, a session is refreshed.
#[derive(Clone, PartialEq)]
pub struct Renewal {
    /// From when on it is tried.
    pub due: Duration,
    /// From when on the session is nothing without it.
    pub over: Duration,
    /// The refresh token.
    pub token: Zeroizing<String>,
}

/// A session. All times are since 1970, in whole seconds.
#[derive(Clone, PartialEq)]
pub struct Session {
    /// The nonce of its login, which is a number of its own.
    pub id: String,
    /// Whom the provider vouches for.
    pub subject: String,
    /// The claims that are kept: an object.
    pub claims: Claim,
    /// What the provider calls the session, by which it can end it.
    pub sid: Option<String>,
    /// The ID token, for logging out at the provider.
    pub id_token: Option<Zeroizing<String>>,
    /// What the provider granted.
    pub scopes: Vec<String>,
    /// When it began.
    pub started: Duration,
    /// When it was used, with the precision that the idle time needs.
    pub seen: Duration,
    /// `None` where the provider gave no refresh token.
    pub renewal: Option<Renewal>,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is good.
    Good,
    /// It is good, and should be refreshed.
    Due,
    /// It must be refreshed.
    Over,
    /// It is over for good, and this is why.
    Ended(&'static str),
}

// SECURITY: neither subject nor tokens show (a_session_shows_nothing).
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("started", &self.started).finish_non_exhaustive()
    }
}

impl Session {
    /// How it stands now.
    pub fn standing(&self, now: Duration, rules: &SessionRules) -> Standing {
        let newest = now.saturating_add(CLOCK_SKEW);
        if self.started > newest || self.seen > newest {
            return Standing::Ended("it is of the future");
        }
        if now >= self.started.saturating_add(rules.lifetime) {
            return Standing::Ended("its lifetime is over");
        }
        if now >= self.seen.saturating_add(rules.idle) {
            return Standing::Ended("it was not used for too long");
        }
        match &self.renewal {
            Some(renewal) if now >= renewal.over => Standing::Over,
            Some(renewal) if now >= renewal.due => Standing::Due,
            Some(_) | None => Standing::Good,
        }
    }

    /// Whether the browser should be told that it was used.
    pub fn is_news(&self, now: Duration, rules: &SessionRules) -> bool {
        now >= self.seen.saturating_add(rules.idle / NEWS)
    }

    /// How long it lasts from now on if it is not used again.
    pub fn remaining(&self, now: Duration, rules: &SessionRules) -> Duration {
        let end = self.started.saturating_add(rules.lifetime);
        end.min(self.seen.saturating_add(rules.idle)).saturating_sub(now)
    }

    /// Whom it stands for.
    pub fn to_subject(&self, rules: &SessionRules) -> Arc<Subject> {
        let mut members = vec![
            ("iss".to_owned(), Claim::Text(rules.issuer.clone())),
            ("sub".to_owned(), Claim::Text(self.subject.clone())),
        ];
        if let Claim::Object(kept) = &self.claims {
            members.extend(kept.iter().filter(|(name, _)| name != "iss" && name != "sub").cloned());
        }
        let claims = Claim::Object(members);
        let mut subject = Subject::new(rules.issuer.clone(), self.subject.clone(), Claim::Null);
        subject.roles = rules.roles.of(&claims);
        subject.scopes.clone_from(&self.scopes);
        subject.client = Some(rules.client.clone());
        subject.claims = claims;
        Arc::new(subject)
    }

    /// What is sealed.
    pub fn encode(&self) -> Vec<u8> {
        let seconds = |time: Duration| json!(time.as_secs());
        let mut members = Map::new();
        let mut add = |name: &str, value: Value| members.insert(name.to_owned(), value);
        add("id", json!(self.id));
        add("sub", json!(self.subject));
        add("claims", json::plain(&self.claims));
        add("scope", json!(self.scopes.join(" ")));
        add("started", seconds(self.started));
        add("seen", seconds(self.seen));
        if let Some(sid) = &self.sid {
            add("sid", json!(sid));
        }
        if let Some(token) = &self.id_token {
            add("id_token", json!(**token));
        }
        if let Some(renewal) = &self.renewal {
            add("due", seconds(renewal.due));
            add("over", seconds(renewal.over));
            add("refresh", json!(*renewal.token));
        }
        Value::Object(members).to_string().into_bytes()
    }

    /// What was sealed. `None` for anything that [`Session::encode`] did not make.
    pub fn decode(bytes: &[u8]) -> Option<Session> {
        let document = json::object(bytes).ok()?;
        let text = |name: &str| document.member(name).and_then(Claim::as_text).map(str::to_owned);
        let moment = |name: &str| match document.member(name) {
            Some(Claim::Integer(seconds)) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            Some(
                Claim::Null
                | Claim::Bool(_)
                | Claim::Number(_)
                | Claim::Text(_)
                | Claim::List(_)
                | Claim::Object(_),
            )
            | None => None,
        };
        let renewal = match text("refresh") {
            None => None,
            Some(token) => {
                Some(Renewal { due: moment("due")?, over: moment("over")?, token: Zeroizing::new(token) })
            }
        };
        Some(Session {
            id: text("id")?,
            subject: text("sub")?,
            claims: document.member("claims")?.clone(),
            sid: text("sid"),
            id_token: text("id_token").map(Zeroizing::new),
            scopes: document.member("scope")?.words(),
            started: moment("started")?,
            seen: moment("seen")?,
            renewal,
        })
    }
}

impl SessionRules {
    /// What is kept of the claims of an ID token.
    pub fn keep(&self, claims: &Claim) -> Claim {
        let mut kept = Vec::new();
        for path in self.claims.iter().chain(&self.roles.claims) {
            if let Some(found) = claims.at(path) {
                place(&mut kept, path.names(), found);
            }
        }
        Claim::Object(kept)
    }
}

/// Puts `found` where `names` say. What stands there already stays.
fn place(members: &mut Vec<(String, Claim)>, names: &[String], found: &Claim) {
    let Some((name, inner)) = names.split_first() else { return };
    let there = members.iter_mut().find(|(there, _)| there == name).map(|(_, value)| value);
    match (there, inner) {
        (Some(Claim::Object(below)), [_, ..]) => place(below, inner, found),
        (Some(_), _) => {}
        (None, []) => members.push((name.clone(), found.clone())),
        (None, [_, ..]) => {
            let mut below = Vec::new();
            place(&mut below, inner, found);
            members.push((name.clone(), Claim::Object(below)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn rules() -> SessionRules {
        SessionRules {
            issuer: "https://issuer.example".into(),
            client: "gateway".into(),
            roles: RoleRules::plain(ClaimPath::parse("realm_access.roles").unwrap()),
            claims: vec![ClaimPath::parse("email").unwrap(), ClaimPath::parse("realm_access.level").unwrap()],
            lifetime: seconds(1000),
            idle: seconds(100),
            ended_by_provider: true,
            keeps_id_token: true,
            max_bytes: 6000,
        }
    }

    fn session() -> Session {
        let claims = json::object(
            br#"{"iss":"x","sub":"y","email":"a@example.com","phone":"1","realm_access":{"roles":["user"],"level":2,"other":[1]}}"#,
        );
        Session {
            id: "nonce".into(),
            subject: "alice".into(),
            claims: rules().keep(&claims.unwrap()),
            sid: Some("sid".into()),
            id_token: Some("i".to_owned().into()),
            scopes: vec!["openid".into(), "orders".into()],
            started: seconds(5000),
            seen: seconds(5000),
            renewal: Some(Renewal { due: seconds(5040), over: seconds(5050), token: "r".to_owned().into() }),
        }
    }

    #[test]
    fn what_is_kept_comes_back() {
        let session = session();
        let kept = json::plain(&session.claims);
        assert_eq!(
            kept,
            json!({ "email": "a@example.com", "realm_access": { "roles": ["user"], "level": 2 } })
        );
        assert_eq!(Session::decode(&session.encode()), Some(session.clone()));
        let bare = Session { renewal: None, sid: None, id_token: None, ..session.clone() };
        assert_eq!(Session::decode(&bare.encode()), Some(bare));
        let subject = session.to_subject(&rules());
        assert_eq!((subject.name.as_str(), subject.issuer.as_str()), ("alice", "https://issuer.example"));
        assert_eq!((subject.roles.as_slice(), subject.scopes.len()), (&["user".to_owned()][..], 2));
        assert_eq!(subject.claims.member("iss").and_then(Claim::as_text), Some("https://issuer.example"));
        assert_eq!(subject.claims.member("phone"), None);
    }

    #[test]
    fn the_provider_alone_says_who_it_is() {
        let claims = json::object(br#"{"iss":"https://other.example","sub":"bob","level":1}"#).unwrap();
        let subject = Session { claims, ..session() }.to_subject(&rules());
        let expected = json!({ "iss": "https://issuer.example", "sub": "alice", "level": 1 });
        assert_eq!(json::plain(&subject.claims), expected);
        let Claim::Object(members) = &subject.claims else { panic!("{:?}", subject.claims) };
        assert_eq!(members.len(), 3, "nothing has two values");
    }

    #[test]
    fn a_session_ends_at_its_age_and_when_it_is_left_alone() {
        let at = |session: &Session, now: u64| session.standing(seconds(now), &rules());
        let session = session();
        assert_eq!(at(&session, 5000), Standing::Good);
        assert_eq!(at(&session, 5040), Standing::Due);
        assert_eq!(at(&session, 5050), Standing::Over);
        assert!(matches!(at(&session, 5100), Standing::Ended(_)), "idle");
        let used = Session { seen: seconds(5990), renewal: None, ..session.clone() };
        assert_eq!(at(&used, 5999), Standing::Good);
        assert!(matches!(at(&used, 6000), Standing::Ended(_)), "old, however much it is used");
        assert_eq!(used.remaining(seconds(5995), &rules()), seconds(5));
        assert_eq!(session.remaining(seconds(5010), &rules()), seconds(90));
        assert_eq!(at(&session, 4941), Standing::Good, "another gateway's clock");
        assert!(matches!(at(&session, 4000), Standing::Ended(_)), "a clock that was set back");
        assert_eq!(at(&session, 4940), Standing::Good, "just as far as clocks may differ");
        let began = Session { seen: seconds(4900), ..session.clone() };
        let seen = Session { started: seconds(4900), ..session.clone() };
        for (which, future) in [("began", began), ("seen", seen)] {
            assert_eq!(at(&future, 4939), Standing::Ended("it is of the future"), "{which}");
        }
        assert!(!session.is_news(seconds(5009), &rules()));
        assert!(session.is_news(seconds(5010), &rules()));
    }

    #[test]
    fn what_is_no_session_is_none() {
        let good = String::from_utf8(session().encode()).unwrap();
        for bad in [
            good.replace("\"sub\"", "\"s\""),
            good.replace("5000", "-1"),
            good.replace("5000", "\"5000\""),
            good.replace("\"due\"", "\"d\""),
            good.replace('}', ""),
            String::new(),
            "{}".to_owned(),
        ] {
            assert_eq!(Session::decode(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_session_shows_nothing() {
        let shown = format!("{:?}", session());
        assert!(shown.contains("Session") && shown.contains("5000"), "{shown}");
        assert!(!shown.contains("alice") && !shown.contains("nonce") && !shown.contains('@'), "{shown}");
    }
}
