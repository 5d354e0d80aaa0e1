//! What a key looks like.
//!
//! `pk_live_`, 43 characters that stand for 256 random bits, and 6 that are a checksum of all before them. A scanner finds keys
//! by [`PATTERN`], and tells a key from a text that merely looks like one by its checksum, as the gateway does: a typo is
//! refused without a look into the store.

use crate::fault::StoreError;
use zeroize::Zeroizing;

/// What every key begins with.
pub const PREFIX: &str = "pk_live_";
/// The regular expression of a key, for secret scanners.
pub const PATTERN: &str = "\\bpk_live_[0-9A-Za-z]{49}\\b";

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62 to the power of 43 is just above 2 to the power of 256.
const RANDOM_DIGITS: usize = 43;
/// 62 to the power of 6 is above 2 to the power of 32.
const CHECK_DIGITS: usize = 6;
/// The length of a key in bytes.
pub const LENGTH: usize = PREFIX.len() + RANDOM_DIGITS + CHECK_DIGITS;

/// How a text stands to the form of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The form and the checksum are right.
    Ours,
    /// The form is right and the checksum is not: a key with a typo, or one that was made up.
    Typo,
    /// Something else, such as a key that was imported.
    Foreign,
}

/// A new key, from the generator of the operating system.
///
/// # Errors
/// The generator fails.
pub fn generate() -> Result<Zeroizing<String>, StoreError> {
    let mut random = Zeroizing::new([0_u8; 32]);
    // A key of zeros would be everybody's, so a generator that fails makes none.
    getrandom::fill(random.as_mut_slice())
        .map_err(|error| StoreError::failed(format!("the system gives no randomness: {error}")))?;
    Ok(from_bytes(&random))
}

fn from_bytes(random: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(LENGTH));
    text.push_str(PREFIX);
    let mut number = Zeroizing::new(*random);
    let mut digits = Zeroizing::new([0_u8; RANDOM_DIGITS]);
    for digit in digits.iter_mut().rev() {
        // One step of a long division by 62, the most significant byte first.
        let mut rest = 0_u32;
        for byte in number.iter_mut() {
            let value = (rest << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *digit = digit_of(rest);
    }
    digits.iter().for_each(|digit| text.push(char::from(*digit)));
    let check = checksum(text.as_bytes());
    text.push_str(&check);
    text
}

fn digit_of(value: u32) -> u8 {
    DIGITS.get(value as usize).copied().unwrap_or(b'0')
}

/// CRC-32 (ISO-HDLC) of a text, in six digits to the base 62.
fn checksum(text: &[u8]) -> String {
    let mut crc = crc32fast::hash(text);
    let mut digits = [b'0'; CHECK_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = digit_of(crc % 62);
        crc /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// How a text stands to the form of a key.
pub fn form(text: &[u8]) -> Form {
    if text.len() != LENGTH || !text.starts_with(PREFIX.as_bytes()) {
        return Form::Foreign;
    }
    let Some((body, check)) = text.split_at_checked(LENGTH - CHECK_DIGITS) else { return Form::Foreign };
    if !text.iter().skip(PREFIX.len()).all(u8::is_ascii_alphanumeric) {
        return Form::Foreign;
    }
    // Neither side is a secret that is compared: the checksum follows from the text that the client itself sent.
    if checksum(body).as_bytes() == check { Form::Ours } else { Form::Typo }
}

/// The beginning of a key, by which its owner recognises it: 24 of its 256 bits.
pub fn hint(key: &str) -> String {
    key.get(..PREFIX.len() + 4).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_has_the_form_and_no_two_are_the_same() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(*one, *other);
        assert_eq!(one.len(), 57);
        assert_eq!(form(one.as_bytes()), Form::Ours);
        assert!(one.starts_with("pk_live_"));
        assert_eq!(hint(&one).len(), 12);
    }

    #[test]
    fn numbers_are_written_to_the_base_62() {
        assert!(from_bytes(&[0; 32]).starts_with(&format!("{PREFIX}{}", "0".repeat(43))));
        let mut one = [0; 32];
        one[31] = 62;
        assert!(from_bytes(&one).starts_with(&format!("{PREFIX}{}10", "0".repeat(41))));
        // 2^256 - 1 to the base 62, by Python.
        let most = from_bytes(&[255; 32]);
        assert_eq!(&most[8..51], "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
        assert_eq!(form(most.as_bytes()), Form::Ours);
    }

    #[test]
    fn every_single_typo_is_found() {
        let key = generate().unwrap();
        for place in PREFIX.len()..LENGTH {
            let mut typo = key.as_bytes().to_vec();
            typo[place] = if typo[place] == b'x' { b'y' } else { b'x' };
            assert_eq!(form(&typo), Form::Typo, "{place}");
        }
        let mut swapped = key.as_bytes().to_vec();
        if swapped[20] != swapped[21] {
            swapped.swap(20, 21);
            assert_eq!(form(&swapped), Form::Typo);
        }
    }

    #[test]
    fn other_texts_are_foreign() {
        let key = generate().unwrap();
        let longer = format!("{}a", *key);
        let marks = format!("{PREFIX}{}", "-".repeat(49));
        for text in ["", "abc", PREFIX, &longer, &key[1..], &marks, &key.to_uppercase()] {
            assert_eq!(form(text.as_bytes()), Form::Foreign, "{text}");
        }
    }
}
