//! A configuration document in, a running gateway out.

pub mod config;
