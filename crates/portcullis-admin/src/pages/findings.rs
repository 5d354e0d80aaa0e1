//! Suspicious activity: what was found, on what it rests, and what can be done about it.

use super::frame::{csrf, may_operate, page, source_text, time};
use crate::endpoints::{self, Call};
use crate::problem::Problem;
use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use portcullis_telemetry::detect::Finding;

/// How many are shown.
const SHOWN: usize = 100;

pub(crate) fn findings(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let query = call.asked.request.uri().query().unwrap_or_default();
    let wanted = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "id");
    if let Some((_, id)) = wanted {
        let finding = endpoints::finding(call, &id)?;
        return Ok(page(call, "/findings", "Finding", false, &one(call, &finding)));
    }
    let Some(detection) = call.gateway.detection() else {
        let main = html! {
            p class="empty" { "Nothing looks for suspicious activity. Add " code { "detection: { mode: observe }" } " to the configuration." }
        };
        return Ok(page(call, "/findings", "Findings", false, &main));
    };
    let all = detection.findings();
    let (open, over): (Vec<_>, Vec<_>) = all.iter().take(SHOWN).partition(|finding| finding.open);
    let main = html! {
        section {
            h2 { "Going on" }
            @if open.is_empty() {
                p class="empty" { "Nothing suspicious goes on." }
            } @else { (table("Going on", &open)) }
        }
        section {
            h2 { "Over" }
            @if over.is_empty() {
                p class="empty" { "Nothing was found before." }
            } @else { (table("Over", &over)) }
        }
        p class="hint" {
            "Examined " (detection.seen()) " requests since the start"
            @if detection.dropped() > 0 { "; " (detection.dropped()) " more came too fast to be examined" }
            "."
        }
    };
    Ok(page(call, "/findings", "Findings", true, &main))
}

fn who(finding: &Finding) -> String {
    let subject = &finding.subject;
    let address = finding.source.or(subject.address).map(source_text);
    let target = subject.target.as_ref().map(|target| format!("against {target}"));
    let parts: Vec<String> = [subject.consumer.clone(), target, address].into_iter().flatten().collect();
    match (parts.is_empty(), &subject.route) {
        (true, Some(route)) => route.clone(),
        (true, None) => "many".to_owned(),
        (false, _) => parts.join(", "),
    }
}

fn table(label: &str, findings: &[&Finding]) -> Markup {
    html! {
        div class="wide" tabindex="0" role="region" aria-label=(label) { table class="stack" role="table" {
            thead role="rowgroup" { tr role="row" { th scope="col" role="columnheader" { "Last seen" } th scope="col" role="columnheader" { "Severity" } th scope="col" role="columnheader" { "Who" } th scope="col" role="columnheader" { "What" } } }
            tbody role="rowgroup" {
                @for finding in findings {
                    tr role="row" {
                        td role="cell" class="time" { a href={ "/findings?id=" (finding.id) } { (time(finding.last)) } }
                        td role="cell" { (finding.severity.as_str()) }
                        td role="cell" { (who(finding)) }
                        td role="cell" class="long" { (finding.summary) }
                    }
                }
            }
        } }
    }
}

fn one(call: &Call<'_>, finding: &Finding) -> Markup {
    let source = finding.source.or(finding.subject.address);
    let blocked =
        source.is_some_and(|source| call.gateway.blocks().iter().any(|block| block.source == source));
    html! {
        p { (finding.summary) }
        dl class="facts" {
            div { dt { "Detector" } dd { (finding.detector) } }
            div { dt { "Severity" } dd { (finding.severity.as_str()) } }
            div { dt { "Who" } dd { (who(finding)) } }
            @if let Some(route) = &finding.subject.route { div { dt { "Route" } dd { (route) } } }
            div { dt { "From" } dd { (time(finding.start)) } }
            div { dt { "Last seen" } dd { (time(finding.last)) @if finding.open { ", goes on" } } }
            @if let Some(until) = finding.blocked_until { div { dt { "Blocked until" } dd { (time(until)) } } }
            div { dt { "Id" } dd { code { (finding.id) } } }
        }
        section {
            h2 { "Evidence" }
            div class="wide" tabindex="0" role="region" aria-label="Evidence" { table {
                thead { tr { th scope="col" { "What" } th scope="col" { "Value" } } }
                tbody {
                    @for fact in &finding.evidence {
                        tr { th scope="row" { (fact.what) } td class="long" { (fact.value) } }
                    }
                }
            } }
        }
        section {
            h2 { "What to do" }
            @match (source, may_operate(call)) {
                (Some(source), true) => {
                    @if blocked {
                        form method="post" action="/sources/unblock" {
                            (csrf(call))
                            input type="hidden" name="source" value=(source);
                            button aria-label={ "Unblock " (source) } { "Unblock " (source) }
                        }
                    } @else {
                        form method="post" action="/sources/block" class="block" {
                            (csrf(call))
                            input type="hidden" name="source" value=(source);
                            input type="hidden" name="reason" value={ "finding " (finding.id) ": " (finding.detector) };
                            div { label for="minutes" { "Minutes" } input id="minutes" name="minutes" type="number" min="1" max="43200" value="60" required; }
                            button { "Block " (source) }
                        }
                    }
                }
                (Some(_), false) => { p class="hint" { "Your token may only read. Blocking takes the role operator." } }
                (None, _) => { p class="hint" { "No single address is responsible, so there is none to block." } }
            }
        }
        p { a href="/findings" { "All findings" } }
    }
}
