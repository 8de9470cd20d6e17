//! A real upstream on a socket of its own, that says what reached it.

use std::future::{pending, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use gateway_core::{Address, Listener, Module, Request, Response, Server, module_fn};
use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::runtime;

use super::collection::answer;
use crate::commands::Failure;

/// Starts the upstream on a free port of this machine; it ends with the process.
pub(super) fn start() -> Result<Address, Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let bound = Listener::new(Address::Tcp(address)).name("upstream").bind()?;
    let address = bound.local_address();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("upstream".to_owned()).spawn(move || {
        let module = Module::new(module_fn(|request| ready(Ok(echo(&request)))));
        let served = runtime.block_on(Server::new(module).listen(bound).serve(pending()));
        if let Err(error) = served {
            tracing::error!(%error, "the upstream of the demo failed");
        }
    })?;
    Ok(address)
}

fn echo(request: &Request) -> Response {
    let headers = request.headers().iter().map(|(name, value)| {
        (name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes())))
    });
    let seen = json!({
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "headers": headers.collect::<Map<_, _>>(),
    });
    answer(StatusCode::OK, &seen)
}
