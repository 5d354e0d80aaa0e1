//! Work that may take long and is in no hurry: it must not take the processor from requests.

use std::io;
use std::thread::JoinHandle;

/// How nice such a thread is to others: the scheduler gives it about a tenth of what a worker gets where both want the same
/// core. Not less, as with `SCHED_IDLE`: a flood of requests must not keep an operator from a reload.
const NICENESS: i32 = 10;

/// In bytes, as a process's main thread has: a configuration that says everything is compiled here as well, and without
/// optimisation that takes more than a thread's usual 2 MiB.
const STACK: usize = 8 << 20;

/// The user as whom this process runs.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Runs `work` on a thread of its own, at a low priority where the operating system has one for threads (Linux). Threads that `work`
/// starts inherit it, for good: without privileges, a process cannot raise a priority again.
///
/// # Errors
/// The operating system gives no thread.
pub fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(move || {
        // On Linux this is the thread and not the process. Without it, the work is only less polite.
        if cfg!(target_os = "linux") {
            let _ = rustix::process::setpriority_process(None, NICENESS);
        }
        work()
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_aside_has_a_low_priority() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let usual = nice();
        let aside = aside("aside", nice).unwrap().join().unwrap();
        assert_eq!(aside, NICENESS);
        assert_eq!(nice(), usual, "this thread keeps its own");
    }
}
