//! Names by which callers tell their prompt caches and users apart, kept apart by tenant: one upstream account serves many, and
//! whoever knows another's name must not meet its cache.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use entity::TenantId;
use sha2::{Digest, Sha256};

use crate::wire::reading::Reading;

/// Bytes of a digest that stand for a name: 32 letters, which every provider takes.
const BYTES: usize = 24;

/// A caller's name as the upstream gets it: the same for the same tenant, and no other's.
pub(super) fn name(tenant: TenantId, name: &str) -> String {
    let digest = Sha256::new()
        .chain_update(b"tollgate name ")
        .chain_update(tenant.uuid().as_bytes())
        .chain_update(name)
        .finalize();
    URL_SAFE_NO_PAD.encode(digest.get(..BYTES).unwrap_or(&digest))
}

/// The body with its names kept apart; none where it has no such name.
pub(super) fn body(tenant: TenantId, reading: &Reading, body: &Bytes) -> Option<Bytes> {
    if !reading.names_somebody {
        return None;
    }
    crate::wire::reading::renamed_names(body, |told| name(tenant, told))
}
