//! The world as checks see it.

use crate::fetch::Outbound;
use crate::state::State;
use arc_swap::ArcSwapOption;
use portcullis_core::overload::Overload;
use portcullis_core::pool::Client;
use portcullis_core::{
    Charging, Clock, Count, Effects, Fault, Fetch, Fetched, Fingerprint, KeyDigest, KeyRecord, KeySetId,
    Keys, Level, Limit, Mode, Now, Standing, Step, StoredKey, Wait,
};
use portcullis_store::{
    CountNames, CounterStore, Counters, FailurePolicy, Keys as KeyStore, SharedStore, StoredKeys,
};
use rand::Rng;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The world as one plan may use it: what outlives the plan, and what the plan itself says of it. A store that fails is a
/// `Fault`, which refuses the request.
pub struct World {
    state: State,
    counters: Box<dyn Counters>,
    shared: Option<Arc<SharedStore>>,
    keys: Box<dyn KeyStore>,
    stored_keys: Option<Arc<dyn StoredKeys>>,
    failures: Option<(Mode, FailurePolicy)>,
    notices: Arc<Notices>,
    outbound: Option<Outbound>,
    overload: Option<Arc<Overload>>,
}

/// Takes what concerns no single request: what it is about, and what happened.
pub type Notices = dyn Fn(Level, &str, &str) + Send + Sync;

impl World {
    /// The world of a plan that calls what it counts by these names, with these keys. With `shared`, gateways count
    /// together there, unless the state is isolated.
    pub fn new(
        state: &State,
        names: CountNames,
        keys: impl KeyStore + 'static,
        shared: Option<Arc<SharedStore>>,
    ) -> World {
        // SECURITY: attacks that are only tried would count against real consumers (a_trial_asks_no_store).
        let shared = shared.filter(|_| !state.parts().is_isolated);
        let (local, clock) = (&state.parts().counters, state.parts().clock.as_ref());
        World {
            counters: match &shared {
                Some(shared) => shared.of_plan(local, names, clock),
                None => local.of_plan(names, clock),
            },
            shared,
            state: state.clone(),
            keys: Box::new(keys),
            stored_keys: None,
            failures: None,
            notices: Arc::new(|_, _, _| {}),
            outbound: None,
            overload: None,
        }
    }

    /// Requests are judged by this plan from now on: counts of limits that changed are put into its terms.
    pub fn begin(&self) {
        self.counters.begin(self.clock());
    }

    fn clock(&self) -> &dyn Clock {
        self.state.parts().clock.as_ref()
    }

    /// Sources of wrong credentials must wait, by this policy; or would have to, where it is only observed.
    #[must_use]
    pub fn with_failures(mut self, policy: FailurePolicy, mode: Mode) -> World {
        self.failures = match mode {
            Mode::Enforce | Mode::Observe => Some((mode, policy)),
            Mode::Off => None,
        };
        self
    }

    /// Keys that the plan does not have are looked for here.
    #[must_use]
    pub fn with_stored_keys(mut self, keys: Arc<dyn StoredKeys>) -> World {
        self.stored_keys = Some(keys);
        self
    }

    /// What the gateway itself asks of other servers goes this way.
    #[must_use]
    pub fn with_outbound(mut self, outbound: Outbound) -> World {
        self.outbound = Some(outbound);
        self
    }

    /// Requests are given up by this delay.
    #[must_use]
    pub fn with_overload(mut self, overload: Option<Arc<Overload>>) -> World {
        self.overload = overload;
        self
    }

    /// Gives what concerns no single request to `notices`.
    #[must_use]
    pub fn with_notices(mut self, notices: Arc<Notices>) -> World {
        if let Some(shared) = &self.shared {
            let told = Arc::clone(&notices);
            shared.tell(Arc::new(move |about, detail| told(Level::Warning, about, detail)));
        }
        self.notices = notices;
        self
    }
}

impl Effects for World {
    fn now(&self) -> Now {
        self.clock().now()
    }

    fn monotonic(&self) -> Duration {
        self.clock().monotonic()
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        bytes
    }

    fn count<'a>(
        &'a self,
        limit: &'a Limit,
        keys: &'a Keys<'a>,
        cost: u32,
    ) -> Step<'a, Result<Count, Fault>> {
        self.counters.count(self.clock(), limit, keys, cost)
    }

    fn counts_together(&self) -> bool {
        self.counters.counts_together()
    }

    fn count_all<'a>(&'a self, charges: &'a mut [Charging<'_>]) -> Step<'a, Result<(), Fault>> {
        self.counters.count_all(self.clock(), charges)
    }

    fn uncount(&self, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        self.counters.uncount(self.clock(), limit, keys, cost);
    }

    fn charge_late(&self, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        self.counters.charge_late(self.clock(), limit, keys, cost);
    }

    fn key(&self, set: KeySetId, digest: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        self.keys.find(set, digest)
    }

    fn stored_key(&self, key: &[u8]) -> Result<Option<StoredKey>, Fault> {
        self.stored_keys.as_ref().map_or(Ok(None), |keys| keys.find(key))
    }

    fn stored_key_again(&self, hash: KeyDigest) -> Result<Option<StoredKey>, Fault> {
        self.stored_keys.as_ref().map_or(Ok(None), |keys| keys.find_again(hash))
    }

    fn sleep(&self, time: Duration) -> Wait<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn fetch(&self, fetch: Fetch) -> Wait<'static, Result<Fetched, Fault>> {
        match &self.outbound {
            Some(outbound) => outbound.fetch(fetch),
            None => Box::pin(async { Err(Fault { detail: "the gateway has no way out".into() }) }),
        }
    }

    fn first_use(&self, client: IpAddr, digest: [u8; 32], until: Duration) -> Step<'_, Result<bool, Fault>> {
        let now = self.clock().now().unix;
        match &self.shared {
            // SECURITY: gateways remember together, or a proof would be good once for each of them
            // (a_proof_is_used_once_at_all_gateways).
            Some(shared) => shared.first_use(now, client, digest, until),
            None => self.state.parts().replay.first_use(now, client, digest, until),
        }
    }

    fn unused(&self, digest: [u8; 32]) -> Step<'_, Result<(), Fault>> {
        match &self.shared {
            Some(shared) => shared.forget(digest),
            None => self.state.parts().replay.forget(digest),
        }
    }

    // SECURITY: whoever logs out at one gateway is logged out at all (a_session_that_ended_is_over_at_all_gateways).
    fn has_ended(&self, names: &[&str], begun: Duration) -> Step<'_, Result<bool, Fault>> {
        self.shared.as_ref().map_or(Step::Ready(Ok(false)), |shared| shared.has_ended(names, begun))
    }

    fn end_session(&self, name: &str, begun_by: Duration, until: Duration) -> Step<'_, Result<(), Fault>> {
        let Some(shared) = &self.shared else { return Step::Ready(Ok(())) };
        shared.end_session(self.clock().now().unix, name, begun_by, until)
    }

    fn recall(&self, name: [u8; 32]) -> Step<'_, Option<Vec<u8>>> {
        self.shared.as_ref().map_or(Step::Ready(None), |shared| shared.recall(name))
    }

    fn keep(&self, name: [u8; 32], value: Vec<u8>, life: Duration) {
        if let Some(shared) = &self.shared {
            shared.keep(name, value, life);
        }
    }

    fn password(&self, client: Client, hash: &str, password: &[u8]) -> Wait<'static, Result<bool, Fault>> {
        self.state.parts().passwords.verify(client, hash, password)
    }

    fn overload(&self) -> Option<&Overload> {
        self.overload.as_deref()
    }

    fn is_blocked(&self, client: IpAddr) -> bool {
        self.state.blocks().is_blocked(client, || self.clock().now().unix)
    }

    fn is_blocked_as(&self, client: IpAddr, name: &str) -> bool {
        self.state.blocks().is_blocked_as(client, name, || self.clock().now().unix)
    }

    fn standing(&self, source: IpAddr) -> Standing {
        let Some((mode, _)) = &self.failures else { return Standing::Free };
        match (self.state.parts().failures.standing(self.clock(), source), mode) {
            (Standing::Blocked { wait }, Mode::Observe | Mode::Off) => Standing::Observed { wait },
            (standing, Mode::Enforce | Mode::Observe | Mode::Off) => standing,
        }
    }

    fn credential_failed(&self, source: IpAddr) {
        let Some((_, policy)) = self.failures else { return };
        let failures = &self.state.parts().failures;
        let Some(shared) = &self.shared else { return failures.failed(&policy, self.clock(), source) };
        // While gateways cannot count together, each allows its share.
        let apart = if shared.answers() { 1 } else { shared.gateways() };
        failures.failed(&policy.share(apart), self.clock(), source);
        let state = self.state.clone();
        shared.failed(source, policy.longest_wait.saturating_mul(2), move |all| {
            let parts = state.parts();
            parts.failures.learned(&policy, parts.clock.as_ref(), source, all);
        });
    }

    fn is_known(&self, source: IpAddr, credential: Fingerprint) -> bool {
        self.failures.is_some() && self.state.parts().failures.is_known(source, credential)
    }

    fn credential_good(&self, source: IpAddr, credential: Fingerprint) {
        if self.failures.is_some() {
            self.state.parts().failures.good(source, credential);
        }
    }

    fn notice(&self, about: &str, detail: &str) {
        (self.notices)(Level::Info, about, detail);
    }

    fn warn(&self, about: &str, detail: &str) {
        (self.notices)(Level::Warning, about, detail);
    }
}

/// The world of the plan that is judged by, whichever that is: for what goes on beside requests while plans come and go.
/// It has neither counters nor keys, which are a plan's.
#[derive(Default)]
pub struct CurrentWorld(ArcSwapOption<World>);

impl CurrentWorld {
    /// From now on it is this one.
    pub fn set(&self, world: Arc<World>) {
        self.0.store(Some(world));
    }

    fn with<T>(&self, use_it: impl FnOnce(&World) -> T) -> Result<T, Fault> {
        let world = self.0.load();
        let world = world.as_ref().ok_or_else(|| Fault { detail: "the gateway has not started".into() })?;
        Ok(use_it(world))
    }
}

impl Effects for CurrentWorld {
    fn now(&self) -> Now {
        // Before the start there is no time at which anything is valid.
        self.with(World::now).unwrap_or(Now { monotonic: Duration::ZERO, unix: Duration::MAX })
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        bytes
    }

    fn count<'a>(&'a self, _: &'a Limit, _: &'a Keys<'a>, _: u32) -> Step<'a, Result<Count, Fault>> {
        Step::Ready(Err(Fault { detail: "what goes on beside requests counts none".into() }))
    }

    fn key(&self, _: KeySetId, _: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        Step::Ready(Err(Fault { detail: "what goes on beside requests has no keys".into() }))
    }

    fn sleep(&self, time: Duration) -> Wait<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn fetch(&self, fetch: Fetch) -> Wait<'static, Result<Fetched, Fault>> {
        match self.with(|world| world.fetch(fetch)) {
            Ok(answer) => answer,
            Err(fault) => Box::pin(async { Err(fault) }),
        }
    }

    fn standing(&self, source: IpAddr) -> Standing {
        self.with(|world| world.standing(source)).unwrap_or(Standing::Free)
    }

    fn credential_failed(&self, source: IpAddr) {
        let _ = self.with(|world| world.credential_failed(source));
    }

    fn is_known(&self, source: IpAddr, credential: Fingerprint) -> bool {
        self.with(|world| world.is_known(source, credential)).unwrap_or(false)
    }

    fn credential_good(&self, source: IpAddr, credential: Fingerprint) {
        let _ = self.with(|world| world.credential_good(source, credential));
    }

    fn notice(&self, about: &str, detail: &str) {
        let _ = self.with(|world| world.notice(about, detail));
    }

    fn warn(&self, about: &str, detail: &str) {
        let _ = self.with(|world| world.warn(about, detail));
    }
}
