//! Matrix products on packed weights, with the instruction set chosen at run time.
//!
//! The right-hand side is packed once into panels of [`Isa::columns`] columns, so that a product
//! with a handful of rows (a short query) costs one streaming read of the weights and no packing.
//! The left-hand side is read where it lies. One micro-kernel per instruction set keeps a block of
//! the result in registers while it walks down a panel.
//!
//! This is the only module of the embedders with `unsafe`. Its argument:
//! - A function compiled for an instruction set is called only through [`Isa`], whose variants are
//!   made by [`Isa::detect`] (and [`Isa::all`]) after the processor was asked for that set.
//! - Vector loads and stores go through references to arrays of exactly the vector's length, so that
//!   every slice is bounds-checked before a pointer exists.
//!
//! The tests compare every instruction set of the machine with a naive product in `f64`.
#![allow(unsafe_code)]

/// Sixteen floats on their own cache line; a panel is a sequence of these.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; 16]);

const LINE: usize = 16;

/// Bytes of the left-hand side that are worked on at once, so that they stay in a core's second-level
/// cache (256 KiB is the smallest that current processors have) while panels stream by.
const ROWS_BYTES: usize = 192 * 1024;

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

impl Isa {
    /// The fastest set of this processor.
    pub(crate) fn detect() -> Self {
        Self::all()[0]
    }

    /// Every set of this processor, fastest first; the portable one is always the last.
    pub(crate) fn all() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let fma = std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
            if fma && std::arch::is_x86_feature_detected!("avx512f") {
                sets.push(Self(Set::Avx512));
            }
            if fma {
                sets.push(Self(Set::Avx2));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            sets.push(Self(Set::Neon));
        }
        sets.push(Self(Set::Portable));
        sets
    }

    /// Columns of a panel.
    fn columns(self) -> usize {
        self.lines() * LINE
    }

    /// Lines per row of a panel.
    fn lines(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => 2,
            _ => 1,
        }
    }

    /// Runs `work` compiled for this instruction set, so that its plain loops use the wide registers.
    /// `work` must be `#[inline(always)]` all the way down for that to have an effect.
    #[inline]
    pub(crate) fn run<W: Work>(self, work: W) -> W::Out {
        match self.0 {
            // SAFETY: this variant exists only when the processor has AVX-512F, AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { run_avx512(work) },
            // SAFETY: this variant exists only when the processor has AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { run_avx2(work) },
            // SAFETY: this variant exists only when the processor has NEON.
            #[cfg(target_arch = "aarch64")]
            Set::Neon => unsafe { run_neon(work) },
            Set::Portable => work.run::<false>(),
        }
    }
}

/// A piece of work that is compiled once for each instruction set; `FMA` says whether
/// `f32::mul_add` is one instruction there (elsewhere it is a slow library call).
pub(crate) trait Work {
    type Out;
    fn run<const FMA: bool>(self) -> Self::Out;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn run_avx512<W: Work>(work: W) -> W::Out {
    work.run::<true>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<W: Work>(work: W) -> W::Out {
    work.run::<true>()
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn run_neon<W: Work>(work: W) -> W::Out {
    work.run::<true>()
}

/// A right-hand side of `depth` rows and `columns` columns, packed for one instruction set.
///
/// Panel after panel, each `depth` × [`Isa::columns`], the last one filled up with zeros.
pub(crate) struct Packed {
    isa: Isa,
    depth: usize,
    columns: usize,
    lines: Vec<Line>,
}

impl Packed {
    /// An empty matrix to be filled by [`pack_transposed`](Self::pack_transposed) or
    /// [`pack_rows`](Self::pack_rows); its memory is used again by every later packing.
    pub(crate) fn new(isa: Isa) -> Self {
        Self { isa, depth: 0, columns: 0, lines: Vec::new() }
    }

    fn resize(&mut self, depth: usize, columns: usize) {
        self.depth = depth;
        self.columns = columns;
        let width = self.isa.columns();
        let panel = depth * self.isa.lines();
        self.lines.resize(columns.div_ceil(width) * panel, Line([0.0; LINE]));
        if !columns.is_multiple_of(width) {
            // Full panels are overwritten; what the last one does not hold must not be what was there.
            let last = self.lines.len() - panel;
            self.lines[last..].fill(Line([0.0; LINE]));
        }
    }

    /// Packs the transpose of `rows`: column `j` of the matrix is `rows[j * stride..][..depth]`.
    /// That is how linear layers are stored (one row per output), and how keys lie for `Q·Kᵀ`.
    pub(crate) fn pack_transposed(&mut self, rows: &[f32], stride: usize, depth: usize, columns: usize) {
        self.resize(depth, columns);
        let (width, lines) = (self.isa.columns(), self.isa.lines());
        for column in 0..columns {
            let (panel, within) = (column / width, column % width);
            let first = panel * depth * lines + within / LINE;
            let source = &rows[column * stride..][..depth];
            for (line, &value) in self.lines[first..].iter_mut().step_by(lines).zip(source) {
                line.0[within % LINE] = value;
            }
        }
    }

    /// Packs `rows` as they are: row `i` of the matrix is `rows[i * stride..][..columns]`.
    pub(crate) fn pack_rows(&mut self, rows: &[f32], stride: usize, depth: usize, columns: usize) {
        self.resize(depth, columns);
        let (width, lines) = (self.isa.columns(), self.isa.lines());
        for row in 0..depth {
            let source = &rows[row * stride..][..columns];
            for (at, part) in source.chunks(LINE).enumerate() {
                let (panel, within) = (at * LINE / width, at % lines);
                let line = &mut self.lines[(panel * depth + row) * lines + within];
                line.0[..part.len()].copy_from_slice(part);
            }
        }
    }

    /// Columns of the left-hand side.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the product.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// `out = left · self (+ bias)`.
    ///
    /// Row `i` of `left` is `left[i * left_stride..][..depth]`, row `i` of `out` is
    /// `out[i * out_stride..][..columns]`; other elements of `out` are left alone.
    ///
    /// # Panics
    /// When a slice is shorter than its rows and stride say.
    pub(crate) fn multiply(
        &self,
        rows: usize,
        left: &[f32],
        left_stride: usize,
        bias: Option<&[f32]>,
        out: &mut [f32],
        out_stride: usize,
    ) {
        if rows == 0 || self.columns == 0 {
            return;
        }
        assert!(left.len() >= (rows - 1) * left_stride + self.depth);
        assert!(out.len() >= (rows - 1) * out_stride + self.columns);
        assert!(bias.is_none_or(|bias| bias.len() == self.columns));
        let block = (ROWS_BYTES / (self.depth.max(1) * size_of::<f32>())).max(24);
        let mut from = 0;
        while from < rows {
            let count = block.min(rows - from);
            self.multiply_block(
                count,
                &left[from * left_stride..],
                left_stride,
                bias,
                &mut out[from * out_stride..],
                out_stride,
            );
            from += count;
        }
    }

    fn multiply_block(
        &self,
        rows: usize,
        left: &[f32],
        left_stride: usize,
        bias: Option<&[f32]>,
        out: &mut [f32],
        out_stride: usize,
    ) {
        let width = self.isa.columns();
        let panel_lines = self.depth * self.isa.lines();
        for panel in 0..self.columns.div_ceil(width) {
            let column = panel * width;
            let tile = Tile {
                depth: self.depth,
                left,
                left_stride,
                panel: &self.lines[panel * panel_lines..][..panel_lines],
                bias: bias.map(|bias| &bias[column..]),
                column,
                columns: width.min(self.columns - column),
                out_stride,
            };
            match self.isa.0 {
                // SAFETY: this variant exists only when the processor has AVX-512F, AVX2 and FMA.
                #[cfg(target_arch = "x86_64")]
                Set::Avx512 => unsafe { avx512::panel(&tile, rows, out) },
                // SAFETY: this variant exists only when the processor has AVX2 and FMA.
                #[cfg(target_arch = "x86_64")]
                Set::Avx2 => unsafe { avx2::panel(&tile, rows, out) },
                // SAFETY: this variant exists only when the processor has NEON.
                #[cfg(target_arch = "aarch64")]
                Set::Neon => unsafe { neon::panel(&tile, rows, out) },
                Set::Portable => portable::panel(&tile, rows, out),
            }
        }
    }
}

/// One panel's share of a product.
struct Tile<'a> {
    depth: usize,
    left: &'a [f32],
    left_stride: usize,
    panel: &'a [Line],
    bias: Option<&'a [f32]>,
    /// The panel's first column in `out`.
    column: usize,
    /// Columns of the panel that exist.
    columns: usize,
    out_stride: usize,
}

impl Tile<'_> {
    /// What the sums of every row start from: the bias, or nothing.
    #[inline(always)]
    fn start<const COLUMNS: usize>(&self) -> [f32; COLUMNS] {
        let mut start = [0.0; COLUMNS];
        if let Some(bias) = self.bias {
            start[..self.columns].copy_from_slice(&bias[..self.columns]);
        }
        start
    }

    /// A row's place in `out`.
    #[inline(always)]
    fn row<'o>(&self, row: usize, out: &'o mut [f32]) -> &'o mut [f32] {
        &mut out[row * self.out_stride + self.column..][..self.columns]
    }
}

/// Writes a module with `panel`, which walks down the rows in blocks, and `block`, the micro-kernel
/// for `ROWS` rows: `$vector` is the register's type, `$lanes` its floats, `$registers` how many of
/// them make a panel's row, `$rows` how many rows fit the register file.
macro_rules! kernel {
    ($name:ident, $arch:ident, $features:literal, $vector:ident, $lanes:literal, $registers:literal,
     rows $rows:literal: $($count:literal)*, $zero:expr, $load:expr, $splat:expr, $fma:expr, $store:expr) => {
        mod $name {
            use super::{Line, Tile};
            use std::arch::$arch::*;

            const COLUMNS: usize = $lanes * $registers;
            const LINES: usize = COLUMNS / super::LINE;

            #[target_feature(enable = $features)]
            pub(super) fn panel(tile: &Tile<'_>, rows: usize, out: &mut [f32]) {
                // Blocks of even size: eight rows are better as 4 + 4 than as 6 + 2.
                let blocks = rows.div_ceil($rows);
                let (least, more) = (rows / blocks, rows % blocks);
                let mut row = 0;
                for number in 0..blocks {
                    let count = least + usize::from(number < more);
                    match count {
                        $($count => block::<$count>(tile, row, out),)*
                        _ => {}
                    }
                    row += count;
                }
            }

            #[target_feature(enable = $features)]
            fn block<const ROWS: usize>(tile: &Tile<'_>, row: usize, out: &mut [f32]) {
                let depth = tile.depth;
                // No iterators with closures here: they would not be compiled for these features.
                let mut left: [&[f32]; ROWS] = [&[]; ROWS];
                for i in 0..ROWS {
                    left[i] = &tile.left[(row + i) * tile.left_stride..][..depth];
                }
                let start: [f32; COLUMNS] = tile.start();
                let mut sums = [[$zero; $registers]; ROWS];
                for sums in &mut sums {
                    for (sum, start) in sums.iter_mut().zip(start.as_chunks::<$lanes>().0) {
                        *sum = $load(start);
                    }
                }
                let panel: &[[Line; LINES]] = &tile.panel.as_chunks::<LINES>().0[..depth];
                for k in 0..depth {
                    let line = &panel[k];
                    let mut right = [$zero; $registers];
                    for (register, right) in right.iter_mut().enumerate() {
                        let at = register * $lanes;
                        let part = &line[at / super::LINE].0.as_chunks::<$lanes>().0;
                        *right = $load(&part[at % super::LINE / $lanes]);
                    }
                    for i in 0..ROWS {
                        let x = $splat(left[i][k]);
                        for register in 0..$registers {
                            sums[i][register] = $fma(x, right[register], sums[i][register]);
                        }
                    }
                }
                for (i, sums) in sums.iter().enumerate() {
                    let out = tile.row(row + i, out);
                    if out.len() == COLUMNS {
                        for (part, &sum) in out.as_chunks_mut::<$lanes>().0.iter_mut().zip(sums) {
                            $store(part, sum);
                        }
                        continue;
                    }
                    let mut values = [0.0; COLUMNS];
                    for (part, &sum) in values.as_chunks_mut::<$lanes>().0.iter_mut().zip(sums) {
                        $store(part, sum);
                    }
                    out.copy_from_slice(&values[..out.len()]);
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernel!(
    avx512, x86_64, "avx512f,avx2,fma", __m512, 16, 2,
    rows 12: 1 2 3 4 5 6 7 8 9 10 11 12,
    _mm512_setzero_ps(),
    // SAFETY: the reference covers exactly the sixteen floats that are read.
    |part: &[f32; 16]| unsafe { _mm512_loadu_ps(part.as_ptr()) },
    |x| _mm512_set1_ps(x),
    |x, y, z| _mm512_fmadd_ps(x, y, z),
    // SAFETY: the reference covers exactly the sixteen floats that are written.
    |part: &mut [f32; 16], sum| unsafe { _mm512_storeu_ps(part.as_mut_ptr(), sum) }
);

#[cfg(target_arch = "x86_64")]
kernel!(
    avx2, x86_64, "avx2,fma", __m256, 8, 2,
    rows 6: 1 2 3 4 5 6,
    _mm256_setzero_ps(),
    // SAFETY: the reference covers exactly the eight floats that are read.
    |part: &[f32; 8]| unsafe { _mm256_loadu_ps(part.as_ptr()) },
    |x| _mm256_set1_ps(x),
    |x, y, z| _mm256_fmadd_ps(x, y, z),
    // SAFETY: the reference covers exactly the eight floats that are written.
    |part: &mut [f32; 8], sum| unsafe { _mm256_storeu_ps(part.as_mut_ptr(), sum) }
);

#[cfg(target_arch = "aarch64")]
kernel!(
    neon, aarch64, "neon", float32x4_t, 4, 4,
    rows 6: 1 2 3 4 5 6,
    vdupq_n_f32(0.0),
    // SAFETY: the reference covers exactly the four floats that are read.
    |part: &[f32; 4]| unsafe { vld1q_f32(part.as_ptr()) },
    |x| vdupq_n_f32(x),
    |x, y, z| vfmaq_f32(z, x, y),
    // SAFETY: the reference covers exactly the four floats that are written.
    |part: &mut [f32; 4], sum| unsafe { vst1q_f32(part.as_mut_ptr(), sum) }
);

/// Plain loops that a compiler turns into whatever the target has.
mod portable {
    use super::{LINE, Tile};

    const ROWS: usize = 4;

    pub(super) fn panel(tile: &Tile<'_>, rows: usize, out: &mut [f32]) {
        for row in (0..rows).step_by(ROWS) {
            let rows = ROWS.min(rows - row);
            let mut sums = [tile.start::<LINE>(); ROWS];
            for (k, line) in tile.panel.iter().enumerate() {
                for (i, sums) in sums.iter_mut().enumerate().take(rows) {
                    let x = tile.left[(row + i) * tile.left_stride + k];
                    for (sum, y) in sums.iter_mut().zip(&line.0) {
                        *sum += x * y;
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate().take(rows) {
                let out = tile.row(row + i, out);
                out.copy_from_slice(&sums[..out.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic values in -1..1.
    fn values(count: usize, mut state: u64) -> Vec<f32> {
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                ((state >> 40) as f32) / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// Shapes around every border: block and panel tails, one row, one column, depth one.
    const SHAPES: [(usize, usize, usize); 14] = [
        (1, 1, 1),
        (1, 384, 1152),
        (2, 3, 5),
        (3, 32, 31),
        (5, 17, 33),
        (6, 8, 16),
        (7, 64, 17),
        (11, 32, 65),
        (12, 32, 32),
        (13, 1536, 48),
        (25, 384, 96),
        (40, 1, 70),
        (131, 40, 32),
        (150, 384, 40),
    ];

    #[test]
    fn every_instruction_set_agrees_with_a_naive_product() {
        for isa in Isa::all() {
            for (rows, depth, columns) in SHAPES {
                let left_stride = depth + 3;
                let out_stride = columns + 2;
                let left = values(rows * left_stride, 1);
                let right = values(columns * depth, 2);
                let bias = values(columns, 3);
                let mut transposed = vec![0.0; depth * columns];
                for j in 0..columns {
                    for k in 0..depth {
                        transposed[k * columns + j] = right[j * depth + k];
                    }
                }
                let mut packed = Packed::new(isa);
                for from_rows in [false, true] {
                    if from_rows {
                        packed.pack_rows(&transposed, columns, depth, columns);
                    } else {
                        packed.pack_transposed(&right, depth, depth, columns);
                    }
                    let mut out = vec![7.0; rows * out_stride];
                    packed.multiply(rows, &left, left_stride, Some(&bias), &mut out, out_stride);
                    for i in 0..rows {
                        for j in 0..columns {
                            let naive: f64 = (0..depth)
                                .map(|k| f64::from(left[i * left_stride + k]) * f64::from(right[j * depth + k]))
                                .sum::<f64>()
                                + f64::from(bias[j]);
                            let found = f64::from(out[i * out_stride + j]);
                            let bound = 1e-6 * (depth as f64).sqrt() + 1e-6;
                            assert!(
                                (naive - found).abs() <= bound * 4.0,
                                "{isa:?} {rows}x{depth}x{columns} at {i},{j}: {found} for {naive}"
                            );
                        }
                        assert!(out[i * out_stride + columns..][..2].iter().all(|&x| x == 7.0), "wrote past a row");
                    }
                }
            }
        }
    }

    #[test]
    fn a_packed_matrix_can_be_filled_again_with_a_smaller_one() {
        let mut packed = Packed::new(Isa::detect());
        packed.pack_transposed(&values(40 * 50, 1), 40, 40, 50);
        packed.pack_transposed(&[2.0, 3.0], 2, 2, 1);
        let mut out = [0.0];
        packed.multiply(1, &[10.0, 100.0], 2, None, &mut out, 1);
        assert_eq!(out, [320.0]);
    }

    #[test]
    fn no_rows_make_no_product() {
        let mut packed = Packed::new(Isa::detect());
        packed.pack_transposed(&[1.0], 1, 1, 1);
        packed.multiply(0, &[], 1, None, &mut [], 1);
        assert_eq!(packed.columns(), 1);
    }
}
