//! What a detector gets to know of a record: an event of a fixed size, without a credential, a query or a body.

use super::Detection;
use portcullis_core::check::Authentication;
use portcullis_core::head::client::fold;
use portcullis_core::principal::Identity;
use portcullis_core::{Code, Denial, Outcome, Plan, Record, RecordSink};
use portcullis_detect::{Ending, Event, Moment, Name, Text, Who};
use std::hash::BuildHasher;
use std::sync::Arc;

/// The records of one plan, as events.
pub struct PlanEvents {
    detection: Arc<Detection>,
    /// By the number of a route in the plan: its number here, and whether it is public.
    routes: Box<[(u32, bool)]>,
    consumers: Box<[Name]>,
}

impl PlanEvents {
    pub(super) fn new(detection: Arc<Detection>, plan: &Plan) -> PlanEvents {
        let shared = &detection.shared;
        let routes = plan.routes.iter().map(|route| {
            let public = matches!(route.controls.authentication, Authentication::Public { .. });
            (shared.routes.number(&route.path), public)
        });
        let routes = routes.collect();
        let consumers = plan.consumers.iter().map(|one| name(&detection, &one.name)).collect();
        PlanEvents { detection, routes, consumers }
    }

    fn who(&self, record: &Record, denial: Option<&Denial>) -> Who {
        let principal = record.principal.as_ref();
        let established = match principal.map(portcullis_core::Principal::identity) {
            None | Some(Identity::Anonymous) => None,
            Some(Identity::Consumer(id)) => self.consumers.get(id.0 as usize).copied(),
            Some(Identity::Stored(profile)) => Some(name(&self.detection, &profile.consumer)),
            Some(Identity::Subject(subject)) => {
                let number = self.detection.shared.hasher.hash_one(&subject.key);
                Some(Name { number, text: Text::new(&subject.name) })
            }
        };
        match (established, denial.and_then(Denial::tried).and_then(|tried| tried.consumer.as_deref())) {
            (Some(name), _) => Who::Is(name),
            (None, Some(claimed)) => Who::Claims(name(&self.detection, claimed)),
            (None, None) => Who::Nobody,
        }
    }

    fn credential(&self, record: &Record) -> Option<u64> {
        let first = record.principal.as_ref()?.evidence().next()?;
        let hasher = &self.detection.shared.hasher;
        Some(match (first.key, first.fingerprint, &first.ground) {
            (Some(key), _, _) => hasher.hash_one(key),
            (None, Some(fingerprint), _) => fingerprint.0,
            (None, None, Some(ground)) => match &ground.credential {
                portcullis_core::CredentialName::Digest(digest)
                | portcullis_core::CredentialName::Token { digest, .. } => hasher.hash_one(digest),
                portcullis_core::CredentialName::Text(text) => hasher.hash_one(text),
            },
            (None, None, None) => return None,
        })
    }

    fn event(&self, record: &Record) -> Event {
        let hasher = &self.detection.shared.hasher;
        let refused = match &record.outcome {
            Outcome::Refused(denial) | Outcome::Failed(denial) => Some(denial),
            Outcome::Served | Outcome::Aborted => None,
        };
        // What would have been refused is as remarkable.
        let denial = refused.or(record.observed.first());
        let ending = match (&record.outcome, denial) {
            (Outcome::Aborted, None) => Ending::Aborted,
            (Outcome::Failed(_), _) => Ending::Failed,
            (_, Some(denial)) => ending(denial.code()),
            (Outcome::Served | Outcome::Refused(_), None) => Ending::Served,
        };
        let status = record.status.map_or(0, |status| status.as_u16());
        let place = record.route.and_then(|id| self.routes.get(id.0 as usize));
        let (route, public) = place.copied().unwrap_or((0, false));
        // Only of what went wrong anybody asks for the path.
        let wrong = ending != Ending::Served || status >= 400;
        let path = record.target.as_ref().filter(|_| wrong).map(http::uri::PathAndQuery::path);
        let mistake = match (wrong, denial) {
            (false, _) => 0,
            (true, Some(denial)) => match denial.violations() {
                [] => hasher.hash_one(denial.detail()),
                [first, ..] => hasher.hash_one((&first.pointer, first.detail)),
            },
            // The upstream says what is wrong to the client alone: what was sent stands for it.
            (true, None) => {
                hasher.hash_one((record.target.as_ref().map(|it| it.as_str()), record.bytes_received()))
            }
        };
        Event {
            at: Moment {
                steady: record.arrived.monotonic.saturating_add(record.elapsed),
                unix: record.arrived.unix.saturating_add(record.elapsed),
            },
            source: fold(record.client.unwrap_or(record.peer.ip())),
            who: self.who(record, denial),
            credential: self.credential(record),
            tried: denial.and_then(Denial::tried).map(|tried| tried.credential.0),
            route,
            path: path.map_or(0, |path| hasher.hash_one(path)),
            path_text: path.map(Text::new).unwrap_or_default(),
            ending,
            status,
            received: record.bytes_received(),
            sent: record.bytes_sent,
            mistake,
            unasked_credential: record.unasked_credential,
            public,
        }
    }
}

fn name(detection: &Detection, text: &str) -> Name {
    Name { number: detection.shared.hasher.hash_one(text), text: Text::new(text) }
}

impl RecordSink for PlanEvents {
    fn write(&self, record: &Record, _: &Plan) {
        self.detection.put(self.event(record));
    }

    fn wants_unasked_credentials(&self) -> bool {
        true
    }
}

/// What a reason for a refusal is to a detector.
fn ending(code: Code) -> Ending {
    match code {
        Code::CredentialUnknown | Code::TokenSignature | Code::TokenInactive | Code::TooManyFailures => {
            Ending::WrongCredential
        }
        Code::CredentialMissing | Code::LoginRequired => Ending::NoCredential,
        Code::CredentialExpired
        | Code::CredentialElsewhere
        | Code::TokenMalformed
        | Code::TokenKeyUnknown
        | Code::TokenAlgorithm
        | Code::TokenIssuer
        | Code::TokenAudience
        | Code::TokenType
        | Code::TokenClaims
        | Code::TokenNotYetValid
        | Code::TokenBinding
        | Code::ProofInvalid
        | Code::ProofNonce
        | Code::CredentialsDisagree
        | Code::SignatureInvalid
        | Code::CredentialRepeated
        | Code::CredentialMalformed => Ending::StaleCredential,
        Code::ProofReplayed | Code::SignatureReplayed => Ending::Replayed,
        Code::RoleMissing
        | Code::ScopeMissing
        | Code::ClaimRefused
        | Code::ExpressionRefused
        | Code::ExternalRefused => Ending::Forbidden,
        Code::NotOwner => Ending::NotOwner,
        Code::RouteNotFound | Code::MethodNotAllowed => Ending::NotFound,
        Code::MalformedRequest
        | Code::TargetForm
        | Code::AmbiguousPath
        | Code::MalformedQuery
        | Code::AmbiguousHost
        | Code::AmbiguousFraming
        | Code::AmbiguousHeader
        | Code::TargetTooLong
        | Code::HeadTooLarge => Ending::Malformed,
        Code::RateLimited => Ending::Limited,
        Code::RequestInvalid
        | Code::ContentMalformed
        | Code::ContentInvalid
        | Code::GraphqlRefused
        | Code::MediaTypeRefused => Ending::Invalid,
        Code::AttackSuspected => Ending::Attack,
        Code::SourceBlocked => Ending::Blocked,
        Code::UpstreamUnreachable
        | Code::UpstreamUntrusted
        | Code::UpstreamClosed
        | Code::UpstreamMalformed
        | Code::UpstreamTimeout
        | Code::UpstreamFailed
        | Code::UpstreamBusy
        | Code::AnswerInvalid
        | Code::AnswerLeaks
        | Code::AnswerTooLarge
        | Code::HandlerFailed
        | Code::Overloaded
        | Code::Fault => Ending::Failed,
        Code::ProxyHeader
        | Code::TlsHandshake
        | Code::ClientCertificate
        | Code::Http2Refused
        | Code::HeadTimeout
        | Code::ForwardedAddress
        | Code::UpgradeRefused
        | Code::Preflight
        | Code::GraphqlQueryUnknown
        | Code::AddressRefused
        | Code::LoginFailed
        | Code::LogoutRefused
        | Code::CrossSite
        | Code::BodyTooLarge
        | Code::BodyTimeout
        | Code::BodyMalformed
        | Code::Misdirected
        | Code::LoopDetected => Ending::Other,
    }
}
