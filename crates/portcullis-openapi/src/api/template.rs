//! Path templates: which declared path a request's path is. Concrete segments win over templated ones, from the left.

use std::collections::HashMap;

use portcullis_paths::{folded, laxest, laxest_segment};

use crate::percent::{Plus, decode};

/// The names of the variables of a template, in order.
///
/// # Errors
/// It is not a template.
pub(super) fn variables(template: &str) -> Result<Vec<String>, String> {
    Tree::default().insert(template, 0).map(|(_, names)| names)
}

/// One segment with variables, such as `{name}` or `{base}...{head}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The texts before, between and after the variables: always one more than there are variables.
    texts: Vec<String>,
}

#[derive(Clone, Debug)]
enum Segment {
    Text(String),
    Pattern(Pattern, Vec<String>),
}

/// The declared paths as a tree, by segments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    texts: HashMap<String, Tree>,
    /// Those with the most text come first.
    patterns: Vec<(Pattern, Tree)>,
    end: Option<usize>,
}

impl Tree {
    /// Declares a path; answers with its index, and the names of its variables, in order. The index is `index`, or that of
    /// an earlier path which matches exactly the same requests.
    ///
    /// # Errors
    /// It is not a template.
    pub(crate) fn insert(&mut self, template: &str, index: usize) -> Result<(usize, Vec<String>), String> {
        let rest = template.strip_prefix('/').ok_or("a path begins with `/`")?;
        let mut names: Vec<String> = Vec::new();
        let mut tree = self;
        for segment in rest.split('/') {
            tree = match parse(segment)? {
                Segment::Text(text) => tree.texts.entry(text).or_default(),
                Segment::Pattern(pattern, mut variables) => {
                    names.append(&mut variables);
                    tree.pattern(pattern)?
                }
            };
        }
        let index = *tree.end.get_or_insert(index);
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != names.len() {
            return Err("a variable stands twice in one path".into());
        }
        Ok((index, names))
    }

    /// Enters a declared path under its laxest reading; answers with the index of that reading. Its template has been
    /// declared, so it is one.
    pub(crate) fn insert_laxest(&mut self, template: &str, index: usize) -> Result<usize, String> {
        let mut tree = self;
        for segment in template.split('/') {
            tree = match parse(segment)? {
                Segment::Text(_) => match laxest_segment(segment) {
                    text if text.is_empty() => tree,
                    text => tree.texts.entry(text).or_default(),
                },
                Segment::Pattern(Pattern { texts }, _) => {
                    tree.pattern(Pattern { texts: texts.iter().map(|text| folded(text)).collect() })?
                }
            };
        }
        Ok(*tree.end.get_or_insert(index))
    }

    /// The index of the reading that the laxest reading of `path` is.
    pub(crate) fn find_laxest(&self, path: &str) -> Option<usize> {
        let reading = laxest(path);
        match reading.strip_prefix('/')? {
            "" => self.end,
            rest => self.walk(rest, &mut Vec::new()),
        }
    }

    fn pattern(&mut self, pattern: Pattern) -> Result<&mut Tree, String> {
        let length = |pattern: &Pattern| pattern.texts.iter().map(String::len).sum::<usize>();
        let at = match self.patterns.iter().position(|(known, _)| *known == pattern) {
            Some(at) => at,
            None => {
                let at = self.patterns.partition_point(|(known, _)| length(known) >= length(&pattern));
                self.patterns.insert(at, (pattern, Tree::default()));
                at
            }
        };
        // The position was just found or made.
        self.patterns.get_mut(at).map(|(_, tree)| tree).ok_or_else(|| "a path that cannot be kept".into())
    }

    /// The declared path that `path` is, and the texts of its variables, still encoded. The path begins with `/`.
    pub(crate) fn find<'p>(&self, path: &'p str) -> Option<(usize, Vec<&'p str>)> {
        let mut captures = Vec::new();
        let index = self.walk(path.strip_prefix('/')?, &mut captures)?;
        Some((index, captures))
    }

    /// Each node of the tree is visited at most once for one path, so the tree bounds the work.
    fn walk<'p>(&self, path: &'p str, captures: &mut Vec<&'p str>) -> Option<usize> {
        let (segment, rest) = match path.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (path, None),
        };
        let below = |tree: &Tree, captures: &mut Vec<&'p str>| match rest {
            Some(rest) => tree.walk(rest, captures),
            None => tree.end,
        };
        if let Some(text) = decode(segment, Plus::Literal)
            && let Some(tree) = self.texts.get(text.as_str())
            && let Some(index) = below(tree, captures)
        {
            return Some(index);
        }
        for (pattern, tree) in &self.patterns {
            let kept = captures.len();
            if pattern.capture(segment, captures)
                && let Some(index) = below(tree, captures)
            {
                return Some(index);
            }
            captures.truncate(kept);
        }
        None
    }
}

impl Pattern {
    /// Takes the variables out of a segment. Each holds at least one character, and of several ways to split the one with
    /// the shortest variables from the left is taken: if there is any way at all, that one succeeds.
    fn capture<'p>(&self, segment: &'p str, captures: &mut Vec<&'p str>) -> bool {
        let [first, between @ .., last] = self.texts.as_slice() else { return false };
        let Some(inner) = segment.strip_prefix(first.as_str()) else { return false };
        let Some(mut inner) = inner.strip_suffix(last.as_str()) else { return false };
        for text in between {
            let start = inner.chars().next().map_or(1, char::len_utf8);
            let Some(at) = inner.get(start..).and_then(|rest| rest.find(text.as_str())) else { return false };
            captures.push(inner.get(..start + at).unwrap_or_default());
            inner = inner.get(start + at + text.len()..).unwrap_or_default();
        }
        captures.push(inner);
        !inner.is_empty()
    }
}

fn parse(segment: &str) -> Result<Segment, String> {
    let mut texts = Vec::new();
    let mut names = Vec::new();
    let mut rest = segment;
    while let Some((text, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a `{` without its `}`")?;
        if name.is_empty() || name.contains('{') {
            return Err("a variable needs a name".into());
        }
        if text.is_empty() && !texts.is_empty() {
            return Err("two variables need a text between them".into());
        }
        texts.push(text.to_owned());
        names.push(name.to_owned());
        rest = after;
    }
    if rest.contains('}') || texts.iter().any(|text| text.contains('}')) {
        return Err("a `}` without its `{`".into());
    }
    if names.is_empty() {
        return Ok(Segment::Text(decode(segment, Plus::Literal).ok_or("half an escape")?));
    }
    texts.push(rest.to_owned());
    Ok(Segment::Pattern(Pattern { texts }, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(templates: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for (index, template) in templates.iter().enumerate() {
            tree.insert(template, index).unwrap();
        }
        tree
    }

    #[test]
    fn concrete_comes_before_templated() {
        let tree = tree(&[
            "/",
            "/pets/{id}",
            "/pets/mine",
            "/pets/mine/{x}/z",
            "/{any}/{x}/y",
            "/files/{n}.{e}",
            "/files/{n}.json",
            "/compare/{base}...{head}",
            "/caf%C3%A9",
        ]);
        for (path, expected) in [
            ("/", Some((0, vec![]))),
            ("/pets/mine", Some((2, vec![]))),
            ("/pets/7", Some((1, vec!["7"]))),
            ("/pets/mine%20", Some((1, vec!["mine%20"]))),
            ("/pets/min%65", Some((2, vec![]))),
            ("/pets/mine/a/z", Some((3, vec!["a"]))),
            ("/pets/mine/y", Some((4, vec!["pets", "mine"]))),
            ("/files/a.json", Some((6, vec!["a"]))),
            ("/files/a.json.json", Some((6, vec!["a.json"]))),
            ("/files/a.b.c", Some((5, vec!["a", "b.c"]))),
            ("/files/.c", None),
            ("/files/c.", None),
            ("/compare/a...b", Some((7, vec!["a", "b"]))),
            ("/compare/....b", Some((7, vec![".", "b"]))),
            ("/compare/...b", None),
            ("/caf%c3%a9", Some((8, vec![]))),
            ("/pets/", None),
            ("/pets", None),
            ("/pets/7/", None),
            ("pets/7", None),
        ] {
            assert_eq!(tree.find(path), expected, "{path}");
        }
    }

    #[test]
    fn ambiguous_templates_are_refused() {
        for bad in ["a", "/{", "/}", "/{}", "/{a}{b}", "/{a}/{a}", "/a{b", "/%"] {
            assert!(Tree::default().insert(bad, 0).is_err(), "{bad}");
        }
        let mut tree = tree(&["/a/{b}"]);
        assert_eq!(tree.insert("/a/{c}", 1), Ok((0, vec!["c".into()])));
        assert_eq!(tree.insert("/a/{c}/", 1), Ok((1, vec!["c".into()])));
    }
}
