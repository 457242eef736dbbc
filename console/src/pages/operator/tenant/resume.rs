//! Lets a suspended tenant call again.

use crate::{
    Console, Error,
    frame::Operator,
    pages::operator::reasoned::{Deed, Outcome, Words},
};
use entity::{TenantId, tenant};
use identity::{Reason, tenant::resume};

/// Lets a suspended tenant call again.
pub(crate) struct Resume;

impl Deed for Resume {
    type Id = TenantId;
    type Subject = tenant::Model;

    const WORDS: Words = Words {
        title: "op-tenant-resume-title",
        text: "op-tenant-resume-text",
        button: "op-tenant-resume",
        reason_hint: "op-reason-hint",
        done: "op-tenant-resumed-done",
        danger: false,
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
        super::outcome(resume(&console.db, &operator.0, id, reason, now).await)
    }
}
