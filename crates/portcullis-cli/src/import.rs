//! `portcullis import`: another gateway's configuration.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, CARE, print, print_error};
use clap::ValueEnum;
use portcullis::import::{self, Imported};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Product {
    /// Kong's declarative file.
    Kong,
    /// KrakenD's `krakend.json`.
    Krakend,
    /// Not supported.
    Nginx,
    /// Not supported.
    Traefik,
}

pub(crate) fn run(product: Product, file: &Path, output: Option<&Path>) -> Outcome {
    let product = match product {
        Product::Kong => import::Product::Kong,
        Product::Krakend => import::Product::Krakend,
        Product::Nginx | Product::Traefik => {
            print_error(
                "this cannot be imported: what guards a location in nginx, or a router in Traefik, depends on its order, on \
                 inherited directives and on plugins, and a guess could open a route. Begin with `portcullis init`\n",
            );
            return Err(Exit::Usage);
        }
    };
    let text = std::fs::read(file).map_err(|error| {
        print_error(format!("{BAD}error{BAD:#}: cannot read {}: {error}\n", file.display()));
        Exit::Configuration
    })?;
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let Imported { yaml, left } = import::import(product, &name, &text).map_err(|why| {
        print_error(format!("{BAD}error{BAD:#}: {}\n", portcullis::visible(&why)));
        Exit::Configuration
    })?;
    match output {
        None => print(&yaml),
        Some(path) => write_new(path, &yaml)?,
    }
    for what in &left {
        print_error(format!("{CARE}not imported{CARE:#}: {}\n", portcullis::visible(what)));
    }
    Ok(if left.is_empty() { Exit::Well } else { Exit::Findings })
}

/// Writes a file that is not there yet.
pub(crate) fn write_new(path: &Path, text: &str) -> Result<(), Exit> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        print_error(format!("{BAD}error{BAD:#}: cannot write {}: {error}\n", path.display()));
        Exit::Failed
    })
}
