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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Loader, Parsed, Plan, Request, Settings, Transaction};
    use std::net::{IpAddr, Ipv4Addr};

    /// The same document and the same texts as where OpenAPI reads XML (`body/xml.rs` there).
    const DOCUMENT: &str = "<?xml version=\"1.0\"?>\n<a b=\"1 &lt; 2\" c=''> x &amp; y<!-- no --><d e='&#65;'/><![CDATA[<z>]]>&#x41;\n</a>\n";

    #[test]
    fn what_a_document_says_is_told() {
        let document = parse(DOCUMENT.as_bytes());
        assert_eq!(document.error, None);
        assert_eq!(document.text, b"\n x & y<z>A\n\n");
        assert_eq!(document.attributes, [b"1 < 2".to_vec(), Vec::new(), b"A".to_vec()]);
    }

    #[test]
    fn what_another_check_has_read_is_not_read_again() {
        let rules = b"SecRule XML:/* \"@contains <z>A\" \"id:1,phase:2,pass\"\n\
            SecRule XML://@* \"@streq 1 < 2\" \"id:2,phase:2,pass\"\n\
            SecRule XML:/* \"@contains only here\" \"id:3,phase:2,pass\"\n";
        let plan = Plan::new(Loader::new().text("rules", rules), &Settings::default()).unwrap();
        let here = (IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
        let headers: [(&[u8], &[u8]); 1] = [(b"Content-Type", b"application/xml")];
        let ids = |parsed: Option<Parsed<'_>>| {
            let request = Request {
                method: b"POST",
                target: b"/",
                protocol: b"HTTP/1.1",
                headers: &headers,
                client: here,
                server: here,
                unique_id: b"0",
            };
            let mut transaction = Transaction::new(&plan, request);
            transaction.request_headers();
            transaction.read_parsed_body(DOCUMENT.as_bytes(), parsed);
            transaction.judge_body();
            transaction.finish().ids().collect::<Vec<_>>()
        };
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let read = [pair("/*", "\n x & y<z>A\n\n"), pair("//@*", "1 < 2"), pair("//@*", "")];
        assert_eq!(ids(None), [1, 2]);
        assert_eq!(ids(Some(Parsed::Xml(&read))), [1, 2]);
        assert_eq!(ids(Some(Parsed::Xml(&[pair("/*", "only here")]))), [3], "the body is not read");
        assert_eq!(ids(Some(Parsed::Json(&read))), [1, 2], "it was read as something else");
    }
}
