//! Tells the binding which Python it is built for; does nothing without the feature `python`.

fn main() {
    // Set where a sanitizer is to see the end of each object: scripts/check_binding.sh.
    println!("cargo::rustc-check-cfg=cfg(no_free_lists)");
    // Set where CPython ends a thread by unwinding its stack: src/python/interpreter/ffi.
    println!("cargo::rustc-check-cfg=cfg(exit_unwinds)");
    #[cfg(feature = "python")]
    {
        pyo3_build_config::use_pyo3_cfgs();
        let version = pyo3_build_config::get().version();
        // Of the systems with ELF only: elsewhere, `pthread_exit` does not unwind.
        let target = |what| std::env::var(format!("CARGO_CFG_TARGET_{what}"));
        let is_unix = target("FAMILY").is_ok_and(|family| family.contains("unix"));
        let is_apple = target("VENDOR").is_ok_and(|vendor| vendor == "apple");
        if is_unix && !is_apple && (version.major, version.minor) < (3, 14) {
            println!("cargo::rustc-cfg=exit_unwinds");
        }
    }
}
