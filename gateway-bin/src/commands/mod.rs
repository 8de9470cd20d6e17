//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod keys;
pub(crate) mod proxy;
pub(crate) mod reasons;
pub(crate) mod run;

use std::error::Error;

use gateway::{Assembled, Bound};
use gateway_core::Address;

use crate::telemetry;
use crate::terminal::tell;

/// Why a command came to nothing, in words for the terminal.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Tells what is strange about a document.
fn warn(assembled: &Assembled) {
    for warning in assembled.warnings() {
        tell(&format!("warning: {warning}"));
    }
}

/// Binds, tells where, serves until a signal, drains.
fn serve(assembled: &Assembled, ready: impl FnOnce(&Bound)) -> Result<(), Failure> {
    warn(assembled);
    let bound = assembled.bind()?;
    for note in bound.notes() {
        tell(note);
    }
    for (name, address) in bound.addresses() {
        let shown = match address {
            Address::Tcp(address) => {
                let secured = assembled.describe_listener(name).is_some();
                format!("{}://{address}", if secured { "https" } else { "http" })
            }
            Address::Unix(_) => address.to_string(),
        };
        let named = if *name == address.to_string() { String::new() } else { format!(" ({name})") };
        tell(&format!("listening on {shown}{named}"));
    }
    if let Some(address) = bound.admin_address() {
        tell(&format!("admin on http://{address}"));
    }
    if let Some(address) = bound.metrics_address() {
        tell(&format!("metrics on http://{address}/metrics"));
    }
    let workers = bound.worker_count();
    tell(&format!("{workers} worker{}; Ctrl-C drains", if workers == 1 { "" } else { "s" }));
    ready(&bound);
    let drained = bound.run()?;
    // The last line of the program comes behind those of the log.
    telemetry::finish();
    tell(&match drained.cut {
        0 => "stopped".to_owned(),
        cut => format!("stopped; connections cut at the deadline: {cut}"),
    });
    Ok(())
}
