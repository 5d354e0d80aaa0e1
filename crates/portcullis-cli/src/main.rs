//! The `portcullis` command.
//!
//! Exit codes, the same for every command: 0 all is well; 1 there are findings, or a test failed; 2 the configuration cannot
//! be used; 3 the command line cannot be understood; 4 the gateway could not start or had to end, or does not answer.

mod audit;
mod check;
mod denials;
mod diff;
mod exit;
mod explain;
mod hash;
mod headers;
mod import;
mod init;
mod manual;
mod operations;
mod probe;
mod quickstart;
mod replay;
mod run;
mod schema;
mod screen;
mod service;
mod status;
mod store;
mod test;
mod top;
mod waf;
mod why;

use clap::{CommandFactory, Parser, Subcommand};
use exit::Exit;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

// Allocation is what a request's user-space time mostly goes into; this allocator halves it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What `--version` prints: what this program was built from, and how. There are no optional features.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("PORTCULLIS_COMMIT").unwrap_or("unknown");
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{}\ncommit {commit}, {build} build for {system} on {machine}", env!("CARGO_PKG_VERSION"))
});

/// An API gateway whose one purpose is security.
///
/// Exit codes: 0 all is well, 1 findings or failed tests, 2 the configuration cannot be used, 3 the command line cannot be
/// understood, 4 the gateway could not start or does not answer.
#[derive(Parser)]
#[command(name = "portcullis", version, long_version = VERSION.as_str(), arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a small backend and a gateway in front of it, and print commands to try.
    Quickstart {
        /// The gateway's port on 127.0.0.1; 0 for any free one.
        #[arg(long, default_value_t = 3000)]
        port: u16,
    },
    /// Run the gateway of a configuration file until it is told to stop (SIGTERM, SIGINT).
    ///
    /// SIGHUP reads the file again; a file with an error changes nothing. SIGHUP and SIGUSR1 open the log file again, for log
    /// rotation. Under systemd it works with `Type=notify`, `Type=notify-reload` and `WatchdogSec=`.
    Run {
        /// The configuration file (YAML).
        file: PathBuf,
        /// Read it again whenever it, or a file that it refers to, has changed.
        #[arg(long)]
        watch: bool,
        /// Take over from the gateway that runs with the same `state_dir`, without a refused connection. It ends when this one serves.
        #[arg(long)]
        take_over: bool,
    },
    /// Check a configuration file: what is wrong, what is weaker than it need be, and for each route the controls that will
    /// run, in their order.
    ///
    /// Ends with 1 where a finding is of high severity, and with `--deny warnings` also where one is of medium severity or
    /// there is a warning. Findings that are meant to be are listed under `accepted_findings` in the file.
    Check {
        /// The configuration file (YAML).
        file: PathBuf,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = check::Format::Text)]
        format: check::Format,
        /// The same as `--format json`.
        #[arg(long, hide = true)]
        json: bool,
        /// What else makes the command fail.
        #[arg(long, value_enum)]
        deny: Option<check::Deny>,
    },
    /// Test a configuration file: the tests that stand in it under `tests`, and tests that follow from it.
    ///
    /// For every route, and every operation of its OpenAPI document, one request is found that passes, and then tried without a
    /// credential, with a wrong, expired or foreign one, by somebody without the role, by other spellings of the path and so on.
    /// The keys and tokens are made for it; nothing is sent anywhere. Ends with 1 where an attack goes through or a test fails.
    Test {
        /// The configuration file (YAML).
        file: PathBuf,
        /// Write the results to this file as JUnit XML, too.
        #[arg(long, value_name = "OUT")]
        junit: Option<PathBuf>,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Send the attacks of `test` to a gateway that serves, on this machine or on a host of yours.
    ///
    /// Every request must be refused. It cannot be more than that, since the gateway has its own keys.
    Probe {
        /// Where the gateway is, such as http://127.0.0.1:3000.
        url: String,
        #[command(flatten)]
        options: probe::Options,
    },
    /// Explain what would become of a request: each stage, each check, and the line of the configuration that decides it.
    ///
    /// The request is judged in this process by the same engine as in a gateway. Nothing of a running gateway is touched.
    Explain {
        /// The configuration file (YAML).
        file: PathBuf,
        #[command(flatten)]
        source: explain::Source,
        #[command(flatten)]
        circumstances: explain::Circumstances,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Say which configuration a running gateway has, and whether the last reload failed.
    Status {
        /// The configuration file, which names a `state_dir`, or that folder.
        place: PathBuf,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Write a first configuration that is secure, from an upstream and paths, a line of curl, or an OpenAPI document.
    ///
    /// Asks for what is missing, on a terminal. Prints the key of the first consumer, which it keeps as a hash alone.
    Init(init::Options),
    /// Say what the change from one configuration to another means for security, loosened things first.
    ///
    /// Ends with 1 where `--fail-on` finds something, and with 2 where one of them cannot be used. Secrets are never shown.
    Diff {
        /// The configuration file as it was.
        old: PathBuf,
        /// The configuration file as it is to be.
        new: PathBuf,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = diff::Format::Text)]
        format: diff::Format,
        /// What makes the command fail: `changed` includes what nobody can judge.
        #[arg(long, value_enum)]
        fail_on: Option<diff::FailOn>,
    },
    /// Say why a running gateway refused a request, by the request id that its answer carries.
    ///
    /// Knows the last thousand refusals of each worker, and ends with 1 where it knows nothing of this one.
    Why {
        /// The request id: 32 hexadecimal digits.
        request_id: String,
        /// The configuration file, which names a `state_dir`, or that folder.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Say what a configuration would have decided on the requests of an access log.
    ///
    /// Where the log cannot tell, since it holds no credentials, headers and bodies, the answer is `unknown`, with the reason.
    Replay {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// The access log, `-` for standard input.
        log: PathBuf,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Show what a running gateway does now: requests, refusals, latency, addresses.
    Top {
        /// The configuration file, which names a `state_dir`, or that folder.
        #[arg(long)]
        config: PathBuf,
        /// Print it once. So it does where the output is no terminal.
        #[arg(long)]
        once: bool,
    },
    /// List the operations of a running gateway's OpenAPI documents: used, never used, deprecated and still used, and asked for without
    /// being declared.
    Operations {
        /// The configuration file, which names a `state_dir`, or that folder.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Write the configuration of another gateway as one of Portcullis, and list what does not map.
    ///
    /// A route that had a control without a counterpart is written as a comment, and not served. Ends with 1 where something
    /// did not map.
    Import {
        /// Whose configuration it is.
        #[arg(value_enum)]
        product: import::Product,
        /// The file: Kong's declarative file, or KrakenD's `krakend.json`.
        file: PathBuf,
        /// Where to write; standard output by default. A file that is there is not replaced.
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Make, list, rotate and revoke API keys in the store that a configuration names (`store.keys`).
    #[command(subcommand)]
    Keys(store::keys::Action),
    /// Add, list, change and remove consumers in that store.
    #[command(subcommand)]
    Consumers(store::consumers::Action),
    /// Look into an audit log.
    #[command(subcommand)]
    Audit(audit::Action),
    /// Read a password, and print its hash for a consumer's `password: { hash: ... }`.
    ///
    /// The password is asked for twice, without showing it; or it is what stands on standard input, where that is not a
    /// terminal. One line break at its end does not count.
    HashPassword,
    /// Read an API key, and print its hash for a consumer's `keys: [{ hash: ... }]`.
    ///
    /// Read as `hash-password` reads. For a file without a `key_pepper`.
    HashKey,
    /// List the reasons for which a request is refused, by the codes that the access log uses.
    Denials {
        /// Print a Markdown table.
        #[arg(long)]
        markdown: bool,
    },
    /// List the request headers that are always removed, by the product whose they are.
    Headers {
        /// Print a Markdown page.
        #[arg(long)]
        markdown: bool,
    },
    /// Print the JSON Schema of the configuration file, for editors.
    Schema {
        /// Print the reference of the configuration file instead, as Markdown.
        #[arg(long)]
        markdown: bool,
    },
    /// Work on the rules of `security.waf`.
    #[command(subcommand)]
    Waf(waf::Action),
    /// Print what a shell needs to complete this command: `portcullis completions bash`.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of all commands into a folder, for packages.
    Manual {
        /// The folder, made if it is missing.
        #[arg(required_unless_present = "markdown")]
        folder: Option<PathBuf>,
        /// Print the reference of all commands for docs/cli.md instead.
        #[arg(long, hide = true, conflicts_with = "folder")]
        markdown: bool,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are asked for; anything else is a mistake.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Well };
            let _ = error.print();
            return exit.into();
        }
    };
    let exit = match arguments.command {
        Command::Quickstart { port } => quickstart::run(port),
        Command::Run { file, watch, take_over } => run::run(&file, watch, take_over),
        Command::Status { place, json } => status::run(&place, json),
        Command::Why { request_id, config, json } => why::run(&request_id, &config, json),
        Command::Top { config, once } => top::run(&config, once),
        Command::Operations { config, json } => operations::run(&config, json),
        Command::Check { file, format, json, deny } => {
            check::run(&file, if json { check::Format::Json } else { format }, deny)
        }
        Command::Init(options) => init::run(&options),
        Command::Diff { old, new, format, fail_on } => diff::run(&old, &new, format, fail_on),
        Command::Replay { config, log, json } => replay::run(&config, &log, json),
        Command::Import { product, file, output } => import::run(product, &file, output.as_deref()),
        Command::Test { file, junit, json } => test::run(&file, junit.as_deref(), json),
        Command::Probe { url, options } => probe::run(&url, options),
        Command::Explain { file, source, circumstances, json } => {
            explain::run(&file, source, &circumstances, json)
        }
        Command::Keys(action) => store::keys::run(action),
        Command::Consumers(action) => store::consumers::run(action),
        Command::Audit(action) => audit::run(action),
        Command::HashPassword => hash::password(),
        Command::HashKey => hash::key(),
        Command::Denials { markdown } => denials::run(markdown),
        Command::Headers { markdown } => headers::run(markdown),
        Command::Schema { markdown } => schema::run(markdown),
        Command::Waf(action) => waf::run(action),
        Command::Completions { shell } => manual::completions(shell, &mut Arguments::command()),
        Command::Manual { folder: Some(folder), markdown: _ } => manual::pages(&folder, Arguments::command()),
        Command::Manual { folder: None, markdown: _ } => manual::reference(Arguments::command()),
    };
    exit.unwrap_or_else(|exit| exit).into()
}

/// What a command comes to: either way it is an exit code, and `?` ends it early.
type Outcome = Result<Exit, Exit>;
