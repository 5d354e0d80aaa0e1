//! What a check is: one trait for each stage, so that a check cannot see, or stop, more than its stage should.
//!
//! A check answers with a decision or with a [`Denial`]; it has no third way out. What it needs of the world it asks
//! [`Effects`] for, and a [`Fault`](crate::effects::Fault) there refuses the request.

use crate::conversation::Conversation;
use crate::denial::Denial;
use crate::effects::{Count, Effects, Keys, Limit, Step};
use crate::head::Head;
use crate::plan::CredentialLocation;
use crate::principal::{Evidence, MethodId, Principal};
use crate::stage::Facts;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::fmt;
use std::sync::Arc;

/// A check's name: `stage.name`, the same as its file's path, the configuration's word and the record's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CheckId(&'static str);

impl CheckId {
    /// The check with this name.
    pub const fn new(name: &'static str) -> CheckId {
        CheckId(name)
    }

    /// The name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Whether a check rejects requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// It refuses the request.
    #[default]
    Enforce,
    /// It is written into the record, and the request goes on.
    Observe,
    /// The check does not run.
    Off,
}

impl Mode {
    /// The configuration's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
            Mode::Off => "off",
        }
    }
}

/// A check and its mode.
pub struct Guarded<C: ?Sized> {
    /// What its refusal does.
    pub mode: Mode,
    /// The check.
    pub check: Arc<C>,
}

impl<C: ?Sized> Clone for Guarded<C> {
    fn clone(&self) -> Self {
        Guarded { mode: self.mode, check: Arc::clone(&self.check) }
    }
}

/// What all checks have in common.
pub trait Check: Send + Sync {
    /// Its name.
    fn id(&self) -> CheckId;

    /// What it will do, in one line for `portcullis check`. Holds no secret.
    fn describe(&self) -> String;
}

/// Before authentication: looks at the untouched head and the connection. Cheap.
pub trait Screen: Check {
    /// Lets the request on, or refuses it.
    fn screen<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Result<(), Denial>>;
}

/// Fields that are added to whatever the answer is, such as `Set-Cookie`.
pub type AnswerFields = Vec<(HeaderName, HeaderValue)>;

/// What an authentication method says of a request.
#[derive(Debug)]
pub enum Authn {
    /// The request is from whom this evidence names.
    Claim(Evidence),
    /// The same, and the answer tells the client something for next time.
    ClaimAndTell(Evidence, AnswerFields),
    /// The request carries this method's credential, and it is bad. No other method is asked.
    Deny(Denial),
    /// The request does not carry this method's credential at all. Never said of a bad one.
    NotMine,
}

/// Finds out who sends the request.
pub trait Authenticate: Check {
    /// Who it is, by this method.
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Authn>;

    /// Whether it would accept now, without the request's fields, what it or a method of an earlier plan accepted before. Asked
    /// from time to time while a request runs for long; its head here has no fields. Another method's evidence is
    /// [`Authn::NotMine`], which is also the answer of a method that cannot tell: the request ends then.
    fn uphold<'a>(
        &'a self,
        evidence: &'a Evidence,
        facts: &'a Facts<'a>,
        effects: &'a dyn Effects,
    ) -> Step<'a, Authn> {
        let _ = (evidence, facts, effects);
        Step::Ready(Authn::NotMine)
    }

    /// The challenges of an answer that refuses (RFC 9110, section 11.6.1), such as `Bearer`. `refused` is why, where this
    /// very method refused; nothing but what the method's standard wants told of it may be told.
    fn challenges(&self, refused: Option<&Denial>) -> Vec<String>;

    /// What a client that nobody could identify is told in place of a challenge, such as where to log in. Asked only where
    /// its credential is absent and no other method claimed the request.
    fn invite<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Option<Denial>> {
        let _ = (facts, effects);
        Step::Ready(None)
    }

    /// Whether its credential is sent as `Authorization: Bearer`. Nothing tells whose such a credential is, so methods of
    /// which this is true are judged together: one of them may accept it, and if none does it is one failure.
    fn is_bearer(&self) -> bool {
        false
    }

    /// Where its credential stands in a request; it is taken away there before anything is forwarded.
    fn credentials(&self) -> Vec<CredentialLocation>;

    /// Which of these the operator wants forwarded all the same, each where this method took part in establishing the
    /// principal.
    fn forwarded(&self) -> Vec<(MethodId, CredentialLocation)> {
        Vec::new()
    }

    /// The token that this evidence rests on, if the method accepted one. For what exchanges it: it goes nowhere else.
    fn token(&self, evidence: &Evidence, facts: &Facts<'_>) -> Option<Arc<str>> {
        let _ = (evidence, facts);
        None
    }

    /// Which of its methods answer a security scheme of an API description. Those that are not named do not.
    fn answers(&self, scheme: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)>;
}

/// A security scheme, as the description of an API names the credential that it wants (OpenAPI 3.1, section 4.8.27).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityScheme<'a> {
    /// What the description calls it.
    pub name: &'a str,
    /// What it is.
    pub kind: SchemeKind<'a>,
}

/// What a security scheme is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemeKind<'a> {
    /// A key that stands here.
    Key(CredentialLocation),
    /// HTTP authentication by this scheme, in lower case, such as `bearer`.
    Http(&'a str),
    /// OAuth 2, with the URLs of the authorization server that its flows name.
    OAuth2(&'a [String]),
    /// OpenID Connect, with the URL of the provider's metadata.
    OpenIdConnect(&'a str),
    /// A client certificate.
    MutualTls,
}

/// How sure it is that a method takes the credential that a scheme means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// It does: what the scheme says fits this method alone.
    Certainly,
    /// It takes such a credential, and the scheme does not say whose.
    Possibly,
    /// It takes such a credential of somebody else than the scheme says.
    Foreign,
}

/// Decides which pages of other origins may read a route's answers in a browser (Fetch Standard, section 3.2).
///
/// It lets no request on and stops none: a browser asks for these fields, and keeps an answer from a page that they do not
/// name. A program is not bound by them.
pub trait CrossOrigin: Check {
    /// Fields of every answer to this request, a refusal's too. Whatever an upstream says under `Access-Control-` is
    /// removed.
    fn fields(&self, head: &Head) -> AnswerFields;

    /// Further fields of the answer to a preflight, which asks whether a page may send a request with the method `wanted`.
    /// `None` where no route allows that method here.
    fn preflight(&self, head: &Head, wanted: Option<&Method>) -> AnswerFields;
}

/// Decides whether the principal may.
pub trait Authorize: Check {
    /// Lets the request on, or refuses it.
    fn authorize<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>>;
}

/// When a quota is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Before authentication: counts what anybody sends, so that guessing credentials is limited too.
    BeforeAuthentication,
    /// After authorization: counts what a principal was allowed to send.
    AfterAuthorization,
}

/// What clients are told of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name, such as `default`.
    pub name: String,
    /// The item of the `RateLimit-Policy` field, such as `"default";q=100;w=60`.
    pub text: String,
    /// The most requests in a period.
    pub max: u32,
    /// Whether the older `X-RateLimit-*` fields are sent as well.
    pub legacy_fields: bool,
}

/// What a request is charged to, by one limit.
#[derive(Clone, Copy, Debug)]
pub struct Charged<'a> {
    /// The limit.
    pub limit: &'a Limit,
    /// Whose counter.
    pub keys: Keys<'a>,
    /// What the request costs; 0 where that is known only from its answer.
    pub cost: u32,
    /// What the client is told.
    pub policy: &'a Policy,
    /// What is charged once the answer is known.
    pub late: Option<&'a LateCost>,
}

/// What is charged once the answer is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LateCost {
    /// This much, if the status is one of these; ranges include both ends.
    OnStatus {
        /// The statuses.
        statuses: Arc<[(u16, u16)]>,
        /// How much.
        cost: u32,
    },
    /// What this field of the upstream's answer says, at most `most`; `otherwise` where it says nothing that can be read.
    OfField {
        /// The field.
        name: HeaderName,
        /// The most that one answer costs.
        most: u32,
        /// What an answer without the field costs.
        otherwise: u32,
    },
}

/// Counts the request against a limit.
pub trait Quota: Check {
    /// When it is charged.
    fn charge(&self) -> Charge;

    /// What the request is charged to. `None` where the limit is not about this request.
    ///
    /// # Errors
    /// It cannot be told whose counter it is.
    fn charged<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
    ) -> Result<Option<Charged<'a>>, Denial>;

    /// Whether a line of the access log tells whose counter a request of this principal is charged to. What judges recorded requests
    /// cannot know what a limit has left that counts by anything else, such as a header or a key.
    fn is_logged(&self, principal: &Principal) -> bool;

    /// Hears what came of it. A check that serves has no use for that.
    fn counted(&self, policy: &Policy, counted: &Result<Count, Denial>) {
        let _ = (policy, counted);
    }
}

/// What a request holds until it ends. Dropped, it is given back.
pub type Held = Box<dyn std::any::Any + Send + Sync>;

/// The operations of a route's document, for checks that count by them.
pub trait Operations: Send + Sync {
    /// The operation of a request. `None` for a request that the document does not declare.
    fn operation<'a>(&'a self, head: &'a Head) -> Option<Operation<'a>>;

    /// Which operations are declared, which were asked for, and what was asked for that is not declared.
    fn uses(&self) -> Vec<OperationUse> {
        Vec::new()
    }

    /// Takes over what was used before a reload or a restart, as far as it is of this document.
    fn remember(&self, before: &[OperationUse]) {
        let _ = before;
    }
}

/// What became of an operation of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationUse {
    /// What the document is called.
    pub document: String,
    /// The method.
    pub method: String,
    /// The path as the document writes it; of what is not declared, with `{}` in the place of ids.
    pub path: String,
    /// Its `operationId`.
    pub id: Option<String>,
    /// Whether the document declares it.
    pub declared: bool,
    /// Whether the document says that it should no longer be used.
    pub deprecated: bool,
    /// When it was last asked for, in seconds since 1970; `None` for never.
    pub last_used: Option<u64>,
}

/// An operation of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// What the document is called.
    pub document: &'a str,
    /// Its method.
    pub method: &'a str,
    /// Its path, as the document writes it.
    pub path: &'a str,
    /// Its `operationId`, if it has one.
    pub id: Option<&'a str>,
}

/// Bounds how many requests are in flight at once.
pub trait InFlight: Check {
    /// Enters the request, or refuses it; it may have to wait for its turn. What comes back is held until the exchange
    /// ends, however it ends.
    fn enter<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Option<Held>, Denial>>;
}

/// Adds to a request that was let through, on its way to the upstream.
pub trait Shape: Check {
    /// The fields that tell the upstream who sends the request. A client can send none of them, on any route, in any
    /// spelling.
    fn identity_fields(&self) -> Vec<HeaderName>;

    /// The fields to set, in place of any that the client sent.
    fn shape<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Vec<(HeaderName, HeaderValue)>, Denial>>;
}

/// What an inspector needs beside the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Nothing: it has judged, and the body may stream if nobody else wants it.
    Nothing,
    /// The whole body, held until it is judged.
    Body,
}

/// What an inspector makes of a body that it lets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspected {
    /// It goes on as it came.
    AsItIs,
    /// This goes on in its place, in the same content coding.
    Replaced(Bytes),
    /// This goes on in its place: the same without its content coding, which the head then does not mention either.
    Decoded(Bytes),
}

/// Looks into a request that was let through so far: at its head, and at its body before any of it goes upstream.
pub trait Inspect: Check {
    /// What follows the upgrade that this head asks for, where this check reads it. Asked after the head was judged.
    fn converse(&self, head: &Head) -> Option<Box<dyn Conversation>> {
        let _ = head;
        None
    }

    /// Whether it reads the arguments that a check before it has found in the body, from [`Notes`](crate::Notes).
    fn reads_arguments(&self) -> bool {
        false
    }

    /// Judges what can be told from the head, before any of the body is read.
    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        let _ = (facts, principal, effects);
        Step::Ready(Ok(Wants::Body))
    }

    /// Judges the body; empty where there is none. What an inspector before this one has decoded or replaced is seen in
    /// that form, in `facts` as well.
    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        body: &'a Bytes,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>>;
}

/// Looks into an answer before the client sees any of it. A refusal becomes a 502 of the gateway's own.
pub trait InspectAnswer: Check {
    /// Judges status and fields, before any of the body is read. Without fields of the connection.
    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        status: StatusCode,
        headers: &'a HeaderMap,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        let _ = (facts, principal, status, headers, effects);
        Step::Ready(Ok(Wants::Body))
    }

    /// Judges the body. Not asked of an answer that has none by its method or status (RFC 9112, section 6.3).
    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        status: StatusCode,
        headers: &'a HeaderMap,
        body: &'a Bytes,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>>;
}

/// A route's statement on authentication. There is no way to make a route without one.
#[derive(Clone)]
pub enum Authentication {
    /// Nobody is asked who they are, for this reason.
    Public {
        /// Why, in the words of whoever decided it.
        reason: String,
    },
    /// One of these methods must establish a principal; they are asked in this order.
    AnyOf {
        /// What a refusal does.
        mode: Mode,
        /// At least one.
        methods: Vec<Arc<dyn Authenticate>>,
    },
    /// Each of these methods must establish a principal. The first one's is the request's; no two may name different
    /// consumers.
    AllOf {
        /// What a refusal does.
        mode: Mode,
        /// At least two.
        methods: Vec<Arc<dyn Authenticate>>,
    },
}

impl Authentication {
    /// The methods; none where the route is public.
    pub fn methods(&self) -> &[Arc<dyn Authenticate>] {
        match self {
            Authentication::Public { .. } => &[],
            Authentication::AnyOf { methods, .. } | Authentication::AllOf { methods, .. } => methods,
        }
    }
}

/// A control as `portcullis check` lists it: what will run, in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The stage in which it runs.
    pub stage: &'static str,
    /// Its name.
    pub id: &'static str,
    /// What its refusal does.
    pub mode: Mode,
    /// What it does.
    pub summary: String,
}
