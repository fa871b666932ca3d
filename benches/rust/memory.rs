//! The memory that maps take: `cargo bench --bench memory`.

#![allow(unsafe_code)] // An allocator can only be watched by an allocator.

mod amounts;
#[allow(dead_code, reason = "a map is only built here")]
mod peers;
#[allow(dead_code, reason = "a map is only built here")]
mod workload;

use amounts::Amount;
#[cfg(target_os = "linux")]
use libc::malloc_usable_size;
use peers::{Copied, Im, Imbl, Ours, Rpds, Subject};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use workload::Key;

const SIZES: [usize; 4] = [8, 100, 10_000, 1_000_000];

/// So many entries are put into maps of one size, so that small maps are not a matter of luck.
const ENTRIES: usize = 100_000;

/// What is allocated at a moment.
#[derive(Clone, Copy)]
struct Allocated {
    /// Bytes that were asked for.
    requested: usize,
    /// Bytes that the C library took for them, with the word in front of each block.
    taken: usize,
    blocks: usize,
}

struct Watched;

static REQUESTED: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// What `malloc` keeps in front of each block.
const BLOCK_HEADER: usize = size_of::<usize>();

/// # Safety
///
/// `block` was allocated by [`System`] and is alive.
unsafe fn taken(block: *mut u8) -> usize {
    // SAFETY: `System` is the C library's `malloc`, as long as alignment is no more than usual.
    BLOCK_HEADER + unsafe { malloc_usable_size(block.cast()) }
}

/// Not every C library tells.
#[cfg(not(target_os = "linux"))]
unsafe fn malloc_usable_size(_: *mut std::ffi::c_void) -> usize {
    0
}

// SAFETY: all of the work is done by `System`.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the same.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            REQUESTED.fetch_add(layout.size(), Ordering::Relaxed);
            // SAFETY: it has just been allocated.
            TAKEN.fetch_add(unsafe { taken(block) }, Ordering::Relaxed);
            BLOCKS.fetch_add(1, Ordering::Relaxed);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        REQUESTED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller gives up a block that is alive.
        TAKEN.fetch_sub(unsafe { taken(block) }, Ordering::Relaxed);
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(block, layout) };
    }
}

impl Allocated {
    fn now() -> Self {
        Self {
            requested: REQUESTED.load(Ordering::Relaxed),
            taken: TAKEN.load(Ordering::Relaxed),
            blocks: BLOCKS.load(Ordering::Relaxed),
        }
    }
}

/// What collected maps of `size` entries with numbers as keys take for each entry, besides the
/// few words of the map itself.
fn amounts_of<M: Subject<u64>>(size: usize) -> [Amount; 3] {
    let count = ENTRIES.div_ceil(size);
    let mut maps: Vec<M> = Vec::with_capacity(count);
    let before = Allocated::now();
    for map in 0..count {
        let numbers = (map * size) as u64..;
        maps.push(numbers.take(size).map(|number| (u64::of(number), number)).collect());
    }
    let after = Allocated::now();
    let entries = (count * size) as f64;
    let amount = |operation, unit, before: usize, after: usize| {
        let amount = (after - before) as f64 / entries;
        Amount { operation, contender: M::NAME, size, amount, unit }.shown()
    };
    [
        amount("requested bytes per entry", "B", before.requested, after.requested),
        amount("bytes per entry as malloc rounds them", "B", before.taken, after.taken),
        amount("allocations per entry", "", before.blocks, after.blocks),
    ]
}

fn main() -> io::Result<()> {
    if !amounts::wanted() {
        return Ok(());
    }
    let mut found = Vec::new();
    for size in SIZES {
        found.extend(amounts_of::<Ours<u64>>(size));
        found.extend(amounts_of::<Imbl<u64>>(size));
        found.extend(amounts_of::<Rpds<u64>>(size));
        found.extend(amounts_of::<Im<u64>>(size));
        found.extend(amounts_of::<Copied<u64>>(size));
    }
    amounts::publish("memory", &found)
}
