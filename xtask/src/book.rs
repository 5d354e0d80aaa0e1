//! `cargo xtask docs`: builds the documentation as a book, with mdBook.

use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::tools::Tool;
use crate::workspace;

/// What builds the book.
const MDBOOK: Tool =
    Tool { name: "mdbook", version: "0.5.4", features: &["--no-default-features", "--features", "search"] };

/// Builds the book into `target/book`. A warning is an error.
pub(crate) fn run() -> Outcome<()> {
    let output = Command::new(MDBOOK.require()?)
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
