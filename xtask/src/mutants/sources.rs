//! The copy of the workspace that is mutated. The working tree itself is only read.
//!
//! A file is written only where it differs, so that what did not change is not built again.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::counterparts;
use crate::failure::{Context, Failure, Outcome};

/// The files that git knows of in a folder and that are there, as they are now.
pub(super) fn tracked(root: &Path) -> Outcome<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .context(|| "running git ls-files".into())?;
    if !output.status.success() {
        return Err(Failure::new(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr))));
    }
    let text = String::from_utf8(output.stdout).context(|| "reading the names of files".into())?;
    Ok(text.split_terminator('\0').filter(|file| root.join(file).is_file()).map(str::to_owned).collect())
}

/// Copies files to a folder and removes those that are no longer there. `later` are left as they are: they are mutated.
pub(super) fn copy(root: &Path, files: &[String], later: &BTreeSet<String>, to: &Path) -> Outcome<()> {
    for file in files.iter().filter(|file| !later.contains(*file)) {
        let from = root.join(file);
        let bytes = fs::read(&from).context(|| format!("reading {}", from.display()))?;
        write(&to.join(file), &bytes)?;
    }
    let kept: BTreeSet<PathBuf> = files.iter().map(|file| to.join(file)).collect();
    remove_others(to, &kept, 0)
}

/// Writes a file if that changes it.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Outcome<()> {
    if fs::read(file).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = file.parent().context(|| format!("{} is in no folder", file.display()))?;
    fs::create_dir_all(folder).context(|| format!("making {}", folder.display()))?;
    fs::write(file, bytes).context(|| format!("writing {}", file.display()))
}

/// What cargo and the tests make themselves stays: `Cargo.lock`, `target`, and links.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>, depth: usize) -> Outcome<()> {
    for entry in fs::read_dir(folder).context(|| format!("listing {}", folder.display()))? {
        let entry = entry.context(|| format!("listing {}", folder.display()))?;
        let (path, kind) = (entry.path(), entry.file_type());
        let kind = kind.context(|| format!("reading {}", path.display()))?;
        let made_here = depth == 0 && (entry.file_name() == "target" || entry.file_name() == "Cargo.lock");
        if kind.is_dir() && !made_here {
            remove_others(&path, kept, depth + 1)?;
        } else if kind.is_file() && !made_here && !kept.contains(&path) {
            fs::remove_file(&path).context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

/// Links what tests run against, where it is installed.
pub(super) fn link_counterparts(root: &Path, target: &Path, to: &Path) -> Outcome<()> {
    let mut links = vec![(target.join("counterparts"), to.join("target/counterparts"))];
    for folder in counterparts::FOLDERS {
        let modules = Path::new(folder).join("node_modules");
        links.push((root.join(&modules), to.join(&modules)));
    }
    for (from, link) in links {
        if from.is_dir() && !link.exists() {
            let folder = link.parent().context(|| format!("{} is in no folder", link.display()))?;
            fs::create_dir_all(folder).context(|| format!("making {}", folder.display()))?;
            // One that leads nowhere any more stands in the way.
            let _ = fs::remove_file(&link);
            symlink(&from, &link).context(|| format!("linking {}", link.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Scratch;

    #[test]
    fn a_copy_follows_its_original_and_leaves_the_rest_alone() {
        let scratch = Scratch::new().unwrap();
        let (root, to) = (scratch.folder("root").unwrap(), scratch.folder("copy").unwrap());
        let files: Vec<String> = ["a/one", "a/two", "three"].map(str::to_owned).into();
        for file in &files {
            write(&root.join(file), file.as_bytes()).unwrap();
        }
        let later = BTreeSet::from(["a/two".to_owned()]);
        copy(&root, &files, &later, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/one")).unwrap(), "a/one");
        assert!(!to.join("a/two").exists(), "it is written when it is mutated");

        write(&to.join("a/two"), b"mutated").unwrap();
        write(&to.join("target/built"), b"").unwrap();
        let made = fs::metadata(to.join("three")).unwrap().modified().unwrap();
        copy(&root, &files[1..], &later, &to).unwrap();
        assert!(!to.join("a/one").exists(), "it is no longer there");
        assert_eq!(fs::read_to_string(to.join("a/two")).unwrap(), "mutated");
        assert!(to.join("target/built").exists());
        assert_eq!(fs::metadata(to.join("three")).unwrap().modified().unwrap(), made, "it did not change");
    }
}
