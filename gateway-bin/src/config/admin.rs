//! `[admin]`: where operators look at the running gateway and change it.

use std::net::SocketAddr;

use super::reader::Field;

const ADDRESS: &str = "a loopback address such as \"127.0.0.1:9901\"";

/// Where operators look at the running gateway and change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admin {
    /// `address`: a loopback address. Whoever reaches it may do everything. Required.
    pub address: SocketAddr,
}

impl Admin {
    /// An admin listener at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ address = \"127.0.0.1:9901\" }")?;
        let address = table.require("address", ADDRESS).and_then(|field| {
            let address: SocketAddr = field.parse(ADDRESS)?;
            if address.ip().is_loopback() { Some(address) } else { field.reject(ADDRESS) }
        });
        table.finish();
        address.map(Self::new)
    }
}
