//! What most verbs need: the charter, the model, the cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use freehold_charter::Charter;
use freehold_engine::{Address, Endpoint, Engine, KEY_VARIABLE, LocalEngine, Options};
use freehold_hub::{Cache, ModelFile};
use freehold_model::Model;
use freehold_model::kernels::weight::Products;
use include_dir::{Dir, include_dir};

use crate::args::{Common, Remote};
use crate::ui::Ui;

static BUNDLED: Dir = include_dir!("$CARGO_MANIFEST_DIR/../../charters/open-society");

/// Name of the bundled charter in messages.
pub const BUNDLED_NAME: &str = "charters/open-society (bundled)";

pub fn bundled_files() -> Vec<(String, Vec<u8>)> {
    fn walk(dir: &Dir, out: &mut Vec<(String, Vec<u8>)>) {
        // As a folder is read: only TOML belongs to a charter, so that its digest is the same.
        for file in dir.files().filter(|f| f.path().extension().is_some_and(|e| e == "toml")) {
            out.push((file.path().to_string_lossy().into_owned(), file.contents().to_vec()));
        }
        dir.dirs().for_each(|d| walk(d, out));
    }
    let mut out = Vec::new();
    walk(&BUNDLED, &mut out);
    out
}

/// The charter in a folder, or the bundled one.
pub fn charter(path: Option<&Path>) -> Result<Charter> {
    Ok(match path {
        Some(path) => Charter::load(path)?,
        None => Charter::from_files(BUNDLED_NAME, bundled_files())?,
    })
}

/// The weights that a MODEL names.
pub fn resolve(common: &Common, name: &str, ui: &Ui) -> Result<ModelFile> {
    if Address::parse(name).is_some() {
        bail!(
            "{name} is an endpoint: this needs the weights themselves; `audit`, `chat` and `complete` can ask an endpoint"
        );
    }
    Ok(Cache::open()?.resolve(name, common.offline, ui)?)
}

/// What a MODEL names, ready to be asked: weights in this process (`products`: see [`LocalEngine::set_products`]), or an endpoint.
pub fn ask(
    common: &Common,
    name: &str,
    adapter: Option<&Path>,
    system: Option<&str>,
    products: Products,
    remote: &Remote,
    ui: &Ui,
) -> Result<Box<dyn Engine>> {
    let system = system.map(str::to_string);
    if let Some(address) = Address::parse(name) {
        if common.offline {
            bail!("--offline, and {name} is elsewhere");
        }
        if adapter.is_some() {
            bail!("--adapter changes weights in this process; an endpoint's are its own");
        }
        let options = Options {
            concurrency: remote.concurrency.into(),
            silence: Duration::from_secs(remote.timeout.into()),
            system,
            ..Options::default()
        };
        let endpoint = Endpoint::connect(&address, std::env::var(KEY_VARIABLE).ok(), options)?;
        ui.say(&endpoint.about());
        return Ok(Box::new(endpoint));
    }
    let file = resolve(common, name, ui)?;
    ui.finish();
    let mut engine = engine(&file, adapter, ui)?;
    engine.system = system;
    engine.set_products(products);
    Ok(Box::new(engine))
}

/// A model with its weights expanded, an adapter on it where one is named.
pub fn engine(file: &ModelFile, adapter: Option<&Path>, ui: &Ui) -> Result<LocalEngine> {
    let model = Model::open(&file.path)?;
    ui.say(&format!(
        "{}: {} layers, {}, reading its weights",
        file.name, model.spec.layers, model.spec.architecture
    ));
    let engine = LocalEngine::new(Arc::new(model), &file.name, &file.digest)?;
    Ok(match adapter {
        Some(dir) => engine.with_adapter(dir)?,
        None => engine,
    })
}

/// The recipe in a JSON file, or the built-in one.
pub fn recipe(path: Option<&PathBuf>, seed: u64) -> Result<freehold_treat::Recipe> {
    let mut recipe = match path {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            serde_json::from_str(&text).with_context(|| path.display().to_string())?
        }
        None => freehold_treat::Recipe::default(),
    };
    recipe.seed = seed;
    Ok(recipe)
}

pub const CODE_VERSION: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
