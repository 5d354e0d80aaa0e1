//! Whose client certificate it is.
//!
//! The handshake has verified the certificate before any request: its chain, its validity, its usage and that it was not
//! revoked. Here the consumer is found whose entry names the certificate's subject, one of its names or its fingerprint. A
//! connection without a certificate lets the next method be asked; a certificate that is nobody's is a denial, and so is one
//! that is two consumers'. Nothing of it goes upstream.

use super::method::{Compiled, Declared, Establishes, Method};
use crate::build::Build;
use portcullis_config::{Context, Spanned, object};
use portcullis_core::check::Check;
use portcullis_core::{
    Answers, Authenticate, Authn, CheckId, ClientCertificate, Code, ConsumerId, CredentialLocation, Denial,
    Effects, Evidence, Facts, MethodId, SchemeKind, SecurityScheme, Step,
};
use std::collections::HashMap;
use std::sync::Arc;

object! {
    /// The certificate that a client showed to the listener. Needs a listener with `tls.client_certificates`.
    pub struct MtlsConfig {}
}

object! {
    /// A client certificate that is a consumer's. Give one of `name`, `subject` and `fingerprint`.
    pub struct CertificateIdentityConfig {
        /// A name in its subjectAltName: a DNS name, an e-mail address, a URI such as a SPIFFE ID, or an address.
        pub name: Option<Spanned<String>>,
        /// Its subject as RFC 4514 writes it, such as `CN=alice,O=Example`:
        /// `openssl x509 -noout -subject -nameopt RFC2253,utf8,-esc_msb -in alice.pem`.
        pub subject: Option<Spanned<String>>,
        /// The SHA-256 of the certificate, in hexadecimal digits: `openssl x509 -noout -fingerprint -sha256 -in alice.pem`.
        pub fingerprint: Option<Spanned<String>>,
    }
}

/// What tells a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Mark {
    Name(String),
    Subject(String),
    Fingerprint([u8; 32]),
}

/// Whose certificates are whose.
#[derive(Clone, Debug, Default)]
pub struct Certificates(HashMap<Mark, ConsumerId>);

impl Certificates {
    /// Whether nobody has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl CertificateIdentityConfig {
    /// Adds it to what is built, as one of `consumer`.
    pub fn compile(&self, consumer: ConsumerId, build: &mut Build, cx: &mut Context) -> Option<()> {
        let mark = self.mark(cx)?;
        let known = Arc::make_mut(&mut build.certificates);
        if let Some(other) = known.0.insert(mark, consumer) {
            let whose = build.consumers.find(other).map_or("another consumer", |other| other.name.as_str());
            cx.error(
                "config.duplicate_certificate",
                self.at,
                format!("this certificate is listed already: `{whose}` has it"),
            )
            .help("two consumers with one certificate cannot be told apart");
            return None;
        }
        Some(())
    }

    fn mark(&self, cx: &mut Context) -> Option<Mark> {
        let (mark, form) = match (&self.name, &self.subject, &self.fingerprint) {
            (Some(name), None, None) => {
                // Names of hosts have no case; other names are what they are.
                let host = !name.value.contains([':', '@', '/']);
                let text = if host { name.value.to_ascii_lowercase() } else { name.value.clone() };
                (
                    (!text.trim().is_empty()).then_some(Mark::Name(text)),
                    "write a name such as `alice.example.com`",
                )
            }
            (None, Some(subject), None) => (
                subject.value.contains('=').then(|| Mark::Subject(subject.value.clone())),
                "write a subject such as `CN=alice,O=Example`, its last part first",
            ),
            (None, None, Some(digits)) => (
                fingerprint(&digits.value).map(Mark::Fingerprint),
                "write the 64 hexadecimal digits of the certificate's SHA-256",
            ),
            _ => (None, "give one of `name`, `subject` and `fingerprint`"),
        };
        if mark.is_none() {
            cx.error("config.certificate_identity", self.at, "this does not tell which certificate is meant")
                .help(form);
        }
        mark
    }
}

/// 64 hexadecimal digits, with or without colons between the bytes.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

impl Declared for MtlsConfig {
    const WORDS: &'static [&'static str] = &["mtls"];
    const ABOUT: &'static str = "The certificate that the client showed to the listener.";
}

impl Method for MtlsConfig {
    fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<Compiled> {
        self.check(build, cx).map(Compiled::check)
    }

    fn establishes(&self) -> Establishes {
        Establishes::Consumers
    }

    fn is_authorization(&self) -> bool {
        false
    }
}

impl MtlsConfig {
    /// The check that runs.
    fn check(&self, build: &mut Build, cx: &mut Context) -> Option<Mtls> {
        if !build.asks_for_certificates {
            cx.error(
                "config.mtls_without_certificates",
                self.at,
                "no listener asks clients for certificates, so nobody could pass",
            )
            .help("add `client_certificates: { ca: clients.pem }` to the `tls` of a listener");
            return None;
        }
        if build.certificates.0.is_empty() {
            cx.error(
                "config.no_certificates",
                self.at,
                "no consumer has a certificate, so nobody could pass",
            )
            .help("add `certificates: [{ name: alice.example.com }]` to a consumer");
            return None;
        }
        Some(Mtls { method: build.new_method(), known: Arc::clone(&build.certificates) })
    }
}

/// The check.
pub struct Mtls {
    method: MethodId,
    known: Arc<Certificates>,
}

const ID: CheckId = CheckId::new("authn.mtls");

impl Mtls {
    fn judge(&self, certificate: &ClientCertificate) -> Authn {
        let names = certificate.names.iter().map(|name| Mark::Name(name.clone()));
        let others = [Mark::Subject(certificate.subject.clone()), Mark::Fingerprint(certificate.thumbprint)]
            .into_iter();
        let mut found: Option<ConsumerId> = None;
        for consumer in names.chain(others).filter_map(|mark| self.known.0.get(&mark)) {
            // SECURITY: which of two consumers it is would be a guess (a_certificate_of_two_consumers_is_nobodys).
            if found.replace(*consumer).is_some_and(|other| other != *consumer) {
                let detail = "the client's certificate is more than one consumer's";
                return Authn::Deny(Denial::new(Code::CredentialsDisagree, detail));
            }
        }
        match found {
            Some(consumer) => Authn::Claim(Evidence::consumer(consumer, self.method, ID)),
            None => {
                let detail = format!("no consumer has the client's certificate, of {}", certificate.subject);
                Authn::Deny(Denial::new(Code::CredentialUnknown, detail))
            }
        }
    }
}

impl Check for Mtls {
    fn id(&self) -> CheckId {
        ID
    }

    fn describe(&self) -> String {
        "a client certificate".to_owned()
    }
}

impl Authenticate for Mtls {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Authn> {
        Step::Ready(match &facts.conn.certificate {
            None => Authn::NotMine,
            Some(certificate) => self.judge(certificate),
        })
    }

    fn challenges(&self, _: Option<&Denial>) -> Vec<String> {
        // A certificate is asked for in the handshake; there is no scheme for it (RFC 9110, section 11.6.1, wants one).
        vec!["Certificate".to_owned()]
    }

    fn credentials(&self) -> Vec<CredentialLocation> {
        Vec::new()
    }

    fn answers(&self, scheme: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        match scheme.kind {
            SchemeKind::MutualTls => vec![(self.method, Answers::Certainly)],
            SchemeKind::Key(_)
            | SchemeKind::Http(_)
            | SchemeKind::OAuth2(_)
            | SchemeKind::OpenIdConnect(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(names: &[&str], subject: &str, thumbprint: u8) -> ClientCertificate {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        ClientCertificate { thumbprint: [thumbprint; 32], subject: subject.to_owned(), names }
    }

    fn check() -> Mtls {
        let known = [
            (Mark::Name("alice.example".into()), ConsumerId(0)),
            (Mark::Subject("CN=bob".into()), ConsumerId(1)),
            (Mark::Fingerprint([7; 32]), ConsumerId(2)),
        ];
        Mtls { method: MethodId(0), known: Arc::new(Certificates(known.into_iter().collect())) }
    }

    fn outcome(certificate: &ClientCertificate) -> Result<Evidence, Code> {
        match check().judge(certificate) {
            Authn::Claim(evidence) => Ok(evidence),
            Authn::Deny(denial) => Err(denial.code()),
            Authn::ClaimAndTell(..) | Authn::NotMine => panic!("neither is said of a certificate"),
        }
    }

    #[test]
    fn a_certificate_is_found_by_any_of_its_marks_and_by_nothing_else() {
        let found = |certificate| outcome(&certificate).map(|evidence| evidence.identity().clone());
        let consumer = |id| Ok(portcullis_core::Identity::Consumer(ConsumerId(id)));
        assert_eq!(found(shown(&["other.example", "alice.example"], "CN=x", 0)), consumer(0));
        assert_eq!(found(shown(&[], "CN=bob", 0)), consumer(1));
        assert_eq!(found(shown(&[], "CN=x", 7)), consumer(2));
        // A name is no subject, and a subject no name.
        assert_eq!(found(shown(&["CN=bob"], "alice.example", 0)), Err(Code::CredentialUnknown));
        assert_eq!(found(shown(&[], "CN=Bob", 0)), Err(Code::CredentialUnknown));
    }

    #[test]
    fn a_certificate_of_two_consumers_is_nobodys() {
        assert_eq!(outcome(&shown(&["alice.example"], "CN=bob", 0)).err(), Some(Code::CredentialsDisagree));
        assert!(outcome(&shown(&["alice.example", "alice.example"], "CN=x", 0)).is_ok());
    }

    #[test]
    fn a_fingerprint_is_thirty_two_bytes() {
        assert_eq!(fingerprint("0f:".repeat(32).trim_end_matches(':')), Some([15; 32]));
        assert_eq!(fingerprint(&"AB".repeat(32)), Some([0xab; 32]));
        for bad in ["", "ab", &"+f".repeat(32), &"zz".repeat(32), &"ab".repeat(33)] {
            assert_eq!(fingerprint(bad), None, "{bad}");
        }
    }
}
