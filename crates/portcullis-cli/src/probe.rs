//! `portcullis probe`: the generated attacks, sent to a gateway that serves.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, load, print, print_error};
use crate::test::text;
use portcullis::prove::probe::{Bounds, Trust, probe};
use std::path::{Path, PathBuf};

/// What is probed, and how.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The configuration that the gateway has.
    #[arg(long)]
    config: PathBuf,
    /// A host that is yours, besides this machine. May be given several times.
    #[arg(long = "i-own", value_name = "HOST")]
    owned: Vec<String>,
    /// A PEM file with the only CAs that are trusted, for a gateway whose certificate the system does not trust.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// The most requests that are sent.
    #[arg(long, default_value_t = 2000)]
    max_requests: usize,
    /// Print JSON, for machines.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(url: &str, options: Options) -> Outcome {
    let Options { config, owned, cacert, max_requests, json } = options;
    let loaded = load(Path::new(&config))?;
    if loaded.blueprint().is_none() {
        print_error(format!("{BAD}{} cannot be used{BAD:#}\n", config.display()));
        return Err(Exit::Configuration);
    }
    let bounds = Bounds { requests: max_requests, ..Bounds::default() };
    let report = probe(&loaded, url, &owned, &Trust { authorities: cacert }, bounds).map_err(|why| {
        print_error(format!("{BAD}error{BAD:#}: {why}\n"));
        Exit::Failed
    })?;
    print(if json { format!("{:#}\n", report.json()) } else { text(&report) });
    Ok(if report.is_good() { Exit::Well } else { Exit::Findings })
}
