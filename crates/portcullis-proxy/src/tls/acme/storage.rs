//! What is kept in files: the account, the certificates with their keys, and when an order may be tried again.
//!
//! The folder is its owner's alone (0700) and so are its files (0600). A file is written beside its place, flushed and then
//! moved there, so that nobody reads half of one; a key and its chain are one file, so that they never part. A file that
//! holds something else is told of and not used. Of several gateways with one folder the one that has the lock orders; the
//! operating system gives the lock back when its holder ends, however it ends.

use super::AcmeSettings;
use super::challenges::Proven;
use crate::tls::pair::read;
use crate::tls::{Pair, Problem};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// The files of one certificate.
pub(super) struct Storage {
    folder: PathBuf,
    account: PathBuf,
    certificate: PathBuf,
    pause: PathBuf,
    proofs: PathBuf,
}

/// What tells that a file is another one than before.
pub(super) type Stamp = (SystemTime, u64, u64);

/// Whether a folder can be used that is there already.
///
/// # Errors
/// It is none, or others than its owner can use it.
pub fn judge_folder(folder: &Path) -> Result<(), String> {
    let metadata = match std::fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
        Ok(metadata) => metadata,
    };
    if !metadata.is_dir() {
        return Err("it is not a folder".to_owned());
    }
    // SECURITY: whoever can write here can put a key of theirs in place of ours (storage_is_its_owners_alone).
    portcullis_permissions::made(&metadata).map_err(|exposed| exposed.to_string())
}

/// That a file of the folder is as the gateway made it.
fn judge_file(file: &Path) -> Result<(), Problem> {
    let metadata = std::fs::metadata(file).map_err(|error| Problem::Key(error.to_string()))?;
    portcullis_permissions::made(&metadata).map_err(Problem::KeyPermissions)
}

impl Storage {
    pub(super) fn new(settings: &AcmeSettings) -> Storage {
        let folder = settings.storage.clone();
        let mut domains = settings.domains.clone();
        domains.sort_unstable();
        let first = domains.first().cloned().unwrap_or_default();
        // Certificates of different servers, such as one for trying, never meet.
        let account = short(&settings.directory);
        let certificate = short(&format!("{}\n{}", settings.directory, domains.join("\n")));
        Storage {
            account: folder.join(format!("account-{account}.json")),
            certificate: folder.join(format!("{first}-{certificate}.pem")),
            pause: folder.join(format!("{first}-{certificate}.retry")),
            proofs: folder.join(format!("{first}-{certificate}.proofs")),
            folder,
        }
    }

    pub(super) fn certificate_file(&self) -> &Path {
        &self.certificate
    }

    pub(super) fn pause_file(&self) -> &Path {
        &self.pause
    }

    /// The lock, if nobody else has it; it is given back when dropped. Makes the folder if there is none.
    pub(super) fn lock(&self) -> Result<Option<File>, String> {
        let failed = |error: io::Error| error.to_string();
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(failed)?;
        judge_folder(&self.folder)?;
        // Never removed: whoever waits for it would hold a lock that the next one does not see.
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(self.folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error.to_string()),
        }
    }

    /// Changes when the certificate's file does.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        stamp(&self.certificate)
    }

    /// Changes when the proofs of an order do.
    pub(super) fn proofs_stamp(&self) -> Option<Stamp> {
        stamp(&self.proofs)
    }

    /// What another gateway with this folder has to prove now.
    pub(super) fn proofs(&self) -> Vec<Proven> {
        let parse = || -> Option<Vec<Proven>> {
            let (written, _, _) = stamp(&self.proofs)?;
            // Whoever wrote them and was cut off wants nothing any more.
            if written.elapsed().unwrap_or_default() > super::ORDER_TIME {
                return None;
            }
            judge_file(&self.proofs).ok()?;
            let bytes = read(&self.proofs).ok()?;
            let list: Vec<serde_json::Value> = serde_json::from_slice(&bytes).ok()?;
            let text = |value: &serde_json::Value, name| value.get(name)?.as_str().map(str::to_owned);
            list.iter()
                .map(|one| {
                    let (domain, authorization) = (text(one, "host")?, text(one, "proof")?);
                    Some(Proven { domain, authorization })
                })
                .collect()
        };
        parse().unwrap_or_default()
    }

    /// Keeps what has to be proven, for every gateway with this folder.
    pub(super) fn keep_proofs(&self, proofs: &[Proven]) -> io::Result<()> {
        let list =
            proofs.iter().map(|one| serde_json::json!({ "host": one.domain, "proof": one.authorization }));
        self.write(&self.proofs, &serde_json::Value::from_iter(list).to_string())
    }

    pub(super) fn forget_proofs(&self) {
        let _ = std::fs::remove_file(&self.proofs);
    }

    /// The certificate with its key, if there is one.
    pub(super) fn pair(&self) -> Result<Option<Pair>, Problem> {
        if !self.certificate.exists() {
            return Ok(None);
        }
        judge_folder(&self.folder).map_err(Problem::Key)?;
        judge_file(&self.certificate)?;
        let text = read(&self.certificate).map_err(Problem::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| Problem::Key("it holds no private key in PEM".to_owned()))?;
        let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| Problem::Certificate(error.to_string()))?;
        Pair::new(chain, &key).map(Some)
    }

    /// Keeps a certificate with its key.
    pub(super) fn keep(&self, pem: &str) -> io::Result<()> {
        self.write(&self.certificate, pem)
    }

    pub(super) fn has_account(&self) -> bool {
        self.account.exists()
    }

    /// The account's text, if there is one.
    pub(super) fn account(&self) -> Result<Option<Zeroizing<String>>, String> {
        if !self.has_account() {
            return Ok(None);
        }
        judge_file(&self.account).map_err(|problem| problem.to_string())?;
        let bytes = read(&self.account)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| error.to_string())?;
        Ok(Some(Zeroizing::new(text.to_owned())))
    }

    pub(super) fn keep_account(&self, text: &str) -> io::Result<()> {
        self.write(&self.account, text)
    }

    /// Keeps an account out of the way, and for whoever wants to look at it.
    pub(super) fn set_account_aside(&self) {
        // If it cannot be moved, the next attempt finds it again and says so again.
        let _ = std::fs::rename(&self.account, self.account.with_extension("unusable"));
    }

    /// How long no order may begin, and how many have failed.
    pub(super) fn pause(&self, now: Duration) -> Option<(Duration, u32)> {
        let bytes = read(&self.pause).ok()?;
        let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let until = Duration::from_secs(value.get("until")?.as_u64()?);
        let failures = u32::try_from(value.get("failures")?.as_u64()?).ok()?;
        // A clock that has gone back must not keep it for ever.
        let wait = until.saturating_sub(now).min(super::schedule::LONGEST_ASKED);
        (!wait.is_zero()).then_some((wait, failures))
    }

    /// Keeps until when no order may begin. Without it a gateway that is started again orders at once.
    pub(super) fn remember_pause(&self, until: Duration, failures: u32) {
        let text = serde_json::json!({ "until": until.as_secs(), "failures": failures }).to_string();
        let _ = self.write(&self.pause, &text);
    }

    pub(super) fn forget_pause(&self) {
        let _ = std::fs::remove_file(&self.pause);
    }

    /// Puts a file in place as a whole. Only whoever has the lock writes, so the name beside it is free.
    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        let mut new = file.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        written.write_all(text.as_bytes())?;
        written.sync_all()?;
        std::fs::rename(&new, file)?;
        File::open(&self.folder)?.sync_all()
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

/// What tells one thing from another in a file's name.
fn short(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::acme::Proof;
    use crate::tls::self_signed;
    use std::os::unix::fs::PermissionsExt;

    fn settings(name: &str) -> AcmeSettings {
        let name = format!("portcullis-acme-{}-{name}", std::process::id());
        AcmeSettings {
            domains: vec!["b.example".to_owned(), "a.example".to_owned()],
            contact: Vec::new(),
            directory: "https://acme.example/directory".to_owned(),
            authorities: None,
            storage: std::env::temp_dir().join(name),
            proof: Proof::TlsAlpn,
            renew_before: None,
            retry_interval: Duration::from_secs(60),
        }
    }

    struct Removed(PathBuf);

    impl Drop for Removed {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn storage_is_its_owners_alone() {
        let settings = settings("permissions");
        let _removed = Removed(settings.storage.clone());
        let storage = Storage::new(&settings);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let lock = storage.lock().unwrap().unwrap();
        storage.keep("text").unwrap();
        storage.keep_account("{}").unwrap();
        storage.remember_pause(Duration::from_secs(100), 1);
        assert_eq!(mode(&settings.storage), 0o700);
        for entry in std::fs::read_dir(&settings.storage).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        assert_eq!(std::fs::read_dir(&settings.storage).unwrap().count(), 4, "nothing is left beside them");
        drop(lock);
        std::fs::set_permissions(&settings.storage, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(storage.lock().unwrap_err().contains("0750"));
        assert!(storage.pair().is_err());
    }

    #[test]
    fn what_is_half_or_foreign_is_not_used() {
        let settings = settings("foreign");
        let _removed = Removed(settings.storage.clone());
        let storage = Storage::new(&settings);
        assert!(matches!(storage.pair(), Ok(None)));
        let _lock = storage.lock().unwrap().unwrap();
        let (_, trust) = self_signed().unwrap();
        for text in ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nMC4C", trust.as_str()] {
            storage.keep(text).unwrap();
            assert!(storage.pair().is_err(), "{text}");
        }
        let proven = [Proven { domain: "a.example".to_owned(), authorization: "token.thumb".to_owned() }];
        storage.keep_proofs(&proven).unwrap();
        assert_eq!(storage.proofs(), proven);
        for text in ["", "nonsense", "{}", "[{}]", "[{\"host\": 1, \"proof\": \"a.b\"}]"] {
            storage.write(&storage.proofs, text).unwrap();
            assert_eq!(storage.proofs(), [], "{text}");
        }
        storage.keep_proofs(&proven).unwrap();
        let old = SystemTime::now() - super::super::ORDER_TIME - Duration::from_secs(1);
        File::options().write(true).open(&storage.proofs).unwrap().set_modified(old).unwrap();
        assert_eq!(storage.proofs(), [], "whoever was cut off wants nothing any more");
        for text in ["", "nonsense", "{\"until\": -1, \"failures\": 1}", "{\"until\": 100}"] {
            std::fs::write(&storage.pause, text).unwrap();
            assert_eq!(storage.pause(Duration::from_secs(10)), None, "{text}");
        }
        std::fs::write(&storage.account, "nonsense").unwrap();
        std::fs::set_permissions(&storage.account, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(storage.account().is_err(), "others can read its key");
        // What was left of a write that did not come to its end is no obstacle.
        std::fs::write(settings.storage.join("left.new"), "half").unwrap();
        let mut beside = storage.account.as_os_str().to_owned();
        beside.push(".new");
        std::fs::write(PathBuf::from(beside), "half").unwrap();
        storage.keep_account("{}").unwrap();
        assert_eq!(storage.account().unwrap().unwrap().as_str(), "{}");
    }

    #[test]
    fn one_has_the_lock() {
        let settings = settings("lock");
        let _removed = Removed(settings.storage.clone());
        let (one, other) = (Storage::new(&settings), Storage::new(&settings));
        let lock = one.lock().unwrap().unwrap();
        assert!(other.lock().unwrap().is_none());
        drop(lock);
        assert!(other.lock().unwrap().is_some());
    }

    #[test]
    fn a_pause_is_kept_and_bounded() {
        let settings = settings("pause");
        let _removed = Removed(settings.storage.clone());
        let storage = Storage::new(&settings);
        let _lock = storage.lock().unwrap().unwrap();
        let at = Duration::from_secs;
        storage.remember_pause(at(1000), 3);
        assert_eq!(storage.pause(at(900)), Some((at(100), 3)));
        assert_eq!(storage.pause(at(1000)), None);
        storage.remember_pause(at(u64::MAX), 3);
        assert_eq!(storage.pause(at(0)), Some((super::super::schedule::LONGEST_ASKED, 3)));
        storage.forget_pause();
        assert_eq!(storage.pause(at(0)), None);
    }

    #[test]
    fn servers_and_hosts_have_files_of_their_own() {
        let here = settings("names");
        let files = |settings: &AcmeSettings| {
            let storage = Storage::new(settings);
            (storage.account, storage.certificate)
        };
        let reordered =
            AcmeSettings { domains: here.domains.iter().rev().cloned().collect(), ..here.clone() };
        assert_eq!(files(&here), files(&reordered));
        let staging = AcmeSettings { directory: "https://staging.example/".to_owned(), ..here.clone() };
        assert_ne!(files(&here).0, files(&staging).0);
        assert_ne!(files(&here).1, files(&staging).1);
        let one = AcmeSettings { domains: vec!["a.example".to_owned()], ..here.clone() };
        assert_eq!(files(&here).0, files(&one).0);
        assert_ne!(files(&here).1, files(&one).1);
    }
}
