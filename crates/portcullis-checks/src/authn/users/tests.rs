//! Who has a password, and what a name costs that nobody has.

use super::{User, Users};
use crate::trial::decoded;
use base64ct::{Base64Unpadded, Encoding};
use portcullis_config::Context;
use portcullis_core::ConsumerId;

/// Users whose hashes have these costs, in this order, and how many warnings that gave.
fn users(costs: &[&str]) -> (Users, usize) {
    let (mut users, mut cx) = (Users::default(), Context::for_code());
    for (number, cost) in (0..).zip(costs) {
        let hash = Base64Unpadded::encode_string(&[number; 32]);
        let yaml = format!("{{ hash: '$argon2id$v=19${cost}$c2FsdHNhbHRzYWx0${hash}' }}");
        users.add(
            &format!("user-{number}"),
            ConsumerId(u32::from(number)),
            &decoded(&yaml).unwrap(),
            &mut cx,
        );
    }
    let warnings =
        cx.diagnostics.sorted().iter().filter(|one| one.code == "config.password_costs_differ").count();
    (users, warnings)
}

#[test]
fn a_user_is_found_by_the_whole_name() {
    let (users, warnings) = users(&["m=19456,t=2,p=1", "m=19456,t=2,p=1"]);
    assert_eq!((users.is_empty(), warnings), (false, 0));
    assert!(Users::default().is_empty());
    let of = |name: &str| users.find(name).map(|User { consumer, name, .. }| (consumer.0, name.to_string()));
    assert_eq!(of("user-1"), Some((1, "user-1".to_owned())));
    assert_eq!((of("user-2"), of("User-1"), of("user-1 "), of("")), (None, None, None, None));
    let [first, second] = ["user-0", "user-1"].map(|name| users.find(name).unwrap());
    assert_ne!(first.rules, second.rules, "another hash");
    assert_ne!(first.counted_as, second.counted_as);
}

#[test]
fn a_name_that_nobody_has_costs_as_much_as_the_costliest() {
    for (costs, expected, warned) in [
        (&[][..], "m=19456,t=2,p=1", 0),
        (&["m=47104,t=1,p=1"], "m=47104,t=1,p=1", 0),
        (&["m=47104,t=1,p=1", "m=47104,t=1,p=1"], "m=47104,t=1,p=1", 0),
        (&["m=19456,t=2,p=1", "m=47104,t=1,p=1"], "m=47104,t=1,p=1", 1),
        (&["m=47104,t=1,p=1", "m=19456,t=2,p=1"], "m=47104,t=1,p=1", 1),
        (&["m=19456,t=2,p=1", "m=19456,t=4,p=1", "m=47104,t=1,p=1"], "m=19456,t=4,p=1", 2),
        // Of two that cost the same, the first.
        (&["m=38912,t=2,p=1", "m=19456,t=4,p=1"], "m=38912,t=2,p=1", 1),
    ] {
        let (users, warnings) = users(costs);
        assert_eq!(warnings, warned, "{costs:?}");
        let hash = users.stand_in(&[1; 16], &[2; 32]);
        let (salt, output) = ("AQEBAQEBAQEBAQEBAQEBAQ", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI");
        assert_eq!(hash.expose(), format!("$argon2id$v=19${expected}${salt}${output}"), "{costs:?}");
    }
}
