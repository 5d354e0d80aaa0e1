//! `portcullis explain`: what would become of a request, and which line of the configuration decides it.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, CARE, FAINT, GOOD, STRONG, print, print_error};
use portcullis::judge::{
    Bench, CheckVerdict, Decision, Judge, Place, Places, Request, Said, Stage, Tracing, Verdict,
};
use portcullis::judge::{curl, har, log};
use portcullis::{Loaded, Mode, Style, visible};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where the request is taken from.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Source {
    /// The request as a curl command: 'curl -H "x-api-key: ..." https://api.example.com/orders'.
    #[arg(conflicts_with_all = ["har", "log"])]
    curl: Option<String>,
    /// A HAR file, as browsers save it; every request in it is explained.
    #[arg(long, conflicts_with = "log")]
    har: Option<PathBuf>,
    /// An access log; the request with this `--id` is explained, as far as the log tells of it.
    #[arg(long, requires = "id")]
    log: Option<PathBuf>,
    /// The request id, as the answer and the access log have it.
    #[arg(long, requires = "log")]
    id: Option<String>,
}

/// What else is said of the request.
#[derive(clap::Args)]
pub(crate) struct Circumstances {
    /// The client's address.
    #[arg(long, default_value = "192.0.2.1")]
    client: std::net::IpAddr,
    /// Fetch the keys of issuers over the network. Without it, a decision that needs them is unknown.
    #[arg(long)]
    fetch: bool,
}

pub(crate) fn run(file: &Path, source: Source, circumstances: &Circumstances, as_json: bool) -> Outcome {
    let bench = Bench::new();
    let loaded = Loaded::file_with(file, bench.state()).map_err(|error| {
        print_error(format!("{BAD}error{BAD:#}: cannot read {}: {error}\n", file.display()));
        Exit::Configuration
    })?;
    if loaded.blueprint().is_none() {
        print_error(format!(
            "{}\n{BAD}{} cannot be used{BAD:#}\n",
            loaded.text(Style::Plain),
            file.display()
        ));
        return Err(Exit::Configuration);
    }
    let (requests, notes) = requests(source).map_err(|why| {
        print_error(format!("{BAD}error{BAD:#}: {why}\n"));
        Exit::Usage
    })?;
    // The blueprint is judged by; the text is pointed to.
    let (blueprint, loaded) = loaded.take_blueprint().ok_or(Exit::Configuration)?;
    let judge = Judge::new(blueprint, &bench, Tracing::Checks).ok_or(Exit::Failed)?;
    if circumstances.fetch {
        judge.fetch_keys().map_err(|why| {
            print_error(format!("{BAD}error{BAD:#}: {why}\n"));
            Exit::Failed
        })?;
    }
    let mut explained = Vec::new();
    for mut request in requests {
        if request.client == portcullis::judge::request::SOMEBODY {
            request.client = circumstances.client;
        }
        let verdict = judge.decide(&request);
        if as_json {
            let mut object = loaded.places().json(&verdict);
            if let Some(object) = object.as_object_mut() {
                object.insert("request".into(), json!({ "method": request.method, "path": path(&request) }));
                object.insert("notes".into(), json!(notes));
            }
            explained.push(object);
        } else {
            print(text(&request, &verdict, &loaded.places(), &notes));
        }
        // What one request used up is not another one's business.
        judge.forget();
    }
    if as_json {
        let printed = match explained.as_slice() {
            [one] => one.clone(),
            several => json!(several),
        };
        print(format!("{printed:#}\n"));
    }
    Ok(Exit::Well)
}

fn requests(source: Source) -> Result<(Vec<Request>, Vec<String>), String> {
    let read = |file: &Path| {
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
    };
    if let Some(command) = source.curl {
        let command = curl::parse(&command)?;
        return Ok((vec![command.request], Vec::new()));
    }
    if let Some(file) = source.har {
        return Ok((har::parse(&read(&file)?)?, Vec::new()));
    }
    match (source.log, source.id) {
        (Some(file), Some(id)) => {
            let logged = log::find(&file, &id)?;
            Ok((vec![logged.request], logged.notes))
        }
        _ => Err("say which request: a curl command, `--har FILE`, or `--log FILE --id ID`".to_owned()),
    }
}

/// The path without the query, which may hold a credential.
fn path(request: &Request) -> &str {
    request.target.split('?').next().unwrap_or_default()
}

fn text(request: &Request, verdict: &Verdict, places: &Places<'_>, notes: &[String]) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{STRONG}{} {}{STRONG:#}", visible(&request.method), visible(path(request)));
    for note in notes {
        let _ = writeln!(text, "  {CARE}note{CARE:#} {}", visible(note));
    }
    if let Some(route) = verdict.route {
        let _ = writeln!(text, "  route{}", at(places.of_route(route)));
    }
    let mut checks = verdict.checks.as_slice();
    for stage in Stage::ALL {
        let own = checks.iter().take_while(|check| stage_of(check) == stage).count();
        let (these, rest) = checks.split_at(own);
        checks = rest;
        if stage > verdict.stage {
            break;
        }
        let ended = stage == verdict.stage && !verdict.is_forwarded();
        let mark = if ended { format!("{BAD}stops{BAD:#} ") } else { format!("{GOOD}passes{GOOD:#}") };
        if these.is_empty()
            && !ended
            && matches!(stage, Stage::Screen | Stage::Authorize | Stage::Charge | Stage::Shape)
        {
            continue;
        }
        let public = if stage == Stage::Authenticate && verdict.public {
            "  nobody is asked who they are"
        } else {
            ""
        };
        let _ = writeln!(text, "  {mark} {STRONG}{:<12}{STRONG:#}{public}", stage.as_str());
        for check in these {
            let _ =
                writeln!(text, "         {}{}", said(check), at(places.of_check(verdict.route, check.check)));
        }
    }
    for observed in &verdict.observed {
        let check = observed.check.unwrap_or("the engine");
        let _ = writeln!(
            text,
            "  {CARE}observed{CARE:#} {check} would refuse with {} {}: {}",
            observed.status.as_u16(),
            observed.code,
            visible(&observed.detail)
        );
    }
    if let Some(principal) = &verdict.principal {
        let roles =
            if principal.roles.is_empty() { "no roles".to_owned() } else { principal.roles.join(", ") };
        let _ = writeln!(text, "  by {} ({})", visible(&principal.name), visible(&roles));
    }
    match &verdict.decision {
        Decision::Forwarded(upstream) => {
            let _ = writeln!(text, "  {GOOD}forwarded{GOOD:#} to {}", visible(&upstream.target));
            let _ = writeln!(text, "    {FAINT}{} {}{FAINT:#}", upstream.method, visible(&upstream.path));
            for (name, value) in &upstream.headers {
                let _ = writeln!(text, "    {FAINT}{name}: {}{FAINT:#}", visible(value));
            }
        }
        Decision::Refused(refusal) => {
            let place = places.of_refusal(verdict.route, refusal);
            let _ = writeln!(
                text,
                "  {BAD}refused{BAD:#} with {} {}: {}{}",
                refusal.status.as_u16(),
                refusal.code,
                visible(&refusal.detail),
                at(place)
            );
        }
        Decision::Unknown { because } => {
            let _ =
                writeln!(text, "  {CARE}unknown{CARE:#}: it depends on {}; try `--fetch`", visible(because));
        }
    }
    text.push('\n');
    text
}

fn stage_of(check: &CheckVerdict) -> Stage {
    Stage::of_check(check.check).unwrap_or(Stage::Inspect)
}

fn said(check: &CheckVerdict) -> String {
    let mode = match check.mode {
        Mode::Enforce => String::new(),
        Mode::Observe | Mode::Off => format!(" {CARE}({}){CARE:#}", check.mode.as_str()),
    };
    let said = match &check.said {
        Said::Passed => "passes".to_owned(),
        Said::Identified => "knows who it is".to_owned(),
        Said::Absent => "finds no credential of its kind".to_owned(),
        Said::Counted { remaining } => format!("counts it, {remaining} more could come now"),
        Said::Refused(refusal) => {
            format!(
                "{BAD}refuses{BAD:#}: {} {}, {}",
                refusal.status.as_u16(),
                refusal.code,
                visible(&refusal.detail)
            )
        }
    };
    format!("{}{mode} {said}", check.check)
}

fn at(place: Option<Place>) -> String {
    place.map_or_else(String::new, |place| format!("  {FAINT}{}{FAINT:#}", visible(&place.to_string())))
}
