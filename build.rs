//! Passes the facts about the target Python to the compiler as cfgs, if the feature `python` is on.

fn main() {
    // `scripts/check_binding.sh` sets this for sanitizers, which must see each object freed.
    println!("cargo::rustc-check-cfg=cfg(no_free_lists)");
    // Set to test the comparison of fingerprints without SIMD instructions.
    println!("cargo::rustc-check-cfg=cfg(no_simd)");
    // CPython may end a thread by unwinding its stack: see src/python/interpreter/ffi/mod.rs.
    println!("cargo::rustc-check-cfg=cfg(exit_unwinds)");
    // The layout of the interpreter's contexts is known: see src/python/context/native_layout.
    println!("cargo::rustc-check-cfg=cfg(known_layout)");
    #[cfg(feature = "python")]
    {
        pyo3_build_config::use_pyo3_cfgs();
        let version = pyo3_build_config::get().version();
        // `pthread_exit` unwinds the stack on Unix systems, but not on those of Apple.
        let target = |what| std::env::var(format!("CARGO_CFG_TARGET_{what}"));
        let is_unix = target("FAMILY").is_ok_and(|family| family.contains("unix"));
        let is_apple = target("VENDOR").is_ok_and(|vendor| vendor == "apple");
        // See src/python/context/native_layout.
        let config = pyo3_build_config::get();
        let is_free_threaded = pyo3_build_config::BuildFlag::Py_GIL_DISABLED;
        let is_known = config.implementation() == pyo3_build_config::PythonImplementation::CPython
            && ((3, 11)..=(3, 15)).contains(&(version.major, version.minor))
            && config.pointer_width() == Some(64)
            && !config.build_flags().0.contains(&is_free_threaded);
        if is_known {
            println!("cargo::rustc-cfg=known_layout");
        }
        if is_unix && !is_apple && (version.major, version.minor) < (3, 14) {
            println!("cargo::rustc-cfg=exit_unwinds");
        }
    }
}
