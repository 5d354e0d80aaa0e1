//! JSON with one reading (RFC 8259), within limits that hold while it is read.
//!
//! Two members of one name, `NaN`, bytes that are not UTF-8, half a surrogate pair, a byte order mark, anything after the
//! value, and a number beyond any double are refused, because the backend may read them otherwise than this reader did. Integers
//! of 64 bits and decimals of up to 17 significant digits are kept exactly. Others are rounded to a double, or refused where
//! [`Limits::strict_numbers`] says so.

use serde_json::Value;

use crate::limits::Limits;
use crate::memory::Memory;

mod budget;
mod datum;
mod document;
mod leaves;
mod node;
mod number;
mod reader;
mod string;

pub(crate) use datum::{Datum, Width, object};
pub use document::Document;
pub(crate) use document::Num;
pub(crate) use node::{FOUND, Flat, Look};
pub use number::number;
pub(crate) use number::rounded;

/// Why a text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not JSON.
    Syntax,
    /// It begins with a byte order mark.
    ByteOrderMark,
    /// Something follows the value.
    Trailing,
    /// It is not UTF-8.
    Encoding,
    /// Half of a surrogate pair.
    Surrogate,
    /// One object has two members of the same name.
    Duplicate,
    /// A number has more digits than can be held exactly, or is out of range.
    Inexact,
    /// It is nested too deep.
    Depth,
    /// An object has too many members.
    Members,
    /// An array has too many items.
    Items,
    /// A text is too long.
    StringLength,
    /// A member name is too long.
    NameLength,
    /// A number is too long.
    NumberLength,
    /// It holds too many values.
    Nodes,
    /// No memory is left for it. This is not the sender's fault.
    Memory,
}

impl Fault {
    /// A fixed word for the fault.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Fault::Syntax => "json.syntax",
            Fault::ByteOrderMark => "json.byte_order_mark",
            Fault::Trailing => "json.trailing",
            Fault::Encoding => "json.utf8",
            Fault::Surrogate => "json.surrogate",
            Fault::Duplicate => "json.duplicate_member",
            Fault::Inexact => "json.number_inexact",
            Fault::Depth => "json.depth",
            Fault::Members => "json.members",
            Fault::Items => "json.items",
            Fault::StringLength => "json.string_length",
            Fault::NameLength => "json.name_length",
            Fault::NumberLength => "json.number_length",
            Fault::Nodes => "json.nodes",
            Fault::Memory => "memory",
        }
    }
}

/// Reads the one value in `bytes`, as a tree.
///
/// # Errors
/// The first fault; the rest is not read.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Value, Fault> {
    Document::read(bytes, limits, &()).map(|document| document.to_value())
}

impl<'a> Document<'a> {
    /// Reads the one value in `bytes`, whose texts it borrows.
    ///
    /// # Errors
    /// The first fault; the rest is not read.
    pub fn read(bytes: &'a [u8], limits: &Limits, memory: &dyn Memory) -> Result<Self, Fault> {
        Self::read_at(bytes, limits, memory).map_err(|(fault, _)| fault)
    }

    /// The same, with the number of bytes before the fault.
    ///
    /// # Errors
    /// The first fault, and where it is.
    pub fn read_at(bytes: &'a [u8], limits: &Limits, memory: &dyn Memory) -> Result<Self, (Fault, usize)> {
        reader::read(bytes, limits, memory)
    }
}

#[cfg(test)]
mod tests;
