//! `style: deepObject`: `filter[a][b]=1`, and lists in it, as clients write them: `ids[]=1`, `ids[0]=1`, or the same name again.
//!
//! OpenAPI leaves everything but one level of members undefined. The schema says whether a name in brackets is a member or the
//! index of an item. What could be read in two ways is refused: a value beside members, an index beside `[]`, and indexes that
//! leave one out.

use super::query::Query;
use super::value::choice;
use crate::json::Datum;
use crate::percent::{Plus, decode};
use crate::schema::{Additional, Shape, Types};

/// How many brackets may follow one another.
const DEEPEST: usize = 16;

/// What stands under one name.
#[derive(Debug)]
enum Tree {
    Texts(Vec<String>),
    Members(Vec<(String, Tree)>),
}

/// Takes what stands under a name out of a query: every pair with brackets after it. `None`: there is nothing.
///
/// # Errors
/// A word for what is wrong.
pub(crate) fn claim<'d>(
    query: &mut Query<'_>,
    name: &str,
    shape: &Shape,
) -> Result<Option<Datum<'d>>, &'static str> {
    let mut tree: Option<Tree> = None;
    for pair in query.unclaimed() {
        let Some(path) = pair.name.strip_prefix(name).and_then(brackets) else { continue };
        pair.claimed = true;
        if path.len() > DEEPEST {
            return Err("depth");
        }
        let text = decode(pair.raw.ok_or("empty")?, Plus::Space).ok_or("percent_encoding")?;
        tree.get_or_insert_with(|| Tree::Members(Vec::new())).insert(&path, text)?;
    }
    if let Some(tree) = tree {
        return tree.datum(Some(shape)).map(Some);
    }
    // Where the schema allows a text as well, it stands under the name alone: `metadata=` empties an object.
    if !shape.types.may_be_plain() || shape.types == Types::ALL {
        return Ok(None);
    }
    match query.claim(name).as_slice() {
        [] => Ok(None),
        [Some(raw)] => {
            let text = decode(raw, Plus::Space).ok_or("percent_encoding")?;
            choice(text.into(), shape.types).map(Some)
        }
        [None] => Err("empty"),
        _ => Err("repeated"),
    }
}

/// The names in brackets of `[a][b][]`. `None`: it is something else.
fn brackets(text: &str) -> Option<Vec<&str>> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let names: Vec<&str> = inner.split("][").collect();
    names.iter().all(|name| !name.contains(['[', ']'])).then_some(names)
}

impl Tree {
    fn insert(&mut self, path: &[&str], text: String) -> Result<(), &'static str> {
        let (Tree::Members(members), [first, rest @ ..]) = (self, path) else { return Err("style") };
        let at = members.iter().position(|(known, _)| known == first);
        match (at.and_then(|at| members.get_mut(at)), rest) {
            (None, []) => members.push(((*first).to_owned(), Tree::Texts(vec![text]))),
            (None, rest) => {
                let mut below = Tree::Members(Vec::new());
                below.insert(rest, text)?;
                members.push(((*first).to_owned(), below));
            }
            (Some((_, Tree::Texts(texts))), []) => texts.push(text),
            (Some((_, below @ Tree::Members(_))), rest @ [_, ..]) => below.insert(rest, text)?,
            // A value beside members.
            (Some(_), _) => return Err("style"),
        }
        Ok(())
    }

    fn datum<'d>(self, shape: Option<&Shape>) -> Result<Datum<'d>, &'static str> {
        let types = shape.map_or(Types::ALL, |shape| shape.types);
        let items = shape.and_then(|shape| shape.items.as_deref());
        let list = |trees: Vec<Tree>| {
            trees.into_iter().map(|tree| tree.datum(items)).collect::<Result<_, _>>().map(Datum::List)
        };
        match self {
            Tree::Texts(texts) if types.may_be_array() && !(texts.len() == 1 && types.may_be_plain()) => {
                list(texts.into_iter().map(|text| Tree::Texts(vec![text])).collect())
            }
            Tree::Texts(mut texts) => match (texts.pop(), texts.is_empty()) {
                (Some(text), true) => choice(text.into(), types),
                (_, _) => Err("repeated"),
            },
            Tree::Members(members) if types == Types::ALL || types.may_be_array() => match indexed(members) {
                Ok(trees) => list(trees),
                Err(members) if types == Types::ALL || types.may_be_object() => object(members, shape),
                Err(_) => Err("style"),
            },
            Tree::Members(members) if types.may_be_object() => object(members, shape),
            Tree::Members(_) => Err("style"),
        }
    }
}

fn object<'d>(members: Vec<(String, Tree)>, shape: Option<&Shape>) -> Result<Datum<'d>, &'static str> {
    let members = members.into_iter().map(|(name, tree)| {
        if name.is_empty() {
            return Err("style");
        }
        let datum = tree.datum(shape.and_then(|shape| member(shape, &name)))?;
        Ok((name, datum))
    });
    members.collect::<Result<_, _>>().map(Datum::Members)
}

fn member<'s>(shape: &'s Shape, name: &str) -> Option<&'s Shape> {
    shape.properties.get(name).or(match &shape.additional {
        Additional::Of(shape) => Some(&**shape),
        Additional::Unsaid | Additional::Nothing => None,
    })
}

/// The items of a list: all under `[]`, or each under its index, from 0 and without a gap. `Err`: it is no list.
fn indexed(members: Vec<(String, Tree)>) -> Result<Vec<Tree>, Vec<(String, Tree)>> {
    let is_pushed = matches!(members.as_slice(), [(name, _)] if name.is_empty());
    if is_pushed {
        return Ok(members
            .into_iter()
            .flat_map(|(_, tree)| match tree {
                Tree::Texts(texts) => texts.into_iter().map(|text| Tree::Texts(vec![text])).collect(),
                below @ Tree::Members(_) => vec![below],
            })
            .collect());
    }
    let index = |name: &str| {
        let is_index =
            name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
        name.parse::<usize>().ok().filter(|_| is_index)
    };
    let mut order: Vec<Option<usize>> = members.iter().map(|(name, _)| index(name)).collect();
    order.sort_unstable();
    if order.iter().enumerate().any(|(at, index)| *index != Some(at)) {
        return Err(members);
    }
    let mut trees: Vec<(Option<usize>, Tree)> =
        members.into_iter().map(|(name, tree)| (index(&name), tree)).collect();
    trees.sort_by_key(|(index, _)| *index);
    Ok(trees.into_iter().map(|(_, tree)| tree).collect())
}
