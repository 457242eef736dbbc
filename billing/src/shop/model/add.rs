//! A new public model name. It stays hidden until it has a price.

use entity::{
    Actor, Database, ModelId, Platform, Timestamp,
    audit_trail::{self, Entry},
    model,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set};

/// The longest name of a model, in bytes.
const NAME_MAX: usize = 128;

/// What is known of a model when it is added.
#[derive(Clone, Debug)]
pub struct AddModel {
    /// The name callers send.
    pub name: String,
    /// Which endpoints serve it.
    pub kind: model::Kind,
    /// Most tokens of input and output together, where known.
    pub context_window: Option<i64>,
    /// Most tokens of one answer, where known.
    pub max_output: Option<i64>,
    /// What it can do, such as `vision`.
    pub capabilities: Vec<String>,
}

/// Why a model was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddModelError {
    /// The name is empty, too long, or holds a space or a control character.
    #[error("a model's name has 1 to {NAME_MAX} characters and no space")]
    Name,
    /// There is a model of this name.
    #[error("there is a model of this name")]
    Taken,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Adds a model without a price; it is hidden until it has one.
pub async fn add(
    db: &Database,
    order: AddModel,
    actor: Actor,
    now: Timestamp,
) -> Result<ModelId, AddModelError> {
    db.write(move |tx| Box::pin(async move { add_in(tx, &order, &actor, now).await }))
        .await
}

/// As [`add`], in the caller's transaction.
pub async fn add_in(
    tx: &impl ConnectionTrait,
    order: &AddModel,
    actor: &Actor,
    now: Timestamp,
) -> Result<ModelId, AddModelError> {
    let name = order.name.trim();
    if name.is_empty()
        || name.len() > NAME_MAX
        || name.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        return Err(AddModelError::Name);
    }
    let taken = model::Entity::every()
        .filter(model::Column::Name.eq(name))
        .one(tx)
        .await?;
    if taken.is_some() {
        return Err(AddModelError::Taken);
    }

    let id = ModelId::fresh();
    let capabilities: serde_json::Map<_, _> = order
        .capabilities
        .iter()
        .map(|word| (word.clone(), true.into()))
        .collect();
    let row = model::ActiveModel {
        id: Set(id),
        name: Set(name.to_owned()),
        title: Set(name.to_owned()),
        kind: Set(order.kind),
        status: Set(model::Status::Hidden),
        status_reason: Set(None),
        context_window: Set(order.context_window.filter(|tokens| *tokens > 0)),
        max_output: Set(order.max_output.filter(|tokens| *tokens > 0)),
        capabilities: Set(serde_json::Value::Object(capabilities).to_string()),
        created_at: Set(now),
    };
    model::Entity::insert(row)
        .exec_without_returning(tx)
        .await?;

    let entry = Entry {
        actor: actor.clone(),
        action: "model.add",
        subject: ("model", id.to_string()),
        tenant: None,
        reason: None,
        detail: Some(serde_json::json!({ "name": name })),
    };
    audit_trail::append(tx, entry, now).await?;
    Ok(id)
}
