//! A gateway with a public address, a provider that knows it, and a backend behind it.

use crate::support::{Backend, OidcProvider, PATIENCE, Records, Reply, Seen};
use portcullis::{Gateway, Loaded, RecordSink, Running, State};
use portcullis_config::Context;
use portcullis_core::{Clock, Now};
use portcullis_runtime::SystemClock;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// With what cookies are sealed here.
pub const SECRET: &str = "a-session-secret-of-at-least-32-bytes";
/// A key for the route that takes sessions and keys.
pub const API_KEY: &str = "api-9c1e7ab24f6d40538e1b";

/// The system's clock, and what a test adds to it.
#[derive(Clone)]
pub struct Ahead(Arc<(SystemClock, AtomicU64)>);

impl Ahead {
    /// Lets seconds pass.
    pub fn pass(&self, seconds: u64) {
        self.0.1.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Ahead {
    fn now(&self) -> Now {
        let (clock, ahead) = self.0.as_ref();
        let ahead = Duration::from_secs(ahead.load(Ordering::Relaxed));
        let now = clock.now();
        Now { monotonic: now.monotonic + ahead, unix: now.unix + ahead }
    }
}

/// The site.
pub struct Site {
    /// Where browsers find it: `http://127.0.0.1:PORT`.
    pub origin: String,
    pub provider: OidcProvider,
    pub backend: Backend,
    pub records: Arc<Records>,
    pub clock: Ahead,
    running: Running,
    document: String,
}

/// A page with a form and a script, as a site has them.
pub fn page(seen: &Seen) -> Reply {
    let roles = seen.fields("x-consumer-roles").join(",");
    let name = seen.fields("x-consumer-name").join(",");
    let body = format!(
        "<!doctype html><title>Orders</title><h1>{} {}</h1><p id=who>{name} ({roles})</p>\
         <form id=change method=post action=/orders><button>Change</button></form>\
         <form id=logout method=post action=/auth/logout><button>Log out</button></form>",
        seen.method, seen.target
    );
    let fields = "Content-Type: text/html\r\nContent-Security-Policy: default-src 'self' 'unsafe-inline'\r\n";
    Reply::with("200 OK", fields, &body)
}

/// Passes connections on to the gateway, so that its public address is known before it listens.
pub async fn public_address() -> (SocketAddr, Arc<OnceLock<SocketAddr>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Arc::new(OnceLock::new());
    let known = Arc::clone(&gateway);
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let to: SocketAddr = *known.get().expect("nobody connects before the gateway listens");
            tokio::spawn(async move {
                let mut to = TcpStream::connect(to).await.unwrap();
                let _either_side_is_gone = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    (address, gateway)
}

/// A gateway with this configuration.
fn gateway(document: &str, clock: &Ahead, records: &Arc<Records>) -> Running {
    let state = State::with_clock(clock.clone());
    let loaded = Loaded::yaml_with("site.yaml", document.to_owned(), Context::for_file("."), &state);
    let blueprint = loaded.into_blueprint().unwrap_or_else(|error| panic!("{error}"));
    let sink = Arc::clone(records) as Arc<dyn RecordSink>;
    Gateway::new(blueprint).with_sink(sink).start().expect("a free port")
}

impl Site {
    /// A site whose login says this besides what it must.
    pub async fn start(login: Value) -> Site {
        Site::behind(OidcProvider::start().await, login).await
    }

    /// The same, with this provider.
    pub async fn behind(provider: OidcProvider, login: Value) -> Site {
        Site::sharing(provider, Backend::answering(page).await, login, json!({})).await
    }

    /// The same, with this backend, whose gateway keeps what is shared in this store.
    pub async fn sharing(provider: OidcProvider, backend: Backend, login: Value, store: Value) -> Site {
        let (address, tell) = public_address().await;
        let origin = format!("http://{address}");
        provider
            .control(
                "/client",
                json!({
                    "client_id": "site",
                    "grant_types": ["authorization_code", "refresh_token"],
                    "response_types": ["code"],
                    "redirect_uris": [format!("{origin}/auth/callback")],
                    "post_logout_redirect_uris": [format!("{origin}/goodbye")],
                    "backchannel_logout_uri": format!("{origin}/auth/provider-logout"),
                    "backchannel_logout_session_required": true,
                }),
            )
            .await;
        let mut method = json!({
            "type": "openid_connect",
            "issuer": provider.issuer,
            "client_id": "site",
            "client_secret": OidcProvider::SECRET,
            "public_url": origin,
            "session_secret": SECRET,
            "logged_out_path": "/goodbye",
        });
        method.as_object_mut().unwrap().extend(login.as_object().unwrap().clone());
        let upstream = format!("http://{}", backend.address);
        let either = json!([method, { "type": "api_key" }]);
        let mut document = json!({
            "listeners": [{ "bind": "127.0.0.1:0" }],
            "outbound": { "allow": ["127.0.0.0/8"] },
            "security": { "authentication": method },
            "consumers": [{ "name": "robot", "roles": ["user"], "keys": [API_KEY] }],
            "routes": [
                { "path": "/orders", "upstream": upstream },
                { "path": "/orders/{id}", "upstream": upstream },
                { "path": "/admin", "upstream": upstream,
                  "security": { "authorization": { "roles_allowed": ["admin"] } } },
                { "path": "/either", "upstream": upstream,
                  "security": { "authentication": { "any": either } } },
                { "path": "/socket", "upstream": upstream, "upgrade": ["websocket"] },
                { "path": "/goodbye", "public": "a page for those who left", "upstream": upstream },
            ],
        });
        if store != json!({}) {
            document["store"] = store;
        }
        let clock = Ahead(Arc::new((SystemClock::start(), AtomicU64::new(0))));
        let document = document.to_string();
        let records = Arc::new(Records::default());
        let running = gateway(&document, &clock, &records);
        tell.set(running.addresses()[0]).unwrap();
        Site { origin, provider, backend, records, clock, running, document }
    }

    /// Another gateway with the same configuration, which has a state of its own.
    pub fn another(&self) -> Running {
        gateway(&self.document, &self.clock, &self.records)
    }

    /// Gives it the same configuration with another setting of the login.
    pub fn reload(&self, from: &str, to: &str) {
        let reloader = self.running.reloader();
        let document = self.document.replace(from, to);
        assert_ne!(document, self.document);
        let loaded = Loaded::yaml_with("site.yaml", document, Context::for_file("."), reloader.state());
        reloader.reload(loaded).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Where the gateway itself listens.
    pub fn gateway(&self) -> SocketAddr {
        self.running.addresses()[0]
    }

    /// A URL of the site.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The code of the last refusal, and its detail.
    pub fn last_denial(&self) -> (String, String) {
        let all = self.records.all();
        let denied =
            all.iter().rev().find_map(|record| record.get("denied").filter(|denied| !denied.is_null()));
        let denied = denied.unwrap_or_else(|| panic!("{all:#?}"));
        let text = |name: &str| denied[name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("detail"))
    }

    /// Ends it.
    pub async fn end(self) {
        self.running.shutdown();
        tokio::time::timeout(PATIENCE, self.running.finished()).await.expect("the gateway ends");
    }
}
