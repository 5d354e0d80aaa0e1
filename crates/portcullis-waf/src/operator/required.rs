//! What a value must have for an expression to match: one of a few texts, bytes of some sets, a length.
//!
//! All of it is necessary and none of it sufficient, so that a value without it can be passed over and no verdict
//! changes. Texts are compared without regard to ASCII case, which only lets more through to the expression.

use super::validate::ByteSet;
use regex_syntax::hir::{Class, Hir, HirKind};

/// The most texts of which one must be there.
const MOST_TEXTS: usize = 400;
/// The most texts that are kept exactly while a sequence is read.
const MOST_EXACT: usize = 48;
/// A text longer than this is cut: its beginning is as necessary.
const LONGEST: usize = 24;

/// What is necessary for a match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Required {
    /// One of these texts, in lower case, each of at least two bytes. Empty: nothing is known.
    pub(crate) texts: Vec<Vec<u8>>,
    /// A byte of each of these sets.
    pub(crate) sets: Vec<ByteSet>,
    /// At least so many bytes.
    pub(crate) length: usize,
}

#[derive(Default)]
struct Known {
    /// The texts that match, if they are few.
    exact: Option<Vec<Vec<u8>>>,
    /// Texts of which each match has one.
    one_of: Option<Vec<Vec<u8>>>,
    sets: Vec<ByteSet>,
}

impl Required {
    pub(super) fn of(hir: &Hir) -> Self {
        let known = known(hir);
        let mut texts = best(known.exact.clone(), known.one_of).unwrap_or_default();
        if texts.iter().any(|text| text.len() < 2) || texts.len() > MOST_TEXTS {
            texts.clear();
        }
        let mut sets = known.sets;
        sets.extend(set_of(known.exact.as_deref()));
        sets.sort_by_key(ByteSet::len);
        sets.dedup();
        sets.truncate(3);
        Self { texts, sets, length: hir.properties().minimum_len().unwrap_or(0) }
    }
}

/// The better of two alternatives: that whose shortest text is longest.
fn best(one: Option<Vec<Vec<u8>>>, two: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    let worth = |texts: &Vec<Vec<u8>>| {
        let shortest = texts.iter().map(Vec::len).min().unwrap_or(0);
        // Two bytes are common; beyond six, being few counts more.
        (shortest.min(6), usize::MAX - texts.len())
    };
    let usable = |texts: &Vec<Vec<u8>>| !texts.is_empty() && texts.iter().all(|text| !text.is_empty());
    [one, two].into_iter().flatten().filter(usable).max_by_key(worth)
}

/// Texts of one byte make a set.
fn set_of(exact: Option<&[Vec<u8>]>) -> Option<ByteSet> {
    let texts = exact.filter(|texts| !texts.is_empty() && texts.iter().all(|text| !text.is_empty()))?;
    let mut set = ByteSet::default();
    for text in texts {
        // Of a longer text, its rarest byte: one that is no letter, if there is one.
        let byte = text.iter().find(|byte| !byte.is_ascii_alphanumeric()).or(text.first())?;
        set.insert(byte.to_ascii_lowercase());
        set.insert(byte.to_ascii_uppercase());
    }
    (set.len() <= 128).then_some(set)
}

fn known(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known { exact: Some(vec![Vec::new()]), ..Known::default() },
        HirKind::Literal(literal) => {
            let text = literal.0.iter().take(LONGEST).map(u8::to_ascii_lowercase).collect();
            if literal.0.len() > LONGEST {
                Known { one_of: Some(vec![text]), ..Known::default() }
            } else {
                Known { exact: Some(vec![text]), ..Known::default() }
            }
        }
        HirKind::Class(class) => of_class(class),
        HirKind::Repetition(repetition) => {
            let inner = known(&repetition.sub);
            match (repetition.min, repetition.max) {
                (1, Some(1)) => inner,
                (0, Some(1)) => Known {
                    exact: inner.exact.map(|mut texts| {
                        texts.push(Vec::new());
                        texts
                    }),
                    ..Known::default()
                },
                (0, _) => Known::default(),
                _ => {
                    let mut sets = inner.sets;
                    sets.extend(set_of(inner.exact.as_deref()));
                    Known { exact: None, one_of: best(inner.exact, inner.one_of), sets }
                }
            }
        }
        HirKind::Capture(capture) => known(&capture.sub),
        HirKind::Concat(parts) => of_concat(parts),
        HirKind::Alternation(parts) => of_alternation(parts),
    }
}

fn of_class(class: &Class) -> Known {
    let Class::Bytes(class) = class else { return Known::default() };
    let mut set = ByteSet::default();
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for range in class.ranges() {
        for byte in range.start()..=range.end() {
            set.insert(byte);
            texts.push(vec![byte.to_ascii_lowercase()]);
        }
    }
    texts.sort();
    texts.dedup();
    if texts.len() <= 8 {
        return Known { exact: Some(texts), one_of: None, sets: vec![set] };
    }
    Known { exact: None, one_of: None, sets: if set.len() <= 128 { vec![set] } else { Vec::new() } }
}

fn of_concat(parts: &[Hir]) -> Known {
    let mut all_exact = true;
    let mut run: Vec<Vec<u8>> = vec![Vec::new()];
    let mut one_of: Option<Vec<Vec<u8>>> = None;
    let mut sets: Vec<ByteSet> = Vec::new();
    for part in parts {
        let part = known(part);
        sets.extend(part.sets);
        one_of = best(one_of, part.one_of);
        let product = part.exact.as_ref().and_then(|texts| product(&run, texts));
        match (product, part.exact) {
            (Some(longer), _) => run = longer,
            (None, exact) => {
                all_exact = false;
                sets.extend(set_of(Some(&run)));
                one_of = best(one_of, Some(std::mem::take(&mut run)));
                run = exact.unwrap_or_else(|| vec![Vec::new()]);
            }
        }
    }
    if all_exact {
        return Known { exact: Some(run), one_of, sets };
    }
    sets.extend(set_of(Some(&run)));
    Known { exact: None, one_of: best(one_of, Some(run)), sets }
}

/// Every text of `one` followed by every text of `two`, if they are few and short.
fn product(one: &[Vec<u8>], two: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let longest = |texts: &[Vec<u8>]| texts.iter().map(Vec::len).max().unwrap_or(0);
    if one.len() * two.len() > MOST_EXACT || longest(one) + longest(two) > LONGEST {
        return None;
    }
    let mut texts: Vec<Vec<u8>> = one
        .iter()
        .flat_map(|first| two.iter().map(move |second| [first.as_slice(), second].concat()))
        .collect();
    texts.sort();
    texts.dedup();
    Some(texts)
}

fn of_alternation(parts: &[Hir]) -> Known {
    let mut exact: Option<Vec<Vec<u8>>> = Some(Vec::new());
    let mut one_of: Option<Vec<Vec<u8>>> = Some(Vec::new());
    let mut set: Option<ByteSet> = Some(ByteSet::default());
    for part in parts {
        let part = known(part);
        let mut sets = part.sets;
        sets.extend(set_of(part.exact.as_deref()));
        let smallest = sets.into_iter().min_by_key(ByteSet::len);
        set = set.zip(smallest).map(|(one, two)| one.union(&two));
        let necessary = best(part.exact.clone(), part.one_of);
        one_of =
            one_of.zip(necessary).map(|(one, two)| [one, two].concat()).filter(|t| t.len() <= MOST_TEXTS);
        exact = exact.zip(part.exact).map(|(one, two)| [one, two].concat()).filter(|t| t.len() <= MOST_EXACT);
    }
    Known { exact, one_of, sets: set.filter(|set| set.len() <= 128).into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::Pattern;

    fn texts(pattern: &str) -> Vec<String> {
        let pattern = Pattern::shared(pattern.as_bytes()).unwrap();
        pattern.required().texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }

    #[test]
    fn necessary_texts_are_found() {
        assert_eq!(texts("(?i)union\\s+select"), ["select"]);
        assert_eq!(texts("(?i)<script[^>]*>"), ["<script"]);
        assert_eq!(texts("(?:eval|exec)\\("), ["eval(", "exec("]);
        assert!(texts("[a-z]+\\d").is_empty());
        assert_eq!(texts("x(?:foo|bar)?y+ok"), ["ok"]);
    }
}
