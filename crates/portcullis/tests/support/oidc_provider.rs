//! A real OpenID provider, which nobody here wrote: the npm package oidc-provider, on a free loopback port.
//!
//! It runs as a process of its own, which is ended by its id when the guard is dropped, also by a test that panics; if the
//! test is killed, its standard input ends and it ends by itself. `tests/counterparts/oidc-provider/server.mjs` says what
//! can be controlled.

use super::{Answer, Client};
use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long the program may take to listen, the first time and the second: it is slow while other tests run, and a start now
/// and then hangs.
const START: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(60)];

/// The provider.
pub struct OidcProvider {
    /// Its issuer, which is also its origin.
    pub issuer: String,
    pub address: SocketAddr,
    control: SocketAddr,
    child: Child,
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

impl OidcProvider {
    /// The secret of every client that is registered without one of its own.
    pub const SECRET: &str = "a-secret-of-this-test-0123456789abcdef";

    /// Starts it, and waits until it listens.
    pub async fn start() -> OidcProvider {
        tokio::task::spawn_blocking(|| OidcProvider::launch(&[])).await.unwrap()
    }

    /// Starts it with TLS, with the private key and the certificate in these files.
    pub async fn start_with_tls(key: &Path, certificate: &Path) -> OidcProvider {
        let files = [key.to_owned(), certificate.to_owned()];
        tokio::task::spawn_blocking(move || OidcProvider::launch(&files)).await.unwrap()
    }

    fn launch(arguments: &[PathBuf]) -> OidcProvider {
        let started = START.iter().find_map(|patience| OidcProvider::try_launch(arguments, *patience));
        started.expect("the OpenID provider listens")
    }

    fn try_launch(arguments: &[PathBuf], patience: Duration) -> Option<OidcProvider> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/counterparts/oidc-provider");
        assert!(
            folder.join("node_modules").exists(),
            "the OpenID provider is not installed: run `cargo xtask test`, or `npm ci` in {}",
            folder.display()
        );
        let mut child = Command::new("node")
            .arg("server.mjs")
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node, which `cargo xtask test` installs");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = output.read_line(&mut line);
            let _nobody_waits = tell.send(read.map(|_| line));
            // What it says later is read as well: a program that nobody listens to ends at its next word.
            let _ended = std::io::copy(&mut output, &mut std::io::sink());
        });
        let line = told.recv_timeout(patience);
        let Some(listening) = line.ok().and_then(Result::ok).and_then(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            let address = |name: &str| {
                let port = u16::try_from(line[name].as_u64()?).ok()?;
                Some(SocketAddr::from(([127, 0, 0, 1], port)))
            };
            Some((line["issuer"].as_str()?.to_owned(), address("port")?, address("control")?))
        }) else {
            let _ended = child.kill();
            let _status = child.wait();
            return None;
        };
        let (issuer, address, control) = listening;
        Some(OidcProvider { issuer, address, control, child })
    }

    /// Asks the control port for something.
    pub async fn control(&self, path: &str, body: Value) -> Value {
        let answer = post(self.control, path, "application/json", "", &body.to_string()).await;
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, 200, "{path}: {value}");
        value
    }

    /// How often this path of the provider was asked for.
    pub async fn count(&self, path: &str) -> u64 {
        self.control("/counts", json!({})).await[path].as_u64().unwrap_or(0)
    }

    /// Signs with new keys from now on. The old ones stay in the key set, or are dropped.
    pub async fn rotate_keys(&self, keep_old: bool) {
        self.control("/rotate", json!({ "keep": keep_old })).await;
    }

    /// Serves a path badly: `slow` (with `ms`), `garbage`, `huge`, `status` (with `status`), `redirect` (with `location`).
    pub async fn fault(&self, path: &str, kind: &str, more: Value) {
        let mut fault = json!({ "path": path, "kind": kind });
        fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.control("/fault", fault).await;
    }

    /// Serves a path well again.
    pub async fn heal(&self, path: &str) {
        self.control("/fault", json!({ "path": path })).await;
    }

    /// Stops listening, and closes every connection.
    pub async fn down(&self) {
        self.control("/down", json!({})).await;
    }

    /// Listens again, on the same port.
    pub async fn up(&self) {
        self.control("/up", json!({})).await;
    }

    /// A key pair for a client: the private key in PEM, and the public one as a JWK.
    pub async fn pair(&self, algorithm: &str) -> (String, Value) {
        let pair = self.control("/pair", json!({ "alg": algorithm })).await;
        (pair["private"].as_str().unwrap().to_owned(), pair["public"].clone())
    }

    /// An access token of an account, by the provider's own hand.
    pub async fn mint(&self, account: &str, resource: &str, scope: &str, more: Value) -> String {
        let mut wanted = json!({ "account": account, "resource": resource, "scope": scope });
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.control("/mint", wanted).await["token"].as_str().unwrap().to_owned()
    }

    /// Asks the token endpoint, as a client with its secret and with these fields in the head, each with its line end.
    pub async fn token_endpoint(&self, client: &str, fields: &str, form: &str) -> Answer {
        let pair = Base64::encode_string(format!("{client}:{}", OidcProvider::SECRET).as_bytes());
        let fields = format!("Authorization: Basic {pair}\r\n{fields}");
        post(self.address, "/token", "application/x-www-form-urlencoded", &fields, form).await
    }

    /// An access token that a client got for itself.
    pub async fn client_token(&self, client: &str, resource: &str, scope: &str) -> String {
        let form = format!("grant_type=client_credentials&resource={resource}&scope={scope}");
        let answer = self.token_endpoint(client, "", &form).await;
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        value["access_token"].as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
    }
}

async fn post(to: SocketAddr, path: &str, kind: &str, fields: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{fields}\r\n{body}"
    );
    Client::connect(to).await.ask(&request).await
}
