//! Every path of the console, asked as nobody, as a stranger and as an operator: the table of routes says who
//! may, and a route that is not in the table is not there.

use crate::support::office::Office;
use console::routes::{Access, ROUTES};
use entity::KeyId;

/// A path of the table with something in place of its parameters that no row has.
fn filled(path: &str) -> String {
    path.replace("{id}", &KeyId::fresh().to_string())
        .replace("{token}", "nobody-was-ever-sent-this")
        .replace("{version}", "0")
        .replace("{name}", "nothing.css")
        .replace("{slug}", "nothing")
}

#[tokio::test]
async fn nobody_is_sent_to_sign_in_from_every_page_that_is_not_public() {
    let office = Office::open().await;
    let mut nobody = office.stranger();

    for route in ROUTES.iter().filter(|route| route.access != Access::Public) {
        let path = filled(route.path);
        let seen = if route.methods.contains("GET") {
            nobody.open(&path).await
        } else {
            nobody.send_from("/console/sign-in", &path, &[]).await
        };
        assert_eq!(seen.status, 303, "{path}");
        assert!(
            seen.location.starts_with("/console/sign-in"),
            "{path} leads to {}",
            seen.location
        );
    }

    office.finish().await;
}

#[tokio::test]
async fn every_public_page_answers_nobody_without_a_fault() {
    let office = Office::open().await;
    let mut nobody = office.stranger();

    for route in ROUTES.iter().filter(|route| route.access == Access::Public) {
        if route.methods.contains("GET") {
            let path = filled(route.path);
            let seen = nobody.open(&path).await;
            assert!(
                seen.status < 500 && seen.status != 403,
                "{path}: {}",
                seen.status
            );
        }
    }

    office.finish().await;
}

#[tokio::test]
async fn what_is_not_a_members_own_does_not_exist_for_them() {
    let office = Office::open().await;
    let mut member = office.member().await;

    for route in ROUTES.iter().filter(|route| route.access == Access::Member) {
        if !route.path.contains('{') {
            continue;
        }
        let path = filled(route.path);
        if route.methods.contains("GET") {
            assert_eq!(member.open(&path).await.status, 404, "{path}");
        }
        if route.methods.contains("POST") {
            let sent = member.send_from("/console/settings", &path, &[]).await;
            assert_eq!(sent.status, 404, "a form at {path}");
        }
    }

    office.finish().await;
}

#[tokio::test]
async fn operators_pages_without_a_row_are_not_found() {
    let office = Office::open().await;
    let mut operator = office.operator().await;

    for route in ROUTES
        .iter()
        .filter(|route| route.access == Access::Operator)
    {
        if route.methods.contains("GET") {
            let path = filled(route.path);
            let seen = operator.open(&path).await;
            let expected = if route.path.contains('{') { 404 } else { 200 };
            assert_eq!(seen.status, expected, "{path}");
        }
    }

    office.finish().await;
}
