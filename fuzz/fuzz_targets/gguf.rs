//! `cargo fuzz run gguf`: no bytes may panic the parser or make it allocate more than a small multiple of their length.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = freehold_model::gguf::parse(bytes);
});
