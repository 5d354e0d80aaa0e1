//! The operations of the documents of a configuration: which were used, across reloads and restarts.
//!
//! What was used is noted in the documents of a plan. The next plan takes it over, and a file in the `state_dir` keeps it for the
//! next process. It is written when it has changed, [`INTERVAL`] after the change at the latest, and at the end; kill -9 loses no
//! more than that. A file that cannot be read is reported, and nothing else depends on it. What no route has a document for any
//! more is forgotten.

use portcullis_core::{OperationUse, Plan};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// How often it is seen whether there is something to write.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
const FILE: &str = "operations.json";
/// A file beyond this size is not ours.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The operations of all documents, and what was asked for beside them.
pub(crate) fn of(plan: &Plan) -> Vec<OperationUse> {
    let mut all: BTreeMap<(String, String, String), OperationUse> = BTreeMap::new();
    let documents = plan.routes.iter().filter_map(|route| route.controls.inspection.operations.as_ref());
    for one in documents.flat_map(|document| document.uses()) {
        // Several routes can have one document.
        let key = (one.document.clone(), one.path.clone(), one.method.clone());
        let known = all.entry(key).or_insert_with(|| one.clone());
        known.last_used = known.last_used.max(one.last_used);
    }
    all.into_values().collect()
}

/// Has the documents of a plan know what was used before.
pub(crate) fn carry(before: &[OperationUse], plan: &Plan) {
    for route in plan.routes.iter() {
        if let Some(document) = &route.controls.inspection.operations {
            document.remember(before);
        }
    }
}

/// Writes what was used, whole or not at all.
pub(crate) fn keep(folder: &Path, all: &[OperationUse]) -> io::Result<()> {
    let used: Vec<_> = all
        .iter()
        .filter(|one| one.last_used.is_some())
        .map(|one| {
            json!({
                "document": one.document, "method": one.method, "path": one.path, "declared": one.declared,
                "last_used": one.last_used,
            })
        })
        .collect();
    let hidden = folder.join(format!(".{FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&hidden)?;
    writeln!(file, "{:#}", json!({ "operations": used }))?;
    file.sync_all()?;
    fs::rename(hidden, folder.join(FILE))
}

/// What an earlier process has kept.
pub(crate) fn kept(folder: &Path) -> io::Result<Vec<OperationUse>> {
    let file = match fs::File::open(folder.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text)?;
    let json: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
    let one = |value: &Value| {
        let word = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(OperationUse {
            document: word("document")?,
            method: word("method")?,
            path: word("path")?,
            id: None,
            declared: value.get("declared").and_then(Value::as_bool)?,
            deprecated: false,
            last_used: Some(value.get("last_used").and_then(Value::as_u64)?),
        })
    };
    Ok(json.get("operations").and_then(Value::as_array).into_iter().flatten().filter_map(one).collect())
}
