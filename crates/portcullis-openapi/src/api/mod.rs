//! A description, compiled: which operation a request is, and whether it is as declared.

use std::collections::BTreeMap;

use crate::document::{Files, LoadError, Node};
use crate::limits::Limits;
use crate::memory::Memory;
use crate::message::RequestView;
use crate::parameter::EncodedCommas;
use crate::schema::{Compiler, Dialect, Direction, rewrite};
use crate::spelling::OtherSpellings;
use crate::violation::Violations;

mod operation;
mod security;
mod template;

pub use operation::Operation;
pub use security::{Requirement, SecurityScheme};

/// The methods that a path item can declare.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What a description leaves to whoever enforces it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether query parameters that are not declared are let through.
    pub allow_unknown_query: bool,
    /// Whether another spelling of a declared name is refused, such as `Limit` or `limit[]` for `limit`.
    pub other_spellings: OtherSpellings,
    /// What an encoded comma is in a list that commas part.
    pub encoded_commas: EncodedCommas,
    /// Whether responses will be judged. If not, their schemas are not compiled.
    pub responses: bool,
    /// The paths under which the API is served, such as `/v1`. `None`: the paths of the description's `servers`.
    pub base_paths: Option<Vec<String>>,
    /// Bounds on requests.
    pub limits: Limits,
    /// Bounds on responses. `None`: ten times as many values, members and items as in requests.
    pub response_limits: Option<Limits>,
}

impl Options {
    fn response_limits(&self) -> Limits {
        self.response_limits.unwrap_or(Limits {
            members: self.limits.members.saturating_mul(10),
            items: self.limits.items.saturating_mul(10),
            nodes: self.limits.nodes.saturating_mul(10),
            ..self.limits
        })
    }
}

/// A compiled description.
#[derive(Debug)]
pub struct Api {
    base_paths: Vec<String>,
    tree: template::Tree,
    laxest: Laxest,
    paths: Vec<DeclaredPath>,
    schemes: BTreeMap<String, SecurityScheme>,
    warnings: Vec<LoadError>,
}

/// The declared paths under their laxest readings, of which several may have the same.
#[derive(Debug, Default)]
struct Laxest {
    tree: template::Tree,
    owners: Vec<Vec<usize>>,
}

impl Laxest {
    fn insert(&mut self, template: &str, index: usize) -> Result<(), String> {
        let reading = self.tree.insert_laxest(template, self.owners.len())?;
        match self.owners.get_mut(reading) {
            Some(owners) => owners.push(index),
            None => self.owners.push(vec![index]),
        }
        Ok(())
    }

    fn owners(&self, path: &str) -> &[usize] {
        let reading = self.tree.find_laxest(path).and_then(|reading| self.owners.get(reading));
        reading.map_or(&[], Vec::as_slice)
    }
}

/// One path, under all names of its variables, and its operations.
#[derive(Debug)]
struct DeclaredPath {
    operations: Vec<Operation>,
    /// For `Allow`: the methods in upper case, separated by commas.
    allowed: String,
}

/// What a method and a path are in a description.
#[derive(Debug)]
pub enum Match<'a> {
    /// A declared operation.
    Operation(Found<'a>),
    /// The path is declared, the method is not: 405.
    UndeclaredMethod {
        /// The declared ones, for the `Allow` field.
        allowed: &'a str,
    },
    /// The path is not declared: 404.
    UndeclaredPath,
}

/// An operation, with the texts of the variables in the path.
#[derive(Debug)]
pub struct Found<'a> {
    operation: &'a Operation,
    captures: Vec<&'a str>,
}

impl<'a> Found<'a> {
    /// The operation.
    #[must_use]
    pub fn operation(&self) -> &'a Operation {
        self.operation
    }

    /// Judges the request.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, request: &RequestView<'_>) -> Result<(), Violations> {
        self.judge_within(request, &())
    }

    /// The same, and memory is taken from `memory`.
    ///
    /// # Errors
    /// What is wrong with it, or that no memory is left ([`Class::Unavailable`](crate::Class::Unavailable)).
    pub fn judge_within(&self, request: &RequestView<'_>, memory: &dyn Memory) -> Result<(), Violations> {
        self.operation.judge(&self.captures, request, memory)
    }
}

impl Api {
    /// Compiles a description: OpenAPI 3.0 or 3.1.
    ///
    /// # Errors
    /// It is of another version, a part of it cannot be used, or cannot be judged. The first such part is named.
    pub fn compile(files: &Files, options: &Options) -> Result<Self, LoadError> {
        let dialect = dialect(&Node::root(files)?)?;
        let requests = rewrite(files, dialect, Direction::Request, options.other_spellings)?;
        let request_compiler = Compiler::new(&requests, dialect, options)?;
        let responses = if options.responses {
            Some(rewrite(files, dialect, Direction::Response, OtherSpellings::Allow)?)
        } else {
            None
        };
        let compiler = |files| Compiler::new(files, dialect, options);
        let response_compiler = responses.as_ref().map(compiler).transpose()?;
        let root = Node::root(&requests)?;
        root.spells(&["paths", "components", "security", "servers"])?;
        let schemes = security::schemes(&root)?;
        let default = security::requirements(&root, &schemes)?.unwrap_or_default();
        let context = operation::Context {
            requests: &request_compiler,
            responses: response_compiler.as_ref(),
            response_files: responses.as_ref(),
            schemes: &schemes,
            default_security: &default,
            options,
        };
        let mut tree = template::Tree::default();
        let mut laxest = Laxest::default();
        let mut paths: Vec<DeclaredPath> = Vec::new();
        if let Some(declared) = root.get("paths")? {
            for (template, item) in declared.each()? {
                let (index, variables) =
                    tree.insert(template, paths.len()).map_err(|message| item.error(message))?;
                if index == paths.len() {
                    paths.push(DeclaredPath { operations: Vec::new(), allowed: String::new() });
                    laxest.insert(template, index).map_err(|message| item.error(message))?;
                }
                let Some(path) = paths.get_mut(index) else { continue };
                item.spells(&[&METHODS[..], &["parameters", "servers"]].concat())?;
                for method in METHODS {
                    let Some(node) = item.get(method)? else { continue };
                    let operation = context.operation(method, template, &variables, &item, &node)?;
                    // `/a/{x}` and `/a/{y}` are one path, which is fine for as long as each method has one meaning.
                    if path.operations.iter().any(|known| known.method() == operation.method()) {
                        return Err(node.error("another path declares the same requests"));
                    }
                    path.operations.push(operation);
                }
                let allowed: Vec<&str> = path.operations.iter().map(Operation::method).collect();
                path.allowed = allowed.join(", ");
            }
        }
        let base_paths = match &options.base_paths {
            Some(paths) => paths.clone(),
            None => server_paths(&root)?,
        };
        let base_paths = base_paths.iter().map(|path| path.trim_end_matches('/').to_owned()).collect();
        let warnings = request_compiler.warnings();
        Ok(Api { base_paths, tree, laxest, paths, schemes, warnings })
    }

    /// What a request is. `method` is compared exactly; `path` is the path of the request as it was sent or made canonical,
    /// still percent-encoded and without the query.
    #[must_use]
    pub fn operation<'a>(&'a self, method: &str, path: &'a str) -> Match<'a> {
        let relative = self.base_paths.iter().filter_map(|base| path.strip_prefix(base.as_str()));
        let mut relative = relative.filter(|path| path.starts_with('/'));
        let found = relative.find_map(|path| Some((path, self.tree.find(path)?)));
        let Some((relative, (index, captures))) = found else { return Match::UndeclaredPath };
        let Some(declared) = self.paths.get(index) else { return Match::UndeclaredPath };
        // SECURITY: a backend that reads paths loosely would run another operation than the one that is judged
        // (an_operation_is_not_reached_by_a_laxer_reading). What no variable took part in is declared as it is.
        if !captures.is_empty() && self.leads_elsewhere(method, relative, index) {
            return Match::UndeclaredPath;
        }
        match declared.operations.iter().find(|operation| operation.method() == method) {
            Some(operation) => Match::Operation(Found { operation, captures }),
            None => Match::UndeclaredMethod { allowed: &declared.allowed },
        }
    }

    /// Whether the laxest reading of a path is that of other paths than the one at `index`, one of which has the method.
    fn leads_elsewhere(&self, method: &str, path: &str, index: usize) -> bool {
        let has_method = |other: &usize| {
            let declared = self.paths.get(*other);
            declared.is_some_and(|path| {
                path.operations
                    .iter()
                    .any(|known| known.method() == method || (method == "HEAD" && known.method() == "GET"))
            })
        };
        segmented(path).iter().any(|reading| {
            let others = self.laxest.owners(reading);
            !others.contains(&index) && others.iter().any(has_method)
        })
    }

    /// What is suspicious in the description, though it loads: keywords of schemas that do nothing.
    #[must_use]
    pub fn warnings(&self) -> &[LoadError] {
        &self.warnings
    }

    /// Every declared operation.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.paths.iter().flat_map(|path| &path.operations)
    }

    /// The declared security schemes by name.
    #[must_use]
    pub fn security_schemes(&self) -> &BTreeMap<String, SecurityScheme> {
        &self.schemes
    }

    /// The paths under which the API is served, without a slash at the end; the empty text is the root.
    #[must_use]
    pub fn base_paths(&self) -> &[String] {
        &self.base_paths
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

fn dialect(root: &Node<'_>) -> Result<Dialect, LoadError> {
    let version = root.required_text("openapi")?;
    let dialect = match version.split('.').collect::<Vec<_>>().as_slice() {
        ["3", "0", ..] => Dialect::V30,
        ["3", "1", ..] => Dialect::V31,
        _ => return Err(root.error(format!("OpenAPI {version} is not supported, 3.0 and 3.1 are"))),
    };
    if let Some(schemas) = root.text("jsonSchemaDialect")?
        && dialect == Dialect::V31
        && !matches!(
            schemas,
            "https://spec.openapis.org/oas/3.1/dialect/base" | "https://json-schema.org/draft/2020-12/schema"
        )
    {
        return Err(root.error(format!("the schema dialect {schemas} is not supported")));
    }
    Ok(dialect)
}

/// The paths of the servers, their variables at their defaults.
fn server_paths(root: &Node<'_>) -> Result<Vec<String>, LoadError> {
    let mut paths = Vec::new();
    if let Some(servers) = root.get("servers")? {
        for server in servers.items()? {
            let mut url = server.required_text("url")?.to_owned();
            if let Some(variables) = server.get("variables")? {
                for (name, variable) in variables.each()? {
                    url = url.replace(&format!("{{{name}}}"), variable.required_text("default")?);
                }
            }
            let path = match url.split_once("://") {
                Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
                None => url.as_str(),
            };
            let path = path.trim_end_matches('/');
            // A relative URL is relative to where the description is served, which nobody has told us.
            let path = if path.is_empty() || path.starts_with('/') { path } else { "" };
            if !paths.iter().any(|known| known == path) {
                paths.push(path.to_owned());
            }
        }
    }
    if paths.is_empty() {
        paths.push(String::new());
    }
    Ok(paths)
}
