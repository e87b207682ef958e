//! Speed of the packed products against the `gemm` crate, in GFLOP/s on this machine: `cargo run --release -p freehold-model --example kernels`

use std::time::Instant;

use freehold_model::kernels::packed::{Packed, instruction_set};
use freehold_model::kernels::{matmul, matmul_t};

fn main() {
    println!(
        "{}: rows × in × out, GFLOP/s: packed forward, gemm forward, packed backward, gemm backward",
        instruction_set()
    );
    for (m, k, n) in [
        (1, 896, 4864),
        (16, 896, 4864),
        (64, 896, 4864),
        (64, 4864, 896),
        (512, 896, 4864),
        (512, 4864, 896),
        (64, 896, 896),
        (32, 896, 75968),
    ] {
        let w: Vec<f32> = (0..n * k).map(|i| (i % 17) as f32 - 8.0).collect();
        let x: Vec<f32> = (0..m * k).map(|i| (i % 13) as f32 - 6.0).collect();
        let g: Vec<f32> = (0..m * n).map(|i| (i % 11) as f32 - 5.0).collect();
        let packed: Vec<Packed> = (0..if n > 50000 { 1 } else { 6 }).map(|_| Packed::new(&w, n, k)).collect();
        let reps = ((2e10 / (2.0 * (m * k * n) as f64)) as usize).clamp(3, 300);
        let time = |f: &mut dyn FnMut(usize)| {
            f(0);
            let t = Instant::now();
            for i in 0..reps {
                f(i);
            }
            2e-9 * (m * k * n * reps) as f64 / t.elapsed().as_secs_f64()
        };
        let (mut out, mut back) = (vec![0.0; m * n], vec![0.0; m * k]);
        let a = time(&mut |i| drop(packed[i % packed.len()].forward(&x, m)));
        let b = time(&mut |_| matmul_t(&mut out, &x, &w, (m, k, n), 1.0, false));
        let c = time(&mut |i| drop(packed[i % packed.len()].backward(&g, m)));
        let d = time(&mut |_| matmul(&mut back, &g, &w, (m, n, k), 1.0, false));
        println!("{m:4} × {k:4} × {n:5}: {a:6.1} {b:6.1} | {c:6.1} {d:6.1}");
    }
}
