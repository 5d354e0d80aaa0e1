//! What a schema says of fields, as far as costs need it: their types, whether they are lists, and their weights.
//!
//! It reads the schema definition language (GraphQL specification, section 3) with the directives `@cost` and `@listSize`
//! of IBM's GraphQL cost specification. What it does not know it refuses, so that no part of a schema is passed over.

use super::document::{Constant, Reader, UNEXPECTED, Value};
use super::lexer::{Flaw, Token};
use std::collections::{HashMap, HashSet};

/// A schema.
#[derive(Debug, Default)]
pub struct Schema {
    /// The types that have fields, and unions.
    pub types: HashMap<String, Type>,
    /// Types whose values have no fields.
    leaves: HashSet<String>,
    roots: HashMap<&'static str, String>,
}

/// A type that has fields; a union has none of its own.
#[derive(Debug)]
pub struct Type {
    /// What one of it costs.
    pub weight: u64,
    /// Its fields.
    pub fields: HashMap<String, Field>,
}

/// A field.
#[derive(Debug, Default)]
pub struct Field {
    /// The name of its type.
    pub of: String,
    /// How many lists are around that.
    pub lists: usize,
    /// What it costs, where that is not said by its type.
    pub weight: Option<u64>,
    /// The names and default values of its arguments.
    pub arguments: Vec<(String, Option<u64>)>,
    /// What is said of its length.
    pub size: Option<ListSize>,
}

/// What `@listSize` says.
#[derive(Debug, Default)]
pub struct ListSize {
    /// How long a list is taken to be where no argument says it.
    pub assumed: Option<u64>,
    /// The arguments that say how long it is.
    pub arguments: Vec<String>,
    /// The fields of the answer that are as long.
    pub fields: Vec<String>,
}

#[derive(Default)]
struct Directives {
    weight: Option<u64>,
    size: Option<ListSize>,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// It is none, or its types are not all there.
    pub fn read(text: &str) -> Result<Schema, Flaw> {
        let mut schema = Schema::default();
        for leaf in ["Int", "Float", "String", "Boolean", "ID"] {
            schema.leaves.insert(leaf.to_owned());
        }
        let mut reader = Reader::new(text, usize::MAX, &());
        while reader.peek()?.is_some() {
            schema.definition(&mut reader)?;
        }
        if schema.roots.is_empty() {
            for (operation, name) in
                [("query", "Query"), ("mutation", "Mutation"), ("subscription", "Subscription")]
            {
                if schema.types.contains_key(name) {
                    schema.roots.insert(operation, name.to_owned());
                }
            }
        }
        let known = |name: &String| schema.types.contains_key(name) || schema.leaves.contains(name);
        let fields = schema.types.values().flat_map(|of| of.fields.values().map(|field| &field.of));
        if !schema.roots.contains_key("query") || !fields.chain(schema.roots.values()).all(known) {
            return Err(Flaw::Malformed("the schema refers to a type that it does not define"));
        }
        Ok(schema)
    }

    /// The type of what an operation selects from: `query`, `mutation` or `subscription`.
    pub fn root(&self, operation: &str) -> Option<&Type> {
        self.roots.get(operation).and_then(|name| self.types.get(name))
    }

    fn definition(&mut self, reader: &mut Reader<'_>) -> Result<(), Flaw> {
        description(reader)?;
        let mut word = reader.name()?;
        if word == "extend" {
            word = reader.name()?;
        }
        match word {
            "schema" => self.root_types(reader),
            "scalar" => {
                let name = reader.name()?.to_owned();
                directives(reader)?;
                self.leaves.insert(name);
                Ok(())
            }
            "type" | "interface" => self.composite(reader),
            "union" => {
                let name = reader.name()?.to_owned();
                let weight = directives(reader)?.weight.unwrap_or(1);
                if reader.takes(b'=')? {
                    reader.takes(b'|')?;
                    reader.name()?;
                    while reader.takes(b'|')? {
                        reader.name()?;
                    }
                }
                self.types.entry(name).or_insert_with(|| Type { weight, fields: HashMap::new() });
                Ok(())
            }
            "enum" => {
                let name = reader.name()?.to_owned();
                directives(reader)?;
                if reader.takes(b'{')? {
                    while !reader.takes(b'}')? {
                        description(reader)?;
                        reader.name()?;
                        directives(reader)?;
                    }
                }
                self.leaves.insert(name);
                Ok(())
            }
            "input" => {
                reader.name()?;
                directives(reader)?;
                if reader.takes(b'{')? { arguments(reader, b'}').map(drop) } else { Ok(()) }
            }
            "directive" => {
                reader.expect(b'@')?;
                reader.name()?;
                if reader.takes(b'(')? {
                    arguments(reader, b')')?;
                }
                let mut word = reader.name()?;
                if word == "repeatable" {
                    word = reader.name()?;
                }
                if word != "on" {
                    return Err(UNEXPECTED);
                }
                reader.takes(b'|')?;
                reader.name()?;
                while reader.takes(b'|')? {
                    reader.name()?;
                }
                Ok(())
            }
            _ => Err(Flaw::Malformed("the schema has a definition that is none")),
        }
    }

    fn root_types(&mut self, reader: &mut Reader<'_>) -> Result<(), Flaw> {
        directives(reader)?;
        reader.expect(b'{')?;
        while !reader.takes(b'}')? {
            description(reader)?;
            let operation = match reader.name()? {
                "query" => "query",
                "mutation" => "mutation",
                "subscription" => "subscription",
                _ => return Err(UNEXPECTED),
            };
            reader.expect(b':')?;
            let name = reader.name()?.to_owned();
            self.roots.insert(operation, name);
        }
        Ok(())
    }

    fn composite(&mut self, reader: &mut Reader<'_>) -> Result<(), Flaw> {
        let name = reader.name()?.to_owned();
        if reader.peek()? == Some(Token::Name("implements")) {
            reader.next()?;
            reader.takes(b'&')?;
            reader.name()?;
            while reader.takes(b'&')? {
                reader.name()?;
            }
        }
        let said = directives(reader)?.weight;
        let mut fields = Vec::new();
        if reader.takes(b'{')? {
            while !reader.takes(b'}')? {
                description(reader)?;
                let name = reader.name()?.to_owned();
                let arguments = if reader.takes(b'(')? { arguments(reader, b')')? } else { Vec::new() };
                reader.expect(b':')?;
                let (of, lists) = reader.type_reference()?;
                let of = of.to_owned();
                let Directives { weight, size } = directives(reader)?;
                fields.push((name, Field { of, lists, weight, arguments, size }));
            }
        }
        let known = self.types.entry(name).or_insert_with(|| Type { weight: 1, fields: HashMap::new() });
        known.weight = said.unwrap_or(known.weight);
        known.fields.extend(fields);
        Ok(())
    }
}

fn description(reader: &mut Reader<'_>) -> Result<(), Flaw> {
    if matches!(reader.peek()?, Some(Token::Text(_))) {
        reader.next()?;
    }
    Ok(())
}

/// The definitions of arguments or input fields, up to what closes them.
fn arguments(reader: &mut Reader<'_>, close: u8) -> Result<Vec<(String, Option<u64>)>, Flaw> {
    let mut arguments = Vec::new();
    while !reader.takes(close)? {
        description(reader)?;
        let name = reader.name()?.to_owned();
        reader.expect(b':')?;
        reader.type_reference()?;
        let default = if reader.takes(b'=')? { number(reader.value(Constant::Yes)?) } else { None };
        directives(reader)?;
        arguments.push((name, default));
    }
    Ok(arguments)
}

fn directives(reader: &mut Reader<'_>) -> Result<Directives, Flaw> {
    let mut found = Directives::default();
    while reader.takes(b'@')? {
        let directive = reader.name()?;
        let mut size = ListSize::default();
        if reader.takes(b'(')? {
            while !reader.takes(b')')? {
                let argument = reader.name()?;
                reader.expect(b':')?;
                match (directive, argument) {
                    ("cost", "weight") => found.weight = Some(weight(reader)?),
                    ("listSize", "assumedSize") => size.assumed = number(reader.value(Constant::Yes)?),
                    ("listSize", "slicingArguments") => size.arguments = texts(reader)?,
                    ("listSize", "sizedFields") => size.fields = texts(reader)?,
                    (_, _) => {
                        reader.value(Constant::Yes)?;
                    }
                }
            }
        }
        if directive == "listSize" {
            found.size = Some(size);
        }
    }
    Ok(found)
}

/// A weight: a number, or a string with one.
fn weight(reader: &mut Reader<'_>) -> Result<u64, Flaw> {
    const BAD: Flaw = Flaw::Malformed("a weight is no number");
    match reader.next()? {
        Token::Integer(digits) => digits.parse().map_err(|_| BAD),
        Token::Text(text) => match text.trim_matches('"').parse::<f64>() {
            Ok(weight) if weight.is_finite() && weight >= 0.0 => Ok(weight.ceil() as u64),
            Ok(_) | Err(_) => Err(BAD),
        },
        Token::Punctuator(_) | Token::Spread | Token::Name(_) | Token::Float => Err(BAD),
    }
}

/// A string, or a list of them.
fn texts(reader: &mut Reader<'_>) -> Result<Vec<String>, Flaw> {
    let mut texts = Vec::new();
    let list = reader.takes(b'[')?;
    loop {
        if list && reader.takes(b']')? {
            return Ok(texts);
        }
        match reader.next()? {
            Token::Text(text) => texts.push(text.trim_matches('"').to_owned()),
            Token::Punctuator(_) | Token::Spread | Token::Name(_) | Token::Integer(_) | Token::Float => {
                return Err(UNEXPECTED);
            }
        }
        if !list {
            return Ok(texts);
        }
    }
}

/// A whole number that is not negative.
pub(super) fn number(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Integer(digits) => digits.parse().ok(),
        Value::Variable(_) | Value::Null | Value::Other => None,
    }
}
