//! What moved a tenant's credits: the list with the balance at any moment, one posting with its calls, and the export.
//! Members see their own tenant's, operators any.

pub(crate) mod entry;
pub(crate) mod export;
pub(crate) mod list;
