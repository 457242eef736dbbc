//! Several look-ups by id as one statement, whose text is the same for every batch of a size.

use super::{any_of, array_of, marks, statement};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Value};
use std::{
    collections::HashMap,
    fmt::Write as _,
    iter,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};
use uuid::Uuid;

/// One look-up. All that are joined have the same columns.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Arm {
    /// Up to the column that the ids are compared with.
    pub(crate) head: &'static str,
    /// What follows the ids; `{}` is the place of a value.
    pub(crate) tail: &'static str,
}

/// A statement in the making.
pub(crate) struct Union {
    backend: DbBackend,
    /// With the places for ids of each.
    arms: Vec<(&'static Arm, usize)>,
    values: Vec<Value>,
}

impl Union {
    pub(crate) fn on(tx: &impl ConnectionTrait) -> Self {
        Self {
            backend: tx.get_database_backend(),
            arms: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Adds a look-up, unless there is nothing to look for.
    pub(crate) fn add(
        &mut self,
        arm: &'static Arm,
        ids: impl IntoIterator<Item = Uuid>,
        rest: &[Value],
    ) {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        if ids.is_empty() {
            return;
        }
        if self.backend == DbBackend::Postgres {
            self.arms.push((arm, 1));
            self.values.push(array_of(&ids).into());
        } else {
            let size = places(ids.len());
            self.arms.push((arm, size));
            let filling = iter::repeat_n(Value::Uuid(None), size.saturating_sub(ids.len()));
            self.values
                .extend(ids.into_iter().map(Value::from).chain(filling));
        }
        self.values.extend_from_slice(rest);
    }

    /// The rows of all of them; none without a statement where there is nothing to look for.
    pub(crate) async fn read(self, tx: &impl ConnectionTrait) -> Result<Vec<QueryResult>, DbErr> {
        if self.arms.is_empty() {
            return Ok(Vec::new());
        }
        let sql = self.text();
        tx.query_all_raw(statement(self.backend, &sql, self.values))
            .await
    }

    fn text(&self) -> Arc<str> {
        type Texts = HashMap<(bool, Vec<(&'static Arm, usize)>), Arc<str>>;
        static TEXTS: LazyLock<Mutex<Texts>> = LazyLock::new(Mutex::default);
        let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (self.backend == DbBackend::Postgres, self.arms.clone());
        texts
            .entry(key)
            .or_insert_with(|| text(self.backend, &self.arms).into())
            .clone()
    }
}

/// Places for so many ids: few sizes, so that few texts are prepared. An empty place finds nothing.
fn places(ids: usize) -> usize {
    let mut size = 1_usize;
    while size < ids {
        size = size.saturating_mul(4);
    }
    size
}

fn text(backend: DbBackend, arms: &[(&'static Arm, usize)]) -> String {
    let postgres = backend == DbBackend::Postgres;
    let mut next = 1_usize;
    let mut take = |count: usize| {
        let first = next;
        next = next.saturating_add(count);
        first
    };
    let mut text = String::new();
    for (arm, size) in arms {
        if !text.is_empty() {
            text.push_str(" UNION ALL ");
        }
        text.push_str(arm.head);
        let first = take(*size);
        // Writing to a string cannot fail.
        let _ = if postgres {
            write!(text, " = {}", any_of(first))
        } else {
            write!(text, " IN ({})", marks(*size))
        };
        for (piece, part) in arm.tail.split("{}").enumerate() {
            if piece > 0 {
                let number = take(1);
                let place = if postgres {
                    format!("${number}")
                } else {
                    marks(1)
                };
                text.push_str(&place);
            }
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Arm = Arm {
        head: "SELECT a FROM x WHERE a",
        tail: " AND b < {}",
    };
    const SECOND: Arm = Arm {
        head: "SELECT a FROM y WHERE a",
        tail: "",
    };

    #[test]
    fn places_are_numbered_through_all_arms_and_come_in_few_sizes() {
        let on = |backend| text(backend, &[(&FIRST, 1), (&SECOND, 1)]);

        assert_eq!(
            on(DbBackend::Postgres),
            "SELECT a FROM x WHERE a = ANY(ARRAY(SELECT UNNEST(CAST($1 AS uuid[])))) AND b < $2 UNION ALL \
             SELECT a FROM y WHERE a = ANY(ARRAY(SELECT UNNEST(CAST($3 AS uuid[]))))"
        );
        assert_eq!(
            on(DbBackend::Sqlite),
            "SELECT a FROM x WHERE a IN (?) AND b < ? UNION ALL SELECT a FROM y WHERE a IN (?)"
        );
        let sizes: Vec<usize> = [1, 2, 4, 5, 64, 65].into_iter().map(places).collect();
        assert_eq!(sizes, [1, 4, 4, 16, 64, 256]);
    }
}
