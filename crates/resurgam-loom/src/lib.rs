//! Models of what threads share; they are in `tests`, and run under `cfg(loom)`.
