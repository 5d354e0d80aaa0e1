//! The types of expressions, as far as they are known before a request.

use std::fmt;

/// The type of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only known when a request is there. What is read from it is of this type again.
    Dyn,
    /// `null`.
    Null,
    /// True or false.
    Bool,
    /// A signed number of 64 bits.
    Int,
    /// An unsigned number of 64 bits.
    Uint,
    /// A floating-point number.
    Double,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// A point in time.
    Timestamp,
    /// A length of time.
    Duration,
    /// A type, such as `string`.
    Type,
    /// A list of such elements.
    List(Box<Kind>),
    /// A map with such values.
    Map(Box<Kind>),
    /// A map with these members and no others.
    Record(&'static [(&'static str, Kind)]),
}

impl Kind {
    /// A list of such elements.
    pub fn list(of: Kind) -> Kind {
        Kind::List(Box::new(of))
    }

    /// A map of such values.
    pub fn map(of: Kind) -> Kind {
        Kind::Map(Box::new(of))
    }

    /// Whether a value of this type could be one of that type.
    pub fn may_be(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Dyn, _) | (_, Kind::Dyn) => true,
            (Kind::List(one), Kind::List(other)) | (Kind::Map(one), Kind::Map(other)) => one.may_be(other),
            (Kind::Map(_), Kind::Record(_)) | (Kind::Record(_), Kind::Map(_)) => true,
            (one, other) => one == other,
        }
    }

    /// Whether it may be a number.
    pub fn may_be_number(&self) -> bool {
        matches!(self, Kind::Dyn | Kind::Int | Kind::Uint | Kind::Double)
    }

    /// Whether two such values can be equal: numbers of any type can.
    pub fn comparable(&self, other: &Kind) -> bool {
        self.may_be(other)
            || (self.may_be_number() && other.may_be_number())
            // Something may be null.
            || *self == Kind::Null
            || *other == Kind::Null
    }

    /// The type of a value that has one of both.
    pub fn or(self, other: &Kind) -> Kind {
        if self == *other { self } else { Kind::Dyn }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Dyn => f.write_str("dyn"),
            Kind::Null => f.write_str("null"),
            Kind::Bool => f.write_str("bool"),
            Kind::Int => f.write_str("int"),
            Kind::Uint => f.write_str("uint"),
            Kind::Double => f.write_str("double"),
            Kind::Text => f.write_str("string"),
            Kind::Bytes => f.write_str("bytes"),
            Kind::Timestamp => f.write_str("timestamp"),
            Kind::Duration => f.write_str("duration"),
            Kind::Type => f.write_str("type"),
            Kind::List(of) => write!(f, "list of {of}"),
            Kind::Map(of) => write!(f, "map of {of}"),
            Kind::Record(_) => f.write_str("map"),
        }
    }
}
