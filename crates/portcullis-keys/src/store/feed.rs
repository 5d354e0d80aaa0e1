//! What a gateway reads: everything once, and then what has changed.

use super::rows::{self, Stored};
use super::{FEW, KeyStore};
use crate::fault::StoreError;
use crate::model::Consumer;
use crate::sql::Purpose;
use portcullis_core::KeyId;
use std::collections::BTreeSet;

/// How far a gateway has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Which store it is. One that was made anew is another.
    instance: String,
    /// The last change.
    seq: u64,
    /// What that change was marked with, so that a store that was put back and changed again is noticed.
    mark: Option<u64>,
}

/// What has changed since a position.
pub(crate) enum CaughtUp {
    /// Nothing.
    Unchanged,
    /// These; a consumer that is gone has `None`.
    Changed { consumers: Vec<(String, Option<Consumer>)>, keys: Vec<Stored>, position: Position },
    /// It cannot be told, or is too much: everything must be read.
    ReadAll,
}

/// The head of the change log.
struct Log {
    instance: String,
    seq: u64,
    /// The changes from the position on, itself included: number, mark, kind and subject.
    changes: Vec<(u64, u64, String, String)>,
}

impl KeyStore {
    fn log(&mut self, from: u64, most: u64) -> Result<Log, StoreError> {
        let mut log = Log { instance: String::new(), seq: 0, changes: Vec::new() };
        self.driver.query(
            "SELECT instance, seq FROM portcullis_state WHERE one = 1",
            &[],
            &mut |mut row| {
                log.instance = row.text()?;
                log.seq = row.number()?;
                Ok(())
            },
        )?;
        if log.instance.is_empty() {
            return Err(StoreError::unusable("the store has lost the row that counts its changes"));
        }
        let sql =
            "SELECT seq, mark, kind, subject FROM portcullis_changes WHERE seq >= $1 ORDER BY seq LIMIT $2";
        self.driver.query(sql, &[from.into(), most.into()], &mut |mut row| {
            log.changes.push((row.number()?, row.number()?, row.text()?, row.text()?));
            Ok(())
        })?;
        Ok(log)
    }

    /// Reads everything: `begin` gets all consumers, and `each` what it made of them, with one valid key after the other. All is
    /// of one moment, the position that comes back.
    pub(crate) fn read_all<T>(
        &mut self,
        begin: impl FnOnce(Vec<Consumer>) -> T,
        mut each: impl FnMut(&mut T, Stored),
    ) -> Result<(T, Position), StoreError> {
        self.within(Purpose::Read, |store| {
            let Log { instance, seq, .. } = store.log(u64::MAX >> 1, 1)?;
            let mark =
                store.log(seq, 1)?.changes.first().filter(|change| change.0 == seq).map(|change| change.1);
            let mut all = begin(store.consumers()?);
            store.driver.query(&format!("{} WHERE revoked IS NULL", rows::KEYS), &[], &mut |mut row| {
                each(&mut all, rows::key(&mut row)?);
                Ok(())
            })?;
            Ok((all, Position { instance, seq, mark }))
        })
    }

    /// What has changed since a position, all of one moment.
    pub(crate) fn catch_up(&mut self, since: &Position) -> Result<CaughtUp, StoreError> {
        self.within(Purpose::Read, |store| {
            let Log { instance, seq, changes } = store.log(since.seq, FEW as u64 + 2)?;
            let first = changes.first().filter(|change| change.0 == since.seq).map(|change| change.1);
            // SECURITY: a store that was put back from a copy must not leave keys that it does not have
            // (a_store_that_was_put_back_is_read_anew).
            if instance != since.instance || seq < since.seq || first != since.mark {
                return Ok(CaughtUp::ReadAll);
            }
            if seq == since.seq {
                return Ok(CaughtUp::Unchanged);
            }
            let new: Vec<_> = changes.into_iter().filter(|change| change.0 > since.seq).collect();
            let whole = seq - since.seq == new.len() as u64;
            let Some((_, mark, ..)) = new.last().filter(|_| whole && new.len() <= FEW) else {
                return Ok(CaughtUp::ReadAll);
            };
            let position = Position { instance, seq, mark: Some(*mark) };
            let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
            for (_, _, kind, subject) in &new {
                match (kind.as_str(), subject.parse::<u64>()) {
                    ("consumer", _) => drop(names.insert(subject.clone())),
                    ("key", Ok(id)) => drop(ids.insert(KeyId(id))),
                    _ => return Ok(CaughtUp::ReadAll),
                }
            }
            let (mut consumers, mut keys) = (Vec::new(), Vec::new());
            for name in names {
                let consumer = store.find_consumer(&name)?;
                let sql = format!("{} WHERE consumer = $1", rows::KEYS);
                store.driver.query(&sql, &[name.as_str().into()], &mut |mut row| {
                    keys.push(rows::key(&mut row)?);
                    Ok(())
                })?;
                consumers.push((name, consumer));
            }
            for id in ids {
                // A row that is gone was removed by something else.
                let Some(found) = store.stored_key(id)? else { return Ok(CaughtUp::ReadAll) };
                keys.push(found);
            }
            Ok(CaughtUp::Changed { consumers, keys, position })
        })
    }
}
