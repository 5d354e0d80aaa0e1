//! A cluster that changes under a gateway: a key moves to another server, and a server dies.

use crate::redis::{Redis, free_port};
use crate::servers::valkey;
use crate::{Gateway, limit, settings};
use portcullis_core::{Algorithm, CountKey};
use portcullis_store::shared::{Endpoint, Tls};
use std::time::{Duration, Instant};

const KEY: CountKey<'static> = CountKey::Value(b"a client");

/// Whether every one of these servers sees the whole cluster.
const STATE: &str = "return string.match(redis.call('CLUSTER', 'INFO'), 'cluster_state:ok')";

fn node(program: &'static str) -> Redis {
    // The second port of a node is its first plus 10000.
    let port = loop {
        let port = free_port();
        if port < 55_000 {
            break port;
        }
    };
    Redis::start_on(port, program, None, &["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"])
}

/// Waits until something is so, at most half a minute.
async fn until(what: &str, mut test: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !test() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A cluster of three servers.
pub async fn cluster(program: &'static str) -> Vec<Redis> {
    let nodes: Vec<Redis> = (0..3).map(|_| node(program)).collect();
    let ranges = [(0, 5460), (5461, 10_922), (10_923, 16_383)];
    for (node, (first, last)) in nodes.iter().zip(ranges) {
        let said = node.say(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        assert_eq!(said, "+OK");
        let meet = node.say(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port.to_string()]);
        assert_eq!(meet, "+OK");
    }
    until("the cluster does not come to be one", || {
        nodes.iter().all(|node| node.say(&["EVAL", STATE, "0"]) == "$16")
    })
    .await;
    nodes
}

/// Which of the servers has the one counter of the test, and what it is called there.
fn counter(nodes: &[Redis]) -> (usize, String) {
    let found = nodes.iter().enumerate().find_map(|(number, node)| {
        let names = node.text(&["EVAL", "return table.concat(redis.call('KEYS', '*:{*'), ' ')", "0"]);
        (!names.is_empty()).then_some((number, names))
    });
    found.expect("a counter")
}

/// While the slot of a key is moved, and when it has been moved, servers send the gateway on to another one.
#[tokio::test]
async fn a_counter_that_moves_in_a_cluster_goes_on() {
    for program in ["redis-server", valkey()] {
        let nodes = cluster(program).await;
        let endpoint = Endpoint::Cluster { urls: vec![nodes[0].url()], tls: Tls::default() };
        let gateway = Gateway::ready(settings(endpoint), vec![limit(0, 100, Algorithm::FixedWindow)]).await;
        let charge = async || gateway.charge(KEY, 1).await.unwrap()[0].remaining;
        assert_eq!([charge().await, charge().await], [99, 98]);

        let (from, name) = counter(&nodes);
        let to = (from + 1) % 3;
        let slot = nodes[from].say(&["CLUSTER", "KEYSLOT", &name]);
        let slot = slot.trim_start_matches(':');
        let [from_id, to_id] = [from, to].map(|number| nodes[number].text(&["CLUSTER", "MYID"]));
        assert_eq!(nodes[to].say(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &from_id]), "+OK");
        assert_eq!(nodes[from].say(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &to_id]), "+OK");
        assert_eq!(charge().await, 97, "it is still there");
        let port = nodes[to].port.to_string();
        assert_eq!(nodes[from].say(&["MIGRATE", "127.0.0.1", &port, &name, "0", "5000"]), "+OK");
        assert_eq!(counter(&nodes).0, to);
        // The old server answers ASK.
        assert_eq!([charge().await, charge().await], [96, 95]);
        for number in [to, from, (from + 2) % 3] {
            assert_eq!(nodes[number].say(&["CLUSTER", "SETSLOT", slot, "NODE", &to_id]), "+OK");
        }
        // The old server answers MOVED.
        assert_eq!([charge().await, charge().await], [94, 93]);
        assert!(gateway.store.answers(), "none of it was an outage");
        assert_eq!(counter(&nodes).0, to);
    }
}

/// A server of the cluster dies, its replica takes over, and what was counted there still counts.
#[tokio::test]
async fn a_gateway_follows_a_fail_over_in_a_cluster() {
    for program in ["redis-server", valkey()] {
        let mut nodes = cluster(program).await;
        let endpoint =
            Endpoint::Cluster { urls: nodes.iter().map(Redis::url).collect(), tls: Tls::default() };
        let gateway = Gateway::ready(settings(endpoint), vec![limit(0, 100, Algorithm::FixedWindow)]).await;
        for _ in 0..10 {
            assert!(gateway.allowed(KEY).await);
        }
        let (dies, _) = counter(&nodes);
        let id = nodes[dies].text(&["CLUSTER", "MYID"]);
        let replica = node(program);
        let port = nodes[dies].port.to_string();
        assert_eq!(replica.say(&["CLUSTER", "MEET", "127.0.0.1", &port]), "+OK");
        until("the replica does not join", || replica.say(&["CLUSTER", "REPLICATE", &id]) == "+OK").await;
        until("the replica does not come into step", || {
            // The others must know it, or nobody would elect it.
            nodes.iter().all(|node| {
                node.text(&["CLUSTER", "NODES"]).matches(" slave ").count() == 1
                    || node.text(&["CLUSTER", "NODES"]).contains(",slave ")
            }) && replica.text(&["INFO", "replication"]).contains("master_link_status:up")
        })
        .await;
        nodes[dies].kill();
        let begun = Instant::now();
        loop {
            // Never an error: each gateway goes on by its share.
            let counted = gateway.charge(KEY, 1).await.unwrap()[0];
            assert!(counted.allowed);
            let is_counted = !replica
                .text(&["EVAL", "return table.concat(redis.call('KEYS', '*:{*'), ' ')", "0"])
                .is_empty();
            if gateway.store.answers()
                && is_counted
                && counted.remaining < 90
                && replica.say(&["ROLE"]) == "*3"
                && replica.text(&["INFO", "replication"]).contains("role:master")
            {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "nobody takes over: {counted:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let before = gateway.charge(KEY, 0).await.unwrap()[0].remaining;
        assert!(gateway.allowed(KEY).await);
        assert_eq!(gateway.charge(KEY, 0).await.unwrap()[0].remaining, before - 1, "counted there");
    }
}
