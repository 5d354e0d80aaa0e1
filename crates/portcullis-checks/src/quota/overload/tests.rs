//! Who is given up while the gateway is too slow.

use super::{OverloadConfig, Shedding};
use crate::quota::plans::{PlanConfig, Plans, Subscription};
use crate::trial::{Setup, Trial, at_once, consumer, decoded, enter, get};
use portcullis_core::overload::Overload;
use portcullis_core::{Advice, Code, ConsumerId, Mode, Principal};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_delay_has_bounds_and_a_reload_keeps_what_is_known_of_it() {
    let compile = |text: &str, build: &crate::Build| {
        let config: OverloadConfig = decoded(text).unwrap();
        let mut cx = portcullis_config::Context::for_code();
        let compiled = config.compile(build, &mut cx);
        assert_eq!(compiled.is_some(), !cx.diagnostics.has_errors());
        compiled
    };
    let build = Setup::new().build;
    for (delay, fits) in [("5ms", true), ("4ms", false), ("5s", true), ("5001ms", false), ("50ms", true)] {
        assert_eq!(compile(&format!("{{ max_delay: {delay} }}"), &build).is_some(), fits, "{delay}");
    }
    let (mode, overload) = compile("{ mode: observe }", &build).unwrap();
    assert_eq!((mode, overload.target()), (Mode::Observe, Duration::from_millis(50)));
    let (mode, again) = compile("{}", &build).unwrap();
    assert_eq!(mode, Mode::Enforce);
    assert!(Arc::ptr_eq(&overload, &again));
}

/// Consumers 0 to 2 have plans of low, normal and high priority.
fn shedding(mode: Mode, overload: &Arc<Overload>) -> Trial {
    let plans: BTreeMap<String, PlanConfig> =
        decoded("{ low: { priority: low }, normal: { priority: normal }, high: { priority: high } }")
            .unwrap();
    Setup::new().compile_with("concurrency: { max: 9 }", |build, controls, cx| {
        let names =
            ["low", "normal", "high"].map(|name| portcullis_config::Spanned::nowhere(name.to_owned()));
        let subscriptions: Vec<_> = (0..)
            .zip(&names)
            .map(|(number, plan)| Subscription {
                consumer: ConsumerId(number),
                name: "a consumer",
                plan: Some(plan),
                rate_limiting: None,
                quota: None,
            })
            .collect();
        let plans = Arc::new(Plans::compile(&plans, &subscriptions, build, cx));
        Shedding::new(mode, Arc::clone(overload), plans).add_to(controls);
    })
}

#[test]
fn low_priorities_are_given_up_first_and_who_has_no_plan_is_normal() {
    let overload = Arc::new(Overload::new(Duration::from_millis(50)));
    let trial = shedding(Mode::Enforce, &overload);
    let passes = |who: &Principal| {
        let arrived = trial.arrive(get("/x"));
        match at_once(enter(&trial, &arrived.facts(), who).resolve()) {
            Ok(held) => {
                assert!(held.is_none(), "it holds nothing");
                true
            }
            Err(denial) => {
                assert_eq!((denial.code(), denial.status().as_u16()), (Code::Overloaded, 503));
                assert_eq!(*denial.advice(), Advice::RetryAfter { seconds: 1 });
                false
            }
        }
    };
    let all = || [&consumer(0), &consumer(1), &consumer(2), &Principal::ANONYMOUS].map(passes);
    assert_eq!(all(), [true; 4]);
    // Half of those of low priority: which, a random number decides.
    overload.press(500);
    for (random, passing) in [(0, false), (499, false), (500, true), (999, true), (1_499, false)] {
        let [a, b, c, d] = u32::to_le_bytes(random);
        *trial.world.random.lock().unwrap() = [a, b, c, d, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
        assert_eq!(all(), [passing, true, true, true], "{random}");
    }
    overload.press(2_000);
    assert_eq!(all(), [false, false, true, false]);
}

#[test]
fn it_comes_before_what_takes_a_place_and_can_be_off() {
    let overload = Arc::new(Overload::new(Duration::from_millis(80)));
    let described = "requests of plans with a low priority first, while the gateway is 80 ms late";
    let bound = "quota.concurrency enforce: each consumer: 9 requests at once".to_owned();
    for mode in [Mode::Enforce, Mode::Observe] {
        let shed = format!("quota.overload {}: {described}", mode.as_str());
        assert_eq!(shedding(mode, &overload).listed("quota"), [shed, bound.clone()]);
    }
    let trial = shedding(Mode::Off, &overload);
    assert_eq!(trial.listed("quota"), [bound, format!("quota.overload off: {described}")]);
    assert_eq!(trial.controls().in_flight.len(), 1);
}
