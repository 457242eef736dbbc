//! The picture itself: groups with their channels, models with their prices.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use billing::rating;
use entity::{
    ChannelId, ChannelKeyId, GroupId, ModelId, PriceVersionId, Protocol, Timestamp,
    channel::{self, Options},
    group::client::{Rule, Version},
    model,
};
use outbound::{
    HeaderMap, Url,
    provider::{self, Endpoint},
};

use super::name;
use crate::wire::client::Seen;

/// Everything a call has to know about the shop, at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(super) groups: HashMap<GroupId, Group>,
    pub(super) models: HashMap<String, Arc<Model>>,
    /// Names in lower case, for callers who write them otherwise.
    pub(super) folded: HashMap<String, String>,
}

/// One shelf.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) title: String,
    pub(crate) active: bool,
    pub(crate) multiplier_ppm: i64,
    pub(crate) default_model: Option<Arc<Model>>,
    /// Protocols it takes; empty takes all.
    pub(crate) protocols: Vec<Protocol>,
    /// Clients it takes; empty takes all.
    pub(crate) clients: Vec<Rule>,
    /// Where calls go that it does not take or has no channel for.
    pub(crate) fallback: Option<GroupId>,
    /// Whether its calls stop at once when their client hangs up.
    pub(crate) stops_when_left: bool,
    /// Factor on tokens that had to be counted, in millionths.
    pub(crate) counted_ppm: i64,
    /// Whether what a translation would have to leave out is refused, where the answer may depend on it.
    pub(crate) strict: bool,
    pub(crate) channels: Vec<Arc<Channel>>,
}

/// One upstream account, ready to be called.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) id: ChannelId,
    pub(crate) name: String,
    pub(crate) upstream: Upstream,
    pub(crate) priority: i64,
    pub(crate) weight: u64,
    /// What the upstream calls each model it serves.
    pub(crate) models: HashMap<ModelId, String>,
    /// How it wants to be asked, and how much.
    pub(crate) options: Options,
    /// The headers of its own that every request carries.
    pub(crate) extra: HeaderMap,
    /// Its own egress proxy.
    pub(crate) proxy: Option<Url>,
}

/// One key of a channel.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// Which further key; none for the first.
    pub(crate) key: Option<ChannelKeyId>,
    /// The headers that carry the secret; marked sensitive, so no log shows them.
    pub(crate) headers: HeaderMap,
    /// The secret as its row has it, which says for good which key this is; none where the upstream wants none.
    pub(crate) sealed: Option<Vec<u8>>,
}

/// Where a channel leads.
#[derive(Debug)]
pub(crate) enum Upstream {
    /// Into this process.
    Sandbox,
    /// To a provider.
    Provider {
        kind: provider::Kind,
        base: Url,
        /// At least one.
        keys: Vec<Credential>,
    },
}

/// One public model.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) id: ModelId,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) kind: model::Kind,
    pub(crate) status: model::Status,
    pub(crate) status_reason: Option<String>,
    pub(crate) context_window: Option<u64>,
    pub(crate) max_output: Option<u64>,
    /// What the price table says that it can do.
    pub(crate) words: BTreeSet<String>,
    pub(crate) created_at: Timestamp,
    /// None where no price is in force: such a model is never served.
    pub(crate) price: Option<Price>,
}

/// The price in force.
#[derive(Clone, Debug)]
pub(crate) struct Price {
    pub(crate) version: PriceVersionId,
    pub(crate) sale: rating::Price,
    /// What the upstream takes, where known.
    pub(crate) cost: Option<rating::Price>,
}

impl Snapshot {
    /// The group of a key.
    pub(crate) fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// The model that a caller means: by its name, whatever the case, with or without a provider's prefix.
    pub(crate) fn model(&self, asked: &str) -> Option<&Arc<Model>> {
        name::spellings(asked).find_map(|spelling| {
            self.models
                .get(&spelling)
                .or_else(|| self.models.get(self.folded.get(&spelling.to_lowercase())?))
                .filter(|model| model.status != model::Status::Hidden)
        })
    }

    /// Models that can be asked for, whoever has channels for them.
    pub(crate) fn for_sale(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models
            .values()
            .filter(|model| model.status == model::Status::Active && model.price.is_some())
    }

    /// Models that a key of this group may ask for, by name.
    pub(crate) fn offered_by<'a>(
        &'a self,
        group: &'a Group,
    ) -> impl Iterator<Item = &'a Arc<Model>> {
        self.for_sale().filter(|model| group.serves(model.id))
    }

    /// Names near to one that was not found, nearest first.
    pub(crate) fn names_near(&self, asked: &str, group: &Group) -> Vec<String> {
        name::nearest(
            asked,
            self.offered_by(group).map(|model| model.name.as_str()),
        )
    }

    /// The other open groups, in the order of their titles.
    pub(crate) fn other_groups(&self, not: GroupId) -> Vec<&Group> {
        let mut others: Vec<_> = self
            .groups
            .values()
            .filter(|group| group.id != not && group.active)
            .collect();
        others.sort_by(|a, b| (&a.title, a.id).cmp(&(&b.title, b.id)));
        others
    }
}

/// Why a group does not take a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is for other kinds.
    Kind,
    /// The client is older than this.
    TooOld(Version),
    /// The client is newer than this.
    TooNew(Version),
}

impl Group {
    /// Whether any channel of the group has this model, in whatever protocol.
    pub(crate) fn serves(&self, model: ModelId) -> bool {
        self.channels
            .iter()
            .any(|channel| channel.models.contains_key(&model))
    }

    /// Whether the group's policies let this protocol in.
    pub(crate) fn takes_protocol(&self, protocol: Protocol) -> bool {
        self.protocols.is_empty() || self.protocols.contains(&protocol)
    }

    /// Whether the group's policies let this client in. A version that the client does not say is let pass.
    pub(crate) fn takes_client(&self, client: &Seen) -> Result<(), Unfit> {
        if self.clients.is_empty() {
            return Ok(());
        }
        let mut unfit = Unfit::Kind;
        for rule in self.clients.iter().filter(|rule| client.may_be(&rule.kind)) {
            unfit = match (client.version, rule.least, rule.most) {
                (Some(version), Some(least), _) if version < least => Unfit::TooOld(least),
                (Some(version), _, Some(most)) if version > most => Unfit::TooNew(most),
                _ => return Ok(()),
            };
        }
        Err(unfit)
    }
}

impl Channel {
    /// The protocol in which a call of this one is asked here: the same where the channel speaks it and the model is
    /// served in it, else the one to translate to; none where nothing can be translated.
    pub(crate) fn way(&self, protocol: Protocol, model: &Model) -> Option<Protocol> {
        let Upstream::Provider { kind, .. } = &self.upstream else {
            return Some(protocol);
        };
        let only_responses =
            *kind == provider::Kind::OpenAi && model.words.contains(RESPONSES_ONLY);
        if self.speaks(protocol) && !(only_responses && protocol == Protocol::Chat) {
            return Some(protocol);
        }
        match (protocol, kind) {
            (Protocol::Embeddings, _) => None,
            (_, provider::Kind::Anthropic) => Some(Protocol::Messages),
            (_, provider::Kind::OpenAi) => Some(Protocol::Responses),
            (_, provider::Kind::OpenAiCompatible) => Some(Protocol::Chat),
        }
    }

    /// How many keys are drawn in turn.
    pub(crate) fn keys(&self) -> &[Credential] {
        match &self.upstream {
            Upstream::Sandbox => &[],
            Upstream::Provider { keys, .. } => keys,
        }
    }

    /// Whether the channel can be asked in this protocol itself.
    pub(crate) fn speaks(&self, protocol: Protocol) -> bool {
        match &self.upstream {
            Upstream::Sandbox => true,
            Upstream::Provider { kind, .. } => kind.serves(endpoint(protocol)),
        }
    }
}

/// The price table's word for a model that `OpenAI` serves in no other protocol.
const RESPONSES_ONLY: &str = "responses_only";

/// The provider's endpoint for a protocol.
pub(crate) fn endpoint(protocol: Protocol) -> Endpoint {
    match protocol {
        Protocol::Chat => Endpoint::Chat,
        Protocol::Responses => Endpoint::Responses,
        Protocol::Messages => Endpoint::Messages,
        Protocol::Embeddings => Endpoint::Embeddings,
    }
}

/// The kind of provider behind a channel's row; none for the sandbox.
pub(super) fn provider_kind(kind: channel::Kind) -> Option<provider::Kind> {
    match kind {
        channel::Kind::Openai => Some(provider::Kind::OpenAi),
        channel::Kind::Anthropic => Some(provider::Kind::Anthropic),
        channel::Kind::OpenaiCompatible => Some(provider::Kind::OpenAiCompatible),
        channel::Kind::Sandbox => None,
    }
}
