//! Issuers' keys, fetched once because somebody asked for that.
//!
//! Each issuer has a job that keeps its keys fresh. Here it runs until it has fetched them for the first time, or failed to.

use super::bench::Bench;
use portcullis_core::Clock;
use portcullis_core::{
    Count, Effects, Fault, Fetch, Fetched, Fingerprint, Job, KeyDigest, KeyRecord, KeySetId, Keys, Limit,
    Now, Standing, Step, Wait,
};
use portcullis_runtime::{Background, Outbound, OutboundPolicy};
use std::net::IpAddr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) fn fetch(jobs: &[Arc<dyn Job>], policy: &OutboundPolicy, bench: &Bench) -> Result<(), String> {
    // Other jobs look after certificates, which is no part of a decision.
    let issuers: Vec<_> = jobs.iter().filter(|job| job.name().starts_with("keys of ")).collect();
    if issuers.is_empty() {
        return Ok(());
    }
    let background = Background::start().map_err(|error| format!("no thread to fetch keys: {error}"))?;
    let (done, finished) = channel();
    let world = Arc::new(KeyFetcher {
        outbound: Outbound::new(policy.clone(), background.handle().clone()),
        bench: bench.clone(),
        done: Mutex::new(done),
        faults: Mutex::default(),
    });
    let _running: Vec<_> = issuers
        .iter()
        .map(|job| background.run(Arc::clone(job), Arc::<KeyFetcher>::clone(&world) as Arc<dyn Effects>))
        .collect();
    for _ in &issuers {
        if finished.recv_timeout(PATIENCE).is_err() {
            return Err(format!("not every issuer answered within {} s", PATIENCE.as_secs()));
        }
    }
    let faults = world.faults.lock().unwrap_or_else(PoisonError::into_inner);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// The world of such a job. It rests when it is done.
struct KeyFetcher {
    outbound: Outbound,
    bench: Bench,
    done: Mutex<Sender<()>>,
    faults: Mutex<Vec<String>>,
}

fn nothing<T>() -> Step<'static, Result<T, Fault>> {
    Step::Ready(Err(Fault { detail: "only keys are fetched here".into() }))
}

impl Effects for KeyFetcher {
    fn now(&self) -> Now {
        self.bench.clock().now()
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
        bytes
    }

    fn count<'a>(&'a self, _: &'a Limit, _: &'a Keys<'a>, _: u32) -> Step<'a, Result<Count, Fault>> {
        nothing()
    }

    fn key(&self, _: KeySetId, _: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        nothing()
    }

    fn sleep(&self, _: Duration) -> Wait<'static, ()> {
        let _ = self.done.lock().unwrap_or_else(PoisonError::into_inner).send(());
        Box::pin(std::future::pending())
    }

    fn fetch(&self, fetch: Fetch) -> Wait<'static, Result<Fetched, Fault>> {
        self.outbound.fetch(fetch)
    }

    fn standing(&self, _: IpAddr) -> Standing {
        Standing::Free
    }

    fn credential_failed(&self, _: IpAddr) {}

    fn is_known(&self, _: IpAddr, _: Fingerprint) -> bool {
        false
    }

    fn credential_good(&self, _: IpAddr, _: Fingerprint) {}

    fn notice(&self, about: &str, detail: &str) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push(format!("{about}: {detail}"));
    }
}
