use super::*;
use portcullis_core::page::Page;
use portcullis_core::{Advice, Standing as Source};

/// A login that the provider is about to answer well, and the query with which the browser comes back.
fn about_to(site: &Site) -> (Browser, String) {
    let mut browser = Browser::default();
    let sent = site.begin("/orders?page=2", &mut browser);
    site.give_alice(&sent);
    (browser, format!("state={}&code=c%26c", sent.state))
}

#[test]
fn somebody_logs_in_and_comes_back_to_where_they_were_going() {
    let site = site("");
    let mut browser = Browser::default();
    assert_eq!(site.get(&mut browser), Seen::Nobody);
    let sent = site.begin("/orders?page=2", &mut browser);
    assert_eq!((browser.attempts(), browser.has_session()), (1, false));
    site.give_alice(&sent);
    let response = site.come_back(&format!("state={}&code=c%26c", sent.state), &mut browser);
    assert_eq!(
        (response.status().as_u16(), location(&response).as_str()),
        (303, "https://api.example/orders?page=2")
    );
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let asked = site.world.asked().remove(0);
    let body = String::from_utf8(asked.body.to_vec()).unwrap();
    assert!(body.starts_with("grant_type=authorization_code&code=c%26c&redirect_uri=https%3A%2F%2Fapi.example%2Fauth%2Fcallback&code_verifier="), "{body}");
    assert!(asked.client.is_some_and(|client| client.address == CLIENT && !client.known));
    assert_eq!(site.get(&mut browser), alice());
    assert_eq!(site.world.failures(), 0);
    // The link of a login that is over leads a browser with a session on, and no other.
    let again = site.come_back(&format!("state={}&code=c", sent.state), &mut browser);
    assert_eq!(
        (again.status().as_u16(), location(&again).as_str()),
        (303, "https://api.example/orders?page=2")
    );
    assert!(site.world.asked().is_empty());
    browser.0.retain(|name, _| name.contains("-attempt-"));
    let lost = site.come_back(&format!("state={}&code=c", sent.state), &mut browser);
    assert_eq!(why(&lost), (Code::LoginFailed, "the attempt was used before".into()));
    assert_eq!(denial_of(&lost).unwrap().page(), Some(&Page::new(&pages::USED).leading_to("/orders?page=2")));
}

#[test]
fn a_state_is_that_of_the_attempt() {
    let site = site("");
    let (mut browser, query) = about_to(&site);
    let failed = |query: &str, browser: &mut Browser| {
        let response = site.come_back(query, browser);
        let page = denial_of(&response).unwrap().page().cloned();
        let (code, detail) = why(&response);
        assert_eq!(code, Code::LoginFailed);
        (detail, page)
    };
    let (other, forgotten) =
        ("its state is of another attempt", Page::new(&pages::FORGOTTEN).leading_to("/"));
    let longer = query.replace("&code", "x&code");
    assert_eq!(failed(&longer, &mut browser), (other.into(), Some(forgotten.clone())));
    let missing = failed("state=1abc&code=c", &mut browser);
    assert_eq!(missing, ("the browser does not bring the cookie of an attempt".into(), Some(forgotten)));
    assert_eq!(failed("state=9abc&code=c", &mut browser).0, "its state is none of ours");
    assert_eq!(failed("code=c", &mut browser).0, "it brings no state");
    assert_eq!(failed(&format!("{query}&code=d"), &mut browser).0, "a parameter repeats, or is not text");
    assert!(site.world.asked().is_empty(), "the provider is asked for nothing of it");
    // What is refused for a repeated parameter was this attempt's only try.
    let (mut browser, query) = about_to(&site);
    assert_eq!(site.come_back(&query, &mut browser).status(), 303);
    let (detail, page) = failed(&query.replace("&code", "x&code"), &mut browser);
    assert_eq!((detail.as_str(), page), (other, Some(Page::new(&pages::ALREADY).leading_to("/"))));
}

#[test]
fn an_attempt_lasts_ten_minutes() {
    for (seconds, good) in [(599, true), (600, false)] {
        let site = site("");
        let (mut browser, query) = about_to(&site);
        site.world.pass_seconds(seconds);
        let response = site.come_back(&query, &mut browser);
        if good {
            assert_eq!(response.status(), 303);
        } else {
            assert_eq!(why(&response), (Code::LoginFailed, "the attempt took too long".into()));
            assert_eq!(browser.attempts(), 0, "it is over");
        }
    }
}

#[test]
fn the_answer_is_that_of_this_provider() {
    for (names_itself, more, good) in [
        (false, "", true),
        (true, "", false),
        (false, "&iss=https%3A%2F%2Fid.example", true),
        (true, "&iss=https%3A%2F%2Fid.example", true),
        (false, "&iss=https%3A%2F%2Fother.example", false),
        (true, "&iss=https%3A%2F%2Fother.example", false),
    ] {
        let site = site_of("", &json!({ "authorization_response_iss_parameter_supported": names_itself }));
        let (mut browser, query) = about_to(&site);
        let response = site.come_back(&format!("{query}{more}"), &mut browser);
        assert_eq!(browser.has_session(), good, "{names_itself} {more}");
        if !good {
            assert_eq!(why(&response).0, Code::LoginFailed, "{names_itself} {more}");
            assert!(site.world.asked().is_empty());
        }
    }
}

#[test]
fn what_the_provider_says_is_told_in_fixed_words() {
    let failed = Page::new(&pages::CANCELLED).leading_to("/orders?page=2");
    for (error, code, cancelled) in [
        ("access_denied", Code::LoginFailed, true),
        ("temporarily_unavailable", Code::Fault, false),
        ("server_error", Code::Fault, false),
        ("invalid_scope", Code::LoginFailed, false),
        ("%3Cb%3E", Code::LoginFailed, false),
    ] {
        let site = site("");
        let mut browser = Browser::default();
        let sent = site.begin("/orders?page=2", &mut browser);
        let response = site.come_back(&format!("state={}&error={error}", sent.state), &mut browser);
        assert_eq!(why(&response).0, code, "{error}");
        assert_eq!(denial_of(&response).unwrap().page() == Some(&failed), cancelled, "{error}");
        assert_eq!(browser.attempts(), 0, "{error}");
    }
}

#[test]
fn a_provider_that_fails_can_be_asked_again() {
    let site = site("");
    let (mut browser, query) = about_to(&site);
    site.world.answer(TOKEN, 503, &[], "");
    assert_eq!(why(&site.come_back(&query, &mut browser)).0, Code::Fault);
    assert_eq!(browser.attempts(), 1, "the page can be loaded again");
    site.world.answer(TOKEN, 400, &[], r#"{"error":"invalid_grant"}"#);
    let refused = site.come_back(&query, &mut browser);
    assert_eq!(why(&refused), (Code::LoginFailed, "the provider does not take its code".into()));
    assert_eq!((browser.attempts(), site.world.failures()), (0, 1));
}

#[test]
fn a_code_is_exchanged_once_whatever_copies_of_the_cookie_there_are() {
    let site = site("");
    let (mut browser, query) = about_to(&site);
    let mut copy = browser.clone();
    assert_eq!(site.come_back(&query, &mut browser).status(), 303);
    assert_eq!(
        why(&site.come_back(&query, &mut copy)),
        (Code::LoginFailed, "the attempt was used before".into())
    );
    assert_eq!(site.world.asked().len(), 1);
    let (mut browser, query) = about_to(&site);
    site.world.forget();
    assert_eq!(why(&site.come_back(&query, &mut browser)).0, Code::Fault);
}

#[test]
fn an_id_token_is_of_this_login() {
    for claims in [
        json!({ "nonce": "other" }),
        json!({ "nonce": null }),
        json!({ "aud": "other" }),
        json!({ "iss": "https://other.example" }),
        json!({ "exp": START - 60 }),
    ] {
        let site = site("");
        let mut browser = Browser::default();
        let sent = site.begin("/", &mut browser);
        site.give(&json!({ "id_token": id_token(&sent.nonce, &claims), "access_token": "a" }));
        let response = site.come_back(&format!("state={}&code=c", sent.state), &mut browser);
        let (code, detail) = why(&response);
        assert_eq!(code, Code::LoginFailed, "{claims}");
        assert!(detail.starts_with("the ID token, "), "{detail}");
    }
    let site = site("");
    let (mut browser, query) = about_to(&site);
    site.give(&json!({ "access_token": "a" }));
    assert_eq!(
        why(&site.come_back(&query, &mut browser)),
        (Code::LoginFailed, "the provider gave no ID token".into())
    );
}

#[test]
fn made_up_codes_count_as_guesses() {
    let site = site("");
    let (browser, query) = about_to(&site);
    site.world.hold(true);
    {
        let request = back(&query, &browser, &PAGE);
        let served = site.endpoints.iter().find(|served| served.path == "/auth/callback").unwrap();
        let mut waiting = Box::pin(served.endpoint.answer(&request, &site.world).resolve());
        assert!(step(waiting.as_mut()).is_pending());
        assert_eq!(site.world.failures(), 0);
    }
    assert_eq!(site.world.failures(), 1, "whoever breaks off had the provider asked");
}

#[test]
fn a_source_that_must_wait_is_told_for_how_long() {
    for (wait, seconds) in [(0, 1), (999, 1), (1000, 1), (1001, 2), (2000, 2), (2500, 3)] {
        let site = site("");
        let (mut browser, query) = about_to(&site);
        site.world.stand(Source::Blocked { wait: Duration::from_millis(wait) });
        let response = site.come_back(&query, &mut browser);
        let denial = denial_of(&response).unwrap();
        assert_eq!(denial.code(), Code::TooManyFailures);
        assert_eq!(denial.advice(), &Advice::RetryAfter { seconds }, "{wait}");
        assert_eq!((browser.attempts(), site.world.asked().len()), (1, 0), "it can be loaded again");
        site.world.stand(Source::Observed { wait: Duration::from_millis(wait) });
        assert_eq!(site.come_back(&query, &mut browser).status(), 303);
    }
}

#[test]
fn a_form_of_the_provider_logs_in() {
    let site = site(", response_mode: form_post");
    let (mut browser, query) = about_to(&site);
    assert_eq!(
        why(&site.come_back(&query, &mut browser)),
        (Code::LoginFailed, "it does not come as the provider was told to send it".into())
    );
    let post = |kind: &str, body: &str, browser: &Browser| {
        let request = Request::post("/auth/callback").header("cookie", browser.cookies());
        let request = request.header("content-type", kind).extension(ClientAddress(CLIENT));
        let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        site.answer("/auth/callback", &request)
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(why(&post("text/plain", &query, &browser)).1, "it brings no form");
    assert_eq!(why(&post("", &query, &browser)).1, "it brings no form");
    assert_eq!(why(&post(form, "start=/orders", &browser)).1, "it brings no state");
    assert_eq!(post("Application/X-WWW-Form-Urlencoded; charset=utf-8", &query, &browser).status(), 303);
    // A site whose provider was told to send links takes no form.
    let by_link = super::site("");
    let (browser, query) = about_to(&by_link);
    let request = Request::post("/auth/callback").header("cookie", browser.cookies());
    let request = request.header("content-type", form).body(Bytes::from(query)).unwrap();
    assert_eq!(
        why(&by_link.answer("/auth/callback", &request)).1,
        "it does not come as the provider was told to send it"
    );
}

#[test]
fn a_login_begins_at_the_host_to_which_it_leads_back() {
    let site = site("");
    let other = [PAGE[0], PAGE[1], ("host", "other.example")];
    let mut browser = Browser::default();
    let denial = site.invite(&site.request("GET", "/orders?page=2", &browser, &other)).unwrap();
    let there = "https://api.example/auth/callback?start=%2Forders%3Fpage%3D2";
    assert_eq!(refusal(&denial), Seen::Sent(there.to_owned()));
    let start = "start=%2Forders%3Fpage%3D2";
    let begun = site.come_back(start, &mut browser);
    let Seen::Sent(location) = refusal(denial_of(&begun).unwrap()) else { panic!("sent nowhere") };
    assert!(location.starts_with(&format!("{AUTHORIZE}?response_type=code&client_id=gate")), "{location}");
    assert_eq!(browser.attempts(), 1);
    let sent = sent(&location);
    site.give_alice(&sent);
    let response = site.come_back(&format!("state={}&code=c", sent.state), &mut browser);
    assert_eq!(super::location(&response), "https://api.example/orders?page=2");
    // A browser that has logged in already is led on, a script is not, and nobody to another site.
    assert_eq!(super::location(&site.come_back(start, &mut browser)), "https://api.example/orders?page=2");
    assert_eq!(
        super::location(&site.come_back("start=%2F%2Fevil.example", &mut browser)),
        "https://api.example/"
    );
    let script = site.answer("/auth/callback", &back(start, &browser, &[]));
    assert_eq!(why(&script).1, "only a browser begins a login");
    // A session that is over, by its age or by a logout, is none.
    let mut old = browser.clone();
    site.world.pass_seconds(3600);
    assert!(matches!(refusal(denial_of(&site.come_back(start, &mut old)).unwrap()), Seen::Sent(_)));
}
