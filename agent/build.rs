//! How the binary is linked.

fn main() {
    // A monitor runs per container and is mostly this binary. Without position independence its pages of
    // relocated data stay shared between all of them (docs/decisions/0038).
    println!("cargo::rustc-link-arg-bins=-no-pie");
    println!("cargo::rerun-if-changed=build.rs");
}
