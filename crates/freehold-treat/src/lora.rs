//! Trainable low-rank matrices on a frozen decoder, with gradients through candle.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use freehold_model::adapter::{Adapter, LoraMatrices};
use freehold_model::candle_ops::{Candle, Target, head_loss};
use freehold_model::cpu::{Cpu, KvCache};
use freehold_model::decoder::{Decoder, PROJECTIONS, Panels, projection_shape};
use freehold_model::kernels::weight::Products;
use freehold_model::ops::{Layout, Lora, Ops as _};

use crate::error::Result;
use crate::optim::Parameter;

/// A sequence to learn from: what the model reads, and what some of its positions should predict.
#[derive(Clone)]
pub struct Sequence {
    /// All tokens but the last one predicted.
    pub ids: Vec<u32>,
    /// Position that predicts, what, and with which weight.
    pub targets: Vec<(usize, Target, f32)>,
}

/// Matrices in training. Their order is fixed: by layer, projection, A before B.
pub struct Trainable {
    decoder: Decoder<Candle>,
    /// Layers below the first trained one need no gradients.
    below: Decoder<Cpu>,
    vars: Vec<Var>,
    pub parameters: Vec<Parameter>,
    places: Vec<(usize, usize)>,
    rank: usize,
    scale: f32,
    pub from_layer: usize,
}

/// A and B of fresh LoRA matrices: A uniform as PEFT's default (Kaiming with a = √5: ±1/√in), B zero.
pub fn initial(
    panels: &Panels,
    targets: &[String],
    from_layer: usize,
    rank: usize,
    scale: f32,
    seed: u64,
) -> Adapter {
    let mut adapter = Adapter::default();
    let mut state = seed ^ 0x5DEE_CE66_D1CE_4E5B;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 24) as f32) * 2.0 - 1.0
    };
    for layer in from_layer..panels.spec.layers {
        for (p, name) in PROJECTIONS.iter().enumerate() {
            if !targets.iter().any(|t| t == name) {
                continue;
            }
            let (out, input) = projection_shape(&panels.spec, p);
            let bound = 1.0 / (input as f32).sqrt();
            let a = (0..rank * input).map(|_| uniform() * bound).collect();
            adapter.insert(layer, p, LoraMatrices { a, b: vec![0.0; out * rank], rank, scale });
        }
    }
    adapter
}

impl Trainable {
    pub fn new(panels: Arc<Panels>, adapter: &Adapter, products: Products) -> Result<Self> {
        let ops = Candle { products, ..Candle::default() };
        let mut decoder = Decoder::new(ops, Arc::clone(&panels), None)?;
        let below = Decoder::new(Cpu { products }, Arc::clone(&panels), None)?;
        let (mut vars, mut parameters, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let (mut rank, mut scale, mut from_layer) = (0, 0.0, panels.spec.layers);
        for ((layer, p), m) in adapter.iter() {
            let (out, input) = projection_shape(&panels.spec, p);
            let var = |v: &[f32], shape: (usize, usize)| Var::from_vec(v.to_vec(), shape, &Device::Cpu);
            let (a, b) = (var(&m.a, (m.rank, input))?, var(&m.b, (out, m.rank))?);
            let lora =
                Lora { a: a.as_tensor().clone(), b: b.as_tensor().clone(), scale: m.scale, rank: m.rank };
            decoder.set_lora(layer, p, Some(lora));
            let name = |part| format!("{layer}.{}.{part}", PROJECTIONS[p]);
            parameters.push(Parameter::new(name('A'), (m.rank, input), m.a.clone()));
            parameters.push(Parameter::new(name('B'), (out, m.rank), m.b.clone()));
            vars.extend([a, b]);
            places.push((layer, p));
            (rank, scale, from_layer) = (m.rank, m.scale, from_layer.min(layer));
        }
        Ok(Self { decoder, below, vars, parameters, places, rank, scale, from_layer })
    }

    /// Copies the parameters' values to where the decoder reads them.
    pub fn publish(&self) -> Result<()> {
        for (var, p) in self.vars.iter().zip(&self.parameters) {
            var.set(&Tensor::from_slice(&p.value, p.shape, &Device::Cpu)?)?;
        }
        Ok(())
    }

    /// The matrices as an adapter.
    pub fn adapter(&self) -> Adapter {
        let mut adapter = Adapter::default();
        for (i, &(layer, p)) in self.places.iter().enumerate() {
            let (a, b) = (self.parameters[2 * i].value.clone(), self.parameters[2 * i + 1].value.clone());
            adapter.insert(layer, p, LoraMatrices { a, b, rank: self.rank, scale: self.scale });
        }
        adapter
    }

    /// Sum over all targets of weight · loss.
    pub fn loss(&self, sequences: &[&Sequence]) -> Result<Tensor> {
        let (mut layout, mut ids, mut rows, mut targets) =
            (Layout::default(), Vec::new(), Vec::new(), Vec::new());
        for (i, s) in sequences.iter().enumerate() {
            let first = ids.len();
            layout.push(s.ids.len(), 0, i);
            ids.extend_from_slice(&s.ids);
            for (position, target, weight) in &s.targets {
                rows.push(first + position);
                targets.push((target.clone(), *weight));
            }
        }
        let mut caches = vec![(); sequences.len()];
        let layers = self.decoder.spec().layers;
        let mut kept: Vec<KvCache> = sequences.iter().map(|_| KvCache::new(layers)).collect();
        let x =
            self.below
                .blocks(self.below.embed(&ids)?, 0..self.from_layer, &layout, &mut kept, |_, _| Ok(()))?;
        let x = self.decoder.ops.tensor(self.below.ops.values(&x)?, x.rows, x.cols)?;
        let x = self.decoder.blocks(x, self.from_layer..layers, &layout, &mut caches, |_, _| Ok(()))?;
        let normed = self.decoder.normed(&self.decoder.ops.select(&x, &rows)?)?;
        Ok(head_loss(&normed, self.decoder.panels.head(), targets, self.decoder.ops.products)?)
    }

    /// Loss and its gradients, one vector a parameter, in their order.
    ///
    /// # Errors
    /// When any parameter got no gradient: none may be cut silently.
    pub fn gradients(&self, sequences: &[&Sequence]) -> Result<(f64, Vec<Vec<f32>>)> {
        let loss = self.loss(sequences)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        let store = loss.backward()?;
        let mut gradients = Vec::with_capacity(self.vars.len());
        for (var, p) in self.vars.iter().zip(&self.parameters) {
            let g = store.get(var.as_tensor()).ok_or_else(|| {
                candle_core::Error::Msg(format!("the gradient of {} was cut on the way", p.name))
            })?;
            gradients.push(g.flatten_all()?.to_vec1()?);
        }
        Ok((value, gradients))
    }
}
