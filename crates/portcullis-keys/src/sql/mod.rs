//! One small language for two databases.
//!
//! What the store says is written once, in SQL that SQLite and PostgreSQL both understand, with `$1`, `$2` and so on in the
//! order of their first use. A driver runs it; a value never becomes a part of a statement's text.

pub(crate) mod postgres;
pub(crate) mod sqlite;
mod tls;

use crate::fault::StoreError;
use std::fmt;
use std::time::Duration;

/// A value that goes into a statement or comes out of a row.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

// A value may be a hash, or a note that somebody wrote.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(•••)")
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// A row of an answer.
pub(crate) struct Row(pub(crate) std::vec::IntoIter<Value>);

impl Row {
    fn next(&mut self) -> Result<Value, StoreError> {
        self.0.next().ok_or_else(|| StoreError::unusable("a row of the store has too few columns"))
    }

    pub(crate) fn number(&mut self) -> Result<u64, StoreError> {
        self.optional_number()?.ok_or_else(Row::wrong)
    }

    pub(crate) fn optional_number(&mut self) -> Result<Option<u64>, StoreError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Integer(number) => u64::try_from(number).map(Some).map_err(|_| Row::wrong()),
            Value::Text(_) | Value::Bytes(_) => Err(Row::wrong()),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        self.optional_text()?.ok_or_else(Row::wrong)
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            Value::Integer(_) | Value::Bytes(_) => Err(Row::wrong()),
        }
    }

    pub(crate) fn hash(&mut self) -> Result<[u8; 32], StoreError> {
        match self.next()? {
            Value::Bytes(bytes) => bytes.try_into().map_err(|_| Row::wrong()),
            Value::Null | Value::Text(_) | Value::Integer(_) => Err(Row::wrong()),
        }
    }

    pub(crate) fn wrong() -> StoreError {
        StoreError::unusable("a row of the store holds something else than it should")
    }
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reading, all of one moment.
    Read,
    /// Changing; one at a time.
    Write,
}

/// Called with each row of an answer.
pub(crate) type EachRow<'a> = dyn FnMut(Row) -> Result<(), StoreError> + 'a;

/// A connection to a database.
pub(crate) trait Driver: Send {
    /// Begins a transaction.
    fn begin(&mut self, purpose: Purpose) -> Result<(), StoreError>;

    /// Ends it, and keeps what was changed. When it returns, the change is on disk.
    fn commit(&mut self) -> Result<(), StoreError>;

    /// Ends it, and keeps nothing.
    fn roll_back(&mut self);

    /// Runs a statement; gives the number of rows that it changed.
    fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError>;

    /// Runs a query, and gives each row of its answer to `each`.
    fn query(&mut self, sql: &str, values: &[Value], each: &mut EachRow<'_>) -> Result<(), StoreError>;

    /// Runs several statements without values: a migration.
    fn script(&mut self, sql: &str) -> Result<(), StoreError>;

    /// Tells every gateway, as soon as the transaction is committed, that something has changed.
    fn notify(&mut self) -> Result<(), StoreError>;

    /// Waits for `most` at most. Whether something may have changed.
    fn wait(&mut self, most: Duration) -> Result<bool, StoreError>;

    /// What it is, for people. Holds no secret.
    fn name(&self) -> String;
}
