//! CPU time of a process and everything below it, from `/proc/PID/stat` (proc(5)).

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use crate::failure::{Context, Outcome};
use crate::process::{descendants, stat_fields};

/// Seconds of CPU time, in user space and in the kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CpuTime {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl CpuTime {
    /// The time of all threads of a process and of its descendants. That of a descendant which has ended is in the
    /// figures of its parent.
    pub(crate) fn of_tree(root: u32) -> Outcome<Self> {
        let mut total =
            Self::of_process(root).context(|| format!("no CPU time is known of process {root}"))?;
        for spent in descendants(root).into_iter().filter_map(Self::of_process) {
            total.user += spent.user;
            total.system += spent.system;
        }
        Ok(total)
    }

    /// None when the process has ended.
    fn of_process(process: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?, ticks_per_second())
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }

    /// Fields 14 to 17 of the line: utime, stime, and the same of children that were waited for.
    fn parse(stat: &str, ticks: f64) -> Option<Self> {
        let mut fields = stat_fields(stat).skip(11).map(|field| field.parse::<f64>().ok());
        let mut next = || fields.next().flatten();
        let (user, system, children_user, children_system) = (next()?, next()?, next()?, next()?);
        Some(Self { user: (user + children_user) / ticks, system: (system + children_system) / ticks })
    }
}

/// The unit of the kernel's figures. It has been a hundredth of a second on Linux for decades; the system is asked
/// all the same, because a wrong unit would scale every figure alike and nobody would notice.
fn ticks_per_second() -> f64 {
    static TICKS: OnceLock<f64> = OnceLock::new();
    *TICKS.get_or_init(|| {
        let output = Command::new("getconf").arg("CLK_TCK").output().ok();
        output.and_then(|output| String::from_utf8_lossy(&output.stdout).trim().parse().ok()).unwrap_or(100.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_fields_are_read() {
        let stat = "7 (a b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 30 20 20 0 2 0 900 1 1";
        let time = CpuTime::parse(stat, 100.0).unwrap();
        assert_eq!(time, CpuTime { user: 2.8, system: 0.7 });
        assert_eq!(CpuTime::parse("7 (a) S 1", 100.0), None);
    }

    #[test]
    fn the_time_of_this_process_is_found() {
        let time = CpuTime::of_tree(std::process::id()).unwrap();
        assert!(time.user >= 0.0 && time.system >= 0.0);
    }
}
