//! The dashboard in a browser that people use: each page is clicked through, an address is blocked and unblocked, and an
//! accessibility checker that nobody here wrote has nothing to say.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../login/webdriver.rs"]
mod webdriver;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::{Backend, Client, USER_KEY, World};
use webdriver::Chromium;

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

const PAGES: [(&str, &str); 9] = [
    ("/", "Overview"),
    ("/refusals", "Refusals"),
    ("/findings", "Findings"),
    ("/sources", "Sources"),
    ("/consumers", "Consumers"),
    ("/keys", "Keys"),
    ("/routes", "Routes"),
    ("/operations", "Operations"),
    ("/gateway", "Gateway"),
];

async fn ask(world: &World, target: &str, fields: &str) -> u16 {
    let mut client = Client::connect(world.address).await;
    client.ask(&format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await.status
}

/// What the checker calls serious or critical on this page.
async fn serious(chromium: &Chromium) -> Option<Value> {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/counterparts/axe/node_modules/axe-core/axe.min.js");
    let Ok(axe) = std::fs::read_to_string(axe) else {
        eprintln!("axe-core is not installed (cargo xtask counterparts): accessibility is not checked");
        return None;
    };
    let page = chromium.script("return document.documentElement.outerHTML").await.to_string();
    // A new key is shown once, on purpose.
    if !page.contains("Keep it now.") {
        support::canaries::output("pages", page.as_bytes());
    }
    chromium.script(&axe).await;
    let found = "axe.run(document).then(result => result.violations.map(one => `${one.impact} ${one.id} ${one.nodes[0].html}`))";
    let found = chromium.promise(found).await;
    let all = found.as_array().unwrap().iter();
    let grave = |text: &str| text.starts_with("serious") || text.starts_with("critical");
    Some(all.filter(|one| grave(one.as_str().unwrap())).cloned().collect())
}

/// What the gateway answers with this key, once it is `expected` or ten seconds are over.
async fn answers(world: &World, key: &str, expected: u16) -> u16 {
    let mut last = 0;
    for _ in 0..100 {
        last = ask(world, "/data", &format!("X-Api-Key: {key}\r\n")).await;
        if last == expected {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    last
}

/// Adds a consumer, makes a key for it, uses it, replaces it, and revokes it.
async fn makes_and_revokes_a_key(chromium: &Chromium, world: &World) {
    chromium.click("nav a[href='/consumers']").await;
    chromium.sees("Add a consumer").await;
    chromium.write("#name", "shop").await;
    chromium.write("#roles", "user").await;
    chromium.write("#note", "<i>web</i> shop").await;
    chromium.click("form[action='/consumers/add'] button").await;
    chromium.sees("<i>web</i> shop").await;

    chromium.click("nav a[href='/keys']").await;
    chromium.sees("There are no keys yet.").await;
    chromium.write("#consumer", "nobody").await;
    chromium.click("form[action='/keys/create'] button").await;
    chromium.sees("That did not work").await;
    chromium.sees("Nothing was changed.").await;
    chromium.click("nav a[href='/keys']").await;
    chromium.write("#consumer", "shop").await;
    chromium.click("form[action='/keys/create'] button").await;
    chromium.sees("Keep it now.").await;
    assert_eq!(serious(chromium).await.unwrap_or(json!([])), json!([]), "a new key");
    let shown = "return document.querySelector('#key').textContent";
    let key = chromium.script(shown).await.as_str().unwrap().to_owned();
    support::canaries::secret(&key);
    assert_eq!(answers(world, &key, 200).await, 200);
    chromium.go(&chromium.url().await).await;
    chromium.sees("shown already").await;
    chromium.script("location.reload()").await;
    chromium.sees("shown already").await;

    chromium.click("main a[href='/keys']").await;
    chromium.sees("active").await;
    let rows = "return document.querySelectorAll('main tbody tr').length";
    assert_eq!(chromium.script(rows).await, json!(1), "loading a page again makes no second key");
    assert!(!chromium.script("return document.documentElement.outerHTML").await.to_string().contains(&key));
    chromium.click("summary[aria-label^='Rotate']").await;
    chromium.click("form[action='/keys/rotate'] button").await;
    chromium.sees("Keep it now.").await;
    let next = chromium.script(shown).await.as_str().unwrap().to_owned();
    assert_ne!(next, key);
    assert_eq!(answers(world, &next, 200).await, 200);
    assert_eq!(answers(world, &key, 200).await, 200, "the old key goes on for a while");

    // Both are revoked, one after the other.
    chromium.click("main a[href='/keys']").await;
    for _ in 0..2 {
        chromium.sees("active").await;
        chromium.click("summary[aria-label^='Revoke']").await;
        chromium.click("form[action='/keys/revoke'] button").await;
        chromium.sees("revoked").await;
    }
    for revoked in [&key, &next] {
        assert_eq!(answers(world, revoked, 401).await, 401);
    }
    chromium.click("nav a[href='/consumers']").await;
    chromium.click("details.sure summary").await;
    chromium.click("form[action='/consumers/remove'] button").await;
    chromium.sees_no_more("web</i> shop").await;
    chromium.sees("Add a consumer").await;
}

#[test]
fn a_person_looks_around_and_blocks_an_address() {
    // Without optimisation, starting a gateway with all of this takes more than the 2 MiB of a test's thread. The main
    // thread of a process has 8.
    let inside = || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(Box::pin(looks_around()));
    };
    std::thread::Builder::new().stack_size(8 << 20).spawn(inside).unwrap().join().unwrap();
}

async fn looks_around() {
    let folder =
        Folder(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("dashboard-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let backend = Backend::start().await;
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]
workers: 1
state_dir: {0}
store: {{ keys: {{ sqlite: {0}/keys.db }} }}
admin: {{ bind: \"127.0.0.1:0\" }}
detection: {{ mode: observe }}
trusted_proxies: [127.0.0.1/32]
security:
  authentication: {{ type: api_key, header: x-api-key }}
{1}
routes:
  - {{ path: /data, upstream: \"http://{2}\" }}
",
        folder.0.display(),
        support::consumers(),
        backend.address
    ));
    let admin = world.reloader().admin().unwrap();
    let token = std::fs::read_to_string(admin.made_token.unwrap()).unwrap();
    support::canaries::secret(&token);
    let key = format!("X-Api-Key: {USER_KEY}\r\nX-Forwarded-For: 192.0.2.7\r\n");
    assert_eq!(ask(&world, "/data", &key).await, 200);
    assert_eq!(ask(&world, "/data", "X-Forwarded-For: 192.0.2.7\r\n").await, 401);

    let chromium = Chromium::start(json!({})).await;
    let base = format!("http://{}", admin.address);
    chromium.go(&base).await;
    assert_eq!(chromium.url().await, format!("{base}/login"));
    assert_eq!(serious(&chromium).await.unwrap_or(json!([])), json!([]), "/login");
    chromium.write("#token", "a-token-that-is-not-known-0123456789").await;
    chromium.click("main button").await;
    chromium.sees("This token is not known.").await;
    chromium.write("#token", token.trim()).await;
    chromium.click("main button").await;
    chromium.sees("Refusals by reason").await;

    for (path, title) in PAGES {
        chromium.click(&format!("nav a[href='{path}']")).await;
        chromium.sees(title).await;
        assert_eq!(chromium.url().await, format!("{base}{path}"));
        assert_eq!(serious(&chromium).await.unwrap_or(json!([])), json!([]), "{path}");
        let elsewhere = "return performance.getEntriesByType('resource').map(one => one.name).filter(name => !name.startsWith(location.origin))";
        assert_eq!(chromium.script(elsewhere).await, json!([]), "{path} takes something from elsewhere");
    }

    // Why was it refused?
    chromium.click("nav a[href='/refusals']").await;
    chromium.sees("credential_missing").await;
    chromium.click("td.time a").await;
    chromium.sees("The request carries no credential.").await;
    assert_eq!(serious(&chromium).await.unwrap_or(json!([])), json!([]), "why");

    // Blocked, seen to be blocked, and unblocked.
    chromium.click("nav a[href='/sources']").await;
    chromium.sees("192.0.2.7").await;
    chromium.write("#source", "192.0.2.7").await;
    chromium.write("#reason", "<b>guesses</b> keys").await;
    chromium.click("form.block button").await;
    chromium.sees("<b>guesses</b> keys").await;
    assert_eq!(ask(&world, "/data", &key).await, 403);
    chromium.click("button[aria-label='Unblock 192.0.2.7']").await;
    chromium.sees("No address is blocked.").await;
    assert_eq!(ask(&world, "/data", &key).await, 200);

    // On the heap: the stack of a test is small, and futures are large without optimisation.
    Box::pin(makes_and_revokes_a_key(&chromium, &world)).await;

    // A finding with its evidence, from which its sender is blocked and unblocked.
    for number in 0..40 {
        ask(&world, &format!("/%3Cb%3E-{number}"), "X-Forwarded-For: 192.0.2.8\r\n").await;
    }
    let begun = std::time::Instant::now();
    loop {
        chromium.click("nav a[href='/findings']").await;
        let there = chromium.script("return document.querySelector('td.time a') !== null").await;
        if there == json!(true) {
            break;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "no finding");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(serious(&chromium).await.unwrap_or(json!([])), json!([]), "findings");
    chromium.click("td.time a").await;
    chromium.sees("One address looks for paths that do not exist.").await;
    chromium.sees("different paths").await;
    assert_eq!(serious(&chromium).await.unwrap_or(json!([])), json!([]), "a finding");
    chromium.click("form.block button").await;
    chromium.sees("Unblock").await;
    assert_eq!(ask(&world, "/data", &key.replace("192.0.2.7", "192.0.2.8")).await, 403);
    chromium.click("button[aria-label='Unblock 192.0.2.8']").await;
    chromium.sees("No address is blocked.").await;
    assert_eq!(ask(&world, "/data", &key.replace("192.0.2.7", "192.0.2.8")).await, 200);

    let cookies = chromium.cookies().await;
    let session = cookies.iter().find(|cookie| cookie["name"] == "portcullis_admin").unwrap();
    assert_eq!((&session["httpOnly"], &session["sameSite"]), (&json!(true), &json!("Strict")));
    chromium.click("header button").await;
    chromium.sees("Token").await;
    chromium.go(&format!("{base}/sources")).await;
    assert_eq!(chromium.url().await, format!("{base}/login"));
    chromium.end().await;
    world.end().await;
}
