use super::*;
use portcullis_core::SchemeKind;

/// A browser whose session is refreshed every hundred seconds.
fn refreshed_soon(site: &Site) -> Browser {
    site.logged_in(&json!({}), &json!({ "refresh_token": "r1", "expires_in": 100 }))
}

fn page(site: &Site, browser: &mut Browser) -> Seen {
    site.visit("GET", "/orders", browser, &PAGE)
}

fn is_sent_to_log_in(seen: &Seen) -> bool {
    matches!(seen, Seen::Sent(location) if location.starts_with(AUTHORIZE))
}

#[test]
fn a_session_lasts_while_it_is_used() {
    let site = site(", session_lifetime: 2h, idle_timeout: 1h");
    let mut browser = site.logged_in(&json!({}), &json!({}));
    let first = browser.0.clone();
    // A tenth of the idle time passes before the browser is told that the session was used.
    site.world.pass_seconds(359);
    assert_eq!(site.get(&mut browser), alice());
    assert_eq!(browser.0, first);
    site.world.pass_seconds(1);
    assert_eq!(site.get(&mut browser), alice());
    assert_ne!(browser.0, first);
    // By the new cookie it lasts for an hour from now on, and by the old one it does not.
    site.world.pass_seconds(3599);
    assert_eq!(site.get(&mut Browser(first)), Seen::Refused(Code::CredentialExpired));
    assert_eq!(site.get(&mut browser), alice());
    site.world.pass_seconds(3241);
    assert_eq!(site.get(&mut browser), Seen::Refused(Code::CredentialExpired), "two hours after the login");
}

#[test]
fn an_answer_to_one_person_is_kept_from_others() {
    let site = site("");
    let browser = site.logged_in(&json!({}), &json!({}));
    let told = |site: &Site| {
        let Authn::ClaimAndTell(_, tell) = site.authenticate(&site.request("GET", "/", &browser, &[])) else {
            panic!("not let in")
        };
        let cookies = tell.iter().filter(|(name, _)| name == header::SET_COOKIE).count();
        let control = tell.iter().find(|(name, _)| name == header::CACHE_CONTROL).unwrap().1.clone();
        (cookies, control)
    };
    assert_eq!(told(&site), (0, HeaderValue::from_static("private")));
    site.world.pass_seconds(600);
    assert_eq!(told(&site), (1, HeaderValue::from_static("no-store")));
}

#[test]
fn a_request_that_changes_something_comes_from_this_site() {
    let site = site("");
    let mut browser = site.logged_in(&json!({}), &json!({}));
    for (verb, fields, expected) in [
        ("GET", vec![], alice()),
        ("GET", vec![("origin", "https://evil.example")], alice()),
        ("POST", vec![ORIGIN], alice()),
        ("POST", vec![("sec-fetch-site", "same-origin")], alice()),
        ("POST", vec![], Seen::Refused(Code::CrossSite)),
        ("DELETE", vec![("origin", "https://evil.example")], Seen::Refused(Code::CrossSite)),
        ("POST", vec![("sec-fetch-site", "same-site"), ORIGIN], Seen::Refused(Code::CrossSite)),
    ] {
        assert_eq!(site.visit(verb, "/orders", &mut browser, &fields), expected, "{verb} {fields:?}");
    }
}

#[test]
fn a_cookie_is_what_was_sealed_and_nothing_else() {
    let site = site("");
    let browser = site.logged_in(&json!({}), &json!({}));
    let name = "__Host-gateway-session";
    for value in ["", "x", "AAAA", &"A".repeat(100)] {
        let mut other = Browser(BTreeMap::from([(name.to_owned(), value.to_owned())]));
        assert_eq!(site.get(&mut other), Seen::Refused(Code::CredentialMalformed), "{value}");
        assert!(is_sent_to_log_in(&page(&site, &mut other)), "a person begins anew");
    }
    let twice = format!("{}; {}", browser.cookies(), browser.cookies());
    let mut nobody = Browser::default();
    let asked = [("cookie", twice.as_str())];
    // The browser's own, empty field stands before it.
    let request = Request::get("/").header("host", "api.example").header(asked[0].0, asked[0].1);
    assert!(
        matches!(site.authenticate(&Asked::new(request)), Authn::Deny(denial) if denial.code() == Code::CredentialRepeated)
    );
    assert_eq!(site.get(&mut nobody), Seen::Nobody);
}

#[test]
fn a_session_is_refreshed_when_its_tokens_end() {
    let site = site(", claims: [tenant]");
    let mut browser = refreshed_soon(&site);
    site.world.pass_seconds(79);
    assert_eq!(site.get(&mut browser), alice());
    assert!(site.world.asked().is_empty());
    site.world.pass_seconds(1);
    site.give(&json!({ "access_token": "b", "expires_in": 100, "refresh_token": "r2", "scope": "x y" }));
    let before = browser.0.clone();
    assert_eq!(site.get(&mut browser), alice());
    let asked = site.world.asked().remove(0);
    assert_eq!(asked.url.to_string(), TOKEN);
    assert_eq!(asked.body, "grant_type=refresh_token&refresh_token=r1");
    assert!(asked.client.is_some_and(|client| client.known));
    assert_ne!(browser.0, before);
    assert_eq!(site.get(&mut browser), alice());
    assert!(site.world.asked().is_empty(), "it is good for a while now");
    site.world.pass_seconds(100);
    assert_eq!(site.get(&mut browser), alice());
    assert_eq!(site.world.asked().remove(0).body, "grant_type=refresh_token&refresh_token=r2");
}

#[test]
fn a_provider_that_is_down_takes_nobodys_session() {
    let site = site("");
    let mut browser = refreshed_soon(&site);
    site.world.answer(TOKEN, 503, &[], "");
    site.world.pass_seconds(85);
    assert_eq!(site.get(&mut browser), alice(), "what it said before holds");
    site.world.pass_seconds(15);
    assert_eq!(site.get(&mut browser), Seen::Refused(Code::Fault));
    assert_eq!(page(&site, &mut browser), Seen::Refused(Code::Fault), "nobody is sent there");
    assert!(browser.has_session());
    site.give(&json!({ "access_token": "b", "expires_in": 100 }));
    site.world.pass_seconds(10);
    assert_eq!(site.get(&mut browser), alice());
}

#[test]
fn a_provider_that_refuses_ends_the_session() {
    for seconds in [85, 105] {
        let site = site("");
        let mut browser = refreshed_soon(&site);
        site.world.answer(TOKEN, 400, &[], r#"{"error":"invalid_grant"}"#);
        site.world.pass_seconds(seconds);
        assert_eq!(site.get(&mut browser), Seen::Refused(Code::CredentialExpired));
        assert!(is_sent_to_log_in(&page(&site, &mut browser)));
    }
}

#[test]
fn a_refresh_of_somebody_else_ends_the_session() {
    for (subject, expected) in [("alice", alice()), ("bob", Seen::Refused(Code::CredentialExpired))] {
        let site = site("");
        let mut browser = refreshed_soon(&site);
        let token = id_token("", &json!({ "sub": subject, "nonce": null }));
        site.give(&json!({ "id_token": token, "access_token": "b", "expires_in": 100 }));
        site.world.pass_seconds(90);
        assert_eq!(site.get(&mut browser), expected, "{subject}");
    }
}

#[test]
fn a_person_is_sent_to_log_in_and_a_script_is_not() {
    let site = site("");
    let nobody = Browser::default();
    let invited = |verb: &str, path: &str, fields: &[(&str, &str)]| {
        site.invite(&site.request(verb, path, &nobody, fields)).map(|denial| refusal(&denial))
    };
    assert!(invited("GET", "/orders", &PAGE).is_some_and(|seen| is_sent_to_log_in(&seen)));
    assert!(invited("HEAD", "/orders", &PAGE).is_some_and(|seen| is_sent_to_log_in(&seen)));
    assert_eq!(invited("GET", "/orders", &[]), None);
    assert_eq!(invited("PUT", "/orders", &PAGE), None);
    // A form of a page that is older than its session, and whoever comes back, see a page.
    let missing = Some(Seen::Refused(Code::CredentialMissing));
    assert_eq!(invited("POST", "/orders", &PAGE), missing);
    assert_eq!(invited("GET", "/auth/callback", &PAGE), missing);
    assert_eq!(invited("GET", "/auth/logout", &PAGE), missing);
}

#[test]
fn a_page_leads_back_to_where_somebody_came_from() {
    let site = site("");
    let nobody = Browser::default();
    let shown = |verb: &str, path: &str, fields: &[(&str, &str)]| {
        let fields = [&PAGE[..], fields].concat();
        let denial = site.invite(&site.request(verb, path, &nobody, &fields)).unwrap();
        denial.page().cloned().unwrap()
    };
    let posted = shown("POST", "/save", &[("referer", "https://api.example/form?a=b")]);
    let words = || posted.clone();
    assert_eq!(posted, words().leading_to("/form?a=b"));
    for (referer, path) in [("https://evil.example/x", "/"), ("https://api.example//evil.example", "/")] {
        assert_eq!(shown("POST", "/save", &[("referer", referer)]), words().leading_to(path), "{referer}");
    }
    assert_eq!(shown("POST", "/save", &[]), words().leading_to("/"));
    assert_eq!(shown("GET", "/auth/callback?a=b", &[]), words().leading_to("/auth/callback?a=b"));
}

#[test]
fn a_session_holds_while_the_login_is_the_same() {
    let site = site("");
    let browser = site.logged_in(&json!({}), &json!({}));
    let request = site.request("GET", "/", &browser, &[]);
    let Authn::ClaimAndTell(let_in, _) = site.authenticate(&request) else { panic!("not let in") };
    let upheld = |site: &Site, evidence: &Evidence| {
        let asked = Asked::get(&[]);
        match at_once(site.check.uphold(evidence, &asked.facts(&site.world), &site.world).resolve()) {
            Authn::Claim(_) => Ok(true),
            Authn::NotMine => Ok(false),
            Authn::Deny(denial) => Err(denial.code()),
            Authn::ClaimAndTell(..) => panic!("nothing is told"),
        }
    };
    assert_eq!(upheld(&site, &let_in), Ok(true));
    assert_eq!(let_in.ground.as_ref().unwrap().until, Some(Duration::from_secs(START + 3600)));
    let changed = super::site(", session_lifetime: 11h");
    assert_eq!(upheld(&changed, &let_in), Err(Code::CredentialExpired));
    let mut by_another = let_in.clone();
    by_another.check = CheckId::new("authn.api_key");
    assert_eq!(upheld(&site, &by_another), Ok(false));
    let mut by_nothing = let_in.clone();
    by_nothing.ground = None;
    assert_eq!(upheld(&site, &by_nothing), Ok(false));
    let logout = Request::post("/auth/logout").header("cookie", browser.cookies()).header(ORIGIN.0, ORIGIN.1);
    site.answer("/auth/logout", &logout.body(Bytes::new()).unwrap());
    assert_eq!(upheld(&site, &let_in), Err(Code::CredentialExpired));
}

#[test]
fn a_check_says_what_it_is() {
    let site = site(", roles_prefix: 'staff/'");
    assert_eq!(
        site.check.describe(),
        "a browser session of https://id.example, at https://api.example; people without one are sent to log in"
    );
    assert_eq!(site.check.challenges(None), ["Cookie"]);
    assert_eq!(site.check.credentials().len(), 7);
    let answers = |kind| {
        let all = site.check.answers(&SecurityScheme { name: "scheme", kind });
        all.into_iter().map(|(_, answers)| answers).collect::<Vec<_>>()
    };
    assert_eq!(answers(SchemeKind::OpenIdConnect(PROVIDER)), [Answers::Certainly]);
    assert_eq!(answers(SchemeKind::OpenIdConnect("https://other.example")), [Answers::Foreign]);
    assert_eq!(answers(SchemeKind::MutualTls), []);
}

#[test]
fn somebody_logs_out_here_and_at_the_provider() {
    let site = site("");
    let mut browser = site.logged_in(&json!({}), &json!({}));
    let mut copy = browser.clone();
    let log_out = |browser: &Browser, fields: &[(&str, &str)]| {
        let request = Request::post("/auth/logout").header("cookie", browser.cookies());
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        site.answer("/auth/logout", &request.body(Bytes::new()).unwrap())
    };
    for elsewhere in [&[][..], &[("origin", "https://evil.example")]] {
        assert_eq!(why(&log_out(&browser, elsewhere)).0, Code::CrossSite);
        assert_eq!(site.get(&mut browser), alice());
    }
    let response = log_out(&browser, &[ORIGIN]);
    assert_eq!(response.status(), 303);
    let hint = id_token_hint(&response);
    assert!(
        location(&response).starts_with(&format!(
            "{END}?client_id=gate&post_logout_redirect_uri=https%3A%2F%2Fapi.example%2F"
        ))
    );
    assert_eq!(hint.split('.').count(), 3, "the ID token, so that nobody is asked there");
    browser.take(response.headers().get_all(header::SET_COOKIE));
    assert!(!browser.has_session());
    assert_eq!(site.get(&mut copy), Seen::Refused(Code::CredentialExpired), "a copy is worth nothing");
    // Nor does it lead on from the link of a login.
    let start = site.come_back("start=%2F", &mut copy);
    assert!(matches!(refusal(denial_of(&start).unwrap()), Seen::Sent(_)));
    // Whoever has no session is led on all the same.
    assert_eq!(log_out(&Browser::default(), &[ORIGIN]).status(), 303);
}

fn id_token_hint(response: &Response<Bytes>) -> String {
    location(response).split("&id_token_hint=").nth(1).unwrap_or_default().to_owned()
}

/// A logout token of the provider.
fn logout_token(claims: &Value) -> String {
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let mut all = json!({
        "iss": PROVIDER, "aud": "gate", "iat": START, "jti": "n", "events": { event: {} },
    });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    KEY.sign(&json!({ "typ": "logout+jwt" }), &all)
}

#[test]
fn a_provider_ends_sessions() {
    let site = site(", backchannel_logout_path: /ended");
    let post = |body: &str| {
        let request = Request::post("/ended").extension(ClientAddress(CLIENT));
        site.answer("/ended", &request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap())
    };
    let mut one = site.logged_in(&json!({ "sid": "s1" }), &json!({}));
    let mut two = site.logged_in(&json!({ "sid": "s2" }), &json!({}));
    let forged = Key::named(2, "a").sign(
        &json!({ "typ": "logout+jwt" }),
        &json!({ "iss": PROVIDER, "aud": "gate", "iat": START, "jti": "x", "sid": "s1",
                 "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
    );
    let long = logout_token(&json!({ "sid": "s1", "fill": "x".repeat(12 * 1024) }));
    assert!(long.len() > 16 * 1024);
    for (body, detail) in [
        (String::new(), "it brings no logout token"),
        (format!("logout_token={long}"), "its token is too long"),
        ("logout_token=a&logout_token=b".to_owned(), "it brings several logout tokens"),
        ("logout_token=a".to_owned(), "the logout token cannot be read"),
        (format!("logout_token={forged}"), "the logout token: the signature is not the key's"),
    ] {
        assert_eq!(why(&post(&body)), (Code::LogoutRefused, detail.to_owned()));
    }
    assert_eq!((site.get(&mut one), site.get(&mut two)), (alice(), alice()));
    let good = format!("logout_token={}", logout_token(&json!({ "sid": "s1" })));
    let response = post(&good);
    assert_eq!(
        (response.status().as_u16(), &response.headers()[header::CACHE_CONTROL]),
        (200, &HeaderValue::from_static("no-store"))
    );
    assert_eq!(site.get(&mut one), Seen::Refused(Code::CredentialExpired));
    assert_eq!(site.get(&mut two), alice(), "another session of the same person");
    assert_eq!(why(&post(&good)), (Code::LogoutRefused, "the logout token was used before".into()));
    assert_eq!(
        post(&format!("logout_token={}", logout_token(&json!({ "sub": "alice", "jti": "m" })))).status(),
        200
    );
    assert_eq!(site.get(&mut two), Seen::Refused(Code::CredentialExpired));
    site.world.forget();
    let next = format!("logout_token={}", logout_token(&json!({ "sid": "s1", "jti": "o" })));
    assert_eq!(why(&post(&next)).0, Code::Fault, "the provider may send it again");
}

#[test]
fn what_does_not_fit_is_left_out() {
    let site = site(", max_session_size: 1KiB");
    let large = "r".repeat(800);
    let browser = site.logged_in(&json!({ "fill": "i".repeat(400) }), &json!({ "refresh_token": large }));
    let notices = site.world.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("a refresh token is not kept"), "{notices:?}");
    assert!(matches!(site.authenticate(&site.request("GET", "/", &browser, &[])), Authn::ClaimAndTell(..)));
    let browser = site.logged_in(&json!({ "fill": "i".repeat(800) }), &json!({ "refresh_token": "r" }));
    assert!(site.world.notices()[0].contains("an ID token is not kept"));
    assert!(browser.has_session());
}
