//! An issuer is believed only by a certificate that somebody vouches for, under its own name, while it is good.

use super::support::{Backend, OidcProvider, World};
use super::{document, get, oauth2};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::json;
use std::path::PathBuf;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("portcullis-tls-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_is_believed_by_its_certificate() {
    let folder = Folder::new();
    let backend = Backend::start().await;
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let ours_file = folder.write("ours.pem", &ours.pem());
    let theirs_file = folder.write("theirs.pem", &theirs.pem());
    let certificate = |name: &str, host: &str, until: i32| {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &ours).unwrap();
        let key = folder.write(&format!("{name}.key"), &key.serialize_pem());
        (key, folder.write(&format!("{name}.pem"), &signed.pem()))
    };
    let good = certificate("good", "127.0.0.1", 2200);
    let other = certificate("other", "issuer.example", 2200);
    let expired = certificate("expired", "127.0.0.1", 2021);
    let cases = [
        ("good", &good, Some(ours_file.as_path()), 200),
        ("nobody vouches", &good, None, 503),
        ("somebody else vouches", &good, Some(theirs_file.as_path()), 503),
        ("another name", &other, Some(ours_file.as_path()), 503),
        ("expired", &expired, Some(ours_file.as_path()), 503),
    ];
    for (name, (key, certificate), ca, status) in cases {
        let provider = OidcProvider::start_with_tls(key, certificate).await;
        assert!(provider.issuer.starts_with("https://"));
        let mut document = document(&backend, &[("/data", &oauth2(&provider, ""))]);
        if let Some(ca) = ca {
            let allow = "allow: [\"127.0.0.0/8\"]";
            assert!(document.contains(allow));
            document = document.replace(allow, &format!("{allow}, ca: \"{}\"", ca.display()));
        }
        let world = World::start(&document);
        let token = provider.mint("alice", "urn:jwt:ES256", "read", json!({})).await;
        let answer = get(&world, "/data", &[&format!("Authorization: Bearer {token}")]).await;
        assert_eq!(answer.status, status, "{name}: {:?}", world.records.lines().last());
        let asked = provider.count("/.well-known/openid-configuration").await;
        assert_eq!(asked, u64::from(status == 200), "{name}: nothing is asked of a stranger");
    }
    assert_eq!(backend.seen().len(), 1);
}
