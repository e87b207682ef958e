use std::collections::{BTreeMap, HashSet};

use super::{GgmlType, Gguf, TensorInfo, Value};

/// Deepest nesting of arrays that is read; real files have none.
const MAX_DEPTH: usize = 4;
/// Longest array that is read; the largest vocabularies have about 300,000 tokens.
const MAX_ARRAY: usize = 1 << 22;
/// Most dimensions a tensor may have (the specification's limit).
const MAX_DIMS: u32 = 4;

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Parsed<T> = Result<T, String>;

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize, what: &str) -> Parsed<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|&e| e <= self.bytes.len()).ok_or_else(|| {
            format!(
                "it ends at byte {} inside {what} (the file is truncated or a length in it is wrong)",
                self.bytes.len()
            )
        })?;
        let out = &self.bytes[self.at..end];
        self.at = end;
        Ok(out)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Parsed<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    fn u32(&mut self, what: &str) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A count of things that take at least `least` bytes each; more than the rest of the file can hold is refused.
    fn count(&mut self, least: usize, what: &str) -> Parsed<usize> {
        let n = self.u64(what)?;
        let room = (self.bytes.len() - self.at) / least.max(1);
        match usize::try_from(n) {
            Ok(n) if n <= room => Ok(n),
            _ => Err(format!("{what} is {n}, but the rest of the file has room for {room} at most")),
        }
    }

    fn string(&mut self, what: &str) -> Parsed<String> {
        let n = self.count(1, what)?;
        let bytes = self.take(n, what)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| format!("{what} is not UTF-8"))
    }

    fn value(&mut self, ty: u32, key: &str, depth: usize) -> Parsed<Value> {
        Ok(match ty {
            0 => Value::Unsigned(u64::from(self.array::<1>(key)?[0])),
            1 => Value::Signed(i64::from(i8::from_le_bytes(self.array(key)?))),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.array(key)?))),
            3 => Value::Signed(i64::from(i16::from_le_bytes(self.array(key)?))),
            4 => Value::Unsigned(u64::from(self.u32(key)?)),
            5 => Value::Signed(i64::from(i32::from_le_bytes(self.array(key)?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.array(key)?))),
            7 => match self.array::<1>(key)?[0] {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                b => return Err(format!("the metadata key `{key}` has the boolean {b}")),
            },
            8 => Value::String(self.string(&format!("the value of `{key}`"))?),
            9 => {
                if depth >= MAX_DEPTH {
                    return Err(format!("the metadata key `{key}` nests arrays more than {MAX_DEPTH} deep"));
                }
                let element = self.u32(key)?;
                let least = match element {
                    0 | 1 | 7 => 1,
                    2 | 3 => 2,
                    4..=6 => 4,
                    8 | 10..=12 => 8,
                    9 => 12,
                    _ => {
                        return Err(format!(
                            "the metadata key `{key}` has elements of the unknown type {element}"
                        ));
                    }
                };
                let n = self.count(least, &format!("the length of `{key}`"))?;
                if n > MAX_ARRAY {
                    return Err(format!(
                        "the metadata key `{key}` has {n} elements; {MAX_ARRAY} are the most that is read"
                    ));
                }
                let mut items = Vec::with_capacity(n);
                for _ in 0..n {
                    items.push(self.value(element, key, depth + 1)?);
                }
                Value::Array(items)
            }
            10 => Value::Unsigned(self.u64(key)?),
            11 => Value::Signed(i64::from_le_bytes(self.array(key)?)),
            12 => Value::Float(f64::from_le_bytes(self.array(key)?)),
            _ => return Err(format!("the metadata key `{key}` has the unknown type {ty}")),
        })
    }
}

/// Reads header, metadata and tensor table of one file.
///
/// # Errors
/// A sentence that says what is wrong: wrong magic, another version, truncation, absurd counts, duplicate, overlapping or
/// out-of-range tensors.
pub fn parse(bytes: &[u8]) -> Result<Gguf, String> {
    let mut c = Cursor { bytes, at: 0 };
    let magic = c.take(4, "the magic")?;
    if magic != b"GGUF" {
        return Err(format!("it begins with the bytes {magic:02x?}, not with the letters GGUF"));
    }
    let version = c.u32("the version")?;
    if version != 2 && version != 3 {
        return Err(if version.swap_bytes() == 3 {
            "it is a big-endian file; convert it to little-endian".to_string()
        } else {
            format!("it has version {version}; versions 2 and 3 are read")
        });
    }
    // A tensor entry takes at least 8 + 4 + 8 + 4 + 8 bytes, a metadata entry at least 8 + 4 + 1.
    let n_tensors = c.count(32, "the tensor count")?;
    let n_metadata = c.count(13, "the metadata count")?;

    let mut metadata = BTreeMap::new();
    for _ in 0..n_metadata {
        let key = c.string("a metadata key")?;
        let ty = c.u32(&key)?;
        let value = c.value(ty, &key, 0)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(format!("the metadata key `{key}` occurs twice"));
        }
    }
    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(v) => v
            .as_u64()
            .and_then(|a| usize::try_from(a).ok())
            .filter(|a| a.is_power_of_two() && (8..=1 << 16).contains(a))
            .ok_or("`general.alignment` is not a power of two between 8 and 65536")?,
    };

    let mut tensors = Vec::with_capacity(n_tensors.min(1 << 16));
    let mut names = HashSet::new();
    for _ in 0..n_tensors {
        tensors.push(tensor(&mut c, &mut names)?);
    }
    let data = c.at.checked_next_multiple_of(alignment).ok_or("the data section lies beyond the file")?;
    place(&mut tensors, data, alignment, bytes.len())?;
    Ok(Gguf { version, metadata, tensors })
}

/// One entry of the tensor table; its offset is still relative to the data section.
fn tensor(c: &mut Cursor, names: &mut HashSet<String>) -> Parsed<TensorInfo> {
    let name = c.string("a tensor name")?;
    if !names.insert(name.clone()) {
        return Err(format!("the tensor `{name}` occurs twice"));
    }
    let n_dims = c.u32(&name)?;
    if n_dims == 0 || n_dims > MAX_DIMS {
        return Err(format!("the tensor `{name}` has {n_dims} dimensions; 1 to {MAX_DIMS} are allowed"));
    }
    let mut dims = Vec::with_capacity(n_dims as usize);
    let mut elements = 1usize;
    for _ in 0..n_dims {
        let d = c.u64(&name)?;
        let d = usize::try_from(d).ok().filter(|&d| d > 0);
        let d = d.ok_or_else(|| format!("the tensor `{name}` has a dimension of size 0 or out of range"))?;
        elements = elements
            .checked_mul(d)
            .filter(|&e| e <= isize::MAX as usize / 8)
            .ok_or_else(|| format!("the tensor `{name}` has more elements than any machine can address"))?;
        dims.push(d);
    }
    let id = c.u32(&name)?;
    let ty =
        GgmlType::from_u32(id).ok_or_else(|| format!("the tensor `{name}` has the unknown type {id}"))?;
    let offset = c.u64(&name)?;
    let offset = usize::try_from(offset).map_err(|_| format!("the tensor `{name}` lies beyond the file"))?;
    let bytes = match ty.block() {
        Some((block, size)) if dims[0] % block == 0 => elements / block * size,
        Some((block, _)) => {
            return Err(format!(
                "the tensor `{name}` has rows of {}, no multiple of its block size {block}",
                dims[0]
            ));
        }
        None => 0,
    };
    Ok(TensorInfo { name, dims, ty, offset, bytes })
}

/// Makes offsets absolute and checks that every tensor lies inside the file and apart from the others.
fn place(tensors: &mut [TensorInfo], data: usize, alignment: usize, file: usize) -> Parsed<()> {
    for t in tensors.iter_mut() {
        if t.offset % alignment != 0 {
            return Err(format!("the tensor `{}` does not start at a multiple of {alignment}", t.name));
        }
        let start = data.checked_add(t.offset);
        let end = start.and_then(|s| s.checked_add(t.bytes));
        match (start, end) {
            (Some(s), Some(e)) if e <= file => t.offset = s,
            _ => {
                return Err(format!(
                    "the tensor `{}` lies beyond the end of the file ({file} bytes): the file is truncated or its table is wrong",
                    t.name
                ));
            }
        }
    }
    let mut order: Vec<&TensorInfo> = tensors.iter().collect();
    order.sort_by_key(|t| t.offset);
    for pair in order.windows(2) {
        if pair[0].offset + pair[0].bytes > pair[1].offset {
            return Err(format!("the tensors `{}` and `{}` overlap", pair[0].name, pair[1].name));
        }
    }
    Ok(())
}
