//! What a section of `security` is, and what becomes of one.
//!
//! A section is a type that implements [`Section`], in the file of the check that it configures, and one line in the
//! registry in [`security`](crate::security). All that is true of every section follows from the two: the key in the
//! document, the JSON Schema, the order, how a route inherits it, and what is listed as off.

use crate::build::Build;
use crate::mode::ModeConfig;
use portcullis_config::{Context, Decode, Span, Spanned};
use portcullis_core::check::Check;
use portcullis_core::{
    Authentication, Authorize, Control, Controls, CrossOrigin, ErrorDetail, Guarded, InFlight, Inspect,
    InspectAnswer, Mode, Quota, Screen, Shape,
};
use std::sync::Arc;

/// A section of `security`, as it is written.
pub trait Section: Decode {
    /// What it is for, as the reference says it.
    const ABOUT: &'static str;

    /// Other spellings of its key.
    const ALIASES: &'static [&'static str] = &[];

    /// The names of the checks that it configures, or what they begin with, such as `authz.`.
    const CHECKS: &'static [&'static str];

    /// Whether it speaks of who sends a request. A public route can have no such section, and inherits none.
    const ASKS_WHO: bool = false;

    /// What it adds to the routes that have it. `None` means that an error was pushed. `security` is the place of the
    /// whole section `security`, for sections that know no place of their own.
    fn compile(&self, security: Span, build: &mut Build, cx: &mut Context) -> Option<Part>;

    /// That it can be a public route's own, which is told by the place of its path. `None` means that an error was pushed. What
    /// a public route inherits need not be about it in every part.
    fn fits_public(&self, path: Span, cx: &mut Context) -> Option<()> {
        let _ = (path, cx);
        Some(())
    }

    /// That what it says of a route's path is true of this path. `None` means that an error was pushed.
    fn fits_path(&self, path: &Spanned<String>, cx: &mut Context) -> Option<()> {
        let _ = (path, cx);
        Some(())
    }
}

/// What a section adds to the controls of a route.
///
/// Checks that are off are listed and do not run; that holds for every section, since there is no other way to add one.
#[derive(Clone, Default)]
pub struct Part {
    screen: Vec<Guarded<dyn Screen>>,
    cross_origin: Option<Arc<dyn CrossOrigin>>,
    authentication: Option<Authentication>,
    authorize: Vec<Guarded<dyn Authorize>>,
    in_flight: Vec<Guarded<dyn InFlight>>,
    quotas: Vec<Guarded<dyn Quota>>,
    requests: Vec<Guarded<dyn Inspect>>,
    answers: Vec<Guarded<dyn InspectAnswer>>,
    shape: Vec<Arc<dyn Shape>>,
    max_body_bytes: Option<u64>,
    max_answer_bytes: Option<u64>,
    error_detail: Option<ErrorDetail>,
    off: Vec<Control>,
}

impl Part {
    /// Adds nothing yet.
    pub fn new() -> Part {
        Part::default()
    }

    /// Adds a check that runs before authentication.
    #[must_use]
    pub fn screen(mut self, mode: ModeConfig, check: Arc<dyn Screen>) -> Part {
        add(&mut self.screen, &mut self.off, "screen", mode, check);
        self
    }

    /// Says which pages of other origins may read answers.
    #[must_use]
    pub fn cross_origin(self, check: Arc<dyn CrossOrigin>) -> Part {
        Part { cross_origin: Some(check), ..self }
    }

    /// Says who may send a request.
    #[must_use]
    pub fn authenticate(self, authentication: Authentication) -> Part {
        Part { authentication: Some(authentication), ..self }
    }

    /// Adds a check of whether the principal may.
    #[must_use]
    pub fn authorize(mut self, mode: ModeConfig, check: Arc<dyn Authorize>) -> Part {
        add(&mut self.authorize, &mut self.off, "authz", mode, check);
        self
    }

    /// Adds a bound on how many requests are in flight.
    #[must_use]
    pub fn in_flight(mut self, mode: ModeConfig, check: Arc<dyn InFlight>) -> Part {
        add(&mut self.in_flight, &mut self.off, "quota", mode, check);
        self
    }

    /// Adds a limit.
    #[must_use]
    pub fn quota(mut self, mode: ModeConfig, check: Arc<dyn Quota>) -> Part {
        add(&mut self.quotas, &mut self.off, "quota", mode, check);
        self
    }

    /// Adds a check of requests with their bodies.
    #[must_use]
    pub fn inspect(mut self, mode: ModeConfig, check: Arc<dyn Inspect>) -> Part {
        add(&mut self.requests, &mut self.off, "inspect", mode, check);
        self
    }

    /// Adds a check of answers.
    #[must_use]
    pub fn inspect_answers(mut self, mode: ModeConfig, check: Arc<dyn InspectAnswer>) -> Part {
        add(&mut self.answers, &mut self.off, "answer", mode, check);
        self
    }

    /// Adds fields to what goes upstream.
    #[must_use]
    pub fn shape(mut self, check: Arc<dyn Shape>) -> Part {
        self.shape.push(check);
        self
    }

    /// Sets the largest body, in bytes.
    #[must_use]
    pub fn max_body_bytes(self, bytes: u64) -> Part {
        Part { max_body_bytes: Some(bytes), ..self }
    }

    /// Sets the largest answer that is judged, in bytes.
    #[must_use]
    pub fn max_answer_bytes(self, bytes: u64) -> Part {
        Part { max_answer_bytes: Some(bytes), ..self }
    }

    /// Sets what a client is told of what is wrong with its request.
    #[must_use]
    pub fn error_detail(self, detail: ErrorDetail) -> Part {
        Part { error_detail: Some(detail), ..self }
    }

    /// What it says of authentication.
    pub(crate) fn authentication(&self) -> Option<&Authentication> {
        self.authentication.as_ref()
    }

    /// Adds all of it to the controls of a route.
    pub(crate) fn add_to(&self, controls: &mut Controls) {
        let Part {
            screen,
            cross_origin,
            // A route has a statement on it before anything else is added.
            authentication: _,
            authorize,
            in_flight,
            quotas,
            requests,
            answers,
            shape,
            max_body_bytes,
            max_answer_bytes,
            error_detail,
            off,
        } = self;
        controls.screen.extend_from_slice(screen);
        controls.cross_origin = cross_origin.clone().or(controls.cross_origin.take());
        controls.authorize.extend_from_slice(authorize);
        controls.in_flight.extend_from_slice(in_flight);
        controls.quotas.extend_from_slice(quotas);
        controls.inspection.requests.extend_from_slice(requests);
        controls.inspection.answers.extend_from_slice(answers);
        controls.shape.extend_from_slice(shape);
        let inspection = &mut controls.inspection;
        inspection.max_answer_bytes = max_answer_bytes.unwrap_or(inspection.max_answer_bytes);
        controls.max_body_bytes = max_body_bytes.unwrap_or(controls.max_body_bytes);
        controls.inspection.error_detail = error_detail.unwrap_or(controls.inspection.error_detail);
        controls.off.extend_from_slice(off);
    }
}

fn add<C: Check + ?Sized>(
    on: &mut Vec<Guarded<C>>,
    off: &mut Vec<Control>,
    stage: &'static str,
    mode: ModeConfig,
    check: Arc<C>,
) {
    match Mode::from(mode) {
        Mode::Off => {
            let (id, summary) = (check.id().as_str(), check.describe());
            off.push(Control { stage, id, mode: Mode::Off, summary });
        }
        mode @ (Mode::Enforce | Mode::Observe) => on.push(Guarded { mode, check }),
    }
}
