//! Promises of mail: letters that really leave, into a folder or to a mail server, once, and again where refused.

use crate::support::{
    house::{House, PASSWORD},
    letter::Mail,
    smtp::{Refusal, Sink},
    stripe::{SECRET, sign},
    till::NOW,
};
use entity::{
    Platform,
    outbox::{self, Status},
};
use reqwest::Method;
use std::{fs, time::Duration};

const ADA: &str = "ada@example.org";
const NEW_PASSWORD: &str = "seven geese over the harbour";

/// The letters in the house's folder.
fn folder(house: &House) -> Vec<Mail> {
    let mut mails = Vec::new();
    for entry in fs::read_dir(house.file("mail")).expect("the mail folder is there") {
        let path = entry.expect("the entry reads").path();
        if path.extension().is_some_and(|end| end == "eml") {
            mails.push(Mail::read(
                &fs::read_to_string(path).expect("a letter is text"),
            ));
        }
    }
    mails
}

async fn by_smtp(sink: &Sink) -> House {
    let port = sink.port.to_string();
    House::selling_with(&[
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_PORT", &port),
        ("SMTP_TLS", "none"),
        ("SMTP_FROM", "Tollgate <post@tollgate.example>"),
    ])
    .await
}

async fn sign_up(house: &House) {
    let fields = [("name", "Ada"), ("email", ADA), ("password", PASSWORD)];
    let seen = house.stranger().send("/console/sign-up", &fields).await;
    assert_eq!(seen.location, "/console/sign-up/sent", "{}", seen.text);
}

/// Follows the link to prove a mailbox, and signs in.
async fn verified(house: &House, letter: &Mail) {
    let link = letter.link(&format!("{}/console/verify/", house.base));
    let path = link.strip_prefix(&house.base).expect("a link of ours");
    let mut browser = house.stranger();
    let proved = browser.send(path, &[]).await;
    assert_eq!(proved.location, "/console/sign-in", "{}", proved.text);
    house.signed_in(ADA).await;
}

async fn ask_for_recovery(house: &House) {
    let seen = house
        .stranger()
        .send("/console/recover", &[("email", ADA)])
        .await;
    assert_eq!(seen.location, "/console/recover/sent", "{}", seen.text);
}

/// Follows the link to a new password, and signs in with it.
async fn recovered(house: &House, letter: &Mail) {
    let link = letter.link(&format!("{}/console/recover/", house.base));
    let path = link.strip_prefix(&house.base).expect("a link of ours");
    let mut browser = house.stranger();
    let set = browser.send(path, &[("password", NEW_PASSWORD)]).await;
    assert_eq!(set.location, "/console/sign-in", "{}", set.text);
    let fields = [("email", ADA), ("password", NEW_PASSWORD)];
    let signed_in = browser.send("/console/sign-in", &fields).await;
    assert_eq!(signed_in.location, "/console", "{}", signed_in.text);
}

/// Buys 20 credits; returns the order's page.
async fn buy(house: &House) -> String {
    let ordered = house
        .signed_in(ADA)
        .await
        .send("/console/buy", &[("pack", "1")])
        .await;
    house.stripe().complete("cs_test_1", "paid");
    let raw = house
        .stripe()
        .event("checkout.session.completed", "cs_test_1");
    let told = house
        .bare(Method::POST, "/webhooks/stripe")
        .header("stripe-signature", sign(&raw, SECRET, NOW))
        .body(raw)
        .send()
        .await
        .expect("an answer");
    assert_eq!(told.status(), 200);
    house
        .until("the receipt waits", || async {
            letters(house)
                .await
                .iter()
                .any(|row| row.topic == "mail.receipt")
        })
        .await;
    ordered.location
}

fn is_receipt(letter: &Mail, house: &House, page: &str) {
    assert_eq!(letter.subject, "Your receipt from Tollgate");
    let link = letter.link(&format!("{}/console/orders/", house.base));
    assert_eq!(link, format!("{}{page}", house.base));
    for fact in ["Price", "20.00 USD", "Credits", "20.00"] {
        assert!(letter.text.contains(fact), "{fact}: {}", letter.text);
        assert!(letter.html.contains(fact), "{fact}: {}", letter.html);
    }
}

async fn letters(house: &House) -> Vec<outbox::Model> {
    outbox::Entity::every()
        .all(house.db().read())
        .await
        .expect("the outbox reads")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mail_server_each_letter_is_one_file_whose_link_works() {
    let house = House::selling().await;

    sign_up(&house).await;
    house.work().await;
    house.work().await;
    let first = folder(&house);
    verified(&house, &first[0]).await;
    ask_for_recovery(&house).await;
    house.work().await;
    let second = folder(&house);
    let page = buy(&house).await;
    house.work().await;
    house.work().await;
    let third = folder(&house);

    assert_eq!((first.len(), second.len(), third.len()), (1, 2, 3));
    assert_eq!(first[0].subject, "Confirm your address for Tollgate");
    assert_eq!(first[0].to, ADA);
    let new = |known: &[Mail], all: &[Mail]| {
        all.iter()
            .find(|mail| !known.contains(mail))
            .expect("a new letter")
            .clone()
    };
    let recovery = new(&first, &second);
    assert_eq!(recovery.subject, "A new password for Tollgate");
    recovered(&house, &recovery).await;
    is_receipt(&new(&second, &third), &house, &page);
    let rows = letters(&house).await;
    assert!(rows.iter().all(|row| row.status == Status::Done));
    house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_is_handed_each_letter_once() {
    let sink = Sink::start().await;
    let house = by_smtp(&sink).await;

    sign_up(&house).await;
    house.work().await;
    verified(&house, &sink.taken()[0].mail).await;
    ask_for_recovery(&house).await;
    let page = buy(&house).await;
    house.work().await;
    house.work().await;

    let taken = sink.taken();
    let by_subject = |subject: &str| {
        let mails: Vec<_> = taken
            .iter()
            .filter(|one| one.mail.subject == subject)
            .collect();
        assert_eq!(mails.len(), 1, "{subject}");
        &mails[0].mail
    };
    for one in &taken {
        assert_eq!(one.from, "post@tollgate.example");
        assert_eq!(one.to, [ADA]);
        assert_eq!(one.mail.to, ADA);
        assert!(one.mail.from.contains("<post@tollgate.example>"));
    }
    assert_eq!(taken.len(), 3);
    by_subject("Confirm your address for Tollgate");
    recovered(&house, by_subject("A new password for Tollgate")).await;
    is_receipt(by_subject("Your receipt from Tollgate"), &house, &page);
    assert!(!house.file("mail").exists(), "nothing is written to files");
    house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_refused_is_tried_again_later_and_arrives_once() {
    for refusal in [Refusal::Greeting, Refusal::Recipient, Refusal::Letter] {
        let sink = Sink::start().await;
        let house = by_smtp(&sink).await;
        sink.refuse_next([refusal, refusal]);

        sign_up(&house).await;
        house.work().await;
        let after_one = letters(&house).await;
        house.work().await;
        let too_early = letters(&house).await;
        house.clock.advance(Duration::from_secs(30));
        house.work().await;
        let after_two = letters(&house).await;
        let before = sink.taken().len();
        house.clock.advance(Duration::from_mins(1));
        house.work().await;
        house.clock.advance(Duration::from_hours(2));
        house.work().await;

        assert_eq!(
            (after_one[0].status, after_one[0].attempts),
            (Status::Pending, 1),
            "{refusal:?}"
        );
        assert!(after_one[0].error.is_some(), "{refusal:?}");
        assert_eq!(too_early[0].attempts, 1, "{refusal:?}: it waits its pause");
        assert_eq!(after_two[0].attempts, 2, "{refusal:?}");
        assert!(sink.has_refused_all());
        let taken = sink.taken();
        assert_eq!((before, taken.len()), (0, 1), "{refusal:?}");
        assert_eq!(letters(&house).await[0].status, Status::Done, "{refusal:?}");
        assert!(
            taken[0]
                .mail
                .message_id
                .contains(&after_one[0].id.to_string()),
            "a mail program knows a letter that came twice"
        );
        verified(&house, &taken[0].mail).await;
        house.finish().await;
    }
}
