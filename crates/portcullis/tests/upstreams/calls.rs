//! Groups whose servers speak HTTP/2: gRPC servers that are asked by the health service, and servers under TLS.

use super::{ask, document};
use crate::authority::{Authority, Wanted, folder, write};
use crate::support::World;
use bytes::Bytes;
use http::Response;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// A gRPC server that nobody here wrote, with the health service.
struct Grpc {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    port: u16,
}

impl Grpc {
    fn python() -> Option<PathBuf> {
        let installed =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/counterparts/grpc/bin/python");
        let named = std::env::var_os("GRPC_PYTHON").map(PathBuf::from);
        named.or(Some(installed)).filter(|path| path.exists())
    }

    fn start(python: &Path, name: &str) -> Grpc {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/counterparts/grpc/server.py");
        let mut command = Command::new(python);
        command.args([script, name]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut server = Grpc { child, input, output: BufReader::new(output), port: 0 };
        server.port = server.line().parse().unwrap();
        server
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// The status of this service is this from now on.
    fn says(&mut self, service: &str, status: &str) {
        writeln!(self.input, "{service} {status}").unwrap();
        assert_eq!(self.line(), "ok");
    }
}

impl Drop for Grpc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Which server answers a call.
async fn called(world: &World) -> String {
    let fields = ["Content-Type: application/grpc", "TE: trailers"];
    let answer = ask(world, "POST /demo.Who/Ask", &fields, "\0\0\0\0\0").await;
    // Five bytes of frame, then the message.
    answer.body.get(5..).map_or(String::new(), |name| String::from_utf8_lossy(name).into_owned())
}

/// Waits until calls go to these servers and no others.
async fn until(world: &World, about: &str, wanted: &[&str]) {
    let begun = Instant::now();
    loop {
        let mut names = Vec::new();
        for _ in 0..4 {
            names.push(called(world).await);
        }
        names.sort();
        names.dedup();
        if names == wanted {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{about}: {names:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_health_service_of_grpc_says_which_server_gets_calls() {
    let Some(python) = Grpc::python() else {
        println!("grpcio is not here: run `cargo xtask counterparts`, or set GRPC_PYTHON");
        return;
    };
    let (mut a, mut b) = (Grpc::start(&python, "a"), Grpc::start(&python, "b"));
    let servers =
        [&a, &b].map(|server| format!("{{ url: \"http://127.0.0.1:{}\", protocol: h2 }}", server.port));
    let lines = |service: &str| {
        format!(
            "health_check: {{ type: grpc, {service}interval: 100ms, timeout: 5s, unhealthy_after: 1, healthy_after: 1 }}"
        )
    };
    for server in [&mut a, &mut b] {
        server.says("-", "SERVING");
        server.says("demo.Who", "SERVING");
    }
    // The whole server.
    let world = World::start(&document(&servers, &lines("")));
    until(&world, "both serve", &["a", "b"]).await;
    a.says("-", "NOT_SERVING");
    until(&world, "one does not serve", &["b"]).await;
    a.says("-", "SERVING");
    until(&world, "it serves again", &["a", "b"]).await;
    // One service; what the rest of the server says does not count. A service that is not known is none.
    world.reload(&document(&servers, &lines("service: demo.Who, "))).unwrap();
    a.says("-", "NOT_SERVING");
    b.says("demo.Who", "SERVICE_UNKNOWN");
    until(&world, "the service of one", &["a"]).await;
    b.says("demo.Who", "SERVING");
    until(&world, "the service of both", &["a", "b"]).await;
    // A server that is gone.
    drop(b);
    until(&world, "one is gone", &["a"]).await;
    world.end().await;
}

/// A server of HTTP/2 under TLS, and how many requests it had.
async fn protected(folder: &Path, certificate: &str, name: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let chain = CertificateDer::from_pem_file(folder.join(format!("{certificate}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{certificate}.key"))).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let mut answer = respond.send_response(Response::new(()), false).unwrap();
                    answer.send_data(Bytes::from_static(name.as_bytes()), true).unwrap();
                }
            });
        }
    });
    (address, requests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_under_tls_gives_nothing_to_a_server_that_cannot_prove_itself() {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    write(&folder.join("ca.pem"), &authority.pem);
    authority.issue(&folder, "good", &Wanted::server(&["app.example"]));
    Authority::new("another authority").issue(&folder, "other", &Wanted::server(&["app.example"]));
    let a = protected(&folder, "good", "a").await;
    let b = protected(&folder, "good", "b").await;
    let imposter = protected(&folder, "other", "imposter").await;
    let servers = [&a, &b, &imposter].map(|(address, _)| {
        let ca = folder.join("ca.pem");
        format!(
            "{{ url: \"https://{address}\", protocol: h2, tls: {{ ca: \"{}\", server_name: app.example }} }}",
            ca.display()
        )
    });
    let check = "health_check: { type: tcp, interval: 100ms, unhealthy_after: 1 }";
    for lines in ["", check] {
        let world = World::start(&document(&servers, lines));
        for _ in 0..20 {
            let answer = ask(&world, "POST /x", &[], "a body").await;
            assert_eq!(answer.status, 200, "{lines}");
            assert_ne!(answer.body, b"imposter");
        }
        world.end().await;
    }
    let [a, b, imposter] = [&a, &b, &imposter].map(|(_, requests)| requests.load(Ordering::SeqCst));
    assert!(a >= 10 && b >= 10 && imposter == 0, "{a}, {b}, {imposter}");
}
