//! The one table of the gateway's paths. Each is reachable with no, one or two `/v1` before it.

use actix_web::{
    HttpRequest, Resource, Route, guard,
    web::{self, ServiceConfig},
};
use entity::Protocol;

use crate::{balance, call, doctor, gateway::Gateway, model, stray};

/// A path under the base URL, and the methods it answers.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Without a version before it.
    pub path: &'static str,
    /// The methods, as the `Allow` header has them.
    pub methods: &'static str,
    mount: fn(Resource) -> Resource,
}

const fn calls(path: &'static str, mount: fn(Resource) -> Resource) -> Path {
    Path {
        path,
        methods: "POST",
        mount,
    }
}

const fn reads(path: &'static str, mount: fn(Resource) -> Resource) -> Path {
    Path {
        path,
        methods: "GET, HEAD",
        mount,
    }
}

/// Every path of the gateway.
pub static PATHS: &[Path] = &[
    calls("/chat/completions", |r| answers(r, Protocol::Chat)),
    calls("/responses", |r| answers(r, Protocol::Responses)),
    calls("/responses/compact", |r| answers(r, Protocol::Responses)),
    calls("/messages", |r| answers(r, Protocol::Messages)),
    calls("/messages/count_tokens", |r| {
        posts(r, Protocol::Messages, web::post().to(call::count))
    }),
    calls("/embeddings", |r| answers(r, Protocol::Embeddings)),
    reads("/usage", |r| r.route(reading().to(balance::usage))),
    reads("/user/balance", |r| r.route(reading().to(balance::balance))),
    reads("/doctor", |r| r.route(reading().to(doctor::show))),
    reads("/api/user/self", |r| {
        r.route(reading().to(balance::account))
    }),
    reads("/models", |r| r.route(reading().to(model::list))),
    reads("/models/{name:.+}", |r| r.route(reading().to(model::show))),
];

/// What may stand before a path.
pub const PREFIXES: [&str; 3] = ["", "/v1", "/v1/v1"];

/// Mounts the gateway. Whatever no other part of the product answers gets the gateway's own "no such endpoint".
///
/// Each spelling is a resource of its own: texts are compared, where several in one would be matched as patterns.
pub fn configure(app: &mut ServiceConfig) {
    for path in PATHS {
        for spelling in spellings(path.path) {
            let resource =
                web::resource(spelling).default_service(web::to(stray::wrong_method_for_reads));
            app.service((path.mount)(resource));
        }
    }
    app.default_service(web::to(stray::not_found));
}

fn answers(resource: Resource, protocol: Protocol) -> Resource {
    let answer = web::post()
        .to(move |gateway, request, payload| call::answer(protocol, gateway, request, payload));
    posts(resource, protocol, answer)
}

fn posts(resource: Resource, protocol: Protocol, answer: Route) -> Resource {
    resource.route(answer).default_service(web::to(
        move |gateway: web::Data<Gateway>, request: HttpRequest| async move {
            stray::wrong_method(protocol.into(), &gateway, &request)
        },
    ))
}

fn reading() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
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
