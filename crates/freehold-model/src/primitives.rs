//! The decoder's operations out of candle's own, on any of its devices: the way to `cuda` and `metal`, and an oracle that shares neither products
//! nor backward with [`crate::cpu`] and [`crate::candle_ops`].
//!
//! Everything here has candle's gradient. For training it is wasteful, since candle's products make gradients of frozen weights too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{D, DType, Device, Tensor};
use rayon::prelude::*;

use crate::error::{ModelError, Result};
use crate::ops::{Heads, Layout, Linear, Ops, Panel, Span, rotation_rows};

/// A device by its name: `cpu`, `cuda`, `cuda:1` (the second GPU), `metal`.
///
/// # Errors
/// When there is no such device, or this build can't use it (features `cuda` and `metal`).
pub fn device(name: &str) -> Result<Device> {
    let (kind, number) = name.split_once(':').unwrap_or((name, "0"));
    let number: usize = number.parse().map_err(|_| ModelError::Device {
        name: name.into(),
        reason: "expected a number after the colon, as in cuda:0".into(),
    })?;
    let missing = |feature: &str| ModelError::Device {
        name: name.into(),
        reason: format!("this build can't use it; build with --features {feature}"),
    };
    let opened = match kind {
        "cpu" => return Ok(Device::Cpu),
        "cuda" if !candle_core::utils::cuda_is_available() => return Err(missing("cuda")),
        "metal" if !candle_core::utils::metal_is_available() => return Err(missing("metal")),
        "cuda" => Device::new_cuda(number),
        "metal" => Device::new_metal(number),
        _ => {
            return Err(ModelError::Device {
                name: name.into(),
                reason: "known are cpu, cuda and metal".into(),
            });
        }
    };
    opened.map_err(|e| ModelError::Device { name: name.into(), reason: e.to_string() })
}

/// Candle's own operations on one device. Weights are expanded there at their first use, and stay as long as this lives.
pub struct Primitives {
    device: Device,
    /// What weights are held and multiplied in; everything else is f32.
    dtype: DType,
    /// By the panel's address, which stays taken as long as the panel beside it.
    weights: Mutex<HashMap<usize, (Panel, Tensor)>>,
}

/// Keys and values `[kv heads, positions, dim]` of one sequence, by layer. A clone continues it and leaves it as it is.
#[derive(Clone)]
pub struct DeviceCache(Vec<Option<(Tensor, Tensor)>>);

impl DeviceCache {
    pub fn new(layers: usize) -> Self {
        Self(vec![None; layers])
    }
}

impl Primitives {
    pub fn new(device: Device, dtype: DType) -> Self {
        Self { device, dtype, weights: Mutex::default() }
    }

    /// A frozen matrix on the device, transposed: `[in, out]`.
    fn weight(&self, panel: &Panel) -> Result<Tensor> {
        let mut weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Arc::as_ptr(panel) as usize;
        if let Some((_, tensor)) = weights.get(&key) {
            return Ok(tensor.clone());
        }
        let rows: Vec<Vec<f32>> = (0..panel.rows).into_par_iter().map(|r| panel.row(r)).collect();
        let tensor = Tensor::from_vec(rows.concat(), (panel.rows, panel.cols), &self.device)?;
        let tensor = tensor.to_dtype(self.dtype)?.t()?;
        weights.insert(key, (Arc::clone(panel), tensor.clone()));
        Ok(tensor)
    }

    /// Causal attention of one sequence's new rows, `[rows, query columns]`.
    fn attend(
        &self,
        [q, k, v]: [&Tensor; 3],
        heads: Heads,
        span: &Span,
        kept: &mut Option<(Tensor, Tensor)>,
    ) -> Result<Tensor> {
        let split = |x: &Tensor, n: usize| {
            x.narrow(0, span.first, span.rows)?
                .reshape((span.rows, n, heads.dim))?
                .transpose(0, 1)?
                .contiguous()
        };
        let (q, mut k, mut v) = (split(q, heads.query)?, split(k, heads.kv)?, split(v, heads.kv)?);
        if let Some((before_k, before_v)) = kept.take() {
            k = Tensor::cat(&[&before_k, &k], 1)?;
            v = Tensor::cat(&[&before_v, &v], 1)?;
        }
        *kept = Some((k.clone(), v.clone()));
        let positions = k.dim(1)?;
        // Query heads that share a key head lie side by side, so they are rows of one product.
        let group = heads.query / heads.kv;
        let q = q.reshape((heads.kv, group * span.rows, heads.dim))?;
        let scores = (q.matmul(&k.t()?)? / (heads.dim as f64).sqrt())?;
        let mask: Vec<f32> = (0..group * span.rows)
            .flat_map(|row| {
                let seen = positions - span.rows + row % span.rows;
                (0..positions).map(move |p| if p <= seen { 0.0 } else { f32::NEG_INFINITY })
            })
            .collect();
        let mask = Tensor::from_vec(mask, (group * span.rows, positions), &self.device)?;
        let scores = scores.broadcast_add(&mask)?;
        let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        let out = weights.matmul(&v)?.reshape((heads.query, span.rows, heads.dim))?;
        Ok(out.transpose(0, 1)?.reshape((span.rows, heads.query * heads.dim))?)
    }
}

impl Ops for Primitives {
    type Tensor = Tensor;
    type Factor = Tensor;
    type Cache = DeviceCache;

    fn tensor(&self, data: Vec<f32>, rows: usize, cols: usize) -> Result<Tensor> {
        Ok(Tensor::from_vec(data, (rows, cols), &self.device)?)
    }

    fn factor(&self, data: Vec<f32>, rows: usize, cols: usize) -> Result<Tensor> {
        self.tensor(data, rows, cols)
    }

    fn values(&self, x: &Tensor) -> Result<Vec<f32>> {
        Ok(x.flatten_all()?.to_vec1()?)
    }

    fn linear(&self, x: &Tensor, w: &Linear<Self>) -> Result<Tensor> {
        let weight = self.weight(&w.weight)?;
        let mut y = x.to_dtype(self.dtype)?.matmul(&weight)?.to_dtype(DType::F32)?;
        if let Some(bias) = &w.bias {
            y = y.broadcast_add(bias)?;
        }
        if let Some(lora) = &w.lora {
            let up = x.matmul(&lora.a.t()?)?.matmul(&lora.b.t()?)?;
            y = (y + (up * f64::from(lora.scale))?)?;
        }
        Ok(y)
    }

    fn rms_norm(&self, x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
        let size = (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(eps))?.sqrt()?;
        Ok(x.broadcast_div(&size)?.broadcast_mul(weight)?)
    }

    fn rope(&self, x: &Tensor, heads: usize, base: f32, layout: &Layout) -> Result<Tensor> {
        let (rows, cols) = x.dims2()?;
        let half = cols / heads / 2;
        let (cos, sin) = rotation_rows(2 * half, base, &layout.positions);
        let cos = Tensor::from_vec(cos, (rows, 1, half), &self.device)?;
        let sin = Tensor::from_vec(sin, (rows, 1, half), &self.device)?;
        let x = x.reshape((rows, heads, 2 * half))?;
        let (lo, hi) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
        let new_lo = (lo.broadcast_mul(&cos)? - hi.broadcast_mul(&sin)?)?;
        let new_hi = (hi.broadcast_mul(&cos)? + lo.broadcast_mul(&sin)?)?;
        Ok(Tensor::cat(&[new_lo, new_hi], 2)?.reshape((rows, cols))?)
    }

    fn attention(
        &self,
        qkv: [&Tensor; 3],
        heads: Heads,
        layer: usize,
        layout: &Layout,
        caches: &mut [DeviceCache],
    ) -> Result<Tensor> {
        let parts = layout
            .spans
            .iter()
            .filter(|s| s.rows > 0)
            .map(|s| self.attend(qkv, heads, s, &mut caches[s.cache].0[layer]))
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&parts, 0)?)
    }

    fn silu_mul(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        Ok((gate.silu()? * up)?)
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok((a + b)?)
    }

    fn select(&self, x: &Tensor, rows: &[usize]) -> Result<Tensor> {
        let index: Vec<u32> = rows.iter().map(|&r| r as u32).collect();
        Ok(x.index_select(&Tensor::from_vec(index, rows.len(), &self.device)?, 0)?)
    }
}
