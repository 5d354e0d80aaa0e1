//! Children that never outlive this program, free ports, and folders that are removed.
//!
//! A child is ended by its process id, with every process below it, when its guard is dropped: on success, on failure
//! and on a panic. If this program is killed itself, the kernel sends the child a signal (`setpriv --pdeathsig`).

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::failure::{Context, Failure, Outcome};

/// A running child and everything it started.
#[derive(Debug)]
pub(crate) struct Guard {
    name: String,
    child: Child,
}

impl Guard {
    /// Starts a command that was made with [`supervised`].
    pub(crate) fn spawn(name: impl Into<String>, command: &mut Command) -> Outcome<Self> {
        let name = name.into();
        let child = command.spawn().context(|| format!("starting {name}"))?;
        Ok(Self { name, child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the child accepts connections, and fails if it ends first or `patience` runs out.
    pub(crate) fn wait_until_listening(&mut self, port: u16, patience: Duration) -> Outcome<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().context(|| format!("waiting for {}", self.name))? {
                return Err(Failure::new(format!("{} ended before it listened: {status}", self.name)));
            }
            if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(Failure::new(format!("{} does not listen on {address} after {patience:?}", self.name)))
    }

    /// Waits until the child ends by itself, and fails if it has not after `patience`.
    pub(crate) fn wait(&mut self, patience: Duration) -> Outcome<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().context(|| format!("waiting for {}", self.name))? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(Failure::new(format!("{} has not ended after {patience:?}", self.name)));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A child that has ended is not in /proc any more, and its number may belong to a stranger.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // The tree is read first: workers whose parent is gone are not found below it.
        let workers: Vec<_> =
            descendants(self.child.id()).into_iter().map(|id| (id, start_time(id))).collect();
        // Asked politely first: a server that fetches the status of its own workers leaves no zombies behind.
        // Nothing is left to do for a child that cannot be signalled, and `drop` has nobody to tell.
        signal("-TERM", self.child.id());
        if self.wait(POLITE).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for (worker, started) in workers {
            // The number of a worker that has ended may be a stranger's by now; the time of its start tells.
            if started.is_some() && start_time(worker) == started {
                signal("-KILL", worker);
            }
        }
    }
}

/// How long a child may take to end when asked.
const POLITE: Duration = Duration::from_secs(2);

fn signal(signal: &str, process: u32) {
    let mut command = Command::new("kill");
    let _ = command.args([signal, &process.to_string()]).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// When a process was started, in the kernel's ticks: field 22 of its line.
fn start_time(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat_fields(&stat).nth(19)?.parse().ok()
}

/// A command that is told to end when this program is gone, where the system can do that.
pub(crate) fn supervised(program: &Path) -> Command {
    match find_command("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// All processes below `root`, found through the parent each names in `/proc`.
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(parent) = stat_fields(&stat).nth(1).and_then(|field| field.parse().ok()) {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut seen = 0;
    while let Some(id) = found.get(seen).copied() {
        found.extend(children.remove(&id).unwrap_or_default());
        seen += 1;
    }
    found
}

/// The fields of a `/proc/PID/stat` line from the third (state) on. The second is the command's name in brackets,
/// which may itself hold spaces and brackets, so counting starts behind the last one.
pub(crate) fn stat_fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace()
}

/// The path of a command, also where the system keeps servers, which is not on everybody's `PATH`.
pub(crate) fn find_command(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// A loopback port that nobody uses now. The caller binds it at once; should another be faster, the start fails.
pub(crate) fn free_port() -> Outcome<u16> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).context(|| "looking for a free port".into())
}

/// A folder of our own that is removed with all it holds.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a new folder, in memory where there is room, so that the disk is not what gets measured.
    pub(crate) fn new() -> Outcome<Self> {
        let memory = Path::new("/dev/shm");
        let base = if has_room(memory) { memory.to_path_buf() } else { std::env::temp_dir() };
        for attempt in 0..100_u32 {
            let folder = base.join(format!("portcullis-xtask-{}-{attempt}", std::process::id()));
            match fs::create_dir(&folder) {
                Ok(()) => return Ok(Self(folder)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).context(|| format!("making {}", folder.display())),
            }
        }
        Err(Failure::new(format!("no free name for a folder in {}", base.display())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a folder inside.
    pub(crate) fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.0.join(name);
        fs::create_dir(&folder).context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: {} was not removed: {error}", self.0.display());
        }
    }
}

/// Whether a folder is in memory with room for access logs: containers often give `/dev/shm` no more than 64 MiB.
fn has_room(folder: &Path) -> bool {
    const KIBIBYTES: u64 = 1024 * 1024;
    let output = Command::new("df").args(["--output=avail", "-k"]).arg(folder).stderr(Stdio::null()).output();
    let Ok(output) = output else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().last().and_then(|line| line.trim().parse::<u64>().ok()).is_some_and(|free| free >= KIBIBYTES)
}

/// Writes a file, naming it when that fails.
pub(crate) fn write(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text).context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "12 (a) b (c)) S 7 12 12 0 -1";
        assert_eq!(stat_fields(stat).take(2).collect::<Vec<_>>(), ["S", "7"]);
        assert_eq!(stat_fields("nonsense").count(), 0);
    }

    #[test]
    fn dropping_a_guard_ends_the_whole_tree() {
        let mut command = supervised(Path::new("/bin/sh"));
        command.args(["-c", "sleep 600 & sleep 600 & wait"]);
        let guard = Guard::spawn("sleepers", &mut command).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut tree = Vec::new();
        while tree.len() < 2 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
            tree = descendants(guard.id());
        }
        assert_eq!(tree.len(), 2, "the shell has two children");
        tree.push(guard.id());
        drop(guard);
        // An ended process whose new parent has not fetched its status yet still has an entry, as a zombie.
        let runs = |id: &u32| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            stat_fields(&stat).next().is_some_and(|state| state != "Z" && state != "X")
        };
        while tree.iter().any(runs) {
            assert!(Instant::now() < deadline, "a process outlived its guard");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn scratch_folders_differ_and_are_removed() {
        let (first, second) = (Scratch::new().unwrap(), Scratch::new().unwrap());
        assert_ne!(first.path(), second.path());
        let kept = first.path().to_path_buf();
        write(&kept.join("file"), "text").unwrap();
        drop(first);
        assert!(!kept.exists());
        assert!(second.path().exists());
    }
}
