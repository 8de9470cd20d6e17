//! An axum `Router` as a module: a part of the API lives in this process.

use axum::extract::Path;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use gateway_core::{BoundListener, Gateway, Listener, Module, Route, RouteMatch, Server};
use gateway_examples::{Result, stopped};

#[tokio::main]
async fn main() -> Result {
    run(Listener::new("127.0.0.1:8080".parse()?).bind()?).await
}

/// Serves on `listener`.
pub async fn run(listener: BoundListener) -> Result {
    let users = Router::new()
        .route("/users", get(async || Json(["ada", "grace"])))
        .route("/users/{name}", get(user))
        .route("/users/{name}/chat", get(chat));
    let users = Route::new("users", Module::from_service(users));
    let gateway =
        Gateway::builder().route(users.matching(RouteMatch::prefix("/users")?)).build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}

async fn user(Path(name): Path<String>) -> String {
    format!("this is {name}\n")
}

async fn chat(Path(name): Path<String>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            let Ok(text) = message.into_text() else { break };
            let answer = format!("{name} says: {text}");
            if socket.send(answer.into()).await.is_err() {
                break;
            }
        }
    })
}
