//! The styles of parameters: how one text is split into the texts of a list or an object, before any is decoded
//! (OpenAPI, "Style Values"; RFC 6570).

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Matrix,
    Label,
    Simple,
    Form,
    SpaceDelimited,
    PipeDelimited,
    DeepObject,
    /// As form, in a cookie and without any escapes (OpenAPI 3.2).
    Cookie,
}

impl Style {
    pub(crate) fn named(name: &str) -> Option<Style> {
        Some(match name {
            "matrix" => Style::Matrix,
            "label" => Style::Label,
            "simple" => Style::Simple,
            "form" => Style::Form,
            "spaceDelimited" => Style::SpaceDelimited,
            "pipeDelimited" => Style::PipeDelimited,
            "deepObject" => Style::DeepObject,
            "cookie" => Style::Cookie,
            _ => return None,
        })
    }
}

/// How one parameter is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) style: Style,
    pub(crate) explode: bool,
    pub(crate) name: &'a str,
    pub(crate) commas: Commas,
}

/// Which commas part a list, where the style parts it by commas. OpenAPI writes them as they are, but clients such as
/// `URLSearchParams`, Python's `requests` and .NET encode the whole value, and some backends decode before they split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commas {
    /// Those that are written as they are.
    AsTheyAre,
    /// Those that are encoded (`%2C`) as well.
    Encoded,
}

impl Commas {
    /// Whether the two ways of splitting a text may differ.
    pub(crate) fn are_encoded_in(raw: &str) -> bool {
        raw.contains("%2C") || raw.contains("%2c")
    }
}

/// The text is not written in its style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotInStyle;

type Outcome<T> = Result<T, NotInStyle>;

impl<'a> Written<'a> {
    /// The text of a value that is neither a list nor an object.
    pub(crate) fn plain<'t>(&self, raw: &'t str) -> Outcome<&'t str> {
        match self.style {
            Style::Matrix => self.named(raw.strip_prefix(';').ok_or(NotInStyle)?),
            Style::Label => raw.strip_prefix('.').ok_or(NotInStyle),
            Style::Simple | Style::Form | Style::Cookie => Ok(raw),
            Style::SpaceDelimited | Style::PipeDelimited | Style::DeepObject => Err(NotInStyle),
        }
    }

    /// The texts of the items of a list.
    pub(crate) fn list<'t>(&self, raw: &'t str) -> Outcome<Vec<&'t str>> {
        Ok(match (self.style, self.explode) {
            (Style::Matrix, false) => self.items(self.named(raw.strip_prefix(';').ok_or(NotInStyle)?)?),
            (Style::Matrix, true) => {
                let items = raw.strip_prefix(';').ok_or(NotInStyle)?.split(';');
                return items.map(|item| self.named(item)).collect();
            }
            (Style::Label, false) => self.items(raw.strip_prefix('.').ok_or(NotInStyle)?),
            (Style::Label, true) => raw.strip_prefix('.').ok_or(NotInStyle)?.split('.').collect(),
            // Each item of an exploded one is a cookie.
            (Style::Simple | Style::Cookie, _) | (Style::Form, false) => self.items(raw),
            // In one text, as in a cookie: `a&name=b`.
            (Style::Form, true) => {
                let mut items = raw.split('&');
                let first = items.next().ok_or(NotInStyle)?;
                let rest = items.map(|item| self.named(item));
                return std::iter::once(Ok(first)).chain(rest).collect();
            }
            (Style::SpaceDelimited, _) => split_any(raw, &["%20", "+"]),
            (Style::PipeDelimited, _) => split_any(raw, &["|", "%7C", "%7c"]),
            (Style::DeepObject, _) => return Err(NotInStyle),
        })
    }

    /// The names and texts of the members of an object.
    pub(crate) fn members<'t>(&self, raw: &'t str) -> Outcome<Vec<(&'t str, &'t str)>> {
        match (self.style, self.explode) {
            (Style::Matrix, true) => assignments(raw.strip_prefix(';').ok_or(NotInStyle)?.split(';')),
            (Style::Label, true) => assignments(raw.strip_prefix('.').ok_or(NotInStyle)?.split('.')),
            (Style::Simple, true) => assignments(self.items(raw).into_iter()),
            (Style::Matrix | Style::Label | Style::Simple, false)
            | (Style::Form | Style::SpaceDelimited | Style::PipeDelimited | Style::Cookie, _) => {
                pairs(&self.list(raw)?)
            }
            (Style::DeepObject, _) => Err(NotInStyle),
        }
    }

    fn items<'t>(&self, raw: &'t str) -> Vec<&'t str> {
        match self.commas {
            Commas::AsTheyAre => raw.split(',').collect(),
            Commas::Encoded => split_any(raw, &[",", "%2C", "%2c"]),
        }
    }

    /// `name=value`, or `name` alone for an empty value.
    fn named<'t>(&self, text: &'t str) -> Outcome<&'t str> {
        match text.strip_prefix(self.name).ok_or(NotInStyle)? {
            "" => Ok(""),
            rest => rest.strip_prefix('=').ok_or(NotInStyle),
        }
    }
}

fn assignments<'t>(items: impl Iterator<Item = &'t str>) -> Outcome<Vec<(&'t str, &'t str)>> {
    items.map(|item| item.split_once('=').ok_or(NotInStyle)).collect()
}

/// `R,100,G,200`: a name without its value is not in the style.
fn pairs<'t>(items: &[&'t str]) -> Outcome<Vec<(&'t str, &'t str)>> {
    let chunks = items.chunks(2);
    chunks
        .map(|chunk| match chunk {
            [name, value] => Ok((*name, *value)),
            _ => Err(NotInStyle),
        })
        .collect()
}

fn split_any<'t>(raw: &'t str, separators: &[&str]) -> Vec<&'t str> {
    let mut items = Vec::new();
    let mut rest = raw;
    loop {
        let found =
            separators.iter().filter_map(|separator| Some((rest.find(separator)?, separator.len()))).min();
        let Some((at, length)) = found else {
            items.push(rest);
            return items;
        };
        items.push(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + length..).unwrap_or_default();
    }
}
