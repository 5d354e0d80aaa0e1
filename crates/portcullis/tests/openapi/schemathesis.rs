//! Schemathesis, which nobody here wrote, makes requests from the document: what the document forbids never reaches a
//! backend that would answer 200 to everything, and what it allows is never refused.
//!
//! The program is `SCHEMATHESIS`, or where `cargo xtask counterparts` puts it; without either, the test says so and judges
//! nothing.

use super::{USER_KEY, World, support, world};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{Backend, Reply};

const ROUTES: &str = "
  - path: \"/{*rest}\"
    upstream: UPSTREAM
    openapi: tests/openapi/orders.yaml
";

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi/orders.yaml");

/// The same requests every time. The document has no text that may hold control characters and no numbers without bounds,
/// since the gateway refuses `%00` in any URL, and integers that do not fit 64 bits.
const SEED: &str = "20261125";

fn program() -> Option<PathBuf> {
    let installed =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/counterparts/schemathesis/bin/schemathesis");
    let named = std::env::var_os("SCHEMATHESIS").map(PathBuf::from);
    named.or(Some(installed)).filter(|path| path.is_file())
}

async fn run(program: PathBuf, world: &World, mode: &'static str, check: &'static str) -> Output {
    let url = format!("http://{}", world.address);
    let ran = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .args(["run", DOCUMENT, "--url", &url, "--mode", mode, "-c", check])
            .args(["-H", &format!("X-Api-Key: {USER_KEY}"), "--phases", "examples,coverage,fuzzing"])
            .args([
                "--max-examples",
                "40",
                "--seed",
                SEED,
                "--no-color",
                "--continue-on-failure",
                "--workers",
                "1",
            ])
            .args(["--generation-database", "none", "--max-time", "25", "--suppress-health-check", "all"])
            // It leaves what it remembers where it runs.
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .output()
    });
    ran.await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forbidden_never_reaches_the_backend_and_what_is_allowed_always_does() {
    let Some(program) = program() else {
        println!("schemathesis is not here: run `cargo xtask counterparts`, or set SCHEMATHESIS");
        return;
    };
    for (mode, check) in [("positive", "positive_data_acceptance"), ("negative", "negative_data_rejection")] {
        let backend =
            Backend::answering(|_| Reply::with("200 OK", "Content-Type: application/json\r\n", "{}")).await;
        let world = world(&backend, ROUTES);
        let output = run(program.clone(), &world, mode, check).await;
        let text = String::from_utf8_lossy(&output.stdout);
        println!("{text}");
        let records = world.end().await.all();
        let refused = records.iter().filter(|record| record["denied"].is_object()).count();
        println!(
            "{mode}: {} requests, {refused} refused, {} reached the backend",
            records.len(),
            backend.seen().len()
        );
        assert!(records.len() > 50, "{} requests are no test: {text}", records.len());
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
}
