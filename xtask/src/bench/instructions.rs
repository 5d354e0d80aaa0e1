//! `cargo xtask bench --instructions`: how many instructions one decision takes, and whether that depends on how many
//! routes and keys there are.
//!
//! Callgrind counts instructions, so the figure hardly depends on what else the machine does. Loading is left out by
//! running the same program with few and with many requests and taking the difference.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Outcome};
use crate::process::{Scratch, supervised, write};
use crate::{debian, workspace};

use super::tokens::Tokens;

/// Tables are hashed with a random seed, so loading differs a little from run to run; with this many requests
/// between the two counts the difference does not show.
const REQUESTS: [u64; 2] = [2_000, 52_000];
const FEW: Size = Size { routes: 10, keys: 10 };
const MANY: Size = Size { routes: 10_000, keys: 100_000 };
/// The most that many routes and keys may cost, as a multiple of few.
const MOST: f64 = 1.10;
/// A signature takes a hundred times of all else, so fewer tell as much.
const TOKEN_REQUESTS: [u64; 2] = [500, 3_500];
/// As many as all are verified before the counting begins.
const TOKENS: usize = 100;
/// The most that a token which was verified before may cost, as a multiple of an API key. Half of it is the token's SHA-256,
/// for which callgrind offers no SHA instructions, so on a processor that has them it is less.
const MOST_FOR_TOKENS: f64 = 1.75;
/// The most that loading many routes and keys may take, in milliseconds, without callgrind.
const LOADING_MS: f64 = 2_000.0;

#[derive(Debug, Clone, Copy)]
struct Size {
    routes: u64,
    keys: u64,
}

/// The example program that judges requests without a network, and what counts its instructions.
struct Judge {
    program: PathBuf,
    valgrind: PathBuf,
    scratch: Scratch,
}

pub(crate) fn run() -> Outcome<()> {
    let valgrind = debian::require("valgrind", "valgrind")?;
    let built = workspace::build_for_distribution(&["-p", "portcullis", "--example", "judge"])?;
    let judge = Judge { program: built.join("examples/judge"), valgrind, scratch: Scratch::new()? };

    let loading = judge.loading(MANY)?;
    println!(
        "loading {} routes and {} keys: {loading:.0} ms, at most {LOADING_MS:.0}",
        MANY.routes, MANY.keys
    );
    let few = judge.instructions_per_request(FEW)?;
    println!("{:>6} routes, {:>6} keys: {few:>8.0} instructions per request", FEW.routes, FEW.keys);
    let many = judge.instructions_per_request(MANY)?;
    println!("{:>6} routes, {:>6} keys: {many:>8.0} instructions per request", MANY.routes, MANY.keys);
    println!("ratio {:.3}, at most {MOST:.2}", many / few);
    let issuer = judge.issuer()?;
    let token = |cached: &str| {
        let more = ["--issuer", &issuer, "--cached", cached].map(str::to_owned);
        judge.instructions_per(FEW, &more, TOKEN_REQUESTS)
    };
    let (cached, uncached) = (token("10000")?, token("0")?);
    println!("an RS256 token that was verified before: {cached:>8.0} instructions per request");
    println!("an RS256 token that was not:             {uncached:>8.0} instructions per request");
    println!("ratio of the first to an API key {:.2}, at most {MOST_FOR_TOKENS:.2}", cached / few);

    let mut problems = Vec::new();
    if loading > LOADING_MS {
        problems.push("loading takes too long");
    }
    // Both are above zero, so the ratio is a number.
    if many / few > MOST {
        problems.push("a decision costs too much more with many routes and keys than with few");
    }
    if cached / few > MOST_FOR_TOKENS {
        problems.push("a token that was verified before costs too much more than an API key");
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::new(problems.join("; "))) }
}

impl Judge {
    /// Milliseconds that loading takes, as the program says: `loaded in X ms`.
    fn loading(&self, size: Size) -> Outcome<f64> {
        let text = self.finish(supervised(&self.program).args(arguments(size, 1, &[])))?;
        loading(&text).context(|| format!("the example says no `loaded in X ms`:\n{text}"))
    }

    /// Writes what the example needs for tokens, and says where it is.
    fn issuer(&self) -> Outcome<String> {
        let tokens = Tokens::generate()?;
        let folder = self.scratch.folder("issuer")?;
        write(&folder.join("keys.json"), &tokens.key_set)?;
        let list: String = tokens.list().split_inclusive('\n').take(TOKENS).collect();
        write(&folder.join("tokens"), &list)?;
        Ok(folder.display().to_string())
    }

    fn instructions_per_request(&self, size: Size) -> Outcome<f64> {
        self.instructions_per(size, &[], REQUESTS)
    }

    fn instructions_per(&self, size: Size, more: &[String], [fewer, most]: [u64; 2]) -> Outcome<f64> {
        let (least, all) = (self.count(size, fewer, more)?, self.count(size, most, more)?);
        let difference = all.checked_sub(least).filter(|difference| *difference > 0);
        let difference = difference.context(|| format!("{most} requests took no more than {fewer}"))?;
        Ok(difference as f64 / (most - fewer) as f64)
    }

    /// Instructions of a whole run.
    fn count(&self, size: Size, requests: u64, more: &[String]) -> Outcome<u64> {
        let mut file = std::ffi::OsString::from("--callgrind-out-file=");
        file.push(self.scratch.path().join("callgrind.out"));
        let mut command = supervised(&self.valgrind);
        command.arg("--tool=callgrind").arg(file).arg(&self.program).args(arguments(size, requests, more));
        let text = self.finish(&mut command)?;
        collected(&text).context(|| format!("callgrind says no `Collected`:\n{text}"))
    }

    /// Runs to the end, and answers with both outputs.
    fn finish(&self, command: &mut Command) -> Outcome<String> {
        let name = || self.program.file_name().map(Path::new).unwrap_or(&self.program).display().to_string();
        let output = command.stdin(Stdio::null()).output().context(|| format!("running {}", name()))?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            Err(Failure::new(format!("{}: {}\n{text}", name(), output.status)))
        }
    }
}

fn arguments(size: Size, requests: u64, more: &[String]) -> Vec<String> {
    let [routes, keys, requests] = [size.routes, size.keys, requests].map(|number| number.to_string());
    let sizes = ["--routes".into(), routes, "--keys".into(), keys, "--requests".into(), requests];
    sizes.into_iter().chain(more.iter().cloned()).collect()
}

/// The figure in `==PID== Collected : NNN`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// The figure in `loaded in X ms`.
fn loading(text: &str) -> Option<f64> {
    let (_, rest) = text.split_once("loaded in ")?;
    rest.split_once(" ms")?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_found_in_what_the_programs_say() {
        let said = "==12== Events    : Ir\n==12== Collected : 123456\n==12== \n";
        assert_eq!(collected(said), Some(123_456));
        assert_eq!(collected("==12== refs: 3"), None);
        assert_eq!(loading("judge\nloaded in 412.5 ms\n"), Some(412.5));
        assert_eq!(loading("loaded in no time"), None);
    }
}
