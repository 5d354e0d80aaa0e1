//! `portcullis quickstart`: a gateway in front of a small backend, in one command.
//!
//! Both listen on the loopback address only. The keys are made anew each time and held in memory.

use crate::Outcome;
use crate::exit::Exit;
use crate::run::serve;
use crate::screen::{BAD, FAINT, GOOD, STRONG, print, print_error};
use portcullis::load::Context;
use portcullis::{Json, Loaded, RouteOptions};
use rand::Rng;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::mpsc;

pub(crate) fn run(port: u16) -> Outcome {
    let backend = backend().map_err(|error| {
        print_error(format!("{BAD}error{BAD:#}: the backend did not start: {error}\n"));
        Exit::Failed
    })?;
    let (key, guest_key) = (new_key(), new_key());
    let text = configuration(port, backend, &key, &guest_key);
    // The keys stand in the text, which exists in this process only.
    let loaded = Loaded::yaml("quickstart.yaml", text, Context::for_code());
    serve(loaded, None, None, |_, addresses| {
        if let Some(address) = addresses.first() {
            print(greeting(*address, backend, &key, &guest_key));
        }
    })
}

/// 256 random bits, in hexadecimal digits.
fn new_key() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn configuration(port: u16, backend: SocketAddr, key: &str, guest_key: &str) -> String {
    format!(
        r#"listeners:
  - bind: 127.0.0.1:{port}
security:
  authentication: {{ type: api_key, header: x-api-key }}
  authorization: {{ roles_allowed: [user] }}
  rate_limiting: {{ max_requests: 5, per: minute, by: consumer }}
  body: {{ max_size: 1KiB }}
consumers:
  - {{ name: alice, roles: [user], keys: ["{key}"] }}
  - {{ name: guest, roles: [guest], keys: ["{guest_key}"] }}
routes:
  - {{ path: /data, methods: [GET, POST], upstream: "http://{backend}" }}
  - {{ path: /health, methods: [GET], public: "liveness probe, no data", upstream: "http://{backend}" }}
access_log: insecure_off
"#
    )
}

/// A backend that anybody could have written: it asks nobody who they are.
fn backend() -> Result<SocketAddr, String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new()
        .name("backend".into())
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(sender.send(Err(error.to_string()))),
            };
            runtime.block_on(async move {
                let open = || {
                    RouteOptions::new().public("the backend of a demonstration, reached through the gateway")
                };
                let started = portcullis::Gateway::builder()
                    .workers(1)
                    .route_with("/data", open(), |_request| async {
                        Json(json!({ "message": "Secure data accessed" }))
                    })
                    .route_with("/health", open(), |_request| async { Json(json!({ "status": "ok" })) })
                    .start(0);
                match started {
                    Ok(running) => {
                        let address =
                            running.addresses().first().copied().ok_or_else(|| "no address".to_owned());
                        let _ = sender.send(address);
                        // Serves as long as the process lives.
                        running.finished().await;
                    }
                    Err(error) => drop(sender.send(Err(error.to_string()))),
                }
            });
        })
        .map_err(|error| error.to_string())?;
    receiver.recv().unwrap_or_else(|_| Err("it ended before it began".into()))
}

fn greeting(gateway: SocketAddr, backend: SocketAddr, key: &str, guest_key: &str) -> String {
    let url = format!("http://{gateway}");
    format!(
        "\
{STRONG}Portcullis{STRONG:#} is listening on {url}, in front of a small backend on http://{backend}.

Try, in another terminal:

  {FAINT}# with the key: {FAINT:#}{GOOD}200{GOOD:#}
  curl -i {url}/data -H 'x-api-key: {key}'

  {FAINT}# without a key: {FAINT:#}{BAD}401{BAD:#}
  curl -i {url}/data

  {FAINT}# more than five times a minute: {FAINT:#}{BAD}429{BAD:#}
  for i in 1 2 3 4 5 6; do curl -s -o /dev/null -w '%{{http_code}}\\n' {url}/data -H 'x-api-key: {key}'; done

More: a key without the role gets 403 {FAINT}(-H 'x-api-key: {guest_key}'){FAINT:#},
DELETE gets 405, a body of over 1 KiB 413, {url}/nothing 404; {url}/health is public.
Next: {STRONG}portcullis check FILE{STRONG:#} and {STRONG}portcullis run FILE{STRONG:#} with a configuration of your own. Ctrl-C stops.
"
    )
}
