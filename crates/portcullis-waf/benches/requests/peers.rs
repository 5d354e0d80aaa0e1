//! The same small request, judged by ModSecurity in Apache and in nginx.
//!
//! Each server runs as one process, once with ModSecurity and once without. The difference of their processor time is what
//! the rules cost. Before that each must refuse an attack with ModSecurity, and let it pass without.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const REQUESTS: u32 = 1_000;
const DEBIAN_RULES: &str = "/usr/share/modsecurity-crs/rules";
const DEBIAN_SETUP: &str = "/etc/modsecurity/crs/crs-setup.conf";
const APACHE_MODULES: &str = "/usr/lib/apache2/modules";
const NGINX_MODULE: &str = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so";

/// Settings that both have, and the rules after them.
const ENGINE: &str = r#"SecRuleEngine On
SecRequestBodyAccess On
SecAuditEngine Off
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
"#;

pub(crate) fn measure(core_rules: Option<&Path>, target: &str, body: &[u8]) {
    println!(
        "\nModSecurity, for the same small request (processor time, without what the server itself needs):"
    );
    let mut sets: Vec<(&str, String)> = Vec::new();
    if Path::new(DEBIAN_RULES).is_dir() {
        sets.push((
            "Debian's Core Rule Set",
            format!("Include {DEBIAN_SETUP}\nInclude {DEBIAN_RULES}/*.conf\n"),
        ));
    }
    if let Some(folder) = core_rules {
        let folder = folder.display();
        let rules = format!("Include {folder}/crs-setup.conf.example\nInclude {folder}/rules/*.conf\n");
        sets.push(("Core Rule Set of CRS_DIR", rules));
    }
    let apache = Path::new("/usr/sbin/apache2").exists() && module("mod_security2.so").exists();
    let nginx = Path::new("/usr/sbin/nginx").exists() && Path::new(NGINX_MODULE).exists();
    for (name, rules) in &sets {
        for (server, is_there) in [(Server::Apache, apache), (Server::Nginx, nginx)] {
            if !is_there {
                println!("  {server:?}: it or its module is not installed");
                continue;
            }
            match cost(server, rules, target, body) {
                Ok(cost) => println!("  {server:?}, {name}: {cost:?}"),
                Err(why) => println!("  {server:?}, {name}: not measured, {why}"),
            }
        }
    }
}

fn module(name: &str) -> PathBuf {
    Path::new(APACHE_MODULES).join(name)
}

#[derive(Clone, Copy, Debug)]
enum Server {
    Apache,
    Nginx,
}

/// What the rules cost for one request.
fn cost(server: Server, rules: &str, target: &str, body: &[u8]) -> Result<Duration, String> {
    let with = Running::start(server, Some(rules))?.measure(target, body, 403)?;
    let without = Running::start(server, None)?.measure(target, body, 200)?;
    Ok(with.saturating_sub(without))
}

struct Running {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Running {
    fn start(server: Server, rules: Option<&str>) -> Result<Self, String> {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("portcullis-waf-peer-{}-{port}", std::process::id()));
        fs::create_dir_all(folder.join("www")).map_err(|error| error.to_string())?;
        fs::write(folder.join("www/orders"), "{}").map_err(|error| error.to_string())?;
        if let Some(rules) = rules {
            fs::write(folder.join("rules.conf"), format!("{ENGINE}{rules}"))
                .map_err(|error| error.to_string())?;
        }
        let (program, arguments, text) = match server {
            Server::Apache => ("/usr/sbin/apache2", vec!["-X", "-f"], apache(&folder, port, rules.is_some())),
            Server::Nginx => ("/usr/sbin/nginx", vec!["-c"], nginx(&folder, port, rules.is_some())),
        };
        let file = folder.join("server.conf");
        fs::write(&file, text).map_err(|error| error.to_string())?;
        let said = fs::File::create(folder.join("said")).map_err(|error| error.to_string())?;
        let child = Command::new(program)
            .args(arguments)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut running = Running { child, port, folder };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if running.child.try_wait().is_ok_and(|ended| ended.is_some()) || start.elapsed().as_secs() > 60 {
                let said = fs::read_to_string(running.folder.join("said")).unwrap_or_default();
                let log = fs::read_to_string(running.folder.join("error.log")).unwrap_or_default();
                return Err(format!(
                    "it does not start: {}",
                    format!("{said}{log}").chars().take(300).collect::<String>()
                ));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(running)
    }

    /// The processor time of one request, after an attack was answered with `attacked`.
    fn measure(&self, target: &str, body: &[u8], attacked: u16) -> Result<Duration, String> {
        let mut connection =
            TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())?;
        let attack = br#"{"value":"1' union select password from users where '1'='1"}"#;
        let status = ask(&mut connection, target, attack)?;
        if status != attacked {
            return Err(format!("an attack gets {status}, not {attacked}"));
        }
        let mut connection =
            TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())?;
        for _ in 0..20 {
            let status = ask(&mut connection, target, body)?;
            if status != 200 {
                return Err(format!("the small request gets {status}"));
            }
        }
        let before = self.processor_time();
        for _ in 0..REQUESTS {
            ask(&mut connection, target, body)?;
        }
        Ok(self.processor_time().saturating_sub(before) / REQUESTS)
    }

    /// Of the whole process, in steps of a hundredth of a second.
    fn processor_time(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let after = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks: u64 =
            after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }
}

/// Sends a request and answers with its status. The answer has a length.
fn ask(connection: &mut TcpStream, target: &str, body: &[u8]) -> Result<u16, String> {
    let mut request = String::new();
    let _ = write!(
        request,
        "POST {target} HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: application/json\r\nContent-Type: application/json\r\nCookie: session=7d1c4f0b9a2e4c61; theme=dark\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut bytes = request.into_bytes();
    bytes.extend(body);
    connection.write_all(&bytes).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = answer.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or("no status")?;
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if answer.len() >= end + 4 + length.unwrap_or(0_usize) {
                return Ok(status);
            }
        }
        match connection.read(&mut buffer).map_err(|error| error.to_string())? {
            0 => return Err("the connection ended".to_owned()),
            count => answer.extend(&buffer[..count]),
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn apache(folder: &Path, port: u16, searches: bool) -> String {
    let (folder, modules) = (folder.display(), APACHE_MODULES);
    let mut text = format!(
        "ServerRoot {folder}\nPidFile {folder}/pid\nListen 127.0.0.1:{port}\nServerName localhost\nDefaultRuntimeDir {folder}\n\
         LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so\n\
         LoadModule authz_core_module {modules}/mod_authz_core.so\n\
         ErrorLog {folder}/error.log\nLogLevel emerg\nKeepAlive On\nMaxKeepAliveRequests 0\n\
         DocumentRoot {folder}/www\n<Directory {folder}/www>\nRequire all granted\n</Directory>\n"
    );
    if searches {
        let _ = write!(
            text,
            "LoadModule unique_id_module {modules}/mod_unique_id.so\n\
             LoadModule security2_module {modules}/mod_security2.so\nSecDataDir {folder}\nInclude {folder}/rules.conf\n"
        );
    }
    text
}

fn nginx(folder: &Path, port: u16, searches: bool) -> String {
    let backend = free_port();
    let folder = folder.display();
    let (load, rules) = if searches {
        (
            format!("load_module {NGINX_MODULE};\n"),
            format!("modsecurity on; modsecurity_rules_file {folder}/rules.conf;"),
        )
    } else {
        (String::new(), String::new())
    };
    format!(
        "{load}daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log emerg;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
         server {{ listen 127.0.0.1:{backend}; location / {{ return 200 '{{}}'; }} }}\n\
         server {{ listen 127.0.0.1:{port}; {rules} location / {{ proxy_pass http://127.0.0.1:{backend}; }} }} }}\n"
    )
}
