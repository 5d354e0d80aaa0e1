//! A description, compiled: which operation a request is, and whether it is as declared.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::data::{self, Around};
use crate::document::{Files, LoadError, LoadErrors, Node, Target, identity};
use crate::limits::Limits;
use crate::memory::Memory;
use crate::message::RequestView;
use crate::parameter::EncodedCommas;
use crate::schema::{Compiler, Dialect, Direction, rewrite};
use crate::spelling::OtherSpellings;
use crate::violation::Violations;

mod operation;
mod query_string;
mod security;
mod server;
mod space;
mod template;

pub use operation::Operation;
pub use security::{Requirement, SecurityScheme};
use space::Spaces;

/// The methods that a path item can declare. `query` came with OpenAPI 3.2.
const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];

/// What happens to `readOnly` members in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReadOnly {
    /// The request is refused.
    #[default]
    Refuse,
    /// They are judged like any other member.
    Ignore,
    /// They are refused by [`Found::judge`], and [`Found::without_read_only`] has a JSON body without them.
    Strip,
}

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
    /// What happens to `readOnly` members in a request.
    pub read_only: ReadOnly,
    /// Operations that are not declared although the description has them, by `operationId` or as `POST /path`.
    pub left_out: BTreeSet<String>,
    /// Operations of which nothing is judged, by the same names.
    pub unjudged: BTreeSet<String>,
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
    spaces: Spaces,
    operations: Vec<Operation>,
    schemes: BTreeMap<String, SecurityScheme>,
    warnings: Vec<LoadError>,
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
        self.operation.judge(&self.captures, request, operation::Part::All, memory)
    }

    /// The JSON body of a request without its `readOnly` members, and without its content coding. `None` where nothing was
    /// removed. What is left has yet to be judged.
    ///
    /// # Errors
    /// No memory is left.
    pub fn without_read_only(
        &self,
        request: &RequestView<'_>,
        memory: &dyn Memory,
    ) -> Result<Option<Vec<u8>>, Violations> {
        self.operation.without_read_only(request, memory)
    }

    /// Judges all of a request but its body, where [`Operation::looks_at_no_body`].
    ///
    /// # Errors
    /// What is wrong with it, or that no memory is left.
    pub fn judge_head_within(
        &self,
        request: &RequestView<'_>,
        memory: &dyn Memory,
    ) -> Result<(), Violations> {
        self.operation.judge(&self.captures, request, operation::Part::Head, memory)
    }
}

impl Api {
    /// Compiles a description: OpenAPI 3.0, 3.1 or 3.2.
    ///
    /// # Errors
    /// It is of another version, a part of it cannot be used, or cannot be judged. Every such part is named.
    pub fn compile(files: &Files, options: &Options) -> Result<Self, LoadErrors> {
        Self::compiled(files, options).map_err(|errors| errors.located(files))
    }

    fn compiled(files: &Files, options: &Options) -> Result<Self, LoadErrors> {
        let dialect = dialect(&Node::root(files)?)?;
        let mut source = files.clone();
        source.each_mut(|_, file| data::remove(file, Around::Object));
        if dialect == Dialect::V31 {
            identity::settle(&mut source);
        }
        let requests = rewrite(&source, dialect, Direction::Request, options);
        let request_compiler = Compiler::new(&requests, dialect, options)?;
        let responses = options.responses.then(|| rewrite(&source, dialect, Direction::Response, options));
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
            errors: LoadErrors::default().into(),
        };
        let base_paths = match &options.base_paths {
            Some(paths) => paths.iter().map(|path| path.trim_end_matches('/').to_owned()).collect(),
            None => server::base_paths(&root)?.unwrap_or_else(|| vec![String::new()]),
        };
        let mut found = Vec::new();
        let mut names = Names::of(options);
        if let Some(declared) = root.get("paths")? {
            let items = declared.each_that_can(&mut context.errors.borrow_mut())?;
            for (path, item) in items {
                let told = path_item(path, &item, &context, &mut names, &mut found);
                told.unwrap_or_else(|error| context.wrong(error));
            }
        }
        names.all_found(&root, &mut context.errors.borrow_mut());
        let mut all = base_paths.clone();
        if options.base_paths.is_none() {
            found.iter().filter_map(|found| found.base_paths.as_ref()).flatten().for_each(|base| {
                if !all.contains(base) {
                    all.push(base.clone());
                }
            });
        }
        let mut spaces = Spaces::new(all.clone());
        let mut operations: Vec<Operation> = Vec::new();
        for FoundOperation { mut operation, base_paths: own, at } in found {
            let bases = own.filter(|_| options.base_paths.is_none()).unwrap_or_else(|| base_paths.clone());
            let template = operation.path().to_owned();
            operation.served_under(&bases);
            operations.push(operation);
            let index = operations.len() - 1;
            for base in &bases {
                if let Err(message) = spaces.declare(base, &template, index, &operations) {
                    context.wrong(at.error(message));
                    break;
                }
            }
        }
        let mut errors = context.errors.into_inner();
        let compilers = [Some(&request_compiler), response_compiler.as_ref()];
        compilers.into_iter().flatten().flat_map(Compiler::more_errors).for_each(|error| errors.add(error));
        errors.none()?;
        let warnings = request_compiler.warnings();
        Ok(Api { base_paths: all, spaces, operations, schemes, warnings })
    }

    /// What a request is. `method` is compared exactly; `path` is the path of the request as it was sent or made canonical,
    /// still percent-encoded and without the query.
    #[must_use]
    pub fn operation<'a>(&'a self, method: &str, path: &'a str) -> Match<'a> {
        self.operation_for(method, path, None)
    }

    /// The same, with the query: a description may declare several operations of one path that differ by it.
    #[must_use]
    pub fn operation_for<'a>(&'a self, method: &str, path: &'a str, query: Option<&str>) -> Match<'a> {
        let Some(hit) = self.spaces.find(path) else { return Match::UndeclaredPath };
        // SECURITY: a backend that reads paths loosely would run another operation than the one that is judged
        // (an_operation_is_not_reached_by_a_laxer_reading). What no variable took part in is declared as it is.
        let is_like = |index: usize| {
            let known = self.operations.get(index).map(Operation::method);
            known == Some(method) || (method == "HEAD" && known == Some("GET"))
        };
        if !hit.captures.is_empty() && self.spaces.leads_elsewhere(path, hit.place, is_like) {
            return Match::UndeclaredPath;
        }
        let known = hit.declared.operations.iter().filter_map(|index| self.operations.get(*index));
        let mut of_method = known.filter(|operation| operation.method() == method).peekable();
        if of_method.peek().is_none() {
            return Match::UndeclaredMethod { allowed: &hit.declared.allowed };
        }
        let fitting = of_method.filter(|operation| operation.is_meant_by(query));
        match fitting.max_by_key(|operation| operation.fixed().len()) {
            Some(operation) => Match::Operation(Found { operation, captures: hit.captures }),
            None => Match::UndeclaredPath,
        }
    }

    /// What is suspicious in the description, though it loads: keywords of schemas that do nothing.
    #[must_use]
    pub fn warnings(&self) -> &[LoadError] {
        &self.warnings
    }

    /// Every declared operation.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter()
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

/// An operation as it was found, before it has its place.
struct FoundOperation {
    operation: Operation,
    /// The base paths of its own `servers`, or of its path's.
    base_paths: Option<Vec<String>>,
    at: Target,
}

/// Reads the operations of one path.
fn path_item(
    declared: &str,
    item: &Node<'_>,
    context: &operation::Context<'_>,
    names: &mut Names<'_>,
    found: &mut Vec<FoundOperation>,
) -> Result<(), LoadError> {
    item.spells(&[&METHODS[..], &["parameters", "servers", "additionalOperations"]].concat())?;
    let mut listed: Vec<(String, Node<'_>)> = Vec::new();
    for method in METHODS {
        if let Some(node) = item.get(method)? {
            listed.push((method.to_ascii_uppercase(), node));
        }
    }
    if let Some(additional) = item.get("additionalOperations")? {
        listed.extend(additional.each()?.into_iter().map(|(method, node)| (method.to_owned(), node)));
    }
    let shared = server::base_paths(item)?;
    let (template, fixed) = space::Fixed::cut(declared);
    let variables = template::variables(template).map_err(|message| item.error(message))?;
    for (method, node) in listed {
        let id = node.text("operationId")?;
        let name = format!("{method} {declared}");
        if names.is_left_out(&name, id) {
            continue;
        }
        let path = operation::DeclaredAt { method: &method, template, variables: &variables, fixed: &fixed };
        let operation = match names.is_unjudged(&name, id) {
            true => context.unjudged(&path, &node),
            false => context.operation(&path, item, &node),
        };
        let own = server::base_paths(&node);
        match (operation, own) {
            (Ok(operation), Ok(own)) => found.push(FoundOperation {
                operation,
                base_paths: own.or_else(|| shared.clone()),
                at: node.at.clone(),
            }),
            // What is wrong within has been told already, or is told here.
            (Err(error), _) | (_, Err(error)) => context.wrong(error),
        }
    }
    Ok(())
}

/// The operations that the options name, and which of them there are.
struct Names<'a> {
    options: &'a Options,
    found: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(options: &'a Options) -> Self {
        Names { options, found: BTreeSet::new() }
    }

    fn is_left_out(&mut self, name: &str, id: Option<&str>) -> bool {
        self.is_named(&self.options.left_out, name, id)
    }

    fn is_unjudged(&mut self, name: &str, id: Option<&str>) -> bool {
        self.is_named(&self.options.unjudged, name, id)
    }

    fn is_named(&mut self, names: &'a BTreeSet<String>, name: &str, id: Option<&str>) -> bool {
        let known = names.get(name).or_else(|| names.get(id?));
        self.found.extend(known.map(String::as_str));
        known.is_some()
    }

    // SECURITY: a name that means nothing is a mistake: the operation that was meant is treated otherwise
    // (an_operation_that_is_not_there_cannot_be_left_out).
    fn all_found(&self, root: &Node<'_>, errors: &mut LoadErrors) {
        for name in self.options.left_out.iter().chain(&self.options.unjudged) {
            if !self.found.contains(name.as_str()) {
                errors.add(root.error(format!("there is no operation `{name}`")));
            }
        }
    }
}

fn dialect(root: &Node<'_>) -> Result<Dialect, LoadError> {
    if let Some(version) = root.value.get("swagger") {
        let version = version.as_str().unwrap_or("2.0");
        return Err(root.error(format!(
            "this is Swagger {version}, and OpenAPI 3 is needed: convert it once, for example with `npx swagger2openapi`, and check the result in"
        )));
    }
    let version = root.required_text("openapi")?;
    let dialect = match version.split('.').collect::<Vec<_>>().as_slice() {
        ["3", "0", ..] => Dialect::V30,
        ["3", "1" | "2", ..] => Dialect::V31,
        _ => return Err(root.error(format!("OpenAPI {version} is not supported; 3.0, 3.1 and 3.2 are"))),
    };
    const KNOWN: [&str; 4] = [
        "https://spec.openapis.org/oas/3.1/dialect/base",
        "https://spec.openapis.org/oas/3.1/dialect/2024-11-10",
        "https://spec.openapis.org/oas/3.2/dialect/2025-09-17",
        "https://json-schema.org/draft/2020-12/schema",
    ];
    if let Some(schemas) = root.text("jsonSchemaDialect")?
        && dialect == Dialect::V31
        && !KNOWN.contains(&schemas.trim_end_matches('#'))
    {
        return Err(root.error(format!("the schema dialect {schemas} is not supported")));
    }
    Ok(dialect)
}
