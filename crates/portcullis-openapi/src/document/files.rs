//! The set of files that a description consists of.
//!
//! A set is made in memory, or read from disk by following references from one file. References never leave the folder of
//! that file, and never go to a network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::data::Around;
use super::{LoadError, join, yaml};
use crate::json;
use crate::limits::Limits;

/// What relative names are relative to.
const BASE: &str = "openapi:///";

/// The most files of one description, where nothing else is said.
const MOST_FILES: usize = 20_000;

/// The most bytes of all files of one description.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// The largest file in bytes.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// Files by their address; one of them is the description itself.
#[derive(Clone, Debug)]
pub struct Files {
    main: String,
    files: BTreeMap<String, Value>,
    /// The texts that were read, for the lines of what is wrong in them.
    texts: BTreeMap<String, Arc<[u8]>>,
}

impl Files {
    /// A set of one file. `name` is a relative path such as `api.yaml`, against which references are resolved, or an
    /// absolute URI. Text that begins with `{` or `[` is read as JSON, other text as YAML.
    ///
    /// # Errors
    /// The text cannot be read; the message says why.
    pub fn new(name: &str, text: &[u8]) -> Result<Self, LoadError> {
        let mut files = Self::from_value(name, parse(name, text)?);
        files.texts.insert(files.main.clone(), text.into());
        Ok(files)
    }

    /// A set of one file that has been read already.
    #[must_use]
    pub fn from_value(name: &str, value: Value) -> Self {
        let main = address(name);
        Files { files: BTreeMap::from([(main.clone(), value)]), main, texts: BTreeMap::new() }
    }

    /// A set in which nothing is found.
    pub(crate) fn none() -> Self {
        Files { main: String::new(), files: BTreeMap::new(), texts: BTreeMap::new() }
    }

    /// Adds a file that may be referred to.
    ///
    /// # Errors
    /// The text cannot be read, or there is a file of this name already.
    pub fn add(&mut self, name: &str, text: &[u8]) -> Result<(), LoadError> {
        self.add_value(name, parse(name, text)?)?;
        self.texts.insert(address(name), text.into());
        Ok(())
    }

    /// Adds a file that has been read already.
    ///
    /// # Errors
    /// There is a file of this name already.
    pub fn add_value(&mut self, name: &str, value: Value) -> Result<(), LoadError> {
        let std::collections::btree_map::Entry::Vacant(place) = self.files.entry(address(name)) else {
            return Err(LoadError::new(name, "the file is given twice"));
        };
        place.insert(value);
        Ok(())
    }

    /// Reads a file and every file that it refers to, in its folder and below.
    ///
    /// # Errors
    /// A file is missing, too large, outside of the folder, or cannot be read.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Files::load_at_most(path, MOST_FILES)
    }

    /// The same, and no more than so many files.
    ///
    /// # Errors
    /// Those of [`load`](Files::load), or there are more files.
    pub fn load_at_most(path: &Path, most: usize) -> Result<Self, LoadError> {
        let shown = path.display().to_string();
        let full = path.canonicalize().map_err(|error| LoadError::new(&shown, error.to_string()))?;
        let (Some(folder), Some(name)) = (full.parent(), full.file_name().and_then(|name| name.to_str()))
        else {
            return Err(LoadError::new(&shown, "it has no name that is text"));
        };
        let mut set = Files::new(name, &read(&full, &shown)?)?;
        let mut open = vec![set.main.clone()];
        let mut bytes = 0_usize;
        while let Some(base) = open.pop() {
            let mut wanted = Vec::new();
            if let Some(value) = set.files.get(&base) {
                references(value, &base, Around::Object, &mut wanted);
            }
            for address in wanted {
                if set.files.contains_key(&address) {
                    continue;
                }
                if set.files.len() >= most {
                    let message = format!("it has more files than {most}, which is `max_files`");
                    return Err(LoadError::new(&shown, message));
                }
                let name = address.strip_prefix(BASE).unwrap_or(&address).to_owned();
                let text = read(&inside(folder, &name)?, &name)?;
                bytes = bytes.saturating_add(text.len());
                if bytes > MOST_BYTES {
                    return Err(LoadError::new(
                        &shown,
                        format!("its files have more than {MOST_BYTES} bytes"),
                    ));
                }
                set.files.insert(address.clone(), parse(&name, &text)?);
                set.texts.insert(address.clone(), text.into());
                open.push(address);
            }
        }
        Ok(set)
    }

    /// The description itself, as it was read.
    #[must_use]
    pub fn document(&self) -> Option<&Value> {
        self.files.get(&self.main)
    }

    /// The relative paths of the files that were read, the description itself among them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().filter_map(|address| address.strip_prefix(BASE))
    }

    /// The address and the text of a file, by its name or its address.
    pub(crate) fn text(&self, name: &str) -> Option<(&str, &[u8])> {
        let (address, text) = self.texts.get_key_value(&address(name))?;
        Some((address, text))
    }

    /// The address of the description itself.
    pub(crate) fn main(&self) -> &str {
        &self.main
    }

    pub(crate) fn file(&self, address: &str) -> Option<&Value> {
        self.files.get(address)
    }

    pub(crate) fn file_mut(&mut self, address: &str) -> Option<&mut Value> {
        self.files.get_mut(address)
    }

    pub(crate) fn each_mut(&mut self, mut change: impl FnMut(&str, &mut Value)) {
        self.files.iter_mut().for_each(|(address, file)| change(address, file));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.files.iter().map(|(address, value)| (address.as_str(), value))
    }
}

fn address(name: &str) -> String {
    if name.contains("://") { name.to_owned() } else { join(BASE, name) }
}

fn parse(name: &str, text: &[u8]) -> Result<Value, LoadError> {
    let limits = Limits::document();
    let start = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(start, Some(b'{' | b'[')) {
        // YAML's flow style begins alike, so what is not JSON gets a second chance.
        return match json::read(text, &limits) {
            Ok(value) => Ok(value),
            Err(json::Fault::Syntax) => yaml::read(name, text, &limits),
            Err(fault) => Err(LoadError::new(name, fault.reason())),
        };
    }
    yaml::read(name, text, &limits)
}

fn read(path: &Path, shown: &str) -> Result<Vec<u8>, LoadError> {
    let fail = |error: std::io::Error| LoadError::new(shown, error.to_string());
    if std::fs::metadata(path).map_err(fail)?.len() > LARGEST_FILE {
        return Err(LoadError::new(shown, format!("it has more than {LARGEST_FILE} bytes")));
    }
    std::fs::read(path).map_err(fail)
}

/// The path of a file in the folder or below it, links followed.
fn inside(folder: &Path, name: &str) -> Result<PathBuf, LoadError> {
    let path = folder.join(name).canonicalize().map_err(|error| LoadError::new(name, error.to_string()))?;
    // SECURITY: a description from elsewhere must not make us read files of this machine (references_stay_in_the_folder).
    if path.starts_with(folder) {
        Ok(path)
    } else {
        Err(LoadError::new(name, "it is outside of the folder of the description"))
    }
}

/// The addresses of files that `value` refers to by relative path. What only looks like a reference, in an example, a default
/// or an extension, is none.
fn references(value: &Value, base: &str, around: Around, wanted: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref")
                && around == Around::Object
            {
                let file = reference.split('#').next().unwrap_or_default();
                if super::is_relative_file(file) {
                    wanted.push(join(base, file));
                }
            }
            for (name, member) in members.iter().filter(|(name, _)| !around.is_data(name)) {
                references(member, base, around.inside(name), wanted);
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| references(item, base, Around::Object, wanted));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stay_in_the_folder() {
        let folder = std::env::temp_dir().join(format!("portcullis-openapi-files-{}", std::process::id()));
        let below = folder.join("api/parts");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(folder.join("secret.yaml"), "a: 1").unwrap();
        std::fs::write(folder.join("api/good.yaml"), "a: { $ref: 'parts/b.json#/x' }").unwrap();
        std::fs::write(below.join("b.json"), r#"{"x": {"$ref": "../good.yaml#/a"}}"#).unwrap();
        std::fs::write(folder.join("api/bad.yaml"), "a: { $ref: '../secret.yaml' }").unwrap();
        std::fs::write(folder.join("api/absent.yaml"), "a: { $ref: 'nowhere.yaml' }").unwrap();
        let good = Files::load(&folder.join("api/good.yaml")).unwrap();
        assert_eq!(
            good.files.keys().collect::<Vec<_>>(),
            ["openapi:///good.yaml", "openapi:///parts/b.json"]
        );
        // `..` at the root stays at the root, so the file outside is not even looked for.
        assert!(Files::load(&folder.join("api/bad.yaml")).is_err());
        assert!(Files::load(&folder.join("api/absent.yaml")).is_err());
        std::os::unix::fs::symlink(folder.join("secret.yaml"), folder.join("api/secret.yaml")).unwrap();
        let refused = Files::load(&folder.join("api/bad.yaml")).unwrap_err();
        assert!(refused.message.contains("outside"), "{refused}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
