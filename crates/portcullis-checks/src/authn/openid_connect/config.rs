//! What can be written of a login, and what it means.

use super::backchannel::BackChannel;
use super::browser;
use super::callback::{Callback, EXCHANGES};
use super::cookie::{Cookies, MAX_COOKIE_BYTES, PARTS, Protection};
use super::ended::Ended;
use super::logout::Logout;
use super::opened::OpenedSessions;
use super::provider::Client;
use super::refresh::Refreshes;
use super::seal::{MAX_SECRETS, MIN_SECRET_BYTES, Purpose, Sealer};
use super::session::{Session, SessionRules};
use super::{Login, OpenIdConnect, Paths};
use crate::authn::method::{Compiled, Declared, Establishes, Method};
use crate::authn::place::parameter_name;
use crate::authn::rules_of;
use crate::authn::token_config::{role_rules, url};
use crate::build::Build;
use crate::claim_path::ClaimPathConfig;
use crate::rehearsal::{Attack, Credential, Person, Stage, Wrong, base64url, place_claim};
use crate::token::assertion::ClientAssertionConfig;
use crate::token::client_auth::{ClientAuthenticationConfig, Written};
use crate::token::issuer::{Issuer, KeySource, Refresh};
use crate::token::rules::{Profile, Rules};
use crate::token::{cache, json, keys, metadata};
use aws_lc_rs::digest::{Context as Digest, SHA256};
use portcullis_config::{ByteSize, Context, OneOrMany, Secret, Span, Spanned, keyword, object};
use portcullis_core::MethodSet;
use portcullis_core::endpoint::{Endpoint, Served};
use portcullis_core::head::{host, path};
use portcullis_core::pool::Pool;
use portcullis_core::route::pattern;
use std::sync::Arc;
use std::time::Duration;

/// How far the provider's clock may be off.
pub(super) const LEEWAY: Duration = Duration::from_secs(30);
/// The longest that a session may be said to last.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// When the provider's keys are fetched, and how long they serve while it does not answer.
const REFRESH: Refresh =
    Refresh { min_interval: Duration::from_secs(10), stale_for: Duration::from_secs(24 * 3600) };

/// The sizes that sessions may be limited to, in bytes.
const SESSION_BYTES: (u64, u64) = (1024, (PARTS * MAX_COOKIE_BYTES) as u64);

keyword! {
    /// How a provider sends browsers back.
    pub enum ResponseMode {
        /// With a link.
        Query = "query",
        /// With a form that a page of it posts.
        FormPost = "form_post",
    }
}

object! {
    /// Login in a browser with an OpenID provider. The session is kept in an encrypted cookie.
    pub struct OpenIdConnectConfig {
        /// The provider's issuer URL. Its metadata is found from it.
        pub issuer: Spanned<String>,
        /// The URL of the provider's metadata, if it cannot be found from `issuer`, as with Azure AD B2C. The metadata must name
        /// `issuer` as its issuer. Default: the places that the standards define.
        pub metadata_url: Option<Spanned<String>>,
        /// The gateway's client id at the provider.
        pub client_id: Spanned<String>,
        /// The gateway's client secret at the provider. With `private_key_jwt` it is its private key, in PEM
        /// (PKCS #8). A public client has none.
        pub client_secret: Option<Secret>,
        /// How the gateway authenticates at the provider: `client_secret_basic`, `client_secret_post`,
        /// `private_key_jwt`, or `none` for a public client, which has PKCE alone. Default: client_secret_basic.
        pub client_authentication: ClientAuthenticationConfig = ClientAuthenticationConfig::Basic,
        /// What the assertion of `private_key_jwt` contains. Default: nothing that is optional.
        pub client_assertion: Option<ClientAssertionConfig>,
        /// The URL of the gateway in browsers, such as https://app.example.com. Register this URL with `callback_path` as
        /// the redirect URI at the provider. `http` is allowed for loopback addresses only, and cookies are then sent
        /// without TLS.
        pub public_url: Spanned<String>,
        /// The secret that encrypts session cookies, of at least 32 bytes. To rotate it without ending sessions, give a
        /// list: the first one encrypts, all of them decrypt. Gateways that serve the same site need the same secrets.
        pub session_secret: Spanned<OneOrMany<Secret>>,
        /// The requested scopes. `openid` is always requested. Refresh tokens often need `offline_access`. Default:
        /// openid.
        pub scopes: Spanned<Vec<String>> = Spanned::nowhere(Vec::new()),
        /// The claim of the ID token with the roles: a name, a path such as `realm_access.roles`, a URL, or a list of names
        /// such as `[resource_access, my.client, roles]`. Default: roles.
        pub roles_claim: Spanned<ClaimPathConfig> = Spanned::nowhere(ClaimPathConfig::named("roles")),
        /// More claims with roles, written as `roles_claim`. The roles of all of them count. Default: none.
        pub more_roles_claims: Vec<ClaimPathConfig> = Vec::new(),
        /// The separator of roles in a claim that is one string, such as `,`. Default: a string is one role.
        pub roles_separator: Option<Spanned<String>>,
        /// A prefix for each role of this issuer, such as `partner:`. If a route accepts several issuers, each of them
        /// can grant the roles of the others unless they have different prefixes: `roles_allowed: [admin,
        /// "partner:admin"]`. Default: none.
        pub roles_prefix: Option<Spanned<String>>,
        /// How the provider sends the browser back to `callback_path`: `query`, or `form_post`, so that the code is in no URL.
        /// With `form_post`, the cookies of login attempts are sent from other sites too (`SameSite=None`). Default: query.
        pub response_mode: ResponseMode = ResponseMode::Query,
        /// Additional claims of the ID token to keep, for conditions and upstreams. They take space in the session.
        /// Default: none.
        pub claims: Vec<ClaimPathConfig> = Vec::new(),
        /// The maximum lifetime of a session, at most 30d. Default: 12h.
        pub session_lifetime: Spanned<Duration> = Spanned::nowhere(Duration::from_secs(12 * 3600)),
        /// How long an unused session lasts. The accuracy is a tenth of this time. Default: 1h.
        pub idle_timeout: Spanned<Duration> = Spanned::nowhere(Duration::from_secs(3600)),
        /// The name of the session cookie, without the prefix `__Host-` that the gateway adds. Default: gateway-session.
        pub cookie_name: Spanned<String> = Spanned::nowhere("gateway-session".to_owned()),
        /// The maximum size of a session in its cookies, from 1KiB to 16KiB. A session that is larger than one cookie (4 KiB) is
        /// split over several. If it is too large, the ID token is left out first, then the refresh token. Browsers send the
        /// cookies in one header, so raise `limits.max_header_size` along with it. Default: 4608.
        pub max_session_size: Spanned<ByteSize> = Spanned::nowhere(ByteSize(4608)),
        /// Whether the session keeps the ID token, which is sent to the provider at logout (`id_token_hint`). Without it,
        /// some providers ask the user to confirm, or refuse. Default: true.
        pub id_token_hint: bool = true,
        /// The path of the redirect URI, to which the provider sends the browser back. Default: /auth/callback.
        pub callback_path: Spanned<String> = Spanned::nowhere("/auth/callback".to_owned()),
        /// The path to which a page posts a form to log out. Default: /auth/logout.
        pub logout_path: Spanned<String> = Spanned::nowhere("/auth/logout".to_owned()),
        /// The path to which browsers are redirected after logout. Default: /.
        pub logged_out_path: Spanned<String> = Spanned::nowhere("/".to_owned()),
        /// The path to which the provider posts logout tokens, to end sessions (OpenID Connect Back-Channel Logout). Register
        /// `public_url` with this path as the back-channel logout URI at the provider. Gateways that serve the same site need a
        /// shared store for it. Default: the provider cannot end sessions.
        pub backchannel_logout_path: Option<Spanned<String>>,
    }
}

/// Where browsers find the gateway.
struct PublicUrl {
    origin: String,
    host: String,
    protection: Protection,
}

impl Declared for OpenIdConnectConfig {
    const WORDS: &'static [&'static str] = &["openid_connect", "openIdConnect", "oidc"];
    const ABOUT: &'static str =
        "Login in a browser with an OpenID provider. The session is kept in an encrypted cookie.";
}

impl Method for OpenIdConnectConfig {
    fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<Compiled> {
        self.check(build, cx).map(Compiled::check)
    }

    fn establishes(&self) -> Establishes {
        Establishes::Subjects {
            issuer: self.issuer.value.clone(),
            roles_prefix: self.roles_prefix.as_ref().map_or_else(String::new, |prefix| prefix.value.clone()),
        }
    }

    fn is_authorization(&self) -> bool {
        false
    }

    fn good(&self, person: &Person, stage: &Stage<'_>) -> Result<Credential, String> {
        self.rehearsed(person, stage, (stage.now, stage.now))
            .ok_or_else(|| "no session can be sealed".to_owned())
    }

    fn wrong(&self, person: &Person, stage: &Stage<'_>) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let begun = |ago: Duration| stage.now.saturating_sub(ago);
        let (begun, idle) = (begun(self.session_lifetime.value), begun(self.idle_timeout.value));
        // One that is used all the time ends as well.
        for times in [(begun, stage.now), (idle, idle)] {
            wrong.extend(self.rehearsed(person, stage, times).map(|old| (Attack::Expired, old)));
        }
        if let Some(mut good) = self.rehearsed(person, stage, (stage.now, stage.now)) {
            if browser::needs_origin(
                &http::Method::from_bytes(stage.method.as_bytes()).unwrap_or_default(),
                false,
            ) {
                let mut elsewhere = good.clone();
                elsewhere.headers = vec![("origin".to_owned(), "https://elsewhere.invalid".to_owned())];
                wrong.push((Attack::CrossSite, elsewhere));
                wrong.push((Attack::CrossSite, Credential { headers: Vec::new(), ..good.clone() }));
            }
            for (_, value) in &mut good.cookies {
                *value = base64url(stage.doubles.nobodys("session"));
            }
            wrong.push((Attack::Wrong, good));
        }
        wrong
    }
}

impl OpenIdConnectConfig {
    /// The cookie of a session that began at the first of these times, and was used at the second one for the last time.
    fn rehearsed(
        &self,
        person: &Person,
        stage: &Stage<'_>,
        (started, seen): (Duration, Duration),
    ) -> Option<Credential> {
        // The configuration loads, so nothing is said of it.
        let mut cx = Context::for_code();
        let (public, sealer) = (self.public_url(&mut cx)?, self.sealer(&mut cx)?);
        let cookies = Cookies::new(&self.cookie_name.value, public.protection);
        let mut claims = serde_json::Map::new();
        for (path, value) in &person.claims {
            if let Some(path) = portcullis_core::ClaimPath::parse(path) {
                place_claim(&mut claims, path.names(), value.clone());
            }
        }
        let prefix = self.roles_prefix.as_ref().map_or("", |prefix| prefix.value.as_str());
        let roles: Vec<&str> = person.roles.iter().filter_map(|role| role.strip_prefix(prefix)).collect();
        let roles = match &self.roles_separator {
            Some(separator) => serde_json::json!(roles.join(&separator.value)),
            None => serde_json::json!(roles),
        };
        place_claim(&mut claims, self.roles_claim.value.0.names(), roles);
        let session = Session {
            id: stage.doubles.nobodys(&format!("session {}", person.name)),
            subject: person.name.clone(),
            claims: json::object(serde_json::Value::Object(claims).to_string().as_bytes()).ok()?,
            scopes: person.scopes.clone(),
            started,
            seen,
            sid: None,
            id_token: None,
            renewal: None,
        };
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let name = cookies.session();
        let sealed = sealer.seal(Purpose::Session, name, random, session.encode())?;
        Some(Credential {
            cookies: vec![(name.to_owned(), sealed)],
            headers: vec![("origin".to_owned(), public.origin)],
            ..Credential::default()
        })
    }

    /// The check that runs.
    fn check(&self, build: &mut Build, cx: &mut Context) -> Option<OpenIdConnect> {
        // Each is looked at before the first failure counts, so that all failures are reported.
        let issuer = url(&self.issuer, cx);
        let metadata_at = match &self.metadata_url {
            Some(text) => url(text, cx).map(Some),
            None => Some(None),
        };
        let public = self.public_url(cx);
        let sealer = self.sealer(cx);
        let scope = self.scope(cx);
        let session = self.session_rules(build, cx);
        let name = parameter_name(&self.cookie_name, cx);
        let paths = self.paths(cx);
        let authentication = Written {
            how: self.client_authentication,
            id: &self.client_id,
            secret: self.client_secret.as_ref(),
            assertion: self.client_assertion.as_ref(),
        }
        .compile(cx);
        let (_, metadata_at, public, sealer, scope) = (issuer?, metadata_at?, public?, sealer?, scope?);
        let (session, name, paths, authentication) = (session?, name?, paths?, authentication?);
        let cookies = Cookies::new(&name, public.protection);
        let fingerprint = self.fingerprint(authentication.named())?;
        if let Some(there) =
            build.logins.iter().find(|there| there.login.shares(&public.origin, &paths, &cookies))
        {
            if there.fingerprint == fingerprint {
                return Some(OpenIdConnect(Arc::clone(&there.login)));
            }
            cx.error(
                "config.login_conflict",
                self.at,
                "another login uses the same callback path, logout path or cookie name",
            )
            .related(there.at, "the other one")
            .help(
                "use different values for `callback_path`, `logout_path` and `cookie_name`, or exactly the same login",
            );
            return None;
        }
        build.asked.push(self.metadata_url.as_ref().unwrap_or(&self.issuer).clone());
        let name = self.issuer.value.clone();
        let source = metadata_at.map_or(KeySource::Issuer, KeySource::Metadata);
        let issuer = match &build.doubles {
            Some(doubles) => doubles.issuer(&name, Some(&name), &keys::asymmetric(), false)?,
            None => Issuer::fetched(Some(name), source, None, keys::asymmetric(), REFRESH),
        };
        let issuer = build.issuer(issuer);
        let client_id = self.client_id.value.clone();
        // SECURITY: whoever logged out stays so, whatever the next configuration says of sessions
        // (a_logout_outlives_a_reload).
        let whose = format!("{:?} at {:?}", client_id, self.issuer.value);
        let exact = cache::named(&fingerprint);
        let login = Arc::new(Login {
            method: build.new_method(),
            issuer,
            client: Client {
                id: client_id.clone(),
                issuer: self.issuer.value.clone(),
                authentication,
                redirect: format!("{}{}", public.origin, paths.callback),
                scope,
                comes_by_form: self.response_mode == ResponseMode::FormPost,
            },
            tokens: Rules {
                audience: Some(vec![client_id]),
                profile: Profile::Any,
                leeway: LEEWAY,
                max_age: None,
                roles: session.roles.clone(),
                scopes: None,
                subject: None,
                audience_claim: None,
            },
            cookies,
            sealer,
            session,
            origin: public.origin,
            host: public.host.clone(),
            paths,
            refreshes: build.kept.keep(&whose, Refreshes::default),
            ended: build.kept.hold::<Ended>(&whose),
            opened: build.kept.keep(&exact, OpenedSessions::default),
            rules: rules_of(&[&exact]),
            exchanges: build.kept.keep(&format!("exchanges {whose}"), || Pool::new(EXCHANGES)),
        });
        login.serve(&public.host, build)?;
        build.logins.push(BuiltLogin { fingerprint, login: Arc::clone(&login), at: self.at });
        Some(OpenIdConnect(login))
    }

    fn public_url(&self, cx: &mut Context) -> Option<PublicUrl> {
        let text = &self.public_url;
        let uri = metadata::endpoint(&text.value).ok();
        let uri = uri.filter(|uri| uri.path() == "/" && uri.query().is_none());
        let parts = uri.as_ref().and_then(|uri| {
            let scheme = uri.scheme_str()?;
            let own = if scheme == "https" { 443 } else { 80 };
            let host = host::canonical(uri.authority()?.as_str()).ok()?;
            let origin = match uri.port_u16().filter(|port| *port != own) {
                Some(port) => format!("{scheme}://{host}:{port}"),
                None => format!("{scheme}://{host}"),
            };
            Some((scheme == "https", host, origin))
        });
        let Some((tls, host, origin)) = parts else {
            cx.error("config.public_url", text.span, "this is not a URL that browsers can use")
                .help("write scheme and host, such as `https://app.example.com`; `http://` is allowed for loopback addresses only");
            return None;
        };
        if !tls {
            cx.warning(
                "config.login_without_tls",
                text.span,
                "cookies are sent without TLS, and to other ports of this host",
            )
            .help("use `https://`, except for development on your own machine");
        }
        let protection = if tls { Protection::Tls } else { Protection::LoopbackOnly };
        Some(PublicUrl { origin, host, protection })
    }

    fn sealer(&self, cx: &mut Context) -> Option<Sealer> {
        let secrets: Vec<&[u8]> =
            self.session_secret.value.0.iter().map(|secret| secret.expose().as_bytes()).collect();
        let sealer = Sealer::new(&secrets, &self.issuer.value, &self.client_id.value);
        if sealer.is_none() {
            cx.error(
                "config.session_secret",
                self.session_secret.span,
                format!("give one to {MAX_SECRETS} secrets of at least {MIN_SECRET_BYTES} bytes"),
            )
            .help("make one with `openssl rand -hex 32`");
        }
        sealer
    }

    fn scope(&self, cx: &mut Context) -> Option<String> {
        if !self.scopes.value.iter().all(|scope| crate::authz::is_scope(scope)) {
            cx.error("config.scope_name", self.scopes.span, "a scope is made of visible ASCII characters without quotes and backslashes (RFC 6749, section 3.3)")
                .help("write names such as `[profile, offline_access]`");
            return None;
        }
        let more = self.scopes.value.iter().map(String::as_str).filter(|scope| *scope != "openid");
        Some(std::iter::once("openid").chain(more).collect::<Vec<_>>().join(" "))
    }

    fn session_rules(&self, build: &Build, cx: &mut Context) -> Option<SessionRules> {
        let roles = role_rules(
            &self.roles_claim.value,
            &self.more_roles_claims,
            self.roles_separator.as_ref(),
            self.roles_prefix.as_ref(),
            build,
            cx,
        );
        let claims = self.claims.iter().map(|path| path.0.clone()).collect();
        let (lifetime, idle) = (self.session_lifetime, self.idle_timeout);
        let mut complete = true;
        for time in [lifetime, idle] {
            if time.value < Duration::from_secs(1) || time.value > MAX_LIFETIME {
                cx.error(
                    "config.session_lifetime",
                    time.span,
                    "the lifetime of a session must be from 1s to 30d",
                )
                .help("write a duration such as `8h`");
                complete = false;
            }
        }
        let size = self.max_session_size;
        if size.value.0 < SESSION_BYTES.0 || size.value.0 > SESSION_BYTES.1 {
            cx.error("config.session_size", size.span, "the size of a session must be from 1KiB to 16KiB")
                .help("write a size such as `5KiB`");
            complete = false;
        }
        let roles = roles?;
        complete.then(|| SessionRules {
            ended_by_provider: self.backchannel_logout_path.is_some(),
            keeps_id_token: self.id_token_hint,
            max_bytes: usize::try_from(size.value.0).unwrap_or(usize::MAX),
            issuer: self.issuer.value.clone(),
            client: self.client_id.value.clone(),
            roles,
            claims,
            lifetime: lifetime.value,
            idle: idle.value,
        })
    }

    fn paths(&self, cx: &mut Context) -> Option<Paths> {
        let mut complete = true;
        let backchannel = self.backchannel_logout_path.as_ref();
        for given in
            [&self.callback_path, &self.logout_path, &self.logged_out_path].into_iter().chain(backchannel)
        {
            let canonical = path::canonical(&given.value).as_deref() == Ok(given.value.as_str());
            let pattern = given.value.contains(['{', '}']) || pattern::foreign(&given.value).is_some();
            if !canonical || !given.value.starts_with('/') || pattern {
                cx.error("config.route_path", given.span, "this is not the path of a page")
                    .help("write a path such as `/auth/callback`");
                complete = false;
            }
        }
        let taken = [&self.callback_path.value, &self.logout_path.value];
        if let Some(path) = backchannel.filter(|path| taken.contains(&&path.value)) {
            cx.error(
                "config.login_conflict",
                path.span,
                "`backchannel_logout_path` must differ from `callback_path` and `logout_path`",
            )
            .help("write another path, such as `/auth/backchannel-logout`");
            complete = false;
        }
        if self.callback_path.value == self.logout_path.value {
            cx.error(
                "config.login_conflict",
                self.logout_path.span,
                "`callback_path` and `logout_path` must differ",
            )
            .help("write two different paths");
            complete = false;
        }
        complete.then(|| Paths {
            callback: self.callback_path.value.clone(),
            logout: self.logout_path.value.clone(),
            logged_out: self.logged_out_path.value.clone(),
            backchannel: backchannel.map(|path| path.value.clone()),
        })
    }

    /// A number that is the same for the same login alone, of a client that is told apart by `client`. `None` where a text is too long to have one.
    fn fingerprint(&self, client: &str) -> Option<Vec<u8>> {
        let size = self.max_session_size.value.0.to_string();
        let times = [self.session_lifetime, self.idle_timeout].map(|time| format!("{:?}", time.value));
        let texts = [
            &self.issuer,
            &self.client_id,
            &self.public_url,
            &self.cookie_name,
            &self.callback_path,
            &self.logout_path,
            &self.logged_out_path,
        ];
        let optional =
            [&self.roles_separator, &self.roles_prefix, &self.metadata_url, &self.backchannel_logout_path]
                .map(|text| text.as_ref().map_or("", |text| text.value.as_str()));
        // Names in brackets, so that no two paths are one text.
        let text = |path: &ClaimPathConfig| format!("{:?}", path.0.names());
        let roles: Vec<String> =
            std::iter::once(&self.roles_claim.value).chain(&self.more_roles_claims).map(text).collect();
        let claims: Vec<String> = self.claims.iter().map(text).collect();
        let secrets = self.client_secret.iter().chain(&self.session_secret.value.0);
        let lists = [
            texts.iter().map(|text| text.value.as_str()).collect::<Vec<_>>(),
            optional.to_vec(),
            vec![client],
            secrets.map(Secret::expose).collect(),
            self.scopes.value.iter().map(String::as_str).collect(),
            roles.iter().map(String::as_str).collect(),
            claims.iter().map(String::as_str).collect(),
            times.iter().map(String::as_str).collect(),
            vec![self.client_authentication.as_str(), self.response_mode.as_str()],
            vec![size.as_str(), if self.id_token_hint { "hint" } else { "" }],
        ];
        let mut digest = Digest::new(&SHA256);
        for list in lists {
            digest.update(&u64::try_from(list.len()).ok()?.to_be_bytes());
            for text in list {
                digest.update(&u64::try_from(text.len()).ok()?.to_be_bytes());
                digest.update(text.as_bytes());
            }
        }
        Some(digest.finish().as_ref().to_vec())
    }
}

/// A login that a configuration has.
pub struct BuiltLogin {
    fingerprint: Vec<u8>,
    login: Arc<Login>,
    at: Span,
}

impl Login {
    /// Whether it has a path or a cookie that a login at `origin` with these would have too.
    fn shares(&self, origin: &str, paths: &Paths, cookies: &Cookies) -> bool {
        let all = |paths: &Paths| {
            let backchannel = paths.backchannel.clone();
            [paths.callback.clone(), paths.logout.clone()].into_iter().chain(backchannel).collect::<Vec<_>>()
        };
        let theirs = all(paths);
        all(&self.paths).iter().any(|ours| theirs.contains(ours))
            || (self.origin == origin && self.cookies.session() == cookies.session())
    }

    /// Has the gateway itself answer its paths: for its own host, whose routes are looked at first, and for any other name
    /// that a server in front may give it.
    fn serve(self: &Arc<Login>, host: &str, build: &mut Build) -> Option<()> {
        let callback: Arc<dyn Endpoint> = Arc::new(Callback(Arc::clone(self)));
        let logout: Arc<dyn Endpoint> = Arc::new(Logout(Arc::clone(self)));
        let backchannel: Arc<dyn Endpoint> = Arc::new(BackChannel(Arc::clone(self)));
        let back = match self.client.comes_by_form {
            true => MethodSet::named("GET")?.union(MethodSet::named("POST")?),
            false => MethodSet::named("GET")?,
        };
        let mut served = vec![
            (&self.paths.callback, back, &callback),
            (&self.paths.logout, MethodSet::named("POST")?, &logout),
        ];
        if let Some(path) = &self.paths.backchannel {
            served.push((path, MethodSet::named("POST")?, &backchannel));
        }
        for (path, methods, endpoint) in served {
            for hosts in [Vec::new(), vec![host.to_owned()]] {
                build.serve(Served {
                    path: path.clone(),
                    hosts,
                    methods: methods.clone(),
                    keeps: self.cookies.locations(),
                    endpoint: Arc::clone(endpoint),
                });
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
