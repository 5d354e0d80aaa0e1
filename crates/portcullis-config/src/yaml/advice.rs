//! What to do about a document that is not YAML, in plain words: parsers name the rule that is broken, and not the mistake.
//!
//! Goes by what the parser says. Where that is not known, nothing is said. Holds no text of the document.

/// What a parser says, and what most likely is to be done about it.
const ADVICE: [(&str, &str); 10] = [
    ("tab", "YAML is indented with spaces: replace the tab, which may stand on the next line"),
    (
        "mapping values are not allowed",
        "if this line is indented further than the one above it, indent both alike; if its value has a `: ` in it, put the value in quotes",
    ),
    (
        "mismatched bracket",
        "a list that begins with `[` ends with `]`, and a mapping that begins with `{` ends with `}`",
    ),
    ("unclosed quote", "close the quotation mark on this line"),
    ("unknown anchor", "a value that begins with `*` is written in quotes: `\"*.example.com\"`"),
    ("unexpected character", "a value that begins with this character is written in quotes"),
    (
        "flow",
        "between `{` and `}`, and `[` and `]`, entries are separated by commas, and a value with such a character is written in quotes: \
         `path: \"/orders/{*rest}\"`",
    ),
    ("illegal placement of ':'", "close the bracket or the brace that is open above this line"),
    (
        "expected '-'",
        "this line stands further left than the keys that it belongs to: indent it as they are, or begin it with `- ` for a new entry",
    ),
    ("block", "keys that belong together begin in the same column"),
];

/// What to do about what the parser says.
pub(super) fn of(said: &str) -> Option<&'static str> {
    ADVICE.iter().find(|(part, _)| said.contains(part)).map(|(_, advice)| *advice)
}

/// Whether a text without quotes begins and ends with quotation marks that word processors make.
pub(super) fn is_in_curly_quotes(text: &str) -> bool {
    let is_curly = |character: char| matches!(character, '“' | '”' | '„' | '‘' | '’');
    text.starts_with(is_curly) && text.ends_with(is_curly)
}
