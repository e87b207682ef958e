//! No gradient is cut and none is wrong: finite differences over every trainable tensor of a tiny model, for both kinds of target.

use std::sync::Arc;

use freehold_model::DecoderSpec;
use freehold_model::candle_ops::Target;
use freehold_model::decoder::{PROJECTIONS, Panels};
use freehold_model::kernels::weight::Products;
use freehold_treat::lora::{Sequence, Trainable, initial};

fn noise(seed: &mut u64) -> f32 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*seed >> 40) as f32 / (1u64 << 24) as f32) * 2.0 - 1.0
}

fn tiny(architecture: &str) -> Arc<Panels> {
    let spec = DecoderSpec {
        architecture: architecture.into(),
        layers: 2,
        hidden: 16,
        feed_forward: 24,
        heads: 4,
        kv_heads: 2,
        head_dim: 4,
        context: 64,
        vocab: 37,
        rope_base: 10_000.0,
        rms_eps: 1e-5,
        qkv_bias: architecture == "qwen2",
        rope_interleaved: architecture == "llama",
        tied_head: false,
    };
    let mut seed = 11;
    Arc::new(Panels::from_fn(spec, |name, rows, cols| {
        let scale = 1.5 / (cols as f32).sqrt();
        let shift = if name.contains("norm") { 1.0 } else { 0.0 };
        (0..rows * cols).map(|_| shift + noise(&mut seed) * scale).collect()
    }))
}

fn sequences() -> Vec<Sequence> {
    let distribution = Target::Distribution(Arc::new(vec![(4, 0.5), (9, 0.2), (30, 0.1)]));
    vec![
        Sequence {
            ids: vec![3, 14, 15, 9, 26, 5],
            targets: vec![
                (2, Target::Token(9), 1.0),
                (3, Target::Token(26), 0.5),
                (5, Target::Token(35), 1.0),
            ],
        },
        Sequence {
            ids: vec![1, 2, 3, 4],
            targets: vec![(1, distribution.clone(), 2.0), (3, distribution, 1.0)],
        },
    ]
}

fn check(architecture: &str) {
    let panels = tiny(architecture);
    let targets: Vec<String> = PROJECTIONS.iter().map(|p| p.to_string()).collect();
    let start = initial(&panels, &targets, 0, 3, 2.0, 5);
    let mut model = Trainable::new(panels, &start, Products::Exact).expect("a model");
    let mut seed = 23;
    for p in &mut model.parameters {
        // B starts at zero, where the gradient of A is zero too; any other point tells more.
        p.value.iter_mut().for_each(|v| *v += 0.3 * noise(&mut seed));
    }
    model.publish().expect("published");
    let data = sequences();
    let all: Vec<&Sequence> = data.iter().collect();
    let (_, gradients) = model.gradients(&all).expect("gradients");
    assert_eq!(gradients.len(), 2 * 2 * 7, "every projection of every layer has A and B");
    let step = 1e-2;
    for (i, gradient) in gradients.iter().enumerate() {
        // The derivative along the gradient itself: one number for the whole tensor, and its largest element by itself.
        let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
        assert!(norm > 1e-4, "{}: the gradient is zero", model.parameters[i].name);
        let largest = (0..gradient.len())
            .max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs()))
            .expect("not empty");
        let unit: Vec<f32> = gradient.iter().map(|g| g / norm).collect();
        let mut single = vec![0.0; gradient.len()];
        single[largest] = 1.0;
        for (direction, want) in [(unit, norm), (single, gradient[largest])] {
            let original = model.parameters[i].value.clone();
            let mut at = |t: f32| {
                let moved = original.iter().zip(&direction).map(|(v, d)| v + t * d).collect();
                model.parameters[i].value = moved;
                model.publish().expect("published");
                f64::from(model.loss(&all).expect("loss").to_scalar::<f32>().expect("scalar"))
            };
            let slope = (at(step) - at(-step)) / (2.0 * f64::from(step));
            model.parameters[i].value = original.clone();
            let error = (slope - f64::from(want)).abs() / f64::from(want).abs().max(0.02);
            assert!(
                error < 0.03,
                "{architecture} {}: slope {slope}, gradient {want}",
                model.parameters[i].name
            );
        }
    }
}

#[test]
fn qwen2_gradients_equal_finite_differences() {
    check("qwen2");
}

#[test]
fn llama_gradients_equal_finite_differences() {
    check("llama");
}
