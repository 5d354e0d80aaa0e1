//! Addresses that send most, and those that are blocked.

use super::frame::{csrf, field, may_operate, page, source_text, time, to};
use crate::endpoints::{self, Call};
use crate::problem::Problem;
use bytes::Bytes;
use http::Response;
use maud::{Markup, html};

pub(crate) fn sources(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let top = call.gateway.watch().sources.top(50);
    let main = html! {
        (blocked(call))
        section {
            h2 { "Who sends most" }
            p class="hint" { "Estimated since the start; traffic of long ago weighs less. An IPv6 /64 counts as one address." }
            @if top.is_empty() {
                p class="empty" { "No requests yet." }
            } @else {
                div class="wide" tabindex="0" role="region" aria-label="Who sends most" { table {
                    thead { tr { th scope="col" { "Address" } th scope="col" { "Requests" } th scope="col" { "Refused" } th scope="col" { "Share refused" } } }
                    tbody {
                        @for (source, traffic) in &top {
                            tr {
                                th scope="row" { (source_text(*source)) }
                                td class="number" { (traffic.requests) }
                                td class="number" { (traffic.refused) }
                                td class="number" { (traffic.refused * 100 / traffic.requests.max(1)) " %" }
                            }
                        }
                    }
                } }
            }
        }
    };
    Ok(page(call, "/sources", "Sources", false, &main))
}

fn blocked(call: &Call<'_>) -> Markup {
    let blocks = call.gateway.blocks();
    html! {
        section {
            h2 { "Blocked addresses" }
            @if blocks.is_empty() {
                p class="empty" { "No address is blocked." }
            } @else {
                div class="wide" tabindex="0" role="region" aria-label="Blocked addresses" { table {
                    thead { tr { th scope="col" { "Address" } th scope="col" { "Until" } th scope="col" { "Reason" } th scope="col" { "Action" } } }
                    tbody {
                        @for block in &blocks {
                            tr {
                                th scope="row" { (source_text(block.source)) @if let Some(consumer) = &block.consumer { ", only " (consumer) } }
                                td class="time" { (time(block.until)) }
                                td class="long" { (block.reason) }
                                td {
                                    @if may_operate(call) {
                                        form method="post" action="/sources/unblock" {
                                            (csrf(call))
                                            input type="hidden" name="source" value=(block.source);
                                            button aria-label={ "Unblock " (block.source) } { "Unblock" }
                                        }
                                    } @else { "–" }
                                }
                            }
                        }
                    }
                } }
            }
            @if may_operate(call) {
                form method="post" action="/sources/block" class="block" {
                    (csrf(call))
                    div { label for="source" { "Address" } input id="source" name="source" required autocomplete="off" placeholder="192.0.2.1"; }
                    div { label for="minutes" { "Minutes" } input id="minutes" name="minutes" type="number" min="1" max="43200" value="60" required; }
                    div { label for="reason" { "Reason" } input id="reason" name="reason" required maxlength="200" placeholder="guesses keys"; }
                    button { "Block" }
                }
            } @else {
                p class="hint" { "Your token may only read. Blocking takes the role operator." }
            }
        }
    }
}

pub(crate) fn block(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let text = |name| field(call.asked, name).unwrap_or_default();
    let minutes = text("minutes").trim().parse().ok();
    endpoints::order_block(call, text("source").trim(), minutes, &text("reason"))?;
    Ok(to("/sources"))
}

pub(crate) fn unblock(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    endpoints::unblock(call, &field(call.asked, "source").unwrap_or_default())?;
    Ok(to("/sources"))
}
