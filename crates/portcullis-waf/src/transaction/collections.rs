//! What is read out of a request: arguments, headers, cookies, files, a document.

use super::request::{Parsed, Place, Request, Response};
use super::values::{NodeId, Values};
use crate::body::multipart::Flags;
use crate::body::{json, multipart, urlencoded, xml};
use crate::seclang::tree::{BodyProcessor, Variable};
use std::borrow::Cow;

/// A named value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) name: NodeId,
    pub(super) value: NodeId,
    /// Proved harmless.
    pub(super) proved: bool,
}

/// Everything with names.
#[derive(Default)]
pub(super) struct Collections {
    pub(super) query: Vec<Entry>,
    pub(super) body: Vec<Entry>,
    pub(super) headers: Vec<Entry>,
    pub(super) cookies: Vec<Entry>,
    /// Part name and file name.
    pub(super) files: Vec<Entry>,
    /// Part name and size.
    pub(super) file_sizes: Vec<Entry>,
    pub(super) files_bytes: usize,
    /// Part name and header line.
    pub(super) part_headers: Vec<Entry>,
    pub(super) response_headers: Vec<Entry>,
    pub(super) xml_text: Option<NodeId>,
    pub(super) xml_attributes: Vec<NodeId>,
    pub(super) processor: Option<BodyProcessor>,
    pub(super) force_body: bool,
    pub(super) search_unlabelled: bool,
    pub(super) body_access: bool,
    pub(super) body_read: bool,
    pub(super) body_bytes: usize,
    /// The body as a whole, where rules may see it.
    pub(super) whole_body: Option<NodeId>,
    pub(super) response_body: Option<NodeId>,
    pub(super) body_error: Option<String>,
    pub(super) flags: Flags,
    pub(super) urlencoded_error: bool,
    /// Variables with one value, once they were asked for.
    singles: Vec<(Variable, NodeId)>,
}

impl Collections {
    pub(super) fn new<'r>(request: &Request<'r>, values: &mut Values<'r>) -> Self {
        let mut this = Self { body_access: true, ..Self::default() };
        for (name, value) in request.headers {
            let entry = entry(values, Cow::Borrowed(*name), Cow::Borrowed(*value));
            this.headers.push(entry);
        }
        for line in request.header(b"cookie") {
            for part in
                line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
            {
                let equals = memchr::memchr(b'=', part).unwrap_or(part.len());
                let name = part.get(..equals).unwrap_or_default();
                let value = part.get(equals + 1..).unwrap_or_default();
                let entry = entry(values, Cow::Borrowed(name), Cow::Borrowed(value));
                this.cookies.push(entry);
            }
        }
        let form = urlencoded::parse(request.query());
        this.urlencoded_error = form.invalid;
        for (name, value) in form.pairs {
            let entry = entry(values, name, value);
            this.query.push(entry);
        }
        if form.too_many {
            this.body_error = Some("the query has too many arguments".to_owned());
        }
        this.processor = request.header(b"content-type").next().and_then(processor);
        this
    }

    /// Reads the body as its processor says.
    pub(super) fn read_body<'r>(
        &mut self,
        request: &Request<'r>,
        body: &'r [u8],
        parsed: Option<Parsed<'r>>,
        values: &mut Values<'r>,
    ) {
        self.body_read = true;
        self.body_bytes = body.len();
        if !self.body_access || body.is_empty() {
            return;
        }
        match self.processor {
            Some(BodyProcessor::Urlencoded) => {
                self.whole_body = Some(values.borrowed(body));
                if let Some(Parsed::Form(pairs)) = parsed {
                    for (name, value) in pairs {
                        let value = urlencoded::decoded(value, &mut self.urlencoded_error);
                        let entry = entry(values, Cow::Borrowed(name), value);
                        self.body.push(entry);
                    }
                    return;
                }
                let form = urlencoded::parse(body);
                self.urlencoded_error |= form.invalid;
                for (name, value) in form.pairs {
                    let entry = entry(values, name, value);
                    self.body.push(entry);
                }
                if form.too_many {
                    self.fault("the form has too many arguments".to_owned(), body, values);
                }
            }
            Some(BodyProcessor::Json) => {
                if let Some(Parsed::Json(pairs)) = parsed {
                    return self.add_members(pairs, values);
                }
                let (pairs, error) = json::parse(body);
                for (name, value) in pairs {
                    let entry = entry(values, Cow::Owned(name), Cow::Owned(value));
                    self.body.push(entry);
                }
                if let Some(error) = error {
                    self.fault(error, body, values);
                }
            }
            Some(BodyProcessor::Xml) => {
                if let Some(Parsed::Xml(pairs)) = parsed {
                    for (name, value) in pairs {
                        let value = values.borrowed(value);
                        match name.as_slice() {
                            b"/*" => self.xml_text = Some(value),
                            _ => self.xml_attributes.push(value),
                        }
                    }
                    return;
                }
                let document = xml::parse(body);
                self.xml_text = Some(values.owned(document.text));
                self.xml_attributes =
                    document.attributes.into_iter().map(|value| values.owned(value)).collect();
                if let Some(error) = document.error {
                    self.fault(error, body, values);
                }
            }
            Some(BodyProcessor::Multipart) => self.read_multipart(request, body, values),
            None => {
                if self.force_body {
                    self.whole_body = Some(values.borrowed(body));
                }
                match (self.search_unlabelled, parsed) {
                    (true, Some(Parsed::Json(pairs))) => self.add_members(pairs, values),
                    (true, Some(Parsed::Form(_) | Parsed::Xml(_)) | None) => {
                        self.read_unlabelled(body, values)
                    }
                    (false, _) => {}
                }
            }
        }
    }

    fn add_members<'r>(&mut self, pairs: &'r [(Vec<u8>, Vec<u8>)], values: &mut Values<'r>) {
        for (name, value) in pairs {
            let entry = entry(values, Cow::Borrowed(name), Cow::Borrowed(value));
            self.body.push(entry);
        }
    }

    /// Reads a body of no media type that is known: as JSON if it is, and else as one value. Bytes that are no text are
    /// left alone.
    fn read_unlabelled<'r>(&mut self, body: &'r [u8], values: &mut Values<'r>) {
        let is_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
        if let (true, (pairs, None)) = (is_json, if is_json { json::parse(body) } else { (Vec::new(), None) })
        {
            for (name, value) in pairs {
                let entry = entry(values, Cow::Owned(name), Cow::Owned(value));
                self.body.push(entry);
            }
        } else if !body.contains(&0) {
            let entry = entry(values, Cow::Borrowed(b"body"), Cow::Borrowed(body));
            self.body.push(entry);
        }
    }

    fn read_multipart<'r>(&mut self, request: &Request<'r>, body: &'r [u8], values: &mut Values<'r>) {
        let content_type = request.header(b"content-type").next().unwrap_or_default();
        let read = multipart::parse(content_type, body);
        self.flags = read.flags;
        for part in read.parts {
            let name = values.owned(part.name);
            for header in part.headers {
                self.part_headers.push(Entry { name, value: values.owned(header), proved: false });
            }
            // SECURITY: to some servers a part with an empty file name is a field (`a_file_without_a_name_is_a_field_too`).
            if part.file_names.iter().all(Vec::is_empty) {
                let value = values.borrowed(part.content);
                self.body.push(Entry { name, value, proved: false });
            }
            if part.file_names.is_empty() {
                continue;
            }
            for file_name in part.file_names {
                self.files.push(Entry { name, value: values.owned(file_name), proved: false });
            }
            self.files_bytes += part.content.len();
            let size = values.owned(part.content.len().to_string().into_bytes());
            self.file_sizes.push(Entry { name, value: size, proved: false });
        }
        if let Some(error) = read.error {
            self.fault(error.to_owned(), body, values);
        }
    }

    /// Notes a fault. The whole body is then shown to rules, since its parts may not be all that a server finds in it.
    fn fault<'r>(&mut self, error: String, body: &'r [u8], values: &mut Values<'r>) {
        self.body_error.get_or_insert(error);
        self.whole_body.get_or_insert_with(|| values.borrowed(body));
    }

    pub(super) fn read_response<'r>(&mut self, response: &Response<'r>, values: &mut Values<'r>) {
        for (name, value) in response.headers {
            let entry = entry(values, Cow::Borrowed(*name), Cow::Borrowed(*value));
            self.response_headers.push(entry);
        }
    }

    pub(super) fn single(&self, variable: Variable) -> Option<NodeId> {
        self.singles.iter().find(|(known, _)| *known == variable).map(|(_, node)| *node)
    }

    pub(super) fn keep_single(&mut self, variable: Variable, node: NodeId) {
        self.singles.push((variable, node));
    }

    pub(super) fn prove_all(
        &mut self,
        is_harmless: &mut dyn FnMut(Place, &[u8]) -> bool,
        values: &Values<'_>,
    ) -> (usize, usize) {
        let places = [
            (Place::Query, &mut self.query),
            (Place::Body, &mut self.body),
            (Place::Header, &mut self.headers),
            (Place::Cookie, &mut self.cookies),
        ];
        let (mut proved, mut all) = (0, 0);
        for (place, entries) in places {
            for entry in entries {
                all += 1;
                entry.proved |= is_harmless(place, values.bytes(entry.name));
                proved += usize::from(entry.proved);
            }
        }
        (proved, all)
    }

    pub(super) fn prove(&mut self, place: Place, name: &[u8], values: &Values<'_>) -> usize {
        let (entries, any_case) = match place {
            Place::Query => (&mut self.query, false),
            Place::Body => (&mut self.body, false),
            Place::Header => (&mut self.headers, true),
            Place::Cookie => (&mut self.cookies, false),
        };
        let mut count = 0;
        for entry in entries {
            let known = values.bytes(entry.name);
            if known == name || (any_case && known.eq_ignore_ascii_case(name)) {
                entry.proved = true;
                count += 1;
            }
        }
        count
    }
}

fn entry<'r>(values: &mut Values<'r>, name: Cow<'r, [u8]>, value: Cow<'r, [u8]>) -> Entry {
    Entry { name: values.add(name), value: values.add(value), proved: false }
}

/// How a body of that content type is read.
fn processor(content_type: &[u8]) -> Option<BodyProcessor> {
    let end = memchr::memchr2(b';', b',', content_type).unwrap_or(content_type.len());
    let media = content_type.get(..end).unwrap_or_default().trim_ascii().to_ascii_lowercase();
    match media.as_slice() {
        b"application/x-www-form-urlencoded" => Some(BodyProcessor::Urlencoded),
        b"application/json" | b"text/json" => Some(BodyProcessor::Json),
        b"application/xml" | b"text/xml" => Some(BodyProcessor::Xml),
        _ if media.starts_with(b"multipart/form-data") => Some(BodyProcessor::Multipart),
        _ if media.ends_with(b"+json") => Some(BodyProcessor::Json),
        _ if media.ends_with(b"+xml") => Some(BodyProcessor::Xml),
        _ => None,
    }
}
