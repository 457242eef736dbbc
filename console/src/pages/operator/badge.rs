//! How each status looks: its word, and whether it is good news.

use crate::words::{Phrase, phrase};
use entity::{
    channel, code_batch, grant, group, member, model, order, payment_inbox, plan, price_version,
    tenant,
};

/// A word with a colour; the word alone says it all.
pub(super) struct Badge {
    /// `good`, `warn`, `bad`, `note`, or nothing.
    pub tone: &'static str,
    /// The word.
    pub label: Phrase,
}

const fn badge(tone: &'static str, id: &'static str) -> Badge {
    Badge {
        tone,
        label: phrase(id),
    }
}

pub(super) const fn tenant(status: tenant::Status) -> Badge {
    match status {
        tenant::Status::Active => badge("good", "op-tenant-active"),
        tenant::Status::Suspended => badge("bad", "op-tenant-suspended"),
        tenant::Status::Closed => badge("", "op-tenant-closed"),
    }
}

pub(super) const fn tenant_kind(kind: tenant::Kind) -> Phrase {
    match kind {
        tenant::Kind::Personal => phrase("op-tenant-kind-personal"),
        tenant::Kind::Organisation => phrase("op-tenant-kind-organisation"),
        tenant::Kind::House => phrase("op-tenant-kind-house"),
    }
}

pub(super) const fn member(status: member::Status) -> Badge {
    match status {
        member::Status::Active => badge("good", "op-member-active"),
        member::Status::Banned => badge("bad", "op-member-banned"),
        member::Status::Left => badge("", "op-member-left"),
    }
}

pub(crate) const fn role(role: member::Role) -> Phrase {
    match role {
        member::Role::Owner => phrase("op-role-owner"),
        member::Role::Admin => phrase("op-role-admin"),
        member::Role::Billing => phrase("op-role-billing"),
        member::Role::Developer => phrase("op-role-developer"),
    }
}

pub(super) const fn grant(status: grant::Status) -> Badge {
    match status {
        grant::Status::Pending => badge("note", "op-grant-pending"),
        grant::Status::Active => badge("good", "op-grant-active"),
        grant::Status::Frozen => badge("warn", "op-grant-frozen"),
        grant::Status::Exhausted => badge("", "op-grant-exhausted"),
        grant::Status::Expired => badge("", "op-grant-expired"),
        grant::Status::Revoked => badge("bad", "op-grant-revoked"),
    }
}

pub(crate) const fn source(source: grant::Source) -> Phrase {
    match source {
        grant::Source::Paid => phrase("op-source-paid"),
        grant::Source::Promo => phrase("op-source-promo"),
        grant::Source::Code => phrase("op-source-code"),
        grant::Source::Plan => phrase("op-source-plan"),
        grant::Source::Adjust => phrase("op-source-adjust"),
        grant::Source::Goodwill => phrase("op-source-goodwill"),
        grant::Source::Import => phrase("op-source-import"),
    }
}

pub(super) const fn model(status: model::Status) -> Badge {
    match status {
        model::Status::Active => badge("good", "op-model-active"),
        model::Status::Hidden => badge("warn", "op-model-hidden"),
        model::Status::Blocked => badge("bad", "op-model-blocked"),
    }
}

pub(super) const fn price_source(source: price_version::Source) -> Phrase {
    match source {
        price_version::Source::Manual => phrase("op-model-price-source-manual"),
        price_version::Source::Table => phrase("op-model-price-source-table"),
        price_version::Source::Sandbox => phrase("op-model-price-source-sandbox"),
    }
}

/// A price whose time has not come.
pub(super) const fn price_planned() -> Badge {
    badge("note", "op-price-is-planned")
}

/// The price that holds.
pub(super) const fn price_present() -> Badge {
    badge("good", "op-price-is-present")
}

pub(super) const fn group(status: group::Status) -> Badge {
    match status {
        group::Status::Active => badge("good", "op-group-active"),
        group::Status::Disabled => badge("", "op-group-disabled"),
    }
}

pub(super) const fn channel(status: channel::Status) -> Badge {
    match status {
        channel::Status::Active => badge("good", "op-channel-active"),
        channel::Status::Disabled => badge("bad", "op-channel-disabled"),
    }
}

pub(super) const fn channel_kind(kind: channel::Kind) -> Phrase {
    match kind {
        channel::Kind::Openai => phrase("op-channel-kind-openai"),
        channel::Kind::Anthropic => phrase("op-channel-kind-anthropic"),
        channel::Kind::OpenaiCompatible => phrase("op-channel-kind-compatible"),
        channel::Kind::Sandbox => phrase("op-channel-kind-sandbox"),
    }
}

pub(super) const fn batch(status: code_batch::Status) -> Badge {
    match status {
        code_batch::Status::Active => badge("good", "op-code-batch-active"),
        code_batch::Status::Disabled => badge("", "op-code-batch-disabled"),
    }
}

pub(super) const fn plan(status: plan::Status) -> Badge {
    match status {
        plan::Status::Active => badge("good", "op-plan-active"),
        plan::Status::Hidden => badge("warn", "op-plan-hidden"),
        plan::Status::Retired => badge("", "op-plan-retired"),
    }
}

pub(super) const fn order(status: order::Status) -> Badge {
    match status {
        order::Status::Created => badge("note", "op-order-created-status"),
        order::Status::SessionOpen => badge("note", "op-order-session-open"),
        order::Status::AwaitingFunds => badge("note", "op-order-awaiting-funds"),
        order::Status::Credited => badge("good", "op-order-credited-status"),
        order::Status::PartiallyRefunded => badge("warn", "op-order-partially-refunded"),
        order::Status::Refunded => badge("warn", "op-order-refunded"),
        order::Status::Disputed => badge("bad", "op-order-disputed"),
        order::Status::ChargedBack => badge("bad", "op-order-charged-back"),
        order::Status::Expired => badge("", "op-order-expired"),
        order::Status::Canceled => badge("", "op-order-canceled"),
        order::Status::Failed => badge("bad", "op-order-failed"),
        order::Status::Review => badge("bad", "op-order-review-status"),
    }
}

pub(super) const fn inbox(status: payment_inbox::Status) -> Badge {
    match status {
        payment_inbox::Status::Received => badge("note", "op-inbox-status-received"),
        payment_inbox::Status::Done => badge("good", "op-inbox-status-done"),
        payment_inbox::Status::Ignored => badge("", "op-inbox-status-ignored"),
        payment_inbox::Status::Retry => badge("warn", "op-inbox-status-retry"),
        payment_inbox::Status::Dead => badge("bad", "op-inbox-status-dead"),
    }
}
