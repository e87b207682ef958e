//! Weights as views over one or many memory-mapped files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use sha2::{Digest as _, Sha256};

use crate::error::{ModelError, Result};
use crate::gguf::{self, GgmlType, TensorInfo, Value};
use crate::kernels::tiled::Tiled;
use crate::kernels::weight::Weight;

struct Part {
    path: PathBuf,
    map: Mmap,
}

/// All tensors of a model, and its metadata.
pub struct Weights {
    parts: Vec<Part>,
    tensors: BTreeMap<String, (usize, TensorInfo)>,
    pub metadata: BTreeMap<String, Value>,
}

fn map(path: &Path) -> Result<Part> {
    let file = File::open(path).map_err(ModelError::io(path))?;
    if file.metadata().map_err(ModelError::io(path))?.len() == 0 {
        return Err(ModelError::Gguf { path: path.into(), reason: "it is empty".into() });
    }
    // SAFETY: the map is read-only and lives as long as every view of it. A file that another process truncates while it is
    // mapped raises SIGBUS: no memory map can exclude that, and reading weights into memory instead would double their cost.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file) }.map_err(ModelError::io(path))?;
    Ok(Part { path: path.into(), map })
}

/// The files of a split model (`…-00001-of-00003.gguf`), given any one of them; otherwise the file itself.
pub fn parts_of(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let split = name.strip_suffix(".gguf").and_then(|stem| {
        let (rest, total) = stem.rsplit_once("-of-")?;
        let (prefix, no) = rest.rsplit_once('-')?;
        let digits = |s: &str| s.len() == 5 && s.bytes().all(|b| b.is_ascii_digit());
        (digits(total) && digits(no)).then_some((prefix, total))
    });
    match split.and_then(|(prefix, total)| Some((prefix, total, total.parse::<u32>().ok()?))) {
        Some((prefix, total, n)) if (1..=1000).contains(&n) => {
            (1..=n).map(|i| path.with_file_name(format!("{prefix}-{i:05}-of-{total}.gguf"))).collect()
        }
        _ => vec![path.into()],
    }
}

impl Weights {
    /// Maps a GGUF file, or all files of a split one.
    pub fn open(path: &Path) -> Result<Self> {
        let mut parts = Vec::new();
        let mut tensors = BTreeMap::new();
        let mut metadata = BTreeMap::new();
        for (i, file) in parts_of(path).iter().enumerate() {
            let part = map(file)?;
            let parsed =
                gguf::parse(&part.map).map_err(|reason| ModelError::Gguf { path: file.clone(), reason })?;
            for t in parsed.tensors {
                let name = t.name.clone();
                if tensors.insert(name.clone(), (i, t)).is_some() {
                    let reason = "it occurs in two files of the split model".into();
                    return Err(ModelError::Tensor { path: file.clone(), tensor: name, reason });
                }
            }
            if i == 0 {
                metadata = parsed.metadata;
            }
            parts.push(part);
        }
        Ok(Self { parts, tensors, metadata })
    }

    /// The first file.
    pub fn path(&self) -> &Path {
        &self.parts[0].path
    }

    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|p| p.map.len()).sum()
    }

    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        self.tensors.values().map(|(_, t)| t)
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn tensor_error(&self, tensor: &str, reason: impl Into<String>) -> ModelError {
        ModelError::Tensor { path: self.path().into(), tensor: tensor.into(), reason: reason.into() }
    }

    /// Shape in row-major order (`[out, in]` for a matrix), checked against what the architecture needs.
    fn find(&self, name: &str, shape: &[usize]) -> Result<(&[u8], &TensorInfo)> {
        let (part, info) = self.tensors.get(name).ok_or_else(|| self.tensor_error(name, "is missing"))?;
        let mut have = info.dims.clone();
        have.reverse();
        // a vector may be stored with trailing dimensions of 1
        while have.len() > shape.len() && have[0] == 1 {
            have.remove(0);
        }
        if have != shape {
            return Err(self
                .tensor_error(name, format!("has the shape {have:?}, but the metadata asks for {shape:?}")));
        }
        Ok((&self.parts[*part].map[info.offset..info.offset + info.bytes], info))
    }

    fn dequantize_bytes(&self, name: &str, bytes: &[u8], ty: GgmlType, elements: usize) -> Result<Vec<f32>> {
        let halves = || bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
        Ok(match ty {
            GgmlType::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            GgmlType::F16 => halves().map(|b| f16::from_bits(b).to_f32()).collect(),
            GgmlType::BF16 => halves().map(|b| bf16::from_bits(b).to_f32()).collect(),
            GgmlType::Quantized(block) => Tiled::new(block, bytes, 1, elements, &|r| r)
                .map_err(|reason| self.tensor_error(name, reason))?
                .row(0),
            GgmlType::Unsupported(_) => return Err(self.unsupported(name, ty)),
        })
    }

    fn unsupported(&self, name: &str, ty: GgmlType) -> ModelError {
        self.tensor_error(name, format!("is stored as {}, which is not supported yet", ty.name()))
    }

    /// A `[rows, cols]` matrix for products, quantised as in the file. Row `i` of it is row `from(i)` of the file. The file's pages are given
    /// back to the system, since nothing reads them again.
    pub fn matrix(
        &self,
        name: &str,
        (rows, cols): (usize, usize),
        from: &(dyn Fn(usize) -> usize + Sync),
    ) -> Result<Weight> {
        let (bytes, info) = self.find(name, &[rows, cols])?;
        let damaged = || self.tensor_error(name, "has values that are not finite: the file is damaged");
        let weight = match info.ty {
            GgmlType::Unsupported(_) => return Err(self.unsupported(name, info.ty)),
            GgmlType::Quantized(block) => Weight::quantized(
                Tiled::new(block, bytes, rows, cols, from)
                    .map_err(|reason| self.tensor_error(name, reason))?,
            ),
            GgmlType::F32 => {
                let values = self.dequantize(name, &[rows, cols])?;
                let values: Vec<f32> =
                    (0..rows).flat_map(|r| &values[from(r) * cols..][..cols]).copied().collect();
                Weight::new(&values, rows, cols)
            }
            GgmlType::F16 | GgmlType::BF16 => {
                let brain = info.ty == GgmlType::BF16;
                let row = |r: usize| bytes[from(r) * 2 * cols..][..2 * cols].as_chunks::<2>().0;
                let bits: Vec<u16> = (0..rows).flat_map(row).map(|b| u16::from_le_bytes(*b)).collect();
                let exponent = if brain { 0x7F80 } else { 0x7C00 };
                if bits.iter().any(|b| b & exponent == exponent) {
                    return Err(damaged());
                }
                Weight::half(&bits, brain, rows, cols)
            }
        };
        self.release(name);
        Ok(weight)
    }

    /// Lets the system take back the pages of one tensor; they are read from the file again if they are wanted again.
    fn release(&self, name: &str) {
        #[cfg(unix)]
        if let Some((part, info)) = self.tensors.get(name) {
            // SAFETY: the map is of a file and never written, so that pages dropped come back with the same bytes.
            #[allow(unsafe_code)]
            let _ = unsafe {
                self.parts[*part].map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    info.offset,
                    info.bytes,
                )
            };
        }
        #[cfg(not(unix))]
        let _ = name;
    }

    /// A whole tensor as f32, row-major. `shape` is the one due.
    pub fn dequantize(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (bytes, info) = self.find(name, shape)?;
        let values = self.dequantize_bytes(name, bytes, info.ty, info.elements())?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(self.tensor_error(name, "has values that are not finite: the file is damaged"));
        }
        Ok(values)
    }

    /// One row of a `[rows, cols]` matrix as f32, without expanding the rest.
    pub fn row(&self, name: &str, rows: usize, cols: usize, row: usize) -> Result<Vec<f32>> {
        let (bytes, info) = self.find(name, &[rows, cols])?;
        if row >= rows {
            return Err(self.tensor_error(name, format!("has {rows} rows, row {row} was asked for")));
        }
        let per_row = bytes.len() / rows;
        self.dequantize_bytes(name, &bytes[row * per_row..(row + 1) * per_row], info.ty, cols)
    }

    /// Number of rows of a matrix, where it exists.
    pub fn rows(&self, name: &str) -> Option<usize> {
        self.tensors.get(name).and_then(|(_, t)| t.dims.get(1).copied())
    }

    /// SHA-256 (hex) of the file; of a split model, of all files one after the other.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for p in &self.parts {
            hash.update(&p.map[..]);
        }
        format!("{:x}", hash.finalize())
    }

    pub(crate) fn metadata_error(&self, key: &str, reason: impl Into<String>) -> ModelError {
        ModelError::Metadata { path: self.path().into(), key: key.into(), reason: reason.into() }
    }
}

/// SHA-256 (hex) of a file's bytes.
pub fn file_digest(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(ModelError::io(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(ModelError::io(path))?;
        if n == 0 {
            return Ok(format!("{:x}", hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}
