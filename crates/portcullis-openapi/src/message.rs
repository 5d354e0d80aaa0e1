//! What is judged, as it came: nothing is decoded yet.

/// The header fields of a message.
pub trait Fields {
    /// Calls `each` with every value of the field of this name (lower case), in order.
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8]));

    /// Calls `each` with the name of every field, in any case.
    fn names(&self, each: &mut dyn FnMut(&str));
}

impl Fields for http::HeaderMap {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.get_all(name).iter().for_each(|value| each(value.as_bytes()));
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        self.keys().for_each(|name| each(name.as_str()));
    }
}

impl Fields for [(&str, &str)] {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let mine = self.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        mine.for_each(|(_, value)| each(value.as_bytes()));
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        self.iter().for_each(|(name, _)| each(name));
    }
}

/// A request, apart from what chose its operation.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    /// The query without its `?`, still encoded. `None` where there is no `?`.
    pub query: Option<&'a str>,
    /// The header fields.
    pub fields: &'a dyn Fields,
    /// The body as it came, compressed or not; empty where there is none.
    pub body: &'a [u8],
}

/// Every value of a field, copied. `None` where one of them is not UTF-8.
pub(crate) fn texts(fields: &dyn Fields, name: &str) -> Option<Vec<String>> {
    let mut texts = Some(Vec::new());
    fields.values(name, &mut |value| match (&mut texts, std::str::from_utf8(value)) {
        (Some(list), Ok(text)) => list.push(text.to_owned()),
        (Some(_), Err(_)) => texts = None,
        (None, _) => {}
    });
    texts
}
