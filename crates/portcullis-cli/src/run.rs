//! `portcullis run`: serves until it is told to stop.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, CARE, FAINT, GOOD, STRONG, count, load, print_error, url};
use crate::service::ServiceManager;
use portcullis::reload::{ReloadRequests, Request};
use portcullis::takeover::{self, Inherited, Predecessor};
use portcullis::{Gateway, Listener, Loaded, ReloadError, Reloader, Status, visible};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(crate) fn run(file: &Path, watch: bool, take_over: bool) -> Outcome {
    let begun = SystemTime::now();
    let loaded = load(file)?;
    if loaded.blueprint().is_none() {
        let errors = count(loaded.errors(), "error");
        print_error(format!("{BAD}not started{BAD:#}: {errors} in {}\n", file.display()));
        return Err(Exit::Configuration);
    }
    let predecessor =
        if take_over { Some(loaded.state_dir().map(Path::to_owned).ok_or_else(no_state_dir)?) } else { None };
    let source = ConfigFile { path: file, watch: watch.then(|| loaded.files().clone()), begun };
    serve(loaded, Some(source), predecessor.as_deref(), |listeners, addresses| {
        for (listener, address) in listeners.iter().zip(addresses) {
            let url = url(listener, *address);
            print_error(format!("{STRONG}portcullis{STRONG:#} is listening on {url}\n"));
            if let Some(trust) = listener.tls.as_ref().and_then(|tls| tls.settings().trust.as_ref()) {
                print_error(how_to_trust(trust, address.port()));
            }
        }
    })
}

/// What to do so that a client believes a certificate that was made a moment ago.
fn how_to_trust(certificate: &str, port: u16) -> String {
    format!(
        "\n  {FAINT}# Its certificate was made for this run, on this machine. Save it as localhost.pem, and curl believes it:{FAINT:#}\n  \
         curl --cacert localhost.pem https://localhost:{port}/\n\n{}\n\n",
        certificate.replace("\r\n", "\n").trim_end()
    )
}

/// The file that a gateway was started with.
pub(crate) struct ConfigFile<'a> {
    path: &'a Path,
    /// The files that it refers to, if they are to be looked after.
    watch: Option<BTreeSet<PathBuf>>,
    /// When it began to be read.
    begun: SystemTime,
}

/// Starts a gateway, says where it is, and serves until the process is told to stop.
pub(crate) fn serve(
    loaded: Loaded,
    source: Option<ConfigFile<'_>>,
    predecessor: Option<&Path>,
    started: impl FnOnce(&[Listener], &[std::net::SocketAddr]),
) -> Outcome {
    let failed = |error: &dyn std::fmt::Display| {
        print_error(format!("{BAD}error{BAD:#}: {error}\n"));
        Exit::Failed
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    // Where that is not allowed, what there is is compared with what the listeners need, and told.
    let _as_it_was = portcullis::raise_descriptor_limit();
    let blueprint = loaded.into_blueprint().map_err(|error| failed(&error))?;
    let drain = blueprint.front.drain;
    let listeners = blueprint.front.listeners.clone();
    runtime.block_on(async {
        let (predecessor, sockets) = sockets(predecessor).map_err(|error| failed(&error))?;
        let mut gateway = Gateway::new(blueprint).with_sockets(sockets);
        if predecessor.is_some() {
            gateway = gateway.after_predecessor();
        }
        let running = gateway.start().map_err(|error| failed(&error))?;
        started(&listeners, running.addresses());
        if let Some(source) = &source {
            running.reloader().set_file(source.path);
        }
        if let Some(admin) = running.reloader().admin() {
            let scheme = if admin.tls { "https" } else { "http" };
            print_error(format!("{FAINT}admin and dashboard at{FAINT:#} {scheme}://{}/\n", admin.address));
            if let Some(token) = &admin.made_token {
                print_error(format!("{FAINT}its token is in{FAINT:#} {}\n", token.display()));
            }
        }
        if let Some(address) = running.reloader().metrics_address() {
            print_error(format!("{FAINT}metrics at{FAINT:#} http://{address}/metrics\n"));
        }
        let mut requests = running.reload_requests().map_err(|error| failed(&error))?;
        let manager = ServiceManager::from_environment();
        manager.ready();
        if let Some(predecessor) = predecessor {
            let told = predecessor.retire();
            print_error(match told {
                Ok(()) => {
                    format!("{GOOD}taken over{GOOD:#}: the process before finishes its requests and ends\n")
                }
                Err(error) => {
                    format!("{CARE}taken over{CARE:#}: the process before is gone already: {error}\n")
                }
            });
        }
        tokio::select! {
            stop = running.stop_requested() => stop.map_err(|error| failed(&error))?,
            () = reload(running.reloader(), source, &mut requests, &manager) => {}
            () = manager.keep_alive() => {}
        }
        manager.stopping();
        let drain = if drain < Duration::from_secs(1) {
            format!("{} ms", drain.as_millis())
        } else {
            format!("{} s", drain.as_secs())
        };
        running.shutdown();
        // SECURITY: standard error may be a pipe that nobody reads, so nothing waits for it for long
        // (a_stuck_log_keeps_no_process_from_ending).
        let (said, saying) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            print_error(format!("{CARE}stopping{CARE:#}: running requests have {drain} to finish\n"));
            let _ = said.send(());
        });
        running.finished().await;
        let _ = saying.recv_timeout(Duration::from_secs(1));
        Ok(Exit::Well)
    })
}

/// There is nowhere to ask.
fn no_state_dir() -> Exit {
    print_error(format!(
        "{BAD}error{BAD:#}: --take-over needs `state_dir` in the configuration: the running process answers there\n"
    ));
    Exit::Usage
}

/// The sockets of the process that is to be taken over from, or of the service manager.
fn sockets(predecessor: Option<&Path>) -> std::io::Result<(Option<Predecessor>, Inherited)> {
    if let Some(folder) = predecessor
        && let Some((predecessor, sockets)) = takeover::from_predecessor(folder)?
    {
        return Ok((Some(predecessor), Inherited::new(sockets)));
    }
    Ok((None, Inherited::each_used(takeover::from_service_manager()?)))
}

/// Takes what the file says whenever it has changed, or the operator wishes so. Never ends.
async fn reload(
    reloader: &Reloader,
    source: Option<ConfigFile<'_>>,
    requests: &mut ReloadRequests,
    manager: &ServiceManager,
) {
    let (path, watched) = match source {
        None => (None, None),
        Some(ConfigFile { path, watch, begun }) => (Some(path), watch.map(|files| (path, files, begun))),
    };
    let asked = async {
        loop {
            let request = requests.next().await;
            // First, so that a file with an error keeps no log from being rotated.
            reloader.reopen_logs();
            // One that was not started with a file has nothing to read again.
            if let (Request::Reload, Some(path)) = (request, path) {
                manager.reloading();
                tell(reloader.reload_file(path).await.as_ref());
                manager.ready();
            }
        }
    };
    match watched {
        None => asked.await,
        Some((path, files, begun)) => {
            tokio::join!(asked, reloader.watch(path, files, begun, tell));
        }
    }
}

fn tell(reloaded: Result<&Status, &ReloadError>) {
    print_error(match reloaded {
        Ok(status) => {
            format!("{GOOD}reloaded{GOOD:#}: generation {}, digest {}\n", status.generation, status.digest)
        }
        Err(error) => {
            let lines: Vec<_> =
                error.to_string().lines().map(|line| format!("{}\n", visible(line))).collect();
            format!("{BAD}not reloaded{BAD:#}: {}", lines.concat())
        }
    });
}
