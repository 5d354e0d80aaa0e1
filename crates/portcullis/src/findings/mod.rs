//! What loads, and is weaker than it need be.
//!
//! An error keeps a configuration from loading; a finding says what a good configuration leaves open, why that matters and how
//! it is closed. Findings are made from the configuration and from the plan that was compiled from it, so they speak of
//! what will run. A finding that is meant to be can be accepted in the file, with a reason and an end date.

mod accepted;
mod admin;
mod rules;
mod sarif;
mod scope;
#[cfg(test)]
mod tests;

pub use accepted::AcceptedFindingConfig;
pub use rules::{RULES, Rule, Severity};
pub use sarif::sarif;

use crate::compile::{Blueprint, RouteListing};
use crate::document::{GatewayConfig, RouteConfig};
use portcullis_config::{Diagnostic, Span};

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Where in the document.
    pub at: Span,
    /// The path of the route that it is about; `None` where it is about the gateway.
    pub route: Option<String>,
    /// What is open, in one line.
    pub message: String,
}

impl Finding {
    /// The finding as a diagnostic, so that it is printed like one.
    pub(crate) fn diagnostic(&self) -> Diagnostic {
        let severity = match self.rule.severity {
            Severity::High => portcullis_config::Severity::Error,
            Severity::Medium | Severity::Low => portcullis_config::Severity::Warning,
        };
        let mut diagnostic = Diagnostic::new(self.rule.id, severity, self.at, self.message.clone());
        diagnostic.help(self.rule.fix);
        diagnostic
    }
}

/// What a rule looks at.
pub(crate) struct Subject<'a> {
    pub(crate) config: &'a GatewayConfig,
    pub(crate) blueprint: &'a Blueprint,
    pub(crate) routes: Vec<RouteSubject<'a>>,
}

/// A route, as it is written and as it runs.
pub(crate) struct RouteSubject<'a> {
    pub(crate) config: &'a RouteConfig,
    pub(crate) listing: RouteListing<'a>,
}

/// What was found.
pub(crate) struct Report {
    rule: &'static Rule,
    findings: Vec<Finding>,
}

impl Report {
    /// Something is open in the gateway as a whole.
    pub(crate) fn gateway(&mut self, at: Span, message: impl Into<String>) {
        self.findings.push(Finding { rule: self.rule, at, route: None, message: message.into() });
    }

    /// Something is open on a route.
    pub(crate) fn route(&mut self, route: &RouteSubject<'_>, at: Span, message: impl Into<String>) {
        let path = Some(route.config.path.value.clone());
        self.findings.push(Finding { rule: self.rule, at, route: path, message: message.into() });
    }
}

/// This day in UTC, in the form `2027-01-31`.
pub fn today() -> String {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// Every finding that is not accepted, the gravest first, and then in the order of the document. `today` is a day in the form
/// `2027-01-31`.
pub(crate) fn of(config: &GatewayConfig, blueprint: &Blueprint, today: &str) -> Vec<Finding> {
    // The routes of the configuration come first, in its order.
    let routes = config.routes.iter().zip(blueprint.listing());
    let routes = routes.map(|(config, listing)| RouteSubject { config, listing }).collect();
    let subject = Subject { config, blueprint, routes };
    let mut findings = Vec::new();
    for rule in &RULES {
        let mut report = Report { rule, findings: Vec::new() };
        (rule.look)(&subject, &mut report);
        findings.append(&mut report.findings);
    }
    let mut findings = accepted::without_accepted(findings, &config.accepted_findings, today);
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.rule.severity), finding.at.start));
    findings
}
