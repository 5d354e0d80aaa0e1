//! Which limits a plan gives to whom.

use super::{PlanConfig, Plans, Subscription};
use crate::quota::calendar::QuotaConfig;
use crate::quota::rate_limit::RateLimitConfig;
use crate::trial::{Setup, Trial, consumer, decoded, get, known, one, said, subject};
use portcullis_config::{Context, OneOrMany, Spanned};
use portcullis_core::check::Charge;
use portcullis_core::overload::Priority;
use portcullis_core::{
    CheckId, Code, Consumer, ConsumerId, Consumers, CountKey, Evidence, KeyDigest, KeyId, KeyProfile,
    MethodId, Principal, StoredKey,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A consumer as the configuration writes it: its number, its plan, and its own rate limit and quota in YAML.
type Subscriber = (u32, &'static str, &'static str, &'static str);

const PLANS: &str = "{ free: { rate_limiting: { max: 2, per: hour, name: free-hour }, quota: { max: 3, per: day, name: free-day }, priority: low }, gold: { rate_limiting: [{ max: 20, per: hour, name: gold-hour }, { max: 30, per: day, name: gold-seen, mode: observe }, { max: 1, per: day, mode: off }] }, vip: { priority: high } }";

fn compile(
    plans: &str,
    subscribers: &[Subscriber],
    build: &mut crate::Build,
    cx: &mut Context,
) -> Arc<Plans> {
    let plans: BTreeMap<String, PlanConfig> = decoded(plans).unwrap();
    let own: Vec<_> = subscribers
        .iter()
        .map(|(_, plan, rate, quota)| {
            let plan = Some(*plan).filter(|plan| !plan.is_empty());
            let rate = Some(*rate).filter(|rate| !rate.is_empty());
            let quota = Some(*quota).filter(|quota| !quota.is_empty());
            (
                plan.map(|plan| Spanned::nowhere(plan.to_owned())),
                rate.map(|rate| decoded::<OneOrMany<RateLimitConfig>>(rate).unwrap()),
                quota.map(|quota| decoded::<OneOrMany<QuotaConfig>>(quota).unwrap()),
            )
        })
        .collect();
    let subscriptions: Vec<_> = subscribers
        .iter()
        .zip(&own)
        .map(|((number, ..), (plan, rate, quota))| Subscription {
            consumer: ConsumerId(*number),
            name: "alice",
            plan: plan.as_ref(),
            rate_limiting: rate.as_ref(),
            quota: quota.as_ref(),
        })
        .collect();
    Arc::new(Plans::compile(&plans, &subscriptions, build, cx))
}

/// A route without limits of its own.
fn trial(plans: &str, subscribers: &[Subscriber]) -> (Trial, Arc<Plans>) {
    let mut all = None;
    let setup = (0..3).fold(Setup::new(), |setup, number| setup.consumer(&format!("{number}"), &[], &[]));
    let trial = setup.compile_with("body: { max_size: 10 }", |build, controls, cx| {
        let plans = compile(plans, subscribers, build, cx);
        plans.add_to(controls);
        all = Some(plans);
    });
    (trial, all.unwrap())
}

/// What the limits are called that a request is charged to.
fn limits(trial: &Trial, who: &Principal) -> String {
    let charged = trial.charged(get("/x"), who).unwrap();
    assert!(charged.iter().all(|one| one.charge == Charge::AfterAuthorization));
    charged.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_consumer_has_the_limits_of_its_plan_or_its_own_in_their_place() {
    let own_rate = "{ max: 7, per: hour, name: own-hour }";
    let own_quota = "{ max: 7, per: day, name: own-day }";
    let (trial, plans) = trial(
        PLANS,
        &[
            (0, "free", "", ""),
            (2, "gold", "", ""),
            (3, "free", own_rate, ""),
            (4, "free", "", own_quota),
            (5, "free", own_rate, own_quota),
            (6, "", own_rate, ""),
            (7, "", "", own_quota),
            (8, "", "", ""),
            (9, "vip", "", ""),
        ],
    );
    use Priority::{High, Low, Normal};
    for (number, expected, priority) in [
        (0, "free-hour free-day", Low),
        (1, "", Normal),
        (2, "gold-hour gold-seen", Normal),
        (3, "own-hour free-day", Low),
        (4, "free-hour own-day", Low),
        (5, "own-hour own-day", Low),
        (6, "own-hour", Normal),
        (7, "own-day", Normal),
        (8, "", Normal),
        (9, "", High),
        (99, "", Normal),
    ] {
        assert_eq!(limits(&trial, &consumer(number)), expected, "{number}");
        assert_eq!(plans.priority(&consumer(number)), priority, "{number}");
    }
    assert_eq!(limits(&trial, &Principal::ANONYMOUS), "");
    assert_eq!(limits(&trial, &known(subject("alice", "{}"))), "");
}

#[test]
fn each_consumer_of_a_plan_is_counted_apart_and_so_is_one_with_limits_of_its_own() {
    let own = "{ max: 1, per: hour, name: free-hour }";
    let plans = "{ free: { rate_limiting: { max: 2, per: hour, name: free-hour } } }";
    let (trial, _) = trial(plans, &[(0, "free", "", ""), (1, "free", "", ""), (2, "free", own, "")]);
    let of = |number| trial.of(5, || get("/x"), &consumer(number));
    assert_eq!((of(0), of(1), of(2)), (2, 2, 1));
    assert_eq!((of(0), of(1), of(2)), (0, 0, 0));
}

/// A key of the store that names this plan, of the consumer that the configuration calls alice, or of one that only the
/// store knows.
fn stored(plan: Option<&str>, is_stored: bool) -> Principal {
    let mut consumers = Consumers::default();
    let alice = Consumer { name: "alice".to_owned(), roles: Vec::new(), scopes: Vec::new() };
    consumers.add(alice).unwrap();
    let name = if is_stored { "carol" } else { "alice" };
    let profile = KeyProfile {
        consumer: name.to_owned(),
        is_stored,
        roles: None,
        scopes: None,
        plan: plan.map(str::to_owned),
        addresses: Vec::new(),
        routes: Vec::new(),
        count_key: b"carol".to_vec(),
    };
    let key = StoredKey { id: KeyId(7), hash: KeyDigest([1; 32]), expires: None, profile: Arc::new(profile) };
    Principal::of(Evidence::stored(&key, &consumers, MethodId(0), CheckId::new("authn.trial")).unwrap())
}

#[test]
fn the_plan_of_a_key_wins_over_its_consumers_and_one_that_is_not_there_is_a_fault() {
    let (trial, plans) = trial(PLANS, &[(0, "free", "", "")]);
    assert_eq!(limits(&trial, &stored(Some("gold"), false)), "gold-hour gold-seen");
    assert_eq!(limits(&trial, &stored(None, false)), "free-hour free-day");
    assert_eq!(limits(&trial, &stored(Some("gold"), true)), "gold-hour gold-seen");
    assert_eq!(limits(&trial, &stored(None, true)), "");
    let charged = trial.charged(get("/x"), &stored(Some("free"), true)).unwrap();
    assert_eq!(charged[0].whose, one(CountKey::Subject(b"carol")));
    assert_eq!(plans.priority(&stored(Some("vip"), true)), Priority::High);
    for is_stored in [true, false] {
        let gone = stored(Some("platinum"), is_stored);
        assert_eq!(trial.charged(get("/x"), &gone).unwrap_err().code(), Code::Fault);
        assert_eq!(plans.priority(&gone), Priority::Normal, "its limits refuse it");
    }
}

#[test]
fn a_plan_counts_wherever_its_consumer_stands_among_several_credentials() {
    let (trial, _) = trial(PLANS, &[(0, "free", "", "")]);
    let mut both = known(subject("bob", "{}"));
    assert!(both.add(consumer(0).evidence().next().unwrap().clone()));
    let charged = trial.charged(get("/x"), &both).unwrap();
    assert_eq!(charged.len(), 2);
    assert!(charged.iter().all(|charged| charged.whose == one(CountKey::Consumer(ConsumerId(0)))));
}

#[test]
fn the_limits_of_all_plans_are_listed_by_their_place() {
    let (trial, _) = trial(PLANS, &[(0, "free", "[{ max: 1, per: second }, { max: 2, per: day }]", "")]);
    assert_eq!(
        trial.listed("quota"),
        [
            "quota.plan enforce: plan free: each consumer: 2 requests in 3600 s, at most 2 at once; plan gold: each consumer: 20 requests in 3600 s, at most 20 at once",
            "quota.plan enforce: plan free: each consumer: 3 requests in each day (UTC), in fixed windows",
            "quota.plan enforce: limits of single consumers",
            "quota.plan observe: plan gold: each consumer: 30 requests in 86400 s, at most 30 at once",
        ]
    );
}

#[test]
fn a_plan_that_limits_nothing_or_is_not_there_is_a_mistake() {
    let wrong = |plans: &str, subscribers: &[Subscriber]| {
        let mut cx = Context::for_code();
        let mut build = Setup::new().build;
        let scope = Arc::clone(&build.scope);
        compile(plans, subscribers, &mut build, &mut cx);
        assert_eq!(build.scope, scope);
        said(&cx)
    };
    assert_eq!(wrong("{ none: {} }", &[]), ["config.empty_plan: the plan `none` limits nothing"]);
    for plan in ["rate_limiting: { max: 1, per: day }", "quota: { max: 1, per: day }", "priority: low"] {
        assert_eq!(wrong(&format!("{{ some: {{ {plan} }} }}"), &[(0, "some", "", "")]), [""; 0], "{plan}");
    }
    let missing = ["config.no_plan: there is no plan `freee`"];
    assert_eq!(wrong(PLANS, &[(0, "freee", "", "")]), missing);
    assert_eq!(wrong(PLANS, &[(0, "freee", "{ max: 1, per: day }", "")]), missing);
}
