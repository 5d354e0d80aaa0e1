//! Portcullis as a library: a gateway that refuses when unsure, inside your program.
//!
//! ```no_run
//! use portcullis::{ApiKey, Gateway, Json, RateLimit, Security};
//! use serde_json::json;
//!
//! # async fn run() -> Result<(), portcullis::StartError> {
//! Gateway::builder()
//!     .security(
//!         Security::new()
//!             .authentication(ApiKey::header("x-api-key").keys(["12345", "67890"]))
//!             .rate_limiting(RateLimit::per_minute(5)),
//!     )
//!     .route("/data", |_request| async { Json(json!({ "message": "Secure data accessed" })) })
//!     .listen(3000)
//!     .await
//! # }
//! ```
//!
//! The same document, the same validation and the same engine serve a program and the `portcullis` command: there is one
//! decision path. Handlers run on the caller's tokio runtime; a gateway listens on the loopback address unless it is given
//! another.
//!
//! | module     | holds                                            |
//! |------------|--------------------------------------------------|
//! | [`builder`]  | a gateway that is configured in code             |
//! | [`listen`]   | where it listens, said in types                  |
//! | [`mount`]    | services of `tower`, and how one answers requests |
//! | [`security`] | what judges requests, said in types              |
//! | [`tokens`]   | authentication by tokens, said in types          |
//! | [`login`]    | login in a browser, said in types                |
//! | [`openapi`]  | OpenAPI documents and schemas, said in types     |
//! | [`handler`]  | functions that answer requests                   |
//! | [`document`] | what can be written in a configuration file      |
//! | [`compile`]  | from a document to what runs                     |
//! | [`load`]     | reading a configuration, and its diagnostics     |
//! | [`findings`] | what loads, and is weaker than it need be        |
//! | [`difference`] | what a change of a configuration means for security |
//! | [`replay`]   | what a configuration would have decided on an access log |
//! | [`import`]   | configurations of other gateways                 |
//! | [`scaffold`] | a first configuration                            |
//! | [`password`] | hashes of passwords and keys, for a configuration  |
//! | [`reference`] | what can be written, as a page for its users    |
//! | [`gateway`]  | from a blueprint to the last request             |
//! | [`observe`]  | metrics, and the listeners on which operators ask |
//! | [`reload`]   | another configuration for a gateway that serves  |
//! | [`judge`]    | requests judged without a connection             |
//! | [`prove`]    | tests of a configuration, written and generated  |
//! | [`takeover`] | how one process takes another's place           |
//! | [`control`]  | what its owner can ask it while it serves        |
//! | [`desk`]     | what can be changed in a store of keys           |

pub mod builder;
pub mod compile;
pub mod control;
pub mod desk;
pub mod difference;
pub mod document;
mod endpoint;
pub mod findings;
pub mod gateway;
pub mod handler;
pub mod import;
pub mod judge;
pub mod listen;
pub mod load;
pub mod login;
pub mod mount;
pub mod observe;
pub mod openapi;
pub mod password;
pub mod prove;
pub mod reference;
pub mod reload;
pub mod replay;
pub mod scaffold;
pub mod security;
pub mod takeover;
pub mod tokens;

pub use builder::{Builder, RouteOptions};
pub use gateway::{Gateway, Running, StartError};
pub use handler::{IntoResponse, Json, read_body};
pub use http;
pub use listen::{Limits, Listen, Tls};
pub use load::{ConfigError, Loaded};
pub use login::OpenIdConnect;
pub use openapi::Openapi;
pub use portcullis_config::Style;
pub use portcullis_config::render::visible;
pub use portcullis_core::KeyId;
pub use portcullis_core::head::foreign;
pub use portcullis_core::{ClientAddress, Code, Denial, Mode, Principal, Record, RecordSink, RouteId};
pub use portcullis_keys as keys;
pub use portcullis_proxy::raise_descriptor_limit;
pub use portcullis_proxy::{
    BodySender, BoxError, Handler, Listener, RequestBody, ResponseBody, ShutdownHandle,
};
pub use portcullis_runtime::State;
pub use portcullis_store::FailurePolicy;
pub use portcullis_telemetry::audit::verify as audit;
pub use reload::{ReloadError, Reloader, Status};
pub use security::{ApiKey, Authentication, Basic, Consumer, RateLimit, Security};
pub use tokens::{Jwt, OAuth2, Token};
