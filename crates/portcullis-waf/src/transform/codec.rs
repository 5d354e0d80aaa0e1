//! Base64, hexadecimal, digests, parity.

use super::{hex, hex_pair};
use md5::Digest as _;

fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// Decodes as far as the alphabet goes; with `skip`, steps over what is not in it, except `=`, which ends it.
pub(super) fn base64_decode(input: &[u8], skip: bool) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len() / 4 * 3 + 3);
    let mut held = 0_u32;
    let mut bits = 0;
    for &byte in input {
        let Some(value) = sextet(byte) else {
            if skip && byte != b'=' {
                continue;
            }
            break;
        };
        held = (held << 6) | value;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            let [.., low] = (held >> bits).to_be_bytes();
            output.push(low);
        }
    }
    output
}

pub(super) fn base64_encode(input: &[u8]) -> Vec<u8> {
    use base64ct::Encoding as _;
    base64ct::Base64::encode_string(input).into_bytes()
}

/// Pairs of digits; an odd digit at the end goes, and what is no digit counts as ModSecurity counts it: by its low bits.
pub(super) fn hex_decode(input: &[u8]) -> Vec<u8> {
    input
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0_u8, |byte, digit| (byte << 4) | hex(*digit).unwrap_or(0)))
        .collect()
}

pub(super) fn hex_encode(input: &[u8]) -> Vec<u8> {
    input.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// `0x414243` becomes `ABC`, wherever it stands.
pub(super) fn sql_hex_decode(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        let opens = byte == b'0' && matches!(input.get(at + 1), Some(b'x' | b'X'));
        if opens && hex_pair(input, at + 2).is_some() {
            at += 2;
            while let Some(decoded) = hex_pair(input, at) {
                output.push(decoded);
                at += 2;
            }
        } else {
            output.push(byte);
            at += 1;
        }
    }
    output
}

pub(super) fn md5(input: &[u8]) -> Vec<u8> {
    md5::Md5::digest(input).to_vec()
}

pub(super) fn sha1(input: &[u8]) -> Vec<u8> {
    sha1::Sha1::digest(input).to_vec()
}

/// What becomes of the eighth bit.
#[derive(Clone, Copy)]
pub(super) enum Parity {
    Even,
    Odd,
    Zero,
}

pub(super) fn parity(input: &[u8], parity: Parity) -> Vec<u8> {
    input
        .iter()
        .map(|byte| {
            let seven = byte & 0x7f;
            let odd = seven.count_ones() % 2 == 1;
            let set = match parity {
                Parity::Even => odd,
                Parity::Odd => !odd,
                Parity::Zero => false,
            };
            if set { seven | 0x80 } else { seven }
        })
        .collect()
}
