//! Promises to whoever has an account: how it comes to be, who gets in, and who does not.

use crate::support::{
    people::{PASSWORD, People, email, name, password},
    till::NOW,
};
use entity::{Platform, Scoped, audit_trail, email_token::Purpose, member, person};
use identity::{
    email_token::{self, RecoverError, TokenError},
    operator::CreateOperator,
    person::{Locale, SignUpError},
    session::{self, SignInError},
    setup::{self, SetupError},
};
use std::time::Duration;

const ADA: &str = "ada@example.org";
const OTHER_PASSWORD: &str = "a kettle sings before it boils";

#[tokio::test]
async fn signing_up_makes_a_person_a_tenant_and_its_owner_and_sends_one_letter() {
    let people = People::open().await;

    let made = people.sign_up("Ada@Example.org").await.expect("an account");

    let members = member::Entity::of(made.tenant)
        .all(people.till.db.read())
        .await
        .expect("members");
    assert_eq!(members.len(), 1);
    assert_eq!(
        (members[0].id, members[0].person_id),
        (made.member, made.person)
    );
    assert_eq!(members[0].role, member::Role::Owner);
    let letters = people.till.outbox("mail.verify").await;
    assert_eq!(letters, [serde_json::json!({ "person": made.person })]);
    people.till.finish().await;
}

#[tokio::test]
async fn an_address_has_one_account_even_when_two_ask_at_once() {
    let people = People::open().await;

    let (one, other) = tokio::join!(people.sign_up(ADA), people.sign_up("ADA@example.org"));

    let refused = [one, other]
        .into_iter()
        .filter(|made| matches!(made, Err(SignUpError::EmailInUse)))
        .count();
    assert_eq!(refused, 1);
    let rows = person::Entity::every().all(people.till.db.read()).await;
    assert_eq!(rows.expect("people").len(), 1);
    assert_eq!(people.till.outbox("mail.verify").await.len(), 1);
    people.till.finish().await;
}

#[tokio::test]
async fn nobody_signs_in_before_their_mailbox_is_proved() {
    let people = People::open().await;
    let made = people.sign_up(ADA).await.expect("an account");

    let before = people.sign_in(ADA, PASSWORD, NOW).await;
    let secret = people.letter(made.person, Purpose::Verify, NOW).await;
    let proved = email_token::verify_email(&people.till.db, &secret, NOW).await;
    let again = email_token::verify_email(&people.till.db, &secret, NOW).await;
    let after = people.sign_in(ADA, PASSWORD, NOW).await;

    assert!(matches!(before, Err(SignInError::Unverified)));
    assert_eq!(proved.expect("the link is good"), made.person);
    assert!(again.is_ok(), "a second click is no fault");
    assert_eq!(after.expect("a session").1.tenant(), made.tenant);
    people.till.finish().await;
}

#[tokio::test]
async fn a_mailed_link_is_good_for_its_purpose_in_its_time_only() {
    let people = People::open().await;
    let made = people.sign_up(ADA).await.expect("an account");
    let recover = people.letter(made.person, Purpose::Recover, NOW).await;
    let late = NOW.plus(Duration::from_hours(24));
    let verify = people.letter(made.person, Purpose::Verify, NOW).await;

    let wrong_purpose = email_token::verify_email(&people.till.db, &recover, NOW).await;
    let too_late = email_token::verify_email(&people.till.db, &verify, late).await;

    assert!(matches!(wrong_purpose, Err(TokenError::Unknown)));
    assert!(matches!(too_late, Err(TokenError::Expired)));
    people.till.finish().await;
}

#[tokio::test]
async fn a_new_password_by_mail_ends_every_session_and_the_link() {
    let people = People::open().await;
    let right = people.member(ADA).await;
    let (token, _) = people.sign_in(ADA, PASSWORD, NOW).await.expect("a session");
    let link = people.letter(right.person(), Purpose::Recover, NOW).await;

    let set = || {
        let new = password(OTHER_PASSWORD);
        email_token::recover(&people.till.db, &people.hasher, &link, new, NOW)
    };
    let (first, second) = (set().await, set().await);

    assert!(first.is_ok());
    assert!(matches!(second, Err(RecoverError::Link(TokenError::Used))));
    assert!(people.resume(&token, NOW).await.is_none());
    assert!(matches!(
        people.sign_in(ADA, PASSWORD, NOW).await,
        Err(SignInError::Refused)
    ));
    assert!(people.sign_in(ADA, OTHER_PASSWORD, NOW).await.is_ok());
    people.till.finish().await;
}

#[tokio::test]
async fn recovery_says_as_little_of_an_unknown_address_and_sends_no_flood() {
    let people = People::open().await;
    people.member(ADA).await;

    for address in [ADA, ADA, "nobody@example.org"] {
        let asked = email_token::start_recovery(&people.till.db, &email(address), NOW).await;
        assert!(asked.is_ok());
    }

    assert_eq!(people.till.outbox("mail.recover").await.len(), 1);
    people.till.finish().await;
}

#[tokio::test]
async fn guessing_is_slowed_and_the_owner_gets_in_after_the_wait() {
    let people = People::open().await;
    let right = people.member(ADA).await;

    for _ in 0..6 {
        let guess = people.sign_in(ADA, "not the password at all", NOW).await;
        assert!(matches!(guess, Err(SignInError::Refused)));
    }
    let unheard = people.sign_in(ADA, PASSWORD, NOW).await;
    let later = people
        .sign_in(ADA, PASSWORD, NOW.plus(Duration::from_secs(2)))
        .await;

    assert!(matches!(unheard, Err(SignInError::Refused)));
    assert_eq!(later.expect("a session").1.person(), right.person());
    let lines = audit_trail::Entity::every()
        .all(people.till.db.read())
        .await
        .expect("lines");
    let refused = lines.iter().filter(|line| line.action == "session.refuse");
    assert_eq!(refused.count(), 6);
    people.till.finish().await;
}

#[tokio::test]
async fn guesses_sent_at_once_count_each() {
    let people = People::open().await;
    let right = people.member(ADA).await;

    let guesses = (0..30).map(|_| people.sign_in(ADA, "not the password at all", NOW));
    futures_util::future::join_all(guesses).await;

    let row = person::Entity::every()
        .all(people.till.db.read())
        .await
        .expect("people");
    let row = row
        .into_iter()
        .find(|row| row.id == right.person())
        .expect("the person");
    assert_eq!(
        row.failed_sign_ins, 6,
        "five are free, the sixth starts the wait"
    );
    people.till.finish().await;
}

#[tokio::test]
async fn a_session_ends_idle_after_a_day_and_in_any_case_after_thirty() {
    let people = People::open().await;
    people.member(ADA).await;
    let (token, right) = people.sign_in(ADA, PASSWORD, NOW).await.expect("a session");
    let hours = |hours| NOW.plus(Duration::from_hours(hours));

    assert_eq!(people.resume(&token, hours(23)).await, Some(right));
    assert!(
        people.resume(&token, hours(46)).await.is_some(),
        "each visit renews it"
    );
    assert!(
        people.resume(&token, hours(70)).await.is_none(),
        "idle for a day"
    );

    let (token, _) = people.sign_in(ADA, PASSWORD, NOW).await.expect("a session");
    for day in 0..36 {
        assert!(
            people.resume(&token, hours(day * 20)).await.is_some(),
            "{day}"
        );
    }
    assert!(people.resume(&token, hours(720)).await.is_none());
    people.till.finish().await;
}

#[tokio::test]
async fn an_operators_session_is_short() {
    let people = People::open().await;
    people.operator("olive@example.org").await;
    let (token, right) = people
        .sign_in("olive@example.org", PASSWORD, NOW)
        .await
        .expect("a session");

    assert!(right.operator().is_some());
    assert!(
        people
            .resume(&token, NOW.plus(Duration::from_mins(59)))
            .await
            .is_some()
    );
    assert!(
        people
            .resume(&token, NOW.plus(Duration::from_mins(119)))
            .await
            .is_none()
    );
    people.till.finish().await;
}

#[tokio::test]
async fn people_end_their_own_sessions_and_nobody_elses() {
    let people = People::open().await;
    let db = &people.till.db;
    let stranger = people.member("eve@example.org").await;
    people.member(ADA).await;
    let (one, right) = people.sign_in(ADA, PASSWORD, NOW).await.expect("a session");
    let (other, _) = people.sign_in(ADA, PASSWORD, NOW).await.expect("a session");

    let theirs = session::revoke(db, &stranger, right.session(), NOW).await;
    assert!(matches!(theirs, Err(session::RevokeError::NotFound)));
    assert_eq!(
        session::list(db, &right, NOW)
            .await
            .expect("sessions")
            .len(),
        3
    );
    session::sign_out(db, &right, NOW).await.expect("it ends");
    assert!(people.resume(&one, NOW).await.is_none());
    assert!(people.resume(&other, NOW).await.is_some());
    session::sign_out_everywhere(db, &right, NOW)
        .await
        .expect("they end");
    assert!(people.resume(&other, NOW).await.is_none());
    people.till.finish().await;
}

#[tokio::test]
async fn a_person_has_twenty_sessions_at_most() {
    let people = People::open().await;
    people.member(ADA).await;
    let (first, right) = people.sign_in(ADA, PASSWORD, NOW).await.expect("a session");

    for second in 1..=20 {
        let at = NOW.plus(Duration::from_secs(second));
        people.sign_in(ADA, PASSWORD, at).await.expect("a session");
    }

    let listed = session::list(&people.till.db, &right, NOW)
        .await
        .expect("sessions");
    assert_eq!(listed.len(), 20);
    assert!(
        people.resume(&first, NOW).await.is_none(),
        "the oldest ended"
    );
    people.till.finish().await;
}

#[tokio::test]
async fn the_set_up_link_makes_one_operator_and_then_nothing() {
    let people = People::open().await;
    let db = &people.till.db;
    let replaced = setup::open_link(db, NOW)
        .await
        .expect("it answers")
        .expect("a link");
    let link = setup::open_link(db, NOW)
        .await
        .expect("it answers")
        .expect("a link");
    let claim = |secret, address| {
        let order = CreateOperator {
            email: email(address),
            password: password(PASSWORD),
            display_name: name("Olive"),
            locale: Locale::English,
        };
        setup::claim(db, &people.hasher, secret, order, NOW)
    };

    let with_old = claim(&replaced, "eve@example.org").await;
    let (one, other) = tokio::join!(
        claim(&link, "olive@example.org"),
        claim(&link, "eve@example.org")
    );

    assert!(matches!(with_old, Err(SetupError::Unknown)));
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1);
    assert!(
        setup::open_link(db, NOW)
            .await
            .expect("it answers")
            .is_none()
    );
    assert!(matches!(
        setup::check(db, &link, NOW).await,
        Err(SetupError::Done)
    ));
    people.till.finish().await;
}
