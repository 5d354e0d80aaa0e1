//! What an expression sees, what it makes of a request, and how large what it sees may be.

use super::*;
use crate::trial::{Setup, consumer, get, known, subject};

/// However often a loop turns, and whatever else a token says.
#[test]
fn claims_are_converted_once() {
    let text = |text: String| Claim::Text(text);
    for count in [10, 500] {
        let groups = (0..count).map(|number| text(format!("group-{number}"))).collect();
        let others = (0..10_000).map(Claim::Integer).collect();
        let claims = Claim::Object(vec![
            ("groups".to_owned(), Claim::List(groups)),
            ("others".to_owned(), Claim::List(others)),
        ]);
        for (condition, holds) in [
            (format!("claims.groups.exists(g, g == 'group-{}')", count - 1), true),
            ("claims.groups.exists(g, g == 'another')".to_owned(), false),
            ("claims.groups.all(g, g.startsWith('group-'))".to_owned(), true),
            (
                "claims.groups.exists(g, g == claims.groups[0] + 'x') || size(claims.groups) > 1".to_owned(),
                true,
            ),
        ] {
            let expression = Expression::compile(&condition, VARIABLES.as_slice()).unwrap();
            let mut converter = Converter::default();
            let value = converter.claims(&claims, expression.reads("claims").unwrap());
            // The list, and each element with its text.
            assert_eq!(converter.size, 1 + 2 * count, "{condition}");
            assert_eq!(expression.holds(vec![("claims", value)]).unwrap(), holds, "{condition}");
        }
    }
}

#[test]
fn what_is_converted_counts_one_for_each_value_each_member_and_each_32_bytes_of_text() {
    let text = |bytes: usize| Claim::Text("x".repeat(bytes));
    for (claim, size) in [
        (Claim::Null, 1),
        (Claim::Bool(true), 1),
        (Claim::Integer(i64::MAX), 1),
        (Claim::Number(1.5), 1),
        (text(0), 2),
        (text(31), 2),
        (text(32), 3),
        (text(100), 5),
        (Claim::List(vec![Claim::Null, Claim::List(vec![Claim::Null])]), 4),
        // A member counts with its name.
        (Claim::Object(vec![("a".to_owned(), Claim::Null)]), 3),
        (Claim::Object(vec![("n".repeat(64), text(100)), ("b".to_owned(), Claim::Null)]), 1 + 3 + 5 + 2),
    ] {
        let mut converter = Converter::default();
        converter.claim(&claim);
        assert_eq!(converter.size, size, "{claim:?}");
    }
    let mut converter = Converter::default();
    converter.owned("x".repeat(100));
    assert_eq!(converter.size, 4);
    converter.text("x");
    assert_eq!(converter.size, 5);
    converter.owned("x".repeat(64));
    assert_eq!(converter.size, 8);
}

/// Whether the condition lets this principal's `GET /orders/a%20b` on, and the detail of the refusal.
fn judged(condition: &str, who: &Principal) -> Result<(), String> {
    let quoted = serde_json::to_string(condition).unwrap();
    let trial = Setup::on("/orders/{id}")
        .consumer("alice", &["admin"], &["read"])
        .compile(&format!("authorization: {{ condition: {quoted} }}"));
    trial.authorize(get("/orders/a%20b?x=1"), who).map_err(|denial| {
        assert_eq!((denial.code(), denial.status().as_u16()), (Code::ExpressionRefused, 403));
        denial.detail().to_owned()
    })
}

#[test]
fn an_expression_sees_the_request_and_who_sends_it() {
    let alice = consumer(0);
    let mut token = subject("carol", r#"{"tenant":"red","level":3,"amr":["pwd","mfa"],"nothing":null}"#);
    (token.client, token.roles) = (Some("app".to_owned()), vec!["guest".to_owned()]);
    token.scopes = vec!["write".to_owned()];
    let token = known(token);
    for (condition, who) in [
        ("request.method == 'GET'", &alice),
        ("request.path == '/orders/a%20b'", &alice),
        ("request.host == 'api.example'", &alice),
        ("request.client == '192.0.2.1'", &alice),
        ("request.parameters.id == 'a b'", &alice),
        ("principal.name == 'alice'", &alice),
        ("'admin' in principal.roles && 'read' in principal.scopes", &alice),
        ("principal.name == 'carol' && principal.issuer == 'https://issuer.example'", &token),
        ("principal.client == 'app'", &token),
        ("principal.roles == ['guest'] && principal.scopes == ['write']", &token),
        ("claims.tenant == 'red' && claims.level > 2 && 'mfa' in claims.amr", &token),
        ("claims.nothing == null", &token),
        ("request.method == 'GET' && principal.name == 'carol' && claims.level == 3", &token),
    ] {
        assert_eq!(judged(condition, who), Ok(()), "{condition}");
    }
    for (condition, who) in [
        ("request.method == 'POST'", &alice),
        ("request.path == '/orders'", &alice),
        ("request.parameters.id == 'a%20b'", &alice),
        ("'Admin' in principal.roles", &alice),
        ("claims.level > 3", &token),
    ] {
        assert_eq!(judged(condition, who), Err("the condition is not true".to_owned()), "{condition}");
    }
}

#[test]
fn what_is_not_there_refuses() {
    for (condition, who) in [
        ("claims.tenant == 'red'", &consumer(0)),
        ("claims.tenant != 'red'", &Principal::ANONYMOUS),
        ("claims.tenant != 'red'", &known(subject("carol", "{}"))),
        ("principal.issuer != 'x'", &consumer(0)),
        ("principal.client != 'x'", &known(subject("carol", "{}"))),
        ("principal.name != 'x'", &Principal::ANONYMOUS),
        ("request.parameters.other != 'x'", &consumer(0)),
        ("claims.level > 2", &known(subject("carol", r#"{"level":"3"}"#))),
        ("claims.level", &known(subject("carol", r#"{"level":1}"#))),
    ] {
        let detail = judged(condition, who).unwrap_err();
        assert!(detail.starts_with("the condition could not be evaluated: "), "{condition}: {detail}");
    }
}

#[test]
fn an_expression_that_is_neither_true_nor_false_is_a_mistake() {
    for (condition, fits) in [
        ("true", true),
        ("claims.admin", true),
        ("1 + 1 == 2", true),
        ("1 + 1", false),
        ("request.method", false),
        ("principal.roles", false),
        ("request.nothing == 'x'", false),
        ("request.method ==", false),
    ] {
        let wrong = Setup::new().wrong(&format!("authorization: {{ condition: \"{condition}\" }}"));
        let said = "config.condition: the expression cannot be used: ";
        assert_eq!(wrong.is_empty(), fits, "{condition}: {wrong:?}");
        assert!(wrong.iter().all(|wrong| wrong.starts_with(said)), "{condition}: {wrong:?}");
    }
    let trial = Setup::new().compile("authorization: { condition: \"request.method == 'GET'\" }");
    assert_eq!(trial.listed("authz"), ["authz.condition enforce: the condition request.method == 'GET'"]);
}

#[test]
fn what_an_expression_sees_is_as_large_as_it_can_judge_at_a_bounded_cost_and_no_larger() {
    let condition = "claims.groups.exists(g, claims.groups.exists(h, g == h))";
    let largest = Expression::compile(condition, VARIABLES.as_slice()).unwrap().largest() as usize;
    // The list counts one, and so does each number in it.
    let groups = |count: usize| format!("{{\"groups\":[{}]}}", vec!["7"; count].join(","));
    assert_eq!(judged(condition, &known(subject("carol", &groups(largest - 1)))), Ok(()));
    let detail = judged(condition, &known(subject("carol", &groups(largest)))).unwrap_err();
    let expected = format!(
        "what the condition names has a size of {}, and it can judge {largest} at a bounded cost",
        largest + 1
    );
    assert_eq!(detail, expected);
}
