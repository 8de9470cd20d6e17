//! A module written by hand: it takes requests, answers them, and says whether it is well.
//!
//! `curl -X PUT -d blue 127.0.0.1:8080/notes/sky`, then `curl 127.0.0.1:8080/notes/sky`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gateway_core::{
    BoundListener, Error, Gateway, Health, Listener, Module, ModuleService, Outcome, Reason,
    Request, RequestExt, Response, Route, RouteMatch, Server,
};
use gateway_examples::{Result, stopped};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};

/// More notes than this are not kept.
const MAX_NOTES: usize = 1000;

/// A note is at most this many bytes long.
const MAX_LENGTH: usize = 4096;

/// Short texts by name.
#[derive(Default)]
struct Notes {
    by_name: Mutex<HashMap<String, String>>,
}

impl Notes {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, name: &str) -> Outcome {
        let note = self.lock().get(name).cloned();
        let note = note.ok_or_else(|| Error::new(Reason::RouteNotFound).with_detail("no note"))?;
        Ok(Response::new(note.into()))
    }

    async fn write(&self, name: String, request: Request) -> Outcome {
        let body = Limited::new(request.into_body(), MAX_LENGTH).collect().await;
        let body = body.map_err(|_| Error::new(Reason::BodyTooLarge))?.to_bytes();
        let mut notes = self.lock();
        let mut response = Response::default();
        if notes.len() < MAX_NOTES || notes.contains_key(&name) {
            notes.insert(name, String::from_utf8_lossy(&body).into_owned());
            *response.status_mut() = StatusCode::NO_CONTENT;
        } else {
            *response.status_mut() = StatusCode::INSUFFICIENT_STORAGE;
        }
        Ok(response)
    }
}

impl ModuleService for Notes {
    async fn call(&self, request: Request) -> Outcome {
        let context = request.context();
        let name = context.and_then(|context| context.param("name"));
        let name = name.ok_or(Reason::RouteNotFound)?.to_owned();
        match *request.method() {
            Method::PUT => self.write(name, request).await,
            _ => self.read(&name),
        }
    }

    async fn health(&self) -> Health {
        match self.lock().len() {
            MAX_NOTES.. => Health::Unhealthy,
            _ => Health::Healthy,
        }
    }
}

#[tokio::main]
async fn main() -> Result {
    run(Listener::new("127.0.0.1:8080".parse()?).bind()?).await
}

/// Serves on `listener`.
pub async fn run(listener: BoundListener) -> Result {
    let notes = Route::new("notes", Module::new(Notes::default()));
    let matching = RouteMatch::path("/notes/{name}")?.methods([Method::GET, Method::PUT]);
    let gateway = Gateway::builder().route(notes.matching(matching)).build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}
