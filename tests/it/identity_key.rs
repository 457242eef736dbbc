//! Promises to the holders of keys, and what operators do to members and tenants.

use crate::support::{
    people::{PASSWORD, People, email, key_name},
    till::NOW,
};
use entity::{
    Platform, Scoped, audit_trail, key as row,
    member::{Role, Status},
    tenant,
};
use identity::{
    Reason, SignedIn,
    key::{self, IssueKey, IssueKeyError, KeyChangeError, KeyForm, Keys, PepperRing},
    member::{self, AddMember, MemberError},
    session::SignInError,
    tenant::{self as tenants, TenantError},
};
use std::time::Duration;

const ADA: &str = "ada@example.org";
const EVE: &str = "eve@example.org";
const OLD: &str = "1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const NEW: &str = "2:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";

fn reason() -> Reason {
    Reason::parse("chargeback").expect("a reason")
}

async fn issue(people: &People, right: &SignedIn) -> (String, row::Model) {
    let order = IssueKey::named(key_name("laptop"));
    let (secret, row) = key::issue(&people.till.db, &people.keys, right, order, NOW)
        .await
        .expect("a key");
    (secret.reveal().to_string(), row)
}

#[tokio::test]
async fn a_key_is_found_by_its_text_and_its_text_is_nowhere() {
    let people = People::open().await;
    let right = people.member(ADA).await;

    let (text, row) = issue(&people, &right).await;

    let well_formed = key::inspect(&text).expect("our own key");
    let caller = key::find(&people.till.db, &people.keys, &well_formed).await;
    let caller = caller.expect("it answers").expect("a caller");
    assert_eq!(caller.key, row);
    assert_eq!(
        (caller.member.id, caller.tenant.id),
        (right.member(), right.tenant())
    );
    assert!(text.starts_with(&row.prefix) && text.ends_with(&row.last4));
    let lines = audit_trail::Entity::every()
        .all(people.till.db.read())
        .await
        .expect("lines");
    assert!(lines.iter().any(|line| line.action == "key.issue"));
    assert!(!format!("{row:?}{lines:?}").contains(&text));
    people.till.finish().await;
}

#[tokio::test]
async fn a_key_made_under_an_older_pepper_and_prefix_stays_good() {
    let people = People::open().await;
    let right = people.member(ADA).await;
    let (text, row) = issue(&people, &right).await;
    let form = KeyForm::with_prefix("acme_live_").expect("a prefix");
    let peppers = PepperRing::parse(&format!("{NEW},{OLD}")).expect("peppers");
    let rotated = Keys::new(form, peppers);

    let well_formed = key::inspect(&text).expect("our own key");
    let found = key::find(&people.till.db, &rotated, &well_formed)
        .await
        .expect("it answers");
    let lost = Keys::new(
        KeyForm::default(),
        PepperRing::parse(NEW).expect("a pepper"),
    );
    let without = key::find(&people.till.db, &lost, &well_formed)
        .await
        .expect("it answers");

    assert_eq!(found.map(|caller| caller.key.id), Some(row.id));
    assert!(without.is_none());
    people.till.finish().await;
}

#[tokio::test]
async fn a_key_is_disabled_and_enabled_but_revoked_for_good() {
    let people = People::open().await;
    let (db, right) = (&people.till.db, people.member(ADA).await);
    let (_, row) = issue(&people, &right).await;
    let status = async || {
        let key = key::show(db, &right, row.id).await.expect("it answers");
        key.expect("the key").status
    };

    key::disable(db, &right, row.id, NOW)
        .await
        .expect("it is disabled");
    key::disable(db, &right, row.id, NOW)
        .await
        .expect("and stays so");
    assert_eq!(status().await, row::Status::Disabled);
    key::enable(db, &right, row.id, NOW)
        .await
        .expect("it is enabled");
    assert_eq!(status().await, row::Status::Active);
    key::revoke(db, &right, row.id, NOW)
        .await
        .expect("it is revoked");
    key::revoke(db, &right, row.id, NOW)
        .await
        .expect("and stays so");

    for refused in [
        key::enable(db, &right, row.id, NOW).await,
        key::disable(db, &right, row.id, NOW).await,
        key::rename(db, &right, row.id, key_name("desk"), NOW).await,
    ] {
        assert!(matches!(refused, Err(KeyChangeError::Revoked)));
    }
    assert_eq!(status().await, row::Status::Revoked);
    people.till.finish().await;
}

#[tokio::test]
async fn another_tenants_key_does_not_exist() {
    let people = People::open().await;
    let db = &people.till.db;
    let (ada, eve) = (people.member(ADA).await, people.member(EVE).await);
    let (_, row) = issue(&people, &ada).await;

    assert!(
        key::show(db, &eve, row.id)
            .await
            .expect("it answers")
            .is_none()
    );
    assert!(key::list(db, &eve).await.expect("it answers").is_empty());
    for refused in [
        key::rename(db, &eve, row.id, key_name("mine"), NOW).await,
        key::disable(db, &eve, row.id, NOW).await,
        key::enable(db, &eve, row.id, NOW).await,
        key::revoke(db, &eve, row.id, NOW).await,
    ] {
        assert!(matches!(refused, Err(KeyChangeError::NotFound)));
    }
    assert_eq!(key::list(db, &ada).await.expect("it answers"), [row]);
    people.till.finish().await;
}

#[tokio::test]
async fn developers_reach_their_own_keys_and_owners_everybodys() {
    let people = People::open().await;
    let db = &people.till.db;
    let (_, operator) = people.operator("olive@example.org").await;
    let owner = people.member(ADA).await;
    people.member(EVE).await;
    let order = AddMember {
        tenant: owner.tenant(),
        email: email(EVE),
        role: Role::Developer,
    };
    member::add(db, &operator, order, reason(), NOW)
        .await
        .expect("a member");
    let (token, eve) = people.sign_in(EVE, PASSWORD, NOW).await.expect("a session");
    identity::session::switch(db, &eve, owner.tenant(), NOW)
        .await
        .expect("a tenant of theirs");
    let developer = people.resume(&token, NOW).await.expect("a session");
    let (_, owners) = issue(&people, &owner).await;
    let (_, developers) = issue(&people, &developer).await;

    assert_eq!(developer.tenant(), owner.tenant());
    let own = key::list(db, &developer).await.expect("keys");
    assert_eq!(
        own.iter().map(|key| key.id).collect::<Vec<_>>(),
        [developers.id]
    );
    assert_eq!(key::list(db, &owner).await.expect("keys").len(), 2);
    let refused = key::revoke(db, &developer, owners.id, NOW).await;
    assert!(matches!(refused, Err(KeyChangeError::NotFound)));
    key::revoke(db, &owner, developers.id, NOW)
        .await
        .expect("owners reach it");
    people.till.finish().await;
}

#[tokio::test]
async fn a_member_has_a_hundred_keys_at_most_and_none_that_expired_before_it_was_made() {
    let people = People::open().await;
    let (db, right) = (&people.till.db, people.member(ADA).await);
    let try_to = |expires_at, now| {
        let order = IssueKey {
            expires_at,
            ..IssueKey::named(key_name("laptop"))
        };
        key::issue(db, &people.keys, &right, order, now)
    };
    // As fast as they may be made, and no faster.
    let at = |turn: u32| NOW.plus(Duration::from_mins(3) * turn);

    let past = try_to(Some(NOW), NOW).await;
    for turn in 0..98 {
        try_to(Some(at(turn + 1)), at(turn)).await.expect("a key");
    }
    let later = at(98).plus(Duration::from_hours(1));
    let last = futures_util::future::join_all((0..8).map(|_| try_to(None, later))).await;

    assert!(matches!(past, Err(IssueKeyError::ExpiryPassed)));
    assert_eq!(last.iter().filter(|made| made.is_ok()).count(), 2);
    let refused = |made: &Result<_, _>| matches!(made, Err(IssueKeyError::TooMany));
    assert_eq!(last.iter().filter(|made| refused(made)).count(), 6);
    people.till.finish().await;
}

#[tokio::test]
async fn a_member_makes_twenty_keys_in_any_hour_at_most_however_many_are_asked_for_at_once() {
    let people = People::open().await;
    let (db, right) = (&people.till.db, people.member(ADA).await);
    let try_at = |now| {
        key::issue(
            db,
            &people.keys,
            &right,
            IssueKey::named(key_name("k")),
            now,
        )
    };
    let hour = Duration::from_hours(1);
    let too_fast = |made: &Result<_, _>| match made {
        Err(IssueKeyError::TooFast { retry_at }) => Some(*retry_at),
        _ => None,
    };

    let at_once = futures_util::future::join_all((0..30).map(|_| try_at(NOW))).await;
    let (_, revoked) = at_once
        .iter()
        .find_map(|made| made.as_ref().ok())
        .expect("a key");
    key::revoke(db, &right, revoked.id, NOW)
        .await
        .expect("it is revoked");
    let early = try_at(NOW.plus(hour).minus(Duration::from_secs(1))).await;
    let after = try_at(NOW.plus(hour)).await;

    assert_eq!(at_once.iter().filter(|made| made.is_ok()).count(), 20);
    assert_eq!(at_once.iter().filter_map(too_fast).count(), 10);
    assert_eq!(too_fast(&early), Some(NOW.plus(hour)));
    assert!(after.is_ok());
    people.till.finish().await;
}

#[tokio::test]
async fn a_banned_member_is_out_at_once_and_back_when_let_in() {
    let people = People::open().await;
    let db = &people.till.db;
    let (chief, operator) = people.operator("olive@example.org").await;
    people.member(ADA).await;
    let (token, right) = people.sign_in(ADA, PASSWORD, NOW).await.expect("a session");
    let (text, _) = issue(&people, &right).await;

    member::ban(db, &operator, right.member(), reason(), NOW)
        .await
        .expect("a ban");
    let again = member::ban(db, &operator, right.member(), reason(), NOW).await;
    let of_operator = member::ban(db, &operator, chief.member, reason(), NOW).await;

    assert!(matches!(again, Err(MemberError::AlreadyBanned)));
    assert!(matches!(of_operator, Err(MemberError::IsOperator)));
    assert!(people.resume(&token, NOW).await.is_none());
    assert!(matches!(
        people.sign_in(ADA, PASSWORD, NOW).await,
        Err(SignInError::Banned)
    ));
    let well_formed = key::inspect(&text).expect("our own key");
    let caller = key::find(db, &people.keys, &well_formed)
        .await
        .expect("it answers");
    assert_eq!(caller.expect("a caller").member.status, Status::Banned);
    let lines = audit_trail::Entity::every()
        .all(db.read())
        .await
        .expect("lines");
    let ban = lines
        .iter()
        .find(|line| line.action == "member.ban")
        .expect("a line");
    assert_eq!(ban.reason.as_deref(), Some("chargeback"));

    member::unban(db, &operator, right.member(), reason(), NOW)
        .await
        .expect("let in");
    assert!(people.sign_in(ADA, PASSWORD, NOW).await.is_ok());
    people.till.finish().await;
}

#[tokio::test]
async fn a_suspended_tenant_says_why_and_resumes() {
    let people = People::open().await;
    let db = &people.till.db;
    let (_, operator) = people.operator("olive@example.org").await;
    let right = people.member(ADA).await;
    let stored = async || {
        let all = tenant::Entity::every()
            .all(db.read())
            .await
            .expect("tenants");
        all.into_iter()
            .find(|row| row.id == right.tenant())
            .expect("the tenant")
    };

    tenants::suspend(db, &operator, right.tenant(), reason(), NOW)
        .await
        .expect("suspended");
    let again = tenants::suspend(db, &operator, right.tenant(), reason(), NOW).await;
    assert!(matches!(again, Err(TenantError::AlreadySuspended)));
    let suspended = stored().await;
    assert_eq!(suspended.status, tenant::Status::Suspended);
    assert_eq!(suspended.status_reason.as_deref(), Some("chargeback"));
    assert!(
        people.sign_in(ADA, PASSWORD, NOW).await.is_ok(),
        "pages still show"
    );

    tenants::resume(db, &operator, right.tenant(), reason(), NOW)
        .await
        .expect("resumed");
    assert_eq!(stored().await.status, tenant::Status::Active);
    let keys = row::Entity::of(right.tenant())
        .all(db.read())
        .await
        .expect("keys");
    assert!(keys.is_empty());
    people.till.finish().await;
}
