//! The one table of the paths that belong to no other crate, and the handler behind each.

use super::{health, webhook, webhook::Webhook};
use actix_web::{
    HttpResponse, Resource,
    web::{self, Data, ServiceConfig},
};

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The path, in actix's pattern language.
    pub path: &'static str,
    /// The methods it answers, as the `Allow` header has them.
    pub methods: &'static str,
    mount: fn(Resource) -> Resource,
}

/// Every path of the table, whoever asks.
pub static PATHS: &[Path] = &[
    Path {
        path: "/healthz",
        methods: "GET, HEAD",
        mount: |r| r.get(health::alive).head(health::alive),
    },
    Path {
        path: "/readyz",
        methods: "GET, HEAD",
        mount: |r| r.get(health::ready).head(health::ready),
    },
    Path {
        path: "/webhooks/stripe",
        methods: "POST",
        mount: |r| r.app_data(webhook::body_limit()).post(webhook::receive),
    },
];

/// Mounts them. Without a `webhook` nothing can be bought, and nobody may tell of payments.
pub(crate) fn configure(app: &mut ServiceConfig, webhook: Option<Webhook>) {
    if let Some(webhook) = webhook {
        app.app_data(Data::new(webhook));
    }
    for path in PATHS {
        app.service((path.mount)(web::resource(path.path)));
    }
    app.service(web::resource("/webhooks/{rest:.*}").to(HttpResponse::NotFound));
}
