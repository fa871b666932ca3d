//! Results that are counted, not timed: printed, and written as JSON for `publish_rust.py`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

pub(crate) struct Amount {
    pub(crate) operation: &'static str,
    pub(crate) contender: &'static str,
    pub(crate) size: usize,
    pub(crate) amount: f64,
    pub(crate) unit: &'static str,
}

impl Amount {
    /// Prints the result.
    pub(crate) fn shown(self) -> Self {
        let Self { operation, contender, size, amount, unit } = &self;
        println!("{operation}, {size:>7} entries, {contender:7}: {amount:10.2} {unit}");
        self
    }
}

/// Whether `cargo bench` runs this, not `cargo test`, which only checks that it starts.
pub(crate) fn wanted() -> bool {
    env::args().any(|argument| argument == "--bench")
}

/// Writes the amounts to `<name>.json` in the folder `CTXVARS_BENCH_AMOUNTS`, by default in cargo's
/// target folder.
pub(crate) fn publish(name: &str, amounts: &[Amount]) -> io::Result<()> {
    let mut json = String::new();
    for Amount { operation, contender, size, amount, unit } in amounts {
        let comma = if json.is_empty() { "" } else { ",\n" };
        let _ = write!(
            json,
            r#"{comma}{{"operation": "{operation}", "contender": "{contender}", "size": {size}, "amount": {amount:.4}, "unit": "{unit}"}}"#
        );
    }
    let folder = env::var_os("CTXVARS_BENCH_AMOUNTS")
        .map_or_else(|| [env!("CARGO_TARGET_TMPDIR"), "amounts"].iter().collect(), PathBuf::from);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name).with_extension("json"), format!("[\n{json}\n]\n"))
}
