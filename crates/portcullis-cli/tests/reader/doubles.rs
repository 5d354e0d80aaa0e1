//! What a page finds on its reader's machine and on the Internet, on this machine: ports, an API, the names of hosts.
//!
//! A page's ports are exchanged for free ones. What listens nowhere in a configuration is an upstream, and gets a small server that
//! answers everything with 200. Hosts are found through curl's own configuration.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Places on the reader's machine, before the colon and the port.
const HERE: [&str; 4] = ["127.0.0.1:", "localhost:", "0.0.0.0:", "redirect_to_https: "];

/// The ports of a page, and those that stand for them.
#[derive(Debug, Default)]
pub(crate) struct Ports(BTreeMap<u16, u16>);

impl Ports {
    /// Finds the ports of a page, and starts a server where its configurations expect an upstream.
    pub(crate) fn of(page: &str) -> Ports {
        // `init` and `quickstart` listen on port 3000 without being told.
        let (mut listening, mut named) = (vec![3000], vec![443, 80]);
        for line in page.lines() {
            for (place, port) in ports(line) {
                named.push(port);
                if line.get(..place).is_some_and(|before| before.contains("bind")) {
                    listening.push(port);
                }
            }
        }
        let mut ports = BTreeMap::new();
        for port in named {
            let here = *ports.entry(port).or_insert_with(|| {
                let socket = TcpListener::bind("127.0.0.1:0").unwrap();
                let here = socket.local_addr().unwrap().port();
                let upstream = page.contains(&format!("http://127.0.0.1:{port}"));
                if upstream && !listening.contains(&port) {
                    std::thread::spawn(move || serve(&socket));
                }
                here
            });
            assert_ne!(here, port);
        }
        Ports(ports)
    }

    /// The text with the ports of here.
    pub(crate) fn exchange(&self, text: &str) -> String {
        let mut exchanged = String::new();
        for line in text.split_inclusive('\n') {
            let mut done = 0;
            for (place, port) in ports(line) {
                let Some(here) = self.0.get(&port) else { continue };
                exchanged.push_str(&line[done..place]);
                exchanged.push_str(&here.to_string());
                done = place + port.to_string().len();
            }
            exchanged.push_str(&line[done..]);
        }
        exchanged.replace("0.0.0.0:", "127.0.0.1:")
    }

    /// How curl finds the hosts of a page, and what it prints of each answer on standard error.
    pub(crate) fn curl_configuration(&self) -> String {
        let hosts = [443, 80].map(|port| format!("connect-to = \":{port}:127.0.0.1:{}\"\n", self.0[&port]));
        format!(
            "{}silent\nshow-error\nmax-time = 20\nexpect100-timeout = 10\nnoproxy = \"*\"\nwrite-out = \"%{{stderr}}\\nstatus %{{http_code}}\\n\"\n",
            hosts.concat()
        )
    }
}

/// The ports that a line names, with their places.
fn ports(line: &str) -> Vec<(usize, u16)> {
    let mut found = Vec::new();
    for before in HERE {
        for (place, _) in line.match_indices(before) {
            let start = place + before.len();
            let digits: String = line[start..].chars().take_while(char::is_ascii_digit).collect();
            found.extend(digits.parse().ok().filter(|port| *port != 0).map(|port| (start, port)));
        }
    }
    found.sort_unstable();
    found
}

/// An API that answers everything with 200, and says what it was asked.
fn serve(socket: &TcpListener) {
    for stream in socket.incoming().flatten() {
        std::thread::spawn(move || answer(stream));
    }
}

fn answer(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let field = |name: &str| {
        head.iter()
            .filter_map(|line| line.split_once(": "))
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
    };
    if let Some((_, length)) = field("content-length") {
        std::io::copy(&mut reader.by_ref().take(length.parse().ok()?), &mut std::io::sink()).ok()?;
    } else if field("transfer-encoding").is_some() {
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 0 && line.trim_end() != "0" {
            line.clear();
        }
    }
    let names = head.iter().skip(1).map(|line| format!("\"{}\"", line.replace(['"', '\\'], "'")));
    let body =
        format!("{{\"asked\":\"{}\",\"headers\":[{}]}}", head.first()?, names.collect::<Vec<_>>().join(","));
    let length = body.len();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .ok()
}

#[test]
fn ports_of_this_machine_are_exchanged_and_line_numbers_are_not() {
    let page =
        "bind: 127.0.0.1:3000\nupstream: http://127.0.0.1:8080\ngateway.yaml:3000\nbind: 0.0.0.0:443\n";
    let ports = Ports::of(page);
    let exchanged = ports.exchange(page);
    assert!(!exchanged.contains(":8080") && !exchanged.contains("0.0.0.0"), "{exchanged}");
    assert!(exchanged.contains("gateway.yaml:3000"), "{exchanged}");
    assert_eq!(exchanged.matches(":3000").count(), 1, "{exchanged}");
}
