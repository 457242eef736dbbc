//! The menus beside every page of the console.

use crate::words::{Phrase, phrase};

/// One entry of a menu.
pub(crate) struct Item {
    /// Where it leads.
    pub path: &'static str,
    /// What it is called.
    pub label: Phrase,
    /// Its picture: the name of a symbol in `part/icons.html`.
    pub icon: &'static str,
}

impl Item {
    const fn new(path: &'static str, label: Phrase, icon: &'static str) -> Self {
        Self { path, label, icon }
    }

    /// Whether the page at `path` belongs under this entry.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let exact = matches!(self.path, "/console" | "/console/operator");
        path == self.path
            || (!exact
                && path
                    .strip_prefix(self.path)
                    .is_some_and(|rest| rest.starts_with('/')))
    }
}

/// What a member sees.
pub(super) static MEMBER: &[Item] = &[
    Item::new("/console", phrase("nav-overview"), "home"),
    Item::new("/console/keys", phrase("nav-keys"), "key"),
    Item::new("/console/usage", phrase("nav-usage"), "chart"),
    Item::new("/console/rejections", phrase("nav-rejections"), "shield"),
    Item::new("/console/plans", phrase("nav-plans"), "scale"),
    Item::new("/console/statement", phrase("nav-statement"), "scale"),
    Item::new("/console/redeem", phrase("nav-redeem"), "ticket"),
    Item::new("/console/buy", phrase("nav-buy"), "card"),
    Item::new("/console/settings", phrase("nav-settings"), "gear"),
    Item::new("/docs", phrase("nav-docs"), "book"),
];

/// What an operator sees beside it.
pub(super) static OPERATOR: &[Item] = &[
    Item::new("/console/operator", phrase("nav-operator"), "gauge"),
    Item::new(
        "/console/operator/tenants",
        phrase("op-nav-tenants"),
        "users",
    ),
    Item::new("/console/operator/models", phrase("op-nav-models"), "cube"),
    Item::new(
        "/console/operator/channels",
        phrase("op-nav-channels"),
        "plug",
    ),
    Item::new(
        "/console/operator/groups",
        phrase("op-nav-groups"),
        "layers",
    ),
    Item::new("/console/operator/plans", phrase("op-nav-plans"), "scale"),
    Item::new("/console/operator/codes", phrase("op-nav-codes"), "ticket"),
    Item::new(
        "/console/operator/orders",
        phrase("op-nav-orders"),
        "receipt",
    ),
    Item::new("/console/operator/audit", phrase("op-nav-audit"), "clock"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_below_an_entry_belongs_to_it() {
        let keys = Item::new("/console/keys", phrase("nav-keys"), "key");
        let home = Item::new("/console", phrase("nav-overview"), "home");

        assert!(keys.holds("/console/keys/1/revoke"));
        assert!(!keys.holds("/console/keysmith"));
        assert!(!home.holds("/console/keys"));
    }
}
