//! The same in a browser that people use.

use crate::browser::Browser;
use crate::site::Site;
use crate::support::{Backend, Reply};
use crate::webdriver::Chromium;
use base64ct::{Base64, Encoding};
use serde_json::json;

/// Fills in the provider's forms.
pub async fn log_in(chromium: &Chromium, who: &str) {
    chromium.sees("Sign-in").await;
    chromium.write("input[name=login]", who).await;
    chromium.write("input[name=password]", "any").await;
    chromium.click("button.login-submit").await;
    chromium.sees("Authorize").await;
    chromium.click("button[autofocus]").await;
}

/// Pages of somebody else, each of which does something to the site as soon as it is opened.
async fn somebody_else(site: &str) -> Backend {
    let site = site.to_owned();
    Backend::answering(move |seen| {
        let (form, fields) = match seen.target.as_str() {
            "/change" => (format!("<form method=post action='{site}/orders'></form>"), ""),
            "/logout" => (format!("<form method=post action='{site}/auth/logout'></form>"), ""),
            // Says nothing of where the form comes from.
            "/quiet" => (
                format!("<form method=post action='{site}/orders'></form>"),
                "Referrer-Policy: no-referrer\r\n",
            ),
            _ => (format!("<img src='{site}/auth/logout'><img src='{site}/orders'>seen"), ""),
        };
        let body = format!("<!doctype html>{form}<script>document.forms[0]?.submit()</script>");
        Reply::with("200 OK", &format!("Content-Type: text/html\r\n{fields}"), &body)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_logs_in_works_and_logs_out() {
    let site = Site::start(json!({ "idle_timeout": "20m" })).await;
    let chromium = Chromium::start(json!({})).await;

    // In, and back to where they were going.
    let deep = site.url("/orders/7?page=2");
    chromium.go(&deep).await;
    assert!(chromium.url().await.starts_with(&site.provider.issuer));
    log_in(&chromium, "alice").await;
    chromium.sees("GET /orders/7?page=2").await;
    chromium.sees("alice (user)").await;
    assert_eq!(chromium.url().await, deep);
    let picture = Base64::decode_vec(&chromium.picture().await).unwrap();
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("login.png");
    std::fs::write(file, &picture).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));

    // The cookie is out of reach of the page's own scripts.
    let cookies = chromium.cookies().await;
    let session = cookies.iter().find(|cookie| cookie["name"] == "gateway-session").unwrap();
    assert_eq!((&session["httpOnly"], &session["sameSite"]), (&json!(true), &json!("Lax")));
    assert_eq!(chromium.script("return document.cookie.includes('gateway-session')").await, json!(false));

    // Forms and scripts of the site work, with what this browser says of itself.
    chromium.click("#change button").await;
    chromium.sees("POST /orders").await;
    assert_eq!(chromium.promise("fetch('/orders', { method: 'PUT' }).then(r => r.status)").await, json!(200));
    assert_eq!(chromium.promise("fetch('/admin').then(r => r.status)").await, json!(403));

    // A refresh is not noticed.
    let before = site.provider.count("/token").await;
    site.clock.pass(610);
    chromium.go(&site.url("/orders/8")).await;
    chromium.sees("GET /orders/8").await;
    assert_eq!(site.provider.count("/token").await, before + 1);

    // Left alone for too long: a script is told, a person logs in again without being asked.
    site.clock.pass(1201);
    assert_eq!(chromium.promise("fetch('/orders').then(r => r.status)").await, json!(401));
    chromium.go(&site.url("/orders/9")).await;
    chromium.sees("GET /orders/9").await;

    // Out, at the provider too: whoever comes next is asked who they are.
    chromium.click("#logout button").await;
    chromium.sees("GET /goodbye").await;
    assert_eq!(chromium.url().await.split('?').next(), Some(site.url("/goodbye").as_str()));
    assert!(!chromium.cookies().await.iter().any(|cookie| cookie["name"] == "gateway-session"));
    chromium.go(&site.url("/orders")).await;
    chromium.sees("Sign-in").await;
    chromium.end().await;
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_site_changes_nothing_and_logs_nobody_out() {
    let site = Site::start(json!({})).await;
    let chromium = Chromium::start(json!({})).await;
    chromium.go(&site.url("/orders")).await;
    log_in(&chromium, "alice").await;
    chromium.sees("GET /orders").await;
    let evil = somebody_else(&site.origin).await;
    let port = evil.address.port();
    let changes = || site.backend.seen().iter().filter(|seen| seen.method == "POST").count();
    // A neighbour: the cookie comes along, since the port is not part of a site.
    for path in ["/change", "/quiet", "/logout"] {
        chromium.go(&format!("http://127.0.0.1:{port}{path}")).await;
        chromium.sees("Not carried out").await;
        assert_eq!(site.last_denial().0, "cross_site", "{path}");
    }
    // Another site: the browser itself leaves the cookie out.
    chromium.go(&format!("http://localhost:{port}/change")).await;
    chromium.sees("Please log in again").await;
    assert_eq!(site.last_denial().0, "credential_missing");
    chromium.go(&format!("http://localhost:{port}/logout")).await;
    chromium.sees("Not carried out").await;
    for host in ["127.0.0.1", "localhost"] {
        chromium.go(&format!("http://{host}:{port}/images")).await;
        chromium.sees("seen").await;
    }
    assert_eq!(changes(), 0);
    chromium.go(&site.url("/orders/1")).await;
    chromium.sees("GET /orders/1").await;

    // A link that somebody else's login ended with logs nobody in as somebody else.
    let mut other = Browser::default();
    let stolen = other.log_in_up_to_callback(&site.url("/orders"), "root").await;
    chromium.go(&stolen).await;
    chromium.sees("You are already logged in").await;
    chromium.go(&site.url("/orders/2")).await;
    chromium.sees("alice (user)").await;
    chromium.end().await;
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_keeps_no_cookies_of_the_site_ends_at_an_error() {
    let site = Site::start(json!({})).await;
    let blocked = json!({ "profile.content_settings.exceptions.cookies": {
        format!("{},*", site.origin): { "setting": 2 }
    } });
    let chromium = Chromium::start(blocked).await;
    chromium.go(&site.url("/orders")).await;
    log_in(&chromium, "alice").await;
    chromium.sees("This browser does not know of this login").await;
    assert!(chromium.url().await.starts_with(&site.url("/auth/callback?")));
    assert_eq!(site.last_denial().1, "the browser does not bring the cookie of an attempt");
    let sent = site.records.all().iter().filter(|record| record["status"] == 303).count();
    assert_eq!(sent, 1, "it was sent to log in once");
    chromium.end().await;
    site.end().await;
}
