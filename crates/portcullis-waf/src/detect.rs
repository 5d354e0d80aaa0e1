//! Detection of SQL injection and cross-site scripting, as libinjection does it, behind a trait.

use libinjectionrs::sqli::TokenType;
use libinjectionrs::sqli::sqli_data::lookup_word;
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

/// A detector of injections. It must be linear in the value's length, more or less, and must not panic.
pub trait Detector: Send + Sync {
    /// The fingerprint of an SQL injection in `value`, if it looks like one.
    fn sql(&self, value: &[u8]) -> Option<Vec<u8>>;

    /// The same for a value that many requests have alike and that is no secret, such as a name or a browser's
    /// `User-Agent`. A detector may remember its answer.
    fn sql_of_common(&self, value: &[u8]) -> Option<Vec<u8>> {
        self.sql(value)
    }

    /// Whether `value` looks like cross-site scripting. Not asked of a value that has neither `<` nor `=`: it holds no tag
    /// and no attribute with a value.
    fn xss(&self, value: &[u8]) -> bool;
}

/// Asks a detector for the answer that it may remember.
#[derive(Clone, Copy)]
pub(crate) struct OfCommon<'d>(pub(crate) &'d dyn Detector);

impl Detector for OfCommon<'_> {
    fn sql(&self, value: &[u8]) -> Option<Vec<u8>> {
        self.0.sql_of_common(value)
    }

    fn xss(&self, value: &[u8]) -> bool {
        self.0.xss(value)
    }
}

/// libinjection's algorithms, by the crate `libinjectionrs`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LibInjection;

impl Detector for LibInjection {
    fn sql(&self, value: &[u8]) -> Option<Vec<u8>> {
        if has_no_sql(value) {
            return None;
        }
        let found = libinjectionrs::detect_sqli(value);
        found
            .is_injection()
            .then(|| found.fingerprint.map(|f| f.as_str().as_bytes().to_vec()).unwrap_or_default())
    }

    fn sql_of_common(&self, value: &[u8]) -> Option<Vec<u8>> {
        if has_no_sql(value) || value.len() > LONGEST {
            return self.sql(value);
        }
        HARMLESS.with_borrow_mut(|harmless| {
            if harmless.has(value) {
                return None;
            }
            let found = self.sql(value);
            if found.is_none() {
                harmless.keep(value);
            }
            found
        })
    }

    fn xss(&self, value: &[u8]) -> bool {
        libinjectionrs::detect_xss(value).is_injection()
    }
}

/// The most words of a value that is looked at without libinjection.
const MOST_WORDS: usize = 8;

/// Whether a value is made of words and numbers of which libinjection knows none, with spaces between them. It then
/// consists of tokens of the types `n` and `1` alone, and no fingerprint of an injection does. A single word is a
/// single token, and the only one that is an injection by itself is no word.
fn has_no_sql(value: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if !value.iter().all(|byte| is_word(byte) || *byte == b' ') {
        return false;
    }
    let mut words = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let Some(first) = words.next() else { return false };
    let is_number = |word: &[u8]| word.iter().all(u8::is_ascii_digit);
    let is_name = |word: &[u8]| word.first().is_some_and(u8::is_ascii_alphabetic);
    let Some(second) = words.next() else { return is_name(first) || is_number(first) };
    let mut before: Option<&[u8]> = None;
    for (count, word) in [first, second].into_iter().chain(words).enumerate() {
        if count >= MOST_WORDS || !(is_number(word) || is_name(word)) {
            return false;
        }
        before = if is_number(word) {
            None
        } else {
            // Two words can be one that it knows, such as `ORDER BY`.
            if is_known(word) || before.is_some_and(|before| is_known(&[before, b" ", word].concat())) {
                return false;
            }
            Some(word)
        };
    }
    true
}

/// Whether libinjection knows a word as anything but a name.
fn is_known(word: &[u8]) -> bool {
    std::str::from_utf8(word).map_or(true, |word| lookup_word(word) != TokenType::Bareword)
}

/// The longest value that is remembered.
const LONGEST: usize = 128;
/// How many values are remembered.
const REMEMBERED: usize = 256;

thread_local! {
    static HARMLESS: RefCell<Harmless> = RefCell::default();
}

/// Values without an SQL injection, a few for each thread: each has one place, and the last one has it. Which place is
/// known to nobody outside, and values are compared whole.
#[derive(Default)]
struct Harmless {
    places: Vec<Vec<u8>>,
    hashes: RandomState,
}

impl Harmless {
    fn place(&self, value: &[u8]) -> usize {
        usize::try_from(self.hashes.hash_one(value) % REMEMBERED as u64).unwrap_or(0)
    }

    fn has(&self, value: &[u8]) -> bool {
        !self.places.is_empty() && self.places.get(self.place(value)).is_some_and(|known| known == value)
    }

    fn keep(&mut self, value: &[u8]) {
        self.places.resize_with(REMEMBERED, Vec::new);
        let place = self.place(value);
        if let Some(known) = self.places.get_mut(place) {
            known.clear();
            known.extend_from_slice(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Vec<&'static str> {
        let known = "select union all from where order by group having or and not in like is null between exists \
            insert into values update set delete drop table create alter user password database sleep benchmark \
            waitfor delay if else case when then end cast convert char chr concat version current_user if collate \
            binary int varchar shutdown exec execute declare begin go procedure analyse limit offset as on join cross \
            natural left right outer inner mod div xor rlike regexp sounds boolean mode with rollup sp_password \
            information_schema x b n u q e";
        let plain = "hello world Ada Lovelace page theme session after pm value a Z z9 first_name Straße";
        known.split_whitespace().chain(plain.split_whitespace()).collect()
    }

    #[test]
    fn what_is_passed_over_is_no_injection() {
        let words: Vec<String> = words()
            .into_iter()
            .map(str::to_owned)
            .chain(["0", "1", "42", "0x1f", "0b1", "1e5", "7d1", "00", "999999999999"].map(str::to_owned))
            .chain([" ", "_a", "a_", "", "a.b", "A-1", "x'1'", "\t", "\u{a0}"].map(str::to_owned))
            .collect();
        let injected = |text: &str| libinjectionrs::detect_sqli(text.as_bytes()).is_injection();
        let (mut passed, mut injections) = (0, 0);
        let mut check = |text: &str| {
            let (skips, found) = (has_no_sql(text.as_bytes()), injected(text));
            assert!(!(skips && found), "{text:?}");
            passed += usize::from(skips);
            injections += usize::from(found);
        };
        for one in &words {
            check(one);
            for two in &words {
                check(&format!("{one} {two}"));
                check(&format!("{one}{two}"));
                check(&format!("{one}  {}", two.to_uppercase()));
                for three in words.iter().step_by(9) {
                    check(&format!("{one} {two} {three}"));
                }
            }
        }
        println!("{passed} passed over, {injections} injections");
        assert!(passed > 1_000 && injections > 100, "{passed} passed over, {injections} injections");
        assert!(has_no_sql(b"Ada Lovelace") && has_no_sql(b"1042") && !has_no_sql(b"a order by b"));
    }

    #[test]
    fn what_is_remembered_changes_no_answer() {
        let texts: Vec<String> = (0..2_000)
            .map(|number| format!("json.items.{number}.name"))
            .chain(
                ["' or 1=1 --", "1' union select password from users", "Mozilla/5.0 (X11)"]
                    .map(str::to_owned),
            )
            .collect();
        for _ in 0..2 {
            for text in &texts {
                let text = text.as_bytes();
                assert_eq!(LibInjection.sql_of_common(text), LibInjection.sql(text), "{text:?}");
                assert_eq!(LibInjection.sql_of_common(text), LibInjection.sql(text), "again {text:?}");
            }
        }
        HARMLESS.with_borrow(|harmless| {
            assert_eq!(harmless.places.len(), REMEMBERED, "it does not grow");
            assert!(harmless.has(b"Mozilla/5.0 (X11)") && !harmless.has(b"' or 1=1 --"));
        });
    }
}
