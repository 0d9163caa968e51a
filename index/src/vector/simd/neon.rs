//! NEON, which every 64-bit ARM processor has.
//!
//! Safety: loads go through `load`, whose arrays have the length that is read.
#![allow(unsafe_code)]

use super::portable::halves_with;
use super::{Kernel, LANES};
use std::arch::aarch64::*;

pub(super) fn available() -> impl Iterator<Item = Kernel> {
    let neon = std::arch::is_aarch64_feature_detected!("neon").then_some(Kernel {
        name: "neon",
        // SAFETY (both): NEON was detected in the line above.
        rows: |query, rows, out| unsafe { rows_neon(query, rows, out) },
        picks: |query, rows, picks, out| unsafe { picks_neon(query, rows, picks, out) },
        halves: halves_with,
    });
    neon.into_iter()
}

#[target_feature(enable = "neon")]
fn rows_neon(query: &[i8], rows: &[i8], out: &mut [i32]) {
    for (row, product) in rows.chunks_exact(query.len()).zip(out) {
        *product = one(query, row);
    }
}

#[target_feature(enable = "neon")]
fn picks_neon(query: &[i8], rows: &[i8], picks: &[u32], out: &mut [i32]) {
    let length = query.len();
    for (&pick, product) in picks.iter().zip(out) {
        *product = one(query, &rows[pick as usize * length..][..length]);
    }
}

/// Products of 127 · 127 fit into sixteen bits; each is added to its neighbour on the way into a
/// sum of thirty-two.
#[target_feature(enable = "neon")]
#[inline]
fn one(query: &[i8], row: &[i8]) -> i32 {
    let mut sums = [vdupq_n_s32(0); 4];
    let (queries, _) = query.as_chunks::<LANES>();
    let (rows, _) = row.as_chunks::<LANES>();
    for (q, r) in queries.iter().zip(rows) {
        for (sum, (q, r)) in sums.iter_mut().zip(load(q).into_iter().zip(load(r))) {
            let low = vmull_s8(vget_low_s8(q), vget_low_s8(r));
            *sum = vpadalq_s16(*sum, low);
            *sum = vpadalq_s16(*sum, vmull_high_s8(q, r));
        }
    }
    let [a, b, c, d] = sums;
    vaddvq_s32(vaddq_s32(vaddq_s32(a, b), vaddq_s32(c, d)))
}

#[target_feature(enable = "neon")]
#[inline]
fn load(bytes: &[i8; LANES]) -> [int8x16_t; 4] {
    let (parts, _) = bytes.as_chunks::<16>();
    // SAFETY: each part holds the 16 bytes that are loaded.
    std::array::from_fn(|at| unsafe { vld1q_s8(parts[at].as_ptr()) })
}
