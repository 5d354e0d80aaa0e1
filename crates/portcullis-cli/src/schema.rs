//! `portcullis schema`: what can be written in a configuration file, for editors and for people.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::print;

pub(crate) fn run(markdown: bool) -> Outcome {
    print(if markdown {
        portcullis::reference::reference()
    } else {
        format!("{:#}\n", portcullis::load::schema())
    });
    Ok(Exit::Well)
}
