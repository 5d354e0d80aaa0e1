//! What the figures were taken on: without it they cannot be compared with anything.

use std::fs;
use std::process::Command;

use super::load::Generator;
use super::peers::Program;

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) kernel: String,
    /// The load average of the last minute before the run. Well above zero, other work disturbed the figures.
    pub(crate) load: String,
    pub(crate) versions: Vec<String>,
}

impl Machine {
    pub(crate) fn describe(programs: &[Program], generator: &Generator) -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(':')).map_or("unknown", |(_, model)| model.trim());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| "unknown".into());
        let mut versions: Vec<String> = programs.iter().map(Program::version).collect();
        versions.push(generator.version());
        // What nginx, HAProxy and the clients have their TLS from.
        if let Ok(output) = Command::new("openssl").arg("version").output() {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            versions.push(said.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
        }
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            load: load.split(' ').next().unwrap_or_default().to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: model.to_owned(),
            kernel: kernel.trim().to_owned(),
            versions,
        }
    }

    pub(crate) fn line(&self) -> String {
        let Self { cores, processor, kernel, load, versions } = self;
        let versions = versions.join("; ");
        format!("{cores} cores, {processor}, Linux {kernel}; {versions}; load average before the run {load}")
    }
}
