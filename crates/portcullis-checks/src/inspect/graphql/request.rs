//! What an HTTP request asks of a GraphQL server, in one reading or not at all.
//!
//! Servers find a document in the URL, in a JSON body, or as the whole body, and some of them in more than one place at
//! once, in any spelling of a name. So each name stands in one place, once, and exactly as it is spelled.

use super::lexer::Flaw;
use super::safelist::parse_hash;
use super::upload;
use crate::inspect::openapi::refusal;
use crate::json::{self, Bounds, Unread};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use portcullis_core::head::query;
use portcullis_core::{Advice, Claim, Code, Denial, Head, MethodSet, Once, Position, Violation};
use portcullis_openapi::{Limits, Memory};
use std::borrow::Cow;

/// A request's variables are no deeper than this, and hold no more values.
pub(super) const BOUNDS: Bounds = Bounds { depth: 40, values: 20_000 };

/// The members and parameters of a request.
const NAMES: [&str; 7] = ["query", "operationName", "variables", "extensions", "id", "documentId", "doc_id"];

/// One operation that is asked for.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// The document.
    pub document: Option<Cow<'a, str>>,
    /// Which of its operations.
    pub operation: Option<String>,
    /// With what.
    pub variables: Option<Claim>,
    /// The SHA-256 of the document, as `extensions.persistedQuery.sha256Hash` says it.
    pub hash: Option<[u8; 32]>,
    /// What the document is registered under.
    pub id: Option<String>,
}

/// Where an operation stands, for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the URL.
    Url,
    /// The body, or the object that it is.
    Body,
    /// In a list of several.
    List(usize),
}

impl Place {
    /// A refusal of what stands here.
    pub fn refuse(self, flaw: Flaw) -> Denial {
        self.refuse_at(flaw, None)
    }

    /// The same, with the place in the document.
    pub fn refuse_at(self, flaw: Flaw, position: Option<Position>) -> Denial {
        let (code, detail) = match flaw {
            Flaw::Malformed(detail) => (Code::ContentMalformed, detail),
            Flaw::Refused(detail) => (Code::GraphqlRefused, detail),
            Flaw::NoMemory => return no_memory(),
        };
        let pointer = match self {
            Place::Url | Place::Body => "/query".to_owned(),
            Place::List(index) => format!("/{index}/query"),
        };
        let violation = Violation::new(pointer, detail).at(position);
        Denial::new(code, detail).pointing_out([match self {
            Place::Url => violation.within("query"),
            Place::Body | Place::List(_) => violation,
        }])
    }
}

/// Nothing is wrong with the request; there was no memory to judge it.
fn no_memory() -> Denial {
    Denial::new(Code::Overloaded, "no memory for judging a GraphQL request is left")
        .advising(Advice::RetryAfter { seconds: 1 })
}

/// Judges what can be told from the head: the method, the media type, and where the document stands.
///
/// # Errors
/// It is no GraphQL request.
pub fn judge_head(head: &Head, uploads: bool) -> Result<(), Denial> {
    let reading = match *head.method() {
        Method::GET | Method::HEAD => true,
        Method::POST => false,
        _ => {
            let denial = Denial::new(Code::MethodNotAllowed, "GraphQL is asked with GET and POST");
            return Err(denial.advising(Advice::Allow(allowed(&["GET", "HEAD", "POST"]))));
        }
    };
    judge_url(head, reading)?;
    if !reading {
        media_type(head.headers(), uploads)?;
    }
    Ok(())
}

/// Judges what the URL says of an operation. It must say nothing where the operation does not stand there.
///
/// # Errors
/// It says something else.
pub fn judge_url(head: &Head, reading: bool) -> Result<(), Denial> {
    // SECURITY: a backend that takes `Query` for `query`, or `query[]`, or the URL's for the body's would execute what
    // nobody has judged (a_document_stands_in_one_place_and_one_spelling).
    if head.query().is_some_and(|query| query.contains(';')) {
        return Err(Place::Url.refuse(Flaw::Malformed("some servers end a parameter at a semicolon")));
    }
    for name in query::names(head.query()) {
        let Some(name) = name else {
            return Err(Place::Url.refuse(Flaw::Malformed("the name of a parameter is not UTF-8")));
        };
        let plain = name.split('[').next().unwrap_or_default().trim();
        if !NAMES.iter().any(|known| known.eq_ignore_ascii_case(plain)) {
            continue;
        }
        if !reading {
            return Err(
                Place::Url.refuse(Flaw::Malformed("with POST, the URL says nothing of the operation"))
            );
        }
        if !NAMES.contains(&name.as_ref()) {
            return Err(
                Place::Url.refuse(Flaw::Malformed("a parameter is spelled in another way than servers do"))
            );
        }
    }
    Ok(())
}

/// The `Allow` of a refusal.
pub fn allowed(methods: &[&str]) -> MethodSet {
    methods.iter().filter_map(|method| MethodSet::named(method)).fold(MethodSet::NONE, MethodSet::union)
}

/// The media types of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MediaType {
    Json,
    Document,
    /// A form with files.
    Form,
}

fn media_type(headers: &HeaderMap, uploads: bool) -> Result<MediaType, Denial> {
    let refused = |detail: &'static str| {
        Err(Denial::new(Code::MediaTypeRefused, detail).pointing_out([Violation::new(
            "content-type",
            "this must be application/json or application/graphql",
        )]))
    };
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return refused("no media type, or several");
    };
    let mut parts = value.to_str().unwrap_or_default().split(';').map(str::trim);
    let kind = match parts.next() {
        Some(kind) if kind.eq_ignore_ascii_case("application/json") => MediaType::Json,
        Some(kind) if kind.eq_ignore_ascii_case("application/graphql") => MediaType::Document,
        // The parameters are read with the form.
        Some(kind) if uploads && kind.eq_ignore_ascii_case("multipart/form-data") => {
            return Ok(MediaType::Form);
        }
        Some(_) | None => return refused("another media type"),
    };
    match (parts.next(), parts.next()) {
        (None, _) => Ok(kind),
        (Some(parameter), None)
            if ["charset=utf-8", "charset=\"utf-8\""]
                .iter()
                .any(|utf8| parameter.eq_ignore_ascii_case(utf8)) =>
        {
            Ok(kind)
        }
        (Some(_), _) => refused("a parameter of the media type that is not the charset UTF-8"),
    }
}

/// The operations that a request asks for, at most so many.
///
/// # Errors
/// It has another reading, or none, or asks for more, or no memory is left.
pub fn read<'a>(
    head: &'a Head,
    body: &'a Bytes,
    most: usize,
    uploads: bool,
    memory: &dyn Memory,
) -> Result<Vec<(Place, Asked<'a>)>, Denial> {
    if *head.method() != Method::POST {
        if !body.is_empty() {
            let detail = "a request that reads has no body";
            return Err(Denial::new(Code::RequestInvalid, detail).pointing_out([Violation::new("", detail)]));
        }
        return from_url(head, memory)
            .map(|asked| vec![(Place::Url, asked)])
            .map_err(|flaw| Place::Url.refuse(flaw));
    }
    let media_type = media_type(head.headers(), uploads)?;
    // SECURITY: what the backend unpacks is what is judged (a_compressed_document_is_judged).
    let unpacked = portcullis_openapi::unpacked(head.headers(), body, &Limits::default())
        .map_err(|(class, reason)| refusal::of_coding(class, reason))?;
    if !memory.take(unpacked.as_ref().map_or(0, Vec::capacity)) {
        return Err(no_memory());
    }
    let body: Cow<'a, [u8]> = unpacked.map_or(Cow::Borrowed(body.as_ref()), Cow::Owned);
    match media_type {
        MediaType::Document => match text_of(body) {
            Ok(text) => Ok(vec![(Place::Body, Asked { document: Some(text), ..Asked::default() })]),
            Err(_) => Err(Place::Body.refuse(Flaw::Malformed("the document is not UTF-8"))),
        },
        MediaType::Form => {
            let content_type = head.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let value = upload::operations(content_type.unwrap_or_default(), &body, memory);
            from_json(value.map_err(|flaw| Place::Body.refuse(flaw))?, most)
        }
        MediaType::Json => {
            let value = json::read_within(&body, BOUNDS, memory).map_err(|unread| match unread {
                Unread::NoMemory => no_memory(),
                Unread::Malformed(detail) => {
                    Denial::new(Code::ContentMalformed, detail).pointing_out([Violation::new("", detail)])
                }
            })?;
            from_json(value, most)
        }
    }
}

fn text_of(body: Cow<'_, [u8]>) -> Result<Cow<'_, str>, std::str::Utf8Error> {
    Ok(match body {
        Cow::Borrowed(bytes) => Cow::Borrowed(std::str::from_utf8(bytes)?),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).map_err(|error| error.utf8_error())?),
    })
}

fn from_json<'a>(value: Claim, most: usize) -> Result<Vec<(Place, Asked<'a>)>, Denial> {
    let list = match value {
        Claim::List(list) => list,
        Claim::Null
        | Claim::Bool(_)
        | Claim::Integer(_)
        | Claim::Number(_)
        | Claim::Text(_)
        | Claim::Object(_) => {
            let asked = of_object(value).map_err(|flaw| Place::Body.refuse(flaw))?;
            return Ok(vec![(Place::Body, asked)]);
        }
    };
    if list.is_empty() {
        return Err(Place::Body.refuse(Flaw::Malformed("an empty list asks for nothing")));
    }
    if list.len() > most {
        return Err(
            Place::Body.refuse(Flaw::Refused("there are more operations in one request than allowed"))
        );
    }
    let each = list.into_iter().enumerate().map(|(index, value)| {
        let place = Place::List(index);
        of_object(value).map(|asked| (place, asked)).map_err(|flaw| place.refuse(flaw))
    });
    each.collect()
}

fn of_object<'a>(value: Claim) -> Result<Asked<'a>, Flaw> {
    let Claim::Object(members) = value else {
        return Err(Flaw::Malformed("an operation is asked for with an object"));
    };
    let mut asked = Asked::default();
    for (name, value) in members {
        match (name.as_str(), value) {
            // SECURITY: a server that compares names without case, or folds letters, would take a member for another one
            // (a_document_stands_in_one_place_and_one_spelling).
            (name, _) if !NAMES.contains(&name) => {
                return Err(Flaw::Malformed("there is a member that no GraphQL request has"));
            }
            (_, Claim::Null) => {}
            ("query", Claim::Text(text)) => asked.document = Some(Cow::Owned(text)),
            ("operationName", Claim::Text(text)) => asked.operation = Some(text),
            ("variables", variables @ Claim::Object(_)) => asked.variables = Some(variables),
            ("extensions", extensions @ Claim::Object(_)) => asked.hash = persisted(&extensions)?,
            ("id" | "documentId" | "doc_id", Claim::Text(text)) => name_once(&mut asked.id, text)?,
            (_, _) => return Err(Flaw::Malformed("a member has another type than GraphQL says")),
        }
    }
    Ok(asked)
}

fn from_url<'a>(head: &'a Head, memory: &dyn Memory) -> Result<Asked<'a>, Flaw> {
    let parameter = |name: &str| match head.query_once(name) {
        Once::Absent => Ok(None),
        Once::One(text) => Ok(Some(text)),
        Once::Repeated => Err(Flaw::Malformed("a parameter repeats")),
        Once::Unreadable => Err(Flaw::Malformed("a parameter is not UTF-8")),
    };
    let object = |name: &str| match parameter(name)? {
        None => Ok(None),
        Some(text) => match json::read_within(text.as_bytes(), BOUNDS, memory) {
            Ok(value @ Claim::Object(_)) => Ok(Some(value)),
            Ok(Claim::Null) => Ok(None),
            Err(Unread::NoMemory) => Err(Flaw::NoMemory),
            Ok(_) | Err(Unread::Malformed(_)) => {
                Err(Flaw::Malformed("a parameter is not the JSON object that it must be"))
            }
        },
    };
    let mut asked = Asked {
        document: parameter("query")?,
        operation: parameter("operationName")?.map(Cow::into_owned),
        variables: object("variables")?,
        hash: object("extensions")?.as_ref().map(persisted).transpose()?.flatten(),
        id: None,
    };
    for name in ["id", "documentId", "doc_id"] {
        if let Some(id) = parameter(name)? {
            name_once(&mut asked.id, id.into_owned())?;
        }
    }
    Ok(asked)
}

fn name_once(id: &mut Option<String>, text: String) -> Result<(), Flaw> {
    match id.replace(text) {
        None => Ok(()),
        Some(_) => Err(Flaw::Malformed("the document is named twice")),
    }
}

/// The hash of automatic persisted queries.
fn persisted(extensions: &Claim) -> Result<Option<[u8; 32]>, Flaw> {
    const BAD: Flaw = Flaw::Malformed("the persisted query has no SHA-256 hash");
    match extensions.member("persistedQuery") {
        None | Some(Claim::Null) => Ok(None),
        Some(persisted) => match persisted.member("sha256Hash") {
            Some(Claim::Text(digits)) => parse_hash(digits).map(Some).ok_or(BAD),
            Some(_) | None => Err(BAD),
        },
    }
}
