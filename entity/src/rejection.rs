//! A refused call of a known key, kept so that its owner can see why and how to mend it.

use crate::{KeyId, MemberId, Protocol, RejectionId, Scoped, TenantId, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rejection")]
pub struct Model {
    /// Which refusal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RejectionId,
    /// Whose.
    pub tenant_id: TenantId,
    /// Which member's.
    pub member_id: MemberId,
    /// Which key's.
    pub key_id: KeyId,
    /// The stable code.
    pub code: String,
    /// The HTTP status.
    pub http_status: i64,
    /// What the caller was told.
    pub message: String,
    /// In which protocol.
    pub protocol: Option<Protocol>,
    /// By which client.
    pub client_kind: String,
    /// The model asked for.
    pub model_name: Option<String>,
    /// How many equal calls in a row this row stands for.
    pub calls: i64,
    /// The path that was asked, without its query.
    pub path: Option<String>,
    /// JSON: the headers that mattered, as pairs of name and what it held; never a credential.
    pub headers: Option<String>,
    /// JSON of a [`Fix`]: what its caller can do.
    pub fix: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Scoped for Entity {
    fn tenant_column() -> Column {
        Column::TenantId
    }
}

/// What a refused caller can do, to be put into words in the reader's language; `Display` has the English ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Fix {
    /// Another group has the model and takes the client.
    UseGroup {
        /// Its title.
        group: String,
    },
    /// No group takes this client in this protocol with this model; another program has to be used.
    UseClient {
        /// The kinds that the key's group takes.
        clients: String,
    },
    /// The client is older than its group takes.
    UpdateClient {
        /// The least version.
        least: String,
    },
    /// The client is newer than its group takes.
    OlderClient {
        /// The newest version.
        most: String,
    },
    /// The endpoint of another protocol has to be asked.
    UsePath {
        /// It.
        path: String,
    },
    /// The request has to name a model.
    NameModel,
    /// The model's name was not right.
    PickModel {
        /// Names near to it, if any.
        near: String,
    },
    /// Another model has to be used.
    OtherModel,
    /// The plan leaves the model out.
    OtherPlan,
    /// The key has to be sent.
    SendKey,
    /// A new key has to be made.
    NewKey,
    /// The key has to be switched on.
    EnableKey,
    /// Credits are needed.
    AddCredits,
    /// A spend cap has to be raised, or its window waited for.
    RaiseCap,
    /// A window has to be waited for.
    AwaitWindow {
        /// When it is whole again.
        until: String,
    },
    /// Fewer calls at once, or a minute.
    SlowDown,
    /// The operator alone can change it.
    AskOperator,
    /// The request's body has to be mended.
    MendRequest,
    /// Another `Idempotency-Key` has to be sent, if the call is to be made.
    NewIdempotencyKey,
    /// The request has to become smaller.
    Shrink,
    /// The base URL is wrong.
    BaseUrl,
    /// It passes by itself.
    TryLater,
}

impl Fix {
    /// As the table keeps it.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// As the table had it; nothing where this version knows no such fix.
    pub fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Self::UseGroup { group } => {
                return write!(f, "Create a key in the group `{group}` and use it here.");
            }
            Self::UseClient { clients } => {
                return write!(
                    f,
                    "Use this key with {clients}, or ask the operator for a group that takes this client."
                );
            }
            Self::UpdateClient { least } => {
                return write!(f, "Update the client to version {least} or later.");
            }
            Self::OlderClient { most } => {
                return write!(f, "Use version {most} of the client or an earlier one.");
            }
            Self::UsePath { path } => return write!(f, "Set the client to ask {path}."),
            Self::PickModel { near } if !near.is_empty() => {
                return write!(f, "Set the model to one of: {near}.");
            }
            Self::AwaitWindow { until } => {
                return write!(f, "Wait until {until}, or have the limit raised.");
            }
            Self::NameModel => "Set a model in the client.",
            Self::PickModel { .. } => "Set the model to a name that GET /v1/models lists.",
            Self::OtherModel => "Choose another model.",
            Self::OtherPlan => "Choose a model that the plan includes, or another plan.",
            Self::SendKey => "Enter the key in the client, and restart it.",
            Self::NewKey => "Create a new key and enter it in the client.",
            Self::EnableKey => "Switch the key on again, or use another.",
            Self::AddCredits => "Add credits.",
            Self::RaiseCap => "Have the key's spend cap raised, or use another key.",
            Self::SlowDown => "Make fewer calls at a time.",
            Self::AskOperator => "Ask the operator of this gateway.",
            Self::MendRequest => "Mend the field that the message names.",
            Self::NewIdempotencyKey => {
                "Send another Idempotency-Key, if the call is to be made once more."
            }
            Self::Shrink => "Send less: a shorter conversation, or fewer and smaller pictures.",
            Self::BaseUrl => "Set the client's base URL as the connect page of the key shows it.",
            Self::TryLater => "Nothing is wrong on your side; try again in a moment.",
        };
        f.write_str(sentence)
    }
}
