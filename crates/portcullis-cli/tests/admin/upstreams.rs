//! The state of a group of upstreams, wherever an operator looks for it.

use crate::place::{Place, ask};
use crate::support::run;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while stream.read(&mut bytes).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    port
}

fn server<'a>(groups: &'a Value, url: &str) -> &'a Value {
    assert_eq!(groups["upstreams"][0]["name"], "app", "{groups}");
    let servers = groups["upstreams"][0]["servers"].as_array().unwrap();
    servers.iter().find(|server| server["url"] == url).unwrap_or_else(|| panic!("no {url} in {groups}"))
}

fn until(about: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{about}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_operator_sees_the_state_of_a_group() {
    let place = Place::start("groups", "");
    let good = backend();
    // Nobody listens there.
    let gone = 1;
    let group = || {
        format!(
            "upstreams:\n  app:\n    servers: [\"http://127.0.0.1:{good}\", {{ url: \"http://127.0.0.1:{gone}\", weight: 3 }}]\n    \
             eject: {{ failures: 2, for: 600s }}\nroutes:\n  - path: /app/{{*rest}}\n    public: a test\n    upstream: app\n    \
             rewrite: {{ strip_prefix: /app }}\n    security: {{ cors: {{ origins: [\"https://app.example.com\"], headers: [x-a], credentials: true }} }}\n"
        )
    };
    place.rewrite(|text| text.replace("routes:\n", &group()));
    assert_eq!(place.post("/api/v1/reload", &json!({})).status, 200);
    let (good, gone) = (format!("http://127.0.0.1:{good}"), format!("http://127.0.0.1:{gone}"));
    let send = || ask(place.gateway, "GET /app/x HTTP/1.1\r\nHost: a.example\r\n\r\n").status;

    // A fresh group.
    let groups = place.json("/api/v1/upstreams");
    assert_eq!(groups["upstreams"][0]["balance"], "round_robin");
    assert_eq!(
        (&server(&groups, &good)["state"], &server(&groups, &gone)["weight"]),
        (&json!("healthy"), &json!(3))
    );

    // After failures, one is left out.
    until("it is ejected", || {
        assert_eq!(send(), 200);
        server(&place.json("/api/v1/upstreams"), &gone)["state"] == "ejected"
    });
    let groups = place.json("/api/v1/upstreams");
    let (well, out) = (server(&groups, &good), server(&groups, &gone));
    assert_eq!(
        (&well["state"], &well["failures"], &well["ejections"]),
        (&json!("healthy"), &json!(0), &json!(0))
    );
    assert_eq!((&out["ejections"], &out["running"]), (&json!(1), &json!(0)));
    assert!(out["failures"].as_u64() >= Some(2) && well["retries"].as_u64() >= Some(2), "{groups}");

    // The metrics say the same.
    let metrics = place.text("/metrics");
    let sample = |name: &str, server: &str| {
        let start = format!("portcullis_upstream_server_{name}{{group=\"app\",server=\"{server}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {start} in\n{metrics}")).parse::<f64>().unwrap()
    };
    assert_eq!((sample("up", &good), sample("up", &gone)), (1.0, 0.0));
    assert_eq!((sample("ejections_total", &good), sample("ejections_total", &gone)), (0.0, 1.0));
    assert!(sample("failures_total", &gone) >= 2.0 && sample("retries_total", &good) >= 2.0);
    assert!(sample("requests_total", &good) >= 2.0);

    // So does the dashboard, and the access log says where each request went.
    let (cookie, _) = place.session(&place.operator);
    let page = place.get("/gateway", &format!("Cookie: {cookie}\r\n")).body;
    let row = |url: &str| {
        let rows = page.split("<tr").find(|row| row.contains(url));
        rows.unwrap_or_else(|| panic!("no {url} in\n{page}")).to_owned()
    };
    assert!(row(&good).contains("healthy") && row(&gone).contains("ejected"), "{page}");
    // It is written a moment later.
    until("the log has both", || {
        let log = std::fs::read_to_string(place.folder.join("access.log")).unwrap();
        let records: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let twice = records.iter().filter(|one| one["upstream_tries"] == 2).count();
        twice >= 2 && records.iter().any(|one| one["upstream_group"] == "app")
    });

    // A server whose checks fail.
    place.rewrite(|text| {
        text.replace(
            "    eject:",
            "    health_check: { type: tcp, interval: 100ms, unhealthy_after: 1 }\n    eject:",
        )
    });
    assert_eq!(place.post("/api/v1/reload", &json!({})).status, 200);
    until("it is unhealthy", || server(&place.json("/api/v1/upstreams"), &gone)["state"] == "unhealthy");
    let groups = place.json("/api/v1/upstreams");
    assert!(server(&groups, &gone)["last_check"].as_str().unwrap().contains("refused"), "{groups}");

    // What the file says is what `check` shows of the route.
    let file = place.folder.join("gateway.yaml");
    let shown = String::from_utf8(run(&["check", file.to_str().unwrap()]).stdout).unwrap();
    let route = shown
        .split("\n\n")
        .find(|route| route.starts_with("/app/{*rest}"))
        .unwrap_or_else(|| panic!("{shown}"));
    for line in [
        "-> group app".to_owned(),
        "pages of https://app.example.com may read answers, send x-a, send cookies".to_owned(),
        "goes upstream without /app".to_owned(),
        format!("servers: {good}, {gone} (weight 3)"),
        "balance: round_robin".to_owned(),
        "health checks: a connection every 0.1 s".to_owned(),
        "left out after 2 failures in a row for 600 s, at most 50% of the servers".to_owned(),
        "up to 2 attempts after connect, reset, timeout, retries up to 20% of the requests".to_owned(),
    ] {
        assert!(route.contains(&line), "no {line:?} in\n{route}");
    }
}
