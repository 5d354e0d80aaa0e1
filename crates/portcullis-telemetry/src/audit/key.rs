//! The key that signs the audit log's checkpoints: Ed25519 (RFC 8032).
//!
//! It stands in a file of its own, `FILE.key` beside the log, made at the first start and readable by its owner alone; the
//! public half is in `FILE.pub`. Whoever can read the key can make a chain anew, so an auditor keeps the public half, and
//! heads, elsewhere.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A key that signs. `Debug` shows its public half alone.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Reads the key in a file, or makes one. The public half is written beside it, as `.pub`.
    ///
    /// # Errors
    /// The file cannot be read or made, holds something else, or others can read it.
    pub fn load(path: &Path) -> io::Result<SigningKey> {
        let wrong = |reason: &str| {
            io::Error::new(io::ErrorKind::InvalidData, format!("the key {} {reason}", path.display()))
        };
        let pair = match std::fs::read(path) {
            Ok(bytes) => {
                portcullis_permissions::made(&std::fs::metadata(path)?)
                    .map_err(|exposed| wrong(&format!("is not private: {exposed}; make its mode 0600")))?;
                Ed25519KeyPair::from_pkcs8(&bytes).map_err(|_| wrong("is not an Ed25519 key in PKCS #8"))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pair = Ed25519KeyPair::generate().map_err(|_| wrong("cannot be made"))?;
                let document = pair.to_pkcs8().map_err(|_| wrong("cannot be made"))?;
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
                file.write_all(document.as_ref())?;
                file.sync_all()?;
                pair
            }
            Err(error) => return Err(error),
        };
        let key = SigningKey(pair);
        std::fs::write(path.with_extension("pub"), format!("{}\n", key.public()))?;
        Ok(key)
    }

    /// The public half as 64 hexadecimal digits.
    pub fn public(&self) -> String {
        hex(self.0.public_key().as_ref())
    }

    /// A signature as 128 hexadecimal digits.
    pub(super) fn sign(&self, message: &[u8]) -> String {
        hex(self.0.sign(message).as_ref())
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

/// Whether a signature is this public key's.
pub(super) fn verifies(public: &str, message: &[u8], signature: &str) -> bool {
    let (Some(public), Some(signature)) = (bytes(public), bytes(signature)) else { return false };
    UnparsedPublicKey::new(&ED25519, public).verify(message, &signature).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that lower-case hexadecimal digits stand for.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(*pair.first()?)? << 4) | digit(*pair.get(1)?)?)).collect()
}
