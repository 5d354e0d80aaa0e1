//! Who holds a role that is asked for.

use crate::trial::{Setup, consumer, get, known, subject};
use portcullis_core::{Code, Principal};

#[test]
fn one_of_the_roles_is_enough_and_each_is_compared_letter_by_letter() {
    let trial = Setup::new()
        .consumer("auditor", &["audit"], &[])
        .consumer("admin", &["user", "admin"], &[])
        .consumer("almost", &["Audit", "admins", "adm", ""], &[])
        .consumer("nobody", &[], &["admin"])
        .compile("authorization: { roles_allowed: [admin, audit] }");
    for (number, may) in [(0, true), (1, true), (2, false), (3, false)] {
        let said = trial.authorize(get("/x"), &consumer(number));
        assert_eq!(said.map_err(|denial| denial.code()), if may { Ok(()) } else { Err(Code::RoleMissing) });
    }
    let mut token = subject("alice", "{}");
    assert!(trial.authorize(get("/x"), &known(token.clone())).is_err());
    token.roles = vec!["audit".to_owned()];
    assert!(trial.authorize(get("/x"), &known(token)).is_ok());
    let denial = trial.authorize(get("/x"), &Principal::ANONYMOUS).unwrap_err();
    assert_eq!((denial.status().as_u16(), denial.detail()), (403, "holds none of admin, audit"));
    assert_eq!(trial.listed("authz"), ["authz.roles enforce: one of the roles admin, audit"]);
}

#[test]
fn a_list_of_roles_needs_names() {
    let wrong = "config.empty_list: a list of roles needs at least one, and each needs a name";
    for list in ["[]", "[\"\"]", "[admin, \" \"]"] {
        assert_eq!(Setup::new().wrong(&format!("authorization: {{ roles: {list} }}")), [wrong], "{list}");
    }
}

#[test]
fn a_check_tells_which_roles_are_enough() {
    let roles = portcullis_config::Spanned::nowhere(vec!["a".to_owned(), "b".to_owned()]);
    let mut cx = portcullis_config::Context::for_code();
    assert_eq!(super::Roles::compile(&roles, &mut cx).unwrap().allowed(), ["a", "b"]);
}
