//! Causal attention of some rows of one sequence. Keys lie in blocks of 16 positions, so that scores of 16 positions are one vector and nothing is
//! summed across lanes; query heads that share a key head go through it together, and rows take turns at each piece of it while it is near.
//! A row's sums run over the positions in their order, whatever rows come with it and however the positions are divided into runs.

// Index loops over registers are what unrolls.
#![allow(clippy::needless_range_loop)]

use super::target::{Target, target};
use std::cell::RefCell;

use super::pool::{self, Places};
use super::softmax;

/// Positions in a block of keys.
pub const BLOCK: usize = 16;
/// Query heads that go together.
const HEADS: usize = 8;
/// Rows that take turns.
pub const ROWS: usize = 16;
/// Positions whose values they take turns at: 64 · 64 floats stay in the first-level cache.
const NEAR: usize = 64;

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

/// 16 numbers, which compilers would not always keep in vector registers by themselves.
trait Lanes: Copy {
    fn splat(v: f32) -> Self;
    fn load(from: &[f32; BLOCK]) -> Self;
    fn store(self, to: &mut [f32; BLOCK]);
    /// `self · b + c`
    fn fma(self, b: Self, c: Self) -> Self;
}

#[derive(Clone, Copy)]
struct Plain([f32; BLOCK]);

impl Lanes for Plain {
    #[inline(always)]
    fn splat(v: f32) -> Self {
        Plain([v; BLOCK])
    }
    #[inline(always)]
    fn load(from: &[f32; BLOCK]) -> Self {
        Plain(*from)
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; BLOCK]) {
        *to = self.0;
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        let mut sums = c.0;
        for i in 0..BLOCK {
            sums[i] += self.0[i] * b.0[i];
        }
        Plain(sums)
    }
}

#[cfg(target_arch = "aarch64")]
mod wide {
    //! With NEON, which every such processor has.
    #![allow(unsafe_code)]
    use super::{BLOCK, Lanes};
    use std::arch::aarch64::*;

    #[derive(Clone, Copy)]
    pub struct Neon([float32x4_t; 4]);

    // SAFETY: 16 floats are read or written.
    impl Lanes for Neon {
        #[inline(always)]
        fn splat(v: f32) -> Self {
            unsafe { Neon([vdupq_n_f32(v); 4]) }
        }
        #[inline(always)]
        fn load(from: &[f32; BLOCK]) -> Self {
            unsafe { Neon(std::array::from_fn(|i| vld1q_f32(from.as_ptr().add(4 * i)))) }
        }
        #[inline(always)]
        fn store(self, to: &mut [f32; BLOCK]) {
            for (i, v) in self.0.into_iter().enumerate() {
                unsafe { vst1q_f32(to.as_mut_ptr().add(4 * i), v) }
            }
        }
        #[inline(always)]
        fn fma(self, b: Self, c: Self) -> Self {
            unsafe { Neon(std::array::from_fn(|i| vfmaq_f32(c.0[i], self.0[i], b.0[i]))) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    //! With AVX2 and with AVX-512. The methods are always inlined, and [`super::attend_on`] has them only in functions that have the features.
    #![allow(unsafe_code)]
    use super::{BLOCK, Lanes};
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    pub struct Avx2(__m256, __m256);
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    // SAFETY (both): the features are there (see above), and 16 floats are read or written.
    impl Lanes for Avx2 {
        #[inline(always)]
        fn splat(v: f32) -> Self {
            unsafe { Avx2(_mm256_set1_ps(v), _mm256_set1_ps(v)) }
        }
        #[inline(always)]
        fn load(from: &[f32; BLOCK]) -> Self {
            unsafe { Avx2(_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))) }
        }
        #[inline(always)]
        fn store(self, to: &mut [f32; BLOCK]) {
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), self.0);
                _mm256_storeu_ps(to.as_mut_ptr().add(8), self.1);
            }
        }
        #[inline(always)]
        fn fma(self, b: Self, c: Self) -> Self {
            unsafe { Avx2(_mm256_fmadd_ps(self.0, b.0, c.0), _mm256_fmadd_ps(self.1, b.1, c.1)) }
        }
    }

    impl Lanes for Avx512 {
        #[inline(always)]
        fn splat(v: f32) -> Self {
            unsafe { Avx512(_mm512_set1_ps(v)) }
        }
        #[inline(always)]
        fn load(from: &[f32; BLOCK]) -> Self {
            unsafe { Avx512(_mm512_loadu_ps(from.as_ptr())) }
        }
        #[inline(always)]
        fn store(self, to: &mut [f32; BLOCK]) {
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
        }
        #[inline(always)]
        fn fma(self, b: Self, c: Self) -> Self {
            unsafe { Avx512(_mm512_fmadd_ps(self.0, b.0, c.0)) }
        }
    }
}

/// Scores of `W` blocks for `G` query heads: G · W sums that do not wait for one another.
#[inline(always)]
fn block_scores<V: Lanes, const G: usize, const W: usize>(
    q: &[f32],
    keys: &[f32],
    stride: usize,
    dim: usize,
) -> [[V; W]; G] {
    let mut sums = [[V::splat(0.0); W]; G];
    let mut blocks: [&[[f32; BLOCK]]; W] = [&[]; W];
    for w in 0..W {
        blocks[w] = &keys[w * stride..][..dim * BLOCK].as_chunks::<BLOCK>().0[..dim];
    }
    let q = &q[..G * dim];
    for d in 0..dim {
        let mut k = [V::splat(0.0); W];
        for w in 0..W {
            k[w] = V::load(&blocks[w][d]);
        }
        for g in 0..G {
            let q = V::splat(q[g * dim + d]);
            for w in 0..W {
                sums[g][w] = q.fma(k[w], sums[g][w]);
            }
        }
    }
    sums
}

/// Adds `values` of some positions, weighted by `scores[g · room..]`, to the columns from `from` on of `out`, for `G` query heads.
#[inline(always)]
fn weighted<V: Lanes, const G: usize, const W: usize>(
    out: &mut [f32],
    values: &[f32],
    (column, columns, dim, from): (usize, usize, usize, usize),
    scores: &[f32],
    room: usize,
) {
    let mut sums = [[V::splat(0.0); W]; G];
    for g in 0..G {
        let out = out[g * dim + from..][..W * BLOCK].as_chunks::<BLOCK>().0;
        for w in 0..W {
            sums[g][w] = V::load(&out[w]);
        }
    }
    let count = values.len() / columns;
    let scores = &scores[..(G - 1) * room + count];
    for i in 0..count {
        let value = values[i * columns + column + from..][..W * BLOCK].as_chunks::<BLOCK>().0;
        let mut v = [V::splat(0.0); W];
        for w in 0..W {
            v[w] = V::load(&value[w]);
        }
        for g in 0..G {
            let p = V::splat(scores[g * room + i]);
            for w in 0..W {
                sums[g][w] = p.fma(v[w], sums[g][w]);
            }
        }
    }
    for g in 0..G {
        let out = out[g * dim + from..][..W * BLOCK].as_chunks_mut::<BLOCK>().0;
        for w in 0..W {
            sums[g][w].store(&mut out[w]);
        }
    }
}

/// Scores of one block for every head, as far as the row sees, in their places.
#[inline(always)]
fn put<V: Lanes, const G: usize, const W: usize>(
    scores: &mut [f32],
    room: usize,
    used: usize,
    sums: [[V; W]; G],
    scale: f32,
) {
    for g in 0..G {
        for w in 0..W {
            let mut block = [0.0; BLOCK];
            sums[g][w].store(&mut block);
            let n = BLOCK.min(used - w * BLOCK);
            let to = &mut scores[g * room + w * BLOCK..][..n];
            for i in 0..n {
                to[i] = block[i] * scale;
            }
        }
    }
}

/// The rows of one call: where they are in the batch, and how far they see.
#[derive(Clone, Copy)]
struct Here {
    rows: usize,
    /// Numbers of a row of queries.
    stride: usize,
    /// Positions that the first row sees; each row after it sees one more.
    first_len: usize,
    /// Where these heads' queries begin in a row.
    query: usize,
    /// The same of results, which are this key head's alone.
    out_stride: usize,
    out_query: usize,
    /// Where the head's keys and values begin in a row of `columns`.
    column: usize,
    columns: usize,
    dim: usize,
}

impl Here {
    fn len(self, row: usize) -> usize {
        self.first_len + row
    }

    /// Positions that the last row sees: room for one head's scores.
    fn room(self) -> usize {
        self.len(self.rows - 1)
    }
}

/// `G` query heads of one key head. `scores` has room for rows · G · [`Here::room`].
#[inline(always)]
fn heads<V: Lanes, const G: usize, const W: usize>(
    out: &mut [f32],
    q: &[f32],
    runs: &[&Run],
    here: Here,
    scores: &mut [f32],
) {
    let Here { rows, stride, query, out_stride, out_query, column, columns, dim, .. } = here;
    let (scale, room) = (1.0 / (dim as f32).sqrt(), here.room());
    let mut at = 0;
    for run in runs {
        let blocks = |row: usize| run.len.min(here.len(row).saturating_sub(at)).div_ceil(BLOCK);
        let mut b = 0;
        while b < blocks(rows - 1) {
            for row in 0..rows {
                let blocks = blocks(row);
                let q = &q[row * stride + query..][..G * dim];
                let used = run.len.min(here.len(row).saturating_sub(at));
                let near = |b: usize| &run.keys[(b * columns + column) * BLOCK..];
                if b + W <= blocks {
                    let sums = block_scores::<V, G, W>(q, near(b), columns * BLOCK, dim);
                    let to = &mut scores[row * G * room + at + b * BLOCK..];
                    put::<V, G, W>(to, room, used - b * BLOCK, sums, scale);
                } else {
                    for b in b..blocks {
                        let sums = block_scores::<V, G, 1>(q, near(b), columns * BLOCK, dim);
                        let to = &mut scores[row * G * room + at + b * BLOCK..];
                        put::<V, G, 1>(to, room, used - b * BLOCK, sums, scale);
                    }
                }
            }
            b += W;
        }
        at += run.len;
    }
    for row in 0..rows {
        for g in 0..G {
            softmax(&mut scores[(row * G + g) * room..][..here.len(row)]);
        }
        out[row * out_stride + out_query..][..G * dim].fill(0.0);
    }
    let mut at = 0;
    for run in runs {
        for piece in (0..run.len).step_by(NEAR) {
            for row in 0..rows {
                let used = NEAR.min(run.len - piece).min(here.len(row).saturating_sub(at + piece));
                if used == 0 {
                    continue;
                }
                let values = &run.values[piece * columns..][..used * columns];
                let out = &mut out[row * out_stride + out_query..][..G * dim];
                let scores = &scores[row * G * room + at + piece..];
                let mut from = 0;
                while from + W * BLOCK <= dim {
                    weighted::<V, G, W>(out, values, (column, columns, dim, from), scores, room);
                    from += W * BLOCK;
                }
                while from + BLOCK <= dim {
                    weighted::<V, G, 1>(out, values, (column, columns, dim, from), scores, room);
                    from += BLOCK;
                }
                // Head sizes that are no multiple of 16 are rare.
                for (i, value) in values.chunks_exact(columns).enumerate() {
                    for g in 0..G {
                        for d in from..dim {
                            let sum = &mut out[g * dim + d];
                            *sum += scores[g * room + i] * value[column + d];
                        }
                    }
                }
            }
        }
        at += run.len;
    }
}

/// All queries of one key head in one piece.
#[inline(always)]
fn all<V: Lanes>(
    out: &mut [f32],
    q: &[f32],
    shape: Shape,
    head: usize,
    piece: &Piece<'_>,
    scores: &mut Vec<f32>,
) {
    let Shape { group, kv, dim } = shape;
    let Piece { rows, runs, first_len, .. } = *piece;
    let room = rows * group.min(HEADS) * (first_len + rows - 1);
    scores.resize(scores.len().max(room), 0.0);
    let mut g = 0;
    while g < group {
        let n = HEADS.min(group - g);
        let here = Here {
            rows,
            stride: group * kv * dim,
            first_len,
            query: (head * group + g) * dim,
            out_stride: group * dim,
            out_query: g * dim,
            column: head * dim,
            columns: kv * dim,
            dim,
        };
        match n {
            1 => heads::<V, 1, 4>(out, q, runs, here, scores),
            2 => heads::<V, 2, 4>(out, q, runs, here, scores),
            3 => heads::<V, 3, 4>(out, q, runs, here, scores),
            4 => heads::<V, 4, 4>(out, q, runs, here, scores),
            5 => heads::<V, 5, 2>(out, q, runs, here, scores),
            6 => heads::<V, 6, 2>(out, q, runs, here, scores),
            7 => heads::<V, 7, 2>(out, q, runs, here, scores),
            _ => heads::<V, 8, 2>(out, q, runs, here, scores),
        }
        g += n;
    }
}

type Heads = unsafe fn(&mut [f32], &[f32], Shape, usize, &Piece<'_>, &mut Vec<f32>);

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
fn all_512(out: &mut [f32], q: &[f32], shape: Shape, head: usize, piece: &Piece<'_>, scores: &mut Vec<f32>) {
    all::<wide::Avx512>(out, q, shape, head, piece, scores);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn all_256(out: &mut [f32], q: &[f32], shape: Shape, head: usize, piece: &Piece<'_>, scores: &mut Vec<f32>) {
    all::<wide::Avx2>(out, q, shape, head, piece, scores);
}

/// Rows of a batch that follow each other in one sequence, [`ROWS`] at most.
#[derive(Clone, Copy)]
pub struct Piece<'a> {
    /// First row in the batch, and how many.
    pub first: usize,
    pub rows: usize,
    /// The sequence's keys and values, one run after the other.
    pub runs: &'a [&'a Run],
    /// Positions that the first row sees; each row after it sees one more.
    pub first_len: usize,
}

thread_local! {
    /// Results and scores of a task.
    static SCRATCH: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Attention of a batch's query rows `[rows, group · kv · dim]`; the pieces are all of its rows, in order.
pub fn attend(q: &[f32], shape: Shape, pieces: &[Piece<'_>]) -> Vec<f32> {
    attend_on(q, shape, pieces, target())
}

fn attend_on(q: &[f32], shape: Shape, pieces: &[Piece<'_>], target: Target) -> Vec<f32> {
    let heads: Heads = match target {
        Target::Portable => all::<Plain>,
        #[cfg(target_arch = "aarch64")]
        Target::Neon => all::<wide::Neon>,
        #[cfg(target_arch = "x86_64")]
        Target::Avx2 => all_256,
        #[cfg(target_arch = "x86_64")]
        _ => all_512,
    };
    let (wide, columns) = (shape.group * shape.dim, shape.group * shape.kv * shape.dim);
    let mut next = 0;
    for piece in pieces {
        assert!(
            piece.first == next && piece.rows > 0 && piece.first_len > 0,
            "attend: pieces are not the rows"
        );
        next += piece.rows;
    }
    assert!(q.len() == next * columns, "attend: queries do not fit the pieces");
    let mut out: Vec<f32> = Vec::with_capacity(q.len());
    let base = Places(out.as_mut_ptr());
    pool::each(pieces.len() * shape.kv, |task| {
        let (piece, head) = (&pieces[task / shape.kv], task % shape.kv);
        let q = &q[piece.first * columns..][..piece.rows * columns];
        SCRATCH.with_borrow_mut(|(mine, scores)| {
            mine.resize(mine.len().max(piece.rows * wide), 0.0);
            // SAFETY: the target was chosen by what the processor has. Rows of this piece and columns of this head lie inside the result's room, and no
            // other task has them.
            #[allow(unsafe_code)]
            unsafe {
                heads(mine, q, shape, head, piece, scores);
                for (row, values) in mine.chunks_exact(wide).take(piece.rows).enumerate() {
                    let to = base.at((piece.first + row) * columns + head * wide);
                    std::ptr::copy_nonoverlapping(values.as_ptr(), to, wide);
                }
            }
        });
    });
    // SAFETY: the tasks wrote all rows of all key heads.
    #[allow(unsafe_code)]
    unsafe {
        out.set_len(q.len());
    }
    out
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
            group in 1usize..11, kv in 1usize..4, dim in 1usize..40, first in 0usize..40, second in 1usize..90, rows in 1usize..20, seed in 0u64..100
        ) {
            let shape = Shape { group, kv, dim };
            let columns = kv * dim;
            let value = |i: usize, salt: u64| ((i as u64 * 7919 + seed * 31 + salt) % 199) as f32 / 99.0 - 1.0;
            let fill = |n: usize, salt| (0..n).map(|i| value(i, salt)).collect::<Vec<f32>>();
            let total = first + second;
            let (k, v, q) = (fill(total * columns, 1), fill(total * columns, 2), fill(rows * group * columns, 3));
            let (mut a, mut b) = (Run::default(), Run::default());
            a.push(&k[..first * columns], &v[..first * columns], columns);
            b.push(&k[first * columns..], &v[first * columns..], columns);
            let rows = rows.min(total);
            let first_len = total + 1 - rows;
            let stride = group * columns;
            let mut want = vec![0f64; rows * stride];
            for (r, want) in want.chunks_mut(stride).enumerate() {
                let (len, q) = (first_len + r, &q[r * stride..]);
                for h in 0..group * kv {
                    let column = h / group * dim;
                    let dot = |i: usize| (0..dim).map(|d| f64::from(q[h * dim + d]) * f64::from(k[i * columns + column + d])).sum::<f64>();
                    let e: Vec<f64> = (0..len).map(|i| (dot(i) / (dim as f64).sqrt()).exp()).collect();
                    let sum: f64 = e.iter().sum();
                    for d in 0..dim {
                        want[h * dim + d] = (0..len).map(|i| e[i] / sum * f64::from(v[i * columns + column + d])).sum();
                    }
                }
            }
            let mut whole = Run::default();
            whole.push(&k, &v, columns);
            let (two, one) = ([&a, &b], [&whole]);
            for target in available() {
                let q = &q[..rows * stride];
                let out = attend_on(q, shape, &[Piece { first: 0, rows, runs: &two, first_len }], target);
                for (got, want) in out.iter().zip(&want) {
                    prop_assert!((f64::from(*got) - want).abs() < 1e-4, "{:?}: {} not {}", target, got, want);
                }
                // A row alone, and over one run instead of two, gives the same bits.
                let last = (rows - 1) * stride;
                let alone = Piece { first: 0, rows: 1, runs: &one, first_len: total };
                let alone = attend_on(&q[last..], shape, &[alone], target);
                prop_assert_eq!(&alone[..], &out[last..], "{:?}", target);
            }
        }
    }
}
