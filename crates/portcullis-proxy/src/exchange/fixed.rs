//! Answers that need no upstream: a fixed body, or another place.
//!
//! The request was judged like any other. A path that a redirect is made of is judged again, so that no request can choose
//! the host to which it is sent. What fails is a problem answer.

use super::answer::Answer;
use super::hygiene;
use super::life::Life;
use super::respond::{fail, refuse, respond};
use crate::body::ClientBody;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use http::{Method, Response, StatusCode};
use http_body::Body;
use portcullis_core::permit::Shaped;
use portcullis_core::route::Route;
use portcullis_core::route::template::Rewrite;
use portcullis_core::{Code, Denial, Outcome};
use std::rc::Rc;

/// An answer that needs no upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FixedAnswer {
    /// The same for every request.
    Respond {
        /// Its status, from 200 to 599.
        status: StatusCode,
        /// What the body is; `None` where there is none.
        content_type: Option<HeaderValue>,
        /// The body.
        body: Bytes,
    },
    /// To another place.
    Redirect {
        /// Its status, from 300 to 399.
        status: StatusCode,
        /// Where to.
        to: Place,
    },
}

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Scheme and host, such as `https://example.com`; empty for the host of the request.
    pub origin: String,
    /// The path, made of the request's.
    pub path: Rewrite,
    /// The query; `None` for the request's own.
    pub query: Option<String>,
}

impl Place {
    /// The URL for a request of this route.
    ///
    /// # Errors
    /// The path that it is made of has several readings.
    pub fn of(&self, route: &Route, path: &str, query: Option<&str>) -> Result<HeaderValue, Denial> {
        let path = self.path.apply(route, path)?.path;
        let query = self.query.as_deref().or(query).map(|query| format!("?{query}")).unwrap_or_default();
        HeaderValue::try_from(format!("{}{path}{query}", self.origin))
            .map_err(|_| Denial::new(Code::Fault, "the target has no form in a field"))
    }
}

impl FixedAnswer {
    /// The answer to a request.
    pub(crate) fn answer(&self, life: &Rc<Life>, shaped: Shaped<ClientBody>) -> Response<Answer> {
        let Shaped { route, method, path_and_query, body, told, changes, upgrade, mut recording, .. } =
            shaped;
        if !body.is_end_stream() {
            life.leave_unread(body.size_hint().exact());
        }
        if upgrade.is_some() {
            let denial = Denial::new(Code::UpgradeRefused, "nobody is there to switch protocols with");
            return refuse(recording, denial, told.as_ref(), life);
        }
        let mut headers = HeaderMap::new();
        let (status, content) = match self {
            FixedAnswer::Respond { status, content_type, body } => {
                headers.extend(content_type.clone().map(|content_type| (CONTENT_TYPE, content_type)));
                (*status, if method == Method::HEAD { Bytes::new() } else { body.clone() })
            }
            FixedAnswer::Redirect { status, to } => {
                let place = match recording.snapshot().routes.route(route) {
                    Some(route) => to.of(route, path_and_query.path(), path_and_query.query()),
                    None => Err(Denial::new(Code::Fault, "a route number of another plan")),
                };
                match place {
                    Ok(place) => headers.insert(LOCATION, place),
                    Err(denial) => return fail(recording, denial, told.as_ref(), life),
                };
                (*status, Bytes::new())
            }
        };
        let id = recording.record().id;
        hygiene::clean(&mut headers, &method, true, &id, changes.as_deref(), told.as_ref());
        let record = recording.record_mut();
        record.status = Some(status);
        record.bytes_sent = content.len() as u64;
        recording.close(Outcome::Served);
        respond(status, headers, Answer::whole(content, life))
    }
}
