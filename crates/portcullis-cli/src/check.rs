//! `portcullis check`: what is wrong, and what will run.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, CARE, FAINT, GOOD, STRONG, colours, count, load, print, url};
use clap::ValueEnum;
use portcullis::Loaded;
use portcullis::compile::{Blueprint, HeaderListing, RouteListing};
use portcullis::document::KeptHeader;
use portcullis::findings::{Finding, Severity, sarif};
use portcullis::foreign::PRODUCTS;
use portcullis::{Mode, visible};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

/// How a check is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for code hosts.
    Sarif,
}

/// What makes a check fail that would not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deny {
    /// Warnings, and findings of medium severity.
    Warnings,
}

pub(crate) fn run(file: &Path, format: Format, deny: Option<Deny>) -> Outcome {
    if format != Format::Text {
        let loaded = Loaded::file(file).map_err(|error| {
            print(format!("{}\n", json!({ "error": format!("cannot read {}: {error}", file.display()) })));
            Exit::Configuration
        })?;
        let findings = loaded.findings(&today());
        let printed = match format {
            Format::Sarif => sarif(&loaded.results(&findings)),
            Format::Json | Format::Text => document(&loaded, &findings),
        };
        print(format!("{printed:#}\n"));
        return verdict(&loaded, &findings, deny);
    }
    let loaded = load(file)?;
    if let Some(blueprint) = loaded.blueprint() {
        print(listing(blueprint));
    }
    let findings = loaded.findings(&today());
    let style = if colours() { portcullis::Style::Colour } else { portcullis::Style::Plain };
    for finding in &findings {
        print(format!("\n{}", loaded.finding_text(finding, style)));
    }
    let (errors, warnings) = (count(loaded.errors(), "error"), count(loaded.warnings(), "warning"));
    let found = count(findings.len(), "finding");
    let name = file.display();
    match loaded.blueprint() {
        None => print(format!("{BAD}{name} cannot be used{BAD:#}: {errors}, {warnings}\n")),
        Some(_) if loaded.warnings() > 0 || !findings.is_empty() => {
            print(format!("\n{CARE}{name} can be used{CARE:#}: {warnings}, {found}\n"));
        }
        Some(_) => print(format!("{GOOD}{name} can be used{GOOD:#}\n")),
    }
    verdict(&loaded, &findings, deny)
}

/// The day on which it is checked, in UTC.
fn today() -> String {
    portcullis::findings::today()
}

fn verdict(loaded: &Loaded, findings: &[Finding], deny: Option<Deny>) -> Outcome {
    let gravest = findings.iter().map(|finding| finding.rule.severity).max();
    let least = if deny == Some(Deny::Warnings) { Severity::Medium } else { Severity::High };
    let warned = deny == Some(Deny::Warnings) && loaded.warnings() > 0;
    Ok(match loaded.blueprint() {
        None => Exit::Configuration,
        Some(_) if warned || gravest >= Some(least) => Exit::Findings,
        Some(_) => Exit::Well,
    })
}

/// Every route with the controls that will run.
fn listing(blueprint: &Blueprint) -> String {
    let mut text = String::new();
    for RouteListing { route, target, controls, notes } in blueprint.listing() {
        let hosts =
            if route.hosts.is_empty() { String::new() } else { format!("{} ", route.hosts.join(" ")) };
        let _ = writeln!(
            text,
            "{STRONG}{hosts}{}{STRONG:#}  {}  {FAINT}->{FAINT:#} {target}",
            route.path,
            route.methods.describe()
        );
        for (index, control) in controls.iter().enumerate() {
            let mode = mode_of(control.id, control.mode);
            let style = match control.mode {
                _ if mode == "public" => CARE,
                Mode::Enforce => GOOD,
                Mode::Observe => CARE,
                Mode::Off => BAD,
            };
            let number = index + 1;
            // SECURITY: a reason in the file could rewrite on a terminal what is listed here
            // (what_the_file_says_cannot_rewrite_the_listing).
            let summary = visible(&control.summary);
            let _ = writeln!(
                text,
                "  {FAINT}{number:>2}{FAINT:#}  {:<20} {style}{mode:<8}{style:#} {summary}",
                control.id
            );
        }
        for note in notes {
            let _ = writeln!(text, "      {}", visible(&note));
        }
        if !route.upgrades.is_empty() {
            let _ = writeln!(text, "      may upgrade to {}", route.upgrades.join(", "));
        }
        text.push('\n');
    }
    let (style, mode) = match blueprint.failures_mode {
        Mode::Enforce => (GOOD, "enforce"),
        Mode::Observe => (CARE, "observe"),
        Mode::Off => (BAD, "off"),
    };
    let portcullis::FailurePolicy { free, first_wait, longest_wait } = blueprint.failures;
    let _ = writeln!(
        text,
        "guessing  {style}{mode}{style:#} after {} an address waits {first_wait:?}, then twice as long each time, at most {longest_wait:?}",
        count(free as usize + 1, "wrong credential"),
    );
    text.push_str(&headers(blueprint));
    if let Some(store) = &blueprint.key_store {
        let _ = writeln!(
            text,
            "store     {GOOD}keys{GOOD:#}    {}; without its answer for {:?} its keys are 503",
            visible(&store.describe()),
            store.max_stale
        );
    }
    let listeners: Vec<String> =
        blueprint.front.listeners.iter().map(|listener| url(listener, listener.bind)).collect();
    let _ = writeln!(
        text,
        "{}, {} and {} on {} by {}",
        count(blueprint.listing().count(), "route"),
        count(blueprint.plan.consumers.len(), "consumer"),
        count(blueprint.keys, "key"),
        listeners.join(", "),
        count(blueprint.front.workers.get(), "worker"),
    );
    text
}

/// Which request headers are removed everywhere, and which are kept although another product's proxy sets them.
fn headers(blueprint: &Blueprint) -> String {
    let HeaderListing { removed, kept } = &blueprint.headers;
    let always: usize =
        PRODUCTS.iter().flat_map(|product| product.headers).map(|(_, names)| names.len()).sum();
    let mut text =
        format!("headers   {GOOD}removed{GOOD:#} {always} of other products (see `portcullis headers`)");
    for name in removed {
        let _ = write!(text, ", {}", visible(name));
    }
    text.push('\n');
    for KeptHeader { name, from_everybody, reason } in kept {
        let from = if *from_everybody { "everybody" } else { "trusted proxies" };
        let (name, reason) = (visible(name), visible(reason));
        let _ = writeln!(text, "headers   {CARE}kept{CARE:#}    {name} from {from}: {reason}");
    }
    text
}

/// A control's mode; an open route is not one whose authentication was switched off.
fn mode_of(id: &str, mode: Mode) -> &'static str {
    if id == "authn.public" { "public" } else { mode.as_str() }
}

fn document(loaded: &Loaded, findings: &[Finding]) -> serde_json::Value {
    let routes: Vec<_> = loaded.blueprint().into_iter().flat_map(Blueprint::listing).map(|listed| {
        let controls: Vec<_> = listed.controls.iter().map(|control| {
            json!({ "stage": control.stage, "id": control.id, "mode": mode_of(control.id, control.mode), "summary": control.summary })
        }).collect();
        json!({
            "path": listed.route.path,
            "hosts": listed.route.hosts,
            "methods": listed.route.methods.describe(),
            "target": listed.target,
            "controls": controls,
            "notes": listed.notes,
        })
    }).collect();
    let guessing = loaded.blueprint().map(|blueprint| {
        json!({
            "mode": blueprint.failures_mode.as_str(),
            "free_failures": blueprint.failures.free,
            "first_wait_seconds": blueprint.failures.first_wait.as_secs_f64(),
            "longest_wait_seconds": blueprint.failures.longest_wait.as_secs_f64(),
        })
    });
    let headers = loaded.blueprint().map(|blueprint| {
        let products: Vec<_> = PRODUCTS
            .iter()
            .map(|product| {
                let names: Vec<&str> =
                    product.headers.iter().flat_map(|(_, names)| *names).copied().collect();
                json!({ "product": product.name, "headers": names })
            })
            .collect();
        let kept: Vec<_> = blueprint
            .headers
            .kept
            .iter()
            .map(|kept| {
                let from = if kept.from_everybody { "everybody" } else { "trusted_proxies" };
                json!({ "name": kept.name, "from": from, "reason": kept.reason })
            })
            .collect();
        json!({ "removed": blueprint.headers.removed, "kept": kept, "always_removed": products })
    });
    let store = loaded.key_store().map(|store| {
        json!({ "place": store.describe(), "max_stale_seconds": store.max_stale.as_secs_f64(), "max_memory_bytes": store.max_memory })
    });
    // The diagnostics come first among the results.
    let found: Vec<_> =
        loaded.results(findings).into_iter().skip(loaded.errors() + loaded.warnings()).collect();
    json!({
        "usable": loaded.blueprint().is_some(), "diagnostics": loaded.json(), "findings": found, "routes": routes, "brute_force": guessing,
        "request_headers": headers, "key_store": store,
    })
}
