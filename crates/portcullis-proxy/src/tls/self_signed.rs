//! A certificate that this process makes for itself, for development on one machine.
//!
//! It is valid for the loopback names for thirteen days and lives in memory alone; a restart makes another one.

use super::{Pair, Problem};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::time::SystemTime;
use x509_parser::time::ASN1Time;

const DAYS: i64 = 13;

/// A pair for `localhost`, 127.0.0.1 and ::1, and the certificate in PEM, for whoever wants to trust it.
///
/// # Errors
/// The cryptography gives no key.
pub fn self_signed() -> Result<(Pair, String), Problem> {
    let failed = |error: &dyn std::fmt::Display| Problem::Unusable(error.to_string());
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let mut params = CertificateParams::new(names).map_err(|error| failed(&error))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Portcullis on this machine");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or_default();
    let moment = |seconds: i64| ASN1Time::from_timestamp(seconds).map(|time| time.to_datetime());
    params.not_before = moment(now - 3600).map_err(|error| failed(&error))?;
    params.not_after = moment(now + DAYS * 24 * 3600).map_err(|error| failed(&error))?;
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let pair = Pair::new(vec![certificate.der().clone()], &private)?;
    Ok((pair, certificate.pem()))
}
