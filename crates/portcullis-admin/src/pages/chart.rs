//! Numbers over time, as bars that stand on each other.

use maud::{Markup, html};

/// One kind of bar.
pub(super) struct Series {
    /// What it is, for the legend.
    pub(super) name: &'static str,
    /// Its class in the style sheet, which gives it its colour.
    pub(super) class: &'static str,
    /// A value for each step, the oldest first.
    pub(super) values: Vec<f64>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 30.0;
/// Room for half of the topmost number, also in the larger letters of a narrow page.
const TOP: f64 = 20.0;

/// A chart of the last hour. `unit` stands at the axis.
pub(super) fn chart(title: &str, unit: &str, series: &[Series]) -> Markup {
    let steps = series.iter().map(|one| one.values.len()).max().unwrap_or(0);
    let sum = |step: usize| series.iter().filter_map(|one| one.values.get(step)).sum::<f64>();
    let highest = (0..steps).map(sum).fold(0.0, f64::max);
    let top = nice(highest);
    let (inner, across) = (HEIGHT - TOP - BOTTOM, WIDTH - LEFT);
    #[expect(clippy::cast_precision_loss, reason = "there are a few dozen steps")]
    let wide = across / steps.max(1) as f64;
    let height = |value: f64| value / top * inner;
    let mut bars = Vec::new();
    for step in 0..steps {
        let mut below = 0.0;
        for one in series {
            let value = one.values.get(step).copied().unwrap_or(0.0);
            if value > 0.0 {
                #[expect(clippy::cast_precision_loss, reason = "there are a few dozen steps")]
                let left = LEFT + step as f64 * wide;
                let tall = height(value).max(1.0);
                bars.push((left, HEIGHT - BOTTOM - below - tall, tall, one.class));
                below += tall;
            }
        }
    }
    let describe = format!("{title}: at most {} {unit} in the last hour", short(highest));
    html! {
        figure class="chart" {
            figcaption { (title) " " span class="unit" { "(" (unit) ", last hour)" } }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(describe) {
                @for share in [0.0, 0.5, 1.0] {
                    @let y = HEIGHT - BOTTOM - share * inner;
                    line class=(if share == 0.0 { "zero" } else { "grid" }) x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
                    text class="tick" x=(LEFT - 6.0) y=(y + 4.0) text-anchor="end" { (short(share * top)) }
                }
                @for (x, y, tall, class) in &bars {
                    rect class=(class) x=(two(*x)) y=(two(*y)) width=(two((wide - 1.0).max(1.0))) height=(two(*tall)) {}
                }
                text class="tick" x=(LEFT) y=(HEIGHT - 6.0) { "60 min ago" }
                text class="tick" x=(LEFT + across / 2.0) y=(HEIGHT - 6.0) text-anchor="middle" { "30 min ago" }
                text class="tick" x=(WIDTH) y=(HEIGHT - 6.0) text-anchor="end" { "now" }
            }
            @if series.len() > 1 {
                ul class="legend" {
                    @for one in series {
                        li { span class={ "key " (one.class) } {} (one.name) }
                    }
                }
            }
        }
    }
}

fn two(value: f64) -> String {
    format!("{value:.2}")
}

/// A round number that is not below `highest`.
fn nice(highest: f64) -> f64 {
    if highest <= 0.0 || !highest.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(highest.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|round| *round >= highest)
        .unwrap_or(highest)
}

/// A number in few digits.
pub(super) fn short(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value >= 10_000.0 => format!("{:.0}k", value / 1000.0),
        value if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (highest, top) in [(0.0, 1.0), (0.03, 0.05), (1.0, 1.0), (7.0, 10.0), (120.0, 200.0)] {
            assert!((nice(highest) - top).abs() < 1e-9, "{highest}");
        }
        assert_eq!(
            ["0", "12k", "150", "1.5", "0.25"],
            [0.0, 12_000.0, 150.0, 1.5, 0.25].map(short).each_ref().map(String::as_str)
        );
    }
}
