//! `portcullis run`: serves until it is told to stop.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, CARE, STRONG, count, load, print_error};
use portcullis::{Gateway, Loaded};
use std::path::Path;
use std::time::Duration;

pub(crate) fn run(file: &Path) -> Outcome {
    let loaded = load(file)?;
    if loaded.blueprint().is_none() {
        let errors = count(loaded.errors(), "error");
        print_error(format!("{BAD}not started{BAD:#}: {errors} in {}\n", file.display()));
        return Err(Exit::Configuration);
    }
    serve(loaded, |addresses| {
        for address in addresses {
            print_error(format!("{STRONG}portcullis{STRONG:#} is listening on http://{address}\n"));
        }
    })
}

/// Starts a gateway, says where it is, and serves until the process is told to stop.
pub(crate) fn serve(loaded: Loaded, started: impl FnOnce(&[std::net::SocketAddr])) -> Outcome {
    let failed = |error: &dyn std::fmt::Display| {
        print_error(format!("{BAD}error{BAD:#}: {error}\n"));
        Exit::Failed
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    let blueprint = loaded.into_blueprint().map_err(|error| failed(&error))?;
    let drain = blueprint.front.drain;
    runtime.block_on(async {
        let running = Gateway::new(blueprint).start().map_err(|error| failed(&error))?;
        started(running.addresses());
        running.stop_requested().await.map_err(|error| failed(&error))?;
        let drain = if drain < Duration::from_secs(1) {
            format!("{} ms", drain.as_millis())
        } else {
            format!("{} s", drain.as_secs())
        };
        print_error(format!("{CARE}stopping{CARE:#}: running requests have {drain} to finish\n"));
        running.shutdown();
        running.finished().await;
        Ok(Exit::Well)
    })
}
