//! A request on the only route of a plan.

use http::Request;
use portcullis_core::check::Authentication;
use portcullis_core::error_bodies::ErrorBodies;
use portcullis_core::head::Reserved;
use portcullis_core::plan::{Controls, Inspection};
use portcullis_core::principal::Consumers;
use portcullis_core::route::conditions::Conditions;
use portcullis_core::{
    Conn, Effects, Facts, Head, HeadPolicy, MethodSet, Plan, Route, RouteId, RouteTable, Standing, TargetId,
    Transport,
};
use std::sync::Arc;

/// A request, and the plan by which it is judged.
pub(crate) struct Asked {
    plan: Plan,
    pub(crate) conn: Conn,
    head: Head,
    /// How its address stands.
    pub(crate) source: Standing,
}

impl Asked {
    /// A request that came over TLS. It needs a `host`.
    pub(crate) fn new(request: http::request::Builder) -> Asked {
        Asked::over(Transport::Tls, request)
    }

    pub(crate) fn over(transport: Transport, request: http::request::Builder) -> Asked {
        let conn = Conn {
            peer: "192.0.2.1:5".parse().unwrap(),
            local: "127.0.0.1:1".parse().unwrap(),
            transport,
            certificate: None,
        };
        // Wider than by default, so that a check's own bounds are met.
        let policy =
            HeadPolicy { max_field_bytes: 64 * 1024, max_head_bytes: 64 * 1024, ..HeadPolicy::default() };
        let parts = request.body(()).unwrap().into_parts().0;
        let head = Head::admit(parts, &conn, &policy).unwrap();
        Asked { plan: plan(policy), conn, head, source: Standing::Free }
    }

    /// `GET https://api.example/orders` with these fields.
    pub(crate) fn get(fields: &[(&str, &str)]) -> Asked {
        let request = Request::get("/orders").header("host", "api.example");
        Asked::new(fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
    }

    pub(crate) fn facts(&self, effects: &dyn Effects) -> Facts<'_> {
        Facts {
            head: &self.head,
            conn: &self.conn,
            plan: &self.plan,
            route: self.plan.routes.route(RouteId(0)).unwrap(),
            route_id: RouteId(0),
            now: effects.now(),
            source: self.source,
            holding: None,
            notes: None,
        }
    }
}

fn plan(head: HeadPolicy) -> Plan {
    let controls = Controls {
        screen: Vec::new(),
        cross_origin: None,
        authentication: Authentication::Public { reason: "a test".into() },
        authorize: Vec::new(),
        in_flight: Vec::new(),
        quotas: Vec::new(),
        shape: Vec::new(),
        kept_credentials: Vec::new(),
        max_body_bytes: 10,
        inspection: Inspection::default(),
        off: Vec::new(),
    };
    let route = Route {
        reserved: Reserved::NONE,
        path: "/{*rest}".into(),
        hosts: Vec::new(),
        methods: MethodSet::named("GET").unwrap(),
        controls: Arc::new(controls),
        target: TargetId(0),
        upgrades: Vec::new(),
        conditions: Conditions::default(),
        changes: None,
    };
    Plan {
        head,
        routes: RouteTable::build(vec![route]).unwrap(),
        consumers: Consumers::default(),
        credentials: Vec::new(),
        max_held_bytes: 4096,
        error_bodies: ErrorBodies::default(),
        policies: Vec::new(),
    }
}
