//! A distinguished name as RFC 4514 writes it.
//!
//! The last name part comes first, what is special is escaped, and a type or value that has no text is written in
//! hexadecimal digits, so that no two names are written alike.

use std::fmt::Write;
use x509_parser::der_parser::asn1_rs::{Any, Tag, ToDer};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The types that have a short name (RFC 4514, section 3).
const TYPES: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The name's text.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (number, part) in parts.into_iter().rev().enumerate() {
        if number > 0 {
            text.push(',');
        }
        for (number, attribute) in part.iter().enumerate() {
            if number > 0 {
                text.push('+');
            }
            write_attribute(attribute, &mut text);
        }
    }
    text
}

fn write_attribute(attribute: &AttributeTypeAndValue<'_>, text: &mut String) {
    let kind = attribute.attr_type().to_id_string();
    let short = TYPES.iter().find(|(long, _)| *long == kind).map(|(_, short)| *short);
    text.push_str(short.unwrap_or(&kind));
    text.push('=');
    match short.and_then(|_| string(attribute.attr_value())) {
        Some(value) => escape(&value, text),
        None => {
            text.push('#');
            for byte in attribute.attr_value().to_der_vec().unwrap_or_default() {
                let _ = write!(text, "{byte:02X}");
            }
        }
    }
}

/// A value's text; `None` for one that is none, or in an encoding that is no longer used.
fn string(value: &Any<'_>) -> Option<String> {
    match value.header.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => {
            std::str::from_utf8(value.data).ok().map(str::to_owned)
        }
        Tag::BmpString => {
            let (pairs, rest) = value.data.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())
        }
        _ => None,
    }
}

/// RFC 4514, section 2.4.
fn escape(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (place, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', character]),
            ' ' if place == 0 || place == last => text.push_str("\\ "),
            '#' if place == 0 => text.push_str("\\#"),
            // A control character would be a line of its own in a log.
            control if control.is_control() => {
                for byte in control.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(text, "\\{byte:02X}");
                }
            }
            ordinary => text.push(ordinary),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    fn written(parts: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        text(parsed.subject())
    }

    #[test]
    fn a_name_is_written_from_its_end_and_escaped() {
        assert_eq!(
            written(&[
                (DnType::CountryName, "DE"),
                (DnType::OrganizationName, "Example"),
                (DnType::CommonName, "alice")
            ]),
            "CN=alice,O=Example,C=DE"
        );
        assert_eq!(written(&[(DnType::CommonName, "a,CN=root")]), "CN=a\\,CN=root");
        assert_eq!(written(&[(DnType::CommonName, " #a+b\n ")]), "CN=\\ #a\\+b\\0A\\ ");
        assert_eq!(written(&[(DnType::CommonName, "#a\\")]), "CN=\\#a\\\\");
        assert_eq!(written(&[(DnType::CustomDnType(vec![2, 5, 4, 12]), "x")]), "2.5.4.12=#0C0178");
        assert_eq!(written(&[]), "");
    }
}
