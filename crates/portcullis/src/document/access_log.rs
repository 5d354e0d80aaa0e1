//! Where the access log goes, and what stands in it.

use super::syslog::SyslogServer;
use portcullis_config::{ByteSize, Context, Decode, Definitions, Node, Spanned, Value, keyword, object};
use portcullis_telemetry::OnFull;
use portcullis_telemetry::access_log::syslog::Settings as Syslog;
use portcullis_telemetry::access_log::{Addresses, Field, Format, Rotation, Style, Template};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

keyword! {
    /// An output that needs no path.
    enum Output {
        /// Standard output.
        Stdout = "stdout",
        /// Nowhere: who did what cannot be found out later.
        InsecureOff = "insecure_off",
    }
}

keyword! {
    /// What happens to log lines if the output is too slow.
    pub enum OnFullConfig {
        /// Requests wait for the output. If it takes nothing for one second, lines are dropped and counted until it does.
        Wait = "wait",
        /// Lines are dropped and counted at once. No request waits.
        Drop = "drop",
    }
}

impl From<OnFullConfig> for OnFull {
    fn from(config: OnFullConfig) -> OnFull {
        match config {
            OnFullConfig::Wait => OnFull::Wait,
            OnFullConfig::Drop => OnFull::Drop,
        }
    }
}

keyword! {
    /// The form of a line of the access log.
    pub enum LineFormat {
        /// A JSON object.
        Json = "json",
        /// The Combined Log Format of web servers, with referrer and user agent.
        Combined = "combined",
    }
}

keyword! {
    /// How the access log writes addresses.
    pub enum AddressesConfig {
        /// As they are.
        Whole = "whole",
        /// Without the last 8 bits of an IPv4 address, or the last 80 bits of an IPv6 one.
        Truncated = "truncated",
        /// As a keyed hash. The key changes at each start.
        Hashed = "hashed",
    }
}

/// The age up to which a file that is rotated by its age is written, unless the file says so.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The size at which a file is rotated, unless the file says so.
const SIZE: u64 = 100_000_000;

object! {
    /// Rotation of the log file by the gateway itself.
    pub struct RotationConfig {
        /// A file that has reached this size is rotated: it becomes `NAME.1`, and `NAME.1` becomes `NAME.2`. Default: 100MB.
        pub size: ByteSize = ByteSize(SIZE),
        /// The file is also rotated at each multiple of this time in UTC; with `24h`, at midnight. Default: 24h with `keep_for`,
        /// else never.
        pub every: Option<Spanned<Duration>>,
        /// How many rotated files are kept, 1 to 1000. Older ones are deleted. Default: 7.
        pub keep: Spanned<u32> = Spanned::nowhere(7),
        /// Rotated files are deleted after this time, also while no request comes. Default: age does not matter.
        pub keep_for: Option<Duration>,
    }
}

object! {
    /// A log output.
    struct OutputConfig {
        /// The file, relative to the configuration's folder. Lines are appended. Default: standard output.
        pub file: Option<PathBuf>,
        /// A syslog server, in place of a file.
        pub syslog: Option<Spanned<SyslogServer>>,
        /// What happens if the output is too slow or blocked. Lost lines are counted, and the log reports the count when
        /// the output works again. Default: wait.
        pub on_full: OnFullConfig = OnFullConfig::Wait,
        /// The form of a line. With `combined` or a `template`, notices go to standard error alone. Default: json.
        pub format: LineFormat = LineFormat::Json,
        /// A line as text with fields in it, such as `{time} {client} {status}`, in place of `format`. See docs/logs.md.
        pub template: Option<Spanned<String>>,
        /// The fields of a line of JSON. Default: all but `clf_time`, `protocol` and `user`.
        pub fields: Option<Spanned<Vec<Spanned<String>>>>,
        /// How addresses are written. The audit log and the admin API are not affected. Default: whole.
        pub addresses: AddressesConfig = AddressesConfig::Whole,
        /// The share of served requests that get a line, such as `10%`. Requests that were refused, failed, were aborted or
        /// would have been refused always get one. Default: 100%.
        pub sample: Option<Spanned<String>>,
        /// Rotates the file. Default: the gateway rotates and deletes nothing.
        pub rotate: Option<Spanned<RotationConfig>>,
    }
}

/// How lines are written, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineStyle {
    form: LineForm,
    addresses: AddressesConfig,
    /// Of a million.
    sample: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LineForm {
    Json,
    Fields(Vec<Field>),
    Template(Template),
}

impl LineStyle {
    /// What the log is told. Addresses are hashed under this secret.
    pub fn style(&self, secret: &[u8]) -> Style {
        let format = match &self.form {
            LineForm::Json => Format::Json,
            LineForm::Fields(fields) => Format::Fields(fields.clone()),
            LineForm::Template(template) => Format::Template(template.clone()),
        };
        let addresses = match self.addresses {
            AddressesConfig::Whole => Addresses::Whole,
            AddressesConfig::Truncated => Addresses::Truncated,
            AddressesConfig::Hashed => Addresses::hashed(secret),
        };
        Style { format, addresses, sample: self.sample, ..Style::default() }
    }
}

/// The output of an access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// When it is rotated.
        rotation: Option<Rotation>,
    },
    /// A syslog server.
    Syslog(Syslog),
}

/// An access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Where lines go.
    pub output: LogOutput,
    /// What happens if that is too slow.
    pub on_full: OnFullConfig,
    /// How lines are written.
    pub style: LineStyle,
    /// As the effective configuration shows it.
    written: serde_json::Value,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogConfig {
    /// Somewhere.
    On(Box<LogSettings>),
    /// Nowhere.
    Off,
}

impl AccessLogConfig {
    /// JSON to standard output.
    pub fn usual() -> AccessLogConfig {
        let style = LineStyle { form: LineForm::Json, addresses: AddressesConfig::Whole, sample: None };
        let (output, on_full, written) = (LogOutput::Stdout, OnFullConfig::Wait, json!("stdout"));
        AccessLogConfig::On(Box::new(LogSettings { output, on_full, style, written }))
    }
}

/// That there is no such field.
fn no_field(cx: &mut Context, name: &Spanned<String>) -> Option<Field> {
    let names: Vec<_> = Field::ALL.iter().map(|field| field.as_str()).collect();
    cx.error("config.log_field", name.span, format!("there is no field `{}`", name.value))
        .help(format!("the fields are {}", names.join(", ")));
    None
}

impl OutputConfig {
    fn form(&self, cx: &mut Context) -> Option<LineForm> {
        let text = match (&self.template, self.format) {
            (Some(text), LineFormat::Json) => Some(text),
            (Some(text), LineFormat::Combined) => {
                cx.error("config.log_template", text.span, "`format: combined` is a template already")
                    .help("remove one of the two");
                return None;
            }
            (None, _) => None,
        };
        let is_json = text.is_none() && self.format == LineFormat::Json;
        if let Some(fields) = self.fields.as_ref().filter(|_| !is_json) {
            cx.error("config.log_field", fields.span, "`fields` is for lines of JSON alone")
                .help("remove `fields`, or `format` and `template`");
            return None;
        }
        if let Some(text) = text {
            return match Template::parse(&text.value) {
                Ok(template) => Some(LineForm::Template(template)),
                Err(why) => {
                    let names: Vec<_> = Field::ALL.iter().map(|field| field.as_str()).collect();
                    cx.error("config.log_template", text.span, why)
                        .help(format!("the fields are {}", names.join(", ")));
                    None
                }
            };
        }
        match (&self.fields, self.format) {
            (_, LineFormat::Combined) => Some(LineForm::Template(Template::combined())),
            (None, LineFormat::Json) => Some(LineForm::Json),
            (Some(fields), LineFormat::Json) if fields.value.is_empty() => {
                cx.error("config.log_field", fields.span, "a line without a field says nothing")
                    .help("list some fields, or remove `fields`");
                None
            }
            (Some(fields), LineFormat::Json) => {
                let mut found: Vec<Field> = Vec::new();
                for name in &fields.value {
                    let field = Field::named(&name.value).or_else(|| no_field(cx, name))?;
                    if found.contains(&field) {
                        // Readers of JSON disagree about a member that is there twice.
                        cx.error("config.log_field", name.span, "this field is listed already")
                            .help("list each field once");
                        return None;
                    }
                    found.push(field);
                }
                Some(LineForm::Fields(found))
            }
        }
    }

    fn sample(&self, cx: &mut Context) -> Option<Option<u32>> {
        let Some(text) = &self.sample else { return Some(None) };
        let share = text.value.trim().strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok());
        match share.filter(|share| (0.0..=100.0).contains(share)) {
            Some(share) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a number from 0 to a million"
                )]
                let per_million = (share * 10_000.0).round() as u32;
                Some(Some(per_million))
            }
            None => {
                cx.error("config.log_sample", text.span, "this is not a share of requests")
                    .help("write a percentage from 0% to 100%, such as `10%`");
                None
            }
        }
    }

    fn rotation(&self, cx: &mut Context) -> Option<Option<Rotation>> {
        let Some(rotate) = &self.rotate else { return Some(None) };
        if self.file.is_none() {
            cx.error("config.log_rotation", rotate.span, "only a file can be rotated")
                .help("add `file`, or remove `rotate`");
            return None;
        }
        let RotationConfig { size, every, keep, keep_for, .. } = &rotate.value;
        if !(1..=1000).contains(&keep.value) {
            cx.error("config.log_rotation", keep.span, "1 to 1000 rotated files can be kept")
                .help("write a number such as 7");
            return None;
        }
        if let Some(every) = every.as_ref().filter(|every| every.value < Duration::from_secs(60)) {
            cx.error(
                "config.log_rotation",
                every.span,
                "a file cannot be rotated more often than each minute",
            )
            .help("write a time such as `24h`");
            return None;
        }
        // SECURITY: a line in a file that never grows full would be kept for ever, whatever `keep_for` says
        // (every_key_has_its_effect).
        let every = every.as_ref().map(|every| every.value).or(keep_for.map(|_| DAY));
        let rotation = Rotation { bytes: Some(size.0.max(1)), every, keep: keep.value, keep_for: *keep_for };
        Some(Some(rotation))
    }

    fn compile(&self, cx: &mut Context) -> Option<LogSettings> {
        let form = self.form(cx);
        let sample = self.sample(cx);
        let rotation = self.rotation(cx);
        let syslog = match &self.syslog {
            None => Some(None),
            Some(syslog) if self.file.is_some() => {
                cx.error("config.syslog", syslog.span, "a log has one output")
                    .help("remove `file` or `syslog`");
                None
            }
            Some(syslog) => Some(Some(syslog.value.settings().clone())),
        };
        let output = match (syslog?, self.file.clone()) {
            (Some(syslog), _) => LogOutput::Syslog(syslog),
            (None, Some(path)) => LogOutput::File { path, rotation: rotation? },
            (None, None) => {
                rotation?;
                LogOutput::Stdout
            }
        };
        let style = LineStyle { form: form?, addresses: self.addresses, sample: sample? };
        let written = Decode::written(self).unwrap_or_default();
        Some(LogSettings { output, on_full: self.on_full, style, written })
    }
}

impl Decode for AccessLogConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if matches!(node.value, Value::Mapping(_)) {
            let settings = OutputConfig::decode(node, cx)?.compile(cx)?;
            return Some(AccessLogConfig::On(Box::new(settings)));
        }
        Some(match Output::decode(node, cx)? {
            Output::Stdout => AccessLogConfig::usual(),
            Output::InsecureOff => AccessLogConfig::Off,
        })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [Output::schema(definitions), OutputConfig::schema(definitions)] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(match self {
            AccessLogConfig::On(settings) => settings.written.clone(),
            AccessLogConfig::Off => json!("insecure_off"),
        })
    }
}
