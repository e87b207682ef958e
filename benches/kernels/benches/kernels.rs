//! The inner loops by themselves: products for every block type and number of rows, their gradients, attention.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use freehold_model::kernels::attention::{Piece, Run, Shape, attend};
use freehold_model::kernels::tiled::{Block, Tiled};
use freehold_model::kernels::weight::{Products, Weight};

const BLOCKS: [(Block, &str); 19] = [
    (Block::Q4_0, "Q4_0"),
    (Block::Q4_1, "Q4_1"),
    (Block::Q5_0, "Q5_0"),
    (Block::Q5_1, "Q5_1"),
    (Block::Q8_0, "Q8_0"),
    (Block::Q2K, "Q2_K"),
    (Block::Q3K, "Q3_K"),
    (Block::Q4K, "Q4_K"),
    (Block::Q5K, "Q5_K"),
    (Block::Q6K, "Q6_K"),
    (Block::Iq4Nl, "IQ4_NL"),
    (Block::Iq4Xs, "IQ4_XS"),
    (Block::Iq1S, "IQ1_S"),
    (Block::Iq1M, "IQ1_M"),
    (Block::Iq2Xxs, "IQ2_XXS"),
    (Block::Iq2Xs, "IQ2_XS"),
    (Block::Iq2S, "IQ2_S"),
    (Block::Iq3Xxs, "IQ3_XXS"),
    (Block::Iq3S, "IQ3_S"),
];

/// In and out of a projection of about the default model's size; a multiple of every block's length.
const K: usize = 1024;
const N: usize = 4864;

fn values(n: usize) -> Vec<f32> {
    // Small enough that no softmax ends in denormal numbers, which would be timed instead.
    (0..n).map(|i| ((i % 13) as f32 - 6.0) / 16.0).collect()
}

fn weight(block: Block) -> Weight {
    let (size, bytes) = block.size();
    let data = vec![0x11; N * K / size * bytes];
    Weight::quantized(Tiled::new(block, &data, N, K, &|r| r).expect("the data fit the shape"))
}

fn products(c: &mut Criterion) {
    for rows in [1, 16, 256] {
        let mut group = c.benchmark_group(format!("product of {rows} rows"));
        // Multiply-adds, so that the report's rate is arithmetic done.
        group.throughput(Throughput::Elements((rows * K * N) as u64)).sample_size(20);
        let x = values(rows * K);
        for (block, name) in BLOCKS {
            let w = weight(block);
            group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(|| w.forward(&x, rows, Products::Fast)));
        }
        let float = Weight::new(&vec![0.5; N * K], N, K);
        group.bench_function(BenchmarkId::from_parameter("F32"), |b| b.iter(|| float.forward(&x, rows, Products::Fast)));
    }
}

fn gradients(c: &mut Criterion) {
    let mut group = c.benchmark_group("gradient of 256 rows");
    group.throughput(Throughput::Elements((256 * K * N) as u64)).sample_size(10);
    let g = values(256 * N);
    for (block, name) in [(Block::Q5_0, "Q5_0"), (Block::Q4K, "Q4_K"), (Block::Q6K, "Q6_K")] {
        let w = weight(block);
        group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(|| w.backward(&g, 256, Products::Fast)));
    }
}

fn attention(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention of one row");
    // The default model's: 14 query heads on 2 key heads of 64.
    let shape = Shape { group: 7, kv: 2, dim: 64 };
    let (columns, q) = (shape.kv * shape.dim, values(shape.group * shape.kv * shape.dim));
    for positions in [64, 512, 2048] {
        let mut run = Run::default();
        run.push(&values(positions * columns), &values(positions * columns), columns);
        let runs = [&run];
        let piece = Piece { first: 0, rows: 1, runs: &runs, first_len: positions };
        group.throughput(Throughput::Elements(positions as u64));
        group.bench_function(BenchmarkId::from_parameter(positions), |b| {
            b.iter(|| attend(&q, shape, &[piece]));
        });
    }
}

criterion_group!(kernels, products, gradients, attention);
criterion_main!(kernels);
