//! `portcullis denials`: the reasons for which a request is refused, as the access log names them.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{FAINT, STRONG, print};
use portcullis::Code;
use std::fmt::Write;

pub(crate) fn run(markdown: bool) -> Outcome {
    print(if markdown { table() } else { list() });
    Ok(Exit::Well)
}

fn list() -> String {
    let mut text = String::new();
    for code in Code::ALL {
        let status = code.status().as_u16();
        let _ = writeln!(
            text,
            "{STRONG}{:<22}{STRONG:#} {FAINT}{status}{FAINT:#}  {}",
            code.as_str(),
            code.meaning()
        );
    }
    text
}

fn table() -> String {
    let mut text = String::from(
        "# Why a request is refused\n\n\
         The access log names the reason of each refusal by its code. The client sees the status alone.\n\n\
         | code | status | meaning |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let _ = writeln!(text, "| `{}` | {} | {} |", code.as_str(), code.status().as_u16(), code.meaning());
    }
    text
}
