//! Client certificates: who is let in, who is not, and what the record says.

use crate::authority::{Authority, Issued, Wanted, folder, self_signed, write};
use crate::commands::{curl, s_client};
use crate::support::{Backend, World};
use rcgen::{DnType, ExtendedKeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection of a client that has, or has not, a certificate.
pub async fn connect(
    address: SocketAddr,
    ca: &Path,
    host: &str,
    own: Option<&Issued>,
) -> std::io::Result<TlsStream<TcpStream>> {
    protect(TcpStream::connect(address).await?, ca, host, own).await
}

/// The same on a connection that is there.
pub async fn protect(
    stream: TcpStream,
    ca: &Path,
    host: &str,
    own: Option<&Issued>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from(own.der.clone())],
                PrivateKeyDer::try_from(own.key_der.clone()).unwrap(),
            )
            .unwrap(),
    };
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await
}

/// The status of one request on a connection that stays open.
pub async fn get(stream: &mut TlsStream<TcpStream>, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nHost: api.example\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"ok") && !head.ends_with(b"}") {
        let mut buffer = [0; 4096];
        let size =
            tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(size > 0, "the connection ended");
        head.extend_from_slice(&buffer[..size]);
    }
    String::from_utf8_lossy(&head)[9..12].parse().unwrap()
}

struct Setup {
    folder: PathBuf,
    ca: PathBuf,
    authority: Authority,
}

fn setup() -> Setup {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    let ca = folder.join("ca.pem");
    write(&ca, &authority.pem);
    write(&folder.join("none.crl"), &authority.revoke(&[], false));
    authority.issue(&folder, "api", &Wanted::server(&["api.example"]));
    Setup { folder, ca, authority }
}

impl Setup {
    fn gateway(&self, backend: &Backend, clients: &str, consumers: &str, authentication: &str) -> World {
        let folder = self.folder.display();
        World::start(&format!(
            "listeners:\n  - bind: 127.0.0.1:0\n    tls:\n      certificates: [{{ certificate: {folder}/api.pem, key: {folder}/api.key }}]\n      \
             client_certificates: {{ ca: {folder}/ca.pem{clients} }}\n      reload_interval: 20ms\n\
             security: {{ authentication: {authentication} }}\nconsumers: {consumers}\n\
             routes: [{{ path: \"/{{*rest}}\", upstream: \"http://{}\" }}]\n",
            backend.address
        ))
    }

    fn issue(&self, name: &'static str, change: impl FnOnce(&mut Wanted)) -> Issued {
        let mut wanted = Wanted::client(name);
        change(&mut wanted);
        self.authority.issue(&self.folder, name, &wanted)
    }
}

/// curl with this certificate.
fn curl_as(world: &World, setup: &Setup, own: Option<&Issued>) -> crate::commands::Said {
    let Some(own) = own else { return curl(world.address, "api.example", "/a", &setup.ca, &[]) };
    let (certificate, key) = (own.certificate.to_str().unwrap(), own.key.to_str().unwrap());
    curl(world.address, "api.example", "/a", &setup.ca, &["--cert", certificate, "--key", key])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_known_by_its_certificate() {
    let setup = setup();
    let backend = Backend::start().await;
    let by_subject = setup.issue("alice", |_| {});
    let by_name = setup.issue("bob", |wanted| wanted.names = vec!["bob.example"]);
    let by_uri = setup.issue("carol", |wanted| wanted.uris = vec!["spiffe://example/carol"]);
    let by_fingerprint = setup.issue("dave", |_| {});
    let nobody = setup.issue("mallory", |wanted| wanted.names = vec!["alice.example"]);
    let two = setup.issue("eve", |wanted| {
        wanted.names = vec!["bob.example"];
        wanted.subject = vec![(DnType::OrganizationName, "Example"), (DnType::CommonName, "alice")];
    });
    let fingerprint: String =
        Sha256::digest(&by_fingerprint.der).iter().map(|byte| format!("{byte:02X}")).collect();
    let consumers = format!(
        "[{{ name: alice, certificates: [{{ subject: \"CN=alice,O=Example\" }}] }}, \
          {{ name: bob, certificates: [{{ name: BOB.example }}] }}, \
          {{ name: carol, certificates: [{{ name: \"spiffe://example/carol\" }}] }}, \
          {{ name: dave, certificates: [{{ fingerprint: \"{fingerprint}\" }}] }}]"
    );
    let world = setup.gateway(&backend, "", &consumers, "{ type: mtls }");
    for (name, own) in
        [("alice", &by_subject), ("bob", &by_name), ("carol", &by_uri), ("dave", &by_fingerprint)]
    {
        let said = curl_as(&world, &setup, Some(own));
        assert!(said.ok && said.out.contains(" 200"), "{name}: {said:?}");
        assert_eq!(backend.seen().last().unwrap().fields("x-consumer-name"), [name]);
    }
    let said = curl_as(&world, &setup, Some(&nobody));
    assert!(said.ok && said.out.contains(" 401"), "{said:?}");
    let said = curl_as(&world, &setup, Some(&two));
    assert!(said.ok && said.out.contains(" 401"), "{said:?}");
    assert_eq!(backend.seen().len(), 4);
    let records = world.end().await.all();
    assert_eq!(records[4]["denied"]["code"], "credential_unknown");
    assert!(records[4]["denied"]["detail"].as_str().unwrap().contains("CN=mallory,O=Example"), "{records:?}");
    assert_eq!(records[5]["denied"]["code"], "credentials_disagree");
}

/// An intermediate authority that is constrained to some DNS names is free in URIs.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_another_kind_lets_nobody_in() {
    let setup = setup();
    let backend = Backend::start().await;
    let by_name = setup.issue("bob", |wanted| wanted.names = vec!["bob.example"]);
    let by_uri = setup.issue("mallory", |wanted| wanted.uris = vec!["bob.example"]);
    let consumers = "[{ name: bob, certificates: [{ name: bob.example }] }]";
    let world = setup.gateway(&backend, "", consumers, "{ type: mtls }");
    let said = curl_as(&world, &setup, Some(&by_name));
    assert!(said.ok && said.out.contains(" 200"), "{said:?}");
    let said = curl_as(&world, &setup, Some(&by_uri));
    assert!(said.ok && said.out.contains(" 401"), "{said:?}");
    assert_eq!(backend.seen().len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_certificate_is_refused_and_the_record_says_why() {
    let setup = setup();
    let backend = Backend::start().await;
    let stranger = Authority::new("another authority");
    write(&setup.folder.join("some.crl"), &setup.authority.revoke(&[66], false));
    let good = setup.issue("good", |_| {});
    let bad = [
        ("has expired", setup.issue("expired", |wanted| wanted.days = (-30, -1))),
        ("is not valid yet", setup.issue("early", |wanted| wanted.days = (1, 30))),
        ("was revoked", setup.issue("revoked", |wanted| wanted.serial = 66)),
        (
            "is not for clients",
            setup.issue("server", |wanted| wanted.usage = Some(ExtendedKeyUsagePurpose::ServerAuth)),
        ),
        (
            "is from an authority that is not believed",
            stranger.issue(&setup.folder, "stranger", &Wanted::client("good")),
        ),
        (
            "is from an authority that is not believed",
            self_signed(&setup.folder, "own", &Wanted::client("good")),
        ),
    ];
    let crl = format!(", crls: [{}/some.crl]", setup.folder.display());
    let consumers = "[{ name: good, certificates: [{ subject: \"CN=good,O=Example\" }] }]";
    // Bad ones are refused where a certificate is required, and also where it is not.
    for need in ["required", "optional"] {
        let world = setup.gateway(&backend, &format!("{crl}, need: {need}"), consumers, "{ type: mtls }");
        let before = backend.seen().len();
        for (_, own) in &bad {
            let said = curl_as(&world, &setup, Some(own));
            assert!(!said.ok && !said.out.contains("HTTP/"), "{said:?}");
            let (certificate, key) = (own.certificate.to_str().unwrap(), own.key.to_str().unwrap());
            let said = s_client(world.address, &setup.ca, &["-cert", certificate, "-key", key, "-tls1_2"]);
            assert!(!said.ok && said.err.contains("alert"), "{said:?}");
        }
        let said = curl_as(&world, &setup, None);
        assert_eq!(said.ok, need == "optional", "{said:?}");
        assert!(curl_as(&world, &setup, Some(&good)).out.contains(" 200"));
        assert_eq!(backend.seen().len(), before + 1);
        let records = world.end().await.all();
        let details: Vec<_> =
            records.iter().filter(|record| record["denied"]["code"] == "client_certificate").collect();
        let none = usize::from(need == "required");
        assert_eq!(details.len(), 2 * bad.len() + none, "{details:#?}");
        for (number, (why, _)) in bad.iter().enumerate() {
            for detail in &details[2 * number..2 * number + 2] {
                let detail = detail["denied"]["detail"].as_str().unwrap();
                assert!(detail.contains(why), "{why}: {detail}");
            }
        }
        if need == "optional" {
            assert!(records.iter().any(|record| record["denied"]["code"] == "credential_missing"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_out_of_date_refuses_everybody() {
    let setup = setup();
    let backend = Backend::start().await;
    let good = setup.issue("good", |_| {});
    let list = setup.folder.join("old.crl");
    write(&list, &setup.authority.revoke(&[], true));
    let consumers = "[{ name: good, certificates: [{ subject: \"CN=good,O=Example\" }] }]";
    let world =
        setup.gateway(&backend, &format!(", crls: [{}]", list.display()), consumers, "{ type: mtls }");
    assert!(!curl_as(&world, &setup, Some(&good)).ok);
    // A new list is taken up without a restart.
    write(&list, &setup.authority.revoke(&[], false));
    let begun = std::time::Instant::now();
    while !curl_as(&world, &setup, Some(&good)).ok {
        assert!(begun.elapsed() < Duration::from_secs(10), "the new list is not taken up");
    }
    // And one that revokes as well.
    write(&list, &setup.authority.revoke(&[2], false));
    let begun = std::time::Instant::now();
    while curl_as(&world, &setup, Some(&good)).ok {
        assert!(begun.elapsed() < Duration::from_secs(10), "the certificate stays good");
    }
    let records = world.end().await.all();
    assert!(records[0]["denied"]["detail"].as_str().unwrap().contains("out of date"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_does_not_come_back_by_a_ticket() {
    let setup = setup();
    let backend = Backend::start().await;
    let good = setup.issue("good", |_| {});
    let consumers = "[{ name: good, certificates: [{ subject: \"CN=good,O=Example\" }] }]";
    let world = setup.gateway(&backend, "", consumers, "{ type: mtls }");
    let session = setup.folder.join("session");
    let (certificate, key) = (good.certificate.to_str().unwrap(), good.key.to_str().unwrap());
    for version in ["-tls1_2", "-tls1_3"] {
        let more = [version, "-cert", certificate, "-key", key, "-sess_out", session.to_str().unwrap()];
        let first = s_client(world.address, &setup.ca, &more);
        assert!(first.ok, "{first:?}");
        if !session.exists() {
            continue;
        }
        let again = s_client(world.address, &setup.ca, &[version, "-sess_in", session.to_str().unwrap()]);
        assert!(!again.out.contains("Reused"), "{again:?}");
    }
    world.end().await;
}

/// RFC 8705, section 3: a token that is bound to a certificate is of use on that certificate's connections alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_bound_token_is_of_use_with_its_certificate_alone() {
    use aws_lc_rs::hmac;
    use base64ct::{Base64UrlUnpadded, Encoding};
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let setup = setup();
    let backend = Backend::start().await;
    let alice = setup.issue("alice", |_| {});
    let bob = setup.issue("bob", |_| {});
    let world = setup.gateway(
        &backend,
        ", need: optional",
        "[]",
        &format!("{{ type: jwt, issuer: \"https://issuer.example\", audience: api, secret: {{ literal: {SECRET} }} }}"),
    );
    let encode = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    let token = |binding: &str| {
        let expires =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 600;
        let head = encode(br#"{"alg":"HS256","typ":"JWT"}"#);
        let claims = encode(
            format!(
                r#"{{"iss":"https://issuer.example","aud":"api","sub":"alice","exp":{expires}{binding}}}"#
            )
            .as_bytes(),
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let signature = encode(hmac::sign(&key, format!("{head}.{claims}").as_bytes()).as_ref());
        format!("authorization: Bearer {head}.{claims}.{signature}")
    };
    let thumbprint = encode(&Sha256::digest(&alice.der));
    let bound = token(&format!(r#","cnf":{{"x5t#S256":"{thumbprint}"}}"#));
    let ask = |token: &str, own: Option<&Issued>| {
        let mut more = vec!["-H", token];
        if let Some(own) = own {
            more.extend(["--cert", own.certificate.to_str().unwrap(), "--key", own.key.to_str().unwrap()]);
        }
        let said = curl(world.address, "api.example", "/a", &setup.ca, &more);
        assert!(said.ok, "{said:?}");
        said.out[9..12].parse::<u16>().unwrap_or_else(|_| said.out[7..10].parse().unwrap())
    };
    assert_eq!(ask(&bound, Some(&alice)), 200);
    assert_eq!(ask(&bound, Some(&bob)), 401);
    assert_eq!(ask(&bound, None), 401);
    assert_eq!(ask(&token(""), None), 200);
    let records = world.end().await.all();
    let codes: Vec<_> = records.iter().filter_map(|record| record["denied"]["code"].as_str()).collect();
    assert_eq!(codes, ["token_binding", "token_binding"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_its_clients_certificate() {
    let setup = setup();
    let backend = Backend::start().await;
    let brief = setup.issue("alice", |wanted| wanted.ends_in = Some(3));
    let long = setup.issue("bob", |_| {});
    let consumers = "[{ name: alice, certificates: [{ subject: \"CN=alice,O=Example\" }] }, \
                      { name: bob, certificates: [{ subject: \"CN=bob,O=Example\" }] }]";
    let world = setup.gateway(&backend, "", consumers, "{ type: mtls }");
    let mut lasting = connect(world.address, &setup.ca, "api.example", Some(&long)).await.unwrap();
    let mut stream = connect(world.address, &setup.ca, "api.example", Some(&brief)).await.unwrap();
    assert_eq!(get(&mut stream, "/a").await, 200);
    let mut rest = Vec::new();
    let _end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest))
        .await
        .expect("it is closed");
    assert_eq!(get(&mut lasting, "/a").await, 200);
    drop(lasting);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_another_listener_is_421() {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    let ca = folder.join("ca.pem");
    write(&ca, &authority.pem);
    authority.issue(&folder, "www", &Wanted::server(&["www.example", "both.example"]));
    authority.issue(&folder, "api", &Wanted::server(&["api.example", "both.example"]));
    let own = authority.issue(&folder, "alice", &Wanted::client("alice"));
    let backend = Backend::start().await;
    let tls = |name: &str, more: &str| {
        let place = folder.display();
        format!(
            "  - bind: 127.0.0.1:0\n    tls:\n      certificates: [{{ certificate: {place}/{name}.pem, key: {place}/{name}.key }}]\n{more}"
        )
    };
    let clients = format!("      client_certificates: {{ ca: {}, need: required }}\n", ca.display());
    let world = World::start(&format!(
        "listeners:\n{}{}routes: [{{ path: /a, public: a test, upstream: \"http://{}\" }}]\n",
        tls("www", ""),
        tls("api", &clients),
        backend.address
    ));
    let [open, closed] = [world.addresses[0], world.addresses[1]];
    for (address, name, own, host, status) in [
        (open, "www.example", None, "www.example", 200),
        (open, "www.example", None, "both.example", 200),
        (open, "www.example", None, "elsewhere.example", 200),
        (open, "www.example", None, "api.example", 421),
        (open, "www.example", None, "API.example:443", 421),
        (closed, "api.example", Some(&own), "api.example", 200),
        (closed, "api.example", Some(&own), "www.example", 421),
    ] {
        let mut client = connect(address, &ca, name, own).await.unwrap();
        let request = format!("GET /a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut said = String::new();
        let _end = client.read_to_string(&mut said).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {said}");
    }
    assert_eq!(backend.seen().len(), 4);
    let records = world.end().await.all();
    let refused = records.iter().filter(|record| record["denied"]["code"] == "misdirected");
    assert_eq!(refused.count(), 3, "{records:#?}");
}
