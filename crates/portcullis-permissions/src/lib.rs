//! Who else can read or change a file that holds a secret.
//!
//! One rule for every such file: private keys, secrets of the configuration, tokens of operators, and what the gateway makes
//! itself. It decides from the file's mode, owner, group and place. It does not read the file, and an access control list
//! shows only as the group's bits, as `stat` shows it. [`made`], [`key`] and [`given`] say what follows for each kind of file.
//! Where the owner or a group of this process is unknown, the file counts as open.

use std::ffi::OsStr;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

const GROUP_READS: u32 = 0o040;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Others than the gateway and root can use a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// What they can do.
    pub access: Access,
    /// The file's permissions.
    pub mode: u32,
}

/// Who can use a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Root and the gateway's user alone.
    Private,
    /// It is root's, and only root's group or one of the gateway's can read it.
    Shared,
    /// Others can read it, or the gateway's group can change it.
    Readable,
    /// It belongs to another user than root and the gateway's, who can change it.
    Foreign,
    /// Others can change it.
    Writable,
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.access {
            Access::Private => "nobody else can use it",
            Access::Shared => "its group can read it",
            Access::Readable => "other users can read it",
            Access::Foreign => "it belongs to another user",
            Access::Writable => "other users can change it",
        };
        write!(f, "{what} (its permissions are {:04o})", self.mode)
    }
}

impl std::error::Error for Exposed {}

/// Judges a file that the gateway makes itself, such as a pepper or its own database.
///
/// # Errors
/// Others can read or change it, or it belongs to somebody else. Where an operator gives such a file as root's, a group of
/// the gateway may read it.
// SECURITY: the gateway makes its files with mode 0600, so another mode is somebody's change
// (what_follows_depends_on_the_kind_of_file).
pub fn made(file: &Metadata) -> Result<(), Exposed> {
    judge(file, |access, own| match access {
        Access::Private => true,
        Access::Shared => !own,
        Access::Readable | Access::Foreign | Access::Writable => false,
    })
}

/// Judges the file of a private key, which stands at `path`.
///
/// # Errors
/// Others can read it outside a folder with secrets alone, or change it.
// SECURITY: a key that others can read is theirs too, so this is an error and no warning (every_mode_and_owner_is_judged).
pub fn key(path: &Path, file: &Metadata) -> Result<(), Exposed> {
    judge(file, |access, _| match access {
        Access::Private | Access::Shared | Access::Foreign => true,
        Access::Readable => is_mounted(path),
        Access::Writable => false,
    })
}

/// Judges a file with any other secret that an operator gives, which stands at `path`. `Some` if others can read it, which
/// is worth a warning.
///
/// # Errors
/// Others can change it.
// SECURITY: who can change a secret chooses it (every_mode_and_owner_is_judged).
pub fn given(path: &Path, file: &Metadata) -> Result<Option<Exposed>, Exposed> {
    match key(path, file) {
        Err(exposed) if exposed.access == Access::Readable => Ok(Some(exposed)),
        judged => judged.map(|()| None),
    }
}

/// `accepts` learns who can use the file, and whether it belongs to the gateway's user.
fn judge(file: &Metadata, accepts: impl FnOnce(Access, bool) -> bool) -> Result<(), Exposed> {
    let mode = file.mode() & 0o777;
    let process = Process::this();
    let access = access(mode, file.uid(), file.gid(), &process);
    if accepts(access, file.uid() == process.user) { Ok(()) } else { Err(Exposed { access, mode }) }
}

/// Who runs the gateway.
struct Process {
    user: u32,
    groups: Vec<u32>,
}

impl Process {
    fn this() -> Process {
        let mut groups: Vec<u32> =
            rustix::process::getgroups().unwrap_or_default().iter().map(|group| group.as_raw()).collect();
        groups.push(rustix::process::getegid().as_raw());
        Process { user: rustix::process::geteuid().as_raw(), groups }
    }

    /// Whether a group is root's, or one of the gateway's.
    fn shares(&self, group: u32) -> bool {
        group == 0 || self.groups.contains(&group)
    }
}

/// Who can use a file with this mode, owner and group.
///
/// A file of root may also be readable by a group of the gateway, as Kubernetes mounts a secret with `fsGroup`, and by root's
/// group, as systemd shows a credential: its access control list is behind the group's bits. A file of the gateway's user
/// needs no group.
fn access(mode: u32, owner: u32, group: u32, process: &Process) -> Access {
    let for_others = mode & 0o077;
    let of_root = owner == 0;
    if for_others & OTHERS_WRITE != 0 || (for_others & GROUP_WRITES != 0 && !process.shares(group)) {
        Access::Writable
    } else if for_others == GROUP_READS && of_root && process.shares(group) {
        Access::Shared
    } else if for_others != 0 {
        Access::Readable
    } else if !of_root && owner != process.user && process.user != 0 {
        Access::Foreign
    } else {
        Access::Private
    }
}

/// Whether a file stands in a folder with which a container or a unit gets its secrets. These often have mode 0644 or 0444,
/// and nobody but the gateway can reach the folder.
fn is_mounted(path: &Path) -> bool {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    path.canonicalize().is_ok_and(|path| is_place_of_secrets(&path, credentials.as_deref()))
}

/// Whether this absolute path without symbolic links leads into such a folder.
fn is_place_of_secrets(path: &Path, credentials: Option<&OsStr>) -> bool {
    // Docker, Podman, and Kubernetes for tokens of service accounts; the agent of Vault in Kubernetes.
    let fixed = ["/run/secrets", "/vault/secrets"].iter().any(|folder| path.starts_with(folder));
    let of_unit = credentials.map(Path::new).is_some_and(|folder| {
        folder.is_absolute() && folder.starts_with("/run/credentials") && path.starts_with(folder)
    });
    fixed || of_unit || path.components().any(|part| is_kubernetes_version(&part))
}

/// Whether a folder is one in which Kubernetes keeps the files of a mounted secret, such as `..2026_03_01_10_20_30.123456789`.
/// Names in a mounted secret are symbolic links into it.
fn is_kubernetes_version(part: &Component<'_>) -> bool {
    const DATE: &[u8] = b"..0000_00_00_00_00_00.";
    let Component::Normal(name) = part else { return false };
    let name = name.as_encoded_bytes();
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    name.len() > DATE.len()
        && name.iter().zip(DATE).all(fits)
        && name.iter().skip(DATE.len()).all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests;
