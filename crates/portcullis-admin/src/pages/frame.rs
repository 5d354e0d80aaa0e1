//! What all pages have in common.

use crate::endpoints::Call;
use crate::problem::Problem;
use crate::server::{Asked, text};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use maud::{DOCTYPE, Markup, html};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The pages of the menu.
const MENU: [(&str, &str); 9] = [
    ("/", "Overview"),
    ("/refusals", "Refusals"),
    ("/findings", "Findings"),
    ("/sources", "Sources"),
    ("/consumers", "Consumers"),
    ("/keys", "Keys"),
    ("/routes", "Routes"),
    ("/operations", "Operations"),
    ("/gateway", "Gateway"),
];

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<Bytes> {
    let mut response = text(status, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Portcullis" }
                link rel="icon" type="image/svg+xml" href="/assets/icon.svg";
                link rel="stylesheet" href="/assets/style.css";
                script src="/assets/live.js" defer {}
            }
            body { (body) }
        }
    }
}

/// A page with the menu. `live` pages are kept up to date by the script.
pub(super) fn page(call: &Call<'_>, here: &str, title: &str, live: bool, main: &Markup) -> Response<Bytes> {
    let body = html! {
        a class="skip" href="#main" { "Skip to the content" }
        header {
            span class="name" { "Portcullis" }
            nav aria-label="Pages" {
                ul {
                    @for (path, name) in MENU {
                        li { a href=(path) aria-current=[(path == here).then_some("page")] { (name) } }
                    }
                }
            }
            form method="post" action="/logout" {
                (csrf(call))
                button class="quiet" { "Log out" }
            }
        }
        main id="main" data-live=[live.then_some("5")] {
            h1 { (title) }
            (main)
        }
        footer { "Times are in UTC. This page was made at " (time(now())) "." }
    };
    answer(StatusCode::OK, "text/html; charset=utf-8", document(title, &body).into_string())
}

/// What is wrong with a form that a page has sent.
pub(crate) fn problem(call: &Call<'_>, problem: &Problem) -> Response<Bytes> {
    let main = html! {
        p class="problem" role="alert" { (problem.detail) }
        @if problem.status.is_client_error() {
            p { "Nothing was changed. Go back in your browser to correct it." }
        } @else {
            p { "It is not certain whether anything was changed. Look at the page again." }
        }
    };
    let mut response = page(call, "", "That did not work", false, &main);
    *response.status_mut() = problem.status;
    response
}

/// The page on which a token is asked for.
pub(crate) fn login(problem: Option<&str>) -> Response<Bytes> {
    let body = html! {
        main class="login" {
            h1 { "Portcullis" }
            @if let Some(problem) = problem { p class="problem" role="alert" { (problem) } }
            form method="post" action="/login" {
                label for="token" { "Token" }
                input id="token" name="token" type="password" autocomplete="off" required autofocus;
                button { "Log in" }
            }
            p class="hint" { "The token is in a file of the gateway's machine: one of " code { "admin.tokens" } " in the configuration, or " code { "admin.token" } " in its " code { "state_dir" } "." }
        }
    };
    let status = if problem.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    answer(status, "text/html; charset=utf-8", document("Log in", &body).into_string())
}

/// Sends a browser to a page of the dashboard.
pub(crate) fn to(path: &'static str) -> Response<Bytes> {
    let mut response = text(StatusCode::SEE_OTHER, String::new());
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(path));
    response
}

/// The style sheet.
pub(crate) fn style(_: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    Ok(answer(StatusCode::OK, "text/css; charset=utf-8", include_str!("../../assets/style.css").to_owned()))
}

/// The picture of a tab.
pub(crate) fn icon(_: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    Ok(answer(StatusCode::OK, "image/svg+xml", include_str!("../../assets/icon.svg").to_owned()))
}

/// The script.
pub(crate) fn script(_: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let script = include_str!("../../assets/live.js").to_owned();
    Ok(answer(StatusCode::OK, "text/javascript; charset=utf-8", script))
}

/// What makes a form one of this session's.
pub(super) fn csrf(call: &Call<'_>) -> Markup {
    let token = call.caller.and_then(|caller| caller.csrf.as_deref()).unwrap_or_default();
    html! { input type="hidden" name="csrf" value=(token); }
}

/// A field of a form.
pub(crate) fn field(asked: &Asked, name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(asked.request.body()).filter(|(key, _)| key == name);
    match (fields.next(), fields.next()) {
        (Some((_, value)), None) => Some(value.into_owned()),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

/// Whether the caller may order.
pub(super) fn may_operate(call: &Call<'_>) -> bool {
    call.caller.is_some_and(|caller| caller.role == crate::tokens::Role::Operator)
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// An address as it is counted and blocked: of IPv6 the whole /64, which one customer has.
pub(super) fn source_text(source: IpAddr) -> String {
    match source {
        IpAddr::V6(address) if address.octets().iter().skip(8).all(|byte| *byte == 0) => {
            format!("{address}/64")
        }
        IpAddr::V4(_) | IpAddr::V6(_) => source.to_string(),
    }
}

/// A moment in UTC, such as `2026-11-27 18:20:03`.
pub(super) fn time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The date of a day since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_by_the_calendar() {
        assert_eq!(time(0), "1970-01-01 00:00:00");
        assert_eq!(time(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(time(1_795_803_603), "2026-11-27 18:20:03");
    }
}
