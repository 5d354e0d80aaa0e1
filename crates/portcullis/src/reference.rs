//! The user's reference of the configuration document, as Markdown.
//!
//! Everything in it but the introduction comes from the same declarations that read a document, so it cannot say what the
//! gateway does not do. The introduction's example is loaded by a test.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

/// The example of the introduction.
pub const EXAMPLE: &str = r#"listeners:
  - bind: 127.0.0.1:3000
security:                                  # for every route, unless the route says otherwise
  authentication: { type: api_key, header: x-api-key }
  authorization: { roles_allowed: [admin, user] }
  rate_limiting: { max_requests: 1000, per: minute }
consumers:
  - name: alice
    roles: [user]
    keys: [{ env: ALICE_API_KEY }]
routes:
  - path: /orders/{id}
    methods: [GET, PUT]
    upstream: http://127.0.0.1:8080
  - path: /health
    public: "liveness probe, no data"
    upstream: http://127.0.0.1:8080
"#;

const HEAD: &str = "\
# Configuration

A gateway is described by one YAML file. `portcullis check FILE` says everything that is wrong with it at once, each with
its line, and lists the controls that will run. `portcullis schema` prints a JSON Schema for editors.

";

const RULES: &str = "
- A key that is not listed here is an error, at every level. So is a key that is there twice, or without a value.
- A route without a statement on authentication does not load. An open route says why: `public: \"why\"`.
- Keys are printed in snake_case; the camelCase spelling of each (`maxRequests`) is accepted as well.
- A *duration* is a whole number and a unit: `500ms`, `10s`, `5m`, `1h`, `1d`. A *size* is bytes, or a whole number and a
  unit: `10kB`, `64KiB`, `1MiB`.
- A *mapping* has its own keys; the link leads to them. Where a list of mappings is asked for, each has these keys.
- What a route says under `security` takes the place of the gateway's section of the same name; what it does not mention,
  it inherits.
- `${NAME}` in a value is replaced by an environment variable, `${NAME:-default}` where it may be unset or empty; `$$` is a
  dollar. An unset variable is an error. Keys are never substituted, and what a variable gave cannot add keys or lines.
  Unquoted, `${LIMIT}` can be a number; inside `{ }` or `[ ]`, write it in quotes.
- `include` adds more files; a relative path is relative to the file that holds it.
- Weak choices have longer names: `public`, `insecure_*`. One search finds them all.

This page is written from the code: `cargo xtask gen`.
";

/// The reference.
pub fn reference() -> String {
    let schema = crate::load::schema();
    let empty = Map::new();
    let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    let reference = Reference { definitions, sections: sections(&schema, definitions) };
    let mut page = format!("{HEAD}```yaml\n{EXAMPLE}```\n{RULES}");
    for section in &reference.sections {
        reference.write(section, &mut page);
    }
    page
}

/// A mapping, and where it stands in a document.
struct Section<'a> {
    name: &'a str,
    places: Vec<String>,
    /// Most mappings have one form; some choose among several.
    forms: Vec<&'a Value>,
    description: &'a str,
}

impl Section<'_> {
    /// The key of the whole document under which it stands first.
    fn top(&self) -> &str {
        let place = self.places.first().map_or("", String::as_str);
        place.split(['.', '[']).next().unwrap_or(place)
    }
}

struct Reference<'a> {
    definitions: &'a Map<String, Value>,
    sections: Vec<Section<'a>>,
}

/// All mappings, each where it is met first.
fn sections<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> Vec<Section<'a>> {
    let mut sections: Vec<Section<'a>> = Vec::new();
    let mut queue: VecDeque<(String, &'a str)> =
        references(schema).into_iter().map(|(_, name)| (String::new(), name)).collect();
    while let Some((place, name)) = queue.pop_front() {
        let Some(definition) = definitions.get(name) else { continue };
        let forms = forms(definition);
        if let Some(known) = sections.iter_mut().find(|section| section.name == name) {
            known.places.push(place);
            continue;
        }
        for (key, property) in forms.iter().flat_map(|form| properties(form)) {
            for (list, name) in references(property) {
                let dot = if place.is_empty() { "" } else { "." };
                queue.push_back((format!("{place}{dot}{key}{list}"), name));
            }
        }
        if !forms.is_empty() {
            sections.push(Section {
                name,
                places: vec![place],
                forms,
                description: text(definition, "description"),
            });
        }
    }
    // What belongs together stands together, the mappings of a key after it.
    let tops: Vec<String> = sections.iter().map(|section| section.top().to_owned()).collect();
    sections.sort_by_key(|section| tops.iter().position(|top| top == section.top()));
    sections
}

/// The mappings that a schema accepts, without those that have a name of their own.
fn forms(schema: &Value) -> Vec<&Value> {
    if schema.get("properties").is_some() {
        vec![schema]
    } else {
        alternatives(schema).flat_map(forms).collect()
    }
}

/// The named schemas in a schema, each with `[]` where it is in a list, and `.NAME` below a name that the user chooses. What
/// stands in a list or alone is named once.
fn references(schema: &Value) -> Vec<(&'static str, &str)> {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return vec![("", name.trim_start_matches("#/$defs/"))];
    }
    let mut found: Vec<(&'static str, &str)> = alternatives(schema).flat_map(references).collect();
    for (word, place) in [("items", "[]"), ("additionalProperties", ".NAME")] {
        for (_, name) in schema.get(word).map(references).unwrap_or_default() {
            if !found.iter().any(|(_, known)| *known == name) {
                found.push((place, name));
            }
        }
    }
    found
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf"].into_iter().filter_map(|word| schema.get(word).and_then(Value::as_array)).flatten()
}

/// The keys of a mapping as they are printed: those that must be there first, then by name.
fn properties(form: &Value) -> Vec<(&str, &Value)> {
    let all: BTreeMap<&str, &Value> = form
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    let mut own: Vec<_> = all.into_iter().filter(|(_, property)| meant(property).is_none()).collect();
    own.sort_by_key(|(key, _)| !is_required(form, key));
    own
}

/// The key that this is another spelling of.
fn meant(property: &Value) -> Option<&str> {
    text(property, "description").strip_prefix("Another spelling of `")?.strip_suffix("`.")
}

fn is_required(form: &Value, key: &str) -> bool {
    let named = |schema: &Value| {
        schema.get("required").and_then(Value::as_array).is_some_and(|keys| keys.iter().any(|one| one == key))
    };
    let one_spelling =
        form.get("allOf").and_then(Value::as_array).into_iter().flatten().flat_map(alternatives).any(named);
    named(form) || one_spelling
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or("")
}

impl Reference<'_> {
    fn write(&self, section: &Section<'_>, page: &mut String) {
        let _ = write!(page, "\n## {}\n", title(section));
        if !section.description.is_empty() {
            let _ = write!(page, "\n{}\n", section.description);
        }
        if let [_, others @ ..] = section.places.as_slice()
            && !others.is_empty()
        {
            let others: Vec<String> = others.iter().map(|place| format!("`{place}`")).collect();
            let _ = write!(page, "\nThe same at {}.\n", others.join(", "));
        }
        for form in &section.forms {
            let description = text(form, "description");
            if !description.is_empty() && description != section.description {
                let _ = write!(page, "\n{description}\n");
            }
            page.push_str("\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
            for (key, property) in properties(form) {
                self.row(form, key, property, page);
            }
        }
    }

    fn row(&self, form: &Value, key: &str, property: &Value, page: &mut String) {
        let description = text(property, "description").split_whitespace().collect::<Vec<_>>().join(" ");
        let (mut meaning, said) = without_default(&description);
        if meaning.is_empty() && property.get("enum").is_some() {
            meaning.push_str("Chooses this form.");
        }
        let other: Vec<String> =
            other_spellings(form, key).into_iter().map(|other| format!("`{other}`")).collect();
        if !other.is_empty() {
            let _ = write!(meaning, " Also written {}.", other.join(", "));
        }
        let default = match property.get("default") {
            _ if is_required(form, key) => "**required**".to_owned(),
            Some(Value::String(word)) => format!("`{word}`"),
            Some(Value::Number(number)) => format!("`{number}`"),
            Some(_) | None => said.unwrap_or_default(),
        };
        let cells = [format!("`{key}`"), self.value(property), default, meaning];
        let cells: Vec<String> = cells.iter().map(|cell| cell.trim().replace('|', "\\|")).collect();
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }

    /// What can stand there.
    fn value(&self, schema: &Value) -> String {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.trim_start_matches("#/$defs/");
            let link = self
                .sections
                .iter()
                .find(|section| section.name == name)
                .map(|section| format!("[mapping](#{})", slug(&title(section))));
            let Some(definition) = self.definitions.get(name) else { return String::new() };
            let mut parts: Vec<String> = link.into_iter().collect();
            let others: Vec<&Value> =
                alternatives(definition).filter(|other| forms(other).is_empty()).collect();
            parts.extend(others.iter().map(|other| self.value(other)));
            return if parts.is_empty() { self.value(definition) } else { parts.join(" or ") };
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            let words: Vec<String> =
                words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
            return words.join(", ");
        }
        let mut parts: Vec<String> = Vec::new();
        if schema.get("type").is_none() {
            for part in alternatives(schema).map(|one| self.value(one)).filter(|part| !part.is_empty()) {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
        }
        match parts.as_slice() {
            [] => self.plain(schema),
            // A size may be written as a bare number.
            [first, second] if first.starts_with("whole number") && second == "size" => second.clone(),
            _ => parts.join(" or "),
        }
    }

    fn plain(&self, schema: &Value) -> String {
        let example = schema
            .get("examples")
            .and_then(Value::as_array)
            .and_then(|examples| examples.first())
            .and_then(Value::as_str);
        let pattern = text(schema, "pattern");
        match text(schema, "type") {
            "array" => {
                format!("list of {}", schema.get("items").map(|items| self.value(items)).unwrap_or_default())
            }
            "object" => match schema.get("additionalProperties").filter(|value| value.is_object()) {
                Some(value) => format!("names, each with: {}", self.value(value)),
                None => String::new(),
            },
            "boolean" => "`true` or `false`".to_owned(),
            "integer" => match schema.get("minimum").and_then(Value::as_i64) {
                Some(least) => format!("whole number from {least}"),
                None => "whole number".to_owned(),
            },
            "string" if pattern.contains("(ms|s|") => "duration".to_owned(),
            "string" if pattern.contains("(B|kB|") => "size".to_owned(),
            "string" => {
                example.map_or_else(|| "text".to_owned(), |example| format!("text such as `{example}`"))
            }
            _ => String::new(),
        }
    }
}

fn title(section: &Section<'_>) -> String {
    match section.places.first().map(String::as_str) {
        Some("") | None => "The document".to_owned(),
        Some(place) => format!("`{place}`"),
    }
}

/// The anchor that a heading gets.
fn slug(title: &str) -> String {
    let kept = title.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

/// A description without its sentence on the default, and what that sentence says.
fn without_default(description: &str) -> (String, Option<String>) {
    let Some((before, after)) = description.split_once("Default: ") else {
        return (description.to_owned(), None);
    };
    let (default, rest) = after.split_once(". ").unwrap_or((after.trim_end_matches('.'), ""));
    (format!("{before}{rest}").trim_end().to_owned(), Some(default.to_owned()))
}

/// Names of a key that are not just its camelCase spelling.
fn other_spellings<'a>(form: &'a Value, key: &str) -> Vec<&'a str> {
    let all = form.get("properties").and_then(Value::as_object).into_iter().flatten();
    let others: Vec<&str> =
        all.filter(|(_, property)| meant(property) == Some(key)).map(|(other, _)| other.as_str()).collect();
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let camel = |other: &str| {
        plain(other) == plain(key)
            || others.iter().any(|one| *one != other && one.contains('_') && plain(one) == plain(other))
    };
    others.iter().copied().filter(|other| !camel(other)).collect()
}
