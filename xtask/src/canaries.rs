//! Whether a secret that any test used stands in anything that a gateway of a test put out.
//!
//! Tests write both into a folder (`crates/portcullis/tests/support/canaries.rs`). Each process plants one secret in its own
//! output; if that is not found, the search itself is broken, and the run fails as well.

use crate::failure::{Context, Failure, Outcome};
use crate::workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The variable that names the folder to tests.
pub(crate) const VARIABLE: &str = "PORTCULLIS_CANARIES";

/// The folder.
pub(crate) fn folder() -> PathBuf {
    workspace::root().join("target/canaries")
}

/// Begins anew.
pub(crate) fn clear() -> Outcome<()> {
    let folder = folder();
    if folder.exists() {
        fs::remove_dir_all(&folder).context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).context(|| format!("making {}", folder.display()))
}

/// Searches for every secret in all outputs.
pub(crate) fn search(folder: &Path) -> Outcome<String> {
    let secrets = secrets(&folder.join("secrets"))?;
    let mut planted = 0;
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for path in files(&folder.join("outputs"))? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let kind = name.split_once('-').map_or("", |(_, kind)| kind).to_owned();
        let text = fs::read(&path).context(|| format!("reading {}", path.display()))?;
        bytes += text.len();
        *kinds.entry(kind.clone()).or_default() += text.len();
        for place in places(&text, &secrets) {
            if kind == "planted" {
                planted += 1;
            } else {
                let from = place.saturating_sub(40);
                let around = text.get(from..text.len().min(place + 60)).unwrap_or_default();
                found.push(format!("{name}: …{}…", around.escape_ascii()));
            }
        }
    }
    if planted == 0 {
        return Err(Failure::new("no test wrote a secret and an output, so nothing was searched"));
    }
    if !found.is_empty() {
        let count = found.len();
        found.truncate(20);
        return Err(Failure::new(format!("{count} secrets stand in outputs:\n{}", found.join("\n"))));
    }
    let kinds: Vec<_> = kinds.iter().map(|(kind, bytes)| format!("{kind} {} kB", bytes / 1024)).collect();
    Ok(format!(
        "{} secrets, searched for in {} kB: {}; none is there\n",
        secrets.len(),
        bytes / 1024,
        kinds.join(", ")
    ))
}

fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut all: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    all.sort();
    Ok(all)
}

fn secrets(folder: &Path) -> Outcome<BTreeSet<Vec<u8>>> {
    let mut all = BTreeSet::new();
    for path in files(folder)? {
        let text = fs::read(&path).context(|| format!("reading {}", path.display()))?;
        all.extend(text.split(|byte| *byte == b'\n').filter(|line| line.len() >= 16).map(<[u8]>::to_vec));
    }
    Ok(all)
}

/// Where any of the secrets stands. They are found by their first eight bytes, in one pass.
fn places(text: &[u8], secrets: &BTreeSet<Vec<u8>>) -> Vec<usize> {
    let mut beginnings: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    let mut firsts = [false; 256];
    for secret in secrets {
        let (Some(beginning), Some(first)) = (secret.get(..8), secret.first()) else { continue };
        beginnings.entry(beginning).or_default().push(secret);
        if let Some(place) = firsts.get_mut(usize::from(*first)) {
            *place = true;
        }
    }
    let mut found = Vec::new();
    for (place, window) in text.windows(8).enumerate() {
        let may = window.first().is_some_and(|first| firsts.get(usize::from(*first)) == Some(&true));
        if !may {
            continue;
        }
        let rest = text.get(place..).unwrap_or_default();
        if beginnings.get(window).is_some_and(|all| all.iter().any(|secret| rest.starts_with(secret))) {
            found.push(place);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_an_output_fails_and_a_run_without_tests_does_too() {
        let folder = std::env::temp_dir().join(format!("portcullis-canaries-{}", std::process::id()));
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("secrets/1-all", "planted-0123456789\nsecret-of-a-test-0123\n");
        assert!(search(&folder).unwrap_err().to_string().contains("nothing was searched"));
        write("outputs/1-planted", "planted-0123456789\n");
        write("outputs/1-access-log", "{\"path\":\"/secret-of-a-test\"}\n");
        assert!(search(&folder).unwrap().contains("2 secrets"));
        write("outputs/2-debug", "Key(secret-of-a-test-0123)\n");
        let problem = search(&folder).unwrap_err().to_string();
        assert!(problem.contains("1 secrets") && problem.contains("2-debug"), "{problem}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
