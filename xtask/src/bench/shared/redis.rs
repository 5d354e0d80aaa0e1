//! The Redis server of the benchmark, and what it says of itself.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use crate::debian;
use crate::failure::{Context, Failure, Outcome};
use crate::process::{Guard, Scratch, free_port, supervised};

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Redis {
    port: u16,
    process: Guard,
}

impl Redis {
    pub(super) fn start(scratch: &Scratch) -> Outcome<Self> {
        let program = debian::require("redis-server", "redis-server")?;
        let (folder, port) = (scratch.folder("redis")?, free_port()?);
        let mut command = supervised(&program);
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ]);
        command.arg(folder).stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Guard::spawn("redis-server", &mut command)?;
        process.wait_until_listening(port, PATIENCE)?;
        Ok(Self { port, process })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// How often it was asked to count: scripts and increments.
    pub(super) fn questions(&self) -> Outcome<u64> {
        let text = self.say(&["INFO", "commandstats"])?;
        Ok(questions(&text))
    }

    /// How many keys have names that begin with this.
    pub(super) fn keys(&self, prefix: &str) -> Outcome<usize> {
        let text = self.say(&[
            "EVAL",
            "return table.concat(redis.call('KEYS', ARGV[1]), '\\n')",
            "0",
            &format!("{prefix}:*"),
        ])?;
        Ok(text.lines().filter(|line| !line.is_empty()).collect::<HashSet<_>>().len())
    }

    /// Sends one command that is answered with a text.
    fn say(&self, words: &[&str]) -> Outcome<String> {
        let asking = || format!("asking redis-server for {}", words.first().copied().unwrap_or_default());
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).context(asking)?;
        stream.set_read_timeout(Some(PATIENCE)).context(asking)?;
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(command.as_bytes()).context(asking)?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).context(asking)?;
        let length = line.strip_prefix('$').and_then(|length| length.trim().parse().ok());
        let length: usize = length.ok_or_else(|| Failure::new(format!("{}: {line}", asking())))?;
        let mut text = vec![0; length];
        reader.read_exact(&mut text).context(asking)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// The sum of `calls=` of the commands that count.
fn questions(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let counts = matches!(name, "evalsha" | "eval" | "incrby");
            counts.then(|| rest.split(',').next()?.parse::<u64>().ok()).flatten()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_added_up() {
        let text = "# Commandstats\r\ncmdstat_evalsha:calls=7,usec=1\r\ncmdstat_time:calls=9,usec=1\r\ncmdstat_incrby:calls=5,usec=2\r\n";
        assert_eq!(questions(text), 12);
        assert_eq!(questions(""), 0);
    }
}
