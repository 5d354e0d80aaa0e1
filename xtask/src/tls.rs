//! `cargo xtask test --tls`: what testssl.sh and sslyze say of a gateway with the default configuration.
//!
//! The certificates are made here, so what both say of a private authority is no finding; everything else above
//! informational is, and so is a run that looked at too little.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::failure::{Context, Failure, Outcome};
use crate::process::{Guard, Scratch, free_port, supervised, write};
use crate::{debian, python, workspace};

/// What follows from a private authority, from the name `localhost`, and from the old openssl that testssl.sh calls.
const OF_THE_SETTING: [&str; 4] =
    ["cert_chain_of_trust", "cert_revocation", "DNS_CAArecord", "engine_problem"];

/// A run that finished has looked at this many things.
const LEAST: usize = 60;

const CERTIFICATES: &str = r"
set -e
umask 077
openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -key ca.key -subj '/CN=a test authority' -days 90 -out ca.pem
openssl ecparam -name prime256v1 -genkey -noout -out api.key
openssl req -new -key api.key -subj '/CN=localhost' -out api.csr
printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n' > extensions
openssl x509 -req -in api.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 -extfile extensions -out api.pem
";

pub(crate) fn run() -> Outcome<()> {
    let testssl = debian::require("testssl", "testssl.sh")?;
    debian::require("openssl", "openssl")?;
    let built = workspace::cargo().args(["build", "-p", "portcullis-cli"]).status();
    if !built.context(|| "starting cargo".into())?.success() {
        return Err(Failure::new("the gateway does not build"));
    }
    let folder = Scratch::new()?;
    let folder = folder.path();
    let mut make = Command::new("sh");
    make.args(["-c", CERTIFICATES]).current_dir(folder).stderr(Stdio::null());
    if !make.status().context(|| "starting sh".into())?.success() {
        return Err(Failure::new("openssl makes no certificates"));
    }
    let port = free_port()?;
    write(
        &folder.join("gateway.yaml"),
        &format!(
            "listeners: [{{ bind: \"127.0.0.1:{port}\", tls: {{ certificates: [{{ certificate: api.pem, key: api.key }}] }} }}]\n\
             access_log: insecure_off\n\
             routes: [{{ path: \"/{{*rest}}\", public: a test, upstream: \"http://127.0.0.1:9\" }}]\n"
        ),
    )?;
    let mut gateway = supervised(&workspace::target_directory()?.join("debug/portcullis"));
    gateway.arg("run").arg(folder.join("gateway.yaml")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut gateway = Guard::spawn("the gateway", &mut gateway)?;
    gateway.wait_until_listening(port, Duration::from_secs(10))?;
    // On a busy machine a check fails to connect, which is no finding; what is one is found again.
    judge_by_testssl(&testssl, folder, port, 1).or_else(|first| {
        println!("  {first}; once more");
        judge_by_testssl(&testssl, folder, port, 2)
    })?;
    judge_by_sslyze(folder, port)
}

fn judge_by_testssl(testssl: &Path, folder: &Path, port: u16, attempt: u32) -> Outcome<()> {
    println!("testssl.sh: a minute");
    let report = folder.join(format!("report-{attempt}.json"));
    let status = Command::new(testssl)
        .args(["--quiet", "--color", "0", "--warnings", "off", "--openssl-timeout", "5"])
        .args(["-p", "-P", "-s", "-f", "-h", "-U", "-S", "--add-ca"])
        .arg(folder.join("ca.pem"))
        .arg("--jsonfile")
        .arg(&report)
        .arg(format!("localhost:{port}"))
        .stdout(Stdio::null())
        .status();
    // Its status counts findings, those of the setting too.
    let _counted = status.context(|| "starting testssl".into())?;
    let text = fs::read_to_string(&report).context(|| "reading the report".into())?;
    let report: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("the report is no JSON: {error}")))?;
    let entries = report.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |entry: &serde_json::Value, key: &str| {
        entry.get(key).and_then(|value| value.as_str()).unwrap_or("").to_owned()
    };
    println!("  it looked at {} things", entries.len());
    let findings: Vec<String> = entries
        .iter()
        .filter(|entry| !matches!(text(entry, "severity").as_str(), "OK" | "INFO"))
        .filter(|entry| !OF_THE_SETTING.contains(&text(entry, "id").as_str()))
        .map(|entry| format!("{} {}: {}", text(entry, "severity"), text(entry, "id"), text(entry, "finding")))
        .collect();
    if entries.len() < LEAST {
        return Err(Failure::new("testssl.sh looked at too little to say anything"));
    }
    if findings.is_empty() { Ok(()) } else { Err(Failure::new(findings.join("\n       "))) }
}

fn judge_by_sslyze(folder: &Path, port: u16) -> Outcome<()> {
    let sslyze = python::require(&python::SSLYZE)?;
    let output = Command::new(sslyze)
        .arg("--mozilla_config=intermediate")
        .arg("--certinfo_ca_file")
        .arg(folder.join("ca.pem"))
        .arg(format!("localhost:{port}"))
        .output();
    let said = String::from_utf8_lossy(&output.context(|| "starting sslyze".into())?.stdout).into_owned();
    let verdict = said.split("COMPLIANCE AGAINST").nth(1).unwrap_or_default().to_owned();
    println!("sslyze:{verdict}");
    // It has no way to be told of a private authority.
    let findings: Vec<&str> = verdict
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("* ") && !line.starts_with("* certificate_path_validation"))
        .collect();
    let looked = verdict.contains("Checking results") && (verdict.contains("ompliant"));
    if looked && findings.is_empty() { Ok(()) } else { Err(Failure::new(format!("sslyze: {findings:?}"))) }
}
