//! What is shared between threads, replaced when every order of their steps is tried.

#[cfg(gateway_loom)]
pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(gateway_loom)]
pub(super) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(gateway_loom))]
pub(super) use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(gateway_loom))]
pub(super) use std::sync::{Mutex, MutexGuard};
