//! Looks after the groups of a configuration, in the background: has servers asked whether they are well, and asks the resolver
//! for the addresses of their names.
//!
//! A name with several addresses is several servers: each gets its share of the requests, is checked and is left out on its own.
//! The resolver is asked every 10 seconds. It orders IPv6 and IPv4 by what this machine can reach, and a host often has both, so
//! the addresses of the family that it puts first count, or of the other one if that has several and the first has not. A name
//! with one address, such as a host with IPv4 and IPv6, stays one server, whose addresses are all tried for a connection. If the
//! look-up fails, the last answer is used for a minute. After that the name is one server again, and each connection needs a
//! look-up that works: by then the addresses may be somebody else's.

use super::MOST_SERVERS;
use super::config::{GroupServer, UpstreamGroup};
use super::health::Watched;
use crate::upstream::Upstream;
use crate::upstream::name::RESOLVE_EVERY;
use portcullis_core::effects::Wait;
use portcullis_core::{Effects, Job};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{AbortHandle, JoinSet};

/// How long a look-up may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// More addresses of a name than these are not used.
const MOST_ADDRESSES: usize = 16;

/// What looks after the groups of a configuration.
pub struct GroupKeeper {
    groups: Vec<Arc<UpstreamGroup>>,
}

impl GroupKeeper {
    /// What looks after these groups; `None` where none needs it.
    pub fn of(groups: Vec<Arc<UpstreamGroup>>) -> Option<GroupKeeper> {
        let named =
            |group: &UpstreamGroup| group.servers.iter().any(|server| named(&server.upstream).is_some());
        let groups: Vec<_> =
            groups.into_iter().filter(|group| group.health_check.is_some() || named(group)).collect();
        (!groups.is_empty()).then_some(GroupKeeper { groups })
    }
}

impl Job for GroupKeeper {
    fn name(&self) -> String {
        "health checks and names of upstreams".to_owned()
    }

    fn run<'a>(&'a self, effects: &'a dyn Effects) -> Wait<'a, ()> {
        Box::pin(async move {
            let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
            let mut groups = JoinSet::new();
            for group in &self.groups {
                groups.spawn(keep(Arc::clone(group), told.clone(), Resolver::of_the_system()));
            }
            drop(told);
            while let Some((about, detail)) = hears.recv().await {
                effects.notice(&about, &detail);
            }
        })
    }
}

type Told = UnboundedSender<(String, String)>;

type Looked = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

type Ask = dyn Fn(&str, u16) -> Looked + Send + Sync;

/// What is asked for the addresses of names, and how often.
struct Resolver {
    ask: Box<Ask>,
    every: Duration,
    /// How long the addresses of a name are used while it cannot be looked up.
    kept: Duration,
}

impl Resolver {
    fn of_the_system() -> Resolver {
        let ask = |host: &str, port: u16| -> Looked {
            let host = host.to_owned();
            Box::pin(async move {
                let found = tokio::net::lookup_host((host, port));
                match tokio::time::timeout(PATIENCE, found).await {
                    Ok(found) => found.map(Iterator::collect),
                    Err(late) => Err(late.into()),
                }
            })
        };
        Resolver { ask: Box::new(ask), every: RESOLVE_EVERY, kept: Duration::from_secs(60) }
    }
}

/// The name and port of a server that has a name.
fn named(upstream: &Upstream) -> Option<(&str, u16)> {
    if upstream.socket.is_some() || upstream.authority.parse::<SocketAddr>().is_ok() {
        return None;
    }
    let (host, port) = upstream.authority.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

/// Looks after a group for as long as its configuration holds.
async fn keep(group: Arc<UpstreamGroup>, told: Told, resolver: Resolver) {
    let has_names = group.servers.iter().any(|server| named(&server.upstream).is_some());
    let mut last: BTreeMap<&str, Instant> = BTreeMap::new();
    let mut checks = Checks { tasks: JoinSet::new(), running: BTreeMap::new() };
    // No look-up that hangs keeps servers from being checked.
    checks.follow(&group, &told);
    loop {
        for server in &group.servers {
            let Some((host, port)) = named(&server.upstream) else { continue };
            match (resolver.ask)(host, port).await {
                Ok(found) => {
                    last.insert(&server.url, Instant::now());
                    group.state.resolved(&server.url, &server.state, &several(found));
                }
                Err(_) => {
                    // What an earlier configuration found is as old as this one, at least.
                    let since = last.entry(&server.url).or_insert_with(Instant::now);
                    if since.elapsed() >= resolver.kept {
                        group.state.resolved(&server.url, &server.state, &[]);
                    }
                }
            }
        }
        checks.follow(&group, &told);
        if !has_names {
            // Nothing changes any more; the checks run until this is dropped.
            while checks.tasks.join_next().await.is_some() {}
            return;
        }
        tokio::time::sleep(resolver.every).await;
    }
}

/// The addresses that are servers of their own, in an order that does not depend on the resolver's; none where the name is one
/// server.
fn several(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    for addresses in [&mut first, &mut second] {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MOST_ADDRESSES);
    }
    [first, second].into_iter().find(|addresses| addresses.len() > 1).unwrap_or_default()
}

/// The checks of a group that run.
struct Checks {
    tasks: JoinSet<()>,
    running: BTreeMap<String, AbortHandle>,
}

impl Checks {
    /// Every server is checked, and nobody else.
    fn follow(&mut self, group: &UpstreamGroup, told: &Told) {
        let Some(check) = &group.health_check else { return };
        let servers = group.present();
        let gone = |url: &String| !servers.iter().any(|server| server.url == *url);
        let ended: Vec<String> = self.running.keys().filter(|url| gone(url)).cloned().collect();
        for url in ended {
            if let Some(task) = self.running.remove(&url) {
                task.abort();
            }
        }
        while self.tasks.try_join_next().is_some() {}
        let count = u32::try_from(servers.len().min(MOST_SERVERS)).unwrap_or(1).max(1);
        for (place, server) in (0_u32..).zip(&servers) {
            let GroupServer { url, upstream, state, .. } = server;
            if self.running.contains_key(url) {
                continue;
            }
            let watch = Watched {
                about: format!("upstream {}", group.name),
                url: url.clone(),
                // A check needs no place among the connections of requests.
                upstream: Upstream { max_connections: None, ..upstream.clone() },
                state: Arc::clone(state),
                check: check.clone(),
                told: told.clone(),
            };
            // So that not all are asked at the same moment.
            let task = self.tasks.spawn(watch.run(check.interval / count * place));
            self.running.insert(url.clone(), task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_two_families_is_one_server_and_several_hosts_are_several() {
        let several = |all: &[&str]| -> Vec<String> {
            let all: Vec<SocketAddr> = all.iter().map(|one| one.parse().unwrap()).collect();
            several(all).iter().map(|one| one.ip().to_string()).collect()
        };
        assert!(several(&[]).is_empty() && several(&["10.0.0.1:1"]).is_empty());
        assert!(several(&["10.0.0.1:1", "10.0.0.1:1"]).is_empty(), "told twice");
        assert!(several(&["[::1]:1", "127.0.0.1:1"]).is_empty(), "localhost");
        assert_eq!(several(&["10.0.0.2:1", "10.0.0.1:1"]), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(several(&["[::2]:1", "10.0.0.1:1", "[::1]:1", "10.0.0.2:1"]), ["::1", "::2"]);
        assert_eq!(several(&["10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::1]:1"]), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(several(&["[::1]:1", "10.0.0.1:1", "10.0.0.2:1"]), ["10.0.0.1", "10.0.0.2"]);
        let many: Vec<String> = (0..40).map(|last| format!("10.0.0.{last}:1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(several(&many).len(), 16);
    }

    #[test]
    fn only_what_has_a_name_is_looked_up() {
        assert_eq!(named(&Upstream::new("orders:8080")), Some(("orders", 8080)));
        for other in ["127.0.0.1:80", "[::1]:80"] {
            assert_eq!(named(&Upstream::new(other)), None, "{other}");
        }
        assert_eq!(named(&Upstream::on_socket("/run/a.sock".into())), None);
    }

    use super::super::choice::Tried;
    use super::super::config::{Balance, HealthCheck, Probe, Retry};
    use super::super::state::{Eject, GroupState, Standing};
    use super::super::{Group, Outcome};
    use crate::upstream::pool::Pool;
    use std::rc::Rc;
    use std::sync::Mutex;

    fn group_of(url: &str, authority: &str, health_check: Option<HealthCheck>) -> Arc<UpstreamGroup> {
        let state = Arc::new(GroupState::default());
        let upstream = Upstream::new(authority);
        let server = GroupServer { url: url.to_owned(), upstream, weight: 1, state: state.server(url) };
        Arc::new(UpstreamGroup {
            name: "orders".into(),
            servers: vec![server],
            balance: Balance::RoundRobin,
            eject: Eject { failures: 2, time: Duration::from_secs(600), at_most: 50 },
            retry: Retry {
                attempts: 2,
                on_connect: true,
                on_reset: true,
                on_timeout: true,
                on_status: Vec::new(),
                methods: Vec::new(),
                try_timeout: None,
                budget: 20,
            },
            max_requests: None,
            slow_start: Duration::ZERO,
            health_check,
            canary: None,
            mirror: None,
            state,
        })
    }

    /// What a resolver says that a test can change.
    type Answer = Arc<Mutex<Option<Vec<SocketAddr>>>>;

    fn resolver(answer: &Answer, kept: Duration) -> Resolver {
        let answer = Arc::clone(answer);
        let ask = move |_: &str, _: u16| -> Looked {
            let found = answer.lock().unwrap().clone().ok_or_else(|| io::Error::other("no answer"));
            Box::pin(std::future::ready(found))
        };
        Resolver { ask: Box::new(ask), every: Duration::from_millis(5), kept }
    }

    async fn until(about: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{about}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Which addresses the next requests go to.
    fn next(group: &Group, requests: usize) -> Vec<String> {
        let members = group.members();
        let one = |_| {
            let running = group.choose(&members, None, &mut Tried::default(), Instant::now()).unwrap();
            let address = running.pool().upstream.address;
            address.map_or_else(|| "the name".to_owned(), |address| address.ip().to_string())
        };
        (0..requests).map(one).collect()
    }

    #[tokio::test]
    async fn each_address_of_a_name_is_a_server_of_its_own() {
        let first = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let second = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
        let [one, two, three] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
            .map(|address| SocketAddr::new(address.parse().unwrap(), port));
        let check = HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_millis(5),
            timeout: Duration::from_secs(5),
            unhealthy_after: 1,
            healthy_after: 1,
        };
        let config = group_of(&format!("http://orders:{port}"), &format!("orders:{port}"), Some(check));
        let group = Group::new(&config, &|upstream| Pool::new(upstream.clone()).map(Rc::new)).unwrap();
        assert_eq!(next(&group, 2), ["the name", "the name"], "nobody was asked yet");
        let answer: Answer = Arc::new(Mutex::new(Some(vec![two, one])));
        let (told, _hears) = tokio::sync::mpsc::unbounded_channel();
        let _keeper = JoinSet::from_iter([keep(
            Arc::clone(&config),
            told,
            resolver(&answer, Duration::from_secs(600)),
        )]);
        until("two servers", || group.members().len() == 2).await;
        assert_eq!(next(&group, 4), ["127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.2"]);
        let urls: Vec<String> = config.present().into_iter().map(|server| server.url).collect();
        assert_eq!(urls, [1, 2].map(|last| format!("http://orders:{port} (127.0.0.{last})")));
        // Each is checked on its own.
        let standing = |place: usize| config.standing(&config.present()[place], Instant::now());
        drop(second);
        until("one is unhealthy", || standing(1) == Standing::Ill).await;
        assert_eq!((standing(0), next(&group, 2)), (Standing::In, vec!["127.0.0.1".to_owned(); 2]));
        let second = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
        until("it is healthy again", || standing(1) == Standing::In).await;
        // Each is left out on its own.
        let members = group.members();
        for _ in 0..2 {
            let mut tried = Tried::default();
            let running = group.choose(&members, None, &mut tried, Instant::now()).unwrap();
            let other = group.choose(&members, None, &mut tried, Instant::now()).unwrap();
            for running in [running, other] {
                let failed = running.pool().upstream.address == Some(one);
                let outcome = if failed { Outcome::Failed } else { Outcome::Answered };
                group.hear(&running, outcome, Instant::now());
            }
        }
        assert_eq!((standing(0), next(&group, 2)), (Standing::Ejected, vec!["127.0.0.2".to_owned(); 2]));
        // A look-up that fails changes nothing for a while; one that finds others does, and what stays keeps its state.
        *answer.lock().unwrap() = None;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(group.members().len(), 2);
        let third = tokio::net::TcpListener::bind(("127.0.0.3", port)).await.unwrap();
        *answer.lock().unwrap() = Some(vec![one, three]);
        until("others", || next(&group, 1) == ["127.0.0.3"]).await;
        assert_eq!(standing(0), Standing::Ejected);
        *answer.lock().unwrap() = Some(vec![three]);
        until("one server", || group.members().len() == 1).await;
        assert_eq!(next(&group, 1), ["the name"]);
        drop((first, second, third));
    }

    #[tokio::test]
    async fn addresses_that_nobody_confirms_are_given_up() {
        let config = group_of("http://orders:80", "orders:80", None);
        let group = Group::new(&config, &|upstream| Pool::new(upstream.clone()).map(Rc::new)).unwrap();
        let found = ["127.0.0.1:80", "127.0.0.2:80"].map(|address| address.parse().unwrap());
        let answer: Answer = Arc::new(Mutex::new(Some(found.to_vec())));
        let (told, _hears) = tokio::sync::mpsc::unbounded_channel();
        let resolver = resolver(&answer, Duration::from_millis(100));
        let _keeper = JoinSet::from_iter([keep(Arc::clone(&config), told, resolver)]);
        until("two servers", || group.members().len() == 2).await;
        *answer.lock().unwrap() = None;
        until("the name alone", || next(&group, 1) == ["the name"]).await;
    }
}
