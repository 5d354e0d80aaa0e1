//! Numbers with a check digit.

fn digits(text: &[u8]) -> Vec<u32> {
    text.iter().filter_map(|byte| (*byte as char).to_digit(10)).collect()
}

/// A payment card number, by the Luhn algorithm.
pub(super) fn is_card(text: &[u8]) -> bool {
    let digits = digits(text);
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { *digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// A Brazilian taxpayer's number.
pub(super) fn is_cpf(text: &[u8]) -> bool {
    let digits = digits(text);
    let &[.., first, second] = digits.as_slice() else { return false };
    let check = |count: usize| {
        let weights = (2..=u32::try_from(count).unwrap_or(0) + 1).rev();
        let sum: u32 = digits.iter().take(count).zip(weights).map(|(digit, weight)| digit * weight).sum();
        match sum % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        }
    };
    let all_same = digits.windows(2).all(|pair| pair.first() == pair.last());
    digits.len() == 11 && !all_same && check(9) == first && check(10) == second
}

/// A number of the United States' social security, by the ranges that are given out.
pub(super) fn is_ssn(text: &[u8]) -> bool {
    let digits = digits(text);
    let number = |range: std::ops::Range<usize>| {
        digits.get(range).map_or(0, |part| part.iter().fold(0, |number, digit| number * 10 + digit))
    };
    let (area, group, serial) = (number(0..3), number(3..5), number(5..9));
    let same = digits.windows(2).all(|pair| pair.first() == pair.last());
    let rising = digits.windows(2).all(|pair| matches!(pair, [one, two] if *two == one + 1));
    digits.len() == 9 && area > 0 && area != 666 && area < 740 && group > 0 && serial > 0 && !same && !rising
}

/// An Austrian social security number.
pub(super) fn is_svnr(text: &[u8]) -> bool {
    let digits = digits(text);
    let weights = [3, 7, 9, 0, 5, 8, 4, 2, 1, 6];
    let sum: u32 = digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum();
    digits.len() == 10 && digits.get(3) == Some(&(sum % 11))
}
