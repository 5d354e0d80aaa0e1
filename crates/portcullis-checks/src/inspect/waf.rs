//! Whether a request looks like an attack, by rules in SecLang: the builtin ones, or those of files such as the OWASP Core
//! Rule Set.
//!
//! The head and the body are judged together, after the body is whole, so that nothing of a refused request goes
//! upstream. What cannot be judged is refused: a body that cannot be read as its media type says, one in a content coding,
//! and a request that needs more work than it may. The record names the rules, the names of what they matched, and the
//! score; never a value.

use crate::build::Build;
use crate::mode::ModeConfig;
use crate::reason::Reason;
use crate::section::{Part, Section};
use bytes::Bytes;
use http::{HeaderMap, header};
use portcullis_config::{Context, Decode, Definitions, Node, Span, Spanned, Value, keyword, object};
use portcullis_core::check::{Check, Inspect, Inspected, Wants};
use portcullis_core::{
    Argument, CheckId, Code, Denial, Effects, Facts, Principal, Searched, Step, Violation,
};
use portcullis_waf::{Loader, Place, Plan, Report, Request, RuleMatch, Settings, Transaction};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// How much work one request may cause, in bytes that one expression goes over: some tens of milliseconds at the worst.
const MOST_WORK: u64 = 60_000_000;
/// The most rules that a record names.
const MOST_NAMED: usize = 12;

object! {
    /// The web application firewall.
    pub struct WafConfig {
        /// The rules, in order: `builtin`, and files or folders with rules in SecLang. Default: `[builtin]`.
        pub rules: Vec<RulesConfig> = vec![RulesConfig::Builtin],
        /// The paranoia level, from 1 to 4. Each level adds rules that find more attacks and cause more false alarms.
        /// Default: 1.
        pub paranoia: Spanned<u8> = Spanned::nowhere(1),
        /// The anomaly score from which a request is rejected. A matching rule adds 5 (critical), 4, 3 or 2. Default: 5.
        pub threshold: Spanned<u32> = Spanned::nowhere(5),
        /// Exclusions: what is not searched, or not by which rules, each with a reason.
        pub exclude: Vec<ExclusionConfig> = vec![],
        /// What happens to gRPC calls. The rules cannot read their messages. Default: refuse.
        pub grpc: GrpcConfig = GrpcConfig::Refuse,
        /// `enforce` rejects the request with 403. `observe` lets it through and records what would have been rejected;
        /// start with it. `off` skips the check. Default: enforce.
        pub mode: ModeConfig = ModeConfig::Enforce,
    }
}

keyword! {
    /// What happens to gRPC requests.
    pub enum GrpcConfig {
        /// They are refused with 415: any client can call a body gRPC, so that nothing would search it.
        Refuse = "refuse",
        /// Their heads are searched, their bodies are not. For routes whose back end speaks gRPC alone.
        Unsearched = "unsearched",
    }
}

object! {
    /// Rules in files.
    pub struct RuleFilesConfig {
        /// A file with rules, a folder with `*.conf` files, or the folder of a Core Rule Set release. Included files must
        /// be below it.
        pub file: Spanned<PathBuf>,
    }
}

object! {
    /// What is not searched. Without `rules` and `tags` it applies to all rules, without `targets` to the whole request.
    pub struct ExclusionConfig {
        /// Ids of rules.
        pub rules: Vec<Spanned<u64>> = vec![],
        /// Tags of rules, such as `attack-sqli`. A rule is excluded if one of its tags contains the text.
        pub tags: Vec<Spanned<String>> = vec![],
        /// What the rules do not search: a target such as `ARGS:comment` or `REQUEST_COOKIES:session`, or a JSON Pointer
        /// into the body such as `/items/0/text`.
        pub targets: Vec<Spanned<String>> = vec![],
        /// Why.
        pub reason: Reason,
    }
}

/// Where rules come from.
#[derive(Clone, Debug)]
pub enum RulesConfig {
    /// From the gateway.
    Builtin,
    /// From files.
    Files(RuleFilesConfig),
}

impl Decode for RulesConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if matches!(node.value, Value::Mapping(_)) {
            return RuleFilesConfig::decode(node, cx).map(Self::Files);
        }
        if cx.text(node)? == "builtin" {
            return Some(Self::Builtin);
        }
        cx.error("config.waf_rules", node.span, "unknown rules")
            .help("write `builtin`, or `{ file: DIR }` for rules in files");
        None
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        let files = RuleFilesConfig::schema(definitions);
        json!({ "anyOf": [{ "const": "builtin" }, files] })
    }
}

/// The check.
pub struct Waf {
    plan: Plan,
    /// Whether bodies whose media type says nothing are searched as arguments: the builtin rules want it.
    search_unlabelled: bool,
    grpc: GrpcConfig,
    summary: String,
}

impl Section for WafConfig {
    const ABOUT: &'static str = "The web application firewall: rules that search requests for attacks, such as the OWASP Core Rule Set.";
    const CHECKS: &'static [&'static str] = &["inspect.waf"];

    fn compile(&self, _: Span, _: &mut Build, cx: &mut Context) -> Option<Part> {
        Some(Part::new().inspect(self.mode, Arc::new(self.check(cx)?)))
    }
}

impl WafConfig {
    /// The check that runs. `None` means that an error was pushed.
    fn check(&self, cx: &mut Context) -> Option<Waf> {
        if !(1..=4).contains(&self.paranoia.value) {
            cx.error("config.waf_paranoia", self.paranoia.span, "the paranoia level is from 1 to 4")
                .help("begin with 1");
            return None;
        }
        if self.threshold.value == 0 {
            cx.error(
                "config.waf_threshold",
                self.threshold.span,
                "a threshold of 0 would reject every request",
            )
            .help("write 5 to reject on one critical rule");
            return None;
        }
        if self.rules.is_empty() {
            cx.error("config.empty_list", self.at, "the list of rules is empty")
                .help("write `[builtin]`, or `mode: off`");
            return None;
        }
        let mut loader = Loader::new();
        let mut names = Vec::new();
        for rules in &self.rules {
            match rules {
                RulesConfig::Builtin => {
                    loader = loader.builtin();
                    names.push("builtin".to_owned());
                }
                RulesConfig::Files(files) => {
                    loader = loader.rule_set(&files.file.value);
                    let name = files.file.value.file_name();
                    names.push(
                        name.map_or_else(|| "files".to_owned(), |name| name.to_string_lossy().into_owned()),
                    );
                }
            }
        }
        let mut summary = format!(
            "requests that do not score {} by the rules {} at paranoia {}",
            self.threshold.value,
            names.join(" and "),
            self.paranoia.value
        );
        let mut exclusions = String::new();
        for exclusion in &self.exclude {
            exclusions.push_str(&exclusion.rules(cx)?);
            let _ = write!(summary, "; without {}", exclusion.describe());
        }
        loader = loader.text("exclude", exclusions.as_bytes()).evaluation();
        let settings = Settings::default().paranoia(self.paranoia.value).threshold(self.threshold.value);
        match Plan::new(loader, &settings) {
            Ok(plan) => {
                let search_unlabelled = self.rules.iter().any(|rules| matches!(rules, RulesConfig::Builtin));
                Some(Waf { plan, search_unlabelled, grpc: self.grpc, summary })
            }
            Err(errors) => {
                let count = errors.0.len();
                let first: Vec<String> = errors.0.iter().take(5).map(ToString::to_string).collect();
                let more = if count > 5 { format!("; and {} more", count - 5) } else { String::new() };
                cx.error("config.waf_rules", self.at, format!("{}{more}", first.join("; ")))
                    .help("the engine names each unsupported feature of a rule file");
                None
            }
        }
    }
}

impl ExclusionConfig {
    /// It, as directives.
    fn rules(&self, cx: &mut Context) -> Option<String> {
        if self.rules.is_empty() && self.tags.is_empty() && self.targets.is_empty() {
            cx.error("config.waf_exclusion", self.at, "this excludes nothing")
                .help("name `rules`, `tags` or `targets`");
            return None;
        }
        let mut text = String::new();
        let mut targets = Vec::new();
        for target in &self.targets {
            targets.push(target_of(target, cx)?);
        }
        for tag in &self.tags {
            if tag.value.is_empty()
                || !tag.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/.".contains(&byte))
            {
                cx.error("config.waf_exclusion", tag.span, "this is no tag of a rule")
                    .help("tags are such as `attack-sqli` or `paranoia-level/2`");
                return None;
            }
        }
        let ids = self.rules.iter().map(|id| id.value.to_string());
        let tags = self.tags.iter().map(|tag| tag.value.replace('.', "\\."));
        if targets.is_empty() {
            text.extend(ids.map(|id| format!("SecRuleRemoveById {id}\n")));
            text.extend(tags.map(|tag| format!("SecRuleRemoveByTag \"{tag}\"\n")));
            return Some(text);
        }
        let targets = targets.join("|");
        if self.rules.is_empty() && self.tags.is_empty() {
            let _ = writeln!(text, "SecRuleUpdateTargetById 1-{} \"{targets}\"", u64::MAX);
        }
        text.extend(ids.map(|id| {
            format!(
                "SecRuleUpdateTargetById {id} \"{targets}\"
"
            )
        }));
        text.extend(tags.map(|tag| {
            format!(
                "SecRuleUpdateTargetByTag \"{tag}\" \"{targets}\"
"
            )
        }));
        Some(text)
    }

    fn describe(&self) -> String {
        let mut what: Vec<String> = self.rules.iter().map(|id| id.value.to_string()).collect();
        what.extend(self.tags.iter().map(|tag| tag.value.clone()));
        if what.is_empty() {
            what.push("any rule".to_owned());
        }
        let mut text = what.join(", ");
        if !self.targets.is_empty() {
            let targets: Vec<&str> = self.targets.iter().map(|target| target.value.as_str()).collect();
            let _ = write!(text, " on {}", targets.join(", "));
        }
        let _ = write!(text, " ({})", self.reason.0);
        text
    }
}

/// A target as SecLang excludes it.
fn target_of(target: &Spanned<String>, cx: &mut Context) -> Option<String> {
    let text = target.value.as_str();
    let name_is_plain = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.[]$@~".contains(&byte))
    };
    if let Some(pointer) = text.strip_prefix('/') {
        let members: Vec<String> =
            pointer.split('/').map(|member| member.replace("~1", "/").replace("~0", "~")).collect();
        if members.iter().all(|member| name_is_plain(member)) {
            return Some(format!("!ARGS:json.{}", members.join(".")));
        }
    } else {
        let (variable, name) = text.split_once(':').unwrap_or((text, ""));
        let known =
            ["ARGS", "ARGS_NAMES", "REQUEST_COOKIES", "REQUEST_COOKIES_NAMES", "REQUEST_HEADERS", "FILES"];
        if known.contains(&variable) && name_is_plain(name) {
            return Some(format!("!{variable}:{name}"));
        }
    }
    cx.error("config.waf_exclusion", target.span, "this is no target that can be excluded").help(
        "write `ARGS:name`, `ARGS_NAMES:name`, `REQUEST_COOKIES:name`, `REQUEST_HEADERS:name`, `FILES:name`, or a JSON Pointer",
    );
    None
}

impl Check for Waf {
    fn id(&self) -> CheckId {
        CheckId::new("inspect.waf")
    }

    fn describe(&self) -> String {
        self.summary.clone()
    }
}

impl Inspect for Waf {
    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        let headers = facts.head.headers();
        let refused = |detail: &'static str, name: &str, word: &'static str| {
            Step::Ready(Err(
                Denial::new(Code::MediaTypeRefused, detail).pointing_out([Violation::new(name, word)])
            ))
        };
        // SECURITY: every line of a header counts, since a server may go by another one than the first
        // (a_body_has_one_media_type).
        if headers.get_all(header::CONTENT_TYPE).iter().nth(1).is_some() {
            return refused("several media types", "content-type", "required");
        }
        // SECURITY: what is unpacked only behind the gateway is searched by nobody (a_coded_body_is_not_let_through).
        let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
        if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return refused(
                "a content coding hides the body from the rules",
                "content-encoding",
                "undeclared",
            );
        }
        match (is_grpc(headers), self.grpc) {
            (false, _) => Step::Ready(Ok(Wants::Body)),
            // SECURITY: the client alone says that it is gRPC (a_body_is_grpc_only_where_the_route_says_so).
            (true, GrpcConfig::Refuse) => refused(
                "the messages of gRPC cannot be searched; `grpc: unsearched` lets them through",
                "content-type",
                "content_type",
            ),
            // A call may go on for as long as it likes.
            (true, GrpcConfig::Unsearched) => {
                Step::Ready(self.judge(facts, &Bytes::new()).map(|()| Wants::Nothing))
            }
        }
    }

    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        body: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        Step::Ready(self.judge(facts, body).map(|()| Inspected::AsItIs))
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    content_type.is_some_and(|value| {
        value.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
    })
}

impl Waf {
    fn judge(&self, facts: &Facts<'_>, body: &Bytes) -> Result<(), Denial> {
        let head = facts.head;
        let mut headers: Vec<(&[u8], &[u8])> = vec![(b"host", head.host().as_bytes())];
        let others = head.headers().iter().filter(|(name, _)| *name != header::HOST);
        headers.extend(others.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
        let length = body.len().to_string();
        if !body.is_empty() && !head.headers().contains_key(header::CONTENT_LENGTH) {
            // The length is part of the framing, which the head no longer has. Rules ask for it.
            headers.push((b"content-length", length.as_bytes()));
        }
        let unique = format!("{:x}{:04x}", facts.now.unix.as_nanos(), facts.conn.peer.port());
        let request = Request {
            method: head.method().as_str().as_bytes(),
            target: head.target().as_str().as_bytes(),
            protocol: b"HTTP/1.1",
            headers: &headers,
            client: (head.client(), facts.conn.peer.port()),
            server: (facts.conn.local.ip(), facts.conn.local.port()),
            unique_id: unique.as_bytes(),
        };
        let mut transaction = Transaction::new(&self.plan, request).work(MOST_WORK);
        if self.search_unlabelled {
            transaction = transaction.search_unlabelled_bodies();
        }
        let mut saved = (0, 0);
        match &facts.route.controls.inspection.proofs {
            None => {
                transaction.request_headers();
                transaction.request_body(body);
            }
            // What another check refuses unless it is a number or the like is not searched.
            Some(proofs) => proofs.of(head, &mut |is_harmless| {
                let is_harmless = |place: Place, name: &[u8]| {
                    let argument = match place {
                        Place::Query => Argument::Query,
                        Place::Body => Argument::Body,
                        Place::Header => Argument::Header,
                        Place::Cookie => Argument::Cookie,
                    };
                    std::str::from_utf8(name).is_ok_and(|name| is_harmless(argument, name))
                };
                transaction.prove_all(is_harmless);
                transaction.request_headers();
                transaction.read_body(body);
                saved = transaction.prove_all(is_harmless);
                transaction.judge_body();
            }),
        }
        let unreadable = transaction.body_error().map(str::to_owned);
        let values = transaction.value_count();
        let report = transaction.finish();
        if let Some(notes) = facts.notes {
            notes.searched(searched(&report, values, saved.0));
        }
        if report.interruption.is_some() {
            let mut detail = said(&report);
            if let (proved @ 1.., all) = saved {
                let _ = write!(
                    detail,
                    "; {proved} of {all} values are harmless by the document and were not searched"
                );
            }
            return Err(Denial::new(Code::AttackSuspected, detail));
        }
        match unreadable {
            // SECURITY: a server that reads the body otherwise would find in it what the rules have not seen
            // (an_unreadable_body_is_refused).
            Some(error) => {
                Err(Denial::new(Code::ContentMalformed, format!("the body cannot be searched: {error}")))
            }
            None => Ok(()),
        }
    }
}

/// What the record and the metrics say of a search.
fn searched(report: &Report, values: usize, harmless: usize) -> Searched {
    let mut rules: Vec<u64> = report.ids().collect();
    rules.sort_unstable();
    rules.dedup();
    Searched { rules, values: values as u64, harmless: harmless as u64 }
}

/// What the record says of a refusal.
fn said(report: &Report) -> String {
    if report.exhausted {
        return format!("the request needs more work than it may ({})", report.work);
    }
    let rule = |found: &RuleMatch| {
        let targets: Vec<String> = found
            .targets
            .iter()
            .take(3)
            .map(|target| match target.name.as_str() {
                "" => target.variable.name().to_owned(),
                name => format!("{}:{name}", target.variable.name()),
            })
            .collect();
        format!("{} ({})", found.id, targets.join(", "))
    };
    let rules: Vec<String> = report.matches.iter().take(MOST_NAMED).map(rule).collect();
    format!("score {}: {}", report.inbound_score, rules.join("; "))
}
