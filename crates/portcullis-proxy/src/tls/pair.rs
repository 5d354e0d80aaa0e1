//! A certificate with its key, and whether a client could accept it.
//!
//! A pair is read from files or made in memory, and judged in either case: its key is its own and nobody else's to read, it
//! is valid now, and it has names. Whatever is wrong with it is an error that says so; nothing is served with a pair that
//! fails.

use super::Problem;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

/// The most bytes that a file may hold; no chain and no key comes near it.
const MAX_FILE: u64 = 1024 * 1024;

/// Where a pair stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// The certificate and those that lead to its authority, in PEM, the certificate first.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    names: Vec<String>,
    starts: Duration,
    expires: Duration,
}

impl Pair {
    /// The pair in these files.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else, a key that others can read or that is another certificate's, a
    /// certificate that is not valid now or has no names.
    pub fn read(files: &PairFiles) -> Result<Pair, Problem> {
        let (chain, key) = parts(files)?;
        Pair::new(chain, &key)
    }

    /// The pair in these files, for a client: it need not be for any host.
    pub(super) fn read_client(files: &PairFiles) -> Result<CertifiedKey, Problem> {
        let (chain, key) = parts(files)?;
        let (certified, _, _) = judge(chain, &key)?;
        Ok(certified)
    }

    /// A pair in memory.
    ///
    /// # Errors
    /// As for [`Pair::read`].
    pub fn new(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'static>) -> Result<Pair, Problem> {
        let (certified, names, [starts, expires]) = judge(chain, key)?;
        if names.is_empty() {
            return Err(Problem::Nameless);
        }
        Ok(Pair { certified: Arc::new(certified), names, starts, expires })
    }

    /// The host names and addresses that it is for, in lower case; a name can begin with `*.`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The certificate itself.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certified.cert.first()
    }

    /// Time since 1970 from which on it is valid.
    pub fn starts(&self) -> Duration {
        self.starts
    }

    /// Time since 1970 from which on it is no longer valid.
    pub fn expires(&self) -> Duration {
        self.expires
    }
}

/// The chain and the key in these files.
fn parts(files: &PairFiles) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Problem> {
    let chain = read(&files.certificate).map_err(Problem::Certificate)?;
    let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| Problem::Certificate(error.to_string()))?;
    let metadata = std::fs::metadata(&files.key).map_err(|error| Problem::Key(error.to_string()))?;
    // SECURITY: (every_code_points_to_its_place_and_says_what_to_do).
    portcullis_permissions::key(&files.key, &metadata).map_err(Problem::KeyPermissions)?;
    let key = read(&files.key).map_err(Problem::Key)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| Problem::Key(no_key_in(&key).to_owned()))?;
    Ok((chain, key))
}

/// Why this holds no key.
fn no_key_in(pem: &[u8]) -> &'static str {
    let says = |label: &[u8]| pem.windows(label.len()).any(|part| part == label);
    if says(b"BEGIN CERTIFICATE") {
        "it holds a certificate; are `certificate` and `key` swapped?"
    } else if says(b"ENCRYPTED") {
        "the private key in it is encrypted"
    } else {
        "it holds no private key in PEM"
    }
}

/// A chain with its key, its names, and from when until when it is valid.
fn judge(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<(CertifiedKey, Vec<String>, [Duration; 2]), Problem> {
    let first = chain.first().ok_or_else(|| Problem::Certificate("it holds no certificate".to_owned()))?;
    let (names, [from, until]) = facts(first)?;
    let key = any_supported_type(key)
        .map_err(|_| Problem::Key("it is of a kind or size that is not used here".to_owned()))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| Problem::Mismatch)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if now >= until {
        return Err(Problem::Expired { since: now.saturating_sub(until) });
    }
    if now < from {
        return Err(Problem::NotYetValid { within: from.saturating_sub(now) });
    }
    Ok((certified, names, [from, until]))
}

/// Whether a certificate's name holds for a host (RFC 6125, section 6.4.3): `*.` stands for one label.
pub fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        None => name == host,
        Some(rest) => host.split_once('.').is_some_and(|(first, parent)| !first.is_empty() && parent == rest),
    }
}

/// A certificate's names, and from when until when it is valid.
#[expect(clippy::wildcard_enum_match_arm, reason = "nobody looks for a server under another kind of name")]
fn facts(certificate: &CertificateDer<'_>) -> Result<(Vec<String>, [Duration; 2]), Problem> {
    let malformed =
        |error: &dyn std::fmt::Display| Problem::Certificate(format!("it cannot be read: {error}"));
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| malformed(&error))?;
    let since_1970 = |time: i64| Duration::from_secs(u64::try_from(time).unwrap_or(0));
    let validity = parsed.validity();
    let period = [since_1970(validity.not_before.timestamp()), since_1970(validity.not_after.timestamp())];
    let listed = parsed.subject_alternative_name().map_err(|error| malformed(&error))?;
    let listed = listed.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let names = listed.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => super::clients::address(bytes).map(|address| address.to_string()),
        _ => None,
    });
    Ok((names.collect(), period))
}

pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(|error| error.to_string())?;
    let size = file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if size as u64 > MAX_FILE {
        return Err(format!("it is larger than {MAX_FILE} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label() {
        assert!(covers("api.example.com", "api.example.com"));
        assert!(covers("*.example.com", "api.example.com"));
        for other in ["example.com", "a.b.example.com", ".example.com", "api.example.org", ""] {
            assert!(!covers("*.example.com", other), "{other}");
        }
    }
}
