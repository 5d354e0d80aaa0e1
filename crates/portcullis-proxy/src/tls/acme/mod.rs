//! Certificates that the gateway gets and renews by itself (ACME, RFC 8555).
//!
//! A job beside the requests keeps a listener's certificate: it orders the first one, orders another before that one ends,
//! and puts it in place for new connections; running ones keep theirs. Requests and the start never wait for it. Whatever
//! fails leaves the last certificate in place, is told of, and is tried again, ever later. Until there is a certificate,
//! handshakes are refused.
//!
//! | module      | decides                                                              |
//! |-------------|----------------------------------------------------------------------|
//! | [`client`]    | how the authority's server is spoken to                                |
//! | [`order`]     | how one certificate is ordered, and what is wrong with what comes back |
//! | [`challenges`] | what proves that a host is ours, and who is told it                   |
//! | [`storage`]   | what is kept in files, and who of several gateways orders               |
//! | [`schedule`]  | when a certificate is renewed, and when a failure is tried again        |

mod challenges;
mod client;
mod failure;
mod order;
mod schedule;
mod storage;

pub use challenges::Challenges;
pub use storage::judge_folder;

use super::{Pair, Tls, covers};
use bytes::Bytes;
use client::{Asked, Client};
use failure::Failure;
use instant_acme::{Account, CertificateIdentifier};
use order::Offer;
use portcullis_core::{Effects, Job, Wait};
use schedule::Window;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use storage::{Stamp, Storage};

/// How often the folder is looked at, and the clock. A proof is offered for twice as long before the authority hears of it,
/// so that every gateway with the same folder has it.
const LOOK: Duration = Duration::from_secs(1);
/// The least time between two questions for the authority's wish.
const ASK_PAUSE: Duration = Duration::from_secs(60);
/// How long an order may take in all.
const ORDER_TIME: Duration = Duration::from_secs(600);
/// When the authority is asked again for its wish where it gave no answer.
const ASK_AGAIN: Duration = Duration::from_secs(6 * 3600);

/// How a host is proven to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By a handshake on the listener itself (TLS-ALPN-01, RFC 8737).
    TlsAlpn,
    /// By an answer in the clear (HTTP-01, RFC 8555, section 8.3).
    Http,
}

/// Where certificates come from, and for which hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeSettings {
    /// The hosts, in lower case; at least one.
    pub domains: Vec<String>,
    /// Whom the authority may write to, as `mailto:` addresses.
    pub contact: Vec<String>,
    /// The directory of the authority's server.
    pub directory: String,
    /// Certificates in DER of the authorities that its server is believed by; `None` for the usual ones.
    pub authorities: Option<Arc<[Bytes]>>,
    /// The folder for the account and the certificates.
    pub storage: PathBuf,
    /// The ACME challenge that proves control of a host.
    pub proof: Proof,
    /// How long before its end a certificate is renewed at the latest; `None` for a third of its life.
    pub renew_before: Option<Duration>,
    /// The first pause after a failure, and the least time between two orders.
    pub retry_interval: Duration,
}

impl AcmeSettings {
    /// The certificate that was kept of an earlier run, if it can be served.
    pub fn stored(&self) -> Option<Pair> {
        Storage::new(self).pair().ok().flatten().filter(|pair| self.is_covered_by(pair))
    }

    fn is_covered_by(&self, pair: &Pair) -> bool {
        self.domains.iter().all(|domain| pair.names().iter().any(|name| covers(name, domain)))
    }
}

/// Keeps the certificate of a listener.
pub struct Renewal {
    tls: Arc<Tls>,
    settings: Arc<AcmeSettings>,
    storage: Storage,
}

/// What the job remembers from one turn to the next.
struct State {
    /// What stood in the folder when it was read last.
    seen: Option<Stamp>,
    /// The proofs of another gateway that are offered here.
    mirrored: Option<Stamp>,
    account: Option<Account>,
    /// What the authority wishes (RFC 9773), for which certificate, and when it is asked again.
    window: Option<(String, Window)>,
    ask_at: Duration,
    /// When the next order may begin, on the clock that never goes back.
    retry_at: Duration,
    failures: u32,
    /// Between 0 and 1, so that many gateways do not renew at the same moment.
    share: f64,
}

impl Renewal {
    /// Whether it renews the certificates of this TLS.
    pub fn is_of(&self, tls: &Arc<Tls>) -> bool {
        Arc::ptr_eq(&self.tls, tls)
    }

    /// Keeps the certificate of this TLS, if it is one that is ordered.
    pub fn of(tls: &Arc<Tls>) -> Option<Renewal> {
        let settings = Arc::clone(tls.acme()?);
        let storage = Storage::new(&settings);
        Some(Renewal { tls: Arc::clone(tls), settings, storage })
    }

    async fn keep(&self, effects: &dyn Effects, client: Client) {
        let mut state = State {
            seen: None,
            mirrored: None,
            account: None,
            window: None,
            ask_at: Duration::ZERO,
            retry_at: Duration::ZERO,
            failures: 0,
            share: schedule::share(effects.random()),
        };
        loop {
            let wait = self.turn(effects, &client, &mut state).await;
            effects.sleep(wait).await;
        }
    }

    /// Does what is to be done now. The answer is after how long to look again.
    async fn turn(&self, effects: &dyn Effects, client: &Client, state: &mut State) -> Duration {
        self.adopt(effects, state);
        self.mirror(state);
        self.ask_for_window(effects, client, state).await;
        let now = effects.now();
        let wait = self.due(state).saturating_sub(now.unix);
        if !wait.is_zero() {
            return wait.min(LOOK);
        }
        let wait = state.retry_at.saturating_sub(now.monotonic);
        if !wait.is_zero() {
            return wait.min(LOOK);
        }
        // SECURITY: of several gateways with one folder one orders, and the others take what it gets
        // (one_folder_orders_once).
        let lock = match self.storage.lock() {
            Ok(Some(lock)) => lock,
            Ok(None) => return LOOK,
            Err(error) => {
                let what = format!("the folder {} cannot be used: {error}", self.settings.storage.display());
                return self.failed(effects, state, &Failure { what, ..Failure::default() });
            }
        };
        // Whoever had the lock before may have ordered, or failed.
        self.adopt(effects, state);
        if self.due(state) > now.unix {
            return Duration::ZERO;
        }
        if let Some((wait, failures)) = self.storage.pause(now.unix) {
            state.failures = failures;
            state.retry_at = now.monotonic.saturating_add(wait);
            let file = self.storage.pause_file();
            effects.notice(
                "acme",
                &format!(
                    "the last order for {} failed; the next one is in {} s. Remove {} and start again to order at once",
                    self.domains(),
                    wait.as_secs(),
                    file.display()
                ),
            );
            return wait.min(LOOK);
        }
        let ordered = tokio::select! {
            biased;
            ordered = self.order(effects, client, state) => ordered,
            () = effects.sleep(ORDER_TIME) => Err(Failure::new("the order was not complete in time")),
        };
        let wait = match ordered {
            Ok(()) => {
                state.failures = 0;
                state.window = None;
                state.retry_at = effects.now().monotonic.saturating_add(self.settings.retry_interval);
                Duration::ZERO
            }
            Err(failure) => self.failed(effects, state, &failure),
        };
        drop(lock);
        wait
    }

    /// When the certificate is renewed, since 1970.
    fn due(&self, state: &State) -> Duration {
        let Some(pair) = self.tls.first() else { return Duration::ZERO };
        let window = state.window.as_ref().filter(|(id, _)| Some(id) == name(&pair).as_ref());
        schedule::due(
            (pair.starts(), pair.expires()),
            self.settings.renew_before,
            window.map(|(_, window)| window),
            state.share,
        )
    }

    /// Serves what another gateway with the same folder, or an earlier run, got.
    fn adopt(&self, effects: &dyn Effects, state: &mut State) {
        let found = self.storage.stamp();
        if state.seen == found {
            return;
        }
        state.seen = found;
        let file = self.storage.certificate_file();
        let unusable = |why: &str| {
            effects.notice("acme", &format!("the stored certificate {} is not used: {why}", file.display()));
        };
        match self.storage.pair() {
            Ok(None) => {}
            Ok(Some(pair)) if !self.settings.is_covered_by(&pair) => unusable("it is for other hosts"),
            Ok(Some(pair)) => {
                if self.tls.first().is_some_and(|served| served.expires() >= pair.expires()) {
                    return;
                }
                match self.tls.replace(&[pair]) {
                    Ok(()) => {
                        effects.notice("acme", &format!("a stored certificate serves {}", self.domains()))
                    }
                    Err(problem) => unusable(&problem.to_string()),
                }
            }
            Err(problem) => unusable(&problem.to_string()),
        }
    }

    /// Offers what another gateway with the same folder has to prove, and ends when that one does.
    fn mirror(&self, state: &mut State) {
        let found = self.storage.proofs_stamp();
        if state.mirrored.is_none() && found.is_none() {
            return;
        }
        let proofs = self.storage.proofs();
        if state.mirrored != found || proofs.is_empty() {
            state.mirrored = found;
            let ours = proofs.iter().all(|one| self.settings.domains.contains(&one.domain));
            if !ours || self.tls.challenges().set(&proofs, self.settings.proof).is_err() {
                self.tls.challenges().clear();
            }
        }
    }

    async fn order(&self, effects: &dyn Effects, client: &Client, state: &mut State) -> Result<(), Failure> {
        if state.account.is_none() {
            state.account = Some(order::account(effects, client, &self.settings, &self.storage).await?);
        }
        let Some(account) = &state.account else { return Err(Failure::new("there is no account")) };
        let served = self.tls.first();
        let replaces = served.as_ref().and_then(|pair| {
            // Only where the authority knows the certificate, and not after it has refused.
            let known = state.window.as_ref().is_some_and(|(id, _)| Some(id) == name(pair).as_ref());
            (known && state.failures == 0).then(|| identifier(pair)).flatten()
        });
        let offer = Offer { effects, challenges: self.tls.challenges(), storage: &self.storage };
        let issued = order::certificate(account, &self.settings, &offer, replaces).await;
        drop(offer);
        let issued = issued.map_err(|failure| client.with_retry_after(failure))?;
        // Stored before it is served: what clients have seen shall not be forgotten.
        if let Err(error) = self.storage.keep(&issued.pem) {
            let file = self.storage.certificate_file();
            let told =
                format!("the new certificate serves, and cannot be stored in {}: {error}", file.display());
            effects.notice("acme", &told);
        }
        state.seen = self.storage.stamp();
        self.tls.replace(&[issued.pair]).map_err(|problem| Failure::new(problem.to_string()))?;
        self.storage.forget_pause();
        effects.notice("acme", &format!("a new certificate serves {}", self.domains()));
        Ok(())
    }

    fn failed(&self, effects: &dyn Effects, state: &mut State, failure: &Failure) -> Duration {
        // The directory may have changed since, and the account's server.
        state.account = None;
        state.failures = state.failures.saturating_add(1);
        let share = schedule::share(effects.random());
        let wait = schedule::pause(self.settings.retry_interval, state.failures, failure.retry_after, share);
        let now = effects.now();
        state.retry_at = now.monotonic.saturating_add(wait);
        // Kept, so that a gateway that is started again and again does not ask the authority each time.
        self.storage.remember_pause(now.unix.saturating_add(wait), state.failures);
        if failure.account_is_gone {
            self.storage.set_account_aside();
        }
        effects.notice(
            "acme",
            &format!(
                "no certificate for {}: {}; tried again in {} s",
                self.domains(),
                client::printable(&failure.what),
                wait.as_secs()
            ),
        );
        wait.min(LOOK)
    }

    /// Asks the authority when it wants the certificate renewed (RFC 9773). Whatever fails leaves our own schedule.
    async fn ask_for_window(&self, effects: &dyn Effects, client: &Client, state: &mut State) {
        let now = effects.now().monotonic;
        let Some(pair) = self.tls.first() else { return };
        if now < state.ask_at || !self.storage.has_account() {
            return;
        }
        state.ask_at = now.saturating_add(ASK_AGAIN);
        let (Some(id), Some(identifier)) = (name(&pair), identifier(&pair)) else { return };
        if state.account.is_none() {
            let stored = order::stored_account(client, &self.settings, &self.storage).await;
            state.account = stored.ok().flatten();
        }
        let Some(account) = &state.account else { return };
        if let Ok((info, again)) = account.renewal_info(&identifier).await {
            let seconds = |at: i64| Duration::from_secs(u64::try_from(at).unwrap_or(0));
            let window = &info.suggested_window;
            let window = Window {
                start: seconds(window.start.unix_timestamp()),
                end: seconds(window.end.unix_timestamp()),
            };
            state.window = Some((id, window));
            state.ask_at = now.saturating_add(again.clamp(ASK_PAUSE, schedule::DAY));
        }
    }

    fn domains(&self) -> String {
        self.settings.domains.join(", ")
    }
}

/// How the authority calls a certificate (RFC 9773, section 4.1).
fn identifier(pair: &Pair) -> Option<CertificateIdentifier<'static>> {
    let certificate = pair.certificate()?;
    CertificateIdentifier::try_from(certificate).ok().map(CertificateIdentifier::into_owned)
}

fn name(pair: &Pair) -> Option<String> {
    identifier(pair).map(|identifier| identifier.to_string())
}

impl Job for Renewal {
    fn name(&self) -> String {
        format!("the certificate for {}", self.domains())
    }

    fn run<'a>(&'a self, effects: &'a dyn Effects) -> Wait<'a, ()> {
        Box::pin(async move {
            let (client, asked): (Client, Asked) = client::pair(&self.settings);
            client::serve(effects, asked, self.keep(effects, client)).await;
        })
    }
}
