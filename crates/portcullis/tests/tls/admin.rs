//! The admin listener with TLS: a handshake, a token inside it, a cookie for HTTPS alone, and nothing in the clear.

use crate::authority::{Authority, Wanted, folder, write};
use crate::commands::{curl, s_client};
use crate::support::{Backend, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TOKEN: &str = "operator-token-0123456789-0123456789-abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_speaks_https() {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    let ca = folder.join("ca.pem");
    write(&ca, &authority.pem);
    authority.issue(&folder, "admin", &Wanted::server(&["admin.example"]));
    write(&folder.join("operator.token"), TOKEN);
    let backend = Backend::start().await;
    let world = World::start(&format!(
        "listeners: [{{ bind: 127.0.0.1:0 }}]
admin:
  bind: 127.0.0.1:0
  hosts: [\"admin.example\"]
  tokens: [{{ file: {0}/operator.token, role: operator }}]
  tls: {{ certificate: {0}/admin.pem, key: {0}/admin.key }}
routes: [{{ path: /a, public: a test, upstream: \"http://{1}\" }}]
",
        folder.display(),
        backend.address
    ));
    let admin = world.reloader().admin().unwrap();
    assert!(admin.tls);
    let ask = |path: &'static str, more: Vec<String>| {
        let (address, ca) = (admin.address, ca.clone());
        tokio::task::spawn_blocking(move || {
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            curl(address, "admin.example", path, &ca, &more)
        })
    };
    let host = vec!["-H".to_owned(), "Host: admin.example".to_owned()];
    let with = |more: &[&str]| [host.clone(), more.iter().map(|one| (*one).to_owned()).collect()].concat();
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let status = ask("/api/v1/status", with(&["-H", &bearer])).await.unwrap();
    assert!(status.out.starts_with("HTTP/1.1 200") && status.out.contains("\"generation\":1"), "{status:?}");
    let nobody = ask("/api/v1/status", with(&[])).await.unwrap();
    assert!(nobody.out.starts_with("HTTP/1.1 401"), "{nobody:?}");
    let data = format!("token={TOKEN}");
    let login = ask("/login", with(&["--data", &data])).await.unwrap();
    assert!(login.out.starts_with("HTTP/1.1 303") && login.out.contains("; Secure"), "{login:?}");
    // Another authority's clients see no certificate that they trust.
    let other = folder.join("other.pem");
    write(&other, &Authority::new("another authority").pem);
    let (address, wrong) = (admin.address, other.clone());
    let distrust =
        tokio::task::spawn_blocking(move || curl(address, "admin.example", "/healthz", &wrong, &[]));
    assert!(!distrust.await.unwrap().ok);
    // Older versions of TLS get no handshake.
    let (address, trusted) = (admin.address, ca.clone());
    let old = tokio::task::spawn_blocking(move || s_client(address, &trusted, &["-tls1_1"]));
    assert!(!old.await.unwrap().ok);
    // In the clear there is no answer that tells anything.
    let mut plain = TcpStream::connect(admin.address).await.unwrap();
    let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: admin.example\r\n{bearer}\r\n\r\n");
    plain.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(crate::support::PATIENCE, plain.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open");
    assert!(!String::from_utf8_lossy(&answer).contains("generation"), "{}", answer.escape_ascii());
    world.end().await;
}
