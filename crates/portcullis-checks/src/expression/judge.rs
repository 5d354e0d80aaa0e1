//! Whether an expression fits together, and the most that it can cost.
//!
//! One walk gives each part its type, an upper bound of the size of its value, and an upper bound of the steps that
//! its evaluation takes. Sizes are counted in elements, members and 32 bytes of text; nothing is known of the size of a variable
//! but that all together are no larger than `size`. So both bounds hold for every request whose variables are no larger than
//! that, and nothing needs to be counted while an expression runs.

use super::functions::{Argument, FUNCTIONS, Function};
use super::kind::Kind;
use super::{Flaw, Reads, Variables};
use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, SelectExpr, operators,
};
use std::collections::BTreeSet;

/// Bytes of text that count as one.
pub const TEXT_UNIT: usize = 32;

/// How deeply macros may nest: a walk takes two turns of each.
const MAX_MACROS: usize = 4;

/// What is known of a whole expression.
pub struct Judged {
    /// The type of its value.
    pub kind: Kind,
    /// The most steps that it can take.
    pub cost: f64,
    /// The regular expressions in it.
    pub patterns: BTreeSet<String>,
    /// The variables that it names.
    pub uses: BTreeSet<&'static str>,
}

/// Judges an expression over variables that together are at most so large.
///
/// # Errors
/// What does not fit.
pub fn judge(tree: &IdedExpr, variables: &Variables, size: f64) -> Result<Judged, Flaw> {
    let mut judge = Judge {
        variables,
        size,
        scope: Vec::new(),
        depth: 0,
        patterns: BTreeSet::new(),
        uses: BTreeSet::new(),
    };
    let part = judge.part(tree)?;
    Ok(Judged { kind: part.kind, cost: part.cost, patterns: judge.patterns, uses: judge.uses })
}

/// What is known of a part.
#[derive(Clone)]
struct Part {
    kind: Kind,
    size: f64,
    cost: f64,
}

struct Local {
    name: String,
    kind: Kind,
    size: f64,
}

struct Judge<'a> {
    variables: &'a Variables,
    size: f64,
    /// The variables of macros, the innermost last.
    scope: Vec<Local>,
    /// How many macros are around.
    depth: usize,
    patterns: BTreeSet<String>,
    uses: BTreeSet<&'static str>,
}

fn flaw<T>(why: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw(why.into()))
}

fn text_size(text: &str) -> f64 {
    count(1 + text.len() / TEXT_UNIT)
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn is_type(name: &str) -> bool {
    matches!(
        name,
        "bool" | "int" | "uint" | "double" | "string" | "bytes" | "list" | "map" | "null_type" | "type"
    )
}

impl Judge<'_> {
    fn part(&mut self, node: &IdedExpr) -> Result<Part, Flaw> {
        match &node.expr {
            Expr::Literal(literal) => Ok(self::literal(literal)),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(select),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(macro_) => self.comprehension(macro_),
            Expr::Struct(made) => flaw(format!("there is no type `{}` to make a value of", made.type_name)),
            Expr::Unspecified => flaw("a part of it is missing"),
        }
    }

    fn variable(&mut self, name: &str) -> Result<Part, Flaw> {
        if let Some(local) = self.scope.iter().rev().find(|local| local.name == name) {
            return Ok(Part { kind: local.kind.clone(), size: local.size, cost: 1.0 });
        }
        if let Some((name, kind)) = self.variables.iter().find(|(there, _)| *there == name) {
            self.uses.insert(name);
            return Ok(Part { kind: kind.clone(), size: self.size, cost: 1.0 });
        }
        if is_type(name) {
            return Ok(Part { kind: Kind::Type, size: 1.0, cost: 1.0 });
        }
        flaw(format!("nothing is called `{name}`{}", self.known()))
    }

    fn known(&self) -> String {
        let names: Vec<_> = self.variables.iter().map(|(name, _)| format!("`{name}`")).collect();
        if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) }
    }

    fn select(&mut self, select: &SelectExpr) -> Result<Part, Flaw> {
        let of = self.part(&select.operand)?;
        let field = &select.field;
        let kind = match of.kind {
            Kind::Dyn => Kind::Dyn,
            Kind::Map(value) => *value,
            Kind::Record(members) => match members.iter().find(|(name, _)| name == field) {
                Some((_, kind)) => kind.clone(),
                None => {
                    let names: Vec<_> = members.iter().map(|(name, _)| format!("`.{name}`")).collect();
                    return flaw(format!("there is no `.{field}`; there are {}", names.join(", ")));
                }
            },
            Kind::Null
            | Kind::Bool
            | Kind::Int
            | Kind::Uint
            | Kind::Double
            | Kind::Text
            | Kind::Bytes
            | Kind::Timestamp
            | Kind::Duration
            | Kind::Type
            | Kind::List(_) => {
                return flaw(format!("a {} has no member `.{field}`", of.kind));
            }
        };
        let cost = of.cost + text_size(field);
        if select.test {
            return Ok(Part { kind: Kind::Bool, size: 1.0, cost });
        }
        Ok(Part { kind, size: of.size, cost })
    }

    fn list(&mut self, list: &ListExpr) -> Result<Part, Flaw> {
        let mut whole = Part { kind: Kind::Dyn, size: 1.0, cost: 1.0 };
        let mut of = None;
        for element in &list.elements {
            let part = self.part(element)?;
            whole.size += part.size;
            // Elements are copied into the list.
            whole.cost += part.cost + part.size;
            of = Some(of.map_or(part.kind.clone(), |of: Kind| of.or(&part.kind)));
        }
        whole.kind = Kind::list(of.unwrap_or(Kind::Dyn));
        Ok(whole)
    }

    fn map(&mut self, map: &MapExpr) -> Result<Part, Flaw> {
        let mut whole = Part { kind: Kind::Dyn, size: 1.0, cost: 1.0 };
        let mut of = None;
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { return flaw("a map has keys and values") };
            let (key, value) = (self.part(&entry.key)?, self.part(&entry.value)?);
            if !matches!(key.kind, Kind::Dyn | Kind::Bool | Kind::Int | Kind::Uint | Kind::Text) {
                return flaw(format!("a {} cannot be the key of a map", key.kind));
            }
            whole.size += key.size + value.size;
            whole.cost += key.cost + value.cost + key.size + value.size;
            of = Some(of.map_or(value.kind.clone(), |of: Kind| of.or(&value.kind)));
        }
        whole.kind = Kind::map(of.unwrap_or(Kind::Dyn));
        Ok(whole)
    }

    fn call(&mut self, call: &CallExpr) -> Result<Part, Flaw> {
        let parts = call.target.as_deref().into_iter().chain(&call.args);
        let parts = parts.map(|part| self.part(part)).collect::<Result<Vec<_>, _>>()?;
        let cost = 1.0 + parts.iter().map(|part| part.cost).sum::<f64>();
        match (call.target.is_some(), parts.as_slice()) {
            (false, [one]) => {
                if let Some(kind) = unary(&call.func_name, &one.kind)? {
                    return Ok(Part { kind, size: 1.0, cost });
                }
            }
            (false, [one, other]) => {
                if let Some(part) = binary(&call.func_name, one, other)? {
                    return Ok(Part { cost: cost + part.cost, ..part });
                }
            }
            (false, [condition, one, other]) if call.func_name == operators::CONDITIONAL => {
                expect(&condition.kind, &Kind::Bool, "what stands before `?`")?;
                let kind = one.kind.clone().or(&other.kind);
                return Ok(Part { kind, size: one.size.max(other.size), cost });
            }
            (true | false, _) => {}
        }
        let function = self.function(call, &parts)?;
        let size = match function.name {
            "string" | "bytes" | "dyn" => parts.first().map_or(1.0, |part| part.size),
            _ => 1.0,
        };
        // A regular expression takes several steps for each byte.
        let work = if function.name == "matches" { 32.0 } else { 1.0 };
        let read = parts.iter().map(|part| part.size).sum::<f64>() * work;
        let kind = match (function.name, parts.as_slice()) {
            // What `dyn` makes of a value can be anything, for the check.
            ("dyn", _) => Kind::Dyn,
            _ => function.value.clone(),
        };
        Ok(Part { kind, size, cost: cost + read })
    }

    fn function(&mut self, call: &CallExpr, parts: &[Part]) -> Result<&'static Function, Flaw> {
        let name = call.func_name.as_str();
        let on_value = call.target.is_some();
        let known: Vec<_> = FUNCTIONS.iter().filter(|known| known.name == name).collect();
        let fits = |known: &&Function| {
            known.on_value == on_value
                && known.arguments.len() == parts.len()
                && known.arguments.iter().zip(parts).all(|(argument, part)| argument.takes(&part.kind))
        };
        let Some(function) = known.iter().copied().find(fits) else {
            if known.is_empty() {
                return flaw(format!("there is no function `{name}`"));
            }
            let kinds: Vec<_> = parts.iter().map(|part| part.kind.to_string()).collect();
            return flaw(format!("the function `{name}` does not take ({})", kinds.join(", ")));
        };
        if function.arguments.last() == Some(&Argument::Pattern) {
            // SECURITY: a pattern is the operator's and never a client's, and compiled once (what_does_not_fit_is_refused_at_load).
            match call.args.last().map(|argument| &argument.expr) {
                Some(Expr::Literal(LiteralValue::String(pattern))) => {
                    self.patterns.insert(pattern.inner().to_owned());
                }
                Some(_) | None => return flaw("the pattern of `matches` must be a text in quotes"),
            }
        }
        Ok(function)
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Result<Part, Flaw> {
        let over = self.part(&loops.iter_range)?;
        let kind = match over.kind {
            Kind::Dyn => Kind::Dyn,
            Kind::List(of) => *of,
            // A macro goes over the keys of a map.
            Kind::Map(_) => Kind::Dyn,
            Kind::Record(_) => Kind::Text,
            Kind::Null
            | Kind::Bool
            | Kind::Int
            | Kind::Uint
            | Kind::Double
            | Kind::Text
            | Kind::Bytes
            | Kind::Timestamp
            | Kind::Duration
            | Kind::Type => {
                return flaw(format!("a {} has no elements to go over", over.kind));
            }
        };
        if loops.iter_var2.is_some() {
            return flaw("macros have one variable");
        }
        if self.variables.iter().any(|(name, _)| *name == loops.iter_var) {
            return flaw(format!("`{}` is the name of something else already", loops.iter_var));
        }
        if self.depth >= MAX_MACROS {
            return flaw(format!("macros nest at most {MAX_MACROS} deep"));
        }
        let begin = self.part(&loops.accu_init)?;
        self.depth += 1;
        let (kind, turns) = match list_of(&loops.iter_range.expr) {
            Some(list) => {
                let turn = self.turn(loops, &kind, over.size, &begin)?;
                let times = count(list.elements.len());
                (turn.kind, (times * turn.size, times * turn.cost))
            }
            // Each element counts at least one, and all together no more than the list. Both bounds grow faster than
            // their elements or as fast, so the worst list has one that is as large as all, and others as small as can be.
            None => {
                let large = self.turn(loops, &kind, over.size, &begin)?;
                let small = self.turn(loops, &kind, 1.0, &begin)?;
                (large.kind, (large.size + over.size * small.size, large.cost + over.size * small.cost))
            }
        };
        self.depth -= 1;
        let (size, cost) = turns;
        let size = if matches!(kind, Kind::List(_)) { 1.0 + size } else { 1.0 };
        self.scope.push(Local { name: loops.accu_var.clone(), kind, size });
        let result = self.part(&loops.result)?;
        self.scope.pop();
        Ok(Part { cost: over.cost + begin.cost + cost + result.cost, ..result })
    }

    /// One turn of a loop over elements of at most this size. Of what a loop gathers, each turn adds what it makes of nothing.
    fn turn(&mut self, loops: &ComprehensionExpr, of: &Kind, size: f64, begin: &Part) -> Result<Part, Flaw> {
        let gathers = matches!(begin.kind, Kind::List(_));
        self.scope.push(Local { name: loops.iter_var.clone(), kind: of.clone(), size });
        self.scope.push(Local {
            name: loops.accu_var.clone(),
            kind: begin.kind.clone(),
            size: if gathers { 0.0 } else { 1.0 },
        });
        let (condition, step) = (self.part(&loops.loop_cond)?, self.part(&loops.loop_step)?);
        self.scope.pop();
        self.scope.pop();
        let kind = if gathers { step.kind } else { begin.kind.clone() };
        Ok(Part { kind, size: step.size, cost: 1.0 + condition.cost + step.cost + step.size })
    }
}

fn literal(literal: &LiteralValue) -> Part {
    let (kind, size) = match literal {
        LiteralValue::Boolean(_) => (Kind::Bool, 1.0),
        LiteralValue::Bytes(bytes) => (Kind::Bytes, count(1 + bytes.inner().len() / TEXT_UNIT)),
        LiteralValue::Double(_) => (Kind::Double, 1.0),
        LiteralValue::Int(_) => (Kind::Int, 1.0),
        LiteralValue::Null => (Kind::Null, 1.0),
        LiteralValue::String(text) => (Kind::Text, text_size(text.inner())),
        LiteralValue::UInt(_) => (Kind::Uint, 1.0),
    };
    Part { kind, size, cost: 1.0 }
}

fn expect(kind: &Kind, expected: &Kind, what: &str) -> Result<(), Flaw> {
    if kind.may_be(expected) { Ok(()) } else { flaw(format!("{what} is a {kind}, and must be a {expected}")) }
}

fn unary(operator: &str, kind: &Kind) -> Result<Option<Kind>, Flaw> {
    match operator {
        operators::LOGICAL_NOT => {
            expect(kind, &Kind::Bool, "what stands after `!`").map(|()| Some(Kind::Bool))
        }
        operators::NOT_STRICTLY_FALSE => Ok(Some(Kind::Bool)),
        operators::NEGATE if matches!(kind, Kind::Dyn | Kind::Int | Kind::Double) => Ok(Some(kind.clone())),
        operators::NEGATE => flaw(format!("a {kind} has no negative")),
        _ => Ok(None),
    }
}

/// The type and size of an operator's value, and what the operator itself costs.
fn binary(operator: &str, one: &Part, other: &Part) -> Result<Option<Part>, Flaw> {
    let (left, right) = (&one.kind, &other.kind);
    let both = || one.size + other.size;
    let does_not_fit = |sign: &str| flaw(format!("`{sign}` does not fit a {left} and a {right}"));
    let truth = |cost: f64| Ok(Some(Part { kind: Kind::Bool, size: 1.0, cost }));
    match operator {
        operators::LOGICAL_AND | operators::LOGICAL_OR => {
            let sign = if operator == operators::LOGICAL_AND { "&&" } else { "||" };
            for kind in [left, right] {
                expect(kind, &Kind::Bool, &format!("a side of `{sign}`"))?;
            }
            truth(0.0)
        }
        operators::EQUALS | operators::NOT_EQUALS => {
            if left.comparable(right) {
                truth(both())
            } else {
                does_not_fit("==")
            }
        }
        operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
            let numbers = left.may_be_number() && right.may_be_number();
            let ordered = |kind: &Kind| {
                matches!(
                    kind,
                    Kind::Dyn | Kind::Bool | Kind::Text | Kind::Bytes | Kind::Timestamp | Kind::Duration
                )
            };
            let alike = left.may_be(right) && ordered(left) && ordered(right);
            if numbers || alike { truth(both()) } else { does_not_fit("<") }
        }
        operators::IN => match right {
            Kind::Dyn | Kind::Record(_) => truth(both()),
            Kind::List(of) if left.comparable(of) => truth(both()),
            Kind::Map(_) => truth(both()),
            Kind::List(_)
            | Kind::Null
            | Kind::Bool
            | Kind::Int
            | Kind::Uint
            | Kind::Double
            | Kind::Text
            | Kind::Bytes
            | Kind::Timestamp
            | Kind::Duration
            | Kind::Type => does_not_fit("in"),
        },
        operators::INDEX => {
            let kind = match left {
                Kind::Dyn => Kind::Dyn,
                Kind::List(of) if right.may_be_number() => of.as_ref().clone(),
                Kind::Map(of) => of.as_ref().clone(),
                Kind::List(_) => return does_not_fit("[]"),
                Kind::Record(_) => return flaw("write its members as `.name`"),
                Kind::Null
                | Kind::Bool
                | Kind::Int
                | Kind::Uint
                | Kind::Double
                | Kind::Text
                | Kind::Bytes
                | Kind::Timestamp
                | Kind::Duration
                | Kind::Type => {
                    return flaw(format!("a {left} has no elements"));
                }
            };
            Ok(Some(Part { kind, size: one.size, cost: other.size }))
        }
        operators::ADD
        | operators::SUBSTRACT
        | operators::MULTIPLY
        | operators::DIVIDE
        | operators::MODULO => match arithmetic(operator, left, right) {
            Some(kind) => Ok(Some(Part { kind, size: both(), cost: both() })),
            None => does_not_fit(operator.trim_matches('_')),
        },
        _ => Ok(None),
    }
}

fn arithmetic(operator: &str, left: &Kind, right: &Kind) -> Option<Kind> {
    let (add, subtract) = (operator == operators::ADD, operator == operators::SUBSTRACT);
    match (left, right) {
        (Kind::Int | Kind::Uint, _) if left == right => Some(left.clone()),
        (Kind::Double, Kind::Double) if operator != operators::MODULO => Some(Kind::Double),
        (Kind::Text | Kind::Bytes, _) if add && left == right => Some(left.clone()),
        (Kind::List(one), Kind::List(other)) if add => Some(Kind::list(one.as_ref().clone().or(other))),
        (Kind::Duration, Kind::Duration) if add || subtract => Some(Kind::Duration),
        (Kind::Timestamp, Kind::Duration) if add || subtract => Some(Kind::Timestamp),
        (Kind::Duration, Kind::Timestamp) if add => Some(Kind::Timestamp),
        (Kind::Timestamp, Kind::Timestamp) if subtract => Some(Kind::Duration),
        // Of what is only known with a request, the other side says nothing certain either.
        (Kind::Dyn, other) | (other, Kind::Dyn) => match other {
            Kind::Bool | Kind::Null | Kind::Type | Kind::Map(_) | Kind::Record(_) => None,
            Kind::List(_) | Kind::Text | Kind::Bytes if !add => None,
            Kind::Dyn
            | Kind::Int
            | Kind::Uint
            | Kind::Double
            | Kind::Text
            | Kind::Bytes
            | Kind::Timestamp
            | Kind::Duration
            | Kind::List(_) => Some(Kind::Dyn),
        },
        _ => None,
    }
}

fn list_of(expression: &Expr) -> Option<&ListExpr> {
    if let Expr::List(list) = expression { Some(list) } else { None }
}

fn is_variable(expression: &Expr, variable: &str) -> bool {
    matches!(expression, Expr::Ident(name) if name == variable)
}

/// What an expression reads of a variable.
pub fn reads(tree: &IdedExpr, variable: &str) -> Reads {
    let mut found = BTreeSet::new();
    let mut pending = vec![tree];
    while let Some(node) = pending.pop() {
        match &node.expr {
            Expr::Ident(name) if name == variable => return Reads::All,
            Expr::Select(select) if is_variable(&select.operand.expr, variable) => {
                found.insert(select.field.clone());
            }
            Expr::Select(select) => pending.push(&select.operand),
            Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                [of, index] => match (&of.expr, &index.expr) {
                    (Expr::Ident(name), Expr::Literal(LiteralValue::String(field))) if name == variable => {
                        found.insert(field.inner().to_owned());
                    }
                    _ => pending.extend([of, index]),
                },
                others => pending.extend(others),
            },
            Expr::Call(call) => pending.extend(call.target.as_deref().into_iter().chain(&call.args)),
            Expr::Comprehension(loops) => pending.extend([
                &loops.iter_range,
                &loops.accu_init,
                &loops.loop_cond,
                &loops.loop_step,
                &loops.result,
            ]),
            Expr::List(list) => pending.extend(&list.elements),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        pending.extend([&entry.key, &entry.value]);
                    }
                }
            }
            Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
        }
    }
    Reads::Members(found)
}
