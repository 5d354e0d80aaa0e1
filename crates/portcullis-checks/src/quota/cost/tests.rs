//! What a request costs.

use super::{CostConfig, Named, Statuses};
use crate::trial::{Ask, Setup, Trial, ask, consumer, decoded, get, schema};
use portcullis_config::Decode;
use portcullis_core::{Head, LateCost, Operation, Operations};
use serde_json::json;
use std::sync::Arc;

/// A document in which every `GET` is an operation without a name, and every `POST` is `createOrder`.
struct Orders;

impl Operations for Orders {
    fn operation<'a>(&'a self, head: &'a Head) -> Option<Operation<'a>> {
        let (document, path) = ("shop", "/orders");
        match head.method().as_str() {
            "GET" => Some(Operation { document, method: "GET", path, id: None }),
            "POST" => Some(Operation { document, method: "POST", path, id: Some("createOrder") }),
            _ => None,
        }
    }
}

fn limit(more: &str) -> Trial {
    let text = format!("rate_limiting: {{ max: 10, per: hour, by: route, {more} }}");
    Setup::new().compile_with(&text, |_, controls, _| controls.inspection.operations = Some(Arc::new(Orders)))
}

/// The cost on arrival; `None` where nothing is charged at all.
fn cost(trial: &Trial, ask: Ask) -> Option<u32> {
    trial.charged(ask, &consumer(0)).unwrap().first().map(|charged| charged.cost)
}

#[test]
fn a_cost_is_by_operation_then_by_method_then_the_default() {
    let trial = limit(
        "cost: { default: 3, methods: { GET: 2, POST: 5, DELETE: 0 }, operations: { createOrder: 7 } }",
    );
    for (method, expected) in [
        ("POST", Some(7)),
        ("GET", Some(2)),
        ("HEAD", Some(2)),
        ("DELETE", None),
        ("PUT", Some(3)),
        ("post", Some(3)),
    ] {
        assert_eq!(cost(&trial, ask(method, "/orders")), expected, "{method}");
    }
    let by_place = limit("cost: { operations: { \"GET /orders\": 4, \"POST /order\": 9 } }");
    assert_eq!(cost(&by_place, get("/orders")), Some(4));
    assert_eq!(cost(&by_place, ask("POST", "/orders")), Some(1), "another path");
    assert_eq!(cost(&by_place, ask("PUT", "/orders")), Some(1));
    let head = limit("cost: { methods: { HEAD: 4, GET: 6 } }");
    assert_eq!(cost(&head, ask("HEAD", "/x")), Some(4), "what is listed for HEAD itself wins");
    assert_eq!(cost(&limit("cost: 3"), get("/x")), Some(3));
    assert_eq!(cost(&limit("burst: 4"), get("/x")), Some(1));
}

#[test]
fn dear_requests_use_a_limit_up_sooner() {
    let trial = limit("cost: { methods: { POST: 4 } }");
    let who = consumer(0);
    assert_eq!(trial.of(5, || ask("PUT", "/x"), &who), 5);
    assert!(trial.is_within(ask("DELETE", "/x"), &who));
    assert_eq!(trial.of(5, || ask("PATCH", "/x"), &who), 4);
    let trial = limit("cost: { methods: { PUT: 4 } }");
    assert_eq!(trial.of(5, || ask("PUT", "/x"), &who), 2);
    assert_eq!(trial.of(5, || ask("GET", "/x"), &who), 2, "what is left");
}

#[test]
fn what_only_the_answer_tells_is_charged_later() {
    let late = |more: &str| {
        let charged = limit(more).charged(get("/x"), &consumer(0)).unwrap().remove(0);
        (charged.cost, charged.late)
    };
    let (statuses, cost) = ([(401, 401), (500, 599)].into(), 3);
    let on_status = LateCost::OnStatus { statuses, cost };
    assert_eq!(late("only_statuses: [401, 5xx], cost: 3"), (0, Some(on_status)));
    let name = http::HeaderName::from_static("x-cost");
    let of_field = LateCost::OfField { name: name.clone(), most: 1000, otherwise: 1 };
    assert_eq!(late("cost: { response_header: X-Cost }"), (0, Some(of_field)));
    let of_field = LateCost::OfField { name, most: 50, otherwise: 0 };
    assert_eq!(late("cost: { response_header: x-cost, max: 50, default: 0 }"), (0, Some(of_field)));
}

#[test]
fn a_cost_that_no_limit_can_bear_is_a_mistake() {
    let all = "config.limit_cost: a request costs more than the limit allows, so none would pass";
    let twice = "config.limit_cost: the cost is by the request and by the answer at once";
    for (more, wrong) in [
        ("cost: 10", None),
        ("cost: 11", Some(all)),
        ("cost: 10, only_statuses: [4xx]", None),
        ("cost: 11, only_statuses: [4xx]", Some(all)),
        ("cost: { default: 10 }", None),
        ("cost: { default: 11 }", Some(all)),
        ("cost: { methods: { GET: 10 } }", None),
        ("cost: { methods: { GET: 1, POST: 11 } }", Some(all)),
        ("cost: { operations: { createOrder: 11 } }", Some(all)),
        ("cost: { response_header: x-cost, default: 11 }", None),
        ("cost: { response_header: x-cost, methods: { GET: 1 } }", Some(twice)),
        ("cost: { response_header: x-cost, operations: { createOrder: 1 } }", Some(twice)),
        (
            "cost: { response_header: \"x cost\" }",
            Some("config.limit_cost: this is not the name of a header field"),
        ),
        ("cost: { methods: { get: 1 } }", Some("config.limit_cost: this is not the name of a method")),
        ("cost: { methods: { \"\": 1 } }", Some("config.limit_cost: this is not the name of a method")),
        (
            "cost: { default: 1 }, only_statuses: [401]",
            Some("config.limit_cost: what is counted by its status has a fixed cost"),
        ),
    ] {
        let text = format!("rate_limiting: {{ max: 10, per: hour, {more} }}");
        assert_eq!(Setup::new().wrong(&text), wrong.into_iter().collect::<Vec<_>>(), "{more}");
    }
    assert!(decoded::<CostConfig>("0").is_err());
    assert!(decoded::<CostConfig>("[1]").is_err());
}

#[test]
fn a_status_is_one_of_an_answer_or_a_class_of_them() {
    for (written, from, to) in
        [("200", 200, 200), ("599", 599, 599), ("\"404\"", 404, 404), ("2xx", 200, 299), ("5xx", 500, 599)]
    {
        assert_eq!(decoded::<Statuses>(written), Ok(Statuses(from, to)), "{written}");
    }
    for written in [
        "199", "600", "1xx", "6xx", "0", "-200", "xx", "4x", "4XX", "99999xx", "true", "4.5", "[401]",
        "65736",
    ] {
        let wrong = decoded::<Statuses>(written).unwrap_err();
        assert_eq!(wrong, ["config.status: this is not the status of an answer"], "{written}");
    }
    assert_eq!(schema::<Statuses>()["anyOf"][0]["maximum"], json!(599));
}

#[test]
fn an_operation_is_named_by_its_id_or_by_its_method_and_path() {
    let place = Named::Place { method: "GET".to_owned(), path: "/orders".to_owned() };
    assert_eq!(Named::parse("GET /orders"), place);
    for id in ["readOrder", "GET", "read order", "/orders", " "] {
        assert_eq!(Named::parse(id), Named::Id(id.to_owned()), "{id}");
    }
    for (method, path, id, is) in [
        ("GET", "/orders", None, true),
        ("GET", "/orders", Some("readOrders"), true),
        ("POST", "/orders", None, false),
        ("GET", "/order", None, false),
        ("POST", "/order", None, false),
    ] {
        assert_eq!(place.is(method, path, id), is, "{method} {path} {id:?}");
    }
    let id = Named::Id("readOrders".to_owned());
    assert!(id.is("GET", "/x", Some("readOrders")));
    assert!(!id.is("GET", "/x", Some("readorders")) && !id.is("GET", "readOrders", None));
}

#[test]
fn a_fixed_cost_can_be_written_and_the_schema_knows_both_forms() {
    assert_eq!(decoded::<CostConfig>("3").unwrap().written(), Some(json!(3)));
    assert_eq!(decoded::<CostConfig>("{ default: 3 }").unwrap().written(), None);
    let schema = schema::<CostConfig>();
    assert_eq!(schema["anyOf"].as_array().map(Vec::len), Some(2), "{schema}");
    assert!(schema.to_string().contains("response_header"), "{schema}");
}
