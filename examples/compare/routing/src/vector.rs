//! The index's own instructions.

#[path = "../../../../index/src/vector/simd/mod.rs"]
#[allow(dead_code, unused_imports)]
pub(crate) mod simd;
