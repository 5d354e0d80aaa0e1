//! Many reloads under load: nobody who is served notices.

use crate::support::{ADMIN_KEY, Backend, Client, USER_KEY, World};
use crate::{ask, document};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Half of a thousand are broken.
const RELOADS: usize = 1000;

/// Each good configuration says of itself which one it is, by the role that it asks for: where the body is that of `admins`,
/// only an admin may have got it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_under_load_lose_and_mix_nothing() {
    let admins = Backend::answering(|_| crate::support::Reply::with("200 OK", "", "admins")).await;
    let everybody = Backend::answering(|_| crate::support::Reply::with("200 OK", "", "everybody")).await;
    let strict = document(
        admins.address,
        "  authorization: { roles_allowed: [admin] }\n  rate_limiting: { max_requests: 100000000, per: day }",
        "  - { path: /data, upstream: \"BACKEND\" }\n  - { path: /more, upstream: \"BACKEND\" }",
    );
    let lenient = document(
        everybody.address,
        "  rate_limiting: { max_requests: 200000000, per: day }\n  body: { max_size: 2KiB }",
        "  - { path: /data, upstream: \"BACKEND\" }",
    );
    let world = World::start(&strict);
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (stop, served, address) = (Arc::clone(&stop), Arc::clone(&served), world.address);
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let key = if number % 2 == 0 { ADMIN_KEY } else { USER_KEY };
                while !stop.load(Ordering::Relaxed) {
                    let answer = ask(&mut client, "/data", key).await;
                    let body = String::from_utf8_lossy(&answer.body).into_owned();
                    match (answer.status, body.as_str(), key) {
                        (200, "admins", ADMIN_KEY) | (200, "everybody", _) => {}
                        (403, _, USER_KEY) => {}
                        other => panic!("judged by a plan that never was: {other:?}"),
                    }
                    assert!(
                        answer.fields("connection").is_empty(),
                        "the listener stays, and so does the connection"
                    );
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let world = Arc::new(world);
    let reloads = Arc::clone(&world);
    tokio::task::spawn_blocking(move || {
        for number in 0..RELOADS {
            let text = if number % 4 < 2 { &strict } else { &lenient };
            if number % 2 == 0 {
                reloads.reload(text).unwrap();
            } else {
                reloads.reload(&text.replace("path: /data", "path: data")).unwrap_err();
            }
        }
    })
    .await
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(served.load(Ordering::Relaxed) > 1000, "{served:?}");
    assert_eq!(world.reloader().status().generation, 1 + RELOADS as u64 / 2);
}
