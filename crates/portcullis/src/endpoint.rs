//! What the gateway itself answers, as handlers of its front.

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use portcullis_core::Effects;
use portcullis_core::endpoint::Endpoint;
use portcullis_proxy::{Handler, RequestBody, ResponseBody};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

/// The largest body that an endpoint is given, in bytes.
pub(crate) const MAX_BODY_BYTES: u64 = 64 * 1024;

/// The world, from the moment on at which the gateway starts.
pub(crate) type LaterWorld = Arc<OnceLock<Arc<dyn Effects>>>;

/// An endpoint, and the world that it is given.
pub(crate) struct EndpointHandler {
    pub(crate) endpoint: Arc<dyn Endpoint>,
    pub(crate) world: LaterWorld,
}

impl Handler for EndpointHandler {
    fn call(
        &self,
        request: Request<RequestBody>,
    ) -> Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>> {
        let (endpoint, world) = (Arc::clone(&self.endpoint), self.world.get().cloned());
        Box::pin(async move {
            let failed = |status| {
                let mut response = Response::new(ResponseBody::empty());
                *response.status_mut() = status;
                response
            };
            let Some(world) = world else { return failed(StatusCode::SERVICE_UNAVAILABLE) };
            let (parts, body) = request.into_parts();
            let limit = usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX);
            let Ok(body) = Limited::new(body, limit).collect().await else {
                return failed(StatusCode::BAD_REQUEST);
            };
            let request = Request::from_parts(parts, body.to_bytes());
            endpoint.answer(&request, world.as_ref()).resolve().await.map(ResponseBody::from)
        })
    }
}
