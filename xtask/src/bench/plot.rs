//! The bar chart of a report, as SVG text.

use std::fmt::Write as _;

use super::Scenario;
use super::peers::Peer;
use super::report::Report;

const LEAST_WIDTH: f64 = 760.0;
const GROUP_WIDTH: f64 = 190.0;
const RIGHT: f64 = 20.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 76.0;
const PLOT_HEIGHT: f64 = 280.0;
const GROUP_GAP: f64 = 60.0;
const BAR_GAP: f64 = 14.0;

/// CPU time per request, grouped by scenario, with the range of the rounds as a whisker on each bar.
pub(crate) fn svg(report: &Report) -> String {
    // A handshake costs many times what a request does, and is none: on one scale with requests it would hide them.
    let requests = Scenario::ALL.into_iter().filter(|scenario| *scenario != Scenario::Handshakes);
    let groups: Vec<_> = requests.map(|scenario| (scenario, report.cpu(scenario))).collect();
    let groups: Vec<_> = groups.into_iter().filter(|(_, bars)| !bars.is_empty()).collect();
    let width_of_all = (LEFT + RIGHT + GROUP_WIDTH * groups.len() as f64).max(LEAST_WIDTH);
    let most = groups.iter().flat_map(|(_, bars)| bars).map(|(_, spread)| spread.most).fold(1.0, f64::max);
    let step = step(most);
    let top_of_scale = (most * 1.08 / step).ceil() * step;
    let height = |figure: f64| figure / top_of_scale * PLOT_HEIGHT;
    let base = TOP + PLOT_HEIGHT;

    let mut drawing = Drawing(String::new());
    drawing.text(
        LEFT,
        28.0,
        "start",
        17,
        "#1b1f24",
        "CPU time per proxied request, in microseconds (lower is better)",
    );
    drawing.text(
        LEFT,
        48.0,
        "start",
        12,
        "#57606a",
        &format!("Median of {}; whiskers: range", report.conditions()),
    );

    let mut mark = 0.0;
    while mark <= top_of_scale + step / 2.0 {
        let y = base - height(mark);
        drawing.line(LEFT, y, width_of_all - RIGHT, y, "#d8dee4");
        drawing.text(LEFT - 8.0, y + 4.0, "end", 12, "#57606a", &format!("{mark:.0}"));
        mark += step;
    }

    let group_width = (width_of_all - RIGHT - LEFT) / groups.len().max(1) as f64;
    for (place, (scenario, bars)) in groups.iter().enumerate() {
        let left = LEFT + group_width * place as f64 + GROUP_GAP / 2.0;
        let slot = (group_width - GROUP_GAP) / bars.len() as f64;
        for (place, (peer, spread)) in bars.iter().enumerate() {
            let (x, width) = (left + slot * place as f64 + BAR_GAP / 2.0, slot - BAR_GAP);
            let middle = x + width / 2.0;
            drawing.bar(x, base - height(spread.median), width, height(spread.median), colour(*peer));
            drawing.line(middle, base - height(spread.least), middle, base - height(spread.most), "#1b1f24");
            let y = base - height(spread.most) - 7.0;
            drawing.text(middle, y, "middle", 13, "#1b1f24", &format!("{:.1}", spread.median));
            drawing.text(middle, base + 18.0, "middle", 12, "#1b1f24", peer.name());
        }
        let middle = left + (group_width - GROUP_GAP) / 2.0;
        drawing.text(middle, base + 40.0, "middle", 13, "#57606a", scenario.title());
    }
    // The line is long; the processor and the programs get a line each.
    let machine = report.machine();
    let first = format!("{} cores, {}, Linux {}", machine.cores, machine.processor, machine.kernel);
    drawing.text(LEFT, base + 68.0, "start", 11, "#57606a", &first);
    drawing.text(LEFT, base + 84.0, "start", 11, "#57606a", &machine.versions.join("; "));
    drawing.finish(width_of_all, base + 100.0)
}

/// A round distance between the lines of the scale, so that there are about five.
fn step(most: f64) -> f64 {
    let choices = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
    choices.into_iter().find(|step| most / step <= 6.0).unwrap_or(1000.0)
}

/// Colours that stay apart for people who do not tell red from green.
fn colour(peer: Peer) -> &'static str {
    match peer {
        Peer::Portcullis => "#0b5cad",
        Peer::Nginx => "#9aa4ae",
        Peer::Haproxy => "#d9902f",
        Peer::Envoy => "#8a5aa8",
        Peer::Relay => "#4c9a7a",
    }
}

struct Drawing(String);

impl Drawing {
    fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str) {
        self.add(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2" fill="{fill}"/>"#
        ));
    }

    fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, stroke: &str) {
        self.add(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{stroke}"/>"#
        ));
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, size: u32, fill: &str, text: &str) {
        let text = escape(text);
        self.add(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}" fill="{fill}">{text}</text>"#
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{element}");
    }

    fn finish(self, width: f64, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" role=\"img\">\n\
             <title>CPU time per proxied request</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{}</svg>\n",
            self.0
        )
    }
}

/// Names of processors and versions come from outside and may hold what XML means something by.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0 forbids control characters even when escaped.
            other if other.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::tests::example;

    #[test]
    fn every_bar_is_labelled_and_text_is_escaped() {
        let svg = svg(&example());
        // The background and four bars.
        assert_eq!(svg.matches("<rect").count(), 5);
        for label in
            [">Portcullis<", ">nginx<", ">24.0<", ">plain proxying<", "A &lt;fast&gt; &amp; &quot;good&quot;"]
        {
            assert!(svg.contains(label), "{label} in {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn the_scale_has_a_handful_of_lines() {
        for most in [1.0, 3.0, 19.4, 60.0, 130.0, 900.0] {
            let lines = most / step(most);
            assert!(lines > 0.9 && lines <= 6.0, "{most} gives {lines}");
        }
    }
}
