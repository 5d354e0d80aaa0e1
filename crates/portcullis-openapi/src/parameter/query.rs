//! A query, or a body of the same form: pairs in their order, and which of them somebody has asked for.

use crate::percent::{Plus, decode};

/// The word for more pairs than are read.
pub(crate) const TOO_MANY: &str = "too_many";

/// The pairs of a query.
pub(crate) struct Query<'a> {
    pub(crate) pairs: Vec<Pair<'a>>,
}

/// One pair. The value is split before it is decoded, so it is kept as it came.
pub(crate) struct Pair<'a> {
    pub(crate) name: String,
    /// `None` where there is no `=`.
    pub(crate) raw: Option<&'a str>,
    /// Whether a declared parameter owns it.
    pub(crate) claimed: bool,
}

impl<'a> Query<'a> {
    /// Takes a query apart.
    ///
    /// # Errors
    /// A word for what is wrong: a name that cannot be decoded, or more pairs than `most`.
    pub(crate) fn parse(raw: &'a str, most: usize) -> Result<Self, &'static str> {
        let mut pairs = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() >= most {
                return Err(TOO_MANY);
            }
            let (name, raw) = match pair.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (pair, None),
            };
            let name = decode(name, Plus::Space).ok_or("percent_encoding")?;
            pairs.push(Pair { name, raw, claimed: false });
        }
        Ok(Query { pairs })
    }

    /// Every pair of this name, which are owned from now on.
    pub(crate) fn claim(&mut self, name: &str) -> Vec<Option<&'a str>> {
        let mine = self.pairs.iter_mut().filter(|pair| pair.name == name);
        mine.map(|pair| {
            pair.claimed = true;
            pair.raw
        })
        .collect()
    }

    /// The pairs that nobody has asked for.
    pub(crate) fn unclaimed(&mut self) -> impl Iterator<Item = &mut Pair<'a>> {
        self.pairs.iter_mut().filter(|pair| !pair.claimed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever has one reading here has the same one elsewhere.
        #[test]
        fn another_reader_finds_the_same_pairs(raw in "([a-c]|%[0-9A-Fa-f]{2}|[+&=;%]|\\PC){0,30}") {
            let Ok(query) = Query::parse(&raw, 1000) else { return Ok(()) };
            let ours: Option<Vec<(String, String)>> = query
                .pairs
                .iter()
                .map(|pair| Some((pair.name.clone(), decode(pair.raw.unwrap_or_default(), Plus::Space)?)))
                .collect();
            let theirs: Vec<(String, String)> = form_urlencoded::parse(raw.as_bytes()).into_owned().collect();
            if let Some(ours) = ours
                && !has_stray_percent(&raw)
            {
                prop_assert_eq!(ours, theirs);
            }
        }
    }

    /// Half an escape is refused here, and taken literally elsewhere.
    fn has_stray_percent(raw: &str) -> bool {
        decode(raw, Plus::Literal).is_none()
    }
}
