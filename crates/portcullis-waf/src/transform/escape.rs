//! Escapes of CSS, JavaScript, C and HTML.

use super::{full_width, hex, hex_pair, hex_quad_as_byte, space::is_space};

/// CSS escapes: a backslash and one to six hexadecimal digits, of which the last two count.
pub(super) fn css(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        if byte != b'\\' {
            output.push(byte);
            at += 1;
            continue;
        }
        at += 1;
        let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) else { break };
        let digits: Vec<u8> = rest.iter().take(6).map_while(|digit| hex(*digit)).collect();
        let count = digits.len();
        if count == 0 {
            if rest.first() != Some(&b'\n') {
                output.extend(rest.first());
            }
            at += 1;
            continue;
        }
        let code = digits.iter().fold(0_u32, |code, digit| (code << 4) | u32::from(*digit));
        let [.., high, low] = code.to_be_bytes();
        // Full-width characters count from four digits on, and with five or six where those before are zero.
        output.push(if count >= 4 && code <= 0xffff { full_width(high, low) } else { low });
        at += count;
        if input.get(at).is_some_and(|next| is_space(*next)) {
            at += 1;
        }
    }
    output
}

/// The octal number of one to three digits at `at`, and how many digits it has.
fn octal(input: &[u8], at: usize) -> Option<(u32, usize)> {
    let digits: Vec<u32> =
        input.iter().skip(at).take(3).map_while(|byte| (*byte as char).to_digit(8)).collect();
    let number = digits.iter().fold(0, |number, digit| number * 8 + digit);
    (!digits.is_empty()).then_some((number, digits.len()))
}

fn single(byte: u8) -> Option<u8> {
    Some(match byte {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        _ => return None,
    })
}

fn low(number: u32) -> u8 {
    let [.., low] = number.to_be_bytes();
    low
}

/// JavaScript escapes: `\uHHHH` (its low byte), `\xHH`, `\OOO`, and single characters.
pub(super) fn js(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        let Some(&next) = (byte == b'\\').then(|| input.get(at + 1)).flatten() else {
            output.push(byte);
            at += 1;
            continue;
        };
        if next == b'u'
            && let Some(decoded) = hex_quad_as_byte(input, at + 2)
        {
            output.push(decoded);
            at += 6;
        } else if next == b'x'
            && let Some(decoded) = hex_pair(input, at + 2)
        {
            output.push(decoded);
            at += 4;
        } else if let Some((mut number, mut digits)) = octal(input, at + 1) {
            if number > 255 {
                number /= 8;
                digits -= 1;
            }
            output.push(low(number));
            at += 1 + digits;
        } else {
            output.push(single(next).unwrap_or(next));
            at += 2;
        }
    }
    output
}

/// C escapes: `\xHH`, `\OOO`, and single characters.
pub(super) fn ansi_c(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        let Some(&next) = (byte == b'\\').then(|| input.get(at + 1)).flatten() else {
            output.push(byte);
            at += 1;
            continue;
        };
        if matches!(next, b'x' | b'X')
            && let Some(decoded) = hex_pair(input, at + 2)
        {
            output.push(decoded);
            at += 4;
        } else if let Some((number, digits)) = octal(input, at + 1) {
            output.push(low(number));
            at += 1 + digits;
        } else {
            output.push(single(next).unwrap_or(next));
            at += 2;
        }
    }
    output
}

/// HTML's numeric references and the five named ones of ModSecurity, with or without a semicolon.
pub(super) fn html(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'&'
            && let Some((byte, after)) = reference(tail)
        {
            output.push(byte);
            rest = after.strip_prefix(b";").unwrap_or(after);
        } else {
            output.push(first);
            rest = tail;
        }
    }
    output
}

/// The byte that the reference at the start of `text` (after its `&`) stands for, and what follows it.
fn reference(text: &[u8]) -> Option<(u8, &[u8])> {
    if let Some(number) = text.strip_prefix(b"#") {
        let (digits, radix) = match number.first() {
            Some(b'x' | b'X') => (number.get(1..)?, 16),
            _ => (number, 10),
        };
        let length = digits.iter().take_while(|digit| (**digit as char).is_digit(radix)).count();
        let (digits, after) = digits.split_at_checked(length).filter(|(digits, _)| !digits.is_empty())?;
        let code = digits
            .iter()
            .try_fold(0_i64, |code, digit| {
                code.checked_mul(i64::from(radix))?.checked_add(i64::from((*digit as char).to_digit(radix)?))
            })
            .unwrap_or(i64::MAX);
        let [.., byte] = code.to_be_bytes();
        return Some((byte, after));
    }
    let length = text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let (name, after) = text.split_at_checked(length)?;
    const NAMED: [(&[u8], u8); 5] =
        [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"nbsp", 0xa0)];
    NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, byte)| (*byte, after))
}
