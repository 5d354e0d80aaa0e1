//! Paths in one form.

/// Removes empty segments, `.` segments, and `..` segments with the one before them. Above the root of a relative
/// path, `..` stays.
pub(super) fn normalise(input: &[u8]) -> Vec<u8> {
    let absolute = input.first() == Some(&b'/');
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut directory = false; // whether the path ends in a slash
    for segment in input.split(|byte| *byte == b'/') {
        directory = segment.is_empty();
        match segment {
            b"" | b"." => {}
            b".." => match kept.last() {
                Some(last) if *last != b".." => drop(kept.pop()),
                _ if absolute => {}
                _ => kept.push(segment),
            },
            _ => kept.push(segment),
        }
    }
    let mut output = Vec::with_capacity(input.len());
    if absolute {
        output.push(b'/');
    }
    output.extend(kept.join(&b'/'));
    if directory && !kept.is_empty() {
        output.push(b'/');
    }
    output
}
