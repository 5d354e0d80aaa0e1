//! Finds the files of a rule set: those that were given, what they include, and the lists that operators name. None
//! lies outside the root.

use super::parse::{Parsed, Reader, parse};
use crate::error::{LoadError, LoadErrors, Location};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest rule file or list, in bytes.
const MOST_BYTES: u64 = 16 << 20;
/// How deep files include each other.
const MOST_DEPTH: usize = 16;

/// Reads rule files into one rule set, in the order in which they are added.
#[derive(Debug, Default)]
pub struct Loader {
    parsed: Parsed,
    errors: Vec<LoadError>,
}

impl Loader {
    /// A loader that refuses what the engine does not support.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves out rules with something that the engine does not support, instead of refusing the whole set.
    /// [`left_out`](Self::left_out) lists them.
    #[must_use]
    pub fn leave_out_unsupported(mut self) -> Self {
        self.parsed.leave_out = true;
        self
    }

    /// Adds rules from memory. They cannot include files, and have no lists.
    #[must_use]
    pub fn text(mut self, name: &str, text: &[u8]) -> Self {
        let name: Arc<str> = name.into();
        let mut errors = Vec::new();
        let mut reader = Reader {
            read: &|at, file| {
                Err(LoadError::new(at, format!("rules from memory cannot read the file {file}")))
            },
            include: &mut |at, file, _, errors| {
                errors.push(LoadError::new(at, format!("rules from memory cannot include {file}")));
            },
        };
        parse(&mut self.parsed, &name, text, &mut reader, &mut errors);
        self.errors.extend(errors);
        self
    }

    /// Adds a file, or each `*.conf` file of a directory in the order of their names. `Include` and the lists of
    /// operators are read relative to the file that names them, and must lie below the directory of `path`.
    #[must_use]
    pub fn path(mut self, path: &Path) -> Self {
        let at = Location { file: path.display().to_string().into(), line: 0 };
        let root = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        // A bare file name has an empty parent, which is the current directory.
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        let result = root
            .canonicalize()
            .map_err(|error| LoadError::new(&at, error.to_string()))
            .and_then(|root| Ok((expand(&at, path)?, root)));
        match result {
            Ok((files, root)) => {
                for file in files {
                    let mut errors = Vec::new();
                    read_file(&at, &file, &root, 0, &mut self.parsed, &mut errors);
                    self.errors.extend(errors);
                }
            }
            Err(error) => self.errors.push(error),
        }
        self
    }

    /// Adds the folder of a Core Rule Set release, which has a folder `rules`: its `crs-setup.conf`, or the example of it,
    /// then the rules. Any other path is added as [`path`](Self::path) does.
    #[must_use]
    pub fn rule_set(self, path: &Path) -> Self {
        let rules = path.join("rules");
        if !rules.is_dir() {
            return self.path(path);
        }
        let setup = ["crs-setup.conf", "crs-setup.conf.example"].map(|name| path.join(name));
        match setup.iter().find(|file| file.is_file()) {
            Some(setup) => self.path(setup).path(&rules),
            None => self.path(&rules),
        }
    }

    /// The rules that were left out so far, and why.
    #[must_use]
    pub fn left_out(&self) -> &[LoadError] {
        &self.parsed.left_out
    }

    /// The rules that were read.
    pub(crate) fn items(self) -> Vec<super::tree::Item> {
        self.parsed.items
    }

    /// All that was read.
    pub(crate) fn finish(self) -> Result<Parsed, LoadErrors> {
        if self.errors.is_empty() { Ok(self.parsed) } else { Err(LoadErrors(self.errors)) }
    }
}

/// The files that a path stands for: itself, or those of a directory, or those that a `*` in its last part matches.
fn expand(at: &Location, path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let fault = |error: std::io::Error| LoadError::new(at, format!("{}: {error}", path.display()));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (directory, before, after) = if path.is_dir() {
        (path, "", ".conf")
    } else if let Some((before, after)) = name.split_once('*') {
        (path.parent().unwrap_or(path), before, after)
    } else {
        return Ok(vec![path.to_path_buf()]);
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let matches =
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after);
        if matches && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(LoadError::new(at, format!("{} matches no file", path.display())));
    }
    Ok(files)
}

fn read_file(
    at: &Location,
    file: &Path,
    root: &Path,
    depth: usize,
    parsed: &mut Parsed,
    errors: &mut Vec<LoadError>,
) {
    if depth > MOST_DEPTH {
        errors.push(LoadError::new(at, format!("files include each other more than {MOST_DEPTH} deep")));
        return;
    }
    let text = match read_below(at, file, root) {
        Ok(text) => text,
        Err(error) => return errors.push(error),
    };
    let name: Arc<str> = file.display().to_string().into();
    let directory = file.parent().unwrap_or(root).to_path_buf();
    let mut include =
        |at: &Location, pattern: &str, parsed: &mut Parsed, errors: &mut Vec<LoadError>| match expand(
            at,
            &directory.join(pattern),
        ) {
            Ok(files) => {
                for file in files {
                    read_file(at, &file, root, depth + 1, parsed, errors);
                }
            }
            Err(error) => errors.push(error),
        };
    let read = |at: &Location, name: &str| read_below(at, &directory.join(name), root);
    let mut reader = Reader { read: &read, include: &mut include };
    parse(parsed, &name, &text, &mut reader, errors);
}

/// Reads a file that lies below `root`, after links are followed.
fn read_below(at: &Location, file: &Path, root: &Path) -> Result<Vec<u8>, LoadError> {
    let fault = |error: std::io::Error| LoadError::new(at, format!("{}: {error}", file.display()));
    let real = file.canonicalize().map_err(fault)?;
    // SECURITY: a rule set cannot name files elsewhere (a_file_outside_the_root_is_not_read).
    if !real.starts_with(root) {
        return Err(LoadError::new(at, format!("{} is outside {}", file.display(), root.display()))
            .help("put it next to the rules"));
    }
    if fs::metadata(&real).map_err(fault)?.len() > MOST_BYTES {
        return Err(LoadError::new(at, format!("{} has more than 16 MiB", file.display())));
    }
    fs::read(&real).map_err(fault)
}
