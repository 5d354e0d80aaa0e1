//! Tests that measure their process, such as its memory, run in one of their own: others would be measured with them.

use std::process::{Command, Stdio};

const MARK: &str = "PORTCULLIS_TEST_ALONE";

/// Whether this process runs the test alone. Where it does not, a process is started that does, and this one only says what came
/// of it. `name` is the test's path in its binary, such as `http2::a_rapid_reset_is_cut_off`.
#[allow(clippy::print_stdout, reason = "what the other process printed is this test's to print")]
pub fn alone(name: &str) -> bool {
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(MARK, "1").stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("running 1 test\n"), "there is no test {name}");
    assert!(output.status.success(), "{name}: {}", output.status);
    false
}
