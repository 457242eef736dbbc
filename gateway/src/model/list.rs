//! `GET /v1/models` and `GET /v1/models/{id}`: only what this key may use now.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ETag, EntityTag, Header, IfNoneMatch},
    web::{self, Data},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use billing::plan::Deal;
use identity::key::CallerRow;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::shape;
use crate::{
    call::{fallback_for, not_read, protocols_of},
    caller::Denied,
    catalog::{Model, Snapshot},
    error::{Code, Refusal},
    gateway::Gateway,
    reply::{Visit, readable_by},
    stray::shape_of,
    wire::client::Seen,
};

/// Which part of the list, as Anthropic's clients ask for it.
#[derive(Debug, Default, Deserialize)]
struct Part {
    limit: Option<usize>,
    after_id: Option<String>,
    before_id: Option<String>,
}

/// Without a limit the whole list is given: clients that know no pages would miss the rest.
const MOST: usize = 1_000;

/// The list.
pub(crate) async fn list(gateway: Data<Gateway>, request: HttpRequest) -> HttpResponse {
    let visit = Visit::new(&request, shape_of(&request, None), None);
    let Admitted {
        caller,
        snapshot,
        deal,
    } = match admit(&gateway, &request).await {
        Ok(admitted) => admitted,
        Err(denied) => return deny(&gateway, &visit, &denied, None),
    };

    let part = web::Query::<Part>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .unwrap_or_default();
    let offered = offered(&snapshot, &caller, &deal, &visit.client);
    let (chosen, has_more) = part.of(&offered);
    let entries: Vec<_> = chosen.iter().map(|model| shape::entry(model)).collect();

    unless_known(&request, &visit, &shape::list(&entries, has_more))
}

/// The list, unless the asker has it already: programs that poll it say which they have. It is the asker's own, so
/// nobody between may keep it for others.
fn unless_known(request: &HttpRequest, visit: &Visit, list: &Value) -> HttpResponse {
    let body = list.to_string();
    let digest = Sha256::digest(&body);
    let tag = EntityTag::new_weak(URL_SAFE_NO_PAD.encode(&digest[..12]));
    let known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Items(items)) => items.iter().any(|item| item.weak_eq(&tag)),
        Ok(IfNoneMatch::Any) | Err(_) => false,
    };
    let mut answer = visit.answer(if known { 304 } else { 200 });
    answer
        .insert_header(ETag(tag))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header((header::VARY, "authorization, x-api-key, anthropic-version"));
    if known {
        return answer.finish();
    }
    answer.content_type("application/json").body(body)
}

/// One model.
pub(crate) async fn show(
    gateway: Data<Gateway>,
    request: HttpRequest,
    name: web::Path<String>,
) -> HttpResponse {
    let visit = Visit::new(&request, shape_of(&request, None), None);
    let Admitted {
        caller,
        snapshot,
        deal,
    } = match admit(&gateway, &request).await {
        Ok(admitted) => admitted,
        Err(denied) => return deny(&gateway, &visit, &denied, Some(&name)),
    };

    let name = name.trim_end_matches('/');
    let found = snapshot.model(name).filter(|model| {
        offered(&snapshot, &caller, &deal, &visit.client)
            .iter()
            .any(|offered| offered.id == model.id)
    });

    if let Some(model) = found {
        return visit.answer(200).json(shape::entry(model));
    }
    let refusal = Refusal::new(
        Code::ModelNotFound,
        format!("This key cannot use a model named `{name}`."),
    );
    visit.refuse(&gateway, &readable_by(&visit.client, refusal))
}

/// Who asks, what is for sale, and what the asker's plans say to it.
struct Admitted {
    caller: Arc<CallerRow>,
    snapshot: Arc<Snapshot>,
    deal: Arc<Deal>,
}

async fn admit(gateway: &Gateway, request: &HttpRequest) -> Result<Admitted, Denied> {
    let inner = &gateway.inner;
    let now = inner.clock.now();
    let caller = inner.callers.find(request.headers(), now).await?;
    let denied = |refusal| Denied {
        refusal,
        caller: Some(Arc::clone(&caller)),
    };
    let snapshot = inner
        .catalog
        .current()
        .await
        .map_err(|error| denied(not_read(&error)))?;
    let deal = inner
        .deals
        .of(caller.key.tenant_id, now)
        .await
        .map_err(|error| denied(not_read(&error)))?;
    Ok(Admitted {
        caller,
        snapshot,
        deal,
    })
}

fn deny(gateway: &Gateway, visit: &Visit, denied: &Denied, model: Option<&str>) -> HttpResponse {
    if let Some(caller) = &denied.caller {
        visit.keep(gateway, caller, model, &denied.refusal);
    }
    visit.refuse(gateway, &denied.refusal)
}

/// What calls with the key come to: the models of its group, and those that its fallback serves this client in its place.
fn offered(snapshot: &Snapshot, caller: &CallerRow, deal: &Deal, client: &Seen) -> Vec<Arc<Model>> {
    let Some(own) = snapshot
        .group(caller.key.group_id)
        .filter(|group| group.active)
    else {
        return Vec::new();
    };
    let pay_order = caller.key.pay_order;
    let mut models: Vec<_> = snapshot
        .for_sale()
        .filter(|model| {
            let is_own = own.serves(model.id) && deal.offers(&model.name, own.id, pay_order);
            is_own
                || fallback_for(snapshot, own, model, client, protocols_of(model.kind))
                    .is_some_and(|other| deal.offers(&model.name, other.id, pay_order))
        })
        .map(Arc::clone)
        .collect();
    models.sort_by(|a, b| a.name.cmp(&b.name));
    models
}

impl Part {
    /// The entries asked for, and whether there are more of them in the direction asked for: backwards from
    /// `before_id`, else forwards.
    fn of<'a>(&self, all: &'a [Arc<Model>]) -> (&'a [Arc<Model>], bool) {
        let place = |id: &Option<String>| {
            let id = id.as_deref()?;
            all.iter().position(|model| model.name == id)
        };
        let start = place(&self.after_id).map_or(0, |place| place + 1);
        let before = place(&self.before_id);
        let end = before.unwrap_or(all.len());
        let part = all.get(start..end).unwrap_or_default();
        let limit = self.limit.unwrap_or(MOST).clamp(1, MOST);
        let from = match before {
            Some(_) => part.len().saturating_sub(limit),
            None => 0,
        };
        let to = part.len().min(from + limit);
        (part.get(from..to).unwrap_or_default(), part.len() > limit)
    }
}
