//! A gateway that is configured in code.

use crate::compile::Blueprint;
use crate::document::HANDLER_SCHEME;
use crate::gateway::{Gateway, Running, StartError};
use crate::handler::{Function, IntoResponse};
use crate::listen::{Limits, Listen, duration};
use crate::load::{ConfigError, Loaded};
use crate::mount::{Mounted, Service};
use crate::security::{Consumer, Security};
use http::Request;
use portcullis_core::RecordSink;
use portcullis_proxy::{Handler, RequestBody};
use portcullis_runtime::State;
use serde_json::{Map, Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What the builder writes from parts.
const BUILT: [&str; 3] = ["listeners", "routes", "consumers"];

/// Builds a gateway. Whatever is wrong is said when it is started, all at once.
#[derive(Default)]
pub struct Builder {
    pub(crate) document: Map<String, Value>,
    routes: Vec<Value>,
    consumers: Vec<Value>,
    listeners: Vec<Value>,
    handlers: Vec<Arc<dyn Handler>>,
    sink: Option<Arc<dyn RecordSink>>,
}

/// A route, in detail.
#[derive(Clone, Debug, Default)]
pub struct RouteOptions(pub(crate) Map<String, Value>);

impl RouteOptions {
    /// Says nothing yet.
    pub fn new() -> RouteOptions {
        RouteOptions::default()
    }

    /// Allows only these methods. GET brings HEAD.
    #[must_use]
    pub fn methods<M: Into<String>>(mut self, methods: impl IntoIterator<Item = M>) -> RouteOptions {
        let methods: Vec<String> = methods.into_iter().map(Into::into).collect();
        self.0.insert("methods".into(), json!(methods));
        self
    }

    /// Serves only these hosts.
    #[must_use]
    pub fn hosts<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> RouteOptions {
        let hosts: Vec<String> = hosts.into_iter().map(Into::into).collect();
        self.0.insert("hosts".into(), json!(hosts));
        self
    }

    /// Asks nobody who they are, for this reason.
    #[must_use]
    pub fn public(mut self, reason: impl Into<String>) -> RouteOptions {
        self.0.insert("public".into(), json!(reason.into()));
        self
    }

    /// Removes this from the beginning of the path before the upstream or handler sees it.
    #[must_use]
    pub fn strip_prefix(mut self, prefix: impl Into<String>) -> RouteOptions {
        self.0.insert("rewrite".into(), json!({ "strip_prefix": prefix.into() }));
        self
    }

    /// Any other key of a route, with what would stand there in a configuration file.
    #[must_use]
    pub fn configure(mut self, key: impl Into<String>, value: Value) -> RouteOptions {
        self.0.insert(key.into(), value);
        self
    }

    /// Judges its requests by this, section by section in place of the gateway's.
    #[must_use]
    pub fn security(mut self, security: Security) -> RouteOptions {
        self.0.insert("security".into(), Value::Object(security.0));
        self
    }
}

impl Builder {
    /// The security controls of every route. A route can replace each section.
    #[must_use]
    pub fn security(self, security: Security) -> Builder {
        self.configure_security(Value::Object(security.0))
    }

    /// The same as a document, as it would stand under `security:` in a file.
    #[must_use]
    pub fn configure_security(mut self, security: Value) -> Builder {
        self.document.insert("security".into(), security);
        self
    }

    /// A client or person who uses the API.
    #[must_use]
    pub fn consumer(mut self, consumer: Consumer) -> Builder {
        self.consumers.push(Value::Object(consumer.0));
        self
    }

    /// Serves a path with a function.
    #[must_use]
    pub fn route<F, Answering>(self, path: impl Into<String>, handler: F) -> Builder
    where
        F: Fn(Request<RequestBody>) -> Answering + Send + Sync + 'static,
        Answering: Future<Output: IntoResponse> + Send + 'static,
    {
        self.route_with(path, RouteOptions::new(), handler)
    }

    /// Serves a path with a function, in detail.
    #[must_use]
    pub fn route_with<F, Answering>(
        self,
        path: impl Into<String>,
        options: RouteOptions,
        handler: F,
    ) -> Builder
    where
        F: Fn(Request<RequestBody>) -> Answering + Send + Sync + 'static,
        Answering: Future<Output: IntoResponse> + Send + 'static,
    {
        self.handle(&path.into(), options, Arc::new(Function(handler)))
    }

    /// Serves a path by a service of `tower`, such as a router of `axum`. A path that ends in `/{*rest}` gives it everything
    /// below; it sees the whole path.
    #[must_use]
    pub fn mount<S: Service>(self, path: impl Into<String>, service: S) -> Builder {
        self.mount_with(path, RouteOptions::new(), service)
    }

    /// Serves a path by a service of `tower`, in detail.
    #[must_use]
    pub fn mount_with<S: Service>(
        self,
        path: impl Into<String>,
        options: RouteOptions,
        service: S,
    ) -> Builder {
        self.handle(&path.into(), options, Arc::new(Mounted(service)))
    }

    /// Serves a path by a server, such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn proxy(self, path: impl Into<String>, upstream: impl Into<String>) -> Builder {
        self.proxy_with(path, RouteOptions::new(), upstream)
    }

    /// Serves a path by a server, in detail.
    #[must_use]
    pub fn proxy_with(
        self,
        path: impl Into<String>,
        options: RouteOptions,
        upstream: impl Into<String>,
    ) -> Builder {
        self.add(&path.into(), options, &upstream.into())
    }

    fn handle(mut self, path: &str, options: RouteOptions, handler: Arc<dyn Handler>) -> Builder {
        self.handlers.push(handler);
        let upstream = format!("{HANDLER_SCHEME}{}", self.handlers.len() - 1);
        self.add(path, options, &upstream)
    }

    fn add(mut self, path: &str, options: RouteOptions, upstream: &str) -> Builder {
        let mut route = options.0;
        route.insert("path".into(), json!(path));
        route.insert("upstream".into(), json!(upstream));
        self.routes.push(Value::Object(route));
        self
    }

    /// The proxies in front of the gateway, whose word on a client's address is believed.
    #[must_use]
    pub fn trusted_proxies<N: Into<String>>(mut self, networks: impl IntoIterator<Item = N>) -> Builder {
        let networks: Vec<String> = networks.into_iter().map(Into::into).collect();
        self.document.insert("trusted_proxies".into(), json!(networks));
        self
    }

    /// Networks that are not of the public Internet and that the gateway may ask for an issuer's keys all the same.
    #[must_use]
    pub fn allow_outbound<N: Into<String>>(mut self, networks: impl IntoIterator<Item = N>) -> Builder {
        let networks: Vec<String> = networks.into_iter().map(Into::into).collect();
        self.document.insert("outbound".into(), json!({ "allow": networks }));
        self
    }

    /// Why requests, with their keys, may cross a network in the clear. Needed to listen on other than loopback addresses.
    #[must_use]
    pub fn insecure_plaintext(mut self, reason: impl Into<String>) -> Builder {
        self.document.insert("insecure_plaintext".into(), json!(reason.into()));
        self
    }

    /// How many threads serve requests. Default: one per core.
    #[must_use]
    pub fn workers(mut self, workers: u32) -> Builder {
        self.document.insert("workers".into(), json!(workers));
        self
    }

    /// Writes the access log to standard output. Without this, or [`Builder::records_to`], a program has none.
    #[must_use]
    pub fn access_log_to_stdout(mut self) -> Builder {
        self.document.insert("access_log".into(), json!("stdout"));
        self
    }

    /// Gives every record to `sink`.
    #[must_use]
    pub fn records_to(mut self, sink: Arc<dyn RecordSink>) -> Builder {
        self.sink = Some(sink);
        self
    }

    /// Listens on another address too, besides the one that it is started with.
    #[must_use]
    pub fn listener(mut self, listener: impl Into<Listen>) -> Builder {
        self.listeners.push(Value::Object(listener.into().0));
        self
    }

    /// Limits of request heads, and of the memory for bodies that are held.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Builder {
        self.document.insert("limits".into(), Value::Object(limits.0));
        self
    }

    /// How long running requests may take to finish after the end was asked for. Default: 30 seconds.
    #[must_use]
    pub fn drain(mut self, time: Duration) -> Builder {
        self.document.insert("drain".into(), duration(time));
        self
    }

    /// Any other top-level key of a configuration file, with what would stand there, such as `brute_force`. The functions of
    /// the builder say `listeners`, `routes` and `consumers`; here those three are errors.
    #[must_use]
    pub fn configure(mut self, key: impl Into<String>, value: Value) -> Builder {
        let key = key.into();
        // A key that nobody knows is an error that names it.
        let key = if BUILT.contains(&key.as_str()) { format!("configure({key})") } else { key };
        self.document.insert(key, value);
        self
    }

    /// What would run.
    ///
    /// # Errors
    /// The configuration cannot be used; the error holds every reason.
    pub fn build(self, bind: impl Into<Listen>) -> Result<Gateway, ConfigError> {
        let Builder { mut document, routes, consumers, listeners, handlers, sink } = self;
        let Listen(mut first) = bind.into();
        if let Some(reason) = document.remove("insecure_plaintext") {
            first.insert("insecure_plaintext".into(), reason);
        }
        let listeners = std::iter::once(Value::Object(first)).chain(listeners).collect();
        document.insert("listeners".into(), Value::Array(listeners));
        document.insert("routes".into(), Value::Array(routes));
        document.insert("consumers".into(), Value::Array(consumers));
        document.entry("access_log").or_insert_with(|| json!("insecure_off"));
        let blueprint: Blueprint =
            Loaded::code(Value::Object(document), handlers, &State::new()).into_blueprint()?;
        let gateway = Gateway::new(blueprint);
        Ok(match sink {
            Some(sink) => gateway.with_sink(sink),
            None => gateway,
        })
    }

    /// Starts the gateway and comes back while it serves. Must be called on a tokio runtime if there are handlers.
    ///
    /// # Errors
    /// The configuration cannot be used, or the address cannot be listened on.
    pub fn start(self, bind: impl Into<Listen>) -> Result<Running, StartError> {
        self.build(bind).map_err(StartError::Config)?.start()
    }

    /// Starts the gateway and serves until the process is told to stop (SIGTERM, SIGINT).
    ///
    /// # Errors
    /// The configuration cannot be used, or the address cannot be listened on.
    pub async fn listen(self, bind: impl Into<Listen>) -> Result<(), StartError> {
        self.start(bind)?.until_stopped().await
    }
}
