//! Where in a file its mutants go: reads the file as Rust, and finds the expression, function or arm that each one changes.

use std::collections::BTreeMap;

use proc_macro2::LineColumn;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, Block, Expr, ExprBinary, ExprMatch, ExprStruct, ExprUnary, Member};

use super::{ASK, Span};
use crate::failure::{Context, Outcome};
use crate::mutants::list::{Genre, Mutant, Position};

/// What is done to a file.
#[derive(Debug)]
pub(super) struct Places {
    choices: BTreeMap<Span, Vec<(usize, Genre, String)>>,
    inserted: Vec<Change>,
}

#[derive(Debug)]
pub(super) enum Change {
    /// The text of a mutant stands before what is at this byte.
    Insert { at: usize, number: usize, genre: Genre, text: String },
    /// An expression becomes a choice between these texts and itself.
    Choose { span: Span, options: Vec<(usize, Genre, String)> },
}

impl Change {
    pub(super) fn begins(&self) -> usize {
        match self {
            Self::Insert { at, .. } => *at,
            Self::Choose { span, .. } => span.from,
        }
    }
}

impl From<Places> for Vec<Change> {
    fn from(places: Places) -> Self {
        let choices = places.choices.into_iter().map(|(span, options)| Change::Choose { span, options });
        choices.chain(places.inserted).collect()
    }
}

pub(super) fn find(text: &str, mutants: &[(usize, &Mutant)]) -> Outcome<Places> {
    let file = syn::parse_file(text).context(|| "reading it as Rust".into())?;
    let lines = Lines::of(text);
    let mut wanted: BTreeMap<(Span, Genre), Vec<(usize, String)>> = BTreeMap::new();
    for (number, mutant) in mutants {
        let span = Span { from: lines.byte(mutant.from), to: lines.byte(mutant.to) };
        wanted.entry((span, mutant.genre)).or_default().push((*number, mutant.replacement.clone()));
    }
    let places = Places { choices: BTreeMap::new(), inserted: Vec::new() };
    let mut finder = Finder { lines, wanted, chain: None, places };
    finder.visit_file(&file);
    Ok(finder.places)
}

/// Bytes of lines and columns.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    fn byte(&self, position: Position) -> usize {
        let start = self.starts.get(position.line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let rest = self.text.get(start..).unwrap_or_default();
        rest.char_indices().nth(position.column).map_or(self.text.len(), |(at, _)| start + at)
    }

    fn span(&self, of: &impl Spanned) -> Span {
        let byte = |place: LineColumn| self.byte(Position { line: place.line, column: place.column });
        let span = of.span();
        Span { from: byte(span.start()), to: byte(span.end()) }
    }
}

struct Finder<'a> {
    lines: Lines<'a>,
    /// What is to be placed, by what it replaces.
    wanted: BTreeMap<(Span, Genre), Vec<(usize, String)>>,
    /// The operators around this one, with nothing between: one choice for all of them, since another operator may bind otherwise.
    chain: Option<Span>,
    places: Places,
}

impl Finder<'_> {
    fn wanted(&mut self, span: Span, genre: Genre) -> Vec<(usize, String)> {
        self.wanted.remove(&(span, genre)).unwrap_or_default()
    }

    fn choose(&mut self, span: Span, number: usize, genre: Genre, text: String) {
        self.places.choices.entry(span).or_default().push((number, genre, text));
    }

    fn insert(&mut self, at: usize, number: usize, genre: Genre, text: String) {
        self.places.inserted.push(Change::Insert { at, number, genre, text });
    }

    /// An operator is replaced where it stands, in a copy of what is around it.
    fn operator(&mut self, around: Span, operator: Span, genre: Genre) {
        let before = Span { from: around.from, to: operator.from }.of(self.lines.text);
        let after = Span { from: operator.to, to: around.to }.of(self.lines.text);
        for (number, replacement) in self.wanted(operator, genre) {
            self.choose(around, number, genre, format!("{before}{replacement}{after}"));
        }
    }

    fn body(&mut self, block: &Block) {
        let (Some(first), Some(last)) = (block.stmts.first(), block.stmts.last()) else { return };
        let span = Span { from: self.lines.span(first).from, to: self.lines.span(last).to };
        for (number, value) in self.wanted(span, Genre::Body) {
            // One function has one return type, so another iterator cannot stand beside its own.
            if !value.starts_with("::std::iter::") {
                let text = format!("if {ASK}({number}) {{ return {value}; }} ");
                self.insert(span.from, number, Genre::Body, text);
            }
        }
    }

    fn arm(&mut self, arm: &Arm) {
        let Some((_, guard)) = &arm.guard else {
            let behind = self.lines.span(&arm.pat).to;
            for (number, _) in self.wanted(self.lines.span(arm), Genre::Arm) {
                self.insert(behind, number, Genre::Arm, format!(" if !{ASK}({number})"));
            }
            return;
        };
        if !has_let(guard) {
            let span = self.lines.span(guard);
            for (number, value) in self.wanted(span, Genre::Guard) {
                self.choose(span, number, Genre::Guard, value);
            }
        }
    }
}

/// A condition that binds names is no expression that could stand in a choice.
fn has_let(expression: &Expr) -> bool {
    if let Expr::Binary(binary) = expression {
        return has_let(&binary.left) || has_let(&binary.right);
    }
    matches!(expression, Expr::Let(_))
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.body(&function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.body(&function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.body(block);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        let outer = self.chain;
        if !matches!(expression, Expr::Binary(_)) {
            self.chain = None;
        }
        visit::visit_expr(self, expression);
        self.chain = outer;
    }

    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        let binds = has_let(&binary.left) || has_let(&binary.right);
        self.chain = if binds { None } else { self.chain.or_else(|| Some(self.lines.span(binary))) };
        if let Some(chain) = self.chain {
            self.operator(chain, self.lines.span(&binary.op), Genre::Binary);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast ExprUnary) {
        self.operator(self.lines.span(unary), self.lines.span(&unary.op), Genre::Unary);
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_match(&mut self, expression: &'ast ExprMatch) {
        for arm in &expression.arms {
            self.arm(arm);
        }
        visit::visit_expr_match(self, expression);
    }

    fn visit_expr_struct(&mut self, literal: &'ast ExprStruct) {
        if let Some(rest) = &literal.rest {
            let rest = self.lines.span(rest).of(self.lines.text);
            let path = self.lines.span(&literal.path).of(self.lines.text);
            for pair in literal.fields.pairs() {
                let (field, comma) = (pair.value(), pair.punct());
                let Member::Named(name) = &field.member else { continue };
                let mut span = self.lines.span(field);
                if let Some(comma) = comma {
                    span.to = self.lines.span(comma).to;
                }
                let value = self.lines.span(&field.expr);
                for (number, _) in self.wanted(span, Genre::Field) {
                    if field.colon_token.is_none() {
                        self.insert(value.from, number, Genre::Field, format!("{name}: "));
                    }
                    let text = format!("{{ let rest: {path} = {rest}; rest.{name} }}");
                    self.choose(value, number, Genre::Field, text);
                }
            }
        }
        visit::visit_expr_struct(self, literal);
    }
}
