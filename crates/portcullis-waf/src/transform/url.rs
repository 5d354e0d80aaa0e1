//! Percent-encoding.

use super::best_fit::best_fit;
use super::{hex_pair, hex_quad_as_byte};

/// Decodes `%HH` and `+`, with `unicode` also `%uHHHH`, which becomes the ASCII
/// character that lax servers take for it, else its low byte; what is not a valid escape stays as it is.
pub(super) fn decode(input: &[u8], unicode: bool) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        let (decoded, length) = match byte {
            b'+' => (b' ', 1),
            b'%' => {
                let wide = matches!(input.get(at + 1), Some(b'u' | b'U')) && unicode;
                if wide && let Some(decoded) = hex_quad_as_byte(input, at + 2) {
                    let code = hex_pair(input, at + 2).zip(hex_pair(input, at + 4));
                    let fit = code.and_then(|(high, low)| best_fit(u16::from_be_bytes([high, low])));
                    (fit.unwrap_or(decoded), 6)
                } else if let Some(decoded) = hex_pair(input, at + 1) {
                    (decoded, 3)
                } else {
                    (byte, 1)
                }
            }
            _ => (byte, 1),
        };
        output.push(decoded);
        at += length;
    }
    output
}

/// Encodes all but letters, digits and `*`, as ModSecurity does; a space becomes `+`.
pub(super) fn encode(input: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble & 15)).copied().unwrap_or(b'0');
    let mut output = Vec::with_capacity(input.len() * 3);
    for &byte in input {
        if byte == b' ' {
            output.push(b'+');
        } else if byte == b'*' || byte.is_ascii_alphanumeric() {
            output.push(byte);
        } else {
            output.extend([b'%', digit(byte >> 4), digit(byte)]);
        }
    }
    output
}
