//! A place in the files with what is there, for reading the objects of a description.

use serde_json::{Map, Value};

use super::{Files, LoadError, LoadErrors, Target};
use crate::spelling::nearest;

/// A place and its value. References have been followed.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    pub(crate) files: &'a Files,
    pub(crate) at: Target,
    pub(crate) value: &'a Value,
}

impl<'a> Node<'a> {
    pub(crate) fn root(files: &'a Files) -> Result<Self, LoadError> {
        Self::resolve(files, Target::new(files.main(), ""))
    }

    fn resolve(files: &'a Files, at: Target) -> Result<Self, LoadError> {
        let (at, value) = at.resolved(files)?;
        Ok(Node { files, at, value })
    }

    /// The member of this name, references followed.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Node<'a>>, LoadError> {
        match self.value.get(name) {
            None => Ok(None),
            Some(_) => Self::resolve(self.files, self.at.member(name)).map(Some),
        }
    }

    /// The place of a member, references not followed.
    pub(crate) fn place(&self, name: &str) -> Option<Target> {
        self.value.get(name).map(|_| self.at.member(name))
    }

    pub(crate) fn members(&self) -> Result<&'a Map<String, Value>, LoadError> {
        self.value.as_object().ok_or_else(|| self.error("this must be an object"))
    }

    /// Each member, references followed. Extensions (`x-`) are left out.
    pub(crate) fn each(&self) -> Result<Vec<(&'a str, Node<'a>)>, LoadError> {
        let names = self.members()?.keys().filter(|name| !name.starts_with("x-"));
        names.map(|name| Ok((name.as_str(), Self::resolve(self.files, self.at.member(name))?))).collect()
    }

    /// Each member, references followed; what cannot be followed is told in `errors`.
    pub(crate) fn each_that_can(
        &self,
        errors: &mut LoadErrors,
    ) -> Result<Vec<(&'a str, Node<'a>)>, LoadError> {
        let names = self.members()?.keys().filter(|name| !name.starts_with("x-"));
        let resolved = names.map(|name| (name, Self::resolve(self.files, self.at.member(name))));
        Ok(resolved
            .filter_map(|(name, node)| match node {
                Ok(node) => Some((name.as_str(), node)),
                Err(error) => {
                    errors.add(error);
                    None
                }
            })
            .collect())
    }

    /// Each item, references followed.
    pub(crate) fn items(&self) -> Result<Vec<Node<'a>>, LoadError> {
        let items = self.value.as_array().ok_or_else(|| self.error("this must be a list"))?;
        (0..items.len()).map(|index| Self::resolve(self.files, self.at.member(&index.to_string()))).collect()
    }

    /// The items of a list of texts.
    pub(crate) fn texts(&self) -> Result<Vec<&'a str>, LoadError> {
        let items = self.value.as_array().ok_or_else(|| self.error("this must be a list"))?;
        let texts =
            items.iter().map(|item| item.as_str().ok_or_else(|| self.error("this must be a list of texts")));
        texts.collect()
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, LoadError> {
        match self.value.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(format!("`{name}` must be text"))),
        }
    }

    pub(crate) fn required_text(&self, name: &str) -> Result<&'a str, LoadError> {
        self.text(name)?.ok_or_else(|| self.error(format!("`{name}` is missing")))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, LoadError> {
        match self.value.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.error(format!("`{name}` must be true or false"))),
        }
    }

    /// Refuses a member whose name is nearly that of one of these, which decide what is judged.
    // SECURITY: `schmea` is a control that does not run (a_misspelt_control_does_not_load).
    pub(crate) fn spells(&self, controls: &[&str]) -> Result<(), LoadError> {
        let Value::Object(members) = self.value else { return Ok(()) };
        let unknown = members
            .keys()
            .filter(|name| name.len() > 3 && !name.starts_with("x-") && !controls.contains(&name.as_str()));
        for name in unknown {
            if let Some(meant) = nearest(name, controls) {
                return Err(self.error(format!("`{name}` does nothing here; did you mean `{meant}`?")));
            }
        }
        Ok(())
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> LoadError {
        self.at.error(message)
    }
}
