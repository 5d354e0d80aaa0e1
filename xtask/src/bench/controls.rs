//! The controls that must be in force for a figure to mean anything.
//!
//! A proxy that lets everything through is fast, and so is one that answers by itself. So each is asked, in the same
//! process that is measured, for things it must refuse and things it must fetch from the backend, before the load and
//! after it.

use crate::failure::{Context, Failure, Outcome};

use super::backend::{self, Backend};
use super::grpc;
use super::http::{self, Answer};
use super::keys::Keys;
use super::orders::{self, Orders};
use super::peers::{Peer, Server};
use super::{Credentials, Scenario};
use super::{tls, tokens};

/// What `/limited` allows a client at once, in each of the configurations.
const LIMIT: u32 = 3;

/// Whether the client with a low limit still has all of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limits {
    Fresh,
    Used,
}

/// Fails, naming the request, if one answer is not what it must be.
pub(crate) fn check(
    server: &Server,
    credentials: &Credentials,
    orders: &Orders,
    (backend, calls): (&Backend, &grpc::Upstream),
    limits: Limits,
) -> Outcome<()> {
    let Credentials { keys, tokens, certificate } = credentials;
    match server.scenario() {
        Scenario::Plain | Scenario::Group | Scenario::Thousand | Scenario::TenThousand => {
            expect(server, credentials, "a plain request", "/", None, 200)?;
            match server.peer() {
                // The path means another thing to a backend that decodes it than to a router that does not.
                Peer::Portcullis => expect(server, credentials, "an ambiguous path", "/..%2f", None, 400),
                Peer::Nginx | Peer::Haproxy | Peer::Envoy | Peer::Relay => Ok(()),
            }
        }
        Scenario::Grpc => grpc::check(server, keys, calls),
        Scenario::Orders | Scenario::Validation => orders::check(server, orders, backend),
        Scenario::Keys | Scenario::Telemetry | Scenario::Https | Scenario::Http2 | Scenario::Handshakes => {
            if server.scenario().is_protected() {
                tls::check(server, certificate)?;
            }
            let field = |key: &str| ("x-api-key", key.to_owned());
            expect(server, credentials, "no key", "/", None, 401)?;
            expect(server, credentials, "an empty key", "/", Some(&field("")), 401)?;
            expect(server, credentials, "a wrong key", "/", Some(&field(&Keys::wrong())), 401)?;
            check_right(server, credentials, &field(keys.right()), &field(keys.limited()), limits)
        }
        Scenario::Tokens | Scenario::TokensUncached => {
            let field = |token: &str| ("authorization", format!("Bearer {token}"));
            expect(server, credentials, "no token", "/", None, 401)?;
            expect(server, credentials, "an empty token", "/", Some(&field("")), 401)?;
            for (what, token) in &tokens.bad {
                // Envoy knows the caller then, and says that it may not.
                let knows = server.peer() == Peer::Envoy && *what == tokens::FOR_SOMEBODY_ELSE;
                let wanted = if knows { 403 } else { 401 };
                expect(server, credentials, what, "/", Some(&field(token)), wanted)?;
            }
            check_right(server, credentials, &field(tokens.right()), &field(tokens.limited()), limits)
        }
    }
}

type Field = (&'static str, String);

/// That a right credential gets what it may, and no more of it than it may.
fn check_right(
    server: &Server,
    credentials: &Credentials,
    right: &Field,
    limited: &Field,
    limits: Limits,
) -> Outcome<()> {
    expect(server, credentials, "a right credential", "/", Some(right), 200)?;
    expect(server, credentials, "a right credential with the wrong role", "/admin", Some(right), 403)?;
    match limits {
        Limits::Fresh => {
            for _ in 0..LIMIT {
                expect(server, credentials, "a client under its limit", "/limited", Some(limited), 200)?;
            }
        }
        // A bucket that leaks, such as nginx has, may have let some requests in again by now.
        Limits::Used => use_up_limit(server, credentials, limited)?,
    }
    expect(server, credentials, "a client over its limit", "/limited", Some(limited), 429)
}

/// Asks until the limit is reached, or as often as it allows.
fn use_up_limit(server: &Server, credentials: &Credentials, (name, value): &Field) -> Outcome<()> {
    for _ in 0..LIMIT {
        let answer = ask(server, credentials, "/limited", Some((name, value)));
        if answer.context(|| format!("{}: using up a limit", server.name()))?.status == 429 {
            break;
        }
    }
    Ok(())
}

fn expect(
    server: &Server,
    credentials: &Credentials,
    request: &str,
    path: &str,
    field: Option<&Field>,
    wanted: u16,
) -> Outcome<()> {
    let asking = || format!("{}: asking with {request}", server.name());
    let field = field.map(|(name, value)| (*name, value.as_str()));
    let answer = ask(server, credentials, path, field).context(asking)?;
    let problem = if answer.status != wanted {
        format!("must be answered {wanted} and was answered {}", answer.status)
    } else if (wanted == 200) != (answer.body == backend::BODY.as_bytes()) {
        // A refusal with the backend's body was forwarded before it was refused.
        format!(
            "was answered {wanted}, but {} the backend's body",
            if wanted == 200 { "without" } else { "with" }
        )
    } else {
        return Ok(());
    };
    Err(Failure::new(format!("{}: {request} {problem}; nothing was measured that counts", server.name())))
}

/// Asks in the way that the scenario measures.
fn ask(
    server: &Server,
    credentials: &Credentials,
    path: &str,
    field: Option<(&str, &str)>,
) -> Outcome<Answer> {
    match server.scenario() {
        Scenario::Plain
        | Scenario::Keys
        | Scenario::Tokens
        | Scenario::TokensUncached
        | Scenario::Grpc
        | Scenario::Orders
        | Scenario::Validation
        | Scenario::Group
        | Scenario::Telemetry
        | Scenario::Thousand
        | Scenario::TenThousand => http::get(server.port(), path, field),
        Scenario::Https | Scenario::Http2 | Scenario::Handshakes => {
            tls::get(server, &credentials.certificate, path, field)
        }
    }
}
