//! Tells the binding which Python it is built for; does nothing without the feature `python`.

fn main() {
    #[cfg(feature = "python")]
    pyo3_build_config::use_pyo3_cfgs();
}
