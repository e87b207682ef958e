//! One thing again and again, for a profiler:
//! `cargo run --release -p freehold-model --example profile FILE ROWS [TIMES]` reads ROWS tokens of one sequence, or, for `1x16`, one token each of 16.

use std::sync::Arc;
use std::time::Instant;

use freehold_model::Model;
use freehold_model::cpu::{Cpu, KvCache};
use freehold_model::decoder::{Decoder, Panels};
use freehold_model::kernels::weight::Products;
use freehold_model::ops::Layout;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("which GGUF file?")?;
    let shape = args.next().unwrap_or("512".into());
    let (rows, sequences) = shape.split_once('x').unwrap_or((&shape, "1"));
    let (rows, sequences): (usize, usize) = (rows.parse()?, sequences.parse()?);
    let times: usize = args.next().map_or(Ok(10), |n| n.parse())?;
    let products = if std::env::var_os("SAME").is_some() { Products::Same } else { Products::Fast };
    let model = Model::open(file.as_ref())?;
    let panels = Arc::new(Panels::load(Arc::clone(&model.weights), model.spec.clone())?);
    let decoder = Decoder::new(Cpu { products }, panels, None)?;
    let mut caches = vec![KvCache::new(model.spec.layers); sequences];
    let last: Vec<usize> = (1..=sequences).map(|s| s * rows - 1).collect();
    for time in 0..times {
        if rows > 1 {
            caches = vec![KvCache::new(model.spec.layers); sequences];
        }
        let began = Instant::now();
        let (mut layout, mut ids) = (Layout::default(), Vec::new());
        for s in 0..sequences {
            layout.push(rows, if rows > 1 { 0 } else { time }, s);
            ids.extend((0..rows).map(|i| (1000 + (i + s + time) * 7 % 5000) as u32));
        }
        let hidden = decoder.forward(&ids, &layout, &mut caches)?;
        let read = began.elapsed().as_secs_f64();
        let logits = decoder.logits(&hidden, &last)?;
        let all = began.elapsed().as_secs_f64();
        let n = (rows * sequences) as f64;
        println!(
            "{:.0} tokens/s, logits {:.0}% of the time, {}",
            n / all,
            100.0 * (1.0 - read / all),
            logits.data[0]
        );
    }
    Ok(())
}
