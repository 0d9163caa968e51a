//! Unit vectors as int8 with one scale, and as half-precision numbers.

use super::error::{Error, Result};
use super::simd::{self, half_to_f32, padded};

/// A unit vector as bytes: component = byte · scale, zeros up to the padded length.
///
/// The same vector always gives the same bytes; a row and the query that it came from agree in
/// every one of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantized {
    /// Components in -127..=127, padded.
    pub(crate) bytes: Vec<i8>,
    /// What one step of a byte is worth.
    pub(crate) scale: f32,
}

/// The vector with length one.
///
/// Fails with [`Error::Dimensions`](super::Error::Dimensions) or [`Error::NoDirection`](super::Error::NoDirection).
pub(crate) fn unit(vector: &[f32], dimensions: usize) -> Result<Vec<f32>> {
    if vector.len() != dimensions {
        return Err(Error::Dimensions { found: vector.len(), expected: dimensions });
    }
    let square: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    if !square.is_finite() || square <= f64::MIN_POSITIVE {
        return Err(Error::NoDirection);
    }
    // A vector that has length one already stays as it is, bit by bit.
    if (square - 1.0).abs() < 1e-6 {
        return Ok(vector.to_vec());
    }
    let length = square.sqrt();
    Ok(vector.iter().map(|&x| (f64::from(x) / length) as f32).collect())
}

/// Symmetric quantisation of a unit vector: the largest component becomes ±127.
pub(crate) fn quantize(unit: &[f32]) -> Quantized {
    let largest = unit.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let mut bytes = vec![0; padded(unit.len())];
    for (byte, x) in bytes.iter_mut().zip(unit) {
        // `round` is a call on the baseline target; adding this pulls the fraction off the mantissa.
        const ROUND: f32 = 12_582_912.0;
        let rounded = (x * inverse + ROUND) - ROUND;
        *byte = rounded.clamp(-127.0, 127.0) as i8;
    }
    Quantized { bytes, scale }
}

/// Little-endian half-precision bytes, rounded to nearest, ties to even.
pub(crate) fn to_halves(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&value| to_half(value).to_le_bytes()).collect()
}

/// The values that [`to_halves`] kept.
pub(crate) fn from_halves(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(2).map(|pair| half_to_f32(u16::from_le_bytes([pair[0], pair[1]]))).collect()
}

/// Components of unit vectors lie in -1..=1, so that neither overflow nor NaN arises here.
fn to_half(value: f32) -> u16 {
    let sign = ((value.to_bits() >> 16) & 0x8000) as u16;
    let magnitude = value.abs().min(65504.0);
    if magnitude < 6.103_515_6e-5 {
        // Subnormal: units of 2^-24, rounded by the addition of 2^23 units.
        let rounded = magnitude * 16_777_216.0 + 8_388_608.0;
        return sign | (rounded.to_bits() & 0x7fff) as u16;
    }
    let bits = magnitude.to_bits();
    let rebased = bits - (112 << 23);
    let rounded = rebased + 0xfff + ((rebased >> 13) & 1);
    sign | (rounded >> 13) as u16
}

/// Cosine, in single precision, of a query of length one with a stored original.
///
/// Rounding to half precision changes a vector's length by some 1e-5, more than near-duplicates
/// differ by. Divided by the length that is stored, a vector's own query is off by the square of
/// that only, and comes first.
pub(crate) fn cosine(query: &[f32], halves: &[u8]) -> f32 {
    let (product, square) = simd::Kernel::best().halves(query, halves);
    if square > 0.0 { product / square.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_of_known_numbers_are_the_standards_bits() {
        let known = [
            (0.0, 0x0000),
            (1.0, 0x3c00),
            (-1.0, 0xbc00),
            (0.5, 0x3800),
            (0.333_251_95, 0x3555),
            (6.103_515_6e-5, 0x0400),
            (5.960_464_5e-8, 0x0001),
            (6.097_555e-5, 0x03ff),
        ];
        for (value, bits) in known {
            assert_eq!(to_half(value), bits, "{value}");
            assert_eq!(half_to_f32(bits), value);
        }
        assert_eq!(to_half(1.0 + 1.0 / 2048.0), 0x3c00, "a tie goes to even");
        assert_eq!(to_half(1.0 + 3.0 / 2048.0), 0x3c02, "a tie goes to even");
    }

    #[test]
    fn every_finite_half_survives_the_way_there_and_back() {
        for bits in (0..0x7c00u16).chain(0x8000..0xfc00) {
            assert_eq!(to_half(half_to_f32(bits)), bits);
        }
    }

    #[test]
    fn vectors_without_a_direction_are_refused() {
        for bad in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 0.0]] {
            assert!(matches!(unit(&bad, 2), Err(Error::NoDirection)));
        }
        assert!(matches!(unit(&[1.0], 2), Err(Error::Dimensions { found: 1, expected: 2 })));
        assert_eq!(unit(&[3.0, 4.0], 2).unwrap(), [0.6, 0.8]);
    }

    proptest! {
        #[test]
        fn a_byte_is_off_by_at_most_half_a_step(
            raw in proptest::collection::vec(-1f32..1.0, 1..200)
        ) {
            prop_assume!(raw.iter().any(|x| x.abs() > 1e-3));
            let unit = unit(&raw, raw.len()).unwrap();
            let rows = quantize(&unit);
            prop_assert_eq!(rows.bytes.len() % simd::LANES, 0);
            prop_assert!(rows.bytes[unit.len()..].iter().all(|&byte| byte == 0));
            for (x, &byte) in unit.iter().zip(&rows.bytes) {
                prop_assert!((x - f32::from(byte) * rows.scale).abs() <= rows.scale * 0.5001);
            }
        }
    }
}
