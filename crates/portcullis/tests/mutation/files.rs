//! The files that configurations name. What is not here gets a stand-in, by the ending of its name.

#[path = "../support/authority.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
mod authority;

use authority::{Authority, Wanted, folder, write};
use portcullis::Loaded;
use portcullis::load::Context;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

/// A document that names the methods for each operation, and what answers look like.
const SECURED: &str = include_str!("files/secured.yaml");
/// The document of the benchmarks.
const ORDERS: &str = include_str!("../../../../bench/peers/orders.openapi.yaml");
const PASSWORD: &str = include_str!("../config/files/password.txt");

/// A folder with all files of the tests of configurations.
fn made() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let place = folder();
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/files");
        for entry in std::fs::read_dir(files).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                write(&place.join(entry.file_name()), &std::fs::read_to_string(entry.path()).unwrap());
            }
        }
        write(&place.join("secured.yaml"), SECURED);
        write(&place.join("orders.openapi.yaml"), ORDERS);
        let authority = Authority::new("a test's authority");
        write(&place.join("ca.pem"), &authority.pem);
        let names = ["api.example.com", "*.example.com", "localhost"];
        // What pages call certificates. A diagnostic about a missing one does not name the file.
        for name in ["server", "api", "shop", "orders"] {
            authority.issue(&place, name, &Wanted::server(&names));
        }
        authority.issue(&place, "gateway", &Wanted::client("gateway"));
        for name in ["clients", "clients-ca", "internal-ca"] {
            write(&place.join(format!("{name}.pem")), &authority.pem);
        }
        place
    })
}

/// Reads a document. Each file that it names and that is not there is made.
pub(crate) fn load(text: &str) -> Loaded {
    // The key of a client, which a page names by where it is on its machine.
    let text = &text.replace("/etc/portcullis/gateway.pem", "gateway.key");
    // One at a time makes files.
    static MAKING: Mutex<()> = Mutex::new(());
    for _ in 0..20 {
        let loaded = read(text);
        let missing = missing(text, &loaded);
        if missing.is_empty() {
            return loaded;
        }
        let _making = MAKING.lock().unwrap();
        missing.iter().for_each(|name| make(name));
    }
    panic!("files are missing: {:?}\n{text}", missing(text, &read(text)));
}

fn read(text: &str) -> Loaded {
    let cx = Context::for_file(made()).with_environment(|name| {
        let url = name.ends_with("_URL").then_some("postgres://portcullis@localhost/keys");
        let folder = name.ends_with("_DIRECTORY").then_some(".");
        let secret = format!("a-secret-of-the-test-0123456789abcdef-{name}");
        Ok(url.or(folder).map_or(secret, str::to_owned))
    });
    Loaded::yaml("gateway.yaml", text.to_owned(), cx)
}

/// The files that a document names and that are not there, if it does not load for want of one. They are looked for in the
/// document: a diagnostic cuts long paths off.
fn missing(text: &str, loaded: &Loaded) -> Vec<PathBuf> {
    const ENDINGS: [&str; 10] =
        ["pem", "crt", "key", "hash", "yaml", "yml", "json", "graphql", "html", "txt"];
    let said = loaded.json().to_string();
    if !["No such file or directory", "does not exist"].iter().any(|gone| said.contains(gone)) {
        return Vec::new();
    }
    let words = text.split(|c: char| c.is_whitespace() || "\"'{}[](),:".contains(c)).map(Path::new);
    let files = words.filter(|word| {
        let ending = word.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| ENDINGS.contains(&ending)) && !word.to_string_lossy().contains('*')
    });
    // What stands behind a variable looks like a path from the root.
    let files = files.map(|file| made().join(file.strip_prefix("/").unwrap_or(file)));
    let named = said.split(['`', '"', ' ', '\'', ':', ',', '\\', '(', ')']);
    let named = named.filter(|word| word.starts_with(made().to_str().unwrap()) && !word.contains('…'));
    files.chain(named.map(PathBuf::from)).filter(|path| !path.exists()).collect()
}

fn make(path: &Path) {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).unwrap();
    }
    let place = made();
    let copy = |name: &str| write(path, &std::fs::read_to_string(place.join(name)).unwrap());
    let name = path.file_name().unwrap().to_str().unwrap();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("pem" | "crt") if name.contains("client") || name.contains("ca") => copy("ca.pem"),
        Some("pem" | "crt") => copy("server.pem"),
        Some("key") if path.with_extension("pem").exists() || path.with_extension("crt").exists() => {
            copy("server.key");
        }
        Some("hash") => write(path, PASSWORD),
        Some("yaml" | "yml") => copy("orders.yaml"),
        Some("graphql") => copy("schema.graphql"),
        Some("json") => copy("keys.json"),
        Some("html") => copy("not-found.html"),
        _ => write(path, "a-secret-in-a-stand-in-0123456789abcdef"),
    }
}
