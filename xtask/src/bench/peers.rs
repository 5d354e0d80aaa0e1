//! The proxies that are compared: how each is found, configured and started.
//!
//! The configurations are the files in `bench/peers/`, with ports, paths and keys filled in here.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::failure::{Context, Failure, Outcome};
use crate::process::{Guard, Scratch, free_port, supervised, write};
use crate::{debian, python, workspace};

use super::{Credentials, Scenario, name, orders};

/// Reading 10,000 keys takes a moment, most of all on a busy machine.
const START: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Portcullis,
    Nginx,
    Haproxy,
    /// In plain proxying, with keys, with tokens that it remembers, and with gRPC.
    Envoy,
    /// Passes bytes on, and nothing else: the floor.
    Relay,
}

impl Peer {
    pub(crate) const ALL: [Self; 5] =
        [Self::Portcullis, Self::Nginx, Self::Haproxy, Self::Envoy, Self::Relay];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portcullis => "Portcullis",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::Relay => "byte relay",
        }
    }

    /// How many access log lines may be missing after so many requests.
    pub(crate) fn tolerated_missing_lines(self, requests: u64) -> u64 {
        match self {
            Self::Portcullis | Self::Nginx | Self::Envoy | Self::Relay => 0,
            // HAProxy gives a line up when another thread holds the output for too long (`fd_write_frag_line` in its
            // src/fd.c), which happens to a few in 100,000 here. One in 100 would be another matter.
            Self::Haproxy => requests / 100,
        }
    }

    /// Whether there is anything to compare: nginx verifies no tokens, and HAProxy remembers none, so that its one figure
    /// stands for both. Neither judges a body by a schema.
    pub(crate) fn takes_part(self, scenario: Scenario) -> bool {
        self.template(scenario).is_some()
    }

    fn template(self, scenario: Scenario) -> Option<&'static str> {
        Some(match (self, scenario) {
            (Self::Portcullis, Scenario::Plain | Scenario::Thousand | Scenario::TenThousand) => {
                include_str!("../../../bench/peers/portcullis-plain.yaml")
            }
            // It has nothing to configure.
            (Self::Relay, Scenario::Plain) => "127.0.0.1:@PORT@",
            (Self::Portcullis, Scenario::Keys) => include_str!("../../../bench/peers/portcullis-keys.yaml"),
            (Self::Nginx, Scenario::Plain | Scenario::Thousand | Scenario::TenThousand) => {
                include_str!("../../../bench/peers/nginx-plain.conf")
            }
            (Self::Nginx, Scenario::Keys) => include_str!("../../../bench/peers/nginx-keys.conf"),
            (Self::Portcullis, Scenario::Telemetry) => {
                include_str!("../../../bench/peers/portcullis-telemetry.yaml")
            }
            (Self::Haproxy, Scenario::Plain) => include_str!("../../../bench/peers/haproxy-plain.cfg"),
            (Self::Haproxy, Scenario::Keys) => include_str!("../../../bench/peers/haproxy-keys.cfg"),
            (Self::Portcullis, Scenario::Https | Scenario::Http2 | Scenario::Handshakes) => {
                include_str!("../../../bench/peers/portcullis-tls.yaml")
            }
            (Self::Nginx, Scenario::Https | Scenario::Http2 | Scenario::Handshakes) => {
                include_str!("../../../bench/peers/nginx-tls.conf")
            }
            (Self::Haproxy, Scenario::Https | Scenario::Http2 | Scenario::Handshakes) => {
                include_str!("../../../bench/peers/haproxy-tls.cfg")
            }
            (Self::Portcullis, Scenario::Tokens | Scenario::TokensUncached) => {
                include_str!("../../../bench/peers/portcullis-tokens.yaml")
            }
            (Self::Portcullis, Scenario::Orders | Scenario::Validation) => {
                include_str!("../../../bench/peers/portcullis-orders.yaml")
            }
            (Self::Portcullis, Scenario::Group) => {
                include_str!("../../../bench/peers/portcullis-group.yaml")
            }
            (Self::Portcullis, Scenario::Grpc) => include_str!("../../../bench/peers/portcullis-grpc.yaml"),
            (Self::Envoy, Scenario::Plain) => include_str!("../../../bench/peers/envoy-plain.yaml"),
            (Self::Envoy, Scenario::Keys) => include_str!("../../../bench/peers/envoy-keys.yaml"),
            (Self::Envoy, Scenario::Tokens) => include_str!("../../../bench/peers/envoy-tokens.yaml"),
            (Self::Envoy, Scenario::Grpc) => include_str!("../../../bench/peers/envoy-grpc.yaml"),
            (Self::Haproxy, Scenario::Tokens) => include_str!("../../../bench/peers/haproxy-tokens.cfg"),
            (
                Self::Nginx,
                Scenario::Tokens
                | Scenario::TokensUncached
                | Scenario::Orders
                | Scenario::Validation
                | Scenario::Telemetry
                | Scenario::Grpc
                | Scenario::Group,
            )
            | (
                Self::Haproxy,
                Scenario::TokensUncached
                | Scenario::Orders
                | Scenario::Validation
                | Scenario::Telemetry
                | Scenario::Grpc
                | Scenario::Group
                | Scenario::Thousand
                | Scenario::TenThousand,
            )
            | (Self::Envoy | Self::Relay, _) => {
                return None;
            }
        })
    }
}

/// An installed or freshly built proxy.
#[derive(Debug)]
pub(crate) struct Program {
    peer: Peer,
    path: PathBuf,
}

impl Program {
    /// Finds, installs or builds what is to be measured.
    pub(crate) fn find_all(is_left_out: impl Fn(Peer) -> bool, gateway: Option<&Path>) -> Outcome<Vec<Self>> {
        let wanted = Peer::ALL.into_iter().filter(|peer| !is_left_out(*peer));
        wanted.map(|peer| Self::find(peer, gateway)).collect()
    }

    /// The one that also serves as the backend.
    pub(crate) fn nginx(programs: &[Self]) -> Outcome<&Self> {
        programs.iter().find(|program| program.peer == Peer::Nginx).context(|| "nginx was not found".into())
    }

    fn find(peer: Peer, gateway: Option<&Path>) -> Outcome<Self> {
        let path = match (peer, gateway) {
            (Peer::Portcullis, Some(gateway)) => gateway.to_owned(),
            (Peer::Portcullis, None) => {
                let path = workspace::build_for_distribution(&["-p", "portcullis-cli"])?.join("portcullis");
                if !path.is_file() {
                    return Err(Failure::new(format!("the build left no {}", path.display())));
                }
                path
            }
            (Peer::Nginx, _) => debian::require("nginx", "nginx")?,
            (Peer::Haproxy, _) => debian::require("haproxy", "haproxy")?,
            (Peer::Envoy, _) => python::require_binary(&python::ENVOY, "envoy/_bin/envoy")?,
            (Peer::Relay, _) => std::env::current_exe().context(|| "finding this program".into())?,
        };
        Ok(Self { peer, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Name and version, from the first line that the program prints to either output.
    pub(crate) fn version(&self) -> String {
        let question = match self.peer {
            Peer::Portcullis | Peer::Envoy => "--version",
            Peer::Nginx | Peer::Haproxy => "-v",
            Peer::Relay => return "a byte relay of our own".to_owned(),
        };
        let Ok(output) = Command::new(&self.path).arg(question).output() else {
            return format!("{} of unknown version", self.peer.name());
        };
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let line = said.lines().find(|line| !line.is_empty()).unwrap_or_default();
        match self.peer {
            // Such as "nginx version: nginx/1.22.1".
            Peer::Nginx => line.trim_start_matches("nginx version: ").to_owned(),
            // Such as "HAProxy version 2.6.12 2026/10/17 - https://haproxy.org/".
            Peer::Haproxy => line.split(' ').take(3).collect::<Vec<_>>().join(" "),
            // Such as ".../envoy  version: 5c39b6b0/1.40.0/Clean/RELEASE/BoringSSL".
            Peer::Envoy => format!("Envoy {}", line.split('/').rev().nth(3).unwrap_or_default()),
            Peer::Portcullis | Peer::Relay => line.to_owned(),
        }
    }
}

/// A running proxy with the configuration of a scenario.
#[derive(Debug)]
pub(crate) struct Server {
    peer: Peer,
    scenario: Scenario,
    port: u16,
    log: PathBuf,
    process: Guard,
}

impl Server {
    pub(crate) fn start(
        program: &Program,
        scenario: Scenario,
        backend: u16,
        credentials: &Credentials,
        scratch: &Scratch,
    ) -> Outcome<Self> {
        let peer = program.peer;
        let folder = scratch.folder(&format!("{}-{}", peer.name(), scenario.name()))?;
        let port = free_port()?;
        let log = folder.join("access.log");
        let Credentials { keys, tokens, certificate } = credentials;
        let issuer = folder.join("issuer");
        match peer {
            Peer::Portcullis | Peer::Envoy => write(&issuer, &tokens.key_set)?,
            Peer::Nginx | Peer::Haproxy | Peer::Relay => write(&issuer, &tokens.pem)?,
        }
        let cached = match scenario {
            Scenario::TokensUncached => "0",
            Scenario::Plain
            | Scenario::Keys
            | Scenario::Tokens
            | Scenario::Https
            | Scenario::Http2
            | Scenario::Grpc
            | Scenario::Handshakes
            | Scenario::Orders
            | Scenario::Validation
            | Scenario::Group
            | Scenario::Telemetry
            | Scenario::Thousand
            | Scenario::TenThousand => "10000",
        };
        let document = folder.join("orders.yaml");
        write(&document, orders::DOCUMENT)?;
        let judged = if scenario == Scenario::Validation {
            format!("openapi: \"{}\"", document.display())
        } else {
            String::new()
        };
        let (consumers, roles) = match (peer, scenario) {
            (
                Peer::Portcullis,
                Scenario::Keys
                | Scenario::Telemetry
                | Scenario::Grpc
                | Scenario::Https
                | Scenario::Http2
                | Scenario::Handshakes,
            ) => (keys.portcullis_consumers(), String::new()),
            (
                Peer::Nginx,
                Scenario::Keys
                | Scenario::Telemetry
                | Scenario::Https
                | Scenario::Http2
                | Scenario::Handshakes,
            ) => {
                let files = [("consumers", keys.nginx_consumers()), ("roles", keys.nginx_roles())];
                in_files(&folder, files)?
            }
            (
                Peer::Haproxy,
                Scenario::Keys
                | Scenario::Telemetry
                | Scenario::Https
                | Scenario::Http2
                | Scenario::Handshakes,
            ) => {
                let files = [("consumers", keys.haproxy_consumers()), ("roles", keys.haproxy_roles())];
                in_files(&folder, files)?
            }
            (Peer::Envoy, Scenario::Grpc | Scenario::Keys) => (keys.envoy_credentials(), String::new()),
            (Peer::Nginx | Peer::Haproxy, Scenario::Grpc) => (String::new(), String::new()),
            (
                Peer::Portcullis | Peer::Nginx | Peer::Haproxy,
                Scenario::Plain
                | Scenario::Tokens
                | Scenario::TokensUncached
                | Scenario::Orders
                | Scenario::Validation
                | Scenario::Group
                | Scenario::Thousand
                | Scenario::TenThousand,
            )
            | (Peer::Envoy | Peer::Relay, _) => (String::new(), String::new()),
        };
        let template = peer.template(scenario);
        let text = fill(
            template.context(|| format!("{} has no part in this", name(peer, scenario)))?,
            &[
                ("PORT", &port.to_string()),
                ("BACKEND", &backend.to_string()),
                ("DIR", &folder.display().to_string()),
                ("LOG", &log.display().to_string()),
                ("CONSUMERS", &consumers),
                ("ROLES", &roles),
                ("ISSUER", &issuer.display().to_string()),
                ("CACHED", cached),
                ("OPENAPI", &judged),
                ("CERTIFICATE", &certificate.chain.display().to_string()),
                ("KEY", &certificate.key.display().to_string()),
                ("BOTH", &certificate.both.display().to_string()),
            ],
        )?;
        let mut starting = match peer {
            Peer::Relay => {
                // It writes nothing into it.
                write(&log, "")?;
                super::relay::command(port, backend)?
            }
            Peer::Portcullis | Peer::Nginx | Peer::Haproxy | Peer::Envoy => {
                command(program, &folder, &log, &text)?
            }
        };
        let mut process = Guard::spawn(name(peer, scenario), &mut starting)?;
        process
            .wait_until_listening(port, START)
            .map_err(|failure| Failure::new(format!("{failure}\n{}", what_it_said(&folder))))?;
        Ok(Self { peer, scenario, port, log, process })
    }

    pub(crate) fn name(&self) -> String {
        name(self.peer, self.scenario)
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    pub(crate) fn scenario(&self) -> Scenario {
        self.scenario
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }
}

/// Writes the configuration, and says how each program is started with it.
fn command(program: &Program, folder: &Path, log: &Path, configuration: &str) -> Outcome<Command> {
    let open = |path: &Path| {
        // Appending keeps what is written after the file was cut to nothing at its start.
        let file = File::options().create(true).append(true).open(path);
        file.context(|| format!("opening {}", path.display()))
    };
    let mut command = supervised(program.path());
    command.stdin(Stdio::null()).stderr(open(&folder.join("messages"))?);
    match program.peer {
        Peer::Portcullis => {
            let file = folder.join("gateway.yaml");
            write(&file, configuration)?;
            command.arg("run").arg(&file).stdout(open(&folder.join("messages"))?);
        }
        Peer::Nginx => {
            let file = folder.join("nginx.conf");
            write(&file, configuration)?;
            command.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(&file);
            command.stdout(open(&folder.join("messages"))?);
        }
        Peer::Haproxy => {
            let file = folder.join("haproxy.cfg");
            write(&file, configuration)?;
            command.arg("-db").arg("-f").arg(&file).stdout(open(log)?);
        }
        Peer::Envoy => {
            let file = folder.join("envoy.yaml");
            write(&file, configuration)?;
            // As often as the others write their logs.
            command.args([
                "--concurrency",
                "2",
                "--use-dynamic-base-id",
                "--file-flush-interval-msec",
                "100",
            ]);
            command.args(["--log-level", "error", "-c"]).arg(&file).stdout(open(&folder.join("messages"))?);
        }
        Peer::Relay => {}
    }
    Ok(command)
}

/// Writes two files and answers with their paths.
fn in_files(folder: &Path, files: [(&str, String); 2]) -> Outcome<(String, String)> {
    let [first, second] = files.map(|(name, text)| {
        let path = folder.join(name);
        write(&path, &text).map(|()| path.display().to_string())
    });
    Ok((first?, second?))
}

/// The end of what a program wrote that did not start.
fn what_it_said(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("messages")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}

/// Puts values in the place of `@NAME@`, and fails if one is left.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> Outcome<String> {
    let mut text = template.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("@{name}@"), value);
    }
    match text.split('@').nth(1) {
        None => Ok(text),
        Some(left) => {
            Err(Failure::new(format!("a configuration template has a name without a value: {left:.20}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_filled_entirely() {
        let values = [
            "PORT",
            "BACKEND",
            "DIR",
            "LOG",
            "CONSUMERS",
            "ROLES",
            "ISSUER",
            "CACHED",
            "OPENAPI",
            "CERTIFICATE",
            "KEY",
            "BOTH",
        ]
        .map(|name| (name, "1"));
        for peer in Peer::ALL {
            for scenario in Scenario::ALL {
                let Some(template) = peer.template(scenario) else { continue };
                let text = fill(template, &values).unwrap();
                assert!(text.contains("127.0.0.1:1"), "{peer:?} {scenario:?} listens on loopback only");
                assert!(!text.contains("0.0.0.0") && !text.contains('*'), "{peer:?} {scenario:?}");
            }
        }
    }

    #[test]
    fn a_name_without_a_value_is_an_error() {
        assert!(fill("listen @PORT@ @OTHER@", &[("PORT", "1")]).is_err());
        assert_eq!(fill("listen @PORT@", &[("PORT", "1")]).unwrap(), "listen 1");
    }
}
