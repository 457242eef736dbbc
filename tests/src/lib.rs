//! The product from outside. Every test lives in `it/`.
