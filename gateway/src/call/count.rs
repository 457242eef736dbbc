//! `POST /v1/messages/count_tokens`: how many input tokens a request would be. Nothing is held and nothing is charged,
//! and neither balance nor running calls stand in its way; a limit of its own per key keeps it from being a free ride.
//!
//! Where the call itself would go to Anthropic, Anthropic counts. Everywhere else, and where its count does not come,
//! the answer is a tokenizer's count and a tenth, or the group's factor where that is more: too few would let a client
//! outgrow the model's window.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use bytes::Bytes;
use entity::Protocol;
use outbound::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE},
    provider::{self, Endpoint, Kind},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::{
    accept::sentence,
    admit::{Request, model_of},
    attempt::sealed,
    events::whole,
    fault::error_in,
    handle::{Turned, receive, turn_away},
    policy::{no_channel, open_group, serving},
    refusal::not_read,
    route::{self, Conversation},
    secret::Secrets,
    tally::of_request,
};
use crate::{
    catalog::{Channel, Model, Upstream},
    error::{Code, Refusal},
    gateway::Gateway,
    reply::{Visit, readable_by},
    translate::without_carriers,
    wire::tap::Count,
};

/// The least that is added to a count of ours, in millionths of it.
const A_TENTH_MORE: i64 = 1_100_000;

/// What the answer must hold to be one.
#[derive(Deserialize)]
struct Counted {
    #[expect(dead_code, reason = "only its presence and form count")]
    input_tokens: u64,
}

/// Answers one question.
pub(crate) async fn count(
    gateway: Data<Gateway>,
    request: HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
    let protocol = Protocol::Messages;
    let visit = Visit::new(&request, protocol.into(), Some(protocol));
    let counted = async {
        let request = receive(protocol, &gateway, &visit, &request, &mut payload).await?;
        counted(&gateway, &request).await.map_err(|refusal| Turned {
            refusal,
            caller: Some(Arc::clone(&request.caller)),
            model: request.reading.model.clone(),
        })
    };
    match counted.await {
        Ok(body) => visit
            .answer(200)
            .content_type("application/json")
            .body(body),
        Err(turned) => turn_away(&gateway, &visit, &turned, &mut payload).await,
    }
}

async fn counted(gateway: &Gateway, request: &Request) -> Result<Bytes, Refusal> {
    let inner = &gateway.inner;
    inner
        .questions
        .question(request.caller.key.id, inner.clock.now())?;

    let (model, channel, ppm) = destination(gateway, request).await?;
    let upstream_model = channel
        .models
        .get(&model.id)
        .map_or(model.name.as_str(), String::as_str);
    if let Some(body) = native(gateway, request, &channel, upstream_model).await? {
        return Ok(body);
    }
    let count = Count {
        input: of_request(request.body.clone())
            .await
            .unwrap_or(request.reading.size.estimate),
        ppm: ppm.max(A_TENTH_MORE),
    };
    let estimate = json!({"input_tokens": count.scaled(count.input)});
    Ok(estimate.to_string().into())
}

/// The model that is meant, the channel that a call of it would try first, and the group's factor on counted tokens.
async fn destination(
    gateway: &Gateway,
    request: &Request,
) -> Result<(Arc<Model>, Arc<Channel>, i64), Refusal> {
    let inner = &gateway.inner;
    let snapshot = inner
        .catalog
        .current()
        .await
        .map_err(|error| not_read(&error))?;
    let group = open_group(&snapshot, request)?;
    let model = model_of(&snapshot, group, request)
        .map_err(|refusal| readable_by(&request.visit.client, refusal))?;
    let group = serving(&snapshot, group, &model, request);
    let key = &request.caller.key;
    let deal = inner
        .deals
        .of(key.tenant_id, inner.clock.now())
        .await
        .map_err(|error| not_read(&error))?;
    if !deal.offers(&model.name, group.id, key.pay_order) {
        return Err(Refusal::new(
            Code::ModelNotInPlan,
            format!(
                "No plan of this account includes the model `{}` for this API key. Choose another model, or another plan.",
                model.name
            ),
        ));
    }
    let channels = route::channels(
        group,
        model.id,
        |channel| {
            let way = channel.way(request.protocol, &model)?;
            Some(way != request.protocol)
        },
        Conversation {
            key: key.id,
            body: &request.body,
        },
        &inner.cooldowns,
    );
    let Some(first) = channels.into_iter().next() else {
        return Err(no_channel(gateway, &snapshot, group, &model, request).await);
    };
    Ok((model, first, group.counted_ppm))
}

/// The upstream's own count; nothing where it has none or gives none, for a question is not worth a failure.
async fn native(
    gateway: &Gateway,
    request: &Request,
    channel: &Channel,
    upstream_model: &str,
) -> Result<Option<Bytes>, Refusal> {
    let Upstream::Provider {
        kind: kind @ Kind::Anthropic,
        base,
        keys,
    } = &channel.upstream
    else {
        return Ok(None);
    };
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, json.clone());
    headers.insert(ACCEPT, json);
    for (name, value) in &request.forwarded {
        headers.insert(name.clone(), value.clone());
    }
    let inner = &gateway.inner;
    let credential = inner.turns.draw(channel.id, keys, &inner.cooldowns);
    let headers = sealed(headers, channel, credential);
    let body = request.reading.renamed(&request.body, upstream_model);
    let config = &gateway.inner.config;
    let asked = async {
        let answer = gateway
            .inner
            .outbound
            .send(outbound::Call {
                method: Method::POST,
                url: provider::endpoint(*kind, base, Endpoint::CountTokens),
                headers,
                body: without_carriers(request.protocol, &body).unwrap_or(body),
                header_timeout: Some(config.first_byte),
                proxy: channel.proxy.clone(),
            })
            .await?;
        let status = answer.status().as_u16();
        whole(answer.into_stream(), config.idle)
            .await
            .map(|body| (status, body))
    };
    let (status, body) = match timeout(config.first_byte, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::warn!(channel.id = %channel.id, %error, "tokens are estimated, for the upstream did not count");
            return Ok(None);
        }
        Err(_) => return Ok(None),
    };
    let body = if status == 200 {
        body
    } else {
        Secrets::of(credential).clean(&body)
    };
    match status {
        200 => Ok(serde_json::from_slice::<Counted>(&body)
            .is_ok()
            .then_some(body)),
        400 | 413 | 422 => match error_in(&body)
            .filter(|told| told.is_enveloped && !told.is_account_fault(status))
        {
            Some(told) => {
                let words = sentence(&told.failure.message.trim_end_matches('.'));
                Err(Refusal::new(Code::UpstreamError, words).verbatim(status, body))
            }
            None => Ok(None),
        },
        _ => {
            tracing::warn!(channel.id = %channel.id, http.status = status, "tokens are estimated, for the upstream did not count");
            Ok(None)
        }
    }
}
