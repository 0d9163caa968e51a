//! AVX2 and AVX-512 VNNI.
//!
//! Safety: each function with `#[target_feature]` is reached only through [`available`], which asks
//! the processor first; the function pointers are private to it. Loads go through `load256` and
//! `load512`, whose slices are checked to be long enough by the callers' chunking.
#![allow(unsafe_code)]

use super::portable::halves_with;
use super::{Kernel, LANES, PREFETCH_ROWS};
use std::arch::x86_64::*;

pub(super) fn available() -> impl Iterator<Item = Kernel> {
    let avx2 = is_x86_feature_detected!("avx2").then_some(Kernel {
        name: "avx2",
        // SAFETY (all four): AVX2 was detected in the line above.
        rows: |query, rows, out| unsafe { rows_avx2(query, rows, out) },
        picks: |query, rows, picks, out| unsafe { picks_avx2(query, rows, picks, out) },
        halves: |query, halves| unsafe { halves_avx2(query, halves) },
        nibbles: |query, rows, out| unsafe { nibbles_avx2(query, rows, out) },
    });
    let vnni = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vnni");
    let vnni = vnni.then_some(Kernel {
        name: "avx512-vnni",
        // SAFETY (all four): the features were detected in the lines above.
        rows: |query, rows, out| unsafe { rows_vnni(query, rows, out) },
        picks: |query, rows, picks, out| unsafe { picks_vnni(query, rows, picks, out) },
        halves: |query, halves| unsafe { halves_avx2(query, halves) },
        nibbles: |query, rows, out| unsafe { nibbles_vnni(query, rows, out) },
    });
    avx2.into_iter().chain(vnni)
}

#[target_feature(enable = "avx2")]
fn halves_avx2(query: &[f32], halves: &[u8]) -> (f32, f32) {
    halves_with(query, halves)
}

/// Asks for the `count` rows that are due a few rows after row `at` of consecutive ones.
///
/// Processors do this by themselves, but stop at every page border; with memory that others use
/// too, a scan of 100,000 rows takes 1.5 ms with this and 2.6 ms without.
#[inline(always)]
fn prefetch_ahead<Byte>(rows: &[Byte], length: usize, at: usize, count: usize) {
    let start = (at + PREFETCH_ROWS) * length;
    let due = rows.get(start..start + count * length).unwrap_or_default();
    for line in due.chunks_exact(LANES) {
        // SAFETY: the address lies in a live slice, and a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}

/// Asks for the row that is due in a few steps; the numbers were checked against `rows`.
#[inline(always)]
fn prefetch(rows: &[i8], length: usize, pick: Option<&u32>) {
    if let Some(&pick) = pick {
        let row = &rows[pick as usize * length..][..length];
        for line in row.chunks_exact(LANES) {
            // SAFETY: the address lies in a live slice, and a prefetch reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr()) };
        }
    }
}

#[target_feature(enable = "avx2")]
fn rows_avx2(query: &[i8], rows: &[i8], out: &mut [i32]) {
    let length = query.len();
    for (at, (row, product)) in rows.chunks_exact(length).zip(out).enumerate() {
        prefetch_ahead(rows, length, at, 1);
        *product = one_avx2(query, row);
    }
}

#[target_feature(enable = "avx2")]
fn picks_avx2(query: &[i8], rows: &[i8], picks: &[u32], out: &mut [i32]) {
    let length = query.len();
    for (at, (&pick, product)) in picks.iter().zip(out).enumerate() {
        prefetch(rows, length, picks.get(at + PREFETCH_ROWS));
        *product = one_avx2(query, &rows[pick as usize * length..][..length]);
    }
}

/// Unsigned times signed is the only byte product there is: the sign of the row moves to the
/// query. Pairs add up to at most 2 · 127 · 127, which sixteen bits hold.
#[target_feature(enable = "avx2")]
#[inline]
fn one_avx2(query: &[i8], row: &[i8]) -> i32 {
    let ones = _mm256_set1_epi16(1);
    let mut even = _mm256_setzero_si256();
    let mut odd = _mm256_setzero_si256();
    let (queries, _) = query.as_chunks::<LANES>();
    let (rows, _) = row.as_chunks::<LANES>();
    for (q, r) in queries.iter().zip(rows) {
        let (q0, q1) = load256(q);
        let (r0, r1) = load256(r);
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(r0), _mm256_sign_epi8(q0, r0));
        even = _mm256_add_epi32(even, _mm256_madd_epi16(pairs, ones));
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(r1), _mm256_sign_epi8(q1, r1));
        odd = _mm256_add_epi32(odd, _mm256_madd_epi16(pairs, ones));
    }
    sum_avx2(_mm256_add_epi32(even, odd))
}

#[target_feature(enable = "avx2")]
#[inline]
fn load256<Byte>(bytes: &[Byte; LANES]) -> (__m256i, __m256i) {
    const { assert!(size_of::<Byte>() == 1) };
    let pointer = bytes.as_ptr().cast::<__m256i>();
    // SAFETY: the array holds 64 bytes, and the loads need no alignment.
    unsafe { (_mm256_loadu_si256(pointer), _mm256_loadu_si256(pointer.add(1))) }
}

/// Pairs of products of four bits add up to at most 2 · 15 · 127, and four of those still fit into
/// sixteen bits.
#[target_feature(enable = "avx2")]
fn nibbles_avx2(query: &[i8], rows: &[u8], out: &mut [i32]) {
    let length = query.len() / 2;
    let (queries, _) = query.as_chunks::<LANES>();
    for (at, (row, product)) in rows.chunks_exact(length).zip(out).enumerate() {
        prefetch_ahead(rows, length, at, 1);
        let mut sum = _mm256_setzero_si256();
        for (pair, bytes) in queries.chunks_exact(2).zip(row.as_chunks::<LANES>().0) {
            sum = _mm256_add_epi32(sum, pair_avx2(&pair[0], &pair[1], bytes));
        }
        *product = sum_avx2(sum);
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn pair_avx2(low: &[i8; LANES], high: &[i8; LANES], bytes: &[u8; LANES]) -> __m256i {
    let mask = _mm256_set1_epi8(15);
    let (low0, low1) = load256(low);
    let (high0, high1) = load256(high);
    let (bytes0, bytes1) = load256(bytes);
    let upper = |bytes| _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask);
    let a = _mm256_maddubs_epi16(_mm256_and_si256(bytes0, mask), low0);
    let b = _mm256_maddubs_epi16(_mm256_and_si256(bytes1, mask), low1);
    let c = _mm256_maddubs_epi16(upper(bytes0), high0);
    let d = _mm256_maddubs_epi16(upper(bytes1), high1);
    let sums = _mm256_add_epi16(_mm256_add_epi16(a, b), _mm256_add_epi16(c, d));
    _mm256_madd_epi16(sums, _mm256_set1_epi16(1))
}

#[target_feature(enable = "avx2")]
#[inline]
fn sum_avx2(sum: __m256i) -> i32 {
    let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b01_00_11_10>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b00_00_00_01>(sum));
    _mm_cvtsi128_si32(sum)
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn rows_vnni(query: &[i8], rows: &[i8], out: &mut [i32]) {
    let offset = offset(query);
    let length = query.len();
    let mut groups = rows.chunks_exact(4 * length);
    let (fours, rest) = out.as_chunks_mut::<4>();
    for (at, (group, products)) in groups.by_ref().zip(fours).enumerate() {
        prefetch_ahead(rows, length, 4 * at, 4);
        let (a, tail) = group.split_at(length);
        let (b, tail) = tail.split_at(length);
        let (c, d) = tail.split_at(length);
        *products = four_vnni(query, [a, b, c, d], offset);
    }
    for (row, product) in groups.remainder().chunks_exact(length).zip(rest) {
        *product = one_vnni(query, row, offset);
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn picks_vnni(query: &[i8], rows: &[i8], picks: &[u32], out: &mut [i32]) {
    let offset = offset(query);
    let length = query.len();
    let (fours, rest) = out.as_chunks_mut::<4>();
    let (groups, groups_rest) = picks.as_chunks::<4>();
    let row = |pick: u32| &rows[pick as usize * length..][..length];
    for (at, (group, products)) in groups.iter().zip(fours).enumerate() {
        for ahead in 0..4 {
            prefetch(rows, length, picks.get(4 * at + PREFETCH_ROWS + ahead));
        }
        let [a, b, c, d] = *group;
        let group = [row(a), row(b), row(c), row(d)];
        *products = four_vnni(query, group, offset);
    }
    for (&pick, product) in groups_rest.iter().zip(rest) {
        *product = one_vnni(query, row(pick), offset);
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn nibbles_vnni(query: &[i8], rows: &[u8], out: &mut [i32]) {
    let length = query.len() / 2;
    let mut groups = rows.chunks_exact(4 * length);
    let (fours, rest) = out.as_chunks_mut::<4>();
    for (at, (group, products)) in groups.by_ref().zip(fours).enumerate() {
        prefetch_ahead(rows, length, 4 * at, 4);
        let (a, tail) = group.split_at(length);
        let (b, tail) = tail.split_at(length);
        let (c, d) = tail.split_at(length);
        *products = four_nibbles_vnni(query, [a, b, c, d]);
    }
    for (row, product) in groups.remainder().chunks_exact(length).zip(rest) {
        [*product, ..] = four_nibbles_vnni(query, [row; 4]);
    }
}

/// Four rows at once. The high half of a byte is left where it is, sixteen times too large, which
/// saves a shift, and has sums of its own.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn four_nibbles_vnni(query: &[i8], rows: [&[u8]; 4]) -> [i32; 4] {
    let low = _mm512_set1_epi8(0x0f);
    let high = _mm512_set1_epi8(0xf0u8 as i8);
    let [mut a, mut b, mut c, mut d] = [_mm512_setzero_si512(); 4];
    let [mut a16, mut b16, mut c16, mut d16] = [_mm512_setzero_si512(); 4];
    let (queries, _) = query.as_chunks::<LANES>();
    let (pairs, _) = queries.as_chunks::<2>();
    let [rows_a, rows_b, rows_c, rows_d] = rows;
    let parts = pairs.iter().zip(rows_a.as_chunks::<LANES>().0);
    let parts = parts.zip(rows_b.as_chunks::<LANES>().0);
    let parts = parts.zip(rows_c.as_chunks::<LANES>().0);
    let parts = parts.zip(rows_d.as_chunks::<LANES>().0);
    for (((([q, q16], row_a), row_b), row_c), row_d) in parts {
        let (q, q16) = (load512(q), load512(q16));
        let (row_a, row_b) = (load512(row_a), load512(row_b));
        let (row_c, row_d) = (load512(row_c), load512(row_d));
        a = _mm512_dpbusd_epi32(a, _mm512_and_si512(row_a, low), q);
        b = _mm512_dpbusd_epi32(b, _mm512_and_si512(row_b, low), q);
        c = _mm512_dpbusd_epi32(c, _mm512_and_si512(row_c, low), q);
        d = _mm512_dpbusd_epi32(d, _mm512_and_si512(row_d, low), q);
        a16 = _mm512_dpbusd_epi32(a16, _mm512_and_si512(row_a, high), q16);
        b16 = _mm512_dpbusd_epi32(b16, _mm512_and_si512(row_b, high), q16);
        c16 = _mm512_dpbusd_epi32(c16, _mm512_and_si512(row_c, high), q16);
        d16 = _mm512_dpbusd_epi32(d16, _mm512_and_si512(row_d, high), q16);
    }
    a = _mm512_add_epi32(a, _mm512_srai_epi32::<4>(a16));
    b = _mm512_add_epi32(b, _mm512_srai_epi32::<4>(b16));
    c = _mm512_add_epi32(c, _mm512_srai_epi32::<4>(c16));
    d = _mm512_add_epi32(d, _mm512_srai_epi32::<4>(d16));
    let ab = _mm_hadd_epi32(quarter(a), quarter(b));
    let cd = _mm_hadd_epi32(quarter(c), quarter(d));
    let sums = _mm_hadd_epi32(ab, cd);
    [
        _mm_extract_epi32::<0>(sums),
        _mm_extract_epi32::<1>(sums),
        _mm_extract_epi32::<2>(sums),
        _mm_extract_epi32::<3>(sums),
    ]
}

/// What the products are too large by when 128 is added to every component of a row, which makes
/// them the unsigned factors that the instruction wants.
fn offset(query: &[i8]) -> i32 {
    128 * query.iter().map(|&value| i32::from(value)).sum::<i32>()
}

/// Four rows at once share the loads of the query and the final sums.
///
/// Written out, because closures and `map` do not get the function's target features: the sums
/// would go through memory.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn four_vnni(query: &[i8], rows: [&[i8]; 4], offset: i32) -> [i32; 4] {
    let flip = _mm512_set1_epi8(-128);
    let [mut a, mut b, mut c, mut d] = [_mm512_setzero_si512(); 4];
    let (queries, _) = query.as_chunks::<LANES>();
    let [rows_a, rows_b, rows_c, rows_d] = rows;
    let parts = queries.iter().zip(rows_a.as_chunks::<LANES>().0);
    let parts = parts.zip(rows_b.as_chunks::<LANES>().0);
    let parts = parts.zip(rows_c.as_chunks::<LANES>().0);
    let parts = parts.zip(rows_d.as_chunks::<LANES>().0);
    for ((((q, row_a), row_b), row_c), row_d) in parts {
        let q = load512(q);
        a = _mm512_dpbusd_epi32(a, _mm512_xor_si512(load512(row_a), flip), q);
        b = _mm512_dpbusd_epi32(b, _mm512_xor_si512(load512(row_b), flip), q);
        c = _mm512_dpbusd_epi32(c, _mm512_xor_si512(load512(row_c), flip), q);
        d = _mm512_dpbusd_epi32(d, _mm512_xor_si512(load512(row_d), flip), q);
    }
    let ab = _mm_hadd_epi32(quarter(a), quarter(b));
    let cd = _mm_hadd_epi32(quarter(c), quarter(d));
    let sums = _mm_sub_epi32(_mm_hadd_epi32(ab, cd), _mm_set1_epi32(offset));
    [
        _mm_extract_epi32::<0>(sums),
        _mm_extract_epi32::<1>(sums),
        _mm_extract_epi32::<2>(sums),
        _mm_extract_epi32::<3>(sums),
    ]
}

/// Sixteen sums added up to four.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn quarter(sums: __m512i) -> __m128i {
    let high = _mm512_extracti64x4_epi64::<1>(sums);
    let sums = _mm256_add_epi32(_mm512_castsi512_si256(sums), high);
    let high = _mm256_extracti128_si256::<1>(sums);
    _mm_add_epi32(_mm256_castsi256_si128(sums), high)
}

#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn one_vnni(query: &[i8], row: &[i8], offset: i32) -> i32 {
    let flip = _mm512_set1_epi8(-128);
    let mut sum = _mm512_setzero_si512();
    let (queries, _) = query.as_chunks::<LANES>();
    let (rows, _) = row.as_chunks::<LANES>();
    for (q, r) in queries.iter().zip(rows) {
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(load512(r), flip), load512(q));
    }
    _mm512_reduce_add_epi32(sum) - offset
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load512<Byte>(bytes: &[Byte; LANES]) -> __m512i {
    const { assert!(size_of::<Byte>() == 1) };
    // SAFETY: the array holds 64 bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}
