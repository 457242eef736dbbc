//! The battery: the ledger tried by force. Every test lives in `it/`.
