//! The laws that look at more than sums: what may be taken back of a lot, and in which order lots are drawn.

use super::laws::Law;

/// How many patterns a lot's scope has; none of them is a scope for everything, which comes last. Patterns hold no
/// unescaped quote, so `","` stands between two of them and nowhere else.
macro_rules! breadth {
    ($lot:literal) => {
        concat!(
            "CASE WHEN COALESCE(",
            $lot,
            r#".scope, '') NOT LIKE '%["%' THEN 1000000 ELSE 1 + (LENGTH("#,
            $lot,
            ".scope) - LENGTH(REPLACE(",
            $lot,
            r#".scope, '","', ''))) / 3 END"#
        )
    };
}

/// Whether lot `ga` comes before lot `gb` (ledger.md 6.3), computed anew from the lots themselves: by priority, sooner
/// expiry, narrower scope, what cost nothing first, earlier effect, id.
macro_rules! in_order {
    () => {
        concat!(
            "ga.priority < gb.priority OR (ga.priority = gb.priority AND (",
            "COALESCE(ga.expires_at, 9223372036854775807) < COALESCE(gb.expires_at, 9223372036854775807) OR (",
            "COALESCE(ga.expires_at, 9223372036854775807) = COALESCE(gb.expires_at, 9223372036854775807) AND (",
            breadth!("ga"), " < ", breadth!("gb"), " OR (", breadth!("ga"), " = ", breadth!("gb"), " AND (",
            "CASE WHEN ga.cost_minor > 0 THEN 1 ELSE 0 END < CASE WHEN gb.cost_minor > 0 THEN 1 ELSE 0 END OR (",
            "CASE WHEN ga.cost_minor > 0 THEN 1 ELSE 0 END = CASE WHEN gb.cost_minor > 0 THEN 1 ELSE 0 END AND (",
            "ga.effective_at < gb.effective_at OR (ga.effective_at = gb.effective_at AND ga.id < gb.id)",
            "))))))))"
        )
    };
}

pub(super) const LAWS: &[Law] = &[
    Law {
        name: "I11",
        says: "no more is taken back of a lot than it was",
        tables: &["grant"],
        breaches: &[(
            "grant.amount",
            r#"SELECT g.id AS "row", g.amount AS expected, CAST(-SUM(e.amount) AS BIGINT) AS found
               FROM ledger_transaction t
               JOIN ledger_entry e ON e.transaction_id = t.id AND e.account = 'wallet'
               JOIN "grant" g ON g.id = e.grant_id
               WHERE t.kind IN ('refund', 'clawback')
               GROUP BY g.id, g.amount HAVING -SUM(e.amount) > g.amount OR SUM(e.amount) > 0"#,
        )],
    },
    Law {
        name: "I14",
        says: "each drawing of a call took its lots in the documented order",
        tables: &["usage_allocation", "hold_allocation"],
        breaches: &[
            (
                "usage_allocation.n",
                concat!(
                    r#"SELECT b.usage_id AS "row", b.n - 1 AS expected, b.n AS found
                    FROM usage_allocation b
                    JOIN usage_allocation a ON a.usage_id = b.usage_id AND a.n = b.n - 1 AND a.draw = b.draw
                    JOIN "grant" ga ON ga.id = a.grant_id
                    JOIN "grant" gb ON gb.id = b.grant_id
                    WHERE b.n > 0 AND b.draw > 0 AND NOT (
                    "#,
                    in_order!(),
                    ")"
                ),
            ),
            (
                "hold_allocation.n",
                concat!(
                    r#"SELECT b.hold_id AS "row", b.n - 1 AS expected, b.n AS found
                    FROM hold_allocation b
                    JOIN hold_allocation a ON a.hold_id = b.hold_id AND a.n = b.n - 1 AND a.draw = b.draw
                    JOIN "grant" ga ON ga.id = a.grant_id
                    JOIN "grant" gb ON gb.id = b.grant_id
                    WHERE b.n > 0 AND b.draw > 0 AND NOT (
                    "#,
                    in_order!(),
                    ")"
                ),
            ),
        ],
    },
];
