//! Promises of the pages about plans: every clause has fields, what contradicts is refused by name, a request can be tried,
//! and a member takes, changes and stops a plan by forms alone.

use crate::support::{
    office::{Browser, Office, between},
    till::NOW,
};
use billing::{
    cap::{self, Limit, Whose},
    ledger::{self, GrantOrder},
    plan::{self, Pattern, PlanDocument, Quantity, Window},
    subscription,
};
use entity::{
    Actor, Credits, Platform, Scoped, audit_trail,
    grant::Source,
    key::{self, PayOrder},
    subscription::Status,
};
use sea_orm::{ColumnTrait, QueryFilter};

const NEW: &str = "/console/operator/plans/new";

fn credits(text: &str) -> Credits {
    Credits::parse(text).expect("credits")
}

fn basics<'a>(name: &'a str, price: &'a str, allowance: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("name", name),
        ("title", name),
        ("price", price),
        ("currency", "usd"),
        ("period", "month"),
        ("allowance", allowance),
    ]
}

async fn offer(operator: &mut Browser, fields: &[(&str, &str)]) {
    let made = operator.send(NEW, fields).await;
    assert_eq!(made.status, 303, "{}", made.text);
}

async fn fund(office: &Office, amount: &str) {
    let order = GrantOrder::new(
        office.member.tenant,
        Source::Paid,
        credits(amount),
        "test:fund",
        Actor::System,
        NOW,
    );
    ledger::grant(&office.till.db, order, NOW)
        .await
        .expect("credits");
}

async fn own(office: &Office) -> entity::subscription::Model {
    entity::subscription::Entity::of(office.member.tenant)
        .one(office.till.db.read())
        .await
        .expect("subscriptions read")
        .expect("a subscription")
}

#[tokio::test]
async fn every_clause_of_a_plan_is_set_by_fields() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let mut fields = basics("deep", "19.90", "20");
    fields.extend([
        ("allowed", "claude-*\ngpt-*"),
        ("blocked", "gpt-4*"),
        ("concurrency", "4"),
        ("requests_per_minute", "60"),
        ("quota_amount_1", "1.5"),
        ("quota_unit_1", "credits"),
        ("quota_window_1", "first_use"),
        ("quota_hours_1", "5"),
        ("quota_models_1", "claude-opus-*, gpt-5"),
        ("quota_amount_2", "100"),
        ("quota_unit_2", "requests"),
        ("quota_window_2", "week"),
        ("quota_name_2", "calls"),
        ("factor_models_1", "gpt-5*"),
        ("factor_value_1", "1.5"),
        ("rollover", "5"),
        ("pay_order", "plan_only"),
        ("stacking", "3"),
    ]);

    offer(&mut operator, &fields).await;

    let offered = plan::list(&office.till.db).await.expect("plans read");
    let stored = PlanDocument::from_json(&offered[0].version.document).expect("a document");
    let said = r#"{"version":1,"rules":[{"rule":"models_allowed","patterns":["claude-*","gpt-*"]},{"rule":"models_blocked","patterns":["gpt-4*"]},{"rule":"concurrency","limit":4},{"rule":"quota","name":"5h-credits","window":{"first_use":{"hours":5}},"limit":{"credits":"1.5"},"models":["claude-opus-*","gpt-5"]},{"rule":"quota","name":"calls","window":"week","limit":{"requests":100}},{"rule":"rate","requests_per_minute":60},{"rule":"multiplier","patterns":["gpt-5*"],"ppm":1500000},{"rule":"rollover","cap":"5"},{"rule":"pay_order","order":"plan_only"},{"rule":"stacking","priority":3}]}"#;
    assert_eq!(stored, PlanDocument::from_json(said).expect("a document"));
    let path = format!("/console/operator/plans/{}", offered[0].plan.id);
    let form = operator.open(&path).await;
    for value in [
        "value=\"5\"",
        "claude-opus-* gpt-5",
        "value=\"1.5\"",
        "5 hours from first use",
    ] {
        assert!(form.text.contains(value), "{value} is filled in or shown");
    }
    office.finish().await;
}

#[tokio::test]
async fn rules_that_contradict_each_other_are_refused_and_named() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let table: [(&[(&str, &str)], &str); 6] = [
        (
            &[("allowed", "gpt-5"), ("blocked", "gpt-*")],
            "rule 1 (models_allowed) allows `gpt-5`, which rule 2 (models_blocked) blocks altogether",
        ),
        (&[("concurrency", "0")], "id=\"concurrency-fault\""),
        (&[("quota_amount_1", "0")], "id=\"quota_amount_1-fault\""),
        (
            &[
                ("quota_amount_1", "1"),
                ("quota_amount_2", "2"),
                ("quota_name_2", "other"),
            ],
            "rule 2 (quota other) says again what rule 1 (quota daily-credits) says",
        ),
        (
            &[("factor_models_1", "*"), ("factor_value_1", "-1")],
            "id=\"factor_value_1-fault\"",
        ),
        (
            &[("rollover", "1"), ("lasts", "90")],
            "leaves nothing for rule 1 (rollover) to move",
        ),
    ];

    for (rules, named) in table {
        let mut fields = basics("odd", "1", "1");
        fields.extend(rules);
        let refused = operator.send(NEW, &fields).await;
        assert_eq!(refused.status, 422, "{rules:?}");
        assert!(
            refused.text.contains(named),
            "{named} is not said: {}",
            refused.text
        );
    }
    let mut fields = basics("odd", "1", "0");
    fields.push(("rollover", "1"));
    let refused = operator.send(NEW, &fields).await;
    assert!(
        refused
            .text
            .contains("rule 1 (rollover) is about an allowance")
    );
    assert!(
        plan::list(&office.till.db)
            .await
            .expect("plans read")
            .is_empty()
    );
    office.finish().await;
}

#[tokio::test]
async fn an_operator_tries_a_request_and_sees_which_clause_decides() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let mut fields = basics("tried", "5", "20");
    fields.extend([
        ("blocked", "gpt-4*"),
        ("quota_amount_1", "1"),
        ("factor_models_1", "claude-*"),
        ("factor_value_1", "2"),
    ]);
    offer(&mut operator, &fields).await;
    let offered = plan::list(&office.till.db).await.expect("plans read");
    let path = format!("/console/operator/plans/{}/try", offered[0].plan.id);

    let blocked = operator
        .open(&format!("{path}?model=gpt-4o&amount=0.1"))
        .await;
    let full = operator
        .open(&format!(
            "{path}?model=claude-1&amount=0.1&used_daily-credits=0.95"
        ))
        .await;
    let fine = operator
        .open(&format!("{path}?model=claude-1&amount=0.1"))
        .await;
    let odd = operator.open(&format!("{path}?model=m&zone=Nowhere")).await;

    assert!(
        blocked
            .text
            .contains("rule 1 (models_blocked): the plan blocks `gpt-4*`")
    );
    assert!(
        full.text
            .contains("rule 2 (quota daily-credits): 0.95 credits of 1 credits used")
    );
    assert!(fine.text.contains("Admitted") && fine.text.contains("multiplied by 2"));
    assert!(odd.text.contains("id=\"zone-fault\""));
    office.finish().await;
}

#[tokio::test]
async fn a_member_takes_upgrades_changes_and_stops_a_plan_by_forms() {
    let office = Office::open().await;
    let (mut operator, mut member) = (office.operator().await, office.member().await);
    offer(&mut operator, &basics("small", "5", "8")).await;
    offer(&mut operator, &basics("large", "20", "40")).await;
    offer(&mut operator, &basics("gift", "0", "99")).await;
    let list = "/console/plans";

    let poor = member.open(list).await;
    assert!(poor.text.contains("Your wallet has too little for it."));
    assert!(
        !poor.text.contains("gift"),
        "what costs nothing is given, not taken"
    );
    fund(&office, "100").await;
    let offers = member.open(list).await;
    let (_, form) = offers
        .text
        .split_once("id=\"take-small\"")
        .expect("a question");
    let version = between(form, "name=\"version\" value=\"", "\"").expect("a version");
    let once = between(form, "name=\"once\" value=\"", "\"").expect("a mark");
    let taken = member
        .send(list, &[("version", version), ("once", once)])
        .await;
    assert_eq!((taken.status, taken.location.as_str()), (303, list));
    let twice = member
        .send(list, &[("version", version), ("once", once)])
        .await;
    assert_eq!(twice.status, 303);
    let own_page = member.open(list).await;
    assert!(
        own_page.text.contains("Renews on 2026-12-18"),
        "{}",
        own_page.text
    );

    let row = own(&office).await;
    let path = format!("/console/subscriptions/{}", row.id);
    let preview = member.open(&path).await;
    assert!(
        preview.text.contains("15.00") && preview.text.contains("32.00"),
        "{}",
        preview.text
    );
    let to = between(&preview.text, "name=\"to\" value=\"", "\"")
        .expect("a plan")
        .to_owned();
    let up = member.send(&path, &[("to", &to), ("when", "now")]).await;
    assert_eq!(up.location, list);
    assert_eq!(own(&office).await.plan_version_id.to_string(), to);
    // 100 - 5 + 8 - 15 + 32
    assert_eq!(
        office.till.available(office.member.tenant, NOW).await,
        credits("120")
    );
    let small = row.plan_version_id.to_string();
    member.send(&path, &[("to", &small), ("when", "end")]).await;
    assert_eq!(
        own(&office).await.next_plan_version_id,
        Some(row.plan_version_id)
    );
    member.send(&path, &[("when", "keep")]).await;
    assert_eq!(own(&office).await.next_plan_version_id, None);
    let down = member.send(&path, &[("to", &small), ("when", "now")]).await;
    assert_eq!(down.location, path, "a step down is for the period's end");
    let (stop, undo) = (format!("{path}/cancel"), format!("{path}/resume"));
    member.send_from(list, &stop, &[]).await;
    assert_eq!(own(&office).await.status, Status::Canceling);
    member.send_from(list, &undo, &[]).await;
    assert_eq!(own(&office).await.status, Status::Active);
    office.finish().await;
}

#[tokio::test]
async fn an_operator_gives_ends_hides_and_offers_plans() {
    let office = Office::open().await;
    let (mut operator, mut member) = (office.operator().await, office.member().await);
    offer(&mut operator, &basics("gift", "0", "9")).await;
    let offered = plan::list(&office.till.db).await.expect("plans read");
    let (tenant, db) = (office.member.tenant, &office.till.db);
    let path = format!("/console/operator/tenants/{tenant}/plans/new");
    let form = operator.open(&path).await;
    let once = between(&form.text, "name=\"once\" value=\"", "\"").expect("a mark");
    let version = offered[0].version.id.to_string();

    let given = operator
        .send(
            &path,
            &[("once", once), ("version", &version), ("periods", "3")],
        )
        .await;

    assert_eq!(given.status, 303, "{}", given.text);
    assert_eq!(office.till.available(tenant, NOW).await, credits("9"));
    assert!(member.open("/console/plans").await.text.contains("gift"));
    let end = format!(
        "/console/operator/subscriptions/{}/end",
        own(&office).await.id
    );
    assert_eq!(operator.send(&end, &[("reason", "")]).await.status, 422);
    let ended = operator.send(&end, &[("reason", "it was a mistake")]).await;
    assert_eq!(ended.status, 303);
    assert_eq!(office.till.available(tenant, NOW).await, Credits::ZERO);
    assert!(
        subscription::current(db, tenant, NOW)
            .await
            .expect("reads")
            .is_empty()
    );
    let said = audit_trail::Entity::every()
        .filter(audit_trail::Column::Action.eq("subscription.end"))
        .one(db.read())
        .await
        .expect("the trail reads");
    assert_eq!(
        said.and_then(|line| line.reason).as_deref(),
        Some("it was a mistake")
    );
    let plan = format!("/console/operator/plans/{}", offered[0].plan.id);
    let hidden = operator
        .send_from(&plan, &format!("{plan}/status"), &[("status", "hidden")])
        .await;
    assert_eq!(hidden.status, 303);
    let offered = plan::list(db).await.expect("plans read");
    assert_eq!(offered[0].plan.status, entity::plan::Status::Hidden);
    office.finish().await;
}

#[tokio::test]
async fn limits_of_a_key_change_after_it_was_made_and_a_plan_says_how_new_keys_pay() {
    let office = Office::open().await;
    billing::shop::group::ensure_default(&office.till.db, NOW)
        .await
        .expect("a group");
    let (mut operator, mut member) = (office.operator().await, office.member().await);
    let mut fields = basics("first", "5", "8");
    fields.push(("pay_order", "plan_only"));
    offer(&mut operator, &fields).await;
    fund(&office, "10").await;
    let page = member.open("/console/plans").await;
    let version = between(&page.text, "name=\"version\" value=\"", "\"").expect("a version");
    let once = between(&page.text, "name=\"once\" value=\"", "\"").expect("a mark");
    let taking = [("version", version), ("once", once)];
    member.send("/console/plans", &taking).await;
    let made = member
        .send(
            "/console/keys/new",
            &[("name", "Laptop"), ("expiry", "never")],
        )
        .await;
    assert_eq!(made.status, 200);
    let stored = async || {
        key::Entity::of(office.member.tenant)
            .one(office.till.db.read())
            .await
            .expect("keys read")
            .expect("a key")
    };
    assert_eq!(stored().await.pay_order, PayOrder::PlanOnly);
    let path = format!("/console/keys/{}/limits", stored().await.id);

    let wrong = member.send(&path, &[("models", "claude-*")]).await;
    let set = member
        .send(
            &path,
            &[
                ("pay_order", "wallet_only"),
                ("spend", "2.5"),
                ("window", "day"),
                ("models", "claude-* gpt-5"),
                ("requests", "100"),
                ("requests_window", "hours"),
                ("calls", "2"),
                ("requests_per_minute", "30"),
                ("tokens_per_minute", "9000"),
            ],
        )
        .await;

    assert_eq!((wrong.status, set.status), (422, 303), "{}", set.text);
    let whose = Whose::Key(stored().await.id);
    let caps = cap::list(&office.till.db, office.member.tenant, whose).await;
    let limits: Vec<Limit> = caps
        .expect("limits read")
        .into_iter()
        .map(|cap| cap.limit)
        .collect();
    let pattern = |text| Pattern::parse(text).expect("a pattern");
    let wanted = [
        Limit::Quota {
            window: Window::Day,
            most: Quantity::Credits(credits("2.5")),
            models: vec![pattern("claude-*"), pattern("gpt-5")],
        },
        Limit::Quota {
            window: Window::FirstUse { hours: 5 },
            most: Quantity::Requests(100),
            models: Vec::new(),
        },
        Limit::OpenCalls(2),
        Limit::RequestsPerMinute(30),
        Limit::TokensPerMinute(9_000),
    ];
    assert_eq!(limits.len(), wanted.len());
    assert!(
        wanted.iter().all(|limit| limits.contains(limit)),
        "{limits:?}"
    );
    assert_eq!(stored().await.pay_order, PayOrder::WalletOnly);
    let shown = member.open(&path).await;
    assert!(shown.text.contains("value=\"claude-* gpt-5\"") && shown.text.contains("Used so far"));
    office.finish().await;
}

#[tokio::test]
async fn an_operator_sets_how_many_calls_a_wallet_carries() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let tenant = office.member.tenant;
    let path = format!("/console/operator/tenants/{tenant}/limits");
    let fields = [
        ("open_holds", "7"),
        ("tokens_per_minute", "5000"),
        ("reason", "as agreed"),
    ];

    let set = operator.send(&path, &fields).await;

    assert_eq!(set.status, 303, "{}", set.text);
    let wallet = ledger::wallet_of(&office.till.db, tenant)
        .await
        .expect("reads");
    assert_eq!(wallet.expect("a wallet").max_open_holds, Some(7));
    let caps = cap::list(&office.till.db, tenant, Whose::Tenant)
        .await
        .expect("limits read");
    assert_eq!(caps[0].limit, Limit::TokensPerMinute(5_000));
    assert!(operator.open(&path).await.text.contains("value=\"7\""));
    office.finish().await;
}

#[tokio::test]
async fn an_operator_grants_credits_of_every_source_with_everything_a_lot_has() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let tenant = office.member.tenant;
    let path = format!("/console/operator/tenants/{tenant}/grant");
    let sources = ["goodwill", "promo", "paid", "import", "adjust", "code"];

    for source in sources {
        let form = operator.open(&path).await;
        let once = between(&form.text, "name=\"once\" value=\"", "\"").expect("a mark");
        let fields = [
            ("once", once),
            ("source", source),
            ("amount", "3"),
            ("priority", "7"),
            ("effective", "2026-11-01"),
            ("expires", "2027-01-31"),
            ("models", "claude-*"),
            ("cost", "2.50"),
            ("currency", "eur"),
            ("reason", "moved from elsewhere"),
        ];
        for _ in 0..2 {
            let given = operator.send(&path, &fields).await;
            assert_eq!(given.status, 303, "{source}: {}", given.text);
        }
    }
    let wrong = [
        ("source", "goodwill"),
        ("amount", "0"),
        ("once", "x"),
        ("reason", "y"),
    ];
    assert_eq!(operator.send(&path, &wrong).await.status, 422);

    let lots = office.till.lots(tenant).await;
    assert_eq!(lots.len(), sources.len(), "each once");
    for lot in &lots {
        assert_eq!((lot.amount, lot.priority), (credits("3"), 7));
        assert_eq!(lot.scope.as_deref(), Some(r#"{"models":["claude-*"]}"#));
        assert_eq!(
            (lot.cost_minor, lot.cost_currency.as_deref()),
            (250, Some("eur"))
        );
        assert!(lot.effective_at < NOW && lot.expires_at.is_some());
    }
    assert!(lots.iter().any(|lot| lot.source == Source::Import));
    office.finish().await;
}
