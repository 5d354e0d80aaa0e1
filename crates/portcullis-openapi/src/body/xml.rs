//! XML: well-formed, one root, no document type, no entities but the five of XML itself, within limits.
//!
//! Whether an XML document is what its schema says is not judged.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::limits::Limits;

/// Checks a document.
///
/// # Errors
/// A word for what is wrong.
pub(crate) fn check(bytes: &[u8], limits: &Limits) -> Result<(), &'static str> {
    read(bytes, limits, false).map(drop)
}

/// What a document says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    /// All text and CDATA, in order.
    pub(crate) text: String,
    /// The values of attributes, in order.
    pub(crate) attributes: Vec<String>,
}

/// The most values of attributes that are kept for a check that is still to come; one that wants more reads the body itself.
const MOST_ATTRIBUTES: usize = 10_000;

/// Checks a document, and answers with its texts if they are wanted and can be told without doubt.
///
/// # Errors
/// A word for what is wrong.
pub(crate) fn read(bytes: &[u8], limits: &Limits, wanted: bool) -> Result<Option<Texts>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "xml.utf8")?;
    // A byte order mark may stand before the document, once (XML 1.0, section 4.3.3).
    let marked = text.starts_with('\u{feff}');
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.starts_with('\u{feff}') {
        return Err("xml.byte_order_mark");
    }
    // The characters that XML 1.0 has (section 2.2).
    if text
        .chars()
        .any(|c| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}'))
    {
        return Err("xml.character");
    }
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.check_end_names = true;
    config.check_comments = true;
    config.allow_unmatched_ends = false;
    config.allow_dangling_amp = false;
    let texts = (wanted && !marked).then(Texts::default);
    let mut state = State { depth: 0, elements: 0, rooted: false, first: true, texts };
    loop {
        let event = reader.read_event().map_err(|_| "xml.syntax")?;
        if matches!(event, Event::Eof) {
            break;
        }
        state.event(&event, limits)?;
    }
    if state.depth == 0 && state.rooted { Ok(state.texts) } else { Err("xml.syntax") }
}

struct State {
    depth: usize,
    elements: usize,
    rooted: bool,
    first: bool,
    texts: Option<Texts>,
}

impl State {
    fn event(&mut self, event: &Event<'_>, limits: &Limits) -> Result<(), &'static str> {
        let first = std::mem::replace(&mut self.first, false);
        match event {
            Event::Start(element) => {
                self.open(element, limits)?;
                self.depth += 1;
                if self.depth > limits.depth { Err("xml.depth") } else { Ok(()) }
            }
            Event::Empty(element) => self.open(element, limits),
            Event::End(_) => {
                self.depth = self.depth.checked_sub(1).ok_or("xml.syntax")?;
                Ok(())
            }
            Event::Text(text) => {
                if text.len() > limits.string_bytes {
                    return Err("xml.string_length");
                }
                let text: &str = text.as_ref();
                let blank = text.bytes().all(|byte| byte.is_ascii_whitespace());
                let ends_a_section = text.contains("]]>");
                self.add(text);
                if (self.depth == 0 && !blank) || ends_a_section { Err("xml.syntax") } else { Ok(()) }
            }
            Event::CData(text) => {
                if text.len() > limits.string_bytes {
                    return Err("xml.string_length");
                }
                self.add(text.as_ref());
                if self.depth == 0 { Err("xml.syntax") } else { Ok(()) }
            }
            Event::GeneralRef(reference) => {
                if self.depth == 0 {
                    return Err("xml.syntax");
                }
                let text = known_reference(reference)?;
                self.add(&text);
                Ok(())
            }
            Event::Decl(declaration) => {
                let utf8 = match declaration.encoding() {
                    None => true,
                    Some(Ok(name)) => {
                        name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii")
                    }
                    Some(Err(_)) => false,
                };
                if first && utf8 { Ok(()) } else { Err("xml.declaration") }
            }
            // SECURITY: a document type is where entities are defined (xml in bodies.yaml).
            Event::DocType(_) => Err("xml.doctype"),
            // Instructions are for programs that nobody has named.
            Event::PI(_) => Err("xml.instruction"),
            Event::Comment(_) | Event::Eof => Ok(()),
        }
    }

    /// Adds to the text of the document.
    fn add(&mut self, text: &str) {
        if let Some(texts) = &mut self.texts {
            texts.text.push_str(text);
        }
    }

    fn open(&mut self, element: &BytesStart<'_>, limits: &Limits) -> Result<(), &'static str> {
        if self.depth == 0 && std::mem::replace(&mut self.rooted, true) {
            return Err("xml.syntax");
        }
        self.elements += 1;
        if self.elements > limits.nodes {
            return Err("xml.nodes");
        }
        let name = element.name();
        if name.as_ref().len() > limits.name_bytes {
            return Err("xml.name_length");
        }
        if !is_name(name.as_ref()) {
            return Err("xml.syntax");
        }
        for (index, attribute) in element.attributes().with_checks(true).enumerate() {
            let attribute = attribute.map_err(|_| "xml.syntax")?;
            if index >= limits.members {
                return Err("xml.members");
            }
            if attribute.value.len() > limits.string_bytes || attribute.key.as_ref().len() > limits.name_bytes
            {
                return Err("xml.string_length");
            }
            if !is_name(attribute.key.as_ref()) || attribute.value.contains('<') {
                return Err("xml.syntax");
            }
            // Only the five entities of XML itself are resolved; any other is an error.
            let value = quick_xml::escape::unescape(&attribute.value).map_err(|_| "xml.entity")?;
            if self.texts.as_ref().is_some_and(|texts| texts.attributes.len() >= MOST_ATTRIBUTES) {
                self.texts = None;
            }
            if let Some(texts) = &mut self.texts {
                texts.attributes.push(value.into_owned());
            }
        }
        Ok(())
    }
}

/// What a reference stands for.
fn known_reference(reference: &BytesRef<'_>) -> Result<String, &'static str> {
    if reference.is_char_ref() {
        let character = reference.resolve_char_ref().map_err(|_| "xml.entity")?;
        return character.map(String::from).ok_or("xml.entity");
    }
    let name: &str = reference.as_ref();
    let known = ["amp", "lt", "gt", "quot", "apos"].contains(&name);
    let text = quick_xml::escape::resolve_predefined_entity(name).filter(|_| known);
    text.map(str::to_owned).ok_or("xml.entity")
}

/// A name, as far as its ASCII characters go (XML 1.0, section 2.3).
fn is_name(name: &str) -> bool {
    let starts = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':' || byte >= 0x80;
    let continues = |byte: u8| starts(byte) || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    name.bytes().next().is_some_and(starts) && name.bytes().all(continues)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same document and the same texts as in the rule engine (`xml.rs` there).
    #[test]
    fn what_a_document_says_is_told() {
        let document = "<?xml version=\"1.0\"?>\n<a b=\"1 &lt; 2\" c=''> x &amp; y<!-- no --><d e='&#65;'/><![CDATA[<z>]]>&#x41;\n</a>\n";
        let read = |document: &str| read(document.as_bytes(), &Limits::default(), true).unwrap();
        let texts = read(document).unwrap();
        assert_eq!(texts.text, "\n x & y<z>A\n\n");
        assert_eq!(texts.attributes, ["1 < 2", "", "A"]);
        assert_eq!(read(&format!("\u{feff}{document}")), None, "a mark may be text to others");
        let many = (0..20_000).map(|n| format!("<b c='{n}'/>")).collect::<String>();
        let limits = Limits { nodes: 50_000, ..Limits::default() };
        let large = super::read(format!("<a>{many}</a>").as_bytes(), &limits, true).unwrap();
        assert_eq!(large, None, "more than are kept");
    }
}
