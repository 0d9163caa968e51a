//! The inner products in plain Rust: for processors without a special version, and the common
//! half-precision loop that the special versions compile again with wider registers.

use super::{Kernel, LANES};

pub(super) const KERNEL: Kernel = Kernel { name: "portable", rows, picks, halves, nibbles };

fn rows(query: &[i8], rows: &[i8], out: &mut [i32]) {
    for (row, product) in rows.chunks_exact(query.len()).zip(out) {
        *product = one(query, row);
    }
}

fn picks(query: &[i8], rows: &[i8], picks: &[u32], out: &mut [i32]) {
    for (&pick, product) in picks.iter().zip(out) {
        let start = pick as usize * query.len();
        *product = one(query, &rows[start..start + query.len()]);
    }
}

/// Sixteen-bit factors and thirty-two-bit sums: the shape that compilers turn into
/// multiply-and-add-pairs on the baseline of every target.
fn one(query: &[i8], row: &[i8]) -> i32 {
    let mut sum = 0;
    for (a, b) in query.iter().zip(row) {
        sum += i32::from(i16::from(*a)) * i32::from(i16::from(*b));
    }
    sum
}

fn nibbles(query: &[i8], rows: &[u8], out: &mut [i32]) {
    for (row, product) in rows.chunks_exact(query.len() / 2).zip(out) {
        let mut sum = 0;
        let (queries, _) = query.as_chunks::<LANES>();
        for (pair, bytes) in queries.chunks_exact(2).zip(row.as_chunks::<LANES>().0) {
            for ((low, high), byte) in pair[0].iter().zip(&pair[1]).zip(bytes) {
                sum += i32::from(i16::from(*low) * i16::from(byte & 15) + i16::from(*high) * i16::from(byte >> 4));
            }
        }
        *product = sum;
    }
}

fn halves(query: &[f32], halves: &[u8]) -> (f32, f32) {
    halves_with(query, halves)
}

/// The loop over half-precision numbers. Eight independent sums, added in a fixed order, so that
/// the result does not depend on the registers that the caller's target features allow.
#[inline(always)]
pub(super) fn halves_with(query: &[f32], halves: &[u8]) -> (f32, f32) {
    let mut products = [0f32; 8];
    let mut squares = [0f32; 8];
    let (values, values_rest) = query.as_chunks::<8>();
    let (bytes, bytes_rest) = halves.as_chunks::<16>();
    for (value, byte) in values.iter().zip(bytes) {
        for lane in 0..8 {
            let bits = u16::from_le_bytes([byte[2 * lane], byte[2 * lane + 1]]);
            let half = half(bits);
            products[lane] += value[lane] * half;
            squares[lane] += half * half;
        }
    }
    for (lane, (value, byte)) in values_rest.iter().zip(bytes_rest.chunks_exact(2)).enumerate() {
        let half = half(u16::from_le_bytes([byte[0], byte[1]]));
        products[lane] += value * half;
        squares[lane] += half * half;
    }
    let sum = |[a, b, c, d, e, f, g, h]: [f32; 8]| ((a + e) + (b + f)) + ((c + g) + (d + h));
    (sum(products), sum(squares))
}

/// A finite half-precision number. The exponent is moved by a multiplication, which gets the
/// subnormal numbers right without a branch.
#[inline(always)]
pub(super) fn half(bits: u16) -> f32 {
    const EXPONENT_SHIFT: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13) * EXPONENT_SHIFT;
    f32::from_bits(magnitude.to_bits() | (u32::from(bits & 0x8000) << 16))
}

/// See [`half`].
pub(in crate::vector) fn half_to_f32(bits: u16) -> f32 {
    half(bits)
}
