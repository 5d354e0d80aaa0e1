//! The way back from the provider: whether somebody has logged in.
//!
//! The browser must bring the cookie of the very attempt, within its time and for the first time; the provider must name
//! itself if it said that it would; the code must be good; the ID token must be of this login. Anything else is refused
//! with 400, which a person sees as a page, and nobody is sent on from here: so there is no way round and round. Only who
//! has logged in already and comes back once more is sent to where the login led. The attempt is over then, and a code that
//! the provider does not know counts as a wrong credential. If the provider does not answer, or too many are
//! logging in, that is 503; if the address must wait, 429. The attempt stays open in both cases, so that the page can be
//! loaded again.

use super::attempt::{Attempt, Attempts, Slot};
use super::id_token::Nonce;
use super::provider::{self, NoTokens, Tokens};
use super::renew::renewal_of;
use super::send::START;
use super::session::{self, Session};
use super::{Login, browser, pages};
use crate::token::issuer::Loaded;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use portcullis_core::endpoint::{Endpoint, refused};
use portcullis_core::head::query;
use portcullis_core::page::Page;
use portcullis_core::pool::{Bounds, Client, Place};
use portcullis_core::{Advice, Claim, ClientAddress, Code, Denial, Effects, Once, Standing, Step};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Answers browsers that come back.
pub struct Callback(pub(super) Arc<Login>);

fn failed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Denial {
    Denial::new(Code::LoginFailed, detail)
}

impl Endpoint for Callback {
    fn describe(&self) -> String {
        format!("where browsers come back to from {}", self.0.session.issuer)
    }

    fn answer<'a>(
        &'a self,
        request: &'a Request<Bytes>,
        effects: &'a dyn Effects,
    ) -> Step<'a, Response<Bytes>> {
        Step::Later(Box::pin(async move {
            self.0.come_back(request, effects).await.unwrap_or_else(|denial| {
                // A script sees problem details, whatever page was meant.
                let wanted = pages::wanted(request.method(), request.headers(), false);
                refused(if wanted { pages::shown(denial, "/") } else { denial.without_page() })
            })
        }))
    }
}

/// The codes of one login that are exchanged at once, and those that wait.
// SECURITY: anybody can begin an attempt and bring a made-up code; what that costs the gateway and the provider is bounded,
// and one address keeps nobody else from logging in (made_up_codes_of_one_address_keep_nobody_out).
pub(super) const EXCHANGES: Bounds = Bounds { units: 16, share: 4, waiting: 64 };

/// How long a browser waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Why nobody has logged in.
enum Failed {
    /// The attempt is over.
    Over(Denial),
    /// The same request can be sent again.
    Again(Denial),
}

impl From<Denial> for Failed {
    fn from(denial: Denial) -> Failed {
        Failed::Over(denial)
    }
}

/// A code of which nobody waits to hear whether it is good: it counts as a wrong one.
struct Undecided<'a> {
    /// `None` when it was answered.
    effects: Option<&'a dyn Effects>,
    address: IpAddr,
}

impl Drop for Undecided<'_> {
    // SECURITY: whoever breaks off before the answer has had the provider asked all the same
    // (made_up_codes_count_as_guesses).
    fn drop(&mut self) {
        if let Some(effects) = self.effects {
            effects.credential_failed(self.address);
        }
    }
}

fn again(detail: impl Into<std::borrow::Cow<'static, str>>) -> Failed {
    Failed::Again(Denial::new(Code::Fault, detail))
}

/// A refusal where a source must wait because of its wrong credentials.
fn may_go_on(effects: &dyn Effects, address: IpAddr) -> Result<(), Failed> {
    match effects.standing(address) {
        Standing::Free | Standing::Observed { .. } => Ok(()),
        Standing::Blocked { wait } => {
            let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
            let denial = Denial::new(Code::TooManyFailures, "too many wrong credentials from this address");
            Err(Failed::Again(denial.advising(Advice::RetryAfter { seconds })))
        }
    }
}

/// A parameter that stands once: of the form, where the provider sends one, and of the query otherwise.
fn parameter<'a>(
    request: &'a Request<Bytes>,
    name: &str,
) -> Result<Option<std::borrow::Cow<'a, str>>, Denial> {
    let text = if *request.method() == Method::POST {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(failed("it brings no form"));
        }
        Some(std::str::from_utf8(request.body()).map_err(|_| failed("its form is not text"))?)
    } else {
        request.uri().query()
    };
    match query::parameter(text, name) {
        Once::Absent => Ok(None),
        Once::One(value) => Ok(Some(value)),
        Once::Repeated | Once::Unreadable => Err(failed("a parameter repeats, or is not text")),
    }
}

impl Login {
    async fn come_back(
        &self,
        request: &Request<Bytes>,
        effects: &dyn Effects,
    ) -> Result<Response<Bytes>, Denial> {
        let now = effects.now().unix;
        let Some(state) = parameter(request, "state")? else {
            return match parameter(request, START)? {
                Some(path) if *request.method() == Method::GET => {
                    self.start(request, browser::return_path(&path), effects).await
                }
                Some(_) | None => Err(failed("it brings no state")),
            };
        };
        // SECURITY: a link cannot bring what only the provider's form may (a_form_of_the_provider_logs_in).
        if self.client.comes_by_form != (*request.method() == Method::POST) {
            return Err(failed("it does not come as the provider was told to send it"));
        }
        let attempts = Attempts { cookies: &self.cookies, sealer: &self.sealer, headers: request.headers() };
        let name = attempts.name_of(&state).ok_or_else(|| failed("its state is none of ours"))?;
        // SECURITY: a link that somebody else's login ended with is worth nothing
        // (a_callback_is_worth_something_once_and_in_one_browser).
        let same = |kept: &str| verify_slices_are_equal(kept.as_bytes(), state.as_bytes()).is_ok();
        let attempt = match attempts.slot(name) {
            Slot::Open(attempt) if same(&attempt.state) => attempt,
            // Back, and loading the page again.
            Slot::Used { state: kept, path, .. } if same(&kept) => {
                if self.has_session(request, effects).await {
                    return self.onward(&path);
                }
                let denial = failed("the attempt was used before");
                return Err(denial.showing(Page::new(&pages::USED).leading_to(browser::return_path(&path))));
            }
            other @ (Slot::Free | Slot::Open(_) | Slot::Used { .. }) => {
                let why = match other {
                    Slot::Free => "the browser does not bring the cookie of an attempt",
                    Slot::Open(_) | Slot::Used { .. } => "its state is of another attempt",
                };
                // Of several tabs, one that began before the last few finds the browser logged in by another one.
                let known = self.has_session(request, effects).await;
                let words = if known { &pages::ALREADY } else { &pages::FORGOTTEN };
                return Err(failed(why).showing(Page::new(words)));
            }
        };
        let done = self.complete(request, &attempt, now, effects).await;
        let kept = done.map_err(|failed| {
            let again = browser::return_path(&attempt.path);
            match failed {
                Failed::Over(denial) => {
                    pages::shown(denial, again).telling(header::SET_COOKIE, self.cookies.clear(name))
                }
                Failed::Again(denial) => pages::shown(denial, again),
            }
        })?;
        let mark = self.keep_attempt(name, attempt.mark(now), effects)?;
        // The path was sealed here; it is looked at again, since a redirect is worth the second look.
        let mut response = self.onward(&attempt.path)?;
        let headers = response.headers_mut();
        for field in kept.into_iter().chain([mark]) {
            headers.append(header::SET_COOKIE, field);
        }
        Ok(response)
    }

    /// Sends a browser to a path of the site.
    fn onward(&self, path: &str) -> Result<Response<Bytes>, Denial> {
        let location = format!("{}{}", self.origin, browser::return_path(path));
        let unsendable = |_| Denial::new(Code::Fault, "the path to come back to cannot be sent");
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, HeaderValue::try_from(location).map_err(unsendable)?);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// Begins a login for a page that was asked for at another host, unless there is a session here.
    async fn start(
        &self,
        request: &Request<Bytes>,
        path: &str,
        effects: &dyn Effects,
    ) -> Result<Response<Bytes>, Denial> {
        if !browser::is_navigation(request.method(), request.headers(), false) {
            return Err(failed("only a browser begins a login"));
        }
        if self.has_session(request, effects).await {
            return self.onward(path);
        }
        let begun = self.begin(request.headers(), path, effects).await;
        begun.map(refused).map_err(|denial| pages::shown(denial, path))
    }

    /// Whether a request brings a session that is good, as far as can be told at once.
    async fn has_session(&self, request: &Request<Bytes>, effects: &dyn Effects) -> bool {
        let Once::One(text) = self.cookies.read(request.headers()) else { return false };
        let Some(opened) = self.open(&text) else { return false };
        let lasts = match opened.session.standing(effects.now().unix, &self.session) {
            session::Standing::Good | session::Standing::Due | session::Standing::Over => true,
            session::Standing::Ended(_) => false,
        };
        lasts && self.ended.has(&opened.names.text(), effects).resolve().await == Ok(false)
    }

    async fn complete(
        &self,
        request: &Request<Bytes>,
        attempt: &Attempt,
        now: Duration,
        effects: &dyn Effects,
    ) -> Result<Vec<HeaderValue>, Failed> {
        if now >= attempt.until {
            return Err(failed("the attempt took too long").into());
        }
        let loaded = self.loaded(effects).await.map_err(Failed::Again)?;
        // SECURITY: the answer of one provider must not be taken for another's (every_part_of_the_way_back_is_checked).
        match parameter(request, "iss")? {
            Some(issuer) if issuer != loaded.issuer => {
                return Err(failed("it is the answer of another provider").into());
            }
            None if loaded.metadata.names_itself => {
                return Err(failed("the provider does not name itself").into());
            }
            Some(_) | None => {}
        }
        if let Some(error) = parameter(request, "error")? {
            let why = format!("the provider says {}", provider::error_word(&error));
            return Err(match error.as_ref() {
                // Everything is as it was; another attempt may go well.
                "temporarily_unavailable" | "server_error" => Denial::new(Code::Fault, why).into(),
                "access_denied" => failed(why).showing(Page::new(&pages::CANCELLED)).into(),
                _ => failed(why).into(),
            });
        }
        let code = parameter(request, "code")?.ok_or_else(|| failed("it brings no code"))?;
        let tokens = self.exchange(request, attempt, &code, &loaded, effects).await?;
        let token = tokens.id.as_deref().ok_or_else(|| failed("the provider gave no ID token"))?;
        let said = self.verify(token, &tokens, Nonce::Is(&attempt.nonce), &loaded, effects).await;
        let said = said.map_err(|denial| {
            if denial.code() == Code::Fault {
                return denial;
            }
            failed(format!("the ID token, {}: {}", denial.code(), denial.detail()))
        })?;
        let mut session = self.new_session(&tokens, attempt, said, now);
        if self.session.keeps_id_token {
            session.id_token = Some(Zeroizing::new(token.to_owned()));
        }
        self.keep_what_fits(&mut session, now, request.headers(), effects).map_err(|why| failed(why).into())
    }

    /// The tokens of a code.
    async fn exchange(
        &self,
        request: &Request<Bytes>,
        attempt: &Attempt,
        code: &str,
        loaded: &Loaded,
        effects: &dyn Effects,
    ) -> Result<Tokens, Failed> {
        let endpoint = Self::token_endpoint(loaded).map_err(Failed::Again)?;
        let address = request.extensions().get::<ClientAddress>();
        let client = Client::unknown(address.map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.0));
        may_go_on(effects, client.address)?;
        let _turn = self.turn(client, effects).await?;
        // Others of this address may have failed while it waited.
        may_go_on(effects, client.address)?;
        let used = digest(&SHA256, &[b"login ", attempt.state.as_bytes()].concat());
        let used: [u8; 32] = used.as_ref().try_into().map_err(|_| again("no digest"))?;
        // SECURITY: a code is exchanged once, whatever copies of the cookie there are
        // (a_callback_is_worth_something_once_and_in_one_browser).
        match effects.first_use(client.address, used, attempt.until).resolve().await {
            Ok(true) => {}
            Ok(false) => {
                return Err(failed("the attempt was used before").showing(Page::new(&pages::USED)).into());
            }
            Err(fault) => return Err(again(fault.detail)),
        }
        let mut question = self.client.exchange(endpoint, code, &attempt.verifier, effects);
        question.client = Some(client);
        let mut undecided = Undecided { effects: Some(effects), address: client.address };
        let answer = effects.fetch(question).await;
        undecided.effects = None;
        match provider::tokens(&answer) {
            Ok(tokens) => Ok(tokens),
            Err(NoTokens::Refused) => {
                effects.credential_failed(client.address);
                Err(failed("the provider does not take its code").into())
            }
            Err(NoTokens::Fault(detail)) => {
                // Nothing came of it. A provider that took the code after all refuses it the next time.
                match effects.unused(used).resolve().await {
                    Ok(()) => Err(again(detail)),
                    Err(fault) => Err(Denial::new(Code::Fault, fault.detail).into()),
                }
            }
        }
    }

    async fn turn(&self, client: Client, effects: &dyn Effects) -> Result<Place, Failed> {
        let turn = self.exchanges.take(client, 1).within(effects.sleep(TURN)).await;
        turn.map_err(|full| again(format!("too many logins at once: {full}")))
    }

    fn new_session(
        &self,
        tokens: &Tokens,
        attempt: &Attempt,
        said: super::id_token::IdToken,
        now: Duration,
    ) -> Session {
        let started = Duration::from_secs(now.as_secs());
        let asked = || self.client.scope.split(' ').map(str::to_owned).collect();
        let renewal =
            |token: &zeroize::Zeroizing<String>| renewal_of(token.clone(), tokens, Some(said.expires), now);
        Session {
            id: attempt.nonce.clone(),
            claims: self.session.keep(&said.claims),
            scopes: tokens.scopes.clone().unwrap_or_else(asked),
            started,
            seen: started,
            renewal: tokens.refresh.as_ref().map(renewal),
            sid: said.claims.member("sid").and_then(Claim::as_text).map(str::to_owned),
            id_token: None,
            subject: said.subject,
        }
    }
}
