//! Why a request was refused.
//!
//! A [`Code`] is stable, public in the documentation and present in the record. Of all this the client sees only the
//! HTTP status (see [`crate::answer`]): a wrong key, an expired key and a missing key look the same from outside.

use crate::check::{AnswerFields, CheckId};
use crate::method::MethodSet;
use http::{HeaderName, HeaderValue, StatusCode};
use std::borrow::Cow;
use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal => $status:ident;)+) => {
        /// The closed set of reasons for a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code, in the order of a request's life.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// The stable name, as records and documentation print it.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)+ }
            }

            /// What the client is told.
            pub fn status(self) -> StatusCode {
                match self { $(Code::$name => StatusCode::$status,)+ }
            }

            /// What it means, for the operator.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// A load balancer did not say whose connection it is, in the way that it was said to.
    ProxyHeader = "proxy_header" => BAD_REQUEST;
    /// The connection could not be protected: the client does not speak TLS, not as it is spoken here, or not in time.
    TlsHandshake = "tls_handshake" => BAD_REQUEST;
    /// The client's certificate is missing, or is not one to believe. The connection was closed.
    ClientCertificate = "client_certificate" => BAD_REQUEST;
    /// The client broke the rules of HTTP/2, or flooded the connection with what asks for nothing. It was closed.
    Http2Refused = "http2_refused" => BAD_REQUEST;
    /// The bytes are not an HTTP request.
    MalformedRequest = "malformed_request" => BAD_REQUEST;
    /// The client did not finish its request head in time.
    HeadTimeout = "head_timeout" => REQUEST_TIMEOUT;
    /// The request target is not in a form that a gateway serves.
    TargetForm = "target_form" => BAD_REQUEST;
    /// The path has more than one reading: dot segments, empty segments, encoded slashes, double encoding and the like.
    AmbiguousPath = "ambiguous_path" => BAD_REQUEST;
    /// The query is not well-formed.
    MalformedQuery = "malformed_query" => BAD_REQUEST;
    /// No host, several hosts, or a host that is not one.
    AmbiguousHost = "ambiguous_host" => BAD_REQUEST;
    /// The request says in more than one way where its body ends.
    AmbiguousFraming = "ambiguous_framing" => BAD_REQUEST;
    /// A header field that another server could read as a different one, or that must not be removed.
    AmbiguousHeader = "ambiguous_header" => BAD_REQUEST;
    /// A trusted proxy sent a client address that is not an address.
    ForwardedAddress = "forwarded_address" => BAD_REQUEST;
    /// The request target is longer than the limit.
    TargetTooLong = "target_too_long" => URI_TOO_LONG;
    /// There are too many header fields, or one of them or all together are too large.
    HeadTooLarge = "head_too_large" => REQUEST_HEADER_FIELDS_TOO_LARGE;
    /// No route has this host and path.
    RouteNotFound = "route_not_found" => NOT_FOUND;
    /// A route has this host and path, but not this method.
    MethodNotAllowed = "method_not_allowed" => METHOD_NOT_ALLOWED;
    /// The request wants another protocol on this connection, and the route does not allow it.
    UpgradeRefused = "upgrade_refused" => BAD_REQUEST;
    /// A browser asked whether a page of another origin may send a request. The gateway answered; nothing was refused.
    Preflight = "preflight" => NO_CONTENT;
    /// An operator has blocked the client's address for a time.
    SourceBlocked = "source_blocked" => FORBIDDEN;
    /// The client's address is on the deny list, or not on the allow list.
    AddressRefused = "address_refused" => FORBIDDEN;
    /// The request carries no credential.
    CredentialMissing = "credential_missing" => UNAUTHORIZED;
    /// The request carries a credential more than once.
    CredentialRepeated = "credential_repeated" => UNAUTHORIZED;
    /// The credential is not in a form that could be right.
    CredentialMalformed = "credential_malformed" => UNAUTHORIZED;
    /// Nobody has this credential.
    CredentialUnknown = "credential_unknown" => UNAUTHORIZED;
    /// The credential was right once.
    CredentialExpired = "credential_expired" => UNAUTHORIZED;
    /// The key is good, and not for this address or this route.
    CredentialElsewhere = "credential_elsewhere" => UNAUTHORIZED;
    /// The token is not one: its form, its base64, its JSON or its size.
    TokenMalformed = "token_malformed" => UNAUTHORIZED;
    /// The token is for another purpose, by its `typ`, or has an extension (`crit`) that nobody here knows.
    TokenType = "token_type" => UNAUTHORIZED;
    /// The token says another algorithm than its key has.
    TokenAlgorithm = "token_algorithm" => UNAUTHORIZED;
    /// No key of the issuer has the token's `kid`.
    TokenKeyUnknown = "token_key_unknown" => UNAUTHORIZED;
    /// The token's signature is not the key's.
    TokenSignature = "token_signature" => UNAUTHORIZED;
    /// The token is from an issuer that the route does not accept.
    TokenIssuer = "token_issuer" => UNAUTHORIZED;
    /// The token is for somebody else.
    TokenAudience = "token_audience" => UNAUTHORIZED;
    /// The token lacks a claim that it must have, or has one in a form that has no meaning.
    TokenClaims = "token_claims" => UNAUTHORIZED;
    /// The token is not valid yet.
    TokenNotYetValid = "token_not_yet_valid" => UNAUTHORIZED;
    /// The authorization server says that the token is not active.
    TokenInactive = "token_inactive" => UNAUTHORIZED;
    /// The token is bound to a key or certificate, and the sender has not shown that it is theirs.
    TokenBinding = "token_binding" => UNAUTHORIZED;
    /// The DPoP proof is not one, or is for another request.
    ProofInvalid = "proof_invalid" => UNAUTHORIZED;
    /// The DPoP proof was used before.
    ProofReplayed = "proof_replayed" => UNAUTHORIZED;
    /// The DPoP proof lacks a nonce of this gateway, or has one that is too old.
    ProofNonce = "proof_nonce" => UNAUTHORIZED;
    /// The credentials of the request are good, and belong to different consumers.
    CredentialsDisagree = "credentials_disagree" => UNAUTHORIZED;
    /// Too many wrong credentials came from this source, and this one has not been seen from it before.
    TooManyFailures = "too_many_failures" => TOO_MANY_REQUESTS;
    /// A browser was sent to log in.
    LoginRequired = "login_required" => SEE_OTHER;
    /// A login could not be completed.
    LoginFailed = "login_failed" => BAD_REQUEST;
    /// A request that changes something carries a session, and comes from another site.
    CrossSite = "cross_site" => FORBIDDEN;
    /// The principal has none of the roles that the route asks for.
    RoleMissing = "role_missing" => FORBIDDEN;
    /// The credential may not be used for this: it lacks a scope that the route asks for.
    ScopeMissing = "scope_missing" => FORBIDDEN;
    /// A claim of the principal is not what the route asks for.
    ClaimRefused = "claim_refused" => FORBIDDEN;
    /// The path names something of somebody else.
    NotOwner = "not_owner" => FORBIDDEN;
    /// The route's expression is not true, or could not be evaluated.
    ExpressionRefused = "expression_refused" => FORBIDDEN;
    /// The principal, address or route has used up its limit.
    RateLimited = "rate_limited" => TOO_MANY_REQUESTS;
    /// The body is larger than the route allows.
    BodyTooLarge = "body_too_large" => PAYLOAD_TOO_LARGE;
    /// The request is not what the route's description allows: a parameter, a header field, or whether there is a body.
    RequestInvalid = "request_invalid" => BAD_REQUEST;
    /// The body is not well-formed, or has more than one reading.
    ContentMalformed = "content_malformed" => BAD_REQUEST;
    /// The GraphQL operation asks for more than the route allows, or is of a kind that it does not take.
    GraphqlRefused = "graphql_refused" => BAD_REQUEST;
    /// The body's media type or content coding is not accepted by the route.
    MediaTypeRefused = "media_type_refused" => UNSUPPORTED_MEDIA_TYPE;
    /// The body is well-formed, and not what the route's description allows.
    ContentInvalid = "content_invalid" => UNPROCESSABLE_ENTITY;
    /// The request looks like an attack, by the rules of the route.
    AttackSuspected = "attack_suspected" => FORBIDDEN;
    /// What clients share is used up, or the client's address has its share of it: memory for held bodies, requests at once.
    Overloaded = "overloaded" => SERVICE_UNAVAILABLE;
    /// The client did not send its body in time.
    BodyTimeout = "body_timeout" => REQUEST_TIMEOUT;
    /// The client's body broke off or is not framed as announced.
    BodyMalformed = "body_malformed" => BAD_REQUEST;
    /// The host is served on another listener, with other rules for client certificates than this connection has.
    Misdirected = "misdirected" => MISDIRECTED_REQUEST;
    /// The request has passed this gateway before: an upstream is the gateway itself, or leads back to it.
    LoopDetected = "loop_detected" => LOOP_DETECTED;
    /// No connection to the upstream could be made.
    UpstreamUnreachable = "upstream_unreachable" => BAD_GATEWAY;
    /// The upstream could not prove who it is, or refused the gateway's own certificate.
    UpstreamUntrusted = "upstream_untrusted" => BAD_GATEWAY;
    /// The upstream closed the connection before its answer was complete.
    UpstreamClosed = "upstream_closed" => BAD_GATEWAY;
    /// The upstream's answer is not HTTP.
    UpstreamMalformed = "upstream_malformed" => BAD_GATEWAY;
    /// The upstream did not answer in time.
    UpstreamTimeout = "upstream_timeout" => GATEWAY_TIMEOUT;
    /// The upstream's answer is not what the route's description allows.
    AnswerInvalid = "answer_invalid" => BAD_GATEWAY;
    /// The upstream's answer is too large to be judged.
    AnswerTooLarge = "answer_too_large" => BAD_GATEWAY;
    /// The upstream answered with a server error; its body was replaced.
    UpstreamFailed = "upstream_failed" => INTERNAL_SERVER_ERROR;
    /// A handler inside the process failed.
    HandlerFailed = "handler_failed" => INTERNAL_SERVER_ERROR;
    /// Something that a check needs did not answer, or the gateway itself failed: unsure, so refused.
    Fault = "fault" => SERVICE_UNAVAILABLE;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the answer to a refusal must carry beside its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Nothing.
    None,
    /// The methods that would have been allowed: `Allow` (RFC 9110, section 15.5.6).
    Allow(MethodSet),
    /// How to authenticate: `WWW-Authenticate`, a field for each challenge (RFC 9110, section 11.6.1).
    Challenge(Vec<String>),
    /// When to come back: `Retry-After` in whole seconds, rounded up (RFC 9110, section 10.2.3).
    RetryAfter {
        /// Seconds, at least 1.
        seconds: u64,
    },
}

impl Code {
    /// Whether somebody who guesses credentials gets it.
    pub fn is_wrong_guess(self) -> bool {
        matches!(self, Code::CredentialUnknown | Code::TokenSignature | Code::TokenInactive)
    }
}

/// A refusal: a code for everybody, and details for the record alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Denial(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    code: Code,
    check: Option<CheckId>,
    detail: Cow<'static, str>,
    advice: Advice,
    fields: AnswerFields,
    violations: Vec<Violation>,
    violations_told: bool,
}

/// One thing that is wrong with a body or a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: a JSON Pointer (RFC 6901) into the body, or the name of a parameter. Never a value.
    pub pointer: String,
    /// What, in words fixed at compile time.
    pub detail: &'static str,
}

impl Violation {
    /// The most that a refusal carries; what is more is dropped.
    pub const MOST: usize = 10;
    /// The longest pointer in bytes; a longer one is cut to the nearest member around it.
    pub const LONGEST_POINTER: usize = 256;

    /// This is wrong, there.
    pub fn new(pointer: impl Into<String>, detail: &'static str) -> Violation {
        let mut pointer = pointer.into();
        while pointer.len() > Violation::LONGEST_POINTER {
            pointer.truncate(pointer.rfind('/').unwrap_or(0));
        }
        Violation { pointer, detail }
    }
}

impl Denial {
    /// A refusal for this reason. `detail` goes into the record and never to the client; it must hold no secret.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Denial {
        Denial(Box::new(Inner {
            code,
            check: None,
            detail: detail.into(),
            advice: Advice::None,
            fields: Vec::new(),
            violations: Vec::new(),
            violations_told: false,
        }))
    }

    /// With something that the answer must carry.
    #[must_use]
    pub fn advising(mut self, advice: Advice) -> Denial {
        self.0.advice = advice;
        self
    }

    /// With a field for the answer, beside what the advice gives.
    #[must_use]
    pub fn telling(mut self, name: HeaderName, value: HeaderValue) -> Denial {
        self.0.fields.push((name, value));
        self
    }

    /// With what exactly is wrong, for the record, and for the client where its route tells that. At most
    /// [`Violation::MOST`] are kept.
    #[must_use]
    pub fn pointing_out(mut self, violations: impl IntoIterator<Item = Violation>) -> Denial {
        let room = Violation::MOST.saturating_sub(self.0.violations.len());
        self.0.violations.extend(violations.into_iter().take(room));
        self
    }

    /// With its violations in the answer. The engine says so where a route wants it.
    #[must_use]
    pub(crate) fn told_to_the_client(mut self) -> Denial {
        self.0.violations_told = true;
        self
    }

    /// By this check. The engine says so; a check need not.
    #[must_use]
    pub fn by(mut self, check: CheckId) -> Denial {
        self.0.check = Some(check);
        self
    }

    /// The reason.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The check that refused; `None` where the engine itself did.
    pub fn check(&self) -> Option<CheckId> {
        self.0.check
    }

    /// What exactly was wrong, for the record.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What the answer must carry.
    pub fn advice(&self) -> &Advice {
        &self.0.advice
    }

    /// More fields of the answer.
    pub fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.fields
    }

    /// What the client is told.
    pub fn status(&self) -> StatusCode {
        self.0.code.status()
    }

    /// What exactly is wrong with the request.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// The same, as far as the client is told; none unless the engine has said so.
    pub fn told_violations(&self) -> &[Violation] {
        if self.0.violations_told { &self.0.violations } else { &[] }
    }
}

impl fmt::Debug for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Denial")
            .field("code", &self.0.code.as_str())
            .field("check", &self.0.check.map(CheckId::as_str))
            .field("detail", &self.0.detail)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_an_error_with_a_name_of_its_own() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let login = *code == Code::LoginRequired && code.status() == StatusCode::SEE_OTHER;
            let answered = login || *code == Code::Preflight && code.status() == StatusCode::NO_CONTENT;
            assert!(code.status().is_client_error() || code.status().is_server_error() || answered, "{code}");
            assert!(code.meaning().ends_with('.'), "{code}");
        }
    }
}
