//! A payment provider that keeps its sessions in memory and signs its events.

use billing::payment::{
    Checkout, CreditPack, Money, PaymentProvider, PaymentState, ProviderFault, SessionState,
    SessionView,
    inbox::{self, Received},
    order::{self, OpenOrder},
    signature::WebhookSecrets,
};
use entity::{Credits, Database, MemberId, OrderId, TenantId, Timestamp};
use futures_util::future::{BoxFuture, FutureExt, ready};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

const SECRET: &str = "whsec_of_the_battery";
/// What an order costs, in cents.
const PRICE: i64 = 1_000;

/// The provider: every session it is asked of was paid.
pub struct Cashier;

impl PaymentProvider for Cashier {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn livemode(&self) -> bool {
        false
    }

    fn open_session<'a>(
        &'a self,
        checkout: &'a Checkout,
    ) -> BoxFuture<'a, Result<SessionView, ProviderFault>> {
        let mut view = paid(&format!("cs_{}", checkout.order));
        view.state = SessionState::Open;
        view.payment = PaymentState::Unpaid;
        view.payment_id = None;
        view.url = Some("https://pay.example/".to_owned());
        ready(Ok(view)).boxed()
    }

    fn session<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<SessionView, ProviderFault>> {
        ready(Ok(paid(id))).boxed()
    }
}

fn paid(id: &str) -> SessionView {
    SessionView {
        id: id.to_owned(),
        reference: id.strip_prefix("cs_").map(str::to_owned),
        state: SessionState::Complete,
        payment: PaymentState::Paid,
        total_minor: Some(PRICE),
        tax_minor: 0,
        currency: Some("usd".to_owned()),
        livemode: false,
        payment_id: Some(format!("pi_{id}")),
        url: None,
    }
}

/// Opens an order that buys so much.
pub async fn order(
    db: &Database,
    id: OrderId,
    (tenant, member): (TenantId, MemberId),
    credits: Credits,
    now: Timestamp,
) -> Result<(), order::OpenError> {
    let price = Money::new(PRICE, "usd").expect("money");
    let wish = OpenOrder {
        id,
        tenant,
        member,
        pack: CreditPack::new("credits", credits, price).expect("a pack"),
        success_url: "https://tollgate.test/".to_owned(),
        cancel_url: "https://tollgate.test/".to_owned(),
        email: None,
    };
    order::open(db, &Cashier, wish, now).await.map(drop)
}

/// The event that says that the order was paid, under an id of its own for each number.
pub fn event(order: OrderId, number: usize) -> Vec<u8> {
    json!({
        "id": format!("evt_{order}_{number}"),
        "type": "checkout.session.completed",
        "livemode": false,
        "data": { "object": { "id": format!("cs_{order}") } },
    })
    .to_string()
    .into_bytes()
}

/// Stores an event as the webhook does, signed.
pub async fn receive(
    db: &Database,
    raw: &[u8],
    now: Timestamp,
) -> Result<Received, inbox::ReceiveError> {
    let secrets = WebhookSecrets::new([SECRET.to_owned()]);
    let seconds = now.micros() / 1_000_000;
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key will do");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(raw);
    let header = format!(
        "t={seconds},v1={}",
        hex::encode(mac.finalize().into_bytes())
    );
    inbox::receive(db, "stripe", (raw, &header), &secrets, now).await
}

/// What the webhook's handler does: store the event, then try at once.
pub async fn deliver(db: &Database, raw: &[u8], now: Timestamp) {
    let received = receive(db, raw, now).await.expect("it is stored");
    if received.fresh {
        let processed = inbox::process(db, &Cashier, &received.event_id, now).await;
        processed.expect("the store answers");
    }
}
