//! The controls that must be in force for a figure to mean anything.
//!
//! A proxy that lets everything through is fast, and so is one that answers by itself. So each is asked, in the same
//! process that is measured, for things it must refuse and things it must fetch from the backend, before the load and
//! after it.

use crate::failure::{Context, Failure, Outcome};

use super::Scenario;
use super::backend;
use super::http;
use super::keys::Keys;
use super::peers::{Peer, Server};

/// What `/limited` allows a client at once, in each of the configurations.
const LIMIT: u32 = 3;

/// Whether the client with a low limit still has all of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limits {
    Fresh,
    Used,
}

/// Fails, naming the request, if one answer is not what it must be.
pub(crate) fn check(server: &Server, keys: &Keys, limits: Limits) -> Outcome<()> {
    match server.scenario() {
        Scenario::Plain => {
            expect(server, "a plain request", "/", None, 200)?;
            match server.peer() {
                // The path means another thing to a backend that decodes it than to a router that does not.
                Peer::Portcullis => expect(server, "an ambiguous path", "/..%2f", None, 400),
                Peer::Nginx | Peer::Haproxy => Ok(()),
            }
        }
        Scenario::Keys => {
            expect(server, "a right key", "/", Some(keys.right()), 200)?;
            expect(server, "no key", "/", None, 401)?;
            expect(server, "an empty key", "/", Some(""), 401)?;
            expect(server, "a wrong key", "/", Some(&Keys::wrong()), 401)?;
            expect(server, "a right key with the wrong role", "/admin", Some(keys.right()), 403)?;
            match limits {
                Limits::Fresh => {
                    for _ in 0..LIMIT {
                        expect(server, "a client under its limit", "/limited", Some(keys.limited()), 200)?;
                    }
                }
                // A bucket that leaks, such as nginx has, may have let some requests in again by now.
                Limits::Used => use_up_limit(server, keys)?,
            }
            expect(server, "a client over its limit", "/limited", Some(keys.limited()), 429)
        }
    }
}

/// Asks until the limit is reached, or as often as it allows.
fn use_up_limit(server: &Server, keys: &Keys) -> Outcome<()> {
    for _ in 0..LIMIT {
        let answer = http::get(server.port(), "/limited", Some(keys.limited()));
        if answer.context(|| format!("{}: using up a limit", server.name()))?.status == 429 {
            break;
        }
    }
    Ok(())
}

fn expect(server: &Server, request: &str, path: &str, key: Option<&str>, wanted: u16) -> Outcome<()> {
    let asking = || format!("{}: asking with {request}", server.name());
    let answer = http::get(server.port(), path, key).context(asking)?;
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
