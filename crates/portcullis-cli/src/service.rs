//! Tells systemd how the service does (sd_notify(3)): that it serves, reloads and stops, and that it is alive.
//!
//! Messages go to the socket that `NOTIFY_SOCKET` names; without it nothing is said. A message that cannot be sent is left out,
//! since a gateway that serves is worth more than one that says so.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager, if there is one that wants to hear.
pub(crate) struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that the environment names.
    pub(crate) fn from_environment() -> ServiceManager {
        let variable = |name: &str| std::env::var_os(name);
        let socket = variable("NOTIFY_SOCKET").as_deref().and_then(address).and_then(|address| {
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some((socket, address))
        });
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        // Without a process id, it is for us (sd_watchdog_enabled(3)).
        let ours = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|time| ours && *time > 0).map(Duration::from_micros);
        ServiceManager { watchdog: watchdog.filter(|_| socket.is_some()), socket }
    }

    fn tell(&self, message: &str) {
        if let Some((socket, address)) = &self.socket {
            let _unheard = socket.send_to_addr(message.as_bytes(), address);
        }
    }

    /// The gateway serves; also after a reload, whether it took or not.
    pub(crate) fn ready(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// A reload begins.
    pub(crate) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The drain begins.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=running requests finish");
    }

    /// Says again and again that the process is alive, if that is wanted. Never ends.
    pub(crate) async fn keep_alive(&self) {
        let Some(watchdog) = self.watchdog else { return std::future::pending().await };
        loop {
            self.tell("WATCHDOG=1");
            tokio::time::sleep(watchdog / 2).await;
        }
    }
}

/// The address of a socket: a path, or a name in the abstract namespace behind `@`.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}
