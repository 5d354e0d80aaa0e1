//! The Core Rule Set's regression tests, through a gateway: each request is sent over a connection of its own, and the rules
//! that the record names are compared with those that the test expects.
//!
//! They are found by `CRS_DIR`. The gateway refuses some requests before any rule runs: such a request needs no rule, and the
//! test passes if it was an attack. What else differs from the test is listed in a data file, with the reason.

use super::crs::{Message, Stage, TEST_SETUP, stages};
use super::support::{Backend, Reply, Seen, World};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// Of all stages, so many in a thousand pass or are judged in the data file.
const PER_MILLE: usize = 995;
/// How long an answer may take. A request that announces more than it sends gets none.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many requests are under way at once.
const AT_ONCE: usize = 8;

/// What came of a stage.
enum Result {
    Passed,
    /// The gateway refused it by itself, and the test expects a rule.
    RefusedBefore,
    /// The gateway refused it by itself, and the test expects that no rule matches, which says nothing.
    NotJudged,
    Differs(String),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_core_rule_set_passes_its_own_tests_through_a_gateway() {
    let Some(directory) = std::env::var_os("CRS_DIR").filter(|value| !value.is_empty()).map(PathBuf::from)
    else {
        println!("CRS_DIR is not set: the tests of the Core Rule Set are not sent through a gateway here");
        return;
    };
    let folder = rule_set(&directory);
    let backend = Backend::answering(reflecting).await;
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 2\nroutes:\n  - path: \"/{{*rest}}\"\n    public: a test\n    \
         upstream: \"http://{}\"\n    security:\n      body: {{ max_size: 1MB }}\n      waf: {{ rules: [{{ file: {:?} }}], \
         paranoia: 4, mode: observe, responses: observe }}\n",
        backend.address,
        folder.display()
    ));
    let stages = stages(&directory.join("tests"));
    assert!(stages.len() > 1_000, "the tests are there");
    let mut senders = Vec::new();
    for number in 0..AT_ONCE {
        let (address, own) = (world.address, (number..stages.len()).step_by(AT_ONCE));
        let requests: Vec<(usize, Vec<u8>)> =
            own.map(|place| (place, Message::of(&stages[place].input).to_bytes())).collect();
        senders.push(tokio::spawn(async move {
            let mut peers = Vec::new();
            for (place, request) in requests {
                peers.push((place, send(place, address, &request).await));
            }
            peers
        }));
    }
    let mut peers: BTreeMap<usize, SocketAddr> = BTreeMap::new();
    for sender in senders {
        peers.extend(sender.await.unwrap());
    }
    let records = world.end().await;
    let known: BTreeMap<&str, &str> = include_str!("core_rule_set.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(char::is_whitespace).expect("a key and a reason"))
        .map(|(key, reason)| (key, reason.trim()))
        .collect();
    let (mut passed, mut before, mut not_judged, mut judged) = (0, 0, 0, BTreeSet::new());
    let mut differ = Vec::new();
    for (place, stage) in stages.iter().enumerate() {
        match result(stage, &records.of(peers[&place])) {
            Result::Passed => passed += 1,
            Result::RefusedBefore => before += 1,
            Result::NotJudged => not_judged += 1,
            Result::Differs(_) if known.contains_key(stage.key.as_str()) => {
                judged.insert(stage.key.as_str());
            }
            Result::Differs(why) => differ.push(format!("{}: {why}", stage.key)),
        }
    }
    println!(
        "{passed} of {} stages pass, {before} attacks and {not_judged} other requests are refused before the rules, {} differ \
         and are listed, {} differ",
        stages.len(),
        judged.len(),
        differ.len()
    );
    for line in &differ {
        println!("  {line}");
    }
    for (key, reason) in &known {
        println!("  listed {key} ({}): {reason}", if judged.contains(key) { "differs" } else { "agrees" });
    }
    assert!(known.values().all(|reason| !reason.is_empty()), "an entry has no reason");
    assert!(differ.len() * 1_000 <= stages.len() * (1_000 - PER_MILLE), "too many stages differ");
    assert!(passed * 10 > stages.len() * 8, "most stages reach the rules");
    std::fs::remove_dir_all(folder).unwrap();
}

/// The rules with the settings that their tests are written for, as a folder of a release.
fn rule_set(directory: &Path) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("portcullis-crs-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("rules")).unwrap();
    std::fs::write(folder.join("crs-setup.conf"), format!("{TEST_SETUP}\n")).unwrap();
    for entry in std::fs::read_dir(directory.join("rules")).unwrap() {
        let entry = entry.unwrap();
        std::fs::write(folder.join("rules").join(entry.file_name()), std::fs::read(entry.path()).unwrap())
            .unwrap();
    }
    folder
}

/// The backend of the tests: `/reflect` answers as the body says.
fn reflecting(seen: &Seen) -> Reply {
    if !seen.target.starts_with("/reflect") {
        return Reply::ok();
    }
    let wanted: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let encoded = wanted["encodedBody"].as_str().map(|text| {
        portcullis_waf::transform::Transformation::Base64Decode.apply(text.as_bytes()).unwrap_or_default()
    });
    let body = encoded.unwrap_or_else(|| wanted["body"].as_str().unwrap_or("").as_bytes().to_vec());
    let status = wanted["status"].as_u64().unwrap_or(200);
    let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in wanted["headers"].as_object().into_iter().flatten() {
        if !name.eq_ignore_ascii_case("content-length") {
            head.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap_or("")));
        }
    }
    Reply::Bytes([head.as_bytes(), b"\r\n", &body].concat())
}

/// Sends a request, and waits for the first bytes of an answer or the end of the connection. Each has an address of its own, since
/// a port may be given out again.
async fn send(place: usize, to: SocketAddr, request: &[u8]) -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    let [high, low] = u16::try_from(place + 1).unwrap().to_be_bytes();
    socket.bind((Ipv4Addr::new(127, 1, high, low), 0).into()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let own = stream.local_addr().unwrap();
    // The gateway may have refused and closed already.
    let _closed = stream.write_all(request).await;
    let mut answer = [0; 1024];
    let _late = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await;
    own
}

fn result(stage: &Stage, records: &[Value]) -> Result {
    let ids = |name: &str| -> Vec<u64> {
        stage.output["log"][name].as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
    };
    let (expected, unexpected) = (ids("expect_ids"), ids("no_expect_ids"));
    // Whatever the gateway forwarded went through the rules; anything else it has refused by itself.
    let Some(record) = records.iter().find(|record| !record["upstream"].is_null()) else {
        return if expected.is_empty() { Result::NotJudged } else { Result::RefusedBefore };
    };
    let found: BTreeSet<u64> =
        record["searched"]["rules"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    if let Some(missing) = expected.iter().find(|id| !found.contains(id)) {
        return Result::Differs(format!("{missing} is missing among {found:?}"));
    }
    match unexpected.iter().find(|id| found.contains(id)) {
        Some(id) => Result::Differs(format!("{id} is among {found:?}")),
        None => Result::Passed,
    }
}
