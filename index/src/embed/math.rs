//! The element-wise parts of a transformer, written as plain loops over blocks of sixteen floats that
//! the compiler turns into vector code for each instruction set (see [`super::gemm`]).

use super::gemm::{Isa, Work};

const LANES: usize = 16;

/// The activation between the two halves of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x · Φ(x)` with the exact error function.
    Gelu,
    /// The approximation of GELU by a hyperbolic tangent.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x · σ(x)`.
    Silu,
}

#[inline(always)]
fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn polynomial<const FMA: bool, const N: usize>(x: f32, highest_first: [f32; N]) -> f32 {
    let mut sum = highest_first[0];
    for &coefficient in &highest_first[1..] {
        sum = fma::<FMA>(sum, x, coefficient);
    }
    sum
}

/// `e^x` to about 2e-7 of its value; 0 for what underflows.
#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding and subtracting this rounds to an integer, and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let power = shifted - ROUND;
    // ln 2 in two parts, so that the remainder keeps all its bits.
    let rest = fma::<FMA>(power, -0.693_359_4, x);
    let rest = fma::<FMA>(power, 2.121_944_4e-4, rest);
    let series = polynomial::<FMA, 7>(rest, [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0]);
    series * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

/// The error function to 4e-7: a quotient of polynomials fitted by least squares (reweighted towards
/// an even error) on [0, 3.95], where it is 1 up to rounding.
#[inline(always)]
fn erf<const FMA: bool>(x: f32) -> f32 {
    let x = x.clamp(-3.95, 3.95);
    let square = x * x;
    let above = polynomial::<FMA, 6>(
        square,
        [2.011_643_8e-6, 2.875_793_7e-4, 3.916_933e-3, 5.320_589e-2, 1.940_285e-1, std::f32::consts::FRAC_2_SQRT_PI],
    );
    let below = polynomial::<FMA, 6>(
        square,
        [3.783_754_8e-5, 1.198_082_8e-3, 1.526_996_3e-2, 1.155_875_9e-1, 5.052_848e-1, 1.0],
    );
    // Rounding must not carry it past one: far from zero that would be multiplied.
    (x * above / below).clamp(-1.0, 1.0)
}

#[inline(always)]
fn activated<const FMA: bool>(kind: Activation, x: f32) -> f32 {
    match kind {
        Activation::Gelu => {
            let half = 0.5 * x;
            fma::<FMA>(half, erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2), half)
        }
        Activation::GeluTanh => {
            let cubic = fma::<FMA>(0.044_715 * x * x, x, x);
            // x · ½(1 + tanh y) = x · σ(2y)
            x / (1.0 + exp::<FMA>(-2.0 * 0.797_884_6 * cubic))
        }
        Activation::Relu => x.max(0.0),
        Activation::Silu => x / (1.0 + exp::<FMA>(-x)),
    }
}

/// Applies an activation to every value.
pub(crate) fn activate(isa: Isa, kind: Activation, values: &mut [f32]) {
    struct Activate<'a>(Activation, &'a mut [f32]);
    impl Work for Activate<'_> {
        type Out = ();
        #[inline(always)]
        fn run<const FMA: bool>(self) {
            #[inline(always)]
            fn all<const FMA: bool>(values: &mut [f32], kind: Activation) {
                for x in values {
                    *x = activated::<FMA>(kind, *x);
                }
            }
            // One loop for each kind, so that no loop asks which it is.
            match self.0 {
                Activation::Gelu => all::<FMA>(self.1, Activation::Gelu),
                Activation::GeluTanh => all::<FMA>(self.1, Activation::GeluTanh),
                Activation::Relu => all::<FMA>(self.1, Activation::Relu),
                Activation::Silu => all::<FMA>(self.1, Activation::Silu),
            }
        }
    }
    isa.run(Activate(kind, values));
}

/// Replaces each row of `scores` (`width` long) by `e^(scale · (x − the row's maximum))` and writes
/// one over each row's sum to `inverse`: the softmax, but for that factor.
pub(crate) fn softmax(isa: Isa, scores: &mut [f32], width: usize, scale: f32, inverse: &mut [f32]) {
    struct Softmax<'a>(&'a mut [f32], usize, f32, &'a mut [f32]);
    impl Work for Softmax<'_> {
        type Out = ();
        #[inline(always)]
        fn run<const FMA: bool>(self) {
            let Self(scores, width, scale, inverse) = self;
            for (row, inverse) in scores.chunks_exact_mut(width).zip(inverse) {
                let mut most = [f32::NEG_INFINITY; LANES];
                let (blocks, rest) = row.as_chunks::<LANES>();
                for block in blocks {
                    for (most, &x) in most.iter_mut().zip(block) {
                        *most = if x > *most { x } else { *most };
                    }
                }
                let most = most.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                let mut sums = [0.0; LANES];
                let (blocks, rest) = row.as_chunks_mut::<LANES>();
                for block in blocks {
                    for (sum, x) in sums.iter_mut().zip(block) {
                        *x = exp::<FMA>((*x - most) * scale);
                        *sum += *x;
                    }
                }
                let mut sum: f32 = sums.iter().sum();
                for x in rest {
                    *x = exp::<FMA>((*x - most) * scale);
                    sum += *x;
                }
                *inverse = 1.0 / sum;
            }
        }
    }
    isa.run(Softmax(scores, width, scale, inverse));
}

/// Scales row `i` of `values` (`width` long, one every `stride`) by `factors[i]`.
pub(crate) fn scale_rows(values: &mut [f32], stride: usize, width: usize, factors: &[f32]) {
    for (row, &factor) in values.chunks_mut(stride).zip(factors) {
        for x in &mut row[..width] {
            *x *= factor;
        }
    }
}

/// A layer normalisation's weights.
pub(crate) struct Norm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) epsilon: f32,
}

impl Norm {
    /// `values = normalised(values + added)`, row by row.
    pub(crate) fn apply(&self, isa: Isa, values: &mut [f32], added: Option<&[f32]>) {
        struct Apply<'a>(&'a Norm, &'a mut [f32], Option<&'a [f32]>);
        impl Work for Apply<'_> {
            type Out = ();
            #[inline(always)]
            fn run<const FMA: bool>(self) {
                let Self(norm, values, added) = self;
                let width = norm.weight.len();
                if let Some(added) = added {
                    for (x, y) in values.iter_mut().zip(added) {
                        *x += y;
                    }
                }
                for row in values.chunks_exact_mut(width) {
                    let mean = sum(row, |x| x) / width as f32;
                    let variance = sum(row, |x| (x - mean) * (x - mean)) / width as f32;
                    let scale = 1.0 / (variance + norm.epsilon).sqrt();
                    for ((x, weight), bias) in row.iter_mut().zip(&norm.weight).zip(&norm.bias) {
                        *x = fma::<FMA>((*x - mean) * scale, *weight, *bias);
                    }
                }
            }
        }
        isa.run(Apply(self, values, added));
    }
}

#[inline(always)]
fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for (sum, &x) in sums.iter_mut().zip(block) {
            *sum += of(x);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|&x| of(x)).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(from: f32, to: f32) -> Vec<f32> {
        (0..=4000).map(|i| from + (to - from) * i as f32 / 4000.0).collect()
    }

    /// The error function by its Taylor series, in double precision; good for |x| ≤ 4.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-18 {
            n += 1.0;
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn gelu_is_exact_to_a_millionth() {
        for isa in Isa::all() {
            let input = grid(-5.6, 5.6);
            let mut output = input.clone();
            activate(isa, Activation::Gelu, &mut output);
            for (x, y) in input.into_iter().zip(output) {
                let x = f64::from(x);
                let exact = 0.5 * x * (1.0 + erf_series(x / 2.0f64.sqrt()));
                assert!((f64::from(y) - exact).abs() < 1.5e-6, "{isa:?} gelu({x}) = {y}, not {exact}");
            }
            let mut far = [-1e4, -30.0, 30.0, 1e4];
            activate(isa, Activation::Gelu, &mut far);
            assert!(far[0].abs() < 1e-2 && far[1].abs() < 1e-5, "{far:?}");
            assert_eq!(far[2..], [30.0, 1e4]);
        }
    }

    #[test]
    fn the_other_activations_follow_their_formulas() {
        type Formula = fn(f64) -> f64;
        let formulas: [(Activation, Formula); 3] = [
            (Activation::GeluTanh, |x| {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }),
            (Activation::Relu, |x| x.max(0.0)),
            (Activation::Silu, |x| x / (1.0 + (-x).exp())),
        ];
        for (kind, formula) in formulas {
            let input = grid(-20.0, 20.0);
            let mut output = input.clone();
            activate(Isa::detect(), kind, &mut output);
            for (x, y) in input.into_iter().zip(output) {
                let exact = formula(f64::from(x));
                let bound = 1e-6 + 1e-6 * exact.abs();
                assert!((f64::from(y) - exact).abs() < bound, "{kind:?}({x}) = {y}, not {exact}");
            }
        }
    }

    #[test]
    fn softmax_rows_sum_to_one_and_keep_their_proportions() {
        for isa in Isa::all() {
            for width in [1, 5, 16, 33] {
                let mut scores = grid(-40.0, 40.0);
                scores.truncate(width * 3);
                let before = scores.clone();
                let mut inverse = [0.0; 3];
                softmax(isa, &mut scores, width, 0.25, &mut inverse);
                for row in 0..3 {
                    let row_before = &before[row * width..][..width];
                    let most = row_before.iter().copied().fold(f32::MIN, f32::max);
                    let exact: Vec<f64> = row_before.iter().map(|x| (0.25 * f64::from(x - most)).exp()).collect();
                    let total: f64 = exact.iter().sum();
                    for (x, exact) in scores[row * width..][..width].iter().zip(exact) {
                        assert!((f64::from(x * inverse[row]) - exact / total).abs() < 1e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn a_normalised_row_has_the_mean_and_spread_that_the_weights_say() {
        for isa in Isa::all() {
            let norm = Norm { weight: vec![2.0; 37], bias: vec![3.0; 37], epsilon: 1e-12 };
            let mut values: Vec<f32> = (0..74).map(|i| ((i * 37) % 11) as f32).collect();
            let added = vec![100.0; 74];
            norm.apply(isa, &mut values, Some(&added));
            for row in values.chunks(37) {
                let mean = row.iter().sum::<f32>() / 37.0;
                let spread = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 37.0;
                assert!((mean - 3.0).abs() < 1e-4 && (spread - 4.0).abs() < 1e-3, "{mean} {spread}");
            }
        }
    }
}
