//! Inner products of int8 rows, with the widest instructions that the processor has.
//!
//! Integer products are exact, so every implementation gives the same answer to the last bit and
//! an index built on one machine ranks the same on another. Beside the file mapping this is the
//! only place of the vector index with `unsafe`: the implementations load from slices through
//! pointers, and are called only after the processor was asked for the feature they need.

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(in crate::vector) use portable::half_to_f32;
use std::sync::OnceLock;

/// Rows are padded with zeros to a multiple of this many components: one AVX-512 register, two of
/// AVX2, four of NEON, so that no implementation needs code for a remainder.
pub(crate) const LANES: usize = 64;

/// How many rows ahead a scan asks the memory for.
#[cfg(target_arch = "x86_64")]
const PREFETCH_ROWS: usize = 8;

/// Length of a row of `dimensions` components with its padding.
pub(crate) fn padded(dimensions: usize) -> usize {
    dimensions.div_ceil(LANES) * LANES
}

/// Length in bytes of a row of four-bit numbers for int8 rows of `stride` components: each byte holds
/// two of them that lie [`LANES`] components apart.
pub(crate) fn nibbles_length(stride: usize) -> usize {
    stride.div_ceil(2 * LANES) * LANES
}

type Picks = fn(query: &[i8], rows: &[i8], picks: &[u32], out: &mut [i32]);

/// One implementation of the inner products.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    name: &'static str,
    rows: fn(&[i8], &[i8], &mut [i32]),
    picks: Picks,
    halves: fn(&[f32], &[u8]) -> (f32, f32),
    nibbles: fn(&[i8], &[u8], &mut [i32]),
}

impl Kernel {
    /// The fastest implementation that this processor can run.
    pub(crate) fn best() -> Kernel {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| {
            let all = Kernel::available();
            all[all.len() - 1]
        })
    }

    /// All implementations that this processor can run, slowest first.
    pub(crate) fn available() -> Vec<Kernel> {
        let mut all = vec![portable::KERNEL];
        #[cfg(target_arch = "x86_64")]
        all.extend(x86::available());
        #[cfg(target_arch = "aarch64")]
        all.extend(neon::available());
        all
    }

    /// `portable`, `avx2`, `avx512-vnni` or `neon`.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Writes the inner product of `query` with each of the consecutive `rows` to `out`.
    ///
    /// Components lie in -127..=127. `query` has a padded length, and `rows` holds `out.len()` rows
    /// of that length.
    pub(crate) fn rows(&self, query: &[i8], rows: &[i8], out: &mut [i32]) {
        assert!(query.len().is_multiple_of(LANES) && rows.len() == query.len() * out.len());
        (self.rows)(query, rows, out);
    }

    /// Like [`rows`](Self::rows), for the rows whose numbers are in `picks`, all of which exist.
    pub(crate) fn picks(&self, query: &[i8], rows: &[i8], picks: &[u32], out: &mut [i32]) {
        assert!(query.len().is_multiple_of(LANES) && picks.len() == out.len());
        (self.picks)(query, rows, picks, out);
    }

    /// Inner product of `query` with as many little-endian half-precision numbers, and of these
    /// with themselves.
    pub(crate) fn halves(&self, query: &[f32], halves: &[u8]) -> (f32, f32) {
        assert!(halves.len() == query.len() * 2);
        (self.halves)(query, halves)
    }

    /// Writes the inner product of `query` with each row of four-bit numbers, 0..=15, to `out`.
    ///
    /// In each [`LANES`] bytes of a row the low halves are the factors of that many components of
    /// the query, the high halves those of as many after them; the query is twice as long as a row.
    pub(crate) fn nibbles(&self, query: &[i8], rows: &[u8], out: &mut [i32]) {
        assert!(query.len().is_multiple_of(2 * LANES) && rows.len() * 2 == query.len() * out.len());
        (self.nibbles)(query, rows, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::quantize;
    use proptest::prelude::*;

    fn naive(query: &[i8], row: &[i8]) -> i32 {
        let products = query.iter().zip(row);
        products.map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
    }

    fn components(count: usize) -> impl Strategy<Value = Vec<i8>> {
        proptest::collection::vec(-127i8..=127, count)
    }

    fn queries_and_rows() -> impl Strategy<Value = (Vec<i8>, Vec<i8>)> {
        (1usize..=13, 0usize..=11).prop_flat_map(|(blocks, rows)| {
            let length = blocks * LANES;
            (components(length), components(length * rows))
        })
    }

    #[test]
    fn the_largest_products_of_four_bits_overflow_in_no_kernel() {
        for length in [2 * LANES, 16 * LANES] {
            for extreme in [127i8, -127] {
                let (query, nibbles) = (vec![extreme; length], vec![255u8; length / 2]);
                for kernel in Kernel::available() {
                    let mut out = [0];
                    kernel.nibbles(&query, &nibbles, &mut out);
                    assert_eq!(out[0], 15 * i32::from(extreme) * length as i32, "{}", kernel.name());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_kernel_agrees_with_the_naive_product((query, rows) in queries_and_rows()) {
            let expected: Vec<i32> =
                rows.chunks(query.len()).map(|row| naive(&query, row)).collect();
            let picks: Vec<u32> = (0..expected.len() as u32).rev().collect();
            for kernel in Kernel::available() {
                let mut out = vec![0; expected.len()];
                kernel.rows(&query, &rows, &mut out);
                prop_assert_eq!(&out, &expected, "{}", kernel.name());
                kernel.picks(&query, &rows, &picks, &mut out);
                out.reverse();
                prop_assert_eq!(&out, &expected, "{}", kernel.name());
            }
        }

        #[test]
        fn every_kernel_agrees_with_the_naive_product_of_four_bit_rows(
            (query, rows) in (1usize..=6, 0usize..=11).prop_flat_map(|(pairs, rows)| {
                let bytes = proptest::collection::vec(any::<u8>(), pairs * LANES * rows);
                (components(pairs * 2 * LANES), bytes)
            })
        ) {
            let naive = |row: &[u8]| -> i32 {
                let pairs = query.chunks(2 * LANES).zip(row.chunks(LANES));
                let products = pairs.flat_map(|(q, bytes)| {
                    let (low, high) = q.split_at(LANES);
                    let halves = bytes.iter().map(|b| (i32::from(b & 15), i32::from(b >> 4)));
                    let factors = low.iter().zip(high).zip(halves);
                    factors.map(|((&l, &h), (low, high))| i32::from(l) * low + i32::from(h) * high)
                });
                products.sum()
            };
            let expected: Vec<i32> = rows.chunks(query.len() / 2).map(naive).collect();
            for kernel in Kernel::available() {
                let mut out = vec![0; expected.len()];
                kernel.nibbles(&query, &rows, &mut out);
                prop_assert_eq!(&out, &expected, "{}", kernel.name());
            }
        }

        #[test]
        fn every_kernel_reads_halves_alike(
            query in proptest::collection::vec(-1f32..=1.0, 0..70),
            seed in proptest::collection::vec(-1f32..=1.0, 70),
        ) {
            let halves = quantize::to_halves(&seed[..query.len()]);
            let values = quantize::from_halves(&halves);
            let naive = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            let portable = portable::KERNEL.halves(&query, &halves);
            prop_assert!((f64::from(portable.0) - naive(&query, &values)).abs() < 1e-4);
            prop_assert!((f64::from(portable.1) - naive(&values, &values)).abs() < 1e-4);
            for kernel in Kernel::available() {
                prop_assert_eq!(kernel.halves(&query, &halves), portable, "{}", kernel.name());
            }
        }
    }

    #[test]
    fn extreme_components_do_not_saturate() {
        for (a, b) in [(127, 127), (-127, 127), (127, -127), (-127, -127)] {
            let query = vec![a; 4096];
            let rows = vec![b; 4096 * 5];
            for kernel in Kernel::available() {
                let mut out = [0; 5];
                kernel.rows(&query, &rows, &mut out);
                assert_eq!(out, [naive(&query, &rows[..4096]); 5], "{}", kernel.name());
            }
        }
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn a_row_number_out_of_range_is_caught_before_memory_is_read() {
        Kernel::best().picks(&[0; 64], &[0; 128], &[2], &mut [0]);
    }
}
