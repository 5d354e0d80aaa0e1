//! Methods as a configuration declares them, for tests.

use super::bearer::{Bearer, Trust};
use super::key_digest::KeyHasher;
use super::method::{Compiled, MethodConfig};
use super::token_config;
use crate::build::Build;
use crate::rehearsal::{Credential, Doubles, Stage};
use crate::token::tests::request::Asked;
use crate::token::tests::world::START;
use bytes::Bytes;
use http::Request;
use portcullis_config::{Context, Severity, Source, from_yaml};
use portcullis_store::Kept;
use std::env::VarError;
use std::sync::Arc;
use std::time::Duration;

/// What a plan is built with. There is no pepper.
pub(super) fn build() -> Build {
    Build::new(KeyHasher::new(&[7; 32], None), Kept::default())
}

/// The same, for a rehearsal.
pub(super) fn rehearsed() -> (Build, Arc<Doubles>) {
    let doubles = Arc::new(Doubles::new(&[3; 32]));
    let mut build = build();
    build.doubles = Some(Arc::clone(&doubles));
    (build, doubles)
}

fn context() -> Context {
    Context::for_file("gateway.yaml").with_environment(|_| Err(VarError::NotPresent))
}

/// The method that this text declares.
pub(super) fn method(yaml: &str) -> MethodConfig {
    let mut cx = context();
    let method = from_yaml(&Source::new("method", yaml), &mut cx);
    method.unwrap_or_else(|| panic!("{yaml}: {:?}", codes(&cx)))
}

/// The codes of all that is said. That a secret stands in the text is no news here.
fn codes(cx: &Context) -> Vec<&'static str> {
    let codes = cx.diagnostics.sorted().into_iter().map(|diagnostic| diagnostic.code);
    codes.filter(|code| *code != "config.literal_secret").collect()
}

/// What a method becomes, if it becomes anything, and the codes of all that is said of it.
pub(super) fn compiled_with(yaml: &str, build: &mut Build) -> (Option<Compiled>, Vec<&'static str>) {
    let mut cx = context();
    let method: Option<MethodConfig> = from_yaml(&Source::new("method", yaml), &mut cx);
    let compiled = method.and_then(|method| method.compile(build, &mut cx));
    assert_eq!(compiled.is_none(), cx.diagnostics.has_errors(), "{yaml}: {:?}", codes(&cx));
    (compiled, codes(&cx))
}

/// The issuers of a method, and the codes of what is said of it.
pub(super) fn trusts_and_codes(yaml: &str) -> (Vec<Trust>, Vec<&'static str>) {
    match compiled_with(yaml, &mut build()) {
        (Some(Compiled::Tokens(trusts)), codes) => (trusts, codes),
        (None, codes) => (Vec::new(), codes),
        (Some(Compiled::Check(_) | Compiled::WithBody(..)), _) => panic!("{yaml}: not of tokens"),
    }
}

/// The issuers of a method of which nothing is said.
pub(super) fn trusts(yaml: &str) -> Vec<Trust> {
    let (trusts, codes) = trusts_and_codes(yaml);
    assert_eq!(codes, Vec::<&str>::new(), "{yaml}");
    trusts
}

/// The codes of what is said of a method.
pub(super) fn said_of(yaml: &str) -> Vec<&'static str> {
    compiled_with(yaml, &mut build()).1
}

/// The help on the only error of a method.
pub(super) fn help_on(yaml: &str) -> String {
    let mut cx = context();
    let method: MethodConfig = from_yaml(&Source::new("method", yaml), &mut cx).unwrap();
    assert!(method.compile(&mut build(), &mut cx).is_none(), "{yaml}");
    let mut errors = cx.diagnostics.sorted().into_iter().filter(|one| one.severity == Severity::Error);
    errors.next().and_then(|error| error.help.clone()).unwrap_or_default()
}

/// The check of a method of tokens, compiled with this.
pub(super) fn bearer(method: &MethodConfig, build: &mut Build) -> Bearer {
    let Some(Compiled::Tokens(trusts)) = method.compile(build, &mut context()) else { panic!("no tokens") };
    let config: Vec<_> = method.token().into_iter().collect();
    let place = trusts.first().unwrap().place.clone();
    token_config::bearer(place, trusts, &config, build)
}

/// A rehearsal of requests of this method.
pub(super) fn stage<'a>(doubles: &'a Doubles, method: &'a str) -> Stage<'a> {
    Stage {
        doubles,
        consumers: &[],
        now: Duration::from_secs(START),
        method,
        url: "https://api.example/orders".into(),
        body: Bytes::new(),
    }
}

/// A request with this credential.
pub(super) fn asked(method: &str, credential: &Credential) -> Asked {
    let query: Vec<String> = credential.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let path = if query.is_empty() { "/orders".to_owned() } else { format!("/orders?{}", query.join("&")) };
    let mut request = Request::builder().method(method).uri(path).header("host", "api.example");
    for (name, value) in &credential.headers {
        request = request.header(name, value);
    }
    if !credential.cookies.is_empty() {
        let cookies: Vec<String> =
            credential.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request = request.header("cookie", cookies.join("; "));
    }
    let mut asked = Asked::new(request);
    asked.conn.certificate = credential.certificate.clone().map(Arc::new);
    asked
}
