//! `POST /webhooks/stripe`: the payment provider tells us to look. Verified on the raw bytes, stored once,
//! answered after the commit; the work is done afterwards.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Bytes, PayloadConfig},
};
use billing::payment::{
    PaymentProvider,
    inbox::{self, ReceiveError},
    signature::WebhookSecrets,
    stripe,
};
use entity::{Clock, Database};
use std::sync::Arc;

/// More than ten times the largest event of the provider.
const BODY_MAX: usize = 512 << 10;

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

/// Stores a signed event, and looks at once what it is about. There is no such path where nothing can be bought.
pub(super) async fn receive(
    webhook: Option<web::Data<Webhook>>,
    request: HttpRequest,
    raw: Bytes,
) -> HttpResponse {
    let Some(webhook) = webhook else {
        return HttpResponse::NotFound().finish();
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
