//! A certificate authority that issues what a test asks for, good or bad, and the folder that holds it.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A folder of its own for each that is made; it stays, under `target/`, for whoever looks into a failure.
pub fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("certificates-{}-{number}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Writes a file that only its owner can read.
pub fn write(file: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    // Made anew and moved, so that nobody reads half of it.
    let new = file.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(&new).unwrap().write_all(text.as_bytes()).unwrap();
    std::fs::rename(&new, file).unwrap();
}

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// What is asked of a certificate.
pub struct Wanted {
    pub subject: Vec<(DnType, &'static str)>,
    pub names: Vec<&'static str>,
    pub uris: Vec<&'static str>,
    pub usage: Option<ExtendedKeyUsagePurpose>,
    /// Days from now.
    pub days: (i64, i64),
    /// Seconds from now at which it ends, in place of the days.
    pub ends_in: Option<i64>,
    pub serial: u64,
}

impl Wanted {
    /// For a server with these names.
    pub fn server(names: &[&'static str]) -> Wanted {
        Wanted {
            subject: vec![(DnType::CommonName, "server")],
            names: names.to_vec(),
            uris: Vec::new(),
            usage: Some(ExtendedKeyUsagePurpose::ServerAuth),
            days: (-1, 30),
            ends_in: None,
            serial: 1,
        }
    }

    /// For the client of this name.
    pub fn client(name: &'static str) -> Wanted {
        Wanted {
            subject: vec![(DnType::OrganizationName, "Example"), (DnType::CommonName, name)],
            names: Vec::new(),
            uris: Vec::new(),
            usage: Some(ExtendedKeyUsagePurpose::ClientAuth),
            days: (-1, 30),
            ends_in: None,
            serial: 2,
        }
    }
}

/// A certificate and its key, in PEM and in files.
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub der: Vec<u8>,
    pub key_der: Vec<u8>,
}

fn moment(days: i64) -> x509_parser::time::ASN1Time {
    moment_in(days * 24 * 3600)
}

fn moment_in(seconds: i64) -> x509_parser::time::ASN1Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    x509_parser::time::ASN1Time::from_timestamp(i64::try_from(now).unwrap() + seconds).unwrap()
}

impl Authority {
    /// A new one, of this name.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Issues a certificate into `folder`, as `name.pem` and `name.key`.
    pub fn issue(&self, folder: &Path, name: &str, wanted: &Wanted) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params(wanted).signed_by(&key, &self.issuer).unwrap();
        save(folder, name, &certificate, &key)
    }

    /// A list that revokes these serial numbers, in PEM, out of date if that is asked for.
    pub fn revoke(&self, serials: &[u64], out_of_date: bool) -> String {
        let revoked_certs = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: moment(-1).to_datetime(),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: moment(-2).to_datetime(),
            next_update: moment(if out_of_date { -1 } else { 7 }).to_datetime(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A certificate that is its own authority.
pub fn self_signed(folder: &Path, name: &str, wanted: &Wanted) -> Issued {
    let key = KeyPair::generate().unwrap();
    let certificate = params(wanted).self_signed(&key).unwrap();
    save(folder, name, &certificate, &key)
}

fn params(wanted: &Wanted) -> CertificateParams {
    let names: Vec<String> = wanted.names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.subject_alt_names.extend(wanted.uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in &wanted.subject {
        params.distinguished_name.push(kind.clone(), *value);
    }
    params.extended_key_usages = wanted.usage.iter().cloned().collect();
    params.serial_number = Some(SerialNumber::from(wanted.serial));
    (params.not_before, params.not_after) = (
        moment(wanted.days.0).to_datetime(),
        wanted.ends_in.map_or_else(|| moment(wanted.days.1), moment_in).to_datetime(),
    );
    params
}

fn save(folder: &Path, name: &str, certificate: &rcgen::Certificate, key: &KeyPair) -> Issued {
    let issued = Issued {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
        der: certificate.der().to_vec(),
        key_der: key.serialize_der(),
    };
    write(&issued.certificate, &certificate.pem());
    write(&issued.key, &key.serialize_pem());
    issued
}
