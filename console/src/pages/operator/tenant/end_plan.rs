//! Ends a tenant's subscription at once; what is left of its allowance lapses.

use crate::{
    Console, Error,
    frame::Operator,
    pages::operator::reasoned::{Deed, Outcome, Words},
};
use billing::subscription::{End, EndError, Stop, stop_for};
use entity::{Platform, Scoped, SubscriptionId, plan, plan_version, subscription};
use identity::Reason;
use sea_orm::{ColumnTrait, QueryFilter};

/// Ends it.
pub(crate) struct EndPlan;

/// A subscription and what its plan is called.
pub(crate) struct Named {
    subscription: subscription::Model,
    title: String,
}

impl Deed for EndPlan {
    type Id = SubscriptionId;
    type Subject = Named;

    const WORDS: Words = Words {
        title: "op-end-plan-title",
        text: "op-end-plan-text",
        button: "op-end-plan",
        reason_hint: "op-reason-hint",
        done: "op-end-plan-done",
        danger: true,
    };

    async fn find(console: &Console, id: SubscriptionId) -> Result<Named, Error> {
        let db = console.db.read();
        let subscription = subscription::Entity::across_tenants()
            .filter(subscription::Column::Id.eq(id))
            .one(db)
            .await?
            .ok_or(Error::NotFound)?;
        let version = plan_version::Entity::every()
            .filter(plan_version::Column::Id.eq(subscription.plan_version_id))
            .one(db)
            .await?
            .ok_or(Error::NotFound)?;
        let plan = plan::Entity::every()
            .filter(plan::Column::Id.eq(version.plan_id))
            .one(db)
            .await?
            .ok_or(Error::NotFound)?;
        Ok(Named {
            subscription,
            title: plan.title,
        })
    }

    fn name(subject: &Named) -> &str {
        &subject.title
    }

    fn back(subject: &Named) -> String {
        super::address(subject.subscription.tenant_id)
    }

    async fn carry_out(
        console: &Console,
        operator: &Operator,
        subject: &Named,
        reason: Reason,
    ) -> Result<Outcome, Error> {
        let row = &subject.subscription;
        let (actor, now) = (operator.0.actor(), console.clock.now());
        let stop = Stop {
            end: End::Now,
            reason: Some(reason.as_str().to_owned()),
        };
        match stop_for(&console.db, (row.tenant_id, row.id), stop, actor, now).await {
            Ok(()) => Ok(Outcome::Done),
            Err(EndError::NotFound) => Ok(Outcome::NothingToDo),
            Err(EndError::Clock) => Ok(Outcome::Refused("op-end-plan-clock")),
            Err(EndError::Store(fault)) => Err(Error::Store(fault)),
        }
    }
}
