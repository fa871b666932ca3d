//! The architecture invariants of the README that the sources themselves can show.

#![allow(clippy::unwrap_used)] // A missing source file is a failed test.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file, with its path below `src/` and its text.
fn sources() -> Vec<(String, String)> {
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &mut found);
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
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
    // The others would call functions in which a thread can end without what ffi/mod.rs does then.
    for (name, text) in sources() {
        let is_ffi = name == "python/interpreter/ffi/mod.rs";
        assert!(is_ffi || !text.contains("pyo3::ffi"), "{name} uses pyo3::ffi");
    }
}

#[test]
fn only_the_collectors_visit_looks_into_nodes_in_the_binding() {
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
fn no_lock_is_held_and_no_thread_started() {
    // What stands in for the interpreter's lock where it has none.
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
