//! Twenty steps of training equal PEFT's on the same weights, data and initial adapter (`tests/interop/peft_steps.py`).

use std::path::Path;
use std::sync::Arc;

use freehold_hub::{Cache, Silent};
use freehold_model::Model;
use freehold_model::adapter::Adapter;
use freehold_model::candle_ops::Target;
use freehold_model::cpu::{Cpu, KvCache};
use freehold_model::decoder::{Decoder, Panels};
use freehold_model::kernels::log_sum_exp;
use freehold_model::kernels::weight::Products;
use freehold_model::ops::Layout;
use freehold_treat::lora::{Sequence, Trainable};
use freehold_treat::optim::AdamW;

#[derive(serde::Deserialize)]
struct Steps {
    rate: f64,
    batch: usize,
    examples: Vec<Example>,
    losses: Vec<f64>,
    after: Vec<(usize, f32)>,
}

#[derive(serde::Deserialize)]
struct Example {
    prompt: Vec<u32>,
    reply: Vec<u32>,
}

#[test]
fn twenty_steps_equal_peft() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/peft-steps");
    let text = std::fs::read(folder.join("steps.json")).expect("the fixture");
    let steps: Steps = serde_json::from_slice(&text).expect("valid JSON");
    let file =
        Cache::open().and_then(|c| c.resolve("smollm2-135m-instruct", false, &Silent)).expect("the model");
    let model = Model::open(&file.path).expect("the model opens");
    let panels = Arc::new(Panels::load(Arc::clone(&model.weights), model.spec.clone()).expect("weights"));
    let start = Adapter::load(&folder, &model.spec).expect("PEFT's adapter loads");
    let mut training = Trainable::new(Arc::clone(&panels), &start, Products::Exact).expect("a model");
    let sequences: Vec<Sequence> = steps
        .examples
        .iter()
        .map(|e| Sequence {
            ids: e.prompt.iter().chain(&e.reply[..e.reply.len() - 1]).copied().collect(),
            targets: e
                .reply
                .iter()
                .enumerate()
                .map(|(i, &t)| (e.prompt.len() - 1 + i, Target::Token(t), 1.0))
                .collect(),
        })
        .collect();
    let optimizer = AdamW::new(0.0);
    for (step, want) in steps.losses.iter().enumerate() {
        let batch: Vec<&Sequence> =
            (0..steps.batch).map(|i| &sequences[(step * steps.batch + i) % sequences.len()]).collect();
        let tokens: usize = batch.iter().map(|s| s.targets.len()).sum();
        training.publish().expect("published");
        let (sum, mut gradients) = training.gradients(&batch).expect("gradients");
        let loss = sum / tokens as f64;
        assert!((loss - want).abs() < 2e-3 * want.max(1.0), "step {step}: {loss}, PEFT {want}");
        gradients.iter_mut().flatten().for_each(|g| *g /= tokens as f32);
        for (p, g) in training.parameters.iter_mut().zip(&gradients) {
            optimizer.update(p, g, steps.rate, step + 1);
        }
    }
    let decoder =
        Decoder::new(Cpu { products: Products::Exact }, panels, Some(&training.adapter())).expect("decoder");
    let ids = &steps.examples[0].prompt;
    let mut layout = Layout::default();
    layout.push(ids.len(), 0, 0);
    let x = decoder.forward(ids, &layout, &mut [KvCache::new(model.spec.layers)]).expect("forward");
    let logits = decoder.logits(&x, &[ids.len() - 1]).expect("logits");
    let lse = log_sum_exp(&logits.data);
    for &(token, want) in &steps.after {
        let got = logits.data[token] - lse;
        assert!((got - want).abs() < 2e-2 * want.abs().max(1.0), "token {token}: {got}, PEFT {want}");
    }
}
