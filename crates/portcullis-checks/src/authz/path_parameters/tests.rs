//! What the path names belongs to whom.

use super::has_parameter;
use crate::trial::{Setup, consumer, get, known, subject};
use portcullis_core::{Code, Principal};

#[test]
fn everybody_sees_their_own_entry_and_nobody_elses() {
    let trial = Setup::on("/users/{id}")
        .consumer("alice", &[], &[])
        .compile("authorization: { path_parameters_equal: { id: sub } }");
    let alice = known(subject("alice", r#"{"sub":"alice"}"#));
    for (path, who, owns) in [
        ("/users/alice", &alice, true),
        ("/users/%61lice", &alice, true),
        ("/users/Alice", &alice, false),
        ("/users/alice%20", &alice, false),
        ("/users/bob", &alice, false),
        // A consumer with a key is known by its name.
        ("/users/alice", &consumer(0), true),
        ("/users/bob", &consumer(0), false),
        ("/users/alice", &Principal::ANONYMOUS, false),
    ] {
        match trial.authorize(get(path), who) {
            Ok(()) => assert!(owns, "{path} {who:?}"),
            Err(denial) => {
                assert!(!owns, "{path} {who:?}");
                assert_eq!(denial.code(), Code::NotOwner);
                assert_eq!(denial.detail(), "the path parameter id is not the principal's sub");
            }
        }
    }
    assert_eq!(trial.listed("authz"), ["authz.path_parameters enforce: {id} equals sub"]);
}

#[test]
fn a_claim_is_compared_as_text_or_as_a_whole_number_and_two_absent_values_are_not_equal() {
    let owns = |claims: &str, value: &str| {
        let trial = Setup::on("/tenants/{tenant}/x")
            .consumer("7", &[], &[])
            .compile("authorization: { path_parameters_equal: { tenant: org.id } }");
        // A consumer has no claim but its name.
        assert!(trial.authorize(get("/tenants/7/x"), &consumer(0)).is_err());
        trial.authorize(get(&format!("/tenants/{value}/x")), &known(subject("alice", claims))).is_ok()
    };
    for (claims, value, expected) in [
        (r#"{"org":{"id":"a"}}"#, "a", true),
        (r#"{"org":{"id":7}}"#, "7", true),
        (r#"{"org":{"id":-7}}"#, "-7", true),
        (r#"{"org":{"id":7}}"#, "07", false),
        (r#"{"org":{"id":7.5}}"#, "7.5", false),
        (r#"{"org":{"id":true}}"#, "true", false),
        (r#"{"org":{"id":null}}"#, "null", false),
        (r#"{"org":{"id":["a"]}}"#, "a", false),
        (r#"{"org":{}}"#, "a", false),
        ("{}", "a", false),
    ] {
        assert_eq!(owns(claims, value), expected, "{claims} {value}");
    }
}

#[test]
fn every_parameter_that_is_listed_must_fit() {
    let trial = Setup::on("/{org}/{user}")
        .compile("authorization: { path_parameters_equal: { org: org, user: sub } }");
    let who = known(subject("alice", r#"{"sub":"alice","org":"a"}"#));
    assert!(trial.authorize(get("/a/alice"), &who).is_ok());
    for path in ["/b/alice", "/a/bob", "/alice/a"] {
        assert!(trial.authorize(get(path), &who).is_err(), "{path}");
    }
    let listed = "authz.path_parameters enforce: {org} equals org, {user} equals sub";
    assert_eq!(trial.listed("authz"), [listed]);
}

#[test]
fn what_is_compared_is_a_parameter_of_the_path() {
    let wrong = |path: &str, equal: &str| {
        Setup::on(path).wrong(&format!("authorization: {{ path_parameters_equal: {equal} }}"))
    };
    assert_eq!(wrong("/users/{id}", "{ id: sub }"), [""; 0]);
    let missing = "config.path_parameter: the path of a route for which this holds has no parameter `{id}`";
    for path in ["/users/{user}", "/users/id", "/users/{*id}"] {
        assert_eq!(wrong(path, "{ id: sub }"), [missing], "{path}");
    }
    assert_eq!(wrong("/users/{id}", "{}"), ["config.empty_section: this asks for no parameter"]);
    assert_eq!(wrong("/users/{id}", "{ id: a..b }"), ["config.claim_path: this is not the path of a claim"]);
    for (path, expected) in [
        ("/{id}", true),
        ("/a/{id}/b", true),
        ("/{ids}", false),
        ("/{*id}", false),
        ("/id", false),
        ("/", false),
    ] {
        assert_eq!(has_parameter(path, "id"), expected, "{path}");
    }
}
