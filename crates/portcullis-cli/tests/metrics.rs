//! Metrics of a gateway with traffic, as `promtool` and a real Prometheus see them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Process, portcullis};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("portcullis-metrics-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A backend that answers everything with 200.
fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut bytes = [0; 4096];
                while stream.read(&mut bytes).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    port
}

fn document(port: u16, metrics: u16, backend: u16) -> String {
    format!(
        "listeners: [{{ bind: \"127.0.0.1:{port}\" }}]
workers: 2
access_log: insecure_off
metrics: {{ bind: \"127.0.0.1:{metrics}\" }}
security:
  authentication: {{ type: api_key }}
  rate_limiting: {{ max_requests: 1000, per: minute }}
consumers:
  - name: alice
    keys: [{{ literal: alice-key-0123456789 }}]
routes:
  - path: /orders/{{id}}
    upstream: http://127.0.0.1:{backend}
  - path: /searched
    security: {{ waf: {{}} }}
    upstream: http://127.0.0.1:{backend}
  - path: /watched
    security: {{ authorization: {{ roles_allowed: [admin], mode: observe }} }}
    upstream: http://127.0.0.1:{backend}
"
    )
}

/// The status and the body of an answer.
fn get(port: u16, target: &str, fields: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

const KEY: &str = "X-Api-Key: alice-key-0123456789\r\n";

struct Gateway {
    folder: Folder,
    process: Process,
    port: u16,
    metrics: u16,
}

impl Gateway {
    fn start(name: &str) -> Gateway {
        let folder = Folder::new(name);
        let (port, metrics) = (free_port(), free_port());
        let file = folder.write("gateway.yaml", &document(port, metrics, backend()));
        let process = Process::start(portcullis().arg("run").arg(&file), "metrics at");
        Gateway { folder, process, port, metrics }
    }

    fn text(&self) -> String {
        let (status, text) = get(self.metrics, "/metrics", "");
        assert_eq!(status, 200);
        text
    }

    /// The value of a sample, by its name and labels as they are written.
    fn value(&self, sample: &str) -> f64 {
        let text = self.text();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
    }

    fn traffic(&self) {
        for id in 0..5 {
            assert_eq!(get(self.port, &format!("/orders/{id}"), KEY).0, 200);
        }
        assert_eq!(get(self.port, "/orders/7", "X-Api-Key: a-wrong-key-0123456789\r\n").0, 401);
        assert_eq!(get(self.port, "/orders/7", "").0, 401);
        assert_eq!(get(self.port, "/nowhere", KEY).0, 404);
        assert_eq!(get(self.port, "/watched", KEY).0, 200);
    }
}

#[test]
fn requests_are_counted_and_a_reload_forgets_nothing() {
    let gateway = Gateway::start("counts");
    gateway.traffic();
    let served = r#"portcullis_requests_total{route="/orders/{id}",status="200",outcome="served",code=""}"#;
    assert_eq!(gateway.value(served), 5.0);
    for sample in [
        r#"portcullis_requests_total{route="/orders/{id}",status="401",outcome="refused",code="credential_unknown"}"#,
        r#"portcullis_requests_total{route="/orders/{id}",status="401",outcome="refused",code="credential_missing"}"#,
        r#"portcullis_requests_total{route="(none)",status="404",outcome="refused",code="route_not_found"}"#,
        r#"portcullis_check_refusals_total{check="authz.roles",code="role_missing",mode="observe"}"#,
        r#"portcullis_configuration_generation"#,
        r#"portcullis_configuration_last_reload_success"#,
    ] {
        assert_eq!(gateway.value(sample), 1.0, "{sample}");
    }
    assert_eq!(
        gateway.value(r#"portcullis_consumer_requests_total{consumer="alice",outcome="served"}"#),
        6.0
    );
    assert_eq!(gateway.value(r#"portcullis_gateway_duration_seconds_count{route="/orders/{id}"}"#), 7.0);
    assert_eq!(gateway.value(r#"portcullis_upstream_duration_seconds_count{route="/orders/{id}"}"#), 5.0);
    assert_eq!(gateway.value(r#"portcullis_held_body_bytes"#), 0.0);

    // The route comes second now, so it has another number in the new plan.
    let file = gateway.folder.0.join("gateway.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let first = "  - path: /first\n    public: \"a test\"\n    upstream: http://127.0.0.1:9\n";
    std::fs::write(&file, text.replace("routes:\n", &format!("routes:\n{first}"))).unwrap();
    support::signal(gateway.process.id(), "HUP");
    let deadline = Instant::now() + Duration::from_secs(20);
    while gateway.value("portcullis_configuration_generation") < 2.0 {
        assert!(Instant::now() < deadline, "it was not reloaded");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(get(gateway.port, "/orders/9", KEY).0, 200);
    assert_eq!(gateway.value(served), 6.0);
    assert_eq!(gateway.value(r#"portcullis_configuration_reloads_total{result="success"}"#), 1.0);
    // An address in use, and everything stays as it was.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (old, new) = (gateway.metrics.to_string(), taken.local_addr().unwrap().port().to_string());
    std::fs::write(&file, text.replace(&old, &new)).unwrap();
    support::signal(gateway.process.id(), "HUP");
    let deadline = Instant::now() + Duration::from_secs(20);
    while gateway.value(r#"portcullis_configuration_reloads_total{result="failure"}"#) < 1.0 {
        assert!(Instant::now() < deadline, "it did not fail");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(gateway.value("portcullis_configuration_last_reload_success"), 0.0);
    assert_eq!(gateway.value("portcullis_configuration_generation"), 2.0);
}

/// By id, once for each request, whatever the request holds.
#[test]
fn rules_that_match_are_counted() {
    let gateway = Gateway::start("rules");
    let matches =
        |rule: &str| gateway.value(&format!(r#"portcullis_waf_rule_matches_total{{rule="{rule}"}}"#));
    for value in ["tea", "O%27Brien"] {
        assert_eq!(get(gateway.port, &format!("/searched?q={value}"), KEY).0, 200, "{value}");
    }
    assert!(!gateway.text().contains("portcullis_waf_rule_matches_total{"), "nothing matched yet");
    let searched = gateway.value(r#"portcullis_waf_values_total{result="searched"}"#);
    assert!(searched >= 2.0, "{searched}");
    let injection = "1%27%20or%20%271%27=%271";
    for query in [format!("q={injection}"), format!("q={injection}&r={injection}"), format!("s={injection}")]
    {
        assert_eq!(get(gateway.port, &format!("/searched?{query}"), KEY).0, 403, "{query}");
    }
    assert_eq!(matches("11030"), 3.0, "SQL");
    assert_eq!(get(gateway.port, "/searched?q=%3Cscript%3Ealert(1)%3C/script%3E", KEY).0, 403);
    assert_eq!(matches("11030"), 3.0, "no SQL");
    let text = gateway.text();
    let lines = text.lines().filter(|line| line.starts_with("portcullis_waf_rule_matches_total{"));
    assert!(lines.count() >= 2, "{text}");
    assert!(!text.contains("alert(1)"), "no value is a label");
}

#[test]
fn a_listener_for_metrics_has_nothing_else() {
    let gateway = Gateway::start("alone");
    for target in ["/", "/metrics/", "/metrics/..", "//metrics", "/api/v1/status", "/%6detrics"] {
        assert_eq!(get(gateway.metrics, target, "").0, 404, "{target}");
    }
    assert_eq!(get(gateway.port, "/metrics", KEY).0, 404);
    // No value that a client sent becomes a label.
    let _ = get(gateway.port, "/orders/secret-order-id", "X-Api-Key: secret-key-0123456789\r\n");
    let text = gateway.text();
    assert!(!text.contains("secret-") && !text.contains("alice-key"), "{text}");
}

#[test]
fn a_flood_of_the_admin_listener_is_bounded() {
    let gateway = Gateway::start("flood");
    // Silent connections of one address take half of the places; more are closed, and requests go on.
    let silent: Vec<_> =
        (0..200).map(|_| TcpStream::connect(("127.0.0.1", gateway.metrics)).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(300));
    let closed = silent
        .iter()
        .filter(|stream| {
            stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            matches!((&mut &**stream).read(&mut [0]), Ok(0) | Err(_))
                && stream.peek(&mut [0]).is_ok_and(|read| read == 0)
        })
        .count();
    assert_eq!(closed, 200 - 32);
    // Another address finds a place.
    let other = Command::new("curl")
        .args(["--silent", "--max-time", "10", "--interface", "127.0.0.9"])
        .arg(format!("http://127.0.0.1:{}/metrics", gateway.metrics))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&other.stdout).contains("portcullis_"), "{other:?}");
    assert_eq!(get(gateway.port, "/orders/1", KEY).0, 200);
    drop(silent);
    std::thread::sleep(Duration::from_millis(200));
    gateway.text();
}

fn have(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[test]
fn promtool_has_nothing_to_say() {
    let gateway = Gateway::start("promtool");
    gateway.traffic();
    if !have("promtool") {
        eprintln!("promtool is not installed (Debian package prometheus): not compared");
        return;
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(gateway.text().as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && text.trim().is_empty(), "{text}");
}

/// The files for operators name metrics that there are, and `promtool` accepts the rules.
#[test]
fn alerts_and_the_dashboard_of_grafana_use_metrics_that_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/monitoring");
    let page = std::fs::read_to_string(folder.join("../../docs/metrics.md")).unwrap();
    for file in ["alerts.yml", "grafana.json"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let words = text.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '_'));
        let names: Vec<_> = words.filter(|word| word.starts_with("portcullis_")).collect();
        assert!(names.len() > 5, "{file}");
        for name in names {
            let name = name.trim_end_matches("_bucket");
            assert!(page.contains(&format!("| `{name}` |")), "{file} uses {name}, which is not documented");
        }
    }
    if have("promtool") {
        let rules = folder.join("alerts.yml");
        let checked = Command::new("promtool").arg("check").arg("rules").arg(&rules).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    } else {
        eprintln!("promtool is not installed (Debian package prometheus): the rules are not checked");
    }
}

struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    fn start(folder: &Path, scraped: u16) -> Prometheus {
        let config = format!(
            "scrape_configs:\n  - job_name: portcullis\n    scrape_interval: 1s\n    static_configs: [{{ targets: ['127.0.0.1:{scraped}'] }}]\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let port = free_port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Prometheus { child, port }
    }

    /// The value of a query, once there is one.
    fn ask(&self, query: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let target = format!("/api/v1/query?query={query}");
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let from = body.find('{')?;
        let json: serde_json::Value =
            serde_json::from_str(body[from..].trim_end_matches(['\r', '\n', '0'])).ok()?;
        json["data"]["result"].as_array()?.first()?["value"][1].as_str().map(str::to_owned)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn prometheus_scrapes_it() {
    let gateway = Gateway::start("scrape");
    gateway.traffic();
    if !have("prometheus") {
        eprintln!("prometheus is not installed (Debian package prometheus): not scraped");
        return;
    }
    let prometheus = Prometheus::start(&gateway.folder.0, gateway.metrics);
    let deadline = Instant::now() + Duration::from_secs(30);
    let total = loop {
        if let Some(total) = prometheus.ask("sum(portcullis_requests_total)") {
            break total;
        }
        assert!(Instant::now() < deadline, "it was never scraped");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(total, "9");
    let quantile = "histogram_quantile(0.99,sum(portcullis_gateway_duration_seconds_bucket)by(le))";
    let quantile: f64 = prometheus.ask(quantile).unwrap().parse().unwrap();
    assert!(quantile > 0.0 && quantile < 30.0, "{quantile}");
}
