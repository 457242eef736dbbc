//! Promises of the members' pages.

use crate::support::{
    office::{Browser, Office, PASSWORD as OFFICE_PASSWORD, between},
    till::NOW,
};
use billing::{
    plan::{self, NewPlan, PlanDocument, Quantity, Rule, Terms, Window},
    subscription::{self, Subscribe},
};
use console::routes::{Access, ROUTES};
use entity::{
    Actor, Credits, PersonId, PlanId, Platform, Scoped, SubscriptionId, email_token::Purpose, key,
    person, plan_version::Period, subscription::Source,
};
use identity::email_token;
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};

const PASSWORD: &str = "seven geese over the harbour";

async fn person_of(office: &Office, email: &str) -> PersonId {
    person::Entity::every()
        .filter(person::Column::Email.eq(email))
        .one(office.till.db.read())
        .await
        .expect("the store answers")
        .expect("they signed up")
        .id
}

async fn mailed_link(office: &Office, person: PersonId, purpose: Purpose) -> String {
    let now = NOW;
    let secret = office
        .till
        .db
        .write(move |tx| {
            Box::pin(async move { email_token::mint_in(tx, person, purpose, now).await })
        })
        .await
        .expect("a link");
    secret.expose().to_owned()
}

/// An installation opens its first group when it starts.
async fn open_office() -> Office {
    let office = Office::open().await;
    billing::shop::group::ensure_default(&office.till.db, NOW)
        .await
        .expect("a group");
    office
}

async fn create_key(browser: &mut Browser, name: &str) -> String {
    let fields = [("name", name), ("expiry", "never")];
    let page = browser.send("/console/keys/new", &fields).await;
    assert_eq!(page.status, 200, "{}", page.text);
    between(&page.text, "id=\"issued-key\">", "</pre>")
        .expect("the key is on the page")
        .to_owned()
}

#[tokio::test]
async fn a_stranger_signs_up_proves_the_mailbox_and_creates_a_key() {
    let office = open_office().await;
    let mut browser = office.stranger();
    let fields = [
        ("name", "Grace"),
        ("email", "grace@example.org"),
        ("password", PASSWORD),
    ];
    let sign_in = [("email", "grace@example.org"), ("password", PASSWORD)];

    let signed_up = browser.send("/console/sign-up", &fields).await;
    let too_early = browser.send("/console/sign-in", &sign_in).await;
    let person = person_of(&office, "grace@example.org").await;
    let link = mailed_link(&office, person, Purpose::Verify).await;
    let proved = browser.send(&format!("/console/verify/{link}"), &[]).await;
    let signed_in = browser.send("/console/sign-in", &sign_in).await;
    let overview = browser.open("/console").await;
    let key = create_key(&mut browser, "Laptop").await;

    assert_eq!(signed_up.location, "/console/sign-up/sent");
    assert_eq!(too_early.status, 422);
    assert_eq!(proved.location, "/console/sign-in");
    assert_eq!(signed_in.location, "/console");
    assert!(overview.text.contains("Grace"));
    assert!(key.starts_with("sk-tg-"), "{key}");
    office.finish().await;
}

#[tokio::test]
async fn a_taken_address_is_answered_like_a_free_one() {
    let office = open_office().await;
    let mut browser = office.stranger();
    let fields = [
        ("name", "Eve"),
        ("email", "ada@example.org"),
        ("password", PASSWORD),
    ];

    let seen = browser.send("/console/sign-up", &fields).await;

    assert_eq!(
        (seen.status, seen.location.as_str()),
        (303, "/console/sign-up/sent")
    );
    office.finish().await;
}

#[tokio::test]
async fn a_key_is_shown_once_with_the_lines_of_every_client() {
    let office = open_office().await;
    let mut browser = office.member().await;
    let fields = [("name", "Laptop"), ("expiry", "never")];

    let page = browser.send("/console/keys/new", &fields).await;
    let list = browser.open("/console/keys").await;

    let key = between(&page.text, "id=\"issued-key\">", "</pre>").expect("the key");
    for mark in [
        "ANTHROPIC_BASE_URL",
        "wire_api",
        "opencode.json",
        "openclaw.json",
        "from openai import OpenAI",
        "from anthropic import Anthropic",
        "curl ",
        "ccswitch://v1/import?",
    ] {
        assert!(page.text.contains(mark), "{mark}");
    }
    assert!(list.text.contains("Laptop"));
    assert!(!list.text.contains(key));
    office.finish().await;
}

#[tokio::test]
async fn a_key_is_disabled_enabled_and_revoked_after_a_question() {
    let office = open_office().await;
    let mut browser = office.member().await;
    create_key(&mut browser, "Laptop").await;
    let list = browser.open("/console/keys").await;
    let id = between(&list.text, "/console/keys/", "/disable").expect("a button");
    let path = |verb: &str| {
        format!(
            "/console/keys/{}/{verb}",
            id.rsplit('/').next().unwrap_or(id)
        )
    };

    let disabled = browser
        .send_from("/console/keys", &path("disable"), &[])
        .await;
    let while_off = browser.open("/console/keys").await;
    let enabled = browser
        .send_from("/console/keys", &path("enable"), &[])
        .await;
    let revoked = browser.send(&path("revoke"), &[]).await;
    let gone = browser.open("/console/keys").await;

    for seen in [disabled, enabled, revoked] {
        assert_eq!(
            (seen.status, seen.location.as_str()),
            (303, "/console/keys")
        );
    }
    assert!(while_off.text.contains("badge warn"));
    assert!(gone.text.contains("Revoked"));
    assert!(!gone.text.contains("/disable"));
    office.finish().await;
}

#[tokio::test]
async fn a_code_that_gives_nothing_says_why() {
    let office = open_office().await;
    let mut browser = office.member().await;
    let table = [
        ("", "Enter a code."),
        ("hello", "A code has 25 letters and digits"),
        ("00000-00000-00000-00000-00000", "wrong, or two are swapped"),
    ];

    for (code, reason) in table {
        let seen = browser.send("/console/redeem", &[("code", code)]).await;
        assert_eq!(seen.status, 422, "{code}");
        assert!(seen.text.contains(reason), "{code}: {}", seen.text);
    }
    office.finish().await;
}

#[tokio::test]
async fn a_form_of_another_site_or_another_reader_changes_nothing() {
    let office = open_office().await;
    let mut browser = office.member().await;
    let mut other = office.stranger();
    let form = other.open("/console/sign-in").await;
    let foreign = between(&form.text, "name=\"form_token\" value=\"", "\"").expect("a token");
    let fields = [
        ("form_token", foreign),
        ("name", "Laptop"),
        ("expiry", "never"),
    ];

    let with_foreign_token = browser
        .send_from("/nowhere", "/console/keys/new", &fields)
        .await;
    let from_elsewhere = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .post(format!("{}/console/sign-in", office.base))
        .header("sec-fetch-site", "cross-site")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("form_token={foreign}&email=a&password=b"))
        .send()
        .await
        .expect("an answer");
    let list = browser.open("/console/keys").await;

    assert_eq!(with_foreign_token.status, 403);
    assert_eq!(from_elsewhere.status(), 403);
    assert!(!list.text.contains("Laptop"));
    office.finish().await;
}

#[tokio::test]
async fn every_page_carries_the_headers_and_nothing_inline() {
    let office = open_office().await;
    let mut member = office.member().await;
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");

    for path in [
        "/",
        "/console/sign-in",
        "/console/sign-up",
        "/docs",
        "/console/nowhere",
    ] {
        let answer = http
            .get(format!("{}{path}", office.base))
            .send()
            .await
            .expect("an answer");
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .expect("text");
        assert!(policy.contains("default-src 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(
            answer.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
    }
    for route in ROUTES.iter().filter(|route| {
        route.access == Access::Member && route.methods.contains("GET") && !route.path.contains('{')
    }) {
        let page = member.open(route.path).await;
        for inline in [" style=", " onclick=", "<style", "<script>", "javascript:"] {
            assert!(!page.text.contains(inline), "{inline} in {}", route.path);
        }
    }
    let head = http
        .head(format!("{}/", office.base))
        .send()
        .await
        .expect("an answer");
    assert_eq!(head.status(), 200);
    office.finish().await;
}

#[tokio::test]
async fn members_pages_are_for_members() {
    let office = open_office().await;
    let mut nobody = office.stranger();

    for route in ROUTES.iter().filter(|route| route.access == Access::Member) {
        let path = route.path.replace("{id}", &PersonId::fresh().to_string());
        let refused = if route.methods.contains("GET") {
            nobody.open(&path).await
        } else {
            nobody.send_from("/console/sign-in", &path, &[]).await
        };
        assert!(
            refused.location.starts_with("/console/sign-in"),
            "{path}: {}",
            refused.status
        );
    }
    office.finish().await;
}

#[tokio::test]
async fn the_chosen_language_is_kept() {
    let office = open_office().await;
    let mut browser = office.stranger();
    let fields = [("locale", "zh-CN"), ("back", "/console/sign-in")];

    let chosen = browser
        .send_from("/console/sign-in", "/console/preferences", &fields)
        .await;
    let page = browser.open(&chosen.location).await;

    assert_eq!(chosen.location, "/console/sign-in");
    assert!(page.text.contains("lang=\"zh-CN\"") && page.text.contains("欢迎回来"));
    office.finish().await;
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_the_mailed_link_once() {
    let office = open_office().await;
    let mut browser = office.stranger();
    let link = mailed_link(&office, office.member.person, Purpose::Recover).await;
    let path = format!("/console/recover/{link}");

    let asked = browser
        .send("/console/recover", &[("email", "nobody@example.org")])
        .await;
    let weak = browser.send(&path, &[("password", "short")]).await;
    let set = browser.send(&path, &[("password", PASSWORD)]).await;
    let again = browser
        .send_from("/console/sign-in", &path, &[("password", PASSWORD)])
        .await;
    let fields = [("email", "ada@example.org"), ("password", PASSWORD)];
    let signed_in = browser.send("/console/sign-in", &fields).await;

    assert_eq!(asked.location, "/console/recover/sent");
    assert_eq!(weak.status, 422);
    assert_eq!(set.location, "/console/sign-in");
    assert_eq!(again.status, 422);
    assert_eq!(signed_in.status, 303);
    office.finish().await;
}

#[tokio::test]
async fn who_changes_the_password_stays_signed_in_and_every_other_browser_is_out() {
    const NEW: &str = "eleven crows on a warm chimney";
    let office = open_office().await;
    let mut desk = office.member().await;
    let mut phone = office.member().await;
    let fields = |present, new| [("present", present), ("password", new)];

    let wrong = desk
        .send("/console/settings/password", &fields(PASSWORD, NEW))
        .await;
    let short = desk
        .send(
            "/console/settings/password",
            &fields(OFFICE_PASSWORD, "short"),
        )
        .await;
    let changed = desk
        .send("/console/settings/password", &fields(OFFICE_PASSWORD, NEW))
        .await;
    let settings = desk.open("/console/settings").await;
    let elsewhere = phone.open("/console").await;
    let old = [("email", "ada@example.org"), ("password", OFFICE_PASSWORD)];
    let new = [("email", "ada@example.org"), ("password", NEW)];
    let by_old = phone.send("/console/sign-in", &old).await;
    let by_new = phone.send("/console/sign-in", &new).await;

    assert_eq!((wrong.status, short.status), (422, 422));
    assert!(wrong.text.contains("not your present password"));
    assert!(!wrong.text.contains(NEW), "a password is never shown again");
    assert_eq!(
        (changed.status, changed.location.as_str()),
        (303, "/console/settings")
    );
    assert!(settings.text.contains("Your password is changed."));
    assert!(elsewhere.location.starts_with("/console/sign-in"));
    assert_eq!((by_old.status, by_new.status), (422, 303));
    office.finish().await;
}

#[tokio::test]
async fn a_member_who_makes_many_keys_within_an_hour_is_told_when_the_next_may_be_made() {
    let office = open_office().await;
    let mut browser = office.member().await;
    let fields = [("name", "Laptop"), ("expiry", "never")];

    for _ in 0..identity::key::MAX_KEYS_HOURLY {
        create_key(&mut browser, "Laptop").await;
    }
    let refused = browser.send("/console/keys/new", &fields).await;

    assert_eq!(refused.status, 422);
    let told = "The next can be made in";
    assert!(refused.text.contains(told), "{}", refused.text);
    assert!(refused.text.contains("60"), "{}", refused.text);
    let keys = key::Entity::of(office.member.tenant)
        .count(office.till.db.read())
        .await
        .expect("keys count");
    assert_eq!(keys, identity::key::MAX_KEYS_HOURLY);
    office.finish().await;
}

#[tokio::test]
async fn the_overview_shows_the_windows_of_a_plan_and_when_they_start_anew() {
    let office = open_office().await;
    let (db, tenant) = (&office.till.db, office.member.tenant);
    let rule = |name: &str, window, limit| Rule::Quota {
        name: name.to_owned(),
        window,
        limit,
        models: Vec::new(),
    };
    let order = NewPlan {
        id: PlanId::fresh(),
        name: "pro".to_owned(),
        title: "Pro".to_owned(),
        description: String::new(),
        terms: Terms {
            price_minor: 0,
            currency: "usd".to_owned(),
            period: Period::Month,
            allowance: Credits::ZERO,
            document: PlanDocument {
                version: plan::VERSION,
                rules: vec![
                    rule("calls", Window::Day, Quantity::Requests(200)),
                    rule(
                        "spend",
                        Window::Month,
                        Quantity::Credits(Credits::from_nanos(8_000_000_000)),
                    ),
                ],
            },
        },
        operator: office.operator,
    };
    let version = plan::create(db, order, NOW).await.expect("a plan");
    let wish = Subscribe {
        id: SubscriptionId::fresh(),
        tenant,
        version: version.id,
        source: Source::Operator,
        periods: None,
        code: None,
        actor: Actor::System,
    };
    let before = office.member().await.open("/console").await;
    subscription::subscribe(db, wish, NOW)
        .await
        .expect("a subscription");

    let page = office.member().await.open("/console").await;

    assert!(!before.text.contains("Limits of your plan"));
    assert!(page.text.contains("Limits of your plan"));
    assert!(page.text.contains("calls, per day"), "{}", page.text);
    assert!(page.text.contains("spend, per month"));
    assert!(page.text.contains(">0</span> / 200 calls"));
    assert!(page.text.contains(">0.00</span> / 8.00 credits"));
    // The day of the tests' clock ends at the next midnight of UTC, its month on the first.
    assert!(page.text.contains("2026-11-19T00:00:00"));
    assert!(page.text.contains("2026-12-01T00:00:00"));
    office.finish().await;
}
