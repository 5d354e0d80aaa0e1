//! TLS towards clients: which certificates, which protocols, whose client certificates, and for how long a handshake may go on.
//!
//! TLS 1.3 and 1.2 with the suites of rustls, all of which are authenticated encryption with forward secrecy; X25519MLKEM768
//! is offered first. There is no renegotiation, no compression and no early data. What is read from files is read again
//! when they change, and replaced as a whole: new connections get it, running ones keep theirs. Files that are bad leave
//! what there was in place, and are told of.
//!
//! | module        | decides                                                        |
//! |---------------|----------------------------------------------------------------|
//! | [`pair`]        | whether a certificate and its key can be served with             |
//! | [`names`]       | which certificate a client gets                                |
//! | [`clients`]     | whose client certificates are believed                         |
//! | [`subject`]     | how a certificate's subject is written                         |
//! | [`handshake`]   | what becomes of a connection until it is protected             |
//! | [`upstream`]    | whom the gateway believes behind it                            |
//! | [`watch`]       | when files are read again, and what is said of old certificates  |
//! | [`acme`]        | how a certificate is got and renewed without anybody's help      |
//! | [`self_signed`] | a certificate for this machine alone                           |

pub mod acme;
mod clients;
pub(crate) mod handshake;
mod names;
mod pair;
mod problem;
mod self_signed;
mod subject;
mod upstream;
mod watch;

pub use clients::ClientSettings;
pub use pair::{Pair, PairFiles, covers};
pub use problem::{Fault, Problem};
pub use self_signed::self_signed;
pub use upstream::{UpstreamTls, UpstreamTlsSettings};
pub use watch::Watch;

use acme::{AcmeSettings, Challenges};
use arc_swap::ArcSwap;
use names::Names;
use portcullis_core::pool::{Bounds, Pool};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerConfig};
use rustls::version::{TLS12, TLS13};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oldest {
    /// TLS 1.2 (RFC 5246), with authenticated encryption and forward secrecy alone.
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// Where the certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From files, which are looked at again.
    Files(Vec<PairFiles>),
    /// From an authority that is asked for them (RFC 8555). There may be none yet.
    Acme(Arc<AcmeSettings>),
    /// They were made by this process, and stay.
    Memory,
}

/// What a listener's TLS is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Where the certificates come from.
    pub source: Source,
    /// Which client certificates are asked for; `None` for none.
    pub clients: Option<ClientSettings>,
    /// The oldest version that is spoken.
    pub oldest: Oldest,
    /// Which protocols a client can choose (RFC 7301), the best one first.
    pub protocols: Vec<Protocol>,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// The most handshakes at once, over all workers; one address has half of them. Others wait their turn.
    pub max_handshakes: usize,
    /// How often its files are looked at.
    pub reload_interval: Duration,
    /// The certificate that somebody has to trust who wants to try it, in PEM, if the process made it itself.
    pub trust: Option<String>,
}

impl TlsSettings {
    /// Whether both say the same, but for a certificate that the process made itself.
    pub fn says_as(&self, other: &TlsSettings) -> bool {
        TlsSettings { trust: None, ..self.clone() } == TlsSettings { trust: None, ..other.clone() }
    }
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// Its name in a handshake (RFC 7301, section 6).
    fn alpn(self) -> &'static [u8] {
        match self {
            Protocol::Http1 => b"http/1.1",
            Protocol::Http2 => b"h2",
        }
    }
}

/// The TLS of a listener. Shared by its workers; a connection takes a snapshot when it begins.
pub struct Tls {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    pairs: ArcSwap<Vec<Pair>>,
    config: ArcSwap<ServerConfig>,
    /// Seconds since 1970 at which the first of its certificates ends.
    expires: AtomicU64,
    handshakes: Pool,
    completed: AtomicU64,
    challenges: Arc<Challenges>,
}

impl Tls {
    /// The TLS of these settings, with these certificates.
    ///
    /// # Errors
    /// No certificate; authorities or lists that cannot be read; no randomness for tickets.
    pub fn new(settings: TlsSettings, pairs: &[Pair]) -> Result<Arc<Tls>, Problem> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = configure(&settings, &provider, pairs)?;
        let handshakes = Pool::new(shared_by_addresses(settings.max_handshakes));
        Ok(Arc::new(Tls {
            settings,
            provider,
            pairs: ArcSwap::from_pointee(pairs.to_vec()),
            config: ArcSwap::from_pointee(config),
            expires: AtomicU64::new(first_end(pairs)),
            handshakes,
            completed: AtomicU64::new(0),
            challenges: Arc::default(),
        }))
    }

    /// What it was told.
    pub fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// Time since 1970 at which the first of its certificates ends; `None` while there is none.
    pub fn expires(&self) -> Option<Duration> {
        let expires = self.expires.load(Ordering::Relaxed);
        (expires > 0).then_some(Duration::from_secs(expires))
    }

    /// What a new connection of a listener outside the front is protected with.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Handshakes that were completed so far.
    pub fn handshakes_completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    /// The first of its certificates.
    pub fn first(&self) -> Option<Pair> {
        self.pairs.load().first().cloned()
    }

    /// How its certificate is ordered, if it is.
    pub fn acme(&self) -> Option<&Arc<AcmeSettings>> {
        match &self.settings.source {
            Source::Acme(acme) => Some(acme),
            Source::Files(_) | Source::Memory => None,
        }
    }

    /// What proves its hosts while a certificate is ordered.
    pub fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// The names of all its certificates, and of those that it is going to have.
    pub fn names(&self) -> Vec<String> {
        let ordered = self.acme().map(|acme| acme.domains.clone()).unwrap_or_default();
        self.pairs.load().iter().flat_map(Pair::names).cloned().chain(ordered).collect()
    }

    /// Whether one of its certificates is, or is going to be, for this host.
    pub fn covers(&self, host: &str) -> bool {
        self.names().iter().any(|name| covers(name, host))
    }

    /// Reads its files again. New connections get what they hold; tickets of old ones are no longer taken. A certificate whose
    /// files cannot be used stays as it was, and the others are served all the same.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn reload(&self) -> Result<(), Vec<Fault>> {
        let before = self.pairs.load_full();
        let mut faults = Vec::new();
        let pairs = match &self.settings.source {
            Source::Files(files) => {
                let mut pairs = Vec::with_capacity(files.len());
                for (index, files) in files.iter().enumerate() {
                    match Pair::read(files) {
                        Ok(pair) => pairs.push(pair),
                        Err(problem) => {
                            faults.push(Fault { files: Some(files.clone()), problem });
                            pairs.extend(before.get(index).cloned());
                        }
                    }
                }
                pairs
            }
            // The certificates stay; whose client certificates are believed is read again.
            Source::Memory | Source::Acme(_) => before.to_vec(),
        };
        if let Err(problem) = self.replace(&pairs) {
            faults.push(Fault { files: None, problem });
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Serves new connections with these certificates.
    ///
    /// # Errors
    /// As at the start; what there was stays.
    pub fn replace(&self, pairs: &[Pair]) -> Result<(), Problem> {
        let config = configure(&self.settings, &self.provider, pairs)?;
        self.config.store(Arc::new(config));
        self.pairs.store(Arc::new(pairs.to_vec()));
        self.expires.store(first_end(pairs), Ordering::Relaxed);
        Ok(())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Half of them for one address, and as many may wait as there are.
fn shared_by_addresses(units: usize) -> Bounds {
    Bounds { units, share: units.div_ceil(2), waiting: units }
}

fn first_end(pairs: &[Pair]) -> u64 {
    pairs.iter().map(|pair| pair.expires().as_secs()).min().unwrap_or(0)
}

fn configure(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    pairs: &[Pair],
) -> Result<ServerConfig, Problem> {
    if pairs.is_empty() && !matches!(settings.source, Source::Acme(_)) {
        return Err(Problem::Certificate("there is none".to_owned()));
    }
    let failed = |error: rustls::Error| Problem::Unusable(error.to_string());
    let versions = match settings.oldest {
        Oldest::Tls12 => &[&TLS13, &TLS12][..],
        Oldest::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider));
    let builder = builder.with_protocol_versions(versions).map_err(failed)?;
    let builder = match &settings.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(clients.verifier(provider)?),
    };
    let names = Names::new(pairs, settings.source == Source::Memory);
    let mut config = builder.with_cert_resolver(Arc::new(names));
    config.alpn_protocols = settings.protocols.iter().map(|protocol| protocol.alpn().to_vec()).collect();
    // The strongest suite that both know, not the client's favourite.
    config.ignore_client_order = true;
    // Tickets alone carry sessions on, so that workers share neither a table nor its lock.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match &settings.clients {
        None => config.ticketer = tickets().map_err(failed)?,
        // SECURITY: a session that goes on does not verify the client's certificate anew, which may have been revoked
        // since (a_revoked_certificate_does_not_come_back_by_a_ticket).
        Some(_) => config.send_tls13_tickets = 0,
    }
    Ok(config)
}

/// Tickets under a key of this process, which changes every six hours and is forgotten after twelve.
fn tickets() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    aws_lc_rs::Ticketer::new()
}
