//! What the gateway itself may ask of other servers.

use portcullis_checks::Cidr;
use portcullis_config::{Context, Spanned, object};
use portcullis_runtime::OutboundPolicy;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::PathBuf;

object! {
    /// What the gateway itself may ask of other servers, such as an issuer's keys.
    pub struct OutboundConfig {
        /// Networks that are not of the public Internet and that the gateway may connect to all the same, such as the one
        /// in which the issuer is. Default: none.
        pub allow: Vec<Cidr> = Vec::new(),
        /// A file with certificates, in PEM, of authorities that the gateway believes besides the system's.
        pub ca: Option<Spanned<PathBuf>>,
    }
}

impl OutboundConfig {
    /// What runs.
    pub fn compile(&self, cx: &mut Context) -> Option<OutboundPolicy> {
        let mut roots = Vec::new();
        if let Some(file) = &self.ca {
            let read = CertificateDer::pem_file_iter(&file.value)
                .and_then(|found| found.collect::<Result<Vec<_>, _>>());
            match read {
                Ok(found) if !found.is_empty() => roots = found,
                Ok(_) => {
                    cx.error("config.ca", file.span, "there is no certificate in this file")
                        .help("the file holds certificates in PEM: `-----BEGIN CERTIFICATE-----`");
                    return None;
                }
                Err(error) => {
                    cx.error("config.ca", file.span, format!("the certificates cannot be read: {error}"))
                        .help("the file holds certificates in PEM: `-----BEGIN CERTIFICATE-----`");
                    return None;
                }
            }
        }
        Some(OutboundPolicy { allowed: self.allow.iter().map(|cidr| cidr.0).collect(), roots })
    }
}
