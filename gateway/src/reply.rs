//! How answers leave: headers that every answer has, refusals in their envelope, and their trace for the owner.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{self, HeaderMap},
    },
};
use entity::{HoldId, Protocol, RejectionId, rejection};
use identity::key::CallerRow;

use crate::{
    error::{Code, Refusal, Shape, render},
    evidence::Evidence,
    gateway::Gateway,
    refused::{Noted, WINDOW},
    wire::client::{self, Seen},
};

/// What a request is called by, and what its answers must look like.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) id: HoldId,
    pub(crate) shape: Shape,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) client: Seen,
    pub(crate) evidence: Arc<Evidence>,
}

impl Visit {
    pub(crate) fn new(request: &HttpRequest, shape: Shape, protocol: Option<Protocol>) -> Self {
        Self {
            id: HoldId::fresh(),
            shape,
            protocol,
            client: client::recognise(request.headers()),
            evidence: Arc::new(Evidence::of(request)),
        }
    }

    /// A builder with the headers of every answer.
    pub(crate) fn answer(&self, status: u16) -> HttpResponseBuilder {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut builder = HttpResponse::build(status);
        builder
            .insert_header(("x-request-id", self.id.to_string()))
            .insert_header(("request-id", self.id.to_string()))
            .insert_header((header::CACHE_CONTROL, "no-store"));
        builder
    }

    /// The refusal in the caller's envelope.
    pub(crate) fn refuse(&self, gateway: &Gateway, refusal: &Refusal) -> HttpResponse {
        let body = render(self.shape, refusal, self.id, &gateway.inner.links);
        let mut answer = self.answer(refusal.status());
        answer
            .insert_header(("x-tollgate-code", refusal.code.as_str()))
            .content_type("application/json");
        if let Some(retry) = refusal.code.should_retry() {
            answer.insert_header(("x-should-retry", retry.to_string()));
        }
        if let Some(wait) = refusal
            .retry_after
            .filter(|_| !self.waits_too_long(refusal))
        {
            answer.insert_header((header::RETRY_AFTER, wait.as_secs().max(1).to_string()));
        }
        tracing::info!(
            request.id = %self.id,
            code = refusal.code.as_str(),
            http.status = refusal.status(),
            "refused: {}",
            refusal.message
        );
        answer.body(body)
    }

    /// Codex asks 30 times after a 503, and before it shows the message it waits each time as long as it is told.
    fn waits_too_long(&self, refusal: &Refusal) -> bool {
        self.client.kind == "codex" && refusal.status() == 503
    }

    /// Keeps a refusal for the key's owner to see. Never waits.
    pub(crate) fn keep(
        &self,
        gateway: &Gateway,
        caller: &Arc<CallerRow>,
        model: Option<&str>,
        refusal: &Refusal,
    ) {
        let row = rejection::Model {
            id: RejectionId::fresh(),
            tenant_id: caller.key.tenant_id,
            member_id: caller.key.member_id,
            key_id: caller.key.id,
            code: refusal.code.as_str().to_owned(),
            http_status: refusal.status().into(),
            message: refusal.message.chars().take(LONGEST_MESSAGE).collect(),
            protocol: self.protocol,
            client_kind: self.client.kind.to_owned(),
            model_name: model
                .filter(|name| !name.is_empty())
                .map(|name| name.chars().take(200).collect()),
            calls: 1,
            path: Some(self.evidence.path.clone()),
            headers: Some(self.evidence.headers_json()),
            fix: Some(refusal.fix().to_json()),
            created_at: gateway.inner.clock.now(),
        };
        match gateway.inner.refusals.note(row) {
            Noted::Keep(row) => gateway.inner.lanes.reject(*row),
            Noted::Counted => {}
            Noted::Begin(likeness) => {
                // Nobody waits for this task: a process that ends before it takes the count itself.
                let inner = Arc::clone(&gateway.inner);
                gateway.inner.db.handle().spawn(async move {
                    tokio::time::sleep(WINDOW).await;
                    if let Some(row) = inner.refusals.take(likeness) {
                        inner.lanes.reject(row);
                    }
                });
            }
        }
    }
}

/// Letters of a message that are kept; an upstream's words may be long.
const LONGEST_MESSAGE: usize = 1_000;

/// A header's text; empty where it is not there or not text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// A model name that is not known is a 404, but Claude Code hides a 404's text and shows a 403's.
pub(crate) fn readable_by(client: &Seen, refusal: Refusal) -> Refusal {
    if refusal.code == Code::ModelNotFound && client.kind == "claude_code" {
        refusal.with_status(403)
    } else {
        refusal
    }
}
