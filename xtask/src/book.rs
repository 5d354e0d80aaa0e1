//! `cargo xtask docs`: builds the documentation as a book, with mdBook.

use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::workspace;

/// The version of mdBook that builds the book.
const MDBOOK: &str = "0.5.4";

/// Builds the book into `target/book`. A warning is an error.
pub(crate) fn run() -> Outcome<()> {
    let tools = workspace::target_directory()?.join("tools");
    let program = tools.join("bin/mdbook");
    if !program.is_file() {
        println!("`mdbook` {MDBOOK} is not here: installing it, which takes some minutes.");
        let status = workspace::cargo()
            .args(["install", "mdbook", "--locked", "--no-default-features", "--features", "search"])
            .args(["--version", MDBOOK, "--root"])
            .arg(&tools)
            .status()
            .context(|| "running cargo install".into())?;
        if !status.success() {
            return Err(Failure::new(format!("cargo install mdbook: {status}")));
        }
    }
    let output = Command::new(program)
        .arg("build")
        .arg(workspace::root().join("docs"))
        .output()
        .context(|| "running mdbook".into())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || said.contains("WARN") || said.contains("ERROR") {
        return Err(Failure::new(format!("mdbook: {}\n{said}", output.status)));
    }
    println!("target/book/index.html");
    Ok(())
}
