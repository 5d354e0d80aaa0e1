//! Findings that are meant to be, with a reason and an end.

use super::{Finding, RULES};
use portcullis_checks::Reason;
use portcullis_config::{Context, Spanned, object, suggest};

object! {
    /// A finding of `portcullis check` that you accept until a given day.
    pub struct AcceptedFindingConfig {
        /// The finding, such as `no_rate_limit`.
        pub finding: Spanned<String>,
        /// The path of the route, as written under `routes`. Default: every route, and the gateway itself.
        pub route: Option<Spanned<String>>,
        /// Why it is accepted.
        pub reason: Reason,
        /// The last day on which the finding is accepted, such as `"2027-06-30"`. After that it is shown again.
        pub until: Spanned<String>,
    }
}

impl AcceptedFindingConfig {
    /// That it says something of something: there is such a finding, such a route, and such a day.
    pub(crate) fn check(&self, mut paths: impl Iterator<Item = impl AsRef<str>>, cx: &mut Context) {
        let names = RULES.iter().map(|rule| rule.id);
        if !names.clone().any(|name| name == self.finding.value) {
            let unknown = cx.error("config.unknown_value", self.finding.span, "there is no such finding");
            match suggest::closest(&self.finding.value, names.clone()) {
                Some(closest) => unknown.label(format!("did you mean `{closest}`?")),
                None => unknown.help(format!("the findings are {}", names.collect::<Vec<_>>().join(", "))),
            };
        }
        if let Some(route) = &self.route
            && !paths.any(|path| path.as_ref() == route.value)
        {
            cx.error("config.accepted_route", route.span, "no route has this path")
                .help("write the route's `path` as it is written there, or leave the key out");
        }
        if self.until.value.parse::<jiff::civil::Date>().is_err() {
            cx.error("config.accepted_until", self.until.span, "this is not a day")
                .help("write a day such as `\"2027-06-30\"`");
        }
    }

    fn covers(&self, finding: &Finding, today: &str) -> bool {
        let day = |text: &str| text.parse::<jiff::civil::Date>().ok();
        let in_time = day(today).zip(day(&self.until.value)).is_some_and(|(today, until)| today <= until);
        let route = self.route.as_ref().map(|route| &route.value);
        in_time
            && finding.rule.id == self.finding.value
            && (route.is_none() || route == finding.route.as_ref())
    }
}

/// The findings that nobody accepted.
pub(super) fn without_accepted(
    findings: Vec<Finding>,
    accepted: &[AcceptedFindingConfig],
    today: &str,
) -> Vec<Finding> {
    let is_accepted = |finding: &Finding| accepted.iter().any(|accepted| accepted.covers(finding, today));
    findings.into_iter().filter(|finding| !is_accepted(finding)).collect()
}
