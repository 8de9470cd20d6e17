//! HTTP/1.1 on the wire (RFC 9112): what the server and the upstream side share.
//!
//! A gateway is judged by how it reads messages: a request that two parties read in two ways is
//! an attack, a cut answer that looks whole is a lie. So both sides use this strict codec, which
//! rejects whatever RFC 9112 calls ambiguous, and which never copies framing from one message to
//! another: framing is written anew from what was understood.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod head;
pub(crate) mod output;

/// A read starts with room for this many bytes: most heads fit, and every connection that is not
/// quiet yet holds as much.
pub(crate) const READ_SIZE: usize = 2 * 1024;

/// An answer is read with room for this many bytes: most are all there at once. Pooled connections
/// keep it.
pub(crate) const ANSWER_READ_SIZE: usize = 8 * 1024;

/// While a body streams, a read has room for up to this many bytes.
pub(crate) const STREAM_READ_SIZE: usize = 128 * 1024;
