//! What a person sees in a browser where a login, a session or a logout comes to no good end.
//!
//! Programs and scripts get problem details, as from any refusal. The words are fixed, and the same for whatever an attacker could
//! want to tell apart: why exactly is in the record. Decides nothing but that.

use super::browser;
use http::{HeaderMap, Method, StatusCode};
use portcullis_core::page::{Page, Words};
use portcullis_core::{Code, Denial};

const FAILED: Words = Words {
    title: "You are not logged in",
    text: "The login could not be completed. Please try again.",
    link: "Try again",
};
/// The person, or somebody who decides on them, said no.
pub(super) const CANCELLED: Words = Words {
    title: "You are not logged in",
    text: "The login was cancelled, or your account may not be used here.",
    link: "Try again",
};
/// What the browser kept of the login is not there.
pub(super) const FORGOTTEN: Words = Words {
    title: "You are not logged in",
    text: "This browser does not know of this login. It may have taken too long, it may have begun in another browser, \
           or this browser keeps no cookies of this site. Please open the page again from which you came.",
    link: "Start again",
};
/// A link of a login that is over, in a browser that has a session.
pub(super) const ALREADY: Words = Words {
    title: "You are already logged in",
    text: "This link belongs to a login that is over. Your session goes on.",
    link: "Go to the site",
};
/// The login is over, and the session that it gave is not there.
pub(super) const USED: Words = Words {
    title: "This login is over",
    text: "This link was used before, and is good once.",
    link: "Log in again",
};
/// It goes round and round.
pub(super) const REPEATED: Words = Words {
    title: "You are not logged in",
    text: "Several logins in a row were completed, and your browser kept none of them. Allow cookies for this site, check the clock \
           of your device, and try again in a minute.",
    link: "Try again",
};
const UNAVAILABLE: Words = Words {
    title: "The login is not available",
    text: "The login service does not answer at the moment. Please try again in a minute.",
    link: "Try again",
};
const WAIT: Words = Words {
    title: "Please wait",
    text: "There were too many failed logins from your network. Please try again in a minute.",
    link: "Try again",
};
const ENDED: Words = Words {
    title: "Please log in again",
    text: "You are not logged in any more. What you sent was not carried out.",
    link: "Log in",
};
const ELSEWHERE: Words = Words {
    title: "Not carried out",
    text: "What was asked for came from a page of another site, so it was not carried out. Open this site and try again from there.",
    link: "Go to the site",
};

/// Whether a person sees the answer: a browser goes to a page of its own, or posts a form.
pub(super) fn wanted(method: &Method, headers: &HeaderMap, upgrade: bool) -> bool {
    let shown = if *method == Method::POST { Method::GET } else { method.clone() };
    browser::is_navigation(&shown, headers, upgrade)
}

/// The refusal with a page, if it has none, that leads to `path`.
pub(super) fn shown(denial: Denial, path: &str) -> Denial {
    let (code, page) = (denial.code(), denial.page().cloned());
    if page.as_ref().is_some_and(Page::leads_on) {
        return denial;
    }
    let words = if code == Code::Fault {
        &UNAVAILABLE
    } else if code == Code::TooManyFailures {
        &WAIT
    } else if code == Code::CrossSite {
        &ELSEWHERE
    } else if code.status() == StatusCode::UNAUTHORIZED {
        &ENDED
    } else {
        &FAILED
    };
    let page = page.unwrap_or_else(|| Page::new(words));
    denial.showing(page.leading_to(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_person_gets_a_page_and_a_script_does_not() {
        let headers = |fields: &[(&'static str, &'static str)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
            fields.collect::<HeaderMap>()
        };
        let page = headers(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]);
        let old = headers(&[("accept", "text/html")]);
        let script =
            headers(&[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", "text/html")]);
        for (method, headers, upgrade, expected) in [
            (Method::GET, &page, false, true),
            (Method::POST, &page, false, true),
            (Method::POST, &old, false, true),
            (Method::GET, &script, false, false),
            (Method::POST, &script, false, false),
            (Method::PUT, &page, false, false),
            (Method::GET, &page, true, false),
            (Method::GET, &HeaderMap::new(), false, false),
        ] {
            assert_eq!(wanted(&method, headers, upgrade), expected, "{method} {headers:?}");
        }
    }

    #[test]
    fn a_page_that_was_chosen_stays() {
        let chosen = Denial::new(Code::LoginFailed, "").showing(Page::new(&USED));
        let page = shown(chosen, "/a");
        assert_eq!(page.page(), Some(&Page::new(&USED).leading_to("/a")));
        assert_eq!(shown(page, "/b").page(), Some(&Page::new(&USED).leading_to("/a")));
        let fault = shown(Denial::new(Code::Fault, ""), "//evil.example");
        assert_eq!(fault.page(), Some(&Page::new(&UNAVAILABLE)));
        assert!(
            shown(Denial::new(Code::CredentialExpired, ""), "/")
                .page()
                .is_some_and(|page| *page == Page::new(&ENDED).leading_to("/"))
        );
    }
}
