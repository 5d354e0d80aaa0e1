//! `cargo xtask bench --shared`: what a limit costs that gateways share, next to one that each counts for itself.
//!
//! The same gateway with one worker and a hundred consumers: a local limit, one that is leased from Redis, and one that is
//! counted there at each request; and Envoy with one thread, which asks a gRPC service at each request, which asks the same
//! Redis (`service`). Rounds are interleaved, and throughput is compared within a round.
//!
//! The run fails when an answer under load is not a success or does not come from the backend, when a client over its limit
//! is not refused, or when what should be counted in Redis is not there: a counter for each consumer, and for a limit that
//! is counted at each request as many questions as there were requests. A target that is missed is printed and does not fail.

mod redis;
mod service;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::failure::{Failure, Outcome};
use crate::process::{Guard, Scratch, free_port, supervised, write};

use super::backend::Backend;
use super::cpu::CpuTime;
use super::http;
use super::keys::Keys;
use super::load::{self, Generator, Sent};
use super::peers::{Peer, Program, fill};
use super::statistics::Spread;
use super::{Arguments, Settings};
use redis::Redis;
use service::Service;

const CONSUMERS: usize = 100;
/// How much of the throughput of a local limit a leased one should have.
const TARGET: f64 = 0.95;
/// What `/limited` allows a client at once.
const LIMIT: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Local,
    Leased,
    Strict,
    Envoy,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Local, Self::Leased, Self::Strict, Self::Envoy];

    fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Leased => "leased",
            Self::Strict => "strict",
            Self::Envoy => "Envoy, gRPC service",
        }
    }

    fn peer(self) -> Peer {
        match self {
            Self::Local | Self::Leased | Self::Strict => Peer::Portcullis,
            Self::Envoy => Peer::Envoy,
        }
    }

    /// What the names of its counters in Redis begin with.
    fn prefix(self) -> Option<&'static str> {
        match self {
            Self::Local => None,
            Self::Leased => Some("bench-leased"),
            Self::Strict => Some("bench-strict"),
            Self::Envoy => Some(service::PREFIX),
        }
    }

    /// The fewest questions to Redis for so many requests.
    fn least_questions(self, requests: u64) -> u64 {
        match self {
            Self::Local | Self::Leased => 0,
            Self::Strict | Self::Envoy => requests,
        }
    }
}

/// A gateway under measurement.
struct Server {
    kind: Kind,
    port: u16,
    log: PathBuf,
    process: Guard,
    rounds: Vec<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    requests_per_second: f64,
    gateway_us: f64,
    redis_us: f64,
    questions: f64,
}

pub(super) fn run(arguments: &Arguments) -> Outcome<()> {
    let Settings { seconds, rounds, connections, .. } = arguments.settings();
    let is_left_out = |peer: Peer| match peer {
        Peer::Portcullis | Peer::Nginx => false,
        Peer::Envoy => arguments.without_envoy,
        Peer::Haproxy | Peer::Relay => true,
    };
    let programs = Program::find_all(is_left_out, arguments.gateway.as_deref())?;
    let generator = Generator::find(connections)?;
    let scratch = Scratch::new()?;
    let script = scratch.path().join("load.lua");
    write(&script, load::SCRIPT)?;
    let keys = Keys::generate();
    let list = scratch.path().join("keys.txt");
    write(&list, &first(&keys.list()))?;
    let backend = Backend::start(Program::nginx(&programs)?, &scratch)?;
    let redis = Redis::start(&scratch)?;
    let service = Service::start(redis.port(), LIMIT)?;

    let mut servers = Vec::new();
    for kind in Kind::ALL {
        if let Some(program) = programs.iter().find(|program| program.peer() == kind.peer()) {
            servers.push(Server::start(
                kind,
                program,
                &keys,
                [backend.port(), redis.port(), service.port()],
                &scratch,
            )?);
        }
    }
    for server in &servers {
        server.check(&keys)?;
        server.load(&generator, &script, &list, 1)?;
    }
    for round in 1..=rounds {
        // Every other round runs the other way, so that a drift favours nobody.
        let mut turn: Vec<&mut Server> = servers.iter_mut().collect();
        if round % 2 == 0 {
            turn.reverse();
        }
        for server in turn {
            let sample =
                server.measure(&backend, &redis, || server.load(&generator, &script, &list, seconds))?;
            println!(
                "Round {round} of {rounds}: {:<20} {:>8.0} requests/s",
                server.kind.name(),
                sample.requests_per_second
            );
            server.rounds.push(sample);
        }
    }
    for server in &servers {
        server.check_over_limit(&keys)?;
    }
    print!("{}", report(&servers));
    Ok(())
}

/// The lines of the first hundred consumers.
fn first(lines: &str) -> String {
    lines.split_inclusive('\n').take(CONSUMERS).collect()
}

impl Server {
    fn start(
        kind: Kind,
        program: &Program,
        keys: &Keys,
        [backend, redis, service]: [u16; 3],
        scratch: &Scratch,
    ) -> Outcome<Self> {
        let folder = scratch.folder(&format!("shared-{}", kind as usize))?;
        let (port, log) = (free_port()?, folder.join("access.log"));
        let shared = |sync: &str| {
            format!(
                "store: {{ counters: {{ redis: {{ url: {{ literal: \"redis://127.0.0.1:{redis}\" }}, sync: {sync}, prefix: bench-{sync}, timeout: 2s }} }} }}"
            )
        };
        let (template, store, consumers) = match kind {
            Kind::Envoy => (
                include_str!("../../../../bench/peers/envoy-shared.yaml"),
                String::new(),
                keys.envoy_credentials(),
            ),
            Kind::Local => (PORTCULLIS, String::new(), keys.portcullis_consumers()),
            Kind::Leased => (PORTCULLIS, shared("leased"), keys.portcullis_consumers()),
            Kind::Strict => (PORTCULLIS, shared("strict"), keys.portcullis_consumers()),
        };
        let text = fill(
            template,
            &[
                ("PORT", &port.to_string()),
                ("BACKEND", &backend.to_string()),
                ("SERVICE", &service.to_string()),
                ("LOG", &log.display().to_string()),
                ("SHARED", &store),
                ("CONSUMERS", &first(&consumers)),
            ],
        )?;
        let file = folder.join("gateway.yaml");
        write(&file, &text)?;
        let messages = folder.join("messages");
        let open = || File::options().create(true).append(true).open(&messages);
        let mut command = supervised(program.path());
        match kind {
            Kind::Local | Kind::Leased | Kind::Strict => command.arg("run").arg(&file),
            Kind::Envoy => command
                .args(["--concurrency", "1", "--use-dynamic-base-id", "--file-flush-interval-msec", "100"])
                .args(["--log-level", "error", "-c"])
                .arg(&file),
        };
        let output = |error: std::io::Error| Failure::new(format!("opening {}: {error}", messages.display()));
        command.stdin(Stdio::null()).stdout(open().map_err(output)?).stderr(open().map_err(output)?);
        let mut process = Guard::spawn(kind.name(), &mut command)?;
        process.wait_until_listening(port, Duration::from_secs(30)).map_err(|failure| {
            let said = std::fs::read_to_string(&messages).unwrap_or_default();
            Failure::new(format!("{failure}\n{said}"))
        })?;
        Ok(Self { kind, port, log, process, rounds: Vec::new() })
    }

    fn expect(&self, what: &str, path: &str, key: Option<&str>, wanted: u16) -> Outcome<()> {
        let answer = http::get(self.port, path, key.map(|key| ("x-api-key", key)))?;
        if answer.status == wanted {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{}: {what} must be answered {wanted} and was answered {}; nothing was measured that counts",
            self.kind.name(),
            answer.status
        )))
    }

    fn check(&self, keys: &Keys) -> Outcome<()> {
        self.expect("no key", "/", None, 401)?;
        self.expect("a wrong key", "/", Some(&Keys::wrong()), 401)?;
        self.expect("a right key", "/", Some(keys.right()), 200)?;
        for _ in 0..LIMIT {
            self.expect("a client under its limit", "/limited", Some(keys.right()), 200)?;
        }
        self.check_over_limit(keys)
    }

    fn check_over_limit(&self, keys: &Keys) -> Outcome<()> {
        self.expect("a client over its limit", "/limited", Some(keys.right()), 429)
    }

    fn load(&self, generator: &Generator, script: &Path, list: &Path, seconds: u64) -> Outcome<load::Load> {
        // The log would fill the memory.
        File::options()
            .write(true)
            .open(&self.log)
            .and_then(|file| file.set_len(0))
            .map_err(|error| Failure::new(format!("emptying {}: {error}", self.log.display())))?;
        let sent = Sent::InField { name: "x-api-key", values: list };
        let load = generator.run(script, self.port, None, sent, Duration::from_secs(seconds))?;
        load.check(self.kind.name())?;
        Ok(load)
    }

    /// One load, with what it cost.
    fn measure(
        &self,
        backend: &Backend,
        redis: &Redis,
        load: impl FnOnce() -> Outcome<load::Load>,
    ) -> Outcome<Sample> {
        let (came, asked) = (backend.requests()?, redis.questions()?);
        let before = (CpuTime::of_tree(self.process.id())?, CpuTime::of_tree(redis.id())?);
        let load = load()?;
        let gateway = CpuTime::of_tree(self.process.id())?.since(before.0);
        let store = CpuTime::of_tree(redis.id())?.since(before.1);
        backend.expect_requests(came, load.requests..=u64::MAX, self.kind.name())?;
        let questions = redis.questions()?.saturating_sub(asked);
        if questions < self.kind.least_questions(load.requests) {
            return Err(Failure::new(format!(
                "{}: Redis was asked {questions} times about {} requests; nothing was measured that counts",
                self.kind.name(),
                load.requests
            )));
        }
        // Looked for at once: a counter is gone when nothing is owed on it.
        let counters = self.kind.prefix().map(|prefix| redis.keys(prefix)).transpose()?;
        // On a machine that is busy otherwise, not each consumer had a turn in the last seconds.
        let wanted = if load.requests >= 1000 { CONSUMERS } else { CONSUMERS / 2 };
        if let Some(counters) = counters.filter(|counters| *counters < wanted) {
            return Err(Failure::new(format!(
                "{}: Redis has {counters} counters for {CONSUMERS} consumers after {} requests; nothing was measured that counts",
                self.kind.name(),
                load.requests
            )));
        }
        let each = |time: CpuTime| (time.user + time.system) * 1e6 / load.requests as f64;
        Ok(Sample {
            requests_per_second: load.requests_per_second(),
            gateway_us: each(gateway),
            redis_us: each(store),
            questions: questions as f64 / load.requests as f64,
        })
    }
}

const PORTCULLIS: &str = include_str!("../../../../bench/peers/portcullis-shared.yaml");

fn report(servers: &[Server]) -> String {
    let local: Vec<f64> = servers
        .iter()
        .filter(|server| server.kind == Kind::Local)
        .flat_map(|server| server.rounds.iter().map(|sample| sample.requests_per_second))
        .collect();
    let mut text = format!(
        "\n{CONSUMERS} consumers, one worker; medians of the rounds\n{:<20} {:>10} {:>22} {:>14} {:>12} {:>18}\n",
        "limit", "requests/s", "of local (range)", "gateway, us", "Redis, us", "asked per request"
    );
    for server in servers {
        let of = |field: fn(&Sample) -> f64| {
            Spread::of(server.rounds.iter().map(field)).map_or(0.0, |spread| spread.median)
        };
        let ratios =
            server.rounds.iter().zip(&local).map(|(sample, local)| sample.requests_per_second / local);
        let Some(ratio) = Spread::of(ratios) else { continue };
        text.push_str(&format!(
            "{:<20} {:>10.0} {:>22} {:>14.1} {:>12.1} {:>18.3}\n",
            server.kind.name(),
            of(|sample| sample.requests_per_second),
            format!("{:.3} ({:.3}-{:.3})", ratio.median, ratio.least, ratio.most),
            of(|sample| sample.gateway_us),
            of(|sample| sample.redis_us),
            of(|sample| sample.questions),
        ));
        if server.kind == Kind::Leased {
            let verdict = if ratio.median >= TARGET { "holds" } else { "is missed" };
            text.push_str(&format!("  the target, {TARGET} of local, {verdict}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configurations_are_filled_entirely_and_listen_on_loopback_only() {
        let values = ["PORT", "BACKEND", "SERVICE", "LOG", "SHARED", "CONSUMERS"].map(|name| (name, "1"));
        for template in [PORTCULLIS, include_str!("../../../../bench/peers/envoy-shared.yaml")] {
            let text = fill(template, &values).unwrap();
            assert!(!text.contains("0.0.0.0") && !text.contains('*'));
        }
    }

    #[test]
    fn a_missed_target_is_told() {
        let server = |kind, speeds: [f64; 3]| {
            let sample = |requests_per_second| Sample {
                requests_per_second,
                gateway_us: 1.0,
                redis_us: 0.0,
                questions: 0.0,
            };
            let process = Guard::spawn("true", &mut supervised(Path::new("/bin/true"))).unwrap();
            Server { kind, port: 1, log: PathBuf::new(), process, rounds: speeds.map(sample).to_vec() }
        };
        let local = || server(Kind::Local, [100.0, 200.0, 300.0]);
        let text = report(&[local(), server(Kind::Leased, [99.0, 196.0, 150.0])]);
        assert!(text.contains("0.980 (0.500-0.990)") && text.contains("holds"), "{text}");
        assert!(report(&[local(), server(Kind::Leased, [90.0, 180.0, 300.0])]).contains("is missed"));
    }
}
