//! A WebSocket through the gateway to an upstream that echoes.

use futures_util::StreamExt;
use gateway_core::{
    BoundListener, Cluster, Gateway, Listener, Module, Route, RouteMatch, Server, Tasks,
};
use gateway_examples::{Result, stopped};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result {
    run(Listener::new("127.0.0.1:8080".parse()?).bind()?).await
}

/// Serves on `listener`: a client that connects to `/echo` gets back what it sends.
pub async fn run(listener: BoundListener) -> Result {
    let upstream = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", upstream.local_addr()?);
    let tasks = Tasks::new();
    tasks.spawn("echo upstream", accept(upstream, tasks.clone()));

    let echo = Cluster::builder("echo").endpoint(address.parse()?).build()?;
    let route = Route::new("echo", Module::new(echo)).matching(RouteMatch::path("/echo")?);
    let gateway = Gateway::builder().route(route).build()?;
    let served = Server::new(gateway).listen(listener).serve(stopped()).await;
    tasks.abort();
    served?;
    Ok(())
}

/// The upstream: a WebSocket server that knows nothing of gateways.
async fn accept(listener: TcpListener, tasks: Tasks) {
    while let Ok((stream, _)) = listener.accept().await {
        tasks.spawn("echo", async {
            if let Err(error) = echo(stream).await {
                tracing::debug!(error, "a WebSocket broke");
            }
        });
    }
}

async fn echo(stream: TcpStream) -> Result {
    let (sink, stream) = tokio_tungstenite::accept_async(stream).await?.split();
    stream.forward(sink).await?;
    Ok(())
}
