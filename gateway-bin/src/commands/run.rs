//! `gateway run`: serves what a document says.

use super::{Failure, serve};
use crate::args::Document;
use crate::telemetry;

pub(crate) fn run(arguments: &Document, log: Option<&str>) -> Result<(), Failure> {
    telemetry::start(log, "info")?;
    let assembly = telemetry::observed(gateway::load(&arguments.config));
    serve(&assembly.assemble()?, |_| {})
}
