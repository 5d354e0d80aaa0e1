//! Handlers inside the process.

use crate::common::*;
use http::{Request, Response};
use http_body_util::BodyExt;
use portcullis_core::{Code, Outcome, Principal};
use portcullis_proxy::{BindError, Handler, RequestBody, ResponseBody, Target};
use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};

struct Paths {
    dropped: Arc<Mutex<mpsc::Sender<()>>>,
}

struct Tell(Arc<Mutex<mpsc::Sender<()>>>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.lock().unwrap().send(());
    }
}

impl Handler for Paths {
    fn call(
        &self,
        request: Request<RequestBody>,
    ) -> Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>> {
        let dropped = Arc::clone(&self.dropped);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            assert!(parts.extensions.get::<Principal>().is_some());
            assert!(parts.headers.contains_key("host") && !parts.headers.contains_key("x-key"));
            let respond = |status: u16, body: ResponseBody| {
                let response =
                    Response::builder().status(status).header("server", "mine").header("x-own", "yes");
                response.header("content-length", "3").body(body).unwrap()
            };
            match parts.uri.path() {
                "/echo" => match body.collect().await {
                    Ok(body) => respond(200, body.to_bytes().into()),
                    Err(_) => respond(200, "never mind".into()),
                },
                "/panic" => panic!("by request"),
                "/500" => respond(500, "Traceback".into()),
                "/101" => respond(101, ResponseBody::empty()),
                "/stream" => {
                    respond(200, ResponseBody::streamed(http_body_util::Full::<bytes::Bytes>::from("parts")))
                }
                "/hang" => {
                    let _tell = Tell(dropped);
                    pending().await
                }
                _ => respond(200, "ok".into()),
            }
        })
    }
}

struct Fixture {
    front: Front,
    dropped: mpsc::Receiver<()>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

fn fixture() -> Fixture {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || runtime.block_on(stopped));
    let (sender, dropped) = mpsc::channel();
    let handler = Target::Handler(Arc::new(Paths { dropped: Arc::new(Mutex::new(sender)) }));
    let front = Front::with(handler, |setup| {
        setup.handlers = Some(handle);
        setup.listener.timeouts.body = ms(150);
    });
    Fixture { front, dropped, _stop: stop }
}

#[test]
fn a_handler_answers_under_the_same_hygiene() {
    let Fixture { front, .. } = &fixture();
    let answer = front.ask(&get("/a"));
    assert_eq!((answer.text(), answer.field("x-own"), answer.field("server")), ("ok", Some("yes"), None));
    assert!(answer.field("x-request-id").is_some() && answer.field("x-content-type-options").is_some());
    assert_eq!(front.ask(&post("/echo", "hello")).text(), "hello");
    assert_eq!(front.ask(&get("/stream")).text(), "parts");
    let records = front.records.wait(3);
    assert!(
        records.iter().all(|record| record.outcome == Outcome::Served && record.asked_upstream),
        "{records:?}"
    );
    assert_eq!((records[1].sent, records[1].received), (5, 5));
}

#[test]
fn an_answer_to_head_has_a_length_and_no_body() {
    let Fixture { front, .. } = &fixture();
    let mut client = front.client();
    for _ in 0..2 {
        client.send("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer_to("HEAD").unwrap().field("content-length"), Some("2"));
    }
    assert!(front.records.wait(2).iter().all(|record| record.outcome == Outcome::Served && record.sent == 0));
}

#[test]
fn a_handler_that_fails_says_nothing() {
    let Fixture { front, .. } = &fixture();
    for path in ["/panic", "/500", "/101"] {
        let answer = front.ask(&get(path));
        answer.assert_problem(500);
        assert!(!answer.text().contains("Traceback") && answer.field("x-own").is_none());
    }
    assert!(front.records.wait(3).iter().all(|record| record.code() == Some(Code::HandlerFailed)));
}

#[test]
fn a_body_that_is_refused_is_the_answer_whatever_the_handler_says() {
    let Fixture { front, .. } = &fixture();
    let mut client = front.client();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    client.try_send(chunk.repeat(3).as_bytes());
    client.answer().assert_problem(413);
    let mut client = front.client();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    client.answer().assert_problem(408);
    let codes: Vec<_> = front.records.wait(2).iter().map(|record| record.code().unwrap()).collect();
    assert_eq!(codes, [Code::BodyTooLarge, Code::BodyTimeout]);
}

#[test]
fn a_handler_that_hangs_delays_nobody_and_ends_with_its_client() {
    let Fixture { front, dropped, .. } = &fixture();
    let mut hanging = front.client();
    hanging.send(&get("/hang"));
    assert_eq!(front.ask(&get("/a")).text(), "ok");
    drop(hanging);
    dropped.recv_timeout(PATIENCE).unwrap();
    assert_eq!(front.records.wait(2)[1].outcome, Outcome::Aborted);
}

#[test]
fn a_handler_does_not_switch_protocols() {
    let Fixture { front, .. } = &fixture();
    front
        .ask("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .assert_problem(400);
    assert_eq!(front.records.one().code(), Some(Code::UpgradeRefused));
}

#[test]
fn a_handler_needs_a_runtime() {
    let (sender, _receiver) = mpsc::channel();
    let config = portcullis_proxy::FrontConfig {
        listeners: vec![portcullis_proxy::Listener::new("127.0.0.1:0".parse().unwrap())],
        workers: std::num::NonZeroUsize::MIN,
        targets: vec![Target::Handler(Arc::new(Paths { dropped: Arc::new(Mutex::new(sender)) }))],
        drain: ms(10),
        inherited: portcullis_proxy::Inherited::default(),
    };
    let bound = portcullis_proxy::bind(config, &snapshot(&Arc::default()), None);
    assert!(matches!(bound, Err(BindError::Target { index: 0, .. })));
}
