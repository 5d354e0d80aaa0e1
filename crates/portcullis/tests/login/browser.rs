//! A browser without a screen: it keeps cookies by origin, follows redirects, and fills in the provider's own forms.

use crate::support::{Answer, Client};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

/// What a browser sends when a person goes to a page.
const NAVIGATION: &str = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: none\r\n\
     Accept: text/html,application/xhtml+xml\r\n";
/// What a browser sends for a script of a page of the same origin.
pub const SCRIPT: &str = "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Site: same-origin\r\nAccept: application/json\r\n";

/// A browser.
#[derive(Clone, Default)]
pub struct Browser {
    jars: HashMap<String, BTreeMap<String, String>>,
    /// Every URL that it was at.
    pub history: Vec<String>,
    /// The site whose cookies it does not keep.
    pub blocks: Option<String>,
    /// The address from which it goes to a site, and where that site listens.
    pub from: Option<(String, SocketAddr)>,
    /// Where hosts are that are not at the address that they are called by.
    pub hosts: HashMap<String, SocketAddr>,
}

/// Origin and target of a URL.
fn split(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("not a URL: {url}"));
    let at = rest.find('/').unwrap_or(rest.len());
    let target = if at == rest.len() { "/" } else { &rest[at..] };
    (rest[..at].to_owned(), target.to_owned())
}

impl Browser {
    /// Sends one request with the cookies of its origin, and keeps those of the answer.
    pub async fn send(&mut self, method: &str, url: &str, fields: &str, body: &str) -> Answer {
        let (host, target) = split(url);
        self.history.push(url.to_owned());
        let jar = self.jars.entry(host.clone()).or_default();
        let cookies =
            jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let cookies = if cookies.is_empty() { cookies } else { format!("Cookie: {cookies}\r\n") };
        let length = if method == "GET" && body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{cookies}{fields}{length}\r\n{body}");
        let mut client = match &self.from {
            Some((source, site)) if target.starts_with("/orders") || target.starts_with("/auth/callback") => {
                Client::connect_from(source, *site).await
            }
            _ => {
                Client::connect(self.hosts.get(&host).copied().unwrap_or_else(|| host.parse().unwrap())).await
            }
        };
        let answer = client.ask(&request).await;
        if self.blocks.as_ref().is_none_or(|origin| split(origin).0 != host) {
            for set in answer.fields("set-cookie") {
                let (name, rest) = set.split_once('=').unwrap();
                let value = rest.split(';').next().unwrap();
                let gone = rest.to_ascii_lowercase().contains("max-age=0")
                    || rest.to_ascii_lowercase().contains("expires=thu, 01 jan 1970");
                let jar = self.jars.entry(host.clone()).or_default();
                if gone {
                    jar.remove(name);
                } else {
                    jar.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        answer
    }

    /// Goes to a page without following where it leads.
    pub async fn go(&mut self, url: &str) -> Answer {
        self.send("GET", url, NAVIGATION, "").await
    }

    /// A script of the page asks for something.
    pub async fn fetch(&mut self, method: &str, url: &str) -> Answer {
        self.send(method, url, SCRIPT, "").await
    }

    /// Follows redirects from an answer, up to `stop`, a part of the URL that is not gone to any more.
    async fn follow(&mut self, mut answer: Answer, stop: Option<&str>) -> Answer {
        for _ in 0..20 {
            if !matches!(answer.status, 302 | 303) {
                return answer;
            }
            let mut location = answer.field("location").to_owned();
            if location.starts_with('/') {
                let (host, _) = split(self.history.last().unwrap());
                location = format!("http://{host}{location}");
            }
            if stop.is_some_and(|stop| location.contains(stop)) {
                self.history.push(location);
                return answer;
            }
            answer = self.go(&location).await;
        }
        panic!("too many redirects: {:#?}", self.history);
    }

    /// Goes to a page, and wherever it leads.
    pub async fn visit(&mut self, url: &str) -> Answer {
        let answer = self.go(url).await;
        self.follow(answer, None).await
    }

    /// Fills in the provider's forms until there is none, as this person, from an answer that led there.
    async fn through_forms(&mut self, mut answer: Answer, who: &str, stop: Option<&str>) -> Answer {
        for _ in 0..3 {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            let Some(action) = text.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()) else {
                return answer;
            };
            let (host, _) = split(self.history.last().unwrap());
            if !action.contains("/interaction/") {
                return answer;
            }
            let url =
                if action.starts_with('/') { format!("http://{host}{action}") } else { action.to_owned() };
            let form = if text.contains("name=\"login\"") {
                format!("prompt=login&login={who}&password=x")
            } else {
                "prompt=consent".to_owned()
            };
            let fields = format!("{NAVIGATION}Content-Type: application/x-www-form-urlencoded\r\n");
            let next = self.send("POST", &url, &fields, &form).await;
            answer = self.follow(next, stop).await;
        }
        answer
    }

    /// Goes to a page, and logs in if it is asked to.
    pub async fn log_in(&mut self, url: &str, who: &str) -> Answer {
        let answer = self.visit(url).await;
        self.through_forms(answer, who, None).await
    }

    /// The same, up to the URL at which the provider sends it back, which it does not go to.
    pub async fn log_in_up_to_callback(&mut self, url: &str, who: &str) -> String {
        let stop = Some("/auth/callback");
        let answer = self.go(url).await;
        let answer = self.follow(answer, stop).await;
        let _redirect = self.through_forms(answer, who, stop).await;
        let last = self.history.last().unwrap().clone();
        assert!(last.contains("/auth/callback?"), "{:#?}", self.history);
        last
    }

    /// The cookies that it keeps for a site.
    pub fn cookies(&mut self, origin: &str) -> &mut BTreeMap<String, String> {
        self.jars.entry(split(origin).0).or_default()
    }
}
