//! What is told of a decision.

use http::{HeaderMap, StatusCode};
use portcullis_core::{Consumers, Denial, Identity, Mode, RouteId};
use serde_json::{Value, json};

/// A stage of a request's life; each has its place in `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its bytes are read as a message.
    Read,
    /// It gets its one reading, or none.
    Admit,
    /// Its route is found.
    Route,
    /// What anybody must pass.
    Screen,
    /// Who sends it.
    Authenticate,
    /// Whether they may.
    Authorize,
    /// How much.
    Charge,
    /// What is added for the upstream.
    Shape,
    /// What it carries.
    Inspect,
    /// It goes to its upstream.
    Forward,
}

impl Stage {
    /// Every stage in its order.
    pub const ALL: [Stage; 10] = [
        Stage::Read,
        Stage::Admit,
        Stage::Route,
        Stage::Screen,
        Stage::Authenticate,
        Stage::Authorize,
        Stage::Charge,
        Stage::Shape,
        Stage::Inspect,
        Stage::Forward,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Admit => "admit",
            Stage::Route => "route",
            Stage::Screen => "screen",
            Stage::Authenticate => "authenticate",
            Stage::Authorize => "authorize",
            Stage::Charge => "charge",
            Stage::Shape => "shape",
            Stage::Inspect => "inspect",
            Stage::Forward => "forward",
        }
    }

    /// The stage in which the check with this name runs. `None` for a name that is no check's.
    pub fn of_check(id: &str) -> Option<Stage> {
        Some(match id.split('.').next().unwrap_or_default() {
            "screen" => Stage::Screen,
            "authn" => Stage::Authenticate,
            "authz" => Stage::Authorize,
            "quota" => Stage::Charge,
            "shape" => Stage::Shape,
            "inspect" => Stage::Inspect,
            _ => return None,
        })
    }
}

/// What one check said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It lets the request on.
    Passed,
    /// It knows who it is.
    Identified,
    /// Its credential is not there.
    Absent,
    /// It counted the request; so many more could come now.
    Counted {
        /// How many more.
        remaining: u32,
    },
    /// It refuses.
    Refused(Refusal),
}

/// A check and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckVerdict {
    /// Its name.
    pub check: &'static str,
    /// What its refusal does.
    pub mode: Mode,
    /// What it said.
    pub said: Said,
}

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: &'static str,
    /// The check, unless it is the engine itself.
    pub check: Option<&'static str>,
    /// What the client gets.
    pub status: StatusCode,
    /// What the record says, and the client never sees.
    pub detail: String,
}

impl Refusal {
    pub(super) fn of(denial: &Denial) -> Refusal {
        Refusal {
            code: denial.code().as_str(),
            check: denial.check().map(portcullis_core::CheckId::as_str),
            status: denial.status(),
            detail: denial.detail().to_owned(),
        }
    }

    fn json(&self) -> Value {
        json!({ "code": self.code, "check": self.check, "status": self.status.as_u16(), "detail": self.detail })
    }
}

/// A request as it goes upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where it goes, as the configuration says it.
    pub target: String,
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// The host that the client asked for.
    pub host: String,
    /// Its fields, without those of the connection. Holds no credential unless the configuration forwards it.
    pub headers: Vec<(String, String)>,
}

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name.
    pub name: String,
    /// The issuer that knows it; `None` for a consumer.
    pub issuer: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// The check that found out.
    pub by: Option<&'static str>,
}

impl Principal {
    pub(super) fn of(principal: &portcullis_core::Principal, consumers: &Consumers) -> Option<Principal> {
        if matches!(principal.identity(), Identity::Anonymous) {
            return None;
        }
        Some(Principal {
            name: principal.name(consumers).unwrap_or_default().to_owned(),
            issuer: principal.as_subject().map(|subject| subject.issuer.to_string()),
            roles: principal.roles(consumers).to_vec(),
            scopes: principal.scopes(consumers).to_vec(),
            by: principal.authenticated_by().map(portcullis_core::CheckId::as_str),
        })
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes to its upstream.
    Forwarded(Upstream),
    /// It is refused.
    Refused(Refusal),
    /// That depends on something which is not here.
    Unknown {
        /// On what.
        because: String,
    },
}

/// What became of a request, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The stage that it reached.
    pub stage: Stage,
    /// What was decided.
    pub decision: Decision,
    /// Its route, once it has one.
    pub route: Option<RouteId>,
    /// Whether nobody is asked who they are on that route.
    pub public: bool,
    /// Who sends it, once that is known.
    pub principal: Option<Principal>,
    /// What each check said, in the order in which they were asked. Empty without [`Tracing::Checks`](super::Tracing).
    pub checks: Vec<CheckVerdict>,
    /// What checks that only observe would have refused.
    pub observed: Vec<Refusal>,
    /// The status of the answer; `None` where the upstream answers.
    pub status: Option<StatusCode>,
    /// The fields of the gateway's answer, or those that it adds to the upstream's.
    pub answer_headers: Vec<(String, String)>,
}

impl Verdict {
    /// Whether the request goes to its upstream.
    pub fn is_forwarded(&self) -> bool {
        matches!(self.decision, Decision::Forwarded(_))
    }

    /// Why it was refused, if it was.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.decision {
            Decision::Refused(refusal) => Some(refusal),
            Decision::Forwarded(_) | Decision::Unknown { .. } => None,
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let checks: Vec<_> = self.checks.iter().map(CheckVerdict::json).collect();
        let observed: Vec<_> = self.observed.iter().map(Refusal::json).collect();
        let principal = self.principal.as_ref().map(|principal| {
            json!({
                "name": principal.name, "issuer": principal.issuer, "roles": principal.roles,
                "scopes": principal.scopes, "by": principal.by,
            })
        });
        let mut object = json!({
            "stage": self.stage.as_str(),
            "principal": principal,
            "checks": checks,
            "observed": observed,
        });
        let said = match &self.decision {
            Decision::Forwarded(upstream) => [
                ("decision", json!("forwarded")),
                (
                    "upstream",
                    json!({
                        "target": upstream.target, "method": upstream.method, "path": upstream.path,
                        "host": upstream.host, "headers": pairs(&upstream.headers),
                    }),
                ),
            ],
            Decision::Refused(refusal) => [("decision", json!("refused")), ("refusal", refusal.json())],
            Decision::Unknown { because } => [("decision", json!("unknown")), ("because", json!(because))],
        };
        if let Some(object) = object.as_object_mut() {
            object.extend(said.map(|(key, value)| (key.to_owned(), value)));
        }
        object
    }
}

fn pairs(headers: &[(String, String)]) -> Vec<Value> {
    headers.iter().map(|(name, value)| json!([name, value])).collect()
}

impl CheckVerdict {
    fn json(&self) -> Value {
        let mut object = json!({ "check": self.check, "mode": self.mode.as_str() });
        let said = match &self.said {
            Said::Passed => json!({ "said": "passed" }),
            Said::Identified => json!({ "said": "identified" }),
            Said::Absent => json!({ "said": "absent" }),
            Said::Counted { remaining } => json!({ "said": "counted", "remaining": remaining }),
            Said::Refused(refusal) => json!({ "said": "refused", "refusal": refusal.json() }),
        };
        if let (Some(object), serde_json::Value::Object(said)) = (object.as_object_mut(), said) {
            object.extend(said);
        }
        object
    }
}

/// Fields as text.
pub(super) fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
