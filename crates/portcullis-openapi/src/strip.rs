//! Members that only the server may set, removed from a request's JSON instead of refused (`readOnly`).
//!
//! They are removed where the schema refuses them by name. Within alternatives (`oneOf`, `anyOf`, `not`) it cannot be said which alternative
//! was meant, so a member there stays, and is refused. A number that would be rounded when it is written anew keeps the body as it is.

use serde_json::Value;

use crate::body::{Contents, Format, decoded};
use crate::json::{Document, Fault};
use crate::limits::Limits;
use crate::memory::Memory;
use crate::message::Fields;

/// How often members are removed, since one may hide another.
const MOST_ROUNDS: usize = 4;

fn take(memory: &dyn Memory, bytes: usize) -> Result<(), Fault> {
    if memory.take(bytes) { Ok(()) } else { Err(Fault::Memory) }
}

/// The body without these members, and without its content coding. `None` where there is none of them, or the body is no JSON.
pub(crate) fn without_read_only(
    contents: &Contents,
    fields: &dyn Fields,
    body: &[u8],
    limits: &Limits,
    memory: &dyn Memory,
) -> Result<Option<Vec<u8>>, Fault> {
    let Ok((content, media_type)) = contents.select(fields) else { return Ok(None) };
    let is_json = content.format(&media_type) == Format::Json;
    let Some(checker) = content.checker.as_ref().filter(|_| is_json) else { return Ok(None) };
    let Ok(unpacked) = decoded(fields, body, limits) else { return Ok(None) };
    take(memory, unpacked.as_ref().map_or(0, Vec::capacity))?;
    let body = unpacked.as_deref().unwrap_or(body);
    // What is written anew must not be rounded.
    let limits = &Limits { strict_numbers: true, ..*limits };
    let mut value = match Document::read(body, limits, memory) {
        Ok(document) => {
            take(memory, document.tree_bytes())?;
            document.to_value()
        }
        Err(Fault::Memory) => return Err(Fault::Memory),
        Err(_) => return Ok(None),
    };
    let mut removed = false;
    for _ in 0..MOST_ROUNDS {
        let Ok(document) = Document::of(&value) else { return Ok(None) };
        let hidden = checker.hidden(&document);
        if hidden.is_empty() {
            break;
        }
        for pointer in &hidden {
            removed |= remove(&mut value, pointer);
        }
    }
    if !removed {
        return Ok(None);
    }
    take(memory, body.len())?;
    Ok(serde_json::to_vec(&value).ok())
}

/// Removes the member at a JSON Pointer. Whether it was there.
fn remove(value: &mut Value, pointer: &str) -> bool {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return false };
    let name = name.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent) {
        Some(Value::Object(members)) => members.remove(&name).is_some(),
        Some(_) | None => false,
    }
}
