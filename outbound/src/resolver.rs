//! Name resolution with the address rules built in: only checked addresses reach the connector.
//!
//! There is no second look-up between check and connect, so a name cannot change its mind in between.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{AllowList, Reach, judge};

/// The resolver of one client; `reach` says which addresses that client may use.
pub(crate) struct Guarded {
    pub(crate) reach: Reach,
    pub(crate) allowed: AllowList,
    /// The egress proxy's own host, which the operator set and which may be private.
    pub(crate) proxy_host: Option<String>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let reach = self.reach;
        let allowed = self.allowed.clone();
        let is_proxy = self.proxy_host.as_deref() == Some(name.as_str());
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            // One bad address spoils the name: a mixed answer is how rebinding begins.
            if !is_proxy {
                for address in &found {
                    judge(&host, address.ip(), reach, &allowed)?;
                }
            }
            let checked: Addrs = Box::new(found.into_iter());
            Ok(checked)
        })
    }
}
