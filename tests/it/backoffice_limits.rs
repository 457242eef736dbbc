//! Promises of the fields that set limits: on a new key, on a member, on a tenant with its credit line.

use crate::support::{office::Office, till::NOW};
use billing::{
    cap::{self, Limit, Whose},
    ledger::wallet_of,
    plan::{Pattern, Quantity, Window},
};
use entity::{Credits, KeyId, Platform, Scoped, audit_trail, key};
use sea_orm::{ColumnTrait, QueryFilter};

fn credits(text: &str) -> Credits {
    Credits::parse(text).expect("credits")
}

async fn limits(office: &Office, whose: Whose) -> Vec<Limit> {
    let caps = cap::list(&office.till.db, office.member.tenant, whose).await;
    let caps = caps.expect("limits read");
    caps.into_iter().map(|cap| cap.limit).collect()
}

async fn keys(office: &Office) -> Vec<KeyId> {
    let rows = key::Entity::of(office.member.tenant)
        .all(office.till.db.read())
        .await
        .expect("keys read");
    rows.into_iter().map(|row| row.id).collect()
}

#[tokio::test]
async fn a_member_makes_a_key_that_spends_no_more_than_they_say() {
    let office = Office::open().await;
    billing::shop::group::ensure_default(&office.till.db, NOW)
        .await
        .expect("a group");
    let mut member = office.member().await;
    let path = "/console/keys/new";
    let form = |spend, calls| {
        [
            ("name", "Laptop"),
            ("expiry", "never"),
            ("spend", spend),
            ("window", "hours"),
            ("calls", calls),
        ]
    };

    let wrong = member.send(path, &form("-3", "0")).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(keys(&office).await, [], "no key without its limits");
    let made = member.send(path, &form("2.50", "3")).await;
    let free = member.send(path, &form("", "")).await;

    assert_eq!((made.status, free.status), (200, 200));
    let [limited, unlimited] = keys(&office).await[..] else {
        panic!("two keys")
    };
    assert_eq!(
        limits(&office, Whose::Key(limited)).await,
        [
            Limit::credits(Window::FirstUse { hours: 5 }, credits("2.5")),
            Limit::OpenCalls(3),
        ]
    );
    assert_eq!(limits(&office, Whose::Key(unlimited)).await, []);
    office.finish().await;
}

#[tokio::test]
async fn an_operator_sets_a_tenants_credit_line_and_limits_with_a_reason() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let tenant = office.member.tenant;
    let path = format!("/console/operator/tenants/{tenant}/limits");
    let fields = |reason| {
        [
            ("line", "100"),
            ("monthly", "30"),
            ("spend", "50"),
            ("window", "week"),
            ("calls", "8"),
            ("reason", reason),
        ]
    };

    let silent = operator.send(&path, &fields("")).await;
    let set = operator.send(&path, &fields("pays by invoice")).await;
    let shown = operator.open(&path).await;

    assert_eq!((silent.status, set.status), (422, 303));
    let wallet = wallet_of(&office.till.db, tenant).await.expect("it reads");
    let wallet = wallet.expect("it is open");
    assert_eq!(wallet.credit_line, credits("100"));
    assert_eq!(
        limits(&office, Whose::CreditLine(wallet.id)).await,
        [Limit::credits(Window::Month, credits("30"))]
    );
    assert_eq!(
        limits(&office, Whose::Tenant).await,
        [
            Limit::credits(Window::Week, credits("50")),
            Limit::OpenCalls(8),
        ]
    );
    for value in [
        "value=\"100\"",
        "value=\"30\"",
        "value=\"50\"",
        "value=\"8\"",
    ] {
        assert!(shown.text.contains(value), "{value}: {}", shown.text);
    }
    let trail = audit_trail::Entity::every()
        .filter(audit_trail::Column::Reason.eq("pays by invoice"))
        .all(office.till.db.read())
        .await
        .expect("rows");
    assert_eq!(trail.len(), 3, "the wallet, its line, its limits");
    let lifted = operator.send(&path, &[("reason", "left")]).await;
    assert_eq!(lifted.status, 303);
    assert_eq!(limits(&office, Whose::Tenant).await, []);
    office.finish().await;
}

#[tokio::test]
async fn an_operator_limits_one_member_and_keeps_what_the_form_has_no_field_for() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let member = office.member.member;
    let for_some_models = Limit::Quota {
        window: Window::Month,
        most: Quantity::Requests(60),
        models: vec![Pattern::parse("gpt-*").expect("a pattern")],
    };
    let order = cap::SetCaps {
        tenant: office.member.tenant,
        whose: Whose::Member(member),
        limits: vec![for_some_models.clone()],
        actor: entity::Actor::System,
        reason: None,
    };
    cap::set(&office.till.db, order, NOW).await.expect("set");
    let path = format!("/console/operator/members/{member}/limits");
    let fields = [("spend", "5"), ("window", "day"), ("reason", "trial")];

    let set = operator.send(&path, &fields).await;

    assert_eq!(set.status, 303);
    let set = limits(&office, Whose::Member(member)).await;
    assert_eq!(set.len(), 2, "{set:?}");
    assert!(set.contains(&for_some_models));
    assert!(set.contains(&Limit::credits(Window::Day, credits("5"))));
    office.finish().await;
}
