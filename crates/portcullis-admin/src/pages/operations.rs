//! Operations of OpenAPI documents: which are used, which are not, and what is asked for beside them.

use super::frame::{page, time};
use crate::endpoints::{Call, standing};
use crate::problem::Problem;
use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use portcullis_core::OperationUse;

pub(crate) fn operations(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let all = call.gateway.operations();
    let of = |wanted: &[&str]| -> Vec<&OperationUse> {
        all.iter().filter(|one| wanted.contains(&standing(one))).collect()
    };
    let main = html! {
        p class="hint" { "Reloads and restarts forget nothing. Times are to the minute." }
        @if all.is_empty() {
            p class="empty" {
                "No route has an OpenAPI document. Add " code { "openapi: { file: api.yaml }" } " to a route, and its operations are listed here."
            }
        } @else {
            (section("Asked for and not declared", "Clients ask for these, and the document does not have them. They are answered with 404 or 405. Ids in paths are shown as {}.", "Nothing else was asked for.", &of(&["undeclared"])))
            (section("Deprecated and still used", "Remove these from the document only when nobody uses them any more.", "No deprecated operation was asked for.", &of(&["deprecated_used"])))
            (section("Declared and not used", "Nobody has asked for these. What nobody uses can be removed.", "Every operation was asked for.", &of(&["unused", "deprecated_unused"])))
            (section("Used", "", "No operation was asked for yet.", &of(&["used"])))
        }
    };
    Ok(page(call, "/operations", "Operations", false, &main))
}

fn section(title: &str, hint: &str, none: &str, operations: &[&OperationUse]) -> Markup {
    html! {
        section {
            h2 { (title) }
            @if operations.is_empty() {
                p class="empty" { (none) }
            } @else {
                @if !hint.is_empty() { p class="hint" { (hint) } }
                div class="wide" tabindex="0" role="region" aria-label=(title) { table {
                    thead { tr { th scope="col" { "Method" } th scope="col" { "Path" } th scope="col" class="minor" { "Document" } th scope="col" { "Last asked for" } } }
                    tbody {
                        @for one in operations {
                            tr {
                                td { code { (one.method) } }
                                th scope="row" { code { (one.path) } @if let Some(id) = &one.id { " " span class="unit" { (id) } } }
                                td class="minor" { (one.document) }
                                td class="time" { (one.last_used.map_or_else(|| "never".to_owned(), time)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}
