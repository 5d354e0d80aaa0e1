//! Media types (RFC 9110, section 8.3), and the ranges under which a description declares them.

/// A media type as a message names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// In lower case.
    pub(crate) kind: String,
    /// In lower case.
    pub(crate) subtype: String,
    /// Names in lower case, values as they are. Each name stands once.
    parameters: Vec<(String, String)>,
}

/// What a description declares: a media type, or `application/*`, `application/*+json`, `*/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaRange(MediaType);

/// What is understood of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Form,
    Multipart,
    Xml,
    /// A JSON value in each line.
    Lines,
    Yaml,
    Text,
    /// Anything else: bytes.
    Bytes,
}

impl MediaType {
    /// Reads a `Content-Type`. `None` where it is not in the grammar, or names a parameter twice.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim_matches([' ', '\t']);
        let (kind, after) = rest.split_once('/')?;
        let end = after.find([';', ' ', '\t']).unwrap_or(after.len());
        let subtype = after.get(..end)?;
        rest = after.get(end..)?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            if rest.is_empty() {
                break;
            }
            rest = rest.strip_prefix(';')?.trim_start_matches([' ', '\t']);
            if rest.is_empty() {
                break;
            }
            let (name, after) = rest.split_once('=')?;
            let (value, after) = parameter_value(after)?;
            let name = name.to_ascii_lowercase();
            if !is_token(&name) || parameters.iter().any(|(known, _)| *known == name) {
                return None;
            }
            parameters.push((name, value));
            rest = after;
        }
        Some(MediaType { kind: kind.to_ascii_lowercase(), subtype: subtype.to_ascii_lowercase(), parameters })
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn format(&self) -> Format {
        match (self.kind.as_str(), self.subtype.as_str()) {
            (_, subtype) if subtype == "json" || subtype.ends_with("+json") => Format::Json,
            ("application", "x-www-form-urlencoded") => Format::Form,
            ("multipart", "form-data") => Format::Multipart,
            (_, subtype) if subtype == "xml" || subtype.ends_with("+xml") => Format::Xml,
            (_, "x-ndjson" | "ndjson" | "jsonl" | "x-jsonl" | "jsonlines" | "x-jsonlines" | "json-lines") => {
                Format::Lines
            }
            (_, subtype)
                if matches!(subtype, "yaml" | "x-yaml" | "vnd.yaml") || subtype.ends_with("+yaml") =>
            {
                Format::Yaml
            }
            ("text", _) => Format::Text,
            _ => Format::Bytes,
        }
    }

    /// Whether the charset, if one is named, is one that is read here: UTF-8, of which ASCII is a part.
    pub(crate) fn is_utf8(&self) -> bool {
        self.parameter("charset").is_none_or(|charset| {
            ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
        })
    }
}

impl MediaType {
    /// Whether these bytes read the same in the charset that is named as in UTF-8: ASCII does in most.
    pub(crate) fn reads_as_utf8(&self, body: &[u8]) -> bool {
        self.is_utf8() || (self.parameter("charset").is_some_and(extends_ascii) && body.is_ascii())
    }
}

/// Whether a charset has the characters of ASCII at their places, and no others there.
fn extends_ascii(charset: &str) -> bool {
    let charset = charset.to_ascii_lowercase();
    matches!(charset.as_str(), "ascii" | "latin1" | "l1")
        || ["iso-8859-", "windows-125", "cp125"].iter().any(|family| {
            charset.strip_prefix(family).is_some_and(|number| {
                !number.is_empty() && number.len() <= 2 && number.bytes().all(|byte| byte.is_ascii_digit())
            })
        })
}

impl MediaRange {
    /// What a description declares. A charset that is UTF-8 and a boundary are the sender's matter, so a message need not
    /// repeat them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut range = MediaType::parse(text)?;
        if range.is_utf8() {
            range.parameters.retain(|(name, _)| name != "charset");
        }
        range.parameters.retain(|(name, _)| name != "boundary");
        Some(MediaRange(range))
    }

    /// The format of every body in the range; `None` where the body itself says.
    pub(crate) fn format(&self) -> Option<Format> {
        let format = self.0.format();
        (format == Format::Json || !(self.0.kind.contains('*') || self.0.subtype.contains('*')))
            .then_some(format)
    }

    /// Whether it is one vendor's type, without a suffix that says what it is made of.
    pub(crate) fn is_vendors(&self) -> bool {
        self.0.kind == "application" && self.0.subtype.starts_with("vnd.") && !self.0.subtype.contains('+')
    }

    pub(crate) fn is_multipart(&self) -> bool {
        self.0.kind == "multipart"
    }

    /// How specific the range is for this type, or `None` if it is not in the range. More is more specific.
    pub(crate) fn specificity(&self, of: &MediaType) -> Option<usize> {
        let range = &self.0;
        let base = if range.kind == "*" && range.subtype == "*" {
            1
        } else if range.kind != of.kind {
            return None;
        } else if range.subtype == "*" {
            2
        } else if let Some(suffix) = range.subtype.strip_prefix("*+") {
            let (_, of_suffix) = of.subtype.rsplit_once('+')?;
            if suffix != of_suffix {
                return None;
            }
            3
        } else if range.subtype == of.subtype {
            4
        } else {
            return None;
        };
        let all = range.parameters.iter().all(|(name, value)| {
            of.parameter(name).is_some_and(|found| {
                found == value || (name == "charset" && found.eq_ignore_ascii_case(value))
            })
        });
        all.then_some(base * 100 + range.parameters.len())
    }
}

/// A token or a quoted text (RFC 9110, section 5.6), and what follows it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let value = text.get(..end)?;
        return is_token(value).then(|| (value.to_owned(), text.get(end..).unwrap_or_default()));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => value.push(characters.next()?.1),
            _ if character.is_control() && character != '\t' => return None,
            _ => value.push(character),
        }
    }
    None
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_kept() {
        let parsed = MediaType::parse("Application/Problem+JSON ; Charset=\"UTF-8\"; v=1").unwrap();
        assert_eq!((parsed.kind.as_str(), parsed.subtype.as_str()), ("application", "problem+json"));
        assert_eq!((parsed.parameter("charset"), parsed.is_utf8()), (Some("UTF-8"), true));
        for bad in [
            "",
            "json",
            "a/",
            "/b",
            "a/b/c",
            "a/b; c",
            "a/b; c=",
            "a/b; c=1; C=2",
            "a/b c=1",
            "a/b; c=\"x",
            "a /b",
            "a/b, c/d",
        ] {
            assert_eq!(MediaType::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_most_specific_wins() {
        let of = MediaType::parse("application/vnd.a+json; v=1").unwrap();
        let rank = |range: &str| MediaRange::parse(range).unwrap().specificity(&of);
        let ranks: Vec<_> = [
            "*/*",
            "application/*",
            "application/*+json",
            "application/vnd.a+json",
            "application/vnd.a+json;v=1",
        ]
        .iter()
        .map(|range| rank(range).unwrap())
        .collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        for other in ["application/json", "text/*", "application/*+xml", "application/vnd.a+json;v=2"] {
            assert_eq!(rank(other), None, "{other}");
        }
    }
}
