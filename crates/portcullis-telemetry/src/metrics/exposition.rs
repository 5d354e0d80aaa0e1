//! The text format in which Prometheus reads metrics, version 0.0.4.

use super::families::{Family, Kind};
use super::histogram::{BOUNDS, Histogram};
use std::fmt::Write;

/// The media type of the format.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics as text. A family begins with [`Exposition::family`]; what follows belongs to it.
#[derive(Default)]
pub struct Exposition {
    text: String,
    family: &'static str,
}

/// The labels of a sample: names, which are fixed, and values, which may hold anything.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

impl Exposition {
    /// Begins a family.
    pub fn family(&mut self, family: &Family) -> &mut Exposition {
        self.family = family.name;
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing into memory cannot fail.
        let _ = writeln!(self.text, "# HELP {} {}\n# TYPE {} {kind}", family.name, family.help, family.name);
        self
    }

    /// A sample of the family.
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) -> &mut Exposition {
        self.line("", labels, None, value);
        self
    }

    /// A whole histogram of the family.
    pub fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) -> &mut Exposition {
        let mut so_far = 0;
        for (count, bound) in histogram.counts().iter().zip(BOUNDS) {
            so_far += count;
            self.line("_bucket", labels, Some(bound.text), number(so_far));
        }
        self.line("_bucket", labels, Some("+Inf"), number(histogram.count()));
        self.line("_sum", labels, None, histogram.sum_seconds());
        self.line("_count", labels, None, number(histogram.count()));
        self
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: f64) {
        self.text.push_str(self.family);
        self.text.push_str(suffix);
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut any = false;
        for (name, label) in labels {
            self.text.push(if any { ',' } else { '{' });
            any = true;
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(label, &mut self.text);
            self.text.push('"');
        }
        if any {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
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
