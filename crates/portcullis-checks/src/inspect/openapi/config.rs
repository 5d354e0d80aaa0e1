//! What can be written of an OpenAPI document, and that it says something of the route that has it.
//!
//! A document that cannot be read or judged, or that says nothing of a route, does not load: it would be a control that
//! never runs.

use super::answer::OpenapiAnswer;
use super::security::{OpenapiSecurity, covered, served};
use super::{Document, DocumentProofs, Openapi};
use crate::build::Build;
use crate::inspect::limits::ContentLimitsConfig;
use crate::mode::ModeConfig;
use crate::reason::Reason;
use portcullis_config::{
    ByteSize, Context, Decode, Definitions, Node, Span, Spanned, Value, keyword, object,
};
use portcullis_core::{Authorize, Control, Controls, Guarded, Inspect, InspectAnswer, MethodSet, Mode};
use portcullis_openapi::{
    Api, EncodedCommas, Files, Limits, LoadError, LoadErrors, Options, OtherSpellings, ReadOnly,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

keyword! {
    /// What happens to undeclared query parameters.
    pub enum UnknownParametersConfig {
        /// The request is refused.
        Refuse = "refuse",
        /// They are let through unjudged.
        Allow = "allow",
    }
}

keyword! {
    /// What happens to another spelling of a declared name.
    pub enum OtherSpellingsConfig {
        /// The request is refused.
        Refuse = "refuse",
        /// It is a name like any other that is not declared.
        Allow = "allow",
    }
}

impl From<OtherSpellingsConfig> for OtherSpellings {
    fn from(config: OtherSpellingsConfig) -> Self {
        match config {
            OtherSpellingsConfig::Refuse => OtherSpellings::Refuse,
            OtherSpellingsConfig::Allow => OtherSpellings::Allow,
        }
    }
}

keyword! {
    /// How an encoded comma (`%2C`) in a comma-separated list is read, such as in `ids=a%2Cb`.
    pub enum EncodedCommasConfig {
        /// Backends differ, so the schema must allow both readings. A reading in which an item has no value of its type, such
        /// as the number `1,2`, does not count.
        Both = "both",
        /// It separates items, as clients such as `URLSearchParams`, Python's requests and .NET mean it.
        Split = "split",
        /// It belongs to an item, as OpenAPI has it.
        Keep = "keep",
    }
}

keyword! {
    /// What happens to `readOnly` members in a request.
    pub enum ReadOnlyConfig {
        /// The request is refused.
        Refuse = "refuse",
        /// They are judged like any other member and forwarded.
        Ignore = "ignore",
        /// They are removed from JSON bodies. Where that is not possible, the request is refused.
        Strip = "strip",
    }
}

object! {
    /// An OpenAPI document and its settings.
    struct OpenapiObject {
        /// The document: OpenAPI 3.0, 3.1 or 3.2, in JSON or YAML. Files that it references must be in its folder or below.
        pub file: Spanned<PathBuf>,
        /// The path prefix of the API, such as `/v1`. `/` means no prefix. Default: the paths of the document's
        /// `servers`.
        pub base_path: Option<Spanned<String>>,
        /// What happens to undeclared query parameters. Default: refuse.
        pub unknown_parameters: UnknownParametersConfig = UnknownParametersConfig::Refuse,
        /// What happens to another spelling of a declared name, such as `Limit`, `limit[]`, `x_tenant`, or a pair after a
        /// `;`. A backend could read it as the declared one. It applies to headers, cookies, queries, forms and JSON.
        /// Default: refuse.
        pub other_spellings: OtherSpellingsConfig = OtherSpellingsConfig::Refuse,
        /// How an encoded comma (`%2C`) in a comma-separated list is read. Default: both.
        pub encoded_commas: EncodedCommasConfig = EncodedCommasConfig::Both,
        /// What happens to `readOnly` members in a request. Clients that send back what they got send them. `strip` removes them from
        /// JSON bodies before they are forwarded; a member within `oneOf`, `anyOf` or `not`, or in a form, is refused. Default: refuse.
        pub read_only: ReadOnlyConfig = ReadOnlyConfig::Refuse,
        /// Whether a number that a double cannot hold exactly is rejected, such as an integer beyond 64 bits. Otherwise it is
        /// judged as it rounds. Default: false.
        pub strict_numbers: bool = false,
        /// Operations that are not served although the document has them, each with the reason: `{ "POST /uploads": "why" }`,
        /// or by `operationId`. Requests to them get 404 or 405. Nothing of them needs to be judgeable.
        pub leave_out: BTreeMap<String, Reason> = BTreeMap::new(),
        /// Operations that are served without being judged, each with the reason. Only their security requirements hold.
        pub insecure_unjudged: BTreeMap<String, Reason> = BTreeMap::new(),
        /// Bounds on what one request body may hold.
        pub limits: Option<ContentLimitsConfig>,
        /// What happens if a response does not fit the document. With `enforce` the client gets 502 instead. Responses
        /// are held in memory until they are validated. Default: off.
        pub responses: ModeConfig = ModeConfig::Off,
        /// Whether members of JSON responses that no schema declares are removed. Needs `responses: enforce`. Default:
        /// false.
        pub remove_undeclared: bool = false,
        /// The maximum size of a response that is validated. A larger one is replaced by 502. Default: 1MiB.
        pub max_response_size: ByteSize = ByteSize(1024 * 1024),
        /// The most files of the document: its own and those that it references. A document with more does not load. Default: 20000.
        pub max_files: NonZeroU32 = MOST_FILES,
        /// `enforce` rejects requests that do not fit the document. `observe` lets them through and records what would
        /// have been rejected. `off` skips the check, for responses as well. Default: enforce.
        pub mode: ModeConfig = ModeConfig::Enforce,
    }
}

/// The OpenAPI document of a route or a gateway: the name of a file, or that and more.
#[derive(Clone, Debug)]
pub struct OpenapiConfig(OpenapiObject);

impl Decode for OpenapiConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if matches!(node.value, Value::Mapping(_)) {
            return OpenapiObject::decode(node, cx).map(OpenapiConfig);
        }
        let file = Spanned::<PathBuf>::decode(node, cx)?;
        Some(OpenapiConfig(OpenapiObject {
            file,
            base_path: None,
            unknown_parameters: UnknownParametersConfig::Refuse,
            other_spellings: OtherSpellingsConfig::Refuse,
            encoded_commas: EncodedCommasConfig::Both,
            read_only: ReadOnlyConfig::Refuse,
            strict_numbers: false,
            leave_out: BTreeMap::new(),
            insecure_unjudged: BTreeMap::new(),
            limits: None,
            responses: ModeConfig::Off,
            remove_undeclared: false,
            max_response_size: ByteSize(1024 * 1024),
            max_files: MOST_FILES,
            mode: ModeConfig::Enforce,
            at: node.span,
        }))
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        let object = OpenapiObject::schema(definitions);
        json!({ "anyOf": [{ "type": "string", "minLength": 1, "examples": ["orders.yaml"] }, object] })
    }
}

/// What a document was compiled with, so that one file is compiled once for all routes that have it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CompiledKey {
    file: PathBuf,
    most_files: NonZeroU32,
    base_path: Option<String>,
    allows_unknown: bool,
    other_spellings: OtherSpellings,
    encoded_commas: EncodedCommas,
    read_only: ReadOnly,
    left_out: BTreeSet<String>,
    unjudged: BTreeSet<String>,
    limits: Limits,
    responses: bool,
}

/// The checks of a document.
#[derive(Clone)]
pub struct CompiledOpenapi {
    api: Arc<Api>,
    file: Spanned<PathBuf>,
    mode: Mode,
    document: Document,
    requests: Arc<dyn Inspect>,
    answers: Option<Guarded<dyn InspectAnswer>>,
    max_answer_bytes: u64,
}

impl OpenapiConfig {
    /// Where it stands.
    pub fn at(&self) -> Span {
        self.0.at
    }

    /// The file of the document.
    pub fn file(&self) -> &std::path::Path {
        &self.0.file.value
    }

    /// The path under which the API is served, if the configuration says it.
    pub fn base_path(&self) -> Option<&str> {
        self.0.base_path.as_ref().map(|base| base.value.as_str())
    }

    /// Compiles the document. `None` means that an error was pushed.
    pub fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<CompiledOpenapi> {
        let OpenapiConfig(config) = self;
        if config.remove_undeclared && config.responses != ModeConfig::Enforce {
            cx.error(
                "config.openapi_responses",
                config.at,
                "`remove_undeclared` has no effect on responses that are not enforced",
            )
            .help("add `responses: enforce`, or remove `remove_undeclared`");
            return None;
        }
        let base_path = match &config.base_path {
            None => None,
            Some(base) => Some(base_path(base, cx)?),
        };
        let key = CompiledKey {
            file: config.file.value.clone(),
            most_files: config.max_files,
            base_path,
            allows_unknown: config.unknown_parameters == UnknownParametersConfig::Allow,
            other_spellings: config.other_spellings.into(),
            encoded_commas: match config.encoded_commas {
                EncodedCommasConfig::Both => EncodedCommas::Both,
                EncodedCommasConfig::Split => EncodedCommas::Split,
                EncodedCommasConfig::Keep => EncodedCommas::Keep,
            },
            read_only: match config.read_only {
                ReadOnlyConfig::Refuse => ReadOnly::Refuse,
                ReadOnlyConfig::Ignore => ReadOnly::Ignore,
                ReadOnlyConfig::Strip => ReadOnly::Strip,
            },
            left_out: config.leave_out.keys().cloned().collect(),
            unjudged: config.insecure_unjudged.keys().cloned().collect(),
            limits: ContentLimitsConfig::limits(config.limits.as_ref(), config.strict_numbers),
            responses: config.responses != ModeConfig::Off,
        };
        let known = build.documents.iter().find(|(known, _)| *known == key);
        let api = match known.map(|(_, api)| Arc::clone(api)) {
            Some(api) => api,
            None => {
                let api = read(&key, &config.file, cx)?;
                build.documents.push((key.clone(), Arc::clone(&api)));
                api
            }
        };
        if config.mode != ModeConfig::Off {
            let fields = api.operations().flat_map(|operation| operation.header_fields());
            build.declared_fields.extend(fields.map(str::to_owned));
        }
        let name = config.file.value.file_name().map_or_else(String::new, |name| name.display().to_string());
        let document = Document { api: Arc::clone(&api), name, undeclared: Arc::default() };
        let answers = key.responses.then(|| {
            let check = OpenapiAnswer { document: document.clone(), removes: config.remove_undeclared };
            let check: Arc<dyn InspectAnswer> = Arc::new(check);
            Guarded { mode: config.responses.into(), check }
        });
        Some(CompiledOpenapi {
            api,
            file: config.file.clone(),
            mode: config.mode.into(),
            document: document.clone(),
            requests: Arc::new(Openapi {
                document,
                allows_unknown: key.allows_unknown,
                strips: key.read_only == ReadOnly::Strip,
            }),
            answers,
            max_answer_bytes: config.max_response_size.0,
        })
    }
}

impl CompiledOpenapi {
    /// The controls of a route with the checks of this document. `None` means that an error was pushed: the document says
    /// nothing of the route, or asks for what the route does not.
    pub fn applied(
        &self,
        controls: &Controls,
        path: &Spanned<String>,
        methods: &MethodSet,
        cx: &mut Context,
    ) -> Option<Controls> {
        let mut controls = controls.clone();
        if self.mode == Mode::Off {
            controls.off.push(Control {
                stage: "inspect",
                id: self.requests.id().as_str(),
                mode: Mode::Off,
                summary: self.requests.describe(),
            });
            return Some(controls);
        }
        // SECURITY: a route whose every request is refused, or none judged, is a mistake that somebody will mend in a hurry
        // (every_code_points_to_its_place_and_says_what_to_do).
        if served(&self.api, &path.value, methods).next().is_none() {
            let bases: Vec<String> = self.api.base_paths().iter().map(|base| format!("`{base}/`")).collect();
            cx.error(
                "config.openapi_route",
                self.file.span,
                format!("the document has no operation under this route; its API is under {}", bases.join(", ")),
            )
            .related(path.span, "the route")
            .help("declare the route's path and methods in the document, or say with `base_path` where its API is served");
            return None;
        }
        let answered = covered(&self.api, path, methods, &controls.authentication, &self.file, cx)?;
        if self.api.operations().any(|operation| !operation.security().is_empty()) {
            let check: Arc<dyn Authorize> =
                Arc::new(OpenapiSecurity { document: self.document.clone(), answered });
            controls.authorize.push(Guarded { mode: self.mode, check });
        }
        controls.inspection.operations = Some(Arc::new(self.document.clone()));
        // Before those that read what it finds in a body, so that no body is parsed twice.
        let requests = &mut controls.inspection.requests;
        let place = requests.iter().position(|guarded| guarded.check.reads_arguments());
        let check = Guarded { mode: self.mode, check: Arc::clone(&self.requests) };
        requests.insert(place.unwrap_or(requests.len()), check);
        // SECURITY: what is only observed refuses nothing, so it proves nothing (what_a_schema_proves_is_not_searched).
        if self.mode == Mode::Enforce {
            controls.inspection.proofs = Some(Arc::new(DocumentProofs(self.document.clone())));
        }
        if let Some(answers) = &self.answers {
            let inspection = &mut controls.inspection;
            // An answer is held once for all that look into it, up to the largest of their bounds.
            let others = if inspection.answers.is_empty() { 0 } else { inspection.max_answer_bytes };
            inspection.max_answer_bytes = self.max_answer_bytes.max(others);
            inspection.answers.push(answers.clone());
        }
        Some(controls)
    }
}

fn read(key: &CompiledKey, file: &Spanned<PathBuf>, cx: &mut Context) -> Option<Arc<Api>> {
    let options = Options {
        allow_unknown_query: key.allows_unknown,
        other_spellings: key.other_spellings,
        encoded_commas: key.encoded_commas,
        read_only: key.read_only,
        left_out: key.left_out.clone(),
        unjudged: key.unjudged.clone(),
        limits: key.limits,
        responses: key.responses,
        base_paths: key.base_path.clone().map(|base| vec![base]),
        ..Options::default()
    };
    let files = Files::load_at_most(&key.file, usize::try_from(key.most_files.get()).unwrap_or(usize::MAX));
    if let (Ok(files), Some(folder)) = (&files, key.file.parent()) {
        // What it refers to belongs to the configuration as well.
        files.names().for_each(|name| cx.note_file(folder.join(name)));
    }
    match files.map_err(LoadErrors::from).and_then(|files| Api::compile(&files, &options)) {
        Ok(api) => {
            for warning in api.warnings().iter().take(MOST_WARNINGS) {
                cx.warning("config.openapi_keyword", file.span, told(key, warning))
                    .help("correct the keyword; a name of your own begins with `x-`");
            }
            Some(Arc::new(api))
        }
        Err(errors) => {
            for error in errors.iter() {
                cx.error("config.openapi", file.span, told(key, error)).help(
                    "correct the document, or name the operation under `leave_out` or `insecure_unjudged` with a reason",
                );
            }
            None
        }
    }
}

/// How many files a document may have where nothing is said of it.
const MOST_FILES: NonZeroU32 = match NonZeroU32::new(20_000) {
    Some(number) => number,
    None => NonZeroU32::MIN,
};

/// The most keywords of one document that are warned of.
const MOST_WARNINGS: usize = 10;

/// What is wrong with a document, and where.
fn told(key: &CompiledKey, error: &LoadError) -> String {
    let name = key.file.file_name().map_or_else(String::new, |name| name.display().to_string());
    let place = error.location.trim_start_matches("openapi:///");
    let place = if place.contains(&name) { place.to_owned() } else { format!("{name}: {place}") };
    match error.line {
        Some(line) => format!("{place} (line {line}): {}", error.message),
        None => format!("{place}: {}", error.message),
    }
}

/// A base path without a slash at its end.
fn base_path(base: &Spanned<String>, cx: &mut Context) -> Option<String> {
    let path = base.value.trim_end_matches('/');
    if base.value.starts_with('/')
        && portcullis_core::route::pattern::foreign(&base.value).is_none()
        && (path.is_empty()
            || portcullis_core::head::path::canonical(path).is_ok_and(|canonical| canonical == path))
    {
        return Some(path.to_owned());
    }
    cx.error("config.openapi_base_path", base.span, "no request path can begin like this")
        .help("write a path such as `/v1`, or `/` where the document's paths are the requests'");
    None
}
