//! No gradient is cut and none is wrong: over every trainable tensor of a tiny model, for both kinds of target, they equal finite differences and
//! what candle's automatic differentiation makes of its own operations.

use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor, Var};
use freehold_model::DecoderSpec;
use freehold_model::candle_ops::Target;
use freehold_model::decoder::{Decoder, PROJECTIONS, Panels};
use freehold_model::kernels::weight::Products;
use freehold_model::ops::{Layout, Lora};
use freehold_model::primitives::{DeviceCache, Primitives};
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

/// A model whose adapter is not at its beginning: there B is zero, and so is the gradient of A.
fn trainable(architecture: &str) -> (Arc<Panels>, Trainable) {
    let panels = tiny(architecture);
    let targets: Vec<String> = PROJECTIONS.iter().map(|p| p.to_string()).collect();
    let start = initial(&panels, &targets, 0, 3, 2.0, 5);
    let mut model = Trainable::new(Arc::clone(&panels), &start, Products::Exact).expect("a model");
    let mut seed = 23;
    for p in &mut model.parameters {
        p.value.iter_mut().for_each(|v| *v += 0.3 * noise(&mut seed));
    }
    model.publish().expect("published");
    (panels, model)
}

fn check(architecture: &str) {
    let (_, mut model) = trainable(architecture);
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

/// Sum of weight · loss, in candle's own operations on logits `[targets, vocab]`.
fn loss(logits: &Tensor, targets: &[(Target, f32)]) -> candle_core::Result<Tensor> {
    let largest = logits.max_keepdim(D::Minus1)?.detach();
    let shifted = logits.broadcast_sub(&largest)?;
    let log_q = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?;
    let mut total = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    for (row, (target, weight)) in targets.iter().enumerate() {
        let log_q = log_q.get(row)?;
        let of = |t: u32| log_q.get(t as usize);
        let one = match target {
            Target::Token(t) => of(*t)?.neg()?,
            Target::Distribution(p) => {
                let mut kl = Tensor::zeros((), DType::F32, &Device::Cpu)?;
                let (mut kept_p, mut kept_q) = (0.0, Tensor::zeros((), DType::F32, &Device::Cpu)?);
                for &(t, p) in p.iter() {
                    let p = f64::from(p);
                    kl = (kl + ((of(t)? * -p)? + p * p.ln())?)?;
                    kept_p += p;
                    kept_q = (kept_q + of(t)?.exp()?)?;
                }
                let rest = 1.0 - kept_p;
                let log_rest_q = (1.0 - kept_q)?.log()?;
                (kl + ((log_rest_q * -rest)? + rest * rest.ln())?)?
            }
        };
        total = (total + (one * f64::from(*weight))?)?;
    }
    Ok(total)
}

fn check_against_candle(architecture: &str) -> candle_core::Result<()> {
    let (panels, model) = trainable(architecture);
    let data = sequences();
    let (mine, gradients) = model.gradients(&data.iter().collect::<Vec<_>>()).expect("gradients");

    let mut decoder =
        Decoder::new(Primitives::new(Device::Cpu, DType::F32), Arc::clone(&panels), None).expect("a decoder");
    let mut vars = Vec::new();
    for p in &model.parameters {
        vars.push(Var::from_slice(&p.value, p.shape, &Device::Cpu)?);
    }
    for (i, ab) in vars.chunks(2).enumerate() {
        let (a, b) = (ab[0].as_tensor().clone(), ab[1].as_tensor().clone());
        let rank = a.dim(0)?;
        decoder.set_lora(i / 7, i % 7, Some(Lora { a, b, scale: 2.0, rank }));
    }
    let (mut ids, mut layout, mut rows, mut targets) =
        (Vec::new(), Layout::default(), Vec::new(), Vec::new());
    for (i, s) in data.iter().enumerate() {
        rows.extend(s.targets.iter().map(|t| ids.len() + t.0));
        targets.extend(s.targets.iter().map(|t| (t.1.clone(), t.2)));
        layout.push(s.ids.len(), 0, i);
        ids.extend(&s.ids);
    }
    let mut caches = vec![DeviceCache::new(panels.spec.layers); data.len()];
    let x = decoder.forward(&ids, &layout, &mut caches).expect("forward");
    let total = loss(&decoder.logits(&x, &rows).expect("logits"), &targets)?;
    let theirs = f64::from(total.to_scalar::<f32>()?);
    assert!((mine - theirs).abs() < 1e-4 * theirs.abs(), "{architecture}: loss {mine}, candle's {theirs}");
    let store = total.backward()?;
    for ((var, gradient), p) in vars.iter().zip(&gradients).zip(&model.parameters) {
        let want = store.get(var).expect("a gradient").flatten_all()?.to_vec1::<f32>()?;
        let size = want.iter().fold(0f32, |m, v| m.max(v.abs()));
        for (got, want) in gradient.iter().zip(&want) {
            assert!((got - want).abs() < 1e-3 * size, "{architecture} {}: {got}, candle's {want}", p.name);
        }
    }
    Ok(())
}

#[test]
fn gradients_equal_candles_own() {
    for architecture in ["qwen2", "llama"] {
        check_against_candle(architecture).expect("candle computes");
    }
}
