//! Suspends a tenant.

use crate::{
    Console, Error,
    frame::Operator,
    pages::operator::reasoned::{Deed, Outcome, Words},
};
use entity::{TenantId, tenant};
use identity::{Reason, tenant::suspend};

/// Suspends a tenant.
pub(crate) struct Suspend;

impl Deed for Suspend {
    type Id = TenantId;
    type Subject = tenant::Model;

    const WORDS: Words = Words {
        title: "op-tenant-suspend-title",
        text: "op-tenant-suspend-text",
        button: "op-tenant-suspend",
        reason_hint: "op-reason-hint",
        done: "op-tenant-suspended-done",
        danger: true,
    };

    async fn find(console: &Console, id: TenantId) -> Result<tenant::Model, Error> {
        super::found(console, id).await
    }

    fn name(subject: &tenant::Model) -> &str {
        &subject.name
    }

    fn back(subject: &tenant::Model) -> String {
        super::address(subject.id)
    }

    async fn carry_out(
        console: &Console,
        operator: &Operator,
        subject: &tenant::Model,
        reason: Reason,
    ) -> Result<Outcome, Error> {
        let (id, now) = (subject.id, console.clock.now());
        super::outcome(suspend(&console.db, &operator.0, id, reason, now).await)
    }
}
