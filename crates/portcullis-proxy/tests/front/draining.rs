//! The end of a front: what has begun is served, and nothing that a client sent is lost.

use crate::common::*;
use portcullis_core::Outcome;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Instant;

/// Answers when it is told to.
fn held() -> (Backend, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let (arrived, arrivals) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let shared = std::sync::Mutex::new((arrived, released));
    let backend = Backend::new(move |peer| {
        while peer.request().is_some() {
            let shared = shared.lock().unwrap();
            shared.0.send(()).unwrap();
            let _ = shared.1.recv_timeout(PATIENCE);
            drop(shared);
            peer.send(OK);
        }
    });
    (backend, release, arrivals)
}

#[test]
fn a_running_request_is_served_and_the_connection_closed() {
    let (backend, release, arrivals) = held();
    let mut front = Front::before(backend.target());
    let mut client = front.client();
    client.send(&get("/a"));
    arrivals.recv_timeout(PATIENCE).unwrap();
    let handle = front.running.as_ref().unwrap().shutdown_handle();
    handle.shutdown();
    handle.shutdown();
    // The listening socket is gone as soon as the drain has begun.
    let begun = Instant::now();
    // Another program may have been given the port since.
    while TcpStream::connect(front.address).is_ok() && begun.elapsed() < ms(1000) {
        std::thread::sleep(ms(1));
    }
    release.send(()).unwrap();
    let answer = client.answer();
    assert_eq!((answer.text(), answer.field("connection")), ("ok", Some("close")));
    assert!(client.is_closed());
    front.end();
    assert_eq!(front.records.one().outcome, Outcome::Served);
}

#[test]
fn a_second_shutdown_waits_for_nobody() {
    let (backend, release, arrivals) = held();
    let mut front = Front::before(backend.target());
    let mut client = front.client();
    client.send(&get("/a"));
    arrivals.recv_timeout(PATIENCE).unwrap();
    let handle = front.running.as_ref().unwrap().shutdown_handle();
    handle.shutdown();
    let (done, is_done) = std::sync::mpsc::channel();
    // The drain lasts for as long as the request does, so each of these comes while it is under way.
    std::thread::spawn(move || {
        for _ in 0..20 {
            std::thread::sleep(ms(5));
            handle.shutdown();
        }
        done.send(()).unwrap();
    });
    is_done.recv_timeout(PATIENCE).unwrap();
    release.send(()).unwrap();
    assert_eq!(client.answer().text(), "ok");
    front.end();
    assert_eq!(front.records.one().outcome, Outcome::Served);
}

#[test]
fn what_is_not_done_when_the_drain_is_over_is_cut_off() {
    let (backend, _release, arrivals) = held();
    let mut front = Front::with(backend.target(), |setup| setup.drain = ms(100));
    let mut client = front.client();
    client.send(&get("/a"));
    arrivals.recv_timeout(PATIENCE).unwrap();
    let begun = Instant::now();
    front.end();
    assert!((ms(90)..ms(1000)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(client.is_closed());
    assert_eq!(front.records.one().outcome, Outcome::Aborted);
}

#[test]
fn connections_without_a_request_are_let_go() {
    let backend = Backend::answering(OK);
    let mut front = Front::before(backend.target());
    let mut idle = front.client();
    idle.send(&get("/a"));
    assert_eq!(idle.answer().text(), "ok");
    let mut fresh = front.client();
    let begun = Instant::now();
    front.end();
    assert!(begun.elapsed() < ms(1000), "{:?}", begun.elapsed());
    assert!(idle.is_closed() && fresh.is_closed());
    front.records.wait(1);
}

#[test]
fn a_connection_made_before_the_drain_may_still_ask() {
    for workers in [1, 2] {
        let backend = Backend::answering(OK);
        let front = Front::with(backend.target(), |setup| setup.workers = workers);
        let mut clients: Vec<Client> = (0..32).map(|_| front.client()).collect();
        front.running.as_ref().unwrap().shutdown();
        for client in &mut clients {
            client.send(&get("/a"));
        }
        for client in &mut clients {
            let answer = client.answer();
            assert_eq!((answer.text(), answer.field("connection")), ("ok", Some("close")));
        }
        front.records.wait(32);
    }
}

#[test]
fn a_drain_under_load_loses_nothing() {
    let backend = Backend::answering(OK);
    let mut front = Front::with(backend.target(), |setup| setup.workers = 2);
    let served = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let together = Arc::new(Barrier::new(9));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (served, stop, together) = (Arc::clone(&served), Arc::clone(&stop), Arc::clone(&together));
            let address = front.address;
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                together.wait();
                while !stop.load(Ordering::SeqCst) {
                    client.send(&get("/a"));
                    let answer =
                        client.answer_to("GET").expect("a request on an open connection is answered");
                    assert_eq!(answer.text(), "ok");
                    served.fetch_add(1, Ordering::SeqCst);
                    if answer.field("connection") == Some("close") {
                        return true;
                    }
                }
                false
            })
        })
        .collect();
    together.wait();
    while served.load(Ordering::SeqCst) < 500 {
        std::thread::sleep(ms(1));
    }
    front.running.as_ref().unwrap().shutdown();
    let told = clients.into_iter().map(|client| client.join().unwrap()).filter(|told| *told).count();
    stop.store(true, Ordering::SeqCst);
    assert_eq!(told, 8);
    front.end();
    let records = front.records.wait(served.load(Ordering::SeqCst));
    assert!(records.iter().all(|record| record.outcome == Outcome::Served));
}

#[test]
fn a_front_that_nobody_holds_shuts_down() {
    let backend = Backend::answering(OK);
    let mut front = Front::before(backend.target());
    let mut client = front.client();
    drop(front.running.take());
    assert!(client.is_closed());
}

#[test]
fn the_end_can_be_awaited() {
    let backend = Backend::answering(OK);
    let mut front = Front::before(backend.target());
    let running = front.running.take().unwrap();
    running.shutdown();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(running.finished());
    assert!(TcpStream::connect(front.address).is_err());
}
