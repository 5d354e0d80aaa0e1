//! What looks into bodies: before anything is forwarded, in order, in its mode, and within the memory for it.

use super::*;
use crate::check::{Inspect, InspectAnswer, Inspected, Wants};
use crate::denial::Violation;
use crate::examine::Examined;
use crate::plan::ErrorDetail;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// Refuses bodies with `bad` in them, and heads with `x-bad`; turns `old` into `new`.
struct Reader {
    id: &'static str,
    wants: Wants,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Check for Reader {
    fn id(&self) -> CheckId {
        CheckId::new(self.id)
    }
    fn describe(&self) -> String {
        "no bad body".into()
    }
}

impl Reader {
    fn judge(&self, body: &Bytes) -> Result<Inspected, Denial> {
        let text = String::from_utf8(body.to_vec()).unwrap();
        self.seen.lock().unwrap().push(format!("{}:{text}", self.id));
        if text.contains("bad") {
            let violation = Violation::new("/a/b", "this must not be bad");
            return Err(Denial::new(Code::ContentInvalid, "bad").pointing_out([violation]));
        }
        Ok(match text.as_str() {
            "old" => Inspected::Replaced(Bytes::from_static(b"new")),
            "zip" => Inspected::Decoded(Bytes::from_static(b"unzipped")),
            _ => Inspected::AsItIs,
        })
    }
}

impl Inspect for Reader {
    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        Step::Ready(if facts.head.headers().contains_key("x-bad") {
            Err(Denial::new(Code::RequestInvalid, "x-bad"))
        } else {
            Ok(self.wants)
        })
    }
    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        body: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        assert!(body != "unzipped" || !facts.head.headers().contains_key("content-encoding"));
        Step::Ready(self.judge(body))
    }
}

impl InspectAnswer for Reader {
    fn inspect_head<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        status: StatusCode,
        _: &'a HeaderMap,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        Step::Ready(match status.as_u16() {
            418 => Err(Denial::new(Code::AnswerInvalid, "no such status")),
            _ => Ok(self.wants),
        })
    }
    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        _: StatusCode,
        _: &'a HeaderMap,
        body: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        assert_eq!(facts.head.path(), "/data");
        Step::Ready(self.judge(body).map_err(|_| Denial::new(Code::AnswerInvalid, "bad")))
    }
}

type Notes = Arc<Mutex<Vec<String>>>;

fn reader(mode: Mode, id: &'static str, wants: Wants, seen: &Notes) -> Guarded<dyn Inspect> {
    Guarded { mode, check: Arc::new(Reader { id, wants, seen: Arc::clone(seen) }) }
}

fn inspected(requests: Vec<Guarded<dyn Inspect>>) -> Controls {
    Controls { inspection: Inspection { requests, ..Inspection::default() }, ..controls() }
}

fn post(fields: &[(&str, &str)]) -> http::request::Builder {
    let post = Request::post("/data").header("host", "a.example").header("x-badge", "0");
    fields.iter().fold(post, |post, (name, value)| post.header(*name, *value))
}

/// What goes upstream.
fn forwarded(permit: crate::permit::Permit<Pieces>) -> (String, HeaderMap) {
    let shaped = permit.shape();
    let mut body = shaped.body;
    let mut text = String::new();
    while let Poll::Ready(Some(Ok(frame))) =
        Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()))
    {
        text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    (text, shaped.headers)
}

#[test]
fn a_body_is_whole_when_it_is_judged_and_judged_before_it_is_forwarded() {
    let seen = Notes::default();
    let gate = Gate::new(inspected(vec![reader(Mode::Enforce, "inspect.one", Wants::Body, &seen)]));
    let send = |pieces| passed(gate.judge(post(&[])).ok().unwrap(), body(pieces));
    assert_eq!(forwarded(send(&["he", "", "llo"]).ok().unwrap()).0, "hello");
    assert_eq!(forwarded(send(&[]).ok().unwrap()).0, "");
    let Err(refused) = send(&["good", "b", "ad"]) else { panic!("permitted") };
    assert_eq!(refused.denial.check(), Some(CheckId::new("inspect.one")));
    assert_eq!(refused.answer().status().as_u16(), 422);
    let Err(refused) = send(&["0123456789", "x"]) else { panic!("permitted") };
    assert_eq!(refused.denial.code(), Code::BodyTooLarge);
    assert_eq!(*seen.lock().unwrap(), ["inspect.one:hello", "inspect.one:", "inspect.one:goodbad"]);
    assert_eq!(gate.snapshot.held_memory().used(), 0);
}

#[test]
fn inspectors_run_in_order_and_see_what_the_ones_before_have_made_of_it() {
    let seen = Notes::default();
    let one = || reader(Mode::Enforce, "inspect.one", Wants::Body, &seen);
    let gate = Gate::new(inspected(vec![one(), reader(Mode::Enforce, "inspect.two", Wants::Body, &seen)]));
    let permit = passed(gate.judge(post(&[("content-digest", "x")])).ok().unwrap(), body(&["old"]));
    let (text, headers) = forwarded(permit.ok().unwrap());
    assert_eq!((text.as_str(), headers.contains_key("content-digest")), ("new", false));
    assert_eq!(*seen.lock().unwrap(), ["inspect.one:old", "inspect.two:new"]);

    let permit = passed(gate.judge(post(&[("content-encoding", "gzip")])).ok().unwrap(), body(&["zip"]));
    let (text, headers) = forwarded(permit.ok().unwrap());
    assert_eq!((text.as_str(), headers.contains_key("content-encoding")), ("unzipped", false));
}

#[test]
fn a_head_that_is_refused_costs_no_reading() {
    let seen = Notes::default();
    let gate = Gate::new(inspected(vec![reader(Mode::Enforce, "inspect.one", Wants::Body, &seen)]));
    let cleared = gate.judge(post(&[("x-bad", "1")])).ok().unwrap();
    let refused = at_once(cleared.inspect(body(&["hello"]), |_| -> crate::Capped<Pieces> { panic!("read") }));
    assert_eq!(refused.err().map(|refused| refused.denial.code()), Some(Code::RequestInvalid));
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn a_body_that_nobody_wants_streams() {
    let seen = Notes::default();
    for requests in [
        vec![],
        vec![reader(Mode::Enforce, "inspect.one", Wants::Nothing, &seen)],
        vec![reader(Mode::Off, "inspect.one", Wants::Body, &seen)],
    ] {
        let gate = Gate::new(inspected(requests));
        let cleared = gate.judge(post(&[])).ok().unwrap();
        let permit =
            at_once(cleared.inspect(body(&["bad"]), |_| -> crate::Capped<Pieces> { panic!("held") }));
        assert_eq!(forwarded(permit.ok().unwrap()).0, "bad");
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn an_observer_records_and_changes_nothing() {
    let seen = Notes::default();
    let gate = Gate::new(inspected(vec![reader(Mode::Observe, "inspect.one", Wants::Body, &seen)]));
    for (pieces, text) in [(&["bad"][..], "bad"), (&["old"], "old")] {
        let permit = passed(gate.judge(post(&[])).ok().unwrap(), body(pieces)).ok().unwrap();
        assert_eq!(forwarded(permit).0, text);
    }
    let permit = passed(gate.judge(post(&[("x-bad", "1")])).ok().unwrap(), body(&["x"])).ok().unwrap();
    assert_eq!(forwarded(permit).0, "x");
    let observed: Vec<_> = gate.ledger.0.lock().unwrap().iter().map(|entry| entry.1.clone()).collect();
    assert_eq!(observed, [vec![Code::ContentInvalid], vec![], vec![Code::RequestInvalid]]);
}

#[test]
fn what_is_wrong_is_told_where_the_route_says_so() {
    for (error_detail, told) in [(ErrorDetail::Pointers, true), (ErrorDetail::Nothing, false)] {
        let seen = Notes::default();
        let requests = vec![reader(Mode::Enforce, "inspect.one", Wants::Body, &seen)];
        let inspection = Inspection { requests, error_detail, ..Inspection::default() };
        let gate = Gate::new(Controls { inspection, ..controls() });
        let refused = passed(gate.judge(post(&[])).ok().unwrap(), body(&["bad"])).err().unwrap();
        assert_eq!(refused.denial.violations().len(), 1);
        let answer = refused.answer();
        let text = std::str::from_utf8(answer.body()).unwrap();
        let expected = r#""errors":[{"pointer":"/a/b","detail":"this must not be bad"}]"#;
        assert_eq!(text.contains(expected), told, "{text}");
        assert_eq!(text.contains("errors"), told);
    }
}

#[test]
fn held_bodies_share_one_account() {
    let seen = Notes::default();
    let controls = inspected(vec![reader(Mode::Enforce, "inspect.one", Wants::Body, &seen)]);
    let gate = Gate::new(Controls { max_body_bytes: 3000, ..controls });
    let long: &'static str = "x".repeat(3000).leak();
    let memory = gate.snapshot.held_memory().clone();
    let sized = || {
        let cleared = gate.judge(post(&[("content-length", "3000")])).ok().unwrap();
        at_once(cleared.inspect(Sized(Some(long)), |body| body))
    };
    let permit = sized().ok().unwrap();
    assert_eq!(memory.used(), 3000);
    let refused = sized().err().unwrap();
    assert_eq!(refused.denial.code(), Code::Overloaded);
    let answer = refused.answer();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    let mut shaped = permit.shape();
    assert_eq!(memory.used(), 3000, "until it is gone");
    let frame = Pin::new(&mut shaped.body).poll_frame(&mut Context::from_waker(Waker::noop()));
    drop(shaped);
    assert_eq!(memory.used(), 3000, "until its last byte is gone");
    drop(frame);
    assert_eq!(memory.used(), 0);
    assert!(sized().is_ok());
}

/// A body that announces its size.
struct Sized(Option<&'static str>);

impl Body for Sized {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|piece| Ok(Frame::data(Bytes::from(piece)))))
    }
    fn size_hint(&self) -> SizeHint {
        self.0.map_or(SizeHint::with_exact(0), |piece| SizeHint::with_exact(piece.len() as u64))
    }
}

#[test]
fn an_announced_body_takes_no_memory() {
    let memory = crate::HeldMemory::new(usize::MAX);
    let holding = memory.holding("203.0.113.9".parse().unwrap());
    struct Never;
    impl Body for Never {
        type Data = Bytes;
        type Error = Denial;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Denial>>> {
            Poll::Pending
        }
    }
    let mut never = Never;
    let mut reading =
        pin!(crate::held::collect(&mut never, Some(1 << 40), usize::MAX, &holding, || Duration::ZERO));
    assert!(reading.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(memory.used(), 0);
}

/// The text of an answer after its examination, and its fields.
fn examined(
    mode: Mode,
    status: u16,
    fields: &[(&'static str, &'static str)],
    pieces: &[&'static str],
) -> Result<(String, HeaderMap, &'static str), Code> {
    let seen = Notes::default();
    let answers: Vec<Guarded<dyn InspectAnswer>> =
        vec![Guarded { mode, check: Arc::new(Reader { id: "answer.one", wants: Wants::Body, seen }) }];
    let inspection = Inspection { answers, max_answer_bytes: 10, ..Inspection::default() };
    let gate = Gate::new(Controls { inspection, ..controls() });
    let permit = passed(gate.judge(post(&[("range", "bytes=0-1")])).ok().unwrap(), body(&[])).ok().unwrap();
    let mut shaped = permit.shape();
    assert!(!shaped.headers.contains_key("range"));
    assert_eq!(shaped.headers["accept-encoding"], "identity");
    let mut headers: HeaderMap = HeaderMap::new();
    for (name, value) in fields {
        headers.insert(*name, value.parse().unwrap());
    }
    let answer = crate::Capped::new(body(pieces), u64::MAX, None);
    let examiner = shaped.examiner.take().unwrap();
    let status = StatusCode::from_u16(status).unwrap();
    let examined = at_once(examiner.examine(&mut shaped.recording, status, &mut headers, answer));
    let observed = !shaped.recording.record().observed.is_empty();
    match examined {
        Ok(Examined::Whole(bytes)) => Ok((
            String::from_utf8(bytes.to_vec()).unwrap(),
            headers,
            if observed { "observed" } else { "whole" },
        )),
        Ok(Examined::Unread(_)) => {
            Ok((String::new(), headers, if observed { "unread, observed" } else { "unread" }))
        }
        Ok(Examined::Beyond { read, .. }) => {
            Ok((String::from_utf8(read.to_vec()).unwrap(), headers, "beyond"))
        }
        Err(denial) => Err(denial.code()),
    }
}

#[test]
fn an_answer_is_judged_before_the_client_sees_it() {
    let enforced = |status, pieces| examined(Mode::Enforce, status, &[], pieces);
    assert_eq!(enforced(200, &["good"]).unwrap().0, "good");
    assert_eq!(enforced(200, &["b", "ad"]).err(), Some(Code::AnswerInvalid));
    assert_eq!(enforced(418, &[]).err(), Some(Code::AnswerInvalid));
    assert_eq!(enforced(200, &["01234", "56789"]).unwrap().0, "0123456789");
    assert_eq!(enforced(200, &["01234", "567890"]).err(), Some(Code::AnswerTooLarge));
    assert_eq!(enforced(204, &[]).unwrap().2, "unread");
    let (text, headers, _) = examined(Mode::Enforce, 200, &[("etag", "x")], &["old"]).unwrap();
    assert_eq!((text.as_str(), headers.contains_key("etag")), ("new", false));
    let stream = examined(Mode::Enforce, 200, &[("content-type", "Text/Event-Stream;x")], &["data"]);
    assert_eq!(stream.err(), Some(Code::AnswerTooLarge));
}

#[test]
fn an_observed_answer_goes_on_as_it_is() {
    let observed = |status, pieces| examined(Mode::Observe, status, &[("etag", "x")], pieces).unwrap();
    assert_eq!(observed(200, &["bad"]).2, "observed");
    assert_eq!(observed(200, &["old"]).0, "old");
    assert_eq!(observed(418, &["x"]).2, "unread, observed");
    assert_eq!(
        (observed(200, &["01234", "567890", "1"]).0.as_str(), observed(200, &["01234", "567890"]).2),
        ("01234567890", "beyond")
    );
    let stream = examined(Mode::Observe, 200, &[("content-type", "text/event-stream")], &["data"]);
    assert_eq!(stream.unwrap().2, "unread, observed");
}

#[test]
fn a_route_without_inspectors_of_answers_has_no_examiner() {
    let gate = Gate::new(controls());
    let shaped = passed(gate.judge(get("/data").header("range", "bytes=0-1")).ok().unwrap(), body(&[]))
        .ok()
        .unwrap()
        .shape();
    assert!(shaped.examiner.is_none() && shaped.headers.contains_key("range"));
}
