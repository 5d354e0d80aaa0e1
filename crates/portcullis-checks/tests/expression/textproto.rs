//! Reads the text form of protocol buffers, as far as the conformance cases of CEL use it.

use std::iter::Peekable;
use std::str::Chars;

/// A field's value.
#[derive(Clone, Debug)]
pub enum Node {
    /// A number or a word, as it stands.
    Word(String),
    /// A string, as bytes.
    Text(Vec<u8>),
    /// A message: its fields in their order.
    Message(Vec<(String, Node)>),
}

impl Node {
    /// The fields with this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        let fields = match self {
            Node::Message(fields) => fields.as_slice(),
            Node::Word(_) | Node::Text(_) => &[],
        };
        fields.iter().filter(move |(there, _)| there == name).map(|(_, node)| node)
    }

    /// The first field with this name.
    pub fn one(&self, name: &str) -> Option<&Node> {
        match self {
            Node::Message(fields) => fields.iter().find(|(there, _)| there == name).map(|(_, node)| node),
            Node::Word(_) | Node::Text(_) => None,
        }
    }

    /// The only field of a message, with its name.
    pub fn only(&self) -> Option<(&str, &Node)> {
        match self {
            Node::Message(fields) => fields.first().map(|(name, node)| (name.as_str(), node)),
            Node::Word(_) | Node::Text(_) => None,
        }
    }

    /// A string.
    pub fn text(&self) -> String {
        match self {
            Node::Word(word) => word.clone(),
            Node::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Node::Message(_) => String::new(),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text(Vec<u8>),
    Sign(char),
}

/// The message that a file holds.
pub fn read(text: &str) -> Node {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.peek().copied() {
        match next {
            '#' => while rest.next().is_some_and(|c| c != '\n') {},
            '"' | '\'' => tokens.push(Token::Text(string(&mut rest))),
            c if c.is_whitespace() => drop(rest.next()),
            c if c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+') => {
                let mut word = String::new();
                while let Some(c) =
                    rest.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+'))
                {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            c => {
                rest.next();
                tokens.push(Token::Sign(c));
            }
        }
    }
    let mut tokens = tokens.into_iter().peekable();
    message(&mut tokens)
}

fn string(rest: &mut Peekable<Chars<'_>>) -> Vec<u8> {
    let quote = rest.next().unwrap();
    let mut bytes = Vec::new();
    loop {
        match rest.next().expect("a string ends") {
            c if c == quote => return bytes,
            '\\' => match rest.next().expect("an escape") {
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                'r' => bytes.push(b'\r'),
                'a' => bytes.push(7),
                'b' => bytes.push(8),
                'f' => bytes.push(12),
                'v' => bytes.push(11),
                'x' | 'X' => bytes.push(u8::try_from(digits(rest, 16, 2)).unwrap()),
                'u' => push(&mut bytes, digits(rest, 16, 4)),
                'U' => push(&mut bytes, digits(rest, 16, 8)),
                c @ '0'..='7' => {
                    let more = digits_more(rest, 8, 2, c.to_digit(8).unwrap());
                    bytes.push(u8::try_from(more).unwrap());
                }
                c => push(&mut bytes, u32::from(c)),
            },
            c => push(&mut bytes, u32::from(c)),
        }
    }
}

fn push(bytes: &mut Vec<u8>, code: u32) {
    let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn digits(rest: &mut Peekable<Chars<'_>>, radix: u32, most: usize) -> u32 {
    digits_more(rest, radix, most, 0)
}

fn digits_more(rest: &mut Peekable<Chars<'_>>, radix: u32, most: usize, begun: u32) -> u32 {
    let mut value = begun;
    for _ in 0..most {
        let Some(digit) = rest.next_if(|c| c.is_digit(radix)) else { break };
        value = value * radix + digit.to_digit(radix).unwrap();
    }
    value
}

fn message(tokens: &mut Peekable<std::vec::IntoIter<Token>>) -> Node {
    let mut fields = Vec::new();
    loop {
        let name = match tokens.next() {
            None | Some(Token::Sign('}' | '>')) => return Node::Message(fields),
            Some(Token::Sign(',' | ';')) => continue,
            Some(Token::Word(word)) => word,
            // The name of an extension or of a type.
            Some(Token::Sign('[')) => {
                let mut name = String::from("[");
                loop {
                    match tokens.next() {
                        Some(Token::Word(word)) => name.push_str(&word),
                        Some(Token::Sign(']')) => break,
                        Some(Token::Sign(sign)) => name.push(sign),
                        other => panic!("{other:?} in a name"),
                    }
                }
                name
            }
            other => panic!("{other:?} where a field begins"),
        };
        tokens.next_if_eq(&Token::Sign(':'));
        if tokens.next_if_eq(&Token::Sign('[')).is_some() {
            while tokens.next_if_eq(&Token::Sign(']')).is_none() {
                if tokens.next_if_eq(&Token::Sign(',')).is_none() {
                    let item = value(tokens);
                    fields.push((name.clone(), item));
                }
            }
        } else {
            let value = value(tokens);
            fields.push((name, value));
        }
    }
}

fn value(tokens: &mut Peekable<std::vec::IntoIter<Token>>) -> Node {
    match tokens.next() {
        Some(Token::Sign('{' | '<')) => message(tokens),
        Some(Token::Word(word)) => Node::Word(word),
        Some(Token::Text(mut text)) => {
            while let Some(Token::Text(more)) = tokens.next_if(|token| matches!(token, Token::Text(_))) {
                text.extend(more);
            }
            Node::Text(text)
        }
        other => panic!("{other:?} where a value begins"),
    }
}
