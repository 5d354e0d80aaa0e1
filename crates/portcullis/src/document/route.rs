//! What is served.

use super::compression::CompressionConfig;
use super::header_changes::{RequestHeaderChangesConfig, ResponseHeadersConfig};
use super::matching::MatchConfig;
use super::methods::MethodsConfig;
use super::rewriting::{RedirectConfig, RespondConfig, RewriteConfig};
use super::upstream::UpstreamConfig;
use portcullis_checks::OpenapiConfig;
use portcullis_checks::Reason;
use portcullis_checks::SecurityConfig;
use portcullis_config::{
    Context, Decode, DecodeFields, Definitions, Node, ObjectSchema, Spanned, keyword, object,
};
use portcullis_core::MethodSet;
use portcullis_core::head::{self, Reserved};
use portcullis_core::route::pattern::{Foreign, foreign, unescaped};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

keyword! {
    /// What happens to a path that servers can read in several ways.
    pub enum EncodedPathConfig {
        /// The request is rejected with 400.
        Refuse = "refuse",
        /// The path is matched and sent on as it is spelled. If any server could take it for a path of a route with other
        /// controls, the answer is 404.
        Keep = "keep",
    }
}

object! {
    /// What the paths of a route may contain although servers read it in several ways. Dot segments are always rejected,
    /// in every reading.
    pub struct EncodedPathsConfig {
        /// `%2F`, as in `group%2Fproject` (GitLab, npm). Default: refuse.
        pub slash: EncodedPathConfig = EncodedPathConfig::Refuse,
        /// `%5C`. A raw backslash is always rejected. Default: refuse.
        pub backslash: EncodedPathConfig = EncodedPathConfig::Refuse,
        /// `;`, as in matrix parameters such as `/map;zoom=3`. Default: refuse.
        pub semicolon: EncodedPathConfig = EncodedPathConfig::Refuse,
        /// `//` within a path, as in `/image/http://a.example/b.png`. At the beginning of a path it is always rejected.
        /// Default: refuse.
        pub double_slash: EncodedPathConfig = EncodedPathConfig::Refuse,
        /// A doubly encoded character, as in `x%252Fy` (Jenkins). Default: refuse.
        pub percent: EncodedPathConfig = EncodedPathConfig::Refuse,
    }
}

keyword! {
    /// What becomes of the bodies of server errors of an upstream.
    pub enum UpstreamErrorsConfig {
        /// A body of the gateway's own takes their place.
        Replace = "replace",
        /// JSON, problem details and XML pass. HTML, and bodies without a content type, are replaced.
        Pass = "pass",
    }
}

object! {
    /// A route: which requests it matches, and where they go.
    pub struct RouteConfig {
        /// The path: `/orders`, `/orders/{id}` for any one segment, `/files/{*rest}` for everything below. Patterns of
        /// other products, such as `/files/*`, `/orders/:id` or `^/a$`, do not load. For a literal special character
        /// write a backslash before it: `/a\*b`. `/items:batch`, `/@scope/name`, `/a+b` and `/Products(7)/$count` need no
        /// backslash. If only a wildcard matches, and the path differs from another route's merely in case,
        /// percent-encoding or a trailing slash, and that route has different controls, the answer is 404, because many
        /// servers would treat the two paths as the same.
        pub path: Spanned<String>,
        /// What its paths may contain that is rejected by default, such as an encoded slash. Default: nothing.
        pub encoded_paths: Option<EncodedPathsConfig>,
        /// The hosts that it matches, without ports. `*.example.com` is every host below `example.com`, with one more label
        /// or several, and not `example.com` itself. A host by its own name wins over `*.`, and both over routes without
        /// hosts. Default: any.
        pub hosts: Vec<Spanned<String>> = Vec::new(),
        /// The allowed methods; others get 405. GET includes HEAD. Any method can be named, such as `PROPFIND` or `QUERY`;
        /// `any` allows all. CONNECT and TRACE are never allowed. Default: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS.
        pub methods: Option<Spanned<MethodsConfig>>,
        /// Headers and query parameters that a request must have. They choose between routes with the same host, path and
        /// method.
        pub r#match: Option<MatchConfig>,
        /// The upstream server: a URL, a mapping, or the name of a group under `upstreams`. A route has either this, `redirect` or `respond`.
        pub upstream: Option<UpstreamConfig>,
        /// Redirects every request, instead of an upstream.
        pub redirect: Option<RedirectConfig>,
        /// Answers every request by itself, instead of an upstream.
        pub respond: Option<RespondConfig>,
        /// Another path for the upstream. Default: the path of the request.
        pub rewrite: Option<RewriteConfig>,
        /// Whether the upstream gets the host that the client asked for, instead of the one in its URL. Default: false.
        pub preserve_host: bool = false,
        /// Changes to the headers of requests on their way to the upstream.
        pub request_headers: Option<RequestHeaderChangesConfig>,
        /// Changes to the headers of answers.
        pub response_headers: Option<ResponseHeadersConfig>,
        /// Compresses the route's answers, instead of what the gateway says: `true`, `false`, or a mapping with settings.
        pub compression: Option<CompressionConfig>,
        /// What becomes of the bodies of server errors (5xx) of the upstream. Default: replace.
        pub upstream_errors: UpstreamErrorsConfig = UpstreamErrorsConfig::Replace,
        /// Why the route needs no authentication. Without it, the route needs authentication, here or for the whole
        /// gateway.
        pub public: Option<Spanned<Reason>>,
        /// The route's own security sections. Each replaces the gateway's section of the same name.
        pub security: Option<RouteSecurityConfig>,
        /// The protocols that clients may upgrade to, such as websocket. Default: none.
        pub upgrade: Vec<Spanned<String>> = Vec::new(),
        /// The OpenAPI document of the route, instead of the gateway's: a file name, or a mapping with its settings.
        /// Undeclared paths get 404, undeclared methods 405, and requests that do not fit the document are rejected.
        pub openapi: Option<OpenapiConfig>,
    }
}

/// What judges a route's requests: sections of its own, and the profile that it uses.
#[derive(Clone, Debug)]
pub struct RouteSecurityConfig {
    /// The name of the profile, if it uses one.
    pub profile: Option<Spanned<String>>,
    /// The sections.
    pub sections: SecurityConfig,
}

const USE: &str = "use";

impl Decode for RouteSecurityConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let mut fields = cx.fields(node)?;
        let profile = fields.optional::<Spanned<String>>(USE, cx);
        let sections = SecurityConfig::decode_fields(&mut fields, cx);
        fields.finish(cx)?;
        Some(RouteSecurityConfig { profile: profile?, sections: sections? })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.define::<Self>("RouteSecurityConfig", |definitions| {
            let mut schema = ObjectSchema::new("The security controls of a route, in the order in which they run.");
            let name = <Spanned<String>>::schema(definitions);
            schema.property(
                USE,
                "The name of a profile under `security_profiles`. Its sections apply where the route has none. Where neither has one, the gateway's applies.",
                name,
                None,
                false,
            );
            SecurityConfig::describe(&mut schema, definitions);
            schema.into_json()
        })
    }
}

impl RouteConfig {
    /// The sections of its own, if it has any.
    pub fn sections(&self) -> Option<&SecurityConfig> {
        self.security.as_ref().map(|security| &security.sections)
    }

    /// What it is called for as long as it matches the same requests.
    pub(crate) fn stable_name(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(|host| host.value.as_str()).collect();
        let methods = self.methods.iter().flat_map(|methods| methods.value.names());
        let methods: Vec<_> = methods.collect();
        let name = format!("{} {} {}", hosts.join(","), methods.join(","), self.path.value);
        match &self.r#match {
            None => name,
            Some(matching) => {
                let pairs = |map: &BTreeMap<String, Spanned<String>>| {
                    map.iter()
                        .map(|(name, value)| format!("{name}={}", value.value))
                        .collect::<Vec<_>>()
                        .join("&")
                };
                format!("{name} {} ?{}", pairs(&matching.headers), pairs(&matching.query))
            }
        }
    }

    /// What its paths may hold although servers read it in several ways.
    pub fn reserved(&self) -> Reserved {
        let Some(config) = &self.encoded_paths else { return Reserved::NONE };
        [
            (config.slash, Reserved::SLASH),
            (config.backslash, Reserved::BACKSLASH),
            (config.semicolon, Reserved::SEMICOLON),
            (config.double_slash, Reserved::DOUBLE_SLASH),
            (config.percent, Reserved::PERCENT),
        ]
        .into_iter()
        .filter(|(said, _)| *said == EncodedPathConfig::Keep)
        .fold(Reserved::NONE, |all, (_, one)| all.with(one))
    }

    /// The path as the router reads it: without the backslashes of `\*`.
    pub fn checked_path(&self, cx: &mut Context) -> Option<String> {
        let path = &self.path.value;
        let mut refuse = |message: String, help: &str| {
            cx.error("config.route_path", self.path.span, message).help(help.to_owned());
            None
        };
        // SECURITY: taken as text, `/admin/*` would leave `/admin/users` to whatever other route matches it
        // (patterns_of_other_products_do_not_load).
        if let Some(Foreign { looks_like, meant }) = foreign(path) {
            let help = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "write `{name}` for one whole segment, `{*rest}` for all that follows".to_owned(),
            };
            return refuse(
                format!("this is {looks_like}, and would be taken as text here"),
                &format!("{help} A literal mark has a backslash before it: `/a\\*b`"),
            );
        }
        let Some(rest) = path.strip_prefix('/') else {
            return refuse(
                "a path begins with a slash".into(),
                "write it as clients do, such as `/orders/{id}`",
            );
        };
        let mut names = Vec::new();
        let segments: Vec<&str> = rest.split('/').collect();
        // With another name in place of each parameter, and as the router reads it.
        let (mut plain, mut literals) = (String::new(), String::new());
        for (index, segment) in segments.iter().enumerate() {
            plain.push('/');
            literals.push('/');
            let Some(inner) = segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) else {
                if segment.contains(['{', '}']) {
                    return refuse(
                        format!("`{segment}` is neither a name nor a parameter"),
                        "a parameter is a whole segment: `/orders/{id}`",
                    );
                }
                let Some(literal) = unescaped(segment) else {
                    return refuse(
                        format!("a backslash in `{segment}` stands before a character that needs none"),
                        "write `\\*`, `\\:` or `\\$` for these characters, and others as they are",
                    );
                };
                plain.push_str(&literal);
                literals.push_str(&literal);
                continue;
            };
            let name = inner.strip_prefix('*').unwrap_or(inner);
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return refuse(
                    format!("`{segment}` needs a name of letters, digits and `_`"),
                    "write `{id}`, or `{*rest}` for the whole rest",
                );
            }
            if inner.starts_with('*') && index + 1 != segments.len() {
                return refuse(
                    format!("`{segment}` takes the whole rest, so nothing can follow"),
                    "put it last",
                );
            }
            if names.contains(&name) {
                return refuse(format!("two parameters are called `{name}`"), "give each a name of its own");
            }
            names.push(name);
            plain.push('x');
            literals.push_str(segment);
        }
        // SECURITY: a path that no request can have would be a control that never runs
        // (every_code_points_to_its_place_and_says_what_to_do).
        match head::path::canonical(&plain) {
            Ok(canonical) if canonical == plain => Some(literals),
            Ok(_) => refuse(
                "no request has this path: it is not in canonical form".into(),
                "write unreserved characters as themselves and escapes in upper case",
            ),
            Err(error) => refuse(
                format!("no request has this path: {}", error.as_str()),
                "write the path as a request has it: `/a/b`, with other characters as in `%20`",
            ),
        }
    }

    /// The methods that it allows.
    pub fn method_set(&self, cx: &mut Context) -> Option<MethodSet> {
        match &self.methods {
            None => Some(MethodSet::USUAL),
            Some(methods) => methods.value.compile(methods.span, cx),
        }
    }

    /// The hosts that it is served for.
    pub fn canonical_hosts(&self, cx: &mut Context) -> Option<Vec<String>> {
        let mut hosts = Vec::new();
        for host in &self.hosts {
            let (below, name) = match host.value.strip_prefix("*.") {
                Some(name) => ("*.", name),
                None => ("", host.value.as_str()),
            };
            match head::host::canonical(name) {
                Ok(canonical) if !name.ends_with(':') && canonical.len() + 1 >= name.len() => {
                    // An address has nothing below it.
                    if !below.is_empty()
                        && (canonical.starts_with('[') || canonical.parse::<Ipv4Addr>().is_ok())
                    {
                        cx.error("config.host", host.span, "no host is below an address")
                            .help("write a name such as `*.example.com`");
                        return None;
                    }
                    hosts.push(format!("{below}{canonical}"))
                }
                Ok(canonical) => {
                    cx.error("config.host", host.span, "a host is written without a port")
                        .help(format!("write `{canonical}`"));
                    return None;
                }
                Err(error) => {
                    let (error, help) = if name.contains("://") {
                        (
                            "a host is written without `https://`",
                            "write the name alone, such as `api.example.com`",
                        )
                    } else if name.contains('/') {
                        (
                            "a host is written without a path",
                            "write the name alone, such as `api.example.com`",
                        )
                    } else if host.value.contains('*') {
                        ("a `*` stands for the first labels of a host alone", "write `*.example.com`")
                    } else {
                        (error, "write a name such as `api.example.com`")
                    };
                    cx.error("config.host", host.span, error).help(help);
                    return None;
                }
            }
        }
        Some(hosts)
    }

    /// The protocols to which a client may switch.
    pub fn upgrades(&self, cx: &mut Context) -> Option<Vec<String>> {
        let mut protocols = Vec::new();
        for protocol in &self.upgrade {
            let name = protocol.value.to_ascii_lowercase();
            if name.is_empty()
                || name.starts_with("h2")
                || !name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'/'))
            {
                cx.error("config.upgrade", protocol.span, "upgrades to this protocol are not supported")
                    .help("write `websocket`");
                return None;
            }
            protocols.push(name);
        }
        Some(protocols)
    }
}
