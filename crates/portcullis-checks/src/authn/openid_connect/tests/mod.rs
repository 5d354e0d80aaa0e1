//! A site with a login, its provider, and a browser, for tests of the whole way.

mod callback;
mod session;

use super::*;
use crate::authn::declared::{build, compiled_with};
use crate::authn::method::Compiled;
use crate::token::tests::key::{Key, key_set};
use crate::token::tests::request::Asked;
use crate::token::tests::world::{START, World};
use crate::token::tests::{at_once, step};
use bytes::Bytes;
use http::{Request, Response};
use portcullis_core::endpoint::Served;
use portcullis_core::{ClientAddress, Identity};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

const PROVIDER: &str = "https://id.example";
const AUTHORIZE: &str = "https://id.example/authorize";
const TOKEN: &str = "https://id.example/token";
const END: &str = "https://id.example/end";
const KEYS: &str = "https://id.example/keys";
const METADATA: &str = "https://id.example/.well-known/openid-configuration";
const KEY: Key = Key { seed: 1, kid: Some("a") };
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// A site at `https://api.example`.
struct Site {
    check: Arc<dyn Authenticate>,
    endpoints: Vec<Served>,
    world: World,
}

/// A site whose login has more keys.
fn site(more: &str) -> Site {
    site_of(more, &json!({}))
}

/// The same, with a provider that says more of itself.
fn site_of(more: &str, metadata: &Value) -> Site {
    let yaml = format!(
        "{{ type: openid_connect, issuer: '{PROVIDER}', client_id: gate, client_secret: s3cret, \
         public_url: 'https://api.example', session_secret: 0123456789abcdef0123456789abcdef{more} }}"
    );
    let mut build = build();
    let (Some(Compiled::Check(check)), _) = compiled_with(&yaml, &mut build) else { panic!("{more}") };
    let world = World::default();
    let mut document = json!({
        "issuer": PROVIDER, "jwks_uri": KEYS, "token_endpoint": TOKEN,
        "authorization_endpoint": AUTHORIZE, "end_session_endpoint": END,
    });
    document.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    world.publish(METADATA, &document.to_string());
    world.publish(KEYS, &key_set(&[KEY]));
    for job in &build.jobs {
        assert!(step(job.run(&world).as_mut()).is_pending());
    }
    world.asked();
    Site { check, endpoints: build.endpoints, world }
}

/// What a browser keeps.
#[derive(Clone, Default)]
struct Browser(BTreeMap<String, String>);

impl Browser {
    fn take<'a>(&mut self, fields: impl IntoIterator<Item = &'a HeaderValue>) {
        for field in fields {
            let text = field.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("; Max-Age=0;") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn cookies(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn has_session(&self) -> bool {
        self.0.contains_key("__Host-gateway-session")
    }

    fn attempts(&self) -> usize {
        self.0.keys().filter(|name| name.contains("-attempt-")).count()
    }
}

const PAGE: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
const ORIGIN: (&str, &str) = ("origin", "https://api.example");

/// What comes of a request.
#[derive(Debug, PartialEq)]
enum Seen {
    /// This person is let in.
    As(String),
    /// Nobody is there, and this is why.
    Refused(Code),
    /// It is sent here.
    Sent(String),
    /// It has no session.
    Nobody,
}

fn refusal(denial: &Denial) -> Seen {
    let location = denial.fields().iter().find(|(name, _)| name == header::LOCATION);
    match location {
        Some((_, location)) => Seen::Sent(location.to_str().unwrap().to_owned()),
        None => Seen::Refused(denial.code()),
    }
}

/// What a browser is sent to log in with.
struct Sent {
    state: String,
    nonce: String,
}

impl Site {
    fn request(&self, verb: &str, path: &str, browser: &Browser, fields: &[(&str, &str)]) -> Asked {
        let host = fields.iter().find(|(name, _)| *name == "host").map_or("api.example", |(_, host)| host);
        let request = Request::builder().method(verb).uri(path).header("host", host);
        let request = request.header("cookie", browser.cookies());
        let more = fields.iter().filter(|(name, _)| *name != "host");
        Asked::new(more.fold(request, |request, (name, value)| request.header(*name, *value)))
    }

    fn authenticate(&self, asked: &Asked) -> Authn {
        at_once(self.check.authenticate(&asked.facts(&self.world), &self.world).resolve())
    }

    /// What comes of a request. The browser keeps the cookies of the answer.
    fn visit(&self, verb: &str, path: &str, browser: &mut Browser, fields: &[(&str, &str)]) -> Seen {
        let asked = self.request(verb, path, browser, fields);
        match self.authenticate(&asked) {
            Authn::ClaimAndTell(evidence, tell) => {
                browser
                    .take(tell.iter().filter(|(name, _)| name == header::SET_COOKIE).map(|(_, value)| value));
                match evidence.identity() {
                    Identity::Subject(subject) => Seen::As(subject.name.clone()),
                    other @ (Identity::Anonymous | Identity::Consumer(_) | Identity::Stored(_)) => {
                        panic!("{other:?}")
                    }
                }
            }
            Authn::Claim(_) => panic!("an answer to one person says so"),
            Authn::Deny(denial) => {
                browser.take(
                    denial
                        .fields()
                        .iter()
                        .filter(|(name, _)| name == header::SET_COOKIE)
                        .map(|(_, value)| value),
                );
                refusal(&denial)
            }
            Authn::NotMine => Seen::Nobody,
        }
    }

    /// A script's request.
    fn get(&self, browser: &mut Browser) -> Seen {
        self.visit("GET", "/orders", browser, &[])
    }

    fn invite(&self, asked: &Asked) -> Option<Denial> {
        at_once(self.check.invite(&asked.facts(&self.world), &self.world).resolve())
    }

    /// A person goes to a page without a session, and is sent to log in.
    fn begin(&self, path: &str, browser: &mut Browser) -> Sent {
        let denial = self.invite(&self.request("GET", path, browser, &PAGE)).unwrap();
        assert_eq!(denial.code(), Code::LoginRequired);
        let set = denial.fields().iter().filter(|(name, _)| name == header::SET_COOKIE);
        browser.take(set.map(|(_, value)| value));
        let Seen::Sent(location) = refusal(&denial) else { panic!("sent nowhere") };
        sent(&location)
    }

    fn answer(&self, path: &str, request: &Request<Bytes>) -> Response<Bytes> {
        let served = self.endpoints.iter().find(|served| served.path == path).unwrap();
        at_once(served.endpoint.answer(request, &self.world).resolve())
    }

    /// The browser comes back with this query.
    fn come_back(&self, query: &str, browser: &mut Browser) -> Response<Bytes> {
        let request = back(query, browser, &PAGE);
        let response = self.answer("/auth/callback", &request);
        browser.take(response.headers().get_all(header::SET_COOKIE));
        if let Some(denial) = response.extensions().get::<Denial>() {
            let set = denial.fields().iter().filter(|(name, _)| name == header::SET_COOKIE);
            browser.take(set.map(|(_, value)| value));
        }
        response
    }

    /// From here on, the provider gives this for any code or refresh token.
    fn give(&self, tokens: &Value) {
        self.world.publish(TOKEN, &tokens.to_string());
    }

    /// The provider gives tokens of alice for this login.
    fn give_alice(&self, sent: &Sent) {
        self.give(&json!({ "id_token": id_token(&sent.nonce, &json!({})), "access_token": "a" }));
    }

    /// A browser in which alice has logged in, with these members beside those of the token endpoint's answer.
    fn logged_in(&self, claims: &Value, tokens: &Value) -> Browser {
        let mut browser = Browser::default();
        let sent = self.begin("/orders", &mut browser);
        let mut answer = json!({ "id_token": id_token(&sent.nonce, claims), "access_token": "a" });
        answer.as_object_mut().unwrap().extend(tokens.as_object().unwrap().clone());
        self.give(&answer);
        let response = self.come_back(&format!("state={}&code=c", sent.state), &mut browser);
        assert_eq!(response.status(), 303, "{:?}", denial_of(&response));
        assert!(browser.has_session());
        self.world.asked();
        browser
    }
}

fn sent(location: &str) -> Sent {
    let parameter = |name: &str| {
        let query = location.split_once('?').unwrap().1;
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("{location}: {name}")).to_owned()
    };
    Sent { state: parameter("state"), nonce: parameter("nonce") }
}

fn back(query: &str, browser: &Browser, fields: &[(&str, &str)]) -> Request<Bytes> {
    let request = Request::get(format!("/auth/callback?{query}")).header("cookie", browser.cookies());
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.extension(ClientAddress(CLIENT)).body(Bytes::new()).unwrap()
}

/// An ID token of alice.
fn id_token(nonce: &str, claims: &Value) -> String {
    let mut all = json!({
        "iss": PROVIDER, "sub": "alice", "aud": "gate", "iat": START, "exp": START + 3600, "nonce": nonce,
    });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    KEY.sign(&json!({}), &all)
}

fn denial_of(response: &Response<Bytes>) -> Option<&Denial> {
    response.extensions().get::<Denial>()
}

/// The code and the detail of a refusal.
fn why(response: &Response<Bytes>) -> (Code, String) {
    let denial = denial_of(response).unwrap_or_else(|| panic!("{response:?}"));
    (denial.code(), denial.detail().to_owned())
}

fn location(response: &Response<Bytes>) -> String {
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

fn alice() -> Seen {
    Seen::As("alice".into())
}
