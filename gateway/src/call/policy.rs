//! Which group serves a call: the key's own or the one it falls back on; and where neither does, which other would.

use entity::{Protocol, model, rejection::Fix};

use super::{admit::Request, refusal::not_read};
use crate::{
    catalog::{Group, Model, Snapshot, Unfit},
    error::{Code, Refusal},
    gateway::Gateway,
    wire::{client::Seen, path},
};

/// The group of the key, whatever its policies say.
pub(super) fn open_group<'a>(
    snapshot: &'a Snapshot,
    request: &Request,
) -> Result<&'a Group, Refusal> {
    snapshot
        .group(request.caller.key.group_id)
        .filter(|group| group.active)
        .ok_or_else(|| {
            Refusal::new(
                Code::GroupMismatch,
                "The group of this API key is closed. Create a key in another group.",
            )
            .mended_by(Fix::NewKey)
        })
}

/// The group that a call comes to, and why it is not the key's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    own: &'a Group,
    pub(super) group: &'a Group,
    misfit: Option<Misfit>,
}

/// The group whose policies take the request: the key's own, else its fallback, one step and no further.
pub(super) async fn group_for<'a>(
    gateway: &Gateway,
    snapshot: &'a Snapshot,
    request: &Request,
) -> Result<Place<'a>, Refusal> {
    let own = open_group(snapshot, request)?;
    let Err(misfit) = takes(own, request) else {
        return Ok(Place {
            own,
            group: own,
            misfit: None,
        });
    };
    if let Some(fallback) = fallback_of(snapshot, own)
        && takes(fallback, request).is_ok()
    {
        return Ok(Place {
            own,
            group: fallback,
            misfit: Some(misfit),
        });
    }
    let asked = snapshot.model(&request.reading.model);
    let other = fitting(gateway, snapshot, request, own, asked.map(|model| &**model)).await?;
    Err(refusal(own, other, request, misfit))
}

impl<'a> Place<'a> {
    /// The group that has channels for the model. The step to the fallback is made once: where the policies have made
    /// it and the fallback lacks the model, they are why the call cannot be served.
    pub(super) async fn serving(
        self,
        gateway: &Gateway,
        snapshot: &'a Snapshot,
        model: &Model,
        request: &Request,
    ) -> Result<&'a Group, Refusal> {
        let Some(misfit) = self.misfit else {
            return Ok(serving(snapshot, self.own, model, request));
        };
        if self.group.serves(model.id) {
            return Ok(self.group);
        }
        let other = fitting(gateway, snapshot, request, self.own, Some(model)).await?;
        Err(refusal(self.own, other, request, misfit))
    }
}

/// The group that has channels for the model: the key's own, else its fallback if that takes the request.
pub(super) fn serving<'a>(
    snapshot: &'a Snapshot,
    own: &'a Group,
    model: &Model,
    request: &Request,
) -> &'a Group {
    if own.serves(model.id) {
        return own;
    }
    fallback_of(snapshot, own)
        .filter(|fallback| fallback.serves(model.id) && takes(fallback, request).is_ok())
        .unwrap_or(own)
}

/// The fallback of a group, if calls of the model by this client come to it, at one of these endpoints.
pub(crate) fn fallback_for<'a>(
    snapshot: &'a Snapshot,
    own: &Group,
    model: &Model,
    client: &Seen,
    protocols: &[Protocol],
) -> Option<&'a Group> {
    let fallback = fallback_of(snapshot, own).filter(|fallback| fallback.serves(model.id))?;
    let comes = |protocol| {
        let stays = own.serves(model.id) && takes_of(own, protocol, client).is_ok();
        !stays && takes_of(fallback, protocol, client).is_ok()
    };
    protocols
        .iter()
        .any(|protocol| comes(*protocol))
        .then_some(fallback)
}

/// The endpoints at which models of a kind are called.
pub(crate) fn protocols_of(kind: model::Kind) -> &'static [Protocol] {
    match kind {
        model::Kind::Chat => &[Protocol::Chat, Protocol::Responses, Protocol::Messages],
        model::Kind::Embedding => &[Protocol::Embeddings],
    }
}

fn fallback_of<'a>(snapshot: &'a Snapshot, group: &Group) -> Option<&'a Group> {
    let fallback = snapshot.group(group.fallback?)?;
    fallback.active.then_some(fallback)
}

/// What of a request a group's policies do not take.
#[derive(Clone, Copy, Debug)]
enum Misfit {
    Protocol,
    Client(Unfit),
}

fn takes(group: &Group, request: &Request) -> Result<(), Misfit> {
    takes_of(group, request.protocol, &request.visit.client)
}

fn takes_of(group: &Group, protocol: Protocol, client: &Seen) -> Result<(), Misfit> {
    if !group.takes_protocol(protocol) {
        return Err(Misfit::Protocol);
    }
    group.takes_client(client).map_err(Misfit::Client)
}

/// Another group that takes the request, has the model, and is open to the plans of its tenant.
pub(super) async fn fitting<'a>(
    gateway: &Gateway,
    snapshot: &'a Snapshot,
    request: &Request,
    not: &Group,
    model: Option<&Model>,
) -> Result<Option<&'a Group>, Refusal> {
    let key = &request.caller.key;
    let deal = gateway
        .inner
        .deals
        .of(key.tenant_id, gateway.inner.clock.now())
        .await
        .map_err(|error| not_read(&error))?;
    let others = snapshot.other_groups(not.id);
    Ok(others.into_iter().find(|group| {
        let has = model.is_none_or(|model| {
            group.serves(model.id) && deal.offers(&model.name, group.id, key.pay_order)
        });
        has && takes(group, request).is_ok()
    }))
}

fn refusal(own: &Group, other: Option<&Group>, request: &Request, misfit: Misfit) -> Refusal {
    let (code, cause, fix) = match misfit {
        Misfit::Protocol => protocol_misfit(own, request),
        Misfit::Client(unfit) => client_misfit(own, request, unfit),
    };
    // A newer version is nearer than another key.
    let update = matches!(fix, Fix::UpdateClient { .. } | Fix::OlderClient { .. });
    let fix = match other {
        Some(other) if !update => Fix::UseGroup {
            group: other.title.clone(),
        },
        _ => fix,
    };
    let also = match (other, update) {
        (Some(other), _) => format!(
            " The group `{}` takes it: use a key of that group.",
            other.title
        ),
        (None, true) => String::new(),
        (None, false) => " No other group here takes it.".to_owned(),
    };
    let mend = if update {
        format!(" {fix}")
    } else {
        String::new()
    };
    Refusal::new(code, format!("{cause}{mend}{also}")).mended_by(fix)
}

fn protocol_misfit(own: &Group, request: &Request) -> (Code, String, Fix) {
    let taken: Vec<&str> = own.protocols.iter().map(|taken| path::of(*taken)).collect();
    let cause = format!(
        "The group `{}` of this API key takes calls at {} only, and this one came to {}.",
        own.title,
        taken.join(", "),
        path::of(request.protocol)
    );
    let fix = Fix::UsePath {
        path: taken.join(", "),
    };
    (Code::ProtocolNotAllowed, cause, fix)
}

fn client_misfit(own: &Group, request: &Request, unfit: Unfit) -> (Code, String, Fix) {
    let clients: Vec<String> = own.clients.iter().map(ToString::to_string).collect();
    let clients = clients.join(", ");
    let cause = format!(
        "The group `{}` of this API key is for {clients} only, and this client is {}.",
        own.title,
        request.visit.client.named()
    );
    let fix = match unfit {
        Unfit::Kind => Fix::UseClient { clients },
        Unfit::TooOld(least) => Fix::UpdateClient {
            least: least.to_string(),
        },
        Unfit::TooNew(most) => Fix::OlderClient {
            most: most.to_string(),
        },
    };
    (Code::ClientNotAllowed, cause, fix)
}

/// The model has channels in no group that the key reaches; tells apart what the caller can mend (another endpoint,
/// another group) from what only the operator can.
pub(super) async fn no_channel(
    gateway: &Gateway,
    snapshot: &Snapshot,
    group: &Group,
    model: &Model,
    request: &Request,
) -> Refusal {
    if group.serves(model.id) {
        return Refusal::new(
            Code::NoChannel,
            format!(
                "The upstream channels that serve `{}` cannot be asked at {}.",
                model.name,
                path::of(request.protocol)
            ),
        );
    }
    let other = match fitting(gateway, snapshot, request, group, Some(model)).await {
        Ok(other) => other,
        Err(refusal) => return refusal,
    };
    if let Some(other) = other {
        return Refusal::new(
            Code::GroupMismatch,
            format!(
                "The group `{}` of this API key does not have the model `{}`; the group `{}` has. Use a key of that group.",
                group.title, model.name, other.title
            ),
        )
        .mended_by(Fix::UseGroup {
            group: other.title.clone(),
        });
    }
    Refusal::new(
        Code::NoChannel,
        format!(
            "No active upstream channel serves the model `{}` just now.",
            model.name
        ),
    )
}

/// The plans leave the model out for the key's group; another group may be in them.
pub(super) async fn with_other_group(
    gateway: &Gateway,
    refusal: Refusal,
    request: Asked<'_>,
) -> Refusal {
    let inner = &gateway.inner;
    let key = &request.caller.key;
    let Ok(snapshot) = inner.catalog.current().await else {
        return refusal;
    };
    let Ok(deal) = inner.deals.of(key.tenant_id, inner.clock.now()).await else {
        return refusal;
    };
    let others = snapshot.other_groups(request.group);
    let fits = others.into_iter().find(|group| {
        group.serves(request.model.id)
            && group.takes_protocol(request.protocol)
            && group.takes_client(request.client).is_ok()
            && deal.offers(&request.model.name, group.id, key.pay_order)
    });
    match fits {
        None => refusal,
        Some(group) => {
            let message = format!(
                "{} It includes it in the group `{}`: use a key of that group.",
                refusal.message, group.title
            );
            Refusal { message, ..refusal }.mended_by(Fix::UseGroup {
                group: group.title.clone(),
            })
        }
    }
}

/// What of a call decides which group would have fitted.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) caller: &'a identity::key::CallerRow,
    pub(super) group: entity::GroupId,
    pub(super) model: &'a Model,
    pub(super) protocol: Protocol,
    pub(super) client: &'a Seen,
}
