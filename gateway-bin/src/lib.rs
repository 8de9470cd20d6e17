//! A configuration document in, a running gateway out.
