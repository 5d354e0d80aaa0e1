//! What is known of a group of servers that stand for each other.

use super::MOST_SERVERS;
use super::state::{Eject, GroupState, ServerState, Standing, url_at};
use crate::upstream::Upstream;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Servers that stand for each other.
#[derive(Clone, Debug)]
pub struct UpstreamGroup {
    /// What it is called.
    pub name: Arc<str>,
    /// The servers. They speak the same version of HTTP. At least one has a weight.
    pub servers: Vec<GroupServer>,
    /// Which server a request gets.
    pub balance: Balance,
    /// When a server that fails is left out.
    pub eject: Eject,
    /// When a request is sent to another server.
    pub retry: Retry,
    /// The most requests at once, over all workers. `None` for no bound.
    pub max_requests: Option<u32>,
    /// How long a server that comes back gets fewer requests than its weight says. Zero for no time.
    pub slow_start: Duration,
    /// How servers are asked whether they are well; `None` where they are not asked.
    pub health_check: Option<HealthCheck>,
    /// Another group that gets a part of the requests.
    pub canary: Option<Canary>,
    /// Another group that gets copies of requests.
    pub mirror: Option<Mirror>,
    /// What outlives a configuration.
    pub state: Arc<GroupState>,
}

/// Another group that gets a part of the requests.
#[derive(Clone, Debug)]
pub struct Canary {
    /// The group. Its own canary and mirror do not count.
    pub group: Arc<UpstreamGroup>,
    /// The part, in percent.
    pub share: u8,
    /// Requests with this header go there.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// Requests with this cookie go there.
    pub cookie: Option<(String, String)>,
}

/// Another group that gets copies of requests. What it answers goes nowhere.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// The group. Its own canary and mirror do not count.
    pub group: Arc<UpstreamGroup>,
    /// The part of the requests that is copied, in percent.
    pub share: u8,
    /// How long a copy may take in all; one that takes longer is given up.
    pub timeout: Duration,
}

/// A server of a group.
#[derive(Clone, Debug)]
pub struct GroupServer {
    /// Its URL, by which its state is found.
    pub url: String,
    /// The server.
    pub upstream: Upstream,
    /// Its share of the requests among the others. With 0 it gets none.
    pub weight: u32,
    /// What outlives a configuration.
    pub state: Arc<ServerState>,
}

/// Which server a request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turns, by weight.
    RoundRobin,
    /// Of two at random, the one with fewer requests for its weight.
    LeastRequests,
    /// At random, by weight.
    Random,
    /// The same server for the same value, as long as it is well. A request without the value goes in turns.
    Hash(HashBy),
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Balance::RoundRobin => f.write_str("round_robin"),
            Balance::LeastRequests => f.write_str("least_requests"),
            Balance::Random => f.write_str("random"),
            Balance::Hash(HashBy::Header(name)) => write!(f, "hash of the header {name}"),
            Balance::Hash(HashBy::Cookie(name)) => write!(f, "hash of the cookie {name}"),
            Balance::Hash(HashBy::Address) => f.write_str("hash of the address"),
            Balance::Hash(HashBy::Consumer) => f.write_str("hash of the consumer"),
        }
    }
}

impl UpstreamGroup {
    /// Its servers as they are now: of a name with several addresses, each is one.
    pub fn present(&self) -> Vec<GroupServer> {
        let mut present = Vec::with_capacity(self.servers.len());
        let mut room = MOST_SERVERS.saturating_sub(self.servers.len());
        for server in &self.servers {
            let mut addresses = server.state.addresses();
            // One of them takes the place of the name.
            addresses.truncate(room + 1);
            room -= addresses.len().saturating_sub(1);
            if addresses.len() < 2 {
                present.push(server.clone());
                continue;
            }
            present.extend(addresses.into_iter().map(|(address, state)| server.at(address, state)));
        }
        present
    }

    /// Whether one of its servers gets requests.
    pub fn standing(&self, server: &GroupServer, now: Instant) -> Standing {
        server.state.standing(self.health_check.is_some(), now)
    }

    /// What it does, in a few lines.
    pub fn describe(&self) -> Vec<String> {
        let servers: Vec<String> = self.servers.iter().map(GroupServer::describe).collect();
        let mut lines =
            vec![format!("servers: {}", servers.join(", ")), format!("balance: {}", self.balance)];
        lines.push(match &self.health_check {
            None => "health checks: none".to_owned(),
            Some(check) => format!("health checks: {check}"),
        });
        let Eject { failures, time, at_most } = &self.eject;
        lines.push(match at_most {
            0 => "no server is left out after failures".to_owned(),
            _ => format!(
                "left out after {failures} failures in a row for {} s, at most {at_most}% of the servers",
                time.as_secs_f64()
            ),
        });
        lines.push(self.retry.describe());
        if let Some(Canary { group, share, header, cookie }) = &self.canary {
            let header =
                header.as_ref().map_or(String::new(), |(name, _)| format!(", with the header {name}"));
            let cookie =
                cookie.as_ref().map_or(String::new(), |(name, _)| format!(", with the cookie {name}"));
            lines.push(format!("canary: {share}% go to the group {}{header}{cookie}", group.name));
        }
        if let Some(Mirror { group, share, timeout }) = &self.mirror {
            let time = timeout.as_secs_f64();
            lines.push(format!(
                "mirror: copies of {share}% go to the group {}, each for up to {time} s",
                group.name
            ));
        }
        if let Some(most) = self.max_requests {
            lines.push(format!("at most {most} requests at once"));
        }
        let caps = self.servers.iter().filter_map(|server| server.upstream.max_connections.as_ref());
        if let Some(cap) = caps.into_iter().next() {
            lines.push(format!("at most {} connections to each server", cap.most));
        }
        if !self.slow_start.is_zero() {
            lines.push(format!("slow start: {} s", self.slow_start.as_secs_f64()));
        }
        lines
    }
}

impl GroupServer {
    /// The server at one of the addresses of its name.
    fn at(&self, address: SocketAddr, state: Arc<ServerState>) -> GroupServer {
        let mut upstream = Upstream { address: Some(address), ..self.upstream.clone() };
        upstream.name = Arc::from(url_at(&upstream.name, address));
        if let Some(cap) = &mut upstream.max_connections {
            cap.open = state.connections();
        }
        GroupServer { url: url_at(&self.url, address), upstream, weight: self.weight, state }
    }

    fn describe(&self) -> String {
        match self.weight {
            1 => self.url.clone(),
            weight => format!("{} (weight {weight})", self.url),
        }
    }
}

/// What of a request decides which server it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// A header.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
    /// The client's address, of IPv6 the first 64 bits.
    Address,
    /// The consumer, or the subject of a token.
    Consumer,
}

/// When a request is sent to another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// To how many servers at most. Those that could not be reached count only when all were tried.
    pub attempts: u32,
    /// No connection could be made.
    pub on_connect: bool,
    /// The connection ended before the answer began.
    pub on_reset: bool,
    /// The answer did not begin in time.
    pub on_timeout: bool,
    /// The server answered with one of these.
    pub on_status: Vec<StatusCode>,
    /// Requests with these methods may be repeated.
    pub methods: Vec<Method>,
    /// How long one try may take; `None` for the server's own time.
    pub try_timeout: Option<Duration>,
    /// The most retries, in percent of the requests of the last ten seconds.
    pub budget: u8,
}

/// How the servers of a group are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// From the beginning of a check to that of the next one.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// After how many failed checks in a row a server is left out.
    pub unhealthy_after: u32,
    /// After how many good checks in a row it is back.
    pub healthy_after: u32,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A `GET` of this path, which is below the path of the server's URL.
    Http {
        /// The path.
        path: String,
        /// The statuses of a server that is well.
        expect: RangeInclusive<u16>,
    },
    /// The health service of gRPC, about this service; empty for the whole server.
    Grpc {
        /// The service.
        service: String,
    },
    /// A connection, with TLS where the server has it.
    Tcp,
}

impl Retry {
    fn describe(&self) -> String {
        if self.attempts == 1 {
            return "no retries".to_owned();
        }
        let words = [(self.on_connect, "connect"), (self.on_reset, "reset"), (self.on_timeout, "timeout")];
        let words = words.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).to_owned());
        let reasons: Vec<String> =
            words.chain(self.on_status.iter().map(|status| status.as_u16().to_string())).collect();
        format!(
            "up to {} attempts after {}, retries up to {}% of the requests",
            self.attempts,
            reasons.join(", "),
            self.budget
        )
    }
}

impl fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.probe {
            Probe::Http { path, .. } => write!(f, "GET {path}")?,
            Probe::Grpc { .. } => f.write_str("gRPC")?,
            Probe::Tcp => f.write_str("a connection")?,
        }
        write!(f, " every {} s", self.interval.as_secs_f64())
    }
}
