//! Bans a member.

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
use identity::{Reason, member::ban};

/// Bans a member.
pub(crate) struct Ban;

impl Deed for Ban {
    type Id = MemberId;
    type Subject = Named;

    const WORDS: Words = Words {
        title: "op-member-ban-title",
        text: "op-member-ban-text",
        button: "op-member-ban",
        reason_hint: "op-reason-hint",
        done: "op-member-banned-done",
        danger: true,
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
        super::outcome(ban(&console.db, &operator.0, id, reason, now).await)
    }
}
