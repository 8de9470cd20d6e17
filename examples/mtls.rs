//! A listener that takes clients with certificates only, and says who they are.
//!
//! `cargo run -p gateway-examples --example mtls -- gateway.pem gateway.key clients.pem`, then
//! `curl --cacert ca.pem --cert client.pem --key client.key https://localhost:8443/`

use std::sync::Arc;

use gateway_core::server::tls::{CertificateFiles, CertificateStore, ClientAuthMode, FileWatch};
use gateway_core::server::tls::{ServerTls, TlsFiles};
use gateway_core::{
    Body, Clock, Error, Listener, Module, Observers, Request, RequestExt, Response,
};
use gateway_core::{Server, SystemClock, module_fn};
use gateway_examples::{Result, stopped};
use gateway_layers::auth::Authenticate;
use gateway_layers::auth::mtls::MtlsAuthenticator;
use rustls::crypto::aws_lc_rs;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("expected CERT KEY CLIENT_CA");
    let (cert, key, client_ca) = (next()?, next()?, next()?);
    let watch = tls(&cert, &key, &client_ca)?;
    let listener = Listener::new("127.0.0.1:8443".parse()?).tls(watch.tls().clone()).bind()?;
    let serve = Server::new(module()).listen(listener).serve(stopped());
    tokio::select! {
        served = serve => Ok(served.map(drop)?),
        // What is in the files takes effect when they change.
        () = watch.run() => Ok(()),
    }
}

/// The TLS of the listener, by these files.
pub fn tls(cert: &str, key: &str, client_ca: &str) -> Result<FileWatch> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut files = TlsFiles::default();
    files.certificates = vec![CertificateFiles { cert: cert.into(), key: key.into() }];
    files.client_auth = ClientAuthMode::Required;
    files.client_ca = Some(client_ca.into());
    let loaded = files.load(&provider, SystemClock.now()).map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    let store = CertificateStore::new(Vec::new());
    let tls = ServerTls::builder(provider, store).build()?;
    loaded.apply(&tls)?;
    Ok(FileWatch::new("public", tls, files, &loaded, Observers::default()))
}

/// Says who is calling.
pub fn module() -> Module {
    let hello = module_fn(async |request: Request| {
        let principal = request.context().and_then(|context| context.principal());
        let subject = principal.map_or("nobody", |principal| &principal.subject);
        Ok::<_, Error>(Response::new(Body::full(format!("hello {subject}\n"))))
    });
    let known = ServiceBuilder::new().layer(Authenticate::new(MtlsAuthenticator::new()));
    Module::from_service(known.service(Module::new(hello)))
}
