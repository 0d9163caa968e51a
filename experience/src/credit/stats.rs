//! The little statistics that credit needs: binomial tails for shared counts, and normal bounds.

/// The natural logarithm of the gamma function, for positive numbers (Lanczos, 9 terms).
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        let pi = std::f64::consts::PI;
        return (pi / (pi * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + 7.5;
    let sum = (1..9).fold(TERMS[0], |sum, i| sum + TERMS[i] / (x + i as f64));
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// The regularised incomplete beta function (Lentz's continued fraction), for positive `a` and `b`.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (a * x.ln() + b * (1.0 - x).ln() - ln_beta(a, b)).exp() / a;
    let tiny = 1e-30;
    let (mut c, mut d, mut f) = (1.0_f64, 0.0_f64, 1.0_f64);
    for i in 0..200 {
        let m = f64::from(i / 2);
        let step = if i == 0 {
            1.0
        } else if i % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 + step * d;
        d = 1.0 / if d.abs() < tiny { tiny } else { d };
        c = 1.0 + step / c;
        c = if c.abs() < tiny { tiny } else { c };
        f *= c * d;
        if (1.0 - c * d).abs() < 1e-10 {
            break;
        }
    }
    (front * (f - 1.0)).clamp(0.0, 1.0)
}

/// How likely at most `successes` are beside `failures`, when each run succeeds with chance `rate`.
/// Counts need not be whole: what several records share counts in part.
fn tail(successes: f64, failures: f64, rate: f64) -> f64 {
    if failures <= 1e-9 { 1.0 } else { incomplete_beta(1.0 - rate, failures, successes + 1.0) }
}

/// A success rate as far as it is known: a Beta distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    /// Successes seen and assumed.
    pub(crate) successes: f64,
    /// Failures seen and assumed.
    pub(crate) failures: f64,
}

impl Rate {
    pub(crate) fn new(successes: f64, failures: f64) -> Rate {
        Rate { successes, failures }
    }

    pub(crate) fn mean(self) -> f64 {
        self.successes / (self.successes + self.failures)
    }

    fn deviation(self) -> f64 {
        let all = self.successes + self.failures;
        (self.successes * self.failures / (all * all * (all + 1.0))).sqrt()
    }

    /// The rate that nine in ten of the likely ones exceed.
    pub(crate) fn lower(self) -> f64 {
        (self.mean() - 1.281_6 * self.deviation()).max(0.0)
    }

    /// How likely at most `successes` are beside `failures` in runs of this rate, averaged over what the rate may be.
    pub(crate) fn tail(self, successes: f64, failures: f64) -> f64 {
        const NODES: usize = 48;
        let (mut sum, mut weights) = (0.0, 0.0);
        let peak = self.log_density(self.mean().clamp(0.01, 0.99));
        for node in 0..NODES {
            let rate = (node as f64 + 0.5) / NODES as f64;
            let weight = (self.log_density(rate) - peak).exp();
            if weight > 1e-6 {
                sum += weight * tail(successes, failures, rate);
                weights += weight;
            }
        }
        if weights > 0.0 { sum / weights } else { tail(successes, failures, self.mean()) }
    }

    fn log_density(self, rate: f64) -> f64 {
        (self.successes - 1.0) * rate.ln() + (self.failures - 1.0) * (1.0 - rate).ln()
    }
}

/// The difference of two success rates with its 90 % interval, after Agresti and Caffo: one success and one failure
/// are added to each side, which keeps the interval honest for few runs.
pub(crate) fn difference(one: (u64, u64), other: (u64, u64)) -> (f64, f64, f64) {
    let of = |(successes, runs): (u64, u64)| {
        let (rate, runs) = ((successes as f64 + 1.0) / (runs as f64 + 2.0), runs as f64 + 2.0);
        (rate, rate * (1.0 - rate) / runs)
    };
    let ((a, va), (b, vb)) = (of(one), of(other));
    let half = 1.644_9 * (va + vb).sqrt();
    let plain = |(successes, runs): (u64, u64)| if runs == 0 { 0.0 } else { successes as f64 / runs as f64 };
    (plain(one) - plain(other), (a - b - half).max(-1.0), (a - b + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_the_binomial_distribution() {
        for (successes, failures, rate, expected) in [
            (0.0, 4.0, 0.7, 0.0081),
            (2.0, 6.0, 0.7, 0.011_292_21),
            (1.0, 5.0, 0.7, 0.010_935),
            (3.0, 5.0, 0.5, 0.363_281_25),
            (7.0, 1.0, 0.9, 0.569_532_79),
        ] {
            let found = tail(successes, failures, rate);
            assert!((found - expected).abs() < 1e-7, "{successes} {failures} {rate}: {found}");
        }
        assert_eq!(tail(5.0, 0.0, 0.7), 1.0);
    }

    #[test]
    fn what_is_hardly_known_makes_a_tail_less_telling() {
        let (little, much) = (Rate::new(5.6, 2.4), Rate::new(700.0, 300.0));
        assert!((much.tail(0.0, 4.0) - 0.0081).abs() < 5e-4, "{}", much.tail(0.0, 4.0));
        assert!((little.tail(0.0, 4.0) - 0.024_485).abs() < 1e-3, "{}", little.tail(0.0, 4.0));
    }

    #[test]
    fn the_difference_of_the_same_rates_holds_zero() {
        let (estimate, low, high) = difference((50, 100), (5, 10));
        assert!(estimate.abs() < 1e-9 && low < 0.0 && high > 0.0);
        let (_, low, _) = difference((95, 100), (30, 100));
        assert!(low > 0.5);
    }
}
