//! Promises of the first hour: from the link that the server prints to a call that is served and charged.

use crate::support::{
    office::{Browser, between},
    program::{Program, Serving},
    upstream::{Answer, Upstream},
};
use billing::audit;
use entity::{
    Clock, Credits, Database, GroupId, Platform, Scoped, TenantId, group, model, tenant, usage,
};
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

const OLIVE: &str = "olive@example.org";
const ADA: &str = "ada@example.org";
const PASSWORD: &str = "the lamp burns low at nine";
const OPERATOR: &str = "/console/operator";

const FIELDS: [(&str, &str); 3] = [("name", "Olive"), ("email", OLIVE), ("password", PASSWORD)];

/// The steps of the checklist, and which of them are done; none where it is gone.
async fn checklist(operator: &mut Browser) -> Vec<(String, bool)> {
    let page = operator.open(OPERATOR).await;
    assert_eq!(page.status, 200, "{}", page.text);
    page.text
        .split("<li class=\"step")
        .skip(1)
        .map(|step| {
            let title = between(step, "<b>", "</b>").expect("a step has a title");
            (title.to_owned(), step.starts_with(" done"))
        })
        .collect()
}

fn done(steps: &[(String, bool)]) -> usize {
    steps.iter().filter(|(_, done)| *done).count()
}

async fn sent(operator: &mut Browser, path: &str, fields: &[(&str, &str)]) -> String {
    let seen = operator.send(path, fields).await;
    assert_eq!(seen.status, 303, "{path}: {}", seen.text);
    seen.location
}

fn answer() -> Answer {
    let body = json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-5.4",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "OK"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
    });
    Answer::json(200, &body)
}

/// The newest letter's link, out of the mail folder.
async fn mailed_path(program: &Program, serving: &Serving) -> String {
    let folder = program.file("data").join("mail");
    let waiting = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            tick.tick().await;
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let path = entry.path();
                if path.extension().is_none_or(|end| end != "eml") {
                    continue;
                }
                let text = std::fs::read_to_string(path).unwrap_or_default();
                // A letter that is still being written has no end yet.
                if text.trim_end().ends_with("--") {
                    let mail = crate::support::letter::Mail::read(&text);
                    return mail.link(&format!("{}/console/verify/", serving.base));
                }
            }
        }
    };
    let link = tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await;
    let link = link.expect("the letter comes in time");
    link.strip_prefix(&serving.base)
        .expect("a link of ours")
        .to_owned()
}

/// Adds a channel to the upstream, takes its models up and tries one; returns the channel's page.
async fn add_channel(operator: &mut Browser, upstream: &Upstream) -> String {
    let base = format!("{}/v1", upstream.base);
    let fields = [
        ("provider", "compatible"),
        ("name", "Nearby"),
        ("base_url", base.as_str()),
        ("secret", "sk-upstream"),
    ];
    let look_up = sent(operator, "/console/operator/channels/new", &fields).await;
    let found = operator.open(&look_up).await;
    assert!(found.text.contains("value=\"gpt-5.4\""), "{}", found.text);
    let models = look_up.split('?').next().expect("a path");
    let served = [("more", "gpt-5.4\nmine = vendor/theirs")];
    sent(operator, models, &served).await;
    let channel = models.trim_end_matches("/models").to_owned();
    let tested = operator
        .send_from(&channel, &format!("{channel}/test"), &[("model", "mine")])
        .await;
    let told = operator.open(&tested.location).await;
    assert!(told.text.contains("mine answered in "), "{}", told.text);
    channel
}

/// Prices the model that the list of prices does not know: 1 credit a million of input, 2 of output.
async fn set_price(operator: &mut Browser, db: &Database) {
    let mine = model::Entity::every()
        .filter(model::Column::Name.eq("mine"))
        .one(db.read())
        .await
        .expect("models read")
        .expect("the model");
    let path = format!("{OPERATOR}/models/{}/price", mine.id);
    sent(operator, &path, &[("input", "1"), ("output", "2")]).await;
}

/// Opens a group with the channel in it.
async fn open_group(operator: &mut Browser, db: &Database, channel: &str) -> GroupId {
    let fields = [("name", "team"), ("title", "Team")];
    sent(operator, "/console/operator/groups/new", &fields).await;
    let team = group::Entity::every()
        .filter(group::Column::Name.eq("team"))
        .one(db.read())
        .await
        .expect("groups read")
        .expect("the group");
    let shelf = [
        ("title", "Team"),
        ("multiplier", "1"),
        ("counted", "1"),
        ("channels", channel.rsplit('/').next().expect("an id")),
    ];
    let path = format!("{OPERATOR}/groups/{}", team.id);
    sent(operator, &path, &shelf).await;
    team.id
}

/// Somebody signs up, proves the mailbox by the letter, and signs in.
async fn join(program: &Program, serving: &Serving) -> Browser {
    let mut member = Browser::at(&serving.base);
    let fields = [("name", "Ada"), ("email", ADA), ("password", PASSWORD)];
    sent(&mut member, "/console/sign-up", &fields).await;
    let path = mailed_path(program, serving).await;
    sent(&mut member, &path, &[]).await;
    let sign_in = [("email", ADA), ("password", PASSWORD)];
    let home = sent(&mut member, "/console/sign-in", &sign_in).await;
    assert_eq!(home, "/console");
    member
}

/// Gives the one personal tenant three credits.
async fn give_credits(operator: &mut Browser, db: &Database) -> TenantId {
    let home = tenant::Entity::every()
        .filter(tenant::Column::Kind.eq(tenant::Kind::Personal))
        .one(db.read())
        .await
        .expect("tenants read")
        .expect("the member's tenant");
    let gift = [
        ("direction", "add"),
        ("amount", "3"),
        ("reason", "welcome"),
        ("once", "1"),
    ];
    let path = format!("{OPERATOR}/tenants/{}/adjust", home.id);
    sent(operator, &path, &gift).await;
    home.id
}

/// Makes a key of the group and calls the model with it; returns what the model said.
async fn call(member: &mut Browser, serving: &Serving, group: GroupId) -> Value {
    let group = group.to_string();
    let fields = [
        ("name", "Laptop"),
        ("group", group.as_str()),
        ("expiry", "never"),
    ];
    let page = member.send("/console/keys/new", &fields).await;
    let key = between(&page.text, "id=\"issued-key\">", "</pre>").expect("the key");
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .post(format!("{}/v1/chat/completions", serving.base))
        .bearer_auth(key)
        .json(&json!({"model": "mine", "messages": [{"role": "user", "content": "hi"}]}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

/// The link of the first start makes nobody any more, and no start prints another.
async fn the_link_has_done_its_work(program: &Program, serving: Serving, link: &str) {
    let mut late = Browser::at(&serving.base);
    assert_eq!(late.open(link).await.status, 422);
    let eve = [("name", "Eve"), ("email", "eve@example.org"), FIELDS[2]];
    let again = late.send_from("/console/sign-in", link, &eve).await;
    assert_eq!(again.status, 422);
    serving.stop().await;
    let restarted = program.serve().await;
    assert_eq!(restarted.setup_path(), None);
    restarted.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_link_leads_to_an_operator_a_channel_a_price_and_a_charged_call() {
    let listed = json!({"object": "list", "data": [{"id": "gpt-5.4"}]});
    let upstream = Upstream::start([Answer::json(200, &listed), answer()]);
    let program = Program::new()
        .await
        .set("TOLLGATE_OUTBOUND_ALLOWED_CIDRS", "127.0.0.0/8");
    let serving = program.serve().await;
    let db = program.database.open().await;
    let link = serving.setup_path().expect("the first start prints a link");
    let mut operator = Browser::at(&serving.base);

    let form = operator.open(&link).await;
    let weak = [FIELDS[0], FIELDS[1], ("password", "short")];
    let weak = operator.send(&link, &weak).await;
    let home = sent(&mut operator, &link, &FIELDS).await;
    let at_first = checklist(&mut operator).await;
    let channel = add_channel(&mut operator, &upstream).await;
    set_price(&mut operator, &db).await;
    let halfway = checklist(&mut operator).await;
    let group = open_group(&mut operator, &db, &channel).await;
    let mut member = join(&program, &serving).await;
    let tenant = give_credits(&mut operator, &db).await;
    let said = call(&mut member, &serving, group).await;
    let overview = member.open("/console").await;
    let at_last = checklist(&mut operator).await;

    assert_eq!((form.status, weak.status), (200, 422));
    assert_eq!(home, OPERATOR, "the link signs its operator in");
    assert_eq!((at_first.len(), done(&at_first)), (5, 0), "{at_first:?}");
    assert_eq!(done(&halfway), 3, "channel, model and group: {halfway:?}");
    assert_eq!(at_last, [], "nothing is left to do");
    assert_eq!(said["choices"][0]["message"]["content"], "OK");
    let asked = upstream.requests();
    let last = asked.last().expect("the call arrived");
    assert_eq!(last.body["model"], "vendor/theirs");
    assert_eq!(last.header("authorization"), "Bearer sk-upstream");
    let calls = usage::Entity::of(tenant)
        .all(db.read())
        .await
        .expect("usage reads");
    assert_eq!(calls.len(), 1);
    // 100 tokens at 1 credit a million and 50 at 2.
    assert_eq!(calls[0].charge, Credits::from_nanos(200_000));
    let left = "2.99<span class=\"fraction\">98</span>";
    assert!(
        overview.text.contains(left),
        "the balance fell by exactly the price: {}",
        overview.text
    );
    the_link_has_done_its_work(&program, serving, &link).await;
    let people = entity::person::Entity::every().count(db.read()).await;
    assert_eq!(people.expect("people read"), 2);
    let report = audit::prove(&db, Clock::system().now())
        .await
        .expect("an audit");
    assert!(report.is_clean(), "the books do not add up:\n{report}");
    db.close().await.expect("the database closes");
    upstream.stop().await;
    program.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_link_and_one_of_an_earlier_start_make_no_operator() {
    let program = Program::new().await;
    let first = program.serve().await;
    let old = first.setup_path().expect("a link");
    first.stop().await;
    let serving = program.serve().await;
    let new = serving
        .setup_path()
        .expect("a link, for nobody runs it yet");
    let mut browser = Browser::at(&serving.base);
    let wrong = format!("/console/setup/{}", "A".repeat(43));

    for path in [old.as_str(), wrong.as_str(), "/console/setup/x"] {
        let shown = browser.open(path).await;
        let sent = browser.send_from("/console/sign-in", path, &FIELDS).await;
        assert_eq!((shown.status, sent.status), (422, 422), "{path}");
    }
    let refused = browser.open(OPERATOR).await;
    let made = browser.send(&new, &FIELDS).await;
    let overview = browser.open(OPERATOR).await;
    serving.stop().await;

    assert_ne!(old, new);
    assert!(refused.location.starts_with("/console/sign-in"));
    assert_eq!(made.location, OPERATOR, "{}", made.text);
    assert_eq!(overview.status, 200);
    program.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_follow_the_link_at_once_one_becomes_the_operator() {
    let program = Program::new().await;
    let serving = program.serve().await;
    let link = serving.setup_path().expect("a link");
    let claim = async |email: &str| {
        let fields = [FIELDS[0], ("email", email), FIELDS[2]];
        Browser::at(&serving.base).send(&link, &fields).await.status
    };

    let (olive, otto) = tokio::join!(claim(OLIVE), claim("otto@example.org"));
    serving.stop().await;

    let mut statuses = [olive, otto];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 422]);
    let db = program.database.open().await;
    let people = entity::person::Entity::every().count(db.read()).await;
    db.close().await.expect("the database closes");
    assert_eq!(people.expect("people read"), 1);
    program.finish().await;
}
