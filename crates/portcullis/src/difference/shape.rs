//! One form for all ways of writing the same configuration, by its JSON Schema.

use serde_json::{Map, Value, json};

/// The JSON Schema of the configuration.
pub(super) struct Shape {
    definitions: Map<String, Value>,
}

/// A schema, with the definition that it stands in.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) definition: &'a str,
    pub(super) schema: &'a Value,
}

impl Shape {
    pub(super) fn new() -> Shape {
        let mut schema = crate::load::schema();
        let definitions = match schema.get_mut("$defs").map(Value::take) {
            Some(Value::Object(definitions)) => definitions,
            Some(_) | None => Map::new(),
        };
        Shape { definitions }
    }

    /// The whole document.
    pub(super) fn root(&self) -> Place<'_> {
        self.definition("GatewayConfig")
    }

    /// A definition by its name.
    pub(super) fn definition(&self, name: &str) -> Place<'_> {
        match self.definitions.get_key_value(name) {
            Some((definition, schema)) => Place { definition, schema },
            None => Place { definition: "", schema: &Value::Null },
        }
    }

    /// All definitions.
    #[cfg(test)]
    pub(super) fn definitions(&self) -> impl Iterator<Item = Place<'_>> {
        self.definitions.iter().map(|(definition, schema)| Place { definition, schema })
    }

    /// A schema without references.
    pub(super) fn resolved<'a>(&'a self, place: Place<'a>) -> Place<'a> {
        match place.schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"))
        {
            Some(name) => self.definition(name),
            None => place,
        }
    }

    /// The alternatives of a schema, references resolved.
    pub(super) fn alternatives<'a>(&'a self, place: Place<'a>) -> Vec<Place<'a>> {
        let place = self.resolved(place);
        let listed =
            place.schema.get("oneOf").or_else(|| place.schema.get("anyOf")).and_then(Value::as_array);
        match listed {
            None => vec![place],
            Some(listed) => listed
                .iter()
                .flat_map(|schema| self.alternatives(Place { definition: place.definition, schema }))
                .collect(),
        }
    }

    /// The alternative that a value is of.
    pub(super) fn of_value<'a>(&'a self, place: Place<'a>, value: &Value) -> Place<'a> {
        let all = self.alternatives(place);
        let kind = match value {
            Value::Object(_) => "object",
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::Null => "null",
        };
        let fits = |place: &&Place<'a>| place.schema.get("type").and_then(Value::as_str) == Some(kind);
        let tagged = |place: &&Place<'a>| {
            let words = place.schema.pointer("/properties/type/enum").and_then(Value::as_array);
            match (words, value.get("type")) {
                (Some(words), Some(word)) => words.contains(word),
                (Some(_), None) => false,
                (None, _) => value.as_object().is_none_or(|members| {
                    members.keys().all(|key| {
                        place.schema.get("properties").is_none_or(|properties| properties.get(key).is_some())
                    })
                }),
            }
        };
        let found = all.iter().filter(fits).find(tagged).or_else(|| all.iter().find(fits)).or(all.first());
        found.copied().unwrap_or(place)
    }

    /// What a key of a mapping may hold. `None` for a key that there is not.
    pub(super) fn property<'a>(&'a self, place: Place<'a>, key: &str) -> Option<Place<'a>> {
        let schema = place.schema.get("properties")?.get(key)?;
        Some(Place { definition: place.definition, schema })
    }

    /// A whole document in its one form.
    pub(super) fn normal_document(&self, document: &Value) -> Value {
        self.normal(self.root(), document)
    }

    /// A value in its one form, without what is the default anyway. Nothing where nothing is left.
    pub(super) fn without_defaults(&self, place: Place<'_>, value: &Value) -> Value {
        let place = self.of_value(place, value);
        match value {
            Value::Object(members) => {
                let mut left = Map::new();
                for (key, value) in members {
                    let Some(inner) = self.property(place, key) else {
                        left.insert(key.clone(), value.clone());
                        continue;
                    };
                    let bare = self.without_defaults(inner, value);
                    let default = inner.schema.get("default");
                    let is_default = default == Some(value) || default == Some(&bare);
                    if !is_default && !matches!(bare, Value::Null | Value::Bool(false)) {
                        left.insert(key.clone(), bare);
                    }
                }
                if left.is_empty() { Value::Null } else { Value::Object(left) }
            }
            Value::Array(items) => {
                let schema = place.schema.get("items").unwrap_or(&Value::Null);
                let inner = Place { definition: place.definition, schema };
                items.iter().map(|item| self.without_defaults(inner, item)).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    #[cfg(test)]
    pub(super) fn normal_for_test(&self, place: Place<'_>, value: &Value) -> Value {
        self.normal_item(place, value)
    }

    /// A value in its one form.
    fn normal(&self, place: Place<'_>, value: &Value) -> Value {
        let resolved = self.resolved(place);
        if resolved.definition == "Key" && resolved.schema.get("anyOf").is_some() && value.is_string() {
            return json!({ "literal": value });
        }
        let is_list = |place: &Place<'_>| place.schema.get("type").and_then(Value::as_str) == Some("array");
        let listed = self.alternatives(place).iter().find(|place| is_list(place)).is_some();
        if listed && !value.is_array() && !value.is_null() {
            return json!([self.normal_item(self.of_value(place, value), value)]);
        }
        self.normal_item(self.of_value(place, value), value)
    }

    fn normal_item(&self, place: Place<'_>, value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut normal = Map::new();
                for (key, value) in members {
                    let inner = self.property(place, key).or_else(|| {
                        let schema =
                            place.schema.get("additionalProperties").filter(|schema| schema.is_object())?;
                        Some(Place { definition: place.definition, schema })
                    });
                    match inner {
                        Some(inner) => {
                            let name = first_spelling(inner.schema).unwrap_or(key);
                            normal.insert(name.to_owned(), self.normal(inner, value));
                        }
                        None => {
                            normal.insert(key.clone(), value.clone());
                        }
                    }
                }
                special(place.definition, normal)
            }
            Value::Array(items) => {
                let schema = place.schema.get("items").unwrap_or(&Value::Null);
                let inner = Place { definition: place.definition, schema };
                items.iter().map(|item| self.normal(inner, item)).collect()
            }
            Value::String(_) => value.clone(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

/// The key of which this one is another spelling.
pub(super) fn first_spelling(schema: &Value) -> Option<&str> {
    schema.get("deprecated")?;
    schema.get("description")?.as_str()?.strip_prefix("Another spelling of `")?.split('`').next()
}

/// What can be written in ways that the schema does not tell.
fn special(definition: &str, mut members: Map<String, Value>) -> Value {
    match definition {
        "RateLimitConfig" => {
            for (key, period) in
                [("per_second", "second"), ("per_minute", "minute"), ("per_hour", "hour"), ("per_day", "day")]
            {
                if members.remove(key) == Some(Value::Bool(true)) {
                    members.insert("per".to_owned(), json!(period));
                }
            }
            Value::Object(members)
        }
        "RouteConfig" | "GatewayConfig" => {
            for (key, inner) in [("upstream", "url"), ("openapi", "file")] {
                if let Some(Value::String(text)) = members.get(key) {
                    let wrapped = json!({ inner: text });
                    members.insert(key.to_owned(), wrapped);
                }
            }
            Value::Object(members)
        }
        // One method is the same as a list of which one is enough.
        "Authentication" if !members.contains_key("any") && !members.contains_key("all") => {
            let mode = members.remove("mode");
            let mut list = Map::from_iter([("any".to_owned(), json!([members]))]);
            list.extend(mode.map(|mode| ("mode".to_owned(), mode)));
            Value::Object(list)
        }
        _ => Value::Object(members),
    }
}
