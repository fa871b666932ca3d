//! Invariants of the architecture that can be checked in the sources.

#![allow(clippy::unwrap_used)] // A missing source file is a failed test.

use std::fs;
use std::path::{Path, PathBuf};

/// The folders whose files and subfolders are kept small.
const ROOTS_OF_SMALL_FILES: [&str; 5] = ["src", "python", "tests", "benches", "scripts"];

/// Folders below these roots that hold data, such as the corpus of a fuzzer.
const DATA_FOLDERS: [&str; 1] = ["tests/fuzz_found"];

const MOST_LINES: usize = 600;

const MOST_FILES: usize = 15;

/// All files below a folder of the project.
fn files_below(folder: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    found
}

/// Each source file, with its path below `src/` and its text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    let found = files_below("src");
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn is_code(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["rs", "py", "pyi", "sh"].contains(&extension))
}

/// Files of code below the roots of small files, without data.
fn small_files() -> Vec<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_data = |path: &Path| DATA_FOLDERS.iter().any(|it| path.starts_with(project.join(it)));
    // The published crate has the Rust folders only.
    let roots = ROOTS_OF_SMALL_FILES.iter().filter(|root| project.join(root).is_dir());
    let files = roots.flat_map(|root| files_below(root));
    files.filter(|path| is_code(path) && !is_data(path)).collect()
}

#[test]
fn no_file_of_code_is_too_long() {
    for path in small_files() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
    }
}

#[test]
fn no_folder_has_too_many_files() {
    let files = small_files();
    for folder in files.iter().map(|path| path.parent().unwrap()) {
        let count = files.iter().filter(|path| path.parent() == Some(folder)).count();
        assert!(count <= MOST_FILES, "{} has {count} files", folder.display());
    }
}

#[test]
fn only_the_binding_names_pyo3() {
    for (name, text) in sources() {
        let in_binding = name.starts_with("python/");
        assert!(in_binding || !text.contains("pyo3::"), "{name} uses PyO3");
    }
}

#[test]
fn only_one_file_names_the_c_api_of_pyo3() {
    // Others would call functions in which a thread can end, without the handling in ffi/mod.rs.
    for (name, text) in sources() {
        let is_ffi = name == "python/interpreter/ffi/mod.rs";
        assert!(is_ffi || !text.contains("pyo3::ffi"), "{name} uses pyo3::ffi");
    }
}

#[test]
fn only_the_gc_traversal_of_the_binding_reads_nodes() {
    for (name, text) in sources().iter().filter(|(name, _)| name.starts_with("python/")) {
        let looks = text.matches("Contents::").count();
        let allowed = if name == "python/map/py_heap/mod.rs" { 2 } else { 0 };
        assert_eq!(looks, allowed, "{name} looks into nodes");
    }
}

#[test]
fn a_file_that_allows_unsafe_code_says_why() {
    for (name, text) in sources() {
        for line in text.lines().filter(|line| line.contains("allow(unsafe_code)")) {
            let reason = line.split_once("// ").map_or("", |(_, reason)| reason);
            assert!(reason.len() > 20, "{name} allows unsafe code without a reason");
        }
    }
}

#[test]
fn no_locks_and_no_threads() {
    // On free-threaded builds, one file replaces the GIL.
    for (name, text) in
        sources().iter().filter(|(name, _)| name != "python/interpreter/free_threading.rs")
    {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        // Examples in comments may.
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for word in ["Mutex", "RwLock", "thread::spawn"] {
                assert!(!line.contains(word), "{name} uses {word}");
            }
        }
    }
}
