//! UTF-8 made visible as `%uHHHH`.

/// Each character of more than one byte becomes `%u` and its code in at least four hexadecimal digits. Bytes that are
/// not UTF-8 stay as they are.
pub(super) fn utf8_to_unicode(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len() * 3);
    for chunk in input.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii() {
                let [.., byte] = u32::from(character).to_be_bytes();
                output.push(byte);
            } else {
                output.extend(format!("%u{:04x}", u32::from(character)).into_bytes());
            }
        }
        output.extend(chunk.invalid());
    }
    output
}
