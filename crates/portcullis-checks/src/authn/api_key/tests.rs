//! Where a key stands, whose it is, and where a key of the store is good.

use super::*;
use crate::rehearsal::{Doubles, Known};
use crate::trial::{Ask, Setup, Trial, at_once, claimed, decoded, denied, get};
use portcullis_core::{ConsumerId, CountedCredential, Identity, KeyId, KeyProfile};

const ALICE: &str = "alice-0123456789abcdef";
const SECOND: Duration = Duration::from_secs(1);

fn setup() -> Setup {
    // A second before the moment at which a trial begins, and two seconds after it.
    let [over, soon] = ["2025-12-31T23:59:59Z", "2026-01-01T00:00:02Z"];
    let key = |text: &str, expires: &str| format!("{{ literal: {text}, expires: '{expires}' }}");
    Setup::on("/orders/{id}")
        .consumer("alice", &["user"], &["read"])
        .consumer("bob", &[], &[])
        .key(0, ALICE)
        .key(1, &key("bob-over-0123456789", over))
        .key(1, &key("bob-soon-0123456789", soon))
        .key(1, &format!("'{}'", "k".repeat(MAX_KEY_BYTES)))
}

fn trial(more: &str) -> Trial {
    setup().compile(&format!("authentication: {{ type: api_key{more} }}"))
}

fn with(key: &str) -> Ask {
    get("/orders/7").with("x-api-key", key)
}

fn code(authn: Authn) -> Code {
    denied(authn).code()
}

#[test]
fn a_key_is_that_of_its_consumer_until_it_expires() {
    let trial = trial("");
    let evidence = claimed(trial.authenticate(with(ALICE)));
    assert_eq!((evidence.identity(), evidence.check), (&Identity::Consumer(ConsumerId(0)), ID));
    assert!(matches!(evidence.counted_as, Some(CountedCredential::Configured(_))));
    let ground = evidence.ground.clone().unwrap();
    assert!(matches!(ground.credential, CredentialName::Digest(_)));
    assert_eq!(ground.until, None);
    let soon = claimed(trial.authenticate(with("bob-soon-0123456789")));
    let until = soon.ground.unwrap().until.unwrap();
    assert_eq!(until, trial.world.moment().unix + SECOND * 2);
    assert_ne!(soon.counted_as, evidence.counted_as);
    for (key, code) in [
        ("bob-over-0123456789", Code::CredentialExpired),
        ("bob-soon-012345678", Code::CredentialUnknown),
        ("Alice-0123456789abcdef", Code::CredentialUnknown),
        ("", Code::CredentialMalformed),
    ] {
        let Authn::Deny(denial) = trial.authenticate(with(key)) else { panic!("{key}") };
        assert_eq!(denial.code(), code, "{key}");
        assert_eq!(denial.tried().is_some(), !key.is_empty(), "{key}");
    }
    trial.world.pass(SECOND * 2 - Duration::from_nanos(1));
    claimed(trial.authenticate(with("bob-soon-0123456789")));
    trial.world.pass(Duration::from_nanos(1));
    assert_eq!(code(trial.authenticate(with("bob-soon-0123456789"))), Code::CredentialExpired);
    claimed(trial.authenticate(with(&"k".repeat(MAX_KEY_BYTES))));
    assert_eq!(code(trial.authenticate(with(&"k".repeat(MAX_KEY_BYTES + 1)))), Code::CredentialMalformed);
    assert_eq!(code(trial.authenticate(with(ALICE).with("x-api-key", ALICE))), Code::CredentialRepeated);
    assert!(matches!(trial.authenticate(get("/orders/7")), Authn::NotMine));
}

#[test]
fn a_key_stands_where_the_configuration_says_and_nowhere_else() {
    let authorization = CredentialLocation::Header(AUTHORIZATION);
    let header = |name: &'static str| CredentialLocation::Header(HeaderName::from_static(name));
    for (more, there, location, described) in [
        ("", with(ALICE), header("x-api-key"), "in the header field x-api-key"),
        (
            ", header: X-Key",
            get("/orders/7").with("x-key", ALICE),
            header("x-key"),
            "in the header field x-key",
        ),
        (
            ", query: key",
            get(&format!("/orders/7?key={ALICE}")),
            CredentialLocation::Query("key".to_owned()),
            "in the query parameter key",
        ),
        (
            ", cookie: key",
            get("/orders/7").with("cookie", &format!("key={ALICE}")),
            CredentialLocation::Cookie("key".to_owned()),
            "in the cookie key",
        ),
        (
            ", scheme: bearer",
            get("/orders/7").with("authorization", &format!("Bearer {ALICE}")),
            authorization,
            "after `Bearer` in the header field authorization",
        ),
        (
            ", scheme: bearer, header: X-Key",
            get("/orders/7").with("x-key", &format!("bearer {ALICE}")),
            header("x-key"),
            "after `Bearer` in the header field x-key",
        ),
    ] {
        let trial = trial(more);
        claimed(trial.authenticate(there));
        let method = trial.method();
        assert_eq!(method.credentials(), std::slice::from_ref(&location), "{more}");
        assert_eq!(trial.listed("authn"), [format!("authn.api_key enforce: an API key {described}")]);
        let is_bearer = more == ", scheme: bearer";
        assert_eq!(method.is_bearer(), is_bearer, "{more}");
        assert_eq!(method.challenges(None), [if is_bearer { "Bearer" } else { "ApiKey" }]);
        // Which schemes of a description mean it.
        let answers =
            |kind| method.answers(&SecurityScheme { name: "a", kind }).into_iter().map(|(_, how)| how);
        assert_eq!(answers(SchemeKind::Key(location)).collect::<Vec<_>>(), [Answers::Certainly], "{more}");
        assert_eq!(answers(SchemeKind::Key(header("x-another"))).count(), 0, "{more}");
        let bearer: Vec<_> = answers(SchemeKind::Http("bearer")).collect();
        assert_eq!(bearer, [Answers::Possibly][..usize::from(is_bearer)], "{more}");
        assert_eq!(answers(SchemeKind::Http("basic")).count(), 0, "{more}");
        if !more.is_empty() {
            assert!(matches!(trial.authenticate(with(ALICE)), Authn::NotMine), "{more}");
        }
    }
}

#[test]
fn what_follows_another_scheme_is_another_methods_in_authorization_and_no_key_elsewhere() {
    let sent =
        |more: &str, name: &str, value: &str| trial(more).authenticate(get("/orders/7").with(name, value));
    let bearer = ", scheme: bearer";
    assert!(matches!(sent(bearer, "authorization", "Basic abc"), Authn::NotMine));
    assert_eq!(code(sent(bearer, "authorization", "Bearer\tabc")), Code::CredentialMalformed);
    assert_eq!(code(sent(bearer, "authorization", "Bearer")), Code::CredentialMalformed);
    let other = ", scheme: bearer, header: x-key";
    assert_eq!(code(sent(other, "x-key", "Basic abc")), Code::CredentialMalformed);
    for (value, expected) in [
        ("Bearer abc", Ok(Some("abc"))),
        ("bEARER   a b  ", Ok(Some("a b"))),
        ("Bearer", Ok(Some(""))),
        ("Basic abc", Ok(None)),
        ("AWS4-HMAC-SHA256 abc", Ok(None)),
        ("Basic", Ok(None)),
        (" abc", Err(())),
        ("", Err(())),
        ("Bearer\tabc", Err(())),
        ("Bearer: abc", Err(())),
    ] {
        assert_eq!(super::bearer(value), expected, "{value}");
    }
}

#[test]
fn a_list_of_keys_is_the_whole_list() {
    let trial = trial(", keys: [listed-0123456789abcdef, another-0123456789abcdef]");
    let of = |key| claimed(trial.authenticate(with(key))).identity().clone();
    let [first, second] = ["listed-0123456789abcdef", "another-0123456789abcdef"].map(of);
    assert_ne!(first, second, "each is a consumer");
    assert_eq!(code(trial.authenticate(with(ALICE))), Code::CredentialUnknown);
    let hash = "00".repeat(32);
    let pepper = "config.key_pepper: ";
    for (pepper_of_all, more, wrong) in [
        ("", "keys: []", "config.empty_list: the list of keys is empty"),
        ("", "keys: [same-0123456789abcdef, same-0123456789abcdef]", "config.duplicate_key: "),
        ("", "query: a, cookie: b", "config.key_location: "),
        ("", "scheme: bearer, query: a", "config.key_scheme: "),
        ("", "scheme: bearer, cookie: a", "config.key_scheme: "),
        ("", &format!("keys: [{{ hash: 'sha256:{hash}' }}]"), ""),
        ("", &format!("keys: [{{ hash: 'hmac-sha256:{hash}' }}]"), pepper),
        ("a-pepper", &format!("keys: [{{ hash: 'hmac-sha256:{hash}' }}]"), ""),
        ("a-pepper", &format!("keys: [{{ hash: 'sha256:{hash}' }}]"), pepper),
        ("a-pepper", "keys: [plain-0123456789abcdef]", ""),
    ] {
        let setup = if pepper_of_all.is_empty() { Setup::new() } else { Setup::new().pepper(pepper_of_all) };
        let said = setup.wrong(&format!("authentication: {{ type: api_key, {more} }}"));
        let fits =
            said.len() == usize::from(!wrong.is_empty()) && said.iter().all(|one| one.starts_with(wrong));
        assert!(fits, "{more}: {said:?}");
    }
}

/// A key of the store for `/orders/{id}` of the host `api.example`, with this profile.
fn stored(change: impl FnOnce(&mut StoredKey, &mut KeyProfile)) -> Trial {
    let mut setup = setup().at_host("api.example");
    setup.build.has_key_store = true;
    setup.build.plans = Arc::new(BTreeSet::from(["gold".to_owned()]));
    let trial = setup.compile("authentication: { type: api_key }");
    let mut profile = KeyProfile {
        consumer: "carol".to_owned(),
        is_stored: true,
        roles: None,
        scopes: None,
        plan: None,
        addresses: Vec::new(),
        routes: Vec::new(),
        count_key: b"carol".to_vec(),
    };
    let mut key = StoredKey {
        id: KeyId(7),
        hash: KeyDigest([5; 32]),
        expires: None,
        profile: Arc::new(profile.clone()),
    };
    change(&mut key, &mut profile);
    key.profile = Arc::new(profile);
    *trial.world.stored_keys.lock().unwrap() = Some(vec![("carols-key".to_owned(), key)]);
    trial
}

#[test]
fn a_key_of_the_store_is_good_where_the_configuration_has_none_such() {
    let trial = stored(|_, _| {});
    let whose = ", of this configuration or of the store";
    let listed = format!("authn.api_key enforce: an API key in the header field x-api-key{whose}");
    assert_eq!(trial.listed("authn"), [listed]);
    let evidence = claimed(trial.authenticate(with("carols-key")));
    assert!(matches!(evidence.identity(), Identity::Stored(profile) if profile.consumer == "carol"));
    assert_eq!(
        (evidence.key, evidence.counted_as),
        (Some(KeyId(7)), Some(CountedCredential::Stored(KeyId(7))))
    );
    let alice = claimed(trial.authenticate(with(ALICE)));
    assert_eq!(*alice.identity(), Identity::Consumer(ConsumerId(0)));
    assert_eq!(code(trial.authenticate(with("mallorys-key"))), Code::CredentialUnknown);
    *trial.world.stored_keys.lock().unwrap() = None;
    assert_eq!(code(trial.authenticate(with("carols-key"))), Code::Fault);
    claimed(trial.authenticate(with(ALICE)));
    // A list of keys does not open the store.
    let mut setup = setup();
    setup.build.has_key_store = true;
    let listed = setup.compile("authentication: { type: api_key, keys: [listed-0123456789abcdef] }");
    *listed.world.stored_keys.lock().unwrap() = None;
    assert_eq!(code(listed.authenticate(with("carols-key"))), Code::CredentialUnknown);
    let configured = trial_without_store();
    assert_eq!(code(configured.authenticate(with("carols-key"))), Code::CredentialUnknown);
}

fn trial_without_store() -> Trial {
    let trial = trial("");
    *trial.world.stored_keys.lock().unwrap() = None;
    trial
}

#[test]
fn a_bound_key_is_good_in_its_place_and_time_alone() {
    let said = |trial: Trial| match trial.authenticate(with("carols-key")) {
        Authn::Claim(_) => None,
        refused @ (Authn::ClaimAndTell(..) | Authn::Deny(_) | Authn::NotMine) => {
            let denial = denied(refused);
            assert!(denial.tried().is_some());
            Some(denial.code())
        }
    };
    let at = |addresses: &[&str]| {
        let nets = addresses.iter().map(|net| net.parse().unwrap()).collect();
        said(stored(|_, profile| profile.addresses = nets))
    };
    let elsewhere = Some(Code::CredentialElsewhere);
    assert_eq!(at(&["192.0.2.0/24"]), None);
    assert_eq!(at(&["198.51.100.0/24", "192.0.2.1/32"]), None);
    assert_eq!(at(&["198.51.100.0/24"]), elsewhere);
    let on = |routes: &[&str]| {
        let routes = routes.iter().map(|route| (*route).to_owned()).collect();
        said(stored(|_, profile| profile.routes = routes))
    };
    for route in ["/orders/{id}", "api.example/orders/{id}"] {
        assert_eq!(on(&["/other", route]), None, "{route}");
    }
    for route in
        ["/orders", "/orders/7", "other.example/orders/{id}", "api.example/orders", "api.example", ""]
    {
        assert_eq!(on(&[route]), elsewhere, "{route}");
    }
    let planned = |plan: &str| said(stored(|_, profile| profile.plan = Some(plan.to_owned())));
    assert_eq!((planned("gold"), planned("platinum")), (None, Some(Code::Fault)));
    let until = |seconds: u64| said(stored(|key, _| key.expires = Some(Duration::from_secs(seconds))));
    let now = trial("").world.moment().unix.as_secs();
    assert_eq!((until(now + 1), until(now)), (None, Some(Code::CredentialExpired)));
    // Whose it is must be clear.
    let whose = |name: &str, is_stored| {
        said(stored(|_, profile| (profile.consumer, profile.is_stored) = (name.to_owned(), is_stored)))
    };
    assert_eq!(whose("alice", false), None);
    assert_eq!(whose("alice", true), Some(Code::Fault));
    assert_eq!(whose("carol", false), Some(Code::CredentialUnknown));
}

#[test]
fn a_long_request_ends_with_its_key() {
    let trial = stored(|_, _| {});
    let uphold = |trial: &Trial, evidence: &Evidence| {
        let arrived = trial.arrive(get("/orders/7"));
        at_once(trial.method().uphold(evidence, &arrived.facts(), trial.world.as_ref()).resolve())
    };
    let alice = claimed(trial.authenticate(with(ALICE)));
    assert_eq!(claimed(uphold(&trial, &alice)), alice);
    let carol = claimed(trial.authenticate(with("carols-key")));
    assert_eq!(claimed(uphold(&trial, &carol)), carol);
    let soon = claimed(trial.authenticate(with("bob-soon-0123456789")));
    trial.world.pass(SECOND * 2);
    assert_eq!(code(uphold(&trial, &soon)), Code::CredentialExpired);
    *trial.world.stored_keys.lock().unwrap() = Some(Vec::new());
    assert_eq!(code(uphold(&trial, &carol)), Code::CredentialUnknown, "it was revoked");
    claimed(uphold(&trial, &alice));
    // What another method established, and a method that does not ask the store.
    let mut another = alice.clone();
    another.check = CheckId::new("authn.another");
    assert!(matches!(uphold(&trial, &another), Authn::NotMine));
    let mut without = alice.clone();
    without.ground = None;
    assert!(matches!(uphold(&trial, &without), Authn::NotMine));
    assert!(matches!(uphold(&trial_without_store(), &carol), Authn::NotMine));
    let unlisted = setup().compile("authentication: { type: api_key, keys: [listed-0123456789abcdef] }");
    assert_eq!(code(uphold(&unlisted, &alice)), Code::CredentialUnknown, "it was removed");
}

#[test]
fn a_rehearsal_sends_the_double_of_a_key_and_what_must_be_refused() {
    let doubles = Doubles::new(&[3; 32]);
    let key = |text: &str, expires: &str| {
        decoded::<KeyConfig>(&format!("{{ literal: {text}, expires: '{expires}' }}")).unwrap()
    };
    let now = Duration::from_secs(1_767_225_600);
    let (over, good) = (
        key("over-0123456789abcdef", "2026-01-01T00:00:00Z"),
        key("good-0123456789abcdef", "2026-01-01T00:00:01Z"),
    );
    let keys = [over.clone(), good.clone()];
    let known =
        |keys| Known { name: "alice", roles: &[], scopes: &[], keys, password: None, certificates: &[] };
    let consumers = [known(&keys)];
    let person = consumers[0].person();
    let stage = |consumers| Stage {
        doubles: &doubles,
        consumers,
        now,
        method: "GET",
        url: String::new(),
        body: bytes::Bytes::new(),
    };
    let config = |yaml: &str| decoded::<ApiKeyConfig>(yaml).unwrap();
    let header = |name: &str, key: &str| Credential::header(name, key);
    let text = doubles.key(&good);
    let shown = |yaml: &str| config(yaml).good(&person, &stage(&consumers)).unwrap();
    assert_eq!(shown("{}"), header("x-api-key", &text));
    assert_eq!(shown("{ header: X-Key }"), header("X-Key", &text));
    assert_eq!(shown("{ query: key }").query, [("key".to_owned(), text.clone())]);
    assert_eq!(shown("{ cookie: key }").cookies, [("key".to_owned(), text)]);
    let nobody = config("{}").good(&person, &stage(&[])).unwrap_err();
    assert!(nobody.contains("`alice` has no key that is valid now"), "{nobody}");
    let only_over = [over.clone()];
    let too_late = [known(&only_over)];
    assert!(config("{}").good(&person, &stage(&too_late)).is_err());
    // Where the method has keys of its own, a person sends one of those.
    let own = config("{ keys: [listed-0123456789abcdef] }");
    let double = doubles.key(&own.keys.as_ref().unwrap()[0]);
    assert_eq!(own.good(&person, &stage(&[])).unwrap(), header("x-api-key", &double));
    let wrong = config("{}").wrong(&person, &stage(&consumers));
    let expected = [
        (Attack::Wrong, header("x-api-key", &doubles.nobodys("key"))),
        (Attack::Wrong, header("x-api-key", "")),
        (Attack::Expired, header("x-api-key", &doubles.expired_key(&over))),
        (Attack::HeaderAlias, header("x_api_key", &doubles.key(&over))),
    ];
    assert_eq!(wrong, expected);
    // Where there is no `-` in a name, and where it is that of no header, there is no alias.
    for yaml in ["{ header: key }", "{ query: my-key }", "{ cookie: my-key }"] {
        let attacks: Vec<_> =
            config(yaml).wrong(&person, &stage(&consumers)).into_iter().map(|it| it.0).collect();
        assert_eq!(attacks, [Attack::Wrong, Attack::Wrong, Attack::Expired], "{yaml}");
    }
    for (yaml, is) in [
        ("{}", false),
        ("{ header: Authorization }", true),
        ("{ header: x-key }", false),
        ("{ scheme: bearer }", true),
        ("{ scheme: bearer, header: x-key }", false),
    ] {
        assert_eq!(config(yaml).is_authorization(), is, "{yaml}");
    }
}
