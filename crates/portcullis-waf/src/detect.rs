//! Detection of SQL injection and cross-site scripting, as libinjection does it, behind a trait.

/// A detector of injections. It must be linear in the value's length, more or less, and must not panic.
pub trait Detector: Send + Sync {
    /// The fingerprint of an SQL injection in `value`, if it looks like one.
    fn sql(&self, value: &[u8]) -> Option<Vec<u8>>;

    /// Whether `value` looks like cross-site scripting. Not asked of a value that has neither `<` nor `=`: it holds no tag
    /// and no attribute with a value.
    fn xss(&self, value: &[u8]) -> bool;
}

/// libinjection's algorithms, by the crate `libinjectionrs`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LibInjection;

impl Detector for LibInjection {
    fn sql(&self, value: &[u8]) -> Option<Vec<u8>> {
        let found = libinjectionrs::detect_sqli(value);
        found
            .is_injection()
            .then(|| found.fingerprint.map(|f| f.as_str().as_bytes().to_vec()).unwrap_or_default())
    }

    fn xss(&self, value: &[u8]) -> bool {
        libinjectionrs::detect_xss(value).is_injection()
    }
}
