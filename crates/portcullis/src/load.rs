//! Reading a configuration, and what there is to say of it.

use crate::compile::{Blueprint, compile};
use crate::difference::{self, Change, Side};
use crate::document::{AccessLogConfig, GatewayConfig, ListenerConfig, LogOutput, RouteConfig};
use crate::findings::{self, Finding, Rule};
use crate::judge::Places;
pub use portcullis_config::Context;
use portcullis_config::reading;
use portcullis_config::{
    Decode, Diagnostics, Node, Renderer, Source, Span, Style, Value, document_schema, files, from_json,
};
use portcullis_proxy::Handler;
use portcullis_runtime::State;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The top-level keys below which each name may stand in another file.
const NAMED: [&str; 3] = ["security_profiles", "plans", "upstreams"];

/// A configuration that was read: what is to run, if it can, and everything there is to say of it.
pub struct Loaded {
    blueprint: Option<Blueprint>,
    /// What the blueprint was made from; with a configuration made in code, nothing.
    config: Option<GatewayConfig>,
    /// What is written, for comparisons.
    document: Option<Node>,
    /// Where a gateway with this file answers, also if the file cannot be used: the asker may lack its secrets.
    state_dir: Option<PathBuf>,
    /// Where the files are that it names.
    folder: PathBuf,
    diagnostics: Diagnostics,
    sources: Vec<Source>,
    included: Vec<PathBuf>,
    digest: String,
    files: BTreeSet<PathBuf>,
}

impl Loaded {
    /// Reads a configuration file. Secrets and other files that it names are read too.
    ///
    /// # Errors
    /// The file cannot be read. What is wrong in it is no error here, but a diagnostic.
    pub fn file(path: &Path) -> std::io::Result<Loaded> {
        Loaded::file_with(path, &State::new())
    }

    /// The same for a process in which plans before have left something in `state`, such as counts and an issuer's keys.
    ///
    /// # Errors
    /// The file cannot be read. What is wrong in it is no error here, but a diagnostic.
    pub fn file_with(path: &Path, state: &State) -> std::io::Result<Loaded> {
        // SECURITY: a reload must not take the memory that serves (a_configuration_without_end_is_refused).
        let mut text = reading::text(path, files::SIZE_LIMIT)?;
        let text = std::mem::take(&mut *text);
        let folder = path.parent().unwrap_or(Path::new(""));
        let loaded = Loaded::yaml_with(&path.display().to_string(), text, Context::for_file(folder), state);
        Ok(Loaded { folder: folder.to_owned(), ..loaded })
    }

    /// Reads a configuration from a text called `name`.
    pub fn yaml(name: &str, text: String, cx: Context) -> Loaded {
        Loaded::yaml_with(name, text, cx, &State::new())
    }

    /// The same for a process in which plans before have left something in `state`.
    pub fn yaml_with(name: &str, text: String, mut cx: Context, state: &State) -> Loaded {
        cx.know_places(crate::document::PLACES);
        let files::Document { node, sources, included } =
            files::read(&Source::new(name, text), &NAMED, &mut cx);
        let digest = digest(sources.iter().map(Source::text));
        let config = node.as_ref().and_then(|node| GatewayConfig::decode(node, &mut cx));
        let state_dir = config.as_ref().and_then(|config| config.state_dir.clone());
        // SECURITY: any error refuses the document, also one that left a readable value (tests/config/codes.rs).
        let config = config.filter(|_| !cx.diagnostics.has_errors());
        let blueprint = match &config {
            Some(config) => compile(config, Vec::new(), state, &mut cx),
            None => {
                if let Some(node) = &node {
                    look_at_parts(node, &mut cx);
                }
                None
            }
        };
        let mut files = cx.files();
        files.extend(included.iter().cloned());
        // What the gateway writes itself says nothing new.
        if let Some(AccessLogConfig::On(settings)) = blueprint.as_ref().map(|blueprint| &blueprint.access_log)
            && let LogOutput::File { path: log, .. } = &settings.output
        {
            files.remove(log);
        }
        if let Some(audit) = blueprint.as_ref().and_then(|blueprint| blueprint.audit_log.as_ref()) {
            files.remove(&audit.file);
            files.remove(&audit.key_file());
        }
        if let Some(state_dir) = blueprint.as_ref().and_then(|blueprint| blueprint.state_dir.as_ref()) {
            files.remove(state_dir);
        }
        if let Some(store) = blueprint.as_ref().and_then(|blueprint| blueprint.key_store.as_ref())
            && let portcullis_keys::Place::Sqlite(path) = &store.place
        {
            files.remove(path);
        }
        for listener in blueprint.iter().flat_map(|blueprint| &blueprint.front.listeners) {
            if let Some(acme) = listener.tls.as_ref().and_then(|tls| tls.acme()) {
                files.remove(&acme.storage);
            }
        }
        let (document, folder, diagnostics) = (node, PathBuf::new(), cx.diagnostics);
        Loaded {
            blueprint,
            config,
            document,
            state_dir,
            folder,
            diagnostics,
            sources,
            included,
            digest,
            files,
        }
    }

    /// What the change from `old` to this one means for security, loosened things first.
    pub fn changes_from(&self, old: &Loaded) -> Vec<Change> {
        let written = |loaded: &Loaded| loaded.document.as_ref().map(plain).unwrap_or_default();
        let (before, after) = (written(old), written(self));
        difference::between(
            &Side { document: &before, folder: &old.folder },
            &Side { document: &after, folder: &self.folder },
        )
    }

    /// Reads a configuration that a program made.
    pub(crate) fn code(json: serde_json::Value, handlers: Vec<Arc<dyn Handler>>, state: &State) -> Loaded {
        let mut cx = Context::for_code();
        let digest = digest([json.to_string().as_str()]);
        let config = from_json::<GatewayConfig>(json, &mut cx);
        if config.as_ref().is_some_and(|config| !config.include.is_empty()) {
            cx.error("config.include", Span::NONE, "a configuration made in code cannot include files");
        }
        let state_dir = config.as_ref().and_then(|config| config.state_dir.clone());
        let blueprint = config.and_then(|config| compile(&config, handlers, state, &mut cx));
        let (sources, included, files) = (Vec::new(), Vec::new(), cx.files());
        let (config, document, folder, diagnostics) = (None, None, PathBuf::new(), cx.diagnostics);
        Loaded {
            blueprint,
            config,
            document,
            state_dir,
            folder,
            diagnostics,
            sources,
            included,
            digest,
            files,
        }
    }

    /// What it was made from; `None` for a configuration that is made in code, or that cannot be read.
    pub(crate) fn config(&self) -> Option<&GatewayConfig> {
        self.config.as_ref()
    }

    /// Where in the text things stand.
    pub fn places(&self) -> Places<'_> {
        Places::new(self.document.as_ref(), &self.sources)
    }

    /// What is to run; `None` if anything is wrong.
    pub fn blueprint(&self) -> Option<&Blueprint> {
        self.blueprint.as_ref()
    }

    /// The files that the configuration includes, in the order in which they were read.
    pub fn included(&self) -> &[PathBuf] {
        &self.included
    }

    /// The first 64 bits of the SHA-256 of the configuration and what it includes, as it is written, in hexadecimal
    /// digits. Other files that it refers to are not part of it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Where the gateway would answer its owner; see [`crate::control`].
    pub fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    /// Where keys are that come and go, if anywhere.
    pub fn key_store(&self) -> Option<&portcullis_keys::Settings> {
        self.blueprint.as_ref()?.key_store.as_ref()
    }

    /// Every file that it refers to, as far as it could be read, but for those that the gateway writes.
    pub fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.diagnostics.error_count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.diagnostics.warning_count()
    }

    /// All diagnostics as text.
    pub fn text(&self, style: Style) -> String {
        Renderer::new(&self.diagnostics, &self.sources, style).text()
    }

    /// All diagnostics as JSON, an object each.
    pub fn json(&self) -> serde_json::Value {
        Renderer::new(&self.diagnostics, &self.sources, Style::Plain).json()
    }

    /// What is weaker than it need be, the gravest first; nothing for a configuration that cannot be used. What the file
    /// accepts is left out. `today` is a day in the form `2027-01-31`.
    pub fn findings(&self, today: &str) -> Vec<Finding> {
        let both = self.config.as_ref().zip(self.blueprint.as_ref());
        both.map_or_else(Vec::new, |(config, blueprint)| findings::of(config, blueprint, today))
    }

    /// A finding as text, with the line that it is about.
    pub fn finding_text(&self, finding: &Finding, style: Style) -> String {
        let renderer = Renderer::new(&self.diagnostics, &self.sources, style);
        let Rule { why, owasp, severity, .. } = finding.rule;
        format!(
            "{}    why: {why}\n    {}, {owasp}\n",
            renderer.diagnostic(&finding.diagnostic()),
            severity.as_str()
        )
    }

    /// Diagnostics and findings as JSON, an object each: `code`, `severity`, `message`, `file`, `line`, `column` and so on. A
    /// finding has `why`, `help`, `owasp` and `route` as well.
    pub fn results(&self, findings: &[Finding]) -> Vec<serde_json::Value> {
        let renderer = Renderer::new(&self.diagnostics, &self.sources, Style::Plain);
        let mut results: Vec<_> =
            self.diagnostics.sorted().into_iter().map(|one| renderer.diagnostic_json(one)).collect();
        results.extend(findings.iter().map(|finding| {
            let mut object = renderer.diagnostic_json(&finding.diagnostic());
            let Rule { why, owasp, severity, .. } = finding.rule;
            if let Some(object) = object.as_object_mut() {
                object.insert("severity".into(), severity.as_str().into());
                object.insert("why".into(), (*why).into());
                object.insert("owasp".into(), (*owasp).into());
                object.insert("route".into(), finding.route.clone().into());
            }
            object
        }));
        results
    }

    /// What is to run, apart from all that there is to say of it. `None` if anything is wrong.
    pub fn take_blueprint(mut self) -> Option<(Blueprint, Loaded)> {
        let mut blueprint = self.blueprint.take()?;
        blueprint.digest.clone_from(&self.digest);
        Some((blueprint, self))
    }

    /// What is to run.
    ///
    /// # Errors
    /// Anything is wrong with the configuration.
    pub fn into_blueprint(mut self) -> Result<Blueprint, ConfigError> {
        match self.blueprint.take() {
            Some(blueprint) => Ok(Blueprint { digest: self.digest, ..blueprint }),
            // Not before: a hundred thousand keys with a warning each take longer to describe than to compile.
            None => Err(ConfigError { text: self.text(Style::Plain) }),
        }
    }
}

/// A tree without places.
fn plain(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Integer(number) => match i64::try_from(*number) {
            Ok(number) => number.into(),
            Err(_) => number.to_string().into(),
        },
        Value::Float(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Sequence(items) => items.iter().map(plain).collect(),
        Value::Mapping(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), plain(&entry.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        // With its length, so that nothing moves from one file to the next unnoticed.
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Says what is wrong with the listeners and routes that can be read in a document that cannot, so that whoever mends it
/// need not come back for those.
fn look_at_parts(document: &Node, cx: &mut Context) {
    for_each_part::<ListenerConfig>(document, "listeners", cx, |listener, cx| {
        let _ = listener.compile(cx);
    });
    for_each_part::<RouteConfig>(document, "routes", cx, |route, cx| {
        let _ = route.checked_path(cx);
        let _ = route.canonical_hosts(cx);
        let _ = route.method_set(cx);
        let _ = route.upgrades(cx);
    });
}

fn for_each_part<T: Decode>(
    document: &Node,
    key: &str,
    cx: &mut Context,
    mut look: impl FnMut(&T, &mut Context),
) {
    let Some(Node { value: Value::Sequence(parts), .. }) = document.lookup(key) else { return };
    for (index, part) in parts.iter().enumerate() {
        // What keeps a part from being read was said when the whole was.
        let mut said_before = Context::for_file("");
        if let Some(part) = T::decode(part, &mut said_before) {
            cx.at(key, |cx| cx.index(index, |cx| look(&part, cx)));
        }
    }
}

/// A configuration that must not be used, with every reason.
#[derive(Clone, Debug)]
pub struct ConfigError {
    text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used\n{}", self.text)
    }
}

impl std::error::Error for ConfigError {}

/// The JSON Schema of the configuration document, for editors.
pub fn schema() -> serde_json::Value {
    document_schema::<GatewayConfig>("Portcullis gateway", "urn:portcullis:gateway")
}

/// The user's reference of the configuration document, as Markdown.
pub fn reference() -> String {
    crate::reference::reference()
}
