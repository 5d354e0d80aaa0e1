//! Headers with which other products speak to a backend: who the client is, where it comes from, what it may see.
//!
//! A proxy of such a product sets them and takes them away from clients. A backend that was set up for it believes whoever
//! sends them, so they are removed from every request ([`rules`](super::rules)), unless the operator keeps one. This table
//! decides nothing else.
//!
//! A header belongs here if a backend acts on it without proof, and clients do not send it on their own account. So what a
//! client sends as its own credential (`X-Auth-Token`, `X-Vault-Token`, `X-Access-Token`, `X-User-Id` of Rocket.Chat,
//! `Ocp-Apim-Subscription-Key`), for signing (`X-Amz-*`) or for tracing (`Traceparent`, `X-B3-*`, `X-Amzn-Trace-Id`,
//! `Cf-Ray`) is not here, and neither is a name that any program may use for anything of its own.

use Says::{Address, Certificate, File, Handled, Identity, Method, Target};

/// What a header tells a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// Who the client is, or what it may do.
    Identity,
    /// Which certificate the client showed, or how its connection was encrypted.
    Certificate,
    /// Where the request came from: address, country, host or scheme.
    Address,
    /// Another path or host than the one that was judged.
    Target,
    /// Another method than the one that was judged.
    Method,
    /// That something was done or decided already, or is to be left out.
    Handled,
    /// A file to send, or where files are.
    File,
}

impl Says {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Identity => "who the client is, or what it may do",
            Certificate => "the client's certificate or encryption",
            Address => "where the request came from",
            Target => "another path or host",
            Method => "another method",
            Handled => "that something was decided already",
            File => "a file to send",
        }
    }
}

/// A product and the headers with which it speaks to a backend.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Its name, or what programs of its kind are called.
    pub name: &'static str,
    /// What they say, and their names: lower case, `*` at the end for any end.
    pub headers: &'static [(Says, &'static [&'static str])],
}

/// Names that a prefix of the table covers, and that clients send for themselves.
pub const OF_CLIENTS: [&str; 1] = ["x-tyk-authorization"];

/// Every product whose headers are removed.
pub const PRODUCTS: &[Product] = &[
    Product {
        name: "proxies in general",
        headers: &[
            (
                Address,
                &[
                    "client-ip",
                    "forwarded",
                    "forwarded-*",
                    "front-end-https",
                    "http-client-ip",
                    "http-x-forwarded-*",
                    "proxy-client-ip",
                    "true-client-ip",
                    "x-client-ip",
                    "x-client-port",
                    "x-cluster-client-ip",
                    "x-coming-from",
                    "x-forward-*",
                    "x-forwarded*",
                    "x-from-ip",
                    "x-host",
                    "x-original-for",
                    "x-original-forwarded-for",
                    "x-original-proto",
                    "x-original-remote-addr",
                    "x-originating-ip",
                    "x-proxyuser-ip",
                    "x-real-host",
                    "x-real-ip",
                    "x-real-port",
                    "x-real-scheme",
                    "x-scheme",
                    "x-source-ip",
                    "x-true-client-ip",
                    "x-url-scheme",
                ],
            ),
            (
                Target,
                &[
                    "x-forwarded-path",
                    "x-original-host",
                    "x-original-path",
                    "x-original-uri",
                    "x-original-url",
                    "x-override-url",
                    "x-request-uri",
                    "x-http-destinationurl",
                    "x-http-host-override",
                    "x-http-path-override",
                ],
            ),
            (Method, &["x-http-method", "x-http-method-override", "x-method-override", "x-original-method"]),
            (
                Certificate,
                &[
                    "client-cert",
                    "client-cert-chain",
                    "ssl-*",
                    "x-client-cert*",
                    "x-client-cn",
                    "x-client-dn",
                    "x-client-issuer*",
                    "x-client-san",
                    "x-client-serial",
                    "x-client-subject*",
                    "x-client-verif*",
                    "x-issuer-dn",
                    "x-mtls-*",
                    "x-ssl",
                    "x-ssl-*",
                    "x-subject-dn",
                    "x-tls-*",
                ],
            ),
            (Identity, &["remote-*", "x-authenticated-*", "x-remote-*"]),
            (Handled, &["surrogate-capability"]),
        ],
    },
    Product { name: "Akamai", headers: &[(Address, &["akamai-*", "x-akamai-*"])] },
    Product { name: "Alibaba Cloud", headers: &[(Address, &["ali-cdn-*", "cdn-real-ip", "cdn-src-ip"])] },
    Product {
        name: "Apache APISIX",
        headers: &[(Identity, &["x-consumer-*", "x-credential-identifier", "x-id-token", "x-userinfo"])],
    },
    Product { name: "Apache Knox", headers: &[(Identity, &["x-knox-actor-*"])] },
    Product {
        name: "Apache modules for OpenID Connect, SAML and CAS",
        headers: &[(Identity, &["cas-user", "mellon-*", "oidc-*"])],
    },
    Product { name: "Apache NiFi", headers: &[(Identity, &["x-proxied-entit*", "x-proxiedentit*"])] },
    Product { name: "Apigee", headers: &[(Identity, &["x-apigee-*"])] },
    Product { name: "Argo CD", headers: &[(Identity, &["argocd-user*"])] },
    Product { name: "Authelia", headers: &[(Identity, &["remote-email", "remote-groups", "remote-name"])] },
    Product { name: "Authentik", headers: &[(Identity, &["x-authentik-*"])] },
    Product {
        name: "AWS: load balancers, API Gateway, Lambda, Cognito, CloudFront, Verified Access",
        headers: &[
            (
                Identity,
                &[
                    "x-amzn-ava-*",
                    "x-amzn-lambda-context",
                    "x-amzn-lattice-*",
                    "x-amzn-oidc-*",
                    "x-amzn-request-context",
                    "x-apigateway-*",
                    "x-cognito-*",
                ],
            ),
            (Certificate, &["x-amzn-mtls-*", "x-amzn-tls-*"]),
            (Address, &["cloudfront-*", "x-amzn-source-*", "x-amzn-vpc*"]),
        ],
    },
    Product {
        name: "Azure: App Service, Container Apps, Front Door",
        headers: &[
            (Identity, &["x-ms-client-principal*", "x-ms-token-*"]),
            (Certificate, &["x-arr-*"]),
            (
                Address,
                &[
                    "x-appservice-*",
                    "x-azure-clientip",
                    "x-azure-fdid",
                    "x-azure-requestchain",
                    "x-azure-socketip",
                ],
            ),
            (Target, &["disguised-host", "was-default-hostname", "x-ms-original-*", "x-waws-*"]),
            (Handled, &["x-fd-healthprobe"]),
        ],
    },
    Product { name: "Caddy Security", headers: &[(Identity, &["x-token-subject", "x-token-user-*"])] },
    Product { name: "Citrix Gateway", headers: &[(Handled, &["x-citrix-gateway", "x-citrix-via*"])] },
    Product { name: "Cloud Foundry", headers: &[(Target, &["x-cf-forwarded-url", "x-cf-proxy-*"])] },
    Product {
        name: "Cloudflare and Cloudflare Access",
        headers: &[
            (Identity, &["cf-access-*"]),
            (Certificate, &["cf-cert-*", "cf-client-cert-*", "cf-tls-*"]),
            (
                Address,
                &[
                    "cf-connecting-*",
                    "cf-ip*",
                    "cf-metro-code",
                    "cf-postal-code",
                    "cf-pseudo-ip*",
                    "cf-region*",
                    "cf-timezone",
                    "cf-visitor",
                    "cf-worker",
                ],
            ),
            (
                Handled,
                &["cf-bot-*", "cf-ja3-hash", "cf-ja4*", "cf-threat-score", "cf-verified-bot*", "cf-waf-*"],
            ),
        ],
    },
    Product { name: "Dapr", headers: &[(Identity, &["dapr-caller-*", "dapr-callee-*"])] },
    Product { name: "DigitalOcean", headers: &[(Address, &["do-connecting-*"])] },
    Product {
        name: "Envoy and Istio",
        headers: &[
            (Handled, &["x-envoy-*"]),
            (Identity, &["sec-istio-*", "x-istio-*", "x-jwt-claim*", "x-jwt-payload"]),
        ],
    },
    Product {
        name: "Fastly",
        headers: &[(Address, &["fastly-client*", "fastly-ff", "fastly-orig*", "fastly-ssl"])],
    },
    Product { name: "Fly.io", headers: &[(Address, &["fly-*"])] },
    Product { name: "GitLab Workhorse", headers: &[(Handled, &["gitlab-workhorse*"])] },
    Product {
        name: "Google: Identity-Aware Proxy, API Gateway, App Engine, Cloud Tasks",
        headers: &[
            (
                Identity,
                &[
                    "x-apigateway-api-userinfo",
                    "x-endpoint-api-*",
                    "x-goog-authenticated-user-*",
                    "x-goog-iap-*",
                ],
            ),
            (Handled, &["x-appengine-*", "x-cloudscheduler*", "x-cloudtasks-*"]),
        ],
    },
    Product {
        name: "Grafana and others behind an authenticating proxy",
        headers: &[(Identity, &["x-grafana-id", "x-grafana-user", "x-webauth-*"])],
    },
    Product {
        name: "IBM Security Verify Access (WebSEAL)",
        headers: &[(
            Identity,
            &["iv-creds", "iv-groups", "iv-remote-address*", "iv-server-name", "iv-user*"],
        )],
    },
    Product { name: "IBM WebSphere", headers: &[(Identity, &["$ws*"])] },
    Product { name: "Imperva", headers: &[(Address, &["incap-*"])] },
    Product {
        name: "JFrog Artifactory",
        headers: &[(Target, &["x-artifactory-override-base-url", "x-jfrog-override-base-url"])],
    },
    Product {
        name: "Kong",
        headers: &[(
            Identity,
            &["x-anonymous-consumer", "x-consumer-*", "x-credential-*", "x-kong-*", "x-userinfo"],
        )],
    },
    Product { name: "KrakenD", headers: &[(Identity, &["x-krakend-*"])] },
    Product { name: "Kubeflow", headers: &[(Identity, &["kubeflow-*"])] },
    Product { name: "Kubernetes", headers: &[(Identity, &["impersonate-*", "x-remote-extra-*"])] },
    Product { name: "LemonLDAP::NG", headers: &[(Identity, &["auth-groups", "auth-mail", "auth-user"])] },
    Product { name: "Linkerd", headers: &[(Identity, &["l5d-*"])] },
    Product {
        name: "Louketo and Keycloak Gatekeeper",
        headers: &[(
            Identity,
            &[
                "x-auth-audience",
                "x-auth-expiresin",
                "x-auth-groups",
                "x-auth-roles",
                "x-auth-subject",
                "x-auth-userid",
                "x-auth-username",
            ],
        )],
    },
    Product { name: "MuleSoft", headers: &[(Identity, &["x-agw-*"])] },
    Product { name: "Netlify", headers: &[(Address, &["x-nf-*"])] },
    Product {
        name: "Next.js",
        headers: &[(
            Handled,
            &[
                "x-invoke-*",
                "x-matched-path",
                "x-middleware-*",
                "x-now-route-matches",
                "x-prerender-revalidate*",
            ],
        )],
    },
    Product { name: "nginx", headers: &[(File, &["x-accel-*"])] },
    Product {
        name: "oauth2-proxy",
        headers: &[(Identity, &["gap-auth", "gap-signature", "x-auth-request-*", "x-email", "x-user"])],
    },
    Product {
        name: "OpenSearch, Search Guard and Elasticsearch",
        headers: &[(
            Identity,
            &[
                "es-security-runas-user",
                "opendistro-security-impersonate-as",
                "opensearch-security-impersonate-as",
                "sg-impersonate-as",
                "x-proxy-ext-*",
                "x-proxy-roles",
                "x-proxy-user",
            ],
        )],
    },
    Product {
        name: "OpenStack Keystone",
        headers: &[(Identity, &["x-identity-status", "x-is-admin-project", "x-roles"])],
    },
    Product { name: "Oracle Access Manager", headers: &[(Identity, &["oam-*"])] },
    Product { name: "Oracle WebLogic", headers: &[(Certificate, &["wl-proxy-*"])] },
    Product { name: "Pomerium", headers: &[(Identity, &["x-pomerium-*"])] },
    Product {
        name: "Posit Connect and Workbench",
        headers: &[(Identity, &["x-rsc-request", "x-rstudio-request", "x-rstudio-username"])],
    },
    Product { name: "programs with a CGI interface", headers: &[(Target, &["proxy"])] },
    Product {
        name: "Rack, Rails and others that let a proxy send files",
        headers: &[(File, &["x-lighttpd-send-file", "x-sendfile*"])],
    },
    Product { name: "Shibboleth", headers: &[(Identity, &["eppn", "shib-*"])] },
    Product {
        name: "SiteMinder",
        headers: &[(
            Identity,
            &[
                "sm-auth*",
                "sm-realm*",
                "sm-server*",
                "sm-transactionid",
                "sm-universalid",
                "sm-user*",
                "smuser",
            ],
        )],
    },
    Product { name: "Spinnaker", headers: &[(Identity, &["x-spinnaker-*"])] },
    Product { name: "Sucuri", headers: &[(Address, &["x-sucuri-*"])] },
    Product { name: "Symfony and IIS URL Rewrite", headers: &[(Target, &["x-rewrite-url"])] },
    Product { name: "Tailscale", headers: &[(Identity, &["tailscale-*", "x-tailscale-*"])] },
    Product { name: "Teleport", headers: &[(Identity, &["teleport-*", "x-teleport-*"])] },
    Product { name: "Tencent EdgeOne", headers: &[(Address, &["eo-client-*", "eo-connecting-*"])] },
    Product { name: "3scale", headers: &[(Identity, &["x-3scale-*"])] },
    Product { name: "Traefik", headers: &[(Target, &["x-replaced-path"])] },
    Product { name: "Tyk", headers: &[(Identity, &["x-tyk-*"])] },
    Product {
        name: "Vercel",
        headers: &[
            (Identity, &["x-vercel-oidc-*"]),
            (Address, &["x-vercel-forwarded-*", "x-vercel-ip-*", "x-vercel-proxied-*"]),
            (Handled, &["x-vercel-ja4-*"]),
        ],
    },
    Product { name: "Vouch Proxy", headers: &[(Identity, &["x-vouch-*"])] },
    Product { name: "WSO2", headers: &[(Identity, &["x-jwt-assertion"])] },
];
