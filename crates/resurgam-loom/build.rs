//! Makes mutants of the lane, each without one of its fences, to show that the models would see that.

use std::{env, error::Error, fs, path::Path};

const LANE: &str = "../../src/service/lane.rs";
const FENCE: &str = "fence(Ordering::SeqCst);";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={LANE}");
    println!("cargo::rerun-if-changed=build.rs");
    let lane = fs::read_to_string(LANE)?;
    // A file that is included has no documentation of its own.
    let lane: Vec<_> = lane
        .lines()
        .filter(|line| !line.starts_with("//!"))
        .collect();
    let lane = lane.join("\n");
    let out = env::var("OUT_DIR")?;
    // The fences of whoever sets the first waker, and of whoever wakes. The third stands behind a mutex, which orders by itself.
    for (name, number) in [("set_waker", 0), ("wake", 1)] {
        let (at, _) = lane
            .match_indices(FENCE)
            .nth(number)
            .ok_or("the lane has lost a fence")?;
        let mutant = format!("{}{}", &lane[..at], &lane[at + FENCE.len()..]);
        fs::write(
            Path::new(&out).join(format!("without_fence_in_{name}.rs")),
            mutant,
        )?;
    }
    Ok(())
}
