//! One operation: its parameters, its body, its responses, and what it requires of the caller.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Options;
use super::query_string::QueryString;
use super::security::{Requirement, SecurityScheme, requirements};
use super::space::Fixed;
use crate::body::Body;
use crate::document::{Files, LoadError, LoadErrors, Node};
use crate::limits::Limits;
use crate::memory::Memory;
use crate::message::{Fields, RequestView, texts};
use crate::parameter::{Parameter, Query};
use crate::response::Responses;
use crate::schema::Compiler;
use crate::spelling::{self, Names, OtherSpellings, hides_a_pair};
use crate::strip;
use crate::violation::{Class, Place, Report, Violations};

/// Which part of a request is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    All,
    /// All but the body.
    Head,
}

/// A declared operation.
#[derive(Debug)]
pub struct Operation {
    method: String,
    template: String,
    id: Option<String>,
    security: Vec<Requirement>,
    /// In the order of the variables in the template.
    path: Vec<Parameter>,
    query: Vec<Parameter>,
    /// The query as one value. Then there are no parameters in it.
    query_string: Option<QueryString>,
    fields: Vec<Parameter>,
    cookies: Vec<Parameter>,
    body: Option<Body>,
    responses: Option<Responses>,
    /// Query parameters that hold a credential: declared by a security scheme, judged by whoever authenticates.
    credentials: Vec<String>,
    spellings: Spellings,
    allow_unknown_query: bool,
    limits: Limits,
    response_limits: Limits,
    /// The query that belongs to its path.
    fixed: Fixed,
    /// The base paths under which it is served.
    bases: Vec<String>,
    /// Whether nothing of it is judged.
    unjudged: bool,
    deprecated: bool,
    /// When it was last asked for, in seconds since 1970; 0 for never. Written once a minute at most.
    used: AtomicU64,
}

impl Operation {
    /// The base paths under which it is served, without a slash at the end.
    #[must_use]
    pub fn base_paths(&self) -> &[String] {
        &self.bases
    }

    pub(super) fn served_under(&mut self, bases: &[String]) {
        self.bases = bases.to_vec();
    }

    pub(super) fn fixed(&self) -> &Fixed {
        &self.fixed
    }

    /// Whether a request with this query can mean it.
    pub(super) fn is_meant_by(&self, query: Option<&str>) -> bool {
        self.fixed.len() == 0
            || Query::parse(query.unwrap_or_default(), self.limits.members)
                .is_ok_and(|mut query| self.fixed.claim(&mut query))
    }

    /// Whether nothing of it is judged.
    #[must_use]
    pub fn is_unjudged(&self) -> bool {
        self.unjudged
    }

    /// The method in upper case.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path template as it is written, without the base path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.template
    }

    /// The `operationId`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether the document says that it should no longer be used.
    #[must_use]
    pub fn is_deprecated(&self) -> bool {
        self.deprecated
    }

    /// Notes that it is asked for now, in seconds since 1970.
    pub fn note_use(&self, now: u64) {
        // Workers share it, so it is written seldom.
        if now.saturating_sub(self.used.load(Ordering::Relaxed)) >= 60 {
            self.used.store(now, Ordering::Relaxed);
        }
    }

    /// When it was last asked for, to the minute, in seconds since 1970.
    #[must_use]
    pub fn last_used(&self) -> Option<u64> {
        Some(self.used.load(Ordering::Relaxed)).filter(|used| *used > 0)
    }

    /// The alternatives of which one must be satisfied. None at all: nothing is required.
    #[must_use]
    pub fn security(&self) -> &[Requirement] {
        &self.security
    }

    /// The header fields that it declares, in lower case.
    pub fn header_fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// Whether it declares a body, so that the caller must hold one to judge it.
    #[must_use]
    pub fn declares_body(&self) -> bool {
        self.body.is_some()
    }

    /// Whether no value under this name in this part of a valid request can hold an attack: the schema allows numbers,
    /// booleans, listed values and the like alone. `fields` are those of the request.
    #[must_use]
    pub fn is_harmless(&self, place: Place, name: &str, fields: &dyn Fields) -> bool {
        let among = |parameters: &[Parameter]| {
            parameters.iter().any(|parameter| parameter.name == name && parameter.is_harmless())
        };
        !self.unjudged
            && match place {
                Place::Query => among(&self.query),
                Place::Header => self
                    .fields
                    .iter()
                    .any(|field| field.name.eq_ignore_ascii_case(name) && field.is_harmless()),
                Place::Cookie => among(&self.cookies),
                Place::Body => self.body.as_ref().is_some_and(|body| body.is_harmless(fields, name)),
                Place::Path | Place::Status => false,
            }
    }

    /// Whether nothing would look into the body of a request with these fields: nothing of the operation is judged, or any
    /// bytes will do. A body that must be there must be announced by `length`.
    #[must_use]
    pub fn looks_at_no_body(&self, fields: &dyn Fields, length: Option<u64>) -> bool {
        self.unjudged
            || self.body.as_ref().is_some_and(|body| {
                (length > Some(0) || !body.is_required()) && body.looks_at_nothing(fields)
            })
    }

    /// Judges a request of this operation. `captures` are the texts of the variables in the path.
    pub(super) fn judge(
        &self,
        captures: &[&str],
        request: &RequestView<'_>,
        part: Part,
        memory: &dyn Memory,
    ) -> Result<(), Violations> {
        if self.unjudged {
            return Ok(());
        }
        let mut report = Report::new(memory);
        let limits = &self.limits;
        for (parameter, raw) in self.path.iter().zip(captures) {
            parameter.judge_path(raw, limits, &mut report);
        }
        self.judge_query(request.query.unwrap_or_default(), &mut report);
        for parameter in &self.fields {
            parameter.judge_field(request.fields, limits, &mut report);
        }
        if !self.spellings.fields.is_empty() {
            request.fields.names(&mut |name| {
                if self.spellings.fields.is_another_field(name) {
                    report.add(Class::Malformed, Place::Header, name, spelling::REASON);
                }
            });
        }
        if !self.cookies.is_empty() {
            self.judge_cookies(request.fields, &mut report);
        }
        let Part::All = part else { return report.finish() };
        match &self.body {
            Some(body) => body.judge(request.fields, request.body, limits, &mut report),
            // SECURITY: a body that nobody declared is judged by nobody (undeclared_body in bodies.yaml).
            None if !request.body.is_empty() => report.add(Class::Malformed, Place::Body, "", "undeclared"),
            None => {}
        }
        report.finish()
    }

    /// See [`Found::without_read_only`](super::Found::without_read_only).
    pub(super) fn without_read_only(
        &self,
        request: &RequestView<'_>,
        memory: &dyn Memory,
    ) -> Result<Option<Vec<u8>>, Violations> {
        let Some(body) = self.body.as_ref().filter(|_| !self.unjudged) else { return Ok(None) };
        let left =
            strip::without_read_only(body.contents(), request.fields, request.body, &self.limits, memory);
        left.map_err(|fault| {
            let mut report = Report::new(memory);
            report.fault(Place::Body, "", fault);
            report.into_violations()
        })
    }

    fn judge_query(&self, raw: &str, report: &mut Report<'_>) {
        if let Some(whole) = &self.query_string {
            return whole.judge(raw, &self.limits, report);
        }
        if self.spellings.sees_pairs && hides_a_pair(raw, &self.spellings.query, !self.allow_unknown_query) {
            report.add(Class::Malformed, Place::Query, "", "separator");
        }
        let mut query = match Query::parse(raw, self.limits.members) {
            Ok(query) => query,
            Err(reason) => return report.add(Class::Malformed, Place::Query, "", reason),
        };
        self.fixed.claim(&mut query);
        for parameter in &self.query {
            parameter.judge_query(&mut query, &self.limits, report);
        }
        for pair in &query.pairs {
            let is_unknown = !pair.claimed && !self.credentials.contains(&pair.name);
            // SECURITY: what is not declared does not reach the backend (unknown in query.yaml), and neither does a second
            // spelling of what is (other spellings in query.yaml).
            if is_unknown && !self.allow_unknown_query {
                report.add(Class::Malformed, Place::Query, &pair.name, "undeclared");
            } else if self.spellings.is_another_parameter(&pair.name) {
                report.add(Class::Malformed, Place::Query, &pair.name, spelling::REASON);
            }
        }
    }

    fn judge_cookies(&self, fields: &dyn Fields, report: &mut Report<'_>) {
        let Some(lines) = texts(fields, "cookie") else {
            return report.add(Class::Malformed, Place::Cookie, "", "utf8");
        };
        let pairs =
            lines.iter().flat_map(|line| line.split(';')).map(str::trim).filter(|pair| !pair.is_empty());
        let pairs: Option<Vec<(&str, &str)>> = pairs.map(|pair| pair.split_once('=')).collect();
        let Some(pairs) = pairs else {
            return report.add(Class::Malformed, Place::Cookie, "", "style");
        };
        for (name, _) in &pairs {
            if self.spellings.cookies.is_another_spelling(name) {
                report.add(Class::Malformed, Place::Cookie, name, spelling::REASON);
            }
        }
        for parameter in &self.cookies {
            parameter.judge_cookies(&pairs, &self.limits, report);
        }
    }

    /// Judges a response of this operation. `body` is what would be sent, compressed or not.
    ///
    /// # Errors
    /// What is wrong with it: its status, content type, fields or body are not as declared. Where responses were not
    /// compiled (see [`Options::responses`]), each is refused as undeclared.
    pub fn judge_response(&self, status: u16, fields: &dyn Fields, body: &[u8]) -> Result<(), Violations> {
        self.judge_answer(status, fields, body, self.method == "HEAD", &())
    }

    /// The same, and memory is taken from `memory`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge_response_within(
        &self,
        status: u16,
        fields: &dyn Fields,
        body: &[u8],
        memory: &dyn Memory,
    ) -> Result<(), Violations> {
        self.judge_answer(status, fields, body, self.method == "HEAD", memory)
    }

    /// The same for a response that has no body whatever it says of one, such as one to `HEAD` where this is the `GET`.
    ///
    /// # Errors
    /// Its status or its fields are not as declared.
    pub fn judge_response_head(&self, status: u16, fields: &dyn Fields) -> Result<(), Violations> {
        self.judge_answer(status, fields, &[], true, &())
    }

    fn judge_answer(
        &self,
        status: u16,
        fields: &dyn Fields,
        body: &[u8],
        bodiless: bool,
        memory: &dyn Memory,
    ) -> Result<(), Violations> {
        if self.unjudged {
            return Ok(());
        }
        let mut report = Report::new(memory);
        match &self.responses {
            Some(responses) => {
                responses.judge(status, fields, body, bodiless, &self.response_limits, &mut report);
            }
            None => report.add(Class::Malformed, Place::Status, "", "undeclared"),
        }
        report.finish()
    }

    /// The JSON body of a response without the object members that its schema does not declare, and without its content
    /// coding. `None` where there is nothing to remove, where what is left would not be as declared, and where the body
    /// is no JSON. An object whose schema names no member keeps all.
    #[must_use]
    pub fn remove_undeclared(&self, status: u16, fields: &dyn Fields, body: &[u8]) -> Option<Vec<u8>> {
        self.remove_undeclared_within(status, fields, body, &()).ok().flatten()
    }

    /// The same, and memory is taken from `memory`.
    ///
    /// # Errors
    /// No memory is left, or it would take too long to say what is declared.
    pub fn remove_undeclared_within(
        &self,
        status: u16,
        fields: &dyn Fields,
        body: &[u8],
        memory: &dyn Memory,
    ) -> Result<Option<Vec<u8>>, Violations> {
        let Some(responses) = &self.responses else { return Ok(None) };
        let left = responses.remove_undeclared(status, fields, body, &self.response_limits, memory);
        left.map_err(|fault| {
            let mut report = Report::new(memory);
            report.fault(Place::Body, "", fault);
            report.into_violations()
        })
    }
}

/// The declared names of which another spelling is refused.
#[derive(Debug, Default)]
struct Spellings {
    sees_pairs: bool,
    query: Names,
    /// Beginnings of names that a declared parameter owns: `filter[`.
    brackets: Vec<String>,
    fields: Names,
    cookies: Names,
}

impl Spellings {
    fn of(query: &[Parameter], credentials: &[String], fields: &[Parameter], cookies: &[Parameter]) -> Self {
        let names = |parameters: &[Parameter]| -> Vec<String> {
            parameters.iter().flat_map(Parameter::names).map(str::to_owned).collect()
        };
        let all = |names: &[String]| Names::new(names.iter().map(String::as_str));
        let deep = query.iter().filter(|parameter| parameter.has_brackets());
        Spellings {
            sees_pairs: true,
            query: all(&[names(query), credentials.to_vec()].concat()),
            brackets: deep.map(|parameter| format!("{}[", parameter.name)).collect(),
            fields: all(&names(fields)),
            cookies: all(&names(cookies)),
        }
    }

    fn is_another_parameter(&self, name: &str) -> bool {
        self.query.is_another_spelling(name)
            && !self.brackets.iter().any(|bracket| name.starts_with(bracket.as_str()))
    }
}

/// What is the same for every operation of a description.
pub(super) struct Context<'a> {
    pub(super) requests: &'a Compiler<'a>,
    pub(super) responses: Option<&'a Compiler<'a>>,
    pub(super) response_files: Option<&'a Files>,
    pub(super) schemes: &'a BTreeMap<String, SecurityScheme>,
    pub(super) default_security: &'a [Requirement],
    pub(super) options: &'a Options,
    /// What is wrong so far.
    pub(super) errors: RefCell<LoadErrors>,
}

/// Where an operation is declared.
pub(super) struct DeclaredAt<'a> {
    pub(super) method: &'a str,
    pub(super) template: &'a str,
    pub(super) variables: &'a [String],
    pub(super) fixed: &'a Fixed,
}

impl Context<'_> {
    /// Notes what is wrong.
    pub(super) fn wrong(&self, error: LoadError) {
        self.errors.borrow_mut().add(error);
    }

    /// What was read; what is wrong with it is told.
    fn told<T>(&self, read: Result<T, LoadError>) -> Option<T> {
        read.map_err(|error| self.wrong(error)).ok()
    }

    /// Reads an operation.
    ///
    /// # Errors
    /// It is not read at all. What is wrong in its parts is told in `errors`.
    pub(super) fn operation(
        &self,
        declared: &DeclaredAt<'_>,
        item: &Node<'_>,
        node: &Node<'_>,
    ) -> Result<Operation, LoadError> {
        node.spells(&["parameters", "requestBody", "responses", "security", "servers"])?;
        let mut operation = self.unjudged(declared, node)?;
        operation.unjudged = false;
        let so_far = self.errors.borrow().iter().count();
        let mut query_string = None;
        let mut parameters = self.parameters(item, node, &mut query_string)?;
        // What could not be read would be missed here as well.
        let all_read = self.errors.borrow().iter().count() == so_far;
        for name in declared.variables {
            let at = parameters
                .iter()
                .position(|parameter| parameter.place == Place::Path && parameter.name == *name);
            match at {
                Some(at) => operation.path.push(parameters.remove(at)),
                None if all_read => {
                    self.wrong(node.error(format!("the path variable `{name}` is not declared")));
                }
                None => {}
            }
        }
        let mut of = |place: Place| -> Vec<Parameter> {
            parameters.extract_if(.., |parameter| parameter.place == place).collect()
        };
        if let Some(stray) = of(Place::Path).first() {
            self.wrong(node.error(format!("the path has no variable `{}`", stray.name)));
        }
        operation.query = of(Place::Query);
        operation.query.sort_by_key(Parameter::takes_the_rest);
        operation.body = match self.told(node.get("requestBody")).flatten() {
            Some(body) => self.told(Body::parse(&body, self.requests)),
            None => None,
        };
        operation.responses = match (self.responses, self.response_files) {
            (Some(compiler), Some(files)) => {
                let node =
                    Node { files, at: node.at.clone(), value: node.at.value(files).unwrap_or(node.value) };
                self.told(Responses::parse(&node, compiler))
            }
            _ => None,
        };
        operation.query_string = query_string;
        if let Some(whole) = operation.query_string.as_ref().filter(|_| !operation.query.is_empty()) {
            let name = whole.name();
            self.wrong(
                node.error(format!(
                    "`{name}` is the whole query, so no parameter can be `in: query` beside it"
                )),
            );
        }
        (operation.fields, operation.cookies) = (of(Place::Header), of(Place::Cookie));
        operation.spellings = match self.options.other_spellings {
            OtherSpellings::Refuse => {
                Spellings::of(&operation.query, &operation.credentials, &operation.fields, &operation.cookies)
            }
            OtherSpellings::Allow => Spellings::default(),
        };
        Ok(operation)
    }

    /// An operation of which nothing is judged but what it requires of the caller.
    pub(super) fn unjudged(
        &self,
        declared: &DeclaredAt<'_>,
        node: &Node<'_>,
    ) -> Result<Operation, LoadError> {
        let security = requirements(node, self.schemes)?.unwrap_or_else(|| self.default_security.to_vec());
        Ok(Operation {
            method: declared.method.to_owned(),
            template: declared.template.to_owned(),
            id: node.text("operationId")?.map(str::to_owned),
            credentials: credentials(&security, self.schemes),
            spellings: Spellings::default(),
            security,
            path: Vec::new(),
            query: Vec::new(),
            query_string: None,
            fields: Vec::new(),
            cookies: Vec::new(),
            body: None,
            responses: None,
            allow_unknown_query: self.options.allow_unknown_query,
            limits: self.options.limits,
            response_limits: self.options.response_limits(),
            fixed: declared.fixed.clone(),
            bases: Vec::new(),
            unjudged: true,
            deprecated: node.flag("deprecated")?.unwrap_or_default(),
            used: AtomicU64::new(0),
        })
    }

    /// The parameters of the operation, and those of its path that it does not declare anew.
    fn parameters(
        &self,
        item: &Node<'_>,
        node: &Node<'_>,
        query_string: &mut Option<QueryString>,
    ) -> Result<Vec<Parameter>, LoadError> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for owner in [node, item] {
            let inherited = parameters.len();
            let Some(list) = owner.get("parameters")? else { continue };
            let (mut whole, before) = (0, query_string.is_some());
            for declared in list.items()? {
                if QueryString::is_declared(&declared)? {
                    whole += 1;
                    if whole > 1 {
                        return Err(declared.error("a second parameter is `in: querystring`"));
                    }
                    // One of the operation takes the place of its path's.
                    if !before {
                        *query_string = self.told(QueryString::parse(&declared, self.requests));
                    }
                    continue;
                }
                let Some(parameter) = self.told(Parameter::parse(&declared, self.requests)).flatten() else {
                    continue;
                };
                let same = |known: &Parameter| known.place == parameter.place && known.name == parameter.name;
                let mut known = parameters.iter().enumerate().filter(|(_, known)| same(known));
                match known.next() {
                    Some((index, _)) if index >= inherited => {
                        return Err(
                            declared.error(format!("the parameter `{}` is declared twice", parameter.name))
                        );
                    }
                    Some(_) => {}
                    None => parameters.push(parameter),
                }
            }
        }
        Ok(parameters)
    }
}

fn credentials(security: &[Requirement], schemes: &BTreeMap<String, SecurityScheme>) -> Vec<String> {
    let names = security.iter().flat_map(Requirement::keys);
    let required = names.filter_map(|name| schemes.get(name));
    required
        .filter_map(|scheme| match scheme {
            SecurityScheme::ApiKey { place, name } if place == "query" => Some(name.clone()),
            SecurityScheme::ApiKey { .. }
            | SecurityScheme::Http { .. }
            | SecurityScheme::OAuth2 { .. }
            | SecurityScheme::OpenIdConnect { .. }
            | SecurityScheme::MutualTls => None,
        })
        .collect()
}
