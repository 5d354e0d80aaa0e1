//! A front, backends and clients made of plain sockets.

mod backend;
mod client;
mod world;

pub use backend::{Backend, OK};
pub use client::{Answer, Client, field, get, post, read_body, read_head};
pub use world::{HELD, Records, Written, snapshot};

use portcullis_core::TargetId;
use portcullis_proxy::{FrontConfig, Listener, Running, Target, Timeouts, bind};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes of a body.
pub const CAP: u64 = 64 * 1024;
pub const TARGET: TargetId = TargetId(0);

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A front that serves; it is drained at the end of a test.
pub struct Front {
    pub address: SocketAddr,
    pub records: Arc<Records>,
    pub running: Option<Running>,
}

/// What a test changes of a front.
pub struct Setup {
    pub listener: Listener,
    pub workers: usize,
    pub drain: Duration,
    pub handlers: Option<tokio::runtime::Handle>,
}

impl Front {
    pub fn before(target: Target) -> Front {
        Front::with(target, |_| {})
    }

    pub fn with(target: Target, change: impl FnOnce(&mut Setup)) -> Front {
        let mut setup = Setup {
            listener: Listener {
                timeouts: Timeouts {
                    header: PATIENCE,
                    idle: PATIENCE,
                    body: PATIENCE,
                    request: Some(PATIENCE),
                },
                ..Listener::new("127.0.0.1:0".parse().unwrap())
            },
            workers: 1,
            drain: PATIENCE,
            handlers: None,
        };
        change(&mut setup);
        let records = Arc::new(Records::default());
        let config = FrontConfig {
            listeners: vec![setup.listener],
            workers: NonZeroUsize::new(setup.workers).unwrap(),
            targets: vec![target],
            drain: setup.drain,
            inherited: portcullis_proxy::Inherited::default(),
        };
        let bound = bind(config, &snapshot(&records), setup.handlers.as_ref()).unwrap();
        let address = bound.addresses()[0];
        Front { address, records, running: Some(bound.serve().unwrap()) }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// A client with the address 127.0.0.`host`.
    pub fn client_from(&self, host: u8) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, host], 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        Client::over(socket.into())
    }

    /// One request on a connection of its own.
    pub fn ask(&self, request: &str) -> Answer {
        let mut client = self.client();
        client.send(request);
        client.answer()
    }

    pub fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown();
            running.join();
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.end();
    }
}
