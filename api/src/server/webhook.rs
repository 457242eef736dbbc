//! `POST /webhooks/stripe`: the payment provider tells us to look. Verified on the raw bytes, stored once,
//! answered after the commit; the work is done afterwards.

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    web::{self, Bytes, Payload, PayloadConfig},
};
use billing::payment::{
    PaymentProvider,
    inbox::{self, ReceiveError},
    signature::WebhookSecrets,
    stripe,
};
use entity::{Clock, Database};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// More than ten times the largest event of the provider.
const BODY_MAX: usize = 512 << 10;

/// How long one may take to arrive, so that no connection is held by one that never ends.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// What the route needs; absent where nothing can be bought.
#[derive(Clone)]
pub(crate) struct Webhook {
    pub db: Database,
    pub clock: Clock,
    pub provider: Arc<dyn PaymentProvider>,
    pub secrets: WebhookSecrets,
}

/// How much of a body is read.
pub(super) fn body_limit() -> PayloadConfig {
    PayloadConfig::new(BODY_MAX)
}

/// The body, where all of it comes in time.
async fn whole(
    request: &HttpRequest,
    payload: Payload,
    within: Duration,
) -> Result<Bytes, HttpResponse> {
    let body = Bytes::from_request(request, &mut payload.into_inner());
    match timeout(within, body).await {
        Ok(body) => body.map_err(|fault| fault.error_response()),
        Err(_) => Err(HttpResponse::RequestTimeout().finish()),
    }
}

/// Stores a signed event, and looks at once what it is about. There is no such path where nothing can be bought.
pub(super) async fn receive(
    webhook: Option<web::Data<Webhook>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let Some(webhook) = webhook else {
        return HttpResponse::NotFound().finish();
    };
    let raw = match whole(&request, payload, BODY_WITHIN).await {
        Ok(raw) => raw,
        Err(refused) => return refused,
    };
    let signature = request
        .headers()
        .get("stripe-signature")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();

    let now = webhook.clock.now();
    let received = inbox::receive(
        &webhook.db,
        stripe::NAME,
        (&raw, signature),
        &webhook.secrets,
        now,
    )
    .await;

    match received {
        Ok(event) => {
            if event.fresh {
                look_now(&webhook, event.event_id);
            }
            HttpResponse::Ok().finish()
        }
        Err(ReceiveError::NotConfigured) => HttpResponse::NotFound().finish(),
        Err(ReceiveError::Signature(fault)) => {
            tracing::warn!(%fault, "a webhook was not believed");
            HttpResponse::BadRequest().body("the signature does not match\n")
        }
        Err(ReceiveError::Store(fault)) => {
            tracing::error!(%fault, "a webhook was not stored; the provider will send it again");
            HttpResponse::ServiceUnavailable().finish()
        }
    }
}

/// Works the event off at once, on a runtime that the connection does not own; if that fails the inbox job tries again.
fn look_now(webhook: &Webhook, event_id: String) {
    let Webhook {
        db,
        clock,
        provider,
        ..
    } = webhook.clone();
    let tracker = db.tracker().clone();
    let handle = db.handle().clone();
    tracker.spawn_on(
        async move {
            if let Err(fault) = inbox::process(&db, &*provider, &event_id, clock.now()).await {
                tracing::warn!(event.id = %event_id, %fault, "an event waits for the inbox job");
            }
        },
        &handle,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{dev, http::StatusCode, test::TestRequest};
    use futures_util::{StreamExt, stream};

    #[actix_web::test]
    async fn an_event_that_never_ends_is_given_up() {
        let pieces = stream::iter([Ok(Bytes::from_static(b"{"))]).chain(stream::pending());
        let mut endless = dev::Payload::Stream {
            payload: pieces.boxed_local(),
        };
        let request = TestRequest::post().to_http_request();
        let payload = Payload::from_request(&request, &mut endless).await;

        let outcome = whole(
            &request,
            payload.expect("a payload"),
            Duration::from_millis(1),
        )
        .await;

        let status = outcome.expect_err("nobody waits for it").status();
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    }
}
