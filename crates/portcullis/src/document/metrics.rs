//! Where metrics can be scraped, beside the admin listener.

use portcullis_checks::Reason;
use portcullis_config::{Context, Spanned, object};
use std::net::SocketAddr;

object! {
    /// A listener for Prometheus, which serves `/metrics` and nothing else.
    pub struct MetricsConfig {
        /// The address and port, such as 127.0.0.1:9464. An address that is not loopback needs `insecure_plaintext`.
        pub bind: Spanned<SocketAddr>,
        /// Allows an address that is not loopback, and says why that is safe. Anyone who reaches it can read the names of
        /// routes and consumers, and how often they are used.
        pub insecure_plaintext: Option<Reason>,
    }
}

impl MetricsConfig {
    /// Where metrics are scraped.
    pub fn compile(&self, cx: &mut Context) -> Option<SocketAddr> {
        // SECURITY: names of consumers and routes are not for everybody (a_plaintext_listener_needs_a_reason).
        if !self.bind.value.ip().to_canonical().is_loopback() && self.insecure_plaintext.is_none() {
            cx.error("config.plaintext", self.bind.span, "anybody on the network could read the metrics")
                .label("not a loopback address")
                .help("bind to 127.0.0.1, or say why it is safe here: `insecure_plaintext: \"only the scraper reaches this network\"`");
            return None;
        }
        Some(self.bind.value)
    }
}
