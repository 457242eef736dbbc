//! `GET /v1/doctor`: the checks on the very request that asks, and the last refusals of its key. Only reads, and counts
//! against the same limit per key as other questions.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, Data},
};
use billing::plan::Deal;
use entity::{Protocol, Scoped, Timestamp, model::Kind, rejection, rejection::Fix};
use identity::key::CallerRow;
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Case, Finding, Misfit, ModelFit, State, diagnose};
use crate::{
    call::{fallback_for, not_read, protocols_of},
    caller::sent,
    catalog::{Group, Model, Snapshot, Unfit},
    error::{Refusal, render},
    gateway::Gateway,
    reply::Visit,
    stray::{is_anthropic, shape_of},
    wire::path::{self, Endpoint},
};

/// Refusals that are told at most.
const RECENT: u64 = 10;

/// What may be asked.
#[derive(Debug, Default, Deserialize)]
struct Question {
    /// The model that the client is set to.
    #[serde(default)]
    model: String,
    /// The path that the client asks, where it is another.
    #[serde(default)]
    path: String,
}

/// Answers with every check. Without a known key the status is that of the refusal, and the checks stand beside it.
pub(crate) async fn show(gateway: Data<Gateway>, request: HttpRequest) -> HttpResponse {
    let visit = Visit::new(&request, shape_of(&request, None), None);
    let question = web::Query::<Question>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .unwrap_or_default();
    let mut case = case_of(&gateway, &visit, &request, &question);

    let caller = match gateway
        .inner
        .callers
        .find(request.headers(), gateway.inner.clock.now())
        .await
    {
        Ok(caller) => caller,
        Err(denied) => return unknown(&gateway, &visit, &case, &denied.refusal),
    };
    match examined(&gateway, &visit, &caller, &question, &mut case).await {
        Ok(recent) => {
            let findings = diagnose(&case);
            let good = findings.iter().all(|finding| finding.state != State::Bad);
            visit.answer(200).json(json!({
                "object": "doctor",
                "ok": good,
                "checks": checks(&findings),
                "recent": recent,
            }))
        }
        Err(refusal) => visit.refuse(&gateway, &refusal),
    }
}

fn case_of(gateway: &Gateway, visit: &Visit, request: &HttpRequest, question: &Question) -> Case {
    let (authorization, x_api_key) = sent(request.headers());
    let path = if question.path.is_empty() {
        request.path()
    } else {
        &question.path
    };
    Case {
        client: visit.client.named(),
        path: path.chars().take(200).collect(),
        public_url: gateway.inner.config.public_url.clone(),
        anthropic: is_anthropic(request, &visit.client),
        authorization,
        x_api_key,
        ..Case::default()
    }
}

/// Fills in what depends on the key, and reads its last refusals.
async fn examined(
    gateway: &Gateway,
    visit: &Visit,
    caller: &Arc<CallerRow>,
    question: &Question,
    case: &mut Case,
) -> Result<Vec<Value>, Refusal> {
    let inner = &gateway.inner;
    inner.questions.question(caller.key.id, inner.clock.now())?;
    let snapshot = inner
        .catalog
        .current()
        .await
        .map_err(|error| not_read(&error))?;
    let recent = recent(gateway, caller)
        .await
        .map_err(|error| not_read(&error))?;
    let Some(group) = snapshot
        .group(caller.key.group_id)
        .filter(|group| group.active)
    else {
        return Ok(recent);
    };

    case.group = Some(group.title.clone());
    case.accepts = group.clients.iter().map(ToString::to_string).collect();
    let deal = inner
        .deals
        .of(caller.key.tenant_id, inner.clock.now())
        .await
        .map_err(|error| not_read(&error))?;
    let asked = Asked {
        snapshot: &snapshot,
        deal: &deal,
        caller,
        visit,
        protocol: match path::meant(&question.path) {
            Some(Endpoint::Call(protocol)) => Some(protocol),
            _ => None,
        },
    };
    let model = snapshot.model(question.model.trim()).map(|model| &**model);
    if let Err(unfit) = group.takes_client(&visit.client) {
        match asked.fallback(group, model) {
            Some(fallback) => case.stand_in = Some(fallback.title.clone()),
            None => case.misfit = Some(misfit(case, unfit, asked.other_than(group, model))),
        }
    }
    case.model = Some(model_fit(&asked, group, &question.model));
    Ok(recent)
}

/// What a call as the asked one would be decided by.
struct Asked<'a> {
    snapshot: &'a Snapshot,
    deal: &'a Deal,
    caller: &'a CallerRow,
    visit: &'a Visit,
    /// None where the question does not say it.
    protocol: Option<Protocol>,
}

impl<'a> Asked<'a> {
    fn protocols(&self, model: Option<&Model>) -> Vec<Protocol> {
        match (self.protocol, model) {
            (Some(protocol), _) => vec![protocol],
            (None, Some(model)) => protocols_of(model.kind).to_vec(),
            (None, None) => [Kind::Chat, Kind::Embedding]
                .into_iter()
                .flat_map(protocols_of)
                .copied()
                .collect(),
        }
    }

    fn takes(&self, group: &Group, model: Option<&Model>) -> bool {
        let mut protocols = self.protocols(model).into_iter();
        protocols.any(|protocol| group.takes_protocol(protocol))
            && group.takes_client(&self.visit.client).is_ok()
    }

    /// The group's fallback, where that takes the call in its place.
    fn fallback(&self, group: &Group, model: Option<&Model>) -> Option<&'a Group> {
        let Some(model) = model else {
            let fallback = self.snapshot.group(group.fallback?)?;
            return (fallback.active && self.takes(fallback, None)).then_some(fallback);
        };
        let protocols = self.protocols(Some(model));
        fallback_for(self.snapshot, group, model, &self.visit.client, &protocols)
    }

    /// Another group that takes the call and has the model, and that the plans have it in: the one that a refused call
    /// is sent to.
    fn other_than(&self, group: &Group, model: Option<&Model>) -> Option<&'a Group> {
        let others = self.snapshot.other_groups(group.id);
        others.into_iter().find(|other| {
            let has = model.is_none_or(|model| {
                let pay_order = self.caller.key.pay_order;
                other.serves(model.id) && self.deal.offers(&model.name, other.id, pay_order)
            });
            has && self.takes(other, model)
        })
    }
}

fn misfit(case: &Case, unfit: Unfit, other: Option<&Group>) -> Misfit {
    let group = other.map(|other| other.title.clone());
    let fix = match (unfit, &group) {
        (Unfit::TooOld(least), _) => Fix::UpdateClient {
            least: least.to_string(),
        },
        (Unfit::TooNew(most), _) => Fix::OlderClient {
            most: most.to_string(),
        },
        (Unfit::Kind, Some(group)) => Fix::UseGroup {
            group: group.clone(),
        },
        (Unfit::Kind, None) => Fix::UseClient {
            clients: case.accepts.join(", "),
        },
    };
    Misfit { fix, group }
}

fn model_fit(asked: &Asked<'_>, group: &Group, name: &str) -> ModelFit {
    let snapshot = asked.snapshot;
    let name = name.trim();
    let model = if name.is_empty() {
        match &group.default_model {
            Some(model) => model,
            None => return ModelFit::Missing,
        }
    } else {
        match snapshot.model(name) {
            Some(model) => model,
            None => {
                return ModelFit::Unknown {
                    name: name.chars().take(100).collect(),
                    near: snapshot.names_near(name, group),
                };
            }
        }
    };
    let name = model.name.clone();
    let fallback = asked.fallback(group, Some(model));
    if group.serves(model.id) || fallback.is_some() {
        return ModelFit::Fits {
            name,
            fallback: fallback
                .filter(|_| !group.serves(model.id))
                .map(|fallback| fallback.title.clone()),
        };
    }
    ModelFit::Elsewhere {
        name,
        group: asked
            .other_than(group, Some(model))
            .map(|other| other.title.clone()),
    }
}

async fn recent(gateway: &Gateway, caller: &CallerRow) -> Result<Vec<Value>, DbErr> {
    let rows = rejection::Entity::of(caller.key.tenant_id)
        .filter(rejection::Column::KeyId.eq(caller.key.id))
        .order_by_desc(rejection::Column::Id)
        .limit(RECENT)
        .all(gateway.inner.db.read())
        .await?;
    Ok(rows.iter().map(told).collect())
}

fn told(row: &rejection::Model) -> Value {
    let headers: Value = row
        .headers
        .as_deref()
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    let fix = row.fix.as_deref().and_then(Fix::parse);
    json!({
        "at": moment(row.created_at),
        "calls": row.calls,
        "status": row.http_status,
        "code": row.code,
        "message": row.message,
        "fix": fix.map(|fix| fix.to_string()),
        "client": entity::group::client::name(&row.client_kind),
        "model": row.model_name,
        "path": row.path,
        "headers": headers,
    })
}

fn unknown(gateway: &Gateway, visit: &Visit, case: &Case, refusal: &Refusal) -> HttpResponse {
    let refused = visit.refuse(gateway, refusal);
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    let envelope = render(visit.shape, refusal, visit.id, &gateway.inner.links);
    let mut body: Value = serde_json::from_slice(&envelope).unwrap_or_default();
    if let Some(fields) = body.as_object_mut() {
        fields.insert("object".to_owned(), "doctor".into());
        fields.insert("ok".to_owned(), false.into());
        fields.insert("checks".to_owned(), checks(&diagnose(case)));
    }
    let mut answer = HttpResponse::build(status);
    for (name, value) in refused.headers() {
        answer.append_header((name.clone(), value.clone()));
    }
    answer.body(body.to_string())
}

fn checks(findings: &[Finding]) -> Value {
    let checks = findings.iter().map(|finding| {
        json!({
            "check": finding.check,
            "state": finding.state,
            "says": finding.says,
            "fix": finding.fix.as_ref().map(ToString::to_string),
        })
    });
    checks.collect()
}

fn moment(at: Timestamp) -> String {
    at.to_datetime()
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
