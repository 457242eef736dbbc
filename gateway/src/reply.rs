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
    gateway::Gateway,
    wire::client,
};

/// What a request is called by, and what its answers must look like.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) id: HoldId,
    pub(crate) shape: Shape,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) client_kind: &'static str,
}

impl Visit {
    pub(crate) fn new(request: &HttpRequest, shape: Shape, protocol: Option<Protocol>) -> Self {
        Self {
            id: HoldId::fresh(),
            shape,
            protocol,
            client_kind: client::kind(text(request.headers(), header::USER_AGENT.as_str())),
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
        if let Some(wait) = refusal.retry_after {
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

    /// Keeps a refusal for the key's owner to see. Never waits.
    pub(crate) fn keep(
        &self,
        gateway: &Gateway,
        caller: &Arc<CallerRow>,
        model: Option<&str>,
        refusal: &Refusal,
    ) {
        gateway.inner.lanes.reject(rejection::Model {
            id: RejectionId::fresh(),
            tenant_id: caller.key.tenant_id,
            member_id: caller.key.member_id,
            key_id: caller.key.id,
            code: refusal.code.as_str().to_owned(),
            http_status: refusal.status().into(),
            message: refusal.message.clone(),
            protocol: self.protocol,
            client_kind: self.client_kind.to_owned(),
            model_name: model
                .filter(|name| !name.is_empty())
                .map(|name| name.chars().take(200).collect()),
            calls: 1,
            created_at: gateway.inner.clock.now(),
        });
    }
}

/// A header's text; empty where it is not there or not text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// A model name that is not known is a 404, but Claude Code hides a 404's text and shows a 403's.
pub(crate) fn readable_by(client_kind: &str, refusal: Refusal) -> Refusal {
    if refusal.code == Code::ModelNotFound && client_kind == "claude_code" {
        refusal.with_status(403)
    } else {
        refusal
    }
}
