//! Nothing but its benches: `cargo bench --manifest-path benches/kernels/Cargo.toml`.
