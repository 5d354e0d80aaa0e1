//! Which answers are compressed.
//!
//! What carries secrets is left alone unless a reason is given. A media type that is never compressed cannot be named: the key
//! would do nothing.

use portcullis_checks::Reason;
use portcullis_config::{ByteSize, Context, Decode, Definitions, Node, Spanned, Value, keyword, object};
use portcullis_core::route::compression::{Coding, Compression, Level, MediaRange};
use serde_json::json;

/// Media types that are compressed unless the file says otherwise.
const DEFAULT_TYPES: [&str; 10] = [
    "text/*",
    "*+json",
    "*+xml",
    "application/json",
    "application/xml",
    "application/javascript",
    "application/yaml",
    "application/wasm",
    "font/ttf",
    "font/otf",
];

keyword! {
    /// A content coding.
    pub enum CodingConfig {
        /// Zstandard (RFC 8878).
        Zstd = "zstd",
        /// Brotli (RFC 7932).
        Brotli = "br",
        /// gzip (RFC 1952).
        Gzip = "gzip",
    }
}

keyword! {
    /// How hard the gateway compresses.
    pub enum LevelConfig {
        /// The least CPU time: gzip 1, Brotli 1, Zstandard 1.
        Fast = "fast",
        /// gzip 5, Brotli 4, Zstandard 3.
        Balanced = "balanced",
        /// The smallest answers: gzip 9, Brotli 8, Zstandard 9. Takes several times as long.
        Small = "small",
    }
}

object! {
    /// The compression of answers.
    pub struct CompressionSettingsConfig {
        /// The codings, the preferred one first. A client gets the one that it prefers itself; this order decides among
        /// equals. Default: zstd, br, gzip.
        pub codings: Option<Spanned<Vec<CodingConfig>>>,
        /// The size from which an answer is compressed, if its size is known. Default: 1KiB.
        pub min_size: ByteSize = ByteSize::kib(1),
        /// The media types to compress, such as `application/json`, `text/*` or `*+json`. Streams of events and gRPC
        /// messages are never compressed. Default: text, JSON, XML, JavaScript, YAML, WebAssembly, TTF and OTF fonts.
        pub media_types: Option<Spanned<Vec<String>>>,
        /// How hard the gateway compresses. Default: balanced.
        pub level: LevelConfig = LevelConfig::Balanced,
        /// Why answers that set cookies, and answers to requests with credentials, are compressed too. If such an answer
        /// contains both a secret and text that an attacker can choose, its size reveals the secret (BREACH). Default: they
        /// are not compressed.
        pub insecure_with_credentials: Option<Reason>,
    }
}

/// Whether answers are compressed, and which.
#[derive(Clone, Debug)]
pub enum CompressionConfig {
    /// None are.
    Off,
    /// These are.
    On(Box<CompressionSettingsConfig>),
}

impl Decode for CompressionConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if matches!(node.value, Value::Mapping(_)) {
            return CompressionSettingsConfig::decode(node, cx).map(Box::new).map(CompressionConfig::On);
        }
        if !bool::decode(node, cx)? {
            return Some(CompressionConfig::Off);
        }
        let defaults = Node { value: Value::Mapping(Vec::new()), ..node.clone() };
        let settings = CompressionSettingsConfig::decode(&defaults, cx)?;
        Some(CompressionConfig::On(Box::new(settings)))
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [bool::schema(definitions), CompressionSettingsConfig::schema(definitions)] })
    }
}

impl CompressionConfig {
    /// What runs; the inner `None` where nothing is compressed. The outer `None` means that an error was pushed.
    pub(crate) fn compile(&self, cx: &mut Context) -> Option<Option<Compression>> {
        match self {
            CompressionConfig::Off => Some(None),
            CompressionConfig::On(settings) => settings.compile(cx).map(Some),
        }
    }
}

impl CompressionSettingsConfig {
    fn compile(&self, cx: &mut Context) -> Option<Compression> {
        let codings = match &self.codings {
            None => vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
            Some(codings) => {
                let mut all = Vec::new();
                for coding in &codings.value {
                    let coding = match coding {
                        CodingConfig::Zstd => Coding::Zstd,
                        CodingConfig::Brotli => Coding::Brotli,
                        CodingConfig::Gzip => Coding::Gzip,
                    };
                    if !all.contains(&coding) {
                        all.push(coding);
                    }
                }
                if all.is_empty() {
                    cx.error("config.empty_list", codings.span, "the list of codings is empty")
                        .help("write `compression: false`, or leave the key out");
                    return None;
                }
                all
            }
        };
        let media_types = match &self.media_types {
            None => DEFAULT_TYPES.iter().filter_map(|text| range(text).ok()).collect(),
            Some(types) => {
                let mut all = Vec::new();
                for text in &types.value {
                    match range(text) {
                        Ok(range) => all.push(range),
                        Err(problem) => {
                            cx.error("config.compression", types.span, format!("`{text}` {problem}"))
                                .help("write media types such as `application/json`, `text/*` or `*+json`");
                            return None;
                        }
                    }
                }
                if all.is_empty() {
                    cx.error("config.empty_list", types.span, "the list of media types is empty")
                        .help("write `compression: false`, or leave the key out");
                    return None;
                }
                all
            }
        };
        Some(Compression {
            codings,
            min_bytes: self.min_size.bytes(),
            media_types,
            level: match self.level {
                LevelConfig::Fast => Level::Fast,
                LevelConfig::Balanced => Level::Balanced,
                LevelConfig::Small => Level::Small,
            },
            with_credentials: self.insecure_with_credentials.is_some(),
        })
    }
}

/// A media type, or several.
fn range(text: &str) -> Result<MediaRange, &'static str> {
    const NEVER: [&str; 2] = ["text/event-stream", "application/grpc"];
    let text = text.to_ascii_lowercase();
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    if NEVER
        .iter()
        .any(|never| text == *never || text.strip_prefix(never).is_some_and(|rest| rest.starts_with('+')))
    {
        return Err("is never compressed: its messages must arrive one by one");
    }
    if let Some(suffix) = text.strip_prefix("*+") {
        return if token(suffix) {
            Ok(MediaRange::Suffix(format!("+{suffix}")))
        } else {
            Err("is not a media type")
        };
    }
    match text.split_once('/') {
        Some((kind, "*")) if token(kind) => Ok(MediaRange::Kind(format!("{kind}/"))),
        Some((kind, subtype)) if token(kind) && token(subtype) => Ok(MediaRange::One(text)),
        Some(_) | None => Err("is not a media type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_read() {
        assert_eq!(range("text/*"), Ok(MediaRange::Kind("text/".into())));
        assert_eq!(range("*+JSON"), Ok(MediaRange::Suffix("+json".into())));
        assert_eq!(range("Application/JSON"), Ok(MediaRange::One("application/json".into())));
        for bad in [
            "",
            "*",
            "*/*",
            "text",
            "text/",
            "/x",
            "*+",
            "text/html; charset=utf-8",
            "a/b/c",
            "text/event-stream",
            "application/grpc+proto",
        ] {
            assert!(range(bad).is_err(), "{bad}");
        }
        assert!(DEFAULT_TYPES.iter().all(|text| range(text).is_ok()));
    }
}
