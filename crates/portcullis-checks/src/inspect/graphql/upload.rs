//! Files in GraphQL: a form whose first part asks for operations, whose second part says where the files belong, and whose other
//! parts are the files (GraphQL multipart request specification).
//!
//! The operations are judged like a body in JSON; the files are not looked into. What is in another order, is named twice, or would put
//! a file anywhere but into the variables is refused. Needs nothing that could fail.

use super::lexer::Flaw;
use crate::json::{self, Unread};
use portcullis_core::Claim;
use portcullis_openapi::{Limits, Memory, form_parts};
use std::collections::BTreeSet;

/// The operations that a form asks for, as JSON.
pub(super) fn operations(content_type: &str, body: &[u8], memory: &dyn Memory) -> Result<Claim, Flaw> {
    const ORDER: Flaw = Flaw::Malformed("a form with files has `operations`, then `map`, then the files");
    let parts = form_parts(content_type, body, &Limits::default())
        .map_err(|_| Flaw::Malformed("the form is not as forms with files are"))?;
    let mut parts = parts.into_iter();
    let mut text_of = |wanted: &str| match parts.next() {
        Some(part) if part.name == wanted && !part.is_file => Ok(part.body),
        Some(_) | None => Err(ORDER),
    };
    let (operations, map) = (text_of("operations")?, text_of("map")?);
    let Claim::Object(places) = read(map, memory)? else {
        return Err(Flaw::Malformed("`map` is an object of lists"));
    };
    let mut named = BTreeSet::new();
    for (name, value) in places {
        // SECURITY: a file in the place of `query` would be another document than was judged (a_file_stands_in_a_variable).
        let is_place = |place: &Claim| matches!(place, Claim::Text(place) if is_variable(place));
        if !matches!(&value, Claim::List(list) if !list.is_empty() && list.iter().all(is_place)) {
            return Err(Flaw::Malformed("`map` puts a file elsewhere than into a variable"));
        }
        named.insert(name);
    }
    // SECURITY: a second `operations` behind the files would be taken by servers that take the last (a_form_has_one_reading).
    for part in parts {
        if !named.remove(&part.name) {
            return Err(Flaw::Malformed("a part of the form is not in `map`, or stands there twice"));
        }
    }
    if !named.is_empty() {
        return Err(Flaw::Malformed("a file that `map` names is not there"));
    }
    read(operations, memory)
}

fn read(bytes: &[u8], memory: &dyn Memory) -> Result<Claim, Flaw> {
    json::read_within(bytes, super::request::BOUNDS, memory).map_err(|unread| match unread {
        Unread::NoMemory => Flaw::NoMemory,
        Unread::Malformed(_) => Flaw::Malformed("a part of the form is not JSON"),
    })
}

/// Whether a place is in the variables of an operation: `variables.file`, or `0.variables.files.1` of a batch.
fn is_variable(place: &str) -> bool {
    let place = match place.split_once('.') {
        Some((index, rest)) if !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        Some(_) | None => place,
    };
    place.strip_prefix("variables.").is_some_and(|rest| !rest.is_empty())
}
