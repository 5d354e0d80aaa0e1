//! Values that have an order: numbers, sizes, times, days, networks.

use ipnet::IpNet;
use serde_json::Value;
use std::net::IpAddr;

/// How large a value is. `None` where it is no number, size or time.
pub(super) fn magnitude(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let digits = text.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(text.len());
            let (number, unit) = text.split_at(digits);
            let number: f64 = number.parse().ok()?;
            let factor = match unit {
                "" | "B" | "s" => 1.0,
                "ms" => 0.001,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                "kB" => 1e3,
                "MB" => 1e6,
                "GB" => 1e9,
                "KiB" => 1024.0,
                "MiB" => 1024.0 * 1024.0,
                "GiB" => 1024.0 * 1024.0 * 1024.0,
                _ => return day(text),
            };
            Some(number * factor)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A moment (`2027-01-31T00:00:00Z`), or a day, in seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "seconds of this millennium fit")]
fn day(text: &str) -> Option<f64> {
    let moment = match text.parse::<jiff::Timestamp>() {
        Ok(moment) => moment,
        Err(_) => text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
    };
    Some(moment.as_second() as f64)
}

/// A value as it is shown.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => crate::visible(text),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(members) => match members.get("name").or_else(|| members.get("file")) {
            Some(name) => shown(name),
            None => crate::visible(&value.to_string()),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Whether `all` are networks, and one of them holds the whole of `item`.
pub(super) fn covers(all: &[Value], item: &Value) -> bool {
    let Some(item) = network(item) else { return false };
    all.iter().filter_map(network).any(|network| network.contains(&item))
}

fn network(value: &Value) -> Option<IpNet> {
    let text = value.as_str()?;
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
