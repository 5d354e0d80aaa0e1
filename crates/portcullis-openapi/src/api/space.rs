//! Where operations are: the declared paths under each base path, and which of them a request's path is.

use super::operation::Operation;
use super::template;
use crate::parameter::Query;

/// The declared paths under one base path.
#[derive(Debug)]
pub(super) struct Space {
    base: String,
    tree: template::Tree,
    paths: Vec<Declared>,
}

/// One path, under all names of its variables.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// Its operations, by their place in the description.
    pub(super) operations: Vec<usize>,
    /// For `Allow`: the methods in upper case, separated by commas.
    pub(super) allowed: String,
}

/// The place of a declared path: its space, and its index there.
type Place = (usize, usize);

/// All declared paths.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    /// The longest base path first, since a shorter one may have a variable where the longer one has a text.
    spaces: Vec<Space>,
    /// The declared paths under their laxest readings, of which several may have the same.
    laxest: template::Tree,
    owners: Vec<Vec<Place>>,
}

/// A declared path that a request's path is.
pub(super) struct Hit<'s, 'p> {
    pub(super) place: Place,
    pub(super) declared: &'s Declared,
    /// The texts of its variables, still encoded.
    pub(super) captures: Vec<&'p str>,
}

impl Spaces {
    /// For these base paths.
    pub(super) fn new(mut bases: Vec<String>) -> Self {
        bases.sort_by_key(|base| std::cmp::Reverse(base.len()));
        bases.dedup();
        let space = |base| Space { base, tree: template::Tree::default(), paths: Vec::new() };
        Spaces { spaces: bases.into_iter().map(space).collect(), ..Spaces::default() }
    }

    /// Declares an operation under a base path.
    ///
    /// # Errors
    /// It is not a template, or declares the same requests as another operation.
    pub(super) fn declare(
        &mut self,
        base: &str,
        template: &str,
        index: usize,
        operations: &[Operation],
    ) -> Result<(), String> {
        let Some(at) = self.spaces.iter().position(|space| space.base == base) else {
            return Err("no server has this path".into());
        };
        let Some(space) = self.spaces.get_mut(at) else { return Ok(()) };
        let (path, _) = space.tree.insert(template, space.paths.len())?;
        if path == space.paths.len() {
            space.paths.push(Declared::default());
            let reading = self.laxest.insert_laxest(&format!("{base}{template}"), self.owners.len())?;
            match self.owners.get_mut(reading) {
                Some(owners) => owners.push((at, path)),
                None => self.owners.push(vec![(at, path)]),
            }
        }
        let Some(declared) = space.paths.get_mut(path) else { return Ok(()) };
        let Some(fresh) = operations.get(index) else { return Ok(()) };
        let mut known = declared.operations.iter().filter_map(|known| operations.get(*known));
        // `/a/{x}` and `/a/{y}` are one path, which is fine for as long as each method has one meaning.
        if known.any(|known| known.method() == fresh.method() && known.fixed() == fresh.fixed()) {
            return Err("another path declares the same requests".into());
        }
        declared.operations.push(index);
        let mut methods: Vec<&str> = Vec::new();
        for operation in declared.operations.iter().filter_map(|index| operations.get(*index)) {
            if !methods.contains(&operation.method()) {
                methods.push(operation.method());
            }
        }
        declared.allowed = methods.join(", ");
        Ok(())
    }

    /// The declared path that a path is.
    pub(super) fn find<'s, 'p>(&'s self, path: &'p str) -> Option<Hit<'s, 'p>> {
        self.spaces.iter().enumerate().find_map(|(at, space)| {
            let relative = path.strip_prefix(space.base.as_str())?;
            let (index, captures) = space.tree.find(relative)?;
            Some(Hit { place: (at, index), declared: space.paths.get(index)?, captures })
        })
    }

    /// Whether the laxest reading of a path is that of other declared paths, one of which has an operation like this.
    pub(super) fn leads_elsewhere(&self, path: &str, own: Place, is_like: impl Fn(usize) -> bool) -> bool {
        segmented(path).iter().any(|reading| {
            let found = self.laxest.find_laxest(reading).and_then(|reading| self.owners.get(reading));
            let owners = found.map_or(&[][..], Vec::as_slice);
            let others = owners.iter().filter_map(|(space, path)| self.spaces.get(*space)?.paths.get(*path));
            !owners.contains(&own) && others.flat_map(|other| &other.operations).any(|index| is_like(*index))
        })
    }
}

/// A path as backends cut it into segments: as it is, and where it has escaped slashes or backslashes (which a gateway may
/// let through), also as those read it that decode once or twice before they cut.
fn segmented(path: &str) -> Vec<String> {
    let decoded = |path: &str| {
        ["%2F", "%2f", "%5C", "%5c", "\\"]
            .iter()
            .fold(path.to_owned(), |path, slash| path.replace(slash, "/"))
    };
    let mut readings = vec![path.to_owned()];
    for reading in [decoded(path), decoded(&path.replace("%25", "%"))] {
        if !readings.contains(&reading) {
            readings.push(reading);
        }
    }
    readings
}

/// A query that belongs to a declared path, such as `?acl`: pairs that a request must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fixed(Vec<(String, Option<String>)>);

impl Fixed {
    /// Cuts a declared path into its template and its query. A fragment is never sent, so it is left out.
    pub(super) fn cut(declared: &str) -> (&str, Fixed) {
        let declared = declared.split('#').next().unwrap_or_default();
        let Some((template, query)) = declared.split_once('?') else { return (declared, Fixed::default()) };
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (pair.to_owned(), None),
        });
        (template, Fixed(pairs.collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Claims the pairs of a query. `false`: one is missing.
    pub(super) fn claim(&self, query: &mut Query<'_>) -> bool {
        self.0.iter().all(|(name, value)| {
            let found = query.claim(name);
            let is_value = |found: &str| crate::percent::decode(found, crate::percent::Plus::Space);
            match (found.as_slice(), value) {
                ([None | Some("")], None) => true,
                ([Some(found)], Some(value)) => is_value(found).is_some_and(|found| found == *value),
                (_, _) => false,
            }
        })
    }
}
