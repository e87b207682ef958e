//! One row of causal attention. Keys lie in blocks of 16 positions, so that scores of 16 positions are one vector and nothing is summed across lanes;
//! query heads that share a key head go through it together.

// Index loops over registers are what unrolls.
#![allow(clippy::needless_range_loop)]

use super::target::{Target, target};
use super::{exp, fma};

/// Positions in a block of keys.
pub const BLOCK: usize = 16;
/// Query heads that go together.
const HEADS: usize = 8;

/// Keys and values of a run of positions, for all heads.
#[derive(Clone, Default)]
pub struct Run {
    pub len: usize,
    /// `[blocks][columns][16 positions]`
    keys: Vec<f32>,
    /// `[positions][columns]`
    values: Vec<f32>,
}

impl Run {
    /// Adds positions: `keys` and `values` are `[positions, columns]`.
    pub fn push(&mut self, keys: &[f32], values: &[f32], columns: usize) {
        let blocks = (self.len + keys.len() / columns).div_ceil(BLOCK) * BLOCK * columns;
        grow(&mut self.keys, blocks);
        grow(&mut self.values, self.len * columns + values.len());
        for row in keys.chunks_exact(columns) {
            if self.len.is_multiple_of(BLOCK) {
                self.keys.resize(self.keys.len() + columns * BLOCK, 0.0);
            }
            let block = self.len / BLOCK * columns * BLOCK;
            let place = self.keys[block + self.len % BLOCK..].iter_mut().step_by(BLOCK);
            place.zip(row).for_each(|(place, v)| *place = *v);
            self.len += 1;
        }
        self.values.extend_from_slice(values);
    }
}

/// Room for `len` numbers and an eighth more. Doubling, as vectors do, would leave half of the largest thing in memory unused.
fn grow(v: &mut Vec<f32>, len: usize) {
    if len > v.capacity() {
        v.reserve_exact(len + len / 8 - v.len());
    }
}

/// Sizes of an attention layer: query heads that share a key head, key heads, numbers a head.
#[derive(Clone, Copy)]
pub struct Shape {
    pub group: usize,
    pub kv: usize,
    pub dim: usize,
}

/// Scores of `W` blocks for `G` query heads: G · W sums that do not wait for one another.
#[inline(always)]
fn block_scores<const G: usize, const W: usize, const FMA: bool>(
    q: &[f32],
    keys: [&[f32]; W],
    dim: usize,
) -> [[[f32; BLOCK]; W]; G] {
    let mut sums = [[[0f32; BLOCK]; W]; G];
    let keys = keys.map(|k| &k.as_chunks::<BLOCK>().0[..dim]);
    for d in 0..dim {
        for g in 0..G {
            let q = q[g * dim + d];
            for w in 0..W {
                for lane in 0..BLOCK {
                    sums[g][w][lane] = fma::<FMA>(q, keys[w][d][lane], sums[g][w][lane]);
                }
            }
        }
    }
    sums
}

/// Values of `W` vectors for `G` query heads, weighted by `scores`, into the columns from `from` on.
#[inline(always)]
fn weighted<const G: usize, const W: usize, const FMA: bool>(
    out: &mut [f32],
    runs: &[&Run],
    (len, column, columns, dim): (usize, usize, usize, usize),
    scores: &[f32],
    from: usize,
) {
    let mut sums = [[[0f32; BLOCK]; W]; G];
    let mut at = 0;
    for run in runs {
        let used = run.len.min(len - at);
        for (i, value) in run.values.chunks_exact(columns).take(used).enumerate() {
            let value = &value[column + from..][..W * BLOCK].as_chunks::<BLOCK>().0[..W];
            for g in 0..G {
                let p = scores[g * len + at + i];
                for w in 0..W {
                    for lane in 0..BLOCK {
                        sums[g][w][lane] = fma::<FMA>(p, value[w][lane], sums[g][w][lane]);
                    }
                }
            }
        }
        at += used;
    }
    for g in 0..G {
        out[g * dim + from..][..W * BLOCK].copy_from_slice(sums[g].as_flattened());
    }
}

/// `G` query heads of one key head over the first `len` positions. `scores` has room for G · len.
#[inline(always)]
fn heads<const G: usize, const W: usize, const FMA: bool>(
    out: &mut [f32],
    q: &[f32],
    runs: &[&Run],
    (len, column, columns, dim): (usize, usize, usize, usize),
    scores: &mut [f32],
) {
    let scale = 1.0 / (dim as f32).sqrt();
    let mut at = 0;
    for run in runs {
        let used = run.len.min(len - at);
        let block = |b: usize| &run.keys[b * columns * BLOCK..][column * BLOCK..][..dim * BLOCK];
        let blocks = used.div_ceil(BLOCK);
        let mut put = |b: usize, g: usize, sums: &[f32; BLOCK]| {
            let n = BLOCK.min(used - b * BLOCK);
            let to = &mut scores[g * len + at + b * BLOCK..][..n];
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum * scale);
        };
        let mut b = 0;
        while b < blocks {
            if b + W <= blocks {
                let sums = block_scores::<G, W, FMA>(q, std::array::from_fn(|w| block(b + w)), dim);
                sums.iter().enumerate().for_each(|(g, s)| (0..W).for_each(|w| put(b + w, g, &s[w])));
                b += W;
            } else {
                let sums = block_scores::<G, 1, FMA>(q, [block(b)], dim);
                sums.iter().enumerate().for_each(|(g, s)| put(b, g, &s[0]));
                b += 1;
            }
        }
        at += used;
    }
    for scores in scores.chunks_exact_mut(len).take(G) {
        let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        scores.iter_mut().for_each(|s| *s = exp(*s - max));
        let sum: f32 = scores.iter().sum();
        scores.iter_mut().for_each(|s| *s /= sum);
    }
    let mut from = 0;
    let at = (len, column, columns, dim);
    while from + W * BLOCK <= dim {
        weighted::<G, W, FMA>(out, runs, at, scores, from);
        from += W * BLOCK;
    }
    while from + BLOCK <= dim {
        weighted::<G, 1, FMA>(out, runs, at, scores, from);
        from += BLOCK;
    }
    // Head sizes that are no multiple of 16 are rare.
    for g in 0..G {
        for d in from..dim {
            let values = runs.iter().flat_map(|r| r.values.chunks_exact(columns).take(r.len));
            let pairs = scores[g * len..][..len].iter().zip(values);
            out[g * dim + d] = pairs.fold(0.0, |sum, (p, v)| fma::<FMA>(*p, v[column + d], sum));
        }
    }
}

#[inline(always)]
fn row<const FMA: bool>(out: &mut [f32], q: &[f32], shape: Shape, runs: &[&Run], len: usize) {
    let Shape { group, kv, dim } = shape;
    let mut scores = vec![0.0; group.min(HEADS) * len];
    for head in 0..kv {
        let mut g = 0;
        while g < group {
            let n = HEADS.min(group - g);
            let range = (head * group + g) * dim..(head * group + g + n) * dim;
            let (out, q) = (&mut out[range.clone()], &q[range]);
            let at = (len, head * dim, kv * dim, dim);
            match n {
                1 => heads::<1, 4, FMA>(out, q, runs, at, &mut scores),
                2 => heads::<2, 4, FMA>(out, q, runs, at, &mut scores),
                3 => heads::<3, 4, FMA>(out, q, runs, at, &mut scores),
                4 => heads::<4, 2, FMA>(out, q, runs, at, &mut scores),
                5 => heads::<5, 2, FMA>(out, q, runs, at, &mut scores),
                6 => heads::<6, 2, FMA>(out, q, runs, at, &mut scores),
                7 => heads::<7, 1, FMA>(out, q, runs, at, &mut scores),
                _ => heads::<8, 1, FMA>(out, q, runs, at, &mut scores),
            }
            g += n;
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
fn row_512(out: &mut [f32], q: &[f32], shape: Shape, runs: &[&Run], len: usize) {
    row::<true>(out, q, shape, runs, len);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn row_256(out: &mut [f32], q: &[f32], shape: Shape, runs: &[&Run], len: usize) {
    row::<true>(out, q, shape, runs, len);
}

/// Attention of one query row `[group · kv · dim]` over the first `len` positions of `runs`, one after the other, into `out`.
pub fn attend(out: &mut [f32], q: &[f32], shape: Shape, runs: &[&Run], len: usize) {
    attend_on(out, q, shape, runs, len, target());
}

fn attend_on(out: &mut [f32], q: &[f32], shape: Shape, runs: &[&Run], len: usize, target: Target) {
    match target {
        Target::Portable => row::<false>(out, q, shape, runs, len),
        // SAFETY (both): the target was chosen by what the processor has.
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        Target::Avx2 => unsafe { row_256(out, q, shape, runs, len) },
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        Target::Avx512 => unsafe { row_512(out, q, shape, runs, len) },
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::available;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn every_target_equals_the_plain_loops(
            group in 1usize..11, kv in 1usize..4, dim in 1usize..40, first in 0usize..40, second in 1usize..40, cut in 0usize..40, seed in 0u64..100
        ) {
            let shape = Shape { group, kv, dim };
            let columns = kv * dim;
            let value = |i: usize, salt: u64| ((i as u64 * 7919 + seed * 31 + salt) % 199) as f32 / 99.0 - 1.0;
            let fill = |n: usize, salt| (0..n).map(|i| value(i, salt)).collect::<Vec<f32>>();
            let total = first + second;
            let (k, v, q) = (fill(total * columns, 1), fill(total * columns, 2), fill(group * columns, 3));
            let (mut a, mut b) = (Run::default(), Run::default());
            a.push(&k[..first * columns], &v[..first * columns], columns);
            b.push(&k[first * columns..], &v[first * columns..], columns);
            let len = total - cut.min(second - 1);
            let mut want = vec![0f64; group * columns];
            for h in 0..group * kv {
                let column = h / group * dim;
                let dot = |i: usize| (0..dim).map(|d| f64::from(q[h * dim + d]) * f64::from(k[i * columns + column + d])).sum::<f64>();
                let e: Vec<f64> = (0..len).map(|i| (dot(i) / (dim as f64).sqrt()).exp()).collect();
                let sum: f64 = e.iter().sum();
                for d in 0..dim {
                    want[h * dim + d] = (0..len).map(|i| e[i] / sum * f64::from(v[i * columns + column + d])).sum();
                }
            }
            for target in available() {
                let mut out = vec![0.0; group * columns];
                attend_on(&mut out, &q, shape, &[&a, &b], len, target);
                for (got, want) in out.iter().zip(&want) {
                    prop_assert!((f64::from(*got) - want).abs() < 1e-4, "{:?}: {} not {}", target, got, want);
                }
            }
        }
    }
}
