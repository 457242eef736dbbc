//! Promises of buying credits, up to the provider's own session.

use crate::support::stripe::{FakeStripe, Fault};
use crate::support::till::{Buyer, NOW, Till};
use billing::payment::order::{self, OpenError, OpenOrder};
use billing::payment::packs::{self, PacksError};
use billing::payment::{CreditPack, Money, ProviderFault};
use entity::order::Status;
use entity::{Credits, OrderId, PersonId};
use serde_json::json;
use std::time::Duration;

fn pack() -> CreditPack {
    let credits = Credits::parse("10").expect("credits");
    let price = Money::new(1_000, "usd").expect("money");
    CreditPack::new("10 credits", credits, price).expect("a pack")
}

fn request(buyer: Buyer) -> OpenOrder {
    OpenOrder {
        id: OrderId::fresh(),
        tenant: buyer.tenant,
        member: buyer.member,
        pack: pack(),
        success_url: "https://tollgate.test/console/billing?paid".to_owned(),
        cancel_url: "https://tollgate.test/console/billing".to_owned(),
        email: Some("buyer@tollgate.test".to_owned()),
    }
}

#[tokio::test]
async fn an_order_is_written_first_and_its_checkout_opened_under_its_own_key() {
    let till = Till::open().await;
    let stripe = FakeStripe::start();
    let wish = request(till.buyer().await);

    let order = order::open(&till.db, &stripe.provider(), wish.clone(), NOW)
        .await
        .expect("it opens");

    assert_eq!(order.status, Status::SessionOpen);
    assert_eq!(
        (order.amount_minor, order.currency.as_str()),
        (1_000, "usd")
    );
    assert!(
        order
            .checkout_url
            .expect("an address")
            .starts_with("https://checkout.stripe.test/")
    );
    let sent = &stripe.requests()[0];
    assert_eq!(sent.line, "POST /v1/checkout/sessions");
    assert_eq!(
        sent.key.as_deref(),
        Some(format!("tollgate-order-{}", wish.id).as_str())
    );
    let mut form: Vec<String> = sent
        .form
        .iter()
        .map(|(name, value)| {
            format!(
                "{name} = {}",
                value.replace(&wish.id.to_string(), "<order>")
            )
        })
        .collect();
    form.sort();
    insta::assert_snapshot!(form.join("\n"), @"
    cancel_url = https://tollgate.test/console/billing
    client_reference_id = <order>
    customer_email = buyer@tollgate.test
    line_items[0][price_data][currency] = usd
    line_items[0][price_data][product_data][name] = 10 credits
    line_items[0][price_data][unit_amount] = 1000
    line_items[0][quantity] = 1
    metadata[order] = <order>
    mode = payment
    success_url = https://tollgate.test/console/billing?paid
    ");
    stripe.stop().await;
    till.finish().await;
}

#[tokio::test]
async fn a_form_sent_twice_is_one_order_with_one_checkout() {
    let till = Till::open().await;
    let stripe = FakeStripe::start();
    let wish = request(till.buyer().await);
    let provider = stripe.provider();

    let (first, second) = tokio::join!(
        order::open(&till.db, &provider, wish.clone(), NOW),
        order::open(&till.db, &provider, wish.clone(), NOW),
    );

    assert_eq!(first.expect("it opens"), second.expect("it opens again"));
    assert_eq!(stripe.sessions(), 1);
    let orders = order::list(&till.db, wish.tenant).await.expect("the list");
    assert_eq!(orders.len(), 1);
    stripe.stop().await;
    till.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again_under_the_same_key() {
    let till = Till::open().await;
    let stripe = FakeStripe::start();
    stripe.fail_next([Fault::Garbage, Fault::Status(500)]);

    let order = order::open(
        &till.db,
        &stripe.provider(),
        request(till.buyer().await),
        NOW,
    )
    .await;

    assert_eq!(order.expect("it opens").status, Status::SessionOpen);
    assert_eq!(stripe.sessions(), 1);
    let keys: Vec<_> = stripe
        .requests()
        .into_iter()
        .map(|request| request.key)
        .collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]));
    stripe.stop().await;
    till.finish().await;
}

#[tokio::test]
async fn a_provider_that_is_down_leaves_an_order_that_can_be_opened_later() {
    let till = Till::open().await;
    let stripe = FakeStripe::start();
    let wish = request(till.buyer().await);
    stripe.fail_next([Fault::Status(503); 3]);

    let down = order::open(&till.db, &stripe.provider(), wish.clone(), NOW).await;
    let later = order::open(&till.db, &stripe.provider(), wish, NOW).await;

    assert!(matches!(
        down,
        Err(OpenError::Provider(ProviderFault::Unavailable(_)))
    ));
    assert_eq!(later.expect("it opens").status, Status::SessionOpen);
    stripe.stop().await;
    till.finish().await;
}

#[tokio::test]
async fn an_order_that_the_provider_refuses_has_failed() {
    let till = Till::open().await;
    let stripe = FakeStripe::start();
    let wish = request(till.buyer().await);
    stripe.fail_next([Fault::Status(400)]);

    let refused = order::open(&till.db, &stripe.provider(), wish.clone(), NOW).await;

    assert!(matches!(
        refused,
        Err(OpenError::Provider(ProviderFault::Refused(_)))
    ));
    assert_eq!(stripe.requests().len(), 1);
    let order = order::find(&till.db, wish.tenant, wish.id)
        .await
        .expect("reads")
        .expect("is there");
    assert_eq!(order.status, Status::Failed);
    assert_eq!(
        order.review_reason.as_deref(),
        Some("400: as the test wants")
    );
    stripe.stop().await;
    till.finish().await;
}

#[tokio::test]
async fn four_packs_are_on_sale_until_operators_choose_their_own() {
    let till = Till::open().await;
    let operator = PersonId::fresh();
    let names = |packs: &[CreditPack]| -> Vec<String> {
        packs
            .iter()
            .map(|pack| format!("{} for {}", pack.name(), pack.price()))
            .collect()
    };

    let first = packs::on_sale(&till.db).await.expect("reads");
    let empty = packs::put_on_sale(&till.db, Vec::new(), operator, NOW).await;
    packs::put_on_sale(&till.db, vec![pack()], operator, NOW)
        .await
        .expect("it is stored");
    let second = packs::on_sale(&till.db).await.expect("reads");

    assert_eq!(
        names(&first),
        [
            "5 credits for 5.00 USD",
            "20 credits for 20.00 USD",
            "50 credits for 50.00 USD",
            "100 credits for 100.00 USD"
        ]
    );
    assert!(matches!(empty, Err(PacksError::Count)));
    assert_eq!(second, [pack()]);
    till.finish().await;
}

#[tokio::test]
async fn nobody_opens_or_sees_an_order_of_another_tenant() {
    let till = Till::open().await;
    let stripe = FakeStripe::start();
    let wish = request(till.buyer().await);
    let stranger = till.buyer().await;
    order::open(&till.db, &stripe.provider(), wish.clone(), NOW)
        .await
        .expect("it opens");

    let theirs = OpenOrder {
        tenant: stranger.tenant,
        ..wish.clone()
    };
    let taken = order::open(&till.db, &stripe.provider(), theirs, NOW).await;
    let seen = order::find(&till.db, stranger.tenant, wish.id)
        .await
        .expect("reads");

    assert!(matches!(taken, Err(OpenError::Taken)));
    assert_eq!(seen, None);
    stripe.stop().await;
    till.finish().await;
}

#[tokio::test]
async fn unpaid_orders_are_bounded() {
    let till = Till::open().await;
    let stripe = FakeStripe::start();
    let buyer = till.buyer().await;
    for _ in 0..20 {
        order::open(&till.db, &stripe.provider(), request(buyer), NOW)
            .await
            .expect("it opens");
    }

    let refused = order::open(&till.db, &stripe.provider(), request(buyer), NOW).await;
    let tomorrow = NOW.plus(Duration::from_hours(24));
    let later = order::open(&till.db, &stripe.provider(), request(buyer), tomorrow).await;

    assert!(matches!(refused, Err(OpenError::TooMany)));
    assert!(later.is_ok());
    stripe.stop().await;
    till.finish().await;
}

#[tokio::test]
async fn the_buyer_who_comes_back_before_the_webhook_sees_the_credits() {
    let till = Till::open().await;
    let stripe = FakeStripe::start();
    let wish = request(till.buyer().await);
    let provider = stripe.provider();
    let order = order::open(&till.db, &provider, wish.clone(), NOW)
        .await
        .expect("it opens");
    stripe.complete(&order.provider_session.expect("a session"), "paid");

    let seen = order::refresh(&till.db, &provider, (wish.tenant, wish.id), NOW)
        .await
        .expect("it refreshes");
    let again = order::refresh(&till.db, &provider, (wish.tenant, wish.id), NOW)
        .await
        .expect("it refreshes");

    assert_eq!(seen.status, Status::Credited);
    assert_eq!(again, seen);
    let lots = till.lots(wish.tenant).await;
    assert_eq!(lots.len(), 1);
    assert_eq!(
        (lots[0].amount, lots[0].cost_minor),
        (wish.pack.credits(), 1_000)
    );
    assert_eq!(lots[0].order_id, Some(wish.id));
    assert_eq!(seen.grant_id, Some(lots[0].id));
    assert_eq!(
        till.outbox("mail.receipt").await,
        [json!({ "order": wish.id })]
    );
    stripe.stop().await;
    till.finish().await;
}

#[tokio::test]
async fn a_bonus_is_a_lot_of_its_own_that_nobody_paid_for() {
    let till = Till::open().await;
    let stripe = FakeStripe::start();
    let (credits, bonus) = (Credits::from_nanos(70), Credits::from_nanos(30));
    let price = Money::new(500, "jpy").expect("money");
    let wish = OpenOrder {
        pack: CreditPack::with_bonus("Pack", credits, bonus, price).expect("a pack"),
        ..request(till.buyer().await)
    };
    let provider = stripe.provider();
    let order = order::open(&till.db, &provider, wish.clone(), NOW)
        .await
        .expect("it opens");
    stripe.complete(&order.provider_session.expect("a session"), "paid");

    order::refresh(&till.db, &provider, (wish.tenant, wish.id), NOW)
        .await
        .expect("it refreshes");

    let lots = till.lots(wish.tenant).await;
    let seen: Vec<_> = lots
        .iter()
        .map(|lot| (lot.source, lot.amount, lot.cost_minor))
        .collect();
    assert_eq!(
        seen,
        [
            (entity::grant::Source::Paid, credits, 500),
            (entity::grant::Source::Promo, bonus, 0)
        ]
    );
    stripe.stop().await;
    till.finish().await;
}

#[tokio::test]
async fn a_lost_webhook_heals_within_the_hour_and_an_order_without_checkout_is_given_up() {
    let till = Till::open().await;
    let stripe = FakeStripe::start();
    let provider = stripe.provider();
    let paid = request(till.buyer().await);
    let order = order::open(&till.db, &provider, paid.clone(), NOW)
        .await
        .expect("it opens");
    stripe.complete(&order.provider_session.expect("a session"), "paid");
    let stuck = request(till.buyer().await);
    stripe.fail_next([Fault::Status(503); 3]);
    order::open(&till.db, &provider, stuck.clone(), NOW)
        .await
        .expect_err("it is down");

    let early = order::reconcile(&till.db, &provider, NOW)
        .await
        .expect("it runs");
    let late = order::reconcile(&till.db, &provider, NOW.plus(Duration::from_hours(25)))
        .await
        .expect("it runs");

    assert_eq!((early, late), (0, 1));
    let paid = order::find(&till.db, paid.tenant, paid.id)
        .await
        .expect("reads")
        .expect("is there");
    assert_eq!(paid.status, Status::Credited);
    let stuck = order::find(&till.db, stuck.tenant, stuck.id)
        .await
        .expect("reads")
        .expect("is there");
    assert_eq!(stuck.status, Status::Canceled);
    stripe.stop().await;
    till.finish().await;
}
