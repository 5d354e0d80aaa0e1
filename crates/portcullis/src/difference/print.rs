//! How a difference is printed.

use super::{Change, Direction};
use portcullis_config::render::visible;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many routes are named in one line.
const NAMED: usize = 6;

/// Changes that are the same for several routes, in one; loosened ones first, then in the order in which they were found.
pub(super) fn gathered(changes: Vec<Change>) -> Vec<Change> {
    let mut order: Vec<(Direction, String)> = Vec::new();
    let mut subjects: BTreeMap<(Direction, String), Vec<String>> = BTreeMap::new();
    for change in changes {
        let key = (change.direction, change.words);
        let list = subjects.entry(key.clone()).or_insert_with(|| {
            order.push(key);
            Vec::new()
        });
        if !list.contains(&change.subject) {
            list.push(change.subject);
        }
    }
    order.sort_by_key(|(direction, _)| *direction);
    let mut gathered = Vec::new();
    for (direction, words) in order {
        let list = subjects.remove(&(direction, words.clone())).unwrap_or_default();
        for subject in together(list) {
            gathered.push(Change { direction, subject, words: words.clone() });
        }
    }
    gathered
}

/// Routes as one subject; anything else by itself.
fn together(subjects: Vec<String>) -> Vec<String> {
    let mut routes: Vec<(String, Vec<String>, String)> = Vec::new();
    let mut others = Vec::new();
    for subject in subjects {
        let route = subject.strip_prefix("route ").and_then(|route| route.split_once(' '));
        let Some((method, rest)) = route else {
            others.push(subject);
            continue;
        };
        // What is said of a part of a route (a method, a limit) is the same for its methods.
        let (path, part) =
            rest.split_once(", ").map_or((rest, String::new()), |(path, part)| (path, format!(", {part}")));
        match routes.iter_mut().find(|(there, _, other)| there == path && *other == part) {
            Some((_, methods, _)) => methods.push(method.to_owned()),
            None => routes.push((path.to_owned(), vec![method.to_owned()], part)),
        }
    }
    if routes.is_empty() {
        return others;
    }
    let part = routes.first().map(|(_, _, part)| part.clone()).unwrap_or_default();
    if routes.iter().any(|(_, _, other)| *other != part) {
        others
            .extend(routes.iter().map(|(path, methods, part)| format!("route {}{part}", one(path, methods))));
        return others;
    }
    let count = routes.len();
    let mut text: Vec<String> =
        routes.iter().take(NAMED).map(|(path, methods, _)| one(path, methods)).collect();
    if count > NAMED {
        text.push(format!("{} more", count - NAMED));
    }
    others.push(format!("{} {}{part}", if count == 1 { "route" } else { "routes" }, text.join(", ")));
    others
}

fn one(path: &str, methods: &[String]) -> String {
    let mut methods: Vec<&str> = methods.iter().map(String::as_str).collect();
    if methods.len() >= 7 {
        return path.to_owned();
    }
    if methods.contains(&"GET") {
        methods.retain(|method| *method != "HEAD");
    }
    format!("{} {path}", methods.join("/"))
}

fn count(changes: &[Change], direction: Direction) -> usize {
    changes.iter().filter(|change| change.direction == direction).count()
}

fn totals(changes: &[Change]) -> String {
    format!(
        "{} loosened, {} changed, {} tightened",
        count(changes, Direction::Loosened),
        count(changes, Direction::Changed),
        count(changes, Direction::Tightened)
    )
}

/// For people.
pub fn text(changes: &[Change]) -> String {
    let mut text = String::new();
    for Change { direction, subject, words } in changes {
        // SECURITY: names of a file that is only proposed must not rewrite what is said of it (a_name_is_never_markup).
        let _ = writeln!(text, "{:<9}  {}: {}", direction.as_str(), visible(subject), visible(words));
    }
    let _ =
        writeln!(text, "{}", if changes.is_empty() { "no difference".to_owned() } else { totals(changes) });
    text
}

/// For a pull request.
pub fn markdown(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "**Security:** no difference.\n".to_owned();
    }
    let mut text = format!("**Security:** {}\n\n| | what | change |\n|---|---|---|\n", totals(changes));
    for Change { direction, subject, words } in changes {
        let mark = match direction {
            Direction::Loosened => "⚠️ loosened",
            Direction::Changed => "changed",
            Direction::Tightened => "tightened",
        };
        let _ = writeln!(text, "| {mark} | {} | {} |", cell(subject), cell(words));
    }
    text
}

/// Text as a cell of a table: nothing in it is markup, and nobody is mentioned.
// SECURITY: whoever proposes a configuration chooses the names in it (a_name_is_never_markup).
fn cell(text: &str) -> String {
    let mut cell = String::new();
    for character in visible(text).chars() {
        match character {
            '<' => cell.push_str("&lt;"),
            '>' => cell.push_str("&gt;"),
            '&' => cell.push_str("&amp;"),
            // Code hosts look for these after they have taken the backslashes away.
            '@' | '#' => {
                cell.push(character);
                cell.push_str("<!-- -->");
            }
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '!' => {
                cell.push('\\');
                cell.push(character);
            }
            _ => cell.push(character),
        }
    }
    // What looks like a URL becomes a link by itself.
    cell.replace("://", ":<!-- -->//").replace("www.", "www<!-- -->.")
}

/// For programs.
pub fn json(changes: &[Change]) -> Value {
    let list: Vec<Value> = changes
        .iter()
        .map(|change| {
            json!({ "direction": change.direction.as_str(), "subject": change.subject, "change": change.words })
        })
        .collect();
    json!({
        "loosened": count(changes, Direction::Loosened),
        "changed": count(changes, Direction::Changed),
        "tightened": count(changes, Direction::Tightened),
        "changes": list,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_markup() {
        let hostile = "a\n\n# Approved by @admin, see #1 and https://evil.example\n| ⚠️ | `x` <b>&amp; [l](u) \u{202e}\u{1b}[2K";
        let change =
            Change { direction: Direction::Loosened, subject: hostile.to_owned(), words: hostile.to_owned() };
        let printed = markdown(std::slice::from_ref(&change));
        assert_eq!(printed.lines().count(), 5, "one row: {printed}");
        let row = printed.lines().last().unwrap();
        assert_eq!(row.replace("\\|", "").matches('|').count(), 4, "three cells: {row}");
        for raw in ["@admin", "#1", "https://", "<b>", "[l]", "\u{202e}", "\u{1b}"] {
            assert!(!row.contains(raw), "{raw:?} in {row}");
        }
        assert!(!row.replace("\\`", "").contains('`'), "{row}");
        let printed = text(&[change]);
        assert_eq!(printed.lines().count(), 2, "{printed}");
        assert!(!printed.contains('\u{1b}') && !printed.contains('\u{202e}'), "{printed:?}");
    }
}
