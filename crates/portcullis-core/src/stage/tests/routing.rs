//! Routes as requests meet them: conditions, empty rests, reserved characters, pages of other origins, upgrades and rewrites.

use super::*;
use crate::check::CrossOrigin;
use crate::head::Reserved;
use crate::route::changes::{Changes, FieldChanges};
use crate::route::conditions::Wanted;
use crate::route::template::{Places, Rewrite, Template, TemplateError};
use http::HeaderValue;

pub(super) fn route(path: &str, methods: &[&str], controls: &Arc<Controls>) -> Route {
    let methods =
        methods.iter().fold(MethodSet::NONE, |all, name| all.union(MethodSet::named(name).unwrap()));
    Route {
        reserved: Reserved::NONE,
        path: path.into(),
        hosts: vec![],
        methods,
        controls: Arc::clone(controls),
        target: TargetId(0),
        upgrades: vec![],
        conditions: Conditions::default(),
        changes: None,
    }
}

pub(super) fn public() -> Controls {
    Controls { authentication: Authentication::Public { reason: "a test".into() }, ..controls() }
}

pub(super) fn snapshot(routes: Vec<Route>, head: HeadPolicy, sink: Arc<dyn RecordSink>) -> Snapshot {
    let Ok(routes) = RouteTable::build(routes) else { panic!("the routes are in conflict") };
    let plan = Plan {
        head,
        routes,
        consumers: Consumers::default(),
        credentials: vec![CredentialLocation::Header(HeaderName::from_static("x-badge"))],
        max_held_bytes: 4096,
        error_bodies: ErrorBodies::default(),
        policies: Vec::new(),
    };
    Snapshot::new(Arc::new(plan), Arc::new(World), sink)
}

fn plain(routes: Vec<Route>) -> Snapshot {
    snapshot(routes, HeadPolicy::default(), Arc::new(Ledger::default()))
}

pub(super) fn judged(snapshot: &Snapshot, request: http::request::Builder) -> Result<Cleared, Refused> {
    let conn = Conn {
        peer: "192.0.2.1:5".parse().unwrap(),
        local: "127.0.0.1:1".parse().unwrap(),
        transport: Transport::Memory,
        certificate: None,
    };
    let parts = request.header("host", "a.example").body(()).unwrap().into_parts().0;
    at_once(judge(parts, conn.clone(), Recording::open(snapshot.clone(), &conn)))
}

/// The number of the route, or the code of the refusal.
fn found(snapshot: &Snapshot, request: http::request::Builder) -> Result<u32, Code> {
    match judged(snapshot, request) {
        Ok(cleared) => Ok(cleared.route.0),
        Err(refused) => Err(refused.denial.code()),
    }
}

fn shaped(snapshot: &Snapshot, request: http::request::Builder) -> crate::permit::Shaped<Pieces> {
    let Ok(cleared) = judged(snapshot, request) else { panic!("refused") };
    passed(cleared, body(&[])).ok().unwrap().shape()
}

#[test]
fn a_rest_may_be_empty_unless_a_route_is_for_just_that() {
    let (one, other) = (Arc::new(public()), Arc::new(public()));
    let alone = plain(vec![route("/files/{*rest}", &["GET"], &one)]);
    assert_eq!(found(&alone, Request::get("/files/")), Ok(0));
    assert_eq!(found(&alone, Request::get("/files/a/b")), Ok(0));
    assert_eq!(found(&alone, Request::get("/files")), Err(Code::RouteNotFound));
    let both = plain(vec![route("/files/{*rest}", &["GET"], &one), route("/files/", &["GET"], &other)]);
    assert_eq!(found(&both, Request::get("/files/")), Ok(1));
    assert_eq!(found(&both, Request::get("/files/a")), Ok(0));
}

#[test]
fn the_route_with_the_most_conditions_that_are_met_is_chosen() {
    let controls = Arc::new(public());
    let header = |name: &'static str, wanted| (HeaderName::from_static(name), wanted);
    let two = || Wanted::Value("2".into());
    let conditions = [
        Conditions { headers: vec![header("x-version", two())], query: vec![] },
        Conditions {
            headers: vec![header("x-version", two())],
            query: vec![("beta".into(), Wanted::Present)],
        },
        Conditions::default(),
    ];
    let routes: Vec<_> = conditions
        .iter()
        .map(|conditions| Route { conditions: conditions.clone(), ..route("/a", &["GET"], &controls) })
        .chain([
            Route { conditions: conditions[1].clone(), ..route("/only", &["GET"], &controls) },
            route("/plain", &["GET"], &controls),
        ])
        .collect();
    let table = plain(routes);
    let get = |path: &str, version: &[&str]| {
        version.iter().fold(Request::get(path), |request, value| request.header("x-version", *value))
    };
    for (path, version, wanted) in [
        ("/a", &["2"][..], Ok(0)),
        ("/a?beta", &["2"], Ok(1)),
        ("/a?beta=1", &["2"], Ok(1)),
        ("/a?beta=1", &["3"], Ok(2)),
        ("/a?beta=1", &[], Ok(2)),
        ("/a", &[], Ok(2)),
        ("/a", &["2", "2"], Err(Code::AmbiguousHeader)),
        ("/a?beta&beta", &["2"], Err(Code::MalformedRequest)),
        ("/only?beta", &["2"], Ok(3)),
        ("/only?beta", &["3"], Err(Code::RouteNotFound)),
        ("/only", &["2"], Err(Code::RouteNotFound)),
        ("/only", &[], Err(Code::RouteNotFound)),
    ] {
        assert_eq!(found(&table, get(path, version)), wanted, "{path} {version:?}");
    }
    assert_eq!(found(&table, Request::delete("/only")), Err(Code::MethodNotAllowed));
    let head = |path: &str| {
        let parts = Request::get(path).header("host", "a").body(()).unwrap().into_parts().0;
        let conn = Conn {
            peer: "192.0.2.1:5".parse().unwrap(),
            local: "127.0.0.1:1".parse().unwrap(),
            transport: Transport::Memory,
            certificate: None,
        };
        Head::admit(parts, &conn, &HeadPolicy::default()).unwrap()
    };
    let chosen = |path| table.routes.has_conditions_at(&head(path));
    assert!(chosen("/a") && chosen("/only") && !chosen("/plain") && !chosen("/nowhere"));
    assert_eq!(conditions[1].to_string(), "x-version: 2, ?beta=*");
}

#[test]
fn a_reserved_character_is_its_routes_to_allow_and_leads_to_no_other() {
    let (open, closed) = (Arc::new(public()), Arc::new(public()));
    let allowed = Reserved::SEMICOLON.with(Reserved::SLASH).with(Reserved::PERCENT);
    let policy = HeadPolicy { reserved: allowed, ..HeadPolicy::default() };
    let routes = vec![
        Route { reserved: allowed, ..route("/v1/{id}", &["GET"], &open) },
        route("/v2/{id}", &["GET"], &open),
        route("/v1/a/export", &["GET"], &closed),
    ];
    let table = snapshot(routes, policy, Arc::new(Ledger::default()));
    assert_eq!(found(&table, Request::get("/v1/a")), Ok(0));
    assert_eq!(found(&table, Request::get("/v1/a;b")), Ok(0));
    assert_eq!(found(&table, Request::get("/v1/b%2Fexport")), Ok(0));
    assert_eq!(found(&table, Request::get("/v1/a%2Fexport")), Err(Code::RouteNotFound));
    assert_eq!(found(&table, Request::get("/v1/a%252Fexport")), Err(Code::RouteNotFound));
    assert_eq!(found(&table, Request::get("/v1/a/export")), Ok(2));
    assert_eq!(found(&table, Request::get("/v2/a;b")), Err(Code::AmbiguousPath));
    assert_eq!(found(&table, Request::get("/v2/a")), Ok(1));
}

#[test]
fn a_laxer_reading_leads_to_no_other_controls() {
    let (open, closed) = (Arc::new(public()), Arc::new(public()));
    let routes = |admin| vec![route("/{*rest}", &["GET"], &open), route("/admin", &["GET"], admin)];
    let table = plain(routes(&closed));
    assert_eq!(found(&table, Request::get("/ADMIN")), Err(Code::RouteNotFound));
    assert_eq!(found(&table, Request::get("/other")), Ok(0));
    assert_eq!(found(&table, Request::get("/admin")), Ok(1));
    assert_eq!(
        found(&plain(routes(&open)), Request::get("/ADMIN")),
        Ok(0),
        "judged alike, there is nothing to gain"
    );
}

#[test]
fn other_controls_take_the_place_of_those_of_each_route() {
    let open = Arc::new(public());
    let table =
        RouteTable::build(vec![route("/a", &["GET"], &open), route("/b", &["GET"], &open)]).ok().unwrap();
    let table = table.with_unrouted(route("", &[], &open));
    let mut asked = Vec::new();
    let table = table.with_controls(|id, controls| {
        asked.push(id.0);
        Arc::new(Controls { max_body_bytes: 77, ..controls.as_ref().clone() })
    });
    assert_eq!(asked, [0, 1, 2]);
    assert_eq!(table.iter().count(), 2);
    for id in 0..3 {
        assert_eq!(table.route(RouteId(id)).unwrap().controls.max_body_bytes, 77);
    }
}

/// Says to pages what it is told to say.
struct Pages(bool);

impl Check for Pages {
    fn id(&self) -> CheckId {
        CheckId::new("screen.pages")
    }
    fn describe(&self) -> String {
        "pages".into()
    }
}

impl CrossOrigin for Pages {
    fn fields(&self, _: &Head) -> AnswerFields {
        if !self.0 {
            return Vec::new();
        }
        vec![(HeaderName::from_static("access-control-allow-origin"), HeaderValue::from_static("*"))]
    }
    fn preflight(&self, _: &Head, wanted: Option<&Method>) -> AnswerFields {
        let wanted = wanted.map_or("none".to_owned(), Method::to_string);
        vec![(HeaderName::from_static("x-wanted"), HeaderValue::try_from(wanted).unwrap())]
    }
}

#[test]
fn pages_of_other_origins_are_answered_where_the_route_says_so() {
    let pages = Arc::new(Controls { cross_origin: Some(Arc::new(Pages(true))), ..public() });
    let silent = Arc::new(Controls { cross_origin: Some(Arc::new(Pages(false))), ..public() });
    let closed = Arc::new(public());
    let version = Conditions {
        headers: vec![(HeaderName::from_static("x-version"), Wanted::Present)],
        query: vec![("beta".into(), Wanted::Value("1".into()))],
    };
    let table = plain(vec![
        route("/pages", &["GET"], &pages),
        route("/closed", &["GET"], &closed),
        route("/silent", &["GET"], &silent),
        Route { conditions: version.clone(), ..route("/alone", &["PUT"], &pages) },
        Route { conditions: version, ..route("/chosen", &["PUT"], &pages) },
        route("/chosen", &["PUT"], &closed),
    ]);
    let asked = |path: &str, wanted: &str| {
        Request::options(path)
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", wanted)
    };
    let said = |request| {
        let Err(refused) = judged(&table, request) else { panic!("cleared") };
        let code = refused.denial.code();
        let answer = refused.answer();
        let of = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        (code, of("x-wanted"), of("access-control-allow-origin").is_some())
    };
    let wanted = |text: &str| Some(text.to_owned());
    assert_eq!(said(asked("/pages", "GET")), (Code::Preflight, wanted("GET"), true));
    assert_eq!(said(asked("/pages", "PATCH")), (Code::Preflight, wanted("none"), true));
    assert_eq!(said(asked("/closed", "GET")), (Code::MethodNotAllowed, None, false));
    assert_eq!(said(asked("/closed", "PATCH")), (Code::MethodNotAllowed, None, false));
    assert_eq!(said(asked("/nowhere", "GET")), (Code::RouteNotFound, None, false));
    // A page must be able to read that its method is not allowed, and need not read that there is no route.
    assert_eq!(said(Request::delete("/pages")), (Code::MethodNotAllowed, None, true));
    assert_eq!(said(Request::get("/nowhere")), (Code::RouteNotFound, None, false));
    // Of the fields of the request that is asked about, a preflight tells the names.
    let names =
        |path: &str, names: &str| said(asked(path, "PUT").header("access-control-request-headers", names)).0;
    assert_eq!(names("/chosen?beta=1", "x-other, X-Version"), Code::Preflight);
    assert_eq!(names("/chosen?beta=1", "x-other"), Code::MethodNotAllowed);
    assert_eq!(names("/chosen?beta=2", "x-version"), Code::MethodNotAllowed);
    assert_eq!(names("/chosen", "x-version"), Code::MethodNotAllowed);
    assert_eq!(names("/alone?beta=1", "x-version"), Code::Preflight);
    assert_eq!(names("/alone?beta=2", "x-version"), Code::MethodNotAllowed);
    let told = |path: &str| {
        shaped(&table, Request::get(path)).told.map(|told| (told.fields.len(), told.cross_origin))
    };
    assert_eq!(told("/pages"), Some((1, true)));
    assert_eq!(told("/silent"), Some((0, true)));
    assert_eq!(told("/closed"), None);
}

#[test]
fn a_client_switches_to_a_protocol_that_its_route_allows() {
    let controls = Arc::new(public());
    let table = plain(vec![
        Route { upgrades: vec!["websocket".into()], ..route("/chat", &["GET"], &controls) },
        route("/data", &["GET"], &controls),
    ]);
    let switch = |path: &str, protocol: &str| {
        found(&table, Request::get(path).header("connection", "upgrade").header("upgrade", protocol))
    };
    assert_eq!(switch("/chat", "WebSocket"), Ok(0));
    assert_eq!(switch("/chat", "other"), Err(Code::UpgradeRefused));
    assert_eq!(switch("/data", "websocket"), Err(Code::UpgradeRefused));
    assert_eq!(found(&table, Request::get("/chat")), Ok(0));
    let request = Request::get("/chat").header("connection", "upgrade").header("upgrade", "websocket");
    assert_eq!(shaped(&table, request).upgrade.unwrap(), "websocket");
}

#[test]
fn a_path_is_rewritten_and_judged_again() {
    let controls = Arc::new(public());
    let strip = || Rewrite::StripPrefix("/api".into());
    let of = |path: &str, to: &str| Rewrite::Path(Template::read(to, path).unwrap());
    let with = |path: &str, rewrite: Rewrite| Route {
        changes: Some(Arc::new(Changes { rewrite: Some(rewrite), ..Changes::default() })),
        ..route(path, &["GET"], &controls)
    };
    let policy = HeadPolicy { reserved: Reserved::DOUBLE_SLASH, ..HeadPolicy::default() };
    let keeps = Route { reserved: Reserved::DOUBLE_SLASH, ..with("/api/{*rest}", strip()) };
    let routes = vec![
        keeps,
        with("/api", strip()),
        with("/{other}", strip()),
        with("/t/{tenant}/{*rest}", of("/t/{tenant}/{*rest}", "/v2/{tenant}/{rest}")),
        with("/u/{id}", of("/u/{id}", "/v2/{id}")),
    ];
    let table = snapshot(routes, policy, Arc::new(Ledger::default()));
    let places = |inner: &str, outer: &str| Some(Places { inner: inner.into(), outer: outer.into() });
    for (path, upstream, expected) in [
        ("/api/x/y?a=b", "/x/y?a=b", places("", "/api")),
        ("/api/x//y", "/x//y", places("", "/api")),
        ("/api", "/", places("", "/api")),
        ("/t/acme/a/b", "/v2/acme/a/b", places("/v2/acme", "/t/acme")),
        ("/t/acme/", "/v2/acme/", places("/v2/acme", "/t/acme")),
        ("/u/7", "/v2/7", places("/v2/7", "/u/7")),
    ] {
        let shaped = shaped(&table, Request::get(path));
        assert_eq!((shaped.path_and_query.as_str(), shaped.places), (upstream, expected), "{path}");
    }
    for path in ["/other", "/apis", "/api//x", "/api//evil.example/x"] {
        assert_eq!(found(&table, Request::get(path)), Err(Code::AmbiguousPath), "{path}");
    }
    assert_eq!(strip().to_string(), "without /api");
    assert_eq!(of("/u/{id}", "/v2/{id}").to_string(), "as /v2/{id}");
    assert!(Template::read("/%61/{id}", "/u/{id}").is_err(), "it is not in its one spelling");
    let texts: std::collections::BTreeSet<String> = [
        TemplateError::NotAbsolute,
        TemplateError::Part("a{b}".into()),
        TemplateError::Unknown("c".into()),
        TemplateError::AfterRest("rest".into()),
        TemplateError::Path("it is not in canonical form"),
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    assert!(texts.len() == 5 && texts.iter().all(|text| text.len() > 10), "{texts:?}");
    let outside = Places { inner: "/v2".into(), outer: "/api".into() };
    assert_eq!(outside.outside("/v2//x").as_deref(), Some("/api//x"));
}

#[test]
fn fields_are_changed_and_compression_knows_of_credentials() {
    use crate::route::compression::{Coding, Compression, Level, MediaRange};
    let compression = Compression {
        codings: vec![Coding::Gzip],
        min_bytes: 1,
        media_types: vec![MediaRange::Kind("text/".into())],
        level: Level::Fast,
        with_credentials: false,
    };
    let mut request = FieldChanges::default();
    request.set(HeaderName::from_static("x-env"), HeaderValue::from_static("prod"));
    let changes = Arc::new(Changes { request, compression: Some(compression), ..Changes::default() });
    let of = |path: &str, controls: Controls| Route {
        changes: Some(Arc::clone(&changes)),
        ..route(path, &["GET"], &Arc::new(controls))
    };
    let other = Authentication::AnyOf { mode: Mode::Enforce, methods: vec![Arc::new(Badge("x-other"))] };
    let table =
        plain(vec![of("/open", public()), of("/other", Controls { authentication: other, ..controls() })]);
    let open = shaped(&table, Request::get("/open"));
    assert_eq!(open.headers["x-env"], "prod");
    assert!(!open.compression.unwrap().credentials);
    // A credential that nobody asked for, and one that no list names.
    assert!(shaped(&table, Request::get("/open").header("x-badge", "0")).compression.unwrap().credentials);
    assert!(shaped(&table, Request::get("/other").header("x-other", "0")).compression.unwrap().credentials);
}
