//! SQLite: a file, which is made when it is first used.
//!
//! Changes are in the write-ahead log, and that is on disk, before they are acknowledged (`journal_mode=WAL`,
//! `synchronous=FULL`), so they survive the process and the machine. Several processes can share a file on one machine; each
//! looks for changes of the others every 200 ms.

use super::{Driver, EachRow, Purpose, Row, Value};
use crate::fault::{ErrorKind, StoreError};
use crate::pepper::check_mode;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a file is looked at for changes of other processes.
const LOOK: Duration = Duration::from_millis(200);
/// How long a change waits for another one to end.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Sqlite {
    connection: Connection,
    path: PathBuf,
    /// Which file it is.
    inode: (u64, u64),
    /// The number that SQLite changes whenever another connection has changed the file.
    version: i64,
}

impl Sqlite {
    /// Opens the file; makes it if it is missing and `may_make` says so.
    pub(crate) fn open(path: &Path, may_make: bool) -> Result<Sqlite, StoreError> {
        if may_make {
            make(path)?;
        } else if !path.exists() {
            return Err(StoreError::new(ErrorKind::Unreachable, format!("{} is gone", path.display())));
        }
        let metadata = fs::metadata(path)
            .map_err(|error| StoreError::unusable(format!("cannot use {}: {error}", path.display())))?;
        // SECURITY: hashes are of use to who guesses, and who can write adds keys (a_file_that_others_can_read_is_refused).
        check_mode(path, &metadata)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| told(path, &error))?;
        let set = || -> rusqlite::Result<String> {
            connection.busy_timeout(PATIENCE)?;
            let mode = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
            connection.execute_batch(
                "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;",
            )?;
            Ok(mode)
        };
        let mode = set().map_err(|error| told(path, &error))?;
        if mode != "wal" {
            return Err(StoreError::unusable(format!(
                "{} has no write-ahead log: its mode is {mode}",
                path.display()
            )));
        }
        Ok(Sqlite { connection, path: path.to_owned(), inode: (metadata.dev(), metadata.ino()), version: -1 })
    }

    /// That the file under this name is still the one that is open: changes to another one would never be seen.
    // SECURITY: (a_file_that_was_replaced_is_opened_anew).
    fn is_there(&self) -> Result<(), StoreError> {
        if inode(&self.path).is_some_and(|inode| inode == self.inode) {
            return Ok(());
        }
        Err(StoreError::new(
            ErrorKind::Unreachable,
            format!("{} was removed or replaced", self.path.display()),
        ))
    }

    fn told(&self, error: &rusqlite::Error) -> StoreError {
        told(&self.path, error)
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Makes the file, readable by its owner alone, if it is missing. The files beside it get the same mode from SQLite.
fn make(path: &Path) -> Result<(), StoreError> {
    let cannot =
        |error: std::io::Error| StoreError::unusable(format!("cannot make {}: {error}", path.display()));
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        fs::create_dir_all(folder).map_err(cannot)?;
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(cannot)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot(error)),
    }
}

fn told(path: &Path, error: &rusqlite::Error) -> StoreError {
    let name = path.display();
    let kind = error.sqlite_error_code();
    match kind {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::new(ErrorKind::Unreachable, format!("{name} is busy: another process is changing it"))
        }
        Some(ErrorCode::ConstraintViolation) => StoreError::conflict("this is in the store already"),
        Some(ErrorCode::DiskFull) => StoreError::failed(format!("{name} cannot grow: the disk is full")),
        Some(ErrorCode::ReadOnly) => {
            StoreError::unusable(format!("{name} cannot be written: it is read-only"))
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::unusable(format!("{name} is not a whole SQLite database: {error}"))
        }
        Some(ErrorCode::SystemIoFailure) => StoreError::failed(format!("{name}: {error}")),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreError::unusable(format!("{name} cannot be opened: {error}"))
        }
        Some(_) | None => StoreError::failed(format!("{name}: {error}")),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Driver for Sqlite {
    fn begin(&mut self, purpose: Purpose) -> Result<(), StoreError> {
        let sql = match purpose {
            Purpose::Read => "BEGIN DEFERRED",
            Purpose::Write => "BEGIN IMMEDIATE",
        };
        self.connection.execute_batch(sql).map_err(|error| self.told(&error))
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.connection.execute_batch("COMMIT").map_err(|error| self.told(&error))
    }

    fn roll_back(&mut self) {
        // Where SQLite has done so itself, as on a full disk, there is nothing to end.
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let run = || self.connection.prepare_cached(sql)?.execute(params_from_iter(values));
        run().map(|changed| changed as u64).map_err(|error| self.told(&error))
    }

    fn query(&mut self, sql: &str, values: &[Value], each: &mut EachRow<'_>) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| self.told(&error))?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(values)).map_err(|error| self.told(&error))?;
        while let Some(row) = rows.next().map_err(|error| self.told(&error))? {
            let mut values = Vec::with_capacity(columns);
            for column in 0..columns {
                values.push(match row.get_ref(column).map_err(|error| self.told(&error))? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(number) => Value::Integer(number),
                    ValueRef::Text(text) => {
                        Value::Text(String::from_utf8(text.to_vec()).map_err(|_| Row::wrong())?)
                    }
                    ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
                    ValueRef::Real(_) => return Err(Row::wrong()),
                });
            }
            each(Row(values.into_iter()))?;
        }
        Ok(())
    }

    fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(sql).map_err(|error| self.told(&error))
    }

    fn notify(&mut self) -> Result<(), StoreError> {
        // The others look.
        Ok(())
    }

    fn wait(&mut self, most: Duration) -> Result<bool, StoreError> {
        let begun = std::time::Instant::now();
        loop {
            let version = self
                .connection
                .query_row("PRAGMA data_version", [], |row| row.get(0))
                .map_err(|error| self.told(&error))?;
            let changed = version != self.version && self.version != -1;
            self.version = version;
            let left = most.saturating_sub(begun.elapsed());
            if changed || left.is_zero() {
                self.is_there()?;
                return Ok(changed);
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    fn name(&self) -> String {
        format!("SQLite, {}", self.path.display())
    }
}
