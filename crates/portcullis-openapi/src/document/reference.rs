//! References: an address of a file, and a JSON Pointer into it.

use serde_json::Value;

use super::{Files, LoadError};

/// How many references may follow one another.
const LONGEST_CHAIN: usize = 32;

/// A place in the files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) file: String,
    pub(crate) pointer: String,
}

impl Target {
    pub(crate) fn new(file: &str, pointer: &str) -> Self {
        Target { file: file.to_owned(), pointer: pointer.to_owned() }
    }

    /// The place of a member of what is here.
    pub(crate) fn member(&self, name: &str) -> Self {
        Target { file: self.file.clone(), pointer: format!("{}/{}", self.pointer, escape(name)) }
    }

    /// What `reference`, written here, points to.
    pub(crate) fn follow(&self, reference: &str) -> Result<Self, LoadError> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let fragment = decoded(fragment).ok_or_else(|| self.error("the reference is not UTF-8"))?;
        if !fragment.is_empty() && !fragment.starts_with('/') {
            return Err(self.error(format!("`{reference}` is not a JSON Pointer")));
        }
        let file = if file.is_empty() { self.file.clone() } else { join(&self.file, file) };
        Ok(Target { file, pointer: fragment })
    }

    /// What is here, if there is anything.
    pub(crate) fn value<'a>(&self, files: &'a Files) -> Option<&'a Value> {
        files.file(&self.file)?.pointer(&self.pointer)
    }

    /// What is here once all references have been followed, and where that is.
    pub(crate) fn resolved(self, files: &Files) -> Result<(Target, &Value), LoadError> {
        let mut here = self;
        let mut from: Option<Target> = None;
        for _ in 0..LONGEST_CHAIN {
            let Some(value) = here.value(files) else {
                return Err(match from {
                    Some(from) => {
                        from.error(format!("the reference leads to `{}`, and nothing is here", here.shown()))
                    }
                    None => here.error("nothing is here"),
                });
            };
            match value.get("$ref") {
                Some(Value::String(reference)) => {
                    let next = here.follow(reference)?;
                    from = Some(std::mem::replace(&mut here, next));
                }
                Some(_) | None => return Ok((here, value)),
            }
        }
        Err(here.error("references lead in a circle"))
    }

    /// The URI of this place.
    pub(crate) fn uri(&self) -> String {
        let mut uri = format!("{}#", self.file);
        for byte in self.pointer.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    uri.push(byte.into())
                }
                _ => uri.push_str(&format!("%{byte:02X}")),
            }
        }
        uri
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> LoadError {
        LoadError::new(self.shown(), message)
    }

    fn shown(&self) -> String {
        let file = self.file.strip_prefix("openapi:///").unwrap_or(&self.file);
        format!("{file}#{}", self.pointer)
    }
}

/// Writes a member name as a segment of a JSON Pointer (RFC 6901).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Whether a reference's file is named by a path, relative to the file in which it stands.
pub(crate) fn is_relative_file(file: &str) -> bool {
    let scheme = file.split(['/', '?']).next().unwrap_or_default();
    !file.is_empty() && !file.starts_with("//") && !scheme.contains(':')
}

/// The address of `file`, written in the file at `base`. Dot segments are resolved and never pass the root.
pub(crate) fn join(base: &str, file: &str) -> String {
    if !is_relative_file(file) {
        return file.to_owned();
    }
    let (root, path) = match base.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            (format!("{scheme}://{authority}/"), path)
        }
        None => (String::new(), base),
    };
    let mut segments: Vec<&str> = if file.starts_with('/') { Vec::new() } else { path.split('/').collect() };
    segments.pop();
    for segment in file.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
        if segment == ".." {
            segments.pop();
        } else {
            segments.push(segment);
        }
    }
    format!("{root}{}", segments.join("/"))
}

pub(super) fn decoded(text: &str) -> Option<String> {
    crate::percent::decode(text, crate::percent::Plus::Literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined() {
        for (base, file, expected) in [
            ("openapi:///a.yaml", "b.yaml", "openapi:///b.yaml"),
            ("openapi:///x/a.yaml", "./b.yaml", "openapi:///x/b.yaml"),
            ("openapi:///x/a.yaml", "../b.yaml", "openapi:///b.yaml"),
            ("openapi:///x/a.yaml", "../../../b.yaml", "openapi:///b.yaml"),
            ("openapi:///x/a.yaml", "/b/c.yaml", "openapi:///b/c.yaml"),
            ("http://h:1/x/a.json", "b.json", "http://h:1/x/b.json"),
            ("openapi:///a.yaml", "http://h/b.json", "http://h/b.json"),
        ] {
            assert_eq!(join(base, file), expected);
        }
    }

    #[test]
    fn circles_end() {
        let files = Files::new(
            "a.yaml",
            b"a: { $ref: '#/b' }\nb: { $ref: '#/a' }\nc: { $ref: '#/d~1e/0' }\nd/e: [1]",
        )
        .unwrap();
        let at = |pointer| Target::new(files.main(), pointer);
        assert!(at("/a").resolved(&files).is_err());
        assert_eq!(at("/c").resolved(&files).unwrap().1, &serde_json::json!(1));
        assert!(at("/x").resolved(&files).is_err());
    }
}
