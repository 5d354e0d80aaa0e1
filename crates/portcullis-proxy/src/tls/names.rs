//! Which certificate a client gets: the one for the name that it asks for (RFC 6066, section 3).
//!
//! An exact name wins over a `*.` one. Of several certificates for a name the first is taken whose key the client can
//! verify. A client that names no host, as one that connects to an address does, gets the first certificate. One that
//! names a host that no certificate is for gets none: the handshake fails, as its own check would have.

use super::Pair;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

type Choice = Vec<Arc<CertifiedKey>>;

/// The certificates of a listener.
#[derive(Debug)]
pub(super) struct Names {
    named: HashMap<String, Choice>,
    all: Choice,
    /// Whether a name that no certificate is for gets the first one all the same.
    any_name: bool,
}

impl Names {
    pub(super) fn new(pairs: &[Pair], any_name: bool) -> Names {
        let mut named: HashMap<String, Choice> = HashMap::new();
        for pair in pairs {
            for name in pair.names() {
                named.entry(name.clone()).or_default().push(Arc::clone(&pair.certified));
            }
        }
        Names { named, all: pairs.iter().map(|pair| Arc::clone(&pair.certified)).collect(), any_name }
    }

    fn choice(&self, name: Option<&str>) -> Option<&Choice> {
        // rustls hands the name over in lower case, and only one that is a host name.
        let Some(name) = name else { return Some(&self.all) };
        let wildcard = || name.split_once('.').and_then(|(_, parent)| self.named.get(&format!("*.{parent}")));
        self.named.get(name).or_else(wildcard).or(self.any_name.then_some(&self.all))
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let choice = self.choice(hello.server_name())?;
        let usable = choice.iter().find(|one| one.key.choose_scheme(hello.signature_schemes()).is_some());
        usable.or(choice.first()).cloned()
    }
}
