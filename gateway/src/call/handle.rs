//! The endpoint of a call: takes the request in, hands it to a task, and answers with what comes back.

use std::{convert::Infallible, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Payload},
};
use entity::Protocol;
use futures_util::stream;
use identity::key::CallerRow;

use super::{
    Call, accept,
    admit::{Request, admit},
    attempt::forwarded,
    client::{Client, Connection, Head, Opening},
    foreign::refusal_of,
    once::Once,
    refusal::draining,
    run::run,
};
use crate::{
    error::{Code, Refusal},
    gateway::Gateway,
    reply::{Visit, text},
    translate::{Compaction, open_summaries},
    wire::{
        path::{self, Endpoint},
        reading::{self, BadRequest},
    },
};

/// The header by which Claude Code tells its sessions apart.
const SESSION: &str = "x-claude-code-session-id";

/// A refusal on the way in, with what is known of its caller.
pub(super) struct Turned {
    pub(super) refusal: Refusal,
    pub(super) caller: Option<Arc<CallerRow>>,
    pub(super) model: String,
}

/// Answers one call.
pub(crate) async fn answer(
    protocol: Protocol,
    gateway: Data<Gateway>,
    request: HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
    let visit = Visit::new(&request, protocol.into(), Some(protocol));

    let call = match take_in(protocol, &gateway, &visit, &request, &mut payload).await {
        Ok(call) => call,
        Err(turned) => return turn_away(&gateway, &visit, &turned, &mut payload).await,
    };

    let (client, connection) =
        Client::pair(gateway.inner.config.unread, gateway.inner.stopping.clone());
    let task = run(gateway.get_ref().clone(), call, client);
    let task = gateway.inner.calls.track_future(task);
    gateway
        .inner
        .db
        .tracker()
        .spawn_on(task, gateway.inner.db.handle());

    reply(&gateway, &visit, connection).await
}

/// Answers a refusal, once the rest of the body is out of its way, and keeps it for the key's owner.
pub(super) async fn turn_away(
    gateway: &Gateway,
    visit: &Visit,
    turned: &Turned,
    payload: &mut Payload,
) -> HttpResponse {
    if turned.refusal.code != Code::RequestTimeout {
        accept::discard(payload).await;
    }
    if let Some(caller) = &turned.caller {
        visit.keep(gateway, caller, Some(&turned.model), &turned.refusal);
    }
    visit.refuse(gateway, &turned.refusal)
}

async fn take_in(
    protocol: Protocol,
    gateway: &Gateway,
    visit: &Visit,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Call, Turned> {
    let headers = request.headers();
    let mut request = receive(protocol, gateway, visit, request, payload).await?;
    let caller = Arc::clone(&request.caller);
    let model = request.reading.model.clone();
    let turn = |refusal| Turned {
        refusal,
        caller: Some(caller),
        model,
    };
    match Once::of(headers, &request) {
        Ok(once) => request.once = once,
        Err(refusal) => return Err(turn(refusal)),
    }
    admit(gateway, request).await.map_err(turn)
}

/// Reads a request of a caller who is known.
pub(super) async fn receive(
    protocol: Protocol,
    gateway: &Gateway,
    visit: &Visit,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Request, Turned> {
    let inner = &gateway.inner;
    let headers = request.headers();
    if inner.closed.is_cancelled() {
        return Err(Turned {
            refusal: draining(),
            caller: None,
            model: String::new(),
        });
    }
    let caller = inner
        .callers
        .find(headers, inner.clock.now())
        .await
        .map_err(|denied| Turned {
            refusal: denied.refusal,
            caller: denied.caller,
            model: String::new(),
        })?;
    let turn = |refusal| Turned {
        refusal,
        caller: Some(Arc::clone(&caller)),
        model: String::new(),
    };

    let body = accept::body(headers, payload, &inner.config)
        .await
        .map_err(turn)?;
    let body = if protocol == Protocol::Responses {
        let tenant = caller.key.tenant_id;
        open_summaries(&inner.config.master, tenant, &body)
            .map_err(|reject| turn(refusal_of(&reject)))?
            .unwrap_or(body)
    } else {
        body
    };
    let reading = reading::read(protocol, &body).map_err(|bad| turn(malformed(&bad)))?;
    Ok(Request {
        compaction: compaction(protocol, request.path(), &body),
        visit: visit.clone(),
        protocol,
        caller: Arc::clone(&caller),
        reading,
        body,
        forwarded: forwarded(protocol, headers),
        session: Some(text(headers, SESSION))
            .filter(|session| !session.is_empty())
            .map(str::to_owned),
        once: None,
    })
}

/// Whether, and how, a summary is asked for. An item that only says so in a text does no harm: only its reader decides.
fn compaction(protocol: Protocol, path: &str, body: &[u8]) -> Option<Compaction> {
    const TRIGGER: &[u8] = b"\"compaction_trigger\"";
    if protocol != Protocol::Responses {
        return None;
    }
    if path::endpoint(path) == Some(Endpoint::Compact) {
        return Some(Compaction::Endpoint);
    }
    body.windows(TRIGGER.len())
        .any(|window| window == TRIGGER)
        .then_some(Compaction::Trigger)
}

fn malformed(bad: &BadRequest) -> Refusal {
    Refusal::new(Code::InvalidRequest, accept::sentence(bad)).at(bad.field)
}

async fn reply(gateway: &Gateway, visit: &Visit, connection: Connection) -> HttpResponse {
    let Connection { head, pieces } = connection;
    let Ok(Opening { head, dropped }) = head.await else {
        return visit.refuse(
            gateway,
            &Refusal::new(
                Code::InternalError,
                "The call ended by a fault of this server. Nothing was charged for it.",
            ),
        );
    };
    let mut answer = visit.answer(200);
    if !dropped.is_empty() {
        answer.insert_header(("x-gateway-dropped", header_text(&dropped.join(", "))));
    }
    match head {
        Head::Stream => {
            let pieces = stream::unfold(pieces, |mut pieces| async move {
                let piece = pieces.recv().await?;
                Some((Ok::<_, Infallible>(piece), pieces))
            });
            answer
                .content_type("text/event-stream; charset=utf-8")
                // Proxies must pass each event on as it comes.
                .insert_header(("x-accel-buffering", "no"))
                .insert_header((header::CONNECTION, "keep-alive"))
                .streaming(Box::pin(pieces))
        }
        Head::Whole(body) => answer.content_type("application/json").body(body),
        Head::Refused(refusal) => visit.refuse(gateway, &refusal),
    }
}

/// Letters that a list in a header may have.
const LONGEST_LIST: usize = 1_000;

/// A text that may repeat what a caller wrote, fit for a header.
fn header_text(text: &str) -> String {
    let fit = text.chars().map(|letter| match letter {
        ' '..='~' => letter,
        _ => '?',
    });
    fit.take(LONGEST_LIST).collect()
}
