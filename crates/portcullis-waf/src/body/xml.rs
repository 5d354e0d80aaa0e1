//! XML: the text of the document, and the values of its attributes.

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// The deepest nesting of elements.
const MOST_DEPTH: usize = 256;

/// What a document says.
#[derive(Default)]
pub(crate) struct Document {
    /// All text and CDATA, in order.
    pub(crate) text: Vec<u8>,
    pub(crate) attributes: Vec<Vec<u8>>,
    /// What is wrong with it.
    pub(crate) error: Option<String>,
}

/// Reads a document. Entities other than XML's own stand for nothing here, so one that is used is a fault, and its
/// name is searched as text.
pub(crate) fn parse(body: &[u8]) -> Document {
    let mut document = Document::default();
    if let Err(error) = read(body, &mut document) {
        document.error = Some(error);
    }
    document
}

fn read(body: &[u8], document: &mut Document) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut depth = 0_usize;
    let mut rooted = false;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Eof => break,
            Event::Start(element) => {
                attributes(&element, document)?;
                rooted = true;
                depth += 1;
                if depth > MOST_DEPTH {
                    return Err("too deep".to_owned());
                }
            }
            Event::Empty(element) => {
                rooted = true;
                attributes(&element, document)?;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(text) => document.text.extend(text.as_bytes()),
            Event::CData(text) => document.text.extend(text.as_bytes()),
            Event::GeneralRef(reference) => {
                if let Ok(Some(character)) = reference.resolve_char_ref() {
                    document.text.extend(character.to_string().into_bytes());
                } else {
                    let name: &str = reference.as_ref();
                    match quick_xml::escape::resolve_predefined_entity(name) {
                        Some(text) => document.text.extend(text.as_bytes()),
                        None => {
                            document.text.extend(name.as_bytes());
                            document.error = Some("an entity of a document type is used".to_owned());
                        }
                    }
                }
            }
            Event::Decl(declaration) => {
                // SECURITY: in another encoding the same bytes are another text (`xml_in_another_encoding_is_a_fault`).
                let utf8 = match declaration.encoding() {
                    None => true,
                    Some(Ok(name)) => {
                        ["utf-8", "us-ascii"].iter().any(|known| name.eq_ignore_ascii_case(known))
                    }
                    Some(Err(_)) => false,
                };
                if !utf8 {
                    document.error = Some("the document is not in UTF-8".to_owned());
                }
            }
            Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
        }
    }
    if depth == 0 && rooted { Ok(()) } else { Err("the document is not complete".to_owned()) }
}

fn attributes(element: &BytesStart<'_>, document: &mut Document) -> Result<(), String> {
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if document.attributes.len() >= super::MOST_ENTRIES {
            return Err("too many attributes".to_owned());
        }
        let raw: &str = attribute.value.as_ref();
        match quick_xml::escape::unescape(raw) {
            Ok(value) => document.attributes.push(value.as_bytes().to_vec()),
            Err(error) => {
                document.attributes.push(raw.as_bytes().to_vec());
                document.error = Some(error.to_string());
            }
        }
    }
    Ok(())
}
