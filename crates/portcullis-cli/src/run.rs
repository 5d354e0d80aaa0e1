//! `portcullis run`: serves until it is told to stop.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, CARE, FAINT, STRONG, count, load, print_error, url};
use portcullis::{Gateway, Listener, Loaded};
use std::path::Path;
use std::time::Duration;

pub(crate) fn run(file: &Path) -> Outcome {
    let loaded = load(file)?;
    if loaded.blueprint().is_none() {
        let errors = count(loaded.errors(), "error");
        print_error(format!("{BAD}not started{BAD:#}: {errors} in {}\n", file.display()));
        return Err(Exit::Configuration);
    }
    serve(loaded, |listeners, addresses| {
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

/// Starts a gateway, says where it is, and serves until the process is told to stop.
pub(crate) fn serve(loaded: Loaded, started: impl FnOnce(&[Listener], &[std::net::SocketAddr])) -> Outcome {
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
        let running = Gateway::new(blueprint).start().map_err(|error| failed(&error))?;
        started(&listeners, running.addresses());
        running.stop_requested().await.map_err(|error| failed(&error))?;
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
