//! What the limits of a tenant, a member, a key and a credit line leave for one call.

use super::{Caller, HoldOrder, HoldRefusal, Offer, Wallet, Whose};
use crate::{
    cap::{Cap, Limit},
    plan::{Counted, Quantity, Reserve, Span},
};
use entity::{Credits, RuleId, Timestamp, cap::Bearer, quota_counter::Metric};
use uuid::Uuid;

/// A window of one limit, with what it has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    rule: RuleId,
    pub(super) subject: Uuid,
    span: Span,
    metric: Metric,
    left: i64,
}

impl Share {
    /// How far it lets a call hold credits.
    pub(super) fn room(&self) -> Credits {
        match self.metric {
            Metric::Credits => Credits::from_nanos(self.left),
            Metric::Requests => Credits::MAX,
        }
    }

    /// What a call that holds so much takes of it.
    pub(super) fn reserve(&self, held: Credits) -> (Uuid, Reserve) {
        let units = match self.metric {
            Metric::Credits => held.nanos(),
            Metric::Requests => 1,
        };
        let reserve = Reserve {
            rule: self.rule,
            span: self.span,
            metric: self.metric,
            units,
        };
        (self.subject, reserve)
    }
}

impl Wallet {
    /// Adds a limit that may bind one of the calls that are spoken of.
    pub fn add_cap(&mut self, cap: Cap) {
        self.caps.push(cap);
    }

    /// The limits that were added.
    pub fn caps(&self) -> &[Cap] {
        &self.caps
    }

    /// How many calls of a member or a key run, where one of its limits asks that.
    pub fn set_running(&mut self, subject: Uuid, calls: i64) {
        self.running.insert(subject, calls);
    }

    /// Moves the count of running calls of those whose limits ask for it.
    pub(super) fn count_running(&mut self, subjects: [Uuid; 2], by: i64) {
        for subject in subjects {
            if let Some(calls) = self.running.get_mut(&subject) {
                *calls = calls.saturating_add(by).max(0);
            }
        }
    }

    fn caps_of(&self, order: &HoldOrder) -> impl Iterator<Item = &Cap> {
        let subjects = [order.tenant.uuid(), order.member.uuid(), order.key.uuid()];
        self.caps
            .iter()
            .filter(move |cap| subjects.contains(&cap.subject))
    }

    /// Refuses a call where as many of its tenant, member or key run as may.
    pub(super) fn admit_running(&self, order: &HoldOrder) -> Result<(), HoldRefusal> {
        for cap in self.caps_of(order) {
            let Limit::OpenCalls(limit) = cap.limit else {
                continue;
            };
            let running = match cap.bearer {
                Bearer::Tenant => self.row.open_holds,
                Bearer::Member | Bearer::Key | Bearer::CreditLine => {
                    self.running.get(&cap.subject).copied().unwrap_or(0)
                }
            };
            if running >= i64::from(limit) {
                return Err(HoldRefusal::ConcurrencyLimit { limit });
            }
        }
        Ok(())
    }

    /// What every window that counts the call has left, or the no of the one that is whole again last.
    pub(super) fn shares(
        &self,
        order: &HoldOrder,
        caller: &Caller,
        offer: &Offer,
    ) -> Result<Vec<Share>, HoldRefusal> {
        let mut shares = Vec::new();
        let mut binding: Option<(Timestamp, HoldRefusal)> = None;
        for cap in self.caps_of(order) {
            let Some((share, no)) = self.share(cap, caller, &offer.name, order) else {
                continue;
            };
            match no {
                None => shares.push(share),
                Some(no) => {
                    let resets_at = share.span.ends_at;
                    if binding
                        .as_ref()
                        .is_none_or(|(latest, _)| resets_at > *latest)
                    {
                        binding = Some((resets_at, no));
                    }
                }
            }
        }
        match binding {
            Some((_, no)) => Err(no),
            None => Ok(shares),
        }
    }

    /// What a limit's window has left, and its no where that is too little.
    fn share(
        &self,
        cap: &Cap,
        caller: &Caller,
        model: &str,
        order: &HoldOrder,
    ) -> Option<(Share, Option<HoldRefusal>)> {
        let Limit::Quota {
            window,
            most,
            models,
        } = &cap.limit
        else {
            return None;
        };
        if !models.is_empty() && !models.iter().any(|pattern| pattern.matches(model)) {
            return None;
        }
        let latest = self.latest(cap.id, cap.subject, order.now);
        let span = window.span(order.now, caller.zone, latest.map(|counted| counted.span));
        let current = latest.filter(|counted| counted.span == span);
        let held = current.map_or(0, |counted| counted.reserved);
        let used = current.map_or(0, |counted| counted.used.saturating_add(held));
        let metric = most.metric();
        let share = Share {
            rule: cap.id,
            subject: cap.subject,
            span,
            metric,
            left: most.units().saturating_sub(used).max(0),
        };
        let needed = match metric {
            Metric::Credits => order.least.nanos(),
            Metric::Requests => 1,
        };
        if needed <= share.left && (share.left > 0 || order.amount.is_zero()) {
            return Some((share, None));
        }
        let of = match cap.bearer {
            Bearer::Tenant | Bearer::CreditLine => Whose::Tenant,
            Bearer::Member => Whose::Member,
            Bearer::Key => Whose::Key,
        };
        let (window, limit) = (window.to_string(), *most);
        let [used, held, needed] = [used, held, needed].map(|units| Quantity::of(metric, units));
        let resets_at = span.ends_at;
        let own = of != Whose::Tenant && metric == Metric::Credits;
        let no = if own {
            HoldRefusal::SpendCapReached {
                of,
                window,
                limit,
                used,
                held,
                needed,
                resets_at,
            }
        } else {
            HoldRefusal::QuotaExhausted {
                of,
                window,
                limit,
                used,
                held,
                needed,
                resets_at,
            }
        };
        Some((share, Some(no)))
    }

    /// What the monthly limit of the credit line has left, where there is one.
    pub(super) fn line_share(&self, caller: &Caller, now: Timestamp) -> Option<Share> {
        let cap = self
            .caps
            .iter()
            .find(|cap| cap.subject == self.row.id.uuid())?;
        let Limit::Quota { window, most, .. } = &cap.limit else {
            return None;
        };
        let latest = self.latest(cap.id, cap.subject, now);
        let span = window.span(now, caller.zone, latest.map(|counted| counted.span));
        let current = latest.filter(|counted| counted.span == span);
        let used = current.map_or(0, |counted| counted.used.saturating_add(counted.reserved));
        Some(Share {
            rule: cap.id,
            subject: cap.subject,
            span,
            metric: Metric::Credits,
            left: most.units().saturating_sub(used).max(0),
        })
    }

    /// The latest counted window of a rule for a subject that began by `now`.
    pub(super) fn latest(&self, rule: RuleId, subject: Uuid, now: Timestamp) -> Option<Counted> {
        let from = (rule, subject, Timestamp::from_micros(i64::MIN));
        let to = (rule, subject, now);
        let (_, counter) = self.counters.range(from..=to).next_back()?;
        Some(Counted {
            span: Span {
                starts_at: counter.row.window_start,
                ends_at: counter.row.window_end,
            },
            used: counter.row.used,
            reserved: counter.row.reserved,
        })
    }
}
