//! Every row of every table of routes, of the whole installation, asked as nobody, as a stranger with a tenant of their
//! own and as a member: rows of another tenant do not exist.

use crate::support::{
    house::House,
    office::{Browser, Seen, between},
};
use api::demo;
use console::routes::{Access, ROUTES};
use entity::{
    Platform, Scoped, channel, code_batch, group, key, ledger_transaction, member, model, order,
    session, subscription, usage,
};
use gateway::routes::{PATHS, PREFIXES};
use identity::person::SignedUp;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const BOB: &str = "bob@example.org";
const WRONG_KEY: &str = "sk-tg-ThisKeyWasNeverMade000000000000000000000000000000";

/// A house with a member who has a row of everything, and a stranger who has none.
struct Town {
    house: House,
    stage: demo::Stage,
    /// The member's browser, at their second session.
    member: Browser,
    /// The stranger.
    bob: SignedUp,
    /// What the member's rows are called in paths.
    rows: Rows,
}

struct Rows {
    key: String,
    call: String,
    subscription: String,
    entry: String,
    order: String,
    /// The member's other session.
    session: String,
    member: String,
    tenant: String,
}

impl Town {
    async fn open() -> Self {
        let house = House::selling().await;
        let stage = house.furnish().await;
        let bob = house.resident(BOB, "Bob").await;
        let other = house.signed_in(stage.member).await;
        let mut member = house.signed_in(stage.member).await;
        let ordered = member.send("/console/buy", &[("pack", "0")]).await;
        assert_eq!(ordered.status, 303, "{}", ordered.text);
        let redeemed = member
            .send("/console/redeem", &[("code", &stage.code)])
            .await;
        assert_eq!(redeemed.status, 303, "{}", redeemed.text);
        drop(other);
        let answer = house
            .bare(Method::POST, "/v1/chat/completions")
            .bearer_auth(&stage.key)
            .json(&question("sandbox/echo"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("a body");
        let mut operator = house.signed_in(stage.operator).await;
        subscribe(&mut operator, &stage).await;
        let rows = rows(&house, &stage).await;
        Self {
            house,
            stage,
            member,
            bob,
            rows,
        }
    }

    /// The member's own row behind the `{id}` of a member's path.
    fn own(&self, path: &str) -> String {
        let id = match path {
            "/console/keys/{id}/disable"
            | "/console/keys/{id}/enable"
            | "/console/keys/{id}/limits"
            | "/console/keys/{id}/revoke" => &self.rows.key,
            "/console/usage/{id}" => &self.rows.call,
            "/console/subscriptions/{id}"
            | "/console/subscriptions/{id}/cancel"
            | "/console/subscriptions/{id}/resume" => &self.rows.subscription,
            "/console/statement/{id}" => &self.rows.entry,
            "/console/orders/{id}" => &self.rows.order,
            "/console/settings/sessions/{id}/end" => &self.rows.session,
            "/console/settings/tenants/{id}/switch" => &self.rows.tenant,
            other => panic!("{other} is asked by nobody: say here which row it shows"),
        };
        path.replace("{id}", id)
    }
}

/// A plan on offer, given to the member.
async fn subscribe(operator: &mut Browser, stage: &demo::Stage) {
    let plan = [
        ("name", "basic"),
        ("title", "Basic"),
        ("price", "1"),
        ("currency", "usd"),
        ("period", "month"),
        ("allowance", "1"),
    ];
    let made = operator.send("/console/operator/plans/new", &plan).await;
    assert_eq!(made.status, 303, "{}", made.text);
    let path = format!("/console/operator/tenants/{}/plans/new", stage.tenant);
    let form = operator.open(&path).await;
    let once = between(&form.text, "name=\"once\" value=\"", "\"").expect("a mark");
    let (_, options) = form.text.split_once("id=\"version\"").expect("a choice");
    let version = between(options, "value=\"", "\"").expect("a version");
    let given = [("once", once), ("version", version), ("periods", "")];
    let given = operator.send(&path, &given).await;
    assert_eq!(given.status, 303, "{}", given.text);
}

async fn rows(house: &House, stage: &demo::Stage) -> Rows {
    let db = house.db().read();
    let tenant = stage.tenant;
    let key = key::Entity::of(tenant).one(db).await.expect("keys read");
    let call = usage::Entity::of(tenant)
        .one(db)
        .await
        .expect("usage reads");
    let entry = ledger_transaction::Entity::of(tenant)
        .one(db)
        .await
        .expect("entries read");
    let order = order::Entity::of(tenant)
        .one(db)
        .await
        .expect("orders read");
    let subscription = subscription::Entity::of(tenant)
        .one(db)
        .await
        .expect("subscriptions read");
    let member = member::Entity::of(tenant)
        .one(db)
        .await
        .expect("members read");
    let member = member.expect("a member");
    let mut sessions: Vec<_> = session::Entity::every()
        .all(db)
        .await
        .expect("sessions read")
        .into_iter()
        .filter(|session| session.member_id == member.id && session.user_agent.is_some())
        .collect();
    sessions.sort_by_key(|session| session.id);
    Rows {
        key: key.expect("a key").id.to_string(),
        call: call.expect("a call").id.to_string(),
        subscription: subscription.expect("a subscription").id.to_string(),
        entry: entry.expect("an entry").id.to_string(),
        order: order.expect("an order").id.to_string(),
        session: sessions.first().expect("a session").id.to_string(),
        member: member.id.to_string(),
        tenant: tenant.to_string(),
    }
}

/// A body that every endpoint reads.
fn question(model: &str) -> Value {
    json!({
        "model": model,
        "messages": [{"role": "user", "content": "hi"}],
        "input": "hi",
        "max_tokens": 5,
    })
}

/// Asks a path of the console by each method that its row has; a form comes with the visitor's own token.
async fn ask(browser: &mut Browser, methods: &str, path: &str, home: &str) -> Vec<Seen> {
    let mut seen = Vec::new();
    if methods.contains("GET") {
        seen.push(browser.open(path).await);
    }
    if methods.contains("POST") {
        seen.push(browser.send_from(home, path, &[]).await);
    }
    assert!(!seen.is_empty(), "{path} has no method");
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_tenant_do_not_exist() {
    let mut town = Town::open().await;
    let mut stranger = town.house.signed_in(BOB).await;
    let mut nobody = town.house.stranger();

    let mut asked = 0;
    for route in ROUTES.iter().filter(|route| route.access == Access::Member) {
        if !route.path.contains('{') {
            continue;
        }
        let path = town.own(route.path);
        for seen in ask(&mut stranger, route.methods, &path, "/console/settings").await {
            assert_eq!(seen.status, 404, "{path} to a stranger");
        }
        for seen in ask(&mut nobody, route.methods, &path, "/console/sign-in").await {
            assert!(
                seen.location.starts_with("/console/sign-in"),
                "{path} to nobody"
            );
        }
        asked += 1;
    }
    assert!(asked >= 6, "the table has {asked} rows with ids");
    let kept = key::Entity::of(town.stage.tenant)
        .one(town.house.db().read())
        .await
        .expect("keys read")
        .expect("the key");
    assert_eq!(kept.status, key::Status::Active, "the stranger did nothing");
    // The same paths are there for whose they are; revoking comes last.
    for route in ROUTES.iter().filter(|route| route.access == Access::Member) {
        if route.path.contains('{') {
            let path = town.own(route.path);
            for seen in ask(&mut town.member, route.methods, &path, "/console/settings").await {
                assert!(
                    [200, 303].contains(&seen.status),
                    "{path} to its owner: {}",
                    seen.status
                );
            }
        }
    }
    town.house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_list_shows_another_tenants_rows() {
    let mut town = Town::open().await;
    let mut stranger = town.house.signed_in(BOB).await;

    let mut found = BTreeMap::new();
    for route in ROUTES.iter().filter(|route| route.access == Access::Member) {
        if route.path.contains('{') || !route.methods.contains("GET") {
            continue;
        }
        let own = town.member.open(route.path).await;
        let foreign = stranger.open(route.path).await;
        assert_eq!((own.status, foreign.status), (200, 200), "{}", route.path);
        for mark in [
            town.rows.key.as_str(),
            town.rows.call.as_str(),
            town.rows.order.as_str(),
            town.rows.session.as_str(),
            town.stage.member,
        ] {
            assert!(
                !foreign.text.contains(mark),
                "{} shows {mark} to a stranger",
                route.path
            );
            if own.text.contains(mark) {
                *found.entry(mark.to_owned()).or_insert(0) += 1;
            }
        }
    }

    assert_eq!(found.len(), 5, "the member sees each of them: {found:?}");
    town.house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_rows_are_closed_to_members_and_open_to_operators() {
    let town = Town::open().await;
    let db = town.house.db().read();
    let model = model::Entity::every().one(db).await.expect("models read");
    let group = group::Entity::every().one(db).await.expect("groups read");
    let channel = channel::Entity::every()
        .one(db)
        .await
        .expect("channels read");
    let batch = code_batch::Entity::every()
        .one(db)
        .await
        .expect("codes read");
    let mut operator = town.house.signed_in(town.stage.operator).await;
    let plan = entity::plan::Entity::every()
        .one(db)
        .await
        .expect("plans read");
    let ids = BTreeMap::from([
        ("tenants", town.stage.tenant.to_string()),
        ("members", town.rows.member.clone()),
        ("models", model.expect("a model").id.to_string()),
        ("groups", group.expect("a group").id.to_string()),
        ("channels", channel.expect("a channel").id.to_string()),
        ("codes", batch.expect("a batch").id.to_string()),
        ("plans", plan.expect("a plan").id.to_string()),
        ("subscriptions", town.rows.subscription.clone()),
        ("orders", town.rows.order.clone()),
        ("calls", town.rows.call.clone()),
        ("entries", town.rows.entry.clone()),
    ]);
    let mut visitors = [
        town.house.signed_in(BOB).await,
        town.house.signed_in(town.stage.member).await,
    ];
    let mut nobody = town.house.stranger();

    for route in ROUTES
        .iter()
        .filter(|route| route.access == Access::Operator)
    {
        let noun = route.path.split('/').nth(3).unwrap_or_default();
        let path = match (route.path.contains('{'), ids.get(noun)) {
            (false, _) => route.path.to_owned(),
            (true, Some(id)) => route.path.replace("{id}", id),
            (true, None) => panic!(
                "{} is asked by nobody: say here which row it shows",
                route.path
            ),
        };
        for visitor in &mut visitors {
            for seen in ask(visitor, route.methods, &path, "/console/settings").await {
                assert_eq!(seen.status, 403, "{path} to a member");
            }
        }
        for seen in ask(&mut nobody, route.methods, &path, "/console/sign-in").await {
            assert!(
                seen.location.starts_with("/console/sign-in"),
                "{path} to nobody"
            );
        }
        if route.methods.contains("GET") {
            let seen = operator.open(&path).await;
            assert!(
                seen.status == 200 || (seen.status == 404 && path.ends_with("/unban")),
                "{path} to an operator: {}",
                seen.status
            );
        }
    }
    town.house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_form_wants_its_token_and_lets_nobody_in() {
    let house = House::open().await;
    let mut nobody = house.stranger();
    nobody.open("/console/sign-in").await;

    let mut asked = 0;
    for route in ROUTES
        .iter()
        .filter(|route| route.access == Access::Public && route.methods.contains("POST"))
    {
        let path = route.path.replace("{token}", "nobody-was-ever-sent-this");
        let bare = house
            .bare(Method::POST, &path)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("name=Eve")
            .send()
            .await
            .expect("an answer");
        let foreign = house
            .bare(Method::POST, &path)
            .header("sec-fetch-site", "cross-site")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("form_token=x")
            .send()
            .await
            .expect("an answer");
        let empty = nobody.send_from("/console/sign-in", &path, &[]).await;
        let nonsense = [("surprise", "1"), ("email", "\u{0}"), ("password", "x")];
        let nonsense = nobody.send_from("/console/sign-in", &path, &nonsense).await;

        assert_eq!(bare.status(), 403, "{path} without a token");
        assert_eq!(foreign.status(), 403, "{path} from another site");
        for seen in [empty, nonsense] {
            assert!(
                [303, 400, 422].contains(&seen.status),
                "{path} with nonsense: {}",
                seen.status
            );
        }
        let console = nobody.open("/console").await;
        assert!(
            console.location.starts_with("/console/sign-in"),
            "{path} let somebody in"
        );
        asked += 1;
    }

    assert!(asked >= 6, "the table has {asked} public forms");
    house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_gateway_wants_a_key_and_takes_a_good_one() {
    let town = Town::open().await;
    let house = &town.house;
    let mut bob = house.signed_in(BOB).await;
    let fields = [("name", "Laptop"), ("expiry", "never")];
    let page = bob.send("/console/keys/new", &fields).await;
    let bobs = between(&page.text, "id=\"issued-key\">", "</pre>").expect("a key");
    let send = async |method: &Method, path: &str, key: Option<&str>| -> Response {
        let model = if path.ends_with("/embeddings") {
            "sandbox/embedding"
        } else {
            "sandbox/echo"
        };
        let mut request = house
            .bare(method.clone(), path)
            .header("cookie", town.member.cookie());
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if method == Method::POST {
            request = request.json(&question(model));
        }
        request.send().await.expect("an answer")
    };
    let code = |answer: &Response| {
        answer
            .headers()
            .get("x-tollgate-code")
            .and_then(|code| code.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };

    for row in PATHS {
        for prefix in PREFIXES {
            let path = format!("{prefix}{}", row.path).replace("{name:.+}", "sandbox/echo");
            for method in row.methods.split(", ") {
                let method: Method = method.parse().expect("a method");
                let nobody = send(&method, &path, None).await;
                let wrong = send(&method, &path, Some(WRONG_KEY)).await;
                let empty = send(&method, &path, Some(bobs)).await;
                let member = send(&method, &path, Some(&town.stage.key)).await;

                let line = format!("{method} {path}");
                assert_eq!(nobody.status(), 401, "{line} to nobody");
                assert_eq!(code(&nobody), "missing_key", "{line} to nobody");
                assert_eq!(wrong.status(), 401, "{line} by a wrong key");
                assert_eq!(code(&wrong), "invalid_key", "{line} by a wrong key");
                let is_paid = method == Method::POST && !row.path.ends_with("/count_tokens");
                if is_paid {
                    assert_eq!(empty.status(), 402, "{line} by a stranger without credits");
                } else {
                    assert_eq!(empty.status(), 200, "{line} by a stranger");
                }
                assert_eq!(member.status(), 200, "{line} by a member");
            }
            let probe = send(&Method::OPTIONS, &path, None).await;
            assert_eq!(probe.status(), 204, "OPTIONS {path}");
            assert_eq!(
                probe
                    .headers()
                    .get("allow")
                    .and_then(|allow| allow.to_str().ok()),
                Some(row.methods)
            );
            assert!(
                !probe
                    .headers()
                    .keys()
                    .any(|name| name.as_str().starts_with("access-control"))
            );
            let other = send(&Method::DELETE, &path, Some(&town.stage.key)).await;
            assert_eq!(other.status(), 405, "DELETE {path}");
            let allow = other.headers().get("allow").map(|allow| {
                let allow = allow.to_str().expect("methods are text");
                allow.to_owned()
            });
            assert_eq!(allow.as_deref(), Some(row.methods), "DELETE {path}");
        }
    }
    let charged = usage::Entity::of(town.bob.tenant)
        .one(house.db().read())
        .await
        .expect("usage reads");
    assert_eq!(charged, None, "the stranger's refused calls cost nothing");
    town.house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installations_own_rows_answer_everybody_alike() {
    let town = Town::open().await;

    for row in api::routes::PATHS {
        let expected = match row.path {
            "/healthz" | "/readyz" => 200,
            // Whoever asks: nothing counts but the provider's signature.
            "/webhooks/stripe" => 400,
            other => panic!("{other} is asked by nobody: say here what it answers"),
        };
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE"] {
            let listed = row.methods.split(", ").any(|known| known == method);
            let wanted = if listed { expected } else { 405 };
            let ask = || {
                let method: Method = method.parse().expect("a method");
                town.house.bare(method, row.path)
            };
            let visitors = [
                ("nobody", ask()),
                (
                    "a member's browser",
                    ask().header("cookie", town.member.cookie()),
                ),
                ("a member's key", ask().bearer_auth(&town.stage.key)),
                ("a wrong key", ask().bearer_auth(WRONG_KEY)),
            ];
            for (who, request) in visitors {
                let answer = request.send().await.expect("an answer");
                assert_eq!(
                    answer.status().as_u16(),
                    wanted,
                    "{method} {} as {who}",
                    row.path
                );
            }
        }
    }
    for stray in ["/webhooks/paypal", "/webhooks/", "/webhooks/stripe/x"] {
        let answer = town
            .house
            .bare(Method::POST, stray)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 404, "{stray}");
    }
    town.house.finish().await;
}
