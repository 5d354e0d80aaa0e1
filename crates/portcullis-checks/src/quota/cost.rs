//! What a request costs, and which answers are counted.

use super::by;
use crate::build::{Build, NeededOperation};
use http::{HeaderName, Method};
use portcullis_config::{Context, Decode, Definitions, Node, Spanned, Value, object};
use portcullis_core::{Facts, LateCost, Operation};
use serde_json::json;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

object! {
    /// What a request costs, by its method or by what the upstream says.
    pub struct CostByConfig {
        /// The cost of a request whose method is not listed, or whose answer does not have the header. Default: 1.
        pub default: u32 = 1,
        /// The cost for each method, such as `{ POST: 5 }`.
        pub methods: BTreeMap<String, u32> = BTreeMap::new(),
        /// The cost for each operation of the route's OpenAPI document, by `operationId` or by method and path, such as
        /// `{ exportOrders: 20, "GET /orders": 2 }`. It wins over `methods`.
        pub operations: BTreeMap<String, u32> = BTreeMap::new(),
        /// A header of the upstream's answer that tells the cost. It is charged after the answer: a request is let through
        /// while one more is allowed. Not together with `methods` or `operations`.
        pub response_header: Option<Spanned<String>>,
        /// The most that one answer may cost. Default: 1000.
        pub max: u32 = 1000,
    }
}

/// What a request costs.
#[derive(Clone, Debug)]
pub enum CostConfig {
    /// Always this.
    Fixed(u32),
    /// By its method or its answer.
    By(Box<CostByConfig>),
}

impl Decode for CostConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<CostConfig> {
        match &node.value {
            Value::Mapping(_) => CostByConfig::decode(node, cx).map(|by| CostConfig::By(Box::new(by))),
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Sequence(_) => NonZeroU32::decode(node, cx).map(|cost| CostConfig::Fixed(cost.get())),
        }
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [NonZeroU32::schema(definitions), CostByConfig::schema(definitions)] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        match self {
            CostConfig::Fixed(cost) => Some(json!(cost)),
            CostConfig::By(_) => None,
        }
    }
}

/// A status, such as `401`, or a class of them, such as `5xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses(pub u16, pub u16);

impl Decode for Statuses {
    fn decode(node: &Node, cx: &mut Context) -> Option<Statuses> {
        let found = match &node.value {
            Value::Integer(number) => u16::try_from(*number).ok().map(|number| Statuses(number, number)),
            Value::String(text) => match text.strip_suffix("xx").map(str::parse::<u16>) {
                Some(Ok(class)) => {
                    Some(Statuses(class.saturating_mul(100), class.saturating_mul(100).saturating_add(99)))
                }
                Some(Err(_)) => None,
                None => text.parse().ok().map(|number| Statuses(number, number)),
            },
            Value::Null | Value::Bool(_) | Value::Float(_) | Value::Sequence(_) | Value::Mapping(_) => None,
        };
        let found = found.filter(|Statuses(from, to)| *from >= 200 && *to <= 599);
        if found.is_none() {
            cx.error("config.status", node.span, "this is not the status of an answer")
                .help("write a status from 200 to 599, such as `401`, or a class, such as `5xx`");
        }
        found
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 200, "maximum": 599 },
            { "type": "string", "pattern": "^[2-5](xx|[0-9]{2})$" },
        ] })
    }
}

/// How an operation is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Id(String),
    Place { method: String, path: String },
}

impl Named {
    pub(crate) fn parse(name: &str) -> Named {
        match name.split_once(' ') {
            Some((method, path)) if path.starts_with('/') => {
                Named::Place { method: method.to_owned(), path: path.to_owned() }
            }
            Some(_) | None => Named::Id(name.to_owned()),
        }
    }

    pub(crate) fn is(&self, method: &str, path: &str, id: Option<&str>) -> bool {
        match self {
            Named::Id(name) => id == Some(name),
            Named::Place { method: of, path: at } => of == method && at == path,
        }
    }
}

/// What a request costs, as it is charged.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    default: u32,
    methods: Vec<(Method, u32)>,
    operations: Vec<(Named, u32)>,
    pub(crate) late: Option<LateCost>,
}

impl Cost {
    /// What runs. `None` means that an error was pushed.
    pub(crate) fn compile(
        cost: &Spanned<CostConfig>,
        statuses: &Spanned<Vec<Statuses>>,
        max: u32,
        build: &mut Build,
        cx: &mut Context,
    ) -> Option<Cost> {
        let mut refuse = |message: &str, help: &str| {
            cx.error("config.limit_cost", cost.span, message).help(help.to_owned());
            None
        };
        let (counted, span) = (!statuses.value.is_empty(), cost.span);
        match &cost.value {
            CostConfig::Fixed(cost) if *cost > max => refuse(
                "a request costs more than the limit allows, so none would pass",
                "raise `max_requests`, or lower the cost",
            ),
            CostConfig::Fixed(cost) if counted => {
                let statuses = statuses.value.iter().map(|Statuses(from, to)| (*from, *to)).collect();
                let late = LateCost::OnStatus { statuses, cost: *cost };
                Some(Cost { default: 0, methods: Vec::new(), operations: Vec::new(), late: Some(late) })
            }
            CostConfig::Fixed(cost) => {
                Some(Cost { default: *cost, methods: Vec::new(), operations: Vec::new(), late: None })
            }
            CostConfig::By(_) if counted => refuse(
                "what is counted by its status has a fixed cost",
                "write a number, or remove `only_statuses`",
            ),
            CostConfig::By(by) => {
                let CostByConfig { default, methods, operations, response_header, max: most, .. } =
                    by.as_ref();
                if let Some(field) = response_header {
                    if !methods.is_empty() || !operations.is_empty() {
                        return refuse(
                            "the cost is by the request and by the answer at once",
                            "remove one of the two",
                        );
                    }
                    let Ok(name) = HeaderName::from_bytes(field.value.to_ascii_lowercase().as_bytes()) else {
                        return refuse(
                            "this is not the name of a header field",
                            "write a name such as `x-cost`",
                        );
                    };
                    let late = LateCost::OfField { name, most: *most, otherwise: *default };
                    return Some(Cost {
                        default: 0,
                        methods: Vec::new(),
                        operations: Vec::new(),
                        late: Some(late),
                    });
                }
                if *default > max || methods.values().chain(operations.values()).any(|cost| *cost > max) {
                    return refuse(
                        "a request costs more than the limit allows, so none would pass",
                        "raise `max_requests`, or lower the cost",
                    );
                }
                let named: Option<Vec<(Method, u32)>> = methods
                    .iter()
                    .map(|(name, cost)| {
                        let known = name.bytes().all(|byte| byte.is_ascii_uppercase());
                        Method::from_bytes(name.as_bytes())
                            .ok()
                            .filter(|_| known)
                            .map(|method| (method, *cost))
                    })
                    .collect();
                let operations = operations.iter().map(|(name, cost)| {
                    build.needed_operations.push(NeededOperation { name: Some(name.clone()), at: span });
                    (Named::parse(name), *cost)
                });
                let operations = operations.collect();
                match named {
                    Some(methods) => Some(Cost { default: *default, methods, operations, late: None }),
                    None => refuse("this is not the name of a method", "write names such as `POST`"),
                }
            }
        }
    }

    /// What a request costs when it arrives. `None` where the file says that it costs nothing, and not because its cost is told
    /// later.
    pub(crate) fn of(&self, facts: &Facts<'_>) -> Option<u32> {
        let cost = self.of_operation(facts).unwrap_or_else(|| {
            let listed = |method: &Method| {
                self.methods.iter().find(|(listed, _)| listed == method).map(|(_, cost)| *cost)
            };
            let method = facts.head.method();
            // SECURITY: backends answer HEAD by what they do for GET, so it is no way to pay less (head_costs_what_get_does).
            let of_get = || (method == Method::HEAD).then(|| listed(&Method::GET)).flatten();
            listed(method).or_else(of_get).unwrap_or(self.default)
        });
        (cost > 0 || self.late.is_some()).then_some(cost)
    }

    fn of_operation(&self, facts: &Facts<'_>) -> Option<u32> {
        if self.operations.is_empty() {
            return None;
        }
        let Operation { method, path, id, .. } = by::operation(facts)?;
        self.operations.iter().find(|(name, _)| name.is(method, path, id)).map(|(_, cost)| *cost)
    }
}

/// No statuses: every request is counted.
pub(crate) fn every_status() -> Spanned<Vec<Statuses>> {
    Spanned::nowhere(Vec::new())
}

/// One for each request.
pub(crate) fn one() -> Spanned<CostConfig> {
    Spanned::nowhere(CostConfig::Fixed(1))
}

#[cfg(test)]
mod tests;
