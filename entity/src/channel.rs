//! One upstream account: whose it is, where it is reached, and the sealed secret.

use crate::{ChannelId, Platform, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub mod attempt;
pub mod channel_check;
pub mod channel_key;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel")]
pub struct Model {
    /// Which channel.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChannelId,
    /// What operators call it.
    #[sea_orm(unique)]
    pub name: String,
    /// Which protocols it speaks.
    pub kind: Kind,
    /// Where it is reached, without the endpoint; empty for the sandbox.
    pub base_url: String,
    /// The sealed secret; bound to this row and the base URL's host.
    pub secret: Option<Vec<u8>>,
    /// Last four characters of the secret.
    pub secret_hint: Option<String>,
    /// When the secret was set.
    pub secret_set_at: Option<Timestamp>,
    /// Whether calls go there.
    pub status: Status,
    /// Why it is off.
    pub status_reason: Option<String>,
    /// Lower is tried first.
    pub priority: i64,
    /// Share among channels of one priority.
    pub weight: i64,
    /// JSON of [`Options`]: how it wants to be asked, and how much.
    pub options: String,
    /// When it was added.
    pub created_at: Timestamp,
}

/// What a channel may be asked and how; everything has a usual value, and only what differs is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Calls at once, in each process; no limit where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u32>,
    /// Calls a minute, in each process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute, in each process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Headers that every request of the channel carries, by name in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// An egress proxy of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// What it does otherwise than its protocol has it.
    #[serde(flatten)]
    pub quirks: Quirks,
}

/// What a provider does otherwise than its protocol has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about a provider"
)]
pub struct Quirks {
    /// The secret goes into the header `api-key` instead of `Authorization`.
    #[serde(skip_serializing_if = "is_false")]
    pub api_key_header: bool,
    /// The `api-version` that every address carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The only name it knows for the output limit of a chat request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_limit: Option<OutputLimit>,
    /// It refuses `stream_options`, and says what a stream used without being asked.
    #[serde(skip_serializing_if = "is_false")]
    pub no_stream_options: bool,
    /// Messages that were translated for it get marks of a prompt cache where their caller set none.
    #[serde(skip_serializing_if = "is_false")]
    pub auto_cache: bool,
    /// Its chat answers begin with their thoughts, between `<think>` and `</think>`; translated answers have them apart.
    #[serde(skip_serializing_if = "is_false")]
    pub split_think: bool,
    /// Whether thoughts of earlier answers go back to it in translated chat requests; by the model's name where nothing is
    /// said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_reasoning: Option<bool>,
}

/// What a provider calls the output limit of a chat request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// `max_tokens`
    MaxTokens,
    /// `max_completion_tokens`
    MaxCompletionTokens,
}

impl OutputLimit {
    /// The field's name.
    pub const fn field(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

impl Options {
    /// As the row has them; the usual ones where it cannot be read.
    pub fn parse(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// For the row.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// Which protocols a channel speaks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `openai`
    Openai,
    /// `anthropic`
    Anthropic,
    /// `openai_compatible`
    OpenaiCompatible,
    /// `sandbox`
    Sandbox,
}

/// Whether calls go to a channel.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `active`
    Active,
    /// `disabled`
    Disabled,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
