//! Behaviour through real sockets.
