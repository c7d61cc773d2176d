//! Puts the files of `library/` into the program, so that `zabsim run NAME` works from anywhere.

#![expect(
    clippy::disallowed_methods,
    reason = "a build reads what cargo tells it; no run does"
)]

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let library = Path::new(&root).join("library");
    println!("cargo::rerun-if-changed={}", library.display());
    let mut files: Vec<_> = fs::read_dir(&library)
        .expect("scenarios/library/ is part of the source")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    let mut code =
        String::from("/// The library, sorted by name.\npub static LIBRARY: &[Entry] = &[\n");
    for path in files {
        let name = path
            .file_stem()
            .and_then(|s| s.to_str())
            .expect("a UTF-8 name");
        let text = path.to_str().expect("a UTF-8 path");
        writeln!(
            code,
            "    Entry {{ name: {name:?}, text: include_str!({text:?}) }},"
        )
        .expect("into a string");
    }
    code.push_str("];\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("library.rs");
    fs::write(out, code).expect("the build directory is writable");
}
