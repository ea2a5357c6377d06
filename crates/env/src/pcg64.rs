//! NumPy's `default_rng(seed)`, as far as Gymnasium's tasks use it.
//!
//! PCG-XSL-RR-128/64 (O'Neill 2014, *PCG*, section 6.3.3) seeded through NumPy's `SeedSequence`; normals by the 256-layer
//! ziggurat of Marsaglia & Tsang (2000). So `reset(seed)` of a Gymnasium task starts where Gymnasium's does.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// NumPy's `Generator(PCG64(seed))`.
#[derive(Clone, Debug)]
pub struct Generator {
    state: u128,
    increment: u128,
}

impl Generator {
    /// The generator of `numpy.random.default_rng(seed)`.
    pub fn new(seed: u64) -> Self {
        let words = seed_sequence(seed);
        let wide = |i: usize| u128::from(words[i]) << 64 | u128::from(words[i + 1]);
        let mut random = Self { state: 0, increment: wide(2) << 1 | 1 };
        random.bits();
        random.state = random.state.wrapping_add(wide(0));
        random.bits();
        random
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    /// Uniform on [0, 1) with 53 bits: `random()`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// Uniform on [low, high): `uniform(low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Standard normal: `standard_normal()`.
    pub fn normal(&mut self, ziggurat: &Ziggurat) -> f64 {
        loop {
            let bits = self.bits();
            let layer = (bits & 0xff) as usize;
            let mantissa = bits >> 9 & ((1 << 52) - 1);
            let x = mantissa as f64 / Ziggurat::UNIT * ziggurat.width[layer];
            let x = if bits >> 8 & 1 == 1 { -x } else { x };
            if mantissa < ziggurat.inside[layer] {
                return x;
            }
            if layer == 0 {
                return self.tail(mantissa >> 8 & 1 == 1);
            }
            let (below, above) = (ziggurat.density[layer], ziggurat.density[layer - 1]);
            if (above - below) * self.unit() + below < density(x) {
                return x;
            }
        }
    }

    /// A normal beyond [`Ziggurat::R`] (Marsaglia 1964).
    fn tail(&mut self, negative: bool) -> f64 {
        loop {
            let x = -libm::log1p(-self.unit()) / Ziggurat::R;
            let y = -libm::log1p(-self.unit());
            if y + y > x * x {
                return if negative { -(Ziggurat::R + x) } else { Ziggurat::R + x };
            }
        }
    }
}

/// The 256 layers of equal area under half a normal density, from the base (0) and the top (1) down.
#[derive(Clone, Debug)]
pub struct Ziggurat {
    /// Right end of each layer; of the base the width of the rectangle with its area.
    width: [f64; 256],
    /// Mantissas below this are inside the density for certain.
    inside: [u64; 256],
    /// Density at the right end.
    density: [f64; 256],
}

impl Ziggurat {
    /// Where the tail begins: the only `r` for which the layers close at 0.
    const R: f64 = 3.654_152_885_361_009;
    /// Mantissas have 52 bits.
    const UNIT: f64 = 4_503_599_627_370_496.0;

    /// Compute the layers.
    pub fn new() -> Self {
        let tail = (PI / 2.0).sqrt() * libm::erfc(Self::R * FRAC_1_SQRT_2);
        let area = Self::R * density(Self::R) + tail;
        let (mut x, mut inside) = ([0.0; 256], [0; 256]);
        x[255] = Self::R;
        x[0] = area / density(Self::R);
        for i in (1..255).rev() {
            x[i] = (-2.0 * libm::log(area / x[i + 1] + density(x[i + 1]))).sqrt();
            inside[i + 1] = (x[i] / x[i + 1] * Self::UNIT) as u64;
        }
        inside[0] = (Self::R / x[0] * Self::UNIT) as u64;
        let mut heights = x.map(density);
        heights[0] = 1.0;
        Self { width: x, inside, density: heights }
    }
}

impl Default for Ziggurat {
    fn default() -> Self {
        Self::new()
    }
}

/// Normal density but for its constant.
fn density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x)
}

/// `SeedSequence(seed).generate_state(4, uint64)`: the seed's two words hashed into a pool of four, and the pool into eight.
fn seed_sequence(seed: u64) -> [u64; 4] {
    let mut hash = Hash { constant: 0x43b0_d7e5, multiplier: 0x931e_8875 };
    let mut pool = [seed as u32, (seed >> 32) as u32, 0, 0].map(|word| hash.mix(word));
    for source in 0..4 {
        for target in (0..4).filter(|&target| target != source) {
            let left = pool[target].wrapping_mul(0xca01_f9dd);
            let mixed = left.wrapping_sub(hash.mix(pool[source]).wrapping_mul(0x4973_f715));
            pool[target] = mixed ^ mixed >> 16;
        }
    }
    let mut hash = Hash { constant: 0x8b51_f9dd, multiplier: 0x58f3_8ded };
    let words: [u32; 8] = std::array::from_fn(|i| hash.mix(pool[i % 4]));
    std::array::from_fn(|i| u64::from(words[2 * i]) | u64::from(words[2 * i + 1]) << 32)
}

/// A hash whose constant changes with every word.
struct Hash {
    constant: u32,
    multiplier: u32,
}

impl Hash {
    fn mix(&mut self, word: u32) -> u32 {
        let word = word ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.multiplier);
        let word = word.wrapping_mul(self.constant);
        word ^ word >> 16
    }
}
