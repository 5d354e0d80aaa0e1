//! Whitespace, and command lines.

/// What C's `isspace` takes for a space.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

pub(super) fn is_space_or_nbsp(byte: u8) -> bool {
    is_space(byte) || byte == 0xa0
}

/// Each run of spaces becomes one space.
pub(super) fn compress(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut in_space = false;
    for &byte in input {
        let space = is_space_or_nbsp(byte);
        match (space, in_space) {
            (true, true) => {}
            (true, false) => output.push(b' '),
            (false, _) => output.push(byte),
        }
        in_space = space;
    }
    output
}

/// `input` without spaces at the chosen ends.
pub(super) fn trim(input: &[u8], left: bool, right: bool) -> &[u8] {
    let mut rest = input;
    while left && let Some((first, tail)) = rest.split_first() {
        if !is_space(*first) {
            break;
        }
        rest = tail;
    }
    while right && let Some((last, head)) = rest.split_last() {
        if !is_space(*last) {
            break;
        }
        rest = head;
    }
    rest
}

/// What a shell would make of the ways to hide a command: quotes, carets and backslashes go, separators become one
/// space, a space before `/` or `(` goes, letters become small.
pub(super) fn command_line(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut in_space = false;
    for &byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !in_space {
                    output.push(b' ');
                    in_space = true;
                }
            }
            b'/' | b'(' => {
                if in_space {
                    output.pop();
                }
                in_space = false;
                output.push(byte);
            }
            _ => {
                in_space = false;
                output.push(byte.to_ascii_lowercase());
            }
        }
    }
    output
}
