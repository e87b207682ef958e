//! A treatment that was killed goes on where it was.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use freehold_model::adapter::write_whole;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::error::{Result, TreatError, io};
use crate::optim::Parameter;
use crate::sft::CurvePoint;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// Digest of recipe, data and weights: a checkpoint of anything else is refused.
    pub fingerprint: String,
    /// Steps done.
    pub step: usize,
    pub curve: Vec<CurvePoint>,
    pub best: Option<(usize, f64)>,
    pub seconds: f64,
    pub tokens: u64,
    pub flops: f64,
}

fn paths(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("state.json"), dir.join("moments.safetensors"))
}

/// Parameters and moments first, the state that names them last; a kill in between leaves the older pair in force.
pub fn save(dir: &Path, state: &State, parameters: &[Parameter]) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(io(dir))?;
    let (state_path, _) = paths(dir);
    let tensors_path = dir.join(format!("moments-{}.safetensors", state.step));
    let bytes = |v: &[f32]| -> Vec<u8> { v.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let mut data = Vec::new();
    for p in parameters {
        let parts = [("value", &p.value), ("first", &p.first), ("second", &p.second)];
        data.extend(parts.map(|(part, v)| (format!("{}.{part}", p.name), p.shape, bytes(v))));
    }
    let fail = |e: safetensors::SafeTensorError| candle_core::Error::Msg(format!("checkpoint: {e}"));
    let mut views = Vec::new();
    for (name, shape, bytes) in &data {
        views
            .push((name.as_str(), TensorView::new(Dtype::F32, vec![shape.0, shape.1], bytes).map_err(fail)?));
    }
    let whole = safetensors::serialize(views, None::<HashMap<String, String>>).map_err(fail)?;
    write_whole(&tensors_path, &whole)?;
    let json = serde_json::to_vec(state).map_err(|e| candle_core::Error::Msg(e.to_string()))?;
    write_whole(&state_path, &json)?;
    // older moments are of no use any more
    for entry in std::fs::read_dir(dir).map_err(io(dir))?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "safetensors") && path != tensors_path {
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(())
}

/// Reads a checkpoint into `parameters`; `None` where there is none.
///
/// # Errors
/// [`TreatError::OtherCheckpoint`] when it belongs to another treatment or is damaged.
pub fn load(dir: &Path, fingerprint: &str, parameters: &mut [Parameter]) -> Result<Option<State>> {
    let (state_path, _) = paths(dir);
    let other = || TreatError::OtherCheckpoint(dir.into());
    let json = match std::fs::read(&state_path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(&state_path)(e)),
    };
    let state: State = serde_json::from_slice(&json).map_err(|_| other())?;
    if state.fingerprint != fingerprint {
        return Err(other());
    }
    let path = dir.join(format!("moments-{}.safetensors", state.step));
    let bytes = std::fs::read(&path).map_err(io(&path))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|_| other())?;
    for p in parameters {
        for (part, into) in [("value", &mut p.value), ("first", &mut p.first), ("second", &mut p.second)] {
            let view = tensors.tensor(&format!("{}.{part}", p.name)).map_err(|_| other())?;
            if view.shape() != [p.shape.0, p.shape.1] || view.dtype() != Dtype::F32 {
                return Err(other());
            }
            *into =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        }
    }
    Ok(Some(state))
}
