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
        // SAFETY (all three): NEON was detected in the line above.
        rows: |query, rows, out| unsafe { rows_neon(query, rows, out) },
        picks: |query, rows, picks, out| unsafe { picks_neon(query, rows, picks, out) },
        halves: halves_with,
        nibbles: |query, rows, out| unsafe { nibbles_neon(query, rows, out) },
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

/// Numbers of four bits are the same with a sign as without.
#[target_feature(enable = "neon")]
fn nibbles_neon(query: &[i8], rows: &[u8], out: &mut [i32]) {
    let mask = vdupq_n_u8(15);
    let (queries, _) = query.as_chunks::<LANES>();
    for (row, product) in rows.chunks_exact(query.len() / 2).zip(out) {
        let mut sums = [vdupq_n_s32(0); 4];
        for (pair, bytes) in queries.chunks_exact(2).zip(row.as_chunks::<LANES>().0) {
            let (low, high) = (load(&pair[0]), load(&pair[1]));
            let (parts, _) = bytes.as_chunks::<16>();
            for (at, sum) in sums.iter_mut().enumerate() {
                // SAFETY: each part holds the 16 bytes that are loaded.
                let both = unsafe { vld1q_u8(parts[at].as_ptr()) };
                *sum = add_products(*sum, low[at], vreinterpretq_s8_u8(vandq_u8(both, mask)));
                *sum = add_products(*sum, high[at], vreinterpretq_s8_u8(vshrq_n_u8::<4>(both)));
            }
        }
        let [a, b, c, d] = sums;
        *product = vaddvq_s32(vaddq_s32(vaddq_s32(a, b), vaddq_s32(c, d)));
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn one(query: &[i8], row: &[i8]) -> i32 {
    let mut sums = [vdupq_n_s32(0); 4];
    let (queries, _) = query.as_chunks::<LANES>();
    let (rows, _) = row.as_chunks::<LANES>();
    for (q, r) in queries.iter().zip(rows) {
        for (sum, (q, r)) in sums.iter_mut().zip(load(q).into_iter().zip(load(r))) {
            *sum = add_products(*sum, q, r);
        }
    }
    let [a, b, c, d] = sums;
    vaddvq_s32(vaddq_s32(vaddq_s32(a, b), vaddq_s32(c, d)))
}

/// Products of 127 · 127 fit into sixteen bits; each is added to its neighbour on the way into a
/// sum of thirty-two.
#[target_feature(enable = "neon")]
#[inline]
fn add_products(sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    vpadalq_s16(sum, vmull_high_s8(a, b))
}

#[target_feature(enable = "neon")]
#[inline]
fn load(bytes: &[i8; LANES]) -> [int8x16_t; 4] {
    let (parts, _) = bytes.as_chunks::<16>();
    // SAFETY: each part holds the 16 bytes that are loaded.
    std::array::from_fn(|at| unsafe { vld1q_s8(parts[at].as_ptr()) })
}
