//! docs/library.md is right: a new project with its dependencies resolves, each of its programs compiles with nothing but them,
//! runs, and answers its curl commands with the statuses that the page says.
//!
//! The programs are taken from the page as they stand, except for their ports. They are compiled against the crates that this
//! workspace has built already, so the test takes seconds; a project apart would build all of them anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A block of the page.
struct Block {
    language: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn blocks() -> Vec<Block> {
    let page = std::fs::read_to_string(root().join("docs/library.md")).unwrap();
    let mut parts = page.split("```").skip(1).step_by(2);
    let block = |part: &str| {
        let (language, text) = part.split_once('\n').unwrap();
        Block { language: language.to_owned(), text: text.to_owned() }
    };
    parts.by_ref().map(block).collect()
}

/// A program of the page and its curl commands, each with the status of its answer.
struct Program {
    file: String,
    source: String,
    commands: Vec<(String, u16)>,
}

fn programs() -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    for Block { language, text } in blocks() {
        match language.as_str() {
            "rust,no_run" => {
                let (first, source) = text.split_once('\n').unwrap();
                let file = first.strip_prefix("// src/").expect("a program begins with its file").to_owned();
                programs.push(Program { file, source: source.to_owned(), commands: Vec::new() });
            }
            "sh" => {
                for line in text.lines().filter(|line| line.starts_with("curl ")) {
                    let (command, status) = line.rsplit_once('#').expect("a command says its status");
                    let program = programs.last_mut().expect("a command follows its program");
                    program.commands.push((command.to_owned(), status.trim().parse().unwrap()));
                }
            }
            _ => {}
        }
    }
    programs
}

/// The `Cargo.toml` of a new project with the dependencies of the page.
fn manifest() -> String {
    let dependencies =
        blocks().into_iter().find(|block| block.language == "toml").expect("dependencies").text;
    let crates = root().join("crates");
    // The sources stand beside the project, which is here.
    let dependencies = dependencies.replace("../portcullis/crates", crates.to_str().unwrap());
    assert!(dependencies.contains(crates.to_str().unwrap()), "{dependencies}");
    format!(
        "[package]\nname = \"my-api\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n{dependencies}\n[workspace]\n"
    )
}

/// The names of the crates that the page depends on.
fn dependencies() -> BTreeSet<String> {
    let text = blocks().into_iter().find(|block| block.language == "toml").unwrap().text;
    let names =
        text.lines().filter(|line| !line.starts_with(['#', '['])).filter_map(|line| line.split_once(" = "));
    names.map(|(name, _)| name.to_owned()).collect()
}

fn folder(name: &str) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("library-{}-{name}", std::process::id()));
    let _old = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("src")).unwrap();
    folder
}

/// The folder of the profile that this test was built in.
fn profile() -> PathBuf {
    let mut profile = std::env::current_exe().unwrap();
    profile.pop();
    profile.pop();
    profile
}

/// The files of a crate. Where build scripts use it as well, there is one for them, too.
type Built = BTreeMap<String, Vec<PathBuf>>;

/// The crates that this workspace has built, as an example of the library gets them.
fn built() -> Built {
    let output = Command::new(env!("CARGO"))
        .env_remove("RUSTC_BOOTSTRAP")
        .args(["build", "--quiet", "--package", "portcullis", "--example", "mount_axum"])
        .args(["--message-format", "json", "--target-dir"])
        .arg(profile().parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let mut files = Built::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(list) = message["filenames"].as_array() else { continue };
        let name = message["target"]["name"].as_str().unwrap().to_owned();
        let rlib = list.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".rlib"));
        if let Some(rlib) = rlib {
            files.entry(name).or_default().push(PathBuf::from(rlib));
        }
    }
    files
}

/// Every way to take one file for each crate that the page depends on.
fn choices(crates: &Built) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = vec![Vec::new()];
    for name in dependencies() {
        let files = crates.get(&name).unwrap_or_else(|| panic!("{name} was not built: {:?}", crates.keys()));
        let with = |one: &Vec<String>, file: &PathBuf| {
            let more = ["--extern".to_owned(), format!("{name}={}", file.display())];
            one.iter().cloned().chain(more).collect()
        };
        all = all
            .iter()
            .flat_map(|one| files.iter().map(move |file| with(one, file)).collect::<Vec<_>>())
            .collect();
    }
    all
}

/// Compiles a program with the crates that the page depends on, and no others.
fn compile(source: &Path, crates: &Built) -> PathBuf {
    let program = source.with_extension("");
    let mut said = String::new();
    for externs in choices(crates) {
        let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        command.env_remove("RUSTC_BOOTSTRAP");
        command.args(["--edition", "2024", "--crate-type", "bin", "-D", "warnings", "-o"]).arg(&program);
        command.arg("-L").arg(format!("dependency={}", profile().join("deps").display())).args(externs);
        // Libraries of C lie where build scripts have put them.
        for entry in std::fs::read_dir(profile().join("build")).unwrap() {
            let out = entry.unwrap().path().join("out");
            if out.is_dir() {
                command.arg("-L").arg(format!("native={}", out.display()));
            }
        }
        let done = command.arg(source).output().unwrap();
        if done.status.success() {
            return program;
        }
        said = String::from_utf8_lossy(&done.stderr).into_owned();
    }
    panic!("{}:\n{said}", source.display());
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_ports() -> [u16; 2] {
    let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.each_ref().map(|listener| listener.local_addr().unwrap().port())
}

fn answers(program: &Program, crates: &Built) {
    let [plain, protected] = free_ports();
    let ported =
        |text: &str| text.replace("3000", &plain.to_string()).replace("3443", &protected.to_string());
    let name = program.file.replace(['/', '.'], "-");
    let folder = folder(&name);
    let source = folder.join(format!("src/{name}.rs"));
    std::fs::write(&source, ported(&program.source)).unwrap();
    let binary = compile(&source, crates);
    let started = Command::new(binary).current_dir(&folder).stdout(Stdio::null()).spawn().unwrap();
    let mut running = Running(started);
    let ports = if program.source.contains("3443") { vec![plain, protected] } else { vec![plain] };
    let begun = Instant::now();
    for port in ports {
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(running.0.try_wait().unwrap().is_none(), "{} ended", program.file);
            assert!(begun.elapsed() < Duration::from_secs(30), "{} does not listen", program.file);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(!program.commands.is_empty(), "{} has no commands", program.file);
    for (command, status) in &program.commands {
        let quiet =
            "curl --silent --output /dev/null --write-out '%{http_code}' --max-time 20 --noproxy '*' ";
        let line = ported(command).replacen("curl ", quiet, 1);
        let done = Command::new("sh").args(["-c", &line]).current_dir(root()).output().unwrap();
        let got = String::from_utf8(done.stdout).unwrap();
        assert_eq!(got, status.to_string(), "{}: {command}", program.file);
    }
    drop(running);
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn every_program_of_the_page_compiles_runs_and_answers() {
    let programs = programs();
    let files: Vec<&str> = programs.iter().map(|program| program.file.as_str()).collect();
    assert_eq!(files, ["main.rs", "bin/mount_axum.rs", "bin/streams.rs", "bin/production.rs"]);
    let crates = built();
    // Two at a time: linking takes most of it.
    for pair in programs.chunks(2) {
        std::thread::scope(|scope| {
            let crates = &crates;
            let each: Vec<_> =
                pair.iter().map(|program| scope.spawn(move || answers(program, crates))).collect();
            each.into_iter().for_each(|one| one.join().unwrap());
        });
    }
}

#[test]
fn a_new_project_with_these_dependencies_resolves() {
    let folder = folder("project");
    std::fs::write(folder.join("Cargo.toml"), manifest()).unwrap();
    std::fs::write(folder.join("src/main.rs"), &programs()[0].source).unwrap();
    // The versions that are here already, so that nothing is downloaded.
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let tree = Command::new(env!("CARGO"))
        .env_remove("RUSTC_BOOTSTRAP")
        .args(["tree", "--offline", "--depth", "1", "--prefix", "none", "--edges", "normal"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{said}");
    let tree = String::from_utf8(tree.stdout).unwrap();
    for name in dependencies() {
        assert!(tree.lines().any(|line| line.starts_with(&format!("{name} v"))), "{name} in\n{tree}");
    }
    let _ = std::fs::remove_dir_all(&folder);
}
