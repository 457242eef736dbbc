//! Lifts the ban of a member.

use crate::{
    Console, Error,
    frame::Operator,
    pages::operator::{
        member::Named,
        reasoned::{Deed, Outcome, Words},
        tenant,
    },
};
use entity::MemberId;
use identity::{Reason, member::unban};

/// Lifts the ban of a member.
pub(crate) struct Unban;

impl Deed for Unban {
    type Id = MemberId;
    type Subject = Named;

    const WORDS: Words = Words {
        title: "op-member-unban-title",
        text: "op-member-unban-text",
        button: "op-member-unban",
        reason_hint: "op-reason-hint",
        done: "op-member-unbanned-done",
        danger: false,
    };

    async fn find(console: &Console, id: MemberId) -> Result<Named, Error> {
        super::found(console, id).await
    }

    fn name(subject: &Named) -> &str {
        &subject.name
    }

    fn back(subject: &Named) -> String {
        tenant::address(subject.member.tenant_id)
    }

    async fn carry_out(
        console: &Console,
        operator: &Operator,
        subject: &Named,
        reason: Reason,
    ) -> Result<Outcome, Error> {
        let (id, now) = (subject.member.id, console.clock.now());
        super::outcome(unban(&console.db, &operator.0, id, reason, now).await)
    }
}
