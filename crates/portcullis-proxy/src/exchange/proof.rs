//! Answers a request in the clear for a proof that a host is ours (HTTP-01, RFC 8555, section 8.3).
//!
//! The request is admitted like any other, so that it has one reading. Only a token that is pending, for its own host, is
//! answered; anything else below the well-known path is 404, and goes to no route and to no other place.

use super::answer::Answer;
use super::life::Life;
use super::respond::{Aside, answer_aside};
use crate::tls::acme::Challenges;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use portcullis_core::head::{Head, path};
use portcullis_core::{Code, Conn, Denial, Recording};
use std::rc::Rc;
use std::sync::Arc;

const PLACE: &str = "/.well-known/acme-challenge/";

/// Whether a request is for a proof: by its canonical path, since `%61cme-challenge` is spelled so too. A path without one
/// is refused wherever it goes.
// SECURITY: compared as it came, another spelling would go to a route, and so to an upstream
// (a_proof_has_one_place_however_it_is_spelled).
pub(crate) fn is_asked(parts: &Parts) -> bool {
    path::canonical(parts.uri.path()).is_ok_and(|path| path.starts_with(PLACE))
}

/// The answer; `remaining` of the request's body were announced and not read.
pub(crate) fn answer(
    pending: &[Arc<Challenges>],
    parts: Parts,
    conn: &Conn,
    recording: Recording,
    remaining: Option<u64>,
    life: &Rc<Life>,
) -> Response<Answer> {
    answer_aside(parts, conn, recording, remaining, life, |head| {
        let body = Bytes::from(find(pending, head)?);
        let field = (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        Ok(Aside { status: StatusCode::OK, field, body })
    })
}

fn find(pending: &[Arc<Challenges>], head: &Head) -> Result<String, Denial> {
    let nothing = || Denial::new(Code::RouteNotFound, "no such proof is pending");
    if head.method() != Method::GET {
        return Err(nothing());
    }
    // SECURITY: the whole target, so that a query or another segment makes it another token, which nobody offered
    // (an_unknown_token_is_not_found).
    let token = head.target().as_str().strip_prefix(PLACE).ok_or_else(nothing)?;
    let host = head.host().to_str().map_err(|_| nothing())?;
    pending.iter().find_map(|challenges| challenges.answer(host, token)).ok_or_else(nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_has_one_place_however_it_is_spelled() {
        let asked = |target: &str| is_asked(&http::Request::get(target).body(()).unwrap().into_parts().0);
        for target in [
            "/.well-known/acme-challenge/x",
            "/.well-known/%61cme-challenge/x",
            "/%2Ewell-known/acme%2dchallenge/x",
            "http://a.example/.well-known/acme-challenge/x?y",
        ] {
            assert!(asked(target), "{target}");
        }
        // The last three have no canonical form, so they are refused wherever they go.
        for target in [
            "/",
            "/.well-known/acme-challenge",
            "/.well-known/acme-challenges/x",
            "/a/.well-known/acme-challenge/x",
            "/.well-known/acme-challenge%2Fx",
            "//.well-known/acme-challenge/x",
            "/.well-known/%2561cme-challenge/x",
        ] {
            assert!(!asked(target), "{target}");
        }
    }
}
