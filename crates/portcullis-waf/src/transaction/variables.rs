//! What a target means: which values, under which names.

use super::Transaction;
use super::collections::Entry;
use super::values::NodeId;
use crate::plan::TargetPlan;
use crate::seclang::tree::{RuleSelector, Selector, Variable};

/// One value of a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    pub(super) variable: Variable,
    pub(super) name: Option<NodeId>,
    pub(super) value: NodeId,
    pub(super) proved: bool,
}

/// Whether an exclusion takes an entry of this name from a target with the selector `of`.
fn excludes(selector: &Selector, of: &Selector, name: &[u8]) -> bool {
    match selector {
        Selector::XmlText | Selector::XmlAttributes => selector == of,
        Selector::All | Selector::Name(_) | Selector::Pattern(..) => selector.selects(name),
    }
}

/// Which entries of a collection.
enum Shown {
    Values,
    Names,
}

impl<'r> Transaction<'r> {
    /// Adds the values of a target. `rule` is the place of the rule that asks.
    pub(super) fn subjects(&mut self, target: &'r TargetPlan, rule: usize, out: &mut Vec<Subject>) {
        let start = out.len();
        self.find_target_values(target, out);
        if !target.excluded.is_empty() || !self.removed_targets.is_empty() {
            self.exclude(target, rule, start, out);
        }
        if target.count {
            let count = i64::try_from(out.len() - start).unwrap_or(i64::MAX);
            out.truncate(start);
            let value = self.values.number(count);
            let name = match &target.selector {
                Selector::Name(name) => Some(self.values.owned(name.to_vec())),
                Selector::All | Selector::Pattern(..) | Selector::XmlText | Selector::XmlAttributes => None,
            };
            out.push(Subject { variable: target.variable, name, value, proved: false });
        }
    }

    /// Adds the values of a target without those that it excludes, whatever rules have removed since.
    pub(super) fn subjects_of_all(&mut self, target: &'r TargetPlan, out: &mut Vec<Subject>) {
        let start = out.len();
        self.find_target_values(target, out);
        if !target.excluded.is_empty() {
            self.retain(target, &[], start, out);
        }
    }

    /// Whether a value is among what was removed from the target that it comes from.
    pub(super) fn is_removed(&self, subject: &Subject, target: &TargetPlan, removed: &[&Selector]) -> bool {
        let name = subject.name.map(|name| self.values.bytes(name)).unwrap_or_default();
        removed.iter().any(|selector| excludes(selector, &target.selector, name))
    }

    /// What rules have removed from a target of a rule.
    pub(super) fn removed(&self, target: &TargetPlan, rule: usize) -> Vec<&'r Selector> {
        let info = self.plan.rules.get(rule);
        let selected = |which: &RuleSelector| info.is_some_and(|info| info.is_selected(which));
        self.removed_targets
            .iter()
            .filter(|(which, what)| what.variable == target.variable && selected(which))
            .map(|(_, what)| &what.selector)
            .collect()
    }

    /// Whether many requests have the value alike and it is no secret: a name, or what a browser says of itself.
    pub(super) fn is_common(&self, subject: &Subject) -> bool {
        const HEADERS: [&[u8]; 5] =
            [b"user-agent", b"accept", b"accept-language", b"accept-encoding", b"content-type"];
        let Some(name) = subject.name else { return false };
        let is = |header: &&[u8]| self.values.bytes(name).eq_ignore_ascii_case(header);
        name == subject.value || subject.variable == Variable::RequestHeaders && HEADERS.iter().any(is)
    }

    fn exclude(&self, target: &TargetPlan, rule: usize, start: usize, out: &mut Vec<Subject>) {
        let removed = self.removed(target, rule);
        self.retain(target, &removed, start, out);
    }

    fn retain(&self, target: &TargetPlan, removed: &[&Selector], start: usize, out: &mut Vec<Subject>) {
        let mut place = 0;
        out.retain(|subject| {
            place += 1;
            if place <= start {
                return true;
            }
            let name = subject.name.map(|name| self.values.bytes(name)).unwrap_or_default();
            let mut selectors = target.excluded.iter().chain(removed.iter().copied());
            !selectors.any(|selector| excludes(selector, &target.selector, name))
        });
    }

    fn find_target_values(&mut self, target: &'r TargetPlan, out: &mut Vec<Subject>) {
        if target.variable == Variable::Tx {
            self.find_tx(target, out);
        } else {
            self.find(target.variable, &target.selector, out);
        }
    }

    /// The first value of a target, for a macro.
    pub(super) fn first(&mut self, variable: Variable, selector: &Selector) -> Vec<u8> {
        let mut found = Vec::new();
        self.find(variable, selector, &mut found);
        found.first().map(|subject| self.values.bytes(subject.value).to_vec()).unwrap_or_default()
    }

    pub(super) fn find(&mut self, variable: Variable, selector: &Selector, out: &mut Vec<Subject>) {
        use Variable as V;
        let these = &self.collections;
        let mut entries = |list: &[Entry], shown: Shown| {
            for entry in list {
                if selector.selects(self.values.bytes(entry.name)) {
                    let (value, proved) = match shown {
                        Shown::Values => (entry.value, entry.proved),
                        Shown::Names => (entry.name, false),
                    };
                    out.push(Subject { variable, name: Some(entry.name), value, proved });
                }
            }
        };
        match variable {
            V::Args => {
                entries(&these.query, Shown::Values);
                entries(&these.body, Shown::Values);
            }
            V::ArgsNames => {
                entries(&these.query, Shown::Names);
                entries(&these.body, Shown::Names);
            }
            V::ArgsGet => entries(&these.query, Shown::Values),
            V::ArgsGetNames => entries(&these.query, Shown::Names),
            V::ArgsPost => entries(&these.body, Shown::Values),
            V::ArgsPostNames => entries(&these.body, Shown::Names),
            V::RequestHeaders => entries(&these.headers, Shown::Values),
            V::RequestHeadersNames => entries(&these.headers, Shown::Names),
            V::RequestCookies => entries(&these.cookies, Shown::Values),
            V::RequestCookiesNames => entries(&these.cookies, Shown::Names),
            V::ResponseHeaders => entries(&these.response_headers, Shown::Values),
            V::ResponseHeadersNames => entries(&these.response_headers, Shown::Names),
            V::Files | V::MultipartFilename => entries(&these.files, Shown::Values),
            V::FilesNames | V::MultipartName => entries(&these.files, Shown::Names),
            V::FilesSizes => entries(&these.file_sizes, Shown::Values),
            V::MultipartPartHeaders => entries(&these.part_headers, Shown::Values),
            V::Xml => {
                let values: Vec<NodeId> = match selector {
                    Selector::XmlText => these.xml_text.into_iter().collect(),
                    Selector::XmlAttributes | Selector::All | Selector::Name(_) | Selector::Pattern(..) => {
                        these.xml_attributes.clone()
                    }
                };
                out.extend(values.into_iter().map(|value| Subject {
                    variable,
                    name: None,
                    value,
                    proved: false,
                }));
            }
            V::Tx => self.find_any_tx(selector, out),
            V::MatchedVars | V::MatchedVarsNames => {
                let all: Vec<(Vec<u8>, NodeId)> =
                    self.matched.all.iter().filter(|(name, _)| selector.selects(name)).cloned().collect();
                for (name, value) in all {
                    let name = self.values.owned(name);
                    let value = if variable == V::MatchedVars { value } else { name };
                    out.push(Subject { variable, name: Some(name), value, proved: false });
                }
            }
            V::ArgsCombinedSize
            | V::FilesCombinedSize
            | V::FullRequestLength
            | V::HighestSeverity
            | V::MatchedVar
            | V::MatchedVarName
            | V::MultipartBoundaryQuoted
            | V::MultipartBoundaryWhitespace
            | V::MultipartDataAfter
            | V::MultipartDataBefore
            | V::MultipartFileLimitExceeded
            | V::MultipartHeaderFolding
            | V::MultipartInvalidHeaderFolding
            | V::MultipartInvalidPart
            | V::MultipartInvalidQuoting
            | V::MultipartLfLine
            | V::MultipartMissingSemicolon
            | V::MultipartStrictError
            | V::MultipartUnmatchedBoundary
            | V::QueryString
            | V::RemoteAddr
            | V::RemotePort
            | V::ReqbodyError
            | V::ReqbodyErrorMsg
            | V::ReqbodyProcessor
            | V::ReqbodyProcessorError
            | V::ReqbodyProcessorErrorMsg
            | V::RequestBasename
            | V::RequestBody
            | V::RequestBodyLength
            | V::RequestFilename
            | V::RequestLine
            | V::RequestMethod
            | V::RequestProtocol
            | V::RequestUri
            | V::RequestUriRaw
            | V::ResponseBody
            | V::ResponseContentLength
            | V::ResponseContentType
            | V::ResponseProtocol
            | V::ResponseStatus
            | V::ServerAddr
            | V::ServerName
            | V::ServerPort
            | V::StatusLine
            | V::UniqueId
            | V::UrlencodedError => {
                if let Some(value) = self.single(variable) {
                    out.push(Subject { variable, name: None, value, proved: false });
                }
            }
        }
    }

    /// The TX variables of a target.
    fn find_tx(&mut self, target: &'r TargetPlan, out: &mut Vec<Subject>) {
        let slots = target.slot.as_slice().iter().chain(&target.slots);
        for slot in slots.take(if target.slot.is_some() { 1 } else { usize::MAX }) {
            let Some(value) = self.state.shared(*slot) else { continue };
            let name = match &target.selector {
                Selector::Name(name) => name,
                Selector::All | Selector::Pattern(..) | Selector::XmlText | Selector::XmlAttributes => {
                    self.plan.slots.names().get(slot.0).map_or(b"".as_slice(), Vec::as_slice)
                }
            };
            let name = Some(self.values.borrowed(name));
            let value = self.values.add(value);
            out.push(Subject { variable: Variable::Tx, name, value, proved: false });
        }
        if target.slot.is_none() {
            let found = self.state.dynamic().filter(|(name, _)| target.selector.selects(name));
            let found: Vec<(Vec<u8>, Vec<u8>)> =
                found.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            self.keep_tx(found, out);
        }
    }

    /// The TX variables of a macro.
    fn find_any_tx(&mut self, selector: &Selector, out: &mut Vec<Subject>) {
        let found = self.state.all(self.plan).filter(|(name, _)| selector.selects(name));
        let found: Vec<(Vec<u8>, Vec<u8>)> =
            found.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        self.keep_tx(found, out);
    }

    fn keep_tx(&mut self, found: Vec<(Vec<u8>, Vec<u8>)>, out: &mut Vec<Subject>) {
        for (name, value) in found {
            let name = Some(self.values.owned(name));
            let value = self.values.owned(value);
            out.push(Subject { variable: Variable::Tx, name, value, proved: false });
        }
    }

    /// The value of a variable that has one.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "collections are handled by `find`, whose match has no such arm"
    )]
    fn single(&mut self, variable: Variable) -> Option<NodeId> {
        use Variable as V;
        let these = &self.collections;
        let flags = &these.flags;
        let size = |list: &[Entry]| -> usize {
            list.iter().map(|e| self.values.bytes(e.name).len() + self.values.bytes(e.value).len()).sum()
        };
        let flag = |set: bool| Some(i64::from(set));
        let number: Option<i64> = match variable {
            V::ArgsCombinedSize => i64::try_from(size(&these.query) + size(&these.body)).ok(),
            V::FilesCombinedSize => i64::try_from(these.files_bytes).ok(),
            V::RequestBodyLength => i64::try_from(these.body_bytes).ok(),
            V::FullRequestLength => i64::try_from(
                these.body_bytes + self.request.target.len() + size(&these.headers) + 4 * these.headers.len(),
            )
            .ok(),
            V::HighestSeverity => Some(i64::from(self.matched.highest_severity.unwrap_or(255))),
            V::MultipartBoundaryQuoted => flag(flags.boundary_quoted),
            V::MultipartBoundaryWhitespace => flag(flags.boundary_whitespace),
            V::MultipartDataAfter => flag(flags.data_after),
            V::MultipartDataBefore => flag(flags.data_before),
            V::MultipartFileLimitExceeded => flag(flags.file_limit_exceeded),
            V::MultipartHeaderFolding => flag(flags.header_folding),
            V::MultipartInvalidHeaderFolding => flag(flags.invalid_header_folding),
            V::MultipartInvalidPart => flag(flags.invalid_part),
            V::MultipartInvalidQuoting => flag(flags.invalid_quoting),
            V::MultipartLfLine => flag(flags.lf_line),
            V::MultipartMissingSemicolon => flag(flags.missing_semicolon),
            V::MultipartStrictError => {
                let broken = these.processor == Some(crate::seclang::tree::BodyProcessor::Multipart)
                    && these.body_error.is_some();
                flag(flags.any_strict() || broken)
            }
            V::MultipartUnmatchedBoundary => {
                Some(if flags.unmatched_boundary { 1 } else { 2 * i64::from(flags.boundary_like_line) })
            }
            V::ReqbodyError | V::ReqbodyProcessorError => flag(these.body_error.is_some()),
            V::UrlencodedError => flag(these.urlencoded_error),
            V::RemotePort => Some(i64::from(self.request.client.1)),
            V::ServerPort => Some(i64::from(self.request.server.1)),
            V::ResponseStatus => self.response.map(|response| i64::from(response.status)),
            V::ResponseContentLength => {
                these.response_body.and_then(|body| i64::try_from(self.values.bytes(body).len()).ok())
            }
            _ => None,
        };
        if let Some(number) = number {
            return Some(self.values.number(number));
        }
        if let Some(known) = self.collections.single(variable) {
            return Some(known);
        }
        let request = &self.request;
        let node = match variable {
            V::MatchedVar => return self.matched.value,
            V::MatchedVarName => return Some(self.values.owned(self.matched.name.clone())),
            V::RequestBody => return self.collections.whole_body,
            V::ResponseBody => return self.collections.response_body,
            V::ReqbodyErrorMsg | V::ReqbodyProcessorErrorMsg => {
                let text = self.collections.body_error.clone()?;
                return Some(self.values.owned(text.into_bytes()));
            }
            V::ReqbodyProcessor => {
                let name = self.collections.processor.map_or("", |processor| processor.name());
                return Some(self.values.borrowed(name.as_bytes()));
            }
            V::QueryString => self.values.borrowed(request.query()),
            V::RequestBasename => {
                let path = request.path();
                let start = path.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(0, |at| at + 1);
                self.values.borrowed(path.get(start..).unwrap_or_default())
            }
            V::RequestFilename => self.values.borrowed(request.path()),
            V::RequestLine => {
                let line = [request.method, request.target, request.protocol].join(&b' ');
                self.values.owned(line)
            }
            V::RequestMethod => self.values.borrowed(request.method),
            V::RequestProtocol => self.values.borrowed(request.protocol),
            V::RequestUri => self.values.borrowed(request.uri()),
            V::RequestUriRaw => self.values.borrowed(request.target),
            V::RemoteAddr => self.values.owned(request.client.0.to_string().into_bytes()),
            V::ServerAddr => self.values.owned(request.server.0.to_string().into_bytes()),
            V::ServerName => {
                let host = request.header(b"host").next().unwrap_or_default();
                let port = host
                    .iter()
                    .rposition(|byte| *byte == b':')
                    .filter(|at| host.get(at + 1..).is_some_and(|port| port.iter().all(u8::is_ascii_digit)));
                self.values.borrowed(host.get(..port.unwrap_or(host.len())).unwrap_or_default())
            }
            V::UniqueId => self.values.borrowed(request.unique_id),
            V::ResponseProtocol => self.values.borrowed(self.response?.protocol),
            V::ResponseContentType => {
                let response = self.response?;
                let name = b"content-type";
                let found = response.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                self.values.borrowed(found.map(|(_, value)| *value).unwrap_or_default())
            }
            V::StatusLine => {
                let response = self.response?;
                let line = [response.protocol, response.status.to_string().as_bytes()].join(&b' ');
                self.values.owned(line)
            }
            _ => return None,
        };
        self.collections.keep_single(variable, node);
        Some(node)
    }
}
