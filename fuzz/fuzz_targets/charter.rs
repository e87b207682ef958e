//! `cargo fuzz run charter`: no topic file may panic the loader.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let files = [("charter.toml".to_string(), b"id = \"x\"\nversion = \"1\"\nlanguages = [\"en\"]\n".to_vec()), ("topics/t.toml".to_string(), bytes.to_vec())];
    let _ = freehold_charter::Charter::check_files("fuzz", files);
});
