//! Bytes as lower-case hexadecimal digits. Each request has a hundred of them, so they are not formatted.

/// The two digits of a byte.
pub(crate) fn digits(byte: u8) -> [u8; 2] {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    [digit(byte >> 4), digit(byte & 0xf)]
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_byte_is_as_it_is_formatted() {
        for byte in 0..=u8::MAX {
            assert_eq!(super::digits(byte), format!("{byte:02x}").as_bytes());
        }
    }
}
