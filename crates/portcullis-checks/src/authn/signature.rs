//! Requests that are signed with a shared secret, as webhooks are: by the schemes of GitHub, Stripe and Slack, or by an HMAC
//! that the configuration describes.
//!
//! Whether a signature is there, has its form and is of now is told from the head. The body is then held within the route's cap,
//! and nothing goes on before its code was compared, in constant time, with that of each secret. A signature that is there
//! and bad is a denial; only a request without one lets the next method be asked. A signature with a time is accepted once: it
//! is remembered until no clock would accept it. If that memory fails, the request is refused as by a fault.
//!
//! Limits by consumer count a request before its body is there, so before its signature is verified. The fields of a signature
//! go on: they are good for this very body alone.

use super::method::{Compiled, Declared, Establishes, Method};
use super::{field_name, rules_of};
use crate::build::Build;
use crate::rehearsal::{Attack, Credential, Person, Stage, Wrong};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http::HeaderName;
use portcullis_config::{Context, OneOrMany, Secret, Spanned, keyword, object};
use portcullis_core::check::{Check, Inspect, Inspected, Wants};
use portcullis_core::{
    Answers, Authenticate, Authn, CheckId, Code, ConsumerId, CredentialLocation, CredentialName, Denial,
    Effects, Evidence, Facts, Fault, Ground, Head, MethodId, Once, Principal, SecurityScheme, Step,
};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// The most secrets of a method, so that what one request costs is bounded.
const MAX_SECRETS: usize = 8;
/// The most codes of one signature that are compared; Stripe sends one for each secret that is in use.
const MAX_CODES: usize = 8;
/// The longest field with a signature.
const MAX_FIELD_BYTES: usize = 2048;
/// The least length of a secret in bytes.
const MIN_SECRET_BYTES: usize = 16;
/// The longest that a signature may be said to be good.
const MAX_TOLERANCE: Duration = Duration::from_secs(3600);

keyword! {
    /// Who signs, and how.
    pub enum SchemeConfig {
        /// `X-Hub-Signature-256` of GitHub. It has no time, so anyone who sees a request can send it again.
        Github = "github",
        /// `Stripe-Signature` of Stripe.
        Stripe = "stripe",
        /// `X-Slack-Signature` of Slack.
        Slack = "slack",
        /// An HMAC in the header that `header` names.
        Hmac = "hmac",
    }
}

keyword! {
    /// The hash of an HMAC.
    pub enum HashConfig {
        /// SHA-256.
        Sha256 = "sha256",
        /// SHA-512.
        Sha512 = "sha512",
    }
}

keyword! {
    /// How the bytes of a code are written.
    pub enum EncodingConfig {
        /// In hexadecimal digits.
        Hex = "hex",
        /// In base64, padded.
        Base64 = "base64",
    }
}

keyword! {
    /// What becomes of a signature that was accepted before.
    pub enum ReplayConfig {
        /// It is rejected.
        Refuse = "refuse",
        /// It is accepted again.
        Allow = "allow",
    }
}

object! {
    /// Requests that are signed with a shared secret, such as webhooks.
    pub struct SignatureConfig {
        /// `github`, `stripe`, `slack`, or `hmac` for a scheme that the following keys describe.
        pub signed_by: Spanned<SchemeConfig>,
        /// The shared secret of at least 16 bytes, or a list of up to 8 of them: to exchange a secret, accept both for a while.
        pub secret: Spanned<OneOrMany<Secret>>,
        /// How old a signature may be, and how far the clocks may differ, at most 1h. Default: 5m.
        pub tolerance: Spanned<Duration> = Spanned::nowhere(Duration::from_secs(300)),
        /// Whether a signature is accepted again within `tolerance`: `refuse` or `allow`. A signature without a time is always
        /// accepted again. Default: refuse.
        pub replay: ReplayConfig = ReplayConfig::Refuse,
        /// The name of the consumer that signs, whose roles then count. Default: a consumer without a name and without roles.
        pub consumer: Option<Spanned<String>>,
        /// The header with the signature. Only for `hmac`, which needs it.
        #[alias("header_name")]
        pub header: Option<Spanned<String>>,
        /// The header with the time, in seconds since 1970. Only for `hmac`. Default: signatures have no time.
        pub timestamp_header: Option<Spanned<String>>,
        /// What stands before the code in the header, such as `sha256=`. Only for `hmac`. Default: nothing.
        pub code_prefix: Option<Spanned<String>>,
        /// What is signed. `{body}` stands at the end; `{timestamp}`, `{method}` and `{target}` (the path with its query) may
        /// stand before it, each followed by something else. Only for `hmac`. Default: `{timestamp}.{body}`, or `{body}` without
        /// a time.
        pub signed: Option<Spanned<String>>,
        /// The hash: `sha256` or `sha512`. Only for `hmac`. Default: sha256.
        pub hash: Option<Spanned<HashConfig>>,
        /// How the code is written: `hex` or `base64`. Only for `hmac`. Default: hex.
        pub encoding: Option<Spanned<EncodingConfig>>,
    }
}

impl Declared for SignatureConfig {
    const WORDS: &'static [&'static str] = &["signature"];
    const ABOUT: &'static str = "Requests that are signed with a shared secret, such as webhooks.";
}

/// A part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Timestamp,
    Method,
    Target,
    Body,
}

/// Where a signature's time stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Time {
    /// Nowhere.
    None,
    /// In this field.
    Header(HeaderName),
    /// As `t=` in the signature's own field.
    Within,
}

/// How signatures are made.
#[derive(Clone, Debug)]
struct Scheme {
    header: HeaderName,
    time: Time,
    /// What stands before each code.
    prefix: String,
    pieces: Vec<Piece>,
    hash: HashConfig,
    encoding: EncodingConfig,
}

/// What a request shows, before its body is there.
#[derive(Debug)]
struct Shown {
    codes: Vec<Vec<u8>>,
    /// The time as it is written, and what it says.
    time: Option<(String, Duration)>,
}

fn malformed(detail: &'static str) -> Denial {
    Denial::new(Code::CredentialMalformed, detail)
}

impl Scheme {
    fn known(header: &'static str, time: Time, prefix: &str, pieces: Vec<Piece>) -> Scheme {
        Scheme {
            header: HeaderName::from_static(header),
            time,
            prefix: prefix.to_owned(),
            pieces,
            hash: HashConfig::Sha256,
            encoding: EncodingConfig::Hex,
        }
    }

    /// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
    fn github() -> Scheme {
        Scheme::known("x-hub-signature-256", Time::None, "sha256=", vec![Piece::Body])
    }

    /// <https://docs.stripe.com/webhooks/signature>
    fn stripe() -> Scheme {
        let pieces = vec![Piece::Timestamp, Piece::Text(".".to_owned()), Piece::Body];
        Scheme::known("stripe-signature", Time::Within, "v1=", pieces)
    }

    /// <https://docs.slack.dev/authentication/verifying-requests-from-slack>
    fn slack() -> Scheme {
        let text = |text: &str| Piece::Text(text.to_owned());
        let time = Time::Header(HeaderName::from_static("x-slack-request-timestamp"));
        Scheme::known(
            "x-slack-signature",
            time,
            "v0=",
            vec![text("v0:"), Piece::Timestamp, text(":"), Piece::Body],
        )
    }

    fn algorithm(&self) -> hmac::Algorithm {
        match self.hash {
            HashConfig::Sha256 => hmac::HMAC_SHA256,
            HashConfig::Sha512 => hmac::HMAC_SHA512,
        }
    }

    /// What a request shows. `None` where it has no signature.
    fn shown(&self, head: &Head) -> Result<Option<Shown>, Denial> {
        let field = match head.once(self.header.as_str()) {
            Once::Absent => return Ok(None),
            Once::One(field) => field,
            // SECURITY: which of two signatures counts is a matter of taste, so neither does (a_body_that_nobody_signed_is_looked_at_by_nobody).
            Once::Repeated => {
                return Err(Denial::new(Code::CredentialRepeated, "the signature is there more than once"));
            }
            Once::Unreadable => return Err(malformed("the signature is not text")),
        };
        if field.len() > MAX_FIELD_BYTES {
            return Err(malformed("the signature is too long"));
        }
        let (codes, time) = match &self.time {
            Time::None => (vec![self.code(&field)?], None),
            Time::Header(name) => match head.once(name.as_str()) {
                Once::One(time) => (vec![self.code(&field)?], Some(seconds(&time)?)),
                Once::Absent | Once::Repeated | Once::Unreadable => {
                    return Err(malformed("the signature's time is not there once"));
                }
            },
            Time::Within => return self.within(&field).map(Some),
        };
        Ok(Some(Shown { codes, time }))
    }

    /// The codes and the time of a list such as `t=1700000000,v1=…,v1=…`. Members of other schemes are left out.
    fn within(&self, field: &str) -> Result<Shown, Denial> {
        let (mut codes, mut time) = (Vec::new(), None);
        for member in field.split(',').map(str::trim) {
            if let Some(text) = member.strip_prefix("t=") {
                if time.replace(seconds(text)?).is_some() {
                    return Err(malformed("the signature has several times"));
                }
            } else if member.starts_with(&self.prefix) {
                if codes.len() >= MAX_CODES {
                    return Err(malformed("the signature has too many codes"));
                }
                codes.push(self.code(member)?);
            }
        }
        match time {
            Some(time) if !codes.is_empty() => Ok(Shown { codes, time: Some(time) }),
            Some(_) | None => Err(malformed("the signature has no time or no code")),
        }
    }

    /// The bytes of a code.
    fn code(&self, text: &str) -> Result<Vec<u8>, Denial> {
        let code = text
            .strip_prefix(&self.prefix)
            .ok_or_else(|| malformed("it is not a signature of this scheme"))?;
        let decoded = match self.encoding {
            EncodingConfig::Hex => unhex(code),
            EncodingConfig::Base64 => Base64::decode_vec(code).ok(),
        };
        decoded
            .filter(|code| code.len() == self.algorithm().digest_algorithm().output_len)
            .ok_or_else(|| malformed("the signature's code has another form"))
    }

    fn write(&self, code: &[u8]) -> String {
        let text = match self.encoding {
            EncodingConfig::Hex => code.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            }),
            EncodingConfig::Base64 => Base64::encode_string(code),
        };
        format!("{}{text}", self.prefix)
    }

    /// The code of a request by this secret.
    fn sign(&self, key: &hmac::Key, request: &Signed<'_>) -> hmac::Tag {
        let mut context = hmac::Context::with_key(key);
        for piece in &self.pieces {
            context.update(match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Timestamp => request.time.as_bytes(),
                Piece::Method => request.method.as_bytes(),
                Piece::Target => request.target.as_bytes(),
                Piece::Body => request.body,
            });
        }
        context.sign()
    }
}

/// What is signed of a request.
struct Signed<'a> {
    time: &'a str,
    method: &'a str,
    target: &'a str,
    body: &'a [u8],
}

/// A time in seconds since 1970, in its one spelling.
// SECURITY: one spelling and ten digits, so that no digit can move between the time and what follows it
// (a_time_has_one_spelling).
fn seconds(text: &str) -> Result<(String, Duration), Denial> {
    let digits = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let seconds = text.parse::<u64>().ok().filter(|_| digits);
    let seconds = seconds.ok_or_else(|| malformed("the signature's time is not one"))?;
    Ok((text.to_owned(), Duration::from_secs(seconds)))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks_exact(2).map(pair).collect()
}

impl Method for SignatureConfig {
    fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<Compiled> {
        let check = Arc::new(self.check(build, cx)?);
        Some(Compiled::WithBody(Arc::clone(&check) as Arc<dyn Authenticate>, check))
    }

    fn establishes(&self) -> Establishes {
        if self.consumer.is_some() { Establishes::Consumers } else { Establishes::Unnamed }
    }

    fn is_authorization(&self) -> bool {
        false
    }

    fn good(&self, person: &Person, stage: &Stage<'_>) -> Result<Credential, String> {
        if self.consumer.as_ref().is_some_and(|consumer| consumer.value != person.name) {
            return Err(format!("`{}` signs nothing here", person.name));
        }
        let secret = self.secret.value.0.first().map(|secret| stage.doubles.signing_secret(secret));
        let made = secret.and_then(|secret| self.shown(&secret, stage.now, &stage.body, stage));
        made.ok_or_else(|| "no signature can be made".to_owned())
    }

    fn wrong(&self, _: &Person, stage: &Stage<'_>) -> Vec<Wrong> {
        let Some(secret) = self.secret.value.0.first().map(|secret| stage.doubles.signing_secret(secret))
        else {
            return Vec::new();
        };
        let nobodys = stage.doubles.nobodys("signing secret");
        let late = self.tolerance.value + Duration::from_secs(1);
        let of =
            |attack, secret: &str, time, body: &[u8]| Some((attack, self.shown(secret, time, body, stage)?));
        let mut wrong = vec![
            of(Attack::Wrong, &nobodys, stage.now, &stage.body),
            of(
                Attack::ForeignSignature,
                &secret,
                stage.now,
                &[stage.body.as_ref(), b" ".as_slice()].concat(),
            ),
        ];
        // The configuration loads, so nothing is said of it.
        let scheme = self.scheme(&mut Context::for_code());
        if scheme.is_some_and(|scheme| scheme.time != Time::None) {
            wrong.push(of(Attack::Expired, &secret, stage.now.saturating_sub(late), &stage.body));
            wrong.push(of(Attack::NotYetValid, &secret, stage.now + late, &stage.body));
        }
        wrong.into_iter().flatten().collect()
    }
}

impl SignatureConfig {
    /// A signature by this secret.
    fn shown(&self, secret: &str, time: Duration, body: &[u8], stage: &Stage<'_>) -> Option<Credential> {
        let scheme = self.scheme(&mut Context::for_code())?;
        let time = time.as_secs().to_string();
        let uri = stage.url.parse::<http::Uri>().ok()?;
        let target = uri.path_and_query()?.as_str().to_owned();
        let key = hmac::Key::new(scheme.algorithm(), secret.as_bytes());
        let request = Signed { time: &time, method: stage.method, target: &target, body };
        let code = scheme.write(scheme.sign(&key, &request).as_ref());
        let name = scheme.header.as_str();
        Some(match &scheme.time {
            Time::None => Credential::header(name, code),
            Time::Within => Credential::header(name, format!("t={time},{code}")),
            Time::Header(at) => Credential::header(name, code).and(Credential::header(at.as_str(), time)),
        })
    }

    /// The check that runs.
    fn check(&self, build: &mut Build, cx: &mut Context) -> Option<Signature> {
        let (scheme, secrets) = (self.scheme(cx), self.secrets(cx));
        if self.tolerance.value > MAX_TOLERANCE || self.tolerance.value < Duration::from_secs(1) {
            cx.error("config.tolerance", self.tolerance.span, "the tolerance must be from 1s to 1h")
                .help("write a duration such as `5m`");
            return None;
        }
        let (scheme, mut secrets) = (scheme?, secrets?);
        if scheme.time == Time::None {
            cx.warning(
                "config.signature_without_time",
                self.signed_by.span,
                "these signatures have no time, so anyone who sees a request can send it again",
            )
            .help("have the backend ignore what it has seen, for example by `X-GitHub-Delivery`, or use a scheme with a time");
        }
        let consumer = match &self.consumer {
            None => build.nameless_consumer(
                "signature",
                &format!("{} {}", self.signed_by.value.as_str(), scheme.header),
            ),
            Some(name) => match build.consumers.named(&name.value) {
                Some(consumer) => consumer,
                None => {
                    cx.error("config.unknown_consumer", name.span, "there is no consumer of this name")
                        .help("write the name of one of `consumers`");
                    return None;
                }
            },
        };
        if let Some(doubles) = &build.doubles {
            secrets = secrets.iter().map(|secret| Secret::new(doubles.signing_secret(secret))).collect();
        }
        let told: Vec<String> =
            secrets.iter().map(|secret| crate::token::cache::named(secret.expose().as_bytes())).collect();
        let rules = rules_of(&[&format!("{scheme:?} {:?} {told:?}", self.tolerance.value)]);
        let keys =
            secrets.iter().map(|secret| hmac::Key::new(scheme.algorithm(), secret.expose().as_bytes()));
        Some(Signature {
            method: build.new_method(),
            keys: keys.collect(),
            tolerance: self.tolerance.value,
            // The time of a rehearsal stands still, so two of its requests have one signature.
            once: scheme.time != Time::None && self.replay == ReplayConfig::Refuse && build.doubles.is_none(),
            by: self.signed_by.value,
            scheme,
            consumer,
            rules,
        })
    }

    fn secrets(&self, cx: &mut Context) -> Option<Vec<Secret>> {
        let all = &self.secret.value.0;
        if all.is_empty() || all.len() > MAX_SECRETS {
            cx.error("config.signing_secret", self.secret.span, format!("write 1 to {MAX_SECRETS} secrets"))
                .help("write the secret that the sender signs with");
            return None;
        }
        if all.iter().any(|secret| secret.expose().len() < MIN_SECRET_BYTES) {
            let message =
                format!("a secret of fewer than {MIN_SECRET_BYTES} bytes can be guessed from a signature");
            cx.error("config.signing_secret", self.secret.span, message)
                .help("make one with `openssl rand -hex 32`, and give it to the sender");
            return None;
        }
        Some(all.clone())
    }

    fn scheme(&self, cx: &mut Context) -> Option<Scheme> {
        let own = [
            self.header.as_ref().map(|key| key.span),
            self.timestamp_header.as_ref().map(|key| key.span),
            self.code_prefix.as_ref().map(|key| key.span),
            self.signed.as_ref().map(|key| key.span),
            self.hash.as_ref().map(|key| key.span),
            self.encoding.as_ref().map(|key| key.span),
        ];
        let known = match self.signed_by.value {
            SchemeConfig::Github => Scheme::github(),
            SchemeConfig::Stripe => Scheme::stripe(),
            SchemeConfig::Slack => Scheme::slack(),
            SchemeConfig::Hmac => return self.described(cx),
        };
        if let Some(span) = own.into_iter().flatten().next() {
            cx.error("config.signature_scheme", span, "this key is for `signed_by: hmac` only")
                .help("remove the key, or describe the whole scheme under `signed_by: hmac`");
            return None;
        }
        Some(known)
    }

    /// The scheme that the keys describe.
    fn described(&self, cx: &mut Context) -> Option<Scheme> {
        let Some(header) = &self.header else {
            cx.error(
                "config.signature_scheme",
                self.signed_by.span,
                "the header with the signature is missing",
            )
            .help("write `header: X-Signature`, the name that the sender uses");
            return None;
        };
        let header = field_name(header, cx)?;
        let time = match &self.timestamp_header {
            None => Time::None,
            Some(name) => Time::Header(field_name(name, cx)?),
        };
        let usual = if time == Time::None { "{body}" } else { "{timestamp}.{body}" };
        let signed = self.signed.as_ref();
        let text = signed.map_or(usual, |signed| signed.value.as_str());
        let at = signed.map_or(self.signed_by.span, |signed| signed.span);
        let pieces = match pieces(text, time != Time::None) {
            Ok(pieces) => pieces,
            Err(why) => {
                cx.error("config.signed", at, why)
                    .help("write for instance `{timestamp}.{body}`, or `{method}\\n{target}\\n{body}` in double quotes");
                return None;
            }
        };
        let prefix = self.code_prefix.as_ref().map_or_else(String::new, |prefix| prefix.value.clone());
        let hash = self.hash.as_ref().map_or(HashConfig::Sha256, |hash| hash.value);
        let encoding = self.encoding.as_ref().map_or(EncodingConfig::Hex, |encoding| encoding.value);
        Some(Scheme { header, time, prefix, pieces, hash, encoding })
    }
}

/// The pieces of a text such as `{timestamp}.{body}`.
// SECURITY: each piece ends where it ends in every request: the body is last, and what follows another piece is no
// character that can be in it (what_is_signed_has_one_reading).
fn pieces(text: &str, timed: bool) -> Result<Vec<Piece>, &'static str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a `{` has no `}`")?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let next = after.chars().next();
        let (piece, apart) = match name {
            "timestamp" => (Piece::Timestamp, next.is_some_and(|next| !next.is_ascii_digit() && next != '{')),
            "method" => (Piece::Method, next.is_some_and(|next| next.is_ascii_whitespace() || next == ':')),
            "target" => (Piece::Target, next.is_some_and(|next| next.is_ascii_whitespace())),
            "body" => (Piece::Body, next.is_none()),
            _ => return Err("the pieces are `{timestamp}`, `{method}`, `{target}` and `{body}`"),
        };
        if !apart {
            return Err(
                "it cannot be told where a piece ends: `{body}` must be last, after `{timestamp}` stands no digit, after `{method}` a space, a line end or `:`, and after `{target}` a space or a line end",
            );
        }
        if pieces.contains(&piece) {
            return Err("a piece stands there twice");
        }
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() || pieces.last() != Some(&Piece::Body) {
        return Err("`{body}` must be there, at the end");
    }
    if pieces.contains(&Piece::Timestamp) != timed {
        return Err("`{timestamp}` and `timestamp_header` belong together");
    }
    Ok(pieces)
}

/// The check.
pub struct Signature {
    method: MethodId,
    scheme: Scheme,
    by: SchemeConfig,
    keys: Vec<hmac::Key>,
    tolerance: Duration,
    /// Whether a signature is accepted once only.
    once: bool,
    consumer: ConsumerId,
    rules: u64,
}

const ID: CheckId = CheckId::new("authn.signature");

impl Check for Signature {
    fn id(&self) -> CheckId {
        ID
    }

    fn describe(&self) -> String {
        let once = if self.once { ", accepted once" } else { "" };
        format!(
            "a signature over the body in the header field {} ({}){once}",
            self.scheme.header,
            self.by.as_str()
        )
    }
}

impl Signature {
    /// What the request shows, if it is of now.
    fn fresh(&self, facts: &Facts<'_>) -> Result<Option<Shown>, Denial> {
        let Some(shown) = self.scheme.shown(facts.head)? else { return Ok(None) };
        if let Some((_, time)) = &shown.time {
            let now = facts.now.unix;
            if time.saturating_add(self.tolerance) < now || now.saturating_add(self.tolerance) < *time {
                return Err(Denial::new(
                    Code::CredentialExpired,
                    "the signature is too old, or of the future",
                ));
            }
        }
        Ok(Some(shown))
    }

    /// The code that a secret makes and the request shows.
    fn verified(&self, shown: &Shown, head: &Head, body: &[u8]) -> Option<hmac::Tag> {
        let request = Signed {
            time: shown.time.as_ref().map_or("", |(text, _)| text.as_str()),
            method: head.method().as_str(),
            target: head.target().as_str(),
            body,
        };
        // SECURITY: in constant time, so that a code cannot be found byte by byte (a_body_that_nobody_signed_is_looked_at_by_nobody).
        self.keys.iter().map(|key| self.scheme.sign(key, &request)).find(|code| {
            shown.codes.iter().any(|shown| verify_slices_are_equal(shown, code.as_ref()).is_ok())
        })
    }
}

impl Authenticate for Signature {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Authn> {
        Step::Ready(match self.fresh(facts) {
            Ok(None) => Authn::NotMine,
            Ok(Some(shown)) => {
                let codes: Vec<u8> = shown.codes.concat();
                let name: [u8; 32] = digest(&SHA256, &codes).as_ref().try_into().unwrap_or([0; 32]);
                let ground =
                    Ground { credential: CredentialName::Digest(name), rules: self.rules, until: None };
                Authn::Claim(Evidence::consumer(self.consumer, self.method, ID).resting_on(ground))
            }
            Err(denial) => Authn::Deny(denial),
        })
    }

    // A signature is over a request that was here whole, so it stays good while the secrets are the same.
    fn uphold<'a>(&'a self, evidence: &'a Evidence, _: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Authn> {
        let same = evidence.ground.as_ref().is_some_and(|ground| ground.rules == self.rules);
        Step::Ready(match evidence.check == ID && same {
            true => Authn::Claim(evidence.now_by(self.method)),
            false => Authn::NotMine,
        })
    }

    fn challenges(&self, _: Option<&Denial>) -> Vec<String> {
        vec!["Signature".to_owned()]
    }

    fn credentials(&self) -> Vec<CredentialLocation> {
        Vec::new()
    }

    fn answers(&self, _: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        Vec::new()
    }
}

impl Inspect for Signature {
    fn inspect_head<'a>(
        &'a self,
        _: &'a Facts<'a>,
        principal: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        // Whom another method let in has signed nothing.
        Step::Ready(Ok(if principal.is_by(self.method) { Wants::Body } else { Wants::Nothing }))
    }

    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        body: &'a Bytes,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        let shown = match self.scheme.shown(facts.head) {
            Ok(Some(shown)) => shown,
            Ok(None) => {
                return Step::Ready(Err(Denial::new(Code::Fault, "a signature that was there is gone")));
            }
            Err(denial) => return Step::Ready(Err(denial)),
        };
        let Some(code) = self.verified(&shown, facts.head, body) else {
            // As for a wrong key.
            effects.credential_failed(facts.head.client());
            let detail = "the signature is not that of this body by any of the secrets";
            return Step::Ready(Err(Denial::new(Code::SignatureInvalid, detail)));
        };
        let Some((_, time)) = shown.time.filter(|_| self.once) else {
            return Step::Ready(Ok(Inspected::AsItIs));
        };
        // SECURITY: only a good signature is remembered, so that nobody uses up another's, and until no clock would accept it
        // (a_signature_is_accepted_once).
        let name: [u8; 32] = digest(&SHA256, code.as_ref()).as_ref().try_into().unwrap_or([0; 32]);
        let until = time.saturating_add(self.tolerance).saturating_add(Duration::from_secs(1));
        effects.first_use(facts.head.client(), name, until).map(|first| match first {
            Ok(true) => Ok(Inspected::AsItIs),
            Ok(false) => Err(Denial::new(Code::SignatureReplayed, "the signature was used before")),
            Err(Fault { detail }) => Err(Denial::new(Code::Fault, detail)),
        })
    }
}

#[cfg(test)]
mod tests;
