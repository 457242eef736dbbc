//! The one table of the gateway's paths. Each is reachable with no, one or two `/v1` before it.

use actix_web::{
    HttpRequest, guard,
    web::{self, ServiceConfig},
};
use entity::Protocol;

use crate::{call, gateway::Gateway, model, stray};

/// A path under the base URL, and the methods it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Without a version before it.
    pub path: &'static str,
    /// The methods, as the `Allow` header has them.
    pub methods: &'static str,
}

/// Every path of the gateway.
pub const PATHS: &[Path] = &[
    Path {
        path: "/chat/completions",
        methods: "POST",
    },
    Path {
        path: "/responses",
        methods: "POST",
    },
    Path {
        path: "/messages",
        methods: "POST",
    },
    Path {
        path: "/embeddings",
        methods: "POST",
    },
    Path {
        path: "/models",
        methods: "GET, HEAD",
    },
    Path {
        path: "/models/{name:.+}",
        methods: "GET, HEAD",
    },
];

/// What may stand before a path.
pub const PREFIXES: [&str; 3] = ["", "/v1", "/v1/v1"];

/// Mounts the gateway. Whatever no other part of the product answers gets the gateway's own "no such endpoint".
pub fn configure(app: &mut ServiceConfig) {
    for (path, protocol) in [
        ("/chat/completions", Protocol::Chat),
        ("/responses", Protocol::Responses),
        ("/messages", Protocol::Messages),
        ("/embeddings", Protocol::Embeddings),
    ] {
        app.service(
            web::resource(spellings(path))
                .route(web::post().to(move |gateway, request, payload| {
                    call::answer(protocol, gateway, request, payload)
                }))
                .default_service(web::to(
                    move |gateway: web::Data<Gateway>, request: HttpRequest| async move {
                        stray::wrong_method(protocol.into(), &gateway, &request)
                    },
                )),
        );
    }
    let reading = || guard::Any(guard::Get()).or(guard::Head());
    app.service(
        web::resource(spellings("/models"))
            .route(web::route().guard(reading()).to(model::list))
            .default_service(web::to(stray::wrong_method_for_models)),
    )
    .service(
        web::resource(spellings("/models/{name:.+}"))
            .route(web::route().guard(reading()).to(model::show))
            .default_service(web::to(stray::wrong_method_for_models)),
    )
    .default_service(web::to(stray::not_found));
}

fn spellings(path: &str) -> Vec<String> {
    PREFIXES
        .iter()
        .flat_map(|prefix| {
            let bare = format!("{prefix}{path}");
            let slashed = format!("{bare}/");
            [bare, slashed]
        })
        .collect()
}
