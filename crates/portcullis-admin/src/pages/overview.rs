//! The first page: what came in, what was refused and why, and how long it took.

use super::chart::{Series, chart, short};
use super::frame::{now, page};
use crate::endpoints::Call;
use crate::problem::Problem;
use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use portcullis_telemetry::history::Sample;
use portcullis_telemetry::metrics::counted::Ending;
use portcullis_telemetry::metrics::histogram::Histogram;
use portcullis_telemetry::metrics::number;
use std::collections::BTreeMap;

/// The bars of a chart: one for each minute.
const MINUTES: u64 = 60;

/// The last hour by minutes, the oldest first. A minute without a sample is empty.
fn minutes(samples: Vec<Sample>, now: u64) -> Vec<Sample> {
    let mut minutes: Vec<Sample> = (0..MINUTES).map(|_| Sample::default()).collect();
    for sample in samples {
        let ago = now.saturating_sub(sample.at) / 60;
        let place = (MINUTES - 1).checked_sub(ago).and_then(|place| usize::try_from(place).ok());
        let Some(minute) = place.and_then(|place| minutes.get_mut(place)) else { continue };
        sample
            .endings
            .iter()
            .for_each(|(ending, count)| *minute.endings.entry(*ending).or_default() += count);
        sample.refusals.iter().for_each(|(code, count)| *minute.refusals.entry(code).or_default() += count);
        minute.gateway.add(&sample.gateway);
        minute.upstream.add(&sample.upstream);
    }
    minutes
}

pub(crate) fn overview(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let minutes = minutes(call.gateway.watch().history.samples(), now());
    let total = |ending| minutes.iter().filter_map(|minute| minute.endings.get(&ending)).sum::<u64>();
    let rate = |ending: Ending| {
        let per_second = |minute: &Sample| number(minute.endings.get(&ending).copied().unwrap_or(0)) / 60.0;
        minutes.iter().map(per_second).collect()
    };
    let series = |name, class, ending| Series { name, class, values: rate(ending) };
    let millis = |of: fn(&Sample) -> &Histogram| -> Vec<f64> {
        let quantile = |minute| of(minute).quantile(0.99).filter(|value| value.is_finite()).unwrap_or(0.0);
        minutes.iter().map(|minute| quantile(minute) * 1000.0).collect()
    };
    let mut all = Histogram::default();
    minutes.iter().for_each(|minute| all.add(&minute.gateway));
    let main = html! {
        @if Ending::ALL.iter().all(|ending| total(*ending) == 0) {
            p class="empty" { "No requests yet in the last hour. Send one to a listener, and it shows here within five seconds." }
        }
        dl class="tiles" {
            (tile("Served", &total(Ending::Served).to_string(), "requests in the last hour"))
            (tile("Refused", &total(Ending::Refused).to_string(), "requests in the last hour"))
            (tile("Failed", &total(Ending::Failed).to_string(), "requests in the last hour"))
            (tile("Gateway time", &duration(all.quantile(0.99)), "99th percentile, last hour"))
            (tile("Blocked", &call.gateway.blocks().len().to_string(), "addresses"))
        }
        (chart("Requests", "requests per second", &[
            series("served", "served", Ending::Served), series("refused", "refused", Ending::Refused),
            series("failed", "failed", Ending::Failed), series("client went away", "aborted", Ending::Aborted),
        ]))
        section {
            h2 { "Refusals by reason" }
            (reasons(call, &minutes))
        }
        (chart("Gateway time, 99th percentile", "milliseconds", &[Series { name: "gateway", class: "time", values: millis(|minute| &minute.gateway) }]))
        (chart("Upstream time, 99th percentile", "milliseconds", &[Series { name: "upstream", class: "time", values: millis(|minute| &minute.upstream) }]))
    };
    Ok(page(call, "/", "Overview", true, &main))
}

fn tile(name: &str, value: &str, unit: &str) -> Markup {
    html! { div { dt { (name) } dd { strong { (value) } " " span class="unit" { (unit) } } } }
}

fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if !seconds.is_finite() => "over 30 s".to_owned(),
        Some(seconds) => format!("{} ms", short(seconds * 1000.0)),
    }
}

fn reasons(call: &Call<'_>, minutes: &[Sample]) -> Markup {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for (code, count) in minutes.iter().flat_map(|minute| &minute.refusals) {
        *all.entry(code).or_default() += count;
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
    let most = all.first().map_or(1, |(_, count)| *count);
    html! {
        @if all.is_empty() {
            p class="empty" { "Nothing was refused in the last hour." }
        } @else {
            div class="wide" tabindex="0" role="region" aria-label="Refusals by reason" { table {
                thead { tr { th scope="col" { "Reason" } th scope="col" { "Refusals" } th scope="col" class="meaning" { "Meaning" } } }
                tbody {
                    @for (code, count) in all.iter().take(12) {
                        tr {
                            th scope="row" { a href={ "/refusals?code=" (code) } { (code) } }
                            td class="number" { span class="count" { (count) } " " meter min="0" max=(most) value=(count) aria-label={ (count) " of " (most) } {} }
                            td class="meaning" { (call.gateway.meaning(code).unwrap_or_default().replace('`', "")) }
                        }
                    }
                }
            } }
        }
    }
}
