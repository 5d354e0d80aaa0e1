//! What the operating system knows of this process. Where it does not say (only Linux has `/proc`), nothing is told.

use super::exposition::Exposition;
use super::families;
use super::number;
use std::fs;

/// Ticks of the processor clock in a second, as `/proc` counts them: 100 on every Linux for applications (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Writes what there is.
pub(super) fn write(to: &mut Exposition) {
    if let Some(status) = fs::read_to_string("/proc/self/status").ok().as_deref() {
        for (field, family) in
            [("VmRSS:", &families::PROCESS_RESIDENT), ("VmSize:", &families::PROCESS_VIRTUAL)]
        {
            if let Some(kilobytes) = number_after(status, field) {
                to.family(family).sample(&[], number(kilobytes.saturating_mul(1024)));
            }
        }
        if let Some(threads) = number_after(status, "Threads:") {
            to.family(&families::PROCESS_THREADS).sample(&[], number(threads));
        }
    }
    if let Some((ticks, started)) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(times) {
        to.family(&families::PROCESS_CPU).sample(&[], number(ticks) / TICKS);
        let booted = fs::read_to_string("/proc/stat").ok().and_then(|stat| number_after(&stat, "btime "));
        if let Some(booted) = booted {
            to.family(&families::PROCESS_START).sample(&[], number(booted) + number(started) / TICKS);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        to.family(&families::PROCESS_OPEN_FDS).sample(&[], number(open.count() as u64));
    }
    let limit = fs::read_to_string("/proc/self/limits").ok();
    if let Some(most) = limit.as_deref().and_then(|limits| number_after(limits, "Max open files ")) {
        to.family(&families::PROCESS_MAX_FDS).sample(&[], number(most));
    }
}

/// The first number in the line that begins with `field`.
fn number_after(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Processor time in user and system mode, and the time of the start since the machine booted, in ticks.
fn times(stat: &str) -> Option<(u64, u64)> {
    // The name of the command, in brackets, may hold blanks and brackets.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let field = |place: usize| fields.get(place)?.parse::<u64>().ok();
    // Fields 14, 15 and 22 of proc_pid_stat(5), which counts from 1; `rest` begins with field 3.
    Some((field(11)?.saturating_add(field(12)?), field(19)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_moves_no_field() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 25 17 0 0 20 0 1 0 4242 1000 2";
        assert_eq!(times(stat), Some((42, 4242)));
        assert_eq!(times("nothing"), None);
    }

    #[test]
    fn this_process_has_memory_and_files() {
        let mut to = Exposition::default();
        write(&mut to);
        let text = to.into_text();
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"] {
            assert!(text.contains(&format!("\n{name} ")), "{text}");
        }
    }
}
