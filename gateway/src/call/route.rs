//! In which order the channels of a call are tried: working ones first, then priority, then those that speak the
//! call's own protocol, then a draw by weight.
//!
//! The draw is not random but of the conversation: the same key and the same beginning of a prompt go to the same
//! channel as long as it is there, for its cache knows them.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use entity::{ChannelId, KeyId, ModelId};

use super::cooldown::{Cooldowns, Subject};
use crate::catalog::{Channel, Credential, Group};

/// What makes two requests one conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversation<'a> {
    pub(super) key: KeyId,
    pub(super) body: &'a [u8],
}

/// The beginning of a prompt that providers cache is longer than this; requests shorter than it have little to gain.
const PREFIX_BYTES: usize = 2_048;

/// The channels that can serve the call, in order. `translates` says whether the call has to be translated for one,
/// and nothing where it cannot be.
pub(super) fn channels(
    group: &Group,
    model: ModelId,
    translates: impl Fn(&Channel) -> Option<bool>,
    conversation: Conversation<'_>,
    cooldowns: &Cooldowns,
) -> Vec<Arc<Channel>> {
    let mut able: Vec<_> = group
        .channels
        .iter()
        .filter(|channel| channel.models.contains_key(&model))
        .filter_map(|channel| {
            let foreign = translates(channel)?;
            Some((
                (cooling(channel, cooldowns), channel.priority, foreign),
                channel,
            ))
        })
        .collect();
    able.sort_by_key(|(tier, channel)| (*tier, channel.id));

    let mut ordered = Vec::with_capacity(able.len());
    let mut seed = conversation.seed();
    let mut rest = able.as_slice();
    while let Some(((tier, _), _)) = rest.split_first() {
        let same = rest.iter().take_while(|(other, _)| other == tier).count();
        let (tier, after) = rest.split_at(same);
        draw(tier, &mut seed, &mut ordered);
        rest = after;
    }
    ordered
}

/// How long a channel still cools: itself, or every one of its keys.
pub(super) fn cooling(channel: &Channel, cooldowns: &Cooldowns) -> Duration {
    worst(channel, |subject| cooldowns.left(subject))
}

/// How long a channel is not to be asked at all, for its upstream said so.
pub(super) fn barred(channel: &Channel, cooldowns: &Cooldowns) -> Duration {
    worst(channel, |subject| cooldowns.barred(subject))
}

/// Whether it is a rate limit that bars the channel: its own, or that of every one of its keys.
pub(super) fn limited(channel: &Channel, cooldowns: &Cooldowns) -> bool {
    let keys = channel.keys();
    cooldowns.limited(Subject::Channel(channel.id))
        || keys.len() > 1
            && keys
                .iter()
                .all(|credential| cooldowns.limited(Subject::Key(channel.id, credential.key)))
}

fn worst(channel: &Channel, rest: impl Fn(Subject) -> Duration) -> Duration {
    let own = rest(Subject::Channel(channel.id));
    let keys = channel.keys();
    if keys.len() < 2 {
        return own;
    }
    let of_keys = keys
        .iter()
        .map(|credential| rest(Subject::Key(channel.id, credential.key)));
    own.max(of_keys.min().unwrap_or_default())
}

/// Whose turn it is at channels with several keys.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<ChannelId, usize>>);

impl Turns {
    /// The next key that does not cool; the one that has cooled longest where all do.
    pub(super) fn draw<'a>(
        &self,
        channel: ChannelId,
        keys: &'a [Credential],
        cooldowns: &Cooldowns,
    ) -> Option<&'a Credential> {
        if keys.len() < 2 {
            return keys.first();
        }
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(channel).or_default();
        let start = *turn;
        *turn = turn.wrapping_add(1);
        drop(turns);
        (0..keys.len())
            .filter_map(|step| keys.get(start.wrapping_add(step) % keys.len()))
            .min_by_key(|credential| cooldowns.left(Subject::Key(channel, credential.key)))
    }
}

fn draw<T>(tier: &[(T, &Arc<Channel>)], seed: &mut u64, ordered: &mut Vec<Arc<Channel>>) {
    let mut left: Vec<&Arc<Channel>> = tier.iter().map(|(_, channel)| *channel).collect();
    while !left.is_empty() {
        let total: u64 = left.iter().map(|channel| channel.weight.max(1)).sum();
        *seed = next(*seed);
        let mut ticket = *seed % total;
        let place = left
            .iter()
            .position(|channel| {
                let weight = channel.weight.max(1);
                let hit = ticket < weight;
                ticket = ticket.saturating_sub(weight);
                hit
            })
            .unwrap_or(0);
        ordered.push(Arc::clone(left.swap_remove(place)));
    }
}

impl Conversation<'_> {
    fn seed(self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.key.hash(&mut hasher);
        let prefix = self.body.get(..PREFIX_BYTES).unwrap_or(self.body);
        prefix.hash(&mut hasher);
        hasher.finish()
    }
}

/// `SplitMix64`, so that each draw of a call is another.
fn next(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use entity::{ChannelKeyId, GroupId, channel::Options};
    use outbound::HeaderMap;

    use super::*;
    use crate::{call::cooldown::Severity, catalog::Upstream};

    fn channel(name: &str, priority: i64, weight: u64, model: ModelId) -> Arc<Channel> {
        Arc::new(Channel {
            id: ChannelId::fresh(),
            name: name.to_owned(),
            upstream: Upstream::Sandbox,
            priority,
            weight,
            models: HashMap::from([(model, name.to_owned())]),
            options: Options::default(),
            extra: HeaderMap::new(),
            proxy: None,
        })
    }

    fn group(channels: &[Arc<Channel>]) -> Group {
        Group {
            id: GroupId::fresh(),
            title: String::new(),
            active: true,
            multiplier_ppm: 1_000_000,
            default_model: None,
            protocols: Vec::new(),
            clients: Vec::new(),
            fallback: None,
            stops_when_left: false,
            counted_ppm: 1_000_000,
            strict: false,
            channels: channels.to_vec(),
        }
    }

    fn order(group: &Group, model: ModelId, body: &str, cooldowns: &Cooldowns) -> Vec<String> {
        let conversation = Conversation {
            key: KeyId::from_uuid(model.uuid()),
            body: body.as_bytes(),
        };
        let native = |channel: &Channel| Some(channel.name.starts_with("foreign"));
        channels(group, model, native, conversation, cooldowns)
            .iter()
            .map(|channel| channel.name.clone())
            .collect()
    }

    #[test]
    fn priority_decides_then_weight_and_a_conversation_stays() {
        let model = ModelId::fresh();
        let all = [
            channel("heavy", 0, 9, model),
            channel("light", 0, 1, model),
            channel("spare", 5, 100, model),
            channel("stranger", 0, 100, ModelId::fresh()),
        ];
        let group = group(&all);
        let cooldowns = Cooldowns::default();

        let mut heavy_first = 0;
        for number in 0..1_000 {
            let body = format!("conversation {number}");
            let found = order(&group, model, &body, &cooldowns);
            assert_eq!(found.len(), 3);
            assert_eq!(found.last().map(String::as_str), Some("spare"));
            assert_eq!(found, order(&group, model, &body, &cooldowns));
            heavy_first += usize::from(found.first().is_some_and(|name| name == "heavy"));
        }

        assert!((850..950).contains(&heavy_first), "{heavy_first}");
    }

    #[test]
    fn the_protocol_of_the_call_goes_before_a_translation() {
        let model = ModelId::fresh();
        let all = [
            channel("foreign", 0, 1_000, model),
            channel("native", 0, 1, model),
            channel("foreign first", -1, 1, model),
        ];
        let group = group(&all);

        assert_eq!(
            order(&group, model, "x", &Cooldowns::default()),
            ["foreign first", "native", "foreign"]
        );
    }

    #[test]
    fn a_cooling_channel_comes_last() {
        let model = ModelId::fresh();
        let all = [channel("first", 0, 1, model), channel("spare", 9, 1, model)];
        let group = group(&all);
        let cooldowns = Cooldowns::default();

        cooldowns.failed(Subject::Channel(all[0].id), Severity::Account);

        assert_eq!(
            order(&group, model, "x", &cooldowns),
            ["spare".to_owned(), "first".to_owned()]
        );
    }

    #[test]
    fn keys_are_drawn_in_turn_and_a_cooling_one_is_passed_over() {
        let channel = ChannelId::fresh();
        let keys: Vec<Credential> = [
            None,
            Some(ChannelKeyId::fresh()),
            Some(ChannelKeyId::fresh()),
        ]
        .into_iter()
        .map(|key| Credential {
            key,
            headers: HeaderMap::new(),
            sealed: None,
        })
        .collect();
        let (turns, cooldowns) = (Turns::default(), Cooldowns::default());
        let drawn = |times: usize| -> Vec<usize> {
            (0..times)
                .map(|_| {
                    let drawn = turns.draw(channel, &keys, &cooldowns).expect("a key");
                    keys.iter()
                        .position(|key| key.key == drawn.key)
                        .expect("one of them")
                })
                .collect()
        };

        assert_eq!(drawn(4), [0, 1, 2, 0]);
        cooldowns.failed(Subject::Key(channel, keys[1].key), Severity::Account);
        assert!(!drawn(6).contains(&1));
    }
}
