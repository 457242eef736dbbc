//! A short wait for calls that nothing but running calls of their own tenant stands in the way of.

use super::{Hold, Lanes};
use crate::admission::{HoldOrder, HoldRefusal};
use entity::TenantId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// Calls of one tenant that may wait; one more is refused at once.
const WAITING_MAX: usize = 64;
/// Calls of all tenants that may wait in this process, each with its body in memory.
const WAITING_TOTAL: usize = 1_024;
/// A call may end in another process, which cannot wake anybody here, so whoever waits also looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Who waits, tenant by tenant.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<HashMap<TenantId, Queue>>);

#[derive(Debug, Default)]
struct Queue {
    waiting: usize,
    ended: Arc<Notify>,
}

/// A place in a tenant's queue, until it is dropped.
struct Place<'a> {
    waits: &'a Waits,
    tenant: TenantId,
    ended: Arc<Notify>,
}

impl Waits {
    /// A call of the tenant has ended, so the one that waits longest may try.
    pub(super) fn wake(&self, tenant: TenantId) {
        if let Some(queue) = self.lock().get(&tenant) {
            queue.ended.notify_one();
        }
    }

    fn enter(&self, tenant: TenantId) -> Option<Place<'_>> {
        let mut queues = self.lock();
        if total(&queues) >= WAITING_TOTAL {
            return None;
        }
        let queue = queues.entry(tenant).or_default();
        if queue.waiting >= WAITING_MAX {
            return None;
        }
        queue.waiting = queue.waiting.saturating_add(1);
        Some(Place {
            waits: self,
            tenant,
            ended: queue.ended.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn total(queues: &HashMap<TenantId, Queue>) -> usize {
    queues
        .values()
        .fold(0, |sum, queue| sum.saturating_add(queue.waiting))
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queues = self.waits.lock();
        if let Some(queue) = queues.get_mut(&self.tenant) {
            queue.waiting = queue.waiting.saturating_sub(1);
            if queue.waiting == 0 {
                queues.remove(&self.tenant);
            }
        }
    }
}

impl Lanes {
    /// How many calls wait for others of their tenant to end.
    pub fn waiting(&self) -> usize {
        total(&self.waits().lock())
    }

    /// As [`Lanes::hold`], but where only calls that run now are in the way, waits for one of them to end: in a
    /// bounded queue, for `patience` at most.
    ///
    /// # Errors
    /// [`HoldRefusal`], the last one.
    pub async fn hold_within(
        &self,
        mut order: HoldOrder,
        patience: Duration,
    ) -> Result<Hold, HoldRefusal> {
        let until = Instant::now()
            .checked_add(patience)
            .unwrap_or_else(Instant::now);
        let mut refused = match self.hold(order.clone()).await {
            Err(refused) if refused.passes_soon() => refused,
            held => return held,
        };
        let Some(place) = self.waits().enter(order.tenant) else {
            return Err(refused);
        };
        loop {
            let mut ended = std::pin::pin!(place.ended.notified());
            // From here on an ending is not missed, though the try comes first.
            ended.as_mut().enable();
            order.now = self.now();
            match self.hold(order.clone()).await {
                Err(again) if again.passes_soon() => refused = again,
                held => {
                    // There may be room for the next one too.
                    place.ended.notify_one();
                    return held;
                }
            }
            let now = Instant::now();
            if now >= until {
                return Err(refused);
            }
            let look_at = now
                .checked_add(LOOK_EVERY)
                .map_or(until, |at| at.min(until));
            drop(timeout_at(look_at, ended).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_queue_is_bounded_and_leaves_nothing_behind() {
        let waits = Waits::default();
        let (full, other) = (TenantId::fresh(), TenantId::fresh());

        let places: Vec<_> = (0..WAITING_MAX).map(|_| waits.enter(full)).collect();

        assert!(places.iter().all(Option::is_some));
        assert!(waits.enter(full).is_none());
        assert!(waits.enter(other).is_some(), "each has its own");
        drop(places);
        assert!(waits.lock().is_empty());
        waits.wake(full);
    }
}
