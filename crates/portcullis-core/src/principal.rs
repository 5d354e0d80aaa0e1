//! Who sends a request.
//!
//! A principal exists only after authentication. Consumers that the configuration names live in the plan and are
//! referred to by number, so that naming one costs no allocation and no shared reference count.

use crate::check::CheckId;
use std::collections::HashMap;

/// A consumer that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its name, unique in the plan. Visible ASCII, so that it can stand in a header field.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
}

/// A consumer's place in [`Consumers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerId(pub u32);

/// Every consumer of a plan.
#[derive(Debug, Default)]
pub struct Consumers {
    all: Vec<Consumer>,
    by_name: HashMap<String, ConsumerId>,
}

impl Consumers {
    /// Adds a consumer. `Err` with the one that already has this name.
    pub fn add(&mut self, consumer: Consumer) -> Result<ConsumerId, ConsumerId> {
        if let Some(id) = self.by_name.get(&consumer.name) {
            return Err(*id);
        }
        let id = ConsumerId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        self.by_name.insert(consumer.name.clone(), id);
        self.all.push(consumer);
        Ok(id)
    }

    /// The consumer with this number. `None` for a number of another plan.
    pub fn find(&self, id: ConsumerId) -> Option<&Consumer> {
        self.all.get(id.0 as usize)
    }

    /// The number of the consumer with this name.
    pub fn named(&self, name: &str) -> Option<ConsumerId> {
        self.by_name.get(name).copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.all.iter()
    }
}

/// Whom a principal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular: the route is public, or its authentication only observes. Has no role.
    Anonymous,
    /// A consumer that the configuration names.
    Consumer(ConsumerId),
}

/// Who sends a request, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whom it stands for.
    pub identity: Identity,
    /// The check that established it; `None` for an anonymous one.
    pub authenticated_by: Option<CheckId>,
}

impl Principal {
    /// The principal of a request that nobody had to identify.
    pub const ANONYMOUS: Principal = Principal { identity: Identity::Anonymous, authenticated_by: None };

    /// The consumer `id`, established by `check`.
    pub fn consumer(id: ConsumerId, check: CheckId) -> Principal {
        Principal { identity: Identity::Consumer(id), authenticated_by: Some(check) }
    }

    /// Its entry among `consumers`. `None` for an anonymous one.
    pub fn entry<'a>(&self, consumers: &'a Consumers) -> Option<&'a Consumer> {
        match self.identity {
            Identity::Anonymous => None,
            Identity::Consumer(id) => consumers.find(id),
        }
    }

    /// Its roles; none for an anonymous one.
    pub fn roles<'a>(&self, consumers: &'a Consumers) -> &'a [String] {
        self.entry(consumers).map_or(&[], |consumer| consumer.roles.as_slice())
    }
}
