//! What the script that charges is asked, and what it answers.

use crate::NamedLimit;
use crate::counters::{Bounds, Rate};
use portcullis_core::{Algorithm, Count};
use redis::{Cmd, FromRedisValue, Value};
use std::sync::LazyLock;
use std::time::Duration;

/// The script and its SHA-1.
static CHARGE: LazyLock<redis::Script> = LazyLock::new(|| redis::Script::new(include_str!("charge.lua")));

/// The command that has a store remember the script.
pub(super) fn load() -> Cmd {
    let mut command = redis::cmd("SCRIPT");
    let _ = command.arg("LOAD").arg(include_str!("charge.lua"));
    command
}

/// Numbers for each key in an answer.
const NUMBERS: usize = 5;

/// One counter that is asked about.
#[derive(Clone)]
pub(super) struct Asked<'a> {
    /// What it is called in the store.
    pub(super) name: String,
    pub(super) limit: &'a NamedLimit,
    /// Negative takes back.
    pub(super) cost: i64,
    /// How many more are wanted, as far as there is room.
    pub(super) extra: u32,
    pub(super) enforced: bool,
}

/// What is said of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) count: Count,
    pub(super) extra: u32,
}

/// What the store answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The store's time in microseconds since 1970, and each counter.
    Said(u64, Vec<Said>),
    /// Its time lies in no window that it was told of.
    OtherTime(u64),
    Nonsense,
}

/// The command by the script's digest (`EVALSHA`) or with its text (`EVAL`), where the store does not know it yet. `now` is
/// the store's time in microseconds, as far as it is known.
pub(super) fn command(whole: bool, debit: bool, asked: &[&Asked<'_>], now: u64) -> Cmd {
    let mut command = if whole {
        let mut command = redis::cmd("EVAL");
        let _ = command.arg(include_str!("charge.lua"));
        command
    } else {
        let mut command = redis::cmd("EVALSHA");
        let _ = command.arg(CHARGE.get_hash());
        command
    };
    let _ = command.arg(asked.len());
    for asked in asked {
        let _ = command.arg(&asked.name);
    }
    let _ = command.arg(if debit { "debit" } else { "charge" });
    for asked in asked {
        let limit = &asked.limit.limit;
        let kind = match limit.algorithm {
            Algorithm::Gcra => "g",
            Algorithm::FixedWindow => "f",
            Algorithm::SlidingWindow => "s",
        };
        let _ = command.arg(kind).arg(asked.cost).arg(asked.extra).arg(u8::from(asked.enforced));
        match limit.algorithm {
            Algorithm::Gcra => {
                let Rate { cost, allowance } = Rate::of(limit);
                let requests = allowance / cost.max(1);
                // Rounded up, so that rounding never allows one too many.
                let unit = cost.div_ceil(1000).max(1);
                let _ = command.arg(unit).arg(unit.saturating_mul(requests));
            }
            Algorithm::FixedWindow | Algorithm::SlidingWindow => {
                let first = Bounds::of(asked.limit, now.saturating_mul(1000));
                let next = Bounds::of(asked.limit, first.end);
                let micros = |nanos: u64| nanos / 1000;
                let _ = command.arg(limit.max).arg(micros(first.begin)).arg(micros(first.end));
                let _ = command.arg(micros(next.end));
            }
        }
    }
    command
}

/// Reads what the script said of so many counters.
pub(super) fn read(value: Value, counters: usize) -> Answer {
    let Ok(texts) = Vec::<String>::from_redis_value(value) else { return Answer::Nonsense };
    let numbers: Option<Vec<u64>> = texts.iter().map(|text| text.parse().ok()).collect();
    let Some((now, rest)) = numbers.as_deref().and_then(<[u64]>::split_first) else {
        return Answer::Nonsense;
    };
    if rest.is_empty() {
        return Answer::OtherTime(*now);
    }
    let said: Vec<Said> = rest
        .chunks_exact(NUMBERS)
        .filter_map(|chunk| {
            let [allowed, extra, remaining, retry_after, reset_after] = *chunk else { return None };
            let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
            let count = Count {
                allowed: allowed == 1,
                remaining: small(remaining),
                retry_after: Duration::from_micros(if remaining > 0 && allowed == 1 {
                    0
                } else {
                    retry_after
                }),
                reset_after: Duration::from_micros(reset_after),
            };
            Some(Said { count, extra: small(extra) })
        })
        .collect();
    if said.len() == counters { Answer::Said(*now, said) } else { Answer::Nonsense }
}
