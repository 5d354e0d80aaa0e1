//! A syslog server.

use portcullis_checks::Reason;
use portcullis_config::{Context, Decode, Definitions, Node, Spanned, keyword, object};
use portcullis_telemetry::access_log::syslog::{Server, Settings};
use std::net::IpAddr;
use std::path::PathBuf;

keyword! {
    /// The facility of messages (RFC 5424, section 6.2.1).
    pub enum FacilityConfig {
        /// 1.
        User = "user",
        /// 3.
        Daemon = "daemon",
        /// 4.
        Auth = "auth",
        /// 10.
        Authpriv = "authpriv",
        /// 16.
        Local0 = "local0",
        /// 17.
        Local1 = "local1",
        /// 18.
        Local2 = "local2",
        /// 19.
        Local3 = "local3",
        /// 20.
        Local4 = "local4",
        /// 21.
        Local5 = "local5",
        /// 22.
        Local6 = "local6",
        /// 23.
        Local7 = "local7",
    }
}

impl FacilityConfig {
    fn number(self) -> u8 {
        match self {
            FacilityConfig::User => 1,
            FacilityConfig::Daemon => 3,
            FacilityConfig::Auth => 4,
            FacilityConfig::Authpriv => 10,
            FacilityConfig::Local0 => 16,
            FacilityConfig::Local1 => 17,
            FacilityConfig::Local2 => 18,
            FacilityConfig::Local3 => 19,
            FacilityConfig::Local4 => 20,
            FacilityConfig::Local5 => 21,
            FacilityConfig::Local6 => 22,
            FacilityConfig::Local7 => 23,
        }
    }
}

object! {
    /// A syslog server (RFC 5424).
    pub struct SyslogConfig {
        /// Its URL: `udp://127.0.0.1:514`, `tcp://127.0.0.1:601` or `unix:/dev/log`. An address that is not loopback needs
        /// `insecure_plaintext`.
        pub server: Spanned<String>,
        /// The facility of messages. Default: local0.
        pub facility: FacilityConfig = FacilityConfig::Local0,
        /// The name of this gateway in messages (APP-NAME). Default: portcullis.
        pub name: String = "portcullis".to_owned(),
        /// Allows an address that is not loopback, and says why that is safe. Messages are not encrypted.
        pub insecure_plaintext: Option<Reason>,
    }
}

/// A syslog server that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogServer {
    settings: Settings,
    written: serde_json::Value,
}

impl SyslogServer {
    /// What runs.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Decode for SyslogServer {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let config = SyslogConfig::decode(node, cx)?;
        let written = Decode::written(&config).unwrap_or_default();
        Some(SyslogServer { settings: config.compile(cx)?, written })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        SyslogConfig::schema(definitions)
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(self.written.clone())
    }
}

impl SyslogConfig {
    fn compile(&self, cx: &mut Context) -> Option<Settings> {
        let text = self.server.value.trim();
        let server = if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            Some(Server::Unix(PathBuf::from(path)))
        } else {
            let (scheme, address) = text.split_once("://").unwrap_or_default();
            match scheme {
                "udp" if has_port(address) => Some(Server::Udp(address.to_owned())),
                "tcp" if has_port(address) => Some(Server::Tcp(address.to_owned())),
                _ => None,
            }
        };
        let Some(server) = server else {
            cx.error("config.syslog", self.server.span, "this is not the URL of a syslog server")
                .help("write for instance `udp://127.0.0.1:514`, `tcp://127.0.0.1:601` or `unix:/dev/log`");
            return None;
        };
        let local = match &server {
            Server::Unix(_) => true,
            Server::Udp(address) | Server::Tcp(address) => is_loopback(address),
        };
        // SECURITY: who asks for what is not for everybody (a_plaintext_listener_needs_a_reason).
        if !local && self.insecure_plaintext.is_none() {
            cx.error("config.plaintext", self.server.span, "anybody on the network could read the log")
                .label("not a loopback address")
                .help("send to a server on this machine, or say why it is safe here: `insecure_plaintext: \"a network of its own\"`");
            return None;
        }
        Some(Settings { server, facility: self.facility.number(), app_name: self.name.clone() })
    }
}

fn split(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    // Without brackets, the colons of an IPv6 address leave open where the port begins.
    bare.or((!host.contains(':')).then_some(host)).map(|host| (host, port))
}

fn has_port(address: &str) -> bool {
    split(address).is_some_and(|(host, port)| {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':'))
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn is_loopback(address: &str) -> bool {
    let Some((host, _)) = split(address) else { return false };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in ["127.0.0.1:514", "[::1]:514", "logs.example.com:601", "localhost:1"] {
            assert!(has_port(good), "{good}");
        }
        for bad in ["", "127.0.0.1", "::1:514", ":514", "host:0", "host:70000", "u@host:1", "host:514/x"] {
            assert!(!has_port(bad), "{bad}");
        }
        for near in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "LOCALHOST:1"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in ["10.0.0.1:1", "[2001:db8::1]:1", "localhost.example.com:1"] {
            assert!(!is_loopback(far), "{far}");
        }
    }
}
