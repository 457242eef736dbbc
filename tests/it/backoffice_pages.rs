//! Promises of the operators' pages.

use crate::support::office::{Browser, Office, between};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use console::routes::{Access, ROUTES};
use entity::{
    ChannelId, Credits, Platform, Scoped, audit_trail, channel, channel_model, code, member, model,
    tenant,
};
use identity::seal::{MasterKey, Sealed, open_channel_secret};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

const OPERATOR: &str = "/console/operator";

async fn seen_flash(browser: &mut Browser, path: &str) -> String {
    let page = browser.open(path).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let flash = between(&page.text, "role=\"status\">", "</div></div>").unwrap_or_default();
    flash.rsplit("<div>").next().unwrap_or_default().to_owned()
}

async fn only<E>(office: &Office) -> E::Model
where
    E: Platform + EntityTrait,
{
    let rows = E::every().all(office.till.db.read()).await.expect("rows");
    assert_eq!(rows.len(), 1);
    rows.into_iter().next().expect("one row")
}

#[tokio::test]
async fn operators_pages_are_for_operators() {
    let office = Office::open().await;
    let (mut nobody, mut member) = (office.stranger(), office.member().await);

    let mut asked = 0;
    for route in ROUTES
        .iter()
        .filter(|route| route.access == Access::Operator)
    {
        let path = route.path.replace("{id}", &ChannelId::fresh().to_string());
        if route.methods.contains("GET") {
            let refused = nobody.open(&path).await;
            assert!(
                refused.location.starts_with("/console/sign-in"),
                "{path} to nobody"
            );
            assert_eq!(member.open(&path).await.status, 403, "{path} to a member");
        }
        if route.methods.contains("POST") {
            let refused = member.send_from("/console/settings", &path, &[]).await;
            assert_eq!(refused.status, 403, "a form at {path} from a member");
        }
        asked += 1;
    }

    assert!(
        asked > 30,
        "the table of routes has {asked} rows for operators"
    );
    office.finish().await;
}

#[tokio::test]
async fn every_list_opens_on_a_fresh_installation() {
    let office = Office::open().await;
    let mut operator = office.operator().await;

    for route in ROUTES.iter().filter(|route| {
        route.access == Access::Operator
            && route.methods.contains("GET")
            && !route.path.contains('{')
    }) {
        let page = operator.open(route.path).await;
        assert_eq!(page.status, 200, "{}", route.path);
        assert!(
            !page.text.contains(">op-"),
            "{} shows the name of a sentence",
            route.path
        );
    }
    office.finish().await;
}

#[tokio::test]
async fn an_adjustment_stands_in_the_ledger_with_its_reason() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let tenant = office.member.tenant;
    let path = format!("{OPERATOR}/tenants/{tenant}/adjust");
    let fields = [
        ("direction", "add"),
        ("amount", "5"),
        ("reason", "outage"),
        ("once", "1"),
    ];

    let booked = operator.send(&path, &fields).await;
    let again = operator.send(&path, &fields).await;
    let silent = operator
        .send(
            &path,
            &[("direction", "add"), ("amount", "5"), ("once", "2")],
        )
        .await;
    let fields = [
        ("direction", "take"),
        ("amount", "6"),
        ("reason", "x"),
        ("once", "3"),
    ];
    let too_much = operator.send(&path, &fields).await;
    let fields = [("amount", "7"), ("reason", "x")];
    let directions = [("direction", "away"), ("once", "4")];
    let no_direction = operator.send(&path, &[directions, fields].concat()).await;
    let unmarked = [("direction", "add"), ("once", " ")];
    let unmarked = operator.send(&path, &[unmarked, fields].concat()).await;

    assert_eq!((booked.status, again.status), (303, 303));
    assert_eq!((silent.status, too_much.status), (422, 422));
    assert_eq!((no_direction.status, unmarked.status), (400, 400));
    assert!(too_much.text.contains("Only 5.00 credits are free."));
    let lines = billing::ledger::statement(&office.till.db, tenant, None, 10).await;
    let lines = lines.expect("a statement");
    assert_eq!(lines.len(), 1, "the same form sent twice books once");
    let now = crate::support::till::NOW;
    let five = Credits::parse("5").expect("credits");
    assert_eq!(office.till.available(tenant, now).await, five);
    let trail = audit_trail::Entity::every()
        .filter(audit_trail::Column::Reason.eq("outage"))
        .all(office.till.db.read())
        .await
        .expect("rows");
    assert_eq!(trail.len(), 1);
    assert_eq!(trail[0].actor_id, Some(office.operator.to_string()));
    office.finish().await;
}

#[tokio::test]
async fn a_ban_and_a_suspension_need_a_reason_and_end_with_one() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let mut ada = office.member().await;
    let ban = format!("{OPERATOR}/members/{}/ban", office.member.member);
    let tenant = office.member.tenant;

    let silent = operator.send(&ban, &[("reason", " ")]).await;
    let banned = operator.send(&ban, &[("reason", "abuse")]).await;
    let locked_out = ada.open("/console").await;
    let suspend = format!("{OPERATOR}/tenants/{tenant}/suspend");
    let suspended = operator.send(&suspend, &[("reason", "unpaid")]).await;

    assert_eq!(
        (silent.status, banned.status, suspended.status),
        (422, 303, 303)
    );
    assert_eq!(
        locked_out.status, 303,
        "a banned member is signed out at once"
    );
    let row = member::Entity::of(tenant).one(office.till.db.read()).await;
    let row = row.expect("rows").expect("a member");
    assert_eq!(row.status, member::Status::Banned);
    assert_eq!(row.status_reason.as_deref(), Some("abuse"));

    let unban = format!("{OPERATOR}/members/{}/unban", office.member.member);
    operator.send(&unban, &[("reason", "sorted out")]).await;
    let resume = format!("{OPERATOR}/tenants/{tenant}/resume");
    operator.send(&resume, &[("reason", "paid")]).await;

    let row = member::Entity::of(tenant).one(office.till.db.read()).await;
    assert_eq!(
        row.expect("rows").expect("a member").status,
        member::Status::Active
    );
    let row = tenant::Entity::every()
        .filter(tenant::Column::Id.eq(tenant))
        .one(office.till.db.read())
        .await;
    assert_eq!(
        row.expect("rows").expect("a tenant").status,
        tenant::Status::Active
    );
    office.finish().await;
}

#[tokio::test]
async fn prices_are_imported_as_ticked_and_set_by_hand() {
    let office = Office::open().await;
    let mut operator = office.operator().await;

    let preview = operator
        .open("/console/operator/models/import?vendor=anthropic")
        .await;
    let ticked = [("models", "claude-sonnet-4-5")];
    let done = operator
        .send("/console/operator/models/import", &ticked)
        .await;
    let flash = seen_flash(&mut operator, "/console/operator/models").await;
    let sonnet = only::<model::Entity>(&office).await;
    let path = format!("{OPERATOR}/models/{}/price", sonnet.id);
    let wrong = operator
        .send(&path, &[("input", "-3"), ("output", "")])
        .await;

    assert!(preview.text.contains("claude-opus-5-5"));
    assert_eq!(done.status, 303);
    assert_eq!(flash, "1 models added, 0 prices set.");
    assert_eq!(sonnet.status, model::Status::Active);
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text.contains("value=\"-3\""),
        "a refused form keeps what was typed"
    );
    office.finish().await;
}

#[tokio::test]
async fn codes_are_shown_once_and_never_again() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let path = "/console/operator/codes/new";
    let fields = [
        ("name", "Spring"),
        ("kind", "credits"),
        ("credits", "2"),
        ("size", "3"),
        ("uses", "1"),
    ];

    let page = operator.send(path, &fields).await;
    let mut wanted = fields.to_vec();
    wanted.push(("answer", "file"));
    let file = operator.send(path, &wanted).await;
    wanted[1] = ("kind", "gold");
    let unknown = operator.send(path, &wanted).await;

    assert_eq!((page.status, file.status), (200, 200));
    assert_eq!(unknown.status, 400, "no kind is guessed");
    assert_eq!(file.text.lines().count(), 4, "a heading and three codes");
    let codes = code::Entity::every()
        .all(office.till.db.read())
        .await
        .expect("rows");
    assert_eq!(codes.len(), 6);
    let first = file.text.lines().nth(1).expect("a code").to_owned();
    let list = operator.open("/console/operator/codes").await;
    assert!(!list.text.contains(&first));
    office.finish().await;
}

#[tokio::test]
async fn a_channel_is_added_discovered_and_tested_and_its_secret_never_comes_back() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let (provider, base) = provider();
    let secret = "sk-upstream-0123456789abcd";
    let fields = [
        ("provider", "compatible"),
        ("name", "Nearby"),
        ("base_url", base.as_str()),
        ("secret", secret),
    ];

    let added = operator
        .send("/console/operator/channels/new", &fields)
        .await;
    let look = operator.open(&added.location).await;
    let row = only::<channel::Entity>(&office).await;
    let page = format!("{OPERATOR}/channels/{}", row.id);
    let ticked = [("models", "gpt-5.4"), ("more", "mine = vendor/theirs")];
    let served = operator.send(&format!("{page}/models"), &ticked).await;
    operator
        .send_from(&page, &format!("{page}/test"), &[("model", "gpt-5.4")])
        .await;
    let good = seen_flash(&mut operator, &page).await;
    operator
        .send_from(&page, &format!("{page}/test"), &[("model", "mine")])
        .await;
    let bad = seen_flash(&mut operator, &page).await;
    let settings = operator.open(&page).await;

    assert_eq!((added.status, served.status), (303, 303));
    assert!(
        look.text.contains("value=\"gpt-5.4\""),
        "the provider's models are offered"
    );
    let models = channel_model::Entity::every()
        .all(office.till.db.read())
        .await
        .expect("rows");
    assert_eq!(models.len(), 2);
    assert!(good.starts_with("gpt-5.4 answered in "), "{good}");
    assert!(
        bad.contains("does not know vendor/theirs") && bad.contains("no such model"),
        "{bad}"
    );
    assert!(!settings.text.contains(secret) && settings.text.contains("ends in abcd"));
    let master =
        MasterKey::parse("1:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752")
            .expect("a key");
    let sealed = Sealed::from_bytes(row.secret.expect("a secret"));
    let opened = open_channel_secret(&master, row.id, "127.0.0.1", &sealed).expect("opens");
    assert_eq!(opened.expose(), secret);
    provider.stop(false).await;
    office.finish().await;
}

#[tokio::test]
async fn an_address_on_a_private_network_is_refused_with_the_line_that_allows_it() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let fields = [
        ("provider", "compatible"),
        ("name", "Inside"),
        ("base_url", "http://10.1.2.3:8000/v1"),
        ("secret", "x"),
    ];

    let refused = operator
        .send("/console/operator/channels/new", &fields)
        .await;

    assert_eq!(refused.status, 422);
    assert!(
        refused
            .text
            .contains("TOLLGATE_OUTBOUND_ALLOWED_CIDRS=10.1.2.3/32")
    );
    let rows = channel::Entity::every()
        .all(office.till.db.read())
        .await
        .expect("rows");
    assert_eq!(rows, []);
    office.finish().await;
}

#[tokio::test]
async fn every_way_out_of_the_documentation_leads_somewhere() {
    let office = Office::open().await;
    let mut operator = office.operator().await;

    let mut seen = std::collections::BTreeSet::new();
    let mut ahead = vec!["/docs".to_owned()];
    while let Some(path) = ahead.pop() {
        let page = operator.open(&path).await;
        // Buying is hidden where nothing is sold.
        if path != "/console/buy" {
            assert_eq!(page.status, 200, "{path}");
        }
        let links = page.text.split("href=\"/").skip(1);
        for link in links.filter(|_| path.starts_with("/docs")) {
            let target: String = link.chars().take_while(|c| !"\"#?".contains(*c)).collect();
            let target = format!("/{target}");
            if !target.starts_with("/static") && seen.insert(target.clone()) {
                ahead.push(target);
            }
        }
    }

    assert!(seen.len() > 12, "{seen:?}");
    office.finish().await;
}

/// Lists one model and knows it alone.
fn provider() -> (ServerHandle, String) {
    let server = HttpServer::new(|| {
        App::new()
            .route(
                "/v1/models",
                web::get().to(|| async {
                    HttpResponse::Ok().body(r#"{"object":"list","data":[{"id":"gpt-5.4"}]}"#)
                }),
            )
            .route("/v1/chat/completions", web::post().to(completion))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .expect("a free port");
    let base = format!("http://{}/v1", server.addrs()[0]);
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    (handle, base)
}

async fn completion(request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let key = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if key != Some("Bearer sk-upstream-0123456789abcd") {
        return HttpResponse::Unauthorized().finish();
    }
    if String::from_utf8_lossy(&body).contains("vendor/theirs") {
        return HttpResponse::NotFound().body(r#"{"error":{"message":"no such model"}}"#);
    }
    HttpResponse::Ok().body(r#"{"choices":[{"message":{"role":"assistant","content":"OK"}}]}"#)
}
