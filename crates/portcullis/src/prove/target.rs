//! What there is to attack: each route, with one of its methods, and each operation of its OpenAPI document.

use super::stand::effective;
use crate::document::{GatewayConfig, RouteConfig};
use portcullis_checks::SecurityConfig;
use portcullis_checks::inspect::openapi::rehearsal::SampleOperation;
use portcullis_core::{Plan, Route, RouteId};

/// Something to attack.
pub struct Target<'a> {
    /// Its route.
    pub route: RouteId,
    /// As it is written.
    pub config: &'a RouteConfig,
    /// As it runs.
    pub compiled: &'a Route,
    /// What judges it, as it is written.
    pub security: Option<SecurityConfig>,
    /// The method.
    pub method: String,
    /// The operation, where there is a document.
    pub operation: Option<SampleOperation>,
}

impl Target<'_> {
    /// What it is called in reports.
    pub fn name(&self) -> String {
        let hosts: Vec<_> = self.config.hosts.iter().map(|host| host.value.as_str()).collect();
        let hosts = if hosts.is_empty() { String::new() } else { format!("{} ", hosts.join(",")) };
        let path = self.operation.as_ref().map_or(self.config.path.value.as_str(), |found| &found.template);
        format!("{hosts}{} {path}", self.method)
    }
}

/// Methods in the order in which one is chosen for a route without a document.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

pub(super) fn targets<'a>(config: &'a GatewayConfig, plan: &'a Plan) -> Vec<Target<'a>> {
    let mut targets = Vec::new();
    // The routes of the configuration come first, in its order.
    for (index, (route, compiled)) in config.routes.iter().zip(plan.routes.iter()).enumerate() {
        let id = RouteId(u32::try_from(index).unwrap_or(u32::MAX));
        let allows = |method: &str| {
            http::Method::from_bytes(method.as_bytes()).is_ok_and(|method| compiled.methods.contains(&method))
        };
        let target = |method: &str, operation| Target {
            route: id,
            config: route,
            compiled,
            security: effective(config, route),
            method: method.to_owned(),
            operation,
        };
        let document = route.openapi.as_ref().or(config.openapi.as_ref());
        let operations = document.map(portcullis_checks::OpenapiConfig::samples).unwrap_or_default();
        let base = document.and_then(|document| document.base_path()).unwrap_or_default();
        let before = targets.len();
        for operation in operations {
            if allows(&operation.method) && fits(&route.path.value, base, &operation.template) {
                targets.push(target(&operation.method.clone(), Some(operation)));
            }
        }
        if targets.len() == before {
            let body_wanted = target("GET", None)
                .security
                .is_some_and(|security| security.graphql.is_some() || security.validation.is_some());
            let order: &[&str] = if body_wanted { &["POST", "PUT", "PATCH"] } else { &METHODS };
            let method = order.iter().chain(&METHODS).find(|method| allows(method));
            targets.extend(method.map(|method| target(method, None)));
        }
    }
    targets
}

/// Whether a route could serve the path of an operation.
fn fits(route: &str, base: &str, template: &str) -> bool {
    let whole = format!("{}{template}", base.trim_end_matches('/'));
    fits_exactly(route, &whole) || ends_like(route, template)
}

fn fits_exactly(route: &str, path: &str) -> bool {
    let mut path = path.split('/');
    for segment in route.split('/') {
        if segment.starts_with("{*") {
            return path.next().is_some();
        }
        match path.next() {
            Some(there) if there == segment || segment.starts_with('{') => {}
            Some(_) | None => return false,
        }
    }
    path.next().is_none()
}

/// A base path that only the document says is taken from the route.
fn ends_like(route: &str, template: &str) -> bool {
    let segments =
        |text: &str| text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (route, template) = (segments(route), segments(template));
    if template.is_empty() || template.len() > route.len() {
        return false;
    }
    let tail = route.iter().skip(route.len() - template.len());
    let mut tail = tail.zip(&template);
    // A parameter alone fits everything.
    let named = tail.clone().any(|(route, operation)| route == operation);
    named && tail.all(|(route, operation)| route == operation || route.starts_with('{'))
}
