//! What is done about a finding: the logs are told, its sender is blocked for a time, a server is told.
//!
//! A block covers an address, or a consumer at an address, and never a consumer everywhere: names can be sent by anybody, and
//! whoever has stolen a key could shut its owner out. A finding without one responsible address blocks nobody.

pub mod webhook;

use super::View;
use crate::document::DetectionPolicy;
use crate::reload::Reloader;
use portcullis_runtime::blocks::Block;
use portcullis_telemetry::detect::{Change, Exempt, Finding, Settings};
use std::path::PathBuf;
use std::sync::Arc;

/// How detectors run for this policy.
pub(crate) fn settings(policy: &DetectionPolicy, folder: Option<PathBuf>, view: &View) -> Settings {
    let networks = policy.exempt_addresses.clone();
    let exempt = Exempt {
        address: (!networks.is_empty()).then(|| {
            let is_exempt = move |address| networks.iter().any(|network| network.contains(&address));
            Arc::new(is_exempt) as Arc<_>
        }),
        consumers: policy.exempt_consumers.clone(),
    };
    let (policy, view) = (policy.clone(), view.clone());
    Settings {
        disabled: policy.disabled.clone(),
        exempt,
        folder,
        on_change: Box::new(move |change| act(change, &policy, &view)),
    }
}

/// Does what is to be done. Until when the sender is blocked, if it now is.
fn act(change: &Change, policy: &DetectionPolicy, view: &View) -> Option<u64> {
    let gateway = view.gateway()?;
    let effects = gateway.effects();
    let (finding, what) = match change {
        Change::Began(finding) => (finding, "begins"),
        Change::Grew(finding) => (finding, "goes on"),
        Change::Ended(finding) => (finding, "is over"),
    };
    effects.notice("detection", &format!("{} {what}: {}", finding.id, words(finding)));
    if let Some(webhook) = &policy.webhook {
        webhook.put(change);
    }
    match change {
        Change::Ended(_) => None,
        Change::Began(_) | Change::Grew(_) => block(finding, policy, &gateway),
    }
}

/// A finding in one line.
fn words(finding: &Finding) -> String {
    let subject = &finding.subject;
    let mut words = format!("{} ({}). {}", finding.detector, finding.severity, finding.summary);
    let parts = [
        ("address", finding.source.or(subject.address).map(|address| address.to_string())),
        ("consumer", subject.consumer.clone()),
        ("target", subject.target.clone()),
        ("route", subject.route.clone()),
    ];
    for (what, value) in parts {
        if let Some(value) = value {
            words.push_str(&format!(" {what}: {value}."));
        }
    }
    for fact in &finding.evidence {
        words.push_str(&format!(" {}: {}.", fact.what, fact.value));
    }
    words
}

fn block(finding: &Finding, policy: &DetectionPolicy, gateway: &Reloader) -> Option<u64> {
    if !policy.blocks || finding.severity < policy.block_severity {
        return None;
    }
    let source = finding.source?;
    let now = gateway.effects().now().unix;
    let until = now.saturating_add(policy.block_for);
    // SECURITY: who was only tried is not in `consumer` (a_name_that_was_only_tried_blocks_no_consumer).
    let consumer = finding.subject.consumer.clone();
    let reason = format!("finding {}: {}", finding.id, finding.detector);
    match gateway.state().blocks().block(source, Block { consumer, until, reason }, now) {
        Ok(()) => {
            gateway.keep_blocks();
            let minutes = policy.block_for.as_secs() / 60;
            let who = match &finding.subject.consumer {
                Some(consumer) => format!("{consumer} at {source}"),
                None => source.to_string(),
            };
            let what = format!("{who} is blocked for {minutes} min, for finding {}", finding.id);
            gateway.effects().notice("detection", &what);
            Some(until.as_secs())
        }
        Err(_) => {
            let what = format!(
                "{source} is not blocked for finding {}: there are as many blocks as can be",
                finding.id
            );
            gateway.effects().notice("detection", &what);
            None
        }
    }
}
