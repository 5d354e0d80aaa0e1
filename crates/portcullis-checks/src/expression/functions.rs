//! The functions that an expression can call. What is not here is refused at load.

use super::kind::Kind;

/// A function.
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments; the first is the value that it is called on, if it is called on one.
    pub arguments: &'static [Argument],
    /// Whether it is called on a value, such as `text.size()`.
    pub on_value: bool,
    /// The type of its value.
    pub value: Kind,
}

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Any value.
    Any,
    /// A number.
    Number,
    /// Text.
    Text,
    /// Text, bytes, a list or a map.
    Sized,
    /// Text that stands in the expression itself: a regular expression, which is compiled at load.
    Pattern,
    /// A point in time.
    Timestamp,
    /// A point in time, or a length of it.
    Time,
}

impl Argument {
    /// Whether a value of this type may be given.
    pub fn takes(self, kind: &Kind) -> bool {
        match self {
            Argument::Any => true,
            Argument::Number => kind.may_be_number(),
            Argument::Text | Argument::Pattern => kind.may_be(&Kind::Text),
            Argument::Sized => matches!(
                kind,
                Kind::Dyn | Kind::Text | Kind::Bytes | Kind::List(_) | Kind::Map(_) | Kind::Record(_)
            ),
            Argument::Timestamp => kind.may_be(&Kind::Timestamp),
            Argument::Time => kind.may_be(&Kind::Timestamp) || kind.may_be(&Kind::Duration),
        }
    }
}

const fn function(
    name: &'static str,
    on_value: bool,
    arguments: &'static [Argument],
    value: Kind,
) -> Function {
    Function { name, arguments, on_value, value }
}

/// All of them.
pub static FUNCTIONS: &[Function] = &[
    function("size", false, &[Argument::Sized], Kind::Int),
    function("size", true, &[Argument::Sized], Kind::Int),
    function("contains", true, &[Argument::Text, Argument::Text], Kind::Bool),
    function("startsWith", true, &[Argument::Text, Argument::Text], Kind::Bool),
    function("endsWith", true, &[Argument::Text, Argument::Text], Kind::Bool),
    function("matches", true, &[Argument::Text, Argument::Pattern], Kind::Bool),
    function("matches", false, &[Argument::Text, Argument::Pattern], Kind::Bool),
    function("bool", false, &[Argument::Any], Kind::Bool),
    function("int", false, &[Argument::Any], Kind::Int),
    function("uint", false, &[Argument::Any], Kind::Uint),
    function("double", false, &[Argument::Any], Kind::Double),
    function("string", false, &[Argument::Any], Kind::Text),
    function("bytes", false, &[Argument::Any], Kind::Bytes),
    function("dyn", false, &[Argument::Any], Kind::Dyn),
    function("type", false, &[Argument::Any], Kind::Type),
    function("timestamp", false, &[Argument::Any], Kind::Timestamp),
    function("duration", false, &[Argument::Any], Kind::Duration),
    function("getFullYear", true, &[Argument::Timestamp], Kind::Int),
    function("getFullYear", true, &[Argument::Timestamp, Argument::Text], Kind::Int),
    function("getMonth", true, &[Argument::Timestamp], Kind::Int),
    function("getMonth", true, &[Argument::Timestamp, Argument::Text], Kind::Int),
    function("getDate", true, &[Argument::Timestamp], Kind::Int),
    function("getDate", true, &[Argument::Timestamp, Argument::Text], Kind::Int),
    function("getDayOfMonth", true, &[Argument::Timestamp], Kind::Int),
    function("getDayOfMonth", true, &[Argument::Timestamp, Argument::Text], Kind::Int),
    function("getDayOfWeek", true, &[Argument::Timestamp], Kind::Int),
    function("getDayOfWeek", true, &[Argument::Timestamp, Argument::Text], Kind::Int),
    function("getDayOfYear", true, &[Argument::Timestamp], Kind::Int),
    function("getDayOfYear", true, &[Argument::Timestamp, Argument::Text], Kind::Int),
    function("getHours", true, &[Argument::Time], Kind::Int),
    function("getHours", true, &[Argument::Timestamp, Argument::Text], Kind::Int),
    function("getMinutes", true, &[Argument::Time], Kind::Int),
    function("getMinutes", true, &[Argument::Timestamp, Argument::Text], Kind::Int),
    function("getSeconds", true, &[Argument::Time], Kind::Int),
    function("getSeconds", true, &[Argument::Timestamp, Argument::Text], Kind::Int),
    function("getMilliseconds", true, &[Argument::Time], Kind::Int),
    function("getMilliseconds", true, &[Argument::Timestamp, Argument::Text], Kind::Int),
];
