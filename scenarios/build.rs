//! Puts the files of `library/` and `bugs/` into the program, so that `zabsim run NAME` works from anywhere, and says of what source the
//! program is: what a seed means is a matter of its commit.

#![expect(
    clippy::disallowed_methods,
    reason = "a build reads what cargo tells it; no run does"
)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    name_source(Path::new(&root).parent().expect("a workspace"));
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let (root, out) = (Path::new(&root), Path::new(&out));
    let library = "/// The library, sorted by name.\npub static LIBRARY: &[Entry]";
    embed(
        &root.join("library"),
        library,
        &out.join("library.rs"),
        |name, text| format!("Entry {{ name: {name:?}, text: include_str!({text:?}) }}"),
    );
    let scripts = "/// The scripts and their names, sorted by these.\npub(crate) static SCRIPTS: &[(&str, &str)]";
    embed(
        &root.join("bugs"),
        scripts,
        &out.join("bug_scripts.rs"),
        |name, text| format!("({name:?}, include_str!({text:?}))"),
    );
}

/// Writes the code of a list of a directory's scenarios: how it begins, and each as `item` says it of the name and the path.
fn embed(directory: &Path, list: &str, code_file: &Path, item: impl Fn(&str, &str) -> String) {
    println!("cargo::rerun-if-changed={}", directory.display());
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("it is part of the source")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    let mut code = format!("{list} = &[\n");
    for path in files {
        let name = path.file_stem().and_then(|s| s.to_str());
        let text = path.to_str().expect("a UTF-8 path");
        let item = item(name.expect("a UTF-8 name"), text);
        writeln!(code, "    {item},").expect("into a string");
    }
    code.push_str("];\n");
    fs::write(code_file, code).expect("the build directory is writable");
}

/// What decides a run: everything that is compiled, and what it is compiled with.
const SOURCES: [&str; 6] = [
    "Cargo.lock",
    "Cargo.toml",
    "model",
    "scenarios",
    "sim",
    "reports",
];

/// `ZABSIM_COMMIT`: the commit, and where the sources are not what is committed, or there is no repository, a hash of them.
fn name_source(workspace: &Path) {
    let mut files = Vec::new();
    for name in SOURCES {
        let path = workspace.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        collect(&path, &mut files);
    }
    files.sort();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        let output = git.current_dir(workspace).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_string())
    };
    // Its last line changes with every commit and checkout.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={}", workspace.join(log).display());
    }
    let head = git(&["rev-parse", "HEAD"]);
    let mut status = vec!["status", "--porcelain", "--untracked-files=all", "--"];
    status.extend(SOURCES);
    let is_clean = git(&status).is_some_and(|changes| changes.is_empty());
    let commit = match (head, is_clean) {
        (Some(head), true) => head,
        (Some(head), false) => format!("{head}+{:016x}", hash(workspace, &files)),
        (None, _) => format!("unknown+{:016x}", hash(workspace, &files)),
    };
    println!("cargo::rustc-env=ZABSIM_COMMIT={commit}");
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("the source is readable");
        for entry in entries {
            collect(&entry.expect("readable").path(), files);
        }
    } else if path
        .extension()
        .is_some_and(|e| e == "rs" || e == "toml" || e == "lock")
    {
        files.push(path.to_path_buf());
    }
}

/// FNV-1a of the files' names and contents.
fn hash(workspace: &Path, files: &[PathBuf]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for file in files {
        let name = file.strip_prefix(workspace).unwrap_or(file);
        let content = fs::read(file).expect("the source is readable");
        let name = name.to_string_lossy();
        for byte in name.bytes().chain([0]).chain(content).chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}
