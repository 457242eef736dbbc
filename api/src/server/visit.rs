//! What every request passes: it gets an id and a span, is counted, and leaves a line in the log.

use super::Flight;
use actix_web::{
    Error,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
    web::{self, Bytes},
};
use entity::HoldId;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Middleware around every route.
pub(crate) async fn visit(
    flight: web::Data<Flight>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let token = flight.depart();
    let begun = Instant::now();
    let id = HoldId::fresh();
    let method = request.method().clone();
    let span = tracing::info_span!(
        "request",
        request.id = %id,
        http.method = %method,
        http.route = tracing::field::Empty,
    );
    let mut response = next.call(request).instrument(span.clone()).await?;
    let route = response
        .request()
        .match_pattern()
        .unwrap_or_else(|| "-".to_owned());
    span.record("http.route", &route);
    let id = request_id(&mut response, id);
    span.in_scope(|| {
        tracing::info!(
            answer.id = %id,
            http.status = response.status().as_u16(),
            elapsed_ms = begun.elapsed().as_millis(),
            "{method} {route}"
        );
    });
    Ok(response.map_body(|_, body| Counted {
        body: BoxBody::new(body),
        _token: token,
    }))
}

/// The id the answer carries: the one a handler gave it, else this visit's.
fn request_id<B>(response: &mut ServiceResponse<B>, id: HoldId) -> String {
    let headers = response.headers_mut();
    if let Some(given) = headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok()) {
        return given.to_owned();
    }
    let id = id.to_string();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID.clone(), value);
    }
    id
}

/// A body that counts as under way until it is sent or given up.
struct Counted {
    body: BoxBody,
    _token: TaskTrackerToken,
}

impl MessageBody for Counted {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
