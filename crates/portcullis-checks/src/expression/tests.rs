use super::*;
use cel::common::types::{CelBool, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString};

fn variables() -> [(&'static str, Kind); 1] {
    [("claims", Kind::map(Kind::Dyn))]
}

fn text(text: &str) -> Box<dyn Val> {
    Box::new(CelString::from(text.to_owned()))
}

fn list(items: Vec<Box<dyn Val>>) -> Box<dyn Val> {
    Box::new(CelList::from(items))
}

fn map(members: Vec<(&'static str, Box<dyn Val>)>) -> Box<dyn Val> {
    Box::new(CelMap::from(
        members.into_iter().map(|(name, value)| (CelMapKey::from(name), value)).collect::<HashMap<_, _>>(),
    ))
}

fn claims() -> Box<dyn Val> {
    map(vec![
        ("text", text("abc")),
        ("number", Box::new(CelInt::from(1))),
        ("yes", Box::new(CelBool::from(true))),
        ("nothing", Box::new(CelNull)),
        ("list", list((1..=3).map(|n| Box::new(CelInt::from(n)) as Box<dyn Val>).collect())),
        ("account", map(vec![("active", Box::new(CelBool::from(true)))])),
        ("a", map(vec![("b", map(vec![("c", Box::new(CelInt::from(2)))]))])),
        ("resource_access", map(vec![("my.client", map(vec![("roles", list(vec![text("editor")]))]))])),
    ])
}

fn compile(expression: &str) -> Result<Expression, Flaw> {
    Expression::compile(expression, &variables())
}

fn holds(expression: &str) -> Result<bool, String> {
    compile(expression)
        .unwrap_or_else(|flaw| panic!("{expression}: {}", flaw.0))
        .holds(vec![("claims", claims())])
}

/// Claims hold moments as numbers (NumericDate), and names with dots in them.
#[test]
fn claims_are_read_as_issuers_write_them() {
    for (expression, expected) in [
        (r#"'editor' in claims.resource_access["my.client"].roles"#, true),
        (r#"claims.resource_access["my.client"].roles.exists(role, role == 'editor')"#, true),
        (r#"claims["resource_access"]["my.client"]["roles"][0] == 'editor'"#, true),
        ("timestamp(claims.number) == timestamp('1970-01-01T00:00:01Z')", true),
        ("timestamp(claims.number) + duration('1h') < timestamp('1970-01-01T02:00:00Z')", true),
        ("timestamp(claims.number).getFullYear() == 1970", true),
        ("timestamp(9223372036854775807) > timestamp(0) || false", false),
    ] {
        assert_eq!(holds(expression).unwrap_or(false), expected, "{expression}");
    }
}

/// Whatever an expression cannot know is an error, and never a value that its author did not mean. A peer's
/// interpreter says `false` to `has` of something in what is not there, so `!has(..)` was true.
#[test]
fn what_cannot_be_evaluated_denies() {
    let parts = [
        "has(claims.missing.suspended)",
        "has(claims.text.suspended)",
        "has(claims.list.suspended)",
        "has(claims.number.suspended)",
        "has(claims.nothing.suspended)",
        "has(claims.missing['x'].y)",
        "has(claims.list[0].y)",
        "has(claims.list[9].y)",
        "claims.missing",
        "claims['missing']",
        "claims.list[-1] == 3",
        "claims.list[3] == 3",
        "claims.list[1.5] == 3",
        "claims.list['0'] == 1",
        "claims.text[0] == 'a'",
        "claims.a['x'] == 1",
        "claims.a[0] == 1",
        "'x' in claims.missing",
        "'x' in claims.text",
        "'x' in claims.number",
        "'x' in claims.nothing",
        "claims.text",
        "claims.number",
        "claims.nothing",
        "claims.text ? true : true",
        "claims.missing ? true : true",
        "claims.text.all(x, true)",
        "claims.nothing.all(x, true)",
        "claims.missing.all(x, true)",
        "claims.number.exists(x, true)",
        "claims.list.all(x, x.y)",
        "claims.list.exists(x, x.y)",
        "claims.list.exists(x, x)",
        "claims.list.all(x, x < 3 || x.y)",
        "claims.list.exists_one(x, x == 2 || claims.missing)",
        "claims.list.filter(x, claims.missing) == []",
        "claims.list.map(x, claims.missing) != []",
        "claims.text < 1",
        "claims.missing == claims.missing",
        "claims.missing != 1",
        "claims.number + claims.text == 'abc'",
        "claims.number.startsWith('1')",
        "size(claims.number) == 0",
        "int(claims.text) == 0",
        "timestamp(claims.text) == timestamp(claims.text)",
        "string(claims.nothing) == ''",
        "1 / (claims.number - 1) == 0",
        "9223372036854775807 + claims.number > 0",
        "-claims.text == 1",
        "claims.missing || false",
        "claims.text || false",
        "claims.missing && true",
        "true && claims.missing",
        "false || claims.missing",
    ];
    for part in parts {
        let negations = [part.to_owned(), format!("!({part})"), format!("!!({part})")];
        let more = [
            format!("({part}) == false"),
            format!("({part}) != true"),
            format!("({part}) ? false : true"),
            format!("[1].all(x, {part})"),
            format!("[1].exists(x, !({part}))"),
            format!("!([1].exists(x, {part}))"),
            format!("({part}) in [true, false]"),
            format!("[{part}] != []"),
        ];
        for expression in negations.iter().chain(&more) {
            let outcome = match compile(expression) {
                // A type can be told at load; then nothing runs.
                Err(_) => continue,
                Ok(compiled) => compiled.holds(vec![("claims", claims())]),
            };
            // These ask for a value of another type, which has one.
            let other_type = matches!(part, "claims.text" | "claims.number" | "claims.nothing");
            if other_type
                && (expression.contains("in [")
                    || expression.contains("= true")
                    || expression.contains("= false")
                    || expression.contains("!= []"))
            {
                continue;
            }
            assert!(outcome.is_err(), "{expression}: {outcome:?}");
        }
        // Nobody has claims.
        if let Ok(compiled) = compile(&format!("!({part})")) {
            assert!(compiled.holds(Vec::new()).is_err(), "{part} without claims");
        }
        if let Ok(compiled) = compile(&format!("!({part})")) {
            assert!(
                compiled.holds(vec![("claims", Box::new(CelNull))]).is_err(),
                "{part} with null for claims"
            );
        }
    }
}

/// The specification: a side that alone decides makes up for an error on the other one, in either order. The outcome is
/// the same whatever the failed side would have been.
#[test]
fn one_side_alone_can_decide() {
    for (expression, expected) in [
        ("claims.yes || claims.missing", true),
        ("claims.missing || claims.yes", true),
        ("claims.missing && !claims.yes", false),
        ("!claims.yes && claims.missing", false),
        ("claims.list.exists(x, x == 2 || x.y)", true),
        ("claims.list.all(x, x == 2 && x.y)", false),
        ("!(claims.missing && !claims.yes)", true),
        ("claims.yes ? true : claims.missing", true),
        ("[].all(x, claims.missing)", true),
    ] {
        assert_eq!(holds(expression), Ok(expected), "{expression}");
    }
}

/// What is read from something of unknown type is of unknown type.
#[test]
fn ordinary_expressions_pass() {
    for expression in [
        "claims.a[\"b\"].c == 2",
        "claims[\"a\"][\"b\"][\"c\"] == 2",
        "\"editor\" in claims.resource_access[\"my.client\"].roles",
        "claims.resource_access[\"my.client\"].roles.exists(r, r.startsWith(\"ed\"))",
        "claims.resource_access.`my.client`.roles[0] == 'editor'",
        "has(claims.account.active) && claims.account.active",
        "has(claims.account) && !has(claims.account.suspended)",
        "!has(claims.suspended)",
        "claims.list[0] == 1 && claims.list[0] < 2.5",
        "claims.number == 1.0 && claims.number in [1, 2]",
        "claims.text.matches('^[a-c]+$')",
        "matches(claims.text, 'b')",
        "size(claims.list) == 3 && claims.text.size() == 3",
        "claims.list.map(x, x + 1).filter(x, x > 2).size() == 2",
        "claims.nothing == null",
        "claims.text == 'abc' || claims.text == 'def'",
        "type(claims.text) == string",
        "timestamp('2026-01-01T00:00:00Z') < timestamp('2027-01-01T00:00:00Z') + duration('1h')",
        "claims.list.exists(g, g in [3, 4]) ? claims.yes : false",
        "claims.exists(name, name == 'text')",
        "'text' in claims",
        "string(claims.number) + 'x' == '1x'",
        "{'a': 1, 'b': 2}['a'] == 1",
        "-claims.number < 0 && !(claims.number > 1)",
    ] {
        assert_eq!(holds(expression), Ok(true), "{expression}");
    }
}

#[test]
fn what_does_not_fit_is_refused_at_load() {
    for (expression, why) in [
        ("claim.a", "nothing is called `claim`"),
        ("claims.text.sise() == 1", "no function `sise`"),
        ("claims.text.matches(claims.pattern)", "a text in quotes"),
        ("claims.text.matches('(')", "regular expression"),
        ("claims.text.matches('(a{1000}){1000}')", "regular expression"),
        ("'a' + 1 == 'a1'", "`+` does not fit"),
        ("'a' == 1", "does not fit"),
        ("1 && true", "a side of `&&`"),
        ("!'a'", "after `!`"),
        ("'a' ? true : false", "before `?`"),
        ("1.all(x, true)", "no elements"),
        ("'a'.b == 1", "no member `.b`"),
        ("'a'[0] == 'a'", "no elements"),
        ("[1].all(claims, claims == 1)", "something else already"),
        ("[1].all(i, x, true)", "nothing is called `i`"),
        ("Point{x: 1} == 1", "no type `Point`"),
        ("claims.?text.orValue(true)", "no meaning"),
        ("optional.none() == 1", "nothing is called `optional`"),
        ("claims.a &&", "no meaning"),
        ("", "no meaning"),
    ] {
        let flaw = compile(expression).err().unwrap_or_else(|| panic!("{expression} is taken"));
        assert!(flaw.0.contains(why), "{expression}: {}", flaw.0);
    }
}

/// On a thread with three quarters of the usual stack.
fn with_little_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(std::env::var("STK").map_or(1024, |v| v.parse().unwrap()) * 1024)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}

/// Such a text ended the process, by using up the stack of a recursive parser.
#[test]
fn deep_expressions_are_refused_at_load() {
    with_little_stack(|| {
        for (open, middle, close) in [
            ("!", "true", ""),
            ("-", "1", " == 1"),
            ("(", "true", ")"),
            ("[", "1", "]"),
            ("{1:", "1", "}"),
            ("1+", "1", " == 1"),
            ("claims.a.", "b", ""),
            ("true?true:", "true", ""),
            ("true?", "true", ":true"),
            ("[1].all(x,", "true", ")"),
            ("size(", "'a'", ")"),
            ("claims[claims.", "a", "]"),
        ] {
            for repeated in [4000, 2000, 500, 100, nesting::MAX_DEPTH] {
                let expression = format!("{}{middle}{}", open.repeat(repeated), close.repeat(repeated));
                let flaw = compile(&expression).err();
                assert!(flaw.is_some() || repeated <= 100, "{open} {repeated}");
            }
        }
    });
}

#[test]
fn the_deepest_expressions_are_evaluated_on_a_small_stack() {
    with_little_stack(|| {
        for (open, middle, close) in [
            ("!", "claims.yes", ""),
            ("(", "claims.yes", ")"),
            ("[1].exists(x, ", "claims.yes", ")"),
            ("true ? ", "claims.yes", " : false"),
            ("false ? false : ", "claims.yes", ""),
            ("claims.yes && (", "claims.yes", ")"),
            ("1 + ", "1 > 0", ""),
            ("claims['a'].size() > -1 || (", "claims.missing.x", ")"),
        ] {
            // The deepest that is taken.
            let deepest = (1..=nesting::MAX_DEPTH).rev().find_map(|repeated| {
                compile(&format!("{}{middle}{}", open.repeat(repeated), close.repeat(repeated))).ok()
            });
            let outcome = deepest.unwrap().holds(vec![("claims", claims())]);
            assert!(outcome.is_ok(), "{open}: {outcome:?}");
        }
    });
}

/// Each doubling of a text, and each macro in a macro, multiplies what an evaluation costs.
#[test]
fn a_costly_expression_is_refused_at_load() {
    let doubled = format!("claims.list{}.size() > 0", ".map(x, x + x)".repeat(8));
    let nested = |depth: usize| format!("{}true{}", "claims.list.all(x, ".repeat(depth), ")".repeat(depth));
    let literal = format!("[{}]", vec!["1"; 150].join(","));
    let literals = format!("{literal}.all(x, {literal}.all(x, {literal}.all(x, x == 1)))");
    for expression in [doubled, nested(3), literals, nested(5)] {
        let refused = compile(&expression);
        assert!(
            refused.is_err_and(|flaw| flaw.0.contains("cost") || flaw.0.contains("at most 4")),
            "{expression}"
        );
    }
    assert!(compile(&nested(1)).unwrap().largest() >= 10_000);
    assert!(compile(&nested(2)).unwrap().largest() >= LEAST_SIZE);
}

#[test]
fn only_what_is_named_is_read() {
    let reads = |expression: &str| match compile(expression).unwrap().reads("claims") {
        None => "nothing".to_owned(),
        Some(Reads::All) => "all".to_owned(),
        Some(Reads::Members(members)) => members.iter().cloned().collect::<Vec<_>>().join(" "),
    };
    assert_eq!(reads("claims.groups.exists(g, g == claims['team'].name)"), "groups team");
    assert_eq!(reads("has(claims.a.b)"), "a");
    assert_eq!(reads("has(claims.a)"), "a");
    assert_eq!(reads("claims.exists(name, name == 'a')"), "all");
    assert_eq!(reads("'a' in claims && claims.a"), "all");
    assert_eq!(reads("claims[claims.a] == 1"), "all");
    assert_eq!(reads("true"), "nothing");
}
