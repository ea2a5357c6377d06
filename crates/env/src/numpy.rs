//! The generator of NumPy's legacy `RandomState`, as far as the reference environments use it.
//!
//! MT19937 (Matsumoto and Nishimura, 1998) seeded by `init_genrand`, and the draws that NumPy makes from its 32-bit words.
//! NumPy promises never to change these streams, so layouts of recorded episodes follow from their seed alone.

/// Words of state.
const N: usize = 624;
const M: usize = 397;

/// NumPy's `RandomState(seed)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomState {
    words: [u32; N],
    /// Next word to give out; [`N`] = make new ones first.
    next: usize,
}

impl RandomState {
    /// Bytes that [`RandomState::save`] writes.
    pub const SAVED: usize = 4 * (N + 1);

    /// The generator of `numpy.random.RandomState(seed)`.
    pub fn new(seed: u32) -> Self {
        let mut words = [seed; N];
        for i in 1..N {
            let last = words[i - 1];
            words[i] = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Self { words, next: N }
    }

    /// Uniform on all 32-bit words.
    pub fn word(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// New words. Cut where the word that is `M` ahead is round the end, so that several are made at once.
    fn twist(&mut self) {
        let mix = |this: u32, next: u32, ahead: u32| {
            let y = (this & 0x8000_0000) | (next & 0x7fff_ffff);
            ahead ^ (y >> 1) ^ ((y & 1).wrapping_neg() & 0x9908_b0df)
        };
        let words = &mut self.words;
        for i in 0..N - M {
            words[i] = mix(words[i], words[i + 1], words[i + M]);
        }
        for i in N - M..N - 1 {
            words[i] = mix(words[i], words[i + 1], words[i + M - N]);
        }
        words[N - 1] = mix(words[N - 1], words[0], words[M - 1]);
        self.next = 0;
    }

    /// Uniform on [0, 1) with 53 bits: `random_sample()`. Two words.
    pub fn unit(&mut self) -> f64 {
        let high = f64::from(self.word() >> 5);
        let low = f64::from(self.word() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// Uniform on [low, high): `uniform(low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform on `0..n`: `choice(n)`. Words under the next power of two are redrawn until one is below `n`.
    pub fn choice(&mut self, n: u32) -> u32 {
        if n <= 1 {
            return 0;
        }
        let mask = u32::MAX >> (n - 1).leading_zeros();
        loop {
            let value = self.word() & mask;
            if value < n {
                return value;
            }
        }
    }

    /// Append the state to `out`, [`RandomState::SAVED`] bytes.
    pub fn save(&self, out: &mut Vec<u8>) {
        out.extend((self.next as u32).to_le_bytes());
        out.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
    }

    /// The generator that [`RandomState::save`] wrote; `None` if these bytes are not one.
    pub fn load(bytes: &[u8]) -> Option<Self> {
        let mut read = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        let next = read.next()? as usize;
        if bytes.len() != Self::SAVED || next > N {
            return None;
        }
        let mut words = [0; N];
        words.iter_mut().zip(read).for_each(|(word, saved)| *word = saved);
        Some(Self { words, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two uniforms, six of `choice(4)`, six of `choice(6)`, one uniform more: printed by NumPy 2.4.
    #[test]
    fn numpy_draws_the_same() {
        type Row = (u32, [f64; 2], [u32; 6], [u32; 6], f64, f64);
        let table: [Row; 3] = [
            (
                0,
                [0.548_813_503_927_324_8, 0.645_568_099_117_258_3],
                [3, 3, 3, 3, 1, 3],
                [5, 2, 4, 0, 0, 4],
                0.791_725_038_082_664_6,
                0.131_596_850_366_69,
            ),
            (
                1,
                [0.417_022_004_702_574, 0.660_973_480_326_474_4],
                [3, 1, 3, 1, 3, 0],
                [0, 1, 4, 5, 4, 1],
                0.419_194_514_403_294_8,
                0.424_559_910_302_216_6,
            ),
            (
                123_456_789,
                [0.532_833_024_789_759, 0.102_409_802_671_249_66],
                [2, 1, 0, 3, 2, 0],
                [3, 5, 4, 4, 0, 3],
                0.278_532_257_107_102_6,
                0.565_431_080_395_669_1,
            ),
        ];
        for (seed, uniforms, fours, sixes, after, late) in table {
            let mut random = RandomState::new(seed);
            assert_eq!([random.unit(), random.uniform(-1.5, 1.5)], uniforms);
            assert_eq!([(); 6].map(|()| random.choice(4)), fours);
            assert_eq!([(); 6].map(|()| random.choice(6)), sixes);
            random.unit(); // binomial(10, 1.0)
            assert_eq!(random.unit(), after);
            assert_eq!(random.choice(1), 0);
            for _ in 0..2001 {
                random.unit();
            }
            assert_eq!(random.unit(), late);
        }
    }

    #[test]
    fn a_saved_generator_goes_on() {
        let mut random = RandomState::new(7);
        random.unit();
        let mut bytes = Vec::new();
        random.save(&mut bytes);
        assert_eq!(bytes.len(), RandomState::SAVED);
        assert_eq!(RandomState::load(&bytes), Some(random));
        assert_eq!(RandomState::load(&bytes[1..]), None);
    }
}
