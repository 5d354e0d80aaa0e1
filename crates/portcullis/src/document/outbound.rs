//! What the gateway itself may ask of other servers.

use portcullis_checks::Cidr;
use portcullis_config::{Context, Spanned, object};
use portcullis_runtime::OutboundPolicy;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::PathBuf;

object! {
    /// Which servers the gateway itself may connect to, for example to fetch an issuer's keys. Upstreams are not
    /// affected.
    pub struct OutboundConfig {
        /// Private networks that the gateway itself may connect to, such as the network of the issuer. Default: none.
        pub allow: Vec<Cidr> = Vec::new(),
        /// PEM file with additional CAs that the gateway trusts for its own connections.
        pub ca: Option<Spanned<PathBuf>>,
    }
}

impl OutboundConfig {
    /// What runs.
    pub fn compile(&self, cx: &mut Context) -> Option<OutboundPolicy> {
        let roots = match &self.ca {
            None => Vec::new(),
            Some(file) => read_authorities(file, cx)?,
        };
        Some(OutboundPolicy { allowed: self.allow.iter().map(|cidr| cidr.0).collect(), roots })
    }
}

/// The certificates in a file, of which there is at least one.
pub(super) fn read_authorities(
    file: &Spanned<PathBuf>,
    cx: &mut Context,
) -> Option<Vec<CertificateDer<'static>>> {
    let read =
        CertificateDer::pem_file_iter(&file.value).and_then(|found| found.collect::<Result<Vec<_>, _>>());
    let why = match read {
        Ok(found) if !found.is_empty() => return Some(found),
        Ok(_) => "there is no certificate in this file".to_owned(),
        Err(error) => format!("the certificates cannot be read: {error}"),
    };
    cx.error("config.ca", file.span, why)
        .help("the file holds certificates in PEM: `-----BEGIN CERTIFICATE-----`");
    None
}
