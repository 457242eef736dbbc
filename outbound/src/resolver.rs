//! Name resolution with the address rules built in: only checked addresses reach the connector.
//!
//! There is no second look-up between check and connect, so a name cannot change its mind in between.

use std::{io, net::SocketAddr, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{AllowList, Reach, judge};

/// How a name is looked up.
pub(crate) type LookUp =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// By what the machine goes by: its hosts file and its name servers.
pub(crate) fn of_the_machine() -> LookUp {
    Arc::new(|host| async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) }.boxed())
}

/// The resolver of one client; `reach` says which addresses that client may use.
pub(crate) struct Guarded {
    pub(crate) reach: Reach,
    pub(crate) allowed: AllowList,
    pub(crate) look_up: LookUp,
    /// The egress proxy's own host, which the operator set and which may be private.
    pub(crate) proxy_host: Option<String>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let reach = self.reach;
        let allowed = self.allowed.clone();
        let is_proxy = self.proxy_host.as_deref() == Some(name.as_str());
        let looked_up = (self.look_up)(host.clone());
        Box::pin(async move {
            let found = looked_up.await?;
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
