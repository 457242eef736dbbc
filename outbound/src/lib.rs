//! The one guarded way out: every HTTP request this process makes to an address that somebody typed passes here.
//!
//! Owns the address rules (no private network unless the operator's configuration lists it), the resolver that
//! enforces them at connect time, the time limits, and how providers are addressed ([`provider`]). It refuses
//! redirects, proxies taken from the environment, plain HTTP to public addresses, and bodies past a cap.
//!
//! Start at [`Outbound::send`].

mod address;
mod client;
mod error;
pub mod provider;
mod resolver;

pub use address::{AllowList, Refusal};
pub use client::{Answer, BodyStream, Call, Outbound, Settings, SettingsError};
pub use error::SendError;
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
pub use ipnet::IpNet;
pub use url::{Host, Url};
