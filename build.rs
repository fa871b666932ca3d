//! Tells the binding which Python it is built for; does nothing without the feature `python`.

fn main() {
    // Set where a sanitizer is to see the end of each object: tests/check_binding.sh.
    println!("cargo::rustc-check-cfg=cfg(no_free_lists)");
    #[cfg(feature = "python")]
    pyo3_build_config::use_pyo3_cfgs();
}
