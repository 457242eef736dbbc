//! Promises of the webhook: what is forged, repeated, reordered, foreign or for another amount never makes credits.

use crate::support::stripe::{FakeStripe, Fault, SECRET, sign};
use crate::support::till::{NOW, Till};
use billing::payment::inbox::{self, ReceiveError, Received};
use billing::payment::order::{self, CloseError, OpenOrder};
use billing::payment::signature::{SignatureFault, WebhookSecrets};
use billing::payment::stripe::NAME;
use billing::payment::{CreditPack, Money};
use entity::order::Status;
use entity::payment_inbox::{self, Status as EventStatus};
use entity::{Credits, OrderId, PersonId, Platform, TenantId, Timestamp};
use futures_util::future::join_all;
use serde_json::json;
use std::time::Duration;

const COMPLETED: &str = "checkout.session.completed";
const SUCCEEDED: &str = "checkout.session.async_payment_succeeded";
const FAILED: &str = "checkout.session.async_payment_failed";
const EXPIRED: &str = "checkout.session.expired";

/// A shop with one open order.
struct Shop {
    till: Till,
    stripe: FakeStripe,
    tenant: TenantId,
    order: OrderId,
    session: String,
}

impl Shop {
    async fn open() -> Self {
        let (till, stripe) = (Till::open().await, FakeStripe::start());
        let buyer = till.buyer().await;
        let price = Money::new(1_000, "usd").expect("money");
        let wish = OpenOrder {
            id: OrderId::fresh(),
            tenant: buyer.tenant,
            member: buyer.member,
            pack: CreditPack::new("10 credits", ten(), price).expect("a pack"),
            success_url: "https://tollgate.test/".to_owned(),
            cancel_url: "https://tollgate.test/".to_owned(),
            email: None,
        };
        let order = order::open(&till.db, &stripe.provider(), wish, NOW)
            .await
            .expect("it opens");
        Self {
            till,
            stripe,
            tenant: buyer.tenant,
            order: order.id,
            session: order.provider_session.expect("a session"),
        }
    }

    async fn receive(&self, raw: &[u8], header: &str) -> Result<Received, ReceiveError> {
        let secrets = WebhookSecrets::new([SECRET.to_owned()]);
        inbox::receive(&self.till.db, NAME, (raw, header), &secrets, NOW).await
    }

    /// What the webhook handler does: store, then try at once.
    async fn deliver(&self, raw: &[u8]) -> Received {
        let received = self
            .receive(raw, &sign(raw, SECRET, NOW))
            .await
            .expect("it is stored");
        if received.fresh {
            inbox::process(
                &self.till.db,
                &self.stripe.provider(),
                &received.event_id,
                NOW,
            )
            .await
            .expect("the store answers");
        }
        received
    }

    async fn tell(&self, kind: &str) {
        let raw = self.stripe.event(kind, &self.session);
        self.deliver(&raw).await;
    }

    async fn order(&self) -> entity::order::Model {
        let found = order::find(&self.till.db, self.tenant, self.order).await;
        found.expect("reads").expect("is there")
    }

    async fn balance(&self) -> Credits {
        self.till.available(self.tenant, NOW).await
    }

    async fn events(&self) -> Vec<payment_inbox::Model> {
        let rows = payment_inbox::Entity::every()
            .all(self.till.db.read())
            .await;
        rows.expect("the inbox reads")
    }

    async fn finish(self) {
        self.stripe.stop().await;
        self.till.finish().await;
    }
}

fn ten() -> Credits {
    Credits::parse("10").expect("credits")
}

fn after(span: Duration) -> Timestamp {
    NOW.plus(span)
}

#[tokio::test]
async fn a_paid_session_becomes_credits_and_a_receipt() {
    let shop = Shop::open().await;
    shop.stripe.complete(&shop.session, "paid");

    shop.tell(COMPLETED).await;

    let order = shop.order().await;
    assert_eq!(order.status, Status::Credited);
    assert_eq!(order.provider_payment, Some(format!("pi_{}", shop.session)));
    assert_eq!(shop.balance().await, ten());
    assert_eq!(
        shop.till.outbox("mail.receipt").await,
        [json!({ "order": shop.order })]
    );
    assert_eq!(shop.events().await[0].status, EventStatus::Done);
    shop.finish().await;
}

#[tokio::test]
async fn an_event_sent_a_hundred_times_at_once_credits_once() {
    let shop = Shop::open().await;
    shop.stripe.complete(&shop.session, "paid");
    let raw = shop.stripe.event(COMPLETED, &shop.session);

    let received = join_all((0..100).map(|_| shop.deliver(&raw))).await;

    assert_eq!(received.iter().filter(|received| received.fresh).count(), 1);
    assert_eq!(shop.balance().await, ten());
    assert_eq!(shop.till.lots(shop.tenant).await.len(), 1);
    assert_eq!(shop.events().await.len(), 1);
    shop.finish().await;
}

#[tokio::test]
async fn a_hundred_different_events_about_one_payment_credit_once() {
    let shop = Shop::open().await;
    shop.stripe.complete(&shop.session, "paid");
    let events: Vec<_> = (0..100)
        .map(|n| {
            shop.stripe.event(
                if n % 2 == 0 { COMPLETED } else { SUCCEEDED },
                &shop.session,
            )
        })
        .collect();

    join_all(events.iter().map(|raw| shop.deliver(raw))).await;

    assert_eq!(shop.balance().await, ten());
    assert_eq!(shop.till.lots(shop.tenant).await.len(), 1);
    assert_eq!(shop.till.outbox("mail.receipt").await.len(), 1);
    shop.finish().await;
}

#[tokio::test]
async fn a_forged_stale_or_unsigned_event_is_refused_and_not_stored() {
    let shop = Shop::open().await;
    shop.stripe.complete(&shop.session, "paid");
    let raw = shop.stripe.event(COMPLETED, &shop.session);
    let table = [
        (sign(&raw, "whsec_another", NOW), SignatureFault::Forged),
        (sign(b"{}", SECRET, NOW), SignatureFault::Forged),
        (
            sign(&raw, SECRET, NOW.minus(Duration::from_secs(301))),
            SignatureFault::Stale,
        ),
        (
            sign(&raw, SECRET, after(Duration::from_secs(301))),
            SignatureFault::Stale,
        ),
        (String::new(), SignatureFault::Malformed),
    ];

    for (header, fault) in table {
        let refused = shop.receive(&raw, &header).await;
        assert!(
            matches!(refused, Err(ReceiveError::Signature(seen)) if seen == fault),
            "{header}"
        );
    }

    assert_eq!(shop.events().await, []);
    assert_eq!(shop.balance().await, Credits::ZERO);
    shop.finish().await;
}

#[tokio::test]
async fn without_a_secret_not_even_an_event_signed_with_nothing_is_taken() {
    let shop = Shop::open().await;
    shop.stripe.complete(&shop.session, "paid");
    let raw = shop.stripe.event(COMPLETED, &shop.session);
    let header = sign(&raw, "", NOW);

    for secrets in [
        WebhookSecrets::default(),
        WebhookSecrets::new([String::new(), "  ".to_owned()]),
    ] {
        let refused = inbox::receive(&shop.till.db, NAME, (&raw, &header), &secrets, NOW).await;
        assert!(matches!(refused, Err(ReceiveError::NotConfigured)));
    }

    assert_eq!(shop.events().await, []);
    shop.finish().await;
}

#[tokio::test]
async fn any_of_several_secrets_verifies_while_they_are_rolled_over() {
    let shop = Shop::open().await;
    let raw = shop.stripe.event(COMPLETED, &shop.session);
    let secrets = WebhookSecrets::new(["whsec_new".to_owned(), SECRET.to_owned()]);

    let old = inbox::receive(
        &shop.till.db,
        NAME,
        (&raw, &sign(&raw, SECRET, NOW)),
        &secrets,
        NOW,
    )
    .await;
    let new = inbox::receive(
        &shop.till.db,
        NAME,
        (&raw, &sign(&raw, "whsec_new", NOW)),
        &secrets,
        NOW,
    )
    .await;

    assert!(old.expect("the old secret is good").fresh);
    assert!(!new.expect("the new secret is good").fresh);
    shop.finish().await;
}

#[tokio::test]
async fn a_session_that_differs_from_the_order_waits_for_an_operator_and_is_never_credited() {
    let table = [
        (
            "amount_total",
            json!(100),
            "the session asks for 100, the order for 1000",
        ),
        (
            "amount_total",
            json!(100_000),
            "the session asks for 100000, the order for 1000",
        ),
        (
            "amount_total",
            json!(null),
            "the session asks for nothing, the order for 1000",
        ),
        (
            "currency",
            json!("jpy"),
            "the session is in jpy, the order in usd",
        ),
        (
            "livemode",
            json!(true),
            "the session is in another mode (live or test) than the order",
        ),
        (
            "client_reference_id",
            json!("someone-else"),
            "the session names another order",
        ),
        (
            "client_reference_id",
            json!(null),
            "the session names another order",
        ),
        (
            "payment_status",
            json!("no_payment_required"),
            "the provider took no payment for it",
        ),
    ];

    for (field, value, reason) in table {
        let shop = Shop::open().await;
        shop.stripe.complete(&shop.session, "paid");
        shop.stripe.set(&shop.session, field, value);
        shop.tell(COMPLETED).await;
        let order = shop.order().await;
        assert_eq!(
            (order.status, order.review_reason.as_deref()),
            (Status::Review, Some(reason))
        );

        shop.stripe.set(&shop.session, "amount_total", json!(1_000));
        shop.stripe.set(&shop.session, "currency", json!("usd"));
        shop.tell(SUCCEEDED).await;

        assert_eq!(shop.order().await.status, Status::Review);
        assert_eq!(shop.balance().await, Credits::ZERO);
        assert_eq!(shop.till.outbox("mail.receipt").await.len(), 0);
        shop.finish().await;
    }
}

#[tokio::test]
async fn an_order_that_an_operator_closed_stays_closed() {
    let shop = Shop::open().await;
    shop.stripe.complete(&shop.session, "paid");
    shop.stripe.set(&shop.session, "amount_total", json!(1));
    shop.tell(COMPLETED).await;
    let close = |reason: &str| {
        let reason = reason.to_owned();
        order::close_review(&shop.till.db, shop.order, PersonId::fresh(), reason, NOW)
    };

    let unexplained = close(" ").await;
    close("paid back by hand")
        .await
        .expect("it waits for an operator");
    let again = close("paid back by hand").await;
    shop.stripe.set(&shop.session, "amount_total", json!(1_000));
    shop.tell(SUCCEEDED).await;

    assert!(matches!(unexplained, Err(CloseError::NoReason)));
    assert!(matches!(again, Err(CloseError::NotInReview)));
    assert_eq!(shop.order().await.status, Status::Canceled);
    assert_eq!(shop.balance().await, Credits::ZERO);
    shop.finish().await;
}

#[tokio::test]
async fn tax_on_top_is_not_another_amount() {
    let shop = Shop::open().await;
    shop.stripe.complete(&shop.session, "paid");
    shop.stripe.set(&shop.session, "amount_total", json!(1_190));
    let details = json!({ "amount_discount": 0, "amount_shipping": 0, "amount_tax": 190 });
    shop.stripe.set(&shop.session, "total_details", details);

    shop.tell(COMPLETED).await;

    let order = shop.order().await;
    assert_eq!((order.status, order.tax_minor), (Status::Credited, 190));
    shop.finish().await;
}

#[tokio::test]
async fn a_delayed_payment_is_credited_when_the_money_is_there() {
    let shop = Shop::open().await;
    shop.stripe.complete(&shop.session, "unpaid");

    shop.tell(COMPLETED).await;
    assert_eq!(shop.order().await.status, Status::AwaitingFunds);
    assert_eq!(shop.balance().await, Credits::ZERO);
    shop.stripe.complete(&shop.session, "paid");
    shop.tell(SUCCEEDED).await;

    assert_eq!(shop.order().await.status, Status::Credited);
    assert_eq!(shop.balance().await, ten());
    shop.finish().await;
}

#[tokio::test]
async fn a_delayed_payment_that_fails_is_never_credited() {
    let shop = Shop::open().await;
    shop.stripe.complete(&shop.session, "unpaid");

    shop.tell(COMPLETED).await;
    shop.tell(FAILED).await;
    shop.tell(COMPLETED).await;

    assert_eq!(shop.order().await.status, Status::Failed);
    assert_eq!(shop.balance().await, Credits::ZERO);
    shop.finish().await;
}

#[tokio::test]
async fn events_out_of_order_come_to_the_same_end() {
    for kinds in [
        [SUCCEEDED, COMPLETED, EXPIRED],
        [EXPIRED, SUCCEEDED, COMPLETED],
        [FAILED, COMPLETED, SUCCEEDED],
    ] {
        let shop = Shop::open().await;
        shop.stripe.complete(&shop.session, "paid");

        for kind in kinds {
            shop.tell(kind).await;
        }

        assert_eq!(shop.order().await.status, Status::Credited, "{kinds:?}");
        assert_eq!(shop.balance().await, ten());
        shop.finish().await;
    }
}

#[tokio::test]
async fn an_expired_session_ends_its_order() {
    let shop = Shop::open().await;
    shop.stripe.expire(&shop.session);

    shop.tell(EXPIRED).await;

    assert_eq!(shop.order().await.status, Status::Expired);
    shop.finish().await;
}

#[tokio::test]
async fn unknown_foreign_and_unreadable_events_are_stored_and_acknowledged() {
    let shop = Shop::open().await;
    let unknown = shop.stripe.event("invoice.created", "in_1");
    let foreign = shop.stripe.event(COMPLETED, "cs_test_of_another_shop");

    assert!(!shop.deliver(&unknown).await.fresh);
    assert!(shop.deliver(&foreign).await.fresh);
    assert!(!shop.deliver(b"no json").await.fresh);
    assert!(!shop.deliver(b"no json").await.fresh);
    assert!(
        !shop
            .deliver(br#"{"id":"evt_x","type":"checkout.session.completed"}"#)
            .await
            .fresh
    );

    let mut statuses: Vec<_> = shop
        .events()
        .await
        .into_iter()
        .map(|event| (event.kind, event.status))
        .collect();
    statuses.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        statuses,
        [
            (COMPLETED.to_owned(), EventStatus::Retry),
            ("invoice.created".to_owned(), EventStatus::Ignored),
            ("unreadable".to_owned(), EventStatus::Dead),
            ("unreadable".to_owned(), EventStatus::Dead),
        ]
    );
    shop.finish().await;
}

#[tokio::test]
async fn a_session_of_another_shop_on_the_same_account_is_ignored() {
    let theirs = Shop::open().await;
    theirs.stripe.complete(&theirs.session, "paid");
    let ours = Till::open().await;
    let raw = theirs.stripe.event(COMPLETED, &theirs.session);
    let secrets = WebhookSecrets::new([SECRET.to_owned()]);

    let header = sign(&raw, SECRET, NOW);
    let received = inbox::receive(&ours.db, NAME, (&raw, &header), &secrets, NOW)
        .await
        .expect("it is stored");
    inbox::process(&ours.db, &theirs.stripe.provider(), &received.event_id, NOW)
        .await
        .expect("the store answers");

    let events = inbox::list(&ours.db).await.expect("the inbox reads");
    assert_eq!(events[0].status, EventStatus::Ignored);
    ours.finish().await;
    theirs.finish().await;
}

#[tokio::test]
async fn an_event_waits_longer_each_time_and_is_given_up_in_the_end() {
    let shop = Shop::open().await;
    shop.stripe.complete(&shop.session, "paid");
    let provider = shop.stripe.provider();
    let raw = shop.stripe.event(COMPLETED, &shop.session);
    shop.stripe.fail_next([Fault::Status(500); 20]);

    shop.deliver(&raw).await;
    let at_once = inbox::process_due(&shop.till.db, &provider, NOW)
        .await
        .expect("it runs");
    let mut now = NOW;
    for _ in 0..30 {
        now = now.plus(Duration::from_hours(1));
        inbox::process_due(&shop.till.db, &provider, now)
            .await
            .expect("it runs");
    }

    assert_eq!(at_once, 0);
    let event = &shop.events().await[0];
    assert_eq!((event.status, event.attempts), (EventStatus::Dead, 20));
    assert_eq!(
        event.error.as_deref(),
        Some("the payment provider is not available: status 500")
    );
    assert_eq!(shop.order().await.status, Status::SessionOpen);
    shop.finish().await;
}

#[tokio::test]
async fn an_event_that_had_to_wait_is_worked_off_by_the_job() {
    let shop = Shop::open().await;
    shop.stripe.complete(&shop.session, "paid");
    let raw = shop.stripe.event(COMPLETED, &shop.session);
    shop.stripe.fail_next([Fault::Garbage]);
    shop.deliver(&raw).await;
    assert_eq!(shop.events().await[0].status, EventStatus::Retry);

    let later = after(Duration::from_secs(30));
    let provider = shop.stripe.provider();
    let runs = join_all((0..8).map(|_| inbox::process_due(&shop.till.db, &provider, later))).await;

    let done: u32 = runs.into_iter().map(|done| done.expect("it runs")).sum();
    assert_eq!(done, 1);
    assert_eq!(shop.order().await.status, Status::Credited);
    assert_eq!(shop.till.available(shop.tenant, later).await, ten());
    shop.finish().await;
}
