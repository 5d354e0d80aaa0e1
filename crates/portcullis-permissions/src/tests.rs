//! Every mode, owner and group, and what real tools write.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use super::*;
use Access::{Foreign, Private, Readable, Shared, Writable};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

const ROOT: u32 = 0;
const GATEWAY: u32 = 65532;
const ALICE: u32 = 1000;
/// A group that the gateway is in, beside its own.
const SHARED: u32 = 2000;
const OTHERS: u32 = 3000;

fn gateway() -> Process {
    Process { user: GATEWAY, groups: vec![SHARED, GATEWAY] }
}

#[test]
fn every_mode_and_owner_is_judged() {
    // mode, owner, group, who can use it.
    let table = [
        // `umask 077`, `openssl genrsa`, certbot, the gateway itself.
        (0o600, GATEWAY, GATEWAY, Private),
        (0o400, GATEWAY, GATEWAY, Private),
        (0o700, GATEWAY, OTHERS, Private),
        // A credential of systemd with `User=` or `DynamicUser=`: root's, with an access control list.
        (0o440, ROOT, ROOT, Shared),
        // A secret of Kubernetes with `defaultMode: 0400` or 0440 and `fsGroup`.
        (0o440, ROOT, SHARED, Shared),
        // Debian's group `ssl-cert`.
        (0o640, ROOT, SHARED, Shared),
        (0o640, ROOT, OTHERS, Readable),
        (0o440, ROOT, OTHERS, Readable),
        // It could be 0600.
        (0o440, GATEWAY, GATEWAY, Readable),
        (0o640, GATEWAY, SHARED, Readable),
        (0o640, ALICE, SHARED, Readable),
        // Executable for a group: no tool writes it.
        (0o450, ROOT, SHARED, Readable),
        (0o610, GATEWAY, GATEWAY, Readable),
        // `echo secret > file` under the usual masks.
        (0o644, GATEWAY, GATEWAY, Readable),
        (0o664, GATEWAY, GATEWAY, Readable),
        // Docker, Kubernetes and Vault's agent by default; without the folder they are readable.
        (0o444, ROOT, ROOT, Readable),
        (0o644, ROOT, ROOT, Readable),
        (0o604, GATEWAY, GATEWAY, Readable),
        (0o601, GATEWAY, GATEWAY, Readable),
        // A volume of Kubernetes with `fsGroup`, whose files are given to the group at each mount.
        (0o660, GATEWAY, SHARED, Readable),
        (0o660, ROOT, ROOT, Readable),
        // Another user's.
        (0o600, ALICE, ALICE, Foreign),
        (0o400, ALICE, SHARED, Foreign),
        // Others can change it.
        (0o660, GATEWAY, OTHERS, Writable),
        (0o620, ROOT, OTHERS, Writable),
        (0o664, ALICE, ALICE, Writable),
        (0o602, GATEWAY, GATEWAY, Writable),
        (0o666, ROOT, ROOT, Writable),
        (0o777, GATEWAY, GATEWAY, Writable),
        (0o002, ROOT, ROOT, Writable),
    ];
    for (mode, owner, group, expected) in table {
        let found = access(mode, owner, group, &gateway());
        assert_eq!(found, expected, "mode {mode:04o} of {owner}:{group}");
    }
    // Root reads everybody's file, and needs no group of another user's file.
    let root = Process { user: ROOT, groups: vec![ROOT, SHARED] };
    for (mode, owner, group, expected) in [
        (0o600, ALICE, ALICE, Private),
        (0o440, ROOT, SHARED, Shared),
        (0o440, ROOT, OTHERS, Readable),
        (0o640, ALICE, SHARED, Readable),
        (0o666, ROOT, ROOT, Writable),
    ] {
        assert_eq!(
            access(mode, owner, group, &root),
            expected,
            "mode {mode:04o} of {owner}:{group}, as root"
        );
    }
}

#[test]
fn no_bit_makes_a_file_more_private() {
    let rank = |access| [Private, Foreign, Shared, Readable, Writable].iter().position(|one| *one == access);
    for owner in [ROOT, GATEWAY, ALICE] {
        for group in [ROOT, GATEWAY, SHARED, OTHERS] {
            for mode in 0..=0o777 {
                let before = rank(access(mode, owner, group, &gateway()));
                for bit in [0o040, 0o020, 0o010, 0o004, 0o002, 0o001] {
                    let after = rank(access(mode | bit, owner, group, &gateway()));
                    assert!(before <= after, "{mode:04o} with {bit:04o} of {owner}:{group}");
                }
            }
        }
    }
}

#[test]
fn secrets_of_containers_and_units_are_known_by_their_place() {
    let unit = Some(OsStr::new("/run/credentials/portcullis.service"));
    for (path, credentials) in [
        ("/run/secrets/api_key", None),
        ("/run/secrets/kubernetes.io/serviceaccount/..2026_11_28_07_34_38.1234567890/token", None),
        ("/vault/secrets/database", None),
        ("/run/credentials/portcullis.service/first.key", unit),
        ("/etc/portcullis/secrets/..2026_11_28_07_34_38.1/first", None),
    ] {
        assert!(is_place_of_secrets(Path::new(path), credentials), "{path}");
    }
    for (path, credentials) in [
        ("/etc/portcullis/first.key", None),
        ("/run/secrets-of-others/key", None),
        ("/run/secretsx", None),
        ("/home/alice/run/secrets/key", None),
        ("/home/alice/vault/secrets/key", None),
        ("/run/credentials/another.service/first.key", unit),
        ("/tmp/credentials/key", Some(OsStr::new("/tmp/credentials"))),
        ("/etc/key", Some(OsStr::new("/"))),
        ("/etc/key", Some(OsStr::new(""))),
        ("/etc/..data/key", None),
        ("/etc/..2026_11_28/key", None),
        ("/etc/..2026_11_28_07_34_38./key", None),
        ("/etc/..2026_11_28_07_34_38.12a/key", None),
        ("/etc/2026_11_28_07_34_38.123/key", None),
    ] {
        assert!(!is_place_of_secrets(Path::new(path), credentials), "{path}");
    }
}

/// A folder for one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder =
            std::env::temp_dir().join(format!("portcullis-permissions-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn write(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_follows_depends_on_the_kind_of_file() {
    let folder = Folder::new("kinds");
    // mode, of a file that the gateway made, of a key, of another secret.
    let (yes, no, warned) = ("accepted", "refused", "warned");
    for (mode, of_made, of_key, of_given) in [
        (0o600, yes, yes, yes),
        (0o400, yes, yes, yes),
        (0o644, no, no, warned),
        (0o444, no, no, warned),
        (0o604, no, no, warned),
        // Given by root to a group of the gateway; or made by the gateway, if this is root.
        (0o440, no, if is_root() { yes } else { no }, if is_root() { yes } else { warned }),
        (0o602, no, no, no),
        (0o666, no, no, no),
    ] {
        let path = folder.write(&format!("{mode:o}"), mode);
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(made(&metadata).map_or(no, |()| yes), of_made, "{mode:04o}");
        assert_eq!(key(&path, &metadata).map_or(no, |()| yes), of_key, "{mode:04o}");
        let given = given(&path, &metadata).map_or(no, |open| open.map_or(yes, |_| warned));
        assert_eq!(given, of_given, "{mode:04o}");
    }
    let path = folder.write("told", 0o604);
    let told = made(&fs::metadata(&path).unwrap()).unwrap_err().to_string();
    assert_eq!(told, "other users can read it (its permissions are 0604)");
}

fn is_root() -> bool {
    Process::this().user == ROOT
}

#[test]
fn a_mounted_secret_of_kubernetes_is_private_to_the_container() {
    let folder = Folder::new("kubernetes");
    folder.write("..2026_11_28_07_34_38.1234567890/first", 0o644);
    symlink("..2026_11_28_07_34_38.1234567890", folder.0.join("..data")).unwrap();
    symlink("..data/first", folder.0.join("first")).unwrap();
    let first = folder.0.join("first");
    let judged =
        |path: &Path| (key(path, &fs::metadata(path).unwrap()), given(path, &fs::metadata(path).unwrap()));
    assert_eq!(judged(&first), (Ok(()), Ok(None)));
    // What the gateway makes is not in such a folder.
    assert!(made(&fs::metadata(&first).unwrap()).is_err());
    // A link out of it counts by where it leads, and one that all can change is refused there too.
    symlink(folder.write("outside", 0o644), folder.0.join("..2026_11_28_07_34_38.1234567890/out")).unwrap();
    let (as_key, as_given) = judged(&folder.0.join("..data/out"));
    assert!(as_key.is_err() && as_given.unwrap().is_some());
    folder.write("..2026_11_28_07_34_38.1234567890/first", 0o666);
    let (as_key, as_given) = judged(&first);
    assert!(as_key.is_err() && as_given.is_err());
}
