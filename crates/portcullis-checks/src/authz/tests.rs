//! Authorization as a section: what it adds to a route, and who fits it in a rehearsal.

use super::AuthorizationConfig;
use crate::rehearsal::{Attack, Person};
use crate::trial::{Setup, decoded};
use std::collections::BTreeMap;

#[test]
fn every_key_adds_a_check_in_the_mode_of_the_section() {
    let text = "authorization: { roles: [a], scopes: [b], claims_required: { c: d }, path_parameters_equal: { id: sub }, condition: \"true\", external: { url: \"http://127.0.0.1:8181/allow\" }, mode: observe }";
    let trial = Setup::on("/{id}").compile(text);
    let listed = trial.listed("authz");
    let names: Vec<_> = listed.iter().map(|line| line.split_once(':').unwrap().0).collect();
    let checks = ["roles", "scopes", "claims", "path_parameters", "condition", "external"];
    assert_eq!(names, checks.map(|check| format!("authz.{check} observe")));
    assert_eq!(trial.controls().authorize.len(), 6);
    let off = Setup::on("/{id}").compile(&text.replace("observe", "off"));
    assert_eq!((off.controls().authorize.len(), off.listed("authz").len()), (0, 6));
    let empty = ["config.empty_section: this authorization asks for nothing"];
    assert_eq!(Setup::new().wrong("authorization: {}"), empty);
    // Every key is read before the first mistake counts.
    assert_eq!(Setup::new().wrong("authorization: { roles: [], scopes: [] }").len(), 2);
}

const ALL: &str = "{ roles: [a, b], scopes: [c, d], claims_required: { \"org.id\": [7, 8] }, path_parameters_equal: { user: sub, org: org.id, team: team } }";

fn person() -> Person {
    Person { name: "alice".to_owned(), ..Person::default() }
}

#[test]
fn who_fits_has_what_is_asked_for_and_names_what_is_their_own() {
    let config: AuthorizationConfig = decoded(ALL).unwrap();
    let mut fit = Person { roles: vec!["r".to_owned()], scopes: vec!["s".to_owned()], ..person() };
    let parameters = config.fit(&mut fit);
    assert_eq!((fit.roles.join(" "), fit.scopes.join(" ")), ("r a".to_owned(), "s c d".to_owned()));
    let claims = [("org.id", 7.into()), ("team", "own-team".into())];
    let claims = claims.map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value));
    assert_eq!(fit.claims, BTreeMap::from(claims));
    let own = [("org", "7"), ("team", "own-team"), ("user", "alice")];
    assert_eq!(parameters, BTreeMap::from(own.map(|(name, value)| (name.to_owned(), value.to_owned()))));
    let mut same = fit.clone();
    assert_eq!(config.own_parameters(&mut same), parameters);
    assert_eq!(same, fit, "a claim that is there stays");
}

#[test]
fn who_does_not_fit_lacks_one_thing_or_has_another() {
    let config: AuthorizationConfig = decoded(ALL).unwrap();
    let mut fit = person();
    config.fit(&mut fit);
    let unfit = config.unfit(&fit);
    let of = |attack: Attack| unfit.iter().filter(move |(why, _)| *why == attack).map(|(_, person)| person);
    let roles: Vec<_> = of(Attack::WrongRole).map(|person| person.roles.join(" ")).collect();
    assert_eq!(roles, ["", "as AX"]);
    let scopes: Vec<_> = of(Attack::MissingScope).map(|person| person.scopes.join(" ")).collect();
    assert_eq!(scopes, ["d", "c"]);
    let claims: Vec<_> = of(Attack::WrongClaim).map(|person| person.claims.get("org.id").cloned()).collect();
    assert_eq!(claims, [None, Some("something else".into())]);
    // Everything else is as it must be, so that what refuses them is the one thing.
    assert!(of(Attack::WrongRole).all(|person| person.scopes == fit.scopes && person.claims == fit.claims));
    assert!(of(Attack::MissingScope).all(|person| person.roles == fit.roles && person.claims == fit.claims));
    assert!(of(Attack::WrongClaim).all(|person| person.roles == fit.roles && person.scopes == fit.scopes));
    assert!(unfit.iter().all(|(_, person)| person.name == fit.name));
}
