//! `portcullis init`: a first configuration, secure before anything was read.
//!
//! It listens on this machine alone, wants a key for everything, limits each consumer, and serves the paths that it was told,
//! with the methods that it was told. What it writes passes `check --deny warnings`.

use crate::Outcome;
use crate::exit::Exit;
use crate::import::write_new;
use crate::screen::{BAD, GOOD, print, print_error};

use portcullis::scaffold::{Plan, from_curl, from_openapi};
use rand::Rng as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// What the command line says.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The file to write. One that is there is not replaced.
    #[arg(default_value = "gateway.yaml")]
    file: PathBuf,
    /// Where requests go, such as http://127.0.0.1:8080.
    #[arg(long)]
    upstream: Option<String>,
    /// A path to serve, such as /orders or /orders/{id}; can be given several times.
    #[arg(long = "path")]
    paths: Vec<String>,
    /// Serve the operations of this OpenAPI document, and hold requests to it.
    #[arg(long, conflicts_with_all = ["paths", "curl"])]
    openapi: Option<PathBuf>,
    /// Serve what this curl line asks for, such as "curl -H 'x-api-key: …' http://127.0.0.1:8080/orders".
    #[arg(long)]
    curl: Option<String>,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: String,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let failed = |why: String| {
        print_error(format!("{BAD}error{BAD:#}: {}\n", portcullis::visible(&why)));
        Exit::Usage
    };
    let mut plan = Plan::new(&options.listen);
    if let Some(line) = &options.curl {
        from_curl(&mut plan, line).map_err(failed)?;
    }
    if let Some(path) = &options.openapi {
        let text = std::fs::read(path)
            .map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?;
        from_openapi(&mut plan, &path.display().to_string(), &text).map_err(failed)?;
    }
    if let Some(upstream) = &options.upstream {
        plan.upstream = Some(upstream.clone());
    }
    options.paths.iter().for_each(|path| plan.add(path, "GET"));
    let asks = io::stdin().is_terminal();
    if plan.upstream.is_none() {
        let answer = ask(asks, "Where does your API listen?", "http://127.0.0.1:8080").map_err(failed)?;
        plan.upstream = Some(answer);
    }
    if plan.is_empty() {
        let answer = ask(asks, "Which path shall be served?", "/orders").map_err(failed)?;
        plan.add(&answer, "GET");
    }
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    let key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let yaml = plan.written(&portcullis::password::hash_of_key(key.as_bytes()));
    // Before it is written: a path that is none, or an upstream that is no URL.
    let folder = options.file.parent().unwrap_or(Path::new(""));
    let loaded =
        portcullis::Loaded::yaml("gateway.yaml", yaml.clone(), portcullis::load::Context::for_file(folder));
    if loaded.blueprint().is_none() {
        print_error(format!("{}\n", loaded.text(portcullis::Style::Plain)));
        return Err(Exit::Configuration);
    }
    write_new(&options.file, &yaml)?;
    let file = options.file.display();
    print(format!(
        "{GOOD}{file} is written{GOOD:#}. The key of the consumer `first`, which stands nowhere else:\n\n  {key}\n\n\
         portcullis check {file}\nportcullis run {file} --watch\ncurl -H '{}: {key}' http://{}{}\n",
        plan.header,
        options.listen,
        plan.example(),
    ));
    Ok(Exit::Well)
}

/// Asks on a terminal; elsewhere the default counts.
fn ask(asks: bool, question: &str, default: &str) -> Result<String, String> {
    if !asks {
        return Err(format!("{question} Say it with --upstream, --path, --openapi or --curl"));
    }
    print(format!("{question} [{default}] "));
    let _ = io::stdout().flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    let line = line.trim();
    Ok(if line.is_empty() { default } else { line }.to_owned())
}
