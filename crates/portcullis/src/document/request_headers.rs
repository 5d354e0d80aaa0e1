//! What becomes of request headers beside what the gateway does by itself.
//!
//! The gateway removes what only it, or another product's proxy, may say of a client. Here an operator adds names, or keeps
//! some, and says why. A rule that can have no effect does not load.

use super::header_changes::set_and_add;
use http::HeaderName;
use portcullis_checks::Reason;
use portcullis_config::{Context, Spanned, keyword, object};
use portcullis_core::head::rules::SHORTEST_PREFIX;
use portcullis_core::head::{FieldRules, MethodOverride, RequestIdPolicy};
use portcullis_core::route::changes::FieldChanges;
use std::collections::BTreeMap;

keyword! {
    /// What happens to a POST with `X-HTTP-Method-Override`, `X-HTTP-Method` or `X-Method-Override`.
    pub enum MethodOverrideConfig {
        /// The header is removed. The request stays a POST.
        Remove = "remove",
        /// The request becomes a PUT, PATCH or DELETE: routes, checks and the upstream see that method, and no header. A
        /// request that is no POST, or asks for any other method, is rejected with 400.
        Apply = "apply",
    }
}

keyword! {
    /// Where the id of a request comes from.
    pub enum RequestIdConfig {
        /// The gateway gives each request an id.
        Own = "own",
        /// One of `trusted_proxies` can give it in `X-Request-Id`: 16 to 36 letters, digits, `-`, `_` and `.`, such as a
        /// UUID. Other requests get one from the gateway.
        FromTrustedProxies = "from_trusted_proxies",
    }
}

object! {
    /// A header that is not removed.
    pub struct KeptHeaderConfig {
        /// Its name.
        pub name: Spanned<String>,
        /// Why it is kept.
        pub reason: Spanned<Reason>,
    }
}

object! {
    /// Request headers to remove, set and add on every route. Headers that other products use to pass an identity or a decision to a
    /// backend, such as `Remote-User` or `X-Original-URL`, are always removed. `docs/security/request-headers.md` lists
    /// them.
    pub struct RequestHeadersConfig {
        /// Additional headers to remove: names, or prefixes such as `x-acme-*`. Other spellings, such as `x_acme_role`,
        /// are removed too.
        pub remove: Vec<Spanned<String>> = Vec::new(),
        /// Headers to set on every request on its way to an upstream, in place of what the client sent under this name or
        /// another spelling of it.
        pub set: BTreeMap<String, Spanned<String>> = BTreeMap::new(),
        /// Headers to add to every request on its way to an upstream.
        pub add: BTreeMap<String, Spanned<String>> = BTreeMap::new(),
        /// Headers of other products that are forwarded if one of `trusted_proxies` sends them. From other clients they
        /// are removed.
        pub keep_from_trusted_proxies: Vec<KeptHeaderConfig> = Vec::new(),
        /// Headers of other products that are forwarded from every client. Any client can then forge them.
        pub insecure_keep: Vec<KeptHeaderConfig> = Vec::new(),
        /// Where the id of a request comes from, which the upstream gets as `X-Request-Id`, the client in the answer, and the
        /// access log. Default: own.
        pub request_id: RequestIdConfig = RequestIdConfig::Own,
        /// Whether upstreams get a `Forwarded` header (RFC 7239) beside the `X-Forwarded-` ones. Default: false.
        pub forwarded: bool = false,
        /// What happens to a POST that requests another method by a header such as `X-HTTP-Method-Override`. Default:
        /// remove.
        pub method_override: MethodOverrideConfig = MethodOverrideConfig::Remove,
    }
}

/// A header that stays, for a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptHeader {
    /// Its name, in lower case.
    pub name: String,
    /// Whether everybody may send it, or trusted proxies alone.
    pub from_everybody: bool,
    /// Why.
    pub reason: String,
}

impl RequestHeadersConfig {
    /// Adds what it says to the rules. `None` means that an error was pushed.
    pub(crate) fn compile(
        &self,
        has_proxies: bool,
        rules: &mut FieldRules,
        cx: &mut Context,
    ) -> Option<Vec<KeptHeader>> {
        let mut complete = true;
        for name in &self.remove {
            match cx.at("remove", |cx| removed(name, cx)) {
                Some(name) => rules.remove(&name),
                None => complete = false,
            }
        }
        if let Some(first) = self.keep_from_trusted_proxies.first().filter(|_| !has_proxies) {
            cx.error(
                "config.kept_header",
                first.at,
                "`trusted_proxies` is empty, so no client may send this header",
            )
            .help("list the proxies under `trusted_proxies`, or remove this");
            complete = false;
        }
        if let (RequestIdConfig::FromTrustedProxies, false) = (self.request_id, has_proxies) {
            cx.error(
                "config.kept_header",
                self.at,
                "`trusted_proxies` is empty, so no proxy can give a request its id",
            )
            .help("list the proxies under `trusted_proxies`, or remove `request_id`");
            complete = false;
        }
        let mut kept = Vec::new();
        let lists = [(false, &self.keep_from_trusted_proxies), (true, &self.insecure_keep)];
        for (from_everybody, list) in lists {
            for config in list {
                let Some(name) = config.removed_name(rules, cx) else {
                    complete = false;
                    continue;
                };
                if from_everybody {
                    rules.keep(&name);
                } else {
                    rules.keep_from_trusted(&name);
                }
                kept.push(KeptHeader { name, from_everybody, reason: config.reason.value.0.clone() });
            }
        }
        complete.then_some(kept)
    }

    /// Adds what it sets to `changes`. `None` means that an error was pushed.
    pub(crate) fn add_to(&self, changes: &mut FieldChanges, cx: &mut Context) -> Option<()> {
        set_and_add(&self.set, &self.add, changes, cx)
    }

    /// Whose request ids are kept.
    pub(crate) fn request_ids(&self) -> RequestIdPolicy {
        match self.request_id {
            RequestIdConfig::Own => RequestIdPolicy::Own,
            RequestIdConfig::FromTrustedProxies => RequestIdPolicy::FromTrusted,
        }
    }

    /// What is done where a header asks for another method.
    pub(crate) fn method_override(&self) -> MethodOverride {
        match self.method_override {
            MethodOverrideConfig::Remove => MethodOverride::Remove,
            MethodOverrideConfig::Apply => MethodOverride::Apply,
        }
    }
}

impl KeptHeaderConfig {
    /// The name, if it is that of a header that would be removed.
    fn removed_name(&self, rules: &FieldRules, cx: &mut Context) -> Option<String> {
        let name = field_name(&self.name, &self.name.value, cx)?;
        if !rules.removes(&name) {
            cx.error(
                "config.kept_header",
                self.name.span,
                format!("the header `{name}` is not removed anyway"),
            )
            .help("`portcullis headers` lists what is removed");
            return None;
        }
        Some(name)
    }
}

/// A name, or the beginning of one with its `*`.
fn removed(name: &Spanned<String>, cx: &mut Context) -> Option<String> {
    let stem = name.value.strip_suffix('*');
    let valid = field_name(name, stem.unwrap_or(&name.value), cx)?;
    if stem.is_some() && valid.len() < SHORTEST_PREFIX {
        cx.error(
            "config.field_name",
            name.span,
            format!("a prefix has at least {SHORTEST_PREFIX} characters"),
        )
        .help("write more of the name, such as `x-acme-*`");
        return None;
    }
    Some(if stem.is_some() { format!("{valid}*") } else { valid })
}

fn field_name(at: &Spanned<String>, name: &str, cx: &mut Context) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if lower.contains('*') || HeaderName::from_bytes(lower.as_bytes()).is_err() {
        cx.error("config.field_name", at.span, "this is not a header name")
            .help("write a name such as `x-debug`");
        return None;
    }
    if FieldRules::is_fixed(&lower) {
        cx.error(
            "config.reserved_field",
            at.span,
            format!("the header `{lower}` is set or used by the gateway itself"),
        )
        .help("remove it here: the gateway sets it, or reads it to know where a request ends");
        return None;
    }
    Some(lower)
}
