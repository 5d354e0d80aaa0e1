//! What the gateway itself answers, such as the keys with which it signs.
//!
//! An endpoint has a route like anything else: it is reached through the engine, and recorded.

use crate::denial::Denial;
use crate::effects::{Effects, Step};
use crate::method::MethodSet;
use crate::plan::CredentialLocation;
use bytes::Bytes;
use http::{Request, Response};
use std::sync::Arc;

/// Answers requests for the gateway itself.
pub trait Endpoint: Send + Sync {
    /// What it is for, in one line. Holds no secret.
    fn describe(&self) -> String;

    /// Answers a request that was judged. Its body is whole and at most 64 KiB long.
    fn answer<'a>(
        &'a self,
        request: &'a Request<Bytes>,
        effects: &'a dyn Effects,
    ) -> Step<'a, Response<Bytes>>;
}

/// The answer of an endpoint that refuses. What the client sees of it, and what the record says, is as with any refusal.
pub fn refused(denial: Denial) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = denial.status();
    response.extensions_mut().insert(denial);
    response
}

/// Where an endpoint is served.
#[derive(Clone)]
pub struct Served {
    /// The path of its route.
    pub path: String,
    /// The hosts that it is served for; none means every host.
    pub hosts: Vec<String>,
    /// The methods that it takes.
    pub methods: MethodSet,
    /// Credentials that it must see.
    pub keeps: Vec<CredentialLocation>,
    /// What answers.
    pub endpoint: Arc<dyn Endpoint>,
}
