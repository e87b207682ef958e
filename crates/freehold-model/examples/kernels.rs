//! Speed of the products on this machine, in billions of multiply-adds a second, with how much of it is one core's:
//! `cargo run --release -p freehold-model --example kernels`

use std::time::Instant;

use freehold_model::kernels::pool::threads;
use freehold_model::kernels::target::instruction_set;
use freehold_model::kernels::tiled::{Block, Tiled};
use freehold_model::kernels::weight::{Products, Weight};

const BLOCKS: [(Block, &str); 6] = [
    (Block::Q4_1, "Q4_1"),
    (Block::Q5_0, "Q5_0"),
    (Block::Q8_0, "Q8_0"),
    (Block::Q4K, "Q4_K"),
    (Block::Q6K, "Q6_K"),
    (Block::Iq4Nl, "IQ4_NL"),
];

fn main() {
    println!("{}, {} threads, 10⁹ multiply-adds a second", instruction_set(), threads());
    println!("rows × in × out: {} | float, exact, backward of Q5_0", BLOCKS.map(|b| b.1).join(", "));
    for (m, k, n) in [
        (1, 1024, 4864),
        (8, 1024, 4864),
        (16, 1024, 4864),
        (64, 1024, 4864),
        (512, 1024, 4864),
        (512, 4864, 1024),
    ] {
        let x: Vec<f32> = (0..m * k).map(|i| (i % 13) as f32 - 6.0).collect();
        let g: Vec<f32> = (0..m * n).map(|i| (i % 11) as f32 - 5.0).collect();
        let reps = ((2e10 / (m * k * n) as f64) as usize).clamp(3, 400);
        let time = |f: &mut dyn FnMut(usize)| {
            f(0);
            let t = Instant::now();
            for i in 0..reps {
                f(i);
            }
            1e-9 * (m * k * n * reps) as f64 / t.elapsed().as_secs_f64()
        };
        let weights = |block: Block| -> Vec<Weight> {
            let (size, bytes) = block.size();
            let data = vec![0x11; n * k / size * bytes];
            (0..6).map(|_| Weight::quantized(Tiled::new(block, &data, n, k, &|r| r).expect("fits"))).collect()
        };
        let row: Vec<String> = BLOCKS
            .iter()
            .map(|(block, _)| {
                let w = weights(*block);
                format!("{:6.1}", time(&mut |i| drop(w[i % w.len()].forward(&x, m, Products::Fast))))
            })
            .collect();
        let float = Weight::new(&vec![0.5; n * k], n, k);
        let f = time(&mut |_| drop(float.forward(&x, m, Products::Fast)));
        let w = weights(Block::Q5_0);
        let e = time(&mut |i| drop(w[i % w.len()].forward(&x, m, Products::Exact)));
        let b = time(&mut |i| drop(w[i % w.len()].backward(&g, m, Products::Fast)));
        println!("{m:4} × {k:4} × {n:5}: {} | {f:6.1} {e:6.1} {b:6.1}", row.join(" "));
    }
}
