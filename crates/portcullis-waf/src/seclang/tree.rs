//! The tree of a rule set, as it was written.

use crate::error::Location;
use crate::transform::Transformation;
use std::sync::Arc;

pub use crate::operator::spec::{Operator, OperatorUse};

/// When a rule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// 1: the request's head is there.
    RequestHeaders,
    /// 2: the request's body is there.
    RequestBody,
    /// 3: the response's head is there.
    ResponseHeaders,
    /// 4: the response's body is there.
    ResponseBody,
    /// 5: everything is over.
    Logging,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 5] =
        [Self::RequestHeaders, Self::RequestBody, Self::ResponseHeaders, Self::ResponseBody, Self::Logging];

    /// The phase's place in [`ALL`](Self::ALL).
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::RequestHeaders => 0,
            Self::RequestBody => 1,
            Self::ResponseHeaders => 2,
            Self::ResponseBody => 3,
            Self::Logging => 4,
        }
    }
}

/// Declares the variables: an enum, their names, and which of them are collections with names of their own.
macro_rules! variables {
    ($($name:ident $text:literal $collection:literal,)*) => {
        /// What a rule can look at. The names are ModSecurity's, in upper case with underscores.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are the documentation: ModSecurity's reference manual")]
        pub enum Variable { $($name,)* }

        impl Variable {
            /// All variables.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name in rules.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether a selector can follow: `ARGS:name`.
            #[must_use]
            pub fn is_collection(self) -> bool {
                match self { $(Self::$name => $collection,)* }
            }
        }
    };
}

variables! {
    Args "ARGS" true,
    ArgsNames "ARGS_NAMES" true,
    ArgsGet "ARGS_GET" true,
    ArgsGetNames "ARGS_GET_NAMES" true,
    ArgsPost "ARGS_POST" true,
    ArgsPostNames "ARGS_POST_NAMES" true,
    ArgsCombinedSize "ARGS_COMBINED_SIZE" false,
    Files "FILES" true,
    FilesNames "FILES_NAMES" true,
    FilesSizes "FILES_SIZES" true,
    FilesCombinedSize "FILES_COMBINED_SIZE" false,
    FullRequestLength "FULL_REQUEST_LENGTH" false,
    HighestSeverity "HIGHEST_SEVERITY" false,
    MatchedVar "MATCHED_VAR" false,
    MatchedVarName "MATCHED_VAR_NAME" false,
    MatchedVars "MATCHED_VARS" true,
    MatchedVarsNames "MATCHED_VARS_NAMES" true,
    MultipartBoundaryQuoted "MULTIPART_BOUNDARY_QUOTED" false,
    MultipartBoundaryWhitespace "MULTIPART_BOUNDARY_WHITESPACE" false,
    MultipartDataAfter "MULTIPART_DATA_AFTER" false,
    MultipartDataBefore "MULTIPART_DATA_BEFORE" false,
    MultipartFileLimitExceeded "MULTIPART_FILE_LIMIT_EXCEEDED" false,
    MultipartFilename "MULTIPART_FILENAME" true,
    MultipartHeaderFolding "MULTIPART_HEADER_FOLDING" false,
    MultipartInvalidHeaderFolding "MULTIPART_INVALID_HEADER_FOLDING" false,
    MultipartInvalidPart "MULTIPART_INVALID_PART" false,
    MultipartInvalidQuoting "MULTIPART_INVALID_QUOTING" false,
    MultipartLfLine "MULTIPART_LF_LINE" false,
    MultipartMissingSemicolon "MULTIPART_MISSING_SEMICOLON" false,
    MultipartName "MULTIPART_NAME" true,
    MultipartPartHeaders "MULTIPART_PART_HEADERS" true,
    MultipartStrictError "MULTIPART_STRICT_ERROR" false,
    MultipartUnmatchedBoundary "MULTIPART_UNMATCHED_BOUNDARY" false,
    QueryString "QUERY_STRING" false,
    RemoteAddr "REMOTE_ADDR" false,
    RemotePort "REMOTE_PORT" false,
    ReqbodyError "REQBODY_ERROR" false,
    ReqbodyErrorMsg "REQBODY_ERROR_MSG" false,
    ReqbodyProcessor "REQBODY_PROCESSOR" false,
    ReqbodyProcessorError "REQBODY_PROCESSOR_ERROR" false,
    ReqbodyProcessorErrorMsg "REQBODY_PROCESSOR_ERROR_MSG" false,
    RequestBasename "REQUEST_BASENAME" false,
    RequestBody "REQUEST_BODY" false,
    RequestBodyLength "REQUEST_BODY_LENGTH" false,
    RequestCookies "REQUEST_COOKIES" true,
    RequestCookiesNames "REQUEST_COOKIES_NAMES" true,
    RequestFilename "REQUEST_FILENAME" false,
    RequestHeaders "REQUEST_HEADERS" true,
    RequestHeadersNames "REQUEST_HEADERS_NAMES" true,
    RequestLine "REQUEST_LINE" false,
    RequestMethod "REQUEST_METHOD" false,
    RequestProtocol "REQUEST_PROTOCOL" false,
    RequestUri "REQUEST_URI" false,
    RequestUriRaw "REQUEST_URI_RAW" false,
    ResponseBody "RESPONSE_BODY" false,
    ResponseContentLength "RESPONSE_CONTENT_LENGTH" false,
    ResponseContentType "RESPONSE_CONTENT_TYPE" false,
    ResponseHeaders "RESPONSE_HEADERS" true,
    ResponseHeadersNames "RESPONSE_HEADERS_NAMES" true,
    ResponseProtocol "RESPONSE_PROTOCOL" false,
    ResponseStatus "RESPONSE_STATUS" false,
    ServerAddr "SERVER_ADDR" false,
    ServerName "SERVER_NAME" false,
    ServerPort "SERVER_PORT" false,
    StatusLine "STATUS_LINE" false,
    Tx "TX" true,
    UniqueId "UNIQUE_ID" false,
    UrlencodedError "URLENCODED_ERROR" false,
    Xml "XML" true,
}

impl Variable {
    /// Whether it is about answers.
    #[must_use]
    pub fn is_of_answers(self) -> bool {
        matches!(
            self,
            Self::ResponseBody
                | Self::ResponseContentLength
                | Self::ResponseContentType
                | Self::ResponseHeaders
                | Self::ResponseHeadersNames
                | Self::ResponseProtocol
                | Self::ResponseStatus
                | Self::StatusLine
        )
    }

    /// Whether its values can change between two rules of one phase.
    #[must_use]
    pub fn changes_while_rules_run(self) -> bool {
        matches!(
            self,
            Self::Tx
                | Self::MatchedVar
                | Self::MatchedVarName
                | Self::MatchedVars
                | Self::MatchedVarsNames
                | Self::HighestSeverity
                | Self::ReqbodyProcessor
        )
    }
}

/// What follows a variable's colon.
#[derive(Debug, Clone)]
pub enum Selector {
    /// Every entry.
    All,
    /// The entries of this name, without regard to case.
    Name(Arc<[u8]>),
    /// The entries whose name matches.
    Pattern(Arc<str>, regex::bytes::Regex),
    /// `XML:/*`: the text of the document.
    XmlText,
    /// `XML://@*`: every attribute's value.
    XmlAttributes,
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All)
            | (Self::XmlText, Self::XmlText)
            | (Self::XmlAttributes, Self::XmlAttributes) => true,
            (Self::Name(one), Self::Name(two)) => one == two,
            (Self::Pattern(one, _), Self::Pattern(two, _)) => one == two,
            (Self::All | Self::Name(_) | Self::Pattern(..) | Self::XmlText | Self::XmlAttributes, _) => false,
        }
    }
}

impl Selector {
    /// Whether an entry of this name is meant.
    #[must_use]
    pub fn selects(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Name(wanted) => wanted.eq_ignore_ascii_case(name),
            Self::Pattern(_, pattern) => pattern.is_match(name),
            Self::XmlText => name == b"/*",
            Self::XmlAttributes => name == b"//@*",
        }
    }
}

/// A variable with its selector.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Which variable.
    pub variable: Variable,
    /// Which of its entries.
    pub selector: Selector,
}

/// What a rule does with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetUse {
    /// `ARGS`
    Value,
    /// `&ARGS`
    Count,
    /// `!ARGS:name`
    Exclude,
}

/// Text with `%{…}` in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Macro(pub Vec<Piece>);

/// A part of such a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// As it is.
    Text(Vec<u8>),
    /// `%{TX.name}`: TX entries are resolved to slots when the plan is made.
    Tx(Vec<u8>),
    /// The first value of another target.
    Variable(Target),
    /// `%{RULE.id}` and the like.
    Rule(RuleField),
}

/// What `%{RULE.…}` can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleField {
    /// The rule's id.
    Id,
    /// Its message.
    Message,
    /// Its severity.
    Severity,
}

/// What a rule does to the request when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disruption {
    /// Go on.
    Pass,
    /// What the default action of the phase says.
    Block,
    /// Refuse.
    Deny,
    /// Skip all further rules, except those of phase 5.
    Allow,
    /// Skip the further rules of this phase.
    AllowPhase,
    /// Skip the further rules of the request.
    AllowRequest,
}

/// `setvar:tx.name=value`.
#[derive(Debug, Clone, PartialEq)]
pub struct SetVariable {
    /// The name within TX, in lower case.
    pub name: Macro,
    /// What happens to it.
    pub change: Change,
}

/// What `setvar` does.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// `=value`
    Set(Macro),
    /// `=+value`
    Add(Macro),
    /// `=-value`
    Subtract(Macro),
    /// `!tx.name`
    Remove,
}

/// A range of rule ids, both ends included.
pub type Ids = std::ops::RangeInclusive<u64>;

/// Which rules are meant.
#[derive(Debug, Clone)]
pub enum RuleSelector {
    /// By id.
    Ids(Vec<Ids>),
    /// By tag: an exact name, or an expression that is found in it.
    Tag(regex::bytes::Regex),
    /// By message, likewise.
    Message(regex::bytes::Regex),
}

/// `ctl:…`
#[derive(Debug, Clone)]
pub enum Control {
    /// `ruleRemoveById` and its siblings.
    RemoveRules(RuleSelector),
    /// `ruleRemoveTargetById` and its siblings.
    RemoveTarget(RuleSelector, Target),
    /// `ruleEngine`
    Engine(Engine),
    /// `requestBodyProcessor`
    RequestBodyProcessor(BodyProcessor),
    /// `forceRequestBodyVariable`
    ForceRequestBodyVariable(bool),
    /// `requestBodyAccess`
    RequestBodyAccess(bool),
    /// `responseBodyAccess`
    ResponseBodyAccess(bool),
}

/// Whether matches have effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// They do.
    On,
    /// They are reported and nothing is refused.
    DetectionOnly,
    /// No rule runs.
    Off,
}

/// How a request body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyProcessor {
    /// `application/x-www-form-urlencoded`
    Urlencoded,
    /// `multipart/form-data`
    Multipart,
    /// JSON
    Json,
    /// XML
    Xml,
}

impl BodyProcessor {
    /// The name in rules.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Urlencoded => "URLENCODED",
            Self::Multipart => "MULTIPART",
            Self::Json => "JSON",
            Self::Xml => "XML",
        }
    }
}

/// Everything that stands in a rule's list of actions. `None` and empty mean that it does not say.
#[derive(Debug, Clone, Default)]
pub struct Actions {
    /// `id`
    pub id: Option<u64>,
    /// `phase`
    pub phase: Option<Phase>,
    /// `msg`
    pub message: Option<Macro>,
    /// The text of `msg` as written.
    pub message_text: Option<String>,
    /// `logdata`: kept so that faults in it are found; values are never reported.
    pub log_data: Option<Macro>,
    /// `tag`
    pub tags: Vec<String>,
    /// `severity`, from 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// `log` and `nolog`
    pub log: Option<bool>,
    /// The last disruptive action.
    pub disruption: Option<Disruption>,
    /// `status`
    pub status: Option<u16>,
    /// `chain`
    pub chain: bool,
    /// `capture`
    pub capture: bool,
    /// `multiMatch`
    pub multi_match: bool,
    /// `t:`, in order, after the last `t:none`.
    pub transformations: Vec<Transformation>,
    /// Whether `t:none` was said, so that the defaults do not come first.
    pub no_default_transformations: bool,
    /// `setvar`, in order.
    pub set: Vec<SetVariable>,
    /// `ctl`, in order.
    pub control: Vec<Control>,
    /// `skip`: how many rules.
    pub skip: Option<u32>,
    /// `skipAfter`
    pub skip_after: Option<String>,
    /// Actions that the engine cannot carry out, by name. A rule that has one loads only if it can never match.
    pub unsupported: Vec<String>,
}

/// One `SecRule` or `SecAction`. A chain is one rule with links.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Where it is written.
    pub location: Location,
    /// What it looks at; empty for `SecAction`.
    pub targets: Vec<(TargetUse, Target)>,
    /// How; `None` for `SecAction`, which always matches.
    pub operator: Option<OperatorUse>,
    /// What it then does.
    pub actions: Actions,
    /// The further rules of its chain.
    pub links: Vec<Rule>,
}

/// What stands in file order.
#[derive(Debug, Clone)]
pub enum Item {
    /// A rule, or a chain of them.
    Rule(Box<Rule>),
    /// `SecMarker`
    Marker(String),
}
