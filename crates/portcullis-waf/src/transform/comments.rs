//! Comments of SQL, C and HTML.

/// Removes comments, as ModSecurity does: the byte after a comment is copied unseen, and at the end of the input that
/// byte is NUL.
pub(super) fn remove(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut inside = false;
    let mut at = 0;
    while let Some(rest) = input.get(at..)
        && let Some(&byte) = rest.first()
    {
        if inside {
            let close = if rest.starts_with(b"*/") {
                2
            } else if rest.starts_with(b"-->") {
                3
            } else {
                at += 1;
                continue;
            };
            inside = false;
            output.push(rest.get(close).copied().unwrap_or(0));
            at += close + 1;
        } else if rest.starts_with(b"/*") {
            inside = true;
            at += 2;
        } else if rest.starts_with(b"<!--") {
            inside = true;
            at += 4;
        } else if rest.starts_with(b"--") || byte == b'#' {
            break;
        } else {
            output.push(byte);
            at += 1;
        }
    }
    if inside {
        output.push(b' ');
    }
    output
}

/// Removes what opens and closes a comment, and leaves what is inside.
pub(super) fn remove_marks(input: &[u8]) -> Vec<u8> {
    const MARKS: [&[u8]; 6] = [b"/*", b"*/", b"<!--", b"-->", b"--", b"#"];
    let mut output = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((&first, tail)) = rest.split_first() {
        if let Some(shorter) = MARKS.iter().find_map(|mark| rest.strip_prefix(*mark)) {
            rest = shorter;
        } else {
            output.push(first);
            rest = tail;
        }
    }
    output
}

/// Each C comment becomes one space; one that is not closed reaches to the end.
pub(super) fn replace(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((&first, tail)) = rest.split_first() {
        if let Some(inside) = rest.strip_prefix(b"/*") {
            output.push(b' ');
            rest =
                memchr::memmem::find(inside, b"*/").and_then(|end| inside.get(end + 2..)).unwrap_or_default();
        } else {
            output.push(first);
            rest = tail;
        }
    }
    output
}
