//! Adapters in the PEFT layout: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Keys are `base_model.model.model.layers.{l}.{self_attn|mlp}.{projection}.lora_{A|B}.weight`, A `[rank, in]` and B `[out, rank]`
//! in f32, rows in Hugging Face order, so that `peft` loads an adapter onto the same weights.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::decoder::{PROJECTIONS, projection_shape};
use crate::error::{ModelError, Result};
use crate::spec::DecoderSpec;

/// Largest rank that is read.
const MAX_RANK: usize = 1024;

/// The matrices of one projection: `a` is `[rank, in]`, `b` is `[out, rank]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraMatrices {
    pub a: Vec<f32>,
    pub b: Vec<f32>,
    pub rank: usize,
    pub scale: f32,
}

/// A LoRA over some projections of some layers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adapter {
    /// Keyed by (layer, index into [`PROJECTIONS`]).
    matrices: BTreeMap<(usize, usize), LoraMatrices>,
}

/// The part of PEFT's `adapter_config.json` that is read; the rest is written as PEFT does.
#[derive(Debug, Serialize, Deserialize)]
struct Config {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default = "none")]
    bias: String,
    target_modules: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layers_to_transform: Option<Vec<usize>>,
    #[serde(default)]
    base_model_name_or_path: Option<String>,
    #[serde(default)]
    task_type: Option<String>,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    inference_mode: bool,
    #[serde(default)]
    lora_dropout: f64,
}

fn none() -> String {
    "none".into()
}

fn key(layer: usize, projection: usize, part: char) -> String {
    let module = if projection < 4 { "self_attn" } else { "mlp" };
    format!("base_model.model.model.layers.{layer}.{module}.{}.lora_{part}.weight", PROJECTIONS[projection])
}

impl Adapter {
    pub fn get(&self, layer: usize, projection: usize) -> Option<&LoraMatrices> {
        self.matrices.get(&(layer, projection))
    }

    pub fn insert(&mut self, layer: usize, projection: usize, matrices: LoraMatrices) {
        self.matrices.insert((layer, projection), matrices);
    }

    pub fn iter(&self) -> impl Iterator<Item = ((usize, usize), &LoraMatrices)> {
        self.matrices.iter().map(|(&k, m)| (k, m))
    }

    pub fn parameters(&self) -> usize {
        self.matrices.values().map(|m| m.a.len() + m.b.len()).sum()
    }

    /// SHA-256 (hex) of the adapter in `dir`: of its configuration and its weights.
    pub fn digest(dir: &Path) -> Result<String> {
        let mut hash = Sha256::new();
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            let path = dir.join(name);
            hash.update(std::fs::read(&path).map_err(ModelError::io(&path))?);
        }
        Ok(format!("{:x}", hash.finalize()))
    }

    /// Reads an adapter for a model described by `spec`.
    pub fn load(dir: &Path, spec: &DecoderSpec) -> Result<Self> {
        let path = dir.join("adapter_config.json");
        let wrong = |reason: String| ModelError::Adapter { path: dir.into(), reason };
        let text = std::fs::read_to_string(&path).map_err(ModelError::io(&path))?;
        let config: Config =
            serde_json::from_str(&text).map_err(|e| wrong(format!("adapter_config.json: {e}")))?;
        if config.peft_type != "LORA" || config.use_dora || config.bias != "none" || config.fan_in_fan_out {
            return Err(wrong("only plain LoRA without biases is supported".into()));
        }
        if config.r == 0 || config.r > MAX_RANK || !config.lora_alpha.is_finite() {
            return Err(wrong(format!("its rank is {}; 1 to {MAX_RANK} are allowed", config.r)));
        }
        let divisor = if config.use_rslora { (config.r as f64).sqrt() } else { config.r as f64 };
        let scale = (config.lora_alpha / divisor) as f32;

        let path = dir.join("adapter_model.safetensors");
        let bytes = std::fs::read(&path).map_err(ModelError::io(&path))?;
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|e| wrong(format!("adapter_model.safetensors: {e}")))?;
        let mut adapter = Adapter::default();
        let mut left: std::collections::BTreeSet<String> =
            tensors.names().iter().map(|n| n.to_string()).collect();
        for layer in 0..spec.layers {
            for p in 0..PROJECTIONS.len() {
                let (out, input) = projection_shape(spec, p);
                let read = |part, shape: [usize; 2]| -> Result<Option<Vec<f32>>> {
                    let name = key(layer, p, part);
                    let Ok(view) = tensors.tensor(&name) else { return Ok(None) };
                    if view.shape() != shape {
                        let reason =
                            format!("`{name}` has the shape {:?}, this model needs {shape:?}", view.shape());
                        return Err(wrong(reason));
                    }
                    floats(&view).map(Some).ok_or_else(|| {
                        wrong(format!("`{name}` is {:?}; f32, f16, bf16 are read", view.dtype()))
                    })
                };
                let (a, b) = (read('A', [config.r, input])?, read('B', [out, config.r])?);
                match (a, b) {
                    (Some(a), Some(b)) => {
                        if a.iter().chain(&b).any(|v| !v.is_finite()) {
                            return Err(wrong(format!(
                                "`{}` has values that are not finite",
                                key(layer, p, 'A')
                            )));
                        }
                        left.remove(&key(layer, p, 'A'));
                        left.remove(&key(layer, p, 'B'));
                        adapter.insert(layer, p, LoraMatrices { a, b, rank: config.r, scale });
                    }
                    (None, None) => {}
                    _ => return Err(wrong(format!("`{}` or its B is missing", key(layer, p, 'A')))),
                }
            }
        }
        if let Some(name) = left.first() {
            return Err(wrong(format!("`{name}` fits no layer of this model ({} layers)", spec.layers)));
        }
        if adapter.matrices.is_empty() {
            return Err(wrong("it has no LoRA matrices".into()));
        }
        Ok(adapter)
    }

    /// Writes the adapter to `dir`, each file whole or not at all.
    pub fn save(&self, dir: &Path, base: &str) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(ModelError::io(dir))?;
        let Some(first) = self.matrices.values().next() else {
            return Err(ModelError::Adapter {
                path: dir.into(),
                reason: "there is nothing in it to save".into(),
            });
        };
        let modules: std::collections::BTreeSet<&str> =
            self.matrices.keys().map(|k| PROJECTIONS[k.1]).collect();
        let layers: std::collections::BTreeSet<usize> = self.matrices.keys().map(|k| k.0).collect();
        let config = Config {
            peft_type: "LORA".into(),
            r: first.rank,
            lora_alpha: f64::from(first.scale) * first.rank as f64,
            use_rslora: false,
            use_dora: false,
            bias: none(),
            target_modules: modules.iter().map(|m| m.to_string()).collect(),
            layers_to_transform: Some(layers.into_iter().collect()),
            base_model_name_or_path: Some(base.into()),
            task_type: Some("CAUSAL_LM".into()),
            fan_in_fan_out: false,
            inference_mode: true,
            lora_dropout: 0.0,
        };
        let bytes_of = |v: &[f32]| -> Vec<u8> { v.iter().flat_map(|x| x.to_le_bytes()).collect() };
        let mut data: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (&(l, p), m) in &self.matrices {
            data.push((key(l, p, 'A'), vec![m.rank, m.a.len() / m.rank], bytes_of(&m.a)));
            data.push((key(l, p, 'B'), vec![m.b.len() / m.rank, m.rank], bytes_of(&m.b)));
        }
        let wrong =
            |e: &dyn std::fmt::Display| ModelError::Adapter { path: dir.into(), reason: e.to_string() };
        let mut views = Vec::new();
        for (name, shape, bytes) in &data {
            views.push((
                name.as_str(),
                TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| wrong(&e))?,
            ));
        }
        let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
        let tensors = safetensors::serialize(views, Some(metadata)).map_err(|e| wrong(&e))?;
        write_whole(&dir.join("adapter_model.safetensors"), &tensors)?;
        let config = serde_json::to_vec_pretty(&config).map_err(|e| wrong(&e))?;
        write_whole(&dir.join("adapter_config.json"), &config)
    }
}

fn floats(view: &TensorView) -> Option<Vec<f32>> {
    let data = view.data();
    Some(match view.dtype() {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::BF16 => data
            .chunks_exact(2)
            .map(|b| f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16))
            .collect(),
        Dtype::F16 => data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        _ => return None,
    })
}

/// Writes beside the target and renames, so that a kill or a full disk never leaves half a file under the name.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    let part = path.with_extension("part");
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().map_err(|e| {
        let _ = std::fs::remove_file(&part);
        ModelError::io(path)(e)
    })
}
