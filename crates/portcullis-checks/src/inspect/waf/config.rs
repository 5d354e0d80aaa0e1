//! What can be written of the web application firewall, and the rules that come of it.
//!
//! Rules that cannot be read do not load, with the file and line of each fault. An exclusion has a reason, and excludes something.

use super::Waf;
use super::answer::WafAnswer;
use crate::build::Build;
use crate::mode::ModeConfig;
use crate::reason::Reason;
use crate::section::{Part, Section};
use portcullis_config::{
    ByteSize, Context, Decode, Definitions, Node, Span, Spanned, Value, keyword, object,
};
use portcullis_core::Inspect;
use portcullis_waf::{Loader, Plan, Settings};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

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
        /// What happens to a response that gives away what must not leave: stack traces, errors of databases, private keys,
        /// listings of folders. `enforce` replaces it by 502, `observe` records it. Text, HTML, XML and JSON are held in
        /// memory until they are searched; of other responses the headers alone are. Default: off.
        pub responses: ModeConfig = ModeConfig::Off,
        /// The maximum size of a response that is searched. A larger one is replaced by 502, or recorded. Default: 1MiB.
        pub max_response_size: ByteSize = ByteSize(1024 * 1024),
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

impl Section for WafConfig {
    const ABOUT: &'static str = "The web application firewall: rules that search requests for attacks, such as the OWASP Core Rule Set.";
    const CHECKS: &'static [&'static str] = &["inspect.waf", "answer.waf"];

    fn compile(&self, _: Span, _: &mut Build, cx: &mut Context) -> Option<Part> {
        let check = Arc::new(self.check(cx)?);
        let part = Part::new().inspect(self.mode, Arc::clone(&check) as Arc<dyn Inspect>);
        // With the mode off, responses are not searched either.
        Some(match (self.mode, self.responses) {
            (ModeConfig::Off, _) | (_, ModeConfig::Off) => part,
            (_, mode) => part
                .inspect_answers(mode, Arc::new(WafAnswer(check)))
                .max_answer_bytes(self.max_response_size.0),
        })
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
            Ok(plan) if self.responses != ModeConfig::Off && !plan.judges_answers() => {
                cx.error("config.waf_responses", self.at, "none of the rules searches responses")
                    .help("add `builtin` or the Core Rule Set to `rules`, or leave `responses` out");
                None
            }
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
