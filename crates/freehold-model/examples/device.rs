//! A greedy continuation by candle's own operations on a device, with its speed, beside the same on the processor by our own:
//! `cargo run --release -p freehold-model --features cuda --example device cuda FILE.gguf "The capital of France is"`

use std::sync::Arc;
use std::time::Instant;

use candle_core::DType;
use freehold_model::Model;
use freehold_model::cpu::{Cpu, KvCache};
use freehold_model::decoder::{Decoder, Panels};
use freehold_model::kernels::argmax;
use freehold_model::kernels::weight::Products;
use freehold_model::ops::{Layout, Ops};
use freehold_model::primitives::{DeviceCache, Primitives, device};

const NEW: usize = 32;

fn continuation<O: Ops>(
    decoder: &Decoder<O>,
    prompt: &[u32],
    cache: O::Cache,
) -> freehold_model::Result<Vec<u32>> {
    let (mut caches, mut ids, mut pending) = ([cache], Vec::new(), prompt.to_vec());
    let mut position = 0;
    while ids.len() < NEW {
        let mut layout = Layout::default();
        layout.push(pending.len(), position, 0);
        let hidden = decoder.forward(&pending, &layout, &mut caches)?;
        position += pending.len();
        let logits = decoder.ops.values(&decoder.logits(&hidden, &[pending.len() - 1])?)?;
        pending = vec![argmax(&logits) as u32];
        ids.extend(&pending);
    }
    Ok(ids)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().ok_or("which device? (cpu, cuda, cuda:1, metal)")?;
    let file = args.next().ok_or("which GGUF file?")?;
    let text = args.next().unwrap_or("The capital of France is".into());
    let ops = Primitives::new(device(&name)?, DType::F32);
    let model = Model::open(file.as_ref())?;
    let layers = model.spec.layers;
    let panels = Arc::new(Panels::load(Arc::clone(&model.weights), model.spec.clone())?);
    let theirs = Decoder::new(ops, Arc::clone(&panels), None)?;
    let ours = Decoder::new(Cpu { products: Products::Exact }, panels, None)?;
    let prompt = model.tokenizer.encode(&text)?;
    // Once to expand the weights.
    continuation(&theirs, &prompt, DeviceCache::new(layers))?;
    let clock = Instant::now();
    let on_device = continuation(&theirs, &prompt, DeviceCache::new(layers))?;
    println!("{name}: {:.1} tokens/s", NEW as f64 / clock.elapsed().as_secs_f64());
    println!("{}", model.tokenizer.decode(&on_device));
    if on_device != continuation(&ours, &prompt, KvCache::new(layers))? {
        return Err("our own operations continue otherwise".into());
    }
    println!("the same as by our own operations");
    Ok(())
}
