//! The admin listener: each request goes through the guard, then to one endpoint of the table.

use crate::endpoints::{Call, Does, ENDPOINTS, Endpoint, METRICS};
use crate::gateway::Gateway;
use crate::guard::{self, COOKIE, CSRF_FIELD, Caller};
use crate::once::Once;
use crate::pages;
use crate::problem::{Problem, json_answer};
use crate::server::{Asked, Service, Wait};
use crate::sessions::Sessions;
use crate::tokens::{self, Token};
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use subtle::ConstantTimeEq;

/// What the admin listener is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who may ask and order.
    pub tokens: Vec<Token>,
    /// Names, with or without a port, under which it is reached besides its own address.
    pub hosts: Vec<String>,
    /// Whether metrics are given to anybody who reaches the listener.
    pub open_metrics: bool,
}

/// The service of the admin listener.
pub struct AdminService {
    settings: Settings,
    gateway: Arc<dyn Gateway>,
    sessions: Arc<AdminSessions>,
    local: OnceLock<SocketAddr>,
}

/// What the services of one listener hand on to each other across a reload.
#[derive(Default)]
pub struct AdminSessions {
    sessions: Sessions,
    once: Once,
    /// The second, since 1970, in which a refused token was last told.
    told: AtomicU64,
}

impl AdminService {
    /// The service of these settings. Sessions of tokens that are no longer there end.
    pub fn new(settings: Settings, gateway: Arc<dyn Gateway>, sessions: Arc<AdminSessions>) -> AdminService {
        let tokens: Vec<String> = settings.tokens.iter().map(Token::name).collect();
        sessions.sessions.keep(&tokens);
        AdminService { settings, gateway, sessions, local: OnceLock::new() }
    }

    /// Tells it where it listens. Before, it answers nobody.
    pub fn at(&self, local: SocketAddr) {
        let _already = self.local.set(local);
    }

    fn caller(&self, asked: &Asked) -> Result<Option<Caller>, Problem> {
        let caller = guard::caller(asked, &self.settings.tokens, &self.sessions.sessions);
        if let Err(problem) = &caller {
            self.tell_refused(asked, &problem.detail);
        }
        caller
    }

    /// Tells of a refused token, once a second at most, so that nobody fills the log.
    fn tell_refused(&self, asked: &Asked, why: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.sessions.told.swap(now, Ordering::Relaxed) != now {
            self.gateway.tell(&format!("refused {}: {why}", asked.peer.ip()));
        }
    }
}

/// Whoever sent a form from a page gets a page that says what is wrong with it.
fn in_words(call: &Call<'_>, shown: Result<Response<Bytes>, Problem>) -> Result<Response<Bytes>, Problem> {
    match shown {
        Err(problem) if call.caller.is_some_and(|caller| caller.csrf.is_some()) => {
            Ok(pages::problem(call, &problem))
        }
        shown => shown,
    }
}

/// The endpoint of a path and method, and what stands in the place of `{…}`.
fn find<'p>(method: &str, path: &'p str) -> Result<(&'static Endpoint, Option<&'p str>), Problem> {
    let mut allowed = Vec::new();
    for endpoint in ENDPOINTS {
        let parameter = match endpoint.path.split_once('{') {
            None if endpoint.path == path => None,
            None => continue,
            Some((before, rest)) => {
                let after = rest.split_once('}').map_or("", |(_, after)| after);
                match path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) {
                    Some(given) if !given.is_empty() && !given.contains('/') => Some(given),
                    Some(_) | None => continue,
                }
            }
        };
        if endpoint.method == method || endpoint.method == "GET" && method == "HEAD" {
            return Ok((endpoint, parameter));
        }
        allowed.push(endpoint.method);
    }
    Err(match allowed.as_slice() {
        [] => Problem::new(StatusCode::NOT_FOUND, "there is nothing here; /openapi.json lists what there is"),
        methods => Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this takes {}", methods.join(", "))),
    })
}

/// A path that has one reading: segments of these characters, none of them empty or made of dots.
fn is_plain(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    path == "/"
        || path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/').all(|segment| {
                !segment.is_empty() && !segment.bytes().all(|byte| byte == b'.') && segment.bytes().all(plain)
            })
        })
}

impl AdminService {
    async fn serve(&self, asked: Asked) -> Result<Response<Bytes>, Problem> {
        // Some clients encode the colons of an IPv6 address, and some do not.
        let path = asked.request.uri().path().replace("%3A", ":").replace("%3a", ":");
        let path = path.as_str();
        // Asked by a probe that knows no name, and told nothing but that.
        let probe = matches!(path, "/healthz" | "/readyz");
        let mut host = String::new();
        if !probe {
            let local = self.local.get().ok_or_else(|| {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway has not started")
            })?;
            host = guard::host(&asked, *local, &self.settings.hosts)?;
        }
        if !is_plain(path) {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "the path has more than one reading"));
        }
        let page = !path.starts_with("/api/") && path != METRICS;
        guard::site(&asked, &host, page)?;
        match (asked.request.method(), path) {
            (&Method::GET | &Method::HEAD, "/login") => return Ok(pages::login(None)),
            (&Method::POST, "/login") => return self.login(&asked),
            (&Method::POST, "/logout") => return self.logout(&asked),
            _ => {}
        }
        let found = find(asked.request.method().as_str(), path);
        let open = match &found {
            Ok((endpoint, _)) => {
                endpoint.role.is_none() || endpoint.path == METRICS && self.settings.open_metrics
            }
            Err(_) => false,
        };
        let caller = if open { None } else { self.caller(&asked)? };
        // SECURITY: whoever has no token does not learn what there is either (hostile_requests_are_refused_or_harmless).
        if !open && caller.is_none() {
            let shown = page && matches!(*asked.request.method(), Method::GET | Method::HEAD);
            return match shown {
                true => Ok(pages::to("/login")),
                false => Err(Problem::new(StatusCode::UNAUTHORIZED, "this takes a token")),
            };
        }
        let (endpoint, parameter) = found?;
        if let Some(caller) = &caller {
            self.may(endpoint, caller, &asked)?;
        }
        let once = &self.sessions.once;
        let call = Call { gateway: &self.gateway, asked: &asked, parameter, caller: caller.as_ref(), once };
        match &endpoint.does {
            Does::Tells(tell) => tell(&call).map(|value| json_answer(StatusCode::OK, &value)),
            Does::Orders(order) => order(&call).await.map(|value| json_answer(StatusCode::OK, &value)),
            Does::Shows(show) => in_words(&call, show(&call)),
            Does::ShowsLater(show) => in_words(&call, show(&call).await),
        }
    }

    /// That the caller has the role, and that a page of the dashboard has made the browser send what changes something.
    fn may(&self, endpoint: &Endpoint, caller: &Caller, asked: &Asked) -> Result<(), Problem> {
        if endpoint.role.is_some_and(|role| caller.role < role) {
            self.gateway.tell(&format!(
                "token {} ({}) from {} may not {} {}",
                caller.token,
                caller.role.as_str(),
                asked.peer.ip(),
                endpoint.method,
                endpoint.path
            ));
            return Err(Problem::new(StatusCode::FORBIDDEN, "this takes the role operator"));
        }
        match (&caller.csrf, endpoint.method) {
            (None, _) | (_, "GET") => Ok(()),
            (Some(expected), _) if csrf_of(asked).is_some_and(|sent| same(&sent, expected)) => Ok(()),
            (Some(_), _) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "the form is not one of this session's; load the page again",
            )),
        }
    }

    fn login(&self, asked: &Asked) -> Result<Response<Bytes>, Problem> {
        let shown = pages::field(asked, "token").unwrap_or_default();
        let Some(token) = tokens::find(&self.settings.tokens, shown.trim()) else {
            self.tell_refused(asked, "this token is not known");
            return Ok(pages::login(Some("This token is not known.")));
        };
        let cookie = self.sessions.sessions.open(token.role, token.name(), asked.peer.ip());
        self.gateway.tell(&format!(
            "token {} ({}) from {} opened a session",
            token.name(),
            token.role.as_str(),
            asked.peer.ip()
        ));
        Ok(with_cookie(pages::to("/"), &cookie, None, asked.tls))
    }

    fn logout(&self, asked: &Asked) -> Result<Response<Bytes>, Problem> {
        let headers = asked.request.headers();
        if let (Some(caller), Some(cookie)) = (self.caller(asked)?, guard::cookie(headers)) {
            let sent = csrf_of(asked).unwrap_or_default();
            if caller.csrf.as_ref().is_some_and(|expected| same(&sent, expected)) {
                self.sessions.sessions.end(&cookie);
                self.gateway.tell(&format!("token {} ended its session", caller.token));
            }
        }
        Ok(with_cookie(pages::to("/login"), "", Some(0), asked.tls))
    }
}

fn csrf_of(asked: &Asked) -> Option<String> {
    match asked.request.headers().get(CSRF_FIELD) {
        Some(field) => field.to_str().ok().map(str::to_owned),
        None => pages::field(asked, "csrf"),
    }
}

fn same(sent: &str, expected: &str) -> bool {
    bool::from(sent.as_bytes().ct_eq(expected.as_bytes()))
}

fn with_cookie(mut response: Response<Bytes>, value: &str, age: Option<u32>, tls: bool) -> Response<Bytes> {
    let age = age.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
    let secure = if tls { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{age}{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// What no answer of this listener lacks. Scripts, styles and pictures come from it alone, and no page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The service as the server has it.
pub struct AdminListener(pub Arc<AdminService>);

impl Service for AdminListener {
    fn answer(&self, asked: Asked) -> Wait<Response<Bytes>> {
        let service = Arc::clone(&self.0);
        Box::pin(async move {
            let mut response = service.serve(asked).await.unwrap_or_else(|problem| problem.answer());
            let headers = response.headers_mut();
            for (name, value) in [
                ("content-security-policy", POLICY),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                // With `no-referrer` browsers hide where a form of ours comes from.
                ("referrer-policy", "same-origin"),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
            response
        })
    }
}
