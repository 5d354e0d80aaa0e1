use super::*;
use crate::token::json;

const NOW: Duration = Duration::from_secs(1_000_000);

fn rules() -> Rules {
    Rules {
        audience: Some(vec!["api".into()]),
        audience_claim: None,
        profile: Profile::Any,
        leeway: Duration::from_secs(30),
        max_age: None,
        roles: RoleRules::plain(ClaimPath::parse("roles").unwrap()),
        scopes: None,
        subject: None,
    }
}

fn judge(rules: &Rules, claims: &str) -> Result<Judged, Code> {
    judge_as(rules, claims, Purpose::Unsaid)
}

fn judge_as(rules: &Rules, claims: &str, purpose: Purpose) -> Result<Judged, Code> {
    let claims = json::object(claims.as_bytes()).unwrap();
    rules.judge("https://issuer.example", claims, purpose, NOW).map_err(|denial| denial.code())
}

const GOOD: &str = r#"{"iss":"https://issuer.example","sub":"alice","aud":"api","exp":1000100,"scope":"a b","roles":["user"]}"#;

#[test]
fn a_token_that_says_what_it_must_is_a_subject() {
    let judged = judge(&rules(), GOOD).unwrap();
    assert_eq!(judged.subject.name, "alice");
    assert_eq!(judged.subject.scopes, ["a", "b"]);
    assert_eq!(judged.subject.roles, ["user"]);
    assert_eq!(judged.expires, Duration::from_secs(1_000_100));
    assert!(judge(&rules(), &GOOD.replace("\"api\"", "[\"x\",\"api\"]")).is_ok());
    assert!(judge(&rules(), &GOOD.replace("1000100", "999971")).is_ok(), "within the leeway");
    assert!(judge(&rules(), &GOOD.replace("1000100", "1000100.5")).is_ok());
}

#[test]
fn each_claim_is_judged() {
    let with = |more: &str| GOOD.replacen('{', &format!("{{{more},"), 1);
    for (claims, expected) in [
        (GOOD.replace("issuer.example", "issuer.example/"), Code::TokenIssuer),
        (GOOD.replace("\"https://issuer.example\"", "[\"https://issuer.example\"]"), Code::TokenIssuer),
        (GOOD.replace("\"exp\"", "\"EXP\""), Code::TokenClaims),
        (GOOD.replace("1000100", "999970"), Code::CredentialExpired),
        (GOOD.replace("1000100", "\"1000100\""), Code::TokenClaims),
        (GOOD.replace("1000100", "null"), Code::TokenClaims),
        (GOOD.replace("1000100", "-1"), Code::TokenClaims),
        (GOOD.replace("1000100", "1e300"), Code::TokenClaims),
        (with("\"nbf\":1000031"), Code::TokenNotYetValid),
        (with("\"iat\":1000031"), Code::TokenNotYetValid),
        (with("\"nbf\":\"0\""), Code::TokenClaims),
        (GOOD.replace("\"aud\":\"api\",", ""), Code::TokenAudience),
        (GOOD.replace("\"api\"", "\"API\""), Code::TokenAudience),
        (GOOD.replace("\"api\"", "[]"), Code::TokenAudience),
        (GOOD.replace("\"api\"", "[\"api\",1]"), Code::TokenAudience),
        (GOOD.replace("\"api\"", "{\"api\":1}"), Code::TokenAudience),
        (GOOD.replace("\"alice\"", "1"), Code::TokenClaims),
        (GOOD.replace("\"alice\"", "\" \""), Code::TokenClaims),
        (GOOD.replace("\"alice\"", "\"a\\u0000b\""), Code::TokenClaims),
        (GOOD.replace("\"sub\":\"alice\",", ""), Code::TokenClaims),
        (with("\"cnf\":{}"), Code::TokenBinding),
        (with("\"cnf\":{\"jkt\":\"AA\"}"), Code::TokenBinding),
        (with("\"cnf\":{\"kid\":\"1\"}"), Code::TokenBinding),
        (with("\"cnf\":\"x\""), Code::TokenBinding),
    ] {
        assert_eq!(judge(&rules(), &claims).map(|_| ()), Err(expected), "{claims}");
    }
}

#[test]
fn what_is_at_a_bound_is_within_it() {
    let with = |more: &str| GOOD.replacen('{', &format!("{{{more},"), 1);
    for more in ["\"nbf\":1000030", "\"iat\":1000030"] {
        assert!(judge(&rules(), &with(more)).is_ok(), "{more}");
    }
    let digest = "A".repeat(43);
    let bound = judge(&rules(), &with(&format!("\"cnf\":{{\"jkt\":\"{digest}\"}}"))).unwrap();
    assert_eq!((bound.binding.key, bound.binding.certificate), (Some([0; 32]), None));
    let bound = judge(&rules(), &with(&format!("\"cnf\":{{\"x5t#S256\":\"{digest}\"}}"))).unwrap();
    assert_eq!((bound.binding.key, bound.binding.certificate), (None, Some([0; 32])));
}

#[test]
fn an_access_token_says_when_it_was_issued_its_number_and_its_client() {
    let rules = Rules { profile: Profile::AccessToken, ..rules() };
    let parts = ["\"iat\":1000000", "\"jti\":\"1\"", "\"client_id\":\"app\""];
    let with = |parts: &[&str]| GOOD.replacen('{', &format!("{{{},", parts.join(",")), 1);
    assert!(judge(&rules, &with(&parts)).is_ok());
    for left_out in 0..parts.len() {
        let mut parts = parts.to_vec();
        parts.remove(left_out);
        assert_eq!(judge(&rules, &with(&parts)).map(|_| ()), Err(Code::TokenClaims), "{parts:?}");
    }
}

#[test]
fn a_token_for_a_client_is_no_access_token() {
    let rules = Rules { profile: Profile::Access, ..rules() };
    assert!(judge(&rules, GOOD).is_ok());
    for more in [
        r#""at_hash":"x""#,
        r#""c_hash":"x""#,
        r#""events":{}"#,
        r#""typ":"ID""#,
        r#""typ":"refresh""#,
        r#""token_use":"id""#,
        r#""token_use":"id_token""#,
        r#""token_type":"refresh""#,
        r#""type":"refresh""#,
        r#""typ":"Serialized-ID""#,
        r#""typ":"RegistrationAccessToken""#,
    ] {
        let claims = GOOD.replacen('{', &format!("{{{more},"), 1);
        assert_eq!(judge(&rules, &claims).map(|_| ()), Err(Code::TokenType), "{more}");
    }
    assert!(judge(&rules, &GOOD.replacen('{', r#"{"typ":"Bearer","#, 1)).is_ok());
    // What an API calls a type of its own is not a kind of token.
    assert!(judge(&rules, &GOOD.replacen('{', r#"{"type":"id","#, 1)).is_ok());
}

#[test]
fn a_token_that_answers_a_login_is_no_access_token() {
    let rules = Rules { profile: Profile::Access, ..rules() };
    let id = GOOD.replace(r#""scope":"a b","#, r#""nonce":"n","#);
    assert_eq!(judge(&rules, &id).map(|_| ()), Err(Code::TokenType));
    let with = |more: &str| id.replacen('{', &format!("{{{more},"), 1);
    // Nothing else that an identity token has makes it one for an API.
    for more in [r#""auth_time":1"#, r#""azp":"api""#, r#""typ":"JWT""#, r#""client_id":"api""#] {
        assert_eq!(judge(&rules, &with(more)).map(|_| ()), Err(Code::TokenType), "{more}");
    }
    // Older releases of Keycloak put the nonce into access tokens, and other servers do beside a scope.
    for more in [r#""typ":"Bearer""#, r#""typ":"DPoP""#, r#""scope":"openid""#, r#""scp":["a"]"#] {
        assert!(judge(&rules, &with(more)).is_ok(), "{more}");
    }
    assert!(judge_as(&rules, &id, Purpose::Access).is_ok(), "its header or its server says so");
    assert!(judge(&Rules { profile: Profile::Any, ..rules }, &id).is_ok());
}

#[test]
fn a_role_with_a_space_is_one_role() {
    let claims = |roles: &str| json::object(format!(r#"{{"roles":{roles}}}"#).as_bytes()).unwrap();
    let plain = RoleRules::plain(ClaimPath::parse("roles").unwrap());
    let by = |separator: &str| RoleRules { separator: Some(separator.into()), ..plain.clone() };
    let none: [&str; 0] = [];
    assert_eq!(plain.of(&claims(r#""billing admin""#)), ["billing admin"]);
    assert_eq!(plain.of(&claims(r#""admin""#)), ["admin"]);
    assert_eq!(plain.of(&claims(r#""admin,user""#)), ["admin,user"]);
    assert_eq!(plain.of(&claims(r#"["billing admin","user"]"#)), ["billing admin", "user"]);
    assert_eq!(plain.of(&claims(r#""""#)), none);
    assert_eq!(plain.of(&claims(r#"" ""#)), none);
    assert_eq!(plain.of(&claims(r#"{"admin":true}"#)), none);
    assert_eq!(plain.of(&claims(r#"["admin",1]"#)), none);
    assert_eq!(by(" ").of(&claims(r#""billing  admin""#)), ["billing", "admin"]);
    assert_eq!(by(",").of(&claims(r#""billing admin, user,""#)), ["billing admin", "user"]);
    assert_eq!(by(",").of(&claims(r#"["a,b"]"#)), ["a,b"], "what is a list is not split");
    let prefixed = RoleRules { prefix: "partner:".into(), ..plain };
    assert_eq!(prefixed.of(&claims(r#"["admin"]"#)), ["partner:admin"]);
}

#[test]
fn a_role_that_is_spelled_as_anothers_is_not_given() {
    let all = ["partner:".to_owned(), "partner:eu:".to_owned(), "staff/".to_owned()];
    let of = |prefix: &str, roles: &str| {
        let plain = RoleRules::plain(ClaimPath::parse("roles").unwrap());
        let rules = RoleRules { prefix: prefix.into(), reserved: reserved(prefix, &all), ..plain };
        rules.of(&json::object(format!("{{\"roles\":{roles}}}").as_bytes()).unwrap())
    };
    let none: [&str; 0] = [];
    assert_eq!(
        of("", r#"["admin","partner:admin","partner:","staff/x","Partner:x"]"#),
        ["admin", "Partner:x"]
    );
    assert_eq!(of("", r#""partner:admin""#), none);
    assert_eq!(of("partner:", r#"["admin","eu:admin","staff/x"]"#), ["partner:admin", "partner:staff/x"]);
    assert_eq!(of("partner:eu:", r#"["admin"]"#), ["partner:eu:admin"]);
}

#[test]
fn an_access_token_says_that_it_is_one() {
    let rules = Rules { profile: Profile::AccessToken, ..rules() };
    assert!(rules.judge_type(Some("at+jwt")).is_ok());
    for typ in [None, Some("jwt"), Some("dpop+jwt"), Some("id_token")] {
        assert!(rules.judge_type(typ).is_err());
    }
    assert!(Rules { profile: Profile::Any, ..rules.clone() }.judge_type(Some("dpop+jwt")).is_err());
    assert_eq!(judge(&rules, GOOD).map(|_| ()), Err(Code::TokenClaims));
    let full = GOOD.replacen('{', r#"{"iat":1000000,"jti":"1","client_id":"c","#, 1);
    assert!(judge(&rules, &full).is_ok());
    let old = Rules { max_age: Some(Duration::from_secs(60)), ..rules };
    assert!(judge(&old, &full).is_ok());
    assert_eq!(judge(&old, &full).unwrap().expires, Duration::from_secs(1_000_060));
    let stale = full.replace("\"iat\":1000000", "\"iat\":999900");
    assert_eq!(judge(&old, &stale).map(|_| ()), Err(Code::CredentialExpired));
}
#[test]
fn roles_of_several_claims_are_one_list() {
    let paths = ["realm_access.roles", "resource_access[\"my.client\"].roles", "groups"];
    let several = RoleRules {
        claims: paths.iter().map(|path| ClaimPath::parse(path).unwrap()).collect(),
        ..RoleRules::plain(ClaimPath::new(["roles"]))
    };
    let of = |text: &str| several.of(&json::object(text.as_bytes()).unwrap());
    let keycloak = r#"{"realm_access":{"roles":["a"]},"resource_access":{"my.client":{"roles":["b","c"]}},"groups":"d"}"#;
    assert_eq!(of(keycloak), ["a", "b", "c", "d"]);
    assert_eq!(
        of(r#"{"resource_access":{"my":{"client":{"roles":["b"]}}},"groups":null}"#),
        Vec::<String>::new()
    );
}

#[test]
fn an_audience_stands_where_the_file_says_and_nowhere_else() {
    let by = |claims: &str| {
        let path = Some(ClaimPath::parse("client_id").unwrap());
        let rules = Rules { audience_claim: path, ..rules() };
        judge(&rules, &GOOD.replacen('{', &format!("{{{claims}"), 1)).map(|_| ())
    };
    assert_eq!(by(r#""client_id":"api","#), Ok(()));
    for other in ["", r#""client_id":"other","#, r#""client_id":null,"#, r#""client_id":["other"],"#] {
        assert_eq!(by(other), Err(Code::TokenAudience), "`aud` is there, and says nothing: {other}");
    }
}

#[test]
fn a_subject_stands_where_the_file_says_and_nowhere_else() {
    let by = |path: &str, claims: &str| {
        let rules = Rules { subject: Some(ClaimPath::parse(path).unwrap()), ..rules() };
        judge(&rules, &GOOD.replacen('{', &format!("{{{claims}"), 1)).map(|judged| judged.subject.name)
    };
    assert_eq!(by("oid", r#""oid":"7f","#), Ok("7f".to_owned()));
    assert_eq!(by("user.id", r#""user":{"id":42},"#), Ok("42".to_owned()));
    // `sub` is there, and is not the subject here.
    for missing in
        ["", r#""oid":null,"#, r#""oid":"","#, r#""oid":["7f"],"#, r#""oid":1.5,"#, r#""oid":"a\u000ab","#]
    {
        assert_eq!(by("oid", missing), Err(Code::TokenClaims), "{missing}");
    }
}

#[test]
fn the_roles_that_are_left_out_are_told() {
    let plain = RoleRules::plain(ClaimPath::new(["roles"]));
    assert_eq!(plain.told(), "");
    let one = RoleRules { reserved: vec!["partner:".into()], ..plain.clone() };
    assert_eq!(one.told(), ", without roles that begin with `partner:`");
    let two = RoleRules { reserved: vec!["partner:".into(), "staff/".into()], ..plain };
    assert_eq!(two.told(), ", without roles that begin with `partner:` or `staff/`");
}

#[test]
fn only_one_type_says_that_a_token_is_an_access_token() {
    assert_eq!(Purpose::of_type(Some("at+jwt")), Purpose::Access);
    for other in [None, Some("jwt"), Some("AT+JWT"), Some("")] {
        assert_eq!(Purpose::of_type(other), Purpose::Unsaid, "{other:?}");
    }
}

#[test]
fn a_token_grows_too_old_at_the_second_that_is_said() {
    let rules = Rules { max_age: Some(Duration::from_secs(60)), ..rules() };
    let issued = |iat: u64| judge(&rules, &GOOD.replacen('{', &format!("{{\"iat\":{iat},"), 1)).map(|_| ());
    assert_eq!(issued(999_911), Ok(()), "60 s, and 30 s by which the clocks may differ");
    assert_eq!(issued(999_910), Err(Code::CredentialExpired));
    assert_eq!(judge(&rules, GOOD).map(|_| ()), Err(Code::TokenClaims), "nobody knows how old it is");
}
