//! What operators set of groups and channels, what the schedule finds, and what members see of refused calls.

use crate::support::{
    gate::master,
    office::Office,
    till::NOW,
    upstream::{Answer, Upstream},
};
use billing::shop::channel::{self as shop, AddChannel, SealedSecret, Served};
use entity::{
    Actor, ChannelId, KeyId, Platform, RejectionId, attempt, channel,
    channel::{Options, OutputLimit},
    channel_check, channel_key, group, outbox,
    rejection::{self, Fix},
};
use identity::seal::seal_channel_secret;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::json;

const CHANNELS: &str = "/console/operator/channels";

async fn all<E: Platform + EntityTrait>(office: &Office) -> Vec<E::Model> {
    E::every().all(office.till.db.read()).await.expect("rows")
}

/// A channel with a key at this address, which serves one model.
async fn channel_at(office: &Office, base: &str) -> ChannelId {
    let id = ChannelId::fresh();
    let sealed = seal_channel_secret(&master(), id, "127.0.0.1", "sk-upstream-0123456789abcd");
    let order = AddChannel {
        id,
        name: "Nearby".to_owned(),
        kind: channel::Kind::OpenaiCompatible,
        base_url: base.to_owned(),
        secret: Some(SealedSecret {
            bytes: sealed.into_bytes(),
            hint: "abcd".to_owned(),
        }),
        options: Options::default(),
    };
    let db = &office.till.db;
    shop::add(db, order, Actor::System, NOW)
        .await
        .expect("a channel");
    let served = vec![Served {
        name: "gpt-5.4".to_owned(),
        upstream_name: "gpt-5.4".to_owned(),
    }];
    shop::serve(db, id, served, Actor::System, NOW)
        .await
        .expect("it serves");
    id
}

/// The secret of a channel's first key, as its row has it.
async fn first_secret(office: &Office, id: ChannelId) -> Option<Vec<u8>> {
    let row = channel::Entity::every().filter(channel::Column::Id.eq(id));
    let found = row.one(office.till.db.read()).await.expect("rows");
    found.expect("the channel").secret
}

#[tokio::test]
async fn an_operator_says_whom_a_group_takes() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let add = |name, title| [("name", name), ("title", title)];
    operator
        .send("/console/operator/groups/new", &add("coding", "Coding"))
        .await;
    let spare = operator
        .send("/console/operator/groups/new", &add("spare", "Spare"))
        .await;
    let rows = all::<group::Entity>(&office).await;
    let id = |name: &str| {
        let row = rows.iter().find(|row| row.name == name);
        row.expect("the group").id.to_string()
    };
    let (coding, spare_id) = (id("coding"), id("spare"));
    let page = format!("/console/operator/groups/{coding}");
    let form = |least: &'static str| {
        let mut fields = vec![
            ("title", "Coding"),
            ("multiplier", "1"),
            ("clients", "claude_code"),
            ("clients", "openclaw"),
            ("protocols", "messages"),
            ("fallback", spare_id.as_str()),
            ("stops_when_left", "yes"),
            ("counted", "1.25"),
            ("strict_translation", "yes"),
        ];
        for kind in group::client::KINDS.iter().filter(|kind| kind.versioned) {
            let mine = kind.word == "claude_code";
            fields.push(("client_least", if mine { least } else { "" }));
            fields.push(("client_most", ""));
        }
        fields
    };

    let saved = operator.send(&page, &form("2.1.39")).await;
    let shown = operator.open(&page).await;
    let wrong = operator.send(&page, &form("two")).await;
    let list = operator.open("/console/operator/groups").await;

    assert_eq!((spare.status, saved.status, wrong.status), (303, 303, 422));
    let row = all::<group::Entity>(&office)
        .await
        .into_iter()
        .find(|row| row.name == "coding")
        .expect("the group");
    assert_eq!(row.protocols, r#"["messages"]"#);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&row.clients).expect("JSON"),
        json!([{"kind": "claude_code", "least": "2.1.39"}, {"kind": "openclaw"}])
    );
    assert_eq!(
        row.fallback_group_id.map(|id| id.to_string()),
        Some(spare_id.clone())
    );
    assert!(
        shown
            .text
            .contains(r#"value="2.1.39" aria-label="Claude Code: At least""#)
    );
    assert!(row.stops_when_left);
    assert_eq!(row.counted_ppm, 1_250_000);
    assert!(row.strict_translation);
    assert!(shown.text.contains(r#"value="1.25""#));
    assert!(
        shown
            .text
            .contains(r#"name="stops_when_left" value="yes" checked"#)
    );
    assert!(
        shown
            .text
            .contains(r#"name="strict_translation" value="yes" checked"#)
    );
    assert_eq!(
        list.text
            .matches("stops at once when a client hangs up")
            .count(),
        1
    );
    assert!(shown.text.contains(r#"value="openclaw" checked"#));
    assert!(!shown.text.contains(r#"value="codex" checked"#));
    assert!(wrong.text.contains("up to four numbers"));
    office.finish().await;
}

#[tokio::test]
async fn an_operator_says_how_a_channel_is_asked_and_gives_it_further_keys() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let id = channel_at(&office, "http://127.0.0.1:9/v1").await;
    let page = format!("{CHANNELS}/{id}");
    let fields = [
        ("max_calls", "4"),
        ("requests", "60"),
        ("tokens", ""),
        ("headers", "X-Title: My gate"),
        ("proxy", "socks5://127.0.0.1:1080"),
        ("api_key_header", "yes"),
        ("api_version", "preview"),
        ("output_limit", "max_completion_tokens"),
        ("auto_cache", "yes"),
        ("split_think", "yes"),
        ("echo_reasoning", "no"),
    ];

    let saved = operator
        .send_from(&page, &format!("{page}/options"), &fields)
        .await;
    let stolen = operator
        .send_from(
            &page,
            &format!("{page}/options"),
            &[("headers", "authorization: Bearer x")],
        )
        .await;
    let told = operator.open(&page).await;
    let private = operator
        .send_from(
            &page,
            &format!("{page}/options"),
            &[("proxy", "http://10.1.2.3:3128")],
        )
        .await;
    let private_told = operator.open(&page).await;
    operator
        .send_from(
            &page,
            &format!("{page}/keys"),
            &[("secret", "sk-another-0123456789wxyz")],
        )
        .await;
    let shown = operator.open(&page).await;

    assert_eq!(
        (saved.status, stolen.status, private.status),
        (303, 303, 303)
    );
    assert!(told.text.contains("authorization cannot be set"));
    assert!(
        private_told
            .text
            .contains("TOLLGATE_OUTBOUND_ALLOWED_CIDRS=10.1.2.3/32")
    );
    let options = Options::parse(&all::<channel::Entity>(&office).await[0].options);
    assert_eq!(
        (options.max_calls, options.requests_per_minute),
        (Some(4), Some(60))
    );
    assert_eq!(
        options.headers.get("x-title").map(String::as_str),
        Some("My gate")
    );
    assert_eq!(options.proxy.as_deref(), Some("socks5://127.0.0.1:1080"));
    assert!(options.quirks.api_key_header && options.quirks.auto_cache);
    assert!(options.quirks.split_think);
    assert_eq!(options.quirks.echo_reasoning, Some(false));
    assert!(shown.text.contains(r#"<option value="no" selected>"#));
    assert_eq!(
        options.quirks.output_limit,
        Some(OutputLimit::MaxCompletionTokens)
    );
    let keys = all::<channel_key::Entity>(&office).await;
    assert_eq!((keys.len(), keys[0].hint.as_str()), (1, "wxyz"));
    assert!(shown.text.contains("…wxyz") && !shown.text.contains("sk-another"));

    let key = keys[0].id.to_string();
    operator
        .send_from(&page, &format!("{page}/keys"), &[("remove", &key)])
        .await;
    assert_eq!(all::<channel_key::Entity>(&office).await, []);
    office.finish().await;
}

#[tokio::test]
async fn a_preset_knows_what_its_provider_wants() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let new = format!("{CHANNELS}/new");

    let nowhere = operator
        .send(
            &new,
            &[("provider", "azure"), ("secret", "0123456789abcdef")],
        )
        .await;
    let azure = operator
        .send(
            &new,
            &[
                ("provider", "azure"),
                ("secret", "0123456789abcdef"),
                ("base_url", "https://mine.openai.azure.com/openai/v1"),
            ],
        )
        .await;
    let mistral = operator
        .send(
            &new,
            &[("provider", "mistral"), ("secret", "0123456789abcdef")],
        )
        .await;
    let minimax = operator
        .send(
            &new,
            &[("provider", "minimax"), ("secret", "0123456789abcdef")],
        )
        .await;
    let ollama = operator
        .send(
            &new,
            &[
                ("provider", "ollama"),
                ("base_url", "http://127.0.0.1:11434/v1"),
            ],
        )
        .await;

    assert_eq!(nowhere.status, 422, "only its owner knows where it is");
    assert_eq!(
        (azure.status, mistral.status, minimax.status, ollama.status),
        (303, 303, 303, 303)
    );
    let rows = all::<channel::Entity>(&office).await;
    let quirks = |name: &str| {
        let row = rows.iter().find(|row| row.name == name).expect("a channel");
        Options::parse(&row.options).quirks
    };
    assert!(quirks("Azure OpenAI").api_key_header);
    assert_eq!(
        quirks("Azure OpenAI").api_version.as_deref(),
        Some("preview")
    );
    assert!(quirks("Mistral").no_stream_options);
    assert!(quirks("MiniMax").split_think);
    assert_eq!(quirks("Ollama").output_limit, Some(OutputLimit::MaxTokens));
    office.finish().await;
}

#[tokio::test]
async fn the_schedule_finds_new_models_and_channels_that_do_not_answer() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let listed = |names: &[&str]| {
        let data: Vec<_> = names.iter().map(|name| json!({"id": name})).collect();
        Answer::json(200, &json!({"object": "list", "data": data}))
    };
    let upstream = Upstream::start([
        listed(&["gpt-5.4", "gpt-6"]),
        listed(&["gpt-6"]),
        Answer::json(500, &json!({"error": {"message": "down"}})),
    ]);
    let id = channel_at(&office, &format!("{}/v1", upstream.base)).await;
    let page = format!("{CHANNELS}/{id}");
    let console = office.console();
    let look = || async {
        console::probe::look(&console, NOW).await.expect("a look");
    };

    look().await;
    let found = operator.open(&page).await;
    let overview = operator.open("/console/operator").await;
    operator
        .send_from(&page, &format!("{page}/ignore"), &[])
        .await;
    look().await;
    let ignored = operator.open(&page).await;
    for _ in 0..3 {
        look().await;
    }
    let down = operator.open("/console/operator").await;

    assert!(
        found.text.contains("New at the provider") && found.text.contains("<code>gpt-6</code>")
    );
    assert!(
        overview.text.contains("lists a model that is not served"),
        "{}",
        overview.text
    );
    assert!(!ignored.text.contains("New at the provider"));
    assert!(ignored.text.contains("Gone at the provider"));
    assert!(down.text.contains("did not answer three times in a row"));
    let check = all::<channel_check::Entity>(&office).await.remove(0);
    assert_eq!(check.failures, 3);
    assert!(
        check.listed.is_some_and(|listed| listed.contains("gpt-6")),
        "kept over a failure"
    );
    upstream.stop().await;
    office.finish().await;
}

#[tokio::test]
async fn a_test_shows_no_key_that_its_provider_repeats() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let words = json!({"error": {"message": "Incorrect API key: sk-upstream-0123456789abcd."}});
    let upstream = Upstream::start([Answer::json(401, &words)]);
    let id = channel_at(&office, &upstream.base).await;
    let page = format!("{CHANNELS}/{id}");

    operator
        .send_from(&page, &format!("{page}/test"), &[("model", "gpt-5.4")])
        .await;
    let tested = operator.open(&page).await;

    assert!(
        tested.text.contains("Incorrect API key: ***"),
        "{}",
        tested.text
    );
    assert!(!tested.text.contains("sk-upstream"), "{}", tested.text);
    upstream.stop().await;
    office.finish().await;
}

#[tokio::test]
async fn a_key_refused_twice_takes_no_other_with_it() {
    let office = Office::open().await;
    let db = &office.till.db;
    let id = channel_at(&office, "http://127.0.0.1:9/v1").await;
    let sealed = |secret: &str| SealedSecret {
        bytes: seal_channel_secret(&master(), id, "127.0.0.1", secret).into_bytes(),
        hint: secret.chars().rev().take(4).collect(),
    };
    let (second, third) = (sealed("sk-second"), sealed("sk-third"));
    let refuse = |secret| shop::refuse_key(db, id, secret, "401".to_owned(), NOW);
    let nothing = |outcome| matches!(outcome, Err(shop::SwitchError::NothingToChange));
    shop::add_key(db, id, second.clone(), Actor::System, NOW)
        .await
        .expect("a second key");
    let first = first_secret(&office, id).await;

    let (one, two) = tokio::join!(refuse(first.clone()), refuse(first.clone()));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert!(nothing(refuse(first).await));
    assert_eq!(first_secret(&office, id).await, Some(second.bytes.clone()));

    let wish = shop::ChangeChannel {
        channel: id,
        name: "Nearby".to_owned(),
        base_url: "http://127.0.0.1:9/v1".to_owned(),
        secret: Some(third.clone()),
        moved: false,
        priority: 0,
        weight: 1,
    };
    shop::change(db, wish, Actor::System, NOW)
        .await
        .expect("a new secret");
    assert!(
        nothing(refuse(Some(second.bytes)).await),
        "the one before it was refused"
    );

    let row = all::<channel::Entity>(&office).await.remove(0);
    assert_eq!(row.status, channel::Status::Active);
    assert_eq!(row.secret, Some(third.bytes));
    office.finish().await;
}

#[tokio::test]
async fn operators_get_a_letter_when_a_key_is_refused() {
    let office = Office::open().await;
    let id = channel_at(&office, "http://127.0.0.1:9/v1").await;
    let reason = "The upstream refused the channel's secret (401).".to_owned();

    shop::refuse_key(
        &office.till.db,
        id,
        first_secret(&office, id).await,
        reason,
        NOW,
    )
    .await
    .expect("it is switched off");
    let again = shop::refuse_key(
        &office.till.db,
        id,
        first_secret(&office, id).await,
        String::new(),
        NOW,
    )
    .await;
    let delivered = console::mail::deliver_due(&office.console(), NOW)
        .await
        .expect("the letters leave");

    assert!(
        matches!(again, Err(shop::SwitchError::NothingToChange)),
        "told once"
    );
    assert_eq!((delivered.failed, delivered.dead), (0, 0));
    let rows = all::<outbox::Entity>(&office).await;
    let refused = rows
        .iter()
        .filter(|row| row.topic == shop::KEY_REFUSED_TOPIC);
    assert!(
        refused
            .clone()
            .all(|row| row.status == outbox::Status::Done)
    );
    assert_eq!(refused.count(), 1);
    assert!(
        !rows.iter().any(|row| row.payload.contains("sk-")),
        "no secret waits there"
    );
    office.finish().await;
}

#[tokio::test]
async fn a_member_sees_what_to_do_about_a_refused_call_in_their_language() {
    let office = Office::open().await;
    let mut member = office.member().await;
    let row = rejection::Model {
        id: RejectionId::fresh(),
        tenant_id: office.member.tenant,
        member_id: office.member.member,
        key_id: KeyId::fresh(),
        code: "client_not_allowed".to_owned(),
        http_status: 403,
        message: "The group is for others.".to_owned(),
        protocol: None,
        client_kind: "codex".to_owned(),
        model_name: Some("gpt-5.4".to_owned()),
        calls: 29,
        path: Some("/v1/responses".to_owned()),
        headers: Some(json!([["user-agent", "codex_exec/0.1 <b>"]]).to_string()),
        fix: Some(
            Fix::UseGroup {
                group: "Open".to_owned(),
            }
            .to_json(),
        ),
        created_at: NOW,
    };
    let stored: Result<(), DbErr> = office
        .till
        .db
        .write(|tx| {
            Box::pin(async move {
                rejection::Entity::insert(row.into_active_model())
                    .exec_without_returning(tx)
                    .await
                    .map(drop)
            })
        })
        .await;
    stored.expect("a row");

    let page = member.open("/console/rejections").await;

    assert!(
        page.text.contains("Create a key in the group"),
        "{}",
        page.text
    );
    for part in [
        "Open",
        "Codex",
        "/v1/responses",
        "codex_exec/0.1 &#60;b&#62;",
        "29 times",
    ] {
        assert!(page.text.contains(part), "{part}");
    }
    office.finish().await;
}

#[tokio::test]
async fn a_channels_page_adds_up_what_it_cost() {
    let office = Office::open().await;
    let mut operator = office.operator().await;
    let id = channel_at(&office, "http://127.0.0.1:9/v1").await;
    let model = all::<entity::model::Entity>(&office).await.remove(0).id;
    let stored: Result<(), DbErr> = office
        .till
        .db
        .write(move |tx| {
            Box::pin(async move {
                let row = attempt::Model {
                    id: entity::AttemptId::fresh(),
                    call_id: entity::HoldId::fresh(),
                    channel_id: id,
                    model_id: model,
                    status: Some(200),
                    fault: "the answer ended early".to_owned(),
                    took_ms: 12,
                    cost: Some(entity::Credits::from_nanos(1_250_000_000)),
                    created_at: NOW,
                };
                attempt::Entity::insert(row.into_active_model())
                    .exec_without_returning(tx)
                    .await
                    .map(drop)
            })
        })
        .await;
    stored.expect("a row");

    let page = operator.open(&format!("{CHANNELS}/{id}")).await;

    assert!(page.text.contains("Tries in vain"));
    assert!(page.text.contains("1.25"), "{}", page.text);
    let kept = attempt::Entity::every()
        .filter(attempt::Column::ChannelId.eq(id))
        .all(office.till.db.read())
        .await
        .expect("rows");
    assert_eq!(kept.len(), 1);
    office.finish().await;
}
