//! How often one address or person may try what is worth guessing (sign-in, sign-up, codes), in memory.
//!
//! Wrong passwords of one account are counted by identity in the database and survive a restart; these counters
//! only slow down an address.

use crate::error::Error;
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};
use uuid::Uuid;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Buckets forget who has been quiet once this many keys are held.
const KEPT: usize = 100_000;

/// All buckets of the console.
pub(crate) struct Limits {
    sign_in: Bucket<IpAddr>,
    sign_up: Bucket<IpAddr>,
    recover: Bucket<IpAddr>,
    redeem_address: Bucket<IpAddr>,
    redeem_person: Bucket<Uuid>,
}

impl Limits {
    pub(crate) fn new() -> Self {
        Self {
            sign_in: Bucket::new(20, 5 * MINUTE, 10),
            sign_up: Bucket::new(20, HOUR, 10),
            recover: Bucket::new(10, HOUR, 5),
            redeem_address: Bucket::new(30, HOUR, 15),
            redeem_person: Bucket::new(10, HOUR, 10),
        }
    }

    pub(crate) fn sign_in(&self, from: IpAddr) -> Result<(), Error> {
        self.sign_in.take(&network(from))
    }

    pub(crate) fn sign_up(&self, from: IpAddr) -> Result<(), Error> {
        self.sign_up.take(&network(from))
    }

    pub(crate) fn recover(&self, from: IpAddr) -> Result<(), Error> {
        self.recover.take(&network(from))
    }

    pub(crate) fn redeem(&self, from: IpAddr, person: Uuid) -> Result<(), Error> {
        self.redeem_person.take(&person)?;
        self.redeem_address.take(&network(from))
    }
}

struct Bucket<K: std::hash::Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
}

impl<K: std::hash::Hash + Eq + Clone> Bucket<K> {
    fn new(times: u32, per: Duration, burst: u32) -> Self {
        let quota = Quota::with_period(per / times)
            .expect("a period is longer than nothing")
            .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
        }
    }

    fn take(&self, key: &K) -> Result<(), Error> {
        if self.limiter.len() > KEPT {
            self.limiter.retain_recent();
        }
        self.limiter
            .check_key(key)
            .map_err(|not_until| Error::TooMany {
                wait: not_until.wait_time_from(self.clock.now()),
            })
    }
}

/// A subscriber's share of addresses: one of IPv4, a /64 of IPv6.
fn network(from: IpAddr) -> IpAddr {
    match from {
        IpAddr::V4(_) => from,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_runs_out_of_tries_and_another_does_not() {
        let limits = Limits::new();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));

        let taken = (0..40).filter(|_| limits.sign_in(one).is_ok()).count();

        assert_eq!(taken, 10);
        assert!(limits.sign_in(other).is_ok());
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_address() {
        let limits = Limits::new();
        let host = |tail| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, tail));

        let taken = (0..40)
            .filter(|tail| limits.sign_in(host(*tail)).is_ok())
            .count();

        assert_eq!(taken, 10);
    }
}
