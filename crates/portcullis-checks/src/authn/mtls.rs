//! Whose client certificate it is.
//!
//! The handshake has verified the certificate before any request: its chain, its validity, its usage and that it was not
//! revoked. Here the consumer is found whose entry names the certificate's subject, one of its names or its fingerprint. A
//! connection without a certificate lets the next method be asked; a certificate that is nobody's is a denial, and so is one
//! that is two consumers'. Nothing of it goes upstream.

use super::method::{Compiled, Declared, Establishes, Method};
use crate::build::Build;
use crate::rehearsal::{Attack, Credential, Person, Stage, Wrong};
use portcullis_config::{Context, Spanned, object};
use portcullis_core::check::Check;
use portcullis_core::{
    Answers, Authenticate, Authn, CertificateName, CheckId, ClientCertificate, Code, ConsumerId,
    CredentialLocation, CredentialName, Denial, Effects, Evidence, Facts, Ground, MethodId, SchemeKind,
    SecurityScheme, Step,
};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

object! {
    /// The certificate that a client showed to the listener. Needs a listener with `tls.client_certificates`.
    pub struct MtlsConfig {}
}

object! {
    /// A client certificate of the consumer. Give one of these keys.
    pub struct CertificateIdentityConfig {
        /// A name in the subjectAltName extension. Its form determines its kind: an IP address, a URI (with `:`), an
        /// e-mail address (with `@`), or else a DNS name. A name of another kind does not match, even if the text is the
        /// same. `portcullis check` prints the kind. You can also put `dns:`, `uri:`, `email:` or `ip:` before the name.
        pub name: Option<Spanned<String>>,
        /// A DNS name in the subjectAltName extension, in any case.
        pub dns: Option<Spanned<String>>,
        /// A URI in the subjectAltName extension, such as a SPIFFE ID.
        pub uri: Option<Spanned<String>>,
        /// An e-mail address in the subjectAltName extension.
        pub email: Option<Spanned<String>>,
        /// An IP address in the subjectAltName extension.
        pub ip: Option<Spanned<String>>,
        /// The subject in the form of RFC 4514, such as `CN=alice,O=Example`. To print it: `openssl x509 -noout -subject
        /// -nameopt RFC2253,utf8,-esc_msb -in alice.pem`.
        pub subject: Option<Spanned<String>>,
        /// The SHA-256 fingerprint of the certificate, in hexadecimal digits. To print it: `openssl x509 -noout
        /// -fingerprint -sha256 -in alice.pem`.
        pub fingerprint: Option<Spanned<String>>,
    }
}

/// What tells a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Mark {
    Name(CertificateName),
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
        let given = [
            (Kind::OfItsForm, &self.name),
            (Kind::Dns, &self.dns),
            (Kind::Uri, &self.uri),
            (Kind::Email, &self.email),
            (Kind::Ip, &self.ip),
            (Kind::Subject, &self.subject),
            (Kind::Fingerprint, &self.fingerprint),
        ];
        let given: Vec<(Kind, &str)> =
            given.iter().filter_map(|(kind, text)| Some((*kind, text.as_ref()?.value.as_str()))).collect();
        let (mark, form) = match given.as_slice() {
            [(kind, text)] => (kind.mark(text), kind.form()),
            _ => (None, "give one of `name`, `dns`, `uri`, `email`, `ip`, `subject` and `fingerprint`"),
        };
        if mark.is_none() {
            cx.error("config.certificate_identity", self.at, "this does not identify a certificate")
                .help(form);
        }
        mark
    }
}

/// By what a certificate is told.
#[derive(Clone, Copy)]
enum Kind {
    OfItsForm,
    Dns,
    Uri,
    Email,
    Ip,
    Subject,
    Fingerprint,
}

impl Kind {
    /// What tells the certificate. `None` where no certificate could have it.
    fn mark(self, text: &str) -> Option<Mark> {
        let name = match self {
            Kind::OfItsForm => {
                let prefixed = text.split_once(':').and_then(|(kind, name)| match kind {
                    "dns" => Some(Kind::Dns.mark(name)),
                    "uri" => Some(Kind::Uri.mark(name)),
                    "email" => Some(Kind::Email.mark(name)),
                    "ip" => Some(Kind::Ip.mark(name)),
                    _ => None,
                });
                return prefixed.unwrap_or_else(|| Kind::of_form(text).mark(text));
            }
            Kind::Dns => dns(text).then(|| CertificateName::dns(text)),
            Kind::Uri => uri(text).then(|| CertificateName::Uri(text.to_owned())),
            Kind::Email => email(text).then(|| CertificateName::email(text)),
            Kind::Ip => text.parse().ok().map(CertificateName::Ip),
            Kind::Subject => return text.contains('=').then(|| Mark::Subject(text.to_owned())),
            Kind::Fingerprint => return fingerprint(text).map(Mark::Fingerprint),
        };
        name.map(Mark::Name)
    }

    /// The kind of a name that is written without one.
    fn of_form(text: &str) -> Kind {
        match text {
            _ if text.parse::<IpAddr>().is_ok() => Kind::Ip,
            _ if text.contains(':') => Kind::Uri,
            _ if text.contains('@') => Kind::Email,
            _ => Kind::Dns,
        }
    }

    fn form(self) -> &'static str {
        match self {
            Kind::OfItsForm | Kind::Dns => "write a name such as `alice.example.com`",
            Kind::Uri => "write a URI such as `spiffe://example.com/alice`",
            Kind::Email => "write an address such as `alice@example.com`",
            Kind::Ip => "write an address such as `192.0.2.1`",
            Kind::Subject => "write a subject such as `CN=alice,O=Example`, its last part first",
            Kind::Fingerprint => "write the 64 hexadecimal digits of the certificate's SHA-256",
        }
    }
}

fn dns(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte))
}

fn uri(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.starts_with(|first: char| first.is_ascii_alphabetic()))
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn email(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(name, host)| !name.is_empty() && dns(host)) && !text.contains(char::is_whitespace)
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
    const ABOUT: &'static str = "The client certificate of the connection.";
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

    fn good(&self, person: &Person, stage: &Stage<'_>) -> Result<Credential, String> {
        let certificates = stage.consumer(&person.name).map_or(&[][..], |consumer| consumer.certificates);
        // What a certificate says that no loading configuration says wrongly.
        let mark = certificates.first().and_then(|known| known.mark(&mut Context::for_code()));
        let mark = mark.ok_or_else(|| format!("`{}` has no certificate", person.name))?;
        Ok(Credential { certificate: Some(mark.shown()), ..Credential::default() })
    }

    fn wrong(&self, person: &Person, _: &Stage<'_>) -> Vec<Wrong> {
        let of = |mark: Mark| Credential { certificate: Some(mark.shown()), ..Credential::default() };
        let nobodys = Mark::Name(CertificateName::dns("nobody.invalid"));
        // A subject that says what a name would have to.
        let subject = Mark::Subject(format!("CN={},O=nobody", person.name));
        vec![(Attack::Wrong, of(nobodys)), (Attack::Wrong, of(subject))]
    }
}

impl Mark {
    /// A certificate that has this mark, and no other that anybody knows.
    fn shown(self) -> ClientCertificate {
        let nobodys = ClientCertificate {
            thumbprint: [0xee; 32],
            subject: "CN=rehearsal,O=nobody".to_owned(),
            names: Vec::new(),
            not_after: std::time::Duration::MAX,
        };
        match self {
            Mark::Name(name) => ClientCertificate { names: vec![name], ..nobodys },
            Mark::Subject(subject) => ClientCertificate { subject, ..nobodys },
            Mark::Fingerprint(thumbprint) => ClientCertificate { thumbprint, ..nobodys },
        }
    }
}

impl MtlsConfig {
    /// The check that runs.
    fn check(&self, build: &mut Build, cx: &mut Context) -> Option<Mtls> {
        if !build.asks_for_certificates {
            cx.error(
                "config.mtls_without_certificates",
                self.at,
                "no listener requests client certificates, so every request is rejected",
            )
            .help("add `client_certificates: { ca: clients.pem }` to the `tls` of a listener");
            return None;
        }
        if build.certificates.0.is_empty() {
            cx.error(
                "config.no_certificates",
                self.at,
                "no consumer has a certificate, so every request is rejected",
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

/// How many names a listing shows.
const LISTED_NAMES: usize = 10;

impl Mtls {
    fn judge(&self, certificate: &ClientCertificate) -> Authn {
        let names = certificate.names.iter().cloned().map(Mark::Name);
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
            Some(consumer) => {
                let credential = CredentialName::Digest(certificate.thumbprint);
                let ground = Ground { credential, rules: 0, until: Some(certificate.not_after) };
                Authn::Claim(Evidence::consumer(consumer, self.method, ID).resting_on(ground))
            }
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
        let mut names: Vec<&CertificateName> = self
            .known
            .0
            .keys()
            .filter_map(|mark| match mark {
                Mark::Name(name) => Some(name),
                Mark::Subject(_) | Mark::Fingerprint(_) => None,
            })
            .collect();
        names.sort();
        let listed: Vec<String> = names.iter().take(LISTED_NAMES).map(ToString::to_string).collect();
        match names.len().saturating_sub(LISTED_NAMES) {
            _ if names.is_empty() => "a client certificate".to_owned(),
            0 => format!("a client certificate, known by its name {}", listed.join(", ")),
            more => format!("a client certificate, known by its name {} or {more} others", listed.join(", ")),
        }
    }
}

impl Authenticate for Mtls {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Authn> {
        Step::Ready(match &facts.conn.certificate {
            None => Authn::NotMine,
            Some(certificate) => self.judge(certificate),
        })
    }

    fn uphold<'a>(
        &'a self,
        evidence: &'a Evidence,
        facts: &'a Facts<'a>,
        effects: &'a dyn Effects,
    ) -> Step<'a, Authn> {
        if evidence.check == ID { self.authenticate(facts, effects) } else { Step::Ready(Authn::NotMine) }
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
mod tests;
