//! The command line: one file per command, each with its arguments and a `run` that only translates to the library.
//!
//! Results go to standard output, everything else to standard error. A failure is one line `Error: …` and exit code 1;
//! wrong usage is clap's exit code 2.

mod registry;

use clap::{Parser, Subcommand};
use parbuckle::Result;
use std::process::ExitCode;

/// Container images: pull, change, push, serve.
#[derive(Parser)]
#[command(name = "parb", version, arg_required_else_help = true)]
struct Parb {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Registry(registry::Registry),
}

impl Command {
    fn run(self) -> Result<()> {
        match self {
            Command::Registry(command) => command.run(),
        }
    }
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    match Parb::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("Error: {e}");
            ExitCode::FAILURE
        }
    }
}
