//! The laws, each as the queries that find a row which breaks it: `row`, what is `expected` of it, what is
//! `found`. The SQL is the same for both kinds of database; sums are cast, for one of them widens them. Over tables
//! that grow with every call, rows are looked up by their keys, so that no database holds all of them at once.

/// A law of the ledger.
pub(super) struct Law {
    /// Its number.
    pub(super) name: &'static str,
    /// What it says.
    pub(super) says: &'static str,
    /// The tables it speaks of.
    pub(super) tables: &'static [&'static str],
    /// What does not add up, and the query that finds it.
    pub(super) breaches: &'static [(&'static str, &'static str)],
}

pub(super) const LAWS: &[Law] = &[
    Law {
        name: "I1",
        says: "every transaction has entries, and they sum to zero per asset",
        tables: &["ledger_transaction", "ledger_entry"],
        breaches: &[
            (
                "ledger_entry.amount",
                r#"SELECT transaction_id AS "row", CAST(0 AS BIGINT) AS expected, CAST(SUM(amount) AS BIGINT) AS found
                   FROM ledger_entry GROUP BY transaction_id, asset HAVING SUM(amount) <> 0"#,
            ),
            (
                "ledger_transaction without entries",
                r#"SELECT t.id AS "row", CAST(2 AS BIGINT) AS expected, CAST(0 AS BIGINT) AS found
                   FROM ledger_transaction t WHERE NOT EXISTS (SELECT 1 FROM ledger_entry e WHERE e.transaction_id = t.id)"#,
            ),
            (
                "ledger_entry without transaction",
                r#"SELECT e.transaction_id AS "row", CAST(1 AS BIGINT) AS expected, CAST(0 AS BIGINT) AS found
                   FROM ledger_entry e WHERE NOT EXISTS (SELECT 1 FROM ledger_transaction t WHERE t.id = e.transaction_id)"#,
            ),
        ],
    },
    Law {
        name: "I2",
        says: "all entries sum to zero per asset",
        tables: &["ledger_entry"],
        breaches: &[(
            "ledger_entry.amount",
            r#"SELECT CAST(NULL AS uuid) AS "row", CAST(0 AS BIGINT) AS expected, CAST(SUM(amount) AS BIGINT) AS found
               FROM ledger_entry GROUP BY asset HAVING SUM(amount) <> 0"#,
        )],
    },
    Law {
        name: "I3",
        says: "a wallet's balance is the sum of its entries and of its lots; its debt that of its debt entries",
        tables: &["wallet", "grant", "ledger_entry"],
        breaches: &[
            (
                "wallet.posted by entries",
                r#"SELECT w.id AS "row", COALESCE(e.total, 0) AS expected, w.posted AS found FROM wallet w
                   LEFT JOIN (SELECT wallet_id, CAST(SUM(amount) AS BIGINT) AS total FROM ledger_entry
                              WHERE account = 'wallet' GROUP BY wallet_id) e ON e.wallet_id = w.id
                   WHERE w.posted <> COALESCE(e.total, 0)"#,
            ),
            (
                "wallet.posted by lots",
                r#"SELECT w.id AS "row", COALESCE(g.total, 0) AS expected, w.posted AS found FROM wallet w
                   LEFT JOIN (SELECT wallet_id, CAST(SUM(remaining) AS BIGINT) AS total FROM "grant"
                              GROUP BY wallet_id) g ON g.wallet_id = w.id
                   WHERE w.posted <> COALESCE(g.total, 0)"#,
            ),
            (
                "grant.remaining",
                r#"SELECT g.id AS "row", COALESCE(e.total, 0) AS expected, g.remaining AS found FROM "grant" g
                   LEFT JOIN (SELECT grant_id, CAST(SUM(amount) AS BIGINT) AS total FROM ledger_entry
                              WHERE account = 'wallet' GROUP BY grant_id) e ON e.grant_id = g.id
                   WHERE g.remaining <> COALESCE(e.total, 0)"#,
            ),
            (
                "wallet.debt",
                r#"SELECT w.id AS "row", COALESCE(e.total, 0) AS expected, w.debt AS found FROM wallet w
                   LEFT JOIN (SELECT wallet_id, CAST(-SUM(amount) AS BIGINT) AS total FROM ledger_entry
                              WHERE account = 'debt' GROUP BY wallet_id) e ON e.wallet_id = w.id
                   WHERE w.debt <> COALESCE(e.total, 0)"#,
            ),
        ],
    },
    Law {
        name: "I4",
        says: "what is held is what open holds reserve, lot by lot and wallet by wallet",
        tables: &["wallet", "grant", "hold", "hold_allocation"],
        breaches: &[
            (
                "grant.held",
                r#"SELECT g.id AS "row", COALESCE(a.total, 0) AS expected, g.held AS found FROM "grant" g
                   LEFT JOIN (SELECT grant_id, CAST(SUM(amount) AS BIGINT) AS total FROM hold_allocation
                              GROUP BY grant_id) a ON a.grant_id = g.id
                   WHERE g.held <> COALESCE(a.total, 0)"#,
            ),
            (
                "wallet.held",
                r#"SELECT w.id AS "row", COALESCE(g.total, 0) AS expected, w.held AS found FROM wallet w
                   LEFT JOIN (SELECT wallet_id, CAST(SUM(held) AS BIGINT) AS total FROM "grant"
                              GROUP BY wallet_id) g ON g.wallet_id = w.id
                   WHERE w.held <> COALESCE(g.total, 0)"#,
            ),
            (
                "wallet.open_holds",
                r#"SELECT w.id AS "row", COALESCE(h.n, 0) AS expected, w.open_holds AS found FROM wallet w
                   LEFT JOIN (SELECT wallet_id, CAST(COUNT(*) AS BIGINT) AS n FROM hold
                              GROUP BY wallet_id) h ON h.wallet_id = w.id
                   WHERE w.open_holds <> COALESCE(h.n, 0)"#,
            ),
            (
                "wallet.debt_held",
                r#"SELECT w.id AS "row", COALESCE(h.total, 0) AS expected, w.debt_held AS found FROM wallet w
                   LEFT JOIN (SELECT wallet_id, CAST(SUM(debt_amount) AS BIGINT) AS total FROM hold
                              GROUP BY wallet_id) h ON h.wallet_id = w.id
                   WHERE w.debt_held <> COALESCE(h.total, 0)"#,
            ),
            (
                "hold.amount",
                r#"SELECT h.id AS "row", h.debt_amount + COALESCE(a.total, 0) AS expected, h.amount AS found FROM hold h
                   LEFT JOIN (SELECT hold_id, CAST(SUM(amount) AS BIGINT) AS total FROM hold_allocation
                              GROUP BY hold_id) a ON a.hold_id = h.id
                   WHERE h.amount <> h.debt_amount + COALESCE(a.total, 0)"#,
            ),
            (
                "hold_allocation without hold",
                r#"SELECT a.hold_id AS "row", CAST(0 AS BIGINT) AS expected, a.amount AS found FROM hold_allocation a
                   WHERE NOT EXISTS (SELECT 1 FROM hold h WHERE h.id = a.hold_id)"#,
            ),
        ],
    },
    Law {
        name: "I5",
        says: "no lot is held or spent beyond what it has, and no balance or debt is below zero",
        tables: &["wallet", "grant"],
        breaches: &[
            (
                "grant.remaining",
                r#"SELECT id AS "row", held AS expected, remaining AS found FROM "grant"
                   WHERE held < 0 OR held > remaining OR remaining > amount"#,
            ),
            (
                "wallet.posted",
                r#"SELECT id AS "row", held AS expected, posted AS found FROM wallet
                   WHERE posted < 0 OR held < 0 OR held > posted OR debt < 0 OR debt_held < 0"#,
            ),
        ],
    },
    Law {
        name: "I6",
        says: "a call is open or has ended, never both",
        tables: &["hold", "usage"],
        breaches: &[(
            "hold.id",
            r#"SELECT h.id AS "row", CAST(0 AS BIGINT) AS expected, CAST(1 AS BIGINT) AS found FROM hold h
               WHERE EXISTS (SELECT 1 FROM "usage" u WHERE u.id = h.id)"#,
        )],
    },
    Law {
        name: "I7",
        says: "the charges behind a posting are what left its wallet and what became debt",
        tables: &["usage", "ledger_transaction"],
        breaches: &[
            (
                "usage.charge",
                r#"SELECT s.id AS "row", CAST(s.posted AS BIGINT) AS expected, CAST(s.charged AS BIGINT) AS found
                   FROM (SELECT t.id,
                                COALESCE((SELECT -SUM(e.amount) FROM ledger_entry e
                                          WHERE e.transaction_id = t.id AND e.account IN ('wallet', 'debt')), 0) AS posted,
                                COALESCE((SELECT SUM(u.charge) FROM "usage" u WHERE u.transaction_id = t.id), 0) AS charged
                         FROM ledger_transaction t WHERE t.kind = 'settle') s
                   WHERE s.posted <> s.charged"#,
            ),
            (
                "usage.transaction_id",
                r#"SELECT u.id AS "row", CAST(1 AS BIGINT) AS expected, CAST(0 AS BIGINT) AS found FROM "usage" u
                   LEFT JOIN ledger_transaction t ON t.id = u.transaction_id AND t.kind = 'settle'
                   WHERE u.charge > 0 AND t.id IS NULL"#,
            ),
        ],
    },
    Law {
        name: "I8",
        says: "what lots and debt paid for a call is its charge",
        tables: &["usage", "usage_allocation"],
        breaches: &[
            (
                "usage.charge",
                r#"SELECT u.id AS "row", u.charge AS found,
                          CAST(COALESCE((SELECT SUM(a.amount) FROM usage_allocation a WHERE a.usage_id = u.id), 0) AS BIGINT) AS expected
                   FROM "usage" u
                   WHERE u.charge <> COALESCE((SELECT SUM(a.amount) FROM usage_allocation a WHERE a.usage_id = u.id), 0)"#,
            ),
            (
                "usage_allocation without usage",
                r#"SELECT a.usage_id AS "row", CAST(0 AS BIGINT) AS expected, a.amount AS found FROM usage_allocation a
                   WHERE NOT EXISTS (SELECT 1 FROM "usage" u WHERE u.id = a.usage_id)"#,
            ),
        ],
    },
    Law {
        name: "I21",
        says: "what came back of a call is what its corrections booked, and never more than its charge",
        tables: &["usage", "usage_adjustment", "ledger_transaction"],
        breaches: &[
            (
                "usage_adjustment.amount beyond usage.charge",
                r#"SELECT a.usage_id AS "row", COALESCE(u.charge, 0) AS expected, a.total AS found
                   FROM (SELECT usage_id, CAST(SUM(amount) AS BIGINT) AS total FROM usage_adjustment
                         GROUP BY usage_id) a
                   LEFT JOIN "usage" u ON u.id = a.usage_id WHERE a.total > COALESCE(u.charge, 0)"#,
            ),
            (
                "usage_adjustment.amount",
                r#"SELECT a.id AS "row", COALESCE(e.total, 0) AS expected, a.amount AS found FROM usage_adjustment a
                   LEFT JOIN ledger_transaction t ON t.id = a.transaction_id AND t.kind = 'correct' AND t.tenant_id = a.tenant_id
                   LEFT JOIN (SELECT transaction_id, CAST(-SUM(amount) AS BIGINT) AS total FROM ledger_entry
                              WHERE account = 'used' GROUP BY transaction_id) e ON e.transaction_id = t.id
                   WHERE a.amount <> COALESCE(e.total, 0)"#,
            ),
            (
                "ledger_transaction of kind correct",
                r#"SELECT t.id AS "row", CAST(1 AS BIGINT) AS expected, CAST(0 AS BIGINT) AS found FROM ledger_transaction t
                   WHERE t.kind = 'correct'
                     AND NOT EXISTS (SELECT 1 FROM usage_adjustment a WHERE a.transaction_id = t.id)"#,
            ),
            (
                "usage_adjustment.tenant_id",
                r#"SELECT a.id AS "row", CAST(1 AS BIGINT) AS expected, CAST(0 AS BIGINT) AS found FROM usage_adjustment a
                   WHERE NOT EXISTS (SELECT 1 FROM "usage" u WHERE u.id = a.usage_id AND u.tenant_id = a.tenant_id)"#,
            ),
        ],
    },
    Law {
        name: "I9",
        says: "a business key is booked once",
        tables: &["ledger_transaction"],
        breaches: &[(
            "ledger_transaction.business_key",
            r#"SELECT t.id AS "row", CAST(1 AS BIGINT) AS expected, CAST(2 AS BIGINT) AS found FROM ledger_transaction t
               JOIN ledger_transaction o ON o.tenant_id = t.tenant_id AND o.business_key = t.business_key AND o.id <> t.id"#,
        )],
    },
    Law {
        name: "I10",
        says: "an order is credited with what it bought, once, and only when it was paid",
        tables: &["order", "grant"],
        breaches: &[
            (
                "order.credits",
                r#"SELECT o.id AS "row", CASE WHEN o.credited_at IS NULL THEN CAST(0 AS BIGINT) ELSE o.credits END AS expected,
                          COALESCE(g.total, 0) AS found FROM "order" o
                   LEFT JOIN (SELECT order_id, CAST(SUM(amount) AS BIGINT) AS total FROM "grant"
                              WHERE order_id IS NOT NULL AND source = 'paid' GROUP BY order_id) g ON g.order_id = o.id
                   WHERE COALESCE(g.total, 0) <> CASE WHEN o.credited_at IS NULL THEN 0 ELSE o.credits END"#,
            ),
            (
                "order.bonus",
                r#"SELECT o.id AS "row", CASE WHEN o.credited_at IS NULL THEN CAST(0 AS BIGINT) ELSE o.bonus END AS expected,
                          COALESCE(g.total, 0) AS found FROM "order" o
                   LEFT JOIN (SELECT order_id, CAST(SUM(amount) AS BIGINT) AS total FROM "grant"
                              WHERE order_id IS NOT NULL AND source <> 'paid' GROUP BY order_id) g ON g.order_id = o.id
                   WHERE COALESCE(g.total, 0) <> CASE WHEN o.credited_at IS NULL THEN 0 ELSE o.bonus END"#,
            ),
        ],
    },
    Law {
        name: "I13",
        // A plan that was ended by hand shuts its lots at a moment read before its turn to write came; a call that was
        // admitted meanwhile began after it, by as long as one waits for a turn.
        says: "no call was paid from a lot before its time or after it",
        tables: &["usage", "usage_allocation", "grant", "subscription"],
        breaches: &[
            (
                "usage_allocation.grant_id",
                r#"SELECT a.usage_id AS "row", g.effective_at AS expected, u.ended_at AS found FROM usage_allocation a
                   JOIN "usage" u ON u.id = a.usage_id JOIN "grant" g ON g.id = a.grant_id
                   LEFT JOIN subscription s ON s.id = g.subscription_id
                   WHERE g.effective_at > u.ended_at OR g.wallet_id <> u.wallet_id
                      OR g.expires_at <= u.started_at - CASE WHEN s.ended_at = g.expires_at THEN 60000000 ELSE 0 END"#,
            ),
            (
                "usage_allocation without lot",
                r#"SELECT a.usage_id AS "row", CAST(1 AS BIGINT) AS expected, CAST(0 AS BIGINT) AS found
                   FROM usage_allocation a WHERE a.grant_id IS NOT NULL
                     AND NOT EXISTS (SELECT 1 FROM "grant" g WHERE g.id = a.grant_id)"#,
            ),
        ],
    },
    Law {
        name: "I15",
        says: "a window's counter is what ended calls used of it and open holds reserve in it",
        tables: &["quota_counter", "hold_window", "usage_window"],
        breaches: &[
            (
                "quota_counter.reserved",
                r#"SELECT c.subject_id AS "row", COALESCE(h.total, 0) AS expected, c.reserved AS found FROM quota_counter c
                   LEFT JOIN (SELECT rule_id, subject_id, window_start, CAST(SUM(reserved) AS BIGINT) AS total
                              FROM hold_window GROUP BY rule_id, subject_id, window_start) h
                   ON h.rule_id = c.rule_id AND h.subject_id = c.subject_id AND h.window_start = c.window_start
                   WHERE c.reserved <> COALESCE(h.total, 0)"#,
            ),
            (
                "quota_counter.used",
                r#"SELECT c.subject_id AS "row", COALESCE(u.total, 0) AS expected, c.used AS found FROM quota_counter c
                   LEFT JOIN (SELECT rule_id, subject_id, window_start, CAST(SUM(amount) AS BIGINT) AS total
                              FROM usage_window GROUP BY rule_id, subject_id, window_start) u
                   ON u.rule_id = c.rule_id AND u.subject_id = c.subject_id AND u.window_start = c.window_start
                   WHERE c.used <> COALESCE(u.total, 0)"#,
            ),
            (
                "hold_window without counter or hold",
                r#"SELECT w.hold_id AS "row", CAST(0 AS BIGINT) AS expected, w.reserved AS found FROM hold_window w
                   WHERE NOT EXISTS (SELECT 1 FROM hold h WHERE h.id = w.hold_id)
                      OR NOT EXISTS (SELECT 1 FROM quota_counter c WHERE c.rule_id = w.rule_id
                                     AND c.subject_id = w.subject_id AND c.window_start = w.window_start)"#,
            ),
        ],
    },
    Law {
        name: "I16",
        says: "the lots of a credited order cost what was paid for it",
        tables: &["order", "grant"],
        breaches: &[(
            "grant.cost_minor",
            r#"SELECT o.id AS "row", o.amount_minor AS expected, COALESCE(g.total, 0) AS found FROM "order" o
               LEFT JOIN (SELECT order_id, CAST(SUM(cost_minor) AS BIGINT) AS total FROM "grant"
                          WHERE order_id IS NOT NULL GROUP BY order_id) g ON g.order_id = o.id
               WHERE o.credited_at IS NOT NULL AND COALESCE(g.total, 0) <> o.amount_minor"#,
        )],
    },
    Law {
        name: "I17",
        says: "a code is used as often as it was redeemed and may be, and each use gave something",
        tables: &["code", "redemption"],
        breaches: &[
            (
                "code.used_count",
                r#"SELECT c.id AS "row", COALESCE(r.n, 0) AS expected, c.used_count AS found FROM code c
                   LEFT JOIN (SELECT code_id, CAST(COUNT(*) AS BIGINT) AS n FROM redemption GROUP BY code_id) r
                   ON r.code_id = c.id
                   WHERE c.used_count <> COALESCE(r.n, 0) OR c.used_count > c.max_uses"#,
            ),
            (
                "code_batch.most_per_member",
                r#"SELECT b.id AS "row", b.most_per_member AS expected, MAX(r.n) AS found FROM code_batch b
                   JOIN (SELECT c.batch_id, r.tenant_id, CAST(COUNT(*) AS BIGINT) AS n FROM redemption r
                         JOIN code c ON c.id = r.code_id GROUP BY c.batch_id, r.tenant_id) r ON r.batch_id = b.id
                   WHERE r.n > b.most_per_member GROUP BY b.id, b.most_per_member"#,
            ),
            (
                "redemption.grant_id",
                r#"SELECT r.id AS "row", CAST(1 AS BIGINT) AS expected, CAST(0 AS BIGINT) AS found FROM redemption r
                   WHERE r.subscription_id IS NULL
                     AND NOT EXISTS (SELECT 1 FROM "grant" g WHERE g.id = r.grant_id AND g.code_id = r.code_id)"#,
            ),
        ],
    },
    Law {
        name: "I18",
        says: "every price and plan that something rests on is there",
        tables: &[
            "usage",
            "hold",
            "subscription",
            "price_version",
            "plan_version",
        ],
        breaches: &[
            (
                "usage.price_version_id",
                r#"SELECT u.id AS "row", CAST(1 AS BIGINT) AS expected, CAST(0 AS BIGINT) AS found FROM "usage" u
                   WHERE NOT EXISTS (SELECT 1 FROM price_version p WHERE p.id = u.price_version_id
                                     AND p.model_id = u.model_id)"#,
            ),
            (
                "hold.price_version_id",
                r#"SELECT h.id AS "row", CAST(1 AS BIGINT) AS expected, CAST(0 AS BIGINT) AS found FROM hold h
                   WHERE NOT EXISTS (SELECT 1 FROM price_version p WHERE p.id = h.price_version_id
                                     AND p.model_id = h.model_id)"#,
            ),
            (
                "subscription.plan_version_id",
                r#"SELECT s.id AS "row", CAST(1 AS BIGINT) AS expected, CAST(0 AS BIGINT) AS found FROM subscription s
                   WHERE NOT EXISTS (SELECT 1 FROM plan_version v WHERE v.id = s.plan_version_id)"#,
            ),
        ],
    },
    Law {
        name: "I20",
        says: "at no moment was a wallet, a lot or a debt below nothing",
        tables: &["ledger_entry"],
        breaches: &[
            (
                "ledger_entry.wallet_seq of a wallet",
                r#"SELECT b.wallet_id AS "row", CAST(0 AS BIGINT) AS expected, CAST(b.balance AS BIGINT) AS found
                   FROM (SELECT wallet_id, SUM(amount) OVER (PARTITION BY wallet_id ORDER BY wallet_seq) AS balance
                         FROM ledger_entry WHERE account = 'wallet' AND wallet_seq IS NOT NULL) b WHERE b.balance < 0"#,
            ),
            (
                "ledger_entry.wallet_seq of a lot",
                r#"SELECT b.grant_id AS "row", CAST(0 AS BIGINT) AS expected, CAST(b.balance AS BIGINT) AS found
                   FROM (SELECT grant_id, SUM(amount) OVER (PARTITION BY grant_id ORDER BY wallet_seq) AS balance
                         FROM ledger_entry WHERE account = 'wallet' AND wallet_seq IS NOT NULL) b WHERE b.balance < 0"#,
            ),
            (
                "ledger_entry.wallet_seq of a debt",
                r#"SELECT b.wallet_id AS "row", CAST(0 AS BIGINT) AS expected, CAST(b.balance AS BIGINT) AS found
                   FROM (SELECT wallet_id, SUM(amount) OVER (PARTITION BY wallet_id ORDER BY wallet_seq) AS balance
                         FROM ledger_entry WHERE account = 'debt' AND wallet_seq IS NOT NULL) b WHERE b.balance > 0"#,
            ),
        ],
    },
];
