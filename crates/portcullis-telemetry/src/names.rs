//! Stable, small numbers for the names of routes and consumers.
//!
//! A plan numbers its routes anew at each reload. What outlives a plan is kept under a number of its name instead, which is
//! looked up once for each plan. The numbers are bounded: names beyond the bound share one, called `other`.

use crate::lanes::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The number of all names beyond the bound.
pub(crate) const OTHER: u32 = 0;
/// What they are called.
pub(crate) const OTHER_NAME: &str = "other";

/// Names and their numbers.
pub(crate) struct Names {
    most: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Names {
    /// At most so many names, and `other`.
    pub(crate) fn new(most: usize) -> Names {
        let names = Names { most: most.saturating_add(1), known: Mutex::default() };
        names.number(OTHER_NAME);
        names
    }

    /// The number of this name.
    pub(crate) fn number(&self, name: &str) -> u32 {
        let mut known = lock(&self.known);
        if let Some(number) = known.numbers.get(name) {
            return *number;
        }
        if known.names.len() >= self.most {
            return OTHER;
        }
        let number = u32::try_from(known.names.len()).unwrap_or(OTHER);
        let name: Arc<str> = Arc::from(name);
        known.names.push(Arc::clone(&name));
        known.numbers.insert(name, number);
        number
    }

    /// The name of this number.
    pub(crate) fn name(&self, number: u32) -> Arc<str> {
        lock(&self.known).names.get(number as usize).cloned().unwrap_or_else(|| Arc::from(OTHER_NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_are_other() {
        let names = Names::new(2);
        let numbers = ["/a", "/b", "/c", "/a", "/d"].map(|name| names.number(name));
        assert_eq!(numbers, [1, 2, OTHER, 1, OTHER]);
        assert_eq!(&*names.name(2), "/b");
        assert_eq!(&*names.name(OTHER), OTHER_NAME);
        assert_eq!(&*names.name(77), OTHER_NAME);
    }
}
