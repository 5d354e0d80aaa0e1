//! Chromium, driven over HTTP (WebDriver, W3C Recommendation of 2018-06-05).
//!
//! The driver and the browser are one process group, which is ended by its id when the guard is dropped, also by a test that
//! panics. Every browser has a profile of its own, which is removed with it.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a command may take; a browser is slow to start while other tests run.
const PATIENCE: Duration = Duration::from_secs(90);
/// What an element is called in an answer (WebDriver, section 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser.
pub struct Chromium {
    driver: Child,
    address: SocketAddr,
    session: String,
    profile: PathBuf,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let group = format!("-{}", self.driver.id());
        let _ended = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _status = self.driver.wait();
        let _removed = std::fs::remove_dir_all(&self.profile);
    }
}

impl Chromium {
    /// Starts a browser with these preferences.
    pub async fn start(preferences: Value) -> Chromium {
        Chromium::wanting(preferences, json!({ "browserName": "chrome" })).await
    }

    /// Starts a browser that takes any certificate.
    #[allow(dead_code, reason = "not each test binary uses it")]
    pub async fn start_trusting() -> Chromium {
        Chromium::wanting(json!({}), json!({ "browserName": "chrome", "acceptInsecureCerts": true })).await
    }

    async fn wanting(preferences: Value, mut capabilities: Value) -> Chromium {
        let mut chromium = tokio::task::spawn_blocking(Chromium::launch).await.unwrap();
        let profile = format!("--user-data-dir={}", chromium.profile.display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--window-size=800,500",
            &profile,
        ];
        capabilities["goog:chromeOptions"] = json!({ "args": arguments, "prefs": preferences });
        let wanted = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let started = chromium.call("POST", "/session", wanted).await;
        chromium.session = started["sessionId"].as_str().unwrap().to_owned();
        chromium
    }

    /// A driver that listens. It wants one port on two addresses, and ends if somebody else has the second.
    fn launch() -> Chromium {
        let launched = (0..5).find_map(|_| Chromium::try_launch());
        launched.expect("chromedriver says where it listens")
    }

    fn try_launch() -> Option<Chromium> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("chromium-{}-{number}", std::process::id());
        let profile = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver, which `cargo xtask test` installs");
        let mut output = BufReader::new(driver.stdout.take().unwrap());
        let mut port = None;
        let mut line = String::new();
        while port.is_none() && output.read_line(&mut line).unwrap_or(0) > 0 {
            let said = line.trim().trim_end_matches('.').rsplit_once("successfully on port ");
            port = said.and_then(|(_, port)| port.parse::<u16>().ok());
            line.clear();
        }
        // A driver that nobody listens to ends at its next word.
        std::thread::spawn(move || {
            let _ended = std::io::copy(&mut output, &mut std::io::sink());
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(0)));
        let chromium = Chromium { driver, address, session: String::new(), profile };
        // One that is given up is stopped by its drop.
        port.is_some().then_some(chromium)
    }

    /// One command; gives its value.
    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let done = self.try_call(method, path, &body).await;
        done.unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"))
    }

    async fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            answer(&mut stream).await
        };
        let (status, body) = tokio::time::timeout(PATIENCE, exchange).await.expect("chromedriver answers");
        let value: Value = serde_json::from_slice(&body).unwrap();
        if status == 200 { Ok(value["value"].clone()) } else { Err(value["value"].clone()) }
    }

    fn path(&self, rest: &str) -> String {
        format!("/session/{}{rest}", self.session)
    }

    /// Goes to a page, and waits until it is there.
    pub async fn go(&self, url: &str) {
        self.call("POST", &self.path("/url"), json!({ "url": url })).await;
    }

    /// Goes back to the page before.
    pub async fn back(&self) {
        self.call("POST", &self.path("/back"), json!({})).await;
    }

    /// Where it is.
    pub async fn url(&self) -> String {
        self.call("GET", &self.path("/url"), json!(null)).await.as_str().unwrap().to_owned()
    }

    /// The text of the page.
    pub async fn text(&self) -> String {
        self.script("return document.body ? document.body.innerText : ''").await.as_str().unwrap().to_owned()
    }

    /// What a script of the page returns.
    pub async fn script(&self, script: &str) -> Value {
        self.call("POST", &self.path("/execute/sync"), json!({ "script": script, "args": [] })).await
    }

    /// What a promise of the page comes to.
    pub async fn promise(&self, expression: &str) -> Value {
        let script = format!("const done = arguments[0]; ({expression}).then(done, e => done(String(e)));");
        self.call("POST", &self.path("/execute/async"), json!({ "script": script, "args": [] })).await
    }

    async fn element(&self, selector: &str) -> String {
        let found = json!({ "using": "css selector", "value": selector });
        let found = self.call("POST", &self.path("/element"), found).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Types into a field.
    pub async fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.call("POST", &self.path(&format!("/element/{element}/value")), json!({ "text": text })).await;
    }

    /// Clicks, and waits for where that leads.
    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.call("POST", &self.path(&format!("/element/{element}/click")), json!({})).await;
    }

    /// Waits until the page's text has this in it; fails with what it has instead.
    pub async fn sees(&self, text: &str) {
        let mut seen = String::new();
        for _ in 0..600 {
            seen = self.text().await;
            if seen.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{text:?} is not seen at {}: {seen}", self.url().await);
    }

    /// Waits until the page does not have this text: what a click leads to comes in its own time.
    #[allow(dead_code, reason = "not each test binary uses it")]
    pub async fn sees_no_more(&self, text: &str) {
        for _ in 0..600 {
            if !self.text().await.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{text:?} is still seen at {}", self.url().await);
    }

    /// The names of its cookies for the page.
    pub async fn cookies(&self) -> Vec<Value> {
        self.call("GET", &self.path("/cookie"), json!(null)).await.as_array().unwrap().clone()
    }

    /// A picture of the page, as PNG in base64.
    pub async fn picture(&self) -> String {
        self.call("GET", &self.path("/screenshot"), json!(null)).await.as_str().unwrap().to_owned()
    }

    /// Ends it in order.
    pub async fn end(self) {
        self.call("DELETE", &self.path(""), json!({})).await;
    }
}

/// Status and body of an answer with a length.
async fn answer(stream: &mut TcpStream) -> (u16, Vec<u8>) {
    let mut read = Vec::new();
    loop {
        let mut buffer = [0; 16 * 1024];
        let size = stream.read(&mut buffer).await.unwrap();
        assert!(size > 0, "half an answer: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&buffer[..size]);
        let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
        let length: usize = length.trim().parse().unwrap();
        if read.len() >= end + 4 + length {
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            return (status, read[end + 4..end + 4 + length].to_vec());
        }
    }
}
