//! What a reload costs those who are served meanwhile: latency under load with reloads, and without.
//!
//! ```sh
//! cargo run --profile dist --example reload_latency -- --routes 10000 --keys 100000 --seconds 20
//! ```
//!
//! A gateway with so many routes and keys serves on loopback, in front of a backend in the same process, with the allocator of the
//! command. First it is found out how many requests a second it serves at most. Then requests come at 30 % of that, at fixed times
//! whether or not the ones before were answered, so that a pause is seen by everybody who would have met it: latency counts from the
//! time at which a request was due. Rounds with and without reloads alternate. A reload is what SIGHUP does: a file is read, compiled,
//! tested and taken; the next one begins 200 ms later. The program prints both, and fails where the 99.9th percentile is more than
//! 20 ms higher with reloads, or where a request is not answered with 200. `--upstreams` is the number of servers behind the routes,
//! 100 by default.

#![expect(clippy::print_stdout, reason = "the program says what it measured")]

use portcullis::{Gateway, Loaded, Reloader, State};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// That of the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How much higher the 99.9th percentile may be.
const MOST: Duration = Duration::from_millis(20);
/// The share of what it serves at most.
const LOAD: f64 = 0.3;
const CONNECTIONS: usize = 32;
const ROUNDS: usize = 3;

fn main() -> Result<(), Failure> {
    let (routes, keys) = (number("--routes")?.unwrap_or(10_000), number("--keys")?.unwrap_or(100_000));
    let upstreams = number("--upstreams")?.unwrap_or(100);
    let seconds = Duration::from_secs(number("--seconds")?.unwrap_or(20) as u64);
    let clients = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let backend = clients.block_on(backend())?;
    let folder = Folder::new()?;
    let files = (0..2).map(|turn| folder.file(turn, &document(routes, keys, upstreams, backend, turn)));
    let files = files.collect::<std::io::Result<Vec<_>>>()?;
    let begun = Instant::now();
    let first = Loaded::file_with(files.first().ok_or("no file")?, &State::new())?;
    let running = Gateway::new(first.into_blueprint()?).start()?;
    println!("{routes} routes and {keys} keys loaded in {} ms", begun.elapsed().as_millis());
    let address = *running.addresses().first().ok_or("no listener")?;

    let most = clients.block_on(most(address, routes, keys))?;
    let rate = most * LOAD;
    println!("{most:.0} requests a second at most; {rate:.0} a second from now on");
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut reloads: Vec<Duration> = Vec::new();
    for _ in 0..ROUNDS {
        without.extend(clients.block_on(round(address, routes, keys, rate, seconds))?);
        let over = Arc::new(AtomicBool::new(false));
        let (reloader, files, ends) = (running.reloader().clone(), files.clone(), Arc::clone(&over));
        let reloading = std::thread::spawn(move || reload_until(&reloader, &files, &ends));
        let measured = clients.block_on(round(address, routes, keys, rate, seconds));
        over.store(true, Ordering::Relaxed);
        reloads.extend(reloading.join().map_err(|_| "a reload ended early")??);
        with.extend(measured?);
    }
    without.sort_unstable();
    with.sort_unstable();
    for (name, sorted) in [("without reloads", &without), ("with reloads", &with)] {
        let at = |share| percentile(sorted, share).as_secs_f64() * 1000.0;
        println!(
            "{name:<16} {:>8} requests   50 % {:>8.3} ms   99 % {:>8.3} ms   99.9 % {:>8.3} ms   most {:>8.3} ms",
            sorted.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
    let (control, measured) = (percentile(&without, 0.999), percentile(&with, 0.999));
    let more = measured.saturating_sub(control);
    println!(
        "{} reloads of {} ms each; the 99.9th percentile is {:.3} ms higher with them",
        reloads.len(),
        reloads.iter().sum::<Duration>().as_millis() / reloads.len().max(1) as u128,
        more.as_secs_f64() * 1000.0
    );
    if reloads.len() < 2 * ROUNDS {
        return Err(format!("only {} reloads: give it more time", reloads.len()).into());
    }
    if more > MOST {
        return Err(format!("more than {} ms", MOST.as_millis()).into());
    }
    Ok(())
}

/// One reload after the other, with a pause. Answers with how long each took.
fn reload_until(reloader: &Reloader, files: &[PathBuf], over: &AtomicBool) -> Result<Vec<Duration>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut reloads = Vec::new();
    for file in files.iter().rev().cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let begun = Instant::now();
        runtime.block_on(reloader.reload_file(file))?;
        reloads.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(reloads)
}

/// A folder for configuration files, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Folder> {
        let path = std::env::temp_dir().join(format!("portcullis-reload-latency-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    /// Writes a file that its owner alone can read.
    fn file(&self, number: usize, text: &str) -> std::io::Result<PathBuf> {
        let path = self.0.join(format!("gateway-{number}.yaml"));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(&path)?.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn document(routes: usize, keys: usize, upstreams: usize, backend: SocketAddr, turn: usize) -> String {
    let mut text = format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 2\naccess_log: insecure_off\nsecurity:\n  authentication: {{ type: api_key, header: x-api-key }}\n  \
         authorization: {{ roles_allowed: [user] }}\n  rate_limiting: {{ max_requests: {}, per: day }}\nconsumers:\n",
        1_000_000_000 + turn
    );
    for key in 0..keys {
        let _ = writeln!(
            text,
            "  - {{ name: consumer-{key}, roles: [user], keys: [{{ literal: {} }}] }}",
            secret(key)
        );
    }
    text.push_str("routes:\n");
    for route in 0..routes {
        // One server, under many names of the loopback network.
        let upstream = route % upstreams.max(1);
        let host = format!("127.0.{}.{}", upstream / 250 % 250, 1 + upstream % 250);
        let _ = writeln!(
            text,
            "  - {{ path: \"/route-{route}/{{id}}\", upstream: \"http://{host}:{}\" }}",
            backend.port()
        );
    }
    text
}

fn secret(key: usize) -> String {
    format!("key-of-the-measurement-{key:08}")
}

/// Answers every request on every connection.
async fn backend() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("0.0.0.0:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut unread = Vec::new();
                let mut buffer = [0; 8192];
                while let Ok(size @ 1..) = stream.read(&mut buffer).await {
                    unread.extend_from_slice(buffer.get(..size).unwrap_or_default());
                    while let Some(end) = unread.windows(4).position(|end| end == b"\r\n\r\n") {
                        unread.drain(..end + 4);
                        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err()
                        {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}

/// Sends one request and waits for its answer.
async fn ask(stream: &mut TcpStream, route: usize, key: usize) -> Result<(), Failure> {
    let request =
        format!("GET /route-{route}/7 HTTP/1.1\r\nHost: a.example\r\nX-Api-Key: {}\r\n\r\n", secret(key));
    stream.write_all(request.as_bytes()).await?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while !(answer.ends_with(b"ok") && answer.windows(4).any(|end| end == b"\r\n\r\n")) {
        let size = stream.read(&mut buffer).await?;
        answer.extend_from_slice(buffer.get(..size).unwrap_or_default());
        if size == 0 || (answer.len() > 12 && !answer.starts_with(b"HTTP/1.1 200")) {
            return Err(format!("the answer is {}", String::from_utf8_lossy(&answer)).into());
        }
    }
    Ok(())
}

/// How many requests a second are served at most, measured for three seconds.
async fn most(address: SocketAddr, routes: usize, keys: usize) -> Result<f64, Failure> {
    let (begun, served) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for client in 0..CONNECTIONS {
        let served = Arc::clone(&served);
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut number = client;
            while begun.elapsed() < Duration::from_secs(3) {
                ask(&mut stream, number % routes, number % keys).await?;
                served.fetch_add(1, Ordering::Relaxed);
                number += CONNECTIONS;
            }
            Ok::<_, Failure>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(served.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

/// Sends so many requests a second for so long, and answers with how long each took from when it was due.
async fn round(
    address: SocketAddr,
    routes: usize,
    keys: usize,
    rate: f64,
    time: Duration,
) -> Result<Vec<Duration>, Failure> {
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for client in 0..CONNECTIONS {
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut took = Vec::new();
            for turn in 0.. {
                let number = client + turn * CONNECTIONS;
                let due = begun + Duration::from_secs_f64(number as f64 / rate);
                if due.duration_since(begun) > time {
                    break;
                }
                tokio::time::sleep_until(due.into()).await;
                ask(&mut stream, number % routes, number % keys).await?;
                took.push(due.elapsed());
            }
            Ok::<_, Failure>(took)
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(all)
}

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share) as usize).copied().unwrap_or_default()
}

fn number(name: &str) -> Result<Option<usize>, Failure> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    Ok(arguments.next().map(|value| value.parse()).transpose()?)
}
