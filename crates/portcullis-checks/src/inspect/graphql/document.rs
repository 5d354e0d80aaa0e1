//! A GraphQL document that can be executed, as a flat list of what it selects (GraphQL specification, section 2).
//!
//! Nothing here calls itself, so no document is too deep for the stack. Selections stand in the order in which they are
//! written, each with where its own selections end; so whoever measures a document runs over a list.

use super::lexer::{Flaw, Lexer, Token};
use portcullis_core::Position;
use portcullis_openapi::Memory;
use std::collections::HashSet;

/// The deepest nesting of selections, lists, objects or list types, whatever the configuration allows.
const MAX_NESTING: usize = 64;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It reads.
    Query,
    /// It changes something.
    Mutation,
    /// It listens.
    Subscription,
}

/// What is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defined<'a> {
    /// An operation.
    Operation {
        /// What it does.
        kind: Kind,
        /// Its name, if it has one.
        name: Option<&'a str>,
    },
    /// A fragment.
    Fragment {
        /// Its name.
        name: &'a str,
        /// The type of what it selects from.
        on: &'a str,
    },
}

/// A definition.
#[derive(Debug)]
pub struct Definition<'a> {
    /// What is defined.
    pub defined: Defined<'a>,
    /// Its selections are those from here on,
    pub first: usize,
    /// up to here.
    pub end: usize,
    /// Directives on itself and its variables.
    pub directives: usize,
    /// The default values of its variables.
    pub defaults: Vec<(&'a str, Value<'a>)>,
}

/// What is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected<'a> {
    /// A field.
    Field {
        /// Its name in the schema.
        name: &'a str,
        /// Whether the answer has it under another name.
        aliased: bool,
    },
    /// What a fragment selects.
    Spread(&'a str),
    /// What follows, of things of a type.
    Inline(Option<&'a str>),
}

/// A selection.
#[derive(Debug)]
pub struct Selection<'a> {
    /// What is selected.
    pub selected: Selected<'a>,
    /// How many fields it stands in.
    pub level: usize,
    /// Its own selections are those that follow, up to here.
    pub end: usize,
    /// The place of the selection that it stands in.
    pub parent: Option<usize>,
    /// Directives on it.
    pub directives: usize,
    /// Its arguments are those from here on,
    pub first_argument: usize,
    /// up to here.
    pub end_argument: usize,
}

/// A value, as far as it matters to anybody here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A whole number.
    Integer(&'a str),
    /// What the request gives for this variable.
    Variable(&'a str),
    /// `null`.
    Null,
    /// Anything else.
    Other,
}

/// A document.
#[derive(Debug, Default)]
pub struct Document<'a> {
    /// Its definitions.
    pub definitions: Vec<Definition<'a>>,
    /// The selections of all of them.
    pub selections: Vec<Selection<'a>>,
    /// The arguments of all fields.
    pub arguments: Vec<(&'a str, Value<'a>)>,
}

/// Reads a document of at most so many tokens. Answers with how many are left as well.
///
/// # Errors
/// It is none, or has more tokens, or no memory is left.
pub fn read<'a>(text: &'a str, tokens: usize, memory: &'a dyn Memory) -> Result<(Document<'a>, usize), Flaw> {
    read_at(text, tokens, memory).map_err(|(flaw, _)| flaw)
}

/// The same, and says how many bytes of the text come before the token that is at fault.
///
/// # Errors
/// It is none, or has more tokens, or no memory is left; and where.
pub fn read_at<'a>(
    text: &'a str,
    tokens: usize,
    memory: &'a dyn Memory,
) -> Result<(Document<'a>, usize), (Flaw, usize)> {
    let mut reader = Reader::new(text, tokens, memory);
    match reader.definitions() {
        Ok(()) => Ok((reader.document, reader.lexer.left())),
        Err(flaw) => Err((flaw, reader.lexer.began())),
    }
}

/// The line and the column of a byte of a text, both from 1 (GraphQL specification, section 7.1.2).
pub fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..text.floor_char_boundary(offset)).unwrap_or_default();
    let lines = before.matches('\n').count() + before.replace("\r\n", "").matches('\r').count();
    let last = before.rsplit(['\n', '\r']).next().unwrap_or_default();
    Position::Line { line: lines + 1, column: last.chars().count() + 1 }
}

/// Reads token by token, one of them ahead.
pub(super) struct Reader<'a> {
    lexer: Lexer<'a>,
    ahead: Option<Option<Token<'a>>>,
    document: Document<'a>,
}

const OPEN: Token<'_> = Token::Punctuator(b'{');
const CLOSE: Token<'_> = Token::Punctuator(b'}');
pub(super) const UNEXPECTED: Flaw = Flaw::Malformed("there is a token where it means nothing");

impl<'a> Reader<'a> {
    fn definitions(&mut self) -> Result<(), Flaw> {
        while let Some(token) = self.peek()? {
            self.definition(token)?;
        }
        match self.document.definitions.is_empty() {
            true => Err(Flaw::Malformed("the document is empty")),
            false => Ok(()),
        }
    }

    pub(super) fn new(text: &'a str, tokens: usize, memory: &'a dyn Memory) -> Reader<'a> {
        Reader { lexer: Lexer::new(text, tokens, memory), ahead: None, document: Document::default() }
    }

    pub(super) fn peek(&mut self) -> Result<Option<Token<'a>>, Flaw> {
        match self.ahead {
            Some(token) => Ok(token),
            None => {
                let token = self.lexer.token()?;
                self.ahead = Some(token);
                Ok(token)
            }
        }
    }

    pub(super) fn next(&mut self) -> Result<Token<'a>, Flaw> {
        let token = self.peek()?.ok_or(Flaw::Malformed("the document breaks off"))?;
        self.ahead = None;
        Ok(token)
    }

    pub(super) fn takes(&mut self, punctuator: u8) -> Result<bool, Flaw> {
        let there = self.peek()? == Some(Token::Punctuator(punctuator));
        if there {
            self.ahead = None;
        }
        Ok(there)
    }

    pub(super) fn expect(&mut self, punctuator: u8) -> Result<(), Flaw> {
        if self.takes(punctuator)? { Ok(()) } else { Err(UNEXPECTED) }
    }

    pub(super) fn name(&mut self) -> Result<&'a str, Flaw> {
        match self.next()? {
            Token::Name(name) => Ok(name),
            Token::Punctuator(_) | Token::Spread | Token::Integer(_) | Token::Float | Token::Text(_) => {
                Err(UNEXPECTED)
            }
        }
    }

    fn definition(&mut self, token: Token<'a>) -> Result<(), Flaw> {
        let kind = match token {
            OPEN => {
                let defined = Defined::Operation { kind: Kind::Query, name: None };
                return self.body(defined, 0, Vec::new());
            }
            Token::Name("query") => Kind::Query,
            Token::Name("mutation") => Kind::Mutation,
            Token::Name("subscription") => Kind::Subscription,
            Token::Name("fragment") => {
                self.next()?;
                let name = self.name()?;
                if name == "on" || self.name()? != "on" {
                    return Err(UNEXPECTED);
                }
                let on = self.name()?;
                let directives = self.directives()?;
                return self.body(Defined::Fragment { name, on }, directives, Vec::new());
            }
            Token::Name(_) | Token::Text(_) => {
                return Err(Flaw::Malformed(
                    "there is a definition that is neither an operation nor a fragment",
                ));
            }
            Token::Punctuator(_) | Token::Spread | Token::Integer(_) | Token::Float => {
                return Err(UNEXPECTED);
            }
        };
        self.next()?;
        let name = match self.peek()? {
            Some(Token::Name(name)) => {
                self.next()?;
                Some(name)
            }
            Some(_) | None => None,
        };
        let mut directives = 0;
        let mut defaults = Vec::new();
        if self.takes(b'(')? {
            directives += self.variables(&mut defaults)?;
        }
        directives += self.directives()?;
        self.body(Defined::Operation { kind, name }, directives, defaults)
    }

    fn body(
        &mut self,
        defined: Defined<'a>,
        directives: usize,
        defaults: Vec<(&'a str, Value<'a>)>,
    ) -> Result<(), Flaw> {
        let first = self.document.selections.len();
        self.selections()?;
        let end = self.document.selections.len();
        self.document.definitions.push(Definition { defined, first, end, directives, defaults });
        Ok(())
    }

    /// The definitions of variables, after their parenthesis; answers with the number of directives on them.
    fn variables(&mut self, defaults: &mut Vec<(&'a str, Value<'a>)>) -> Result<usize, Flaw> {
        let mut directives = 0;
        let mut names = Names::default();
        loop {
            self.expect(b'$')?;
            let name = self.name()?;
            names.take(name, "a variable is defined twice")?;
            self.expect(b':')?;
            self.type_reference()?;
            if self.takes(b'=')? {
                defaults.push((name, self.value(Constant::Yes)?));
            }
            directives += self.directives()?;
            if self.takes(b')')? {
                return Ok(directives);
            }
        }
    }

    /// A type; answers with its name, and how many lists are around it.
    pub(super) fn type_reference(&mut self) -> Result<(&'a str, usize), Flaw> {
        let mut lists = 0;
        while self.takes(b'[')? {
            lists += 1;
            if lists > MAX_NESTING {
                return Err(Flaw::Refused("a type is nested too deeply"));
            }
        }
        let name = self.name()?;
        self.takes(b'!')?;
        for _ in 0..lists {
            self.expect(b']')?;
            self.takes(b'!')?;
        }
        Ok((name, lists))
    }

    /// Directives; answers with their number.
    fn directives(&mut self) -> Result<usize, Flaw> {
        let mut count = 0;
        while self.takes(b'@')? {
            self.name()?;
            let arguments = self.document.arguments.len();
            self.arguments()?;
            self.document.arguments.truncate(arguments);
            count += 1;
        }
        Ok(count)
    }

    /// The arguments of a field or directive, if there are any.
    fn arguments(&mut self) -> Result<(), Flaw> {
        if !self.takes(b'(')? {
            return Ok(());
        }
        let mut names = Names::default();
        loop {
            let name = self.name()?;
            names.take(name, "an argument is given twice")?;
            self.expect(b':')?;
            let value = self.value(Constant::No)?;
            self.document.arguments.push((name, value));
            if self.takes(b')')? {
                return Ok(());
            }
        }
    }

    pub(super) fn value(&mut self, constant: Constant) -> Result<Value<'a>, Flaw> {
        let mut open: Vec<Container<'a>> = Vec::new();
        loop {
            let mut value = match self.next()? {
                Token::Punctuator(b'$') if constant == Constant::No => Value::Variable(self.name()?),
                Token::Punctuator(b'[') => {
                    open.push(Container::List);
                    Value::Other
                }
                Token::Punctuator(b'{') => {
                    open.push(Container::Object(Names::default()));
                    Value::Other
                }
                Token::Integer(digits) => Value::Integer(digits),
                Token::Name("null") => Value::Null,
                Token::Name(_) | Token::Float | Token::Text(_) => Value::Other,
                Token::Punctuator(_) | Token::Spread => return Err(UNEXPECTED),
            };
            if open.len() > MAX_NESTING {
                return Err(Flaw::Refused("a value is nested too deeply"));
            }
            loop {
                match open.last_mut() {
                    None => return Ok(value),
                    Some(Container::List) => {
                        if !self.takes(b']')? {
                            break;
                        }
                    }
                    Some(Container::Object(names)) => {
                        // The names are put back below: a reader cannot lend them and read on.
                        let mut names = std::mem::take(names);
                        if !self.takes(b'}')? {
                            names.take(self.name()?, "a member of an object is given twice")?;
                            self.expect(b':')?;
                            if let Some(Container::Object(place)) = open.last_mut() {
                                *place = names;
                            }
                            break;
                        }
                    }
                }
                open.pop();
                value = Value::Other;
            }
        }
    }

    /// A set of selections and all that they select.
    fn selections(&mut self) -> Result<(), Flaw> {
        self.expect(b'{')?;
        let mut open: Vec<usize> = Vec::new();
        let mut empty = true;
        loop {
            match self.next()? {
                CLOSE if empty => return Err(Flaw::Malformed("nothing is selected between braces")),
                CLOSE => {
                    let end = self.document.selections.len();
                    let Some(place) = open.pop() else { return Ok(()) };
                    if let Some(selection) = self.document.selections.get_mut(place) {
                        selection.end = end;
                    }
                }
                Token::Spread => empty = self.fragment(&mut open)?,
                Token::Name(name) => empty = self.field(name, &mut open)?,
                Token::Punctuator(_) | Token::Integer(_) | Token::Float | Token::Text(_) => {
                    return Err(UNEXPECTED);
                }
            }
            if open.len() > MAX_NESTING {
                return Err(Flaw::Refused("selections are nested too deeply"));
            }
        }
    }

    /// A field, after its first name. `true` where its own selections follow.
    fn field(&mut self, first: &'a str, open: &mut Vec<usize>) -> Result<bool, Flaw> {
        let aliased = self.takes(b':')?;
        let name = if aliased { self.name()? } else { first };
        let arguments = self.document.arguments.len();
        self.arguments()?;
        let directives = self.directives()?;
        let opens = self.takes(b'{')?;
        self.select(Selected::Field { name, aliased }, directives, arguments, opens, open);
        Ok(opens)
    }

    /// What follows three dots. `true` where its own selections follow.
    fn fragment(&mut self, open: &mut Vec<usize>) -> Result<bool, Flaw> {
        let mut selected = Selected::Inline(None);
        if let Some(Token::Name(name)) = self.peek()? {
            self.next()?;
            selected =
                if name == "on" { Selected::Inline(Some(self.name()?)) } else { Selected::Spread(name) };
        }
        let arguments = self.document.arguments.len();
        let directives = self.directives()?;
        let opens = match selected {
            Selected::Spread(_) => false,
            Selected::Inline(_) | Selected::Field { .. } => {
                self.expect(b'{')?;
                true
            }
        };
        self.select(selected, directives, arguments, opens, open);
        Ok(opens)
    }

    fn select(
        &mut self,
        selected: Selected<'a>,
        directives: usize,
        first_argument: usize,
        opens: bool,
        open: &mut Vec<usize>,
    ) {
        let place = self.document.selections.len();
        let parent = open.last().copied();
        let level = match parent.and_then(|parent| self.document.selections.get(parent)) {
            None => 0,
            Some(Selection { selected: Selected::Field { .. }, level, .. }) => level + 1,
            Some(Selection { level, .. }) => *level,
        };
        let end_argument = self.document.arguments.len();
        self.document.selections.push(Selection {
            selected,
            level,
            end: place + 1,
            parent,
            directives,
            first_argument,
            end_argument,
        });
        if opens {
            open.push(place);
        }
    }
}

/// Whether a value may refer to variables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Constant {
    Yes,
    No,
}

enum Container<'a> {
    List,
    Object(Names<'a>),
}

/// The names that were given so far in one place.
#[derive(Default)]
struct Names<'a> {
    few: Vec<&'a str>,
    many: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    /// How many names are compared one by one. More of them are hashed, so that many do not cost their square.
    const FEW: usize = 16;

    /// Takes a name. Which of two values of one name counts is a matter of taste, so neither does.
    fn take(&mut self, name: &'a str, otherwise: &'static str) -> Result<(), Flaw> {
        let new = if self.few.len() < Self::FEW {
            let new = !self.few.contains(&name);
            self.few.push(name);
            new
        } else {
            !self.few.contains(&name) && self.many.insert(name)
        };
        if new { Ok(()) } else { Err(Flaw::Malformed(otherwise)) }
    }
}
