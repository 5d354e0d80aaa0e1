//! Which scopes a credential needs, and what a client is told that lacks one.

use crate::trial::{Setup, consumer, get, known, subject};
use portcullis_core::{Advice, Code, Principal};

const BOTH: &str = "authorization: { scopes_required: [orders.read, orders.write] }";

#[test]
fn every_scope_is_needed_and_each_is_compared_letter_by_letter() {
    let trial = Setup::new()
        .consumer("both", &[], &["orders.write", "other", "orders.read"])
        .consumer("one", &[], &["orders.read"])
        .consumer("almost", &[], &["orders.read", "Orders.write", "orders.write2", "orders"])
        .consumer("roles", &["orders.read", "orders.write"], &[])
        .compile(BOTH);
    for (number, missing) in
        [(0, None), (1, Some("orders.write")), (2, Some("orders.write")), (3, Some("orders.read"))]
    {
        let said = trial.authorize(get("/x"), &consumer(number));
        let expected = missing.map(|scope| (Code::ScopeMissing, format!("lacks the scope {scope}")));
        assert_eq!(said.err().map(|denial| (denial.code(), denial.detail().to_owned())), expected);
    }
    assert_eq!(
        trial.listed("authz"),
        ["authz.scopes enforce: every one of the scopes orders.read, orders.write"]
    );
}

#[test]
fn the_holder_of_a_token_is_told_which_scopes_are_needed_by_the_scheme_that_it_used() {
    let trial = Setup::new().consumer("key", &[], &[]).compile(BOTH);
    let mut token = subject("alice", "{}");
    token.scopes = vec!["orders.write".to_owned()];
    let token = known(token);
    for (field, scheme) in [
        (Some("Bearer abc"), "Bearer"),
        (Some("DPoP abc"), "DPoP"),
        (Some("dpop abc"), "DPoP"),
        (Some("DPoPabc"), "Bearer"),
        (Some("DPo"), "Bearer"),
        (None, "Bearer"),
    ] {
        let request = field.into_iter().fold(get("/x"), |get, field| get.with("authorization", field));
        let denial = trial.authorize(request, &token).unwrap_err();
        let challenge = format!("{scheme} error=\"insufficient_scope\", scope=\"orders.read orders.write\"");
        assert_eq!(*denial.advice(), Advice::Challenge(vec![challenge]), "{field:?}");
    }
    for who in [consumer(0), Principal::ANONYMOUS] {
        let denial = trial.authorize(get("/x"), &who).unwrap_err();
        assert_eq!(*denial.advice(), Advice::None, "who has no token can ask for none with more");
    }
}

#[test]
fn a_list_of_scopes_has_names_that_a_token_can_hold() {
    for scope in ["a", "orders:read", "https://api.example/orders", "!~"] {
        assert!(super::super::is_scope(scope), "{scope}");
        let text = format!("authorization: {{ scopes: [\"{scope}\"] }}");
        assert_eq!(Setup::new().wrong(&text), [""; 0]);
    }
    for scope in ["", " ", "a b", "a\\\\b", "a\\\"b", "\\t", "é", "a\\u007f"] {
        let wrong = Setup::new().wrong(&format!("authorization: {{ scopes: [a, \"{scope}\"] }}"));
        assert!(wrong.len() == 1 && wrong[0].starts_with("config.scope_name: "), "{scope} {wrong:?}");
    }
    assert_eq!(Setup::new().wrong("authorization: { scopes: [] }").len(), 1);
}
