//! SecLang, case by case: each rule set with a request that it matches and one that it does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and prints what it measured"
)]

mod support;

use portcullis_waf::{Loader, Plan, Report, Request, Settings, Transaction};
use std::net::{IpAddr, Ipv4Addr};

fn plan(rules: &str) -> Plan {
    match Plan::new(Loader::new().text("t.conf", rules.as_bytes()), &Settings::default()) {
        Ok(plan) => plan,
        Err(errors) => panic!("{errors}"),
    }
}

fn errors(rules: &str) -> String {
    Plan::new(Loader::new().text("t.conf", rules.as_bytes()), &Settings::default()).unwrap_err().to_string()
}

fn request<'r>(target: &'r str, headers: &'r [(&'r [u8], &'r [u8])]) -> Request<'r> {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Request {
        method: b"POST",
        target: target.as_bytes(),
        protocol: b"HTTP/1.1",
        headers,
        client: (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 5),
        server: (here, 80),
        unique_id: b"0",
    }
}

fn send(plan: &Plan, target: &str, headers: &[(&[u8], &[u8])], body: &[u8]) -> Report {
    let mut transaction = Transaction::new(plan, request(target, headers));
    transaction.request_headers();
    transaction.request_body(body);
    transaction.finish()
}

fn ids(plan: &Plan, target: &str) -> Vec<u64> {
    send(plan, target, &[], b"").ids().collect()
}

#[test]
fn a_chain_matches_where_all_its_rules_do() {
    let plan = plan(
        "SecRule ARGS:a \"@streq 1\" \"id:1,phase:2,deny,status:405,chain\"\n  SecRule ARGS:b \"@streq 2\" \"t:lowercase\"\n",
    );
    assert_eq!(ids(&plan, "/?a=1&b=2"), [1]);
    assert_eq!(send(&plan, "/?a=1&b=2", &[], b"").interruption.unwrap().status, 405);
    assert!(ids(&plan, "/?a=1&b=3").is_empty());
    assert!(ids(&plan, "/?b=2").is_empty());
}

#[test]
fn a_refusal_ends_the_rules_and_observing_does_not() {
    let plan = plan(
        "SecAction \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:1,pass,log\"\nSecAction \"id:3,phase:5,pass,log\"\n",
    );
    assert_eq!(ids(&plan, "/"), [1, 3]);
    let mut transaction = Transaction::new(&plan, request("/", &[])).observe();
    transaction.request_headers();
    let report = transaction.finish();
    assert_eq!(report.ids().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(report.interruption.unwrap().id, 1);
}

#[test]
fn skip_after_goes_on_behind_the_marker_of_its_own_phase() {
    let plan = plan(
        "SecRule ARGS:skip \"@streq 1\" \"id:1,phase:1,pass,nolog,skipAfter:END\"\nSecAction \"id:2,phase:1,pass,log\"\nSecAction \"id:3,phase:2,pass,log\"\nSecMarker END\nSecAction \"id:4,phase:1,pass,log\"\n",
    );
    assert_eq!(ids(&plan, "/?skip=1"), [4, 3]);
    assert_eq!(ids(&plan, "/?skip=0"), [2, 4, 3]);
}

#[test]
fn variables_are_added_up_for_each_value_that_matches() {
    let rules = "SecRule ARGS \"@rx x\" \"id:1,phase:2,pass,nolog,setvar:'tx.score=+5',setvar:'tx.seen_%{MATCHED_VAR_NAME}=%{MATCHED_VAR}'\"\n\
        SecRule TX:score \"@eq 10\" \"id:2,phase:2,pass,log\"\nSecRule TX:/^seen_/ \"@streq x2\" \"id:3,phase:2,pass,log\"\n";
    let plan = plan(rules);
    assert_eq!(ids(&plan, "/?a=x1&b=x2&c=y"), [2, 3]);
    assert!(ids(&plan, "/?a=x1&b=y").is_empty());
}

#[test]
fn captures_are_the_groups_and_those_without_text_are_gone() {
    let plan = plan(
        "SecRule ARGS:a \"@rx (b)(c)?\" \"id:1,phase:2,pass,nolog,capture\"\nSecRule TX:1 \"@streq b\" \"id:2,phase:2,pass,log\"\nSecRule ARGS:z \"@rx z\" \"id:3,phase:2,pass,nolog,capture\"\nSecRule &TX:1 \"@eq 0\" \"id:4,phase:2,pass,log\"\n",
    );
    assert_eq!(ids(&plan, "/?a=bc"), [2]);
    assert_eq!(ids(&plan, "/?a=bc&z=z"), [2, 4]);
}

#[test]
fn counts_exclusions_and_patterns_select() {
    let plan = plan(
        "SecRule &ARGS:a \"@gt 1\" \"id:1,phase:2,pass,log\"\nSecRule ARGS|!ARGS:/^pass/ \"@rx evil\" \"id:2,phase:2,pass,log\"\nSecRule ARGS_NAMES \"@streq A\" \"id:3,phase:2,pass,log\"\n",
    );
    assert_eq!(ids(&plan, "/?a=1&A=2"), [1, 3]);
    assert_eq!(ids(&plan, "/?password=evil"), [] as [u64; 0]);
    assert_eq!(ids(&plan, "/?b=evil"), [2]);
}

#[test]
fn multi_match_looks_at_every_form() {
    let rules =
        |extra: &str| format!("SecRule ARGS:a \"@streq ABC\" \"id:1,phase:2,pass,log,t:lowercase{extra}\"\n");
    assert_eq!(ids(&plan(&rules(",multiMatch")), "/?a=ABC"), [1]);
    assert!(ids(&plan(&rules("")), "/?a=ABC").is_empty());
}

#[test]
fn control_removes_rules_and_targets_for_one_request() {
    let plan = plan(
        "SecRule ARGS:off \"@streq 1\" \"id:1,phase:1,pass,nolog,ctl:ruleRemoveById=3-4\"\nSecRule ARGS:less \"@streq 1\" \"id:2,phase:1,pass,nolog,ctl:ruleRemoveTargetByTag=t/x;ARGS:a\"\nSecRule ARGS \"@rx evil\" \"id:3,phase:2,pass,log,tag:'t/x'\"\n",
    );
    assert_eq!(ids(&plan, "/?a=evil"), [3]);
    assert!(ids(&plan, "/?a=evil&off=1").is_empty());
    assert!(ids(&plan, "/?a=evil&less=1").is_empty());
    assert_eq!(ids(&plan, "/?a=evil&less=1&b=evil"), [3]);
}

#[test]
fn removals_and_updates_hold_for_rules_before_them() {
    let rule = "SecRule ARGS \"@rx evil\" \"id:1,phase:2,pass,log,msg:'m',tag:'a/b'\"\n";
    for (update, evil, other) in [
        ("SecRuleRemoveById 1", false, false),
        ("SecRuleRemoveByTag a/", false, false),
        ("SecRuleRemoveByMsg ^m$", false, false),
        ("SecRuleUpdateTargetById 1 \"!ARGS:evil\"", false, true),
        ("SecRuleUpdateTargetByTag a/b \"!ARGS:/^EV/\"", false, true),
        ("SecRuleRemoveById 2", true, true),
    ] {
        let plan = plan(&format!("{rule}{update}\n"));
        assert_eq!(!ids(&plan, "/?evil=evil").is_empty(), evil, "{update}");
        assert_eq!(!ids(&plan, "/?b=evil").is_empty(), other, "{update}");
    }
}

#[test]
fn bodies_are_read_by_their_content_type() {
    let plan = plan(
        "SecRule ARGS_POST:json.a.0.b \"@streq x\" \"id:1,phase:2,pass,log\"\nSecRule XML:/* \"@contains deep\" \"id:2,phase:2,pass,log\"\nSecRule XML://@* \"@streq at<\" \"id:3,phase:2,pass,log\"\nSecRule FILES \"@streq f.txt\" \"id:4,phase:2,pass,log\"\nSecRule ARGS:q \"@streq 1 2\" \"id:5,phase:2,pass,log\"\nSecRule REQBODY_ERROR \"@eq 1\" \"id:6,phase:2,pass,log\"\n",
    );
    let post = |content_type: &str, body: &str| -> Vec<u64> {
        let headers: [(&[u8], &[u8]); 1] = [(b"Content-Type", content_type.as_bytes())];
        send(&plan, "/", &headers, body.as_bytes()).ids().collect()
    };
    assert_eq!(post("application/json", r#"{"a":[{"b":"x"}]}"#), [1]);
    assert_eq!(post("application/vnd.api+json; charset=utf-8", r#"{"a":[{"b":"x"}]}"#), [1]);
    assert_eq!(post("text/xml", "<r><x at='at&lt;'>so <b>deep</b></x></r>"), [2, 3]);
    assert_eq!(post("application/x-www-form-urlencoded", "q=1+2"), [5]);
    let form = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\n\r\n\r\n--b--\r\n";
    assert_eq!(post("multipart/form-data; boundary=b", form), [4]);
    for broken in ["{", "{'a':1}", "[1,]"] {
        assert_eq!(post("application/json", broken), [6], "{broken}");
    }
    assert_eq!(post("text/xml", "<r><x></r>"), [6]);
    assert_eq!(post("text/plain", "{"), [] as [u64; 0]);
}

#[test]
fn xml_in_another_encoding_is_a_fault() {
    let plan = plan("SecRule REQBODY_ERROR \"@eq 1\" \"id:1,phase:2,pass,log\"\n");
    for (encoding, fault) in [("UTF-8", false), ("utf-7", true), ("IBM037", true)] {
        let body = format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?><a>+ADw-</a>");
        let report = send(&plan, "/", &[(b"Content-Type", b"text/xml")], body.as_bytes());
        assert_eq!(!report.matches.is_empty(), fault, "{encoding}");
    }
}

#[test]
fn a_file_without_a_name_is_a_field_too() {
    let plan = plan("SecRule ARGS:q \"@contains evil\" \"id:1,phase:2,pass,log\"\n");
    let body = |extra: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"q\"{extra}\r\n\r\nevil\r\n--b--\r\n")
    };
    let headers: [(&[u8], &[u8]); 1] = [(b"Content-Type", b"multipart/form-data; boundary=b")];
    for (extra, found) in [("", true), ("; filename=\"\"", true), ("; filename=\"a.txt\"", false)] {
        let report = send(&plan, "/", &headers, body(extra).as_bytes());
        assert_eq!(!report.matches.is_empty(), found, "{extra}");
    }
}

#[test]
fn a_body_without_a_media_type_is_searched_where_it_is_wanted() {
    let plan = plan("SecRule ARGS \"@contains evil\" \"id:1,phase:2,pass,log\"\n");
    for body in [r#"{"a":"evil"}"#, "so evil", "[not json: evil"] {
        let judge = |wanted: bool| {
            let transaction = Transaction::new(&plan, request("/", &[]));
            let mut transaction = if wanted { transaction.search_unlabelled_bodies() } else { transaction };
            transaction.request_headers();
            transaction.request_body(body.as_bytes());
            !transaction.finish().matches.is_empty()
        };
        assert_eq!((judge(true), judge(false)), (true, false), "{body}");
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_line() {
    for (rules, expected) in [
        ("\nSecRule IP:x \"@eq 1\" \"id:1\"", "t.conf:2: the variable IP is not supported"),
        ("SecRule ARGS \"@rbl x\" \"id:1\"", "the operator @rbl is not supported"),
        ("SecRule ARGS \"@geoLookup\" \"id:1\"", "@geoLookup"),
        ("SecAction \"id:1,exec:/bin/x\"", "the action exec is not supported"),
        ("SecAction \"id:1,setvar:ip.x=1\"", "setvar of the collection IP"),
        ("SecRuleScript x.lua \"id:1\"", "the directive SecRuleScript is not supported"),
        ("SecRule ARGS \"@rx (?R)\" \"id:1\"", "(?R is not supported"),
        ("SecRule ARGS \"@rx %{tx.x}\" \"id:1\"", "a macro in a regular expression"),
        ("SecRule XML:/a/b \"@rx x\" \"id:1\"", "the XPath `/a/b`"),
        ("SecRule ARGS \"@rx x\"", "a rule needs an id"),
        (
            "SecRule ARGS \"@rx x\" \"id:1\"\nSecAction \"id:1\"",
            "t.conf:2: the id 1 is taken by the rule at t.conf:1",
        ),
        ("SecRule ARGS \"@rx (\" \"id:1\"", "the regular expression"),
        ("SecRule ARGS \"@rx x\" \"id:1,chain\"", "the file ends inside a chain"),
        ("SecRule ARGZ \"@rx x\" \"id:1\"", "there is no variable ARGZ"),
        ("SecRule ARGS \"@rx x\" \"id:1,t:lower\"", "did you mean t:lowercase?"),
        ("SecRule ARGS \"@rx x\" \"id:1,frob\"", "there is no action frob"),
        ("Include x.conf", "rules from memory cannot include x.conf"),
        ("SecRuleEngine On", "the directive SecRuleEngine is not supported"),
    ] {
        let found = errors(rules);
        assert!(found.contains(expected), "{rules}: {found}");
    }
}

#[test]
fn an_action_that_is_not_supported_loads_where_it_can_never_run() {
    let guarded = |value: &str| {
        format!(
            "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.on={value}\"\nSecRule TX:on \"@eq 1\" \"id:2,phase:1,pass,nolog,initcol:ip=x\"\n"
        )
    };
    assert_eq!(plan(&guarded("0")).rules().len(), 0);
    assert!(errors(&guarded("1")).contains("the action initcol is not supported"));
}

#[test]
fn a_file_outside_the_root_is_not_read() {
    let directory = support::scratch("root");
    let inside = directory.join("rules");
    std::fs::create_dir_all(&inside).unwrap();
    std::fs::write(directory.join("words.data"), "evil\n").unwrap();
    std::fs::write(inside.join("words.data"), "evil\n").unwrap();
    std::os::unix::fs::symlink(directory.join("words.data"), inside.join("link.data")).unwrap();
    let load = |name: &str| {
        let rule = format!("SecRule ARGS \"@pmFromFile {name}\" \"id:1,phase:2,deny\"\n");
        std::fs::write(inside.join("a.conf"), rule).unwrap();
        Plan::new(Loader::new().path(&inside), &Settings::default())
    };
    assert!(load("words.data").is_ok());
    for outside in ["../words.data", "link.data", "/etc/hostname"] {
        assert!(load(outside).unwrap_err().to_string().contains("is outside"), "{outside}");
    }
    std::fs::write(inside.join("a.conf"), "Include a.conf\n").unwrap();
    let looped = Plan::new(Loader::new().path(&inside.join("a.conf")), &Settings::default()).unwrap_err();
    assert!(looped.to_string().contains("include each other"));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn work_that_runs_out_refuses() {
    let plan = plan("SecRule ARGS \"@rx (a|b)*c$\" \"id:1,phase:2,pass,log\"\n");
    let target = format!("/?a={}cx", "ab".repeat(500));
    let judge = |units: u64| {
        let mut transaction = Transaction::new(&plan, request(&target, &[])).work(units);
        transaction.request_headers();
        transaction.request_body(b"");
        transaction.finish()
    };
    assert!(judge(100_000).interruption.is_none());
    let spent = judge(500);
    assert!(spent.exhausted);
    assert_eq!(spent.interruption.unwrap().id, 0);
}

#[test]
fn an_expression_that_goes_back_is_bounded() {
    let plan = plan(
        "SecRule ARGS \"@rx ^(?=(a+)+$)b\" \"id:1,phase:2,pass,log\"\nSecRule ARGS \"@rx \\bfoo(?!bar)\" \"id:2,phase:2,pass,log\"\n",
    );
    let hostile = format!("/?a={}!", "a".repeat(5_000));
    let report = send(&plan, &hostile, &[], b"");
    assert!(report.exhausted || report.matches.is_empty());
    assert_eq!(ids(&plan, "/?a=foobaz"), [2]);
    assert!(ids(&plan, "/?a=foobar").is_empty());
}

#[test]
fn expressions_read_bytes_and_end_only_at_the_end() {
    let plan = plan(
        "SecRule ARGS:a \"@rx ^b$\" \"id:1,phase:2,pass,log\"\nSecRule ARGS:a \"@rx a.c\" \"id:2,phase:2,pass,log\"\nSecRule ARGS:a \"@rx [^\\x00-\\x7f]\" \"id:3,phase:2,pass,log\"\nSecRule ARGS:a \"@rx ^[[\\w-.]+{x$\" \"id:4,phase:2,pass,log\"\n",
    );
    assert_eq!(ids(&plan, "/?a=b"), [1]);
    assert!(ids(&plan, "/?a=b%0a").is_empty());
    assert_eq!(ids(&plan, "/?a=a%0ac"), [2]);
    assert_eq!(ids(&plan, "/?a=%ff"), [3]);
    assert_eq!(ids(&plan, "/?a=[a-.{x"), [4]);
}
