//! Whether a path that a configuration writes is a pattern of another product.
//!
//! Taken as text, `/admin/*` would protect the path `/admin/*` and leave `/admin/users` open. So what looks like a
//! wildcard, a parameter or a regular expression elsewhere is found here, with what it would be in this gateway's own
//! words. Characters that paths of real APIs contain are no pattern: `/items:batch`, `/@scope/name`, `/a+b`,
//! `/Products('7')/$count`, `/~user`. A backslash makes the next character a literal one: `/a\*b`. Needs nothing that could
//! fail.

/// A pattern of another product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What it looks like, for a sentence: "a wildcard".
    pub looks_like: &'static str,
    /// The path in this gateway's words, if there is one.
    pub meant: Option<String>,
}

/// The path with every `\*` as `*`. `None` where a backslash stands before something that needs none.
pub fn unescaped(path: &str) -> Option<String> {
    let mut literal = String::with_capacity(path.len());
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        literal.push(if c == '\\' { chars.next().filter(|next| is_escapable(*next))? } else { c });
    }
    Some(literal)
}

/// Characters that a path can hold and that mean something in patterns.
fn is_escapable(c: char) -> bool {
    matches!(c, '*' | '+' | ':' | '$' | '(' | ')' | '.' | ',' | '=' | '~' | '!' | '@' | '&')
}

/// What `path` is in another product; `None` where it is a path of this gateway.
pub fn foreign(path: &str) -> Option<Foreign> {
    let text = hidden(path);
    let (rest, mut looks_like) = without_anchors(&text);
    let (rest, query) = without_query(rest);
    if let Some(query) = query {
        looks_like = looks_like.or(Some(if query.contains('=') || query.is_empty() == rest.ends_with('/') {
            "a path with a query, which no route looks at"
        } else {
            "an optional part"
        }));
    }
    if rest.is_empty() || (!rest.starts_with('/') && !rest.starts_with('*')) {
        return looks_like.map(|looks_like| Foreign { looks_like, meant: None });
    }
    let segments: Vec<&str> = rest.strip_prefix('/').unwrap_or(rest).split('/').collect();
    let mut meant = Some(String::new());
    for (index, segment) in segments.iter().enumerate() {
        let own = match read(segment, index + 1 == segments.len()) {
            Segment::Own => Some((*segment).to_owned()),
            Segment::Foreign(kind, own) => {
                looks_like = looks_like.or(Some(kind));
                own
            }
        };
        meant = meant.zip(own).map(|(path, own)| if own == GONE { path } else { path + "/" + &own });
    }
    let meant = meant.map(|path| if path.is_empty() { "/".to_owned() } else { path });
    // What was escaped cannot be shown again, so there is nothing to suggest.
    looks_like.map(|looks_like| Foreign { looks_like, meant: meant.filter(|path| !path.contains(HIDDEN)) })
}

/// Stands for an escaped character.
const HIDDEN: char = '\u{fffc}';
/// A segment that is nothing here.
const GONE: &str = "\u{0}";

/// The path with another character for each escaped one. A backslash that escapes nothing stays.
fn hidden(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut chars = path.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(next) if c == '\\' && is_escapable(*next) => {
                text.push(HIDDEN);
                chars.next();
            }
            Some(_) | None => text.push(c),
        }
    }
    text
}

/// The text without what a location or a regular expression begins and ends with.
fn without_anchors(text: &str) -> (&str, Option<&'static str>) {
    const EXPRESSION: &str = "a regular expression";
    let (mut rest, mut looks_like) = (text, None);
    for (mark, kind) in [
        ("^~", "a location of nginx"),
        ("~*", "a location of nginx"),
        ("~", "a location of nginx"),
        ("=", "a location of nginx"),
        ("(?i)", EXPRESSION),
        ("^", EXPRESSION),
        ("(?i)", EXPRESSION),
    ] {
        if let Some(after) = rest.trim_start().strip_prefix(mark) {
            (rest, looks_like) = (after.trim_start(), looks_like.or(Some(kind)));
        }
    }
    if let Some(after) = rest.strip_prefix("/(?i)") {
        (rest, looks_like) = (after, Some(EXPRESSION));
    }
    match rest.strip_suffix('$') {
        Some(before) if !before.contains("/$") => (before, looks_like.or(Some(EXPRESSION))),
        Some(_) | None => (rest, looks_like),
    }
}

/// The text before a `?` that stands in no parameter and in no group, and what follows it.
fn without_query(text: &str) -> (&str, Option<&str>) {
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '(' | '[' | '<' => depth += 1,
            '}' | ')' | ']' | '>' => depth = depth.saturating_sub(1),
            '?' if depth == 0 => return (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
            _ => {}
        }
    }
    (text, None)
}

enum Segment {
    /// One of this gateway's, or a plain name.
    Own,
    /// Something else, and what it is here.
    Foreign(&'static str, Option<String>),
}

fn read(segment: &str, last: bool) -> Segment {
    use Segment::{Foreign, Own};
    const WILDCARD: &str = "a wildcard of another product";
    const PARAMETER: &str = "a parameter of another product";
    const EXPRESSION: &str = "a regular expression";
    let wild = || Some(if last { "{*rest}" } else { "{segment}" }.to_owned());
    let named = |name: &str, rest: bool| {
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
        let name = if name.is_empty() { "rest".to_owned() } else { name };
        (!rest || last).then(|| if rest { format!("{{*{name}}}") } else { format!("{{{name}}}") })
    };
    if let Some(inner) = segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
        let name = inner.strip_prefix('*').unwrap_or(inner);
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Own;
        }
        if inner == "$" {
            return Foreign(PARAMETER, Some(GONE.to_owned()));
        }
        let rest = inner.starts_with(['*', '+'])
            || inner.ends_with("...")
            || (inner.ends_with(['+', '*']) && !inner.contains(':'))
            || [":path", ":.*", ":.+", "=**"].iter().any(|end| inner.ends_with(end));
        let name = inner.trim_start_matches(['*', '+', '/', '.']);
        let name = name.split([':', '=', '?', '.', '+', '*', '<', ',']).next().unwrap_or_default();
        return Foreign(PARAMETER, named(name, rest));
    }
    match segment {
        "*" | "**" | "..." => return Foreign(WILDCARD, wild()),
        ".*" | ".+" | "(.*)" | "(.+)" => return Foreign(EXPRESSION, wild()),
        _ => {}
    }
    if let Some(inner) = segment.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')) {
        let (kind, name) = inner.split_once(':').unwrap_or(("", inner));
        let spreads = kind == "path" || inner.ends_with("..") || inner.ends_with(":.*");
        return Foreign(PARAMETER, named(name.trim_end_matches('.'), spreads));
    }
    if let Some(inner) = segment.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        let spread = inner.trim_matches(['[', ']']);
        let name = spread.strip_prefix("...").unwrap_or(spread);
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
            return Foreign(PARAMETER, named(name, spread.starts_with("...")));
        }
        return Foreign(EXPRESSION, wild().filter(|_| !last).or_else(|| Some("{segment}".to_owned())));
    }
    if segment.starts_with(':') && segment.len() > 1 {
        let name = segment.trim_start_matches(':');
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        let after = name.get(end..).unwrap_or_default();
        let plain = matches!(after, "" | "?" | "*" | "+") || after.starts_with('(');
        let own =
            named(name.get(..end).unwrap_or_default(), after.starts_with(['*', '+']) || after.contains(".*"));
        return Foreign(PARAMETER, own.filter(|_| plain));
    }
    // `/flights/a-:to`, and not `/items:batch`.
    let pairs = || segment.as_bytes().windows(2);
    if pairs().any(|pair| matches!(pair, [b'-' | b'.' | b'_' | b'~', b':'])) {
        return Foreign(PARAMETER, None);
    }
    let expression =
        ["(?", ".+", "\\", "[", "]", "|", "^", ")+", "(.", "..."].iter().any(|mark| segment.contains(mark));
    if expression {
        let whole = segment.starts_with(['(', '[', '\\']);
        return Foreign(EXPRESSION, whole.then(|| "{segment}".to_owned()));
    }
    if segment.contains('*') {
        return Foreign(WILDCARD, None);
    }
    if segment.contains(['<', '>']) {
        return Foreign(PARAMETER, None);
    }
    if segment.ends_with(',') && !last {
        return Foreign("two paths in one", None);
    }
    Own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_other_products_are_found() {
        for (written, meant) in [
            ("/admin/*", Some("/admin/{*rest}")),
            ("/admin/**", Some("/admin/{*rest}")),
            ("/*", Some("/{*rest}")),
            ("*", Some("/{*rest}")),
            ("/a/*/b", Some("/a/{segment}/b")),
            ("/a/.*", Some("/a/{*rest}")),
            ("/a/.+", Some("/a/{*rest}")),
            ("/a/(.*)", Some("/a/{*rest}")),
            ("/a/(.*)$", Some("/a/{*rest}")),
            ("^/a/.*$", Some("/a/{*rest}")),
            ("^/a", Some("/a")),
            ("/a$", Some("/a")),
            ("~ ^/a/", Some("/a/")),
            ("~* ^/a", Some("/a")),
            ("= /a", Some("/a")),
            ("^~ /a/", Some("/a/")),
            ("(?i)/a", Some("/a")),
            ("(?i)^/a", Some("/a")),
            ("/(?i)/a", Some("/a")),
            ("/a/:id", Some("/a/{id}")),
            ("/a/:id/b", Some("/a/{id}/b")),
            ("/a/:id?", Some("/a/{id}")),
            ("/a/:id(\\d+)", Some("/a/{id}")),
            ("/a/:rest*", Some("/a/{*rest}")),
            ("/a/:rest+", Some("/a/{*rest}")),
            ("/a/:user-id", None),
            ("/flights/:from-:to", None),
            ("/flights/a-:to", None),
            ("/a/<id>", Some("/a/{id}")),
            ("/a/<int:id>", Some("/a/{id}")),
            ("/a/<path:rest>", Some("/a/{*rest}")),
            ("/a/<rest..>", Some("/a/{*rest}")),
            ("/a/[id]", Some("/a/{id}")),
            ("/a/[...slug]", Some("/a/{*slug}")),
            ("/a/[[...slug]]", Some("/a/{*slug}")),
            ("/a/[0-9]+", Some("/a/{segment}")),
            ("/a/([^/]+)", None),
            ("/a/\\d+", Some("/a/{segment}")),
            ("/a/{id:[0-9]+}", Some("/a/{id}")),
            ("/a/{id:int}", Some("/a/{id}")),
            ("/a/{id?}", Some("/a/{id}")),
            ("/a/{rest...}", Some("/a/{*rest}")),
            ("/a/{proxy+}", Some("/a/{*proxy}")),
            ("/a/{+path}", Some("/a/{*path}")),
            ("/a/{**rest}", Some("/a/{*rest}")),
            ("/a/{path:path}", Some("/a/{*path}")),
            ("/a/{rest:.*}", Some("/a/{*rest}")),
            ("/a/{*}", Some("/a/{*rest}")),
            ("/a/{name=**}", Some("/a/{*name}")),
            ("/a/{$}", Some("/a")),
            ("/{*rest}?x", Some("/{*rest}")),
            ("/a?b=c", Some("/a")),
            ("/a/?", Some("/a/")),
            ("/admin*", None),
            ("/a/*.html", None),
            ("/a/...", Some("/a/{*rest}")),
            ("/(a|b)", Some("/{segment}")),
            ("/a|/b", None),
            ("/a,/b", None),
            ("/\\*/*", None),
            ("/$", Some("/")),
            ("/a/$", Some("/a/")),
        ] {
            let found = foreign(written);
            assert!(found.is_some(), "{written} is taken as text");
            assert_eq!(found.unwrap().meant.as_deref(), meant, "{written}");
        }
    }

    #[test]
    fn what_it_looks_like_is_told() {
        for (written, told) in [
            ("/a?b=c", "a path with a query, which no route looks at"),
            ("/a/?", "a path with a query, which no route looks at"),
            ("/a?b", "a path with a query, which no route looks at"),
            ("/a/b?", "an optional part"),
            ("/a?", "an optional part"),
            ("^/a", "a regular expression"),
            ("~ ^/a/", "a location of nginx"),
            ("/a/*", "a wildcard of another product"),
            ("/a/:id", "a parameter of another product"),
        ] {
            assert_eq!(foreign(written).map(|foreign| foreign.looks_like), Some(told), "{written}");
        }
        // What begins with neither a slash nor a star has no meaning here.
        assert_eq!(foreign("a"), None);
        assert_eq!(foreign("^a").map(|foreign| foreign.meant), Some(None));
        assert_eq!(foreign("~ \\.php$").map(|foreign| foreign.meant), Some(None));
        // Where a path has another `$`, the one at its end is no anchor.
        assert_eq!(foreign("/odata/$x$"), None);
        assert_eq!(foreign("/a/{b-c}").and_then(|foreign| foreign.meant).as_deref(), Some("/a/{b_c}"));
        assert_eq!(foreign("/a/{x+:y}").and_then(|foreign| foreign.meant).as_deref(), Some("/a/{x}"));
        assert_eq!(foreign("/a/[_x]").and_then(|foreign| foreign.meant).as_deref(), Some("/a/{_x}"));
        assert_eq!(foreign("/a/[0]/b").and_then(|foreign| foreign.meant).as_deref(), Some("/a/{segment}/b"));
        assert_eq!(foreign("/a/[0]").and_then(|foreign| foreign.meant).as_deref(), Some("/a/{segment}"));
        assert_eq!(foreign("/:"), None);
    }

    #[test]
    fn paths_of_real_interfaces_are_none() {
        for path in [
            "/",
            "/orders",
            "/orders/",
            "/orders/{id}",
            "/files/{*rest}",
            "/{tenant}/x",
            "/items:batch",
            "/v1/users:batchGet",
            "/@scope/name",
            "/@babel/core",
            "/~user",
            "/a+b",
            "/c++",
            "/Products('7')",
            "/Products(7)/$count",
            "/$metadata",
            "/odata/$batch",
            "/reports/getX(period='D7')",
            "/a,b/c",
            "/a=b",
            "/!x",
            "/a&b",
            "/v1.0/me",
            "/.well-known/x",
            "/matrix/%21room:example.org",
            "/_matrix/client",
            "/caf%C3%A9",
            "/a%20b",
            "/a\\*b",
            "/\\*",
            "/\\:id",
            "/a\\$",
            "/a/\\.\\.\\.",
            "/x,",
            "/urn:isbn:1",
            "/a:b:c",
        ] {
            assert_eq!(foreign(path), None, "{path}");
        }
    }

    #[test]
    fn a_backslash_makes_a_character_a_literal_one() {
        assert_eq!(unescaped("/a\\*b\\:c\\$").as_deref(), Some("/a*b:c$"));
        assert_eq!(unescaped("/plain").as_deref(), Some("/plain"));
        for bad in ["/a\\", "/a\\d", "/a\\{id}", "/a\\\\", "/a\\/b"] {
            assert_eq!(unescaped(bad), None, "{bad}");
        }
    }
}
