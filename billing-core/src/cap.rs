//! Limits that a tenant, a member, a key or a credit line has of its own, beside those of plans: what they say.

use crate::{
    admission::broken,
    plan::{HOURS_MAX, Pattern, Quantity, Rate, Window},
};
use entity::{
    Credits, DbErr, RuleId,
    cap::{Bearer, Meter, Model},
};
use uuid::Uuid;

/// Model patterns that one limit may have.
const MODELS_MAX: usize = 64;

/// A limit with whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cap {
    /// Its counters are kept under it.
    pub id: RuleId,
    /// What kind of thing has it.
    pub bearer: Bearer,
    /// Which tenant, member, key, or wallet.
    pub subject: Uuid,
    /// What it says.
    pub limit: Limit,
}

/// What a limit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many calls at once.
    OpenCalls(u32),
    /// So much in each window, by calls of models that fit one of the patterns; without any, by every call.
    Quota {
        /// When it starts anew.
        window: Window,
        /// How much.
        most: Quantity,
        /// For which models.
        models: Vec<Pattern>,
    },
    /// So many calls a minute, approximately.
    RequestsPerMinute(u64),
    /// So many tokens a minute, approximately.
    TokensPerMinute(u64),
}

impl Limit {
    /// A limit on credits for every model.
    pub fn credits(window: Window, most: Credits) -> Self {
        Self::Quota {
            window,
            most: Quantity::Credits(most),
            models: Vec::new(),
        }
    }

    pub fn meter(&self) -> Meter {
        match self {
            Self::OpenCalls(_) => Meter::OpenCalls,
            Self::Quota {
                most: Quantity::Credits(_),
                ..
            } => Meter::Credits,
            Self::Quota {
                most: Quantity::Requests(_),
                ..
            } => Meter::Requests,
            Self::RequestsPerMinute(_) => Meter::RequestsPerMinute,
            Self::TokensPerMinute(_) => Meter::TokensPerMinute,
        }
    }

    pub fn most(&self) -> Option<i64> {
        match self {
            Self::OpenCalls(calls) => Some(i64::from(*calls)),
            Self::Quota { most, .. } => Some(most.units()),
            Self::RequestsPerMinute(most) | Self::TokensPerMinute(most) => {
                i64::try_from(*most).ok()
            }
        }
    }

    /// The window and the models as they are stored, where the limit has any.
    pub fn scope(&self) -> (String, String) {
        let Self::Quota { window, models, .. } = self else {
            return (String::new(), "[]".to_owned());
        };
        let models: Vec<&str> = models.iter().map(Pattern::as_str).collect();
        let json = |fault: serde_json::Error| fault.to_string();
        (
            serde_json::to_string(window).unwrap_or_else(json),
            serde_json::to_string(&models).unwrap_or_else(json),
        )
    }

    pub fn is_in_range(&self) -> bool {
        let sensible = match self {
            Self::Quota { window, models, .. } => {
                window.is_in_range() && models.len() <= MODELS_MAX
            }
            Self::OpenCalls(_) | Self::RequestsPerMinute(_) | Self::TokensPerMinute(_) => true,
        };
        sensible
            && self
                .most()
                .is_some_and(|most| (1..=Credits::MAX.nanos()).contains(&most))
    }
}

impl Cap {
    /// A stored limit.
    pub fn of(row: &Model) -> Result<Self, DbErr> {
        let fault = |column: &str| broken(column, row.id);
        let count = || u64::try_from(row.most).map_err(|_| fault("cap.most"));
        let limit = match row.meter {
            Meter::OpenCalls => {
                Limit::OpenCalls(u32::try_from(row.most).map_err(|_| fault("cap.most"))?)
            }
            Meter::Credits | Meter::Requests => {
                let models: Vec<String> =
                    serde_json::from_str(&row.models).map_err(|_| fault("cap.models"))?;
                let patterns: Result<_, _> =
                    models.iter().map(|model| Pattern::parse(model)).collect();
                Limit::Quota {
                    window: serde_json::from_str(&row.window).map_err(|_| fault("cap.window"))?,
                    most: if row.meter == Meter::Credits {
                        Quantity::Credits(Credits::from_nanos(row.most))
                    } else {
                        Quantity::Requests(row.most)
                    },
                    models: patterns.map_err(|_| fault("cap.models"))?,
                }
            }
            Meter::RequestsPerMinute => Limit::RequestsPerMinute(count()?),
            Meter::TokensPerMinute => Limit::TokensPerMinute(count()?),
        };
        Ok(Self {
            id: row.id,
            bearer: row.bearer,
            subject: row.subject_id,
            limit,
        })
    }

    /// What it lets pass in a minute.
    pub fn rate(&self) -> Option<Rate> {
        match self.limit {
            Limit::RequestsPerMinute(most) => Some(Rate {
                requests: Some(most),
                tokens: None,
            }),
            Limit::TokensPerMinute(most) => Some(Rate {
                requests: None,
                tokens: Some(most),
            }),
            Limit::OpenCalls(_) | Limit::Quota { .. } => None,
        }
    }
}

/// The longest window from first use, in hours.
pub const LONGEST_HOURS: u32 = HOURS_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{KeyId, TenantId, Timestamp};

    #[test]
    fn a_limit_reads_as_it_was_written() {
        let limits = [
            Limit::OpenCalls(3),
            Limit::credits(Window::Month, Credits::from_nanos(7)),
            Limit::Quota {
                window: Window::FirstUse { hours: 5 },
                most: Quantity::Requests(40),
                models: vec![Pattern::parse("claude-*").expect("a pattern")],
            },
            Limit::RequestsPerMinute(60),
            Limit::TokensPerMinute(100_000),
        ];
        for limit in limits {
            let (window, models) = limit.scope();
            let row = Model {
                id: RuleId::fresh(),
                tenant_id: TenantId::fresh(),
                bearer: Bearer::Key,
                subject_id: KeyId::fresh().uuid(),
                meter: limit.meter(),
                window,
                models,
                most: limit.most().expect("in range"),
                created_at: Timestamp::from_micros(0),
            };
            assert!(limit.is_in_range());
            assert_eq!(Cap::of(&row).expect("it reads").limit, limit);
        }
    }

    #[test]
    fn only_a_limit_of_a_minute_is_a_rate() {
        let rate = |limit| {
            let cap = Cap {
                id: RuleId::fresh(),
                bearer: Bearer::Key,
                subject: KeyId::fresh().uuid(),
                limit,
            };
            cap.rate().map(|rate| (rate.requests, rate.tokens))
        };

        assert_eq!(rate(Limit::RequestsPerMinute(6)), Some((Some(6), None)));
        assert_eq!(rate(Limit::TokensPerMinute(7)), Some((None, Some(7))));
        assert_eq!(rate(Limit::OpenCalls(8)), None);
    }

    #[test]
    fn a_limit_of_nothing_and_a_window_of_no_length_are_out_of_range() {
        let table = [
            Limit::OpenCalls(0),
            Limit::credits(Window::Day, Credits::ZERO),
            Limit::credits(Window::Day, Credits::from_nanos(-1)),
            Limit::credits(Window::Day, Credits::from_nanos(i64::MAX)),
            Limit::credits(Window::FirstUse { hours: 0 }, Credits::from_nanos(1)),
            Limit::RequestsPerMinute(0),
            Limit::TokensPerMinute(u64::MAX),
        ];
        for limit in table {
            assert!(!limit.is_in_range(), "{limit:?}");
        }
    }
}
