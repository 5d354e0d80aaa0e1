//! What a configuration says of changes to its store of keys: which consumer a key is for, and that the plans, routes, roles and
//! scopes that it names are there.
//!
//! The commands and the admin API both ask here, so that both refuse the same. A store that fails changes nothing that was not
//! acknowledged; its error says whether to try again.

use crate::compile::Blueprint;
use portcullis_admin::gateway::Desk;
use portcullis_core::{KeyId, Plan};
use portcullis_keys::{Consumer, Key, KeyFilter, KeySettings, LiveKeys, NewKey, Owner, Rotation, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// What a configuration says of changes to its store.
#[derive(Clone)]
pub struct Terms {
    plan: Arc<Plan>,
    plan_names: Arc<[String]>,
}

impl Blueprint {
    /// What it says of changes to its store.
    pub fn terms(&self) -> Terms {
        Terms { plan: Arc::clone(&self.plan), plan_names: Arc::clone(&self.plan_names) }
    }
}

impl Terms {
    /// Where this consumer is.
    pub fn owner(&self, name: &str) -> Owner {
        match self.plan.consumers.named(name) {
            Some(_) => Owner::Configured,
            None => Owner::Stored,
        }
    }

    /// That the configuration has this plan. An empty name stands for no plan.
    ///
    /// # Errors
    /// It has not.
    pub fn check_plan(&self, plan: Option<&String>) -> Result<(), StoreError> {
        match plan.filter(|plan| !plan.is_empty() && !self.plan_names.contains(plan)) {
            None => Ok(()),
            Some(plan) => Err(StoreError::invalid(format!(
                "the configuration has no plan `{plan}`; define it under `plans`"
            ))),
        }
    }

    /// That this consumer can be added to the store.
    ///
    /// # Errors
    /// The configuration has a consumer of this name, or lacks its plan.
    pub fn check_consumer(&self, consumer: &Consumer) -> Result<(), StoreError> {
        if self.owner(&consumer.name) == Owner::Configured {
            return Err(StoreError::not_found(format!(
                "the configuration has a consumer `{}` already: `portcullis keys create --consumer {0}` makes keys for it",
                consumer.name
            )));
        }
        self.check_plan(consumer.plan.as_ref())
    }

    /// That a key of this consumer can say so. Where the consumer is.
    ///
    /// # Errors
    /// The configuration lacks what it names, or its consumer there has less.
    pub fn check_key(&self, consumer: &str, settings: &KeySettings) -> Result<Owner, StoreError> {
        self.check_plan(settings.plan.as_ref())?;
        for route in &settings.routes {
            let path = route.get(route.find('/').unwrap_or(0)..).unwrap_or_default();
            if !self.plan.routes.iter().any(|known| known.path == path) {
                return Err(StoreError::invalid(format!(
                    "the configuration has no route with the path `{path}`"
                )));
            }
        }
        let owner = self.owner(consumer);
        let consumers = &self.plan.consumers;
        if let (Owner::Configured, Some(configured)) =
            (owner, consumers.named(consumer).and_then(|id| consumers.find(id)))
        {
            let beyond = |own: &Option<Vec<String>>, all: &[String]| {
                own.iter().flatten().find(|word| !all.contains(word)).cloned()
            };
            if let Some(role) = beyond(&settings.roles, &configured.roles) {
                return Err(StoreError::invalid(format!("`{consumer}` does not have the role `{role}`")));
            }
            if !configured.scopes.is_empty()
                && let Some(scope) = beyond(&settings.scopes, &configured.scopes)
            {
                return Err(StoreError::invalid(format!("`{consumer}` does not have the scope `{scope}`")));
            }
        }
        Ok(owner)
    }
}

/// The store of a gateway that serves, for its admin API.
pub(crate) struct StoreDesk {
    pub(crate) keys: Arc<LiveKeys>,
    pub(crate) terms: Terms,
}

impl Desk for StoreDesk {
    fn place(&self) -> String {
        self.keys.settings().describe()
    }

    fn standing(&self) -> (usize, Duration) {
        self.keys.standing()
    }

    fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        self.keys.with_store(|store| store.consumers())
    }

    fn add_consumer(&self, consumer: &Consumer) -> Result<(), StoreError> {
        consumer.check()?;
        self.terms.check_consumer(consumer)?;
        self.keys.with_store(|store| store.add_consumer(consumer))
    }

    fn remove_consumer(&self, name: &str) -> Result<u64, StoreError> {
        self.keys.with_store(|store| store.remove_consumer(name))
    }

    fn keys(&self, filter: &KeyFilter) -> Result<Vec<Key>, StoreError> {
        self.keys.with_store(|store| store.keys(filter))
    }

    fn key(&self, id: KeyId) -> Result<Key, StoreError> {
        self.keys.with_store(|store| store.key(id))
    }

    fn create_key(
        &self,
        consumer: &str,
        settings: &KeySettings,
        expires: Option<u64>,
    ) -> Result<NewKey, StoreError> {
        let owner = self.terms.check_key(consumer, settings)?;
        self.keys.with_store(|store| store.create_key(consumer, owner, settings.clone(), expires))
    }

    fn rotate_key(&self, id: KeyId, rotation: Rotation) -> Result<NewKey, StoreError> {
        self.keys.with_store(|store| store.rotate_key(id, rotation))
    }

    fn revoke_key(&self, id: KeyId) -> Result<Key, StoreError> {
        self.keys.with_store(|store| store.revoke_key(id))
    }
}
