//! `/healthz` (the process answers) and `/readyz` (it may be sent work).

use actix_web::{HttpResponse, web};
use entity::{Database, Platform};
use sea_orm::PaginatorTrait;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether this process may be sent work.
#[derive(Clone, Debug, Default)]
pub struct Health {
    ready: Arc<AtomicBool>,
}

impl Health {
    /// From now on it may, or may not.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether it may.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

pub(super) async fn ready(health: web::Data<Health>, db: web::Data<Database>) -> HttpResponse {
    if !health.is_ready() {
        return not_ready("draining\n");
    }
    match entity::setting::Entity::every().count(db.read()).await {
        Ok(_) => HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .body("ready\n"),
        Err(fault) => {
            tracing::error!(%fault, "not ready: the database does not answer");
            not_ready("the database does not answer\n")
        }
    }
}

fn not_ready(why: &'static str) -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header(("retry-after", "5"))
        .content_type("text/plain; charset=utf-8")
        .body(why)
}
