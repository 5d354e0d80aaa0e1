//! Metrics as they are read at one moment, and the text format in which Prometheus reads them, version 0.0.4.

use super::families::{Family, Kind};
use super::histogram::{BOUNDS, Histogram};
use std::fmt::Write;

/// The media type of the format.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics as they were at one moment. A family begins with [`Exposition::family`]; what follows belongs to it.
#[derive(Default)]
pub struct Exposition {
    families: Vec<Written>,
}

/// A family with its samples.
pub struct Written {
    /// The family.
    pub family: &'static Family,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// A sample: its labels, and what was measured.
pub struct Sample {
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// What was measured.
    pub value: Value,
}

/// What was measured.
pub enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Durations(Box<Histogram>),
}

/// The labels of a sample: names, which are fixed, and values, which may hold anything.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

impl Exposition {
    /// Begins a family.
    pub fn family(&mut self, family: &'static Family) -> &mut Exposition {
        self.families.push(Written { family, samples: Vec::new() });
        self
    }

    /// A sample of the family.
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) -> &mut Exposition {
        self.push(labels, Value::Number(value))
    }

    /// A whole histogram of the family.
    pub fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) -> &mut Exposition {
        self.push(labels, Value::Durations(Box::new(histogram.clone())))
    }

    fn push(&mut self, labels: Labels<'_>, value: Value) -> &mut Exposition {
        let labels = labels.iter().map(|(name, label)| (*name, (*label).to_owned())).collect();
        if let Some(written) = self.families.last_mut() {
            written.samples.push(Sample { labels, value });
        }
        self
    }

    /// The families in their order.
    pub fn into_families(self) -> Vec<Written> {
        self.families
    }

    /// As text.
    pub fn into_text(self) -> String {
        let mut text = String::new();
        for Written { family, samples } in &self.families {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            // Writing into memory cannot fail.
            let _ = writeln!(text, "# HELP {} {}\n# TYPE {} {kind}", family.name, family.help, family.name);
            for sample in samples {
                let mut line = |suffix: &str, bound: Option<&str>, value: f64| {
                    line(&mut text, family.name, suffix, &sample.labels, bound, value);
                };
                match &sample.value {
                    Value::Number(value) => line("", None, *value),
                    Value::Durations(histogram) => {
                        let mut so_far = 0;
                        for (count, bound) in histogram.counts().iter().zip(BOUNDS) {
                            so_far += count;
                            line("_bucket", Some(bound.text), number(so_far));
                        }
                        line("_bucket", Some("+Inf"), number(histogram.count()));
                        line("_sum", None, histogram.sum_seconds());
                        line("_count", None, number(histogram.count()));
                    }
                }
            }
        }
        text
    }
}

fn line(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(&'static str, String)],
    bound: Option<&str>,
    value: f64,
) {
    text.push_str(name);
    text.push_str(suffix);
    let labels = labels.iter().map(|(name, label)| (*name, label.as_str()));
    let labels = labels.chain(bound.map(|bound| ("le", bound)));
    let mut any = false;
    for (name, label) in labels {
        text.push(if any { ',' } else { '{' });
        any = true;
        text.push_str(name);
        text.push_str("=\"");
        escape(label, text);
        text.push('"');
    }
    if any {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

/// A count as the format's number. Beyond 2^53 it is rounded, like everything that Prometheus keeps.
#[expect(clippy::cast_precision_loss, reason = "the format knows nothing but 64-bit floating point numbers")]
pub fn number(count: u64) -> f64 {
    count as f64
}

// SECURITY: a route or a name with a quote or a line break would begin a sample of its own (a_label_cannot_begin_a_line).
fn escape(label: &str, text: &mut String) {
    for character in label.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::families::{GENERATION, REQUESTS};
    use super::*;

    #[test]
    fn a_label_cannot_begin_a_line() {
        let mut exposition = Exposition::default();
        exposition.family(&REQUESTS).sample(&[("route", "/a\"} 7\nup{x=\"\\")], 1.0);
        let text = exposition.into_text();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.ends_with(
                r#"portcullis_requests_total{route="/a\"} 7\nup{x=\"\\"} 1
"#
            ),
            "{text}"
        );
    }

    #[test]
    fn a_gauge_needs_no_labels() {
        let mut exposition = Exposition::default();
        exposition.family(&GENERATION).sample(&[], 3.0);
        assert!(exposition.into_text().ends_with("\nportcullis_configuration_generation 3\n"));
    }
}
