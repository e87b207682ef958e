use std::collections::BTreeMap;

use anyhow::Result;
use freehold_model::DecoderSpec;
use freehold_model::template::ChatTemplate;
use freehold_model::weights::Weights;
use serde_json::json;

use super::{print, print_json};
use crate::args::Common;
use crate::context::resolve;
use crate::ui::Ui;

pub fn run(common: &Common, model: &str, tensors: bool, ui: &Ui) -> Result<u8> {
    let file = resolve(common, model, ui)?;
    ui.finish();
    let weights = Weights::open(&file.path)?;
    let spec = DecoderSpec::from_weights(&weights);
    let text = |key: &str| weights.metadata.get(key).and_then(|v| v.as_str().map(str::to_string));
    let mut types = BTreeMap::<&str, usize>::new();
    let mut parameters = 0;
    for t in weights.tensors() {
        *types.entry(t.ty.name()).or_default() += 1;
        parameters += t.elements();
    }
    let template = ChatTemplate::new(text("tokenizer.chat_template").as_deref(), "", "").ok();
    let system = template.as_ref().and_then(ChatTemplate::inserted_system_prompt);
    let licence = file.licence.clone().or_else(|| text("general.license"));
    let list: Vec<_> = weights
        .tensors()
        .map(|t| json!({ "name": t.name, "shape": t.dims.iter().rev().collect::<Vec<_>>(), "type": t.ty.name() }))
        .collect();
    if common.json {
        print_json(&json!({
            "name": file.name, "path": file.path, "sha256": file.digest, "bytes": file.size, "licence": licence,
            "title": text("general.name"), "architecture": text("general.architecture"),
            "parameters": parameters, "quantisation": types, "system_prompt": system,
            "supported": spec.is_ok(), "layers": spec.as_ref().ok().map(|s| s.layers),
            "hidden": spec.as_ref().ok().map(|s| s.hidden), "vocabulary": spec.as_ref().ok().map(|s| s.vocab),
            "context": spec.as_ref().ok().map(|s| s.context), "tensors": list,
        }))?;
        return Ok(0);
    }
    let types: Vec<String> = types.iter().map(|(t, n)| format!("{n} × {t}")).collect();
    print(&format!(
        "{}\n  title         {}\n  file          {}\n  sha256        {}\n  size          {} bytes\n  licence       {}\n  parameters    {:.0} million\n  tensors       {}",
        file.name,
        text("general.name").unwrap_or_default(),
        file.path.display(),
        file.digest,
        file.size,
        licence.as_deref().unwrap_or("not stated"),
        parameters as f64 / 1e6,
        types.join(", "),
    ))?;
    match &spec {
        Ok(s) => print(&format!(
            "  architecture  {}: {} layers, width {}, {} heads ({} for keys and values), vocabulary {}, context {}",
            s.architecture, s.layers, s.hidden, s.heads, s.kv_heads, s.vocab, s.context
        ))?,
        Err(e) => print(&format!("  architecture  {e}"))?,
    }
    match system {
        Some(s) => print(&format!("  system prompt {s:?} (inserted by its chat template)"))?,
        None => print("  system prompt none")?,
    }
    if tensors {
        for t in weights.tensors() {
            let shape: Vec<String> = t.dims.iter().rev().map(ToString::to_string).collect();
            print(&format!("  {:40} {:>16}  {}", t.name, shape.join(" × "), t.ty.name()))?;
        }
    }
    Ok(0)
}
