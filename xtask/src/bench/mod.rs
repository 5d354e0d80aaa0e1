//! `cargo xtask bench`: the CPU time each proxy spends per request, side by side in one run.
//!
//! Full TLS handshakes are counted in the same way, each in the place of a request.
//!
//! Everything runs on loopback and shares the machine's cores with the load generator, so requests per second say
//! how fast the whole machine is; the proxy's own CPU time per request is the figure that compares. Rounds are
//! interleaved, so that a disturbance hits all alike, and ratios are taken within a round.
//!
//! The run fails when a control was not in force: a request that had to be refused was not, an answer under load was
//! not a success, did not come from the backend, or left no line in the access log. A target that is missed is printed and does not fail.

mod access_log;
mod backend;
mod controls;
mod cpu;
mod crowd;
mod grpc;
mod http;
pub(crate) mod instructions;
mod keys;
mod load;
mod machine;
mod orders;
mod peers;
mod plot;
pub(crate) mod relay;
mod report;
mod shared;
mod statistics;
mod tls;
mod tokens;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::failure::{Context, Outcome};
use crate::process::{Scratch, write};
use crate::workspace;
use access_log::{AccessLog, Expected};
use backend::Backend;
use controls::Limits;
use cpu::CpuTime;
use crowd::Crowd;
use keys::Keys;
use load::{Generator, Load, Sent};
use machine::Machine;
use orders::Orders;
use peers::{Peer, Program, Server};
use report::{Report, Sample};
use tls::{Certificate, Clients};
use tokens::Tokens;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Length of one measured load, in seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// How often each proxy and scenario is measured; the median is reported.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Connections the load generator keeps open.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(2..=1024))]
    connections: u64,
    /// Measure these scenarios instead of all, such as `--only tokens,tokens-uncached`. With `validation` comes `orders`, with `group` comes `plain`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// One round of one second: every control is checked, the figures say little.
    #[arg(long, conflicts_with_all = ["seconds", "rounds"])]
    quick: bool,
    /// Count instructions per decision instead of time, with few and with many routes and keys.
    #[arg(long, conflicts_with_all = ["seconds", "rounds", "connections", "only", "quick"])]
    instructions: bool,
    /// Measure a limit that gateways share in Redis, leased and strict, next to a local one and to Envoy with a gRPC service.
    #[arg(long, conflicts_with_all = ["only", "instructions"])]
    shared: bool,
    /// The gateway to measure. Default: a release build that is made first.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Measure nginx and HAProxy alone, to work on the benchmark itself.
    #[arg(long, hide = true)]
    without_portcullis: bool,
    /// Leave Envoy out, which is large. Continuous integration does.
    #[arg(long)]
    without_envoy: bool,
}

/// The work that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Proxying `GET /` to a backend that answers 35 bytes.
    Plain,
    /// The same with 10,000 API keys in rotation, role and rate limit on.
    Keys,
    /// The keys, with everything on that operators can watch, which is compared with `keys`.
    Telemetry,
    /// Plain proxying with 2,000 RS256 tokens in rotation; the gateway remembers those it has verified.
    Tokens,
    /// The same tokens, where the gateway remembers none.
    TokensUncached,
    /// The keys in rotation, over HTTPS with HTTP/1.1.
    Https,
    /// The keys over HTTP/2, where each client has one.
    Http2,
    /// Unary gRPC calls with a key, over HTTP/2 on both sides.
    Grpc,
    /// Full TLS handshakes without a request.
    Handshakes,
    /// Proxying the POST of an order of 1 KiB, which `validation` is compared with.
    Orders,
    /// The same, where the gateway judges each order by an OpenAPI document.
    Validation,
    /// Plain proxying to a group of two servers with health checks, which is compared with `plain`.
    Group,
    /// Plain proxying while 1,000 other connections are open.
    Thousand,
    /// Plain proxying while 10,000 other connections are open.
    TenThousand,
}

impl Scenario {
    /// What is compared with each other stands side by side, since it is measured in this order.
    pub(crate) const ALL: [Self; 14] = [
        Self::Plain,
        Self::Group,
        Self::Keys,
        Self::Telemetry,
        Self::Tokens,
        Self::TokensUncached,
        Self::Https,
        Self::Http2,
        Self::Grpc,
        Self::Handshakes,
        Self::Orders,
        Self::Validation,
        Self::Thousand,
        Self::TenThousand,
    ];

    /// Whether clients use TLS.
    pub(crate) fn is_protected(self) -> bool {
        match self {
            Self::Https | Self::Http2 | Self::Handshakes => true,
            Self::Plain
            | Self::Keys
            | Self::Tokens
            | Self::TokensUncached
            | Self::Grpc
            | Self::Orders
            | Self::Validation
            | Self::Telemetry
            | Self::Group
            | Self::Thousand
            | Self::TenThousand => false,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Keys => "keys",
            Self::Telemetry => "telemetry",
            Self::Tokens => "tokens",
            Self::TokensUncached => "uncached",
            Self::Https => "https",
            Self::Http2 => "h2",
            Self::Grpc => "grpc",
            Self::Handshakes => "handshake",
            Self::Orders => "orders",
            Self::Validation => "validated",
            Self::Group => "group",
            Self::Thousand => "1k-open",
            Self::TenThousand => "10k-open",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plain => "plain proxying",
            Self::Keys => "10,000 API keys",
            Self::Telemetry => "keys, all telemetry",
            Self::Tokens => "2,000 RS256 tokens",
            Self::TokensUncached => "tokens, no cache",
            Self::Https => "keys, HTTPS/1.1",
            Self::Http2 => "keys, HTTP/2",
            Self::Grpc => "gRPC calls with a key",
            Self::Handshakes => "TLS handshakes",
            Self::Orders => "POST of 1 KiB",
            Self::Validation => "POST, validated",
            Self::Group => "group of two servers",
            Self::Thousand => "1,000 connections open",
            Self::TenThousand => "10,000 connections open",
        }
    }

    /// How many connections are open and say nothing meanwhile.
    fn crowd(self) -> Option<usize> {
        match self {
            Self::Thousand => Some(crowd::possible(1000)),
            Self::TenThousand => Some(crowd::possible(10_000)),
            Self::Plain
            | Self::Keys
            | Self::Tokens
            | Self::TokensUncached
            | Self::Https
            | Self::Http2
            | Self::Grpc
            | Self::Handshakes
            | Self::Orders
            | Self::Validation
            | Self::Telemetry
            | Self::Group => None,
        }
    }

    /// What it is compared with within a round.
    fn needs(self) -> Option<Self> {
        match self {
            Self::Validation => Some(Self::Orders),
            Self::Telemetry => Some(Self::Keys),
            Self::Group | Self::Thousand | Self::TenThousand => Some(Self::Plain),
            Self::Plain
            | Self::Keys
            | Self::Tokens
            | Self::TokensUncached
            | Self::Https
            | Self::Http2
            | Self::Grpc
            | Self::Handshakes
            | Self::Orders => None,
        }
    }
}

impl Arguments {
    /// What continuous integration runs.
    pub(crate) fn quick() -> Self {
        Self {
            seconds: 1,
            rounds: 1,
            connections: 64,
            only: Vec::new(),
            quick: true,
            instructions: false,
            shared: false,
            gateway: None,
            without_portcullis: false,
            without_envoy: true,
        }
    }

    fn settings(&self) -> Settings {
        let (seconds, rounds) = if self.quick { (1, 1) } else { (self.seconds, self.rounds) };
        let named = |scenario: Scenario| self.only.contains(&scenario);
        // What validation costs is the difference of the two within a round.
        let scenarios = Scenario::ALL.into_iter().filter(|each| {
            self.only.is_empty() || named(*each) || self.only.iter().any(|named| named.needs() == Some(*each))
        });
        Settings { seconds, rounds, connections: self.connections, scenarios: scenarios.collect() }
    }
}

/// What clients send.
#[derive(Debug)]
pub(crate) struct Credentials {
    keys: Keys,
    tokens: Tokens,
    certificate: Certificate,
}

/// What a run does.
#[derive(Debug)]
pub(crate) struct Settings {
    seconds: u64,
    rounds: u64,
    connections: u64,
    scenarios: Vec<Scenario>,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    if arguments.instructions {
        return instructions::run();
    }
    if arguments.shared {
        return shared::run(arguments);
    }
    crowd::raise_limit();
    let settings = arguments.settings();
    let is_left_out = |peer: Peer| match peer {
        Peer::Portcullis => arguments.without_portcullis,
        Peer::Envoy => arguments.without_envoy,
        Peer::Nginx | Peer::Haproxy | Peer::Relay => false,
    };
    let programs = Program::find_all(is_left_out, arguments.gateway.as_deref())?;
    let generator = Generator::find(settings.connections)?;
    let mut report = Report::new(Machine::describe(&programs, &generator), settings);
    measure(&programs, &generator, &mut report)?;

    // The files first: what is printed may go to a program that does not read it to the end.
    let folder = workspace::root().join("bench/out");
    fs::create_dir_all(&folder).context(|| format!("making {}", folder.display()))?;
    write(&folder.join("cpu_per_request.svg"), &plot::svg(&report))?;
    write(&folder.join("results.json"), &report.json())?;
    print!("{}", report.text());
    println!("\nWrote bench/out/cpu_per_request.svg and bench/out/results.json.");
    Ok(())
}

/// Starts everything, checks the controls, loads each in turn, and checks the controls again.
fn measure(programs: &[Program], generator: &Generator, report: &mut Report) -> Outcome<()> {
    let scratch = Scratch::new()?;
    let credentials = Credentials {
        keys: Keys::generate(),
        tokens: Tokens::generate()?,
        certificate: Certificate::generate(&scratch)?,
    };
    let clients = Clients::find()?;
    let key_list = scratch.path().join("keys.txt");
    write(&key_list, &credentials.keys.list())?;
    let token_list = scratch.path().join("tokens.txt");
    write(&token_list, &credentials.tokens.list())?;
    let script = scratch.path().join("load.lua");
    write(&script, load::SCRIPT)?;
    let orders = Orders::new();
    let order = scratch.path().join("order.json");
    write(&order, &orders.right)?;
    let backend = Backend::start(Program::nginx(programs)?, &scratch)?;
    let calls = grpc::Upstream::start(&scratch)?;

    println!("Starting the proxies.");
    let mut servers = Vec::new();
    for (number, program) in programs.iter().enumerate() {
        // What is compared with each other is measured one right after the other, since the machine's speed drifts: the
        // first proxy's two scenarios, and its plain one with the next proxy's.
        let mut scenarios = report.scenarios();
        if number == 0 {
            scenarios.reverse();
        }
        for scenario in scenarios.into_iter().filter(|scenario| program.peer().takes_part(*scenario)) {
            let behind = if scenario == Scenario::Grpc { calls.port() } else { backend.port() };
            servers.push(Server::start(program, scenario, behind, &credentials, &scratch)?);
        }
    }
    println!("Checking the controls of each.");
    for server in &servers {
        controls::check(server, &credentials, &orders, (&backend, &calls), Limits::Fresh)?;
    }
    let load_on = |server: &Server, seconds: u64| {
        let time = Duration::from_secs(seconds);
        let sent = match server.scenario() {
            Scenario::Plain | Scenario::Group | Scenario::Thousand | Scenario::TenThousand => Sent::Plain,
            Scenario::Orders | Scenario::Validation => Sent::Posted { path: orders::PATH, body: &order },
            Scenario::Http2 => return clients.http2(server, &credentials, generator.connections(), time),
            Scenario::Grpc => {
                return clients.grpc(server, &credentials, &calls, generator.connections(), time);
            }
            Scenario::Handshakes => return clients.handshakes(server, &credentials, time),
            Scenario::Keys | Scenario::Telemetry | Scenario::Https => {
                Sent::InField { name: "x-api-key", values: &key_list }
            }
            Scenario::Tokens | Scenario::TokensUncached => {
                Sent::InField { name: "authorization", values: &token_list }
            }
        };
        let protected = server.scenario().is_protected().then_some(&credentials.certificate);
        generator.run(&script, server.port(), protected, sent, time)
    };
    println!("Warming up: one second each.");
    for server in &servers {
        load_on(server, 1)?.check(&server.name())?;
    }
    let (seconds, rounds) = report.seconds_and_rounds();
    for round in 1..=rounds {
        // Every other round runs the other way, so that a drift favours nobody.
        let mut turn: Vec<&Server> = servers.iter().collect();
        if round % 2 == 0 {
            turn.reverse();
        }
        for server in turn {
            let crowd = server.scenario().crowd().map(|size| Crowd::open(server.port(), size)).transpose()?;
            let sample = measure_one(server, (&backend, &calls), generator.connections(), || {
                load_on(server, seconds)
            })?;
            crowd.map_or(Ok(()), |crowd| crowd.check(&server.name()))?;
            println!(
                "Round {round} of {rounds}: {:<28} {:>6.2} us/request {:>8.0} requests/s",
                server.name(),
                sample.cpu_us(),
                sample.requests_per_second
            );
            report.add(server.peer(), server.scenario(), sample);
        }
    }
    // A server that stopped refusing under load would have been measured without its controls.
    for server in &servers {
        controls::check(server, &credentials, &orders, (&backend, &calls), Limits::Used)?;
    }
    Ok(())
}

/// One load on one server, with the CPU time its processes spent on it.
fn measure_one(
    server: &Server,
    (backend, calls): (&Backend, &grpc::Upstream),
    connections: u64,
    load: impl FnOnce() -> Outcome<Load>,
) -> Outcome<Sample> {
    let log = AccessLog::open(server.log())?;
    log.empty()?;
    let came = backend.requests()?;
    let called = calls.calls();
    let before = CpuTime::of_tree(server.process())?;
    let load = load()?;
    let spent = CpuTime::of_tree(server.process())?.since(before);
    load.check(&server.name())?;
    if server.scenario() == Scenario::Handshakes {
        // Nothing was asked for, so nothing came to the backend or to the log.
        return Ok(Sample::new(&load, spent, 0));
    }
    let most = match server.scenario() {
        // An order that came twice is one too many. Each connection may have had one under way when this load ended,
        // and one when the load before it did.
        Scenario::Orders | Scenario::Validation => load.requests + 2 * connections,
        Scenario::Plain
        | Scenario::Keys
        | Scenario::Tokens
        | Scenario::TokensUncached
        | Scenario::Https
        | Scenario::Http2
        | Scenario::Grpc
        | Scenario::Handshakes
        | Scenario::Group
        | Scenario::Telemetry
        | Scenario::Thousand
        | Scenario::TenThousand => u64::MAX,
    };
    if server.scenario() == Scenario::Grpc {
        calls.expect_calls(called, load.requests, &server.name())?;
    } else {
        backend.expect_requests(came, load.requests..=most, &server.name())?;
    }
    if server.peer() == Peer::Relay {
        // It knows of no requests.
        return Ok(Sample::new(&load, spent, 0));
    }
    let expected = Expected {
        requests: load.requests,
        tolerated: server.peer().tolerated_missing_lines(load.requests),
        patience: access_log::PATIENCE,
    };
    let missing = log.missing_lines(expected, &server.name())?;
    Ok(Sample::new(&load, spent, missing))
}

/// The name of a server in a scenario, for messages.
fn name(peer: Peer, scenario: Scenario) -> String {
    format!("{} ({})", peer.name(), scenario.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_is_never_measured_without_what_it_is_compared_with() {
        let scenarios =
            |only: &[Scenario]| Arguments { only: only.to_vec(), ..Arguments::quick() }.settings().scenarios;
        assert_eq!(scenarios(&[Scenario::Validation]), [Scenario::Orders, Scenario::Validation]);
        assert_eq!(scenarios(&[Scenario::Plain]), [Scenario::Plain]);
        assert_eq!(scenarios(&[Scenario::Telemetry]), [Scenario::Keys, Scenario::Telemetry]);
        assert_eq!(scenarios(&[Scenario::Group]), [Scenario::Plain, Scenario::Group]);
        assert_eq!(scenarios(&[Scenario::TenThousand]), [Scenario::Plain, Scenario::TenThousand]);
        assert_eq!(scenarios(&[]), Scenario::ALL);
    }
}
