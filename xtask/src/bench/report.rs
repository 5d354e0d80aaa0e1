//! The figures of a run: as a table for people, and as JSON for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::cpu::CpuTime;
use super::load::Load;
use super::machine::Machine;
use super::peers::Peer;
use super::statistics::Spread;
use super::{Scenario, Settings};

/// What plain proxying may cost, as a multiple of what it costs nginx.
const PLAIN_TARGET: f64 = 0.90;
/// What a key, a role, a limit and the log may cost, as a multiple of plain proxying by nginx.
const KEYS_OF_NGINX_TARGET: f64 = 1.0;
/// The same, as a multiple of what a relay of bytes costs.
const KEYS_OF_RELAY_TARGET: f64 = 1.45;
/// What keys over HTTP/2 may cost, as a multiple of what they cost HAProxy.
const HTTP2_OF_HAPROXY_TARGET: f64 = 1.0;
/// What a unary call of gRPC may cost, as a multiple of what it costs Envoy.
const GRPC_OF_ENVOY_TARGET: f64 = 1.0;
/// What all telemetry may cost, as a multiple of the same with the access log alone.
const TELEMETRY_TARGET: f64 = 1.08;
/// What other connections may cost that say nothing, as a multiple of plain proxying without them.
const CROWD_TARGET: f64 = 1.1;
/// What judging an order may cost, in microseconds of CPU.
const VALIDATION_TARGET_US: f64 = 7.0;
/// What 10,000 keys may cost, as a multiple of our plain proxying.
const KEYS_TARGET: f64 = 1.15;
/// Choosing a server, and checking both.
const GROUP_TARGET: f64 = 1.03;
/// What tokens may cost that were verified before, as a multiple of what HAProxy's cost.
const TOKENS_TARGET: f64 = 0.5;
/// What tokens may cost that are verified each time.
const UNCACHED_TARGET: f64 = 1.0;
/// What a request over TLS may cost, as a multiple of what it costs nginx.
const TLS_TARGET: f64 = 1.2;
/// What a full handshake may cost, as a multiple of what it costs nginx.
const HANDSHAKE_TARGET: f64 = 1.0;

/// What was done, in words, so that nobody needs to trust the figures blindly.
const METHOD: &str = "\
CPU is user and system time of all threads and processes of the proxy (/proc/PID/stat), divided by the requests that
wrk completed; median of the rounds [least–most]. Ratios are taken within each round, then the median. wrk (2 threads),
the backend and the proxy share the machine, so requests/s compare only roughly.
Each proxy: two workers, loopback, HTTP/1.1 kept alive on both sides without a limit on requests per connection, one
access log line per request to a file in the same folder (counted: the run fails if lines are missing). Backend: nginx,
a constant answer of 35 bytes, no log; it counts, and the run fails if it was not asked once per answer. All three
set the same forwarding, identity and request id fields toward the upstream, and the same security fields toward the
client; Portcullis adds the RateLimit fields. Only Portcullis judges paths, hosts and framing. The configurations are in bench/peers/.";

const KEYS_METHOD: &str = "\
keys: 10,000 keys in rotation. Each looks up the key, then the role of its consumer, checks method and path, counts the
request for the consumer against a limit that is not reached, and removes the key (the backend fails a request that
carries one). nginx: `map`, `if`, `limit_req` (leaky bucket). HAProxy: `map_str`, stick table `http_req_rate` (sliding
window). Both hold the keys in plain text; Portcullis holds hashes, and so hashes the key of each request.
Each of them answered, in this run, before and after the load: no key, an empty key and a wrong key 401; a right key
200; a right key with the wrong role 403; a client over its limit 429.";

const TOKENS_METHOD: &str = "\
tokens, uncached: 2,000 RS256 tokens in rotation, one RSA key of 2,048 bits. Each takes the algorithm, verifies the
signature, compares issuer, audience and expiry, then the role, method and path, counts the request for the subject
against a limit that is not reached, and removes the token. HAProxy: `jwt_verify`, which remembers nothing, so both of
ours are compared with its one figure. Portcullis also refuses a token that says anything twice, `crit` and the like.
Each of them answered, in this run, before and after the load: no token, an empty one, one that somebody else signed, one
with the signature of another token, one without, an expired one, one of another issuer, one for somebody else and one
that says `none` 401 (Envoy: 403 for one for somebody else); a right one 200; a right one with the wrong role 403; a client over its limit 429.";

const TLS_METHOD: &str = "\
https, h2, handshake: one ECDSA P-256 certificate for all three. The clients offer TLS 1.3 with AES-128-GCM and X25519
alone, so nothing else can be agreed. https: wrk, 10,000 keys in rotation over HTTP/1.1, kept alive. h2: 8 processes of
h2load share the connections, 4 streams each; h2load cannot rotate, so each process has one of the 10,000 keys. The
controls of `keys` were asked over TLS with the protocol in question, and a request in the clear was not served.
handshake: 8 processes of `openssl s_time -new`, one handshake after another without a request, so \"request\" means
handshake and 1,000,000 / CPU us is handshakes per CPU second. Each of the three issues two tickets; s_time marks each
connection that resumed a session, and the run fails if one did.";

const GRPC_METHOD: &str = "\
grpc: unary calls over HTTP/2 in the clear on both sides, one h2load with 8 connections that has as many calls under way as
there are connections elsewhere; one of 10,000 keys, which is looked up and removed. Both say the same to the server and to the
client. The server is a thread of this program (the h2 crate); it counts, and it fails a call that is not the one that was sent
or still has its key. Each of the two answered, in this run, before and after the load: no key, an empty key and a wrong key with
UNAUTHENTICATED, without asking the server; a right key with the server's message.";

const VALIDATION_METHOD: &str = "\
orders, validated: wrk posts one order, 1 KiB of JSON, again and again to Portcullis alone: as it comes, and to the same
route with an OpenAPI document that holds it, reads it strictly and judges it by its schema before the backend sees it.
Each of the two answered, in this run, before and after the load: an order that fits 200, and the backend was asked
once; one that does not fit 422 and the backend was not asked where it is validated, 200 where it is not.";

const CROWD_METHOD: &str = "\
1k-open, 10k-open: plain proxying while so many other connections are open, from 32 addresses; each has had one answer, and
the run fails if one was closed.";

const PLAIN_CONTROL: &str =
    "plain: Portcullis answered /..%2f with 400, in this run, before and after the load.";

/// How a proxy was set up, where that differs from the others.
fn set_up(peer: Peer) -> &'static str {
    match peer {
        Peer::Portcullis => {
            "- Portcullis: `workers: 2`, `access_log` to a file in its own format; built with the profile `dist`."
        }
        Peer::Nginx => {
            "- nginx: 2 processes, `reuseport`, `access_log` in its default format, buffered for 100 ms; `keepalive 64` upstream."
        }
        Peer::Haproxy => {
            "- HAProxy: 2 threads, `option httplog` to standard output, which is a file; `http-reuse always`.\n  \
             It gives up a log line when its threads collide; up to one in 100 is let pass, and counted below."
        }
        Peer::Envoy => {
            "- Envoy: `--concurrency 2`, one access log line per request in its default format, flushed every 100 ms. It takes part\n  \
             in plain, keys (`api_key_auth`, the role in the client's name), tokens (`jwt_authn`, which remembers 10,000) and grpc;\n  \
             `rbac` for roles, `local_ratelimit` with a bucket for each client."
        }
        Peer::Relay => {
            "- byte relay: 2 threads, one epoll each, a connection to the backend for each client. It reads nothing of what it\n  \
             passes on and writes no log: the floor."
        }
    }
}

/// One load on one proxy.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    requests: u64,
    missing_log_lines: u64,
    pub(crate) requests_per_second: f64,
    /// CPU time per request in microseconds.
    user_us: f64,
    system_us: f64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
}

impl Sample {
    pub(crate) fn new(load: &Load, spent: CpuTime, missing_log_lines: u64) -> Self {
        let each = |seconds: f64| seconds * 1e6 / load.requests as f64;
        Self {
            requests: load.requests,
            missing_log_lines,
            requests_per_second: load.requests_per_second(),
            user_us: each(spent.user),
            system_us: each(spent.system),
            p50_us: load.p50_us,
            p99_us: load.p99_us,
        }
    }

    /// CPU time per request in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.user_us + self.system_us
    }
}

/// The samples of one proxy in one scenario, one for each round.
#[derive(Debug)]
struct Series {
    peer: Peer,
    scenario: Scenario,
    samples: Vec<Sample>,
}

impl Series {
    fn spread(&self, figure: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.samples.iter().map(figure))
    }

    /// The ratios within each round.
    fn ratios_to(&self, other: &Self) -> Option<Spread> {
        let pairs = self.samples.iter().zip(&other.samples);
        Spread::of(pairs.map(|(ours, theirs)| ours.cpu_us() / theirs.cpu_us()))
    }

    /// The median over rounds of the ratio within a round.
    fn ratio_to(&self, other: &Self) -> Option<f64> {
        self.ratios_to(other).map(|spread| spread.median)
    }
}

#[derive(Debug)]
pub(crate) struct Report {
    machine: Machine,
    settings: Settings,
    series: Vec<Series>,
}

impl Report {
    pub(crate) fn new(machine: Machine, settings: Settings) -> Self {
        Self { machine, settings, series: Vec::new() }
    }

    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        self.settings.scenarios.clone()
    }

    pub(crate) fn seconds_and_rounds(&self) -> (u64, u64) {
        (self.settings.seconds, self.settings.rounds)
    }

    pub(crate) fn add(&mut self, peer: Peer, scenario: Scenario, sample: Sample) {
        let known = self.series.iter_mut().find(|each| each.peer == peer && each.scenario == scenario);
        match known {
            Some(series) => series.samples.push(sample),
            None => self.series.push(Series { peer, scenario, samples: vec![sample] }),
        }
    }

    fn of(&self, peer: Peer, scenario: Scenario) -> Option<&Series> {
        self.series.iter().find(|each| each.peer == peer && each.scenario == scenario)
    }

    /// CPU time per request of each proxy in a scenario, in the order of the table.
    pub(crate) fn cpu(&self, scenario: Scenario) -> Vec<(Peer, Spread)> {
        let series = self.series.iter().filter(|each| each.scenario == scenario);
        series.filter_map(|each| Some((each.peer, each.spread(Sample::cpu_us)?))).collect()
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(crate) fn conditions(&self) -> String {
        let Settings { seconds, rounds, connections, .. } = &self.settings;
        let plural = if *rounds == 1 { "" } else { "s" };
        format!("{rounds} round{plural} of {seconds} s, {connections} connections")
    }

    /// The whole report as printed.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("\n{}\n{}\n\n", self.machine.line(), self.conditions());
        text.push_str(
            "scenario  proxy      CPU us/request [least–most]    user  system  requests/s  of nginx  of own plain\n",
        );
        for scenario in self.scenarios() {
            for series in self.series.iter().filter(|each| each.scenario == scenario) {
                text.push_str(&self.line(series).unwrap_or_default());
            }
        }
        text.push('\n');
        for target in self.targets() {
            let verdict = if target.met() { "PASS" } else { "SHORT" };
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(
                text,
                "{verdict:<5} {}: {:.2} [{:.2}–{:.2}], target <= {:.2}",
                target.name, target.ratio.median, target.ratio.least, target.ratio.most, target.most
            );
        }
        if let Some(cost) = self.validation() {
            let (Spread { median, least, most }, us) = (cost.ratio, cost.cpu_us);
            let _ = writeln!(
                text,
                "{:<5} Portcullis, validated orders, of the same unvalidated: {median:.2} [{least:.2}–{most:.2}], which is \
                 {:+.2} us [{:+.2}–{:+.2}] of CPU per request, target <= {VALIDATION_TARGET_US:+.2}",
                if us.median <= VALIDATION_TARGET_US { "PASS" } else { "SHORT" },
                us.median,
                us.least,
                us.most
            );
        }
        let _ = writeln!(text, "\n{}", self.method());
        for series in &self.series {
            let missing: u64 = series.samples.iter().map(|sample| sample.missing_log_lines).sum();
            if missing > 0 {
                let requests: u64 = series.samples.iter().map(|sample| sample.requests).sum();
                let (peer, scenario) = (series.peer.name(), series.scenario.name());
                let _ =
                    writeln!(text, "{peer} ({scenario}): {missing} of {requests} requests left no log line.");
            }
        }
        text
    }

    /// What was done in this run, and nothing that was not.
    fn method(&self) -> String {
        let mut parts = vec![METHOD];
        let measured = |peer: Peer| self.series.iter().any(|series| series.peer == peer);
        parts.extend(Peer::ALL.into_iter().filter(|peer| measured(*peer)).map(set_up));
        if self.of(Peer::Portcullis, Scenario::Plain).is_some() {
            parts.push(PLAIN_CONTROL);
        }
        if self.settings.scenarios.iter().any(|each| *each == Scenario::Keys || each.is_protected()) {
            parts.push(KEYS_METHOD);
        }
        if [Scenario::Tokens, Scenario::TokensUncached]
            .iter()
            .any(|each| self.settings.scenarios.contains(each))
        {
            parts.push(TOKENS_METHOD);
        }
        if self.settings.scenarios.iter().any(|each| each.is_protected()) {
            parts.push(TLS_METHOD);
        }
        if self.settings.scenarios.contains(&Scenario::Grpc) {
            parts.push(GRPC_METHOD);
        }
        for crowd in [Scenario::Thousand, Scenario::TenThousand] {
            if self.of(Peer::Portcullis, crowd).is_some() && !parts.contains(&CROWD_METHOD) {
                parts.push(CROWD_METHOD);
            }
        }
        if self.validation().is_some() {
            parts.push(VALIDATION_METHOD);
        }
        parts.join("\n")
    }

    fn line(&self, series: &Series) -> Option<String> {
        let cpu = series.spread(Sample::cpu_us)?;
        let ratio = |other: Option<&Series>| {
            let ratio = other.and_then(|other| series.ratio_to(other));
            ratio.map_or("–".into(), |ratio| format!("{ratio:.2}"))
        };
        Some(format!(
            "{:<9} {:<10} {:>9.2} [{:>6.2}–{:>6.2}] {:>10.2} {:>7.2} {:>11.0} {:>9} {:>13}\n",
            series.scenario.name(),
            series.peer.name(),
            cpu.median,
            cpu.least,
            cpu.most,
            series.spread(|sample| sample.user_us)?.median,
            series.spread(|sample| sample.system_us)?.median,
            series.spread(|sample| sample.requests_per_second)?.median,
            ratio(self.of(Peer::Nginx, series.scenario)),
            ratio(self.of(series.peer, Scenario::Plain)),
        ))
    }

    /// The targets this run has figures for.
    fn targets(&self) -> Vec<Target> {
        let ratio = |ours: Scenario, peer: Peer, theirs: Scenario| {
            self.of(Peer::Portcullis, ours)?.ratios_to(self.of(peer, theirs)?)
        };
        let plain = ratio(Scenario::Plain, Peer::Nginx, Scenario::Plain);
        let keys = ratio(Scenario::Keys, Peer::Portcullis, Scenario::Plain);
        let on_plain = |peer: Peer, ours| ratio(ours, peer, Scenario::Plain);
        let group = ratio(Scenario::Group, Peer::Portcullis, Scenario::Plain);
        let tokens = ratio(Scenario::Tokens, Peer::Haproxy, Scenario::Tokens);
        let uncached = ratio(Scenario::TokensUncached, Peer::Haproxy, Scenario::Tokens);
        let of_nginx = |scenario: Scenario| ratio(scenario, Peer::Nginx, scenario);
        let targets = [
            ("Portcullis, plain, of nginx, plain", plain, PLAIN_TARGET),
            (
                "Portcullis, keys, of nginx, plain",
                on_plain(Peer::Nginx, Scenario::Keys),
                KEYS_OF_NGINX_TARGET,
            ),
            (
                "Portcullis, keys, of a byte relay",
                on_plain(Peer::Relay, Scenario::Keys),
                KEYS_OF_RELAY_TARGET,
            ),
            ("Portcullis, keys, of Portcullis, plain", keys, KEYS_TARGET),
            (
                "Portcullis, all telemetry, of the access log alone",
                ratio(Scenario::Telemetry, Peer::Portcullis, Scenario::Keys),
                TELEMETRY_TARGET,
            ),
            ("Portcullis, a group of two servers, of one server", group, GROUP_TARGET),
            ("Portcullis, tokens, of HAProxy, tokens", tokens, TOKENS_TARGET),
            ("Portcullis, tokens without a cache, of HAProxy, tokens", uncached, UNCACHED_TARGET),
            ("Portcullis, keys over HTTPS/1.1, of nginx", of_nginx(Scenario::Https), TLS_TARGET),
            ("Portcullis, keys over HTTP/2, of nginx", of_nginx(Scenario::Http2), TLS_TARGET),
            (
                "Portcullis, keys over HTTP/2, of HAProxy",
                ratio(Scenario::Http2, Peer::Haproxy, Scenario::Http2),
                HTTP2_OF_HAPROXY_TARGET,
            ),
            (
                "Portcullis, gRPC calls, of Envoy",
                ratio(Scenario::Grpc, Peer::Envoy, Scenario::Grpc),
                GRPC_OF_ENVOY_TARGET,
            ),
            (
                "Portcullis, 1,000 connections open, of plain",
                on_plain(Peer::Portcullis, Scenario::Thousand),
                CROWD_TARGET,
            ),
            (
                "Portcullis, 10,000 connections open, of plain",
                on_plain(Peer::Portcullis, Scenario::TenThousand),
                CROWD_TARGET,
            ),
            (
                "Portcullis, CPU per full handshake, of nginx",
                of_nginx(Scenario::Handshakes),
                HANDSHAKE_TARGET,
            ),
        ];
        targets
            .into_iter()
            .filter_map(|(name, ratio, most)| Some(Target { name, ratio: ratio?, most }))
            .collect()
    }

    /// What judging orders costs, each round's against the same round's without.
    fn validation(&self) -> Option<Cost> {
        let with = self.of(Peer::Portcullis, Scenario::Validation)?;
        let without = self.of(Peer::Portcullis, Scenario::Orders)?;
        let pairs = with.samples.iter().zip(&without.samples);
        let cpu_us = Spread::of(pairs.map(|(with, without)| with.cpu_us() - without.cpu_us()))?;
        Some(Cost { ratio: with.ratios_to(without)?, cpu_us })
    }

    /// Every figure of every round.
    pub(crate) fn json(&self) -> String {
        let series: Vec<Value> = self.series.iter().map(|each| self.series_json(each)).collect();
        let targets: Vec<Value> = self.targets().iter().map(Target::json).collect();
        let value = json!({
            "machine": {
                "cores": self.machine.cores,
                "processor": self.machine.processor,
                "kernel": self.machine.kernel,
                "load_average_before": self.machine.load,
                "versions": self.machine.versions,
            },
            "seconds": self.settings.seconds,
            "rounds": self.settings.rounds,
            "connections": self.settings.connections,
            "series": series,
            "targets": targets,
            "validation": self.validation().map(|cost| cost.json()),
            "method": self.method(),
        });
        format!("{value:#}\n")
    }

    fn series_json(&self, series: &Series) -> Value {
        let samples: Vec<Value> = series.samples.iter().map(Sample::json).collect();
        json!({
            "proxy": series.peer.name(),
            "scenario": series.scenario.name(),
            "median_cpu_us_per_request": series.spread(Sample::cpu_us).map(|spread| spread.median),
            "ratio_to_nginx": self.of(Peer::Nginx, series.scenario).and_then(|nginx| series.ratio_to(nginx)),
            "ratio_to_own_plain": self.of(series.peer, Scenario::Plain).and_then(|plain| series.ratio_to(plain)),
            "rounds": samples,
        })
    }
}

impl Sample {
    fn json(&self) -> Value {
        json!({
            "requests": self.requests,
            "missing_log_lines": self.missing_log_lines,
            "requests_per_second": self.requests_per_second,
            "user_us_per_request": self.user_us,
            "system_us_per_request": self.system_us,
            "latency_p50_us": self.p50_us,
            "latency_p99_us": self.p99_us,
        })
    }
}

/// What one thing costs on top of another.
struct Cost {
    ratio: Spread,
    cpu_us: Spread,
}

impl Cost {
    fn json(&self) -> Value {
        let Self { ratio, cpu_us } = self;
        json!({
            "ratio": ratio.median, "ratio_range": [ratio.least, ratio.most],
            "cpu_us_per_request": cpu_us.median, "cpu_us_range": [cpu_us.least, cpu_us.most],
        })
    }
}

struct Target {
    name: &'static str,
    ratio: Spread,
    most: f64,
}

impl Target {
    fn met(&self) -> bool {
        self.ratio.median <= self.most
    }

    fn json(&self) -> Value {
        let Spread { median, least, most } = self.ratio;
        json!({
            "name": self.name, "ratio": median, "ratio_range": [least, most], "most": self.most, "met": self.met(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> Report {
        let machine = Machine {
            cores: 2,
            processor: "A <fast> & \"good\" one".into(),
            kernel: "6.1".into(),
            load: "0.10".into(),
            versions: vec!["nginx 1".into()],
        };
        let settings = Settings { seconds: 1, rounds: 2, connections: 64, scenarios: Scenario::ALL.to_vec() };
        let mut report = Report::new(machine, settings);
        // Round two is twice as slow for all, which must not show in the ratios.
        for slowness in [1.0, 2.0] {
            for (peer, plain, keys) in [(Peer::Portcullis, 16.0, 20.0), (Peer::Nginx, 20.0, 21.0)] {
                for (scenario, cpu) in [(Scenario::Plain, plain), (Scenario::Keys, keys)] {
                    let sample = Sample {
                        requests: 1000,
                        missing_log_lines: 0,
                        requests_per_second: 1000.0,
                        user_us: cpu * slowness / 4.0,
                        system_us: cpu * slowness * 3.0 / 4.0,
                        p50_us: Some(1),
                        p99_us: Some(2),
                    };
                    report.add(peer, scenario, sample);
                }
            }
        }
        report
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let verdicts: Vec<_> =
            example().targets().iter().map(|target| (target.ratio.median, target.met())).collect();
        assert_eq!(verdicts, [(0.8, true), (1.0, true), (1.25, false)]);
    }

    #[test]
    fn what_validation_costs_is_said_within_a_round_and_only_where_both_were_measured() {
        let mut report = example();
        assert!(report.validation().is_none() && !report.method().contains("422"));
        let sample = report.of(Peer::Portcullis, Scenario::Plain).unwrap().samples[0].clone();
        for slowness in [1.0, 2.0] {
            for (scenario, cpu) in [(Scenario::Orders, 20.0), (Scenario::Validation, 30.0)] {
                let sample = Sample { user_us: cpu * slowness, system_us: 0.0, ..sample.clone() };
                report.add(Peer::Portcullis, scenario, sample);
            }
        }
        let text = report.text();
        assert!(text.contains("1.50 [1.50–1.50], which is +15.00 us [+10.00–+20.00]"), "{text}");
        assert!(text.contains("422"));
    }

    #[test]
    fn the_table_and_the_json_hold_the_figures() {
        let report = example();
        let text = report.text();
        assert!(text.contains("PASS  Portcullis, plain"), "{text}");
        assert!(text.contains("SHORT Portcullis, keys, of Portcullis"), "{text}");
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["series"][0]["rounds"].as_array().unwrap().len(), 2);
        assert_eq!(json["series"][0]["ratio_to_nginx"], 0.8);
    }

    #[test]
    fn the_method_claims_no_control_that_did_not_run() {
        let mut report = example();
        assert!(report.method().contains("..%2f") && report.method().contains("429"));
        assert!(!report.method().contains("- HAProxy"));
        report.series.retain(|series| series.peer == Peer::Nginx && series.scenario == Scenario::Plain);
        report.settings.scenarios = vec![Scenario::Plain];
        assert!(!report.method().contains("..%2f") && !report.method().contains("429"));
    }
}
