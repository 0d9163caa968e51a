//! Vectors that behave like embeddings, the same for the same seed on every machine.

/// splitmix64: small, seedable, and good enough to draw test data from.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// Roughly normal: the sum of four uniform numbers has its mean, variance and no far tails.
    pub(crate) fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|at| bits >> (16 * at) & 0xffff).sum();
        (sum as f32 / 65535.0 - 2.0) * 1.732_050_8
    }
}

fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
}

/// Where vectors are drawn from.
pub(crate) enum Source {
    /// Topics: unit vectors around centres, at a cosine of about 0.8 to them.
    Clustered { centres: Vec<f32>, noise: f32 },
    /// No clusters at all: a subspace of 64 dimensions whose spread decays from one to the next.
    LowRank { basis: Vec<f32>, decay: f32 },
}

pub(crate) const DIMENSIONS: usize = 384;
const RANK: usize = 64;

impl Source {
    pub(crate) fn clustered(random: &mut Random, clusters: usize) -> Source {
        let mut centres: Vec<f32> = (0..clusters * DIMENSIONS).map(|_| random.normal()).collect();
        centres.chunks_mut(DIMENSIONS).for_each(normalize);
        Source::Clustered { centres, noise: 0.75 }
    }

    pub(crate) fn low_rank(random: &mut Random) -> Source {
        // Random directions in many dimensions are nearly orthogonal, which is enough here.
        let mut basis: Vec<f32> = (0..RANK * DIMENSIONS).map(|_| random.normal()).collect();
        basis.chunks_mut(DIMENSIONS).for_each(normalize);
        Source::LowRank { basis, decay: 0.95 }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> Vec<f32> {
        let mut vector = vec![0f32; DIMENSIONS];
        match self {
            Source::Clustered { centres, noise } => {
                let clusters = centres.len() / DIMENSIONS;
                let centre = &centres[random.below(clusters) * DIMENSIONS..][..DIMENSIONS];
                let step = noise / (DIMENSIONS as f32).sqrt();
                for (x, c) in vector.iter_mut().zip(centre) {
                    *x = c + random.normal() * step;
                }
            }
            Source::LowRank { basis, decay } => {
                let mut spread = 1.0;
                for direction in basis.chunks(DIMENSIONS) {
                    let weight = random.normal() * spread;
                    for (x, d) in vector.iter_mut().zip(direction) {
                        *x += d * weight;
                    }
                    spread *= decay;
                }
            }
        }
        normalize(&mut vector);
        vector
    }

    pub(crate) fn draw_many(&self, random: &mut Random, count: usize) -> Vec<f32> {
        let mut all = Vec::with_capacity(count * DIMENSIONS);
        for _ in 0..count {
            all.extend(self.draw(random));
        }
        all
    }
}
