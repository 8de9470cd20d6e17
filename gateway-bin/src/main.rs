//! The `gateway` command.

mod args;
mod commands;
mod telemetry;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Arguments, Command};

/// Connections come and go on every worker at once; this allocator has no lock among them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = arguments.log.as_deref();
    let outcome = match arguments.command {
        Command::Proxy(proxy) => commands::proxy::proxy(&proxy, log),
        Command::Run(run) => commands::run::run(&run, log),
        Command::Check(check) => commands::check::check(&check),
        Command::Explain(explain) => commands::explain::explain(&explain),
        Command::Reasons(reasons) => commands::reasons::reasons(&reasons),
        Command::Keys(keys) => commands::keys::keys(keys),
        Command::Demo(demo) => commands::demo::demo(&demo, log),
    };
    telemetry::finish();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::tell(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}
