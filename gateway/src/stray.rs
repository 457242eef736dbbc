//! Requests that meet no endpoint: wrong paths and wrong methods, answered with the right address.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web::{self, Data},
};
use entity::Protocol;

use crate::{
    balance, call, doctor,
    error::{Code, Refusal, Shape},
    gateway::Gateway,
    model,
    reply::{Visit, text},
    wire::{
        client::Seen,
        path::{self, Endpoint},
    },
};

/// No such path. A doubled slash still means its endpoint; everything else gets the address it should have had.
pub(crate) async fn not_found(
    gateway: Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    match (path::endpoint(request.path()), request.method()) {
        (Some(Endpoint::Call(protocol)), &Method::POST) => {
            return call::answer(protocol, gateway, request, payload).await;
        }
        (Some(Endpoint::Compact), &Method::POST) => {
            return call::answer(Protocol::Responses, gateway, request, payload).await;
        }
        (Some(Endpoint::CountTokens), &Method::POST) => {
            return call::count(gateway, request, payload).await;
        }
        (Some(Endpoint::Usage), &Method::GET | &Method::HEAD) => {
            return balance::usage(gateway, request).await;
        }
        (Some(Endpoint::Balance), &Method::GET | &Method::HEAD) => {
            return balance::balance(gateway, request).await;
        }
        (Some(Endpoint::Doctor), &Method::GET | &Method::HEAD) => {
            return doctor::show(gateway, request).await;
        }
        (Some(Endpoint::Account), &Method::GET | &Method::HEAD) => {
            return balance::account(gateway, request).await;
        }
        (Some(Endpoint::Models), &Method::GET | &Method::HEAD) => {
            return model::list(gateway, request).await;
        }
        (Some(Endpoint::Model(name)), &Method::GET | &Method::HEAD) => {
            return model::show(gateway, request, web::Path::from(name)).await;
        }
        (Some(Endpoint::Call(protocol)), _) => {
            return wrong_method(protocol.into(), &gateway, &request);
        }
        (Some(Endpoint::Compact), _) => {
            return wrong_method(Protocol::Responses.into(), &gateway, &request);
        }
        (Some(Endpoint::CountTokens), _) => {
            return wrong_method(Protocol::Messages.into(), &gateway, &request);
        }
        (Some(_), _) => return wrong_method_for_reads(gateway, request).await,
        (None, _) => {}
    }

    let meant = path::meant(request.path());
    let visit = Visit::new(&request, shape_of(&request, meant.as_ref()), None);
    let refusal = Refusal::new(
        Code::RouteNotFound,
        advice(
            &gateway.inner.config.public_url,
            &request,
            &visit.client,
            meant.as_ref(),
        ),
    );
    keep(&gateway, &visit, &request, &refusal).await;
    visit.refuse(&gateway, &refusal)
}

/// A wrong base URL is what the owner of a key most needs to see. A stranger costs a look at the headers.
async fn keep(gateway: &Gateway, visit: &Visit, request: &HttpRequest, refusal: &Refusal) {
    let inner = &gateway.inner;
    let found = inner
        .callers
        .find(request.headers(), inner.clock.now())
        .await;
    if let Ok(caller) = found {
        visit.keep(gateway, &caller, None, refusal);
    }
}

/// A known path with another method. A WebSocket is declined so that Codex falls back to HTTP at once.
pub(crate) fn wrong_method(shape: Shape, gateway: &Gateway, request: &HttpRequest) -> HttpResponse {
    let visit = Visit::new(request, shape, None);
    if request.method() == Method::OPTIONS {
        return methods(&visit, "POST");
    }
    let upgrade = text(request.headers(), header::UPGRADE.as_str());
    if upgrade.eq_ignore_ascii_case("websocket") {
        let refusal = Refusal::new(
            Code::MethodNotAllowed,
            "WebSocket is not spoken here; send the request by HTTP POST.",
        )
        .with_status(426);
        return visit.refuse(gateway, &refusal);
    }
    refuse_method(&visit, gateway, request, "POST")
}

/// What can only be read, with another method.
pub(crate) async fn wrong_method_for_reads(
    gateway: Data<Gateway>,
    request: HttpRequest,
) -> HttpResponse {
    let visit = Visit::new(&request, shape_of(&request, None), None);
    if request.method() == Method::OPTIONS {
        return methods(&visit, "GET, HEAD");
    }
    refuse_method(&visit, &gateway, &request, "GET, HEAD")
}

/// A probe learns the methods and nothing else. No page of another origin is let in: keys do not belong in browsers.
fn methods(visit: &Visit, allow: &'static str) -> HttpResponse {
    let mut answer = visit.answer(204);
    answer.insert_header((header::ALLOW, allow)).finish()
}

fn refuse_method(
    visit: &Visit,
    gateway: &Gateway,
    request: &HttpRequest,
    allow: &'static str,
) -> HttpResponse {
    let refusal = Refusal::new(
        Code::MethodNotAllowed,
        format!(
            "{} is not possible at {}; use {allow}.",
            request.method(),
            request.path()
        ),
    );
    let mut response = visit.refuse(gateway, &refusal);
    response
        .headers_mut()
        .insert(header::ALLOW, header::HeaderValue::from_static(allow));
    response
}

/// On a path that says nothing, the version header tells an Anthropic client.
pub(crate) fn shape_of(request: &HttpRequest, meant: Option<&Endpoint>) -> Shape {
    match meant {
        Some(Endpoint::Call(protocol)) => (*protocol).into(),
        Some(Endpoint::CountTokens) => Shape::Anthropic,
        Some(Endpoint::Compact) => Protocol::Responses.into(),
        _ if request.headers().contains_key("anthropic-version") => Shape::Anthropic,
        _ => Shape::OpenAi,
    }
}

/// Whether the client asks in Anthropic's protocol, so that it adds `/v1` to its base URL itself.
pub(crate) fn is_anthropic(request: &HttpRequest, client: &Seen) -> bool {
    ["claude_code", "anthropic_sdk"].contains(&client.kind)
        || request.headers().contains_key("anthropic-version")
}

fn advice(
    public_url: &str,
    request: &HttpRequest,
    client: &Seen,
    meant: Option<&Endpoint>,
) -> String {
    let missing = format!(
        "There is no endpoint {} {}.",
        request.method(),
        request.path().chars().take(200).collect::<String>()
    );
    let bare = format!("{public_url} (without /v1)");
    let versioned = format!("{public_url}/v1");
    let mend = match meant {
        Some(Endpoint::Call(Protocol::Messages) | Endpoint::CountTokens) => {
            format!("Set the client's base URL to {bare}.")
        }
        Some(Endpoint::Call(_) | Endpoint::Compact) => {
            format!("Set the client's base URL to {versioned}.")
        }
        // With the version in front the base URL is right, and only the rest of the path is another's.
        Some(other) if path::is_versioned(request.path()) => {
            format!("Ask {public_url}{} instead.", path::as_documented(other))
        }
        Some(_) if is_anthropic(request, client) => {
            format!("Set the client's base URL to {bare}.")
        }
        Some(_) => format!("Set the client's base URL to {versioned}."),
        None if is_anthropic(request, client) => format!("The base URL is {bare}."),
        None if ["codex", "openai_sdk", "qwen_code"].contains(&client.kind) => {
            format!("The base URL is {versioned}.")
        }
        None => format!(
            "The base URL is {versioned} for OpenAI clients and {public_url} for Anthropic clients."
        ),
    };
    format!("{missing} {mend}")
}
