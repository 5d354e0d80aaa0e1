//! Certificates for documents, which name their folder `CERTIFICATES`. They are made here, since a key in a repository has
//! no permissions and a certificate in one expires.

use crate::authority::{Authority, Wanted, folder, write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What stands for the folder in a document.
const WORD: &str = "CERTIFICATES";

/// The document with the folder in it.
pub(crate) fn placed(document: &str) -> String {
    if document.contains(WORD) {
        document.replace(WORD, made().to_str().unwrap())
    } else {
        document.to_owned()
    }
}

/// The folder with all of them.
pub(crate) fn made() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(make)
}

fn make() -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let authority = Authority::new("a test's authority");
    write(&folder.join("ca.pem"), &authority.pem);
    write(&folder.join("revoked.crl"), &authority.revoke(&[66], false));
    authority.issue(&folder, "api", &Wanted::server(&["api.example.com", "*.example.org"]));
    authority.issue(&folder, "other", &Wanted::server(&["other.example.com"]));
    authority.issue(&folder, "client", &Wanted::client("gate"));
    authority.issue(&folder, "expired", &Wanted { days: (-30, -1), ..Wanted::server(&["api.example.com"]) });
    authority.issue(&folder, "early", &Wanted { days: (1, 30), ..Wanted::server(&["api.example.com"]) });
    authority.issue(&folder, "nameless", &Wanted::server(&[]));
    let open = authority.issue(&folder, "open", &Wanted::server(&["api.example.com"]));
    std::fs::set_permissions(&open.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    for (name, mode) in [("private.txt", 0o600), ("readable.txt", 0o644), ("writable.txt", 0o666)] {
        write(&folder.join(name), "9f86d081884c7d659a2feaa0c55ad015");
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    write(&folder.join("nonsense.pem"), "nonsense");
    let shared = folder.join("shared");
    std::fs::create_dir_all(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}
