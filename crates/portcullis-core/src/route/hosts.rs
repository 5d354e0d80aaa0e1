//! Whose host a request is for: a host of its own name first, then those below a name, then any.
//!
//! `*.example.com` stands for one label or several before `.example.com`, and not for `example.com` itself, as in nginx,
//! Envoy and the Gateway API of Kubernetes. The longest name wins. Needs nothing that could fail.

use std::collections::HashMap;

/// Something for each host.
#[derive(Default)]
pub(super) struct ByHost<T> {
    any: T,
    exact: HashMap<String, T>,
    /// By what follows `*.`.
    below: HashMap<String, T>,
}

impl<T: Default> ByHost<T> {
    /// What there is for this host of a route: a name, `*.` and a name, or any.
    pub(super) fn entry(&mut self, host: Option<&str>) -> &mut T {
        match host {
            None => &mut self.any,
            Some(host) => match host.strip_prefix("*.") {
                Some(name) => self.below.entry(name.to_owned()).or_default(),
                None => self.exact.entry(host.to_owned()).or_default(),
            },
        }
    }

    /// What there is for exactly this host of a route.
    pub(super) fn get(&self, host: Option<&str>) -> Option<&T> {
        match host {
            None => Some(&self.any),
            Some(host) => match host.strip_prefix("*.") {
                Some(name) => self.below.get(name),
                None => self.exact.get(host),
            },
        }
    }

    /// What there is for the host of a request, in the order in which it is asked.
    pub(super) fn of<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a T> {
        let exact = if self.exact.is_empty() { None } else { self.exact.get(host) };
        // Where no route has a host with `*.`, no name is looked up.
        let mut rest = (!self.below.is_empty()).then_some(host);
        let below = std::iter::from_fn(move || {
            while let Some((label, name)) = rest.and_then(|name| name.split_once('.')) {
                rest = Some(name);
                if !label.is_empty()
                    && let Some(found) = self.below.get(name)
                {
                    return Some(found);
                }
            }
            None
        });
        exact.into_iter().chain(below).chain(std::iter::once(&self.any))
    }

    /// Everything.
    pub(super) fn map<U>(self, mut change: impl FnMut(T) -> U) -> ByHost<U> {
        ByHost {
            any: change(self.any),
            exact: self.exact.into_iter().map(|(host, one)| (host, change(one))).collect(),
            below: self.below.into_iter().map(|(host, one)| (host, change(one))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_its_own_name_comes_first_and_the_longest_name_next() {
        let mut hosts: ByHost<&str> = ByHost::default();
        for host in ["a.example.com", "*.example.com", "*.b.example.com"] {
            *hosts.entry(Some(host)) = host;
        }
        *hosts.entry(None) = "any";
        let of = |host| hosts.of(host).copied().collect::<Vec<_>>();
        assert_eq!(of("a.example.com"), ["a.example.com", "*.example.com", "any"]);
        assert_eq!(of("x.b.example.com"), ["*.b.example.com", "*.example.com", "any"]);
        assert_eq!(of("x.y.b.example.com"), ["*.b.example.com", "*.example.com", "any"]);
        assert_eq!(of("b.example.com"), ["*.example.com", "any"]);
        for host in ["example.com", "evilexample.com", "example.com.evil.example", "com", "", "[::1]"] {
            assert_eq!(of(host), ["any"], "{host}");
        }
    }
}
