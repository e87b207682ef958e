//! Choosing the next token.

use freehold_model::kernels::{argmax, log_sum_exp};

/// Greedy at temperature 0, otherwise drawn from the softmax at that temperature with a seeded generator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    pub temperature: f64,
    pub seed: u64,
}

impl Sampling {
    pub const GREEDY: Self = Self { temperature: 0.0, seed: 0 };
}

/// SplitMix64 (Steele, Lea & Flood, 2014): one number a step from a counter, so that a request's draws depend on its own seed and
/// position only, never on its neighbours in the batch.
fn uniform(seed: u64, step: u64) -> f64 {
    let mut z = seed.wrapping_add((step + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// The next token and its log-probability at temperature 1. Ties go to the lower id.
pub fn choose(logits: &[f32], sampling: Sampling, step: usize) -> (u32, f64) {
    let lse = log_sum_exp(logits);
    let mut best = 0;
    if sampling.temperature <= 0.0 {
        best = argmax(logits);
    } else {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |v: f32| (f64::from(v - max) / sampling.temperature).exp();
        let total: f64 = logits.iter().map(|&v| weight(v)).sum();
        let mut left = uniform(sampling.seed, step as u64) * total;
        for (i, &v) in logits.iter().enumerate() {
            best = i;
            left -= weight(v);
            if left < 0.0 {
                break;
            }
        }
    }
    (best as u32, f64::from(logits[best] - lse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_largest() {
        assert_eq!(choose(&[0.0, 3.0, 3.0, 1.0], Sampling::GREEDY, 0).0, 1);
    }

    #[test]
    fn sampling_follows_the_distribution() {
        let logits = [0.0f32, 1.0, 2.0];
        let total: f32 = logits.iter().map(|v| v.exp()).sum();
        let mut counts = [0usize; 3];
        for seed in 0..20_000 {
            counts[choose(&logits, Sampling { temperature: 1.0, seed }, 0).0 as usize] += 1;
        }
        for (count, logit) in counts.iter().zip(logits) {
            let (got, want) = (*count as f64 / 20_000.0, f64::from(logit.exp() / total));
            assert!((got - want).abs() < 0.015, "{got} {want}");
        }
    }
}
