//! Promises of buying, as a buyer's browser and the payment provider's servers meet them over HTTP.

use crate::support::{
    house::House,
    office::{Browser, between},
    stripe::{SECRET, sign},
    till::NOW,
};
use entity::{
    Credits, Platform, Scoped, TenantId,
    order::{self, Status},
    payment_inbox,
};
use futures_util::future::join_all;
use reqwest::{Method, Response};
use serde_json::json;
use std::time::Duration;

const WEBHOOK: &str = "/webhooks/stripe";
const COMPLETED: &str = "checkout.session.completed";
const BUYER: &str = "ada@example.org";

/// A house with one order that waits to be paid: 20 credits for 20 dollars.
struct Shop {
    house: House,
    buyer: Browser,
    tenant: TenantId,
    /// The order's page.
    page: String,
}

impl Shop {
    async fn open() -> Self {
        let house = House::selling().await;
        let tenant = house.resident(BUYER, "Ada").await.tenant;
        let mut buyer = house.signed_in(BUYER).await;
        let ordered = buyer.send("/console/buy", &[("pack", "1")]).await;
        assert_eq!(ordered.status, 303, "{}", ordered.text);
        Self {
            house,
            buyer,
            tenant,
            page: ordered.location,
        }
    }

    async fn order(&self) -> order::Model {
        let mut orders = order::Entity::of(self.tenant)
            .all(self.house.db().read())
            .await
            .expect("the orders read");
        assert_eq!(orders.len(), 1);
        orders.remove(0)
    }

    async fn session(&self) -> String {
        self.order().await.provider_session.expect("a session")
    }

    async fn send(&self, raw: &[u8], signature: Option<&str>) -> Response {
        let mut request = self.house.bare(Method::POST, WEBHOOK).body(raw.to_vec());
        if let Some(signature) = signature {
            request = request.header("stripe-signature", signature);
        }
        request.send().await.expect("an answer")
    }

    /// As the provider does: signed, now.
    async fn tell(&self, raw: &[u8]) -> u16 {
        let signature = sign(raw, SECRET, NOW);
        self.send(raw, Some(&signature)).await.status().as_u16()
    }

    async fn events(&self) -> Vec<payment_inbox::Model> {
        payment_inbox::Entity::every()
            .all(self.house.db().read())
            .await
            .expect("the inbox reads")
    }

    /// Waits until the event was worked off, however.
    async fn looked(&self) {
        self.house
            .until("the event is worked off", || async {
                let events = self.events().await;
                !events.is_empty() && events.iter().all(|event| event.done_at.is_some())
            })
            .await;
    }

    async fn balance(&self) -> Credits {
        self.house.available(self.tenant).await
    }
}

fn credits(text: &str) -> Credits {
    Credits::parse(text).expect("credits")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_picks_a_pack_pays_comes_back_and_has_the_credits() {
    let mut shop = Shop::open().await;
    let session = shop.session().await;

    let packs = shop.buyer.open("/console/buy").await;
    let waiting = shop.buyer.open(&shop.page).await;
    let pay_at = format!("href=\"https://checkout.stripe.test/{session}\"");
    let before = shop.balance().await;
    shop.house.stripe().complete(&session, "paid");
    let raw = shop.house.stripe().event(COMPLETED, &session);
    let told = shop.tell(&raw).await;
    shop.looked().await;
    let back = shop.buyer.open(&shop.page).await;
    let overview = shop.buyer.open("/console").await;

    for pack in ["5.00 USD", "20.00 USD", "50.00 USD", "100.00 USD"] {
        assert!(packs.text.contains(pack), "{pack} is on sale");
    }
    assert!(
        waiting.text.contains(&pay_at),
        "a plain link leads to the provider: {}",
        waiting.text
    );
    assert!(waiting.text.contains("Ready to pay"));
    assert_eq!(before, Credits::ZERO);
    assert_eq!(told, 200);
    assert_eq!(back.status, 200);
    assert!(back.text.contains("Credited") && !back.text.contains(&pay_at));
    let shown = between(&overview.text, "<span class=\"num\">", "</span>");
    assert_eq!(shown, Some("20.00"), "the overview shows the balance");
    assert_eq!(shop.balance().await, credits("20"));
    let asked = shop.house.stripe().requests();
    let field = |name: &str| {
        let form = &asked[0].form;
        form.iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let page = format!("{}{}", shop.house.base, shop.page);
    assert_eq!(field("success_url"), Some(page.clone()));
    assert_eq!(field("cancel_url"), Some(page));
    let key = asked[0].key.as_deref().expect("an idempotency key");
    assert!(key.ends_with(&shop.order().await.id.to_string()), "{key}");
    shop.house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_comes_back_before_the_webhook_has_the_credits_once() {
    let mut shop = Shop::open().await;
    let session = shop.session().await;
    shop.house.stripe().complete(&session, "paid");
    let raw = shop.house.stripe().event(COMPLETED, &session);

    let back = shop.buyer.open(&shop.page).await;
    let told = shop.tell(&raw).await;
    shop.looked().await;
    shop.house.work().await;

    assert!(back.text.contains("Credited"), "{}", back.text);
    assert_eq!(told, 200);
    assert_eq!(shop.balance().await, credits("20"));
    shop.house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_did_not_sign_just_now_is_refused_and_kept_nowhere() {
    let shop = Shop::open().await;
    let session = shop.session().await;
    shop.house.stripe().complete(&session, "paid");
    let raw = shop.house.stripe().event(COMPLETED, &session);
    let other = String::from_utf8_lossy(&raw).replace("evt_1", "evt_2");
    let table = [
        ("unsigned", None),
        ("malformed", Some("t=now,v1=zz".to_owned())),
        ("forged", Some(sign(&raw, "whsec_of_a_stranger", NOW))),
        (
            "signed over another body",
            Some(sign(other.as_bytes(), SECRET, NOW)),
        ),
        (
            "stale",
            Some(sign(&raw, SECRET, NOW.minus(Duration::from_secs(301)))),
        ),
        (
            "of tomorrow",
            Some(sign(&raw, SECRET, NOW.plus(Duration::from_hours(24)))),
        ),
    ];

    for (what, signature) in table {
        let answer = shop.send(&raw, signature.as_deref()).await;
        assert_eq!(answer.status(), 400, "{what}");
        let said = answer.text().await.expect("a text");
        assert_eq!(said, "the signature does not match\n", "{what}");
    }
    let huge = vec![b'x'; 600 << 10];
    let too_large = shop.send(&huge, Some(&sign(&huge, SECRET, NOW))).await;
    let read = shop
        .house
        .bare(Method::GET, WEBHOOK)
        .send()
        .await
        .expect("an answer");

    assert_eq!(too_large.status(), 413);
    assert_eq!(read.status(), 405);
    assert_eq!(shop.events().await, []);
    assert_eq!(shop.order().await.status, Status::SessionOpen);
    assert_eq!(shop.balance().await, Credits::ZERO);
    shop.house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_delivered_a_hundred_times_at_once_credits_once() {
    let shop = Shop::open().await;
    let session = shop.session().await;
    shop.house.stripe().complete(&session, "paid");
    let raw = shop.house.stripe().event(COMPLETED, &session);

    let answers = join_all((0..100).map(|_| shop.tell(&raw))).await;
    shop.looked().await;
    shop.house.work().await;

    assert_eq!(answers, [200; 100], "each delivery is acknowledged");
    assert_eq!(shop.events().await.len(), 1);
    assert_eq!(shop.order().await.status, Status::Credited);
    assert_eq!(shop.balance().await, credits("20"));
    let lots = entity::grant::Entity::of(shop.tenant)
        .all(shop.house.db().read())
        .await
        .expect("the lots read");
    assert_eq!(lots.len(), 1, "one credit");
    shop.house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_another_amount_or_currency_is_acknowledged_and_waits_for_an_operator() {
    for (field, value) in [
        ("amount_total", json!(1)),
        ("amount_total", json!(200_000)),
        ("currency", json!("eur")),
    ] {
        let mut shop = Shop::open().await;
        let session = shop.session().await;
        shop.house.stripe().complete(&session, "paid");
        shop.house.stripe().set(&session, field, value);
        let raw = shop.house.stripe().event(COMPLETED, &session);

        let told = shop.tell(&raw).await;
        shop.looked().await;
        shop.house.work().await;
        let page = shop.buyer.open(&shop.page).await;

        assert_eq!(told, 200, "{field}");
        assert_eq!(shop.order().await.status, Status::Review, "{field}");
        assert_eq!(page.status, 200, "{field}");
        assert_eq!(shop.balance().await, Credits::ZERO, "{field}");
        shop.house.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_nobody_paid_is_acknowledged_and_credits_nothing() {
    let shop = Shop::open().await;
    let session = shop.session().await;
    shop.house.stripe().complete(&session, "unpaid");
    let raw = shop.house.stripe().event(COMPLETED, &session);

    let told = shop.tell(&raw).await;
    shop.looked().await;

    assert_eq!(told, 200);
    assert_eq!(shop.order().await.status, Status::AwaitingFunds);
    assert_eq!(shop.balance().await, Credits::ZERO);
    shop.house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_nothing_is_sold_and_codes_still_work() {
    let house = House::open().await;
    let stage = house.furnish().await;
    let mut member = house.signed_in(stage.member).await;
    let before = house.available(stage.tenant).await;

    let overview = member.open("/console").await;
    let hidden = member.open("/console/buy").await;
    let refused = member
        .send_from("/console/redeem", "/console/buy", &[("pack", "1")])
        .await;
    let webhook = house
        .bare(Method::POST, WEBHOOK)
        .body("{}")
        .header("stripe-signature", sign(b"{}", SECRET, NOW))
        .send()
        .await
        .expect("an answer");
    let redeemed = member
        .send("/console/redeem", &[("code", &stage.code)])
        .await;

    assert!(!overview.text.contains("/console/buy"));
    assert_eq!((hidden.status, refused.status), (404, 404));
    assert_eq!(webhook.status(), 404);
    assert_eq!(redeemed.status, 303, "{}", redeemed.text);
    let after = house.available(stage.tenant).await;
    assert_eq!(after.checked_sub(before), Some(credits("10")));
    house.finish().await;
}
