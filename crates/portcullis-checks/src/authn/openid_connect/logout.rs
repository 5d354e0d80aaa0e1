//! The end of a session: at the gateway, and then at the provider.
//!
//! Only a page of this origin can end it, and only with POST: an image or a link on another site cannot. The cookies are
//! taken away whatever else fails, and a copy of the session's is refused from then on. Then the browser is sent to the provider's
//! end of session, if it has one, with the ID token if the session kept it, so that nobody is asked there, and from there back; a gateway that does not know its provider at the moment sends it straight on.

use super::{Login, browser, pages};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use portcullis_core::endpoint::{Endpoint, refused};
use portcullis_core::{Code, Denial, Effects, Once, Step};
use std::sync::Arc;
use std::time::Duration;

/// Answers requests to log out.
pub struct Logout(pub(super) Arc<Login>);

impl Endpoint for Logout {
    fn describe(&self) -> String {
        let Login { session, origin, paths, .. } = self.0.as_ref();
        let issuer = &session.issuer;
        format!("where browsers end their session of {issuer}, and go on to {origin}{}", paths.logged_out)
    }

    fn answer<'a>(
        &'a self,
        request: &'a Request<Bytes>,
        effects: &'a dyn Effects,
    ) -> Step<'a, Response<Bytes>> {
        // SECURITY: nobody is logged out by another site (somebody_logs_out_here_and_at_the_provider).
        if !browser::is_same_origin(request.headers(), &self.0.origin) {
            let denial = Denial::new(Code::CrossSite, "no page of this origin has sent it");
            return Step::Ready(refused(seen(denial, request)));
        }
        let Once::One(text) = self.0.cookies.read(request.headers()) else {
            return Step::Ready(self.0.after_logout(request, None, effects));
        };
        let Some(opened) = self.0.open(&text) else {
            return Step::Ready(self.0.after_logout(request, None, effects));
        };
        let session = &opened.session;
        let until = session.started.saturating_add(self.0.session.lifetime);
        // SECURITY: what is under way brings no session back (somebody_logs_out_here_and_at_the_provider).
        let ended = self.0.ended.end(&session.id, Duration::MAX, until, effects);
        ended.map(move |ended| match ended {
            Ok(()) => self.0.after_logout(
                request,
                opened.session.id_token.as_ref().map(|token| token.as_str()),
                effects,
            ),
            // The cookie stays, so that whoever logs out can try again: gateways that heard nothing would go on to accept it.
            Err(fault) => refused(seen(Denial::new(Code::Fault, fault.detail), request)),
        })
    }
}

/// The refusal as whoever sent the request is to see it.
fn seen(denial: Denial, request: &Request<Bytes>) -> Denial {
    if pages::wanted(request.method(), request.headers(), false) { pages::shown(denial, "/") } else { denial }
}

impl Login {
    /// Where a browser goes when its session is over.
    fn after_logout(
        &self,
        request: &Request<Bytes>,
        id_token: Option<&str>,
        effects: &dyn Effects,
    ) -> Response<Bytes> {
        let after = format!("{}{}", self.origin, self.paths.logged_out);
        let loaded = self.issuer.usable(effects.monotonic());
        let endpoint = loaded.as_ref().and_then(|loaded| loaded.metadata.end_session.as_ref());
        let location = match endpoint {
            Some(endpoint) => self.client.logout_url(endpoint, &after, id_token),
            None => after,
        };
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let headers = response.headers_mut();
        if let Ok(location) = HeaderValue::try_from(location) {
            headers.insert(header::LOCATION, location);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let slots = self.cookies.slots().map(|(_, name)| name);
        for field in
            self.cookies.end(request.headers()).into_iter().chain(slots.map(|name| self.cookies.clear(name)))
        {
            headers.append(header::SET_COOKIE, field);
        }
        response
    }
}
