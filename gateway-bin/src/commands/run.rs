//! `gateway run`: serves what a document says.

use gateway_layers::access_log::AccessLog;

use super::{Failure, serve};
use crate::args::Document;
use crate::telemetry;

pub(crate) fn run(arguments: &Document, log: Option<&str>) -> Result<(), Failure> {
    telemetry::start(log, "info")?;
    let assembly = gateway::load(&arguments.config).observer(AccessLog::new());
    serve(&assembly.assemble()?, |_| {})
}
