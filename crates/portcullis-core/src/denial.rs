//! Why a request was refused.
//!
//! A [`Code`] is stable, public in the documentation and present in the record. Of all this the client sees only the
//! HTTP status (see [`crate::answer`]): a wrong key, an expired key and a missing key look the same from outside.

use crate::check::{AnswerFields, CheckId};
use crate::method::MethodSet;
use crate::page::Page;
use crate::principal::Fingerprint;
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
    /// A load balancer listed in `proxy_protocol_from` sent no valid PROXY protocol header. The connection was closed.
    ProxyHeader = "proxy_header" => BAD_REQUEST;
    /// The TLS handshake failed: the client speaks no TLS, no version or cipher suite that is enabled, or was too slow.
    TlsHandshake = "tls_handshake" => BAD_REQUEST;
    /// The client certificate is missing, expired, revoked or from an untrusted CA. The connection was closed.
    ClientCertificate = "client_certificate" => BAD_REQUEST;
    /// The client broke the rules of HTTP/2, or sent too many control bytes or resets for its requests. The connection was closed.
    Http2Refused = "http2_refused" => BAD_REQUEST;
    /// The bytes are not an HTTP request.
    MalformedRequest = "malformed_request" => BAD_REQUEST;
    /// The client did not finish its request head in time.
    HeadTimeout = "head_timeout" => REQUEST_TIMEOUT;
    /// The request target has a form that is not allowed here, such as a full URL for another host, or a fragment.
    TargetForm = "target_form" => BAD_REQUEST;
    /// The path has more than one reading: dot segments, empty segments, encoded slashes, double encoding and the like.
    AmbiguousPath = "ambiguous_path" => BAD_REQUEST;
    /// The query is not well-formed.
    MalformedQuery = "malformed_query" => BAD_REQUEST;
    /// The host is missing, repeated or invalid.
    AmbiguousHost = "ambiguous_host" => BAD_REQUEST;
    /// The length of the body is ambiguous, such as two `Content-Length` headers.
    AmbiguousFraming = "ambiguous_framing" => BAD_REQUEST;
    /// A header that another server could read as a different one, such as `X_Forwarded_For`, or a `Connection` header that names a header that must stay.
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
    /// The client's address is blocked for a time, or this consumer at this address: by an operator, or for a finding.
    SourceBlocked = "source_blocked" => FORBIDDEN;
    /// The client's address is on the deny list, or is not on the allow list.
    AddressRefused = "address_refused" => FORBIDDEN;
    /// The request carries no credential.
    CredentialMissing = "credential_missing" => UNAUTHORIZED;
    /// The request carries a credential more than once.
    CredentialRepeated = "credential_repeated" => UNAUTHORIZED;
    /// The credential has a form that no valid credential has.
    CredentialMalformed = "credential_malformed" => UNAUTHORIZED;
    /// No consumer has this credential.
    CredentialUnknown = "credential_unknown" => UNAUTHORIZED;
    /// The credential has expired.
    CredentialExpired = "credential_expired" => UNAUTHORIZED;
    /// The key is valid, but not from this address or not for this route.
    CredentialElsewhere = "credential_elsewhere" => UNAUTHORIZED;
    /// The token cannot be read: wrong form, base64 or JSON, or too large.
    TokenMalformed = "token_malformed" => UNAUTHORIZED;
    /// The token is of another type (`typ`), such as an ID token, or has an unknown critical extension (`crit`).
    TokenType = "token_type" => UNAUTHORIZED;
    /// The token's `alg` is not the algorithm of its key.
    TokenAlgorithm = "token_algorithm" => UNAUTHORIZED;
    /// No key of the issuer has the token's `kid`.
    TokenKeyUnknown = "token_key_unknown" => UNAUTHORIZED;
    /// The token's signature is wrong.
    TokenSignature = "token_signature" => UNAUTHORIZED;
    /// The token is from an issuer that the route does not accept.
    TokenIssuer = "token_issuer" => UNAUTHORIZED;
    /// The token's `aud` does not contain the route's audience.
    TokenAudience = "token_audience" => UNAUTHORIZED;
    /// A required claim is missing, or a claim has an invalid value.
    TokenClaims = "token_claims" => UNAUTHORIZED;
    /// The token is not valid yet.
    TokenNotYetValid = "token_not_yet_valid" => UNAUTHORIZED;
    /// The authorization server says that the token is not active.
    TokenInactive = "token_inactive" => UNAUTHORIZED;
    /// The token is bound to a key or client certificate, and the client did not prove that it has it.
    TokenBinding = "token_binding" => UNAUTHORIZED;
    /// The DPoP proof is invalid, or was made for another request.
    ProofInvalid = "proof_invalid" => UNAUTHORIZED;
    /// The DPoP proof was used before.
    ProofReplayed = "proof_replayed" => UNAUTHORIZED;
    /// The DPoP proof lacks a nonce of this gateway, or has one that is too old.
    ProofNonce = "proof_nonce" => UNAUTHORIZED;
    /// The signature is not that of this body by any of the secrets.
    SignatureInvalid = "signature_invalid" => UNAUTHORIZED;
    /// The signature was used before.
    SignatureReplayed = "signature_replayed" => UNAUTHORIZED;
    /// The request carries valid credentials of different consumers.
    CredentialsDisagree = "credentials_disagree" => UNAUTHORIZED;
    /// Too many wrong credentials came from this address. A credential that was accepted from it before still works.
    TooManyFailures = "too_many_failures" => TOO_MANY_REQUESTS;
    /// The browser was redirected to the login.
    LoginRequired = "login_required" => SEE_OTHER;
    /// The login could not be completed.
    LoginFailed = "login_failed" => BAD_REQUEST;
    /// The provider's request to end a session has no good logout token.
    LogoutRefused = "logout_refused" => BAD_REQUEST;
    /// A request with a session cookie and a method that changes something comes from a page of another site (CSRF).
    CrossSite = "cross_site" => FORBIDDEN;
    /// The principal has none of the roles in `roles_allowed`.
    RoleMissing = "role_missing" => FORBIDDEN;
    /// The credential lacks a scope that the route requires.
    ScopeMissing = "scope_missing" => FORBIDDEN;
    /// A claim of the principal is missing or has another value than the route requires.
    ClaimRefused = "claim_refused" => FORBIDDEN;
    /// The path parameter does not belong to the principal (`path_parameters_equal`).
    NotOwner = "not_owner" => FORBIDDEN;
    /// The route's expression is not true, or could not be evaluated.
    ExpressionRefused = "expression_refused" => FORBIDDEN;
    /// The service that decides says no.
    ExternalRefused = "external_refused" => FORBIDDEN;
    /// The principal, address or route has used up its limit.
    RateLimited = "rate_limited" => TOO_MANY_REQUESTS;
    /// The body is larger than the route allows.
    BodyTooLarge = "body_too_large" => PAYLOAD_TOO_LARGE;
    /// A parameter or header is missing, invalid or not declared, or the body is missing.
    RequestInvalid = "request_invalid" => BAD_REQUEST;
    /// The body is not well-formed, or has more than one reading.
    ContentMalformed = "content_malformed" => BAD_REQUEST;
    /// The GraphQL operation exceeds a limit of the route, or is of a kind that the route does not allow.
    GraphqlRefused = "graphql_refused" => BAD_REQUEST;
    /// The hash of an automatic persisted query is not known here. The client sends the document with its hash again; nothing was refused.
    GraphqlQueryUnknown = "graphql_query_unknown" => OK;
    /// The body's media type or content coding is not accepted by the route.
    MediaTypeRefused = "media_type_refused" => UNSUPPORTED_MEDIA_TYPE;
    /// The body is well-formed, but does not match the schema.
    ContentInvalid = "content_invalid" => UNPROCESSABLE_ENTITY;
    /// The WAF rules of the route match: the request looks like an attack.
    AttackSuspected = "attack_suspected" => FORBIDDEN;
    /// A shared resource is used up, or the client's address has used its share: memory for held bodies, or concurrent requests.
    Overloaded = "overloaded" => SERVICE_UNAVAILABLE;
    /// The client did not send its body in time.
    BodyTimeout = "body_timeout" => REQUEST_TIMEOUT;
    /// The body ended early, or its framing is wrong.
    BodyMalformed = "body_malformed" => BAD_REQUEST;
    /// The host belongs to another listener, whose rules for client certificates differ from this connection's.
    Misdirected = "misdirected" => MISDIRECTED_REQUEST;
    /// The request has passed through this gateway before: an upstream leads back to the gateway.
    LoopDetected = "loop_detected" => LOOP_DETECTED;
    /// The group of upstreams has as many requests or connections as it may.
    UpstreamBusy = "upstream_busy" => SERVICE_UNAVAILABLE;
    /// No connection to the upstream could be made.
    UpstreamUnreachable = "upstream_unreachable" => BAD_GATEWAY;
    /// The upstream's certificate is not trusted, or the upstream rejected the gateway's certificate.
    UpstreamUntrusted = "upstream_untrusted" => BAD_GATEWAY;
    /// The upstream closed the connection before its answer was complete.
    UpstreamClosed = "upstream_closed" => BAD_GATEWAY;
    /// The upstream's answer is not HTTP.
    UpstreamMalformed = "upstream_malformed" => BAD_GATEWAY;
    /// The upstream did not answer in time.
    UpstreamTimeout = "upstream_timeout" => GATEWAY_TIMEOUT;
    /// The upstream's answer does not match the OpenAPI document.
    AnswerInvalid = "answer_invalid" => BAD_GATEWAY;
    /// The upstream's answer gives away what must not leave, by the rules of `waf`.
    AnswerLeaks = "answer_leaks" => BAD_GATEWAY;
    /// The upstream's answer is too large to be checked.
    AnswerTooLarge = "answer_too_large" => BAD_GATEWAY;
    /// The upstream answered with a server error; its body was replaced.
    UpstreamFailed = "upstream_failed" => INTERNAL_SERVER_ERROR;
    /// A handler inside the process failed.
    HandlerFailed = "handler_failed" => INTERNAL_SERVER_ERROR;
    /// A dependency of a check (issuer, store) did not answer, or the gateway failed. Requests are refused while it cannot decide.
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
    tried: Option<Tried>,
    page: Option<Box<Page>>,
}

/// Which credential was refused, without the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its fingerprint. The same credential has the same one.
    pub credential: Fingerprint,
    /// The consumer that it was tried for, if it is one that exists. Anybody can send a name, so this proves nothing.
    pub consumer: Option<Box<str>>,
}

/// One thing that is wrong with a body or a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: a JSON Pointer (RFC 6901) into the body, or into the parameters of `place`. Never a value.
    pub pointer: String,
    /// What, in words fixed at compile time.
    pub detail: &'static str,
    /// The part of the request that the pointer is about, such as `query`. `None`: the body.
    pub place: Option<&'static str>,
    /// Where in the text, for what has no reading.
    pub position: Option<Position>,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// So many bytes come before it.
    Offset(usize),
    /// Both from 1; a column is a character.
    Line {
        /// The line.
        line: usize,
        /// The character in the line.
        column: usize,
    },
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
        Violation { pointer, detail, place: None, position: None }
    }

    /// The same, in this part of the request: `path`, `query`, `header` or `cookie`.
    #[must_use]
    pub fn within(self, place: &'static str) -> Violation {
        Violation { place: Some(place), ..self }
    }

    /// The same, at this place of the text.
    #[must_use]
    pub fn at(self, position: Option<Position>) -> Violation {
        Violation { position, ..self }
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
            tried: None,
            page: None,
        }))
    }

    /// With something that the answer must carry.
    #[must_use]
    pub fn advising(mut self, advice: Advice) -> Denial {
        self.0.advice = advice;
        self
    }

    /// With the credential that was refused, for the record.
    #[must_use]
    pub fn of_credential(mut self, credential: Fingerprint) -> Denial {
        self.0.tried = Some(Tried { credential, consumer: None });
        self
    }

    /// The same, and the consumer that it was tried for. SECURITY: only one that exists: what stands in the place of a name
    /// may be a password (a_name_that_was_only_tried_blocks_no_consumer).
    #[must_use]
    pub fn of_credential_for(mut self, credential: Fingerprint, consumer: &str) -> Denial {
        self.0.tried = Some(Tried { credential, consumer: Some(consumer.into()) });
        self
    }

    /// With the credential of another refusal, in whose place this one comes.
    #[must_use]
    pub(crate) fn in_place_of(mut self, other: &Denial) -> Denial {
        self.0.tried.clone_from(&other.0.tried);
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

    /// With a page for a person in a browser, in place of problem details.
    #[must_use]
    pub fn showing(mut self, page: Page) -> Denial {
        self.0.page = Some(Box::new(page));
        self
    }

    /// The same as problem details.
    #[must_use]
    pub fn without_page(mut self) -> Denial {
        self.0.page = None;
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

    /// The page that a person sees.
    pub fn page(&self) -> Option<&Page> {
        self.0.page.as_deref()
    }

    /// The credential that was refused, where it is known.
    pub fn tried(&self) -> Option<&Tried> {
        self.0.tried.as_ref()
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
            // Clients of persisted queries look for the error in an answer with 200.
            let unknown = *code == Code::GraphqlQueryUnknown && code.status() == StatusCode::OK;
            let preflight = *code == Code::Preflight && code.status() == StatusCode::NO_CONTENT;
            let answered = login || unknown || preflight;
            assert!(code.status().is_client_error() || code.status().is_server_error() || answered, "{code}");
            assert!(code.meaning().ends_with('.'), "{code}");
        }
    }
}
