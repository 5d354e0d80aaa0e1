//! The secrets under which keys are hashed.
//!
//! A key is kept as its HMAC-SHA-256 under a pepper (RFC 2104), so that who copies the store can neither use nor guess keys. The
//! first pepper hashes new keys; all are tried for keys that come. A pepper is called by a number that follows from it, so a
//! wrong one is noticed and not merely never right.

use crate::fault::StoreError;
use aws_lc_rs::hmac;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the pepper of hashes that were made without one, by plain SHA-256.
pub const NO_PEPPER: &str = "";

/// Where peppers come from.
#[derive(Clone)]
pub enum PepperSource {
    /// These, the first of which hashes new keys.
    Given(Vec<Zeroizing<Vec<u8>>>),
    /// A file with one, which is made when it is first needed.
    File(PathBuf),
}

impl fmt::Debug for PepperSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PepperSource::Given(peppers) => write!(f, "Given({})", peppers.len()),
            PepperSource::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// The peppers of a store, ready for use.
#[derive(Clone)]
pub struct Peppers(Vec<Pepper>);

#[derive(Clone)]
struct Pepper {
    id: String,
    key: hmac::Key,
}

impl fmt::Debug for Peppers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl Peppers {
    /// These peppers; the first hashes new keys.
    ///
    /// # Errors
    /// There is none, or one is empty.
    pub fn new(secrets: &[Zeroizing<Vec<u8>>]) -> Result<Peppers, StoreError> {
        if secrets.is_empty() || secrets.iter().any(|secret| secret.is_empty()) {
            return Err(StoreError::unusable("a pepper is missing or empty"));
        }
        Ok(Peppers(secrets.iter().map(|secret| Pepper::new(secret)).collect()))
    }

    /// Reads the peppers. A file that is missing is made if `may_make` says that no key was hashed with it yet.
    ///
    /// # Errors
    /// A file cannot be read or made, or others can read it.
    pub fn read(
        source: &PepperSource,
        may_make: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<Peppers, StoreError> {
        match source {
            PepperSource::Given(secrets) => Peppers::new(secrets),
            PepperSource::File(path) => {
                let secret = match read_file(path)? {
                    Some(secret) => secret,
                    None if may_make()? => make_file(path)?,
                    None => {
                        // SECURITY: a new pepper would turn away every key that there is
                        // (a_pepper_that_is_gone_is_not_replaced).
                        return Err(StoreError::unusable(format!(
                            "the pepper {} is missing, and the store has keys that were hashed with it: put it back",
                            path.display()
                        )));
                    }
                };
                Peppers::new(&[secret])
            }
        }
    }

    /// What they are called, in their order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pepper| pepper.id.as_str())
    }

    /// Whether one is called so, or `id` means that there is none.
    pub fn has(&self, id: &str) -> bool {
        id == NO_PEPPER || self.ids().any(|other| other == id)
    }

    /// The hash of a new key, and what its pepper is called.
    pub fn hash(&self, key: &[u8]) -> Result<(String, [u8; 32]), StoreError> {
        let first = self.0.first().ok_or_else(|| StoreError::unusable("there is no pepper"))?;
        Ok((first.id.clone(), first.hash(key)))
    }

    /// The hash of a key under each of the peppers.
    pub fn hashes<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = (&'a str, [u8; 32])> {
        self.0.iter().map(move |pepper| (pepper.id.as_str(), pepper.hash(key)))
    }
}

impl Pepper {
    fn new(secret: &[u8]) -> Pepper {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let name = hmac::sign(&key, b"portcullis: the name of this pepper");
        let id = name.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Pepper { id, key }
    }

    fn hash(&self, key: &[u8]) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.iter_mut().zip(hmac::sign(&self.key, key).as_ref()).for_each(|(to, from)| *to = *from);
        hash
    }
}

/// That nobody but its owner can read or change a file.
///
/// # Errors
/// Others can.
pub(crate) fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), StoreError> {
    portcullis_permissions::made(metadata).map_err(|exposed| {
        let path = path.display();
        StoreError::unusable(format!("{path} is not private: {exposed}; run `chmod 600 {path}`"))
    })
}

fn read_file(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let cannot = |error: std::io::Error| {
        StoreError::unusable(format!("cannot read the pepper {}: {error}", path.display()))
    };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    // SECURITY: of the file that is open, and not of what stands under its name later
    // (a_file_that_others_can_read_is_refused).
    check_mode(path, &file.metadata().map_err(cannot)?)?;
    let mut text = Zeroizing::new(Vec::with_capacity(4097));
    file.take(4097).read_to_end(&mut text).map_err(cannot)?;
    if text.len() > 4096 {
        return Err(StoreError::unusable(format!("the pepper {} is longer than 4096 bytes", path.display())));
    }
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok(Some(text))
}

/// Makes a pepper of 256 random bits. Where another process was first, its pepper is the one.
fn make_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let cannot = |error: std::io::Error| {
        StoreError::unusable(format!("cannot make the pepper {}: {error}", path.display()))
    };
    let mut random = Zeroizing::new([0_u8; 32]);
    getrandom::fill(random.as_mut_slice())
        .map_err(|error| StoreError::failed(format!("the system gives no randomness: {error}")))?;
    let mut text = Zeroizing::new(Vec::with_capacity(65));
    for byte in random.iter() {
        text.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    text.push(b'\n');
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        fs::DirBuilder::new().recursive(true).create(folder).map_err(cannot)?;
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(cannot)?;
    }
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(format!(".{}", std::process::id()));
    let hidden = PathBuf::from(hidden);
    let _ = fs::remove_file(&hidden);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&hidden).map_err(cannot)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(cannot)?;
    // A link, since it replaces nothing: of two processes at once, one is first.
    let linked = fs::hard_link(&hidden, path);
    let _ = fs::remove_file(&hidden);
    match linked {
        Ok(()) => {
            fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(cannot(error)),
    }
    read_file(path)?.ok_or_else(|| StoreError::failed(format!("the pepper {} is gone", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_hash_is_hmac_sha_256() {
        let peppers = Peppers::new(&[secret("Jefe")]).unwrap();
        let (_, hash) = peppers.hash(b"what do ya want for nothing?").unwrap();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        // RFC 4231, section 4.3.
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn the_first_pepper_writes_and_all_read() {
        let peppers = Peppers::new(&[secret("new"), secret("old")]).unwrap();
        let old = Peppers::new(&[secret("old")]).unwrap();
        let made = old.hash(b"key").unwrap();
        assert_ne!(peppers.hash(b"key").unwrap(), made);
        assert!(peppers.hashes(b"key").any(|(id, hash)| id == made.0 && hash == made.1));
        assert!(peppers.has(&made.0) && peppers.has(NO_PEPPER) && !peppers.has("00000000"));
        assert!(Peppers::new(&[]).is_err() && Peppers::new(&[secret("")]).is_err());
        assert!(!format!("{peppers:?}").contains("old"));
    }
}
