//! Requests on a connection that is not the one for their host.
//!
//! A client may send requests for several hosts on one connection (RFC 9110, section 7.4; RFC 9113, section 9.1.1). If the host belongs to
//! another listener, with other rules for client certificates, the request would be judged by what this connection's listener
//! asked for. It is 421 instead, and a client then makes a connection for that host.

use crate::tls::Tls;
use http::header::HOST;
use http::request::Parts;
use portcullis_core::head::host::canonical;
use portcullis_core::{Code, Denial};
use std::sync::Arc;

/// The hosts of a listener, and of those with other rules for client certificates.
pub(crate) struct Neighbours {
    own: Arc<Tls>,
    others: Vec<Arc<Tls>>,
}

impl Neighbours {
    /// Those of `own` among the TLS of all listeners. `None` where all have the same rules, which costs nothing then.
    pub(crate) fn of(own: &Arc<Tls>, all: &[Arc<Tls>]) -> Option<Neighbours> {
        let differs = |tls: &&Arc<Tls>| tls.settings().clients != own.settings().clients;
        let others: Vec<_> = all.iter().filter(differs).map(Arc::clone).collect();
        (!others.is_empty()).then(|| Neighbours { own: Arc::clone(own), others })
    }

    /// Whether a request has come by the right connection. A host of both listeners, or of none, has.
    ///
    /// # Errors
    /// It is for a host of another listener.
    pub(super) fn judge(&self, parts: &Parts) -> Result<(), Denial> {
        let named = parts.uri.authority().map(|authority| authority.as_str());
        let Some(host) = named.or_else(|| parts.headers.get(HOST)?.to_str().ok()) else { return Ok(()) };
        // What has no single reading is refused where heads are judged.
        let Ok(host) = canonical(host) else { return Ok(()) };
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        // SECURITY: otherwise a listener that asks for no certificate is a way around one that does
        // (a_host_of_another_listener_is_421).
        if !self.own.covers(name) && self.others.iter().any(|other| other.covers(name)) {
            let detail = "the host belongs to a listener with other rules for client certificates";
            return Err(Denial::new(Code::Misdirected, detail));
        }
        Ok(())
    }
}
