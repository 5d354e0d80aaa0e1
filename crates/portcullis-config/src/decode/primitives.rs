//! Truth values, numbers, text, addresses and paths.
//!
//! Decides that kinds are never mixed: `"5"` is not a number, `5` is not text, `yes` is not true. What is refused says how
//! it is written.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use serde_json::json;

use super::{Context, Decode};
use crate::node::{Node, Value};
use crate::schema::Definitions;

impl Decode for bool {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        let meant = match node.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("yes" | "on" | "y" | "true") => Some("true"),
            Some("no" | "off" | "n" | "false") => Some("false"),
            _ => None,
        };
        let problem = cx.wrong_type(node, "`true` or `false`");
        if let Some(meant) = meant {
            problem.label(format!("did you mean `{meant}`?"));
        }
        None
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "boolean" })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(json!(self))
    }
}

fn integer(node: &Node, cx: &mut Context, least: i128, most: i128) -> Option<i128> {
    let range = if most == i128::from(u64::MAX) || most == i128::from(i64::MAX) {
        format!("at least {least}")
    } else {
        format!("from {least} to {most}")
    };
    match &node.value {
        Value::Integer(value) if (least..=most).contains(value) => Some(*value),
        Value::Integer(value) => {
            cx.error("config.out_of_range", node.span, format!("{value} is out of range"))
                .label(format!("expected a whole number {range}"));
            None
        }
        Value::String(text) if text.parse::<i128>().is_ok() => {
            cx.wrong_type(node, "a whole number").help("write it without quotes");
            None
        }
        Value::Null
        | Value::Bool(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Sequence(_)
        | Value::Mapping(_) => {
            cx.wrong_type(node, &format!("a whole number {range}"));
            None
        }
    }
}

macro_rules! integers {
    ($($type:ty: $least:expr, $most:expr, $get:expr;)+) => { $(
        impl Decode for $type {
            fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
                integer(node, cx, $least, $most as i128).and_then(|value| value.try_into().ok()).and_then($get)
            }

            fn schema(_: &mut Definitions) -> serde_json::Value {
                json!({ "type": "integer", "minimum": $least as i64, "maximum": $most })
            }

            fn written(&self) -> Option<serde_json::Value> {
                Some(json!(self))
            }
        }
    )+ };
}

integers! {
    u8: 0, u8::MAX, Some::<Self>;
    u16: 0, u16::MAX, Some::<Self>;
    u32: 0, u32::MAX, Some::<Self>;
    u64: 0, u64::MAX, Some::<Self>;
    usize: 0, usize::MAX, Some::<Self>;
    i64: i128::from(i64::MIN), i64::MAX, Some::<Self>;
    NonZeroU16: 1, u16::MAX, Self::new;
    NonZeroU32: 1, u32::MAX, Self::new;
    NonZeroU64: 1, u64::MAX, Self::new;
    NonZeroUsize: 1, usize::MAX, Self::new;
}

/// Finite numbers only: nothing in a configuration means infinity.
impl Decode for f64 {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match &node.value {
            Value::Float(value) if value.is_finite() => Some(*value),
            #[expect(clippy::cast_precision_loss, reason = "a number without fraction is a number")]
            Value::Integer(value) => Some(*value as Self),
            Value::Float(_) => {
                cx.error("config.out_of_range", node.span, "expected a finite number");
                None
            }
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Sequence(_) | Value::Mapping(_) => {
                cx.wrong_type(node, "a number");
                None
            }
        }
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "number" })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(json!(self))
    }
}

impl Decode for String {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        cx.text(node).map(str::to_owned)
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "string" })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(json!(self))
    }
}

impl Decode for IpAddr {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let address = cx.text(node)?.parse().ok();
        if address.is_none() {
            cx.error("config.invalid_address", node.span, "this is not an IP address")
                .help("write an address such as `192.0.2.1` or `2001:db8::1`; host names are not looked up");
        }
        address
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(json!(self.to_string()))
    }
}

impl Decode for SocketAddr {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        const HELP: &str = "write an address and a port, such as `127.0.0.1:3000` or `\"[::1]:3000\"`";
        if let Value::Integer(port @ 0..=65535) = node.value {
            cx.wrong_type(node, "an IP address and a port")
                .label(format!("did you mean `127.0.0.1:{port}`?"))
                .help("the address is required, so that no port is opened to the world by accident");
            return None;
        }
        let text = cx.text(node)?;
        let address = text.parse().ok();
        if address.is_none() {
            let label = if let Some(port) = text.strip_prefix("localhost:") {
                Some(format!("did you mean `127.0.0.1:{port}`? host names are not looked up"))
            } else if text.parse::<IpAddr>().is_ok() {
                Some("the port is missing".to_owned())
            } else if text.contains("://") {
                Some("an address is written without `http://`".to_owned())
            } else if text.starts_with(':') {
                Some(format!("the address is missing; did you mean `127.0.0.1{text}`?"))
            } else if has_bad_port(text) {
                Some("ports are numbers from 1 to 65535".to_owned())
            } else {
                None
            };
            let problem =
                cx.error("config.invalid_address", node.span, "this is not an IP address and a port");
            problem.help(HELP);
            problem.label = label;
        }
        address
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "string", "examples": ["127.0.0.1:3000", "[::1]:3000"] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(json!(self.to_string()))
    }
}

/// Whether an address stands before something that is no port.
fn has_bad_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(address, port)| {
        let address = address.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok() && port.parse::<u16>().is_err()
    })
}

/// Relative to the folder of the file that names it. The file need not exist yet.
impl Decode for PathBuf {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = cx.text(node)?;
        if text.is_empty() || text.contains('\0') {
            cx.error("config.invalid_path", node.span, "this is not the path of a file");
            return None;
        }
        Some(cx.resolve(node.span, text))
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "string", "minLength": 1 })
    }

    fn written(&self) -> Option<serde_json::Value> {
        self.to_str().map(|text| json!(text))
    }
}
