//! What there is: routes with their controls, the configuration, certificates, upstreams.

use super::frame::{now, page, time};
use crate::endpoints::Call;
use crate::problem::Problem;
use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) fn routes(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let main = html! {
        p class="hint" { "The controls of each route run in this order. Only " code { "enforce" } " refuses." }
        @for route in call.gateway.routes() {
            details class="route" {
                summary {
                    strong { (route.path) } " " span class="unit" { (route.methods) " → " (route.target) }
                    @if !route.hosts.is_empty() { " " span class="unit" { "on " (route.hosts.join(", ")) } }
                }
                div class="wide" tabindex="0" role="region" aria-label={ "Controls of " (route.path) } { table {
                    thead { tr { th scope="col" class="minor" { "Stage" } th scope="col" { "Check" } th scope="col" { "Mode" } th scope="col" { "What it does" } } }
                    tbody {
                        @for control in &route.controls {
                            tr {
                                td class="minor" { (control.stage) } td { code { (control.check) } }
                                td { span class={ "mode " (control.mode) } { (control.mode) } } td class="long" { (control.summary) }
                            }
                        }
                    }
                } }
            }
        }
    };
    Ok(page(call, "/routes", "Routes", false, &main))
}

pub(crate) fn gateway(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let status = call.gateway.status();
    let number = |name: &str| status.get(name).and_then(Value::as_u64).unwrap_or_default();
    let failure = status.get("last_failure").filter(|failure| !failure.is_null());
    let main = html! {
        section {
            h2 { "Configuration" }
            dl class="facts" {
                div { dt { "generation" } dd { (number("generation")) } }
                div { dt { "since" } dd { (time(number("since"))) } }
                div { dt { "digest" } dd { code { (status.get("digest").and_then(Value::as_str).unwrap_or_default()) } } }
                div { dt { "listening on" } dd { (status.get("addresses").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")) } }
            }
            @match failure {
                None => p class="good" { "The last reload did not fail." },
                Some(failure) => {
                    p class="problem" { "The last reload failed at " (time(failure.get("at").and_then(Value::as_u64).unwrap_or_default())) ". The configuration before it goes on." }
                    pre tabindex="0" aria-label="Why the reload failed" { (failure.get("reason").and_then(Value::as_str).unwrap_or_default()) }
                },
            }
            p class="hint" { "Reload with SIGHUP, or POST /api/v1/reload." }
        }
        section { h2 { "Certificates" } (certificates(call)) }
        section { h2 { "Upstreams" } (upstreams(call)) (groups(call)) }
        section {
            h2 { "As it took effect" }
            details { summary { "Show the settings, without secrets" } pre tabindex="0" aria-label="Settings" { (format!("{:#}", call.gateway.configuration())) } }
        }
    };
    Ok(page(call, "/gateway", "Gateway", false, &main))
}

fn certificates(call: &Call<'_>) -> Markup {
    let certificates = call.gateway.certificates();
    html! {
        @if certificates.is_empty() {
            p class="empty" { "No listener has TLS. Add " code { "tls" } " to one, unless TLS ends in front of the gateway." }
        } @else {
            div class="wide" tabindex="0" role="region" aria-label="Certificates" { table {
                thead { tr { th scope="col" { "Listener" } th scope="col" { "Names" } th scope="col" { "Expires" } th scope="col" { "Days left" } th scope="col" { "Handshakes" } } }
                tbody {
                    @for one in &certificates {
                        tr {
                            th scope="row" { (one.listener) } td class="long" { (one.names.join(", ")) }
                            td class="time" { (one.expires.map_or_else(|| "no certificate yet".to_owned(), time)) }
                            td class="number" { (one.expires.map_or_else(String::new, |end| (end.saturating_sub(now()) / 86_400).to_string())) }
                            td class="number" { (one.handshakes) }
                        }
                    }
                }
            } }
        }
    }
}

fn upstreams(call: &Call<'_>) -> Markup {
    let metrics = &call.gateway.watch().metrics;
    let mut rows: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for ((upstream, status), count) in metrics.total().upstreams() {
        let row = rows.entry(metrics.upstream(upstream).to_string()).or_default();
        let [good, bad, none] = row;
        match status {
            0 => *none += count,
            500.. => *bad += count,
            _ => *good += count,
        }
    }
    html! {
        @if rows.is_empty() {
            p class="empty" { "No request was forwarded yet." }
        } @else {
            div class="wide" tabindex="0" role="region" aria-label="Upstreams" { table {
                thead { tr { th scope="col" { "Upstream" } th scope="col" { "Answers" } th scope="col" { "Server errors" } th scope="col" { "No answer" } } }
                tbody {
                    @for (name, [good, bad, none]) in &rows {
                        tr { th scope="row" { (name) } td class="number" { (good) } td class="number" { (bad) } td class="number" { (none) } }
                    }
                }
            } }
        }
    }
}

fn groups(call: &Call<'_>) -> Markup {
    let groups = call.gateway.upstreams();
    html! {
        @for group in &groups {
            h3 { "Group " (group.name) " " span class="unit" { (group.balance) } }
            div class="wide" tabindex="0" role="region" aria-label={ "Servers of " (group.name) } { table {
                thead { tr {
                    th scope="col" { "Server" } th scope="col" { "Weight" } th scope="col" { "State" } th scope="col" { "Running" }
                    th scope="col" { "Requests" } th scope="col" { "Failures" } th scope="col" { "Retries" } th scope="col" { "Ejections" }
                    th scope="col" { "Last check" }
                } }
                tbody {
                    @for server in &group.servers {
                        tr {
                            th scope="row" { (server.url) } td class="number" { (server.weight) } td { (server.state) }
                            td class="number" { (server.running) } td class="number" { (server.requests) }
                            td class="number" { (server.failures) } td class="number" { (server.retries) }
                            td class="number" { (server.ejections) } td class="long" { @if server.last_check.is_empty() { "did not fail" } @else { (server.last_check) } }
                        }
                    }
                }
            } }
        }
    }
}
