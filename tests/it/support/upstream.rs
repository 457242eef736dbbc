//! A provider that answers as a test tells it: status, headers, the pieces of a body, and how it ends. What it was sent
//! is kept.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, http::StatusCode, web,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::Semaphore;

/// A running provider.
pub struct Upstream {
    pub base: String,
    state: Arc<State>,
    server: ServerHandle,
}

struct State {
    script: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<Asked>>,
    /// Permits to go on, for answers that wait.
    gate: Arc<Semaphore>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Asked {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }
}

/// One answer to give.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pieces: Vec<Bytes>,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Close,
    Hang,
    /// The last piece waits for [`Upstream::release`].
    Wait,
    /// Nothing at all comes before [`Upstream::release`].
    WaitFirst,
}

impl Answer {
    /// A whole JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            pieces: vec![body.to_string().into()],
            ending: Ending::Close,
        }
    }

    /// A stream of events; each text is one piece.
    pub fn stream(pieces: &[&str]) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "text/event-stream".to_owned())],
            pieces: pieces
                .iter()
                .map(|piece| Bytes::copy_from_slice(piece.as_bytes()))
                .collect(),
            ending: Ending::Close,
        }
    }

    /// Says its pieces and then nothing any more.
    pub fn then_hang(mut self) -> Self {
        self.ending = Ending::Hang;
        self
    }

    /// Keeps its last piece until released.
    pub fn wait_before_last(mut self) -> Self {
        self.ending = Ending::Wait;
        self
    }

    /// Keeps everything, the head too, until released.
    pub fn wait_first(mut self) -> Self {
        self.ending = Ending::WaitFirst;
        self
    }

    /// With one more header.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

impl Upstream {
    /// Starts one that gives these answers in turn, the last one for ever.
    pub fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let state = Arc::new(State {
            script: Mutex::new(script.into_iter().collect()),
            requests: Mutex::new(Vec::new()),
            gate: Arc::new(Semaphore::new(0)),
        });
        let shared = web::Data::from(state.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::PayloadConfig::new(64 << 20))
                .default_service(web::to(answer))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(0)
        .bind("127.0.0.1:0")
        .expect("a port is free");
        let base = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self {
            base,
            state,
            server: handle,
        }
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Vec<Asked> {
        lock(&self.state.requests).clone()
    }

    /// Lets one waiting answer go on.
    pub fn release(&self) {
        self.state.gate.add_permits(1);
    }

    /// Stops it.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn answer(request: HttpRequest, body: Bytes, state: web::Data<State>) -> HttpResponse {
    lock(&state.requests).push(Asked {
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = value.to_str().expect("headers are text");
                (name.to_string(), value.to_owned())
            })
            .collect(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    });
    let answer = {
        let mut script = lock(&state.script);
        if script.len() > 1 {
            script.pop_front()
        } else {
            script.front().cloned()
        }
    }
    .expect("the test gave an answer");
    if answer.ending == Ending::WaitFirst {
        pass(&state.gate).await;
    }

    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).expect("a status"));
    for (name, value) in &answer.headers {
        response.insert_header((*name, value.as_str()));
    }
    let last = answer.pieces.len().saturating_sub(1);
    let gate = state.gate.clone();
    let ending = answer.ending;
    let pieces = stream::iter(answer.pieces.into_iter().enumerate()).then(move |(index, piece)| {
        let gate = gate.clone();
        async move {
            if ending == Ending::Wait && index == last {
                pass(&gate).await;
            }
            Ok::<_, Infallible>(piece)
        }
    });
    if ending == Ending::Hang {
        response.streaming(Box::pin(pieces.chain(stream::pending())))
    } else {
        response.streaming(Box::pin(pieces))
    }
}

async fn pass(gate: &Semaphore) {
    gate.acquire()
        .await
        .expect("the gate is never closed")
        .forget();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panicked in here")
}
