//! A reader who does what a page says: writes its files, runs its commands, and compares what is shown.
//!
//! Commands run one after the other in one folder, with the variables of those before. A gateway that is started goes on until the
//! page ends or starts another one. Any step that is not as the page says ends the reading, with its line.

use super::doubles::Ports;
use super::page::{Page, Promise, Step, missing};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a line that a gateway shall print may take. Commands have as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Folders of a machine that has the package. They are below the reader's own folder here.
const FOLDERS: [&str; 3] = ["/etc/portcullis", "/var/lib/portcullis", "/var/log/portcullis"];

/// Follows a page, and answers with what is not as it says.
pub(crate) fn follow(name: &str, text: &str) -> Result<(), String> {
    let page = Page::read(text);
    if !page.is_followed() {
        return Ok(());
    }
    let mut reader = Reader::new(name, text)?;
    for (line, step) in &page.steps {
        reader.take(step).map_err(|problem| format!("{name}:{line}: {problem}"))?;
    }
    Ok(())
}

struct Reader {
    ports: Ports,
    /// Holds the page's folder, and beside it what the reader keeps.
    place: PathBuf,
    /// What the last command printed.
    printed: String,
    /// The last command, if running it again does no harm.
    repeatable: Option<(String, Promise)>,
    gateway: Option<Gateway>,
}

/// Commands that change nothing. What they tell can be late: a log is written and a file is read again on other threads.
const READING: [&str; 7] = [
    "grep ",
    "portcullis audit",
    "portcullis explain",
    "portcullis keys list",
    "portcullis replay",
    "portcullis status",
    "portcullis why",
];

const PAUSE: Duration = Duration::from_millis(200);

/// How long such a command is repeated until it is as the page says.
const LATE: Duration = Duration::from_secs(10);

impl Reader {
    fn new(name: &str, text: &str) -> Result<Reader, String> {
        let name = name.replace(['/', '.'], "-");
        let place = std::env::temp_dir().join(format!("portcullis-reader-{}-{name}", std::process::id()));
        let reader =
            Reader { ports: Ports::of(text), place, printed: String::new(), repeatable: None, gateway: None };
        for folder in ["page", "bin"].into_iter().chain(FOLDERS.map(|folder| &folder[1..])) {
            fs::create_dir_all(reader.place.join(folder)).map_err(|error| error.to_string())?;
        }
        reader.keep(".curlrc", &reader.ports.curl_configuration())?;
        reader.keep("folder", &reader.place.join("page").display().to_string())?;
        reader.keep("variables", "")?;
        // Other gateways run on this machine.
        reader.keep("bin/pidof", "#!/bin/sh\ncat \"$HOME/gateway.pid\"\n")?;
        reader.bash("chmod +x $HOME/bin/pidof", &Promise::default())?;
        Ok(reader)
    }

    fn keep(&self, name: &str, text: &str) -> Result<(), String> {
        fs::write(self.place.join(name), text).map_err(|error| format!("{name}: {error}"))
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Write { name, text } => {
                let file = self.folder().join(name);
                fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))
                    .map_err(|error| error.to_string())?;
                fs::write(file, self.here(text)).map_err(|error| error.to_string())
            }
            Step::Given(commands) => self.bash(&self.here(commands), &Promise::default()).map(drop),
            Step::Run(commands) => commands.iter().try_for_each(|command| self.run(command)),
            Step::Shows(text) => self.compare(&self.here(text)),
        }
    }

    /// The text with the ports and folders of here.
    fn here(&self, text: &str) -> String {
        FOLDERS.iter().fold(self.ports.exchange(text), |text, folder| {
            text.replace(folder, &format!("{}{folder}", self.place.display()))
        })
    }

    fn run(&mut self, command: &str) -> Result<(), String> {
        let promise = Promise::of(command);
        // What cargo would build is what is built already.
        let quickstart =
            format!("portcullis quickstart --port {}", self.here("127.0.0.1:3000").replace("127.0.0.1:", ""));
        let here = self.here(command).replace("cargo run --release -- quickstart", &quickstart);
        self.printed.clear();
        self.repeatable = None;
        if here.starts_with("portcullis run") || here.starts_with("portcullis quickstart") {
            return self.start(&here);
        }
        let reads = promise.status.is_some() || READING.iter().any(|start| here.starts_with(start));
        let until = Instant::now() + LATE;
        self.printed = loop {
            match self.bash(&here, &promise) {
                Err(_) if reads && Instant::now() < until => std::thread::sleep(PAUSE),
                other => break other?,
            }
        };
        self.repeatable = reads.then(|| (here.clone(), promise));
        if here.starts_with("portcullis init") {
            let file = self.folder().join("gateway.yaml");
            let written = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            fs::write(file, self.here(&written)).map_err(|error| error.to_string())?;
        }
        self.keep("printed", &self.printed)
    }

    /// Runs a command to its end, and answers with what it printed.
    fn bash(&self, command: &str, promise: &Promise) -> Result<String, String> {
        let script =
            format!("{command}\ncode=$?\ndeclare -p > $HOME/variables\npwd > $HOME/folder\nexit $code\n");
        let mut shell = self.shell(&["timeout", "60", "bash"], &script);
        let output = shell.output().map_err(|error| error.to_string())?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut statuses = printed.lines().filter_map(|line| line.strip_prefix("status "));
        let status = statuses.next_back().and_then(|status| status.parse::<u16>().ok());
        if !promise.is_kept(output.status.code(), status) {
            return Err(format!("`{command}` {}, and not {promise:?}:\n{printed}", output.status));
        }
        Ok(printed)
    }

    /// A shell in the folder of the page, with the variables that commands before have set. Both outputs are one.
    fn shell(&self, program: &[&str], script: &str) -> Command {
        let own = Path::new(env!("CARGO_BIN_EXE_portcullis")).parent().unwrap_or(Path::new("."));
        let path = std::env::var("PATH").unwrap_or_default();
        let script = format!(
            "exec 2>&1\n. $HOME/variables 2>/dev/null\nexport HOME=\"$READER_HOME\" PATH=\"$READER_PATH\"\ncd \"$(cat $HOME/folder)\"\n{script}"
        );
        let mut shell = Command::new(program[0]);
        shell
            .args(&program[1..])
            .args(["-c", &script])
            .env("HOME", &self.place)
            .env("READER_HOME", &self.place)
            .env("READER_PATH", format!("{}/bin:{}:{path}", self.place.display(), own.display()))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        shell
    }

    fn start(&mut self, command: &str) -> Result<(), String> {
        let takes_over = command.contains("--take-over");
        let before = self.gateway.take();
        let before = if takes_over {
            before
        } else {
            before.map_or(Ok(None), |gateway| gateway.stop().map(|()| None))?
        };
        let mut gateway = Gateway::start(&mut self.shell(&["bash"], &format!("exec {command}")))?;
        gateway.prints("listening on")?;
        self.keep("gateway.pid", &gateway.id.to_string())?;
        self.gateway = Some(gateway);
        // The old process ends by itself once the new one serves.
        before.map_or(Ok(()), Gateway::ended)
    }

    /// What is shown was printed by the last command, or comes from the gateway.
    fn compare(&mut self, shown: &str) -> Result<(), String> {
        let until = Instant::now() + LATE;
        while let Some(lacking) = missing(shown, &self.printed) {
            if let Some((command, promise)) = self.repeatable.as_ref().filter(|_| Instant::now() < until) {
                std::thread::sleep(PAUSE);
                self.printed = self.bash(command, promise)?;
                continue;
            }
            return match &mut self.gateway {
                Some(gateway) => gateway.shows(shown),
                None => Err(format!("`{lacking}` is not in what was printed:\n{}", self.printed)),
            };
        }
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from(fs::read_to_string(self.place.join("folder")).unwrap_or_default().trim_end())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.gateway = None;
        let _ = fs::remove_dir_all(&self.place);
    }
}

/// A gateway that runs while the page is read.
struct Gateway {
    child: Child,
    id: u32,
    lines: Receiver<String>,
    /// What it printed since a text was last found in it.
    printed: String,
}

impl Gateway {
    fn start(shell: &mut Command) -> Result<Gateway, String> {
        let mut child = shell.stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        let output = child.stdout.take().ok_or("no output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || print(output, |line| drop(sender.send(line))));
        let id = child.id();
        Ok(Gateway { child, id, lines, printed: String::new() })
    }

    /// Waits for these lines, and forgets what was printed until then: a page may show the same line twice.
    fn shows(&mut self, text: &str) -> Result<(), String> {
        self.prints(text)?;
        self.printed.clear();
        Ok(())
    }

    /// Waits until it has printed these lines, in this order.
    fn prints(&mut self, text: &str) -> Result<(), String> {
        let begun = Instant::now();
        while let Some(lacking) = missing(text, &self.printed) {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(line) => self.printed.push_str(&(line + "\n")),
                Err(_) => return Err(format!("the gateway did not print `{lacking}`:\n{}", self.printed)),
            }
        }
        Ok(())
    }

    fn stop(self) -> Result<(), String> {
        let _ = Command::new("kill").arg(self.id.to_string()).status();
        self.ended()
    }

    fn ended(mut self) -> Result<(), String> {
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("the gateway ended with {status}")) }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn print(output: impl Read, mut to: impl FnMut(String)) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        to(line);
    }
}
