//! The order that is posted, its twin that does not fit, and the controls of both.
//!
//! A gateway that forwards what it should judge is fast. So each of the two servers is asked for what shows the difference
//! between them, and the backend says how often it was asked; one answer or one count that is not as it must be fails
//! the run.

use crate::failure::{Context, Failure, Outcome};

use super::Scenario;
use super::backend::{self, Backend};
use super::http;
use super::peers::Server;

pub(crate) const PATH: &str = "/orders";

/// What orders are judged by, where they are.
pub(crate) const DOCUMENT: &str = include_str!("../../../bench/peers/orders.openapi.yaml");

/// Makes an order of 1 KiB.
const LINES: usize = 11;

/// Where the bad order does not fit, as the gateway says it.
const MISFIT: &str = "/lines/7/sku";

#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) right: String,
    /// As long as the right one, and different in what one of its lines sells.
    bad: String,
}

impl Orders {
    pub(crate) fn new() -> Self {
        let line = |number: usize| {
            let quantity = number + 1;
            format!(
                r#"{{"sku":"ABC-{number:04}","quantity":{quantity},"price":19.99,"tags":["new","sale"]}}"#
            )
        };
        let lines: Vec<String> = (0..LINES).map(line).collect();
        let address = r#"{"street":"12 St James's Square","city":"London","zip":"12345"}"#;
        let customer = format!(
            r#"{{"name":"Ada Lovelace","email":"ada@example.com","born":"1815-12-10","address":{address}}}"#
        );
        let right = format!(
            r#"{{"customer":{customer},"lines":[{}],"note":"please leave it with the neighbours"}}"#,
            lines.join(",")
        );
        let bad = right.replace("ABC-0007", "abc-0007");
        Self { right, bad }
    }
}

/// Fails if an order is not answered as it must be, or if the backend was not asked once for each success.
pub(crate) fn check(server: &Server, orders: &Orders, backend: &Backend) -> Outcome<()> {
    expect(server, backend, "an order that fits", &orders.right, 200)?;
    let wanted = if server.scenario() == Scenario::Validation { 422 } else { 200 };
    expect(server, backend, "an order that does not fit", &orders.bad, wanted)
}

fn expect(server: &Server, backend: &Backend, what: &str, order: &str, wanted: u16) -> Outcome<()> {
    let name = format!("{}: {what}", server.name());
    let came = backend.requests()?;
    let answer = http::post(server.port(), PATH, order).context(|| name.clone())?;
    let answered = u64::from(wanted == 200);
    backend.expect_requests(came, answered..=answered, &name)?;
    let fits = if wanted == 200 {
        answer.body == backend::BODY.as_bytes()
    } else {
        // Another reason to refuse it would be one that the right orders are spared.
        String::from_utf8_lossy(&answer.body).contains(MISFIT)
    };
    if answer.status == wanted && fits {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{name} must be answered {wanted} and was answered {} with {:.300}; nothing was measured that counts",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_orders_are_of_1_kib_and_differ() {
        let Orders { right, bad } = Orders::new();
        assert!((950..1100).contains(&right.len()), "{}", right.len());
        assert_eq!(right.len(), bad.len());
        assert_ne!(right, bad);
        let sku = |order: &str| {
            let order: serde_json::Value = serde_json::from_str(order).unwrap();
            order.pointer(MISFIT).cloned().unwrap()
        };
        assert_eq!((sku(&right), sku(&bad)), ("ABC-0007".into(), "abc-0007".into()));
    }
}
