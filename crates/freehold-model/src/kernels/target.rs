//! Which instruction set the kernels use.

use std::sync::OnceLock;

/// Instruction sets that there are kernels for, the plainest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Target {
    Portable,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, VL and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// The same, and tiles of bfloat16 (AMX) where many rows meet a matrix.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Amx,
    /// NEON with dot products (Armv8.2).
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// Environment variable that holds the kernels to a plainer instruction set: `portable`, `avx2` or `avx512`.
pub const OVERRIDE: &str = "FREEHOLD_KERNELS";

/// Every instruction set that this processor has.
pub fn available() -> Vec<Target> {
    #[allow(unused_mut)]
    let mut all = vec![Target::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx2") && has!("fma") && has!("f16c") {
            all.push(Target::Avx2);
            if has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512vnni") {
                all.push(Target::Avx512);
                #[cfg(target_os = "linux")]
                if has!("avx512bf16") && super::amx::permitted() {
                    all.push(Target::Amx);
                }
            }
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        all.push(Target::Neon);
    }
    all
}

/// The best one, or the one that [`OVERRIDE`] asks for.
pub fn target() -> Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let wanted = std::env::var(OVERRIDE).unwrap_or_default().to_lowercase();
        let all = available();
        let named = all.iter().find(|t| t.name().to_lowercase().replace('-', "") == wanted.replace('-', ""));
        named.or(all.last()).copied().unwrap_or(Target::Portable)
    })
}

impl Target {
    /// Whether it has all of AVX-512 that there are kernels for.
    #[cfg(target_arch = "x86_64")]
    pub fn has_avx512(self) -> bool {
        self >= Target::Avx512
    }

    /// Whether it has tiles of bfloat16.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    pub fn has_tiles(self) -> bool {
        self == Target::Amx
    }

    pub fn name(self) -> &'static str {
        match self {
            Target::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Target::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Target::Avx512 => "AVX-512",
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Target::Amx => "AMX",
            #[cfg(target_arch = "aarch64")]
            Target::Neon => "NEON",
        }
    }
}

/// Name of the instruction set that the kernels use on this machine.
pub fn instruction_set() -> &'static str {
    target().name()
}
