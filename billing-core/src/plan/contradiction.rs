//! Rules that contradict each other: found when a plan is saved, each fault naming the clause.

use entity::Credits;
use entity::key::PayOrder;

use super::checked::Plan;
use super::fault::PlanFault;
use super::pattern::Pattern;

impl Plan {
    pub(super) fn refuse_contradictions(&self) -> Result<(), PlanFault> {
        self.refuse_allowed_and_blocked()?;
        self.refuse_rules_for_the_blocked()?;
        self.refuse_quotas_at_odds()?;
        self.refuse_unreachable_multipliers()?;
        match (&self.rollover, &self.lasts) {
            (Some((rollover, _)), Some((lasts, _))) => Err(PlanFault::NothingToMove {
                rollover: rollover.clone(),
                lasts: lasts.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Refuses rules about an allowance that a version does not give, or gives in vain.
    ///
    /// # Errors
    /// [`PlanFault`], naming the clause.
    pub fn check_allowance(&self, allowance: Credits) -> Result<(), PlanFault> {
        let gives = allowance.is_positive();
        let pay_order = |wanted| {
            let clause = self.pay_order.iter().find(|(_, order)| *order == wanted);
            clause.map(|(clause, _)| clause)
        };
        let about = self
            .rollover
            .iter()
            .map(|(clause, _)| clause)
            .chain(self.lasts.iter().map(|(clause, _)| clause))
            .chain(pay_order(PayOrder::PlanOnly))
            .next();
        match (gives, about, pay_order(PayOrder::WalletOnly)) {
            (false, Some(clause), _) => Err(PlanFault::NoAllowance(clause.clone())),
            (true, _, Some(clause)) => Err(PlanFault::NeverSpent(clause.clone())),
            _ => Ok(()),
        }
    }

    fn refuse_rules_for_the_blocked(&self) -> Result<(), PlanFault> {
        let Some((blocked, bans)) = &self.blocked else {
            return Ok(());
        };
        let quotas = self.quotas.iter();
        let quotas = quotas.map(|quota| (&quota.clause, &quota.models));
        let multipliers = self.multipliers.iter();
        let multipliers = multipliers.map(|factor| (&factor.clause, &factor.patterns));
        for (clause, patterns) in quotas.chain(multipliers) {
            let banned = |pattern: &&Pattern| bans.iter().any(|ban| ban.covers(pattern));
            if let Some(pattern) = patterns.iter().find(banned) {
                return Err(PlanFault::OfBlocked {
                    clause: clause.clone(),
                    pattern: pattern.to_string(),
                    blocked: blocked.clone(),
                });
            }
        }
        Ok(())
    }

    fn refuse_allowed_and_blocked(&self) -> Result<(), PlanFault> {
        let Some((blocked, bans)) = &self.blocked else {
            return Ok(());
        };
        let everything = Pattern::parse("*").expect("a star is a pattern");
        let (allowed, patterns) = match &self.allowed {
            Some((clause, patterns)) => (clause, patterns.as_slice()),
            None => (blocked, std::slice::from_ref(&everything)),
        };
        match patterns
            .iter()
            .find(|pattern| bans.iter().any(|ban| ban.covers(pattern)))
        {
            None => Ok(()),
            Some(pattern) => Err(PlanFault::AllowedAndBlocked {
                allowed: allowed.clone(),
                pattern: pattern.to_string(),
                blocked: blocked.clone(),
            }),
        }
    }

    fn refuse_quotas_at_odds(&self) -> Result<(), PlanFault> {
        for (index, second) in self.quotas.iter().enumerate() {
            for first in self.quotas.iter().take(index) {
                let same_kind =
                    first.limit.metric() == second.limit.metric() && first.models == second.models;
                if first.name == second.name || (same_kind && first.window == second.window) {
                    return Err(PlanFault::Twice {
                        first: first.clause.clone(),
                        second: second.clause.clone(),
                    });
                }
                let (short, long) = if first.window < second.window {
                    (first, second)
                } else {
                    (second, first)
                };
                // A window from first use may lie across two of the calendar's, so it can let more through.
                let nested = short.window.is_calendar() && long.window.is_calendar();
                if same_kind && nested && short.limit.units() > long.limit.units() {
                    return Err(PlanFault::NeverBinds {
                        short: short.clause.clone(),
                        long: long.clause.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn refuse_unreachable_multipliers(&self) -> Result<(), PlanFault> {
        for (index, second) in self.multipliers.iter().enumerate() {
            for first in self.multipliers.iter().take(index) {
                let covered =
                    |pattern: &Pattern| first.patterns.iter().any(|wide| wide.covers(pattern));
                if second.patterns.iter().any(covered) {
                    return Err(PlanFault::Twice {
                        first: first.clause.clone(),
                        second: second.clause.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}
