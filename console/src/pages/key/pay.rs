//! What pays for a key's calls, as a choice of a form.

use crate::words::{Phrase, phrase};
use entity::key::PayOrder;

const ORDERS: [(PayOrder, &str); 3] = [
    (PayOrder::PlanThenWallet, "plan_then_wallet"),
    (PayOrder::PlanOnly, "plan_only"),
    (PayOrder::WalletOnly, "wallet_only"),
];

/// One choice.
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) label: Phrase,
    pub(super) chosen: bool,
}

/// All choices.
pub(super) fn choices(chosen: &str) -> Vec<Choice> {
    ORDERS
        .into_iter()
        .map(|(order, value)| Choice {
            value,
            label: label(order),
            chosen: value == chosen,
        })
        .collect()
}

/// The word of a choice in a form.
pub(super) fn word(order: PayOrder) -> &'static str {
    let known = ORDERS.into_iter().find(|(known, _)| *known == order);
    known.map_or("", |(_, word)| word)
}

/// The choice behind a word.
pub(super) fn parse(word: &str) -> Option<PayOrder> {
    let known = ORDERS.into_iter().find(|(_, known)| *known == word);
    known.map(|(order, _)| order)
}

/// What pays, in words.
pub(in crate::pages) const fn label(order: PayOrder) -> Phrase {
    match order {
        PayOrder::PlanThenWallet => phrase("pay-plan-then-wallet"),
        PayOrder::PlanOnly => phrase("pay-plan-only"),
        PayOrder::WalletOnly => phrase("pay-wallet-only"),
    }
}
